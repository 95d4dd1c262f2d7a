/* A quantizer: its lifetime, its scales, and the split of a tensor into parts, each with its own
 * grid. */
#include "quant/quantizer.h"

#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "kernel/kernel.h"
#include "quant/scheme_priv.h"

enum { CHUNK = 1 << 14 }; /* values that one body takes, about */

dfq_status dfqi_quantizer_new(dfq_context *ctx, const dfq_quantizer_options *o,
                              dfqi_quantizer **out)
{
    dfqi_quantizer *q = dfqi_calloc(ctx, 1, sizeof *q);
    if (!q) return DFQ_E_NOMEM;
    dfqi_site site = {.kind = (dfqi_site_kind)o->kind, .bits = o->bits};
    if (site.kind == DFQI_SITE_LOG)
        dfqi_site_set_log(&site);
    else
        dfqi_site_set_codes(&site, dfqi_site_is_weight(&site) || o->is_signed);
    q->ctx = dfqi_context_retain(ctx);
    q->refs = 1;
    q->kind = site.kind;
    q->bits = o->bits;
    q->qmin = site.qmin;
    q->qmax = site.qmax;
    q->granularity = o->granularity;
    q->axis = o->axis;
    q->input_gradient = o->input_gradient;
    if (q->input_gradient == DFQ_INPUT_GRADIENT_AUTO)
        q->input_gradient = dfqi_site_is_runtime(&site)      ? DFQ_INPUT_GRADIENT_RANGE
                            : site.kind == DFQI_SITE_UNIFORM ? DFQ_INPUT_GRADIENT_CLIPPED
                                                             : DFQ_INPUT_GRADIENT_IDENTITY;
    q->scale_grad_factor = o->scale_grad_factor;
    q->zero_point_grad_factor = o->zero_point_grad_factor;
    q->error = -1;
    *out = q;
    return DFQ_OK;
}

dfqi_quantizer *dfqi_quantizer_retain(const dfqi_quantizer *q)
{
    dfqi_quantizer *own = (dfqi_quantizer *)(uintptr_t)q; /* the count is not part of what const
                                                             promises */
    dfqi_ref_inc(&own->refs);
    return own;
}

void dfqi_quantizer_release(dfqi_quantizer *q)
{
    if (!q || dfqi_ref_dec(&q->refs) > 0) return;
    dfq_context *ctx = q->ctx;
    dfqi_tensor_release(q->scales);
    dfqi_tensor_release(q->zero_points);
    dfqi_tensor_release(q->column_factors);
    dfqi_free(ctx, q);
    dfqi_context_release(ctx);
}

bool dfqi_quantizer_is_weight(const dfqi_quantizer *q)
{
    return q->kind == DFQI_SITE_WEIGHT || q->kind == DFQI_SITE_WEIGHT_MINMAX;
}

bool dfqi_quantizer_is_runtime(const dfqi_quantizer *q)
{
    return q->kind == DFQI_SITE_ROW || q->kind == DFQI_SITE_COLUMN;
}

bool dfqi_quantizer_follows(const dfqi_quantizer *q)
{
    return dfqi_quantizer_is_weight(q) && !q->scales;
}

/* -- scales ------------------------------------------------------------------------------------ */

/* F32, finite, and if asked positive. */
static dfq_status check_values(const dfqi_quantizer *q, const char *what, const dfq_tensor *t,
                               bool positive)
{
    if (t->dtype != DFQI_F32)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "%s are %s, must be F32", what,
                         dfqi_dtype_name(t->dtype));
    const float *v = dfqi_tensor_f32(t);
    for (int64_t i = 0, n = dfqi_tensor_count(t); i < n; i++)
        if (!isfinite(v[i]) || (positive && !(v[i] > 0)))
            return dfqi_fail(q->ctx, DFQ_E_NUMERIC, "%s: element %lld is %g, must be finite%s",
                             what, (long long)i, (double)v[i], positive ? " and above 0" : "");
    return DFQ_OK;
}

