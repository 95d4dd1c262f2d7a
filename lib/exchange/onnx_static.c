/* Static grids: QuantizeLinear and DequantizeLinear. Codes of 2 to 7 bits travel in 8-bit types
 * behind a Clip to their range, which is what the integer kernels of engines take; with `int4`
 * those of up to 4 bits have 4-bit types.
 *
 * A scale for each channel goes out of the way of the integer product: the values are divided by
 * it first and then quantized with scale 1. What reads them puts the scales where they cost
 * nothing. */
#include <math.h>

#include "exchange/onnx_priv.h"

enum {
    UINT8 = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    INT8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
    FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
};

/* -- types of codes ---------------------------------------------------------------------------- */

typedef struct code_type {
    int32_t type;
    float lo, hi; /* what it holds */
} code_type;

static code_type type_of(const dfqi_onnx *e, float qmin, float qmax)
{
    bool small = e->int4 && qmax - qmin < 16;
    if (qmin < 0) return small ? (code_type){DFQI_ONNX_INT4, -8, 7} : (code_type){INT8, -128, 127};
    return small ? (code_type){DFQI_ONNX_UINT4, 0, 15} : (code_type){UINT8, 0, 255};
}

/* Codes and back: (clamp(round(x / scale) + zero_point) - zero_point) scale. */
static dfqi_ref quantize(dfqi_onnx *e, dfqi_ref x, dfqi_ref scale, const code_type *t,
                         float zero_point)
{
    dfqi_ref z = dfqi_onnx_code(e, t->type, (int32_t)zero_point);
    x = dfqi_onnx_node(e, "QuantizeLinear", 3, (dfqi_ref[]){x, scale, z});
    return dfqi_onnx_node(e, "DequantizeLinear", 3, (dfqi_ref[]){x, scale, z});
}

dfqi_ref dfqi_onnx_unit(dfqi_onnx *e, dfqi_ref x, int32_t type, int32_t zero_point)
{
    const code_type t = {type, 0, 0};
    return quantize(e, x, dfqi_onnx_scalar(e, 1.0f), &t, (float)zero_point);
}

static dfqi_ref clip(dfqi_onnx *e, dfqi_ref x, float lo, float hi)
{
    return dfqi_onnx_node(e, "Clip", 3,
                          (dfqi_ref[]){x, dfqi_onnx_scalar(e, lo), dfqi_onnx_scalar(e, hi)});
}

/* -- one scale --------------------------------------------------------------------------------- */

dfqi_ref dfqi_onnx_one_grid(dfqi_onnx *e, dfqi_ref x, float scale, float zero_point, float qmin,
                            float qmax)
{
    code_type t = type_of(e, qmin, qmax);
    if (t.type == INT8) { /* as UINT8: ONNX Runtime convolves no others */
        t = (code_type){UINT8, 0, 255};
        zero_point += 128;
        qmin += 128;
        qmax += 128;
    }
    if (qmin > t.lo || qmax < t.hi)
        x = clip(e, x, (qmin - zero_point) * scale, (qmax - zero_point) * scale);
    return quantize(e, x, dfqi_onnx_scalar(e, scale), &t, zero_point);
}

dfqi_ref dfqi_onnx_same_grid(dfqi_onnx *e, const dfqi_node *fq, dfqi_ref x)
{
    const float *zeros = fq->in[2] >= 0 ? dfqi_onnx_param(e, fq, 2) : NULL;
    return dfqi_onnx_one_grid(e, x, *dfqi_onnx_param(e, fq, 1), zeros ? rintf(*zeros) : 0.0f,
                              fq->attr.f[0], fq->attr.f[1]);
}

/* The same by plain operators: where QuantizeLinear would make engines round float weights, which
 * those of a convolution on asymmetric grids are, to 8 bits. */
static dfqi_ref plain_grid(dfqi_onnx *e, dfqi_ref x, float scale, float zero_point, float qmin,
                           float qmax)
{
    dfqi_ref s = dfqi_onnx_scalar(e, scale), z = dfqi_onnx_scalar(e, zero_point);
    x = dfqi_onnx_unary(e, "Round", dfqi_onnx_binary(e, "Div", x, s));
    x = clip(e, dfqi_onnx_binary(e, "Add", x, z), qmin, qmax);
    return dfqi_onnx_binary(e, "Mul", dfqi_onnx_binary(e, "Sub", x, z), s);
}

