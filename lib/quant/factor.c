/* Blocked Cholesky factors (factor.h). All of the work is products of rows with rows
 * (kernels->minus_nt). The factor is computed block of columns by block of columns, each from those
 * to its left, so that the products are long. Systems are solved with the inverses of the blocks on
 * the diagonal. */
#include "quant/factor.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"

enum { B = 64, ROWS = 32 }; /* columns of a block; rows of a body of a parallel loop */

typedef struct job {
    const dfqi_factor *f;
    int64_t at;   /* the block of columns */
    int64_t rows; /* of x */
    double *x;
} job;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

dfq_status dfqi_factor_new(dfq_context *ctx, int64_t n, dfqi_factor *out)
{
    dfqi_factor f = {.ctx = ctx, .k = dfqi_kernels_get(ctx), .n = n};
    f.inverse = dfqi_calloc(ctx, 2 * (size_t)n, B * sizeof *f.inverse);
    f.scratch = dfqi_calloc(ctx, (size_t)ctx->threads, ROWS * B * sizeof *f.scratch);
    if (!f.inverse || !f.scratch) {
        dfqi_factor_fini(&f);
        return DFQ_E_NOMEM;
    }
    *out = f;
    return DFQ_OK;
}

void dfqi_factor_fini(dfqi_factor *f)
{
    if (f->ctx) dfqi_free(f->ctx, f->inverse);
    if (f->ctx) dfqi_free(f->ctx, f->scratch);
    *f = (dfqi_factor){0};
}

/* -- one block --------------------------------------------------------------------------------- */

/* a[m,m] = L L^T in place, lower triangle; false if it is not positive definite. */
static bool small_factor(int64_t m, double *a, int64_t ld)
{
    for (int64_t c = 0; c < m; c++)
        for (int64_t r = c; r < m; r++) {
            double sum = a[r * ld + c];
            for (int64_t k = 0; k < c; k++) sum -= a[r * ld + k] * a[c * ld + k];
            if (r == c && !(sum > 0 && isfinite(sum))) return false;
            a[r * ld + c] = r == c ? sqrt(sum) : sum / a[c * ld + c];
        }
    return true;
}

/* The negative inverse of the lower triangle l[m,m], and its transpose. */
static void small_inverse(int64_t m, const double *l, int64_t ld, double *inv, double *trans)
{
    memset(inv, 0, (size_t)(m * B) * sizeof *inv);
    for (int64_t c = 0; c < m; c++)
        for (int64_t r = c; r < m; r++) {
            double sum = r == c ? -1 : 0;
            for (int64_t k = c; k < r; k++) sum -= l[r * ld + k] * inv[k * B + c];
            inv[r * B + c] = sum / l[r * ld + r];
        }
    for (int64_t r = 0; r < m; r++)
        for (int64_t c = 0; c < m; c++) trans[r * B + c] = inv[c * B + r];
}

/* x[rows,m] = x D^T, given -D. */
static void times(const dfqi_factor *f, int64_t rows, int64_t m, double *x, int64_t ld,
                  const double *minus, int32_t thread)
{
    double *copy = f->scratch + thread * ROWS * B;
    for (int64_t r = 0; r < rows; r++) {
        memcpy(copy + r * B, x + r * ld, (size_t)m * sizeof *x);
        memset(x + r * ld, 0, (size_t)m * sizeof *x);
    }
    f->k->minus_nt(rows, m, m, copy, B, minus, B, x, ld);
}

/* -- factoring --------------------------------------------------------------------------------- */

/* Rows below the block on the diagonal: what is to the left goes off, then L's block divides. */
static void below(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    const dfqi_factor *f = j->f;
    int64_t n = f->n, c = j->at, m = least(B, n - c), r = c + m + i * ROWS;
    int64_t rows = least(ROWS, n - r);
    double *x = f->a + r * n;
    f->k->minus_nt(rows, m, c, x, n, f->a + c * n, n, x + c, n);
    times(f, rows, m, x + c, n, f->inverse + c * B, thread);
    for (int64_t k = 0; k < rows; k++)
        for (int64_t q = 0; q < m; q++) f->a[(c + q) * n + r + k] = x[k * n + c + q];
}

bool dfqi_factor_make(dfqi_factor *f, double *a)
{
    int64_t n = f->n;
    f->a = a;
    for (int64_t c = 0; c < n; c += B) {
        job j = {.f = f, .at = c};
        int64_t m = least(B, n - c);
        double *block = a + c * n + c;
        f->k->minus_nt(m, m, c, a + c * n, n, a + c * n, n, block, n);
        if (!small_factor(m, block, n)) return false;
        for (int64_t r = 0; r < m; r++)
            for (int64_t q = r + 1; q < m; q++) block[r * n + q] = block[q * n + r];
        small_inverse(m, block, n, f->inverse + c * B, f->inverse + (n + c) * B);
        dfqi_parallel_for(f->ctx, (n - c - m + ROWS - 1) / ROWS, below, &j);
    }
    return true;
}

/* -- solving ----------------------------------------------------------------------------------- */

/* x L^T = b, in place, for rows that are 0 before column `first`, the begin of a block. */
static void forward(const dfqi_factor *f, int64_t first, int64_t rows, double *x, int32_t thread)
{
    int64_t n = f->n;
    for (int64_t c = first; c < n; c += B) {
        int64_t m = least(B, n - c);
        f->k->minus_nt(rows, m, c - first, x + first, n, f->a + c * n + first, n, x + c, n);
        times(f, rows, m, x + c, n, f->inverse + c * B, thread);
    }
}

/* x L = b, in place. */
static void backward(const dfqi_factor *f, int64_t rows, double *x, int32_t thread)
{
    int64_t n = f->n;
    for (int64_t c = (n - 1) / B * B; c >= 0; c -= B) {
        int64_t m = least(B, n - c), next = c + m;
        f->k->minus_nt(rows, m, n - next, x + next, n, f->a + c * n + next, n, x + c, n);
        times(f, rows, m, x + c, n, f->inverse + (n + c) * B, thread);
    }
}

static void solve_rows(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    int64_t rows = least(ROWS, j->rows - i * ROWS);
    double *x = j->x + i * ROWS * j->f->n;
    forward(j->f, 0, rows, x, thread);
    backward(j->f, rows, x, thread);
}

void dfqi_factor_solve(const dfqi_factor *f, int64_t rows, double *b)
{
    job j = {.f = f, .rows = rows, .x = b};
    dfqi_parallel_for(f->ctx, (rows + ROWS - 1) / ROWS, solve_rows, &j);
}

/* Rows of the identity. */
static void invert_rows(void *arg, int64_t i, int32_t thread)
{
    const job *j = arg;
    int64_t n = j->f->n, r = i * ROWS, rows = least(ROWS, n - r);
    double *x = j->x + r * n;
    memset(x, 0, (size_t)(rows * n) * sizeof *x);
    for (int64_t k = 0; k < rows; k++) x[k * n + r + k] = 1;
    forward(j->f, r / B * B, rows, x, thread);
}

void dfqi_factor_invert(const dfqi_factor *f, double *out)
{
    job j = {.f = f, .x = out};
    dfqi_parallel_for(f->ctx, (f->n + ROWS - 1) / ROWS, invert_rows, &j);
}
