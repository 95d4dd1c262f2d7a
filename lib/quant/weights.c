/* Scales of the weight quantizers. For each row the range is shrunk until the squared error of the
 * row's output is smallest. The error of column c is weighted by the mean square of input c (the
 * diagonal of the Gauss-Newton Hessian), which is its effect on the output. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernel/weight_groups.h"
#include "quant/scheme_priv.h"
#include "quant/weight_groups.h"

enum {
    SHRINKS = 24,
    /* with these parts weights are rounded later, and grids of groups are searched then */
    LATER = DFQI_ROUND_RIDGE | DFQI_ROUND_GPTQ | DFQI_ROUND_BIAS
};

typedef struct job {
    const dfqi_kernels *k;
    const float *w, *col; /* col: column factors or NULL */
    const double *moment; /* [cols] or NULL */
    int64_t cols;
    int bits;
    float *scale;          /* [rows] out */
    float *scratch;        /* [threads][cols] */
    double *error, *power; /* [rows] out */
} job;

static double row_error(const job *j, const float *w, const float *y)
{
    double sum = 0;
    for (int64_t c = 0; c < j->cols; c++) {
        double d = (double)w[c] - y[c];
        sum += d * d * (j->moment ? j->moment[c] : 1.0);
    }
    return sum;
}

static void search_row(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    const float *w = j->w + r * j->cols;
    float *y = j->scratch + thread * j->cols;
    float full, best_scale = 0;
    double best = INFINITY;
    j->k->fq_weight(1, j->cols, j->bits, w, j->col, NULL, y, &full);
    for (int i = 0; i < SHRINKS; i++) {
        float scale = full * (1.0f - 0.03f * (float)i);
        j->k->fq_weight(1, j->cols, j->bits, w, j->col, &scale, y, NULL);
        double error = row_error(j, w, y);
        if (error < best) {
            best = error;
            best_scale = scale;
        }
    }
    j->scale[r] = best_scale;
    j->error[r] = best;
    memset(y, 0, (size_t)j->cols * sizeof *y);
    j->power[r] = row_error(j, w, y);
}

dfq_status dfqi_search_weight(dfq_context *ctx, const dfq_tensor *w, int bits, const float *col,
                              const double *moment, float *scales, double *out_error,
                              double *out_power)
{
    int64_t rows = w->dims[0], cols = dfqi_tensor_count(w) / rows;
    job j = {.k = dfqi_kernels_get(ctx),
             .w = dfqi_tensor_f32(w),
             .col = col,
             .moment = moment,
             .cols = cols,
             .bits = bits,
             .scale = scales};
    j.scratch = dfqi_calloc(ctx, (size_t)(cols * ctx->threads), sizeof(float));
    j.error = dfqi_calloc(ctx, 2 * (size_t)rows, sizeof(double));
    dfq_status status = DFQ_E_NOMEM;
    if (!j.scratch || !j.error) goto out;
    j.power = j.error + rows;
    dfqi_parallel_for(ctx, rows, search_row, &j);
    double error = 0, power = 0;
    for (int64_t r = 0; r < rows; r++) {
        error += j.error[r];
        power += j.power[r];
    }
    *out_error = error;
    if (out_power) *out_power = power;
    status = DFQ_OK;
out:
    dfqi_free(ctx, j.scratch);
    dfqi_free(ctx, j.error);
    return status;
}

/* The scale of a row from its largest magnitude. */
static dfq_status full_range(dfq_context *ctx, const dfqi_site *site, const dfq_tensor *w,
                             const float *col)
{
    int64_t rows = w->dims[0], cols = dfqi_tensor_count(w) / rows;
    const dfqi_kernels *k = dfqi_kernels_get(ctx);
    float *y = dfqi_calloc(ctx, (size_t)(rows * cols), sizeof *y);
    if (!y) return DFQ_E_NOMEM;
    k->fq_weight(rows, cols, site->bits, dfqi_tensor_f32(w), col, NULL, y,
                 dfqi_tensor_f32(site->scale));
    dfqi_free(ctx, y);
    return DFQ_OK;
}

typedef struct groups_job {
    const dfqi_site *site;
    dfqi_group_row row; /* of row 0 */
    bool search;
    double *error, *power; /* [rows] */
} groups_job;

