/* Hadamard matrices. Paley's of order m = q + 1 is I + S with S_0j = 1, S_i0 = -1 and
 * S_ij = chi(j - i mod q), where chi is 1 for quadratic residues, -1 for the others and 0 for 0.
 * S is skew, so (I + S)(I + S)^T = I - S^2 = m I. Its rows 1 .. q are negated here, which makes the
 * first column all +1. */
#include "nn/hadamard.h"

#include <string.h>

static bool is_prime(int64_t v)
{
    for (int64_t d = 2; d * d <= v; d++)
        if (v % d == 0) return false;
    return v > 1;
}

/* The smallest m for order n; 0: none. */
static int64_t base_of(int64_t n)
{
    int64_t m = n;
    while (m % 2 == 0) m /= 2;
    for (; m <= n; m *= 2)
        if (m == 1 || (m % 4 == 0 && is_prime(m - 1))) return m;
    return 0;
}

dfq_status dfqi_hadamard_init(dfq_context *ctx, int64_t n, dfqi_hadamard *out)
{
    dfqi_hadamard h = {.base = base_of(n)};
    if (h.base > 0) h.n = n;
    if (h.base > 1) {
        int64_t q = h.base - 1;
        h.residue = dfqi_alloc(ctx, (size_t)q);
        if (!h.residue) return DFQ_E_NOMEM;
        memset(h.residue, -1, (size_t)q);
        h.residue[0] = 0;
        for (int64_t i = 1; i < q; i++) h.residue[i * i % q] = 1;
    }
    *out = h;
    return DFQ_OK;
}

void dfqi_hadamard_fini(dfq_context *ctx, dfqi_hadamard *h)
{
    dfqi_free(ctx, h->residue);
    *h = (dfqi_hadamard){0};
}

/* x[n] <- x S with Sylvester's matrix of order n = 2^k. */
static void sylvester(double *x, int64_t n)
{
    for (int64_t half = 1; half < n; half *= 2)
        for (int64_t i = 0; i < n; i += 2 * half)
            for (int64_t j = i; j < i + half; j++) {
                double a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
}

/* Entry (i, j) of the matrix of order m. */
static double entry(const dfqi_hadamard *h, int64_t i, int64_t j)
{
    int64_t q = h->base - 1;
    if (i == 0 || j == 0) return 1;
    return i == j ? -1 : -h->residue[(j - i + q) % q];
}

void dfqi_hadamard_apply(const dfqi_hadamard *h, int transposed, double *x, double *scratch)
{
    int64_t m = h->base, inner = h->n / m;
    for (int64_t a = 0; a < m; a++) sylvester(x + a * inner, inner);
    if (m == 1) return;
    memset(scratch, 0, (size_t)h->n * sizeof *scratch);
    for (int64_t to = 0; to < m; to++)
        for (int64_t from = 0; from < m; from++) {
            double sign = transposed ? entry(h, to, from) : entry(h, from, to);
            const double *v = x + from * inner;
            double *y = scratch + to * inner;
            for (int64_t b = 0; b < inner; b++) y[b] += sign * v[b];
        }
    memcpy(x, scratch, (size_t)h->n * sizeof *x);
}
