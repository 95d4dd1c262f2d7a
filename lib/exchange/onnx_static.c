/* Static grids: QuantizeLinear and DequantizeLinear. Codes of 2 to 7 bits travel in 8-bit types
 * behind a Clip to their range, which is what the integer kernels of engines take; with `int4`
 * those of up to 4 bits have 4-bit types.
 *
 * A scale for each channel goes out of the way of the integer product: the values are divided by
 * it first and then quantized with scale 1. What reads them puts the scales where they cost
 * nothing. */
#include <math.h>

#include "exchange/onnx_priv.h"
#include "kernel/codes.h"

enum {
    UINT8 = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
    INT8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
    INT64 = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
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

static dfqi_ref clip(dfqi_onnx *e, dfqi_ref x, float lo, float hi)
{
    return dfqi_onnx_node(e, "Clip", 3,
                          (dfqi_ref[]){x, dfqi_onnx_scalar(e, lo), dfqi_onnx_scalar(e, hi)});
}

/* -- one scale --------------------------------------------------------------------------------- */

static dfqi_ref one_grid(dfqi_onnx *e, dfqi_ref x, float scale, float zero_point, float qmin,
                         float qmax)
{
    code_type t = type_of(e, qmin, qmax);
    if (qmin > t.lo || qmax < t.hi)
        x = clip(e, x, (qmin - zero_point) * scale, (qmax - zero_point) * scale);
    return quantize(e, x, dfqi_onnx_scalar(e, scale), &t, zero_point);
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
    int64_t heads = v->dims[1], tokens_first = layout == DFQI_LAYOUT_TOKENS_FIRST;
    int64_t dims[3] = {heads, 1, n == heads ? 1 : n / heads};
    char *name = dfqi_onnx_text(e, "%s.vector.%d", e->label, (int)e->serial++);
    if (!name) return NULL;
    if (v->rank != 4) return dfqi_onnx_tensor(e, name, FLOAT, 1, &n, data);
    if (tokens_first) dims[1] = dims[2];
    return dfqi_onnx_tensor(e, name, FLOAT, tokens_first ? 2 : 3, dims, data);
}

/* a[i] + sign round(z[i]), a NULL: 0 */
static float *rounded(dfqi_onnx *e, int64_t n, float first, float sign, const float *z)
{
    float *y = dfqi_onnx_floats(e, n);
    for (int64_t i = 0; y && i < n; i++) y[i] = first + sign * (z ? rintf(z[i]) : 0.0f);
    return y;
}

/* Operands of attention: the zero point is taken off before the rounding, so that the product of
 * these whole numbers needs no correction. Signed bytes hold them up to 7 bits. */
static dfqi_ref centered(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout, dfqi_ref x,
                         int64_t n, const float *z, float qmin, float qmax)
{
    const code_type t = {INT8, -128, 127};
    dfqi_ref lo = dfqi_onnx_vector(e, v, layout, n, rounded(e, n, qmin, -1.0f, z));
    dfqi_ref hi = dfqi_onnx_vector(e, v, layout, n, rounded(e, n, qmax, -1.0f, z));
    x = dfqi_onnx_binary(e, "Max", dfqi_onnx_binary(e, "Min", x, hi), lo);
    return quantize(e, x, dfqi_onnx_scalar(e, 1.0f), &t, 0.0f);
}

/* Are all codes without their zero points in the range of signed bytes? */
static bool fits_centered(int64_t n, const float *z, float qmin, float qmax)
{
    bool fits = true;
    for (int64_t i = 0; i < n; i++) {
        float c = z ? rintf(z[i]) : 0.0f;
        fits = fits && qmin - c >= -128.0f && qmax - c <= 127.0f;
    }
    return fits;
}

static void many_grids(dfqi_onnx *e, const dfqi_node *n, int64_t count, float qmin, float qmax)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    const float *scales = dfqi_onnx_param(e, n, 1);
    const float *z = n->in[2] >= 0 ? dfqi_onnx_param(e, n, 2) : NULL;
    const code_type t = type_of(e, qmin, qmax);
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout);
    dfqi_onnx_grid *g = dfqi_onnx_alloc(e, 1, sizeof *g);
    if (!g) return;
    *g = (dfqi_onnx_grid){.scales = scales, .n = count};
    bool divided = e->values[n->in[0]].divided;
    if (!divided) x = dfqi_onnx_binary(e, "Div", x, dfqi_onnx_vector(e, v, layout, count, scales));
    if (v->rank == 4 && !e->int4 && fits_centered(count, z, qmin, qmax)) {
        g->unit = centered(e, v, layout, x, count, z, qmin, qmax);
    } else {
        g->zeros = z ? rounded(e, count, 0.0f, 1.0f, z) : NULL;
        if (z && !divided)
            x = dfqi_onnx_binary(e, "Add", x, dfqi_onnx_vector(e, v, layout, count, g->zeros));
        if (qmin > t.lo || qmax < t.hi) x = clip(e, x, qmin, qmax);
        g->unit = quantize(e, x, dfqi_onnx_scalar(e, 1.0f), &t, 0.0f);
    }
    dfqi_onnx_out(e, n, 0, NULL, layout);
    e->values[n->out[0]].grid = g;
}

