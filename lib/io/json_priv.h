/* Declarations shared by json.c and json_get.c. */
#ifndef DFQI_IO_JSON_PRIV_H
#define DFQI_IO_JSON_PRIV_H

#include <jansson.h>

#include "io/json.h"

struct dfqi_json {
    dfq_context *ctx;
    char *name;
    json_t *root;
    dfq_status status; /* of building; the first failure stays */
};

#endif
