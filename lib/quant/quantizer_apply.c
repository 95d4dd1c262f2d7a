/* Applies a quantizer by the kernels: forward, backward, codes, and values of codes. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernel/codes.h"
#include "kernel/kernel.h"
#include "quant/quantizer.h"

/* The state of one call: the grids of the tensor, and the arrays that the loop bodies read and
 * write. */
typedef struct work {
    const dfqi_quantizer *q;
    const dfqi_kernels *k;
    dfqi_quantizer_parts p;
    dfq_tensor *scales, *zero_points; /* retained; zero_points may be NULL */
    dfq_tensor *scaled, *scaled_dy;   /* with column factors: c x, and dy / c */
    const float *x, *dy;
    float *y;     /* forward: y; backward: dx or NULL */
    float *sums;  /* backward: [chunks][2][n_scales] or NULL */
    float *scrap; /* backward without dx: [threads][chunk] */
    const dfq_tensor *codes_in;
    int8_t *codes; /* I8, or U8 in the same memory */
    int32_t odd;   /* 1: a value without a code was met; atomic */
} work;

static dfq_status need_f32(const dfqi_quantizer *q, const char *what, const dfq_tensor *t)
{
    if (t->dtype == DFQI_F32) return DFQ_OK;
    return dfqi_fail(q->ctx, DFQ_E_SHAPE, "%s is %s, must be F32", what, dfqi_dtype_name(t->dtype));
}

static dfq_status need_scales(const dfqi_quantizer *q)
{
    return dfqi_fail(q->ctx, DFQ_E_INVALID,
                     "the quantizer has no scales yet; calibrate it, or set them");
}

static void end(work *w)
{
    dfqi_tensor_release(w->scales);
    dfqi_tensor_release(w->zero_points);
    dfqi_tensor_release(w->scaled);
    dfqi_tensor_release(w->scaled_dy);
    dfqi_free(w->q->ctx, w->sums);
    dfqi_free(w->q->ctx, w->scrap);
}

/* Parts and grids for x. The caller calls end() whatever comes back. */
static dfq_status begin(const dfqi_quantizer *q, const dfq_tensor *x, work *w)
{
    *w = (work){.q = q, .k = dfqi_kernels_get(q->ctx)};
    DFQI_TRY(need_f32(q, "the tensor", x));
    if (!q->scales && !dfqi_quantizer_is_weight(q)) return need_scales(q);
    DFQI_TRY(dfqi_quantizer_split(q, x, &w->p));
    if (q->column_factors) {
        DFQI_TRY(dfqi_quantizer_by_columns(q, x, false, &w->scaled));
        x = w->scaled;
    }
    w->x = dfqi_tensor_f32(x);
    if (dfqi_quantizer_follows(q))
        return dfqi_quantizer_minmax(q, x, &w->p, &w->scales, &w->zero_points);
    w->scales = dfqi_tensor_retain(q->scales);
    w->zero_points = q->zero_points ? dfqi_tensor_retain(q->zero_points) : NULL;
    return DFQ_OK;
}

static dfqi_grid grid_of(const work *w, const dfqi_quantizer_chunk *c)
{
    const float *zero = w->zero_points ? dfqi_tensor_f32(w->zero_points) + c->scale : NULL;
    return (dfqi_grid){dfqi_tensor_f32(w->scales) + c->scale, zero, w->p.n_scales, w->q->qmin,
                       w->q->qmax};
}

/* Column factors are taken out again: y / c in the place of y. */
static dfq_status undo_columns(const dfqi_quantizer *q, dfq_tensor **y)
{
    dfq_tensor *back;
    if (!q->column_factors) return DFQ_OK;
    DFQI_TRY(dfqi_quantizer_by_columns(q, *y, true, &back));
    dfqi_tensor_release(*y);
    *y = back;
    return DFQ_OK;
}

/* -- forward ----------------------------------------------------------------------------------- */

static void apply_chunk(void *arg, int64_t i, int32_t thread)
{
    const work *w = arg;
    dfqi_quantizer_chunk c = dfqi_quantizer_chunk_at(&w->p, i);
    dfqi_grid grid = grid_of(w, &c);
    (void)thread;
    if (w->q->kind == DFQI_SITE_LOG)
        w->k->fq_log((size_t)c.n, dfqi_tensor_f32(w->scales)[c.scale], w->q->qmax, w->x + c.from,
                     w->y + c.from);
    else
        w->k->fq(c.rows, c.cols, &grid, w->x + c.from, w->y + c.from);
}