dfqi_ref dfqi_onnx_static_values(dfqi_onnx *e, const dfqi_value *v, dfqi_layout layout,
                                 const dfqi_onnx_grid *g)
{
    dfqi_ref x = g->unit;
    if (g->zeros) x = dfqi_onnx_binary(e, "Sub", x, dfqi_onnx_vector(e, v, layout, g->n, g->zeros));
    return dfqi_onnx_binary(e, "Mul", x, dfqi_onnx_vector(e, v, layout, g->n, g->scales));
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
    dfqi_layout layout;
    if (count > 1 || z < t.lo || z > t.hi) {
        many_grids(e, n, count, qmin, qmax);
        return;
    }
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout);
    bool plain = layout == DFQI_LAYOUT_CHANNELS_FIRST && has_asymmetric_weights(e);
    x = (plain ? plain_grid : one_grid)(e, x, scales[0], z, qmin, qmax);
    dfqi_onnx_out(e, n, 0, x, layout);
}

/* -- logarithmic grids ------------------------------------------------------------------------- */

/* The smallest u = x / top whose code is at most q: bisection over the floats. */
static float threshold(int q, float qmax)
{
    union {
        float f;
        uint32_t bits;
    } lo = {0.0f}, hi = {1.0f}, mid;
    while (hi.bits - lo.bits > 1) {
        mid.bits = lo.bits + (hi.bits - lo.bits) / 2;
        if (dfqi_code_log(mid.f, 1.0f, qmax) <= q)
            hi = mid;
        else
            lo = mid;
    }
    return hi.f;
}

/* The tables of a grid by code 0 .. qmax + 1, the last of which stands for 0: the code's value, the
 * smallest u that has it, and that of the code before. */
static void log_tables(dfqi_onnx *e, float top, float qmax, dfqi_ref out[3])
{
    static const char *const names[3] = {"value", "from", "to"};
    int64_t n = (int64_t)qmax + 2;
    float *t[3];
    for (int k = 0; k < 3; k++) t[k] = dfqi_onnx_floats(e, n);
    if (e->status != DFQ_OK) return;
    for (int q = 0; q < n; q++) {
        t[0][q] = dfqi_code_log_value(q, top, qmax);
        t[1][q] = q + 1 < n ? threshold(q, qmax) : -INFINITY;
        t[2][q] = q ? t[1][q - 1] : INFINITY;
    }
    for (int k = 0; k < 3; k++)
        out[k] = dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.log.%s", e->label, names[k]), FLOAT, 1,
                                  &n, t[k]);
}

/* The logarithm of an engine may be a last bit off, which matters at the borders between two codes
 * alone. So the code is corrected by comparing with exact borders. attr f: largest code */
void dfqi_emit_fq_log(dfqi_onnx *e, const dfqi_node *n)
{
    float qmax = n->attr.f[0], top = *dfqi_onnx_param(e, n, 1);
    dfqi_layout layout;
    dfqi_ref table[3] = {NULL}, x = dfqi_onnx_in_any(e, n, 0, &layout), q, low, high;
    log_tables(e, top, qmax, table);
    dfqi_ref u = dfqi_onnx_binary(e, "Div", x, dfqi_onnx_scalar(e, top));
    q = dfqi_onnx_binary(e, "Mul", dfqi_onnx_unary(e, "Log", u),
                         dfqi_onnx_scalar(e, -2.88539008177793f)); /* -2 / ln 2 */
    q = clip(e, dfqi_onnx_unary(e, "Round", q), 0.0f, qmax + 1.0f);
    q = dfqi_onnx_cast(e, q, INT64);
    low = dfqi_onnx_binary(e, "Less", u, dfqi_onnx_binary(e, "Gather", table[1], q));
    high = dfqi_onnx_binary(e, "GreaterOrEqual", u, dfqi_onnx_binary(e, "Gather", table[2], q));
    q = dfqi_onnx_binary(e, "Add", q, dfqi_onnx_cast(e, low, INT64));
    q = dfqi_onnx_binary(e, "Sub", q, dfqi_onnx_cast(e, high, INT64));
    dfqi_onnx_out(e, n, 0, dfqi_onnx_binary(e, "Gather", table[0], q), layout);
}
