/* Random orthogonal matrices (METHODS.md, Rotation). Without a Hadamard matrix R = Q1^T Q2, where
 * the rows of Q1 and Q2 are orthonormal, the first one is 1 / sqrt(n) and the others are random:
 * 1 R = (Q1 1)^T Q2 = sqrt(n) e1^T Q2 = 1. */
#include "nn/orthogonal.h"

#include <math.h>
#include <string.h>

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* q[n,n]: rows that are orthonormal, by Gram-Schmidt done twice on normal random numbers; the first
 * row is constant if `ones`. */
static void random_rows(dfqi_rng *rng, int64_t n, int ones, double *q)
{
    for (int64_t r = 0; r < n; r++) {
        double *x = q + r * n;
        for (int64_t i = 0; i < n; i++) x[i] = r == 0 && ones ? 1 : dfqi_rng_normal(rng);
        for (int64_t k = 0; k < 2 * r; k++) {
            const double *done = q + k % r * n;
            double part = dot(x, done, n);
            for (int64_t i = 0; i < n; i++) x[i] -= part * done[i];
        }
        double length = sqrt(dot(x, x, n));
        for (int64_t i = 0; i < n; i++) x[i] /= length;
    }
}

static dfq_status make_dense(dfqi_orthogonal *q, dfqi_rng *rng)
{
    size_t n = (size_t)q->n;
    double *one = NULL, *two = NULL;
    dfq_status status = DFQ_E_NOMEM;
    q->dense = dfqi_calloc(q->ctx, n * n, sizeof *q->dense);
    if (!q->dense) return DFQ_E_NOMEM;
    if (!q->fixes_ones) {
        random_rows(rng, q->n, 0, q->dense);
        return DFQ_OK;
    }
    one = dfqi_calloc(q->ctx, n * n, sizeof *one);
    two = dfqi_calloc(q->ctx, n * n, sizeof *two);
    if (!one || !two) goto out;
    random_rows(rng, q->n, 1, one);
    random_rows(rng, q->n, 1, two);
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < n; r++)
            for (size_t c = 0; c < n; c++) q->dense[r * n + c] += one[k * n + r] * two[k * n + c];
    status = DFQ_OK;
out:
    dfqi_free(q->ctx, one);
    dfqi_free(q->ctx, two);
    return status;
}

static dfq_status make_signs(dfqi_orthogonal *q, dfqi_rng *rng)
{
    uint32_t n = (uint32_t)q->n;
    q->sign = dfqi_calloc(q->ctx, n, sizeof *q->sign);
    if (!q->sign) return DFQ_E_NOMEM;
    for (uint32_t i = 0; i < n; i++) q->sign[i] = dfqi_rng_u32(rng) >> 31 ? -1 : 1;
    if (!q->fixes_ones) return DFQ_OK;
    q->sign[0] = 1;
    q->order = dfqi_calloc(q->ctx, n, sizeof *q->order);
    if (!q->order) return DFQ_E_NOMEM;
    dfqi_rng_permute(rng, q->order + 1, n - 1);
    for (uint32_t i = 1; i < n; i++) q->order[i]++;
    return DFQ_OK;
}

static dfq_status make(dfq_context *ctx, int64_t n, dfqi_rng *rng, int fixes_ones,
                       dfqi_orthogonal *out)
{
    dfqi_orthogonal q = {.ctx = ctx, .n = n, .fixes_ones = fixes_ones};
    DFQI_TRY(dfqi_hadamard_init(ctx, n, &q.h));
    dfq_status status = q.h.n ? make_signs(&q, rng) : make_dense(&q, rng);
    if (status == DFQ_OK)
        *out = q;
    else
        dfqi_orthogonal_fini(&q);
    return status;
}

dfq_status dfqi_orthogonal_stream(dfq_context *ctx, int64_t n, dfqi_rng *rng, dfqi_orthogonal *out)
{
    return make(ctx, n, rng, 1, out);
}

dfq_status dfqi_orthogonal_head(dfq_context *ctx, int64_t n, dfqi_rng *rng, dfqi_orthogonal *out)
{
    return make(ctx, n, rng, 0, out);
}

void dfqi_orthogonal_fini(dfqi_orthogonal *q)
{
    if (!q->ctx) return;
    dfqi_hadamard_fini(q->ctx, &q->h);
    dfqi_free(q->ctx, q->order);
    dfqi_free(q->ctx, q->sign);
    dfqi_free(q->ctx, q->dense);
    *q = (dfqi_orthogonal){0};
}

void dfqi_orthogonal_apply(const dfqi_orthogonal *q, double *x, double *scratch)
{
    int64_t n = q->n;
    if (q->dense) {
        memset(scratch, 0, (size_t)n * sizeof *scratch);
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = 0; c < n; c++) scratch[c] += x[r] * q->dense[r * n + c];
        memcpy(x, scratch, (size_t)n * sizeof *x);
        return;
    }
    if (q->fixes_ones) {
        dfqi_hadamard_apply(&q->h, 1, x, scratch);
        memcpy(scratch, x, (size_t)n * sizeof *x);
        for (int64_t i = 0; i < n; i++) x[i] = q->sign[i] * scratch[q->order[i]];
    } else {
        for (int64_t i = 0; i < n; i++) x[i] *= q->sign[i];
    }
    dfqi_hadamard_apply(&q->h, 0, x, scratch);
    double factor = q->fixes_ones ? 1.0 / (double)n : 1.0 / sqrt((double)n);
    for (int64_t i = 0; i < n; i++) x[i] *= factor;
}
