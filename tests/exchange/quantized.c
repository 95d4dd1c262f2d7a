/* Quantized networks: codes, scales and types of the file are those of the network. */
#include <math.h>
#include <string.h>

#include "exchange/cases.h"
#include "exchange/onnx_priv.h"
#include "quant/cases.h"
#include "quant/quantizer.h"

enum { INT8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8, INT32 = ONNX__TENSOR_PROTO__DATA_TYPE__INT32 };

static const dfqi_onnx_options defaults;
static const dfqi_grids rows = {.act_scale = DFQI_ACT_SCALE_ROW};
static dfq_context *ctx;
static dfqi_model *teacher, *student;
static Onnx__ModelProto *p;

static void setup(void)
{
    ctx = dfqt_context(1);
    student = NULL;
    p = NULL;
    ck_assert_int_eq(dfqt_teacher(ctx, &teacher), DFQ_OK);
}

static void teardown(void)
{
    onnx__model_proto__free_unpacked(p, NULL);
    dfqi_model_release(student);
    dfqi_model_release(teacher);
    dfqi_context_release(ctx);
}

static void quantize(dfqi_mode mode, int32_t bits, dfqi_grids grids)
{
    const dfqi_widths widths = {bits, bits, 0};
    ck_assert_msg(dfqt_quantize_with(teacher, mode, widths, grids, &student) == DFQ_OK, "%s",
                  ctx->error);
}

static const dfqi_site *site_named(const char *name)
{
    const dfqi_site *site = dfqi_scheme_find(&student->scheme, name);
    ck_assert_ptr_nonnull(site);
    return site;
}

static int count_sites(dfqi_site_kind kind)
{
    int n = 0;
    for (int32_t i = 0; i < student->scheme.n_sites; i++)
        n += student->scheme.sites[i].kind == kind;
    return n;
}

static const Onnx__TensorProto *constant(const char *name, int32_t type)
{
    const Onnx__TensorProto *t = dfqt_constant(p, name);
    ck_assert_msg(t != NULL, "%s is not there", name);
    ck_assert_int_eq(t->data_type, type);
    return t;
}

