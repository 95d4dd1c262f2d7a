/* Second-order rounding of weights: optimal brain quantization in the column order of GPTQ (Frantar
 * et al., ICLR 2023). Columns are rounded one after the other. The error of each is compensated in
 * the columns that are still float, by the second moments of the inputs.
 *
 * Layers are rounded in network order. The input x^ of a layer is the student's: the layers before
 * it are rounded, and its own quantizer is applied. So H = E[x^ x^T]. Afterwards the bias takes up
 * the mean difference to the teacher's output, so that mean errors do not accumulate over layers.
 * (Replacing W by the least-squares solution for x^ before rounding was worse: noise in the
 * regressors shrinks the weights, and W4A4 fell from 45 % to 9 %.)
 *
 * If the input of a weight W[O,K] has column factors s, V = W diag(s) is rounded, with input
 * x / s. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"
#include "graph/exec.h"
#include "quant/scheme_priv.h"
#include "quant/second_moments.h"

enum { STREAM = 4 };
static const double damping = 0.01; /* of the mean diagonal, so that H can be inverted */

/* One side, teacher or student: its graph up to the input of one layer. */
typedef struct side {
    dfqi_quant_pass pass;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x;
} side;

typedef struct layer {
    const dfqi_site *site;
    const float *teacher; /* [O,K] */
    float *w;             /* [O,K] the student's */
    float *bias;          /* [O] the student's, or NULL */
    const float *col;     /* column factors or NULL */
    int64_t rows, cols;
    float *h;                    /* [K,K] sum of x^ x^T */
    dfqi_second_moments moments; /* adds them up in h */
    double *mean, *mean_q;       /* [K] sums of x and x^ */
    double *u;                   /* [K,K] upper factor of the inverse of H, in rounding order */
    double *work;                /* [K,K] */
    int32_t *order;              /* [K] columns, largest H first */
    double tokens;
} layer;

typedef struct job {
    dfqi_scheme *s;
    const dfqi_kernels *k;
    side teacher, student;
    layer l;
    float *scratch; /* [threads][K] */
} job;

/* -- moments ----------------------------------------------------------------------------------- */

static void add_sums(const float *x, int64_t rows, int64_t cols, double *sum)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) sum[c] += x[r * cols + c];
}

/* The three sums, each a body of a parallel loop. */
static void add_moments(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    layer *l = &j->l;
    int32_t site = (int32_t)(l->site - j->s->sites);
    const dfqi_value *v = dfqi_graph_value(j->teacher.g, j->teacher.pass.operand[site]);
    int64_t rows = dfqi_value_count(v) / l->cols;
    const float *x = dfqi_exec_data(j->teacher.e, j->teacher.pass.operand[site]);
    const float *q = dfqi_exec_data(j->student.e, j->student.pass.operand[site]);
    (void)thread;
    if (i == 0) dfqi_second_moments_add(j->k, &l->moments, q, rows);
    if (i == 1) add_sums(x, rows, l->cols, l->mean);
    if (i == 2) add_sums(q, rows, l->cols, l->mean_q);
    if (i == 2) l->tokens += (double)rows;
}

/* -- factoring --------------------------------------------------------------------------------- */

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

/* u: the upper factor of the inverse of the damped H in the order of rounding, H^-1 = U^T U. False
 * if H cannot be factored. */
static bool factor(layer *l)
{
    int64_t n = l->cols;
    double mean = 0;
    for (int64_t r = 0; l->col && r < n; r++)
        for (int64_t c = 0; c < n; c++) l->h[r * n + c] /= l->col[r] * l->col[c];
    for (int64_t c = 0; c < n; c++) mean += l->h[c * (n + 1)] / (double)n;
    sort_columns(l);
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < n; c++) l->work[r * n + c] = l->h[l->order[r] * n + l->order[c]];
    for (int64_t c = 0; c < n; c++) l->work[c * (n + 1)] += damping * mean + 1e-12;
    if (!cholesky(l->work, n)) return false;
    invert_from_cholesky(l->work, l->u, n);
    memcpy(l->work, l->u, (size_t)(n * n) * sizeof *l->work);
    if (!cholesky(l->work, n)) return false;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = r; c < n; c++) l->u[r * n + c] = l->work[c * n + r];
    return true;
}

