/* Version, status names, options of any age, the context and what changes of it. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <string.h>

#include "api/cases.h"
#include "support/fail_alloc.h"

START_TEST(test_version)
{
    char text[32];
    uint32_t v = dfq_version();
    ck_assert_uint_eq(v >> 16, DFQ_VERSION_MAJOR);
    ck_assert_uint_eq(v >> 8 & 0xFF, DFQ_VERSION_MINOR);
    ck_assert_uint_eq(v & 0xFF, DFQ_VERSION_PATCH);
    snprintf(text, sizeof text, "%d.%d.%d", DFQ_VERSION_MAJOR, DFQ_VERSION_MINOR,
             DFQ_VERSION_PATCH);
    ck_assert_str_eq(dfq_version_text(), text);
}
END_TEST

START_TEST(test_status_names)
{
    static const struct {
        dfq_status status;
        const char *name;
    } table[] = {{0, "DFQ_OK"},
                 {-1, "DFQ_E_NOMEM"},
                 {-2, "DFQ_E_INVALID"},
                 {-3, "DFQ_E_UNSUPPORTED"},
                 {-4, "DFQ_E_SHAPE"},
                 {-5, "DFQ_E_IO"},
                 {-6, "DFQ_E_CORRUPT"},
                 {-7, "DFQ_E_NUMERIC"},
                 {-8, "DFQ_E_INFEASIBLE"},
                 {-9, "DFQ_E_CANCELLED"},
                 {-10, "DFQ_E_EXISTS"},
                 {-100, "DFQ_E_INTERNAL"},
                 {1, "DFQ_E_?"},
                 {INT32_MIN, "DFQ_E_?"}};
    size_t i;
    for (i = 0; i < sizeof table / sizeof table[0]; i++)
        ck_assert_str_eq(dfq_status_name(table[i].status), table[i].name);
}
END_TEST

START_TEST(test_defaults)
{
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_ge(dfq_context_get_threads(ctx), 1);
    ck_assert_str_eq(dfq_context_get_error(ctx), "");
    ck_assert_uint_gt(strlen(dfq_context_get_kernels(ctx)), 0);
    dfq_context_cancel(ctx);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_null)
{
    dfq_context_release(NULL);
    dfq_context_cancel(NULL);
    dfq_context_options_init(NULL, 64);
    ck_assert_str_eq(dfq_context_get_error(NULL), "");
    ck_assert_int_eq(dfq_context_get_threads(NULL), 0);
    ck_assert_str_eq(dfq_context_get_kernels(NULL), "");
    ck_assert_int_eq(dfq_context_create(NULL, NULL), DFQ_E_INVALID);
}
END_TEST

START_TEST(test_refused_options)
{
    dfq_context_options o;
    dfq_allocator half = {0};
    dfq_context *ctx = NULL;
    fail_alloc fa;

    memset(&o, 0, sizeof o); /* not initialised */
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    dfq_context_options_init(&o, sizeof o);
    o.threads = 257;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    o.threads = -1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    o.threads = 0;
    half = fail_alloc_init(&fa, 0);
    half.free = NULL;
    o.allocator = &half;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    half = fail_alloc_init(&fa, 0);
    half.struct_size = 0;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_INVALID);
    ck_assert_int_eq(fa.calls, 0);
    half = fail_alloc_init(&fa, 0);
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_NOMEM);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* An allocator with a field that this library does not know. */
START_TEST(test_newer_allocator)
{
    fail_alloc fa;
    struct {
        dfq_allocator known;
        uint64_t later;
    } a = {.known = fail_alloc_init(&fa, -1)};
    dfq_context_options o;
    dfq_context *ctx = NULL;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a.known;
    a.known.struct_size = sizeof a;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    dfq_context_release(ctx);
    ck_assert(fa.calls > 0 && fa.live_bytes == 0);
    a.later = 1;
    ctx = NULL;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* A caller of a later version, with a longer struct. */
typedef struct newer_options {
    dfq_context_options known;
    uint64_t later;
} newer_options;

START_TEST(test_newer_caller)
{
    newer_options o;
    dfq_context *ctx = NULL;
    memset(&o, 0xFF, sizeof o);
    dfq_context_options_init(&o.known, sizeof o);
    ck_assert_uint_eq(o.known.struct_size, sizeof o);
    ck_assert_uint_eq(o.later, 0);
    o.known.threads = 3;
    ck_assert_int_eq(dfq_context_create(&o.known, &ctx), DFQ_OK);
    ck_assert_int_eq(dfq_context_get_threads(ctx), 3);
    dfq_context_release(ctx);
    ctx = NULL;
    o.later = 1;
    ck_assert_int_eq(dfq_context_create(&o.known, &ctx), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(ctx);
}
END_TEST

/* A caller of an earlier version, whose struct ends after `threads`: what lies behind it is not
 * read, or the garbage there would be taken for callbacks. */
START_TEST(test_older_caller)
{
    dfq_context_options o;
    dfq_context *ctx = NULL;
    memset(&o, 0xFF, sizeof o);
    dfq_context_options_init(&o, 8);
    ck_assert_uint_eq(o.struct_size, 8);
    ck_assert_int_eq(o.threads, 0);
    ck_assert_uint_eq(((unsigned char *)&o)[8], 0xFF);
    o.threads = 2;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfq_context_get_threads(ctx), 2);
    dfq_context_release(ctx);
}
END_TEST

/* -- what may change after creation ------------------------------------------------------------ */

enum { IMAGES = 12, SIDE = 16, STEPS = 4 };

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

static void make_net(dfq_context *ctx, dfq_graph **out)
{
    dfq_vit_options o;
    dfq_vit_options_init(&o, sizeof o);
    o.image = SIDE;
    o.patch = 4;
    o.width = 16;
    o.depth = 2;
    o.heads = 2;
    o.hidden = 32;
    o.classes = 3;
    OK(dfq_graph_create(ctx, &o, out));
}

static void make_images(dfq_context *ctx, dfq_tensor **out)
{
    const int64_t dims[4] = {IMAGES, 3, SIDE, SIDE};
    OK(dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, out));
    float *x = dfq_tensor_get_data(*out);
    for (int i = 0; i < IMAGES * 3 * SIDE * SIDE; i++) x[i] = (float)(i * 37 % 101) / 50.0f - 1.0f;
}

