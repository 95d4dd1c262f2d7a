/* Inputs that are no squares: images are made for them, networks quantized, tuned, written, read,
 * run, and exported. */
#include <dfq/dfq.h>

#include <math.h>
#include <string.h>

#include "runtime/cases.h"

enum { IMAGES = 3, CLASSES = 1000 };

static const struct oblong {
    dfqi_family family;
    int32_t kind; /* DFQ_SYNTHESIZER_* */
    int32_t act_scale;
} oblongs[] = {{DFQI_FAMILY_VIT, DFQ_SYNTHESIZER_ATTENTION, DFQ_ACT_SCALE_ROW},
               {DFQI_FAMILY_VIT, DFQ_SYNTHESIZER_LEAVES, DFQ_ACT_SCALE_TENSOR},
               {DFQI_FAMILY_SWIN, DFQ_SYNTHESIZER_ATTENTION, DFQ_ACT_SCALE_ROW},
               {DFQI_FAMILY_RESNET, DFQ_SYNTHESIZER_BNS, DFQ_ACT_SCALE_AUTO},
               {DFQI_FAMILY_RESNET, DFQ_SYNTHESIZER_GDFQ, DFQ_ACT_SCALE_AUTO},
               {DFQI_FAMILY_EFFICIENTNET, DFQ_SYNTHESIZER_ARC, DFQ_ACT_SCALE_AUTO}};

static dfq_tensor *synthesize(const dfq_graph *g, int32_t kind)
{
    dfq_synthesizer_options o;
    dfq_synthesizer *s;
    dfq_tensor *x;
    dfq_synthesizer_options_init(&o, sizeof o, kind, DFQ_MODE_IMPROVED, g);
    o.images = o.batch = IMAGES;
    o.iterations = 2;
    OK(g->ctx, dfq_synthesizer_create(g, &o, &s));
    OK(g->ctx, dfq_synthesizer_run(s));
    OK(g->ctx, dfq_synthesizer_get_images(s, &x));
    dfq_synthesizer_release(s);
    return x;
}

static dfq_graph *quantize(const dfq_graph *g, const dfq_tensor *x, int32_t act_scale)
{
    dfq_quantize_options o;
    dfq_tuner_options t;
    dfq_tuner *tuner;
    dfq_graph *low;
    dfq_quantize_options_init(&o, sizeof o);
    o.act_scale = act_scale;
    OK(g->ctx, dfq_graph_quantize(g, x, &o, &low));
    dfq_tuner_options_init(
        &t, sizeof t, dfqi_arch_is_cnn(&g->net.arch) ? DFQ_RECIPE_AIT : DFQ_RECIPE_MIMIQ, g, 2);
    t.batch = 2;
    t.augment = act_scale == DFQ_ACT_SCALE_ROW ? DFQ_AUGMENT_SYNTHETIC : DFQ_AUGMENT_FULL;
    OK(g->ctx, dfq_tuner_create(g, low, x, &t, &tuner));
    OK(g->ctx, dfq_tuner_run(tuner));
    dfq_tuner_release(tuner);
    return low;
}

static dfq_graph *read_back(const dfq_graph *g)
{
    dfq_tensor *bytes;
    dfq_graph *again;
    OK(g->ctx, dfq_graph_save_to_memory(g, 0, &bytes));
    OK(g->ctx, dfq_graph_load_from_memory(g->ctx, dfq_tensor_get_data(bytes),
                                          dfq_tensor_get_bytes(bytes), NULL, &again));
    dfq_tensor_release(bytes);
    return again;
}

/* The sizes that a graph and its runtime tell, and the same logits of both, but for the last bits
 * where scales are static. */
static void compare_runtime(const dfq_graph *g, const dfq_tensor *x, const float *want)
{
    dfq_runtime_info r = {.struct_size = sizeof r};
    dfq_graph_info i = {.struct_size = sizeof i};
    const int64_t classes = g->net.arch.classes;
    float have[IMAGES * CLASSES];
    dfq_runtime *rt = dfqt_runtime(g, 2, 0, NULL);
    OK(g->ctx, dfq_runtime_get_info(rt, &r));
    OK(g->ctx, dfq_graph_get_info(g, &i));
    ck_assert(i.image_height == x->dims[2] && i.image_width == x->dims[3] && i.image == x->dims[3]);
    ck_assert(r.image_height == x->dims[2] && r.image_width == x->dims[3] && r.image == x->dims[3]);
    dfqt_run_images(rt, x, 0, 2, have);
    dfqt_run_images(rt, x, 2, 1, have + 2 * classes);
    if (!i.quantized || i.act_scale == DFQ_ACT_SCALE_ROW)
        ck_assert_mem_eq(have, want, (size_t)(IMAGES * classes) * sizeof *have);
    for (int64_t k = 0; k < IMAGES * classes; k++)
        ck_assert_msg(fabsf(have[k] - want[k]) < 0.2f, "%g and %g", (double)have[k],
                      (double)want[k]);
    dfq_runtime_release(rt);
}

