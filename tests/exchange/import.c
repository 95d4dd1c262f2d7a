/* ONNX files read: those that PyTorch's exporters wrote (tests/golden/make_onnx.py), those that
 * this library writes, and what is refused (tests/fuzz/make_corpus.py). */
#include <dfq/graph.h>
#include <dfq/runtime.h>
#include <math.h>
#include <string.h>

#include "exchange/cases.h"
#include "exchange/import.h"
#include "io/safetensors.h"
#include "nn/rotate.h"
#include "nn/structure.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "support/fail_alloc.h"
#include "support/path.h"

enum { IMAGES = 3, SIDE = 32, PIXELS = 3 * SIDE * SIDE, CLASSES = 10 };

static const struct golden {
    const char *name;
    int32_t convs, norms, attentions, depth;
} files[] = {{"vit_pieces", 0, 0, 2, 2}, {"vit_apart", 0, 0, 2, 2}, {"cnn_norms", 6, 3, 0, 0},
             {"cnn_folded", 6, 0, 0, 0}, {"mixed", 1, 0, 0, 0},     {"mixed_new", 1, 0, 0, 0},
             {"letters", 0, 0, 2, 0}};

enum { FILES = sizeof files / sizeof files[0] };

static dfq_graph *load(dfq_context *ctx, const char *name)
{
    char path[512], file[64];
    dfq_graph *g;
    snprintf(file, sizeof file, "import_%s.onnx", name);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", file, path, sizeof path));
    ck_assert_msg(dfq_graph_load(ctx, path, NULL, &g) == DFQ_OK, "%s", ctx->error);
    return g;
}

/* Tensor `name` of the golden file. */
static void golden(dfq_context *ctx, const char *name, float *out)
{
    char path[512];
    dfqi_safetensors st;
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "import.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    const dfq_tensor *t = dfqi_st_find(&st, name);
    ck_assert_ptr_nonnull(t);
    memcpy(out, dfqi_tensor_f32(t), (size_t)dfqi_tensor_count(t) * sizeof *out);
    dfqi_st_fini(&st);
}

