/* The search for kappa as in AIT's released code: kappa is doubled until enough codes change, and
 * then bisected. Each thread searches for one weight at a time, because a search makes many short
 * passes over one weight. */
#include "nn/inundation.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "kernel/weight_groups.h"

enum { BISECTIONS = 5 };

static const float cap = 100.0f, kappa_max = 0x1p60f;

dfq_status dfqi_inundation_new(dfq_context *ctx, int64_t largest, dfqi_inundation *out)
{
    float *move = dfqi_calloc(ctx, (size_t)largest, (size_t)ctx->threads * sizeof *move);
    if (!move) return DFQ_E_NOMEM;
    *out = (dfqi_inundation){.ctx = ctx, .largest = largest, .move = move};
    return DFQ_OK;
}

void dfqi_inundation_fini(dfqi_inundation *w)
{
    if (w->ctx) dfqi_free(w->ctx, w->move);
    *w = (dfqi_inundation){0};
}

double dfqi_inundation_bytes(const dfq_context *ctx, int64_t largest)
{
    return (double)largest * (double)ctx->threads * (double)sizeof(float);
}

/* -- search ------------------------------------------------------------------------------------ */

typedef struct search {
    const dfqi_kernels *k;
    const dfqi_inundated *at;
    const float *move; /* the step at learning rate 1 */
    float lr;
    int capped;
    double aim; /* rho times the number of codes */
} search;

/* The codes of a weight in groups that differ after the move. */
static int64_t count_groups(const search *s, float kappa)
{
    const dfqi_inundated *at = s->at;
    const int64_t cols = at->moments->count / at->rows, group = cols / at->n_groups;
    const float top = (float)((1 << at->grid.bits) - 1);
    int64_t changed = 0;
    for (int64_t i = 0; i < at->moments->count; i++) {
        const dfqi_group_grid g = dfqi_group_grid_of(at->groups[i / group]);
        const float scale = at->grid.scale[i / cols], f = at->grid.s ? at->grid.s[i % cols] : 1.0f;
        const float moved = at->p[i] - s->lr * kappa * s->move[i];
        /* NaN differs from everything */
        changed += !(dfqi_group_code(at->p[i] * f, scale, g, top) ==
                     dfqi_group_code(moved * f, scale, g, top));
    }
    return changed;
}

static int64_t count(const search *s, float kappa)
{
    const dfqi_inundated *at = s->at;
    if (at->groups) return count_groups(s, kappa);
    return s->k->crossings(at->rows, at->moments->count / at->rows, &at->grid, at->p, s->move,
                           s->lr * kappa);
}

/* count >= ceil(rho numel), the rounding of rho aside: 0.05f is a little more than 1/20, yet 5 of
 * 100 are enough. */
static bool enough(const search *s, int64_t n)
{
    return (double)n >= s->aim * (1.0 - 1e-6);
}

static bool moves(const search *s)
{
    for (int64_t i = 0; s->lr != 0 && i < s->at->moments->count; i++)
        if (s->move[i] != 0) return true;
    return false;
}

/* Returns the last midpoint, which may lie on either side of rho. */
static float bisect(const search *s, float lo, float hi, int64_t *changed)
{
    float kappa = hi;
    for (int i = 0; i < BISECTIONS; i++) {
        kappa = 0.5f * (lo + hi);
        *changed = count(s, kappa);
        if (fabs((double)*changed - s->aim) < s->aim / 100) break;
        if (enough(s, *changed))
            hi = kappa;
        else
            lo = kappa;
    }
    return kappa;
}

static float find(const search *s, int64_t *changed)
{
    float kappa = 1;
    *changed = 0;
    if (!moves(s)) return 1;
    *changed = count(s, 1);
    if (enough(s, *changed)) return 1;
    do {
        kappa *= 2;
        if (kappa > kappa_max) return 1;
    } while (!enough(s, count(s, kappa)) && !(s->capped && kappa > cap));
    return bisect(s, 0.5f * kappa, kappa, changed);
}

/* -- steps ------------------------------------------------------------------------------------- */

typedef struct job {
    const dfqi_inundation *w;
    const dfqi_kernels *k;
    const dfqi_optim_options *o;
    int64_t t;
    float lr;
    dfqi_inundated *weights;
} job;

static void step_one(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    const dfqi_inundation *w = j->w;
    dfqi_inundated *at = &j->weights[i];
    dfqi_optim_options own = *j->o;
    float *move = w->move + thread * w->largest;
    search s = {.k = j->k,
                .at = at,
                .move = move,
                .lr = j->lr,
                .capped = w->capped,
                .aim = (double)w->rho * (double)at->moments->count};
    dfqi_optim_direction(w->ctx, j->o, at->moments, j->t, at->g, move);
    at->kappa = 1;
    if (w->spare && s.aim < 0.5)
        at->changed = count(&s, 1);
    else
        at->kappa = find(&s, &at->changed);
    own.weight_decay /= at->kappa;
    dfqi_optim_step(w->ctx, &own, at->moments, j->t, j->lr * at->kappa, at->g, at->p);
}

void dfqi_inundation_step(dfqi_inundation *w, const dfqi_optim_options *o, int64_t t, float lr,
                          int64_t n, dfqi_inundated *weights)
{
    job j = {.w = w, .k = dfqi_kernels_get(w->ctx), .o = o, .t = t, .lr = lr, .weights = weights};
    dfqi_parallel_for(w->ctx, n, step_one, &j);
}
