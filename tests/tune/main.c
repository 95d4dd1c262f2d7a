/* Tests of lib/tune: fine-tuning (lib/tune/train.c has a suite of its own). */
#include "support/suite.h"
#include "tune/cases.h"

int main(void)
{
    Suite *s = suite_create("tune");
    suite_add_tcase(s, dfqt_golden_case());
    suite_add_tcase(s, dfqt_golden_ait_case());
    suite_add_tcase(s, dfqt_augment_case());
    suite_add_tcase(s, dfqt_job_case());
    suite_add_tcase(s, dfqt_steps_case());
    suite_add_tcase(s, dfqt_with_generator_case());
    suite_add_tcase(s, dfqt_checkpoint_case());
    suite_add_tcase(s, dfqt_failure_case());
    suite_add_tcase(s, dfqt_api_case());
    suite_add_tcase(s, dfqt_super_train_case());
    suite_add_tcase(s, dfqt_super_vit_case());
    suite_add_tcase(s, dfqt_super_mbconv_case());
    suite_add_tcase(s, dfqt_real_case());
    suite_add_tcase(s, dfqt_reconstruct_case());
    suite_add_tcase(s, dfqt_rotated_case());
    suite_add_tcase(s, dfqt_image_set_case());
    suite_add_tcase(s, dfqt_option_ranges_case());
    suite_add_tcase(s, dfqt_unwritten_case());
    return dfqt_run(s);
}
