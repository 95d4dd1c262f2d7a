/* The frame of a test program: build the suite, run it, say how it went. In a terminal Check prints
 * its summary; under meson the environment makes it speak TAP, so tests keep stdout clean. */
#ifndef DFQT_SUITE_H
#define DFQT_SUITE_H

#include <check.h>
#include <stdlib.h>

#include "support/path.h"

/* The exit code of main(). */
static inline int dfqt_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