static bool has_asymmetric_weights(const dfqi_onnx *e)
{
    const dfqi_scheme *s = &e->m->scheme;
    for (int32_t i = 0; i < s->n_sites; i++)
        if (s->sites[i].kind == DFQI_SITE_WEIGHT_MINMAX) return true;
    return false;
}

/* -- a scale for each channel, head, or head and channel --------------------------------------- */

dfqi_ref dfqi_onnx_vector(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout, int64_t n,
                          const float *data)
{
    int64_t heads = v->dims[1], channels = n / heads;
    const int64_t rows[3] = {heads, 1, channels}, keys[3] = {heads, channels, 1};
    char *name = dfqi_onnx_text(e, "%s.vector.%d", e->label, (int)e->serial++);
    if (!name) return NULL;
    if (v->rank != 4 || n == 1) return dfqi_onnx_tensor(e, name, FLOAT, 1, &n, data);
    return dfqi_onnx_tensor(e, name, FLOAT, 3, layout == DFQI_LAYOUT_KEYS ? keys : rows, data);
}

/* a[i] + sign round(z[i]), a NULL: 0 */
static float *rounded(dfqi_onnx *e, int64_t n, float first, float sign, const float *z)
{
    float *y = dfqi_onnx_floats(e, n);
    for (int64_t i = 0; y && i < n; i++) y[i] = first + sign * (z ? rintf(z[i]) : 0.0f);
    return y;
}

/* Operands of attention: the zero point is taken off before the rounding, so that the product of
 * these whole numbers needs no correction. */
static dfqi_ref centered(dfqi_onnx *e, const dfqi_node *fq, dfqi_layout layout, dfqi_ref x,
                         int64_t n, int32_t offset)
{
    const dfqi_value *v = dfqi_onnx_shape(e, fq, 0);
    const float *z = fq->in[2] >= 0 ? dfqi_onnx_param(e, fq, 2) : NULL;
    dfqi_ref lo = dfqi_onnx_vector(e, v, layout, n, rounded(e, n, fq->attr.f[0], -1.0f, z));
    dfqi_ref hi = dfqi_onnx_vector(e, v, layout, n, rounded(e, n, fq->attr.f[1], -1.0f, z));
    x = dfqi_onnx_binary(e, "Max", dfqi_onnx_binary(e, "Min", x, hi), lo);
    return dfqi_onnx_unit(e, x, UINT8, offset);
}

/* The zero point with which bytes hold the codes of all of a node's grids without their own zero
 * points; -1: none does. Up to 7 bits that is possible. */
static int32_t center(const dfqi_onnx *e, const dfqi_node *fq, int64_t n)
{
    const float *z = fq->in[2] >= 0 ? dfqi_onnx_param(e, fq, 2) : NULL;
    float lo = 0, hi = 0;
    if (dfqi_onnx_shape(e, fq, 0)->rank != 4 || e->int4) return -1;
    for (int64_t i = 0; i < n; i++) {
        float c = z ? rintf(z[i]) : 0.0f;
        lo = fminf(lo, fq->attr.f[0] - c);
        hi = fmaxf(hi, fq->attr.f[1] - c);
    }
    return hi - lo <= 255.0f ? (int32_t)-lo : -1;
}

float *dfqi_onnx_zeros(dfqi_onnx *e, const dfqi_node *fq, int64_t count)
{
    const float *z = fq->in[2] >= 0 ? dfqi_onnx_param(e, fq, 2) : NULL;
    bool any = false;
    for (int64_t i = 0; z && i < count; i++) any = any || rintf(z[i]) != 0.0f;
    return any && center(e, fq, count) < 0 ? rounded(e, count, 0.0f, 1.0f, z) : NULL;
}

const dfqi_node *dfqi_onnx_channel_grid(const dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *fq = dfqi_onnx_reader(e, n);
    if (!fq || fq->op != DFQI_OP_FQ) return NULL;
    int64_t count = dfqi_value_count(dfqi_onnx_shape(e, fq, 1));
    return count > 1 && count == dfqi_value_last(dfqi_onnx_shape(e, fq, 0)) ? fq : NULL;
}

