/* The projection of project_priv.h. Its dual has one unknown for each limit:
 *
 *   maximise D(lam) = - sum_g log sum_k exp(z[g,k] - lam.c[g,k]) - lam.room   over 0 <= lam <= 1e6
 *
 * D is concave with gradient d_j = sum p c_j - room_j and Hessian - sum_g Cov_p(c_i, c_j). Newton
 * steps solve it, over the limits that are active: lam_j > 0 or d_j > 0. */
#include "explore/solver/project_priv.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { K = DFQ_METRICS_MAX, ROUNDS = 50 };

static const double most_price = 1e6, exact = 1e-9, least_size = 1e-6;
static const double noise = 1e-13; /* of D: rounding, below which no step is refused */

/* p at prices lam; the return value is D. */
static double mix(const dfqi_projection *q, const double *lam, double *p)
{
    double dual = 0;
    for (int32_t j = 0; j < q->n_limits; j++) dual -= lam[j] * q->room[j];
    for (int32_t g = 0; g < q->n_groups; g++) {
        double most = -INFINITY, sum = 0;
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++) {
            p[i] = q->z[i];
            for (int32_t j = 0; j < q->n_limits; j++) p[i] -= lam[j] * q->cost[j][i];
            most = fmax(most, p[i]);
        }
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++) sum += p[i] = exp(p[i] - most);
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++) p[i] /= sum;
        dual -= most + log(sum);
    }
    return dual;
}

/* d and, with a diagonal that makes it regular, the negative Hessian of D. */
static void differentiate(const dfqi_projection *q, const double *p, double d[K], double h[K][K])
{
    double trace = 0;
    memset(h, 0, K * sizeof *h);
    for (int32_t j = 0; j < q->n_limits; j++) d[j] = -q->room[j];
    for (int32_t g = 0; g < q->n_groups; g++) {
        double mean[K] = {0};
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++)
            for (int32_t j = 0; j < q->n_limits; j++) mean[j] += p[i] * q->cost[j][i];
        for (int32_t i = q->first[g]; i < q->first[g + 1]; i++)
            for (int32_t a = 0; a < q->n_limits; a++)
                for (int32_t b = 0; b <= a; b++)
                    h[a][b] += p[i] * (q->cost[a][i] - mean[a]) * (q->cost[b][i] - mean[b]);
        for (int32_t j = 0; j < q->n_limits; j++) d[j] += mean[j];
    }
    for (int32_t j = 0; j < q->n_limits; j++) trace += h[j][j];
    for (int32_t a = 0; a < q->n_limits; a++) {
        h[a][a] += 1e-12 + 1e-10 * trace;
        for (int32_t b = 0; b < a; b++) h[b][a] = h[a][b];
    }
}

/* The Newton direction over the n limits `at`; 0 for the others. The matrix is positive definite,
 * so that pivots on the diagonal are enough. */
static void solve(const double h[K][K], const double d[K], int32_t n, const int32_t *at,
                  double out[K])
{
    double a[K][K + 1];
    memset(out, 0, K * sizeof *out);
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j < n; j++) a[i][j] = h[at[i]][at[j]];
        a[i][n] = d[at[i]];
    }
    for (int32_t i = 0; i < n; i++)
        for (int32_t r = i + 1; r < n; r++) {
            double f = a[r][i] / a[i][i];
            for (int32_t c = i; c <= n; c++) a[r][c] -= f * a[i][c];
        }
    for (int32_t i = n - 1; i >= 0; i--) {
        double sum = a[i][n];
        for (int32_t c = i + 1; c < n; c++) sum -= a[i][c] * out[at[c]];
        out[at[i]] = sum / a[i][i];
    }
}

/* The limits that move; false: the mixture is the solution. */
static bool choose_active(const dfqi_projection *q, const double *lam, const double d[K],
                          int32_t *n, int32_t at[K])
{
    double worst = 0;
    *n = 0;
    for (int32_t j = 0; j < q->n_limits; j++) {
        if (!(lam[j] > 0 || d[j] > 0)) continue;
        at[(*n)++] = j;
        worst = fmax(worst, lam[j] > 0 ? fabs(d[j]) : d[j]);
    }
    return worst >= exact;
}

/* Where a mixture is all but decided, D is almost linear and Newton's step far too long. */
static void shorten(const double *lam, int32_t n_limits, double dir[K])
{
    double most = 10, size = 0;
    for (int32_t j = 0; j < n_limits; j++) {
        most = fmax(most, 2 * lam[j]);
        size = fmax(size, fabs(dir[j]));
    }
    for (int32_t j = 0; j < n_limits && size > most; j++) dir[j] *= most / size;
}

/* Moves lam along dir as far as D grows, and p and *dual with it; false: it does not grow. */
static bool climb(const dfqi_projection *q, const double d[K], const double dir[K], double *lam,
                  double *dual, double *p)
{
    for (double size = 1; size >= least_size; size *= 0.5) {
        double to[K], gain = 0;
        for (int32_t j = 0; j < q->n_limits; j++) {
            to[j] = fmin(fmax(lam[j] + size * dir[j], 0), most_price);
            gain += d[j] * (to[j] - lam[j]);
        }
        double value = mix(q, to, p);
        if (!(value >= *dual + 1e-4 * gain - noise * (1 + fabs(*dual)))) continue;
        memcpy(lam, to, (size_t)q->n_limits * sizeof *lam);
        *dual = value;
        return true;
    }
    return false;
}

void dfqi_project(const dfqi_projection *q, double *lam, double *p)
{
    double d[K], h[K][K], dir[K], dual = mix(q, lam, p);
    for (int32_t round = 0; round < ROUNDS; round++) {
        int32_t at[K], n;
        differentiate(q, p, d, h);
        if (!choose_active(q, lam, d, &n, at)) return;
        solve((const double(*)[K])h, d, n, at, dir);
        shorten(lam, q->n_limits, dir);
        if (!climb(q, d, dir, lam, &dual, p)) break;
    }
    mix(q, lam, p);
}
