/* Tests of lib/explore: search under hard constraints. */
#include "explore/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("explore");
    suite_add_tcase(s, dfqt_constraint_gradient_case());
    suite_add_tcase(s, dfqt_domain_case());
    suite_add_tcase(s, dfqt_knapsack_case());
    suite_add_tcase(s, dfqt_derive_case());
    suite_add_tcase(s, dfqt_chosen_case());
    suite_add_tcase(s, dfqt_solver_case());
    suite_add_tcase(s, dfqt_solver_step_case());
    suite_add_tcase(s, dfqt_option_ranges_case());
    suite_add_tcase(s, dfqt_baselines_case());
    suite_add_tcase(s, dfqt_cost_function_case());
    suite_add_tcase(s, dfqt_project_case());
    suite_add_tcase(s, dfqt_finish_case());
    suite_add_tcase(s, dfqt_toy_case());
    suite_add_tcase(s, dfqt_explore_checkpoint_case());
    suite_add_tcase(s, dfqt_explore_failure_case());
    suite_add_tcase(s, dfqt_effects_case());
    suite_add_tcase(s, dfqt_coexplore_case());
    suite_add_tcase(s, dfqt_coexplore_networks_case());
    suite_add_tcase(s, dfqt_coexplore_vit_case());
    suite_add_tcase(s, dfqt_coexplore_data_case());
    suite_add_tcase(s, dfqt_coexplore_warmup_case());
    suite_add_tcase(s, dfqt_coexplore_estimate_case());
    suite_add_tcase(s, dfqt_space_case());
    suite_add_tcase(s, dfqt_space_json_case());
    suite_add_tcase(s, dfqt_evaluator_case());
    suite_add_tcase(s, dfqt_joint_case());
    suite_add_tcase(s, dfqt_ratio_case());
    return dfqt_run(s);
}