dfq_status dfqi_quantizer_apply(const dfqi_quantizer *q, const dfq_tensor *x, dfq_tensor **out_y)
{
    work w;
    dfq_tensor *y = NULL;
    dfq_status status;
    if (dfqi_quantizer_is_runtime(q)) return dfqi_quantizer_rows_apply(q, x, out_y);
    DFQI_GOTO(begin(q, x, &w), out);
    DFQI_GOTO(dfqi_tensor_new(q->ctx, DFQI_F32, x->rank, x->dims, &y), out);
    w.y = dfqi_tensor_f32(y);
    dfqi_parallel_for(q->ctx, dfqi_quantizer_chunks(&w.p), apply_chunk, &w);
    DFQI_GOTO(undo_columns(q, &y), out);
    *out_y = y;
    y = NULL;
out:
    dfqi_tensor_release(y);
    end(&w);
    return status;
}

/* -- backward ---------------------------------------------------------------------------------- */

static void backward_chunk(void *arg, int64_t i, int32_t thread)
{
    const work *w = arg;
    dfqi_quantizer_chunk c = dfqi_quantizer_chunk_at(&w->p, i);
    dfqi_grid grid = grid_of(w, &c);
    float *dx = w->scrap ? w->scrap + thread * w->p.chunk : w->y + c.from;
    float *sums = w->sums ? w->sums + 2 * i * w->p.n_scales : NULL;
    w->k->fq_bwd(c.rows, c.cols, &grid, w->x + c.from, w->dy + c.from, dx, sums,
                 sums ? sums + w->p.n_scales : NULL);
}

/* Sums of all chunks, of the scales (which 0) or zero points (1). */
static dfq_status add_sums(const work *w, int which, float factor, dfq_tensor **out)
{
    const dfqi_quantizer_parts *p = &w->p;
    int64_t n = p->groups * p->n_scales;
    int64_t values = p->count / n; /* of one scale */
    if (factor == 0) factor = 1.0f / sqrtf((float)values * w->q->qmax);
    double *sum = dfqi_calloc(w->q->ctx, (size_t)n, sizeof *sum);
    if (!sum) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < dfqi_quantizer_chunks(p); i++)
        for (int64_t s = 0; s < p->n_scales; s++)
            sum[dfqi_quantizer_chunk_at(p, i).scale + s] +=
                w->sums[(2 * i + which) * p->n_scales + s];
    dfq_status status = dfqi_tensor_new(w->q->ctx, DFQI_F32, w->scales->rank, w->scales->dims, out);
    for (int64_t i = 0; status == DFQ_OK && i < n; i++)
        dfqi_tensor_f32(*out)[i] = (float)sum[i] * factor;
    dfqi_free(w->q->ctx, sum);
    return status;
}

static dfq_status check_backward(const dfqi_quantizer *q, const dfq_tensor *x, const dfq_tensor *dy,
                                 bool want_scale, bool want_zero)
{
    char text[2][96];
    DFQI_TRY(need_f32(q, "the gradient", dy));
    if (dy->rank != x->rank || memcmp(dy->dims, x->dims, (size_t)x->rank * sizeof *x->dims) != 0)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "the gradient is %s, must be %s as the tensor",
                         dfqi_shape_text(dy->rank, dy->dims, text[0], sizeof text[0]),
                         dfqi_shape_text(x->rank, x->dims, text[1], sizeof text[1]));
    bool runtime = dfqi_quantizer_is_runtime(q);
    if ((want_scale || want_zero) &&
        (q->kind == DFQI_SITE_LOG || runtime || dfqi_quantizer_follows(q)))
        return dfqi_fail(q->ctx, DFQ_E_UNSUPPORTED,
                         "%s has no gradient of scales; give NULL for it",
                         q->kind == DFQI_SITE_LOG ? "a logarithmic grid"
                         : runtime                ? "rows and columns, found in each tensor"
                                                  : "weights that follow from each tensor");
    if (want_zero && (q->kind == DFQI_SITE_WEIGHT || q->kind == DFQI_SITE_LOG))
        return dfqi_fail(q->ctx, DFQ_E_UNSUPPORTED,
                         "a symmetric grid has no gradient of zero points; give NULL for it");
    return DFQ_OK;
}

