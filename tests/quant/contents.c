/* What is inside of a network of each family: layers, probes, parameters by name. */
#include <dfq/graph.h>
#include <dfq/quantizer.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accel/layer.h"
#include "quant/cases.h"
#include "support/each.h"
#include "support/fail_alloc.h"

enum { IMAGES = 11 }; /* more than a pass takes, and no multiple */

static int families(int i, dfq_context *ctx, dfq_graph *out[2])
{
    out[0] = dfqt_family(ctx, i);
    if (i == DFQI_FAMILY_STAGES) return 1;
    out[1] = dfqt_family_low(out[0]);
    return 2;
}

static void works(const dfq_graph *g, dfq_status status)
{
    ck_assert_msg(status == DFQ_OK, "%s", g->ctx->error);
}

/* -- layers ------------------------------------------------------------------------------------ */

static int32_t bits_at(const dfq_graph *g, const char *layer, const char *end)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%s", layer, end);
    const dfqi_site *site = g->quantized ? dfqi_scheme_find(&g->scheme, name) : NULL;
    return site ? site->bits : 32;
}

static void check_weight(const dfq_graph *g, const dfq_layer_info *l)
{
    dfq_tensor *w;
    ck_assert_str_ne(l->weight, "");
    works(g, dfq_graph_get_parameter(g, l->weight, &w));
    ck_assert_int_eq(dfq_tensor_get_rank(w), l->weight_rank);
    ck_assert_mem_eq(dfq_tensor_get_dims(w), l->weight_dims,
                     (size_t)l->weight_rank * sizeof(int64_t));
    ck_assert_int_eq(l->weight_bits, bits_at(g, l->name, "weight"));
    dfq_tensor_release(w);
}

/* The list is that of the cost model, and its work that of the network. */
static void check_layers(const dfq_graph *g)
{
    dfq_graph_info info = {.struct_size = sizeof info};
    dfqi_layer_list list;
    int64_t macs = 0;
    int32_t n;
    works(g, dfq_graph_get_info(g, &info));
    works(g, dfq_graph_get_layer_count(g, &n));
    works(g, dfqi_layers_of(g, (dfqi_layer_bits){0}, &list));
    ck_assert_int_eq(n, list.n_layers);
    for (int32_t i = 0; i < n; i++) {
        dfq_layer_info l = {.struct_size = sizeof l};
        works(g, dfq_graph_get_layer(g, i, &l));
        ck_assert_uint_eq(l.struct_size, sizeof l);
        ck_assert_str_eq(l.name, list.layers[i].name);
        macs += l.macs;
        if (l.kind <= DFQ_LAYER_LINEAR) check_weight(g, &l);
        ck_assert_int_eq(l.weight_bits == 0, l.kind > DFQ_LAYER_MATMUL && l.kind != DFQ_LAYER_SUM);
        if (i + 1 < n) continue;
        ck_assert(l.output_rank == 1 && l.output_dims[0] == info.classes);
        ck_assert(l.output_bits == 32);
    }
    ck_assert_int_eq(macs, info.macs);
    dfqi_layer_list_fini(&list);
}

START_TEST(test_layers)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g[2];
    int n = families(_i, ctx, g);
    for (int k = 0; k < n; k++) check_layers(g[k]);
    for (int k = 0; k < n; k++) dfq_graph_release(g[k]);
    dfq_context_release(ctx);
}
END_TEST

static void find_layer(const dfq_graph *g, const char *name, dfq_layer_info *out)
{
    int32_t n;
    works(g, dfq_graph_get_layer_count(g, &n));
    for (int32_t i = 0; i < n; i++) {
        *out = (dfq_layer_info){.struct_size = sizeof *out};
        works(g, dfq_graph_get_layer(g, i, out));
        if (strcmp(out->name, name) == 0) return;
    }
    ck_abort_msg("no layer %s", name);
}

static void check_shape(const int64_t have[4], int64_t a, int64_t b, int64_t c, int64_t d)
{
    const int64_t want[4] = {a, b, c, d};
    ck_assert_mem_eq(have, want, sizeof want);
}