/* -- rounding ---------------------------------------------------------------------------------- */

static void round_row(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    const layer *l = &j->l;
    int64_t n = l->cols;
    const float *t = l->teacher + r * n;
    float *w = l->w + r * n, *v = j->scratch + thread * n;
    float scale = dfqi_tensor_f32(l->site->scale)[r];
    for (int64_t i = 0; i < n; i++) v[i] = t[l->order[i]] * (l->col ? l->col[l->order[i]] : 1.0f);
    for (int64_t i = 0; i < n; i++) {
        const double *u = l->u + i * n;
        float q = rintf(v[i] / scale);
        q = q < l->site->qmin ? l->site->qmin : q > l->site->qmax ? l->site->qmax : q;
        float e = (float)((v[i] - q * scale) / u[i]);
        for (int64_t k = i + 1; k < n; k++) v[k] -= e * (float)u[k];
        w[l->order[i]] = q * scale / (l->col ? l->col[l->order[i]] : 1.0f);
    }
    if (!l->bias) return;
    double left = 0;
    for (int64_t i = 0; i < n; i++) left += t[i] * l->mean[i] - w[i] * l->mean_q[i];
    l->bias[r] += (float)(left / l->tokens);
}

/* -- one layer --------------------------------------------------------------------------------- */

static void layer_fini(dfq_context *ctx, layer *l)
{
    dfqi_free(ctx, l->h);
    dfqi_free(ctx, l->mean);
    dfqi_free(ctx, l->u);
    dfqi_free(ctx, l->order);
    *l = (layer){0};
}

static dfq_status layer_init(job *j, const dfqi_network *teacher, const dfqi_network *student,
                             const dfqi_site *site)
{
    dfq_context *ctx = j->s->ctx;
    layer *l = &j->l;
    char name[96];
    const dfq_tensor *t = dfqi_network_find(teacher, site->name);
    const dfq_tensor *w = dfqi_network_find(student, site->name);
    if (!t || !w) return dfqi_fail(ctx, DFQ_E_INTERNAL, "no parameter %s", site->name);
    *l = (layer){.site = site, .teacher = dfqi_tensor_f32(t), .w = dfqi_tensor_f32(w)};
    l->rows = w->dims[0];
    l->cols = dfqi_tensor_count(w) / l->rows;
    size_t stem = strlen(site->name) - strlen("weight");
    memcpy(name, site->name, stem);
    memcpy(name + stem, "bias", sizeof "bias");
    const dfq_tensor *bias = dfqi_network_find(student, name);
    l->bias = bias ? dfqi_tensor_f32(bias) : NULL;
    if (site->input >= 0) l->col = dfqi_tensor_f32(j->s->sites[site->input].scale);
    size_t n = (size_t)l->cols;
    l->h = dfqi_calloc(ctx, n * n, sizeof *l->h);
    l->mean = dfqi_calloc(ctx, 2 * n, sizeof *l->mean);
    l->u = dfqi_calloc(ctx, 2 * n * n, sizeof *l->u);
    l->order = dfqi_calloc(ctx, n, sizeof *l->order);
    if (!l->h || !l->mean || !l->u || !l->order) return DFQ_E_NOMEM;
    l->mean_q = l->mean + n;
    l->work = l->u + n * n;
    /* the factors are computed after the moments */
    l->moments = (dfqi_second_moments){.cols = l->cols, .sum = l->h, .total = l->work};
    return DFQ_OK;
}