/* The ONNX file of a network, read as a network. */
static void compare_export(const dfq_graph *g, const dfq_tensor *x, const float *want)
{
    dfq_tensor *bytes, *z;
    dfq_graph *again;
    OK(g->ctx, dfq_graph_export_to_memory(g, NULL, &bytes, NULL));
    OK(g->ctx, dfq_graph_load_from_memory(g->ctx, dfq_tensor_get_data(bytes),
                                          dfq_tensor_get_bytes(bytes), NULL, &again));
    z = dfqt_forward(again, x);
    for (int64_t k = 0; k < dfqi_tensor_count(z); k++)
        ck_assert_float_eq_tol(dfqi_tensor_f32(z)[k], want[k], 1e-4f);
    dfq_tensor_release(z);
    dfq_tensor_release(bytes);
    dfq_graph_release(again);
}

START_TEST(test_every_step)
{
    const struct oblong *o = &oblongs[_i];
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = dfqt_family(ctx, DFQT_OBLONG + (int)o->family);
    const dfqi_arch *a = &g->net.arch;
    ck_assert_int_lt(a->image.height, a->image.width);
    dfq_tensor *x = synthesize(g, o->kind), *z = dfqt_forward(g, x);
    ck_assert(x->dims[2] == a->image.height && x->dims[3] == a->image.width);
    compare_runtime(g, x, dfqi_tensor_f32(z));
    compare_export(g, x, dfqi_tensor_f32(z));
    dfq_tensor_release(z);
    dfq_graph *low = quantize(g, x, o->act_scale), *again = read_back(low);
    z = dfqt_forward(low, x);
    dfq_tensor *same = dfqt_forward(again, x);
    ck_assert_mem_eq(dfqi_tensor_f32(same), dfqi_tensor_f32(z),
                     (size_t)dfqi_tensor_count(z) * sizeof(float));
    compare_runtime(again, x, dfqi_tensor_f32(z));
    dfq_tensor_release(same);
    dfq_tensor_release(z);
    dfq_tensor_release(x);
    dfq_graph_release(again);
    dfq_graph_release(low);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Bytes of a picture lie as rows of the input's width. */
START_TEST(test_pixels)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQT_OBLONG + DFQI_FAMILY_RESNET);
    const dfqi_size size = g->net.arch.image;
    dfq_tensor *x = dfqt_family_images(g, 1);
    dfq_runtime *rt = dfqt_runtime(g, 1, 0, NULL);
    dfq_runtime_input in;
    const int64_t plane = dfqi_area(size);
    uint8_t bytes[3 * 64 * 64];
    float have[CLASSES];
    ck_assert_int_le(plane, 64 * 64);
    for (int64_t i = 0; i < 3 * plane; i++) bytes[i] = (uint8_t)(i * 37 % 251);
    for (int64_t i = 0; i < 3 * plane; i++) {
        const int64_t c = i / plane;
        dfqi_tensor_f32(x)[i] =
            ((float)bytes[i % plane * 3 + c] / 255.0f - g->net.arch.mean[c]) / g->net.arch.std[c];
    }
    dfq_runtime_input_init(&in, sizeof in, rt);
    ck_assert(in.height == size.height && in.width == size.width);
    in.data = bytes;
    OK(ctx, dfq_runtime_run(rt, &in, have, CLASSES));
    dfq_tensor *z = dfqt_forward(g, x);
    ck_assert_mem_eq(have, dfqi_tensor_f32(z), (size_t)g->net.arch.classes * sizeof *have);
    in.height = size.width;
    in.width = size.height;
    ck_assert_int_eq(dfq_runtime_run(rt, &in, have, CLASSES), DFQ_E_SHAPE);
    dfq_tensor_release(z);
    dfq_tensor_release(x);
    dfq_runtime_release(rt);
    dfq_graph_release(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_oblong_case(void)
{
    TCase *c = tcase_create("oblong");
    tcase_add_loop_test(c, test_every_step, 0, sizeof oblongs / sizeof *oblongs);
    tcase_add_test(c, test_pixels);
    return c;
}
