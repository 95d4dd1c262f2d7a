/* GDFQ's generator: sizes of the published ones, and both forms against PyTorch. */
#include "nn/gdfq.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "io/safetensors.h"
#include "nn/cases.h"
#include "nn/support.h"
#include "support/suite.h"

enum { BATCH = 4, IMAGE = 8, CLASSES = 3, LATENT = 4, PARAMS = 15 };

START_TEST(test_published_sizes)
{
    static const struct {
        dfqi_gdfq_arch arch;
        int64_t values;
    } rows[] = {
        {{32, 10, 100, 0}, 1052139}, {{32, 100, 100, 0}, 1061139}, {{224, 1000, 100, 1}, 41405315}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_gdfq net;
    ck_assert_int_eq(dfqi_gdfq_new(ctx, &rows[_i].arch, 1, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_gdfq_values(&net), rows[_i].values);
    dfqi_gdfq_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_refused)
{
    static const dfqi_gdfq_arch rows[] = {
        {30, 10, 100, 0}, {0, 10, 100, 0}, {32, 0, 100, 0}, {32, 10, 0, 1}, {2048, 10, 100, 1}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_gdfq net;
    ck_assert_int_eq(dfqi_gdfq_new(ctx, &rows[_i], 1, &net), DFQ_E_UNSUPPORTED);
    dfq_context_release(ctx);
}
END_TEST

static int32_t fan_in(const char *name)
{
    if (strncmp(name, "fc.", 3) == 0) return LATENT;
    if (strncmp(name, "conv", 4) == 0) return name[4] == '3' ? 576 : 1152;
    if (strcmp(name, "bn0.bias") == 0 || strcmp(name, "bn1.bias") == 0) return 128;
    return strcmp(name, "bn2.bias") == 0 ? 64 : 0;
}

/* The weights of tests/golden/make_gdfq.py. */
static void fill(dfqi_gdfq *net)
{
    for (int32_t p = 0; p < net->n_params; p++) {
        int32_t fan = fan_in(net->params[p].name);
        double size = fan ? 0.5 / sqrt(fan) : 1.0;
        float *v = dfqi_tensor_f32(net->params[p].tensor);
        for (int64_t i = 0; i < dfqi_tensor_count(net->params[p].tensor); i++)
            v[i] = (float)(size * sin(0.37 * (double)i + p));
    }
}

static const float *data_of(const dfqi_safetensors *st, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "no %s", name);
    return dfqi_tensor_f32(t);
}

static void compare(const char *name, const float *have, const dfq_tensor *want)
{
    const float *w = dfqi_tensor_f32(want);
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(want); i++) {
        scale = fmax(scale, fabs((double)w[i]));
        worst = fmax(worst, fabs((double)have[i] - (double)w[i]));
        ck_assert(have[i] == have[i]);
    }
    ck_assert_msg(worst <= 1e-4 * scale, "%s is off by %g of %g", name, worst, scale);
}

/* A generator with the gradients of sum(images * seed). */
typedef struct rig {
    dfqi_gdfq net;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id images, params[PARAMS], grads[PARAMS];
} rig;

static void start(rig *r, dfq_context *ctx, int conditional, const dfqi_safetensors *st,
                  const float *labels)
{
    dfqi_gdfq_arch a = {IMAGE, CLASSES, LATENT, conditional};
    ck_assert_int_eq(dfqi_gdfq_new(ctx, &a, 1, &r->net), DFQ_OK);
    fill(&r->net);
    ck_assert_int_eq(dfqi_graph_new(ctx, BATCH, &r->g), DFQ_OK);
    dfqi_id z = dfqi_graph_input(r->g, "z", 1, 1, &a.latent);
    dfqi_id y = dfqi_graph_input(r->g, "labels", 1, 0, NULL);
    dfqi_id seed = dfqi_graph_input(r->g, "seed", 1, 3, (int64_t[]){3, IMAGE, IMAGE});
    dfqi_gdfq_params(&r->net, r->g, r->params);
    r->images = dfqi_gdfq_forward(&r->net, r->g, r->params, z, y);
    dfqi_graph_keep(r->g, r->images);
    ck_assert_msg(
        dfqi_graph_grad(r->g, 1, &r->images, &seed, r->net.n_params, r->params, r->grads) == DFQ_OK,
        "%s", ctx->error);
    for (int32_t i = 0; i < r->net.n_params; i++) dfqi_graph_keep(r->g, r->grads[i]);
    ck_assert_msg(dfqi_exec_new(r->g, &r->e) == DFQ_OK, "%s", ctx->error);
    dfqi_exec_bind(r->e, z, data_of(st, "z"));
    dfqi_exec_bind(r->e, y, labels);
    dfqi_exec_bind(r->e, seed, data_of(st, "seed"));
    ck_assert_int_eq(dfqi_exec_run(r->e), DFQ_OK);
}

static void stop(rig *r)
{
    dfqi_exec_free(r->e);
    dfqi_graph_free(r->g);
    dfqi_gdfq_fini(&r->net);
}

START_TEST(test_as_torch)
{
    static const char *const forms[] = {"small", "large"};
    char path[512], name[64];
    float labels[BATCH];
    dfqi_safetensors st;
    rig r, two;
    int compared = 0;
    dfq_context *ctx = dfqt_context(1), *other = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "gdfq.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    const int32_t *y = dfqi_st_find(&st, "labels")->data;
    for (int i = 0; i < BATCH; i++) labels[i] = (float)y[i];
    start(&r, ctx, _i, &st, labels);
    start(&two, other, _i, &st, labels);
    snprintf(name, sizeof name, "%s.images", forms[_i]);
    compare(name, dfqi_exec_data(r.e, r.images), dfqi_st_find(&st, name));
    for (int32_t p = 0; p < r.net.n_params; p++) {
        const float *grad = dfqi_exec_data(r.e, r.grads[p]);
        size_t bytes = (size_t)dfqi_tensor_count(r.net.params[p].tensor) * sizeof(float);
        snprintf(name, sizeof name, "%s.%s", forms[_i], r.net.params[p].name);
        ck_assert_msg(memcmp(grad, dfqi_exec_data(two.e, two.grads[p]), bytes) == 0, "%s", name);
        if (!dfqi_st_find(&st, name)) continue;
        compare(name, grad, dfqi_st_find(&st, name));
        compared++;
    }
    ck_assert_int_eq(compared, _i ? 5 : 6);
    stop(&two);
    stop(&r);
    dfqi_st_fini(&st);
    dfq_context_release(other);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_gdfq_case(void)
{
    TCase *t = tcase_create("gdfq");
    tcase_add_loop_test(t, test_published_sizes, 0, 3);
    tcase_add_loop_test(t, test_refused, 0, 5);
    tcase_add_loop_test(t, test_as_torch, 0, 2);
    return t;
}