/* Shapes by hand: 12 channels, 3 heads, 5 tokens, MLP of 16. */
START_TEST(test_layers_of_vit)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g[2];
    dfq_layer_info l;
    families(DFQI_FAMILY_VIT, ctx, g);
    find_layer(g[1], "blocks.0.attn.qkv", &l);
    ck_assert(l.kind == DFQ_LAYER_LINEAR && l.macs == 5 * 12 * 36 && l.stride == 0);
    check_shape(l.input_dims, 5, 12, 0, 0);
    check_shape(l.output_dims, 5, 36, 0, 0);
    check_shape(l.weight_dims, 36, 12, 0, 0);
    ck_assert(l.weight_bits == 4 && l.input_bits == 4);
    find_layer(g[1], "blocks.1.attn.av", &l);
    ck_assert(l.kind == DFQ_LAYER_MATMUL && l.macs == 3 * 5 * 5 * 4);
    check_shape(l.input_dims, 3, 5, 5, 0);
    check_shape(l.weight_dims, 3, 5, 4, 0);
    check_shape(l.output_dims, 3, 5, 4, 0);
    ck_assert_str_eq(l.weight, "");
    ck_assert(l.weight_bits == 4 && l.input_bits == 4);
    find_layer(g[0], "blocks.1.attn.av", &l);
    ck_assert(l.weight_bits == 32 && l.input_bits == 32 && l.output_bits == 32);
    find_layer(g[0], "blocks.0.attn.qk/softmax", &l);
    ck_assert(l.kind == DFQ_LAYER_SOFTMAX && l.macs == 0 && l.weight_rank == 0);
    find_layer(g[0], "patch_embed.proj", &l);
    check_shape(l.weight_dims, 12, 3, 4, 4);
    check_shape(l.input_dims, 4, 48, 0, 0);
    for (int k = 0; k < 2; k++) dfq_graph_release(g[k]);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_layers_of_resnet)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g[2];
    dfq_layer_info l;
    families(DFQI_FAMILY_RESNET, ctx, g);
    find_layer(g[1], "layer2.0.conv1", &l);
    ck_assert(l.kind == DFQ_LAYER_CONV && l.stride == 2 && l.padding == 1 && l.groups == 1);
    check_shape(l.input_dims, 8, 8, 8, 0);
    check_shape(l.output_dims, 16, 4, 4, 0);
    check_shape(l.weight_dims, 16, 8, 3, 3);
    ck_assert(l.macs == 16 * 16 * 8 * 9 && l.weight_bits == 4 && l.input_bits == 4);
    find_layer(g[1], "conv1", &l);
    check_shape(l.input_dims, 3, 8, 8, 0);
    ck_assert(l.input_bits == 32); /* pictures are not rounded */
    for (int k = 0; k < 2; k++) dfq_graph_release(g[k]);
    g[0] = dfqt_family(ctx, DFQI_FAMILY_MOBILENET);
    find_layer(g[0], "features.1.conv.0.0", &l);
    ck_assert(l.groups == 32 && l.weight_dims[1] == 1);
    dfq_graph_release(g[0]);
    dfq_context_release(ctx);
}
END_TEST

/* -- probes ------------------------------------------------------------------------------------ */

static void check_probe(const dfq_probe_info *p, const dfq_tensor *t)
{
    ck_assert_int_eq(dfq_tensor_get_rank(t), p->rank + 1);
    ck_assert_int_eq(dfq_tensor_get_dims(t)[0], IMAGES);
    ck_assert_mem_eq(dfq_tensor_get_dims(t) + 1, p->dims, (size_t)p->rank * sizeof(int64_t));
    const float *v = dfq_tensor_get_data(t);
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++)
        dfqt_each(isfinite(v[i]), "%s holds %g", p->name, (double)v[i]);
}

static dfq_tensor *read_probe(const dfq_graph *g, const dfq_tensor *x, const char *name)
{
    dfq_tensor *t;
    works(g, dfq_graph_forward_with_probes(g, x, &name, 1, NULL, &t));
    return t;
}

