/* The products of attention, and what they take over from grids: scales for each head or channel
 * are multiplied where it is cheapest, and division by those of the grid behind is done with it. */
#include <math.h>

#include "exchange/onnx_priv.h"

/* The layout in which a product reads an operand. */
static dfqi_layout layout_of(const dfqi_node *n, int32_t slot)
{
    return slot == 1 && n->op == DFQI_OP_MATMUL_NT ? DFQI_LAYOUT_KEYS : DFQI_LAYOUT_SAME;
}

dfqi_layout dfqi_onnx_grid_layout(const dfqi_onnx *e, const dfqi_node *fq)
{
    dfqi_layout has = e->values[fq->in[0]].layout;
    const dfqi_node *reader = dfqi_onnx_reader(e, fq);
    bool product = reader && (reader->op == DFQI_OP_MATMUL_NT || reader->op == DFQI_OP_MATMUL_NN);
    return product ? layout_of(reader, reader->in[1] == fq->out[0]) : has;
}

/* The static grid of an operand whose scales can be multiplied to the other operand or the product:
 * one, those of a head, or of the channels of the result. NULL: there is none. */
static const dfqi_onnx_grid *whole_grid(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    const dfqi_onnx_grid *g = e->values[n->in[slot]].grid;
    bool channels = slot == 1 && n->op == DFQI_OP_MATMUL_NN;
    if (!g || g->scale || e->values[n->in[slot]].layout != layout_of(n, slot)) return NULL;
    bool one = g->n == 1 || g->n == dfqi_onnx_shape(e, n, slot)->dims[1];
    return channels || one ? g : NULL;
}

/* Codes without their zero points, or the real values where there are no such. */
static dfqi_ref operand(dfqi_onnx *e, const dfqi_node *n, int32_t slot, const dfqi_onnx_grid *g)
{
    dfqi_layout layout = layout_of(n, slot);
    if (!g) return dfqi_onnx_in(e, n, slot, layout);
    return dfqi_onnx_whole_values(e, dfqi_onnx_shape(e, n, slot), layout, g);
}

/* The grid that alone reads the joined heads of a product, if it has a scale for each channel. */
static const dfqi_node *grid_behind(const dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *join = dfqi_onnx_reader(e, n);
    if (!join || join->op != DFQI_OP_JOIN_HEADS || join->n_in > 1) return NULL;
    return dfqi_onnx_channel_grid(e, join);
}

/* What the product of whole numbers is multiplied by: `count` numbers, for each head or each
 * channel of a head. */
static float *factors(dfqi_onnx *e, int64_t heads, int64_t count, const dfqi_onnx_grid *a,
                      const dfqi_onnx_grid *b, const float *divisor, float factor)
{
    float *s = dfqi_onnx_floats(e, count);
    for (int64_t i = 0; s && i < count; i++) {
        int64_t h = i / (count / heads);
        s[i] = factor * (a ? a->scales[a->n == 1 ? 0 : h] : 1.0f);
        if (b) s[i] *= b->scales[b->n == 1 ? 0 : b->n == count ? i : h];
        if (divisor) s[i] /= divisor[i];
    }
    return s;
}

float dfqi_onnx_take_factor(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *reader = dfqi_onnx_reader(e, n);
    if (reader && reader->op == DFQI_OP_WINDOW_BIAS) reader = dfqi_onnx_reader(e, reader);
    if (!reader || reader->op != DFQI_OP_SOFTMAX || e->values[n->out[0]].scaled) return 1.0f;
    e->values[n->out[0]].scaled = true;
    return reader->attr.f[0];
}

/* Queries and keys. Products of codes alone are what engines do in integers, so the scales come
 * behind them; otherwise it is cheaper to multiply the queries. */