START_TEST(test_golden)
{
    const struct golden *f = &files[_i];
    static float x[IMAGES * PIXELS], want[IMAGES * CLASSES], have[IMAGES * CLASSES];
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = load(ctx, f->name);
    golden(ctx, "x", x);
    golden(ctx, f->name, want);
    ck_assert_int_eq(dfqi_model_logits(g, x, IMAGES, have), DFQ_OK);
    dfqt_near(have, want, IMAGES * CLASSES, 1e-5);
    ck_assert_int_eq(g->net.arch.family, f->depth ? DFQI_FAMILY_VIT : DFQI_FAMILY_IMPORTED);
    if (!f->depth) {
        const dfqi_structure_facts *facts = &g->net.arch.of.imported.structure->facts;
        ck_assert_int_eq(facts->convs, f->convs);
        ck_assert_int_eq(facts->norms, f->norms);
        ck_assert_int_eq(facts->attentions, f->attentions);
    }
    ck_assert_int_eq(dfqi_arch_blocks(&g->net.arch), f->depth);
    ck_assert_int_eq(dfqi_arch_norms(&g->net.arch), f->norms);
    ck_assert_int_eq(dfqi_arch_is_cnn(&g->net.arch), f->attentions == 0);
    ck_assert_ptr_nonnull(
        strstr(dfq_graph_get_structure(g), f->norms   ? "6 convolutions (3 with BatchNorm"
                                           : f->convs ? "folded away"
                                                      : ""));
    ck_assert_str_eq(dfq_graph_get_structure(NULL), "");
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* Layers are named by the modules that they come from. */
START_TEST(test_names)
{
    static const char *const names[FILES][3] = {
        {"blocks.1.attn.qkv.weight", "blocks.0.norm1.bias", "cls_token"},
        {"blocks.1.attn.qkv.weight", "blocks.0.norm1.bias", "pos_embed"},
        {"conv1.weight", "bn2.running_var", "fc.bias"},
        {"conv1.weight", "conv4.bias", "fc.bias"},
        {"stem.weight", "stem.bias", "fc.bias"},
        {"stem.weight", "stem.bias", "fc.bias"},
        {"stem.weight", "norm.weight", "fc.bias"}};
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = load(ctx, files[_i].name);
    for (int k = 0; k < 3; k++)
        ck_assert_msg(dfqi_network_find(&g->net, names[_i][k]) != NULL, "%s", names[_i][k]);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* Saved, float or low-bit, a file gives the same bits again, and needs no ONNX file any more. */
START_TEST(test_reload)
{
    static float x[IMAGES * PIXELS], one[IMAGES * CLASSES], two[IMAGES * CLASSES];
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = load(ctx, files[_i / 2].name), *again;
    dfq_tensor *bytes;
    golden(ctx, "x", x);
    if (_i % 2 && files[_i / 2].attentions == files[_i / 2].depth) {
        dfq_graph *low = dfqt_family_low(g);
        dfq_graph_release(g);
        g = low;
    }
    ck_assert_int_eq(dfq_graph_save_to_memory(g, 0, &bytes), DFQ_OK);
    ck_assert_msg(dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                             dfq_tensor_get_bytes(bytes), NULL, &again) == DFQ_OK,
                  "%s", ctx->error);
    ck_assert_int_eq(dfqi_model_logits(g, x, IMAGES, one), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(again, x, IMAGES, two), DFQ_OK);
    ck_assert_mem_eq(one, two, sizeof one);
    dfq_graph_release(again);
    dfq_tensor_release(bytes);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* The stream of a vision transformer is rotated without a change of what it computes. */
START_TEST(test_rotation)
{
    static float x[IMAGES * PIXELS], want[IMAGES * CLASSES], have[IMAGES * CLASSES];
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = load(ctx, files[_i].name);
    golden(ctx, "x", x);
    golden(ctx, files[_i].name, want);
    if (files[_i].depth == 0) {
        ck_assert_ptr_nonnull(dfqi_arch_unrotatable(&g->net.arch));
    } else {
        ck_assert_msg(dfqi_network_rotate(&g->net, 3) == DFQ_OK, "%s", ctx->error);
        ck_assert_float_ne(dfqi_tensor_f32(dfqi_network_find(&g->net, "blocks.0.norm1.bias"))[0],
                           1.0f);
        ck_assert_int_eq(dfqi_model_logits(g, x, IMAGES, have), DFQ_OK);
        dfqt_near(have, want, IMAGES * CLASSES, 1e-4);
    }
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* What was read is written, read again, and run by the runtime, whose bits are the graph's. */
START_TEST(test_export)
{
    static float x[IMAGES * PIXELS], want[IMAGES * CLASSES], have[IMAGES * CLASSES];
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = load(ctx, files[_i].name), *again;
    dfq_tensor *bytes;
    dfq_runtime *run;
    dfq_runtime_input in;
    dfqi_onnx_info info;
    const dfqi_st_target to = {.bytes = &bytes};
    golden(ctx, "x", x);
    ck_assert_int_eq(dfqi_model_logits(g, x, IMAGES, want), DFQ_OK);
    ck_assert_msg(dfqi_onnx_write(g, &(dfqi_onnx_options){0}, &to, &info) == DFQ_OK, "%s",
                  ctx->error);
    ck_assert_msg(dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                             dfq_tensor_get_bytes(bytes), NULL, &again) == DFQ_OK,
                  "%s", ctx->error);
    ck_assert_int_eq(dfqi_model_logits(again, x, IMAGES, have), DFQ_OK);
    dfqt_near(have, want, IMAGES * CLASSES, 1e-5);
    ck_assert_msg(dfq_runtime_create(g, NULL, &run) == DFQ_OK, "%s", ctx->error);
    dfq_runtime_input_init(&in, sizeof in, run);
    in.pixels = DFQ_PIXELS_F32_NCHW;
    for (int i = 0; i < IMAGES; i++) {
        in.data = x + i * PIXELS;
        ck_assert_int_eq(dfq_runtime_run(run, &in, have + i * CLASSES, CLASSES), DFQ_OK);
    }
    ck_assert_mem_eq(have, want, sizeof have);
    dfq_runtime_release(run);
    dfq_tensor_release(bytes);
    dfq_graph_release(again);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------- */

static const struct refusal {
    const char *name;
    dfq_status status;
    const char *text;
} refusals[] = {
    {"truncated", DFQ_E_CORRUPT, "is truncated"},
    {"no_graph", DFQ_E_CORRUPT, "not an ONNX"},
    {"deep", DFQ_E_UNSUPPORTED, "nested more than 16 deep"},
    {"batch_of_8", DFQ_E_UNSUPPORTED, "has a batch of 8"},
    {"any_size", DFQ_E_UNSUPPORTED, "[1,3,0,0]"},
    {"grey", DFQ_E_UNSUPPORTED, "[1,1,8,8]"},
    {"two_outputs", DFQ_E_UNSUPPORTED, "2 outputs"},
    {"two_inputs", DFQ_E_UNSUPPORTED, "2 inputs"},
    {"old_opset", DFQ_E_UNSUPPORTED, "the opset is 9, must be 13 to"},
    {"unknown", DFQ_E_UNSUPPORTED, "node \"n\" (Det) is an op that is not known"},
    {"nameless", DFQ_E_UNSUPPORTED, "node that makes \"f\" (Det) is an op that is not known"},
    {"other_domain", DFQ_E_UNSUPPORTED, "of a domain other than ONNX's own"},
    {"cycle", DFQ_E_CORRUPT, "reads \"b\", which no node before it computes"},
    {"twice", DFQ_E_CORRUPT, "computes \"p\", which is there already"},
    {"if", DFQ_E_UNSUPPORTED, "(If) has a graph of its own"},
    {"shape_of_2_64", DFQ_E_SHAPE, "shape that does not fit"},
    {"fill_of_2_60", DFQ_E_UNSUPPORTED, "more elements than 2^30"},
    {"divides_by_0", DFQ_E_CORRUPT, "divides by 0"},
    {"index", DFQ_E_CORRUPT, "index out of range, 0 to 2"},
    {"axis", DFQ_E_CORRUPT, "axis 7, must have one from -4 to 3"},
    {"two_sizes", DFQ_E_UNSUPPORTED, "a weight of two axes that fits"},
    {"no_image", DFQ_E_UNSUPPORTED, "computed from the image"},
    {"resize_antialias", DFQ_E_UNSUPPORTED, "without antialias"},
    {"resize_rounded", DFQ_E_UNSUPPORTED, "of the nearest pixel below"}, /* by 3: 2 / 3 is 1 */
    {"image_alone", DFQ_E_UNSUPPORTED, "must be the logits of a classifier"},
    {"external_outside", DFQ_E_UNSUPPORTED, "\"../w\", must be in a file inside"},
    {"external_absolute", DFQ_E_UNSUPPORTED, "\"/etc/passwd\", must be in a file inside"},
    {"external_missing", DFQ_E_IO, "none.bin"},
    {"bytes", DFQ_E_CORRUPT, "another number of bytes than its shape says"},
    {"text", DFQ_E_UNSUPPORTED, "an element type other than"},
    {"einsum_twice", DFQ_E_UNSUPPORTED, "equation \"aa,ca->ac\", which has a letter twice"},
    {"einsum_ellipsis", DFQ_E_UNSUPPORTED, "which has an ellipsis; export it as MatMul"},
    {"einsum_ranks", DFQ_E_UNSUPPORTED, "another number of letters than an operand axes"},
    {"einsum_extents", DFQ_E_UNSUPPORTED, "one letter for axes of two extents"},
    {"einsum_alone", DFQ_E_UNSUPPORTED, "sums over an axis of one operand alone"},
    {"einsum_nowhere", DFQ_E_UNSUPPORTED, "whose result has a letter that no operand has"},
    {"einsum_implicit", DFQ_E_UNSUPPORTED, "does not say the axes of each operand"},
    {"einsum_three", DFQ_E_UNSUPPORTED, "which is not of one or two values"},
    {"einsum_operands", DFQ_E_UNSUPPORTED, "does not say the axes of each operand"},
    {"einsum_outer", DFQ_E_UNSUPPORTED, "sums over no axis of both operands"},
    {"einsum_by_channel", DFQ_E_UNSUPPORTED, "is not the weight of a linear layer"},
    {"einsum_long", DFQ_E_UNSUPPORTED, ", which is too long; export it"},
    {"einsum_letters", DFQ_E_UNSUPPORTED, "which has too many letters"},
    {"einsum_symbol", DFQ_E_UNSUPPORTED, "which is not of one or two values"},
    {"einsum_none", DFQ_E_UNSUPPORTED, "does not say the axes of each operand"}};

static dfq_status read_corpus(dfq_context *ctx, const char *name, dfq_graph **out)
{
    char path[512], file[96];
    snprintf(file, sizeof file, "../fuzz/corpus/onnx/%s", name);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", file, path, sizeof path));
    return dfqi_import_load(ctx, path, NULL, out);
}

START_TEST(test_refused)
{
    const struct refusal *r = &refusals[_i];
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = NULL;
    dfq_status status = read_corpus(ctx, r->name, &g);
    ck_assert_msg(status == r->status && strstr(ctx->error, r->text), "%s: %d, %s", r->name,
                  (int)status, ctx->error);
    ck_assert_ptr_null(strchr(ctx->error, '\n'));
    ck_assert_ptr_null(g);
    dfq_context_release(ctx);
}
END_TEST

/* A Resize is a linear layer for each axis, whose rows say how much of each pixel is in one of the
 * result. */
START_TEST(test_resize)
{
    static const struct {
        const char *name;
        int row, first; /* some of its weights, from pixel `first` on */
        float want[4];
    } cases[] = {{"resize_nearest", 5, 2, {0, 1, 0, 0}}, /* 5 * 8 / 12 */
                 {"resize_linear", 3, 0, {0, 0.75f, 0.25f, 0}},
                 {"resize_cubic", 6, 1, {-0.03515625f, 0.26171875f, 0.87890625f, -0.10546875f}}};
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g;
    ck_assert_msg(read_corpus(ctx, cases[_i].name, &g) == DFQ_OK, "%s", ctx->error);
    const dfq_tensor *columns = dfqi_network_find(&g->net, "up.columns.weight");
    ck_assert_ptr_nonnull(columns);
    ck_assert_ptr_null(dfqi_network_find(&g->net, "up.rows.weight")); /* the height stays */
    for (int k = 0; k < 4; k++)
        ck_assert_float_eq(dfqi_tensor_f32(columns)[cases[_i].row * 8 + cases[_i].first + k],
                           cases[_i].want[k]);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* [8,8,3] in memory become [8,3,8], whose axes end between those: means over the first and the last
 * one. */
START_TEST(test_reshape_across)
{
    enum { SIZE = 8, N = 3 * SIZE * SIZE };
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g;
    float x[N], have[3];
    double want[3] = {0};
    for (int i = 0; i < N; i++) x[i] = (float)(i * 37 % 101) - 50.0f;
    ck_assert_msg(read_corpus(ctx, "reshape_across", &g) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_model_logits(g, x, 1, have), DFQ_OK);
    for (int i = 0; i < N; i++) /* row, then column and channel together */
        want[i / SIZE % 3] += (double)x[i % 3 * 64 + i / 24 * SIZE + i % 24 / 3] / 64;
    for (int k = 0; k < 3; k++) ck_assert_double_eq_tol((double)have[k], want[k], 1e-5);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_accepted)
{
    static const struct {
        const char *name;
        dfqi_size image;
    } kept[] = {{"good", {8, 8}},
                {"batch", {8, 8}},
                {"not_square", {8, 16}},
                {"einsum_weight", {8, 8}},
                {"einsum_heads", {8, 8}}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_structure *again;
    dfq_graph *g;
    char *text;
    ck_assert_msg(read_corpus(ctx, kept[_i].name, &g) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(g->net.arch.classes, 2);
    ck_assert(dfqi_same_size(g->net.arch.image, kept[_i].image));
    ck_assert_int_eq(dfqi_structure_text(g->net.arch.of.imported.structure, &text), DFQ_OK);
    ck_assert_msg(dfqi_structure_parse(ctx, "text", text, &again) == DFQ_OK, "%s", ctx->error);
    ck_assert(dfqi_same_size(again->image, kept[_i].image));
    dfqi_structure_release(again);
    dfqi_free(ctx, text);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* A file with 100,001 nodes is refused before they are unpacked. */
START_TEST(test_many_nodes)
{
    enum { NODES = 100001, SIZE = 2 + 4 + 2 * NODES };
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = NULL;
    uint8_t *bytes = calloc(1, SIZE);
    const uint32_t inside = 2 * NODES; /* as three groups of seven bits */
    const uint8_t begin[6] = {0x08,
                              0x08,
                              7 << 3 | 2,
                              (uint8_t)(inside & 127) | 128,
                              (uint8_t)(inside >> 7 & 127) | 128,
                              (uint8_t)(inside >> 14)};
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, begin, sizeof begin);
    for (int i = 0; i < NODES; i++) bytes[6 + 2 * i] = 1 << 3 | 2;
    dfqi_source s = dfqi_source_memory(ctx, "many", bytes, SIZE);
    ck_assert_int_eq(dfqi_import_from(&s, NULL, NULL, &g), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(ctx->error, "more than 100000 nodes"));
    free(bytes);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *name)
{
    dfq_graph *g = NULL;
    char path[512];
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", name, path, sizeof path));
    dfq_status status = dfqi_import_load(ctx, path, NULL, &g);
    dfq_graph_release(g);
    return status;
}

START_TEST(test_out_of_memory)
{
    static char names[3][32] = {"import_cnn_norms.onnx", "import_vit_apart.onnx",
                                "import_mixed.onnx"};
    fail_alloc_sweep(scenario, names[_i], 1);
}
END_TEST

TCase *dfqt_import_case(void)
{
    TCase *c = tcase_create("import");
    tcase_add_loop_test(c, test_golden, 0, FILES);
    tcase_add_loop_test(c, test_names, 0, FILES);
    tcase_add_loop_test(c, test_reload, 0, 2 * FILES);
    tcase_add_loop_test(c, test_rotation, 0, FILES);
    tcase_add_loop_test(c, test_export, 0, FILES);
    tcase_add_loop_test(c, test_refused, 0, sizeof refusals / sizeof refusals[0]);
    tcase_add_loop_test(c, test_resize, 0, 3);
    tcase_add_test(c, test_reshape_across);
    tcase_add_loop_test(c, test_accepted, 0, 5);
    tcase_add_test(c, test_many_nodes);
    tcase_add_loop_test(c, test_out_of_memory, 0, 3);
    return c;
}