static dfq_status check_scales(const dfqi_quantizer *q, const dfq_tensor *t)
{
    char text[96];
    static const char *const want[] = {"one value", "[n], one for each index of the axis",
                                       "[H,d], one for each head and channel"};
    bool fits = q->granularity == DFQ_GRANULARITY_TENSOR ? dfqi_tensor_count(t) == 1
                : q->granularity == DFQ_GRANULARITY_AXIS ? t->rank == 1
                                                         : t->rank == 2;
    if (!fits || dfqi_tensor_count(t) < 1)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "scales are %s, must be %s",
                         dfqi_shape_text(t->rank, t->dims, text, sizeof text),
                         want[q->granularity]);
    return check_values(q, "scales", t, true);
}

static dfq_status check_zero_points(const dfqi_quantizer *q, const dfq_tensor *scales,
                                    const dfq_tensor *t)
{
    char text[2][96];
    if ((q->kind == DFQI_SITE_WEIGHT && !q->group) || q->kind == DFQI_SITE_LOG)
        return dfqi_fail(
            q->ctx, DFQ_E_INVALID,
            "zero points must be NULL for a %s grid; leave them out, or take kind uniform",
            q->kind == DFQI_SITE_LOG ? "logarithmic" : "symmetric");
    if (t->rank != scales->rank ||
        memcmp(t->dims, scales->dims, (size_t)t->rank * sizeof *t->dims) != 0)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "zero points are %s, must be %s as the scales",
                         dfqi_shape_text(t->rank, t->dims, text[0], sizeof text[0]),
                         dfqi_shape_text(scales->rank, scales->dims, text[1], sizeof text[1]));
    return check_values(q, "zero points", t, false);
}

dfq_status dfqi_quantizer_set_scales(dfqi_quantizer *q, const dfq_tensor *scales,
                                     const dfq_tensor *zero_points)
{
    if (zero_points && !scales)
        return dfqi_fail(q->ctx, DFQ_E_INVALID, "zero points are given without scales; give both");
    if (scales && dfqi_quantizer_is_runtime(q))
        return dfqi_fail(q->ctx, DFQ_E_UNSUPPORTED,
                         "kinds row and column find their scales in each tensor; give NULL");
    if (scales) DFQI_TRY(check_scales(q, scales));
    if (zero_points) DFQI_TRY(check_zero_points(q, scales, zero_points));
    dfqi_tensor_release(q->scales);
    dfqi_tensor_release(q->zero_points);
    q->scales = scales ? dfqi_tensor_retain(scales) : NULL;
    q->zero_points = zero_points ? dfqi_tensor_retain(zero_points) : NULL;
    q->error = -1;
    return DFQ_OK;
}

dfq_status dfqi_quantizer_set_columns(dfqi_quantizer *q, const dfq_tensor *factors)
{
    if (factors) {
        if (q->kind != DFQI_SITE_WEIGHT || q->granularity != DFQ_GRANULARITY_AXIS || q->axis != 0)
            return dfqi_fail(q->ctx, DFQ_E_UNSUPPORTED,
                             "column factors are for symmetric weights with a scale for each index "
                             "of axis 0; leave them out");
        if (factors->rank != 1)
            return dfqi_fail(q->ctx, DFQ_E_SHAPE, "column factors have rank %d, must be [K]",
                             factors->rank);
        DFQI_TRY(check_values(q, "column factors", factors, true));
    }
    dfqi_tensor_release(q->column_factors);
    q->column_factors = factors ? dfqi_tensor_retain(factors) : NULL;
    return DFQ_OK;
}

/* -- parts ------------------------------------------------------------------------------------- */

static dfq_status bad_shape(const dfqi_quantizer *q, const dfq_tensor *x, const char *want)
{
    char text[96];
    return dfqi_fail(q->ctx, DFQ_E_SHAPE, "the tensor is %s, %s",
                     dfqi_shape_text(x->rank, x->dims, text, sizeof text), want);
}

