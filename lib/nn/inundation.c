/* The search of ait.md 2.4: kappa is doubled until enough codes change, then bisected. Counts are
 * integers, so they do not depend on who counts. */
#include "nn/inundation.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { BISECTIONS = 5, BLOCK = 1 << 15 }; /* BLOCK: elements of a block of rows, about */

static const float cap = 100.0f, kappa_max = 0x1p60f;

dfq_status dfqi_inundation_new(dfq_context *ctx, int64_t largest, int64_t rows,
                               dfqi_inundation *out)
{
    dfqi_inundation w = {.ctx = ctx, .k = dfqi_kernels_get(ctx)};
    w.move = dfqi_calloc(ctx, (size_t)largest, sizeof *w.move);
    w.changed = dfqi_calloc(ctx, (size_t)rows, sizeof *w.changed);
    if (!w.move || !w.changed) {
        dfqi_inundation_fini(&w);
        return DFQ_E_NOMEM;
    }
    *out = w;
    return DFQ_OK;
}

void dfqi_inundation_fini(dfqi_inundation *w)
{
    if (w->ctx) {
        dfqi_free(w->ctx, w->move);
        dfqi_free(w->ctx, w->changed);
    }
    *w = (dfqi_inundation){0};
}

double dfqi_inundation_bytes(int64_t largest, int64_t rows)
{
    return (double)largest * (double)sizeof(float) + (double)rows * (double)sizeof(int64_t);
}

/* -- counting ---------------------------------------------------------------------------------- */

typedef struct search {
    const dfqi_inundation *w;
    const dfqi_codes *codes;
    const float *p;
    int64_t cols, block_rows, blocks, count;
    float lr, alpha; /* alpha = kappa lr */
    double aim;      /* rho count */
} search;

static void count_block(void *arg, int64_t i, int32_t thread)
{
    const search *s = arg;
    dfqi_weight_grid g = s->codes->grid;
    int64_t row = i * s->block_rows, rows = s->codes->rows - row;
    (void)thread;
    if (rows > s->block_rows) rows = s->block_rows;
    if (g.step) g.step += row;
    s->w->changed[i] = s->w->k->crossings(rows, s->cols, &g, s->p + row * s->cols,
                                          s->w->move + row * s->cols, s->alpha);
}

static int64_t count(search *s, float kappa)
{
    int64_t n = 0;
    s->alpha = s->lr * kappa;
    dfqi_parallel_for(s->w->ctx, s->blocks, count_block, s);
    for (int64_t i = 0; i < s->blocks; i++) n += s->w->changed[i];
    return n;
}

/* count >= ceil(rho numel), the rounding of rho aside: 0.05f is a little more than 1/20, yet 5 of
 * 100 are enough. */
static bool enough(const search *s, int64_t n)
{
    return (double)n >= s->aim * (1.0 - 1e-6);
}

static bool moves(const search *s)
{
    for (int64_t i = 0; s->lr != 0 && i < s->count; i++)
        if (s->w->move[i] != 0) return true;
    return false;
}

/* -- search ------------------------------------------------------------------------------------ */

/* The last midpoint is taken, on whichever side of rho it is. */
static dfqi_crossing bisect(search *s, float lo, float hi)
{
    dfqi_crossing c = {.count = s->count};
    for (int i = 0; i < BISECTIONS; i++) {
        c.kappa = 0.5f * (lo + hi);
        c.changed = count(s, c.kappa);
        if (fabs((double)c.changed - s->aim) < s->aim / 100) break;
        if (enough(s, c.changed))
            hi = c.kappa;
        else
            lo = c.kappa;
    }
    return c;
}

static dfqi_crossing find(search *s)
{
    dfqi_crossing plain = {.kappa = 1, .count = s->count};
    float kappa = 1;
    if (!moves(s)) return plain;
    plain.changed = count(s, 1);
    if (enough(s, plain.changed)) return plain;
    do {
        kappa *= 2;
        if (kappa > kappa_max) return plain;
    } while (!enough(s, count(s, kappa)) && !(s->w->capped && kappa > cap));
    return bisect(s, 0.5f * kappa, kappa);
}

dfqi_crossing dfqi_inundation_step(dfqi_inundation *w, const dfqi_optim_options *o, dfqi_moments *s,
                                   int64_t t, float lr, const float *g, float *p,
                                   const dfqi_codes *codes)
{
    search q = {.w = w, .codes = codes, .p = p, .count = s->count, .lr = lr};
    dfqi_optim_options own = *o;
    q.cols = s->count / codes->rows;
    q.block_rows = q.cols < BLOCK ? BLOCK / q.cols : 1;
    q.blocks = (codes->rows + q.block_rows - 1) / q.block_rows;
    q.aim = (double)w->rho * (double)s->count;
    dfqi_optim_direction(w->ctx, o, s, t, g, w->move);
    dfqi_crossing c = find(&q);
    own.weight_decay /= c.kappa;
    dfqi_optim_step(w->ctx, &own, s, t, lr * c.kappa, g, p);
    return c;
}
