/* Multiple-choice knapsack with one cost: dynamic programming over the undominated (cost, loss)
 * states of the first groups. Unlike a table over a grid of costs, it is exact for real numbers. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "explore/solver/knapsack_priv.h"

enum { STATES_MAX = 1 << 18 };

typedef struct state {
    double cost, loss;
    int32_t parent, choice;
} state;

typedef struct run {
    dfq_context *ctx;
    const dfqi_knapsack *k;
    double lambda, cutoff; /* both finite */
    double *least, *bound; /* [n_groups + 1] of the groups from g on: cost, loss + lambda cost */
    state **layer;         /* [n_groups + 1] */
    int32_t *count, *capacity; /* [n_groups + 1] */
} run;

static int by_cost(const void *a, const void *b)
{
    const state *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    if (x->parent != y->parent) return x->parent < y->parent ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

static void make_bounds(run *r)
{
    const dfqi_knapsack *k = r->k;
    for (int32_t g = k->n_groups - 1; g >= 0; g--) {
        double low = INFINITY, best = INFINITY;
        for (int32_t i = k->first[g]; i < k->first[g + 1]; i++) {
            low = fmin(low, k->cost[0][i]);
            best = fmin(best, k->loss[i] + r->lambda * k->cost[0][i]);
        }
        r->least[g] = r->least[g + 1] + low;
        r->bound[g] = r->bound[g + 1] + best;
    }
}

/* False when there are too many states. */
static bool add(run *r, int32_t g, state s, dfq_status *status)
{
    if (r->count[g] == r->capacity[g]) {
        int32_t capacity = r->capacity[g] ? 2 * r->capacity[g] : 256;
        state *more = capacity <= STATES_MAX
                          ? dfqi_realloc(r->ctx, r->layer[g], (size_t)capacity * sizeof *more)
                          : NULL;
        if (!more && capacity <= STATES_MAX) *status = DFQ_E_NOMEM;
        if (!more) return false;
        r->layer[g] = more;
        r->capacity[g] = capacity;
    }
    r->layer[g][r->count[g]++] = s;
    return true;
}

/* States of groups 0..g from those of 0..g - 1: what cannot end within the limit or under the
 * cutoff is left out, then what is dominated. */
static bool extend(run *r, int32_t g, dfq_status *status)
{
    const dfqi_knapsack *k = r->k;
    double limit = k->limit[0], slack = 1e-12 * (fabs(r->cutoff) + fabs(r->lambda * limit));
    for (int32_t s = 0; s < r->count[g]; s++)
        for (int32_t i = k->first[g]; i < k->first[g + 1]; i++) {
            double cost = r->layer[g][s].cost + k->cost[0][i];
            double loss = r->layer[g][s].loss + k->loss[i];
            double bound = loss + r->lambda * (cost - limit) + r->bound[g + 1];
            if (cost + r->least[g + 1] > limit + 1e-12 * fabs(limit) || bound > r->cutoff + slack)
                continue;
            if (!add(r, g + 1, (state){cost, loss, s, i - k->first[g]}, status)) return false;
        }
    state *all = r->layer[g + 1];
    int32_t n = 0;
    if (r->count[g + 1] > 1) qsort(all, (size_t)r->count[g + 1], sizeof *all, by_cost);
    for (int32_t s = 0; s < r->count[g + 1]; s++)
        if (n == 0 || all[s].loss < all[n - 1].loss) all[n++] = all[s];
    r->count[g + 1] = n;
    return true;
}

/* The best final state that really is within the limit; losses fall as costs rise. */
static void trace_back(const run *r, int32_t *choice, dfqi_optimum *out)
{
    int32_t g = r->k->n_groups, at = r->count[g] - 1;
    while (at >= 0 && r->layer[g][at].cost > r->k->limit[0]) at--;
    if (at < 0 || r->layer[g][at].loss >= r->cutoff) return;
    out->found = true;
    out->loss = r->layer[g][at].loss;
    for (; g > 0; g--) {
        choice[g - 1] = r->layer[g][at].choice;
        at = r->layer[g][at].parent;
    }
}

dfq_status dfqi_knapsack_states(dfq_context *ctx, const dfqi_knapsack *k, double lambda,
                                double cutoff, int32_t *choice, dfqi_optimum *out)
{
    run r = {.ctx = ctx, .k = k, .lambda = lambda, .cutoff = cutoff};
    size_t n = (size_t)k->n_groups + 1;
    dfq_status status = DFQ_OK;
    *out = (dfqi_optimum){.loss = INFINITY};
    r.least = dfqi_calloc(ctx, 2 * n, sizeof *r.least);
    r.layer = dfqi_calloc(ctx, n, sizeof *r.layer);
    r.count = dfqi_calloc(ctx, 2 * n, sizeof *r.count);
    if (!r.least || !r.layer || !r.count) {
        status = DFQ_E_NOMEM;
        goto out;
    }
    r.bound = r.least + n;
    r.capacity = r.count + n;
    make_bounds(&r);
    out->proved = add(&r, 0, (state){k->base[0], 0, 0, 0}, &status);
    for (int32_t g = 0; g < k->n_groups && out->proved; g++) out->proved = extend(&r, g, &status);
    if (out->proved) trace_back(&r, choice, out);
out:
    for (int32_t g = 0; r.layer && g <= k->n_groups; g++) dfqi_free(ctx, r.layer[g]);
    dfqi_free(ctx, r.count);
    dfqi_free(ctx, r.layer);
    dfqi_free(ctx, r.least);
    return status;
}
