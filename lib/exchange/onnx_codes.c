/* Weights as codes. */
#include <string.h>

#include "exchange/onnx_priv.h"
#include "kernel/weight_groups.h"
#include "quant/quantizer.h"

enum { FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, INT8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8 };

static int32_t type_of(const dfqi_onnx *e, const dfqi_onnx_weight *w)
{
    return e->int4 && w->bits <= DFQI_INT4_BITS ? DFQI_ONNX_INT4 : INT8;
}

static float *copy_floats(dfqi_onnx *e, const dfq_tensor *t)
{
    int64_t n = dfqi_tensor_count(t);
    float *copy = dfqi_onnx_floats(e, n);
    if (copy) memcpy(copy, dfqi_tensor_f32(t), (size_t)n * sizeof *copy);
    return copy;
}

static void take(dfqi_onnx *e, const dfqi_quantizer *q, const dfq_tensor *w, dfqi_onnx_weight *out)
{
    dfq_tensor *codes;
    if (e->status == DFQ_OK) e->status = dfqi_quantizer_codes(q, w, &codes);
    if (e->status != DFQ_OK) return;
    size_t n = (size_t)dfqi_tensor_count(codes);
    int8_t *copy = dfqi_onnx_alloc(e, n, 1);
    if (copy) memcpy(copy, codes->data, n);
    out->codes = copy;
    out->scales = copy_floats(e, q->scales);
    out->zeros = q->zero_points ? copy_floats(e, q->zero_points) : NULL;
    out->factors = q->column_factors != NULL;
    dfqi_tensor_release(codes);
}

/* What 4-bit types hold of a weight in groups. */
static void take_units(dfqi_onnx *e, const dfqi_site *site, dfqi_onnx_weight *out)
{
    const int64_t count = out->rows * out->cols, groups = count / site->group;
    const float *bytes = dfqi_tensor_f32(site->groups);
    out->units = dfqi_onnx_alloc(e, (size_t)count, 1);
    out->multipliers = dfqi_onnx_alloc(e, (size_t)groups, 1);
    out->zero_points = dfqi_onnx_alloc(e, (size_t)groups, 1);
    if (!out->units || !out->multipliers || !out->zero_points) return;
    out->group = site->group;
    for (int64_t i = 0; i < groups; i++) {
        const dfqi_group_grid g = dfqi_group_grid_of(bytes[i]);
        out->multipliers[i] = (int8_t)g.multiplier;
        out->zero_points[i] = (int8_t)g.zero_point;
    }
    for (int64_t i = 0; i < count; i++)
        out->units[i] = (int8_t)(out->codes[i] / out->multipliers[i / site->group] +
                                 out->zero_points[i / site->group]);
}

/* A weight in groups: its numbers (kernel/weight_groups.h) have one scale a row. */
static void take_groups(dfqi_onnx *e, const dfqi_site *site, const dfq_tensor *w,
                        dfqi_onnx_weight *out)
{
    const float *v = dfqi_tensor_f32(w), *col = NULL, top = site->qmax - site->qmin;
    if (site->input >= 0) col = dfqi_tensor_f32(e->m->scheme.sites[site->input].scale);
    out->codes = dfqi_onnx_alloc(e, (size_t)(out->rows * out->cols), 1);
    out->scales = copy_floats(e, site->scale);
    out->factors = col != NULL;
    out->bits = 8;
    for (int64_t i = 0; out->codes && out->scales && i < out->rows * out->cols; i++) {
        const dfqi_group_grid g =
            dfqi_group_grid_of(dfqi_tensor_f32(site->groups)[i / site->group]);
        const float code = dfqi_group_code(col ? v[i] * col[i % out->cols] : v[i],
                                           out->scales[i / out->cols], g, top);
        out->codes[i] = (int8_t)dfqi_group_number(code, g);
    }
    if (e->int4 && out->codes) take_units(e, site, out);
}

bool dfqi_onnx_weight_get(dfqi_onnx *e, const dfqi_node *n, dfqi_onnx_weight *out)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 1);
    int32_t site = e->m->quantized ? dfqi_site_index(&e->m->scheme, n->op, n->name, 1) : -1;
    dfqi_quantizer *q = NULL;
    if (site < 0 || e->status != DFQ_OK) return false;
    *out = (dfqi_onnx_weight){.layer = n->name,
                              .shape = v,
                              .rows = v->dims[0],
                              .cols = dfqi_value_count(v) / v->dims[0],
                              .bits = e->m->scheme.sites[site].bits};
    const dfqi_site *s = &e->m->scheme.sites[site];
    const dfq_tensor *w = dfqi_network_find(&e->m->net, s->name);
    if (s->groups) {
        take_groups(e, s, w, out);
        return e->status == DFQ_OK;
    }
    e->status = dfqi_model_get_quantizer(e->m, site, &q);
    if (e->status != DFQ_OK) return false;
    take(e, q, w, out);
    dfqi_quantizer_release(q);
    return e->status == DFQ_OK;
}

