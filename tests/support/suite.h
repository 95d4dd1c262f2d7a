/* The frame of a test program: build the suite, run it, say how it went. In a terminal Check prints
 * its summary; under meson the environment makes it speak TAP, so tests keep stdout clean. */
#ifndef DFQT_SUITE_H
#define DFQT_SUITE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Path of a file in the folder that the environment variable names (DFQ_TEST_ASSETS: real models
 * and images, DFQ_TEST_GOLDEN: committed data), or NULL with a line on stderr when there is none:
 * the test then returns. */
static inline const char *dfqt_path(const char *variable, const char *name, char *buf, size_t cap)
{
    const char *folder = getenv(variable);
    FILE *f = NULL;
    int n = -1;
    if (folder != NULL) n = snprintf(buf, cap, "%s/%s", folder, name);
    if (n > 0 && (size_t)n < cap) f = fopen(buf, "rb");
    if (f == NULL) {
        fprintf(stderr, "skipped: no %s in %s=%s\n", name, variable, folder != NULL ? folder : "");
        return NULL;
    }
    fclose(f);
    return buf;
}

static inline const char *dfqt_asset(const char *name, char *buf, size_t cap)
{
    return dfqt_path("DFQ_TEST_ASSETS", name, buf, cap);
}

#endif
