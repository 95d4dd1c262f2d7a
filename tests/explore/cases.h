/* The cases of the suite, and random problems. */
#ifndef DFQT_EXPLORE_CASES_H
#define DFQT_EXPLORE_CASES_H

#include <check.h>
#include <dfq/solver.h>

TCase *dfqt_constraint_gradient_case(void);
TCase *dfqt_domain_case(void);
TCase *dfqt_knapsack_case(void);
TCase *dfqt_derive_case(void);
TCase *dfqt_chosen_case(void);
TCase *dfqt_solver_case(void);
TCase *dfqt_solver_step_case(void);
TCase *dfqt_option_ranges_case(void);
TCase *dfqt_baselines_case(void);
TCase *dfqt_cost_function_case(void);
TCase *dfqt_project_case(void);
TCase *dfqt_finish_case(void);
TCase *dfqt_toy_case(void);
TCase *dfqt_explore_checkpoint_case(void);
TCase *dfqt_explore_failure_case(void);
TCase *dfqt_effects_case(void);
TCase *dfqt_coexplore_case(void);
TCase *dfqt_coexplore_networks_case(void);
TCase *dfqt_coexplore_vit_case(void);
TCase *dfqt_coexplore_data_case(void);
TCase *dfqt_coexplore_warmup_case(void);
TCase *dfqt_coexplore_estimate_case(void);
TCase *dfqt_space_case(void);
TCase *dfqt_space_json_case(void);
TCase *dfqt_evaluator_case(void);
TCase *dfqt_joint_case(void);
TCase *dfqt_ratio_case(void);

enum {
    DFQT_CELLS = 5,
    DFQT_HW_PARAMS = 2,
    DFQT_TOTAL = 5 * 3 + 3 + 2,
    DFQT_CONFIGS = 6,
    DFQT_METRICS = 3
};

/* 5 cells of 3 choices, an accelerator of 3 x 2, three metrics: small enough to be enumerated. */
typedef struct dfqt_problem {
    int32_t choices[DFQT_CELLS + DFQT_HW_PARAMS];
    double loss[DFQT_TOTAL];
    double cost[DFQT_METRICS * 15 * DFQT_CONFIGS];
    double base[DFQT_METRICS * DFQT_CONFIGS];
    dfq_problem problem;
} dfqt_problem;

dfq_context *dfqt_explore_context(void);
void dfqt_problem_make(uint64_t seed, dfqt_problem *out);

/* Loss and costs of one choice, summed by hand. */
double dfqt_problem_loss(const dfqt_problem *p, const int32_t *choice);
void dfqt_problem_costs(const dfqt_problem *p, const int32_t *choice, double *costs);

/* The least loss of all 1458 choices within the limits (infinity: none), or of metric `aim` if that
 * is not negative. */
double dfqt_problem_brute(const dfqt_problem *p, const dfq_constraint *limits, int32_t n,
                          int32_t aim);

/* The value of metric j that a share of all choices keeps. */
double dfqt_problem_quantile(const dfqt_problem *p, int32_t metric, double share);

/* What a search tells of a metric. */
dfq_solver_metric dfqt_metric(const dfq_solver *s, int32_t metric);

#endif
