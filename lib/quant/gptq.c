/* Second-order rounding of a layer: optimal brain quantization in the column order of GPTQ (Frantar
 * et al., ICLR 2023). Columns are rounded one after the other, those with the largest inputs first.
 * The error of each is compensated in the columns that are still float, by the second moments H of
 * the inputs.
 *
 * GPTQ's update needs the rows of the upper factor U of the inverse, H^-1 = U^T U in the order of
 * rounding. With the order reversed, J H J = L L^T, and U = J L^-1 J: one factor and the inverse of
 * one triangle. Columns are done in blocks of 64: within a block one by one, behind it by a product
 * of matrices for all 64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/factor.h"
#include "quant/rounding_priv.h"

enum { BLOCK = 64, BODY = 32 }; /* columns; rows of a body of a parallel loop */

typedef struct column {
    double power;
    int32_t at;
} column;

typedef struct job {
    dfqi_round_layer *l;
    const dfqi_kernels *k;
    int64_t n, first, rows; /* rows of the weight, of the running system */
    const dfqi_input_moments *m;
    column *order; /* [n] */
    dfqi_factor factor;
    double *h;       /* [n,n] H in the reverse order, and its factor */
    double *inverse; /* [n,n] of the factor, transposed */
    float *u;        /* [n,n] */
    float *scratch;  /* [threads][BODY][n + BLOCK] */
} job;

/* Largest first; of equal ones the first. */
static int by_power(const void *a, const void *b)
{
    const column *x = a, *y = b;
    if (x->power != y->power) return x->power > y->power ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static double moment(const job *j, int64_t r, int64_t c)
{
    double h = j->m->self[r * j->n + c];
    return j->l->col ? h / ((double)j->l->col[r] * (double)j->l->col[c]) : h;
}

/* Row r of H in the order of rounding lies n - 1 - r rows from the top. */
static void fill_row(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    int64_t n = j->n;
    (void)thread;
    for (int64_t c = 0; c < n; c++)
        j->h[r * n + c] = moment(j, j->order[n - 1 - r].at, j->order[n - 1 - c].at);
}

static void fill_u(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    int64_t n = j->n;
    (void)thread;
    for (int64_t c = 0; c < n; c++)
        j->u[r * n + c] = (float)j->inverse[(n - 1 - c) * n + n - 1 - r];
}

/* False if H cannot be factored. Inputs that are always 0 leave H without an inverse: the damping
 * gives them one, 1 where all inputs are 0. */
static bool make_u(job *j, double damping)
{
    int64_t n = j->n;
    double mean = 0;
    for (int64_t c = 0; c < n; c++) {
        j->order[c] = (column){moment(j, c, c), (int32_t)c};
        mean += j->order[c].power / (double)n;
    }
    qsort(j->order, (size_t)n, sizeof *j->order, by_power);
    dfqi_parallel_for(j->l->ctx, n, fill_row, j);
    for (int64_t c = 0; c < n; c++) j->h[c * (n + 1)] += mean > 0 ? damping * mean : 1;
    if (!dfqi_factor_make(&j->factor, j->h)) return false;
    dfqi_factor_invert(&j->factor, j->inverse);
    dfqi_parallel_for(j->l->ctx, n, fill_u, j);
    return true;
}

/* -- rounding ---------------------------------------------------------------------------------- */

/* Columns first .. end - 1 of row r, v[n] of it in the order of rounding; minus[end - first] gets
 * the errors, negative and in units of the diagonal of U. */
static void round_block(job *j, int64_t r, int64_t first, int64_t end, float *v, float *minus)
{
    int64_t n = j->n;
    for (int64_t i = first; i < end; i++) {
        const float *u = j->u + i * n;
        int32_t c = j->order[i].at;
        float y = dfqi_round_at(j->l, r, c, v[i]);
        float e = (y - v[i]) / u[i];
        for (int64_t k = i + 1; k < end; k++) v[k] += e * u[k];
        minus[i - first] = e;
        j->l->w[r * n + c] = j->l->col ? y / j->l->col[c] : y;
    }
}

static void round_rows(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    const dfqi_round_layer *l = j->l;
    int64_t n = j->n, first = j->first + i * BODY, left = j->first + j->rows - first;
    int64_t rows = left < BODY ? left : BODY;
    float *v = j->scratch + thread * BODY * (n + BLOCK), *minus = v + BODY * n;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < n; k++) {
            int32_t c = j->order[k].at;
            v[r * n + k] = l->w[(first + r) * n + c] * (l->col ? l->col[c] : 1.0f);
        }
    for (int64_t c = 0; c < n; c += BLOCK) {
        int64_t end = n - c < BLOCK ? n : c + BLOCK;
        for (int64_t r = 0; r < rows; r++)
            round_block(j, first + r, c, end, v + r * n, minus + r * BLOCK);
        if (end < n)
            j->k->gemm(0, rows, n - end, end - c, minus, BLOCK, j->u + c * n + end, n, 1, v + end,
                       n);
    }
}

