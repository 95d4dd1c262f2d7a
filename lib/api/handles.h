/* Handles and structs that more than one file of this folder knows. */
#ifndef DFQI_API_HANDLES_H
#define DFQI_API_HANDLES_H

#include <dfq/accelerator.h>
#include <dfq/dataset.h>

#include "accel/accel_config.h"
#include "io/dataset.h"

struct dfq_dataset {
    dfq_context *ctx; /* retained */
    dfqi_dataset *d;
};

/* As dfqi_info_write, of one accelerator. */
DFQI_CHECKED dfq_status dfqi_config_write(dfq_context *ctx, const dfqi_accel_config *t,
                                          dfq_accelerator_config *out);

#endif
