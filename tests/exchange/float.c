/* Float networks of all families: structure, operator sets, what is said of the network. */
#include <dfq/version.h>
#include <math.h>
#include <string.h>

#include "exchange/cases.h"
#include "quant/cases.h"

static const dfqi_onnx_options defaults;

/* BatchNorms are behind their convolutions. */
START_TEST(test_families)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, _i);
    Onnx__ModelProto *p = dfqt_export(g, &defaults);
    int cnn = dfqi_arch_is_cnn(&g->net.arch), norms = dfqi_arch_norms(&g->net.arch);
    if (_i != DFQI_FAMILY_IMPORTED) ck_assert_int_eq(dfqt_count(p, "Conv"), norms);
    ck_assert_int_eq(dfqt_count(p, "BatchNormalization"), norms);
    /* the scale of attention; gates of channels */
    ck_assert_int_eq(dfqt_count(p, "Mul") > 0,
                     !cnn || _i == DFQI_FAMILY_EFFICIENTNET || _i == DFQI_FAMILY_IMPORTED);
    ck_assert_int_eq(dfqt_count(p, "Gelu") > 0, !cnn);
    ck_assert_int_eq(dfqt_count(p, "LayerNormalization") > 0, !cnn);
    const Onnx__TensorShapeProto *in = p->graph->input[0]->type->tensor_type->shape,
                                 *out = p->graph->output[0]->type->tensor_type->shape;
    ck_assert_uint_eq(in->n_dim, 4);
    ck_assert_str_eq(in->dim[0]->dim_param, "batch");
    ck_assert_int_eq(in->dim[1]->dim_value, 3);
    ck_assert_int_eq(in->dim[3]->dim_value, g->net.arch.image.width);
    ck_assert_uint_eq(out->n_dim, 2);
    ck_assert_str_eq(out->dim[0]->dim_param, "batch");
    ck_assert_int_eq(out->dim[1]->dim_value, g->net.arch.classes);
    onnx__model_proto__free_unpacked(p, NULL);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

/* Weights of linear layers are transposed, others are as they were. */
START_TEST(test_weights)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    ck_assert_int_eq(dfqt_teacher(ctx, &m), DFQ_OK);
    Onnx__ModelProto *p = dfqt_export(m, &defaults);
    const dfq_tensor *w = dfqi_network_find(&m->net, "blocks.1.mlp.fc1.weight");
    const dfq_tensor *gamma = dfqi_network_find(&m->net, "blocks.0.norm1.weight");
    const Onnx__TensorProto *t = dfqt_constant(p, "blocks.1.mlp.fc1.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_eq(t->n_dims, 2);
    ck_assert_int_eq(t->dims[0], w->dims[1]);
    ck_assert_int_eq(t->dims[1], w->dims[0]);
    const float *v = (const float *)(const void *)t->raw_data.data;
    ck_assert_float_eq(v[1], dfqi_tensor_f32(w)[w->dims[1]]);
    ck_assert_float_eq(v[w->dims[0]], dfqi_tensor_f32(w)[1]);
    t = dfqt_constant(p, "blocks.0.norm1.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_mem_eq(t->raw_data.data, gamma->data, t->raw_data.len);
    onnx__model_proto__free_unpacked(p, NULL);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* The operator set decides whether GELU is one node; each has its file format. */
START_TEST(test_opsets)
{
    static const int ir[] = {8, 8, 9, 9, 10, 10, 11, 12, 13};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    const dfqi_onnx_options o = {.opset = _i};
    ck_assert_int_eq(dfqt_teacher(ctx, &m), DFQ_OK);
    Onnx__ModelProto *p = dfqt_export(m, &o);
    ck_assert_int_eq(p->opset_import[0]->version, _i);
    ck_assert_int_eq(p->ir_version, ir[_i - DFQI_OPSET_MIN]);
    ck_assert_int_eq(dfqt_count(p, "Gelu"), _i >= 20 ? 2 : 0);
    ck_assert_int_eq(dfqt_count(p, "Erf"), _i >= 20 ? 0 : 2);
    onnx__model_proto__free_unpacked(p, NULL);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_metadata)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_family(ctx, DFQI_FAMILY_VIT);
    Onnx__ModelProto *p = dfqt_export(g, &defaults);
    ck_assert_str_eq(dfqt_meta(p, "mean"), "0.5,0.5,0.5");
    ck_assert_str_eq(dfqt_meta(p, "std"), "0.5,0.25,0.5");
    ck_assert_str_eq(dfqt_meta(p, "classes"), "3");
    ck_assert_str_eq(dfqt_meta(p, "heads"), "3");
    ck_assert_ptr_null(dfqt_meta(p, "dfq.mode"));
    ck_assert_str_eq(p->producer_name, "libdfq");
    ck_assert_str_eq(p->producer_version, dfq_version_text());
    onnx__model_proto__free_unpacked(p, NULL);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_float_case(void)
{
    TCase *c = tcase_create("float");
    tcase_add_loop_test(c, test_families, 0, DFQI_FAMILY_COUNT);
    tcase_add_test(c, test_weights);
    tcase_add_loop_test(c, test_opsets, DFQI_OPSET_MIN, DFQI_OPSET_MAX + 1);
    tcase_add_test(c, test_metadata);
    return c;
}
