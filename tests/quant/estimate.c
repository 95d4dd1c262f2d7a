/* What calibration and evaluation will cost: of the right size, and nothing else changes. */
#include <dfq/dataset.h>
#include <dfq/quantizer.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"
#include "quant/cases.h"
#include "support/fail_alloc.h"

enum { IMAGES = 48 };

static const int families[] = {DFQI_FAMILY_VIT, DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET,
                               DFQI_FAMILY_VIT, DFQI_FAMILY_VIT};

static dfq_quantize_options options(int which)
{
    dfq_quantize_options o;
    dfq_quantize_options_init(&o, sizeof o);
    if (which == 1) o.mode = DFQ_MODE_PARITY;
    if (which == 3) o.rounding = DFQ_ROUNDING_NEAREST;
    if (which == 4) o.drawn_images = 5 * IMAGES; /* join those that are given */
    return o;
}

static int32_t count(const dfq_progress *p, void *user)
{
    (void)p;
    ++*(int *)user;
    return 0;
}

static int near(double said, double taken)
{
    return said > 0.004 * taken && said < 50 * taken + 0.1;
}

/* Memory is that of the peak within a factor of two. Time is compared widely, and anew if it is far
 * off: the machine may be busy while one of both is measured. */
START_TEST(test_quantize)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    int reports = 0;
    dfq_context_options co = {.struct_size = sizeof co,
                              .threads = 1,
                              .allocator = &a,
                              .progress = count,
                              .progress_user = &reports};
    dfq_context *ctx = NULL;
    dfq_quantize_options o = options(_i);
    dfq_job_cost few = {.struct_size = sizeof few}, c = few;
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_graph *low;
    ck_assert_int_eq(dfqi_context_create(&co, &ctx), DFQ_OK);
    dfq_graph *g = dfqt_family(ctx, families[_i]);
    ck_assert_int_eq(dfq_graph_get_info(g, &info), DFQ_OK);
    uint64_t hash = dfqi_model_hash(g);
    ck_assert_msg(dfq_graph_quantize_estimate(g, 2, &o, &few) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfq_graph_quantize_estimate(g, IMAGES, &o, &c) == DFQ_OK, "%s", ctx->error);
    ck_assert(dfqi_model_hash(g) == hash && reports == 0);
    ck_assert(c.units == IMAGES && c.done == 0 && c.macs > few.macs && c.bytes >= few.bytes);
    ck_assert_int_ge(c.macs, (_i == 0 ? 3 : 1) * IMAGES * info.macs); /* improved: three passes */
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    int64_t before = fa.live_bytes;
    fa.peak_bytes = before;
    double start = dfqi_now();
    ck_assert_msg(dfq_graph_quantize(g, x, &o, &low) == DFQ_OK, "%s", ctx->error);
    double seconds = dfqi_now() - start, peak = (double)(fa.peak_bytes - before);
    ck_assert((_i == 3) == (reports == 0));           /* nearest codes on grids of rows: no stage */
    double least = _i == 3 ? 0.3 * peak : 0.4 * peak; /* little: names and graphs show */
    ck_assert_msg((double)c.bytes > least && (double)c.bytes < 2.5 * peak, "%g bytes, %g",
                  (double)c.bytes, peak);
    dfq_graph_release(low);
    for (int tries = 5; !near(c.seconds_left, seconds); tries--) {
        ck_assert_msg(tries > 0, "%g s, %g", c.seconds_left, seconds);
        ck_assert_int_eq(dfq_graph_quantize_estimate(g, IMAGES, &o, &c), DFQ_OK);
        start = dfqi_now();
        ck_assert_int_eq(dfq_graph_quantize(g, x, &o, &low), DFQ_OK);
        seconds = dfqi_now() - start;
        dfq_graph_release(low);
    }
    dfq_tensor_release(x);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* A request to stop is the caller's, not the measurement's. */
START_TEST(test_cancel)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfq_job_cost c = {.struct_size = sizeof c, .units = -1};
    dfq_quantize_options o = options(1);
    dfq_context_cancel(ctx);
    ck_assert_int_eq(dfq_graph_quantize_estimate(g, 20, &o, &c), DFQ_E_CANCELLED);
    ck_assert_int_eq(c.units, -1);
    ck_assert_int_eq(dfq_graph_quantize_estimate(g, 20, &o, &c), DFQ_OK);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

