/* Co-exploration, the job behind dfq_explorer: trains a supernet beside the solver. dfq/explorer.h
 * says what it computes. */
#ifndef DFQI_EXPLORE_COEXPLORE_H
#define DFQI_EXPLORE_COEXPLORE_H

#include <dfq/explorer.h>

#include "explore/solver/solver.h"
#include "io/dataset.h"
#include "nn/supernet.h"
#include "quant/evaluate.h"

typedef struct dfqi_coexplore dfqi_coexplore;

enum { DFQI_EXPLORE_STAGES = 3 }; /* warm-up, explore, train; as a stage: nothing is left to do */
enum { DFQI_EXPLORE_EST, DFQI_EXPLORE_GEN, DFQI_EXPLORE_NETWORKS };

/* The network's space and the tables of a dfq_problem; borrowed, must stay. */
typedef struct dfqi_coexplore_tables {
    const dfqi_supernet_space *net;
    int32_t n_hw_params, n_metrics;
    const int32_t *choices;     /* of the network's cells, then of the hardware parameters */
    const char *const *metrics; /* [n_metrics] names */
    const double *cost, *base;  /* [n_metrics][cells][accelerators], [n_metrics][accelerators] */
    const double *reference;    /* [n_metrics] costs of the reference design; NULL: there is none */
    bool custom;                /* the caller's own cost model */
    dfqi_ratio power;           /* a metric that is a quotient; its metric is -1 if there is none */
    double power_limit;         /* of its row */
    int32_t n_function; /* metrics of cost functions, the first ones; 0: all, and no power */
} dfqi_coexplore_tables;

/* Where a job stands and what it has found, as dfq_explorer_result, _stage and _metric have it. */
typedef struct dfqi_coexplore_info {
    int32_t stage;   /* 0..DFQI_EXPLORE_STAGES */
    int32_t network; /* the one in training; DFQI_EXPLORE_NETWORKS: none */
    int32_t verdict, proved, raw_feasible, accelerator;
    double loss, macs;
    int64_t steps[DFQI_EXPLORE_STAGES], total[DFQI_EXPLORE_STAGES];
    int64_t evaluator_steps[DFQI_EXPLORE_NETWORKS], evaluator_total[DFQI_EXPLORE_NETWORKS];
    double hw_generator_accuracy, hw_generator_regret;
    double limits[DFQ_METRICS_MAX], costs[DFQ_METRICS_MAX], raw_costs[DFQ_METRICS_MAX];
    double tightest[DFQ_METRICS_MAX], least[DFQ_METRICS_MAX], reference[DFQ_METRICS_MAX];
    double evaluator_mean[DFQ_METRICS_MAX], evaluator_p99[DFQ_METRICS_MAX];
    double evaluator_gap[DFQ_METRICS_MAX];
} dfqi_coexplore_info;

void dfqi_coexplore_defaults(dfq_explorer_options *out);
/* Checks ranges and combinations of options, as far as no tables are needed. */
DFQI_CHECKED dfq_status dfqi_coexplore_check(dfq_context *ctx, const dfq_explorer_options *o,
                                             const dfq_solver_options *solver);

DFQI_CHECKED dfq_status dfqi_coexplore_new(dfq_context *ctx, const dfqi_coexplore_tables *space,
                                           const dfqi_dataset *images, const dfq_constraint *limits,
                                           int32_t n_limits, const dfq_explorer_options *o,
                                           const dfq_solver_options *solver, dfqi_coexplore **out);
void dfqi_coexplore_release(dfqi_coexplore *e); /* NULL ok */

DFQI_CHECKED dfq_status dfqi_coexplore_step(dfqi_coexplore *e, int32_t *out_finished);
DFQI_CHECKED dfq_status dfqi_coexplore_run(dfqi_coexplore *e);

/* What is left, measured. */
DFQI_CHECKED dfq_status dfqi_coexplore_estimate(const dfqi_coexplore *e, dfq_explorer_needs *out);
DFQI_CHECKED dfq_status dfqi_coexplore_result(const dfqi_coexplore *e, dfqi_coexplore_info *out);
/* Exact costs of a choice. */
DFQI_CHECKED dfq_status dfqi_coexplore_cost(const dfqi_coexplore *e, const int32_t *choice,
                                            double *costs);
const dfqi_solver *dfqi_coexplore_solver(const dfqi_coexplore *e);
const dfqi_supernet *dfqi_coexplore_net(const dfqi_coexplore *e);
DFQI_CHECKED dfq_status dfqi_coexplore_effects(const dfqi_coexplore *e, dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_coexplore_losses(const dfqi_coexplore *e, int32_t stage,
                                              dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_coexplore_evaluate(dfqi_coexplore *e, const dfqi_dataset *images,
                                                dfqi_accuracy *out);

DFQI_CHECKED dfq_status dfqi_coexplore_save_network(const dfqi_coexplore *e, const char *path);
DFQI_CHECKED dfq_status dfqi_coexplore_save_supernet(const dfqi_coexplore *e, const char *path);
DFQI_CHECKED dfq_status dfqi_coexplore_save(const dfqi_coexplore *e, const char *path);
DFQI_CHECKED dfq_status dfqi_coexplore_restore(dfqi_coexplore *e, const char *path);

#endif
