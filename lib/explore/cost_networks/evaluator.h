/* EST, DANCE's cost estimation network (arXiv 2009.06237; docs/METHODS.md, DANCE's networks). It is
 * trained on the exact cost tables and takes their place in the steps of a search. Input: the
 * mixture of the network, and the accelerator, one-hot. Output: log2 of each metric. A metric that
 * does not depend on the network is read from the table.
 *
 * The functions have the signatures of dfq_problem's callbacks: costs = dfqi_evaluator_costs, exact
 * = dfqi_evaluator_exact, user = the evaluator. */
#ifndef DFQI_EXPLORE_EVALUATOR_H
#define DFQI_EXPLORE_EVALUATOR_H

#include <dfq/solver.h>

#include "explore/cost_networks/mlp.h"

typedef struct dfqi_evaluator dfqi_evaluator;

/* On samples that no step has seen, by metric; 0, 0 and 1 where it is read from the table. */
typedef struct dfqi_evaluator_quality {
    double mean[DFQ_METRICS_MAX]; /* relative error */
    double p99[DFQ_METRICS_MAX];  /* what 99 % of them stay under */
    double tau[DFQ_METRICS_MAX];  /* Kendall's, of the first 1024 */
} dfqi_evaluator_quality;

/* Untrained, for the tables of `p`, which must outlive it. DFQ_E_INVALID: no tables, a cost that is
 * not above 0, sizes out of range. */
DFQI_CHECKED dfq_status dfqi_evaluator_new(dfq_context *ctx, const dfq_problem *p,
                                           const dfqi_mlp_options *o, dfqi_evaluator **out);
void dfqi_evaluator_release(dfqi_evaluator *e); /* NULL ok */

/* One step of its training; the last one judges it. DFQ_E_NUMERIC if a metric's mean relative error
 * is above 1 %, then and at each further call: the text has the figure. */
DFQI_CHECKED dfq_status dfqi_evaluator_step(dfqi_evaluator *e, double *loss);
/* All steps that are left, with stage "evaluator". DFQ_E_CANCELLED: call again to go on. */
DFQI_CHECKED dfq_status dfqi_evaluator_train(dfqi_evaluator *e);
dfqi_evaluator_quality dfqi_evaluator_judged(const dfqi_evaluator *e);

/* What a checkpoint holds: this, the quality, and DFQI_MLP_ARRAYS arrays at most. To restore,
 * resume, and then fill the arrays, which are listed as they were. */
dfqi_mlp_state dfqi_evaluator_state(const dfqi_evaluator *e);
DFQI_CHECKED dfq_status dfqi_evaluator_resume(dfqi_evaluator *e, dfqi_mlp_state state,
                                              const dfqi_evaluator_quality *q);
int32_t dfqi_evaluator_arrays(const dfqi_evaluator *e, dfqi_mlp_array *out);

/* Of mixture p[total]. Accelerators are what it was trained on: each hardware parameter counts as
 * its likeliest choice, and gradients pass straight through. */
DFQI_CHECKED dfq_status dfqi_evaluator_costs(const double *p, double *costs, double *gradients,
                                             void *evaluator);
DFQI_CHECKED dfq_status dfqi_evaluator_exact(const int32_t *choice, double *costs, void *evaluator);

#endif
