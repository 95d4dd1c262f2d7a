/* A test that cannot run here says so; dfqt_run() counts it as skipped, not as passed. */
#ifndef DFQT_SKIP_H
#define DFQT_SKIP_H

#include <check.h>

#define DFQT_SKIPPED "skipped: "

/* Leaves the test. What it found missing, as for printf. Check knows no skipping, so this is a failure
 * whose text begins so. */
#define dfqt_skip(...) ck_abort_msg(DFQT_SKIPPED __VA_ARGS__)

/* For tests that fork while threads live. AddressSanitizer holds locks while a thread starts and leaves
 * them held in a child (before gcc 14), so that now and then a child hangs there, not here. */
#ifdef __SANITIZE_ADDRESS__
#define dfqt_need_fork() dfqt_skip("AddressSanitizer's locks do not survive a fork")
#else
#define dfqt_need_fork() ((void)0)
#endif

#endif