/* Threads and functions as the host wants them, while a network is quantized and tuned. */
typedef struct host {
    dfq_context *ctx;
    int32_t reports[2]; /* by each of two progress functions */
    int32_t changes;    /* of the number of threads, from inside of a report */
    int32_t loops;      /* run by the host's pool */
} host;

static int32_t second_report(const dfq_progress *p, void *user)
{
    host *h = user;
    (void)p;
    h->reports[1]++;
    return 0;
}

/* Takes another number of threads each time; hands over to the second. */
static int32_t first_report(const dfq_progress *p, void *user)
{
    host *h = user;
    h->reports[0]++;
    if (h->changes > 0 && dfq_context_set_threads(h->ctx, 1 + h->reports[0] % 3) == DFQ_OK)
        h->changes++;
    if (strcmp(p->stage, "tune") == 0) (void)!dfq_context_set_progress(h->ctx, second_report, user);
    return 0;
}

static void run_backwards(int32_t n, dfq_task_fn task, void *arg, void *user)
{
    host *h = user;
    h->loops++;
    while (n-- > 0) task(arg, n);
}

/* The bytes of a network that was quantized and tuned. */
static dfq_tensor *job(dfq_context *ctx)
{
    dfq_graph *net, *low;
    dfq_tensor *images, *out;
    dfq_tuner *t;
    dfq_quantize_options q;
    dfq_tuner_options o;
    dfq_quantize_options_init(&q, sizeof q);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ, NULL, 0);
    o.steps = STEPS;
    o.batch = 4;
    make_net(ctx, &net);
    make_images(ctx, &images);
    OK(dfq_graph_quantize(net, images, &q, &low));
    OK(dfq_tuner_create(net, low, images, &o, &t));
    OK(dfq_tuner_run(t));
    OK(dfq_graph_save_to_memory(low, 0, &out));
    dfq_tuner_release(t);
    dfq_tensor_release(images);
    dfq_graph_release(low);
    dfq_graph_release(net);
    return out;
}

