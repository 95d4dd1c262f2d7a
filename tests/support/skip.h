/* A test that cannot run here says so; dfqt_run() counts it as skipped, not as passed. */
#ifndef DFQT_SKIP_H
#define DFQT_SKIP_H

#include <check.h>

#define DFQT_SKIPPED "skipped: "

/* Leaves the test. What it found missing, as for printf. Check knows no skipping, so this is a failure
 * whose text begins so. */
#define dfqt_skip(...) ck_abort_msg(DFQT_SKIPPED __VA_ARGS__)

#endif
