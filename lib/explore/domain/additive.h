/* The exact evaluator (docs/METHODS.md, Costs). The cost of a network is the sum over its cells of
 * a table entry for each choice and accelerator, so nothing is learned or estimated. */
#ifndef DFQI_EXPLORE_ADDITIVE_H
#define DFQI_EXPLORE_ADDITIVE_H

#include "explore/domain/domain.h"

typedef struct dfqi_additive {
    const dfqi_domain *space; /* borrowed, as the tables are */
    int32_t n_metrics;
    const double *cost; /* [n_metrics][cells][configs] */
    const double *base; /* [n_metrics][configs], NULL: zeros */
    double *weight;     /* [configs] scratch: probability of each accelerator */
    double *sum;        /* [configs] scratch: the mixture's cost on each */
} dfqi_additive;

DFQI_CHECKED dfq_status dfqi_additive_new(const dfqi_domain *space, int32_t n_metrics,
                                          const double *cost, const double *base,
                                          dfqi_additive *out);
void dfqi_additive_fini(dfqi_additive *a);

/* t(p, q) = sum over accelerators c of prod_h q_h[c_h] (base[c] + sum_i p_i cost[i][c]), which is
 * multilinear: exact at one-hot points, with exact gradients everywhere. `gradients`
 * [n_metrics][total] may be NULL. */
void dfqi_additive_costs(dfqi_additive *a, const double *p, double *costs, double *gradients);
void dfqi_additive_exact(const dfqi_additive *a, const int32_t *choice, double *costs);

/* On one accelerator: the costs of a mixture, and the cost of each choice of the cells in a metric,
 * out [cells]; what all networks share is returned. */
void dfqi_additive_costs_on(const dfqi_additive *a, int32_t config, const double *p, double *costs);
double dfqi_additive_column(const dfqi_additive *a, int32_t metric, int32_t config, double *out);

#endif
