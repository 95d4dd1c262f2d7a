/* Threads that change after a context was made: another count, another stack, the host's own. */
#define _GNU_SOURCE /* pthread_getattr_np */
#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cases.h"
#include "base/parallel.h"
#include "support/fail_alloc.h"

enum { N = 500 };

typedef struct job {
    dfq_context *ctx;
    int32_t visits[N];
    int32_t most;     /* the largest thread index */
    int32_t nested;   /* bodies of nested loops */
    int32_t serial;   /* that ran as thread 0 */
    int32_t rounding; /* bodies that round upwards */
    size_t stack;
} job;

static dfq_context *make(int32_t threads, int32_t max_threads, int32_t stack_kib)
{
    dfq_context_options o = {
        .threads = threads, .max_threads = max_threads, .stack_kib = stack_kib};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static void raise_to(int32_t *most, int32_t v)
{
    int32_t seen = __atomic_load_n(most, __ATOMIC_RELAXED);
    while (v > seen &&
           !__atomic_compare_exchange_n(most, &seen, v, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

static void visit(void *arg, int64_t i, int32_t thread)
{
    static const struct timespec pause = {0, 200000};
    job *j = arg;
    __atomic_fetch_add(&j->visits[i], 1, __ATOMIC_RELAXED);
    raise_to(&j->most, thread);
    if (fegetround() == FE_UPWARD) __atomic_fetch_add(&j->rounding, 1, __ATOMIC_RELAXED);
    nanosleep(&pause, NULL); /* so that all threads get some */
}

/* Loops until thread `last` has taken part, which a busy machine may delay: each body once, and
 * never a thread beyond. */
static void loop(dfq_context *ctx, int32_t last)
{
    for (int round = 0; round < 1000; round++) {
        job j = {.ctx = ctx};
        dfqi_parallel_for(ctx, N, visit, &j);
        for (int i = 0; i < N; i++) ck_assert_int_eq(j.visits[i], 1);
        ck_assert_int_le(j.most, last);
        if (j.most == last) return;
    }
    ck_abort_msg("thread %d of %d took no part", (int)last, (int)last + 1);
}

START_TEST(test_another_count)
{
    dfq_context *ctx = make(2, 5, 0);
    ck_assert_int_eq(ctx->threads, 5); /* scratch memory is for so many */
    ck_assert_int_eq(ctx->active, 2);
    loop(ctx, 1);
    dfqi_context_retain(ctx); /* a handle */
    ck_assert_int_eq(dfqi_context_set_threads(ctx, 5), DFQ_OK);
    loop(ctx, 4);
    ck_assert_int_eq(dfqi_context_set_threads(ctx, 6), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "max_threads"));
    ck_assert_int_eq(ctx->active, 5);
    ck_assert_int_eq(dfqi_context_set_threads(ctx, 1), DFQ_OK);
    loop(ctx, 0);
    ck_assert_int_eq(dfqi_context_set_threads(ctx, 3), DFQ_OK);
    loop(ctx, 2);
    ck_assert_int_eq(ctx->threads, 5);
    dfqi_context_release(ctx); /* the handle */
    ck_assert_int_eq(dfqi_context_set_threads(ctx, 7), DFQ_OK);
    loop(ctx, 6);
    ck_assert_int_eq(ctx->threads, 7);
    dfqi_context_release(ctx);
}
END_TEST

static void change_inside(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    (void)i;
    if (thread == 0 && dfqi_context_set_threads(j->ctx, 1) != DFQ_E_INVALID) j->nested++;
}

START_TEST(test_not_inside_of_a_loop)
{
    job j = {.ctx = make(2, 0, 0)};
    dfqi_parallel_for(j.ctx, N, change_inside, &j);
    ck_assert_int_eq(j.nested, 0);
    ck_assert_int_eq(j.ctx->active, 2);
    dfqi_context_release(j.ctx);
}
END_TEST

static void see_stack(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    pthread_attr_t a;
    size_t size = 0;
    visit(arg, i, thread);
    if (thread != 1) return;
    ck_assert_int_eq(pthread_getattr_np(pthread_self(), &a), 0);
    ck_assert_int_eq(pthread_attr_getstacksize(&a, &size), 0);
    pthread_attr_destroy(&a);
    j->stack = size;
}

START_TEST(test_stack)
{
    static const int32_t kib[] = {0, 256, 4096};
    job j = {.ctx = make(2, 0, kib[_i])};
    size_t want = (size_t)(kib[_i] ? kib[_i] : 2048) << 10;
    while (j.stack == 0) dfqi_parallel_for(j.ctx, N, see_stack, &j);
    ck_assert_msg(j.stack >= want && j.stack < want + (64 << 10), "%d", (int)j.stack);
    dfqi_context_release(j.ctx);
}
END_TEST

static dfq_status change(dfq_context *ctx, void *arg)
{
    (void)arg;
    return dfqi_context_set_threads(ctx, 3);
}

START_TEST(test_each_allocation_can_fail)
{
    fail_alloc_sweep(change, NULL, 2);
}
END_TEST

/* -- the host's threads ------------------------------------------------------------------------ */

enum { SERIAL, BACKWARDS, THREADS, LAZY, HOSTS };

typedef struct host {
    int way;
    int32_t calls, most;
    dfq_task_fn task;
    void *arg;
} host;

typedef struct host_thread {
    const host *h;
    int32_t task;
    pthread_t thread;
} host_thread;

static void *run_one(void *arg)
{
    const host_thread *t = arg;
    fesetround(FE_DOWNWARD);
    t->h->task(t->h->arg, t->task);
    ck_assert_int_eq(fegetround(), FE_DOWNWARD); /* the host's own */
    return NULL;
}

static void run_on_threads(const host *h, int32_t n)
{
    host_thread t[8];
    for (int32_t i = 0; i < n; i++) {
        t[i] = (host_thread){.h = h, .task = i};
        ck_assert_int_eq(pthread_create(&t[i].thread, NULL, run_one, &t[i]), 0);
    }
    for (int32_t i = 0; i < n; i++) ck_assert_int_eq(pthread_join(t[i].thread, NULL), 0);
}

static void parallel_for(int32_t n, dfq_task_fn task, void *arg, void *user)
{
    host *h = user;
    h->calls++;
    h->task = task;
    h->arg = arg;
    if (n > h->most) h->most = n;
    if (h->way == SERIAL)
        for (int32_t i = 0; i < n; i++) task(arg, i);
    if (h->way == BACKWARDS)
        for (int32_t i = n; i-- > 0;) task(arg, i);
    if (h->way == THREADS) run_on_threads(h, n);
} /* LAZY runs nothing */

static void inner(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    (void)i;
    __atomic_fetch_add(&j->nested, 1, __ATOMIC_RELAXED);
    if (thread == 0) __atomic_fetch_add(&j->serial, 1, __ATOMIC_RELAXED);
}

static void outer(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    visit(arg, i, thread);
    dfqi_parallel_for(j->ctx, 3, inner, j);
}

START_TEST(test_host)
{
    host h = {.way = _i};
    dfq_thread_pool pool = {.threads = 4, .parallel_for = parallel_for, .user = &h};
    job j = {.ctx = make(2, 4, 0)};
    loop(j.ctx, 1);
    ck_assert_int_eq(dfqi_context_set_pool(j.ctx, &pool), DFQ_OK);
    ck_assert_int_eq(j.ctx->active, 4);
    fesetround(FE_UPWARD);
    dfqi_parallel_for(j.ctx, N, outer, &j);
    ck_assert_int_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    for (int i = 0; i < N; i++) ck_assert_int_eq(j.visits[i], 1);
    ck_assert_int_eq(j.rounding, N);
    ck_assert_int_eq(j.nested, 3 * N);
    ck_assert_int_eq(j.serial, 3 * N);
    ck_assert_int_eq(h.calls, 1); /* nested loops stay where they are */
    ck_assert_int_eq(h.most, 4);
    if (_i != THREADS) ck_assert_int_eq(j.most, _i == BACKWARDS ? 3 : 0);
    dfqi_parallel_for(j.ctx, 2, visit, &j);
    ck_assert_int_eq(h.calls, 2);
    dfqi_parallel_for(j.ctx, 1, visit, &j); /* not worth a call */
    ck_assert_int_eq(h.calls, 2);
    ck_assert_int_eq(dfqi_context_set_pool(j.ctx, NULL), DFQ_OK);
    loop(j.ctx, 3);
    ck_assert_int_eq(h.calls, 2);
    dfqi_context_release(j.ctx);
}
END_TEST

static int threads_of_process(void)
{
    int n = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return -1;
    while (fgets(line, sizeof line, f)) (void)sscanf(line, "Threads: %d", &n);
    fclose(f);
    return n;
}

/* The library's own threads end, and begin again when they are asked for. */
START_TEST(test_own_threads_end)
{
    host h = {.way = SERIAL};
    dfq_thread_pool pool = {.threads = 3, .parallel_for = parallel_for, .user = &h};
    dfq_context *ctx = make(3, 0, 0);
    int before = threads_of_process();
    loop(ctx, 2);
    ck_assert_int_eq(threads_of_process(), before < 0 ? -1 : before + 2);
    ck_assert_int_eq(dfqi_context_set_pool(ctx, &pool), DFQ_OK);
    ck_assert_int_eq(threads_of_process(), before);
    ck_assert_int_eq(dfqi_context_set_pool(ctx, NULL), DFQ_OK);
    loop(ctx, 2);
    ck_assert_int_eq(dfqi_context_set_threads(ctx, 2), DFQ_OK);
    ck_assert_int_eq(threads_of_process(), before);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_thread_pool_case(void)
{
    TCase *t = tcase_create("thread_pool");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_another_count);
    tcase_add_test(t, test_not_inside_of_a_loop);
    tcase_add_loop_test(t, test_stack, 0, 3);
    tcase_add_test(t, test_each_allocation_can_fail);
    tcase_add_loop_test(t, test_host, 0, HOSTS);
    tcase_add_test(t, test_own_threads_end);
    return t;
}
