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

dfq_status dfqi_check_index(dfq_context *ctx, const char *name, int64_t index, int64_t count)
{
    if (index >= 0 && index < count) return DFQ_OK;
    if (count < 1)
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s is %" PRId64 ", and there are none", name, index);
    return dfqi_fail(ctx, DFQ_E_INVALID, "%s is %" PRId64 ", must be 0 to %" PRId64, name, index,
                     count - 1);
}

dfq_status dfqi_check_span(dfq_context *ctx, const char *name, int64_t first, int64_t n,
                           int64_t least, int64_t count)
{
    if (first >= 0 && n >= least && first <= count && n <= count - first) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "%s: first is %" PRId64 " and n is %" PRId64
                     ", must be at least 0 and %" PRId64 ", and together at most %" PRId64,
                     name, first, n, least, count);
}
