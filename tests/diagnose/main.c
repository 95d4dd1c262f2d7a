/* Tests of the diagnostics in lib/tune. */
#include "diagnose/cases.h"
#include "support/suite.h"

int main(void)
{
    Suite *s = suite_create("diagnose");
    suite_add_tcase(s, dfqt_plane_case());
    suite_add_tcase(s, dfqt_diagnose_golden_case());
    suite_add_tcase(s, dfqt_codes_case());
    suite_add_tcase(s, dfqt_diagnose_job_case());
    suite_add_tcase(s, dfqt_diagnose_failure_case());
    suite_add_tcase(s, dfqt_diagnose_checkpoint_case());
    suite_add_tcase(s, dfqt_diagnose_api_case());
    return dfqt_run(s);
}