static dfq_status collect(job *j, const dfqi_images *images)
{
    int64_t batch = j->teacher.g->batch, n = images->n;
    const float *x;
    for (int64_t i = 0; i < n; i += batch) {
        /* the last batch starts earlier so that it is full: some images count twice */
        DFQI_TRY(dfqi_images_at(images, i + batch <= n ? i : n - batch, batch, &x));
        dfqi_exec_bind(j->teacher.e, j->teacher.x, x);
        dfqi_exec_bind(j->student.e, j->student.x, x);
        DFQI_TRY(dfqi_exec_run(j->teacher.e));
        DFQI_TRY(dfqi_exec_run(j->student.e));
        dfqi_parallel_for(j->s->ctx, 3, add_moments, j);
    }
    dfqi_second_moments_end(&j->l.moments);
    return DFQ_OK;
}

static void side_fini(dfq_context *ctx, side *s)
{
    dfqi_exec_free(s->e);
    dfqi_graph_free(s->g);
    dfqi_quant_pass_fini(&s->pass, ctx);
    *s = (side){0};
}

static dfq_status side_init(const dfqi_scheme *s, const dfqi_network *net, int64_t batch, int dry,
                            int32_t site, side *out)
{
    DFQI_TRY(dfqi_pass_graph(s, net, batch, dry, site, &out->pass, &out->g, &out->x));
    return dfqi_exec_new(out->g, &out->e);
}

static dfq_status round_layer(job *j, const dfqi_network *teacher, const dfqi_network *student,
                              int32_t site, const dfqi_images *images)
{
    dfq_status status;
    int64_t batch = images->n < STREAM ? images->n : STREAM;
    DFQI_GOTO(side_init(j->s, teacher, batch, 1, site, &j->teacher), out);
    DFQI_GOTO(side_init(j->s, student, batch, 0, site, &j->student), out);
    DFQI_GOTO(layer_init(j, teacher, student, &j->s->sites[site]), out);
    DFQI_GOTO(collect(j, images), out);
    if (!factor(&j->l)) {
        status =
            dfqi_fail(j->s->ctx, DFQ_E_NUMERIC,
                      "%s: the second moments of its input cannot be inverted; the calibration "
                      "images drive it to infinity",
                      j->s->sites[site].name);
        goto out;
    }
    dfqi_parallel_for(j->s->ctx, j->l.rows, round_row, j);
out:
    layer_fini(j->s->ctx, &j->l);
    side_fini(j->s->ctx, &j->teacher);
    side_fini(j->s->ctx, &j->student);
    return status;
}

/* Above 6 bits the nearest code is good enough, and fitting the synthetic inputs does more harm. */
static bool is_rounded(const dfqi_site *site)
{
    return site->kind == DFQI_SITE_WEIGHT && site->bits <= 6;
}

/* -- all of them ------------------------------------------------------------------------------- */

dfq_status dfqi_round_weights(dfqi_scheme *s, const dfqi_network *teacher, dfqi_network *student,
                              const dfqi_images *images)
{
    dfq_context *ctx = s->ctx;
    dfq_status status = DFQ_E_NOMEM;
    int64_t widest = 0, layers = 0, done = 0;
    job j = {.s = s, .k = dfqi_kernels_get(ctx)};
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (!is_rounded(&s->sites[i])) continue;
        const dfq_tensor *w = dfqi_network_find(student, s->sites[i].name);
        int64_t cols = w ? dfqi_tensor_count(w) / w->dims[0] : 0;
        widest = cols > widest ? cols : widest;
        layers++;
    }
    if (layers == 0) return DFQ_OK;
    dfqi_stage stage = dfqi_stage_begin(ctx, "round", 0, (uint64_t)layers);
    j.scratch = dfqi_calloc(ctx, (size_t)(widest * ctx->threads), sizeof *j.scratch);
    if (!j.scratch) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (!is_rounded(&s->sites[i])) continue;
        DFQI_GOTO(round_layer(&j, teacher, student, i, images), out);
        DFQI_GOTO(dfqi_stage_report(&stage, (uint64_t)++done, NAN), out);
    }
    status = DFQ_OK;
out:
    dfqi_free(ctx, j.scratch);
    return status;
}