const float *dfqi_onnx_weight_floats(dfqi_onnx *e, const dfqi_node *n)
{
    const float *w = dfqi_onnx_param(e, n, 1);
    dfq_tensor *values;
    if (w || e->status != DFQ_OK) return w;
    int32_t site = dfqi_site_index(&e->m->scheme, n->op, n->name, 1);
    e->status = dfqi_model_get_codes(e->m, site, NULL, &values);
    if (e->status != DFQ_OK) return NULL;
    w = copy_floats(e, values);
    dfqi_tensor_release(values);
    return w;
}

/* Row by row, or as MatMul reads them: [K,O]. */
static int8_t *ordered(dfqi_onnx *e, const dfqi_onnx_weight *w, bool transposed)
{
    if (!transposed) return w->codes;
    int8_t *t = dfqi_onnx_alloc(e, (size_t)(w->rows * w->cols), 1);
    for (int64_t k = 0; t && k < w->cols; k++)
        for (int64_t o = 0; o < w->rows; o++) t[k * w->rows + o] = w->codes[o * w->cols + k];
    return t;
}

/* Two codes a byte, the first in the lower half. */
static int8_t *halved(dfqi_onnx *e, int64_t n, const int8_t *codes)
{
    uint8_t *p = dfqi_onnx_alloc(e, (size_t)(n + 1) / 2, 1);
    for (int64_t i = 0; p && codes && i < n; i++)
        p[i / 2] |= (uint8_t)((codes[i] & 15) << (i % 2 ? 4 : 0));
    return (int8_t *)p;
}

dfqi_ref dfqi_onnx_weight_codes(dfqi_onnx *e, const dfqi_onnx_weight *w, bool transposed)
{
    int32_t type = type_of(e, w), rank = transposed ? 2 : w->shape->rank;
    const int64_t turned[2] = {w->cols, w->rows};
    int8_t *codes = ordered(e, w, transposed);
    if (type == DFQI_ONNX_INT4) codes = halved(e, w->rows * w->cols, codes);
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.codes", w->layer), type, rank,
                            transposed ? turned : w->shape->dims, codes);
}

dfqi_ref dfqi_onnx_weight_scales(dfqi_onnx *e, const dfqi_onnx_weight *w)
{
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.scale", w->layer), FLOAT, 1, &w->rows,
                            w->scales);
}

static dfqi_ref unsigned_4(dfqi_onnx *e, const dfqi_onnx_weight *w, const char *what, int64_t cols,
                           const int8_t *values)
{
    const int64_t dims[2] = {w->rows, cols};
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.%s", w->layer, what), DFQI_ONNX_UINT4,
                            2, dims, halved(e, w->rows * cols, values));
}

/* (u - z) (s m), each product as the library rounds it. The rows stay rows, and are transposed
 * behind it: ONNX Runtime makes one node of columns and their product, which rounds the other
 * operand to 8 bits. */
static dfqi_ref blocked_values(dfqi_onnx *e, const dfqi_onnx_weight *w, bool transposed)
{
    const int64_t groups = w->cols / w->group, column[2] = {w->rows, 1}, turned[2] = {1, 0};
    dfqi_ref u = unsigned_4(e, w, "codes", w->cols, w->units);
    dfqi_ref z = unsigned_4(e, w, "zero_points", groups, w->zero_points);
    dfqi_ref s = dfqi_onnx_cast(e, unsigned_4(e, w, "multipliers", groups, w->multipliers), FLOAT);
    s = dfqi_onnx_binary(e, "Mul", s,
                         dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.scale", w->layer), FLOAT,
                                          2, column, w->scales));
    dfqi_ref y = dfqi_onnx_node(e, "DequantizeLinear", 3, (dfqi_ref[]){u, s, z});
    dfqi_onnx_int(e, "axis", 1);
    dfqi_onnx_int(e, "block_size", w->group);
    return transposed ? dfqi_onnx_transpose(e, y, 2, turned) : y;
}

/* Zero points are 0, and said: where sums must not saturate, ONNX Runtime adds 128 to codes and to
 * zero points, and would add one zero point for all rows. */
dfqi_ref dfqi_onnx_weight_values(dfqi_onnx *e, const dfqi_onnx_weight *w, bool transposed)
{
    if (w->group) return blocked_values(e, w, transposed);
    dfqi_ref codes = dfqi_onnx_weight_codes(e, w, transposed), scales, zeros;
    if (type_of(e, w) != INT8) codes = dfqi_onnx_cast(e, codes, INT8);
    scales = dfqi_onnx_weight_scales(e, w);
    zeros = dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight.zero_points", w->layer), INT8, 1,
                             &w->rows, dfqi_onnx_alloc(e, (size_t)w->rows, 1));
    dfqi_ref y = dfqi_onnx_node(e, "DequantizeLinear", 3, (dfqi_ref[]){codes, scales, zeros});
    dfqi_onnx_int(e, "axis", transposed ? 1 : 0);
    return y;
}
