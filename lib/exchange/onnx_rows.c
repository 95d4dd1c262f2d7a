/* Grids that are found at run time, by plain operators (docs/METHODS.md, Grids of rows):
 *
 *   lo = min(0, min x), hi = max(0, max x), s = (hi - lo) / (2^b - 1)
 *   z = round(-lo / s), q = clip(round(x / s) + z, 0, 2^b - 1)
 *   symmetric: s = max |x| / (2^(b-1) - 1), q = round(x / s)
 *
 * The codes go through QuantizeLinear and DequantizeLinear with scale 1, behind which engines
 * multiply in integers. Scales and zero points of rows are applied to the product. Up to 7 bits
 * bytes hold q - z, so that there is no zero point left. Codes are rounded by an operator of their
 * own: before the zero point is added, since that sum of floats would round some to the other side,
 * as would the 128 that an engine adds before it rounds to a signed byte. */
#include "exchange/onnx_priv.h"

enum {
    FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    UINT8 = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    INT8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8
};

/* Below this a row counts as zeros. It is in the range, so that no scale is 0. */
static const float least_range = 1e-30f;

static dfqi_ref at_least(dfqi_onnx *e, dfqi_ref x, float v)
{
    return dfqi_onnx_binary(e, "Max", x, dfqi_onnx_scalar(e, v));
}

static dfqi_ref scale_of(dfqi_onnx *e, dfqi_ref range, float qmax)
{
    return dfqi_onnx_binary(e, "Div", range, dfqi_onnx_scalar(e, qmax));
}

/* The scale of each row, and of asymmetric grids minus the zero point, the smallest code without
 * it. */
typedef struct row_grid {
    dfqi_ref scale, least; /* least NULL: symmetric, or 0 */
} row_grid;

static row_grid symmetric(dfqi_onnx *e, dfqi_ref x, int64_t axis, float qmax)
{
    dfqi_ref m = dfqi_onnx_reduce(e, "ReduceMax", dfqi_onnx_unary(e, "Abs", x), axis);
    return (row_grid){scale_of(e, at_least(e, m, least_range), qmax), NULL};
}

/* Probabilities: no value is below 0, the largest is above. */
static row_grid from_zero(dfqi_onnx *e, dfqi_ref x, int64_t axis, float qmax)
{
    return (row_grid){scale_of(e, dfqi_onnx_reduce(e, "ReduceMax", x, axis), qmax), NULL};
}

static row_grid asymmetric(dfqi_onnx *e, dfqi_ref x, int64_t axis, float qmax)
{
    dfqi_ref lo = dfqi_onnx_reduce(e, "ReduceMin", x, axis);
    dfqi_ref hi = at_least(e, dfqi_onnx_reduce(e, "ReduceMax", x, axis), least_range);
    lo = dfqi_onnx_binary(e, "Min", lo, dfqi_onnx_scalar(e, 0.0f));
    dfqi_ref s = scale_of(e, dfqi_onnx_binary(e, "Sub", hi, lo), qmax);
    return (row_grid){s, dfqi_onnx_unary(e, "Round", dfqi_onnx_binary(e, "Div", lo, s))};
}

/* x / s between the smallest and the largest code without the zero point. */
static dfqi_ref clip_row(dfqi_onnx *e, dfqi_ref x, dfqi_ref least, float qmax)
{
    dfqi_ref most = dfqi_onnx_binary(e, "Add", least, dfqi_onnx_scalar(e, qmax));
    return dfqi_onnx_binary(e, "Max", dfqi_onnx_binary(e, "Min", x, most), least);
}

/* Queries and keys: the rows of keys are columns of the product, which is larger than both
 * operands, so real values are multiplied. */
static dfqi_ref real_values(dfqi_onnx *e, dfqi_ref x, const row_grid *r, float qmax, float factor)
{
    dfqi_ref s = r->scale;
    x = dfqi_onnx_unary(e, "Round", dfqi_onnx_binary(e, "Div", x, s));
    if (r->least) x = clip_row(e, x, r->least, qmax);
    if (factor != 1.0f) s = dfqi_onnx_binary(e, "Mul", s, dfqi_onnx_scalar(e, factor));
    return dfqi_onnx_binary(e, "Mul", x, s);
}

