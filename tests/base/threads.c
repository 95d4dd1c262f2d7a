/* The parallel loop and the life of a context. */
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cases.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "support/skip.h"

typedef struct job {
    dfq_context *ctx;
    int32_t visits[1000];
    int32_t threads_seen[DFQI_THREADS_MAX];
    int32_t nested_threads;
} job;

static dfq_context *make(int32_t threads)
{
    dfq_context_options o = {0};
    dfq_context *ctx = NULL;
    o.threads = threads;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static void visit(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    ck_assert(thread >= 0 && thread < j->ctx->threads);
    j->visits[i]++;
    __atomic_fetch_add(&j->threads_seen[thread], 1, __ATOMIC_RELAXED);
}

START_TEST(test_each_once)
{
    static const int64_t lengths[] = {0, 1, 2, 3, 5, 63, 1000};
    int32_t threads;
    for (threads = 1; threads <= 5; threads++) {
        job j;
        memset(&j, 0, sizeof j);
        j.ctx = make(threads);
        int64_t n = lengths[_i], i;
        dfqi_parallel_for(j.ctx, n, visit, &j);
        for (i = 0; i < 1000; i++) ck_assert_int_eq(j.visits[i], i < n ? 1 : 0);
        dfqi_context_release(j.ctx);
    }
}
END_TEST

static void inner(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    (void)i;
    if (thread != 0) __atomic_fetch_add(&j->nested_threads, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&j->visits[0], 1, __ATOMIC_RELAXED);
}

static void outer(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    (void)i;
    (void)thread;
    dfqi_parallel_for(j->ctx, 10, inner, j);
}

START_TEST(test_nested_is_serial)
{
    job j;
    memset(&j, 0, sizeof j);
    j.ctx = make(4);
    dfqi_parallel_for(j.ctx, 8, outer, &j);
    ck_assert_int_eq(j.visits[0], 80);
    ck_assert_int_eq(j.nested_threads, 0);
    dfqi_context_release(j.ctx);
}
END_TEST

static void fail_here(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    (void)thread;
    (void)dfqi_fail(j->ctx, DFQ_E_INTERNAL, "%s", i % 2 == 0 ? "aaaaaaaaaaaa" : "bbbbbbbbbbbb");
}

START_TEST(test_failing_threads_leave_one_text)
{
    job j;
    memset(&j, 0, sizeof j);
    j.ctx = make(4);
    dfqi_parallel_for(j.ctx, 500, fail_here, &j);
    ck_assert(strcmp(j.ctx->error, "aaaaaaaaaaaa") == 0 ||
              strcmp(j.ctx->error, "bbbbbbbbbbbb") == 0);
    dfqi_context_release(j.ctx);
}
END_TEST

/* Short loops one after the other, also of fewer bodies than threads: workers enter, leave, come
 * too late and fall asleep in all orders. */
START_TEST(test_many_loops)
{
    job j;
    int64_t i;
    int round;
    memset(&j, 0, sizeof j);
    j.ctx = make(4);
    for (round = 0; round < 20000; round++) dfqi_parallel_for(j.ctx, 2 + round % 7, visit, &j);
    for (round = 0; round < 20000; round++)
        for (i = 0; i < 2 + round % 7; i++) j.visits[i]--;
    for (i = 0; i < 1000; i++) ck_assert_int_eq(j.visits[i], 0);
    dfqi_context_release(j.ctx);
}
END_TEST

static void see_rounding(void *arg, int64_t i, int32_t thread)
{
    static const struct timespec pause = {0, 1000000};
    job *j = arg;
    (void)thread;
    j->visits[i] = fegetround();
    nanosleep(&pause, NULL); /* so that all threads get some */
}

/* Who computes a body must not matter, so all threads round as the caller does. */
START_TEST(test_floating_point_environment)
{
    static const int modes[] = {FE_UPWARD, FE_TONEAREST};
    job j;
    size_t m;
    int i;
    memset(&j, 0, sizeof j);
    j.ctx = make(3);
    dfqi_parallel_for(j.ctx, 60, visit, &j); /* the threads are there */
    for (m = 0; m < 2; m++) {
        fesetround(modes[m]);
        dfqi_parallel_for(j.ctx, 60, see_rounding, &j);
        for (i = 0; i < 60; i++) ck_assert_int_eq(j.visits[i], modes[m]);
    }
    dfqi_context_release(j.ctx);
}
END_TEST

static void see_mask(void *arg, int64_t i, int32_t thread)
{
    static const struct timespec pause = {0, 1000000};
    job *j = arg;
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    j->visits[i] = sigismember(&set, SIGTERM) + 2 * sigismember(&set, SIGALRM) +
                   4 * sigismember(&set, SIGPROF) + 8 * sigismember(&set, SIGSEGV) +
                   16 * (thread != 0);
    nanosleep(&pause, NULL); /* so that all threads get some */
}

/* Signals of the process go to the host's threads, with their handlers and stacks; a fault stays
 * with the thread that causes it, and the caller's mask is as it was. */
START_TEST(test_signals)
{
    job j;
    int i, others = 0;
    memset(&j, 0, sizeof j);
    j.ctx = make(3);
    dfqi_parallel_for(j.ctx, 500, see_mask, &j);
    for (i = 0; i < 500; i++) {
        ck_assert_int_eq(j.visits[i], j.visits[i] >= 16 ? 16 + 1 + 2 : 0);
        others += j.visits[i] >= 16;
    }
    ck_assert_int_gt(others, 0);
    dfqi_context_release(j.ctx);
}
END_TEST

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The time of this process, which other work on the machine does not change. */
START_TEST(test_idle_threads_sleep)
{
    static const struct timespec pause = {0, 500000000};
    double before;
    job j;
    memset(&j, 0, sizeof j);
    j.ctx = make(_i);
    dfqi_parallel_for(j.ctx, 1000, visit, &j);
    before = cpu_seconds();
    nanosleep(&pause, NULL);
    ck_assert_double_lt(cpu_seconds() - before, 0.02);
    dfqi_context_release(j.ctx);
}
END_TEST

static void outlast(void *arg, int64_t i, int32_t thread)
{
    static const struct timespec of_caller = {0, 4000000}, of_worker = {0, 500000000};
    (void)arg;
    (void)i;
    nanosleep(thread == 0 ? &of_caller : &of_worker, NULL);
}

/* So does a caller that waits for the last body. */
START_TEST(test_waiting_caller_sleeps)
{
    job j;
    double before;
    memset(&j, 0, sizeof j);
    j.ctx = make(2);
    before = cpu_seconds();
    dfqi_parallel_for(j.ctx, 32, outlast, &j);
    ck_assert_double_lt(cpu_seconds() - before, 0.02);
    dfqi_context_release(j.ctx);
}
END_TEST

static void visit_slowly(void *arg, int64_t i, int32_t thread)
{
    static const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
    visit(arg, i, thread);
}

/* 0: many loops of an inherited context come out right, and threads of the child take part. */
static int loop_in_child(job *j)
{
    int i, round, others = 0;
    alarm(100);
    memset(j->visits, 0, sizeof j->visits);
    memset(j->threads_seen, 0, sizeof j->threads_seen);
    for (round = 0; round < 50; round++) dfqi_parallel_for(j->ctx, 1000, visit, j);
    dfqi_parallel_for(j->ctx, 1000, visit_slowly, j);
    for (i = 0; i < 1000; i++)
        if (j->visits[i] != 51) return 1;
    for (i = 1; i < DFQI_THREADS_MAX; i++) others += j->threads_seen[i];
    dfqi_context_release(j->ctx);
    return others > 0 ? 0 : 2;
}

START_TEST(test_child_process)
{
    job j;
    int status = 0, i;
    pid_t child;
    dfqt_need_fork();
    memset(&j, 0, sizeof j);
    j.ctx = make(4);
    dfqi_parallel_for(j.ctx, 1000, visit, &j);
    child = fork();
    if (child == 0) _exit(loop_in_child(&j));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    dfqi_parallel_for(j.ctx, 1000, visit, &j);
    for (i = 0; i < 1000; i++) ck_assert_int_eq(j.visits[i], 2);
    dfqi_context_release(j.ctx);
}
END_TEST

START_TEST(test_default_threads)
{
    dfq_context *ctx = make(0);
    ck_assert_int_eq(ctx->threads,
                     dfqi_cores() < DFQI_THREADS_MAX ? dfqi_cores() : DFQI_THREADS_MAX);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_references)
{
    dfq_context *ctx = make(1);
    void *p;
    ck_assert_ptr_eq(dfqi_context_retain(ctx), ctx);
    dfqi_context_release(ctx);
    p = dfqi_alloc(ctx, 10); /* still alive */
    ck_assert_ptr_nonnull(p);
    dfqi_free(ctx, p);
    dfqi_context_release(ctx);
    dfqi_context_release(NULL);
}
END_TEST

TCase *dfqt_threads_case(void)
{
    TCase *t = tcase_create("threads");
    tcase_add_loop_test(t, test_each_once, 0, 7);
    tcase_add_test(t, test_nested_is_serial);
    tcase_add_test(t, test_failing_threads_leave_one_text);
    tcase_add_test(t, test_many_loops);
    tcase_add_test(t, test_floating_point_environment);
    tcase_add_test(t, test_signals);
    tcase_add_loop_test(t, test_idle_threads_sleep, 2, 6);
    tcase_add_test(t, test_waiting_caller_sleeps);
    tcase_add_test(t, test_child_process);
    tcase_add_test(t, test_default_threads);
    tcase_add_test(t, test_references);
    return t;
}
