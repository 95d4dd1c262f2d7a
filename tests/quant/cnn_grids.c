/* Static grids of convolutional networks: folded BatchNorms, and the error search against all
 * candidates. */
#include "quant/cnn_grids.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "quant/fold_batchnorm.h"
#include "support/suite.h"

/* -- folding ----------------------------------------------------------------------------------- */

/* Norms as after training: any gain, also negative ones, and statistics of their own. */
static void fill_norms(dfqi_network *net)
{
    dfqi_rng r = dfqi_rng_make(8, 1);
    for (int32_t i = 0; i < 5 * dfqi_arch_norms(&net->arch); i++) {
        float *v = dfqi_tensor_f32(net->params[i].tensor);
        for (int64_t k = 0, n = dfqi_tensor_count(net->params[i].tensor); k < n && i % 5; k++)
            v[k] = i % 5 == 4   ? dfqi_rng_range(&r, 0.2f, 4.0f)
                   : i % 5 == 1 ? dfqi_rng_range(&r, -0.5f, 1.5f)
                                : dfqi_rng_range(&r, -0.3f, 0.3f);
    }
}

/* The largest difference of the logits of two networks, relative to the largest logit. */
static double distance(const dfqi_model *a, const dfqi_model *b, const float *x, int64_t n)
{
    int64_t count = n * a->net.arch.classes;
    float *z = calloc(2 * (size_t)count, sizeof *z), *y = z + count;
    double worst = 0, largest = 0;
    ck_assert_msg(dfqi_model_logits(a, x, n, z) == DFQ_OK, "%s", a->ctx->error);
    ck_assert_msg(dfqi_model_logits(b, x, n, y) == DFQ_OK, "%s", a->ctx->error);
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)z[i]));
        worst = fmax(worst, fabs((double)z[i] - (double)y[i]));
    }
    free(z);
    return worst / largest;
}

static dfqi_model *folded_copy(const dfqi_model *m)
{
    dfqi_network net;
    dfqi_model *out;
    ck_assert_int_eq(dfqi_network_clone(&m->net, &net), DFQ_OK);
    dfqi_fold_batchnorm(&net);
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &out), DFQ_OK);
    return out;
}

/* Gain 1 exactly, no mean; and folding what is folded changes no bit. */
static void check_norms(const dfqi_model *m)
{
    dfqi_model *twice = folded_copy(m);
    for (int32_t i = 0; i < dfqi_arch_norms(&m->net.arch); i++) {
        const dfqi_param *p = m->net.params + 5 * i;
        for (int64_t r = 0; r < p[0].tensor->dims[0]; r++) {
            ck_assert(dfqi_tensor_f32(p[1].tensor)[r] == 1 && dfqi_tensor_f32(p[3].tensor)[r] == 0);
            ck_assert(dfqi_tensor_f32(p[4].tensor)[r] + m->net.arch.eps == 1.0f);
        }
        ck_assert_ptr_eq(dfqi_bias_of(&m->net, p[0].name), p[2].tensor);
    }
    ck_assert_int_eq(dfqi_model_hash(m) == dfqi_model_hash(twice), 1);
    dfqi_model_release(twice);
}

START_TEST(test_fold)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *m = dfqt_family(ctx, _i);
    dfq_tensor *x = dfqt_family_images(m, 3);
    fill_norms(&m->net);
    dfqi_model *f = folded_copy(m);
    ck_assert_double_lt(distance(m, f, dfqi_tensor_f32(x), 3), 1e-5);
    check_norms(f);
    dfqi_tensor_release(x);
    dfqi_model_release(m);
    dfqi_model_release(f);
    dfqi_context_release(ctx);
}
END_TEST

/* The bias of a linear layer is its own; a convolution as a classifier has none. */
START_TEST(test_bias)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *m = dfqt_family(ctx, DFQI_FAMILY_RESNET);
    ck_assert_ptr_eq(dfqi_bias_of(&m->net, "linear.weight"),
                     dfqi_network_find(&m->net, "linear.bias"));
    ck_assert_ptr_eq(dfqi_bias_of(&m->net, "output.weight"), NULL);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_fold_resnet20)
{
    enum { N = 8 };
    char path[512];
    static float x[N * 3 * 32 * 32];
    dfqi_model *m;
    dfqt_asset("models/resnet20_cifar10.safetensors", path, sizeof path);
    dfq_context *ctx = dfqt_context(2);
    for (int i = 0; i < N * 3 * 32 * 32; i++) x[i] = (float)sin(0.01 * i);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &m) == DFQ_OK, "%s", ctx->error);
    dfqi_model *f = folded_copy(m);
    ck_assert_double_lt(distance(m, f, x, N), 1e-5);
    check_norms(f);
    dfqi_model_release(m);
    dfqi_model_release(f);
    dfqi_context_release(ctx);
}
END_TEST

/* Networks that are quantized on images have folded norms. */
START_TEST(test_quantized_are_folded)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *m = dfqt_family(ctx, _i);
    fill_norms(&m->net);
    dfq_graph *low = dfqt_family_low(m);
    for (int32_t i = 0; i < dfqi_arch_norms(&low->net.arch); i++) {
        const dfqi_param *p = low->net.params + 5 * i;
        for (int64_t r = 0; r < p[0].tensor->dims[0]; r++)
            ck_assert(dfqi_tensor_f32(p[1].tensor)[r] == 1 && dfqi_tensor_f32(p[3].tensor)[r] == 0);
    }
    dfqi_model_release(low);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* -- search ------------------------------------------------------------------------------------ */

