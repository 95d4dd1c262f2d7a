/* Runs the suites of the program and the examples. */
#include "suite.h"

#include <stdlib.h>

int main(void)
{
    SRunner *runner = srunner_create(report_suite());
    srunner_add_suite(runner, figures_suite());
    srunner_add_suite(runner, diagnostics_suite());
    srunner_add_suite(runner, trajectory_suite());
    srunner_add_suite(runner, explore_suite());
    srunner_add_suite(runner, axis_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