static dfq_context *with_threads(int32_t threads, int32_t max_threads)
{
    dfq_context_options o;
    dfq_context *ctx = NULL;
    dfq_context_options_init(&o, sizeof o);
    o.threads = threads;
    o.max_threads = max_threads;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

/* 0: the number of threads changes in the middle of jobs; 1: the host's threads work. */
START_TEST(test_the_same_bits)
{
    dfq_context *plain = with_threads(1, 0), *ctx = with_threads(2, 3);
    host h = {.ctx = ctx, .changes = _i == 0};
    const dfq_thread_pool pool = {
        .struct_size = sizeof pool, .threads = 3, .parallel_for = run_backwards, .user = &h};
    dfq_tensor *want = job(plain);
    OK(dfq_context_set_progress(ctx, first_report, &h));
    if (_i == 1) {
        OK(dfq_context_set_thread_pool(ctx, &pool));
        ck_assert_int_eq(dfq_context_get_threads(ctx), 3);
        ck_assert_int_eq(dfq_context_set_threads(ctx, 2), DFQ_E_INVALID);
    }
    dfq_tensor *have = job(ctx);
    ck_assert_uint_eq(dfq_tensor_get_bytes(have), dfq_tensor_get_bytes(want));
    ck_assert_mem_eq(dfq_tensor_get_data(have), dfq_tensor_get_data(want),
                     dfq_tensor_get_bytes(want));
    ck_assert(h.reports[0] > 0 && h.reports[1] > 0);
    ck_assert_int_eq(h.loops > 10, _i == 1);
    ck_assert_int_eq(h.changes > 2, _i == 0);
    OK(dfq_context_set_progress(ctx, NULL, NULL));
    OK(dfq_context_set_thread_pool(ctx, NULL));
    int32_t reports = h.reports[1], loops = h.loops;
    dfq_tensor_release(have);
    have = job(ctx);
    ck_assert_mem_eq(dfq_tensor_get_data(have), dfq_tensor_get_data(want),
                     dfq_tensor_get_bytes(want));
    ck_assert(h.reports[1] == reports && h.loops == loops);
    dfq_tensor_release(have);
    dfq_tensor_release(want);
    dfq_context_release(ctx);
    dfq_context_release(plain);
}
END_TEST

START_TEST(test_changes_that_are_refused)
{
    dfq_context_options o;
    dfq_context *ctx = with_threads(2, 4), *none = NULL;
    dfq_thread_pool pool = {
        .struct_size = sizeof pool, .threads = 2, .parallel_for = run_backwards};
    dfq_graph *net;
    static const int32_t bad[][3] = {
        {4, 3, 0}, {1, 257, 0}, {1, -1, 0}, {1, 0, 127}, {1, 0, 1 << 21}};
    ck_assert_int_eq(dfq_context_set_threads(ctx, 257), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_context_set_threads(ctx, -1), DFQ_E_INVALID);
    make_net(ctx, &net);
    OK(dfq_context_set_threads(ctx, 4));
    ck_assert_int_eq(dfq_context_set_threads(ctx, 5), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "max_threads"));
    pool.threads = 5;
    ck_assert_int_eq(dfq_context_set_thread_pool(ctx, &pool), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_context_get_threads(ctx), 4);
    dfq_graph_release(net);
    OK(dfq_context_set_thread_pool(ctx, &pool));
    ck_assert_int_eq(dfq_context_get_threads(ctx), 5);
    pool.threads = 0;
    ck_assert_int_eq(dfq_context_set_thread_pool(ctx, &pool), DFQ_E_INVALID);
    pool.threads = 257;
    ck_assert_int_eq(dfq_context_set_thread_pool(ctx, &pool), DFQ_E_INVALID);
    pool.threads = 2;
    pool.struct_size = 0;
    ck_assert_int_eq(dfq_context_set_thread_pool(ctx, &pool), DFQ_E_INVALID);
    pool.struct_size = sizeof pool;
    pool.parallel_for = NULL;
    ck_assert_int_eq(dfq_context_set_thread_pool(ctx, &pool), DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(ctx),
                     "dfq_thread_pool: parallel_for is NULL, must be a function");
    pool.struct_size = 0;
    ck_assert_int_eq(dfq_context_set_thread_pool(ctx, &pool), DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(ctx),
                     "dfq_thread_pool: struct_size is 0, must be sizeof(dfq_thread_pool)");
    ck_assert_int_eq(dfq_context_get_threads(ctx), 5);
    dfq_context_release(ctx);
    ck_assert_int_eq(dfq_context_set_log(NULL, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_context_set_progress(NULL, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_context_set_threads(NULL, 1), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_context_set_thread_pool(NULL, NULL), DFQ_E_INVALID);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dfq_context_options_init(&o, sizeof o);
        o.threads = bad[i][0];
        o.max_threads = bad[i][1];
        o.stack_kib = bad[i][2];
        ck_assert_int_eq(dfq_context_create(&o, &none), DFQ_E_INVALID);
    }
    ck_assert_ptr_null(none);
}
END_TEST

TCase *dfqt_api_context_case(void)
{
    TCase *t = tcase_create("context");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_version);
    tcase_add_test(t, test_status_names);
    tcase_add_test(t, test_defaults);
    tcase_add_test(t, test_null);
    tcase_add_test(t, test_refused_options);
    tcase_add_test(t, test_newer_allocator);
    tcase_add_test(t, test_newer_caller);
    tcase_add_test(t, test_older_caller);
    tcase_add_loop_test(t, test_the_same_bits, 0, 2);
    tcase_add_test(t, test_changes_that_are_refused);
    return t;
}
