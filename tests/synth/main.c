/* Tests of lib/synth. */
#include "synth/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("synth");
    suite_add_tcase(s, dfqt_golden_case());
    suite_add_tcase(s, dfqt_job_case());
    suite_add_tcase(s, dfqt_draw_case());
    suite_add_tcase(s, dfqt_checkpoint_case());
    suite_add_tcase(s, dfqt_checkpoint_images_case());
    suite_add_tcase(s, dfqt_imageset_case());
    suite_add_tcase(s, dfqt_option_ranges_case());
    suite_add_tcase(s, dfqt_pse_case());
    suite_add_tcase(s, dfqt_pyramid_case());
    suite_add_tcase(s, dfqt_leaves_case());
    suite_add_tcase(s, dfqt_golden_generator_case());
    suite_add_tcase(s, dfqt_generator_trainer_case());
    suite_add_tcase(s, dfqt_cnn_case());
    suite_add_tcase(s, dfqt_failure_case());
    suite_add_tcase(s, dfqt_api_case());
    suite_add_tcase(s, dfqt_real_case());
    suite_add_tcase(s, dfqt_spool_case());
    suite_add_tcase(s, dfqt_unwritten_case());
    return dfqt_run(s);
}
