/* Networks: their layers, their costs on one accelerator and on many, mappings given by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accel/cases.h"
#include "accel/mapping_text.h"
#include "accel/table.h"
#include "support/fail_alloc.h"
#include "support/small_vit.h"

static dfq_status make(dfq_context *ctx, const dfqi_arch *a, dfqi_model **out)
{
    dfqi_network net;
    DFQI_TRY(dfqi_network_new(ctx, a, &net));
    dfqi_network_init(&net, 1);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    if (status != DFQ_OK) dfqi_network_fini(&net);
    return status;
}

static dfq_status make_vit(dfq_context *ctx, dfqi_model **out)
{
    dfqi_arch a = dfqt_small_vit(5, 40);
    return make(ctx, &a, out);
}

static dfq_status make_resnet(dfq_context *ctx, dfqi_model **out)
{
    dfqi_arch a = {.family = DFQI_FAMILY_RESNET,
                   .image = {32, 32},
                   .channels = 3,
                   .classes = 10,
                   .of.cnn = {.keys = DFQI_KEYS_AKAMASTER,
                              .width = 16,
                              .units = {1, 1, 1},
                              .small = 1,
                              .padded = 1},
                   .eps = 1e-5f,
                   .name = "resnet8"};
    return make(ctx, &a, out);
}

static const dfqi_layer *layer(const dfqi_layer_list *l, const char *name)
{
    for (int32_t i = 0; i < l->n_layers; i++)
        if (strcmp(l->layers[i].name, name) == 0) return &l->shapes[l->layers[i].shape];
    ck_abort_msg("no layer %s", name);
    return NULL;
}

static void is(const dfqi_layer *l, const int64_t dim[DFQI_DIMS], int64_t stride, int32_t w,
               int32_t i, int32_t o)
{
    for (int d = 0; d < DFQI_DIMS; d++) ck_assert_int_eq(l->dim[d], dim[d]);
    ck_assert_int_eq(l->stride, stride);
    ck_assert_int_eq(l->bits[DFQI_W], w);
    ck_assert_int_eq(l->bits[DFQI_I], i);
    ck_assert_int_eq(l->bits[DFQI_O], o);
}

static void is_rows(const dfqi_layer *l, int32_t effort, int64_t elements, int32_t w, int32_t i,
                    int32_t o)
{
    ck_assert_int_eq(l->kind, DFQI_LAYER_ROWS);
    ck_assert_int_eq(l->effort, effort);
    ck_assert_int_eq(l->sum, effort == 1);
    is(l, (int64_t[]){1, 1, 1, 1, elements, 1, 1, 1}, 1, w, i, o);
}

START_TEST(test_vit_layers)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_layer_list l;
    double macs = 0;
    ck_assert_int_eq(make_vit(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){.weight = 4, .act = 6}, &l), DFQ_OK);
    /* embedding, head, final norm; per block 4 linear layers, 2 products, softmax, GELU, 2 norms, 2
     * sums */
    ck_assert_int_eq(l.n_layers, 3 + 2 * 12);
    /* the image, logits and what goes into softmax, GELU and sums are not quantized */
    is(layer(&l, "patch_embed.proj"), (int64_t[]){1, 1, 48, 24, 16, 1, 1, 1}, 1, 8, 0, 0);
    is(layer(&l, "blocks.1.attn.qkv"), (int64_t[]){1, 1, 24, 72, 17, 1, 1, 1}, 1, 4, 6, 6);
    is(layer(&l, "blocks.1.attn.qk"), (int64_t[]){3, 1, 8, 17, 17, 1, 1, 1}, 1, 6, 6, 0);
    is(layer(&l, "blocks.1.attn.av"), (int64_t[]){3, 1, 17, 8, 17, 1, 1, 1}, 1, 6, 6, 6);
    is(layer(&l, "blocks.1.attn.proj"), (int64_t[]){1, 1, 24, 24, 17, 1, 1, 1}, 1, 4, 6, 0);
    is(layer(&l, "blocks.1.mlp.fc1"), (int64_t[]){1, 1, 24, 40, 17, 1, 1, 1}, 1, 4, 6, 0);
    is(layer(&l, "blocks.1.mlp.fc2"), (int64_t[]){1, 1, 40, 24, 17, 1, 1, 1}, 1, 4, 6, 0);
    is(layer(&l, "head"), (int64_t[]){1, 1, 24, 5, 1, 1, 1, 1}, 1, 8, 8, 0);
    is_rows(layer(&l, "blocks.0.attn.qk/softmax"), 8, 3 * 17 * 17, 0, 0, 6);
    is_rows(layer(&l, "blocks.0.mlp.fc1/gelu"), 4, 17 * 40, 0, 0, 6);
    is_rows(layer(&l, "blocks.0.attn.proj/sum"), 1, 17 * 24, 0, 0, 0);
    is_rows(layer(&l, "blocks.0.mlp.fc2/norm"), 4, 17 * 24, 0, 0, 6);
    is_rows(layer(&l, "blocks.1.mlp.fc2/norm"), 4, 24, 0, 0, 8);
    for (int32_t i = 0; i < l.n_layers; i++) macs += dfqi_layer_macs(&l.shapes[l.layers[i].shape]);
    ck_assert_double_eq(macs, 16 * 48 * 24 + 24 * 5 +
                                  2 * (17 * 24 * (72 + 24 + 40 + 40) + 2 * 3 * 17 * 17 * 8));
    dfqi_layer_list_fini(&l);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_resnet_layers)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_layer_list l;
    ck_assert_int_eq(make_resnet(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){0}, &l), DFQ_OK);
    ck_assert_int_eq(l.n_layers, 8 + 3);
    is(layer(&l, "conv1"), (int64_t[]){1, 1, 3, 16, 32, 32, 3, 3}, 1, 0, 0, 0);
    is(layer(&l, "layer3.0.conv1"), (int64_t[]){1, 1, 32, 64, 8, 8, 3, 3}, 2, 0, 0, 0);
    is(layer(&l, "linear"), (int64_t[]){1, 1, 64, 10, 1, 1, 1, 1}, 1, 0, 0, 0);
    is_rows(layer(&l, "layer1.0.conv2/sum"), 1, 32 * 32 * 16, 0, 0, 0);
    dfqi_layer_list_fini(&l);
    /* what leaves a ReLU is quantized, the sum before it and the pooled features are not */
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){.weight = 3, .act = 5}, &l), DFQ_OK);
    is(layer(&l, "conv1"), (int64_t[]){1, 1, 3, 16, 32, 32, 3, 3}, 1, 8, 0, 5);
    is(layer(&l, "layer2.0.conv1"), (int64_t[]){1, 1, 16, 32, 16, 16, 3, 3}, 2, 3, 5, 5);
    is(layer(&l, "layer2.0.conv2"), (int64_t[]){1, 1, 32, 32, 16, 16, 3, 3}, 1, 3, 5, 0);
    is_rows(layer(&l, "layer2.0.conv2/sum"), 1, 16 * 16 * 32, 5, 0, 5);
    is(layer(&l, "linear"), (int64_t[]){1, 1, 64, 10, 1, 1, 1, 1}, 1, 8, 0, 0);
    dfqi_layer_list_fini(&l);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* A space of 2 x 2 arrays, 2 register files, all dataflows. */
