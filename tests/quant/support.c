/* A small network, its images and its students. */
#include <dfq/quantizer.h>
#include <string.h>

#include "base/rng.h"
#include "exchange/import.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "support/path.h"
#include "support/small_vit.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context_options o = {.struct_size = sizeof o, .threads = threads};
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static void fill(const dfqi_network *net)
{
    dfqi_rng r = dfqi_rng_make(21, 1);
    for (int32_t i = 0; i < net->n_params; i++) {
        dfq_tensor *t = net->params[i].tensor;
        float *w = dfqi_tensor_f32(t);
        int64_t n = dfqi_tensor_count(t);
        int norm = strstr(net->params[i].name, "norm") && strstr(net->params[i].name, "weight");
        dfqi_rng_fill_normal(&r, w, (size_t)n);
        for (int64_t k = 0; k < n; k++) w[k] = norm ? 1.0f + 0.1f * w[k] : 0.2f * w[k];
    }
}

dfq_status dfqt_teacher(dfq_context *ctx, dfqi_model **out)
{
    return dfqt_teacher_with(ctx, 40, out);
}

dfq_status dfqt_teacher_with(dfq_context *ctx, int64_t hidden, dfqi_model **out)
{
    dfqi_arch a = dfqt_small_vit(DFQT_CLASSES, hidden);
    dfqi_network net;
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    fill(&net);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    if (status != DFQ_OK) dfqi_network_fini(&net);
    return status;
}

void dfqt_images(float *x)
{
    dfqi_rng r = dfqi_rng_make(22, 1);
    for (int i = 0; i < DFQT_IMAGES * DFQT_IMAGE; i++) x[i] = dfqi_rng_range(&r, -1.0f, 1.0f);
}

dfq_status dfqt_quantize(const dfqi_model *teacher, dfqi_mode mode, int32_t weight_bits,
                         int32_t act_bits, dfqi_model **out)
{
    dfqi_widths widths = {weight_bits, act_bits, 0};
    return dfqt_quantize_with(teacher, mode, widths,
                              (dfqi_grids){.weight_grid = DFQI_WEIGHT_GRID_AUTO}, out);
}

dfq_status dfqt_quantize_with(const dfqi_model *teacher, dfqi_mode mode, dfqi_widths widths,
                              dfqi_grids grids, dfqi_model **out)
{
    static float x[DFQT_IMAGES * DFQT_IMAGE];
    dfqi_scheme scheme = {0};
    dfqi_network net = {0};
    dfq_status status;
    dfqt_images(x);
    DFQI_GOTO(dfqi_scheme_new_with(&teacher->net, mode, widths, grids, &scheme), out);
    DFQI_GOTO(dfqi_scheme_group_weights(&teacher->net, false, &scheme), out);
    DFQI_GOTO(dfqi_network_clone(&teacher->net, &net), out);
    DFQI_GOTO(dfqi_scheme_calibrate(&scheme, &teacher->net, &net, x, DFQT_IMAGES), out);
    status = dfqi_model_new(&net, &scheme, out);
out:
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&net);
    return status;
}

void dfqt_logits(const dfqi_model *m, float *z)
{
    static float x[DFQT_IMAGES * DFQT_IMAGE];
    dfqt_images(x);
    ck_assert_msg(dfqi_model_logits(m, x, DFQT_IMAGES, z) == DFQ_OK, "%s", m->ctx->error);
}

/* -- one of each family ------------------------------------------------------------------------ */

enum { SMALL = 8 };

/* A small MobileNetV3: both activations, squeeze-and-excite, TensorFlow's padding. */
static void inverted(dfqi_arch *a)
{
    static const int8_t kernels[] = {3, 3, 5, 5, 5}, strides[] = {2, 2, 2, 1, 2};
    dfqi_inverted_arch *c = &a->of.inverted;
    memcpy(a->name, "mobilenetv3_small", 18);
    a->image = dfqi_square(32);
    *c = (dfqi_inverted_arch){.form = DFQI_INVERTED_MOBILENETV3_SMALL,
                              .staged = 1,
                              .same = 1,
                              .stem = 8,
                              .features = 16,
                              .hidden = 12,
                              .n_blocks = 5};
    for (int8_t s = 0; s < c->n_blocks; s++)
        c->blocks[s] = (dfqi_inverted_block){.in = 8,
                                             .mid = s ? 16 : 8,
                                             .out = 8,
                                             .squeeze = s == 1 ? 0 : 4,
                                             .kernel = kernels[s],
                                             .stride = strides[s],
                                             .expands = s > 0,
                                             .stage = s,
                                             .curved = s > 1};
}

static const dfqi_vit_arch vits[] = {
    {.registers = 1, .pooling = DFQI_VIT_TOKEN_DISTILLED},
    {.registers = 2,
     .pooling = DFQI_VIT_AVG,
     .activation = DFQI_VIT_SILU,
     .parts = DFQI_VIT_NO_CLASS | DFQI_VIT_FC_NORM | DFQI_VIT_GATED},
    {.registers = 1,
     .pooling = DFQI_VIT_TOKEN_AVG,
     .activation = DFQI_VIT_QUICK_GELU,
     .parts = DFQI_VIT_NORM_PRE | DFQI_VIT_QK_NORM},
};