/* The codes of a layer in the file, transposed, and its scales. */
static void check_weight(const char *layer)
{
    char name[96];
    int32_t site;
    dfq_tensor *codes;
    dfqi_quantizer *q;
    snprintf(name, sizeof name, "%s.weight", layer);
    ck_assert_int_eq(dfqi_model_find_site(student, name, &site), DFQ_OK);
    ck_assert_int_eq(dfqi_model_get_codes(student, site, &codes, NULL), DFQ_OK);
    ck_assert_int_eq(dfqi_model_get_quantizer(student, site, &q), DFQ_OK);
    snprintf(name, sizeof name, "%s.weight.codes", layer);
    const Onnx__TensorProto *t = constant(name, INT8);
    int64_t o = codes->dims[0], k = dfqi_tensor_count(codes) / o;
    ck_assert_int_eq(t->dims[0], k);
    ck_assert_int_eq(t->dims[1], o);
    const int8_t *own = codes->data, *got = (const int8_t *)t->raw_data.data;
    for (int64_t i = 0; i < o * k; i++) ck_assert_int_eq(got[i % k * o + i / k], own[i]);
    snprintf(name, sizeof name, "%s.weight.scale", layer);
    t = constant(name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    ck_assert_mem_eq(t->raw_data.data, q->scales->data, (size_t)o * sizeof(float));
    dfqi_quantizer_release(q);
    dfq_tensor_release(codes);
}

/* -- static grids ------------------------------------------------------------------------------ */

START_TEST(test_static)
{
    int bits = _i ? 4 : 8;
    quantize(DFQI_MODE_IMPROVED, bits, (dfqi_grids){.act_grid = DFQI_ACT_GRID_AUTO});
    p = dfqt_export(student, &defaults);
    int uniform = count_sites(DFQI_SITE_UNIFORM), weights = count_sites(DFQI_SITE_WEIGHT);
    ck_assert_int_eq(dfqt_count(p, "QuantizeLinear"), uniform);
    /* the patch embedding reads floats, and its scales are multiplied behind it */
    ck_assert_int_eq(dfqt_count(p, "DequantizeLinear"), uniform + weights - 1);
    ck_assert_int_eq(dfqt_count(p, "Clip") > 0, bits == 4);
    ck_assert_int_eq(dfqt_count(p, "Max") > 0, bits == 4); /* heads, whose grids have own ends */
    /* the input of fc2 alone is divided by scales of channels: elsewhere that is free */
    ck_assert_int_eq(dfqt_count(p, "Div"), 2);
    check_weight("patch_embed.proj");
    check_weight("blocks.1.mlp.fc2");
    ck_assert_str_eq(dfqt_meta(p, "dfq.mode"), "improved");
    ck_assert_str_eq(dfqt_meta(p, "dfq.act_bits"), bits == 4 ? "4" : "8");
    ck_assert_ptr_null(dfqt_meta(p, "dfq.act_scale"));
}
END_TEST

/* b - s_o sum z c: what zero points of channels add is part of the bias. It is subtracted, so that
 * no engine makes a Gemm of floats. */
START_TEST(test_zero_points_in_bias)
{
    quantize(DFQI_MODE_IMPROVED, 8, (dfqi_grids){.act_grid = DFQI_ACT_GRID_AUTO});
    p = dfqt_export(student, &defaults);
    const char *layer = "blocks.0.mlp.fc1";
    const dfqi_site *input = site_named("blocks.0.mlp.fc1.input");
    const float *z = dfqi_tensor_f32(input->zero_point);
    const float *b = dfqi_tensor_f32(dfqi_network_find(&student->net, "blocks.0.mlp.fc1.bias"));
    const Onnx__TensorProto *codes = dfqt_constant(p, "blocks.0.mlp.fc1.weight.codes"),
                            *scale = dfqt_constant(p, "blocks.0.mlp.fc1.weight.scale"),
                            *bias = dfqt_constant(p, "blocks.0.mlp.fc1.negative_bias");
    int64_t k = codes->dims[0], o = codes->dims[1];
    double sum = 0, moved = 0;
    for (int64_t i = 0; i < k; i++)
        sum += (double)rintf(z[i]) * (int8_t)codes->raw_data.data[i * o + 3];
    moved = (double)b[3] - sum * (double)((const float *)(const void *)scale->raw_data.data)[3];
    ck_assert_float_eq_tol(((const float *)(const void *)bias->raw_data.data)[3], -(float)moved,
                           1e-5f);
    ck_assert_msg(fabs(moved - (double)b[3]) > 1e-3, "%s has no zero points", layer);
}
END_TEST

/* A zero point that no byte holds is added before the rounding, and is then part of the bias. */
START_TEST(test_zero_point_out_of_range)
{
    quantize(DFQI_MODE_PARITY, 8, (dfqi_grids){.act_grid = DFQI_ACT_GRID_AUTO});
    Onnx__ModelProto *plain = dfqt_export(student, &defaults);
    const int subtracted = dfqt_count(plain, "Sub"); /* biases */
    ck_assert_int_eq(dfqt_count(plain, "Div"), 0);
    onnx__model_proto__free_unpacked(plain, NULL);
    *dfqi_tensor_f32(site_named("blocks.0.mlp.fc2.input")->zero_point) = 300.0f;
    p = dfqt_export(student, &defaults);
    ck_assert_int_eq(dfqt_count(p, "Div"), 1);
    ck_assert_int_eq(dfqt_count(p, "Sub"), subtracted);
    const float *own = dfqi_tensor_f32(dfqi_network_find(&student->net, "blocks.0.mlp.fc2.bias"));
    const Onnx__TensorProto *bias = dfqt_constant(p, "blocks.0.mlp.fc2.negative_bias");
    const float *written = (const float *)(const void *)bias->raw_data.data;
    ck_assert(fabsf(written[0] + own[0]) > 1e-4f);
}
END_TEST

static int constants_of(int32_t type)
{
    int n = 0;
    for (size_t i = 0; i < p->graph->n_initializer; i++)
        n += p->graph->initializer[i]->data_type == type;
    return n;
}

START_TEST(test_4_bit_types)
{
    const dfqi_onnx_options o = {.int4 = 1};
    quantize(DFQI_MODE_IMPROVED, 4, _i ? rows : (dfqi_grids){.act_grid = DFQI_ACT_GRID_AUTO});
    p = dfqt_export(student, &o);
    ck_assert_int_eq(p->opset_import[0]->version, DFQI_INT4_OPSET);
    ck_assert_int_eq(constants_of(DFQI_ONNX_INT4), _i ? 8 : 10); /* rows: ends have 8 bits */
    const Onnx__TensorProto *t = constant("blocks.0.attn.proj.weight.codes", DFQI_ONNX_INT4);
    ck_assert_uint_eq(t->raw_data.len, (size_t)(t->dims[0] * t->dims[1] + 1) / 2);
    int32_t site;
    dfq_tensor *codes;
    ck_assert_int_eq(dfqi_model_find_site(student, "blocks.0.attn.proj.weight", &site), DFQ_OK);
    ck_assert_int_eq(dfqi_model_get_codes(student, site, &codes, NULL), DFQ_OK);
    const int8_t *own = codes->data;
    ck_assert_uint_eq(t->raw_data.data[0], (own[0] & 15) | (unsigned)(own[codes->dims[1]] & 15)
                                                               << 4);
    dfq_tensor_release(codes);
}
END_TEST

static int half(const Onnx__TensorProto *t, int64_t i)
{
    return t->raw_data.data[i / 2] >> (i % 2 ? 4 : 0) & 15;
}

/* Codes, zero points and multipliers of groups have 4 bits, and give the values of the network to
 * the last bit. */
START_TEST(test_4_bit_groups)
{
    enum { GROUP = 16, HIDDEN = 64 };
    const dfqi_onnx_options o = {.int4 = 1};
    const char *layer = "blocks.0.mlp.fc2.weight";
    int32_t site;
    dfq_tensor *values;
    dfqi_model_release(teacher);
    ck_assert_int_eq(dfqt_teacher_with(ctx, HIDDEN, &teacher), DFQ_OK);
    quantize(DFQI_MODE_IMPROVED, 4,
             (dfqi_grids){.act_scale = DFQI_ACT_SCALE_ROW, .weight_group = GROUP});
    p = dfqt_export(student, &o);
    ck_assert_int_eq(dfqi_model_find_site(student, layer, &site), DFQ_OK);
    ck_assert_int_eq(dfqi_model_get_codes(student, site, NULL, &values), DFQ_OK);
    const Onnx__TensorProto *u = constant("blocks.0.mlp.fc2.weight.codes", DFQI_ONNX_UINT4),
                            *z = constant("blocks.0.mlp.fc2.weight.zero_points", DFQI_ONNX_UINT4),
                            *m = constant("blocks.0.mlp.fc2.weight.multipliers", DFQI_ONNX_UINT4),
                            *s = constant("blocks.0.mlp.fc2.weight.scale",
                                          ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    const float *scale = (const float *)(const void *)s->raw_data.data;
    const int64_t count = u->dims[0] * u->dims[1], cols = u->dims[1];
    ck_assert_int_eq(m->dims[0] * m->dims[1] * GROUP, count);
    for (int64_t i = 0; i < count; i++) {
        const float code = (float)(half(u, i) - half(z, i / GROUP));
        ck_assert_float_eq(dfqi_tensor_f32(values)[i],
                           code * (scale[i / cols] * (float)half(m, i / GROUP)));
    }
    dfq_tensor_release(values);
}
END_TEST

START_TEST(test_4_bit_types_refused)
{
    dfqi_onnx_info info;
    dfq_tensor *bytes = NULL;
    const dfqi_st_target to = {.bytes = &bytes};
    dfqi_onnx_options o = {.opset = 20, .int4 = 1};
    quantize(DFQI_MODE_IMPROVED, 4, rows);
    ck_assert_int_eq(dfqi_onnx_write(student, &o, &to, &info), DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, "opset is 20") && strstr(ctx->error, "21 or more"), "%s",
                  ctx->error);
    dfqi_model_release(student);
    quantize(DFQI_MODE_IMPROVED, 8, rows);
    o.opset = 0;
    ck_assert_int_eq(dfqi_onnx_write(student, &o, &to, &info), DFQ_E_INVALID);
    ck_assert_msg(strstr(ctx->error, "no codes of up to 4 bits"), "%s", ctx->error);
    ck_assert_int_eq(dfqi_onnx_write(teacher, &o, &to, &info), DFQ_E_INVALID);
    ck_assert_ptr_null(bytes);
}
END_TEST

/* A map on a logarithmic grid: plain operators. */
START_TEST(test_log_grid)
{
    quantize(DFQI_MODE_IMPROVED, 4, (dfqi_grids){.act_grid = DFQI_ACT_GRID_AUTO});
    int before = count_sites(DFQI_SITE_LOG);
    dfqi_site *site = (dfqi_site *)(uintptr_t)site_named("blocks.0.attn.av.a");
    site->kind = DFQI_SITE_LOG;
    site->qmin = 0;
    site->qmax = 14;
    p = dfqt_export(student, &defaults);
    int logs = count_sites(DFQI_SITE_LOG);
    ck_assert_int_ge(logs, before > 0 ? before : 1);
    ck_assert_int_eq(dfqt_count(p, "LogSoftmax"), logs);
    ck_assert_int_eq(dfqt_count(p, "Exp"), logs);
    ck_assert_int_eq(dfqt_count(p, "ThresholdedRelu"), logs);
}
END_TEST

/* -- grids of rows ----------------------------------------------------------------------------- */

/* Of each block the inputs of four layers, map and values; and the input of the head. */
START_TEST(test_rows)
{
    quantize(DFQI_MODE_IMPROVED, _i ? 4 : 8, rows);
    p = dfqt_export(student, &defaults);
    ck_assert_int_eq(dfqt_count(p, "QuantizeLinear"), 13);
    ck_assert_int_eq(dfqt_count(p, "DequantizeLinear"), 13 + 9); /* and weights, but the first */
    check_weight("patch_embed.proj");
    check_weight("blocks.0.attn.qkv");
    check_weight("head");
    ck_assert_str_eq(dfqt_meta(p, "dfq.act_scale"), "row");
    /* no range is 0, but of maps; queries are clipped, with fewer than 8 bits others, too */
    int sites = count_sites(DFQI_SITE_ROW) + count_sites(DFQI_SITE_COLUMN), maps = 2, queries = 2;
    if (!_i) ck_assert_int_eq(dfqt_count(p, "Max"), sites - maps + queries);
}
END_TEST

/* Zero points of 8-bit codes multiply the sums of the weight's rows. Those of 4 bits are off
 * already. */
START_TEST(test_sums_of_rows)
{
    quantize(DFQI_MODE_IMPROVED, _i ? 4 : 8, rows);
    p = dfqt_export(student, &defaults);
    const Onnx__TensorProto *sums = dfqt_constant(p, "blocks.1.mlp.fc1.weight.negative_sum");
    ck_assert_int_eq(sums != NULL, !_i);
    if (!sums) return;
    const Onnx__TensorProto *codes = constant("blocks.1.mlp.fc1.weight.codes", INT8),
                            *scale = dfqt_constant(p, "blocks.1.mlp.fc1.weight.scale");
    int64_t k = codes->dims[0], o = codes->dims[1];
    for (int64_t j = 0; j < o; j++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < k; i++) sum += (int8_t)codes->raw_data.data[i * o + j];
        ck_assert_float_eq(((const float *)(const void *)sums->raw_data.data)[j],
                           (float)-sum * ((const float *)(const void *)scale->raw_data.data)[j]);
    }
}
END_TEST

