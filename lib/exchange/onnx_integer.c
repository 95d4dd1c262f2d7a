/* Convolutional networks that engines compute in integers from end to end, on demand. The image is
 * rounded to 8 bits, which its pixels had. Of sums of images the operands are codes of 8 bits,
 * which engines add as such; then convolutions whose results are added are integer as well. Codes
 * that the network has are used as they are. What it adds as floats is rounded on a grid whose ends
 * follow from the grid of the sum: values beyond them bring the sum beyond the ends of its grid,
 * whatever is added. */
#include <math.h>

#include "exchange/onnx_priv.h"
#include "quant/evaluate.h"

enum { OPERANDS = 2, CODES = 255 };

/* Values from the smallest to the largest code of a grid. */
typedef struct reach {
    float lo, hi;
} reach;

static bool is_one_grid(const dfqi_onnx *e, const dfqi_node *n)
{
    return n && n->op == DFQI_OP_FQ && dfqi_value_count(dfqi_onnx_shape(e, n, 1)) == 1;
}

static reach reach_of(const dfqi_onnx *e, const dfqi_node *fq)
{
    const float scale = *dfqi_onnx_param(e, fq, 1);
    const float *z = fq->in[2] >= 0 ? dfqi_onnx_param(e, fq, 2) : NULL;
    const float zero_point = z ? rintf(*z) : 0.0f;
    return (reach){(fq->attr.f[0] - zero_point) * scale, (fq->attr.f[1] - zero_point) * scale};
}

/* The quantizer with one grid that reads value `id`; NULL: none does. */
static const dfqi_node *grid_behind(const dfqi_onnx *e, dfqi_id id)
{
    for (int32_t i = 0; i < e->g->n_nodes; i++) {
        const dfqi_node *n = &e->g->nodes[i];
        if (is_one_grid(e, n) && n->in[0] == id && e->values[n->out[0]].needed) return n;
    }
    return NULL;
}

/* The quantizer whose codes an operand has: it made them, or what stands between moves them. */
static const dfqi_node *grid_before(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    const dfqi_node *m = dfqi_onnx_maker(e, n, slot);
    while (m && (m->op == DFQI_OP_MAX_POOL || m->op == DFQI_OP_SUBSAMPLE_PAD))
        m = dfqi_onnx_maker(e, m, 0);
    return is_one_grid(e, m) ? m : NULL;
}

/* The quantizer of a sum, behind its ReLU if it has one. */
static const dfqi_node *grid_of_sum(const dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *relu = dfqi_onnx_reader(e, n);
    return grid_behind(e, relu && relu->op == DFQI_OP_RELU ? relu->out[0] : n->out[0]);
}

/* Beside `other`; NULL: floats, which are taken to be no larger than the sum. */
static reach reach_beside(const dfqi_onnx *e, const dfqi_node *sum, const dfqi_node *other)
{
    const reach s = reach_of(e, sum);
    const float most = fmaxf(fabsf(s.lo), fabsf(s.hi));
    const reach o = other ? reach_of(e, other) : (reach){0.0f, 0.0f};
    return other ? (reach){s.lo - o.hi, s.hi - o.lo} : (reach){-most, most};
}

/* Operand x as codes; `own` is the quantizer that reads or made it, NULL: none. */
static dfqi_ref code(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_ref x,
                     const dfqi_node *own, reach r)
{
    const float scale = (r.hi - r.lo) / CODES;
    if (own && dfqi_onnx_maker(e, n, slot) == own) return x;
    if (own && own->in[0] == n->in[slot] && e->values[own->out[0]].ref)
        return e->values[own->out[0]].ref;
    if (own) return dfqi_onnx_same_grid(e, own, x);
    return dfqi_onnx_one_grid(e, x, scale, rintf(-r.lo / scale), 0.0f, CODES);
}

dfqi_ref dfqi_onnx_image_codes(dfqi_onnx *e, dfqi_ref x)
{
    const dfqi_preprocess p = dfqi_model_preprocess(e->m);
    const dfqi_image_grid g = dfqi_image_grid_of(&p);
    return dfqi_onnx_one_grid(e, x, g.scale, g.zero_point, 0.0f, g.qmax);
}

void dfqi_emit_add(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref x[OPERANDS] = {dfqi_onnx_in_any(e, n, 0, &layout)};
    const dfqi_node *sum =
        e->integer && layout == DFQI_LAYOUT_CHANNELS_FIRST ? grid_of_sum(e, n) : NULL;
    const dfqi_node *own[OPERANDS];
    x[1] = dfqi_onnx_in(e, n, 1, layout);
    for (int32_t i = 0; i < OPERANDS && sum; i++) {
        own[i] = grid_before(e, n, i);
        if (!own[i]) own[i] = grid_behind(e, n->in[i]);
    }
    for (int32_t i = 0; i < OPERANDS && sum; i++)
        x[i] = code(e, n, i, x[i], own[i], reach_beside(e, sum, own[1 - i]));
    dfqi_onnx_out(e, n, 0, dfqi_onnx_binary(e, "Add", x[0], x[1]), layout);
}
