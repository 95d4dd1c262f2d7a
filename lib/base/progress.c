/* Clock, progress reports and cancellation. Every report reaches the callback; the host program
 * decides how often to redraw. A unit of work takes long compared with a call. */
#include "base/progress.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"

double dfqi_now(void)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double dfqi_seconds_left(double seconds, int64_t timed, int64_t left)
{
    if (left <= 0) return 0;
    return timed > 0 ? seconds / (double)timed * (double)left : (double)NAN;
}

dfqi_stage dfqi_stage_begin(dfq_context *ctx, const char *name, uint64_t done, uint64_t total)
{
    dfqi_stage s;
    s.ctx = ctx;
    s.name = name;
    s.first = done;
    s.total = total;
    s.start = dfqi_now();
    return s;
}

/* Estimated seconds to the end, at the pace of this process. Units done before it began (resume) do
 * not count. */
static double time_left(const dfqi_stage *s, uint64_t done, double elapsed)
{
    if (s->total == 0 || done <= s->first) return (double)NAN;
    if (done >= s->total) return 0.0;
    return elapsed / (double)(done - s->first) * (double)(s->total - done);
}

static int32_t call_host(const dfqi_stage *s, uint64_t done, double loss)
{
    dfq_progress p;
    if (s->ctx->progress == NULL) return 0;
    memset(&p, 0, sizeof p);
    p.struct_size = (uint32_t)sizeof p;
    p.stage = s->name;
    p.done = done;
    p.total = s->total;
    p.fraction = s->total > 0 ? (double)done / (double)s->total : 0.0;
    p.loss = loss;
    p.elapsed_s = dfqi_now() - s->start;
    p.left_s = time_left(s, done, p.elapsed_s);
    return s->ctx->progress(&p, s->ctx->progress_user);
}

dfq_status dfqi_stage_report(const dfqi_stage *s, uint64_t done, double loss)
{
    int32_t stop = call_host(s, done, loss);
    /* Always clears the flag: a request made besides the callback's own must not stop the next
     * call. */
    if (dfqi_flag_take(&s->ctx->cancel)) stop = 1;
    if (stop == 0) return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_CANCELLED, "cancelled: %s stopped after %" PRIu64 " of %" PRIu64,
                     s->name, done, s->total);
}