/* -- one layer --------------------------------------------------------------------------------- */

static dfq_status job_init(job *j, dfqi_round_layer *l)
{
    size_t n = (size_t)l->n;
    *j = (job){.l = l, .k = dfqi_kernels_get(l->ctx), .n = l->n};
    DFQI_TRY(dfqi_factor_new(l->ctx, l->n, &j->factor));
    j->order = dfqi_calloc(l->ctx, n, sizeof *j->order);
    j->h = dfqi_calloc(l->ctx, 2 * n * n, sizeof *j->h);
    j->u = dfqi_calloc(l->ctx, n * n, sizeof *j->u);
    j->scratch = dfqi_calloc(l->ctx, (size_t)l->ctx->threads * BODY * (n + BLOCK), sizeof(float));
    if (!j->order || !j->h || !j->u || !j->scratch) return DFQ_E_NOMEM;
    j->inverse = j->h + n * n;
    return DFQ_OK;
}

static void job_fini(job *j)
{
    dfq_context *ctx = j->l->ctx;
    dfqi_factor_fini(&j->factor);
    dfqi_free(ctx, j->order);
    dfqi_free(ctx, j->h);
    dfqi_free(ctx, j->u);
    dfqi_free(ctx, j->scratch);
}

dfq_status dfqi_gptq(dfqi_round_layer *l, double damping)
{
    job j;
    dfq_status status;
    DFQI_GOTO(job_init(&j, l), out);
    for (int64_t i = 0; i < l->systems; i++) {
        j.m = &l->moments[i];
        j.rows = dfqi_round_rows(l);
        j.first = i * j.rows;
        if (!make_u(&j, damping)) {
            status = dfqi_round_singular(l);
            goto out;
        }
        dfqi_parallel_for(l->ctx, (j.rows + BODY - 1) / BODY, round_rows, &j);
    }
out:
    job_fini(&j);
    return status;
}

/* -- what rounding goes without, and with ------------------------------------------------------ */

static void nearest_row(void *arg, int64_t r, int32_t thread)
{
    dfqi_round_layer *l = arg;
    float *w = l->w + r * l->n;
    (void)thread;
    for (int64_t c = 0; c < l->n; c++) {
        float s = l->col ? l->col[c] : 1.0f;
        w[c] = dfqi_round_at(l, r, c, w[c] * s) / s;
    }
}

void dfqi_round_nearest(dfqi_round_layer *l)
{
    dfqi_parallel_for(l->ctx, l->rows, nearest_row, l);
}

/* b + mean over rows of (Y - X~ W^T - b), with Y = X W_t^T + b_t. */
void dfqi_round_bias(dfqi_round_layer *l)
{
    for (int64_t r = 0; l->bias && r < l->rows; r++) {
        const dfqi_input_moments *m = dfqi_round_moments(l, r);
        const float *t = l->teacher + r * l->n, *w = l->w + r * l->n;
        double sum = 0;
        for (int64_t c = 0; c < l->n; c++)
            sum += (double)t[c] * m->teacher[c] - (double)w[c] * m->student[c];
        double bias = l->teacher_bias ? (double)l->teacher_bias[r] : 0;
        l->bias[r] = (float)(bias + sum / m->rows);
    }
}
