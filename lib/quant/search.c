/* Streaming statistics of activations, and the error search for their grids. */
#include "quant/search.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { TILE_ROWS = 16, LOWS = 3, HIGHS = 9 };
static const float low_factor[LOWS] = {1.0f, 0.8f, 0.6f};
static const float high_factor[HIGHS] = {1.0f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f, 0.2f};
static const float log_factor[DFQI_LOG_CANDIDATES] = {1.0f, 0.85f, 0.7f, 0.55f, 0.4f, 0.3f};

void dfqi_stats_fini(dfq_context *ctx, dfqi_stats *s)
{
    dfqi_free(ctx, s->min);
    dfqi_free(ctx, s->square);
    dfqi_free(ctx, s->scale);
    dfqi_free(ctx, s->error);
    dfqi_free(ctx, s->tile);
    *s = (dfqi_stats){0};
}

int64_t dfqi_stats_tile(int64_t cols, int64_t depth)
{
    return TILE_ROWS * (cols + depth);
}

dfq_status dfqi_stats_new(dfq_context *ctx, int64_t n, int64_t tile_floats, dfqi_stats *out)
{
    dfqi_stats s = {.n = n};
    s.min = dfqi_calloc(ctx, 2 * (size_t)n, sizeof(float));
    s.square = dfqi_calloc(ctx, 2 * (size_t)n, sizeof(double));
    s.scale = dfqi_calloc(ctx, 2 * (size_t)n * DFQI_CANDIDATES, sizeof(float));
    s.error = dfqi_calloc(ctx, (size_t)n * DFQI_CANDIDATES, sizeof(double));
    s.tile = dfqi_calloc(ctx, (size_t)tile_floats, sizeof(float));
    if (!s.min || !s.square || !s.scale || !s.error || !s.tile) {
        dfqi_stats_fini(ctx, &s);
        return DFQ_E_NOMEM;
    }
    s.max = s.min + n;
    s.count = s.square + n;
    s.zero_point = s.scale + n * DFQI_CANDIDATES;
    for (int64_t i = 0; i < n; i++) {
        s.min[i] = FLT_MAX;
        s.max[i] = -FLT_MAX;
    }
    *out = s;
    return DFQ_OK;
}

/* First scale of part p: all parts share one scale when there is only one. */
static int64_t first_scale(const dfqi_stats *s, const dfqi_view *v, int64_t p)
{
    return s->n == 1 ? 0 : p % v->heads * v->scales;
}

void dfqi_stats_add(dfqi_stats *s, const dfqi_view *v)
{
    for (int64_t p = 0; p < v->parts; p++) {
        int64_t at = first_scale(s, v, p);
        for (int64_t r = 0; r < v->rows; r++) {
            const float *x = v->x + (p * v->rows + r) * v->cols;
            for (int64_t c = 0; c < v->cols; c++) {
                int64_t i = at + (v->scales > 1 ? c : 0);
                if (x[c] < s->min[i]) s->min[i] = x[c];
                if (x[c] > s->max[i]) s->max[i] = x[c];
                s->square[i] += (double)x[c] * x[c];
            }
        }
        for (int64_t i = 0; i < v->scales; i++)
            s->count[at + i] += (double)(v->rows * v->cols) / (double)v->scales;
    }
}

void dfqi_stats_shrink(dfqi_stats *s, const dfqi_site *site)
{
    s->candidates = LOWS * HIGHS;
    memset(s->error, 0, (size_t)(s->n * DFQI_CANDIDATES) * sizeof *s->error);
    for (int c = 0; c < s->candidates; c++)
        for (int64_t i = 0; i < s->n; i++) {
            float low = s->min[i], high = s->max[i];
            /* ends shrink towards zero, or towards the middle if zero is not in the range */
            float mid = low > 0 || high < 0 ? 0.5f * (low + high) : 0.0f;
            low = mid + (low - mid) * low_factor[c / HIGHS];
            high = mid + (high - mid) * high_factor[c % HIGHS];
            float scale = (high - low) / (site->qmax - site->qmin);
            if (!(scale > 1e-8f)) scale = 1e-8f;
            s->scale[c * s->n + i] = scale;
            s->zero_point[c * s->n + i] = site->qmin - low / scale;
        }
}

