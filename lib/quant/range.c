/* Moving averages of extremes. The published one divides what it keeps by 1 - 0.9^batches, which
 * would be right for an average that starts at 0 if the quotient were not fed back (ait.md 3.4). */
#include "quant/range.h"

#include <math.h>

#include "base/parallel.h"
#include "kernel/row_grid.h"
#include "kernel/kernel.h"

enum { CHUNK = 1 << 16 };

typedef struct job {
    const dfqi_kernels *k;
    const float *x;
    int64_t n;
    float lo[DFQI_THREADS_MAX], hi[DFQI_THREADS_MAX];
} job;

/* Extremes do not depend on the order in which they are found. */
static void chunk(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    float out[2];
    int64_t from = i * CHUNK, n = j->n - from < CHUNK ? j->n - from : CHUNK;
    j->k->extremes((size_t)n, j->x + from, out);
    j->lo[thread] = fminf(j->lo[thread], out[0]);
    j->hi[thread] = fmaxf(j->hi[thread], out[1]);
}

static float follow(const dfqi_range *r, dfqi_range_kind kind, float mean, float now, int first)
{
    float next = 0.9f * mean + 0.1f * now;
    if (kind == DFQI_RANGE_PUBLISHED) return next / r->seen;
    return first ? now : next;
}

void dfqi_range_update(dfq_context *ctx, dfqi_range *r, dfqi_range_kind kind, const float *x,
                       int64_t n)
{
    job j = {.k = dfqi_kernels_get(ctx), .x = x, .n = n};
    float lo = INFINITY, hi = -INFINITY;
    int first = r->seen == 0;
    for (int32_t t = 0; t < ctx->threads; t++) {
        j.lo[t] = INFINITY;
        j.hi[t] = -INFINITY;
    }
    dfqi_parallel_for(ctx, (n + CHUNK - 1) / CHUNK, chunk, &j);
    for (int32_t t = 0; t < ctx->threads; t++) {
        lo = fminf(lo, j.lo[t]);
        hi = fmaxf(hi, j.hi[t]);
    }
    r->seen = 1.0f - 0.9f * (1.0f - r->seen);
    r->lo = follow(r, kind, r->lo, lo + 0.0f, first); /* 0 is +0, whichever was found first */
    r->hi = follow(r, kind, r->hi, hi + 0.0f, first);
}

void dfqi_range_grid(const dfqi_range *r, int32_t bits, float *step, float *zero)
{
    dfqi_row_grid g = dfqi_row_grid_ranged(bits, r->lo, r->hi);
    *step = g.step;
    *zero = g.zero;
}
