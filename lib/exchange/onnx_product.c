/* Linear layers. Operands are float, on static grids, or on grids found at run time. */
#include "exchange/onnx_priv.h"

/* x W^T with x = s_k (q_k - z_k) and W = s_o c / s_k, the column factors being the input's scales:
 * s_o sum q c - s_o sum z c. The second sum is part of the bias. With one scale s and no factors
 * s_o s takes the place of s_o. */
static dfqi_ref static_product(dfqi_onnx *e, const dfqi_onnx_grid *x, const dfqi_onnx_weight *w,
                               float *bias)
{
    for (int64_t o = 0; bias && o < w->rows; o++) {
        double sum = 0;
        if (!w->factors) w->scales[o] *= x->scales[0];
        for (int64_t k = 0; x->zeros && k < w->cols; k++)
            sum += (double)x->zeros[x->n == 1 ? 0 : k] * w->codes[o * w->cols + k];
        bias[o] = (float)((double)bias[o] - sum * (double)w->scales[o]);
    }
    return dfqi_onnx_binary(e, "MatMul", x->unit, dfqi_onnx_weight_values(e, w, 1));
}

/* A weight without codes, or whose columns have factors that the operand does not have. */
static dfqi_ref float_weight(dfqi_onnx *e, const dfqi_node *n, const float *divisor)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 1);
    const float *w = dfqi_onnx_weight_floats(e, n);
    int64_t o = v->dims[0], k = dfqi_value_count(v) / o;
    const int64_t dims[2] = {k, o};
    float *t = dfqi_onnx_floats(e, o * k);
    if (!t || !w) return NULL;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < o; j++) t[i * o + j] = w[j * k + i] / (divisor ? divisor[j] : 1.0f);
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight", n->name),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 2, dims, t);
}

/* A float operand and a weight of codes: the scales are multiplied to the product, since behind a
 * DequantizeLinear engines would round the operand to 8 bits; not so behind one of groups. The same
 * with zero points of rows, which not all integer products of engines get right. */
static dfqi_ref mixed_product(dfqi_onnx *e, const dfqi_node *n, const dfqi_onnx_weight *w)
{
    if (w->group)
        return dfqi_onnx_binary(e, "MatMul", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME),
                                dfqi_onnx_weight_values(e, w, 1));
    const int32_t type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    dfqi_ref c = dfqi_onnx_cast(e, dfqi_onnx_weight_codes(e, w, 1), type);
    if (w->zeros)
        c = dfqi_onnx_binary(e, "Sub", c,
                             dfqi_onnx_tensor(e,
                                              dfqi_onnx_text(e, "%s.weight.zero_point", w->layer),
                                              type, 1, &w->rows, w->zeros));
    dfqi_ref y = dfqi_onnx_binary(e, "MatMul", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME), c);
    return dfqi_onnx_binary(e, "Mul", y, dfqi_onnx_weight_scales(e, w));
}

/* The bias in memory of its own, zeros if there is none. */
static float *copy_bias(dfqi_onnx *e, const dfqi_node *n, int64_t rows)
{
    const float *b = n->in[3] >= 0 ? dfqi_onnx_param(e, n, 3) : NULL;
    float *copy = dfqi_onnx_floats(e, rows);
    for (int64_t i = 0; copy && b && i < rows; i++) copy[i] = b[i];
    return copy;
}

/* From a product of static codes the negative bias is subtracted: ONNX Runtime makes a Gemm of
 * MatMul and Add before it looks for codes, and computes that in floats. */
static dfqi_ref add_bias(dfqi_onnx *e, const dfqi_node *n, dfqi_ref y, int64_t rows, bool codes,
                         float *bias)
{
    bool any = n->in[3] >= 0;
    for (int64_t i = 0; bias && i < rows; i++) any = any || bias[i] != 0.0f;
    if (!any) return y;
    for (int64_t i = 0; codes && bias && i < rows; i++) bias[i] = -bias[i];
    return dfqi_onnx_binary(
        e, codes ? "Sub" : "Add", y,
        dfqi_onnx_tensor(e, dfqi_onnx_text(e, codes ? "%s.negative_bias" : "%s.bias", n->name),
                         ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &rows, bias));
}

/* Does the operand come from a DequantizeLinear? */
static bool is_dequantized(const dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 0);
    return maker && maker->op == DFQI_OP_FQ && !e->values[n->in[0]].grid;
}

/* The product from codes of the weight, without the bias. */
static dfqi_ref coded_product(dfqi_onnx *e, const dfqi_node *n, const dfqi_onnx_grid *x,
                              const dfqi_onnx_weight *w, float *bias)
{
    if (x && !w->zeros && !x->scale && (x->n == 1 || w->factors))
        return static_product(e, x, w, bias);
    if (x && !w->zeros && x->scale) return dfqi_onnx_row_linear(e, x, w);
    if (w->zeros || !is_dequantized(e, n)) return mixed_product(e, n, w);
    return dfqi_onnx_binary(e, "MatMul", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME),
                            dfqi_onnx_weight_values(e, w, 1));
}

/* Queries, keys and values on static grids are divided by their scales here, where it is free. */
static const float *divide_heads(dfqi_onnx *e, const dfqi_node *n, int64_t rows,
                                 dfqi_onnx_weight *w, float *bias)
{
    float *divisor = dfqi_onnx_floats(e, rows), *shift = dfqi_onnx_floats(e, rows);
    if (!divisor || !shift || !bias || !dfqi_onnx_heads_grids(e, n, divisor, shift)) return NULL;
    for (int64_t o = 0; o < rows; o++) {
        if (w) w->scales[o] /= divisor[o];
        bias[o] = bias[o] / divisor[o] + shift[o];
    }
    return divisor;
}

void dfqi_emit_linear(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_onnx_grid *x = dfqi_onnx_grid_of(e, n, 0);
    int64_t rows = dfqi_onnx_shape(e, n, 1)->dims[0];
    float *bias = copy_bias(e, n, rows);
    dfqi_onnx_weight w;
    bool coded = dfqi_onnx_weight_get(e, n, &w);
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 0);
    if (e->integer && coded && !w.zeros && maker && maker->op == DFQI_OP_MEAN_POOL)
        x = dfqi_onnx_row_codes(e, dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME));
    const float *divisor = divide_heads(e, n, rows, coded ? &w : NULL, bias);
    dfqi_ref y;
    if (coded && (!w.factors || (x && !x->scale)))
        y = coded_product(e, n, x, &w, bias);
    else
        y = dfqi_onnx_binary(e, "MatMul", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME),
                             float_weight(e, n, divisor));
    bool codes = coded && ((x && !x->scale) || is_dequantized(e, n));
    dfqi_onnx_out(e, n, 0, add_bias(e, n, y, rows, codes, bias), DFQI_LAYOUT_SAME);
}