/* Behind the last attention the class token alone is computed: what joins there is gathered, the
 * heads and the residual stream. */
START_TEST(test_class_token_alone)
{
    quantize(DFQI_MODE_IMPROVED, 8, _i ? rows : (dfqi_grids){.act_grid = DFQI_ACT_GRID_AUTO});
    p = dfqt_export(student, &defaults);
    ck_assert_int_eq(dfqt_count(p, "Gather"), 2);
    bool before = true;
    for (size_t i = 0; i < p->graph->n_node; i++) {
        const Onnx__NodeProto *n = p->graph->node[i];
        if (strcmp(n->op_type, "Gather") == 0) before = false;
        if (before) ck_assert_ptr_null(strstr(n->name, "blocks.1.attn.proj"));
        if (strstr(n->name, "blocks.1.mlp.fc1")) ck_assert(!before);
    }
}
END_TEST

/* -- convolutional networks -------------------------------------------------------------------- */

/* Scales have the BatchNorm's gain in them. One that turns signs stays behind its convolution. */
START_TEST(test_cnn)
{
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_RESNET);
    student = dfqt_family_low(g);
    dfq_graph_release(g);
    float *gamma = dfqi_tensor_f32(dfqi_network_find(&student->net, "layer1.0.bn1.weight"));
    const float *scale = dfqi_tensor_f32(site_named("layer1.0.conv1.weight")->scale);
    gamma[2] = 3.0f;
    p = dfqt_export(student, &defaults);
    int convs = dfqt_count(p, "Conv");
    ck_assert_int_eq(dfqt_count(p, "BatchNormalization"), 0);
    const Onnx__TensorProto *s =
        constant("layer1.0.conv1.weight.scale", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    ck_assert_float_eq_tol(((const float *)(const void *)s->raw_data.data)[2], 3.0f * scale[2],
                           1e-6f);
    ck_assert_int_eq(dfqt_count(p, "DequantizeLinear"), convs + dfqt_count(p, "QuantizeLinear"));
    onnx__model_proto__free_unpacked(p, NULL);
    gamma[2] = -3.0f;
    p = dfqt_export(student, &defaults);
    ck_assert_int_eq(dfqt_count(p, "BatchNormalization"), 1);
    s = constant("layer1.0.conv1.weight.scale", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    ck_assert_float_eq(((const float *)(const void *)s->raw_data.data)[2], scale[2]);
}
END_TEST

/* Is there a node of this type that reads an operand which no DequantizeLinear made? */
static bool reads_floats(const char *type)
{
    for (size_t i = 0; i < p->graph->n_node; i++) {
        const Onnx__NodeProto *n = p->graph->node[i], *maker = NULL;
        if (strcmp(n->op_type, type) != 0) continue;
        for (size_t k = 0; k < (strcmp(type, "Add") ? 1 : n->n_input); k++) {
            for (size_t j = 0; j < i; j++)
                if (strcmp(p->graph->node[j]->output[0], n->input[k]) == 0)
                    maker = p->graph->node[j];
            if (!maker || strcmp(maker->op_type, "DequantizeLinear") != 0) return true;
        }
    }
    return false;
}

/* On demand nothing is float but the bias of the classifier. */
START_TEST(test_integer)
{
    const dfqi_onnx_options o = {.integer = 1};
    dfq_graph *g = dfqt_family(ctx, _i ? DFQI_FAMILY_MBCONV : DFQI_FAMILY_RESNET);
    student = dfqt_family_low(g);
    dfq_graph_release(g);
    student->scheme.weight_bits = student->scheme.act_bits = 8;
    p = dfqt_export(student, &defaults);
    ck_assert(reads_floats("Conv") && reads_floats("MatMul"));
    onnx__model_proto__free_unpacked(p, NULL);
    p = dfqt_export(student, &o);
    ck_assert(!reads_floats("Conv") && !reads_floats("MatMul"));
}
END_TEST

/* What is quantized of a family has its emitters. (MobileNetV2 is large, and like the last.) */
START_TEST(test_families)
{
    static const int families[] = {DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET, DFQI_FAMILY_MBCONV,
                                   DFQT_VIT_HEADS,  DFQT_VIT_MEAN,      DFQT_VIT_NORMS};
    dfq_graph *g = dfqt_family(ctx, families[_i]);
    student = dfqt_family_low(g);
    dfq_graph_release(g);
    p = dfqt_export(student, &defaults);
    int codes = 0;
    for (size_t i = 0; i < p->graph->n_initializer; i++)
        codes += strstr(p->graph->initializer[i]->name, ".weight.codes") != NULL;
    ck_assert_int_eq(codes, count_sites(DFQI_SITE_WEIGHT));
}
END_TEST

/* Two norms with the same parameters have scales of their own. (dfqt_export looks at the names.) */
START_TEST(test_two_heads)
{
    dfq_quantize_options o;
    dfq_graph *g = dfqt_family(ctx, DFQT_VIT_HEADS);
    dfq_tensor *x = dfqt_family_images(g, 4);
    dfq_quantize_options_init(&o, sizeof o);
    o.act_scale = DFQ_ACT_SCALE_TENSOR;
    ck_assert_msg(dfq_graph_quantize(g, x, &o, &student) == DFQ_OK, "%s", ctx->error);
    p = dfqt_export(student, &defaults);
    dfq_tensor_release(x);
    dfq_graph_release(g);
}
END_TEST

TCase *dfqt_quantized_case(void)
{
    TCase *c = tcase_create("quantized");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_static, 0, 2);
    tcase_add_test(c, test_zero_points_in_bias);
    tcase_add_test(c, test_zero_point_out_of_range);
    tcase_add_loop_test(c, test_4_bit_types, 0, 2);
    tcase_add_test(c, test_4_bit_groups);
    tcase_add_test(c, test_4_bit_types_refused);
    tcase_add_test(c, test_log_grid);
    tcase_add_loop_test(c, test_rows, 0, 2);
    tcase_add_loop_test(c, test_sums_of_rows, 0, 2);
    tcase_add_loop_test(c, test_class_token_alone, 0, 2);
    tcase_add_test(c, test_cnn);
    tcase_add_loop_test(c, test_integer, 0, 2);
    tcase_add_loop_test(c, test_families, 0, 6);
    tcase_add_test(c, test_two_heads);
    return c;
}
