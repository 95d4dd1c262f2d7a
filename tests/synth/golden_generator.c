/* Two iterations of GDFQ's generator against a small ResNet, compared with PyTorch in double
 * precision (tests/golden/make_generator_step.py): losses, gradients of all parameters, Adam's
 * steps. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/formula.h"
#include "support/suite.h"
#include "synth/cases.h"
#include "synth/generator_trainer_priv.h"

enum { BATCH = 8, SIDE = 8, CLASSES = 4, LATENT = 100, KEPT = 256 };

static const dfq_tensor *find(const dfqi_safetensors *st, const char *prefix, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const dfq_tensor *t = dfqi_st_find(st, full);
    ck_assert_msg(t != NULL, "no %s", full);
    return t;
}

static dfqi_model *teacher(dfq_context *ctx, const dfqi_safetensors *st)
{
    dfqi_arch a = {
        .family = DFQI_FAMILY_RESNET,
        .name = "resnet_golden",
        .image = {SIDE, SIDE},
        .channels = 3,
        .classes = CLASSES,
        .eps = 1e-5f,
        .std = {1, 1, 1},
        .of.cnn = {
            .keys = DFQI_KEYS_AKAMASTER, .width = 8, .units = {1, 1}, .small = 1, .padded = 1}};
    dfqi_network net;
    dfqi_model *m;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    for (int32_t i = 0; i < net.n_params; i++) {
        dfq_tensor *t = net.params[i].tensor;
        const dfq_tensor *from = find(st, "cnn.", net.params[i].name);
        ck_assert_int_eq(dfqi_tensor_count(t), dfqi_tensor_count(from));
        memcpy(t->data, from->data, (size_t)dfqi_tensor_count(t) * sizeof(float));
    }
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &m), DFQ_OK);
    return m;
}

static double largest(const dfq_tensor *t)
{
    double most = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++)
        most = fmax(most, fabs((double)dfqi_tensor_f32(t)[i]));
    return most;
}

/* Every stride-th element: at most KEPT are in the file where not all are. */
static void compare(const char *name, const float *have, int64_t count, const dfq_tensor *want,
                    double tolerance)
{
    int64_t stride = dfqi_tensor_count(want) == count ? 1 : count / KEPT;
    const float *w = dfqi_tensor_f32(want);
    double worst = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++) {
        ck_assert(isfinite(have[i * stride]));
        worst = fmax(worst, fabs((double)have[i * stride] - (double)w[i]));
    }
    ck_assert_msg(worst <= tolerance, "%s is off by %g, more than %g", name, worst, tolerance);
}

/* A shift that the BatchNorm behind takes out again: its gradient is 0, what moves it is
 * rounding. */
static int is_idle(const char *name)
{
    return strcmp(name, "conv1.bias") == 0 || strcmp(name, "conv2.bias") == 0;
}

/* Adam's steps are as long where gradients are close to 0, and their sign is rounding there: those
 * elements are left out. */
static void compare_moved(const char *name, const float *have, int64_t count,
                          const dfq_tensor *want, const dfq_tensor *grad, double learning_rate)
{
    int64_t stride = count <= KEPT ? 1 : count / KEPT, n = dfqi_tensor_count(want), compared = 0;
    const float *w = dfqi_tensor_f32(want), *g = dfqi_tensor_f32(grad);
    for (int64_t i = 0; i < n; i++) {
        if (fabs((double)g[i]) < 1e-3 * largest(grad)) continue;
        double off = fabs((double)have[i * stride] - (double)w[i]);
        ck_assert_msg(off <= 0.02 * learning_rate, "%s[%d] is off by %g", name, (int)(i * stride),
                      off);
        compared++;
    }
    ck_assert_msg(compared > n / 2, "%s: %d of %d compared", name, (int)compared, (int)n);
}

static void compare_step(const dfqi_generator_trainer *h, const dfqi_safetensors *st, int step,
                         int moved)
{
    char grad[24], param[24];
    snprintf(grad, sizeof grad, "step%d.grad.", step);
    snprintf(param, sizeof param, "step%d.param.", step);
    for (int32_t i = 0; i < h->net.n_params; i++) {
        const char *name = h->net.params[i].name;
        const dfq_tensor *t = h->net.params[i].tensor, *g = find(st, grad, name);
        int64_t count = dfqi_tensor_count(t);
        if (!moved)
            compare(name, dfqi_exec_data(h->e, h->grads[i]), count, g,
                    is_idle(name) ? 1e-6 : 1e-4 * largest(g));
        else if (!is_idle(name) && step == 1)
            compare_moved(name, dfqi_tensor_f32(t), count, find(st, param, name), g, 1e-3);
    }
}

START_TEST(test_two_iterations)
{
    char path[512], name[24];
    dfqi_safetensors st;
    dfqi_generator_options o;
    dfqi_generator_batch b;
    dfqi_generator_trainer *h;
    dfq_context *ctx = dfqt_context(1 + _i);
    ck_assert_ptr_nonnull(
        dfqt_path("DFQ_TEST_GOLDEN", "generator_step.safetensors", path, sizeof path));
    ck_assert_msg(dfqi_st_read(ctx, path, &st) == DFQ_OK, "%s", ctx->error);
    dfqi_model *m = teacher(ctx, &st);
    dfqi_generator_trainer_defaults(&o);
    o.kind = DFQI_GENERATOR_GDFQ;
    o.bns_weight = 0.1f;
    o.batch = BATCH;
    ck_assert_msg(dfqi_generator_trainer_new(m, &o, &h) == DFQ_OK, "%s", ctx->error);
    dfqt_fill_generator(&h->net);
    memcpy(h->draws.noise[0], find(&st, "", "z")->data, BATCH * LATENT * sizeof(float));
    const int32_t *y = find(&st, "", "labels")->data;
    for (int i = 0; i < BATCH; i++) h->draws.labels[i] = (float)y[i];
    for (int step = 1; step <= 2; step++) {
        ck_assert_msg(dfqi_generator_trainer_pass(h, &b) == DFQ_OK, "%s", ctx->error);
        snprintf(name, sizeof name, "step%d.", step);
        compare("losses", b.losses, DFQI_GENERATOR_LOSSES, find(&st, name, "losses"), 1e-5);
        compare("logits", b.logits, BATCH * CLASSES, find(&st, name, "logits"), 5e-5);
        compare("images", b.images, BATCH * 3 * SIDE * SIDE, find(&st, name, "images"), 5e-5);
        compare_step(h, &st, step, 0);
        dfqi_generator_trainer_move(h, 1e-3f);
        compare_step(h, &st, step, 1);
    }
    dfqi_generator_trainer_release(h);
    dfqi_model_release(m);
    dfqi_st_fini(&st);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_golden_generator_case(void)
{
    TCase *t = tcase_create("golden_generator");
    tcase_add_loop_test(t, test_two_iterations, 0, 2);
    return t;
}
