/* The multiple-choice knapsack problem: one choice in each group with the least loss and additive
 * costs within limits. It is solved exactly: by dynamic programming over undominated states for one
 * cost, by branch and bound for several. Both prune with Lagrangian bounds. */
#ifndef DFQI_EXPLORE_KNAPSACK_PRIV_H
#define DFQI_EXPLORE_KNAPSACK_PRIV_H

#include "explore/solver/problem_priv.h"

typedef struct dfqi_knapsack {
    int32_t n_groups;
    const int32_t *first; /* [n_groups + 1] where a group begins in vectors */
    const double *loss;   /* [first[n_groups]] */
    int32_t n_costs;
    const double *cost[DFQ_METRICS_MAX]; /* [first[n_groups]] each */
    double base[DFQ_METRICS_MAX];        /* added to each sum */
    double limit[DFQ_METRICS_MAX];
    int64_t *budget; /* nodes that branch and bound may still visit: counted down */
} dfqi_knapsack;

/* Budgets of some seconds, and of less than one, in which good choices are found but not always
 * proved. */
enum { DFQI_NODES = 20000000, DFQI_NODES_FEW = 500000 };

typedef struct dfqi_optimum {
    bool found;  /* a choice within the limits, of loss under `cutoff` */
    bool proved; /* searched to the end: there is no better one */
    double loss;
    double bound; /* no choice within the limits has a smaller loss: `loss`, or less if unproved */
} dfqi_optimum;

/* A lower bound of the loss within the limits: max over lambda >= 0 of min (loss + lambda.(cost -
 * limit)), found by bisection along one lambda after the other (any lambda gives a bound).
 * Infinity: nothing is within the limits. */
double dfqi_knapsack_bound(const dfqi_knapsack *k, double lambda[DFQ_METRICS_MAX]);

/* Fails for want of memory only. `choice` is written if something was found. */
DFQI_CHECKED dfq_status dfqi_knapsack_solve(dfq_context *ctx, const dfqi_knapsack *k, double cutoff,
                                            int32_t *choice, dfqi_optimum *out);
/* The same by branch and bound whatever the number of costs. */
DFQI_CHECKED dfq_status dfqi_knapsack_branch(dfq_context *ctx, const dfqi_knapsack *k,
                                             const double lambda[DFQ_METRICS_MAX], double cutoff,
                                             int32_t *choice, dfqi_optimum *out);
/* By dynamic programming; one cost. `proved` false: too many states. */
DFQI_CHECKED dfq_status dfqi_knapsack_states(dfq_context *ctx, const dfqi_knapsack *k,
                                             double lambda, double cutoff, int32_t *choice,
                                             dfqi_optimum *out);

/* The optimum of a problem with tables over all accelerators. `aim` -1: the least loss within all
 * limits; a limit's index: the least cost of its metric within the others. `choice` [n_groups]. */
DFQI_CHECKED dfq_status dfqi_problem_optimum(dfqi_problem *p, int32_t aim, int32_t *choice,
                                             dfqi_optimum *out);

/* What a search for the optimum may leave out. */
typedef struct dfqi_cutoff {
    double loss;   /* of a choice that is known: only better ones are wanted. Infinity: none is */
    int64_t nodes; /* of branch and bound */
} dfqi_cutoff;

/* The same below a cutoff. `found` false and `proved` true: nothing is below it. */
DFQI_CHECKED dfq_status dfqi_problem_optimum_below(dfqi_problem *p, int32_t aim,
                                                   const dfqi_cutoff *cutoff, int32_t *choice,
                                                   dfqi_optimum *out);

/* The least quotient (ratio.h) within the other limits; `aim`: the index of its limit. `loss` is
 * the quotient as told, infinity if nothing is within them. */
DFQI_CHECKED dfq_status dfqi_ratio_least(dfqi_problem *p, int32_t aim, int32_t *choice,
                                         dfqi_optimum *out);
/* over - ratio_at under: of the cells [cells] on an accelerator, and of what all networks share. */
void dfqi_ratio_column(const dfqi_problem *p, int32_t config, double *column, double *base);

#endif
