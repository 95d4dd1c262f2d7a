/* Tests of training: dfq/trainer.h and lib/tune/train.c. */
#include "support/suite.h"
#include "train/cases.h"

int main(void)
{
    Suite *s = suite_create("train");
    suite_add_tcase(s, dfqt_train_create_case());
    suite_add_tcase(s, dfqt_train_job_case());
    suite_add_tcase(s, dfqt_train_failure_case());
    suite_add_tcase(s, dfqt_train_run_case());
    return dfqt_run(s);
}