/* dx and the sums of scales and zero points, as far as they are asked for. */
static dfq_status run_backward(work *w, const dfq_tensor *dy, bool sums, dfq_tensor *dx)
{
    const dfqi_quantizer *q = w->q;
    bool identity = q->input_gradient == DFQ_INPUT_GRADIENT_IDENTITY;
    size_t chunks = (size_t)dfqi_quantizer_chunks(&w->p), n_scales = (size_t)w->p.n_scales;
    if (dx && identity) memcpy(dx->data, dy->data, (size_t)w->p.count * sizeof(float));
    if (!sums && (!dx || identity)) return DFQ_OK;
    if (q->column_factors) DFQI_TRY(dfqi_quantizer_by_columns(q, dy, true, &w->scaled_dy));
    w->dy = dfqi_tensor_f32(q->column_factors ? w->scaled_dy : dy);
    if (sums && !(w->sums = dfqi_calloc(q->ctx, 2 * chunks * n_scales, sizeof(float))))
        return DFQ_E_NOMEM;
    size_t scrap = (size_t)w->p.chunk * (size_t)q->ctx->threads;
    if (dx && !identity)
        w->y = dfqi_tensor_f32(dx);
    else if (!(w->scrap = dfqi_calloc(q->ctx, scrap, sizeof(float))))
        return DFQ_E_NOMEM;
    dfqi_parallel_for(q->ctx, (int64_t)chunks, backward_chunk, w);
    const float *from = dfqi_tensor_f32(dy);
    for (int64_t i = 0; dx && !identity && q->column_factors && i < w->p.count; i++)
        if (w->y[i] != 0) w->y[i] = from[i]; /* c (dy / c), without its rounding */
    return DFQ_OK;
}

dfq_status dfqi_quantizer_backward(const dfqi_quantizer *q, const dfq_tensor *x,
                                   const dfq_tensor *dy, dfq_tensor **out_dx,
                                   dfq_tensor **out_dscale, dfq_tensor **out_dzero)
{
    work w;
    dfq_tensor *dx = NULL, *dscale = NULL, *dzero_point = NULL;
    dfq_status status;
    DFQI_TRY(check_backward(q, x, dy, out_dscale != NULL, out_dzero != NULL));
    if (dfqi_quantizer_is_runtime(q))
        return out_dx ? dfqi_quantizer_rows_backward(q, x, dy, out_dx) : DFQ_OK;
    DFQI_GOTO(begin(q, x, &w), out);
    if (out_dx) DFQI_GOTO(dfqi_tensor_new(q->ctx, DFQI_F32, x->rank, x->dims, &dx), out);
    DFQI_GOTO(run_backward(&w, dy, out_dscale || out_dzero, dx), out);
    if (out_dscale) DFQI_GOTO(add_sums(&w, 0, q->scale_grad_factor, &dscale), out);
    if (out_dzero) DFQI_GOTO(add_sums(&w, 1, q->zero_point_grad_factor, &dzero_point), out);
    if (out_dx) *out_dx = dx;
    if (out_dscale) *out_dscale = dscale;
    if (out_dzero) *out_dzero = dzero_point;
    dx = dscale = dzero_point = NULL;
out:
    dfqi_tensor_release(dx);
    dfqi_tensor_release(dscale);
    dfqi_tensor_release(dzero_point);
    end(&w);
    return status;
}

/* -- codes ------------------------------------------------------------------------------------- */

static void codes_chunk(void *arg, int64_t i, int32_t thread)
{
    work *w = arg;
    dfqi_quantizer_chunk c = dfqi_quantizer_chunk_at(&w->p, i);
    dfqi_grid grid = grid_of(w, &c);
    int log = w->q->kind == DFQI_SITE_LOG;
    int32_t odd = 0;
    (void)thread;
    for (int64_t at = 0; at < c.n; at++) {
        int64_t s = w->p.n_scales > 1 ? at % c.cols : 0;
        float v = w->x[c.from + at], scale = dfqi_tensor_f32(w->scales)[c.scale + s], code;
        float zero = grid.zero_point ? rintf(grid.zero_point[s]) : 0.0f;
        code = log ? (float)dfqi_code_log(v, scale, grid.qmax)
                   : dfqi_code_uniform(v, scale, zero, grid.qmin, grid.qmax);
        odd |= v != v || code != code;
        w->codes[c.from + at] = (int8_t)(code == code ? (int32_t)code : 0);
    }
    if (odd) __atomic_store_n(&w->odd, 1, __ATOMIC_RELAXED);
}

