/* Calibrates a quantizer from a tensor: by its minimum and maximum, or by the error search that
 * calibrates networks (search.c, weights.c). */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernel/kernel.h"
#include "kernel/row_grid.h"
#include "quant/quantizer.h"
#include "quant/search.h"

/* -- extremes ---------------------------------------------------------------------------------- */

typedef struct job {
    const dfqi_kernels *k;
    dfqi_quantizer_parts p;
    const float *x;
    float *ends; /* [chunks][n_scales][2] smallest, largest */
} job;

static void extremes_chunk(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    dfqi_quantizer_chunk c = dfqi_quantizer_chunk_at(&j->p, i);
    float *ends = j->ends + 2 * i * j->p.n_scales;
    const float *x = j->x + c.from;
    (void)thread;
    if (j->p.n_scales == 1) {
        j->k->extremes((size_t)c.n, x, ends);
        return;
    }
    for (int64_t s = 0; s < c.cols; s++) j->k->extremes(1, x + s, ends + 2 * s);
    for (int64_t at = c.cols; at < c.n; at++) {
        float *e = ends + 2 * (at % c.cols);
        if (x[at] < e[0]) e[0] = x[at];
        if (x[at] > e[1]) e[1] = x[at];
    }
}

/* Smallest and largest value of each grid, [n][2]; the caller frees it. */
static dfq_status find_extremes(const dfqi_quantizer *q, const dfq_tensor *x,
                                const dfqi_quantizer_parts *p, float **out)
{
    int64_t n = p->groups * p->n_scales, chunks = dfqi_quantizer_chunks(p);
    job j = {.k = dfqi_kernels_get(q->ctx), .p = *p, .x = dfqi_tensor_f32(x)};
    j.ends = dfqi_calloc(q->ctx, 2 * (size_t)(chunks * p->n_scales), sizeof *j.ends);
    float *ends = dfqi_calloc(q->ctx, 2 * (size_t)n, sizeof *ends);
    if (!j.ends || !ends) {
        dfqi_free(q->ctx, j.ends);
        dfqi_free(q->ctx, ends);
        return DFQ_E_NOMEM;
    }
    dfqi_parallel_for(q->ctx, chunks, extremes_chunk, &j);
    for (int64_t i = 0; i < n; i++) {
        ends[2 * i] = INFINITY;
        ends[2 * i + 1] = -INFINITY;
    }
    for (int64_t i = 0; i < chunks; i++)
        for (int64_t s = 0; s < p->n_scales; s++) {
            float *to = ends + 2 * (dfqi_quantizer_chunk_at(p, i).scale + s);
            const float *from = j.ends + 2 * (i * p->n_scales + s);
            to[0] = from[0] < to[0] ? from[0] : to[0];
            to[1] = from[1] > to[1] ? from[1] : to[1];
        }
    dfqi_free(q->ctx, j.ends);
    *out = ends;
    return DFQ_OK;
}

/* -- from the smallest to the largest ---------------------------------------------------------- */

static dfq_status new_scales(const dfqi_quantizer *q, const dfqi_quantizer_parts *p,
                             dfq_tensor **out)
{
    int heads = q->granularity == DFQ_GRANULARITY_HEAD_CHANNEL;
    const int64_t dims[2] = {heads ? p->groups : p->groups * p->n_scales, p->n_scales};
    return dfqi_tensor_new(q->ctx, DFQI_F32, heads ? 2 : 1, dims, out);
}

static bool has_zero_points(const dfqi_quantizer *q)
{
    return q->kind == DFQI_SITE_UNIFORM || q->kind == DFQI_SITE_WEIGHT_MINMAX;
}

static void set_grid(const dfqi_quantizer *q, const float *ends, float *scale, float *zero)
{
    dfqi_row_grid g = has_zero_points(q)
                          ? dfqi_row_grid_asymmetric(q->bits, ends[0], ends[1])
                          : dfqi_row_grid_symmetric(q->bits, fmaxf(-ends[0], ends[1]));
    *scale = q->kind == DFQI_SITE_LOG ? fmaxf(ends[1], 1e-8f) : g.scale;
    if (zero) *zero = q->qmin == g.qmin ? g.zero_point : g.zero_point - g.qmin; /* codes from 0 */
}

dfq_status dfqi_quantizer_minmax(const dfqi_quantizer *q, const dfq_tensor *x,
                                 const dfqi_quantizer_parts *p, dfq_tensor **out_scales,
                                 dfq_tensor **out_zero_points)
{
    dfq_tensor *scales = NULL, *zero = NULL;
    float *ends = NULL;
    dfq_status status;
    DFQI_GOTO(new_scales(q, p, &scales), out);
    if (has_zero_points(q)) DFQI_GOTO(new_scales(q, p, &zero), out);
    DFQI_GOTO(find_extremes(q, x, p, &ends), out);
    for (int64_t i = 0, n = p->groups * p->n_scales; i < n; i++)
        set_grid(q, ends + 2 * i, dfqi_tensor_f32(scales) + i,
                 zero ? dfqi_tensor_f32(zero) + i : NULL);
    *out_scales = scales;
    *out_zero_points = zero;
    scales = zero = NULL;
out:
    dfqi_tensor_release(scales);
    dfqi_tensor_release(zero);
    dfqi_free(q->ctx, ends);
    return status;
}

/* -- by search --------------------------------------------------------------------------------- */

