/* Networks with many weights: images go through the large layers together, through the others one
 * after the other, and nobody can tell. */
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "nn/cnn.h"
#include "runtime/cases.h"
#include "runtime/program_priv.h"
#include "runtime/runtime_priv.h"

enum { IMAGES = 7, SIDE = 64, CLASSES = 10 };

/* ResNet-18 with random weights, small images. */
static dfq_graph *resnet18(dfq_context *ctx)
{
    dfqi_arch a = {.family = DFQI_FAMILY_RESNET,
                   .name = "resnet18",
                   .image = {SIDE, SIDE},
                   .channels = 3,
                   .classes = CLASSES,
                   .eps = 1e-5f,
                   .std = {1.0f, 1.0f, 1.0f},
                   .resize = {SIDE, SIDE}};
    dfqi_network n;
    dfq_graph *g;
    a.of.cnn = (dfqi_cnn_arch){.keys = DFQI_KEYS_TORCHVISION, .width = 64, .units = {2, 2, 2, 2}};
    OK(ctx, dfqi_network_new(ctx, &a, &n));
    dfqi_network_init(&n, 1);
    OK(ctx, dfqi_model_new(&n, NULL, &g));
    return g;
}

static dfq_graph *quantized(dfq_graph *g, const dfq_tensor *images)
{
    dfq_quantize_options q;
    dfq_graph *low;
    dfq_quantize_options_init(&q, sizeof q);
    q.weight_bits = q.act_bits = 8;
    q.rounding = DFQ_ROUNDING_NEAREST;
    OK(g->ctx, dfq_graph_quantize(g, images, &q, &low));
    return low;
}

static dfq_tensor *noise(dfq_context *ctx)
{
    dfq_tensor *x;
    dfqi_rng r = dfqi_rng_make(1, 1);
    OK(ctx, dfqi_tensor_new(ctx, DFQI_F32, 4, (const int64_t[]){IMAGES, 3, SIDE, SIDE}, &x));
    for (int64_t i = 0; i < dfqi_tensor_count(x); i++)
        dfqi_tensor_f32(x)[i] = dfqi_rng_range(&r, -2.0f, 2.0f);
    return x;
}

/* A value between two groups, and one within. */
static const char *const probes[] = {"layer2.0", "layer4.0.bn2.input"};

/* Logits and probes of all images, `batch` at a time. */
static void run_all(dfq_runtime *rt, const dfq_tensor *x, int64_t batch, float *logits,
                    float *probed[2])
{
    for (int64_t i = 0; i < IMAGES; i += batch) {
        const int64_t n = i + batch < IMAGES ? batch : IMAGES - i;
        dfqt_run_images(rt, x, i, n, logits + i * CLASSES);
        for (int32_t k = 0; k < 2; k++) {
            dfq_runtime_output o = {.struct_size = sizeof o};
            OK(x->ctx, dfq_runtime_get_output(rt, k + 1, &o));
            const int64_t floats = o.dims[1] * o.dims[2] * o.dims[3];
            memcpy(probed[k] + i * floats, o.data, (size_t)(n * floats) * sizeof(float));
        }
    }
}

/* _i: quantized; and one more than the threads */
START_TEST(test_groups)
{
    static float logits[2][IMAGES * CLASSES], values[2][2][IMAGES * 512 * 8 * 8];
    dfq_context *ctx = dfqt_context(_i / 2 + 1);
    dfq_graph *net = resnet18(ctx);
    dfq_tensor *x = noise(ctx);
    dfq_graph *g = _i % 2 ? quantized(net, x) : net;
    dfq_runtime *rt = dfqt_runtime(g, IMAGES, 2, probes);
    int32_t groups = 0;
    ck_assert_int_gt(rt->p->slice, rt->p->near);
    for (int32_t i = 0; i < rt->p->n_segments; i = rt->p->segments[i].group_end) groups++;
    ck_assert_int_gt(groups, 2);
    for (int64_t batch = 1; batch <= IMAGES; batch += 3) { /* 1, 4, 7 */
        const int later = batch > 1;
        run_all(rt, x, batch, logits[later], (float *[]){values[later][0], values[later][1]});
        ck_assert_int_eq(memcmp(logits[later], logits[0], sizeof logits[0]), 0);
        ck_assert_int_eq(memcmp(values[later], values[0], sizeof values[0]), 0);
    }
    dfq_runtime_release(rt);
    if (g != net) dfqi_model_release(g);
    dfqi_model_release(net);
    dfqi_tensor_release(x);
    dfqi_context_release(ctx);
}
END_TEST

/* One image, whose convolutions threads share: those of MobileNetV2 have many channels. */
START_TEST(test_one_image)
{
    static float logits[2][1000];
    dfq_context *ctx = dfqt_context(3);
    dfq_graph *net = dfqt_family(ctx, DFQI_FAMILY_MOBILENET);
    dfq_tensor *x = dfqt_family_images(net, 2);
    dfq_graph *g = quantized(net, x);
    dfq_runtime *rt = dfqt_runtime(g, 1, 0, NULL);
    for (int32_t threads = 1; threads <= 3; threads++) {
        OK(ctx, dfq_context_set_threads(ctx, threads));
        dfqt_run_images(rt, x, 1, 1, logits[threads > 1]);
        ck_assert(threads == 1 || memcmp(logits[1], logits[0], sizeof logits[0]) == 0);
    }
    dfq_runtime_release(rt);
    dfqi_model_release(g);
    dfqi_model_release(net);
    dfqi_tensor_release(x);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_groups_case(void)
{
    TCase *c = tcase_create("groups");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_groups, 0, 4);
    tcase_add_test(c, test_one_image);
    return c;
}
