/* Second-order rounding of weights (optimal brain quantization in the column order of GPTQ, Frantar
 * et al., ICLR 2023): columns are rounded one after the other, and what rounding one column spoils is
 * repaired by the columns that are still float, as well as the inputs' second moments H = E[x x^T]
 * allow. Rounding to nearest treats weights as independent; at 4 bits that costs a vision transformer
 * most of what weight quantization costs.
 *
 * A weight W[O,K] whose input has column factors s is rounded as V = W diag(s), whose input is x / s. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"
#include "graph/exec.h"
#include "quant/scheme_priv.h"

enum { STREAM = 4 };
static const double damping = 0.01; /* of the mean diagonal, so that H can be inverted */

typedef struct layer {
    const dfqi_site *site;
    dfq_tensor *w;
    const float *col;  /* column factors or NULL */
    dfqi_id input;
    int64_t rows, cols;
    float *h;          /* [K,K] sum of x x^T */
    double *u;         /* [K,K] upper factor of the inverse of H, rows in rounding order */
    int32_t *order;    /* [K] columns, largest H first */
} layer;

typedef struct job {
    dfqi_scheme *s;
    const dfqi_graph *g;
    const dfqi_exec *e;
    const dfqi_kernels *k;
    layer *layers;
    layer *current;
    float *scratch;    /* [threads][K] */
    int32_t failed;    /* H of some layer could not be factored */
} job;

/* -- moments ------------------------------------------------------------------------------------------- */

static void add_moments(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    layer *l = &j->layers[i];
    const dfqi_value *v = dfqi_graph_value(j->g, l->input);
    const float *x = dfqi_exec_data(j->e, l->input);
    (void)thread;
    j->k->gemm(1, l->cols, l->cols, dfqi_value_count(v) / l->cols, x, l->cols, x, l->cols, 1, l->h,
               l->cols);
}

/* -- factoring ------------------------------------------------------------------------------------------ */

/* a = L L^T in place (lower part); false if it is not positive definite. */
static bool cholesky(double *a, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        for (int64_t r = c; r < n; r++) {
            double sum = a[r * n + c];
            const double *x = a + r * n, *y = a + c * n;
            for (int64_t k = 0; k < c; k++) sum -= x[k] * y[k];
            if (r == c) {
                if (!(sum > 0)) return false;
                a[c * n + c] = sqrt(sum);
            } else {
                a[r * n + c] = sum / a[c * n + c];
            }
        }
    }
    return true;
}

/* The inverse of a lower triangle in place, then inv = T^T T (symmetric, full). */
static void invert_from_cholesky(double *l, double *inv, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        l[c * n + c] = 1.0 / l[c * n + c];
        for (int64_t r = c + 1; r < n; r++) {
            double sum = 0;
            for (int64_t k = c; k < r; k++) sum += l[r * n + k] * l[k * n + c];
            l[r * n + c] = -sum / l[r * n + r];
        }
    }
    memset(inv, 0, (size_t)(n * n) * sizeof *inv);
    for (int64_t k = 0; k < n; k++)
        for (int64_t r = 0; r <= k; r++)
            for (int64_t c = 0; c <= r; c++) inv[r * n + c] += l[k * n + r] * l[k * n + c];
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = r + 1; c < n; c++) inv[r * n + c] = inv[c * n + r];
}

static void sort_columns(layer *l)
{
    for (int64_t i = 0; i < l->cols; i++) l->order[i] = (int32_t)i;
    for (int64_t i = 1; i < l->cols; i++) {
        int32_t c = l->order[i];
        int64_t k = i;
        for (; k > 0 && l->h[l->order[k - 1] * (l->cols + 1)] < l->h[c * (l->cols + 1)]; k--)
            l->order[k] = l->order[k - 1];
        l->order[k] = c;
    }
}

/* u: the upper factor of H^-1 = U^T U, in the order of rounding. */
static void factor(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    layer *l = &j->layers[i];
    int64_t n = l->cols;
    double mean = 0;
    (void)thread;
    for (int64_t c = 0; l->col && c < n; c++)
        for (int64_t k = 0; k < n; k++) l->h[c * n + k] /= l->col[c] * l->col[k];
    for (int64_t c = 0; c < n; c++) mean += l->h[c * (n + 1)] / (double)n;
    sort_columns(l);
    double *a = dfqi_calloc(j->s->ctx, (size_t)(n * n), sizeof *a);
    if (!a) {
        j->failed = 1;
        return;
    }
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < n; c++) a[r * n + c] = l->h[l->order[r] * n + l->order[c]];
    for (int64_t c = 0; c < n; c++) a[c * (n + 1)] += damping * mean + 1e-12;
    if (cholesky(a, n)) {
        invert_from_cholesky(a, l->u, n);
        memcpy(a, l->u, (size_t)(n * n) * sizeof *a);
        if (!cholesky(a, n)) j->failed = 1;
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = r; c < n; c++) l->u[r * n + c] = a[c * n + r];
    } else {
        j->failed = 1;
    }
    dfqi_free(j->s->ctx, a);
}

/* -- rounding -------------------------------------------------------------------------------------------- */

