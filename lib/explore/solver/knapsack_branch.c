/* Multiple-choice knapsack with several costs: depth-first branch and bound. Groups whose best
 * choice has the largest lead come first; choices are ordered by their Lagrangian value. A branch
 * is pruned if a cost or the Lagrangian bound excludes it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/knapsack_priv.h"

typedef struct item {
    double value, loss; /* value = loss + lambda.cost */
    double cost[DFQ_METRICS_MAX];
    int32_t choice;
} item;

typedef struct group {
    const item *items; /* by value */
    int32_t n, index;
    double gap; /* of the second value to the first */
} group;

typedef struct run {
    const dfqi_knapsack *k;
    item *items;
    group *groups;
    double *rest; /* [n_groups + 1][1 + n_costs]: least value and costs of the groups from g on */
    double weighted; /* lambda.limit */
    int32_t *choice; /* [n_groups] of the branch, in the order of `groups` */
    int32_t *best;   /* the caller's */
    dfqi_optimum *out;
    double cutoff;
} run;

static int by_value(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

static int by_gap(const void *a, const void *b)
{
    const group *x = a, *y = b;
    if (x->gap != y->gap) return x->gap > y->gap ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void sort_items(run *r, const double *lambda)
{
    const dfqi_knapsack *k = r->k;
    for (int32_t g = 0; g < k->n_groups; g++) {
        int32_t begin = k->first[g], n = k->first[g + 1] - begin;
        for (int32_t i = begin; i < begin + n; i++) {
            item *it = &r->items[i];
            *it = (item){.value = k->loss[i], .loss = k->loss[i], .choice = i - begin};
            for (int32_t c = 0; c < k->n_costs; c++) {
                it->cost[c] = k->cost[c][i];
                it->value += lambda[c] * it->cost[c];
            }
        }
        qsort(r->items + begin, (size_t)n, sizeof *r->items, by_value);
        r->groups[g] = (group){r->items + begin, n, g, INFINITY};
        if (n > 1) r->groups[g].gap = r->items[begin + 1].value - r->items[begin].value;
    }
    qsort(r->groups, (size_t)k->n_groups, sizeof *r->groups, by_gap);
}

static void make_rest(run *r)
{
    int32_t n = r->k->n_groups, width = 1 + r->k->n_costs;
    for (int32_t g = n - 1; g >= 0; g--) {
        double *rest = r->rest + (size_t)g * (size_t)width;
        rest[0] = rest[width] + r->groups[g].items[0].value;
        for (int32_t c = 1; c < width; c++) {
            double low = INFINITY;
            for (int32_t i = 0; i < r->groups[g].n; i++)
                low = fmin(low, r->groups[g].items[i].cost[c - 1]);
            rest[c] = rest[width + c] + low;
        }
    }
}

/* The order of summation is that of the groups, as the exact evaluation has it. */
static void leaf(run *r)
{
    const dfqi_knapsack *k = r->k;
    double sum[DFQ_METRICS_MAX], loss = 0;
    int32_t *choice = r->choice + k->n_groups;
    for (int32_t d = 0; d < k->n_groups; d++) choice[r->groups[d].index] = r->choice[d];
    memcpy(sum, k->base, sizeof sum);
    for (int32_t g = 0; g < k->n_groups; g++) {
        int32_t i = k->first[g] + choice[g];
        loss += k->loss[i];
        for (int32_t c = 0; c < k->n_costs; c++) sum[c] += k->cost[c][i];
    }
    for (int32_t c = 0; c < k->n_costs; c++)
        if (sum[c] > k->limit[c]) return;
    if (loss >= r->cutoff) return;
    r->out->found = true;
    r->out->loss = r->cutoff = loss;
    memcpy(r->best, choice, (size_t)k->n_groups * sizeof *choice);
}

/* The branch so far at depth d, and what a choice adds to it. */
typedef struct place {
    double value, cost[DFQ_METRICS_MAX];
    int32_t next; /* the item to try */
} place;

static bool ruled_out(const run *r, int32_t depth, const place *p)
{
    const dfqi_knapsack *k = r->k;
    const double *rest = r->rest + (size_t)depth * (size_t)(1 + k->n_costs);
    double bound = p->value + rest[0] - r->weighted;
    if (bound >= r->cutoff + 1e-12 * (fabs(p->value) + fabs(rest[0]) + r->weighted)) return true;
    for (int32_t c = 0; c < k->n_costs; c++)
        if (p->cost[c] + rest[1 + c] > k->limit[c] + 1e-12 * fabs(k->limit[c])) return true;
    return false;
}

/* The least bound of what is left of a search that stopped in depth d. */
static double open_bound(const run *r, const place *path, int32_t d)
{
    double least = r->cutoff;
    for (; d >= 0; d--) {
        const double *rest = r->rest + (size_t)(d + 1) * (size_t)(1 + r->k->n_costs);
        if (path[d].next == r->groups[d].n) continue;
        double value = path[d].value + r->groups[d].items[path[d].next].value + rest[0];
        double size = fabs(value) + r->weighted;
        least = fmin(least, value - r->weighted - 1e-12 * size);
    }
    return least;
}

/* False when the budget is spent. */
static bool search(run *r, place *path)
{
    const dfqi_knapsack *k = r->k;
    int32_t d = 0;
    while (d >= 0) {
        place *at = &path[d];
        if (d == k->n_groups || at->next == r->groups[d].n) {
            if (d == k->n_groups) leaf(r);
            d--;
            continue;
        }
        const item *it = &r->groups[d].items[at->next++];
        place *to = &path[d + 1];
        *to = *at;
        to->next = 0;
        to->value += it->value;
        for (int32_t c = 0; c < k->n_costs; c++) to->cost[c] += it->cost[c];
        if (--*k->budget < 0) {
            at->next--;
            r->out->bound = open_bound(r, path, d);
            return false;
        }
        if (ruled_out(r, d + 1, to)) continue;
        r->choice[d++] = it->choice;
    }
    return true;
}

dfq_status dfqi_knapsack_branch(dfq_context *ctx, const dfqi_knapsack *k,
                                const double lambda[DFQ_METRICS_MAX], double cutoff,
                                int32_t *choice, dfqi_optimum *out)
{
    size_t n = (size_t)k->n_groups;
    run r = {.k = k, .best = choice, .out = out, .cutoff = cutoff};
    dfq_status status = DFQ_E_NOMEM;
    place *path = dfqi_calloc(ctx, n + 1, sizeof *path);
    *out = (dfqi_optimum){.loss = INFINITY};
    r.items = dfqi_calloc(ctx, (size_t)k->first[n], sizeof *r.items);
    r.groups = dfqi_calloc(ctx, n, sizeof *r.groups);
    r.rest = dfqi_calloc(ctx, (n + 1) * (size_t)(1 + k->n_costs), sizeof *r.rest);
    r.choice = dfqi_calloc(ctx, 2 * n, sizeof *r.choice);
    if (!path || !r.items || !r.groups || !r.rest || !r.choice) goto out;
    for (int32_t c = 0; c < k->n_costs; c++) r.weighted += lambda[c] * k->limit[c];
    sort_items(&r, lambda);
    make_rest(&r);
    memcpy(path[0].cost, k->base, sizeof path[0].cost);
    for (int32_t c = 0; c < k->n_costs; c++) path[0].value += lambda[c] * k->base[c];
    out->proved = search(&r, path);
    if (out->proved) out->bound = r.cutoff;
    status = DFQ_OK;
out:
    dfqi_free(ctx, r.choice);
    dfqi_free(ctx, r.rest);
    dfqi_free(ctx, r.groups);
    dfqi_free(ctx, r.items);
    dfqi_free(ctx, path);
    return status;
}
