/* Generators trained against a CNN: they learn, do not depend on threads, refuse what they cannot
 * use, and lose no memory. */
#include "synth/host.h"

#include <math.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "synth/cases.h"

enum { BATCH = 16, SIDE = 8, CLASSES = 4, PIXELS = 3 * SIDE * SIDE };

/* A ResNet of random weights for images of 8 pixels. */
static dfq_status random_cnn(dfq_context *ctx, dfqi_model **out)
{
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_random",
        .image = SIDE,
        .channels = 3,
        .classes = CLASSES,
        .eps = 1e-5f,
        .mean = {0.5f, 0.5f, 0.5f},
        .std = {0.25f, 0.25f, 0.25f},
        .cnn = {.keys = DFQI_KEYS_AKAMASTER, .width = 8, .units = {1, 1}, .small = 1, .padded = 1}};
    dfqi_network net;
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    dfqi_network_init(&net, 5);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    dfqi_network_fini(&net);
    return status;
}

static dfqi_host_options options(void)
{
    dfqi_host_options o;
    dfqi_host_defaults(&o);
    o.batch = BATCH;
    o.seed = 3;
    return o;
}

START_TEST(test_learns)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_host_options o = options();
    dfqi_host_batch b;
    dfqi_model *m;
    dfqi_host *h;
    double first[DFQI_HOST_LOSSES] = {0}, last[DFQI_HOST_LOSSES] = {0};
    ck_assert_int_eq(random_cnn(ctx, &m), DFQ_OK);
    ck_assert_msg(dfqi_host_new(m, &o, &h) == DFQ_OK, "%s", ctx->error);
    for (int i = 0; i < 60; i++) {
        ck_assert_msg(dfqi_host_step(h, 1e-3f, &b) == DFQ_OK, "%s", ctx->error);
        ck_assert_float_eq_tol(b.losses[DFQI_HOST_TOTAL],
                               b.losses[DFQI_HOST_CLASS] + 0.1f * b.losses[DFQI_HOST_BNS],
                               1e-4f * b.losses[DFQI_HOST_TOTAL]);
        for (int k = 0; k < DFQI_HOST_LOSSES; k++)
            if (i < 10 || i >= 50) (i < 10 ? first : last)[k] += (double)b.losses[k];
    }
    ck_assert_int_eq(dfqi_host_done(h), 60);
    ck_assert_double_lt(last[DFQI_HOST_TOTAL], 0.8 * first[DFQI_HOST_TOTAL]);
    for (int i = 0; i < BATCH; i++) ck_assert(b.labels[i] >= 0 && b.labels[i] < CLASSES);
    dfqi_host_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

static void five_steps(int32_t threads, float images[BATCH * PIXELS])
{
    dfq_context *ctx = dfqt_context(threads);
    dfqi_host_options o = options();
    dfqi_host_batch b;
    dfqi_model *m;
    dfqi_host *h;
    ck_assert_int_eq(random_cnn(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_host_new(m, &o, &h), DFQ_OK);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(dfqi_host_step(h, 1e-3f, &b), DFQ_OK);
    memcpy(images, b.images, BATCH * PIXELS * sizeof *images);
    dfqi_host_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}

START_TEST(test_threads_do_not_matter)
{
    static float one[BATCH * PIXELS], two[BATCH * PIXELS];
    five_steps(1, one);
    five_steps(2, two);
    ck_assert_mem_eq(one, two, sizeof one);
}
END_TEST

START_TEST(test_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_host_options o = options();
    dfqi_model *vit, *cnn;
    dfqi_host *h = NULL;
    ck_assert_int_eq(dfqt_random_model(ctx, &vit), DFQ_OK);
    ck_assert_int_eq(random_cnn(ctx, &cnn), DFQ_OK);
    ck_assert_int_eq(dfqi_host_new(vit, &o, &h), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(ctx->error, "BatchNorm"));
    o.batch = 1;
    ck_assert_int_eq(dfqi_host_new(cnn, &o, &h), DFQ_E_INVALID);
    o.batch = 5000;
    ck_assert_int_eq(dfqi_host_new(cnn, &o, &h), DFQ_E_INVALID);
    ck_assert_ptr_null(h);
    dfqi_model_release(cnn);
    dfqi_model_release(vit);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_not_finite)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_host_options o = options();
    dfqi_host_batch b;
    dfqi_model *m;
    dfqi_host *h;
    ck_assert_int_eq(random_cnn(ctx, &m), DFQ_OK);
    dfqi_tensor_f32(m->net.params[0].tensor)[0] = NAN;
    ck_assert_int_eq(dfqi_host_new(m, &o, &h), DFQ_OK);
    ck_assert_int_eq(dfqi_host_step(h, 1e-3f, &b), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_host_done(h), 0);
    dfqi_host_release(h);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *user)
{
    dfqi_host_options o = options();
    dfqi_host_batch b;
    dfqi_model *m;
    dfqi_host *h = NULL;
    (void)user;
    o.batch = 2;
    DFQI_TRY(random_cnn(ctx, &m));
    dfq_status status = dfqi_host_new(m, &o, &h);
    if (status == DFQ_OK) status = dfqi_host_step(h, 1e-3f, &b);
    dfqi_host_release(h);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_no_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_host_case(void)
{
    TCase *t = tcase_create("host");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_learns);
    tcase_add_test(t, test_threads_do_not_matter);
    tcase_add_test(t, test_refused);
    tcase_add_test(t, test_not_finite);
    tcase_add_test(t, test_no_memory);
    return t;
}
