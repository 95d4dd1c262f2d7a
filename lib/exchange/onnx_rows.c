/* Grids that are found at run time, by plain operators: the codes, the scale and the zero point of
 * each row or column, and products of codes in integers (docs/METHODS.md, Grids of rows).
 *
 *   lo = min(0, min x), hi = max(0, max x), s = (hi - lo) / (2^b - 1), or 1 of a row of zeros
 *   z = round(-lo / s), q = clip(round(x / s) + z, 0, 2^b - 1)
 *   symmetric: s = max |x| / (2^(b-1) - 1), q = round(x / s) */
#include <float.h>

#include "exchange/onnx_priv.h"

enum {
    FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    UINT8 = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    INT8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
    INT32 = ONNX__TENSOR_PROTO__DATA_TYPE__INT32
};

/* A scale below the smallest normal number is that of zeros. */
static dfqi_ref scale_of(dfqi_onnx *e, dfqi_ref range, float qmax)
{
    dfqi_ref s = dfqi_onnx_binary(e, "Div", range, dfqi_onnx_scalar(e, qmax));
    dfqi_ref zeros = dfqi_onnx_binary(e, "Less", s, dfqi_onnx_scalar(e, FLT_MIN));
    return dfqi_onnx_node(e, "Where", 3, (dfqi_ref[]){zeros, dfqi_onnx_scalar(e, 1.0f), s});
}

static dfqi_ref round_by(dfqi_onnx *e, dfqi_ref x, dfqi_ref scale)
{
    return dfqi_onnx_unary(e, "Round", dfqi_onnx_binary(e, "Div", x, scale));
}

static void symmetric(dfqi_onnx *e, dfqi_ref x, int64_t axis, float qmax, dfqi_onnx_grid *g)
{
    g->scale =
        scale_of(e, dfqi_onnx_reduce(e, "ReduceMax", dfqi_onnx_unary(e, "Abs", x), axis), qmax);
    g->codes = dfqi_onnx_cast(e, round_by(e, x, g->scale), INT8);
}

/* Probabilities: no value is below 0, and the largest has the largest code. */
static void from_zero(dfqi_onnx *e, dfqi_ref x, int64_t axis, float qmax, dfqi_onnx_grid *g)
{
    g->scale = scale_of(e, dfqi_onnx_reduce(e, "ReduceMax", x, axis), qmax);
    g->codes = dfqi_onnx_cast(e, round_by(e, x, g->scale), UINT8);
}

static void asymmetric(dfqi_onnx *e, dfqi_ref x, int64_t axis, float qmax, dfqi_onnx_grid *g)
{
    dfqi_ref zero = dfqi_onnx_scalar(e, 0.0f), largest = dfqi_onnx_scalar(e, qmax);
    dfqi_ref lo = dfqi_onnx_binary(e, "Min", dfqi_onnx_reduce(e, "ReduceMin", x, axis), zero);
    dfqi_ref hi = dfqi_onnx_binary(e, "Max", dfqi_onnx_reduce(e, "ReduceMax", x, axis), zero);
    g->scale = scale_of(e, dfqi_onnx_binary(e, "Sub", hi, lo), qmax);
    dfqi_ref z = round_by(e, dfqi_onnx_unary(e, "Neg", lo), g->scale);
    dfqi_ref q = dfqi_onnx_binary(e, "Add", round_by(e, x, g->scale), z);
    q = dfqi_onnx_node(e, "Clip", 3, (dfqi_ref[]){q, zero, largest});
    g->codes = dfqi_onnx_cast(e, q, UINT8);
    g->zero_point = dfqi_onnx_cast(e, z, INT32);
}

/* attr i: bits, 1: symmetric, 1: columns */
void dfqi_emit_fq_row(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout);
    dfqi_onnx_grid *g = dfqi_onnx_alloc(e, 1, sizeof *g);
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 0);
    int64_t axis = !a[2] ? -1 : layout == DFQI_LAYOUT_TOKENS_FIRST ? 1 : -2;
    float qmax = (float)((1 << (a[0] - (a[1] != 0))) - 1);
    if (!g) return;
    if (a[1])
        symmetric(e, x, axis, qmax, g);
    else if (maker && maker->op == DFQI_OP_SOFTMAX && !a[2])
        from_zero(e, x, axis, qmax, g);
    else
        asymmetric(e, x, axis, qmax, g);
    dfqi_onnx_out(e, n, 0, NULL, layout);
    e->values[n->out[0]].grid = g;
}

