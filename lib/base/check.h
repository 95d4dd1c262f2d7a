/* Range checks of options. All error texts have one form: "tune: batch is 0, must be 1 to 4096". */
#ifndef DFQI_BASE_CHECK_H
#define DFQI_BASE_CHECK_H

#include <stdint.h>

#include "base/context.h"

/* DFQ_E_INVALID unless least <= value <= most. `job` begins the text and may be NULL. */
DFQI_CHECKED dfq_status dfqi_check_whole(dfq_context *ctx, const char *job, const char *name,
                                         int64_t value, int64_t least, int64_t most);
/* The same check for a floating-point number; NaN fails. */
DFQI_CHECKED dfq_status dfqi_check_real(dfq_context *ctx, const char *job, const char *name,
                                        double value, double least, double most);

#endif
