/* A test that cannot run here says so; dfqt_run() counts it as skipped, not as passed. */
#ifndef DFQT_SKIP_H
#define DFQT_SKIP_H

#include <check.h>

#include "support/sanitized.h"

#define DFQT_SKIPPED "skipped: "

/* Leaves the test. What it found missing, as for printf. Check knows no skipping, so this is a
 * failure whose text begins so. */
#define dfqt_skip(...) ck_abort_msg(DFQT_SKIPPED __VA_ARGS__)

/* For tests that fork while threads live. Under gcc 12's AddressSanitizer a child may hang at its
 * first malloc() or free(), in the sanitizer's own allocator: fork() copies the lock of a size
 * class that another thread held at that moment (seen in gdb: GetFromAllocator, Mutex::Lock,
 * FutexWait). A program of forty lines without this library, in which two threads start others
 * while it forks, hung at the 13th of its forks; without the sanitizer 3000 forks went well. Builds
 * without it run these tests. */
#ifdef DFQT_SANITIZED
#define dfqt_need_fork() dfqt_skip("a child may hang under AddressSanitizer")
#else
#define dfqt_need_fork() ((void)0)
#endif

#endif
