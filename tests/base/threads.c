/* The parallel loop and the life of a context. */
#include <string.h>

#include "base/cases.h"
#include "base/memory.h"
#include "base/parallel.h"

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

START_TEST(test_cores)
{
    dfq_context *ctx = make(0);
    ck_assert_int_ge(dfqi_cores(), 1);
    ck_assert_int_ge(ctx->threads, 1);
    ck_assert_int_le(ctx->threads, DFQI_THREADS_MAX);
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
    tcase_add_test(t, test_cores);
    tcase_add_test(t, test_references);
    return t;
}
