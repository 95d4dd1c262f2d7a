/* The frame of a test program: build the suite, run it, say how it went. In a terminal Check prints
 * its summary; under meson the environment makes it speak TAP, so tests keep stdout clean. */
#ifndef DFQT_SUITE_H
#define DFQT_SUITE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/path.h"
#include "support/skip.h"

/* "not ok 3 - file:case:test: skipped: no x" becomes "ok 3 - file:case:test # SKIP no x". */
static inline void dfqt_copy_tap(FILE *in, FILE *out)
{
    static char line[1 << 16];
    while (fgets(line, sizeof line, in) != NULL) {
        char *skip = strncmp(line, "not ok ", 7) == 0 ? strstr(line, ": " DFQT_SKIPPED) : NULL;
        if (skip == NULL) {
            fputs(line, out);
        } else {
            *skip = '\0';
            fprintf(out, "%s # SKIP %s", line + 4, skip + strlen(": " DFQT_SKIPPED));
        }
        fflush(out);
    }
}

/* Puts a process behind stdout that copies what Check says. Returns it, or -1. */
static inline pid_t dfqt_stand_behind(void)
{
    int ends[2];
    if (pipe(ends) != 0) return -1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        dfqt_copy_tap(fdopen(ends[0], "r"), stdout);
        _exit(0);
    }
    if (child > 0) dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static inline int dfqt_count_skipped(SRunner *runner, int failed)
{
    TestResult **all = srunner_failures(runner);
    int skipped = 0;
    for (int i = 0; i < failed; i++)
        skipped += strncmp(tr_msg(all[i]), DFQT_SKIPPED, strlen(DFQT_SKIPPED)) == 0;
    free(all);
    return skipped;
}

/* The exit code of main(). */
static inline int dfqt_run(Suite *suite)
{
    const char *tap = getenv("CK_TAP_LOG_FILE_NAME");
    pid_t child = tap != NULL && strcmp(tap, "-") == 0 ? dfqt_stand_behind() : -1;
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner), skipped = dfqt_count_skipped(runner, failed);
    srunner_free(runner);
    if (child > 0) {
        fclose(stdout);
        waitpid(child, NULL, 0);
    } else if (skipped > 0) {
        fprintf(stderr, "%d of these failures are tests that were skipped\n", skipped);
    }
    return failed == skipped ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
