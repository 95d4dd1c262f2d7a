/* The first layers of a ResNet: what tensors do not tell is computed as it was said, against sums
 * written out here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/exec.h"
#include "nn/cases.h"
#include "nn/support.h"

enum { SIDE = 13, WIDTH = 2, CLASSES = 3 };

static float at(const float *x, int64_t side, int64_t c, int64_t i, int64_t k)
{
    return i < 0 || k < 0 || i >= side || k >= side ? 0.0f : x[(c * side + i) * side + k];
}

/* relu(conv(x)) of channel `m`, stride `s`: out[n][n], n = ceil(side / s). */
static void convolve(const float *x, const float *w, int64_t kernel, int64_t s, int64_t m,
                     float *out)
{
    int64_t n = (SIDE + s - 1) / s, pad = kernel / 2;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++) {
            double sum = 0;
            for (int64_t c = 0; c < 3; c++)
                for (int64_t u = 0; u < kernel * kernel; u++)
                    sum +=
                        (double)at(x, SIDE, c, i * s + u / kernel - pad, k * s + u % kernel - pad) *
                        (double)w[(m * 3 + c) * kernel * kernel + u];
            out[i * n + k] = sum > 0 ? (float)sum : 0.0f;
        }
}

/* Mean over the positions behind the stem; units add nothing. */
static double mean_behind(const float *map, int64_t n, int pool)
{
    double sum = 0;
    int64_t to = pool ? (n + 1) / 2 : n;
    for (int64_t i = 0; i < to; i++)
        for (int64_t k = 0; k < to; k++) {
            float most = pool ? 0.0f : map[i * n + k];
            for (int64_t u = 0; u < 9 && pool; u++) /* no value is below zero, as the padding is */
                most = fmaxf(most, at(map, n, 0, 2 * i + u / 3 - 1, 2 * k + u % 3 - 1));
            sum += (double)most;
        }
    return sum / (double)(to * to);
}

/* Everything but the stem and the classifier lets pass what comes. */
static void fill(dfqi_network *net)
{
    dfqt_fill(net);
    for (int32_t p = 0; p < net->n_params; p++) {
        const char *name = net->params[p].name;
        dfq_tensor *t = net->params[p].tensor;
        if (strcmp(name, "conv1.weight") == 0 || strncmp(name, "fc.", 3) == 0) continue;
        int one = strstr(name, "bn") && (strstr(name, ".weight") || strstr(name, "var"));
        for (int64_t i = 0; i < dfqi_tensor_count(t); i++)
            dfqi_tensor_f32(t)[i] = one ? 1.0f : 0.0f;
    }
}

static void compute(const dfqi_network *net, const float *images, float logits[CLASSES])
{
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_taps taps = {0};
    dfqi_id ids[64];
    ck_assert_int_eq(dfqi_graph_new(net->ctx, 1, &g), DFQ_OK);
    dfqi_id x = dfqi_graph_input(g, "x", 1, 3, (int64_t[]){3, SIDE, SIDE});
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, x, &taps);
    dfqi_graph_keep(g, taps.logits);
    ck_assert_msg(dfqi_exec_new(g, &e) == DFQ_OK, "%s", net->ctx->error);
    dfqi_exec_bind(e, x, images);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    memcpy(logits, dfqi_exec_data(e, taps.logits), CLASSES * sizeof *logits);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
}

/* _i: kernel 3 or 7, then what is said, 0: nothing. */
START_TEST(test_stem)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_TORCHVISION, WIDTH, 1, 1);
    float images[3 * SIDE * SIDE], map[SIDE * SIDE], logits[CLASSES];
    int32_t stem = _i % 5;
    dfqi_network net;
    a.image = dfqi_square(SIDE);
    a.classes = CLASSES;
    a.eps = 0;
    a.of.cnn.small = _i < 5;
    a.of.cnn.stem = stem;
    if (stem == 0) stem = a.of.cnn.small ? DFQ_STEM_STRIDE1 : DFQ_STEM_STRIDE2_POOL;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    fill(&net);
    for (int i = 0; i < 3 * SIDE * SIDE; i++) images[i] = (float)sin(0.7 * i);
    compute(&net, images, logits);
    const float *w = dfqi_tensor_f32(dfqi_network_find(&net, "conv1.weight"));
    const float *fc = dfqi_tensor_f32(dfqi_network_find(&net, "fc.weight"));
    const float *bias = dfqi_tensor_f32(dfqi_network_find(&net, "fc.bias"));
    double mean[WIDTH];
    int64_t stride = stem >= DFQ_STEM_STRIDE2 ? 2 : 1, n = (SIDE + stride - 1) / stride;
    for (int64_t m = 0; m < WIDTH; m++) {
        convolve(images, w, a.of.cnn.small ? 3 : 7, stride, m, map);
        mean[m] = mean_behind(map, n, stem % 2 == 0);
    }
    for (int c = 0; c < CLASSES; c++) {
        double want = (double)bias[c];
        for (int m = 0; m < WIDTH; m++) want += mean[m] * (double)fc[c * WIDTH + m];
        ck_assert_double_eq_tol((double)logits[c], want, 1e-5);
    }
    dfqi_network_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* The stem belongs to what two networks must share, and to a network's fingerprint. */
START_TEST(test_stem_counts)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_TORCHVISION, WIDTH, 1, 1);
    dfqi_network one, two;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &one), DFQ_OK);
    a.of.cnn.stem = DFQ_STEM_STRIDE2;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &two), DFQ_OK);
    ck_assert_int_eq(dfqi_network_need_alike(ctx, &one, &two), DFQ_E_SHAPE);
    ck_assert(dfqi_network_hash(&one) != dfqi_network_hash(&two));
    dfqi_network_fini(&one);
    dfqi_network_fini(&two);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_stem_case(void)
{
    TCase *c = tcase_create("stem");
    tcase_add_loop_test(c, test_stem, 0, 10);
    tcase_add_test(c, test_stem_counts);
    return c;
}