typedef struct scene {
    dfq_context *ctx;
    dfq_graph *m;
    dfq_tensor *x;
    dfqi_network net;
    dfqi_scheme s;
} scene;

static scene begin(int64_t images, int32_t bits)
{
    scene a = {.ctx = dfqt_context(2)};
    a.m = dfqt_family(a.ctx, DFQI_FAMILY_RESNET);
    fill_norms(&a.m->net);
    a.x = dfqt_family_images(a.m, images);
    ck_assert_int_eq(dfqi_network_clone(&a.m->net, &a.net), DFQ_OK);
    ck_assert_int_eq(
        dfqi_scheme_new(&a.m->net, DFQI_MODE_IMPROVED, (dfqi_widths){bits, bits, 0}, &a.s), DFQ_OK);
    return a;
}

static dfq_status calibrate(scene *a)
{
    return dfqi_scheme_calibrate(&a->s, &a->m->net, &a->net, dfqi_tensor_f32(a->x), a->x->dims[0]);
}

static void end(scene *a)
{
    dfqi_scheme_fini(&a->s);
    dfqi_network_fini(&a->net);
    dfqi_tensor_release(a->x);
    dfqi_model_release(a->m);
    dfqi_context_release(a->ctx);
}

/* The outputs of the first ReLU of the float network, by hand: a 3x3 convolution of stride 1 with
 * its folded bias. */
static float *first_outputs(const scene *a, int64_t *out_n)
{
    dfqi_model *folded = folded_copy(a->m);
    const float *w = dfqi_tensor_f32(dfqi_network_find(&folded->net, "conv1.weight"));
    const float *bias = dfqi_tensor_f32(dfqi_network_find(&folded->net, "bn1.bias"));
    int64_t n = a->x->dims[0], side = a->m->net.arch.image.height, out = 8, at = 0;
    float *y = calloc((size_t)(n * out * side * side), sizeof *y);
    for (int64_t b = 0; b < n; b++)
        for (int64_t o = 0; o < out; o++)
            for (int64_t p = 0; p < side * side; p++) {
                double sum = (double)bias[o];
                for (int64_t k = 0; k < 27; k++) {
                    int64_t r = p / side + k % 9 / 3 - 1, c = p % side + k % 3 - 1;
                    if (r < 0 || r >= side || c < 0 || c >= side) continue;
                    sum += (double)w[o * 27 + k] *
                           dfqi_tensor_f32(a->x)[((b * 3 + k / 9) * side + r) * side + c];
                }
                y[at++] = fmaxf(0, (float)sum);
            }
    dfqi_model_release(folded);
    *out_n = at;
    return y;
}

/* The chosen scale is that of 60 fractions of the largest value with the least error. */
START_TEST(test_activation)
{
    scene a = begin(6, 2 + _i);
    int64_t n;
    double best = INFINITY, chosen = 0;
    ck_assert_msg(calibrate(&a) == DFQ_OK, "%s", a.ctx->error);
    const dfqi_site *site = dfqi_scheme_find(&a.s, "conv1.relu.output");
    float *y = first_outputs(&a, &n), top = 0, have = *dfqi_tensor_f32(site->scale);
    for (int64_t i = 0; i < n; i++) top = fmaxf(top, y[i]);
    for (int f = -1; f < 60; f++) {
        float s = f < 0 ? have : top * (0.15f + 0.85f * (float)f / 59.0f) / site->qmax;
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += pow((double)y[i] - (double)(s * fminf(site->qmax, rintf(y[i] / s))), 2);
        if (f < 0) chosen = sum;
        best = fmin(best, sum);
    }
    ck_assert(site->qmin == 0 && site->qmax == ldexpf(1, 2 + _i) - 1 && !site->zero_point);
    ck_assert_double_le(chosen, 1.0001 * best);
    if (_i == 0) ck_assert(have < 0.9f * top / site->qmax); /* at 2 bits clipping pays */
    free(y);
    end(&a);
}
END_TEST

/* A layer that never fires has zeros alone, for which any step does. */
START_TEST(test_dead_layer)
{
    scene a = begin(2, 4);
    float *beta = dfqi_tensor_f32(dfqi_network_find(&a.net, "bn1.bias"));
    for (int c = 0; c < 8; c++) beta[c] = -1e6f;
    ck_assert_msg(calibrate(&a) == DFQ_OK, "%s", a.ctx->error);
    ck_assert(*dfqi_tensor_f32(dfqi_scheme_find(&a.s, "conv1.relu.output")->scale) == 1.0f);
    end(&a);
}
END_TEST

/* One value that is not finite, which the sample may miss. */
START_TEST(test_not_finite)
{
    scene a = begin(64, 4);
    dfqi_tensor_f32(a.x)[1234] = _i ? INFINITY : NAN;
    ck_assert_int_eq(calibrate(&a), DFQ_E_NUMERIC);
    ck_assert_str_eq(a.ctx->error, "conv1.relu.output is not finite on these images; check the "
                                   "images and the weights");
    end(&a);
}
END_TEST

TCase *dfqt_cnn_grids_case(void)
{
    TCase *c = tcase_create("cnn_grids");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_fold, DFQI_FAMILY_RESNET, DFQI_FAMILY_MBCONV + 1);
    tcase_add_loop_test(c, test_quantized_are_folded, DFQI_FAMILY_RESNET, DFQI_FAMILY_MBCONV + 1);
    tcase_add_test(c, test_bias);
    tcase_add_test(c, test_fold_resnet20);
    tcase_add_loop_test(c, test_activation, 0, 4);
    tcase_add_test(c, test_dead_layer);
    tcase_add_loop_test(c, test_not_finite, 0, 2);
    return c;
}
