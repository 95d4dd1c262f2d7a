/* Ridge correction (ERQ, Zhong et al., ICML 2024): before its weights are rounded, a layer undoes
 * by least squares what its inputs lost to quantization. With E = X W^T - X~ W^T, the error that
 * the inputs x~ cause, each output row of the correction D solves
 *
 *   min |E - X~ D^T - d|^2 + lambda |D|^2,      lambda = c mean(diag(X~^T X~)),
 *
 * so D^T = (G + lambda)^-1 (C - G) W^T with G = X~^T X~ and C = X~^T X, both without the means of
 * their columns, and the bias moves by the mean of what is left: that is the solution in which the
 * bias is not penalised. Where the bias stays as it is, the means are left in. Outputs are needed
 * nowhere. Where there are fewer rows than inputs, or
 * inputs that never change, G is singular, and the penalty makes the system solvable.
 *
 * If the input has column factors s, V = W diag(s) is rounded, with inputs x~ / s; the penalty acts
 * on V, on whose size the rounding error depends. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "quant/factor.h"
#include "quant/rounding_priv.h"

enum { BODY = 16 };

typedef struct job {
    dfqi_round_layer *l;
    const dfqi_kernels *k;
    int64_t n, first, rows; /* rows of the weight, of the running system */
    const dfqi_input_moments *m;
    dfqi_factor factor;
    double *a; /* [n,n] C - G, then G + lambda */
    double *w; /* [rows,n] weights */
    double *d; /* [rows,n] -(C - G) W^T, then minus the correction, of V */
} job;

static double factor_of(const job *j, int64_t c)
{
    return j->l->col ? (double)j->l->col[c] : 1.0;
}

/* Row r of C - G, of the inputs x~ / s. */
static void fill_difference(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    const dfqi_input_moments *m = j->m;
    double mean = j->l->bias ? m->student[r] / m->rows : 0;
    (void)thread;
    for (int64_t c = 0; c < j->n; c++)
        j->a[r * j->n + c] = (m->cross[r * j->n + c] - m->self[r * j->n + c] -
                              mean * (m->teacher[c] - m->student[c])) /
                             factor_of(j, r);
}

static void multiply(void *arg, int64_t i, int32_t thread)
{
    job *j = arg;
    int64_t n = j->n, r = i * BODY, rows = j->rows - r < BODY ? j->rows - r : BODY;
    (void)thread;
    for (int64_t k = r * n; k < (r + rows) * n; k++) {
        j->w[k] = (double)j->l->w[j->first * n + k];
        j->d[k] = 0;
    }
    j->k->minus_nt(rows, n, n, j->w + r * n, n, j->a, n, j->d + r * n, n);
}

static void fill_matrix(void *arg, int64_t r, int32_t thread)
{
    job *j = arg;
    const dfqi_input_moments *m = j->m;
    double mean = j->l->bias ? m->student[r] / m->rows : 0;
    (void)thread;
    for (int64_t c = 0; c < j->n; c++)
        j->a[r * j->n + c] =
            (m->self[r * j->n + c] - mean * m->student[c]) / (factor_of(j, r) * factor_of(j, c));
}

/* d = minus the correction; false if the matrix cannot be factored. */
static bool solve(job *j, double penalty)
{
    int64_t n = j->n;
    double mean = 0;
    dfqi_parallel_for(j->l->ctx, n, fill_difference, j);
    dfqi_parallel_for(j->l->ctx, (j->rows + BODY - 1) / BODY, multiply, j);
    dfqi_parallel_for(j->l->ctx, n, fill_matrix, j);
    for (int64_t i = 0; i < n; i++)
        mean += j->m->self[i * (n + 1)] / (factor_of(j, i) * factor_of(j, i)) / (double)n;
    for (int64_t i = 0; i < n; i++) j->a[i * (n + 1)] += mean > 0 ? penalty * mean : 1;
    if (!dfqi_factor_make(&j->factor, j->a)) return false;
    dfqi_factor_solve(&j->factor, j->rows, j->d);
    return true;
}

/* The bias moves by the mean of what the correction leaves. */
static void correct_row(void *arg, int64_t r, int32_t thread)
{
    const job *j = arg;
    const dfqi_input_moments *m = j->m;
    const double *d = j->d + r * j->n, *w = j->w + r * j->n;
    float *to = j->l->w + (j->first + r) * j->n;
    double left = 0;
    (void)thread;
    for (int64_t c = 0; c < j->n; c++) {
        double minus = d[c] / factor_of(j, c);
        left += (m->teacher[c] - m->student[c]) * w[c] + m->student[c] * minus;
        to[c] = (float)(w[c] - minus);
    }
    if (j->l->bias) j->l->bias[j->first + r] += (float)(left / m->rows);
}

static dfq_status job_init(job *j, dfqi_round_layer *l)
{
    size_t n = (size_t)l->n;
    *j = (job){.l = l, .k = dfqi_kernels_get(l->ctx), .n = l->n};
    j->rows = dfqi_round_rows(l);
    DFQI_TRY(dfqi_factor_new(l->ctx, l->n, &j->factor));
    j->a = dfqi_calloc(l->ctx, n * n, sizeof *j->a);
    j->w = dfqi_calloc(l->ctx, 2 * (size_t)j->rows * n, sizeof *j->w);
    if (!j->a || !j->w) return DFQ_E_NOMEM;
    j->d = j->w + j->rows * l->n;
    return DFQ_OK;
}

dfq_status dfqi_ridge(dfqi_round_layer *l, double penalty)
{
    job j;
    dfq_status status;
    DFQI_GOTO(job_init(&j, l), out);
    for (int64_t i = 0; i < l->systems; i++) {
        j.m = &l->moments[i];
        j.first = i * j.rows;
        if (!solve(&j, penalty)) {
            status = dfqi_round_singular(l);
            goto out;
        }
        dfqi_parallel_for(l->ctx, j.rows, correct_row, &j);
    }
out:
    dfqi_factor_fini(&j.factor);
    dfqi_free(l->ctx, j.a);
    dfqi_free(l->ctx, j.w);
    return status;
}