/* Activations: 27 ranges for each grid. */
static dfq_status search_uniform(const dfqi_quantizer *q, const dfq_tensor *x,
                                 const dfqi_quantizer_parts *p, dfqi_site *site)
{
    dfqi_stats stats;
    int64_t last = x->dims[x->rank - 1], n = p->groups * p->n_scales;
    int64_t part = p->rows * p->cols, cols = x->rank == 0 ? 1 : last;
    if (p->n_scales > 1) cols = p->cols;
    dfqi_view v = {.x = dfqi_tensor_f32(x),
                   .parts = p->parts,
                   .heads = p->groups,
                   .rows = part / cols,
                   .cols = cols,
                   .scales = p->n_scales};
    DFQI_TRY(dfqi_stats_new(q->ctx, n, dfqi_stats_tile(cols, 0), &stats));
    dfqi_stats_add(&stats, &v);
    dfqi_stats_shrink(&stats, site);
    dfqi_stats_errors(&stats, site, &v, dfqi_kernels_get(q->ctx));
    dfqi_stats_choose(&stats, site);
    dfqi_stats_fini(q->ctx, &stats);
    return DFQ_OK;
}

/* The values of each grid in a row, [n][values]. */
static dfq_status gather_rows(const dfqi_quantizer *q, const dfq_tensor *x,
                              const dfqi_quantizer_parts *p, dfq_tensor **out)
{
    int64_t n = p->groups * p->n_scales, each = p->count / n, part = p->rows * p->cols;
    DFQI_TRY(dfqi_tensor_new(q->ctx, DFQI_F32, 2, (int64_t[]){n, each}, out));
    const float *from = dfqi_tensor_f32(x);
    float *to = dfqi_tensor_f32(*out);
    for (int64_t i = 0; i < p->count; i++) {
        int64_t in = i % part, part_of = i / part;
        if (p->n_scales > 1)
            to[in % p->cols * each + in / p->cols] = from[i];
        else
            to[part_of % n * each + part_of / n * part + in] = from[i];
    }
    return DFQ_OK;
}

static dfq_status search_weight(const dfqi_quantizer *q, const dfq_tensor *x,
                                const dfqi_quantizer_parts *p, dfqi_site *site)
{
    dfq_tensor *rows;
    double error, power;
    const float *col = q->column_factors ? dfqi_tensor_f32(q->column_factors) : NULL;
    DFQI_TRY(gather_rows(q, x, p, &rows));
    dfq_status status = dfqi_search_weight(q->ctx, rows, q->bits, col, NULL,
                                           dfqi_tensor_f32(site->scale), &error, &power);
    dfqi_tensor_release(rows);
    if (status == DFQ_OK) site->error = power > 0 ? error / power : 0;
    return status;
}

static dfq_status search(const dfqi_quantizer *q, const dfq_tensor *x,
                         const dfqi_quantizer_parts *p, dfqi_site *site)
{
    bool weight = q->kind == DFQI_SITE_WEIGHT;
    if (!weight && q->kind != DFQI_SITE_UNIFORM)
        return dfqi_fail(
            q->ctx, DFQ_E_UNSUPPORTED,
            "method search is for uniform grids and symmetric weights; take method minmax");
    DFQI_TRY(new_scales(q, p, &site->scale));
    if (weight) return search_weight(q, x, p, site);
    DFQI_TRY(new_scales(q, p, &site->zero_point));
    return search_uniform(q, x, p, site);
}

/* -- either ------------------------------------------------------------------------------------ */

static dfq_status need_finite(const dfqi_quantizer *q, const dfq_tensor *x)
{
    const float *v = dfqi_tensor_f32(x);
    for (int64_t i = 0, n = dfqi_tensor_count(x); i < n; i++)
        if (!isfinite(v[i]))
            return dfqi_fail(q->ctx, DFQ_E_NUMERIC,
                             "the tensor holds %g at element %lld, must be finite", (double)v[i],
                             (long long)i);
    return DFQ_OK;
}

dfq_status dfqi_quantizer_calibrate(dfqi_quantizer *q, const dfq_tensor *x, int32_t method)
{
    dfqi_quantizer free_one = *q; /* without scales, so that any number of them fits */
    dfqi_quantizer_parts p;
    dfq_tensor *scaled = NULL;
    dfqi_site site = {
        .kind = q->kind, .bits = q->bits, .qmin = q->qmin, .qmax = q->qmax, .error = -1};
    dfq_status status;
    free_one.scales = NULL;
    if (dfqi_quantizer_is_runtime(q))
        return dfqi_fail(q->ctx, DFQ_E_UNSUPPORTED,
                         "kinds row and column find their scales in each tensor: nothing to "
                         "calibrate");
    if (x->dtype != DFQI_F32)
        return dfqi_fail(q->ctx, DFQ_E_SHAPE, "the tensor is %s, must be F32",
                         dfqi_dtype_name(x->dtype));
    DFQI_TRY(dfqi_quantizer_split(&free_one, x, &p));
    DFQI_TRY(need_finite(q, x));
    if (method == DFQ_CALIBRATION_MINMAX) {
        if (q->column_factors) DFQI_GOTO(dfqi_quantizer_by_columns(q, x, false, &scaled), out);
        DFQI_GOTO(dfqi_quantizer_minmax(q, scaled ? scaled : x, &p, &site.scale, &site.zero_point),
                  out);
    } else {
        DFQI_GOTO(search(q, x, &p, &site), out);
    }
    DFQI_GOTO(dfqi_quantizer_set_scales(q, site.scale, site.zero_point), out);
    q->error = site.error;
out:
    dfqi_tensor_release(scaled);
    dfqi_tensor_release(site.scale);
    dfqi_tensor_release(site.zero_point);
    return status;
}