static void small_space(dfq_context *ctx, dfqi_accel_space *s)
{
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", s), DFQ_OK);
    s->pe_x = (dfqi_values){2, {6, 8}};
    s->pe_y = (dfqi_values){2, {4, 7}};
    s->rf_words = (dfqi_values){2, {4, 64}};
    s->pe = (dfqi_values){2, {DFQI_PE_FIXED, DFQI_PE_FUSION}};
}

/* Some of the accelerators alone: the same figures, and no others. */
static void check_part(dfq_context *ctx, const dfqi_accel_space *s, const dfqi_shapes *shapes,
                       const dfqi_table *all)
{
    uint8_t wanted[48] = {0};
    dfqi_table t;
    ck_assert_int_le(all->n_configs, 48);
    for (int64_t k = 0; k < all->n_configs; k++) wanted[k] = k % 5 == 2;
    ck_assert_int_eq(dfqi_table_new(ctx, s, shapes, wanted, "net", &t), DFQ_OK);
    for (int64_t i = 0; i < (t.n_shapes + t.n_attentions) * t.n_configs; i++) {
        const bool there = wanted[i % t.n_configs];
        ck_assert_double_eq(t.cycles[i], there ? all->cycles[i] : 0);
        ck_assert_double_eq(t.pj[i], there ? all->pj[i] : 0);
    }
    dfqi_table_fini(&t);
}

