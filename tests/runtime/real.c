/* Real networks, the embedded one and others where their files are there: the runtime has the bits
 * of the graph, or tells the same classes. */
#include <string.h>

#include "quant/evaluate.h"
#include "runtime/cases.h"
#include "support/path.h"

/* Images first .. first + n - 1 of a data set as the network wants them; `at` is its folder or
 * file. */
static dfq_tensor *images_of(const dfq_graph *g, const char *at, int64_t first, int64_t n)
{
    dfq_dataset *d;
    dfq_tensor *x;
    OK(g->ctx, dfq_dataset_open(g->ctx, at, 0, &d));
    OK(g->ctx, dfq_dataset_get_batch(d, g, first, n, &x));
    dfq_dataset_release(d);
    return x;
}

static dfq_graph *load(dfq_context *ctx, const char *path)
{
    dfq_load_options o;
    dfq_graph *g;
    dfq_load_options_init(&o, sizeof o);
    o.resize = -1;
    OK(ctx, dfq_graph_load_with(ctx, path, &o, &g));
    return g;
}

/* ViT-Tiny as it is, and with 4 bits and grids of rows: every bit of the logits. */
START_TEST(test_vit_tiny)
{
    enum { IMAGES = 3, CLASSES = 1000 };
    char model[400], labels[400];
    dfqt_asset("models/vit_tiny_patch16_224.safetensors", model, sizeof model);
    dfqt_asset("data/imagenet_val_650/labels.csv", labels, sizeof labels);
    *strrchr(labels, '/') = '\0';
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = load(ctx, model), *low = NULL;
    dfq_tensor *x = images_of(g, labels, 7, IMAGES);
    if (_i == 1) {
        dfq_quantize_options o;
        dfq_quantize_options_init(&o, sizeof o);
        o.rounding = DFQ_ROUNDING_NEAREST;
        OK(ctx, dfq_graph_quantize(g, NULL, &o, &low));
    }
    dfq_tensor *z = dfqt_forward(low ? low : g, x);
    dfq_runtime *rt = dfqt_runtime(low ? low : g, IMAGES, 0, NULL);
    static float logits[IMAGES * CLASSES];
    dfqt_run_images(rt, x, 0, IMAGES, logits);
    ck_assert(memcmp(logits, z->data, sizeof logits) == 0);
    dfq_runtime_release(rt);
    dfqi_tensor_release(x);
    dfqi_tensor_release(z);
    dfqi_model_release(low);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Of two sets of logits, how many images have another class. */
static int32_t other_classes(const float *a, const float *b, int64_t images, int64_t classes)
{
    int32_t differ = 0;
    for (int64_t i = 0; i < images; i++)
        differ +=
            dfqi_best_class(a + i * classes, classes) != dfqi_best_class(b + i * classes, classes);
    return differ;
}

/* The embedded network with grids of rows and static ones (_i 1), 4 and 8 bits: every bit, or the
 * classes. Its images are noise, so that the classes of some lie close together. */
START_TEST(test_embedded)
{
    enum { IMAGES = 24, CLASSES = 10 };
    char model[400];
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "../../examples/figures_vit.safetensors",
                                    model, sizeof model));
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = load(ctx, model), *low;
    dfq_tensor *x = dfqt_family_images(g, IMAGES);
    ck_assert_int_eq(g->net.arch.classes, CLASSES);
    for (int32_t bits = 4; bits <= 8; bits += 4) {
        dfq_quantize_options o;
        dfq_quantize_options_init(&o, sizeof o);
        o.weight_bits = o.act_bits = bits;
        o.act_scale = _i ? DFQ_ACT_SCALE_TENSOR : DFQ_ACT_SCALE_ROW;
        o.rounding = DFQ_ROUNDING_NEAREST;
        OK(ctx, dfq_graph_quantize(g, x, &o, &low));
        dfq_tensor *z = dfqt_forward(low, x);
        dfq_runtime *rt = dfqt_runtime(low, IMAGES, 0, NULL);
        static float logits[IMAGES * CLASSES];
        dfqt_run_images(rt, x, 0, IMAGES, logits);
        ck_assert(_i || memcmp(logits, z->data, sizeof logits) == 0);
        ck_assert_int_le(other_classes(logits, dfqi_tensor_f32(z), IMAGES, CLASSES), 1);
        dfq_runtime_release(rt);
        dfqi_tensor_release(z);
        dfqi_model_release(low);
    }
    dfqi_tensor_release(x);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* ResNet-20 with static grids of 4 and 8 bits: the classes of 200 images, but for one. */
START_TEST(test_resnet20)
{
    enum { IMAGES = 200, CLASSES = 10 };
    char model[400], data[400];
    dfqt_asset("models/resnet20_cifar10.safetensors", model, sizeof model);
    dfqt_asset("data/cifar10/test_1000.bin", data, sizeof data);
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = load(ctx, model), *low;
    dfq_tensor *some = images_of(g, data, 900, 16), *x = images_of(g, data, 0, IMAGES);
    dfq_quantize_options o;
    dfq_quantize_options_init(&o, sizeof o);
    o.weight_bits = o.act_bits = _i;
    o.rounding = DFQ_ROUNDING_NEAREST;
    OK(ctx, dfq_graph_quantize(g, some, &o, &low));
    dfq_tensor *z = dfqt_forward(low, x);
    dfq_runtime *rt = dfqt_runtime(low, IMAGES, 0, NULL);
    static float logits[IMAGES * CLASSES];
    dfqt_run_images(rt, x, 0, IMAGES, logits);
    ck_assert_int_le(other_classes(logits, dfqi_tensor_f32(z), IMAGES, CLASSES), 1);
    dfq_runtime_release(rt);
    dfqi_tensor_release(some);
    dfqi_tensor_release(x);
    dfqi_tensor_release(z);
    dfqi_model_release(low);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_real_case(void)
{
    TCase *c = tcase_create("real");
    tcase_set_tags(c, "slow");
    tcase_add_loop_test(c, test_vit_tiny, 0, 2);
    tcase_add_loop_test(c, test_embedded, 0, 2);
    tcase_add_loop_test(c, test_resnet20, 4, 5);
    tcase_add_loop_test(c, test_resnet20, 8, 9);
    return c;
}
