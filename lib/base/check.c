/* Range checks of options. */
#include "base/check.h"

#include <inttypes.h>

dfq_status dfqi_check_whole(dfq_context *ctx, const char *job, const char *name, int64_t value,
                            int64_t least, int64_t most)
{
    if (value >= least && value <= most) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "%s%s%s is %" PRId64 ", must be %" PRId64 " to %" PRId64,
                     job ? job : "", job ? ": " : "", name, value, least, most);
}

dfq_status dfqi_check_real(dfq_context *ctx, const char *job, const char *name, double value,
                           double least, double most)
{
    if (value >= least && value <= most) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "%s%s%s is %g, must be %g to %g", job ? job : "",
                     job ? ": " : "", name, value, least, most);
}
