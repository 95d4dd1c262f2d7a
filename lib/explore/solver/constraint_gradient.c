/* Solves the quadratic programme of the constraint gradient (docs/METHODS.md, Constraint gradient):
 *
 *   m = sum_j lam_j rows[j],  lam >= 0 the solution of the dual of
 *   min 1/2 m.Pm  subject to  G P (g + m) >= delta,  G with the rows[j]
 *
 * There are few constraints, so every active set is tried; the one that meets the optimality (KKT)
 * conditions is the solution. */
#include "explore/solver/constraint_gradient_priv.h"

#include <math.h>
#include <string.h>

enum { K = DFQI_ROWS_MAX };

static const double row_min = 1e-12; /* squared norm below which a gradient counts as 0 */
static const double delta_max = 1e12;

static double dot(const dfqi_constraint_gradient *q, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < q->n; i++)
        sum += a[i] * b[i] * (q->precondition ? q->precondition[i] : 1);
    return sum;
}

static double norm2(int64_t n, const double *a)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * a[i];
    return sum;
}

/* The dual: 1/2 lam.M lam - lam.b with M = G P G^T and b = delta - G P g. */
typedef struct dual {
    int32_t n;
    const double *rows[K];
    double matrix[K][K], b[K];
} dual;

static void make_dual(const dfqi_constraint_gradient *q, dual *d)
{
    d->n = 0;
    for (int32_t j = 0; j < q->n_rows; j++) {
        double along = dot(q, q->g, q->rows[j]);
        if (norm2(q->n, q->rows[j]) < row_min || (!q->strict && along >= 0)) continue;
        d->rows[d->n] = q->rows[j];
        d->b[d->n++] = q->delta[j] - along;
    }
    for (int32_t i = 0; i < d->n; i++)
        for (int32_t j = 0; j <= i; j++)
            d->matrix[i][j] = d->matrix[j][i] = dot(q, d->rows[i], d->rows[j]);
}

/* Solves the rows and columns in `set` by elimination with pivots on the diagonal (the matrix is
 * positive semidefinite). False where it is singular. */
static bool solve(const dual *d, uint32_t set, double lam[K])
{
    double a[K][K + 1], trace = 0;
    int32_t at[K], n = 0;
    memset(lam, 0, K * sizeof *lam);
    for (int32_t i = 0; i < d->n; i++)
        if (set >> i & 1) at[n++] = i;
    for (int32_t i = 0; i < n; i++) trace += d->matrix[at[i]][at[i]];
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j < n; j++) a[i][j] = d->matrix[at[i]][at[j]];
        if (n > 1) a[i][i] += 1e-12 * trace; /* alone it is exact */
        a[i][n] = d->b[at[i]];
    }
    for (int32_t i = 0; i < n; i++) {
        if (!(a[i][i] > 1e-10 * d->matrix[at[i]][at[i]])) return false;
        for (int32_t r = i + 1; r < n; r++) {
            double f = a[r][i] / a[i][i];
            for (int32_t c = i; c <= n; c++) a[r][c] -= f * a[i][c];
        }
    }
    for (int32_t i = n - 1; i >= 0; i--) {
        double sum = a[i][n];
        for (int32_t c = i + 1; c < n; c++) sum -= a[i][c] * lam[at[c]];
        lam[at[i]] = sum / a[i][i];
    }
    return true;
}

/* The KKT conditions: lam >= 0, and every constraint falls by its delta. */
static bool is_optimal(const dual *d, const double lam[K])
{
    for (int32_t i = 0; i < d->n; i++) {
        double got = 0, scale = fabs(d->b[i]);
        if (!(lam[i] >= 0)) return false;
        for (int32_t j = 0; j < d->n; j++) {
            got += d->matrix[i][j] * lam[j];
            scale += fabs(d->matrix[i][j] * lam[j]);
        }
        if (!(got >= d->b[i] - 1e-9 * scale)) return false;
    }
    return true;
}

/* All of them as one constraint; false where their gradients cancel. */
static bool solve_sum(const dual *d, double lam[K])
{
    double matrix = 0, b = 0;
    for (int32_t i = 0; i < d->n; i++) {
        b += d->b[i];
        for (int32_t j = 0; j < d->n; j++) matrix += d->matrix[i][j];
    }
    if (!(matrix > row_min) || !(b > 0)) return false;
    for (int32_t i = 0; i < d->n; i++) lam[i] = b / matrix;
    return true;
}

static void clip(const dfqi_constraint_gradient *q, double *m)
{
    double most = 10 * sqrt(norm2(q->n, q->g)) + 1e-3, length = sqrt(norm2(q->n, m));
    if (length <= most) return;
    for (int64_t i = 0; i < q->n; i++) m[i] *= most / length;
}

void dfqi_constraint_gradient_solve(const dfqi_constraint_gradient *q, double *m)
{
    dual d;
    double lam[K] = {0};
    bool found = false;
    make_dual(q, &d);
    for (uint32_t set = 0; set < 1u << d.n && !found; set++)
        found = solve(&d, set, lam) && is_optimal(&d, lam);
    if (!found) found = solve_sum(&d, lam);
    memset(m, 0, (size_t)q->n * sizeof *m);
    if (!found) return;
    for (int32_t j = 0; j < d.n; j++)
        for (int64_t i = 0; lam[j] != 0 && i < q->n; i++) m[i] += lam[j] * d.rows[j][i];
    clip(q, m);
}

double dfqi_constraint_gradient_delta(double delta, double first, double p, bool violated)
{
    return violated ? fmin(delta * (1 + p), delta_max) : first;
}
