/* Tests of lib/quant. */
#include "quant/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("quant");
    suite_add_tcase(s, dfqt_calibrate_case());
    suite_add_tcase(s, dfqt_file_case());
    suite_add_tcase(s, dfqt_evaluate_case());
    suite_add_tcase(s, dfqt_failure_case());
    suite_add_tcase(s, dfqt_cnn_case());
    suite_add_tcase(s, dfqt_cnn_grids_case());
    suite_add_tcase(s, dfqt_reload_case());
    suite_add_tcase(s, dfqt_rotate_case());
    suite_add_tcase(s, dfqt_levels_case());
    suite_add_tcase(s, dfqt_parts_case());
    suite_add_tcase(s, dfqt_modes_case());
    suite_add_tcase(s, dfqt_layers_case());
    suite_add_tcase(s, dfqt_quantizer_case());
    suite_add_tcase(s, dfqt_quantizer_model_case());
    suite_add_tcase(s, dfqt_memory_case());
    suite_add_tcase(s, dfqt_second_moments_case());
    suite_add_tcase(s, dfqt_rounding_case());
    suite_add_tcase(s, dfqt_contents_case());
    suite_add_tcase(s, dfqt_estimate_case());
    suite_add_tcase(s, dfqt_row_case());
    suite_add_tcase(s, dfqt_row_groups_case());
    suite_add_tcase(s, dfqt_weight_groups_case());
    return dfqt_run(s);
}