static void write_images(const char *path)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 20; i++) {
        fputc(i % 3, f);
        for (int k = 0; k < 3 * 32 * 32; k++) fputc((i * 31 + k * 7) & 255, f);
    }
    fclose(f);
}

enum { SLOW_MS = 3, SLOW_SIDE = 8 };

static int32_t read_slowly(int64_t first, int64_t n, void *images, int32_t *labels, void *user)
{
    const struct timespec pause = {0, n * SLOW_MS * 1000000};
    (void)first, (void)user;
    for (int64_t i = 0; labels != NULL && i < n; i++) labels[i] = 0;
    if (images == NULL) return 0;
    memset(images, 100, (size_t)(n * 3 * SLOW_SIDE * SLOW_SIDE));
    nanosleep(&pause, NULL);
    return 0;
}

/* A few images are timed, and the time said is that of all. */
START_TEST(test_evaluate_slow_images)
{
    const dfq_dataset_source s = {.struct_size = sizeof s,
                                  .count = 40,
                                  .height = SLOW_SIDE,
                                  .width = SLOW_SIDE,
                                  .read = read_slowly};
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_RESNET);
    dfq_job_cost c = {.struct_size = sizeof c};
    dfq_dataset *d;
    ck_assert_msg(dfq_dataset_create(ctx, &s, &d) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfq_graph_evaluate_estimate(g, d, 0, 0, &c) == DFQ_OK, "%s", ctx->error);
    ck_assert_double_ge(c.seconds_left, 40 * SLOW_MS * 0.999e-3);
    dfq_dataset_release(d);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_evaluate)
{
    char path[] = "/tmp/dfq_estimate_XXXXXX";
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_RESNET);
    dfq_job_cost c = {.struct_size = sizeof c}, half = c, none = {.struct_size = 0};
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_dataset *d;
    close(mkstemp(path));
    write_images(path);
    ck_assert_msg(dfq_dataset_open(ctx, path, 0, &d) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfq_graph_get_info(g, &info), DFQ_OK);
    ck_assert_msg(dfq_graph_evaluate_estimate(g, d, 0, 0, &c) == DFQ_OK, "%s", ctx->error);
    ck_assert(c.units == 20 && c.macs == 20 * info.macs && c.seconds_left > 0 && c.bytes > 0);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, d, 15, 0, &half), DFQ_OK);
    ck_assert(half.units == 5 && half.macs == 5 * info.macs);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, d, 15, 6, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, d, -1, 6, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, d, 20, 0, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(NULL, d, 0, 0, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, NULL, 0, 0, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, d, 0, 0, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_evaluate_estimate(g, d, 0, 0, &none), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_quantize_estimate(NULL, 1, NULL, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_quantize_estimate(g, 0, NULL, &half), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_quantize_estimate(g, 1, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_quantize_estimate(g, 1, NULL, &none), DFQ_E_INVALID);
    dfq_graph *low = dfqt_family_low(g);
    ck_assert_int_eq(dfq_graph_quantize_estimate(low, 1, NULL, &half), DFQ_E_INVALID);
    ck_assert(half.units == 5);
    dfq_graph_release(low);
    dfq_dataset_release(d);
    dfq_graph_release(g);
    dfq_context_release(ctx);
    remove(path);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    dfq_job_cost c = {.struct_size = sizeof c};
    dfq_graph *g = NULL;
    (void)arg;
    DFQI_TRY(dfqt_family_new(ctx, DFQI_FAMILY_RESNET, &g));
    dfq_status status = dfq_graph_quantize_estimate(g, 3, NULL, &c);
    dfq_graph_release(g);
    return status;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_estimate_case(void)
{
    TCase *c = tcase_create("estimate");
    tcase_add_loop_test(c, test_quantize, 0, 5);
    tcase_add_test(c, test_cancel);
    tcase_add_test(c, test_evaluate);
    tcase_add_test(c, test_evaluate_slow_images);
    tcase_add_test(c, test_memory);
    tcase_set_timeout(c, 60);
    return c;
}