/* Every probe that is listed can be read, all together and with the same logits. */
static void check_probes(const dfq_graph *g)
{
    dfq_tensor *x = dfqt_family_images(g, IMAGES), *plain, *logits, *out[256];
    const char *names[256];
    dfq_probe_info p = {.struct_size = sizeof p};
    int32_t n, kinds[6] = {0};
    works(g, dfq_graph_get_probe_count(g, &n));
    ck_assert(n > 0 && n <= 256);
    for (int32_t i = 0; i < n; i++) {
        works(g, dfq_graph_get_probe(g, i, &p));
        names[i] = p.name;
        kinds[p.kind]++;
    }
    works(g, dfq_graph_forward(g, x, &plain));
    works(g, dfq_graph_forward_with_probes(g, x, names, n, &logits, out));
    ck_assert_mem_eq(dfq_tensor_get_data(plain), dfq_tensor_get_data(logits),
                     dfq_tensor_get_bytes(plain));
    for (int32_t i = 0; i < n; i++) {
        works(g, dfq_graph_get_probe(g, i, &p));
        check_probe(&p, out[i]);
    }
    ck_assert_mem_eq(dfq_tensor_get_data(out[n - 1]), dfq_tensor_get_data(logits),
                     dfq_tensor_get_bytes(logits)); /* the head's output */
    ck_assert_int_eq(kinds[DFQ_PROBE_BATCHNORM_INPUT], dfqi_arch_norms(&g->net.arch));
    ck_assert(kinds[DFQ_PROBE_BLOCK] > 0 || g->net.arch.family == DFQI_FAMILY_IMPORTED);
    ck_assert_int_gt(kinds[DFQ_PROBE_LAYER], 0);
    ck_assert_int_eq(kinds[DFQ_PROBE_QUERY_KEY], kinds[DFQ_PROBE_ATTENTION_MAP]);
    ck_assert_int_eq(kinds[DFQ_PROBE_QUERY_KEY] > 0, !dfqi_arch_is_cnn(&g->net.arch));
    for (int32_t i = 0; i < n; i++) dfq_tensor_release(out[i]);
    dfq_tensor_release(plain);
    dfq_tensor_release(logits);
    dfq_tensor_release(x);
}

START_TEST(test_probes)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g[2];
    int n = families(_i, ctx, g);
    int32_t count[2] = {0, 0};
    for (int k = 0; k < n; k++) check_probes(g[k]);
    for (int k = 0; k < n; k++) works(g[k], dfq_graph_get_probe_count(g[k], &count[k]));
    if (n == 2) ck_assert_int_eq(count[0], count[1]);
    for (int k = 0; k < n; k++) dfq_graph_release(g[k]);
    dfq_context_release(ctx);
}
END_TEST

/* Maps are softmax of the scaled products; what a head puts out is its map times its values. */
START_TEST(test_attention)
{
    enum { HEADS = 3, TOKENS = 5, HEAD = 4 };
    static const char *const names[4] = {"blocks.1.attn.qk", "blocks.1.attn.map",
                                         "blocks.1.attn.av", "blocks.1.attn.qkv"};
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfq_tensor *x = dfqt_family_images(g, IMAGES), *t[4];
    works(g, dfq_graph_forward_with_probes(g, x, names, 4, NULL, t));
    const float *qk = dfq_tensor_get_data(t[0]), *map = dfq_tensor_get_data(t[1]);
    const float *av = dfq_tensor_get_data(t[2]), *qkv = dfq_tensor_get_data(t[3]);
    for (int64_t b = 0; b < IMAGES; b++)
        for (int64_t h = 0; h < HEADS; h++)
            for (int64_t q = 0; q < TOKENS; q++) {
                int64_t row = ((b * HEADS + h) * TOKENS + q) * TOKENS;
                double sum = 0, out = 0;
                for (int k = 0; k < TOKENS; k++) sum += exp((double)qk[row + k] / 2.0);
                for (int k = 0; k < TOKENS; k++) {
                    double p = exp((double)qk[row + k] / 2.0) / sum;
                    dfqt_each(fabs(p - (double)map[row + k]) < 1e-5, "%g, %g", p,
                              (double)map[row + k]);
                    out += p * (double)qkv[(b * TOKENS + k) * 36 + 24 + h * HEAD];
                }
                double have = (double)av[((b * HEADS + h) * TOKENS + q) * HEAD];
                dfqt_each(fabs(out - have) < 1e-5, "%g, %g", out, have);
            }
    for (int i = 0; i < 4; i++) dfq_tensor_release(t[i]);
    dfq_tensor_release(x);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* The first BatchNorm's input is the first convolution, channels first; what a unit leaves is no
 * less than zero. */
START_TEST(test_batchnorm_input)
{
    enum { SIDE = 8, CHANNELS = 8, Y = 2, X = 5 };
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_RESNET);
    dfq_tensor *x = dfqt_family_images(g, IMAGES), *w, *t = read_probe(g, x, "bn1.input");
    works(g, dfq_graph_get_parameter(g, "conv1.weight", &w));
    for (int64_t b = 0; b < IMAGES; b++)
        for (int64_t o = 0; o < CHANNELS; o++) {
            double sum = 0;
            for (int c = 0; c < 3; c++)
                for (int r = 0; r < 3; r++)
                    for (int s = 0; s < 3; s++)
                        sum += (double)dfqi_tensor_f32(w)[((o * 3 + c) * 3 + r) * 3 + s] *
                               (double)dfqi_tensor_f32(
                                   x)[((b * 3 + c) * SIDE + Y + r - 1) * SIDE + X + s - 1];
            float have = dfqi_tensor_f32(t)[((b * CHANNELS + o) * SIDE + Y) * SIDE + X];
            ck_assert_double_eq_tol(sum, (double)have, 1e-5);
        }
    dfq_tensor_release(t);
    dfq_tensor_release(w);
    t = read_probe(g, x, "layer1.0");
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++)
        dfqt_each(dfqi_tensor_f32(t)[i] >= 0, "%g", (double)dfqi_tensor_f32(t)[i]);
    dfq_tensor_release(t);
    dfq_tensor_release(x);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* -- parameters -------------------------------------------------------------------------------- */