/* The table has what single searches find, to the bit and at any number of threads. */
START_TEST(test_table)
{
    dfq_context *ctx = dfqt_context(3), *one = dfqt_context(1);
    dfqi_model *m;
    dfqi_layer_list l;
    dfqi_accel_space s;
    dfqi_table a, b;
    ck_assert_int_eq((_i ? make_vit : make_resnet)(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_layers_of(m, (dfqi_layer_bits){.weight = 4, .act = 4}, &l), DFQ_OK);
    small_space(ctx, &s);
    const dfqi_shapes shapes = dfqi_shapes_of(&l);
    ck_assert_int_eq(dfqi_table_new(ctx, &s, &shapes, NULL, "net", &a), DFQ_OK);
    ck_assert_int_eq(dfqi_table_new(one, &s, &shapes, NULL, "net", &b), DFQ_OK);
    ck_assert_int_eq(a.n_configs, 2 * 2 * 2 * 3 * 2);
    size_t bytes = (size_t)((a.n_shapes + a.n_attentions) * a.n_configs) * sizeof(double);
    ck_assert_int_eq(memcmp(a.cycles, b.cycles, bytes), 0);
    ck_assert_int_eq(memcmp(a.pj, b.pj, bytes), 0);
    check_part(one, &s, &shapes, &a);
    for (int64_t k = 0; k < a.n_configs; k++) {
        dfqi_accel_config t;
        dfqi_report r;
        double cycles, pj;
        dfqi_accel_space_config(&s, k, &t);
        ck_assert_int_eq(dfqi_report_new(m, &t, (dfqi_layer_bits){.weight = 4, .act = 4}, &r),
                         DFQ_OK);
        dfqi_table_sum(&a, &l, k, &cycles, &pj);
        ck_assert_double_eq_tol(cycles, r.total.cycles, 1e-12 * cycles);
        ck_assert_double_eq_tol(pj, r.total.total_pj, 1e-12 * pj);
        ck_assert_double_eq(a.mm2[k], dfqi_accel_config_mm2(&t));
        dfqi_report_fini(&r);
    }
    dfqi_table_fini(&a);
    dfqi_table_fini(&b);
    dfqi_layer_list_fini(&l);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
    dfqi_context_release(one);
}
END_TEST

/* Narrower operands: less traffic, less energy; on elements that gain from it also fewer cycles. */
START_TEST(test_widths)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_accel_space s;
    dfqi_accel_config t;
    ck_assert_int_eq(make_resnet(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "eyeriss-16x16", &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, &t);
    for (int pe = 0; pe < DFQI_PE_COUNT; pe++) {
        dfqi_report wide, narrow;
        t.pe = pe;
        ck_assert_int_eq(dfqi_report_new(m, &t, (dfqi_layer_bits){.weight = 16, .act = 16}, &wide),
                         DFQ_OK);
        ck_assert_int_eq(dfqi_report_new(m, &t, (dfqi_layer_bits){.weight = 4, .act = 4}, &narrow),
                         DFQ_OK);
        ck_assert_double_lt(narrow.total.dram_bytes, wide.total.dram_bytes / 2);
        ck_assert_double_lt(narrow.total.total_pj, wide.total.total_pj / 2);
        if (pe != DFQI_PE_FIXED)
            ck_assert_double_lt(narrow.total.compute_cycles, wide.total.compute_cycles / 2);
        dfqi_report_fini(&wide);
        dfqi_report_fini(&narrow);
    }
    t.word_bits = 8;
    dfqi_report r;
    ck_assert_int_eq(dfqi_report_new(m, &t, (dfqi_layer_bits){.weight = 16, .act = 16}, &r),
                     DFQ_E_INVALID);
    ck_assert_str_eq(
        ctx->error, "conv1: operands have 16 bits, must be at most the accelerator's word_bits, 8");
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_fits_nothing)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_layer l = {.dim = {1, 1, 8, 8, 8, 8, 16, 16}, .stride = 1};
    dfqi_accel_space s;
    dfqi_table t;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", &s), DFQ_OK);
    s.pe_x.n = s.pe_y.n = s.rf_words.n = 1;
    s.glb_kb.v[0] = 0.5;
    const dfqi_shapes one = {.n = 1, .of = &l};
    ck_assert_int_eq(dfqi_table_new(ctx, &s, &one, NULL, "net", &t), DFQ_E_INFEASIBLE);
    ck_assert_msg(strstr(ctx->error, "has no mapping on any") != NULL, "%s", ctx->error);
    s.glb_kb.v[s.glb_kb.n++] = 512; /* here it fits, and the others cost infinity */
    ck_assert_msg(dfqi_table_new(ctx, &s, &one, NULL, "net", &t) == DFQ_OK, "%s", ctx->error);
    int64_t fit = 0;
    for (int64_t i = 0; i < t.n_configs; i++) {
        dfqi_accel_config c;
        dfqi_accel_space_config(&s, i, &c);
        ck_assert(isfinite(t.cycles[i]) == isfinite(t.pj[i]));
        ck_assert(isinf(t.cycles[i]) || c.glb_kb > 1);
        fit += isfinite(t.cycles[i]) != 0;
    }
    ck_assert(fit > 0 && fit < t.n_configs);
    dfqi_table_fini(&t);
    dfqi_context_release(ctx);
}
END_TEST

