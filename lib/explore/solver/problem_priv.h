/* The caller's problem after its checks: losses and costs from tables or callbacks behind one set
 * of functions, which refuse numbers that are not finite. */
#ifndef DFQI_EXPLORE_PROBLEM_PRIV_H
#define DFQI_EXPLORE_PROBLEM_PRIV_H

#include <dfq/solver.h>

#include "explore/domain/additive.h"
#include "explore/solver/ratio.h"
#include "explore/solver/solver.h"

typedef struct dfqi_problem {
    dfq_context *ctx; /* borrowed */
    dfqi_domain space;
    dfq_problem given;
    dfqi_additive tables; /* with given.cost_table */
    int32_t n_limits;
    int32_t metric[DFQ_METRICS_MAX]; /* [n_limits] */
    double limit[DFQ_METRICS_MAX];
    dfqi_ratio ratio;
    double ratio_limit, ratio_at; /* K; the P that a search of the least quotient is at */
    int32_t n_function;           /* metrics that cost functions have, the first ones */
    dfqi_estimate estimate;       /* costs NULL: there is none */
    double *one_hot;              /* [total] scratch */
} dfqi_problem;

/* A name of a metric for messages. */
typedef struct dfqi_metric_name {
    char text[64];
} dfqi_metric_name;

DFQI_CHECKED dfq_status dfqi_problem_new(dfq_context *ctx, const dfq_problem *given,
                                         const dfq_constraint *limits, int32_t n_limits,
                                         dfqi_problem **out);
void dfqi_problem_free(dfqi_problem *p); /* NULL ok */
dfqi_metric_name dfqi_problem_metric(const dfqi_problem *p, int32_t metric);

/* Losses and costs of tables or callbacks. The status of a callback is passed on; NaN and infinity
 * are DFQ_E_NUMERIC. Gradients may be NULL. */
DFQI_CHECKED dfq_status dfqi_problem_loss(const dfqi_problem *p, const double *x, uint64_t step,
                                          double *loss, double *gradient);
DFQI_CHECKED dfq_status dfqi_problem_costs(dfqi_problem *p, const double *x, double *costs,
                                           double *gradients);
DFQI_CHECKED dfq_status dfqi_problem_exact(const dfqi_problem *p, const int32_t *choice,
                                           double *costs);
/* Of one choice for a step to go by: exact with tables, otherwise those of its one-hot mixture,
 * since exact() may take a caller long. */
DFQI_CHECKED dfq_status dfqi_problem_costs_at(dfqi_problem *p, const int32_t *choice,
                                              double *costs);
/* Loss of a choice, with the gradient there: the change of the loss by each swap, to first
 * order. */
DFQI_CHECKED dfq_status dfqi_problem_judge(const dfqi_problem *p, const int32_t *choice,
                                           double *loss, double *gradient);

/* A metric as users know it, and limit j. */
double dfqi_problem_told(const dfqi_problem *p, int32_t metric, const double *costs);
double dfqi_problem_told_limit(const dfqi_problem *p, int32_t j);

/* sum_j max(t_j / T_j - 1, 0), or the same sum without limit `without` (-1: all). 0 means met. */
double dfqi_problem_excess(const dfqi_problem *p, const double *costs, int32_t without);
bool dfqi_problem_meets(const dfqi_problem *p, const double *costs);

#endif
