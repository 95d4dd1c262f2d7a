/* Functions shared by presets.c and accel_config_json.c. */
#ifndef DFQI_ACCEL_ACCEL_CONFIG_PRIV_H
#define DFQI_ACCEL_ACCEL_CONFIG_PRIV_H

#include "accel/accel_config.h"
#include "io/json.h"

/* `name`: what error texts call the document. */
DFQI_CHECKED dfq_status dfqi_accel_space_read(dfq_context *ctx, const char *name, dfqi_json *doc,
                                              dfqi_accel_space *out);

#endif
