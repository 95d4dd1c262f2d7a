/* Tests of lib/graph. */
#include "graph/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("graph");
    suite_add_tcase(s, dfqt_build_case());
    suite_add_tcase(s, dfqt_gradients_case());
    suite_add_tcase(s, dfqt_conv_case());
    suite_add_tcase(s, dfqt_images_case());
    suite_add_tcase(s, dfqt_image_ops_case());
    suite_add_tcase(s, dfqt_quant_case());
    suite_add_tcase(s, dfqt_plan_case());
    suite_add_tcase(s, dfqt_run_case());
    suite_add_tcase(s, dfqt_memory_case());
    suite_add_tcase(s, dfqt_walk_case());
    suite_add_tcase(s, dfqt_windows_case());
    return dfqt_run(s);
}