dfqi_ref dfqi_onnx_row_values(dfqi_onnx *e, const dfqi_onnx_grid *g)
{
    dfqi_ref x = dfqi_onnx_cast(e, g->codes, FLOAT);
    if (g->zero_point) x = dfqi_onnx_binary(e, "Sub", x, dfqi_onnx_cast(e, g->zero_point, FLOAT));
    return dfqi_onnx_binary(e, "Mul", x, g->scale);
}

/* -- products ---------------------------------------------------------------------------------- */

/* sum q c - z sum c: a[..,M,K] b[..,K,N] and the sums of b's columns, I32; as float. */
static dfqi_ref integer_product(dfqi_onnx *e, const dfqi_onnx_grid *a, dfqi_ref b, dfqi_ref sums)
{
    dfqi_ref y = dfqi_onnx_binary(e, "MatMulInteger", a->codes, b);
    if (a->zero_point)
        y = dfqi_onnx_binary(e, "Sub", y, dfqi_onnx_binary(e, "Mul", a->zero_point, sums));
    return dfqi_onnx_cast(e, y, FLOAT);
}

dfqi_ref dfqi_onnx_row_linear(dfqi_onnx *e, const dfqi_onnx_grid *x, const dfqi_onnx_weight *w)
{
    dfqi_ref c = dfqi_onnx_weight_codes(e, w, 1);
    if (e->int4 && w->bits <= DFQI_INT4_BITS) c = dfqi_onnx_cast(e, c, INT8);
    int32_t *sum = dfqi_onnx_alloc(e, (size_t)w->rows, sizeof *sum);
    if (!sum) return NULL;
    for (int64_t o = 0; o < w->rows; o++)
        for (int64_t k = 0; k < w->cols; k++) sum[o] += w->codes[o * w->cols + k];
    dfqi_ref sums = x->zero_point
                        ? dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.sum", w->layer), INT32,
                                           1, &w->rows, sum)
                        : NULL;
    dfqi_ref y = integer_product(e, x, c, sums);
    y = dfqi_onnx_binary(e, "Mul", y, x->scale);
    return dfqi_onnx_binary(e, "Mul", y, dfqi_onnx_weight_scales(e, w));
}

/* The parts of a grid, each transposed. */
static dfqi_onnx_grid turned(dfqi_onnx *e, const dfqi_onnx_grid *g, const int64_t *perm)
{
    dfqi_onnx_grid t = *g;
    if (!perm) return t;
    t.codes = dfqi_onnx_transpose(e, g->codes, 4, perm);
    t.scale = dfqi_onnx_transpose(e, g->scale, 4, perm);
    if (g->zero_point) t.zero_point = dfqi_onnx_transpose(e, g->zero_point, 4, perm);
    return t;
}

dfqi_ref dfqi_onnx_row_matmul(dfqi_onnx *e, const dfqi_onnx_grid *a, const int64_t *perm_a,
                              const dfqi_onnx_grid *b, const int64_t *perm_b, float factor)
{
    dfqi_onnx_grid l = turned(e, a, perm_a), r = turned(e, b, perm_b);
    dfqi_ref sums = NULL;
    if (l.zero_point)
        sums = dfqi_onnx_reduce(e, "ReduceSum", dfqi_onnx_cast(e, r.codes, INT32), -2);
    dfqi_ref y = integer_product(e, &l, r.codes, sums);
    if (factor != 1.0f) l.scale = dfqi_onnx_binary(e, "Mul", l.scale, dfqi_onnx_scalar(e, factor));
    y = dfqi_onnx_binary(e, "Mul", y, l.scale);
    return dfqi_onnx_binary(e, "Mul", y, r.scale);
}