static void many_grids(dfqi_onnx *e, const dfqi_node *n, int64_t count, float qmin, float qmax)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    const float *scales = dfqi_onnx_param(e, n, 1);
    const code_type t = type_of(e, qmin, qmax);
    bool divided = e->values[n->in[0]].divided;
    dfqi_layout layout = dfqi_onnx_grid_layout(e, n);
    dfqi_ref x = dfqi_onnx_in(e, n, 0, layout);
    dfqi_onnx_grid *g = dfqi_onnx_alloc(e, 1, sizeof *g);
    if (!g) return;
    *g = (dfqi_onnx_grid){.scales = scales, .n = count, .zeros = dfqi_onnx_zeros(e, n, count)};
    if (!divided) x = dfqi_onnx_binary(e, "Div", x, dfqi_onnx_vector(e, v, layout, count, scales));
    if (!divided && g->zeros)
        x = dfqi_onnx_binary(e, "Add", x, dfqi_onnx_vector(e, v, layout, count, g->zeros));
    int32_t offset = center(e, n, count);
    if (offset >= 0) {
        g->unit = centered(e, n, layout, x, count, offset);
    } else {
        if (qmin > t.lo || qmax < t.hi) x = clip(e, x, qmin, qmax);
        g->unit = dfqi_onnx_unit(e, x, t.type, 0);
    }
    dfqi_onnx_out(e, n, 0, NULL, layout);
    e->values[n->out[0]].grid = g;
}

dfqi_ref dfqi_onnx_whole_values(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout,
                                const dfqi_onnx_grid *g)
{
    if (!g->zeros) return g->unit;
    return dfqi_onnx_binary(e, "Sub", g->unit, dfqi_onnx_vector(e, v, layout, g->n, g->zeros));
}

dfqi_ref dfqi_onnx_static_values(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout,
                                 const dfqi_onnx_grid *g)
{
    return dfqi_onnx_binary(e, "Mul", dfqi_onnx_whole_values(e, v, layout, g),
                            dfqi_onnx_vector(e, v, layout, g->n, g->scales));
}

/* attr f: smallest and largest code */
void dfqi_emit_fq(dfqi_onnx *e, const dfqi_node *n)
{
    float qmin = n->attr.f[0], qmax = n->attr.f[1];
    const float *scales = dfqi_onnx_param(e, n, 1);
    const float *zeros = n->in[2] >= 0 ? dfqi_onnx_param(e, n, 2) : NULL;
    int64_t count = dfqi_value_count(dfqi_onnx_shape(e, n, 1));
    const code_type t = type_of(e, qmin, qmax);
    float z = zeros ? rintf(zeros[0]) : 0.0f;
    if (count > 1 || z < t.lo || z > t.hi) {
        many_grids(e, n, count, qmin, qmax);
        return;
    }
    dfqi_layout layout = dfqi_onnx_grid_layout(e, n);
    dfqi_ref x = dfqi_onnx_in(e, n, 0, layout);
    bool plain = layout == DFQI_LAYOUT_CHANNELS_FIRST && has_asymmetric_weights(e);
    x = (plain ? plain_grid : dfqi_onnx_one_grid)(e, x, scales[0], z, qmin, qmax);
    dfqi_onnx_out(e, n, 0, x, layout);
}

/* -- logarithmic grids ------------------------------------------------------------------------- */

/* q = max(round(-2 log2(x / top)), 0); the value is top 2^(-q/2), and 0 above the largest code. top
 * is left to the product. attr f: the largest code */
void dfqi_emit_fq_log(dfqi_onnx *e, const dfqi_node *n)
{
    const double ln2 = 0.693147180559945309;
    const float *top = dfqi_onnx_param(e, n, 1);
    float qmax = n->attr.f[0];
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout), q, y;
    dfqi_onnx_grid *g = dfqi_onnx_alloc(e, 1, sizeof *g);
    if (!g) return;
    if (!e->values[n->in[0]].logarithm) x = dfqi_onnx_unary(e, "Log", x);
    q = dfqi_onnx_binary(e, "Mul", x, dfqi_onnx_scalar(e, (float)(-2.0 / ln2)));
    q = dfqi_onnx_binary(e, "Add", q, dfqi_onnx_scalar(e, (float)(2.0 / ln2 * log((double)*top))));
    q = dfqi_onnx_unary(e, "Relu", dfqi_onnx_unary(e, "Round", q));
    y = dfqi_onnx_binary(e, "Mul", q, dfqi_onnx_scalar(e, (float)(-0.5 * ln2)));
    y = dfqi_onnx_unary(e, "ThresholdedRelu", dfqi_onnx_unary(e, "Exp", y));
    dfqi_onnx_float(e, "alpha", (float)exp(-0.5 * ln2 * ((double)qmax + 0.5)));
    *g = (dfqi_onnx_grid){.scales = top, .n = 1};
    g->unit = y;
    dfqi_onnx_out(e, n, 0, NULL, layout);
    e->values[n->out[0]].grid = g;
}
