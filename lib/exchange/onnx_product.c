/* Products: linear layers, and those of attention. Operands are float, on static grids, or on grids
 * found at run time. */
#include <math.h>

#include "exchange/onnx_priv.h"

/* -- linear ------------------------------------------------------------------------------------ */

/* x W^T with x = s_k (q_k - z_k) and W = s_o c / s_k, the column factors being the input's scales:
 * s_o sum q c - s_o sum z c. The second sum is part of the bias. */
static dfqi_ref channels_product(dfqi_onnx *e, const dfqi_onnx_grid *x, const dfqi_onnx_weight *w,
                                 float *bias)
{
    for (int64_t o = 0; x->zeros && bias && o < w->rows; o++) {
        double sum = 0;
        for (int64_t k = 0; k < w->cols; k++)
            sum += (double)x->zeros[k] * w->codes[o * w->cols + k];
        bias[o] = (float)((double)bias[o] - sum * (double)w->scales[o]);
    }
    return dfqi_onnx_binary(e, "MatMul", x->unit, dfqi_onnx_weight_values(e, w, 1));
}

/* A weight without codes, or whose columns have factors that the operand does not have. */
static dfqi_ref float_weight(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 1);
    const float *w = dfqi_onnx_weight_floats(e, n);
    int64_t o = v->dims[0], k = dfqi_value_count(v) / o;
    const int64_t dims[2] = {k, o};
    float *t = dfqi_onnx_floats(e, o * k);
    if (!t || !w) return NULL;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < o; j++) t[i * o + j] = w[j * k + i];
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight", n->name),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 2, dims, t);
}

/* A float operand and a weight of codes: the scales are multiplied to the product, since behind a
 * DequantizeLinear engines would round the operand to 8 bits. The same with zero points of rows,
 * which not all integer products of engines get right. */
static dfqi_ref mixed_product(dfqi_onnx *e, const dfqi_node *n, const dfqi_onnx_weight *w)
{
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

static dfqi_ref add_bias(dfqi_onnx *e, const dfqi_node *n, dfqi_ref y, int64_t rows,
                         const float *bias)
{
    bool any = n->in[3] >= 0;
    for (int64_t i = 0; bias && i < rows; i++) any = any || bias[i] != 0.0f;
    if (!any) return y;
    return dfqi_onnx_binary(e, "Add", y,
                            dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.bias", n->name),
                                             ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &rows, bias));
}

/* Is the operand a quantized one? */
static bool is_quantized(const dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 0);
    return maker && (maker->op == DFQI_OP_FQ || maker->op == DFQI_OP_FQ_ROW);
}

void dfqi_emit_linear(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_onnx_grid *x = e->values[n->in[0]].grid;
    int64_t rows = dfqi_onnx_shape(e, n, 1)->dims[0];
    float *bias = copy_bias(e, n, rows);
    dfqi_onnx_weight w;
    bool coded = dfqi_onnx_weight_get(e, n, &w);
    dfqi_ref y;
    if (coded && w.factors && x && x->unit)
        y = channels_product(e, x, &w, bias);
    else if (coded && !w.factors && !w.zeros && x && x->codes)
        y = dfqi_onnx_row_linear(e, x, &w);
    else if (coded && !w.factors && (w.zeros || !is_quantized(e, n)))
        y = mixed_product(e, n, &w);
    else if (coded && !w.factors)
        y = dfqi_onnx_binary(e, "MatMul", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME),
                             dfqi_onnx_weight_values(e, &w, 1));
    else
        y = dfqi_onnx_binary(e, "MatMul", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME),
                             float_weight(e, n));
    dfqi_onnx_out(e, n, 0, add_bias(e, n, y, rows, bias), DFQI_LAYOUT_SAME);
}

/* -- attention --------------------------------------------------------------------------------- */

static const int64_t swap[4] = {0, 1, 3, 2}, heads_first[4] = {0, 2, 1, 3}, turn[4] = {0, 2, 3, 1};

/* How an operand has to be transposed for MatMul; NULL: not at all. */
static const int64_t *permutation(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    bool tokens_first = e->values[n->in[slot]].layout == DFQI_LAYOUT_TOKENS_FIRST;
    if (slot == 1 && n->op == DFQI_OP_MATMUL_NT) return tokens_first ? turn : swap;
    return tokens_first ? heads_first : NULL;
}

/* The whole numbers of a static grid whose scales can be multiplied to the product: those of a
 * head, or of the channels of the result. NULL: there are none. */
static const dfqi_onnx_grid *unit_operand(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    const dfqi_onnx_grid *g = e->values[n->in[slot]].grid;
    bool channels = slot == 1 && n->op == DFQI_OP_MATMUL_NN;
    if (!g || !g->unit || g->zeros) return NULL;
    return channels || g->n == dfqi_onnx_shape(e, n, slot)->dims[1] ? g : NULL;
}

static dfqi_ref operand(dfqi_onnx *e, const dfqi_node *n, int32_t slot, const dfqi_onnx_grid *unit)
{
    const int64_t *perm = permutation(e, n, slot);
    dfqi_layout layout;
    dfqi_ref x = unit ? unit->unit : dfqi_onnx_in_any(e, n, slot, &layout);
    return perm ? dfqi_onnx_transpose(e, x, 4, perm) : x;
}

/* The product of both operands' scales and of `factor`, for each head or each of its channels. */
static dfqi_ref scales_of_product(dfqi_onnx *e, const dfqi_node *n, const dfqi_onnx_grid *a,
                                  const dfqi_onnx_grid *b, float factor)
{
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t heads = y->dims[1], count = b && b->n > heads ? b->n : heads;
    float *s = dfqi_onnx_floats(e, count);
    for (int64_t i = 0; s && i < count; i++) {
        int64_t h = i / (count / heads);
        s[i] = factor * (a ? a->scales[a->n == heads ? h : 0] : 1.0f);
        if (b) s[i] *= b->scales[b->n == count ? i : h];
    }
    return dfqi_onnx_vector(e, y, DFQI_LAYOUT_SAME, count, s);
}

/* The softmax behind the product of queries and keys multiplies by a constant: done here, where
 * other factors are multiplied or it is cheaper. */
static float take_factor(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *reader = dfqi_onnx_reader(e, n);
    if (!reader || reader->op != DFQI_OP_SOFTMAX) return 1.0f;
    e->values[n->out[0]].scaled = 1;
    return reader->attr.f[0];
}

static dfqi_ref float_product(dfqi_onnx *e, const dfqi_node *n, float factor)
{
    const dfqi_onnx_grid *ua = unit_operand(e, n, 0), *ub = unit_operand(e, n, 1);
    dfqi_ref a = operand(e, n, 0, ua), b = operand(e, n, 1, ub);
    if (!ua && !ub && factor != 1.0f)
        a = dfqi_onnx_binary(e, "Mul", a, dfqi_onnx_scalar(e, factor));
    dfqi_ref y = dfqi_onnx_binary(e, "MatMul", a, b);
    if (!ua && !ub) return y;
    return dfqi_onnx_binary(e, "Mul", y, scales_of_product(e, n, ua, ub, factor));
}

void dfqi_emit_matmul(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_onnx_grid *a = e->values[n->in[0]].grid, *b = e->values[n->in[1]].grid;
    float factor = take_factor(e, n);
    dfqi_ref y;
    if (a && b && a->codes && b->codes && !b->zero_point)
        y = dfqi_onnx_row_matmul(e, a, permutation(e, n, 0), b, permutation(e, n, 1), factor);
    else
        y = float_product(e, n, factor);
    dfqi_onnx_out(e, n, 0, y, DFQI_LAYOUT_SAME);
}
