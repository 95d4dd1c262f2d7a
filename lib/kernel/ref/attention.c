/* The two structural-similarity losses of attention in plain C (MimiQ; kernel.h). */
#include "kernel/ref/ref.h"

#include <math.h>
#include <string.h>

#define C1        (0.01 * 0.01)
#define C2        (0.03 * 0.03)
#define RANGE_EPS 1e-8

/* One head's row of the query-key map, scaled to [0, 1] and centred. */
typedef struct head_row {
    float *a;  /* [p] centred values, in scratch */
    float *da; /* [p] their gradient, in scratch */
    double mu, var, range;
} head_row;

static double dot(int64_t n, const float *a, const float *b)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static int64_t arg_extreme(int64_t n, const float *r, int sign)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (sign > 0 ? r[i] > r[best] : r[i] < r[best]) best = i;
    return best;
}

/* Row h of this query. Only the vectors are kept; the scalars are cheap enough to be computed
 * again. */
static head_row head_row_make(int64_t p, const float *r, float *a, float *da)
{
    head_row row = {a, da, 0.0, 0.0, 0.0};
    double low = (double)r[arg_extreme(p, r, -1)];
    row.range = (double)r[arg_extreme(p, r, 1)] - low + RANGE_EPS;
    for (int64_t i = 0; i < p; i++) row.mu += ((double)r[i] - low) / row.range;
    row.mu /= (double)p;
    for (int64_t i = 0; i < p; i++) a[i] = (float)(((double)r[i] - low) / row.range - row.mu);
    row.var = dot(p, a, a) / (double)p;
    return row;
}

/* The distance of heads i and j; adds its gradient, taken twice since the pair comes in both
 * orders, times `weight` to da of head i. */
static double pair(int64_t p, dfqi_distance kind, const head_row *i, const head_row *j,
                   double weight)
{
    double cov = dot(p, i->a, j->a) / (double)p;
    double a = 2.0 * i->mu * j->mu + C1;
    double b = 2.0 * cov + C2;
    double c = i->mu * i->mu + j->mu * j->mu + C1;
    double d = i->var + j->var + C2;
    double s = a * b / (c * d);
    double distance = kind == DFQI_DISTANCE_ABSOLUTE ? 1.0 - fabs(s) : 1.0 - s * s;
    if (weight == 0.0) return distance;
    double slope = kind == DFQI_DISTANCE_ABSOLUTE ? (double)((s > 0.0) - (s < 0.0)) : 2.0 * s;
    double w = -2.0 * slope * weight / (double)p;
    double flat = w * (2.0 * j->mu * b / (c * d) - 2.0 * i->mu * s / c);
    double other = w * 2.0 * a / (c * d);
    double own = -w * 2.0 * s / d;
    for (int64_t q = 0; q < p; q++)
        i->da[q] += (float)(flat + other * (double)j->a[q] + own * (double)i->a[q]);
    return distance;
}

/* The gradient of the raw row from that of the scaled row. The smallest and the largest value,
 * which define the scaling, get their share. */
static void range_bwd(int64_t p, const head_row *row, const float *r, float *dr)
{
    double weighted = 0.0;
    double sum = 0.0;
    for (int64_t i = 0; i < p; i++) {
        weighted += (double)row->da[i] * ((double)row->a[i] + row->mu);
        sum += (double)row->da[i];
        dr[i] = (float)((double)row->da[i] / row->range);
    }
    dr[arg_extreme(p, r, 1)] -= (float)(weighted / row->range);
    dr[arg_extreme(p, r, -1)] -= (float)((sum - weighted) / row->range);
}

double dfqi_ref_inter_head(int64_t heads, int64_t n, int64_t drop, dfqi_distance d, const float *r,
                           float weight, float *dr, float *scratch)
{
    int64_t p = n - drop;
    float *a = scratch;
    float *da = scratch + heads * n;
    double loss = 0.0;
    if (dr) memset(dr, 0, (size_t)(heads * n * n) * sizeof *dr);
    for (int64_t q = drop; q < n; q++) {
        memset(da, 0, (size_t)(heads * n) * sizeof *da);
        for (int64_t h = 0; h < heads; h++) {
            const float *rh = r + (h * n + q) * n + drop;
            head_row i = head_row_make(p, rh, a + h * n, da + h * n);
            for (int64_t g = 0; g < heads; g++) {
                if (g == h) continue;
                const float *rg = r + (g * n + q) * n + drop;
                head_row j = head_row_make(p, rg, a + g * n, da + g * n);
                loss += pair(p, d, &i, &j, dr ? (double)weight : 0.0);
            }
            if (dr) range_bwd(p, &i, rh, dr + (h * n + q) * n + drop);
        }
    }
    return loss;
}

/* Channel c of one row: S, and its gradient with respect to the student. */
static double channel_ssim(int64_t p, int64_t d, const float *t, const float *s, double weight,
                           float *ds)
{
    double mt = 0.0;
    double ms = 0.0;
    for (int64_t i = 0; i < p; i++) {
        mt += (double)t[i * d];
        ms += (double)s[i * d];
    }
    mt /= (double)p;
    ms /= (double)p;
    double vt = 0.0;
    double vs = 0.0;
    double cov = 0.0;
    for (int64_t i = 0; i < p; i++) {
        double a = (double)t[i * d] - mt;
        double b = (double)s[i * d] - ms;
        vt += a * a;
        vs += b * b;
        cov += a * b;
    }
    double den = (vt + vs) / (double)p + C2;
    double sim = (2.0 * cov / (double)p + C2) / den;
    double w = 2.0 * weight / ((double)p * den);
    for (int64_t i = 0; ds && i < p; i++)
        ds[i * d] = (float)(w * ((double)t[i * d] - mt - sim * ((double)s[i * d] - ms)));
    return sim;
}

double dfqi_ref_head_ssim(int64_t rows, int64_t n, int64_t d, int64_t drop, const float *t,
                          const float *s, float weight, float *ds, float *scratch)
{
    (void)scratch;
    double sum = 0.0;
    if (ds) memset(ds, 0, (size_t)(rows * n * d) * sizeof *ds);
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = (r * n + drop) * d;
        for (int64_t c = 0; c < d; c++, at++)
            sum += channel_ssim(n - drop, d, t + at, s + at, (double)weight, ds ? ds + at : NULL);
    }
    return sum;
}
