/* Emitters of activations with a curve, of gates, and of parts of images. */
#include "exchange/onnx_priv.h"

static dfqi_ref hard_sigmoid(dfqi_onnx *e, dfqi_ref x)
{
    x = dfqi_onnx_unary(e, "HardSigmoid", x);
    dfqi_onnx_float(e, "alpha", 1.0f / 6.0f);
    dfqi_onnx_float(e, "beta", 0.5f);
    return x;
}

/* The curve is written out: the attribute of Gelu that asks for it came late. */
static dfqi_ref gelu_tanh(dfqi_onnx *e, dfqi_ref x)
{
    dfqi_ref y = dfqi_onnx_binary(e, "Mul", x, x);
    y = dfqi_onnx_binary(e, "Mul", y, dfqi_onnx_scalar(e, 0.044715f));
    y = dfqi_onnx_binary(e, "Add", y, dfqi_onnx_scalar(e, 1.0f));
    y = dfqi_onnx_binary(e, "Mul", y, x);
    y = dfqi_onnx_binary(e, "Mul", y, dfqi_onnx_scalar(e, 0.797884560802865356f));
    y = dfqi_onnx_binary(e, "Add", dfqi_onnx_unary(e, "Tanh", y), dfqi_onnx_scalar(e, 1.0f));
    y = dfqi_onnx_binary(e, "Mul", y, x);
    return dfqi_onnx_binary(e, "Mul", y, dfqi_onnx_scalar(e, 0.5f));
}

/* attr i[0] which. HardSwish is an operator of its own since operator set 14, older than ours. */
void dfqi_emit_activation(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout), y = NULL;
    switch ((dfqi_activation_kind)n->attr.i[0]) {
    case DFQI_ACTIVATION_SIGMOID:
        y = dfqi_onnx_unary(e, "Sigmoid", x);
        break;
    case DFQI_ACTIVATION_SILU:
        y = dfqi_onnx_binary(e, "Mul", x, dfqi_onnx_unary(e, "Sigmoid", x));
        break;
    case DFQI_ACTIVATION_HARD_SIGMOID:
        y = hard_sigmoid(e, x);
        break;
    case DFQI_ACTIVATION_QUICK_GELU:
        y = dfqi_onnx_binary(e, "Mul", x, dfqi_onnx_scalar(e, 1.702f));
        y = dfqi_onnx_binary(e, "Mul", x, dfqi_onnx_unary(e, "Sigmoid", y));
        break;
    case DFQI_ACTIVATION_GELU_TANH:
        y = gelu_tanh(e, x);
        break;
    case DFQI_ACTIVATION_SOFTPLUS:
        y = dfqi_onnx_unary(e, "Softplus", x);
        break;
    case DFQI_ACTIVATION_ELU:
        y = dfqi_onnx_unary(e, "Elu", x);
        break;
    case DFQI_ACTIVATION_SQRT:
        y = dfqi_onnx_unary(e, "Sqrt", x);
        break;
    case DFQI_ACTIVATION_RECIPROCAL:
        y = dfqi_onnx_unary(e, "Reciprocal", x);
        break;
    case DFQI_ACTIVATION_EXP:
        y = dfqi_onnx_unary(e, "Exp", x);
        break;
    case DFQI_ACTIVATION_HARD_SWISH:
    case DFQI_ACTIVATION_COUNT:
        y = dfqi_onnx_binary(e, "Mul", x, hard_sigmoid(e, x));
        break;
    }
    dfqi_onnx_out(e, n, 0, y, layout);
}

/* operands x[B,Y,X,C], or [B,N,C], and s[B,C] */
void dfqi_emit_gate(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    const bool image = v->rank == 4;
    const dfqi_layout layout = image ? DFQI_LAYOUT_CHANNELS_FIRST : DFQI_LAYOUT_SAME;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, layout), s = dfqi_onnx_in(e, n, 1, DFQI_LAYOUT_SAME);
    int64_t dims[4] = {0, 1, 1, 1}; /* 0: the batch, as it is */
    dims[image ? 1 : v->rank - 1] = dfqi_value_last(v);
    s = dfqi_onnx_reshape(e, s, v->rank, dims);
    dfqi_onnx_out(e, n, 0, dfqi_onnx_binary(e, "Mul", x, s), layout);
}

/* attr i: above, before, below, behind */
void dfqi_emit_pad_image(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_CHANNELS_FIRST);
    x = dfqi_onnx_binary(e, "Pad", x,
                         dfqi_onnx_list(e, 8, (int64_t[]){0, 0, a[0], a[1], 0, 0, a[2], a[3]}));
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_CHANNELS_FIRST);
}

static int64_t channel_axis(const dfqi_value *v)
{
    return v->rank == 4 ? 1 : v->rank - 1;
}

static dfqi_layout part_layout(const dfqi_value *v)
{
    return v->rank == 4 ? DFQI_LAYOUT_CHANNELS_FIRST : DFQI_LAYOUT_SAME;
}

void dfqi_emit_concat(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    const dfqi_layout layout = part_layout(v);
    dfqi_ref a = dfqi_onnx_in(e, n, 0, layout), b = dfqi_onnx_in(e, n, 1, layout);
    dfqi_ref y = dfqi_onnx_binary(e, "Concat", a, b);
    dfqi_onnx_int(e, "axis", channel_axis(v));
    dfqi_onnx_out(e, n, 0, y, layout);
}

/* attr i: first, count */
void dfqi_emit_channel_part(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    const int64_t axis = channel_axis(v), first = n->attr.i[0], end = first + n->attr.i[1];
    dfqi_ref x = dfqi_onnx_in(e, n, 0, part_layout(v));
    x = dfqi_onnx_node(e, "Slice", 4,
                       (dfqi_ref[]){x, dfqi_onnx_list(e, 1, &first), dfqi_onnx_list(e, 1, &end),
                                    dfqi_onnx_list(e, 1, &axis)});
    dfqi_onnx_out(e, n, 0, x, part_layout(v));
}
