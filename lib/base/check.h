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
/* DFQ_E_INVALID unless 0 <= index < count. `name` says of what, as "layer". */
DFQI_CHECKED dfq_status dfqi_check_index(dfq_context *ctx, const char *name, int64_t index,
                                         int64_t count);
/* DFQ_E_INVALID unless first .. first + n - 1 lies in 0 .. count - 1 and n is at least `least`.
 * `name` says of what, as "images". */
DFQI_CHECKED dfq_status dfqi_check_span(dfq_context *ctx, const char *name, int64_t first,
                                        int64_t n, int64_t least, int64_t count);
#endif