static dfqi_ref scores(dfqi_onnx *e, const dfqi_node *n, float factor)
{
    const dfqi_value *q = dfqi_onnx_shape(e, n, 0);
    const dfqi_onnx_grid *ga = whole_grid(e, n, 0), *gb = whole_grid(e, n, 1);
    dfqi_ref a = operand(e, n, 0, ga), b = operand(e, n, 1, gb), s = NULL;
    bool integer = (ga || gb) && !(ga && ga->zeros) && !(gb && gb->zeros);
    if (ga || gb)
        s = dfqi_onnx_vector(e, q, DFQI_LAYOUT_SAME, q->dims[1],
                             factors(e, q->dims[1], q->dims[1], ga, gb, NULL, factor));
    else if (factor != 1.0f)
        s = dfqi_onnx_scalar(e, factor);
    if (s && !integer) a = dfqi_onnx_binary(e, "Mul", a, s);
    dfqi_ref y = dfqi_onnx_binary(e, "MatMul", a, b);
    return integer ? dfqi_onnx_binary(e, "Mul", y, s) : y;
}

/* Map and values: [B,H,N,d]. */
static dfqi_ref mix(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t heads = y->dims[1], count = heads * y->dims[3];
    const dfqi_onnx_grid *ga = whole_grid(e, n, 0), *gb = whole_grid(e, n, 1);
    const dfqi_node *behind = grid_behind(e, n);
    dfqi_layout same = DFQI_LAYOUT_SAME;
    dfqi_ref a = operand(e, n, 0, ga), b = operand(e, n, 1, gb);
    dfqi_ref z = dfqi_onnx_binary(e, "MatMul", a, b);
    if (!ga && !gb && !behind) return z;
    float *s = factors(e, heads, count, ga, gb, behind ? dfqi_onnx_param(e, behind, 1) : NULL, 1);
    z = dfqi_onnx_binary(e, "Mul", z, dfqi_onnx_vector(e, y, same, count, s));
    if (!behind) return z;
    e->values[behind->in[0]].divided = true;
    float *shift = dfqi_onnx_zeros(e, behind, count);
    return shift ? dfqi_onnx_binary(e, "Add", z, dfqi_onnx_vector(e, y, same, count, shift)) : z;
}

/* Map and values: a row's scale multiplies the row of the result, a column's the column. */
static dfqi_ref row_mix(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_onnx_grid *a = e->values[n->in[0]].grid, *b = e->values[n->in[1]].grid;
    dfqi_ref y = dfqi_onnx_binary(e, "MatMul", a->unit, b->unit);
    y = dfqi_onnx_binary(e, "Mul", y, a->scale);
    return dfqi_onnx_binary(e, "Mul", y, b->scale);
}

/* On grids of rows or columns without zero points? */
static bool on_rows(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    const dfqi_onnx_grid *g = e->values[n->in[slot]].grid;
    return g && g->scale && !g->least && e->values[n->in[slot]].layout == layout_of(n, slot);
}

void dfqi_emit_matmul(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_ref y;
    if (n->op == DFQI_OP_MATMUL_NT)
        y = scores(e, n, dfqi_onnx_take_factor(e, n));
    else if (on_rows(e, n, 0) && on_rows(e, n, 1))
        y = row_mix(e, n);
    else
        y = mix(e, n);
    dfqi_onnx_out(e, n, 0, y, DFQI_LAYOUT_SAME);
}

/* -- what heads are divided by ----------------------------------------------------------------- */

bool dfqi_onnx_heads_grids(dfqi_onnx *e, const dfqi_node *n, float *scale, float *shift)
{
    const dfqi_node *split = dfqi_onnx_reader(e, n);
    bool any = false;
    if (!split || split->op != DFQI_OP_SPLIT_HEADS) return false;
    const dfqi_value *v = dfqi_graph_value(e->g, split->out[0]);
    int64_t width = v->dims[1] * v->dims[3];
    for (int64_t i = 0; i < split->n_out * width; i++) {
        scale[i] = 1.0f;
        shift[i] = 0.0f;
    }
    for (int32_t k = 0; k < split->n_out; k++) {
        const dfqi_node *fq = dfqi_onnx_reader_of(e, split, k);
        int64_t count =
            fq && fq->op == DFQI_OP_FQ ? dfqi_value_count(dfqi_onnx_shape(e, fq, 1)) : 1;
        if (count == 1) continue;
        const float *s = dfqi_onnx_param(e, fq, 1), *z = dfqi_onnx_zeros(e, fq, count);
        for (int64_t i = 0; i < width; i++) {
            int64_t at = i / (width / count);
            scale[k * width + i] = s[at];
            if (z) shift[k * width + i] = z[at];
        }
        e->values[split->out[k]].divided = any = true;
    }
    return any;
}