/* What is set is what is computed, saved and given back; a copy that was given out stays. */
START_TEST(test_set)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfq_tensor *x = dfqt_family_images(g, 2), *before, *half, *z;
    works(g, dfq_graph_get_parameter(g, "head.bias", &before));
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F16, 1, (int64_t[]){3}, &half), DFQ_OK);
    for (int c = 0; c < 3; c++)
        ((uint16_t *)half->data)[c] = dfqi_float_to_half(100.0f * (float)(c + 1));
    works(g, dfq_graph_set_parameter(g, "head.bias", half));
    works(g, dfq_graph_forward(g, x, &z));
    for (int c = 0; c < 3; c++) {
        ck_assert(fabsf(dfqi_tensor_f32(z)[c] - 100.0f * (float)(c + 1)) < 20.0f);
        ck_assert(fabsf(dfqi_tensor_f32(before)[c]) < 20.0f);
    }
    dfq_tensor_release(z);
    works(g, dfq_graph_get_parameter(g, "head.bias", &z));
    ck_assert(dfqi_tensor_f32(z)[2] == 300.0f);
    dfq_tensor_release(z);
    dfq_tensor_release(half);
    dfq_tensor_release(before);
    dfq_tensor_release(x);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

static void refuse(dfq_graph *g, const char *name, dfqi_dtype dtype, int64_t n, float value,
                   dfq_status want, const char *part)
{
    dfq_tensor *t;
    uint64_t hash = dfqi_network_hash(&g->net);
    ck_assert_int_eq(dfqi_tensor_new(g->ctx, dtype, 1, &n, &t), DFQ_OK);
    for (int64_t i = 0; i < n && dtype == DFQI_F32; i++)
        dfqi_tensor_f32(t)[i] = i + 1 < n ? 1.0f : value;
    ck_assert_int_eq(dfq_graph_set_parameter(g, name, t), want);
    ck_assert_msg(strstr(g->ctx->error, part) != NULL, "%s", g->ctx->error);
    ck_assert_uint_eq(dfqi_network_hash(&g->net), hash);
    dfq_tensor_release(t);
}

