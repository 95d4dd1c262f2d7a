/* The optimum over networks and accelerators. For each accelerator the best network is a knapsack
 * problem. Accelerators are visited in the order of their lower bounds, until the bound exceeds the
 * best loss found. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/knapsack_priv.h"

typedef struct candidate {
    double bound;
    int32_t config;
} candidate;

typedef struct job {
    dfqi_problem *p;
    int32_t aim;
    dfqi_knapsack k;
    double *columns;  /* [n_metrics][cells] one accelerator's costs */
    int32_t *choice;  /* [n_groups] */
    candidate *order; /* [configs] */
    int64_t budget;   /* of all knapsacks together */
    double own;       /* loss of the accelerator's own choices, or base of the cost aimed at */
} job;

static int by_bound(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->bound != y->bound) return x->bound < y->bound ? -1 : 1;
    return (x->config > y->config) - (x->config < y->config);
}

static double base_of(const dfqi_problem *p, int32_t metric, int32_t config)
{
    const double *base = p->given.base_table;
    return base ? base[(size_t)metric * (size_t)p->space.configs + (size_t)config] : 0;
}

/* The knapsack of one accelerator. */
static void load(job *j, int32_t config)
{
    dfqi_problem *p = j->p;
    const dfqi_domain *s = &p->space;
    j->k.n_costs = 0;
    j->own = 0;
    for (int32_t l = 0; l < p->n_limits; l++) {
        int32_t metric = p->metric[l], c = j->k.n_costs;
        const double *from = p->given.cost_table +
                             (size_t)metric * (size_t)s->cells * (size_t)s->configs +
                             (size_t)config;
        double *column = j->columns + (size_t)l * (size_t)s->cells;
        for (int32_t i = 0; i < s->cells; i++) column[i] = from[(size_t)i * (size_t)s->configs];
        if (l == j->aim) {
            j->k.loss = column;
            j->own = base_of(p, metric, config);
            if (metric == p->ratio.metric) dfqi_ratio_column(p, config, column, &j->own);
            continue;
        }
        j->k.cost[c] = column;
        j->k.base[c] = base_of(p, metric, config);
        j->k.limit[c] = p->limit[l];
        j->k.n_costs++;
    }
    if (j->aim >= 0) return;
    j->k.loss = p->given.loss_table;
    dfqi_domain_set_config(s, config, j->choice);
    for (int32_t g = j->k.n_groups; g < s->n_groups; g++)
        j->own += p->given.loss_table[s->first[g] + j->choice[g]];
}

static dfq_status visit(job *j, int32_t *choice, dfqi_optimum *out)
{
    const dfqi_domain *s = &j->p->space;
    double lambda[DFQ_METRICS_MAX], open = INFINITY; /* the least bound of what was given up */
    for (int32_t c = 0; c < s->configs; c++) {
        load(j, c);
        j->order[c] = (candidate){j->own + dfqi_knapsack_bound(&j->k, lambda), c};
    }
    qsort(j->order, (size_t)s->configs, sizeof *j->order, by_bound);
    for (int32_t c = 0; c < s->configs && j->order[c].bound < out->loss; c++) {
        dfqi_optimum one;
        load(j, j->order[c].config);
        DFQI_TRY(dfqi_knapsack_solve(j->p->ctx, &j->k, out->loss - j->own, j->choice, &one));
        out->proved = out->proved && one.proved;
        if (!one.proved) open = fmin(open, fmax(one.bound + j->own, j->order[c].bound));
        if (!one.found) continue;
        out->found = true;
        out->loss = one.loss + j->own;
        dfqi_domain_set_config(s, j->order[c].config, j->choice);
        memcpy(choice, j->choice, (size_t)s->n_groups * sizeof *choice);
    }
    out->bound = fmin(open, out->loss);
    return DFQ_OK;
}

dfq_status dfqi_problem_optimum_below(dfqi_problem *p, int32_t aim, const dfqi_cutoff *cutoff,
                                      int32_t *choice, dfqi_optimum *out)
{
    const dfqi_domain *s = &p->space;
    job j = {
        .p = p, .aim = aim, .k = {.n_groups = s->n_groups - s->n_hw_params, .first = s->first}};
    dfq_status status = DFQ_E_NOMEM;
    j.budget = cutoff->nodes;
    j.k.budget = &j.budget;
    *out = (dfqi_optimum){.proved = true, .loss = cutoff->loss};
    j.columns = dfqi_calloc(p->ctx, (size_t)p->n_limits * (size_t)s->cells, sizeof *j.columns);
    j.choice = dfqi_calloc(p->ctx, (size_t)s->n_groups, sizeof *j.choice);
    j.order = dfqi_calloc(p->ctx, (size_t)s->configs, sizeof *j.order);
    if (j.columns && j.choice && j.order) status = visit(&j, choice, out);
    dfqi_free(p->ctx, j.order);
    dfqi_free(p->ctx, j.choice);
    dfqi_free(p->ctx, j.columns);
    return status;
}

dfq_status dfqi_problem_optimum(dfqi_problem *p, int32_t aim, int32_t *choice, dfqi_optimum *out)
{
    return dfqi_problem_optimum_below(p, aim, &(dfqi_cutoff){INFINITY, DFQI_NODES}, choice, out);
}