/* -- mappings as text -------------------------------------------------------------------------- */

static const dfqi_layer sample = {
    .dim = {1, 1, 16, 32, 14, 14, 3, 3}, .stride = 1, .bits = {16, 16, 16}};

static const dfqi_layer depthwise = {
    .dim = {48, 1, 1, 1, 14, 14, 5, 5}, .stride = 1, .bits = {8, 8, 8}};

/* What a search found fits, can be given back, and costs the same. */
START_TEST(test_mapping_text)
{
    dfq_context *ctx = dfqt_context(1);
    const dfqi_layer *l = _i ? &depthwise : &sample;
    dfqi_accel_space s;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", &s), DFQ_OK);
    for (int64_t k = 0; k < 4335; k += 97) {
        dfqi_accel_config t;
        dfqi_search_cache n;
        dfqi_cost c, d;
        dfqi_mapping m, back;
        dfqi_pricing p;
        char text[DFQI_MAPPING_TEXT_MAX];
        dfqi_accel_space_config(&s, k, &t);
        dfqi_search_cache_init(&n, ctx, l);
        ck_assert_int_eq(dfqi_search_mapping(&n, "sample", &t, DFQI_LEAST_EDP, &c, &m), DFQ_OK);
        dfqi_mapping_print(&m, text);
        ck_assert_msg(dfqi_mapping_parse(ctx, text, l, &t, &back) == DFQ_OK, "%s: %s", text,
                      ctx->error);
        dfqi_pricing_of(l, &t, &p);
        dfqi_cost_mapping(l, &p, &back, &d);
        ck_assert_int_eq(memcmp(&c, &d, sizeof c), 0);
        dfqi_search_cache_fini(&n);
    }
    dfqi_context_release(ctx);
}
END_TEST