START_TEST(test_set_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g[2];
    dfq_tensor *t = NULL;
    families(DFQI_FAMILY_RESNET, ctx, g);
    refuse(g[0], "bn1.running_var", DFQI_F32, 8, -1.0f, DFQ_E_NUMERIC, "not below 0");
    refuse(g[0], "bn1.weight", DFQI_F32, 8, NAN, DFQ_E_NUMERIC,
           "bn1.weight holds nan at element 7");
    refuse(g[0], "bn1.weight", DFQI_F32, 8, INFINITY, DFQ_E_NUMERIC, "bn1.weight holds inf");
    refuse(g[0], "bn1.weight", DFQI_F32, 9, 0.0f, DFQ_E_SHAPE, "bn1.weight is [9], must be [8]");
    refuse(g[0], "bn1.weight", DFQI_I32, 8, 0.0f, DFQ_E_UNSUPPORTED, "bn1.weight is I32");
    refuse(g[0], "bn9.weight", DFQI_F32, 8, 0.0f, DFQ_E_INVALID, "no parameter \"bn9.weight\"");
    refuse(g[1], "bn1.weight", DFQI_F32, 8, 0.0f, DFQ_E_INVALID, "is quantized");
    ck_assert_int_eq(dfq_graph_get_parameter(g[0], "x", &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_parameter(g[0], NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_parameter(NULL, "x", &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_parameter(g[0], "bn1.weight", NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_set_parameter(g[0], "bn1.weight", NULL), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    for (int k = 0; k < 2; k++) dfq_graph_release(g[k]);
    dfq_context_release(ctx);
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------- */

START_TEST(test_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    dfq_tensor *x = dfqt_family_images(g, 1), *t[2] = {NULL, NULL}, *bad;
    const char *names[2] = {"blocks.0", "nothing"};
    dfq_layer_info l = {.struct_size = sizeof l};
    dfq_probe_info p = {.struct_size = sizeof p};
    int32_t n = -1, layers, probes;
    works(g, dfq_graph_get_layer_count(g, &layers));
    works(g, dfq_graph_get_probe_count(g, &probes));
    ck_assert_int_eq(dfq_graph_get_layer_count(NULL, &n), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_layer_count(g, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_layer(NULL, 0, &l), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_layer(g, layers, &l), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_layer(g, -1, &l), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_layer(g, 0, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe_count(NULL, &n), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe_count(g, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe(NULL, 0, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe(g, probes, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe(g, -1, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe(g, 0, NULL), DFQ_E_INVALID);
    l.struct_size = p.struct_size = 0;
    ck_assert_int_eq(dfq_graph_get_layer(g, 0, &l), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_probe(g, 0, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_forward_with_probes(g, x, names, 2, &t[0], t), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "no probe \"nothing\""));
    ck_assert_int_eq(dfq_graph_forward_with_probes(NULL, x, names, 1, NULL, t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_forward_with_probes(g, NULL, names, 1, NULL, t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_forward_with_probes(g, x, NULL, 1, NULL, t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_forward_with_probes(g, x, names, 1, NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_forward_with_probes(g, x, names, -1, NULL, t), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){1, 3, 8, 9}, &bad), DFQ_OK);
    ck_assert_int_eq(dfq_graph_forward_with_probes(g, bad, names, 1, NULL, t), DFQ_E_SHAPE);
    ck_assert(n == -1 && t[0] == NULL && t[1] == NULL);
    dfq_tensor_release(bad);
    dfq_tensor_release(x);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    static const char *const names[2] = {"bn1.input", "layer1.0"};
    dfq_graph *g = NULL;
    dfq_tensor *x = NULL, *t[2] = {NULL, NULL}, *w = NULL, *z = NULL;
    int32_t n;
    dfq_status status;
    (void)arg;
    DFQI_GOTO(dfqt_family_new(ctx, DFQI_FAMILY_RESNET, &g), out);
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){1, 3, 8, 8}, &x), out);
    DFQI_GOTO(dfq_graph_get_layer_count(g, &n), out);
    DFQI_GOTO(dfq_graph_get_probe_count(g, &n), out);
    DFQI_GOTO(dfq_graph_get_parameter(g, "bn1.weight", &w), out);
    DFQI_GOTO(dfq_graph_set_parameter(g, "bn1.weight", w), out);
    status = dfq_graph_forward_with_probes(g, x, names, 2, &z, t);
out:
    for (int i = 0; i < 2; i++) dfq_tensor_release(t[i]);
    dfq_tensor_release(z);
    dfq_tensor_release(w);
    dfq_tensor_release(x);
    dfq_graph_release(g);
    return status;
}

START_TEST(test_allocation)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_contents_case(void)
{
    TCase *c = tcase_create("contents");
    tcase_add_loop_test(c, test_layers, 0, DFQI_FAMILY_COUNT);
    tcase_add_loop_test(c, test_layers, DFQT_VIT_HEADS, DFQT_VIT_END);
    tcase_add_test(c, test_layers_of_vit);
    tcase_add_test(c, test_layers_of_resnet);
    tcase_add_loop_test(c, test_probes, 0, DFQI_FAMILY_COUNT);
    tcase_add_loop_test(c, test_probes, DFQT_VIT_HEADS, DFQT_VIT_END);
    tcase_add_test(c, test_attention);
    tcase_add_test(c, test_batchnorm_input);
    tcase_add_test(c, test_set);
    tcase_add_test(c, test_set_refused);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_allocation);
    tcase_set_timeout(c, 60);
    return c;
}