/* -- errors ------------------------------------------------------------------------------------ */

static void add_squares(const float *x, const float *y, int64_t rows, int64_t cols, int64_t scales,
                        double *error)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            float d = x[r * cols + c] - y[r * cols + c];
            error[scales > 1 ? c : 0] += (double)(d * d);
        }
}

/* |(x - y) V|^2 of some rows of part p; y becomes x - y. */
static double product_error(const dfqi_view *v, int64_t p, int64_t rows, const float *x, float *y,
                            const dfqi_kernels *k)
{
    float *out = y + TILE_ROWS * v->cols;
    double sum = 0;
    for (int64_t i = 0; i < rows * v->cols; i++) y[i] = x[i] - y[i];
    k->gemm(0, rows, v->depth, v->cols, y, v->cols, v->values + p * v->cols * v->depth, v->depth, 0,
            out, v->depth);
    for (int64_t i = 0; i < rows * v->depth; i++) sum += (double)out[i] * out[i];
    return sum;
}

static void tile_errors(dfqi_stats *s, const dfqi_site *site, const dfqi_view *v, int64_t p,
                        const float *x, int64_t rows, const dfqi_kernels *k)
{
    int64_t at = first_scale(s, v, p);
    for (int c = 0; c < s->candidates; c++) {
        dfqi_grid grid = {s->scale + c * s->n + at, s->zero_point + c * s->n + at, v->scales,
                          site->qmin, site->qmax};
        k->fq(rows, v->cols, &grid, x, s->tile);
        if (v->values)
            s->error[c * s->n + at] += product_error(v, p, rows, x, s->tile, k);
        else
            add_squares(x, s->tile, rows, v->cols, v->scales, s->error + c * s->n + at);
    }
    if (!v->values) return;
    dfqi_site log = *site;
    dfqi_site_set_log(&log);
    for (int c = 0; c < DFQI_LOG_CANDIDATES; c++) {
        k->fq_log((size_t)(rows * v->cols), s->max[0] * log_factor[c], log.qmax, x, s->tile);
        s->log_error[c] += product_error(v, p, rows, x, s->tile, k);
    }
}

void dfqi_stats_errors(dfqi_stats *s, const dfqi_site *site, const dfqi_view *v,
                       const dfqi_kernels *k)
{
    for (int64_t p = 0; p < v->parts; p++)
        for (int64_t r = 0; r < v->rows; r += TILE_ROWS) {
            int64_t rows = v->rows - r < TILE_ROWS ? v->rows - r : TILE_ROWS;
            tile_errors(s, site, v, p, v->x + (p * v->rows + r) * v->cols, rows, k);
        }
}

/* -- choosing ---------------------------------------------------------------------------------- */

/* The candidate with the least error; NaN never wins over a number. */
static int least(const double *error, int64_t stride, int n)
{
    int best = 0;
    for (int c = 1; c < n; c++)
        if (error[c * stride] < error[best * stride] || isnan(error[best * stride])) best = c;
    return best;
}

void dfqi_stats_choose(const dfqi_stats *s, dfqi_site *site)
{
    float *scale = dfqi_tensor_f32(site->scale), *zero_point = dfqi_tensor_f32(site->zero_point);
    double total = 0, power = 0;
    for (int64_t i = 0; i < s->n; i++) {
        int best = least(s->error + i, s->n, s->candidates);
        scale[i] = s->scale[best * s->n + i];
        zero_point[i] = s->zero_point[best * s->n + i];
        total += s->error[best * s->n + i];
        power += s->square[i];
    }
    int log_best = least(s->log_error, 1, DFQI_LOG_CANDIDATES);
    double log_total = s->log_error[log_best];
    if (dfqi_site_is_map(site) && (log_total < total || isnan(total))) {
        total = log_total;
        dfqi_site_set_log(site);
        scale[0] = s->max[0] * log_factor[log_best];
        dfqi_tensor_release(site->zero_point);
        site->zero_point = NULL;
    }
    site->error = dfqi_site_is_map(site) ? -1 : power > 0 ? total / power : 0;
}