static dfq_status split_axis(const dfqi_quantizer *q, const dfq_tensor *x, dfqi_quantizer_parts *p)
{
    int32_t axis = q->axis < 0 ? q->axis + x->rank : q->axis;
    int64_t outer = 1, inner = 1;
    if (axis < 0 || axis >= x->rank) return bad_shape(q, x, "the quantizer's axis is not there");
    int64_t n = x->dims[axis];
    for (int32_t i = 0; i < axis; i++) outer *= x->dims[i];
    for (int32_t i = axis + 1; i < x->rank; i++) inner *= x->dims[i];
    if (inner == 1)
        *p = (dfqi_quantizer_parts){1, 1, outer, n, n, 0, 0, 0};
    else
        *p = (dfqi_quantizer_parts){outer * n, n, 1, inner, 1, 0, 0, 0};
    return DFQ_OK;
}

dfq_status dfqi_quantizer_split(const dfqi_quantizer *q, const dfq_tensor *x,
                                dfqi_quantizer_parts *out)
{
    const int64_t *d = x->dims, count = dfqi_tensor_count(x);
    dfqi_quantizer_parts p = {1, 1, 1, count, 1, 0, 0, 0};
    if (count < 1) return bad_shape(q, x, "it has no values");
    if (q->granularity == DFQ_GRANULARITY_AXIS) DFQI_TRY(split_axis(q, x, &p));
    if (dfqi_quantizer_is_weight(q) && q->group) { /* each group as if it were a row */
        if (count % q->group != 0) return bad_shape(q, x, "it is not whole groups of columns");
        p = (dfqi_quantizer_parts){count / q->group, count / q->group, 1, q->group, 1, 0, 0, 0};
    }
    if (q->granularity == DFQ_GRANULARITY_HEAD_CHANNEL) {
        if (x->rank != 4) return bad_shape(q, x, "must be [B,H,N,d]");
        p = (dfqi_quantizer_parts){d[0] * d[1], d[1], d[2], d[3], d[3], 0, 0, 0};
    }
    if (q->scales && dfqi_tensor_count(q->scales) != p.groups * p.n_scales)
        return bad_shape(q, x, "it has another number of scales than the quantizer");
    if (q->column_factors && dfqi_tensor_count(q->column_factors) != count / d[0])
        return bad_shape(q, x, "it has another number of columns than the column factors");
    p.count = count;
    int64_t unit = p.n_scales > 1 ? p.cols : 1, part = p.rows * p.cols;
    p.chunk = unit < CHUNK ? CHUNK / unit * unit : unit;
    p.chunks_of_a_part = (part + p.chunk - 1) / p.chunk;
    *out = p;
    return DFQ_OK;
}

int64_t dfqi_quantizer_chunks(const dfqi_quantizer_parts *p)
{
    return p->parts * p->chunks_of_a_part;
}

dfqi_quantizer_chunk dfqi_quantizer_chunk_at(const dfqi_quantizer_parts *p, int64_t i)
{
    int64_t part = i / p->chunks_of_a_part, from = i % p->chunks_of_a_part * p->chunk;
    int64_t size = p->rows * p->cols, n = size - from < p->chunk ? size - from : p->chunk;
    return (dfqi_quantizer_chunk){.from = part * size + from,
                                  .n = n,
                                  .rows = p->n_scales > 1 ? n / p->cols : 1,
                                  .cols = p->n_scales > 1 ? p->cols : n,
                                  .scale = part % p->groups * p->n_scales};
}

dfq_status dfqi_quantizer_by_columns(const dfqi_quantizer *q, const dfq_tensor *x, bool divide,
                                     dfq_tensor **out)
{
    int64_t cols = dfqi_tensor_count(q->column_factors), count = dfqi_tensor_count(x);
    const float *c = dfqi_tensor_f32(q->column_factors), *from = dfqi_tensor_f32(x);
    DFQI_TRY(dfqi_tensor_new(q->ctx, DFQI_F32, x->rank, x->dims, out));
    float *to = dfqi_tensor_f32(*out);
    if (!divide) dfqi_kernels_get(q->ctx)->col_scale(count / cols, cols, from, c, to);
    for (int64_t i = 0; divide && i < count; i++) to[i] = from[i] / c[i % cols];
    return DFQ_OK;
}
