/* Emitters of ops by which values of different shapes meet. */
#include "exchange/onnx_priv.h"

/* A parameter with an entry for each channel, where channels lie in this layout. */
static dfqi_ref of_channels(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_layout layout)
{
    const float *data = dfqi_onnx_param(e, n, slot);
    const int64_t c = dfqi_value_last(dfqi_onnx_shape(e, n, 0));
    const int32_t rank = layout == DFQI_LAYOUT_CHANNELS_FIRST ? 3 : 1;
    if (!data) dfqi_onnx_fail(e, DFQ_E_INTERNAL, "%s: affine has a computed operand", e->label);
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.affine.%d", e->label, (int)e->serial++),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, rank, (int64_t[]){c, 1, 1}, data);
}

/* operands x[B,..,C], w[C], b[C] */
void dfqi_emit_affine(dfqi_onnx *e, const dfqi_node *n)
{
    const bool image = dfqi_onnx_shape(e, n, 0)->rank == 4;
    const dfqi_layout layout = image ? DFQI_LAYOUT_CHANNELS_FIRST : DFQI_LAYOUT_SAME;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, layout);
    x = dfqi_onnx_binary(e, "Mul", x, of_channels(e, n, 1, layout));
    if (n->in[2] >= 0) x = dfqi_onnx_binary(e, "Add", x, of_channels(e, n, 2, layout));
    dfqi_onnx_out(e, n, 0, x, layout);
}

/* attr i[0] how often; the batch is as it is */
void dfqi_emit_repeat(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t count = dfqi_value_stride(dfqi_onnx_shape(e, n, 0));
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    x = dfqi_onnx_reshape(e, x, 3, (int64_t[]){0, 1, count});
    x = dfqi_onnx_binary(e, "Expand", x, dfqi_onnx_list(e, 3, (int64_t[]){1, n->attr.i[0], count}));
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}

/* attr f[0]: the slope below 0 */
void dfqi_emit_leaky_relu(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_unary(e, "LeakyRelu", dfqi_onnx_in_any(e, n, 0, &layout));
    dfqi_onnx_float(e, "alpha", n->attr.f[0]);
    dfqi_onnx_out(e, n, 0, x, layout);
}

void dfqi_emit_tanh(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout);
    dfqi_onnx_out(e, n, 0, dfqi_onnx_unary(e, "Tanh", x), layout);
}