static const struct {
    const char *text, *error;
} refused[] = {
    {"", "over C cover 1 of 16"},
    {"DRAM C16 M32 P14 | GLB Q14 R3 S2", "over S cover 2 of 3"},
    {"DRAM C16 M32 P14 | GLB Q14 R3 S3 | SPACE M300",
     "needs 300 elements, the accelerator has 16 x 16"},
    {"DRAM P14 Q14 | RF C16 M32 R3 S3", "a register file has"},
    {"GLB C16 M32 P14 Q14 R3 S3", NULL},
    {"L2 C16", "\"L2\" is not a place"},
    {"GLB C16 | DRAM M32", "\"DRAM\" is not a place"},
    {"GLB X16", "\"X16\" is not a loop"},
    {"GLB C0", "\"C0\" is not a loop"},
    {"GLB C16x", "\"C16x\" is not a loop"},
    {"GLB C", "\"C\" is not a loop"},
    {"GLB C2 C2 C2 C2 C2 C2 C2 C2 C2 C2 C2", "more than 10 loops"},
};

START_TEST(test_refused_mapping)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    dfqi_accel_config t;
    dfqi_mapping m;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "eyeriss-16x16", &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, &t);
    dfq_status status = dfqi_mapping_parse(ctx, refused[_i].text, &sample, &t, &m);
    ck_assert_int_eq(status, refused[_i].error ? DFQ_E_INVALID : DFQ_OK);
    if (refused[_i].error)
        ck_assert_msg(strstr(ctx->error, refused[_i].error) != NULL, "%s", ctx->error);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_small_buffer)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    dfqi_accel_config t;
    dfqi_mapping m;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "eyeriss-16x16", &s), DFQ_OK);
    dfqi_accel_space_config(&s, 0, &t);
    t.glb_kb = 4;
    ck_assert_int_eq(dfqi_mapping_parse(ctx, "GLB C16 M32 P14 Q14 R3 S3", &sample, &t, &m),
                     DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "mapping: GLB needs 29.2 KB, the global buffer has 4 KB");
    dfqi_context_release(ctx);
}
END_TEST

/* -- failures ---------------------------------------------------------------------------------- */

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_model *m = NULL;
    dfqi_layer_list l = {.ctx = ctx};
    dfqi_accel_space s;
    dfqi_table table = {.ctx = ctx};
    dfqi_report report = {.list.ctx = ctx};
    dfqi_accel_config t;
    (void)arg;
    dfq_status status = make_vit(ctx, &m);
    if (status == DFQ_OK) status = dfqi_accel_space_load(ctx, "eyeriss-16x16", &s);
    if (status == DFQ_OK) status = dfqi_layers_of(m, (dfqi_layer_bits){0}, &l);
    if (status == DFQ_OK) {
        const dfqi_shapes shapes = dfqi_shapes_of(&l);
        status = dfqi_table_new(ctx, &s, &shapes, NULL, "net", &table);
    }
    if (status == DFQ_OK) {
        dfqi_accel_space_config(&s, 0, &t);
        status = dfqi_report_new(m, &t, (dfqi_layer_bits){0}, &report);
    }
    dfqi_report_fini(&report);
    dfqi_table_fini(&table);
    dfqi_layer_list_fini(&l);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

START_TEST(test_cancel)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    dfqi_table t;
    small_space(ctx, &s);
    dfq_context_cancel(ctx);
    const dfqi_shapes one = {.n = 1, .of = &sample};
    ck_assert_int_eq(dfqi_table_new(ctx, &s, &one, NULL, "net", &t), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqi_table_new(ctx, &s, &one, NULL, "net", &t), DFQ_OK);
    dfqi_table_fini(&t);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_network_case(void)
{
    TCase *c = tcase_create("network");
    tcase_add_test(c, test_vit_layers);
    tcase_add_test(c, test_resnet_layers);
    tcase_add_loop_test(c, test_table, 0, 2);
    tcase_add_test(c, test_widths);
    tcase_add_test(c, test_fits_nothing);
    tcase_add_loop_test(c, test_mapping_text, 0, 2);
    tcase_add_loop_test(c, test_refused_mapping, 0, sizeof refused / sizeof *refused);
    tcase_add_test(c, test_small_buffer);
    tcase_add_test(c, test_out_of_memory);
    tcase_add_test(c, test_cancel);
    return c;
}