dfq_status dfqi_quantizer_codes(const dfqi_quantizer *q, const dfq_tensor *x,
                                dfq_tensor **out_codes)
{
    work w;
    dfq_tensor *codes = NULL;
    dfq_status status;
    if (dfqi_quantizer_is_runtime(q)) return dfqi_quantizer_rows_codes(q, x, out_codes);
    DFQI_GOTO(begin(q, x, &w), out);
    DFQI_GOTO(dfqi_tensor_new(q->ctx, q->qmin < 0 ? DFQI_I8 : DFQI_U8, x->rank, x->dims, &codes),
              out);
    w.codes = codes->data;
    dfqi_parallel_for(q->ctx, dfqi_quantizer_chunks(&w.p), codes_chunk, &w);
    if (w.odd) {
        status = dfqi_fail(q->ctx, DFQ_E_NUMERIC,
                           "the tensor holds NaN, which has no code; give finite values");
        goto out;
    }
    *out_codes = codes;
    codes = NULL;
out:
    dfqi_tensor_release(codes);
    end(&w);
    return status;
}

static float code_at(const dfq_tensor *t, int64_t i)
{
    return t->dtype == DFQI_I8   ? (float)((const int8_t *)t->data)[i]
           : t->dtype == DFQI_U8 ? (float)((const uint8_t *)t->data)[i]
                                 : (float)((const int32_t *)t->data)[i];
}

static void values_chunk(void *arg, int64_t i, int32_t thread)
{
    work *w = arg;
    dfqi_quantizer_chunk c = dfqi_quantizer_chunk_at(&w->p, i);
    dfqi_grid grid = grid_of(w, &c);
    int log = w->q->kind == DFQI_SITE_LOG;
    int32_t odd = 0;
    (void)thread;
    for (int64_t at = 0; at < c.n; at++) {
        int64_t s = w->p.n_scales > 1 ? at % c.cols : 0;
        float code = code_at(w->codes_in, c.from + at),
              scale = dfqi_tensor_f32(w->scales)[c.scale + s];
        float zero = grid.zero_point ? rintf(grid.zero_point[s]) : 0.0f;
        odd |= code < grid.qmin || code > grid.qmax + (float)log;
        w->y[c.from + at] =
            log ? dfqi_code_log_value((int)code, scale, grid.qmax) : (code - zero) * scale;
    }
    if (odd) __atomic_store_n(&w->odd, 1, __ATOMIC_RELAXED);
}

dfq_status dfqi_quantizer_dequantize(const dfqi_quantizer *q, const dfq_tensor *codes,
                                     dfq_tensor **out_x)
{
    work w = {.q = q, .k = dfqi_kernels_get(q->ctx), .codes_in = codes};
    dfq_tensor *x = NULL;
    dfq_status status;
    if (codes->dtype != DFQI_I8 && codes->dtype != DFQI_U8 && codes->dtype != DFQI_I32)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "codes are %s, must be I8, U8 or I32",
                         dfqi_dtype_name(codes->dtype));
    if (dfqi_quantizer_is_runtime(q))
        return dfqi_fail(
            q->ctx, DFQ_E_UNSUPPORTED,
            "codes of kinds row and column have no values without the tensor that their "
            "scales came from; apply the quantizer to it");
    if (!q->scales) return need_scales(q);
    DFQI_TRY(dfqi_quantizer_split(q, codes, &w.p));
    w.scales = dfqi_tensor_retain(q->scales);
    w.zero_points = q->zero_points ? dfqi_tensor_retain(q->zero_points) : NULL;
    DFQI_GOTO(dfqi_tensor_new(q->ctx, DFQI_F32, codes->rank, codes->dims, &x), out);
    w.y = dfqi_tensor_f32(x);
    dfqi_parallel_for(q->ctx, dfqi_quantizer_chunks(&w.p), values_chunk, &w);
    if (w.odd) {
        status = dfqi_fail(q->ctx, DFQ_E_INVALID, "a code is outside of %g to %g", (double)q->qmin,
                           (double)(q->qmax + (float)(q->kind == DFQI_SITE_LOG)));
        goto out;
    }
    DFQI_GOTO(undo_columns(q, &x), out);
    *out_x = x;
    x = NULL;
out:
    dfqi_tensor_release(x);
    end(&w);
    return status;
}