static void groups_of_row(void *arg, int64_t r, int32_t thread)
{
    const groups_job *j = arg;
    dfqi_group_row row = j->row;
    (void)thread;
    row.w += r * row.cols;
    j->error[r] = dfqi_search_groups(j->site, r, &row, j->search);
    for (int64_t c = 0; c < row.cols; c++)
        j->power[r] += (double)row.w[c] * row.w[c] * (row.power ? row.power[c] : 1.0);
}

/* The grids of a weight's groups. */
static dfq_status calibrate_groups(dfq_context *ctx, dfqi_site *site, const dfq_tensor *w,
                                   const float *col, const double *moment, bool search)
{
    const int64_t rows = w->dims[0];
    double error = 0, power = 0;
    groups_job j = {.site = site,
                    .row = {dfqi_tensor_f32(w), col, moment, dfqi_tensor_count(w) / rows, 1},
                    .search = search};
    j.error = dfqi_calloc(ctx, 2 * (size_t)rows, sizeof *j.error);
    if (!j.error) return DFQ_E_NOMEM;
    j.power = j.error + rows;
    dfqi_parallel_for(ctx, rows, groups_of_row, &j);
    for (int64_t r = 0; r < rows; r++) {
        error += j.error[r];
        power += j.power[r];
    }
    dfqi_free(ctx, j.error);
    site->error = power > 0 ? error / power : 0;
    return DFQ_OK;
}

dfq_status dfqi_calibrate_weights(dfqi_scheme *s, const dfqi_network *net, double *const *moments)
{
    for (int32_t i = 0; i < s->n_sites; i++) {
        dfqi_site *site = &s->sites[i];
        double error, power;
        if (site->kind != DFQI_SITE_WEIGHT) continue;
        const dfq_tensor *w = dfqi_network_find(net, site->name);
        if (!w) return dfqi_fail(s->ctx, DFQ_E_INTERNAL, "no parameter %s", site->name);
        int32_t in = site->input;
        const float *col = in >= 0 ? dfqi_tensor_f32(s->sites[in].scale) : NULL;
        if (site->groups) {
            const int32_t last = s->rounding & (DFQI_ROUND_SEARCH | LATER);
            DFQI_TRY(calibrate_groups(s->ctx, site, w, col, in >= 0 ? moments[in] : NULL,
                                      last == DFQI_ROUND_SEARCH));
            continue;
        }
        DFQI_TRY(dfqi_search_weight(s->ctx, w, site->bits, col, in >= 0 ? moments[in] : NULL,
                                    dfqi_tensor_f32(site->scale), &error, &power));
        site->error = power > 0 ? error / power : 0;
        if (!(s->rounding & DFQI_ROUND_SEARCH)) DFQI_TRY(full_range(s->ctx, site, w, col));
    }
    return DFQ_OK;
}

void dfqi_weight_row(const dfqi_kernels *k, const dfqi_site *site, int64_t r, int64_t cols,
                     const float *row, const float *col, float *y, float *scale, float *zero_point)
{
    const float *own = site->scale ? dfqi_tensor_f32(site->scale) + r : NULL;
    *zero_point = 0;
    if (own && site->groups) {
        const dfqi_group_row all = {row, col, NULL, cols, 1};
        dfqi_groups_apply(site, r, &all, y);
        *scale = *own;
    } else if (site->kind == DFQI_SITE_WEIGHT) {
        k->fq_weight(1, cols, site->bits, row, col, own, y, scale);
    } else if (own) { /* from a file: on its grid already */
        memcpy(y, row, (size_t)cols * sizeof *y);
        *scale = *own;
        if (site->zero_point) *zero_point = dfqi_tensor_f32(site->zero_point)[r];
    } else {
        k->fq_weight_range(1, cols, site->bits, row, y, scale, zero_point);
    }
}

void dfqi_weight_grid_at(const dfqi_site *site, int64_t r, int64_t cols, int64_t c, float *scale,
                         float *zero_point)
{
    if (!site->groups) return;
    const dfqi_group_grid g =
        dfqi_group_grid_of(dfqi_tensor_f32(site->groups)[(r * cols + c) / site->group]);
    *scale *= g.multiplier;
    *zero_point = g.zero_point + site->qmin;
}