/* A network of the number's family. */
static dfqi_arch square_of(int number)
{
    const int family = number >= DFQT_VIT_HEADS ? DFQI_FAMILY_VIT : number;
    static const dfqi_supernet_space mbconv = {.name = "tiny",
                                               .family = DFQI_SUPER_MBCONV,
                                               .image = SMALL,
                                               .classes = 3,
                                               .stem = 4,
                                               .first = 4,
                                               .head = 8,
                                               .n_stages = 2,
                                               .n_choices = 3,
                                               .stages = {{4, 2, 1}, {6, 1, 2}},
                                               .choices = {{3, 1}, {5, 4}, {3, 4}}};
    static const dfqi_supernet_space stages = {.name = "tiny transformer",
                                               .family = DFQI_SUPER_VIT,
                                               .n_stages = 3,
                                               .n_choices = 8,
                                               .image = SMALL,
                                               .classes = 3,
                                               .vit = {.patch = 4,
                                                       .tokens = 6,
                                                       .head = 3,
                                                       .optional = 1,
                                                       .width = {2, {4, 7}},
                                                       .depth = {2, {1, 2}},
                                                       .heads = {1, {2}},
                                                       .ratio = {2, {1, 2}}}};
    dfqi_arch a = {.family = (dfqi_family)family,
                   .name = "vit_random",
                   .image = {SMALL, SMALL},
                   .channels = 3,
                   .classes = 3,
                   .eps = family == DFQI_FAMILY_VIT ? 1e-6f : 1e-5f,
                   .mean = {0.5f, 0.5f, 0.5f},
                   .std = {0.5f, 0.25f, 0.5f}};
    if (number >= DFQT_VIT_HEADS) a.of.vit = vits[number - DFQT_VIT_HEADS];
    if (family == DFQI_FAMILY_VIT) {
        a.of.vit.patch = 4;
        a.of.vit.width = 12;
        a.of.vit.depth = 2;
        a.of.vit.heads = 3;
        a.of.vit.hidden = 16;
    }
    if (family == DFQI_FAMILY_RESNET) {
        memcpy(a.name, "resnet_test", 12);
        a.of.cnn = (dfqi_cnn_arch){
            .keys = DFQI_KEYS_AKAMASTER, .width = 8, .units = {1, 1}, .small = 1, .padded = 1};
    }
    if (family == DFQI_FAMILY_MOBILENET) {
        memcpy(a.name, "mobilenet_test", 15);
        a.image = dfqi_square(32);
        a.of.cnn.keys = DFQI_KEYS_TORCHVISION;
        a.classes = 1000;
    }
    if (family == DFQI_FAMILY_SWIN) { /* 5 x 5 tokens in padded windows of 3, then a window */
        memcpy(a.name, "swin_test", 10);
        a.image = dfqi_square(20);
        a.of.swin = (dfqi_swin_arch){.patch = 4,
                                     .width = 6,
                                     .hidden = 8,
                                     .stages = 2,
                                     .depth = {2, 1},
                                     .heads = {2, 3},
                                     .window = {{3, 3}, {3, 3}}};
    }
    if (family == DFQI_FAMILY_EFFICIENTNET) inverted(&a);
    if (family == DFQI_FAMILY_MBCONV || family == DFQI_FAMILY_STAGES) {
        dfqi_arch_derive(family == DFQI_FAMILY_MBCONV ? &mbconv : &stages,
                         family == DFQI_FAMILY_MBCONV ? (int32_t[]){1, 2, 0} : (int32_t[]){3, 8, 5},
                         &a);
        for (int c = 0; c < 3; c++) a.mean[c] = a.std[c] = 0.5f;
    }
    return a;
}

static dfqi_arch arch_of(int number)
{
    if (number < DFQT_OBLONG) return square_of(number);
    dfqi_arch a = square_of(number - DFQT_OBLONG);
    a.image.width += a.image.width / 2 / 4 * 4; /* Swin's map has then rows of windows alone */
    return a;
}

/* A network that PyTorch exported. */
static dfq_status import_cnn(dfq_context *ctx, dfq_graph **out)
{
    char path[512];
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "import_cnn_norms.onnx", path, sizeof path));
    return dfqi_import_load(ctx, path, NULL, out);
}

dfq_status dfqt_family_new(dfq_context *ctx, int family, dfq_graph **out)
{
    dfqi_arch a = arch_of(family);
    dfqi_network net;
    if (family == DFQI_FAMILY_IMPORTED) return import_cnn(ctx, out);
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    dfqi_network_init(&net, 5);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    dfqi_network_fini(&net);
    return status;
}

dfq_graph *dfqt_family(dfq_context *ctx, int family)
{
    dfq_graph *g;
    ck_assert_msg(dfqt_family_new(ctx, family, &g) == DFQ_OK, "%s", ctx->error);
    return g;
}

dfq_tensor *dfqt_family_images(const dfq_graph *g, int64_t n)
{
    dfqi_rng r = dfqi_rng_make(3, 1);
    dfq_tensor *x;
    const dfqi_size size = g->net.arch.image;
    ck_assert_int_eq(
        dfqi_tensor_new(g->ctx, DFQI_F32, 4, (int64_t[]){n, 3, size.height, size.width}, &x),
        DFQ_OK);
    for (int64_t i = 0; i < dfqi_tensor_count(x); i++)
        dfqi_tensor_f32(x)[i] = dfqi_rng_range(&r, -1.0f, 1.0f);
    return x;
}

dfq_graph *dfqt_family_low(const dfq_graph *g)
{
    dfq_tensor *x = dfqt_family_images(g, 4);
    dfq_graph *low;
    ck_assert_msg(dfq_graph_quantize(g, x, NULL, &low) == DFQ_OK, "%s", g->ctx->error);
    dfq_tensor_release(x);
    return low;
}
