/* What space.c and space_json.c share. */
#ifndef DFQI_EXPLORE_SPACE_PRIV_H
#define DFQI_EXPLORE_SPACE_PRIV_H

#include "explore/space.h"

/* The built-in space of that name; NULL: there is none. */
const dfqi_super_space *dfqi_search_space_known(const char *name);
/* A description in a file. DFQ_E_CORRUPT names the file and the key; DFQ_E_UNSUPPORTED: newer. */
dfq_status dfqi_super_space_read(dfq_context *ctx, const char *path, dfqi_super_space *out);

#endif