static void round_row(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    const layer *l = j->current;
    int64_t n = l->cols;
    float *w = dfqi_tensor_f32(l->w) + r * n, *v = j->scratch + thread * n;
    float step = dfqi_tensor_f32(l->site->step)[r];
    for (int64_t i = 0; i < n; i++) v[i] = w[l->order[i]] * (l->col ? l->col[l->order[i]] : 1.0f);
    for (int64_t i = 0; i < n; i++) {
        const double *u = l->u + i * n;
        float q = rintf(v[i] / step);
        q = q < l->site->lo ? l->site->lo : q > l->site->hi ? l->site->hi : q;
        float e = (float)((v[i] - q * step) / u[i]);
        for (int64_t k = i + 1; k < n; k++) v[k] -= e * (float)u[k];
        w[l->order[i]] = q * step / (l->col ? l->col[l->order[i]] : 1.0f);
    }
}

/* -- the layers of a scheme --------------------------------------------------------------------------------- */

static void layers_fini(dfq_context *ctx, layer *layers, int32_t n)
{
    for (int32_t i = 0; layers && i < n; i++) {
        dfqi_free(ctx, layers[i].h);
        dfqi_free(ctx, layers[i].u);
        dfqi_free(ctx, layers[i].order);
    }
    dfqi_free(ctx, layers);
}

static dfq_status layer_init(dfqi_scheme *s, const dfqi_network *net, const dfqi_quant_pass *pass,
                             int32_t site, layer *l)
{
    *l = (layer){.site = &s->sites[site], .input = pass->operand[site]};
    l->w = dfqi_network_find(net, l->site->name);
    if (!l->w) return dfqi_fail(s->ctx, DFQ_E_INTERNAL, "no parameter %s", l->site->name);
    l->rows = l->w->dims[0];
    l->cols = dfqi_tensor_count(l->w) / l->rows;
    if (l->site->input >= 0) l->col = dfqi_tensor_f32(s->sites[l->site->input].step);
    l->h = dfqi_calloc(s->ctx, (size_t)(l->cols * l->cols), sizeof *l->h);
    l->u = dfqi_calloc(s->ctx, (size_t)(l->cols * l->cols), sizeof *l->u);
    l->order = dfqi_calloc(s->ctx, (size_t)l->cols, sizeof *l->order);
    return l->h && l->u && l->order ? DFQ_OK : DFQ_E_NOMEM;
}

static dfq_status collect(job *j, dfqi_exec *e, dfqi_id x, const float *images, int64_t n,
                          int32_t n_layers, const dfqi_stage *stage)
{
    int64_t image = dfqi_value_stride(dfqi_graph_value(j->g, x));
    for (int64_t i = 0; i < n; i += j->g->batch) {
        int64_t first = i + j->g->batch <= n ? i : n - j->g->batch;
        dfqi_exec_bind(e, x, images + first * image);
        DFQI_TRY(dfqi_exec_run(e));
        dfqi_parallel_for(j->s->ctx, n_layers, add_moments, j);
        DFQI_TRY(dfqi_stage_report(stage, (uint64_t)(first + j->g->batch), NAN));
    }
    return DFQ_OK;
}

static dfq_status round_all(job *j, int32_t n_layers, const dfqi_stage *stage, int64_t n)
{
    dfq_context *ctx = j->s->ctx;
    dfqi_parallel_for(ctx, n_layers, factor, j);
    if (j->failed)
        return dfqi_fail(ctx, DFQ_E_NUMERIC,
                         "the second moments of a layer's input cannot be inverted: the calibration "
                         "images drive it to infinity, or memory is out");
    for (int32_t i = 0; i < n_layers; i++) {
        j->current = &j->layers[i];
        dfqi_parallel_for(ctx, j->current->rows, round_row, j);
    }
    return dfqi_stage_report(stage, 2 * (uint64_t)n, NAN);
}

dfq_status dfqi_round_weights(dfqi_scheme *s, const dfqi_network *net, const float *images,
                              int64_t n)
{
    dfq_context *ctx = s->ctx;
    dfqi_graph *g = NULL;
    dfqi_exec *e = NULL;
    dfqi_quant_pass pass = {0};
    dfqi_id x;
    dfq_status status;
    int32_t n_layers = 0;
    int64_t widest = 0;
    job j = {.s = s, .k = dfqi_kernels_get(ctx)};
    dfqi_stage stage = dfqi_stage_begin(ctx, "round", 0, 2 * (uint64_t)n);
    DFQI_GOTO(dfqi_pass_graph(s, net, n < STREAM ? n : STREAM, 1, &pass, &g, &x), out);
    DFQI_GOTO(dfqi_exec_new(g, &e), out);
    status = DFQ_E_NOMEM;
    j.g = g;
    j.e = e;
    j.layers = dfqi_calloc(ctx, (size_t)s->n_sites, sizeof *j.layers);
    if (!j.layers) goto out;
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (s->sites[i].kind != DFQI_SITE_WEIGHT) continue;
        DFQI_GOTO(layer_init(s, net, &pass, i, &j.layers[n_layers++]), out);
        if (j.layers[n_layers - 1].cols > widest) widest = j.layers[n_layers - 1].cols;
    }
    status = DFQ_E_NOMEM;
    j.scratch = dfqi_calloc(ctx, (size_t)(widest * ctx->threads), sizeof *j.scratch);
    if (!j.scratch) goto out;
    DFQI_GOTO(collect(&j, e, x, images, n, n_layers, &stage), out);
    status = round_all(&j, n_layers, &stage, n);
out:
    layers_fini(ctx, j.layers, n_layers);
    dfqi_free(ctx, j.scratch);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_quant_pass_fini(&pass, ctx);
    return status;
}