static dfqi_onnx_grid *whole_numbers(dfqi_onnx *e, dfqi_ref x, const row_grid *r, float qmax,
                                     bool is_signed)
{
    dfqi_onnx_grid *g = dfqi_onnx_alloc(e, 1, sizeof *g);
    if (!g) return NULL;
    g->scale = r->scale;
    x = dfqi_onnx_unary(e, "Round", dfqi_onnx_binary(e, "Div", x, r->scale));
    if (is_signed) {
        g->unit = dfqi_onnx_unit(e, x, INT8, 0);
    } else if (!r->least) {
        g->unit = dfqi_onnx_unit(e, x, UINT8, 0);
    } else if (qmax <= 127.0f) {
        g->unit = dfqi_onnx_unit(e, clip_row(e, x, r->least, qmax), UINT8, (int32_t)qmax);
    } else {
        g->unit = dfqi_onnx_unit(e, dfqi_onnx_binary(e, "Sub", x, r->least), UINT8, 0);
        g->least = r->least;
    }
    return g;
}

dfqi_onnx_grid *dfqi_onnx_row_codes(dfqi_onnx *e, dfqi_ref x)
{
    enum { QMAX = 255 };
    const row_grid r = asymmetric(e, x, -1, QMAX);
    return whole_numbers(e, x, &r, QMAX, false);
}

/* Rows of which each group of channels has a grid: real values, since a product of codes would be
 * one for each group. */
static dfqi_ref group_values(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    const int64_t group = n->attr.i[4];
    const float qmax = (float)((1 << n->attr.i[0]) - 1);
    int64_t whole[DFQI_RANK_MAX] = {0}, cut[DFQI_RANK_MAX + 1] = {0}; /* 0: the extent of x */
    whole[v->rank - 1] = dfqi_value_last(v);
    cut[v->rank - 1] = dfqi_value_last(v) / group;
    cut[v->rank] = group;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    x = dfqi_onnx_reshape(e, x, v->rank + 1, cut);
    const row_grid r = asymmetric(e, x, -1, qmax);
    return dfqi_onnx_reshape(e, real_values(e, x, &r, qmax, 1.0f), v->rank, whole);
}

/* attr i: bits, 1: symmetric, 1: columns, 4: channels of a group */
void dfqi_emit_fq_row(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    if (a[4] > 0) {
        dfqi_onnx_out(e, n, 0, group_values(e, n), DFQI_LAYOUT_SAME);
        return;
    }
    dfqi_layout layout = dfqi_onnx_grid_layout(e, n);
    dfqi_ref x = dfqi_onnx_in(e, n, 0, layout);
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 0), *reader = dfqi_onnx_reader(e, n);
    int64_t axis = (a[2] != 0) == (layout == DFQI_LAYOUT_KEYS) ? -1 : -2;
    float qmax = (float)((1 << (a[0] - (a[1] != 0))) - 1);
    bool map = maker && maker->op == DFQI_OP_SOFTMAX && !a[2];
    row_grid r = (a[1] ? symmetric : map ? from_zero : asymmetric)(e, x, axis, qmax);
    dfqi_onnx_out(e, n, 0, NULL, layout);
    if (reader && reader->op == DFQI_OP_MATMUL_NT) {
        float factor = reader->in[0] == n->out[0] ? dfqi_onnx_take_factor(e, reader) : 1.0f;
        e->values[n->out[0]].ref = real_values(e, x, &r, qmax, factor);
    } else {
        e->values[n->out[0]].grid = whole_numbers(e, x, &r, qmax, a[1] != 0);
    }
}

dfqi_ref dfqi_onnx_row_values(dfqi_onnx *e, const dfqi_onnx_grid *g)
{
    dfqi_ref x = g->least ? dfqi_onnx_binary(e, "Add", g->unit, g->least) : g->unit;
    return dfqi_onnx_binary(e, "Mul", x, g->scale);
}

/* s (sum q c s_o - z sum c s_o). Subtracted, as a bias is (onnx_product.c): `least` is -z. */
dfqi_ref dfqi_onnx_row_linear(dfqi_onnx *e, const dfqi_onnx_grid *x, const dfqi_onnx_weight *w)
{
    dfqi_ref y = dfqi_onnx_binary(e, "MatMul", x->unit, dfqi_onnx_weight_values(e, w, 1));
    if (x->least) {
        float *sum = dfqi_onnx_floats(e, w->rows);
        for (int64_t o = 0; sum && o < w->rows; o++) {
            int32_t all = 0;
            for (int64_t k = 0; k < w->cols; k++) all += w->codes[o * w->cols + k];
            sum[o] = -w->scales[o] * (float)all;
        }
        dfqi_ref sums = dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.negative_sum", w->layer),
                                         FLOAT, 1, &w->rows, sum);
        y = dfqi_onnx_binary(e, "Sub", y, dfqi_onnx_binary(e, "Mul", x->least, sums));
    }
    return dfqi_onnx_binary(e, "Mul", y, x->scale);
}
