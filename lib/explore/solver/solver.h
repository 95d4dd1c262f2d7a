/* The search behind dfq_solver. dfq/solver.h says what it computes. */
#ifndef DFQI_EXPLORE_SOLVER_H
#define DFQI_EXPLORE_SOLVER_H

#include <dfq/solver.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "explore/domain/domain.h"
#include "explore/domain/hw_params.h"
#include "explore/solver/ratio.h"

typedef struct dfqi_solver dfqi_solver;

/* Estimated costs of the mixture (DANCE's EST), which the steps of a search use in place of the
 * problem's tables. Derived choices and the verdict have the tables' exact costs. */
typedef struct dfqi_estimate {
    /* As dfq_problem::costs; NULL: the problem's. */
    DFQI_CHECKED dfq_status (*costs)(const double *p, double *costs, double *gradients, void *user);
    void *user;
    double margin[DFQ_METRICS_MAX]; /* by metric: shares that steps keep away from the limits */
} dfqi_estimate;

void dfqi_solver_defaults(dfq_solver_options *out);
DFQI_CHECKED dfq_status dfqi_solver_new(dfq_context *ctx, const dfq_problem *problem,
                                        const dfq_constraint *limits, int32_t n_limits,
                                        const dfq_solver_options *o, dfqi_solver **out);
/* The same with such hardware parameters; rules that move probabilities, or the network alone, know
 * none. */
DFQI_CHECKED dfq_status dfqi_solver_new_with(dfq_context *ctx, const dfq_problem *problem,
                                             const dfq_constraint *limits, int32_t n_limits,
                                             const dfq_solver_options *o,
                                             const dfqi_hw_params *hw_params, dfqi_solver **out);
void dfqi_solver_estimate(dfqi_solver *s, const dfqi_estimate *e);
/* A metric of the tables is a quotient, and cost functions are of the first n_function metrics. */
void dfqi_solver_set_ratio(dfqi_solver *s, const dfqi_ratio *r, int32_t n_function);
void dfqi_solver_release(dfqi_solver *s); /* NULL ok */

/* Ranges of the options. */
DFQI_CHECKED dfq_status dfqi_solver_check(dfq_context *ctx, const dfq_solver_options *o);

DFQI_CHECKED dfq_status dfqi_solver_step(dfqi_solver *s, int32_t *out_finished);
DFQI_CHECKED dfq_status dfqi_solver_run(dfqi_solver *s);

typedef struct dfqi_solver_job {
    double bytes;        /* of all steps */
    double seconds_left; /* as long as those that this process made; NaN: it has made none */
    int64_t steps;
} dfqi_solver_job;

dfqi_solver_job dfqi_solver_job_cost(const dfqi_solver *s);

/* What a search has found: costs by metric, tightest and least by limit. NaN: not known. */
typedef struct dfqi_solver_info {
    dfq_solver_result result;
    double costs[DFQ_METRICS_MAX], raw_costs[DFQ_METRICS_MAX];
    double tightest[DFQ_METRICS_MAX], least[DFQ_METRICS_MAX];
} dfqi_solver_info;
void dfqi_solver_result(const dfqi_solver *s, dfqi_solver_info *out);
DFQI_CHECKED dfq_status dfqi_solver_metric(const dfqi_solver *s, int32_t metric,
                                           dfq_solver_metric *out);
DFQI_CHECKED dfq_status dfqi_solver_choice(const dfqi_solver *s, bool raw, dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_solver_chosen_by(const dfqi_solver *s, dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_solver_probabilities(const dfqi_solver *s, dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_solver_trajectory(const dfqi_solver *s, dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_solver_get_snapshots(const dfqi_solver *s, dfq_tensor **out);

DFQI_CHECKED dfq_status dfqi_solver_save(const dfqi_solver *s, const char *path);
DFQI_CHECKED dfq_status dfqi_solver_restore(dfqi_solver *s, const char *path);

/* -- for a job around a search ----------------------------------------------------------------- */

const dfqi_domain *dfqi_solver_space(const dfqi_solver *s);
int64_t dfqi_solver_done(const dfqi_solver *s); /* steps */
bool dfqi_solver_is_finished(const dfqi_solver *s);
double dfqi_solver_loss(const dfqi_solver *s); /* of the last step's mixture */

/* The best choice [n_groups] so far, when finished the result; NULL: nothing is known yet. Its
 * exact costs [n_metrics], and whether they meet the limits. */
const int32_t *dfqi_solver_best(const dfqi_solver *s);
const double *dfqi_solver_best_costs(const dfqi_solver *s);
bool dfqi_solver_is_feasible(const dfqi_solver *s);

/* The probabilities [total] before the next step, without noise. They are scratch of the search, as
 * the one-hot mixture of the best choice is. */
DFQI_CHECKED dfq_status dfqi_solver_mixture(dfqi_solver *s, const double **out);
const double *dfqi_solver_best_mixture(dfqi_solver *s);

/* Exact costs [n_metrics] of a choice, as told. */
DFQI_CHECKED dfq_status dfqi_solver_cost(const dfqi_solver *s, const int32_t *choice,
                                         double *costs);
/* Whether the tables prove that nothing meets the limits. */
DFQI_CHECKED dfq_status dfqi_solver_is_hopeless(dfqi_solver *s, bool *out);

#endif
