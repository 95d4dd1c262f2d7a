/* Patch similarity entropy. For each image: u_i = normalised mean over heads of token i, s_ij =
 * <u_i, u_j>; p_k = mean over i, j of a Gaussian of width 0.01 at s_ij, taken at 10 points between
 * the smallest and the largest s of the batch; q_k = p_k + 1e-4; H = trapezoid rule over
 * -q_k ln q_k. The loss is -mean H.
 *
 * dH/dp_k = -w_k (ln q_k + 1), w_k the trapezoid's weights;
 * dp_k/ds = (x_k - s) / 0.01^2 * Gaussian(x_k - s) / P^2;
 * s is symmetric, so du_i = 2 sum_j g_ij u_j; da_i = (du_i - <du_i, u_i> u_i) / |a_i|. */
#include "synth/pse.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "kernel/kernel.h"

enum { POINTS = 10, REACH = 9 };

static const double width = 0.01, floor_p = 1e-4;

/* The scratch memory of one image. */
typedef struct part {
    float *u, *du; /* [P,d] */
    float *norm;   /* [P] */
    float *sims;   /* [P,P], later the gradient by s */
    float *packed;
    float *range;   /* [2] */
    float *entropy; /* [1] */
} part;

typedef struct job {
    const dfqi_pse_shape *p;
    const dfqi_kernels *k;
    const float *head;
    float *dhead, *scratch;
    double lo, hi;
    float weight;
} job;

static int64_t part_floats(const dfqi_pse_shape *p)
{
    int64_t n = p->tokens - 1;
    int64_t floats = 2 * n * p->d + n + n * n + (int64_t)dfqi_packed_floats(p->d, n) + 3;
    return (floats + 15) / 16 * 16;
}

int64_t dfqi_pse_scratch(const dfqi_pse_shape *p)
{
    return p->batch * part_floats(p);
}

static part part_of(const job *j, int64_t b)
{
    int64_t n = j->p->tokens - 1;
    float *at = j->scratch + b * part_floats(j->p);
    part s;
    s.packed = at; /* first: panels want alignment */
    s.u = s.packed + dfqi_packed_floats(j->p->d, n);
    s.du = s.u + n * j->p->d;
    s.norm = s.du + n * j->p->d;
    s.sims = s.norm + n;
    s.range = s.sims + n * n;
    s.entropy = s.range + 2;
    return s;
}

static void mean_over_heads(const dfqi_pse_shape *p, const float *head, float *a)
{
    int64_t n = p->tokens - 1, plane = p->tokens * p->d;
    for (int64_t i = 0; i < n * p->d; i++) {
        double sum = 0;
        for (int64_t h = 0; h < p->heads; h++) sum += head[h * plane + p->d + i];
        a[i] = (float)(sum / (double)p->heads);
    }
}

static void similarities(void *arg, int64_t b, int32_t thread)
{
    const job *j = arg;
    const dfqi_pse_shape *p = j->p;
    int64_t n = p->tokens - 1, d = p->d;
    part s = part_of(j, b);
    (void)thread;
    mean_over_heads(p, j->head + b * p->heads * p->tokens * d, s.u);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < d; c++) sum += (double)s.u[i * d + c] * s.u[i * d + c];
        s.norm[i] = (float)fmax(sqrt(sum), 1e-8);
        for (int64_t c = 0; c < d; c++) s.u[i * d + c] /= s.norm[i];
    }
    j->k->gemm_nt(n, n, d, s.u, d, s.u, d, s.sims, n, s.packed);
    s.range[0] = s.range[1] = s.sims[0];
    for (int64_t i = 1; i < n * n; i++) {
        s.range[0] = fminf(s.range[0], s.sims[i]);
        s.range[1] = fmaxf(s.range[1], s.sims[i]);
    }
}

/* The range of points to which a similarity contributes: beyond REACH widths the Gaussian is
 * negligible against floor_p. Points are usually further apart than that, so it has one or two. */
typedef struct near {
    int first, last;
} near;

static near points_near(const job *j, double step, double s)
{
    near n = {0, POINTS - 1};
    double reach = REACH * width;
    double from = (s - reach - j->lo) / step, to = (s + reach - j->lo) / step;
    if (from > 0 && from < POINTS)
        n.first = (int)from + 1; /* a whole number is as far as it gets */
    if (to >= 0 && to < POINTS - 1) n.last = (int)to;
    return n;
}

static double bell(double z)
{
    return exp(-z * z / (2 * width * width)) / (width * 2.50662827463100050242);
}

/* Densities at the points -> entropy and dH/dp_k. */
static double entropy_of(const double p[POINTS], double step, double dp[POINTS])
{
    double sum = 0;
    for (int k = 0; k < POINTS; k++) {
        double w = k == 0 || k == POINTS - 1 ? 0.5 * step : step, q = p[k] + floor_p;
        sum -= w * q * log(q);
        dp[k] = -w * (log(q) + 1);
    }
    return sum;
}

/* Gradient by u -> by the head outputs, the same for all heads. */
static void spread(const job *j, const part *s, float *dhead)
{
    int64_t n = j->p->tokens - 1, d = j->p->d, heads = j->p->heads, plane = j->p->tokens * d;
    for (int64_t i = 0; i < n; i++) {
        const float *u = s->u + i * d;
        float *du = s->du + i * d;
        double along = 0;
        for (int64_t c = 0; c < d; c++) along += (double)du[c] * u[c];
        for (int64_t c = 0; c < d; c++)
            du[c] = (float)(2.0 * (du[c] - along * u[c]) / (s->norm[i] * (double)heads));
    }
    for (int64_t h = 0; h < heads; h++) {
        memset(dhead + h * plane, 0, (size_t)d * sizeof *dhead);
        memcpy(dhead + h * plane + d, s->du, (size_t)(n * d) * sizeof *dhead);
    }
}

/* Densities at the points; the upper triangle of the symmetric sims counts twice. */
static void densities(const job *j, const part *s, double step, double p[POINTS])
{
    int64_t n = j->p->tokens - 1;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = r; c < n; c++) {
            double sim = s->sims[r * n + c], times = c == r ? 1 : 2;
            near at = points_near(j, step, sim);
            for (int k = at.first; k <= at.last; k++) p[k] += times * bell(j->lo + k * step - sim);
        }
    for (int k = 0; k < POINTS; k++) p[k] /= (double)n * (double)n;
}

/* sims -> the gradient by them, from that by the densities. */
static void density_gradient(const job *j, const part *s, double step, const double dp[POINTS])
{
    int64_t n = j->p->tokens - 1;
    double scale = 1 / ((double)n * (double)n * width * width);
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = r; c < n; c++) {
            double sim = s->sims[r * n + c], g = 0;
            near at = points_near(j, step, sim);
            for (int k = at.first; k <= at.last; k++) {
                double z = j->lo + k * step - sim;
                g += dp[k] * z * bell(z);
            }
            s->sims[r * n + c] = s->sims[c * n + r] = (float)(g * scale);
        }
}

static void entropy_and_gradient(void *arg, int64_t b, int32_t thread)
{
    const job *j = arg;
    int64_t n = j->p->tokens - 1, d = j->p->d;
    part s = part_of(j, b);
    double p[POINTS] = {0}, dp[POINTS], step = (j->hi - j->lo) / (POINTS - 1);
    (void)thread;
    densities(j, &s, step, p);
    *s.entropy = (float)entropy_of(p, step, dp);
    /* d(-mean H)/dp times weight */
    for (int k = 0; k < POINTS; k++) dp[k] *= -(double)j->weight / (double)j->p->batch;
    density_gradient(j, &s, step, dp);
    j->k->gemm(0, n, d, n, s.sims, n, s.u, d, 0, s.du, d);
    spread(j, &s, j->dhead + b * j->p->heads * j->p->tokens * d);
}

double dfqi_pse(dfq_context *ctx, const dfqi_pse_shape *p, const float *head, float weight,
                float *dhead, float *scratch)
{
    job j = {.p = p,
             .k = dfqi_kernels_get(ctx),
             .head = head,
             .dhead = dhead,
             .scratch = scratch,
             .weight = weight};
    dfqi_parallel_for(ctx, p->batch, similarities, &j);
    part s = part_of(&j, 0);
    j.lo = s.range[0];
    j.hi = s.range[1];
    for (int64_t b = 1; b < p->batch; b++) {
        s = part_of(&j, b);
        j.lo = fmin(j.lo, s.range[0]);
        j.hi = fmax(j.hi, s.range[1]);
    }
    if (p->range) {
        j.lo = p->range[0];
        j.hi = p->range[1];
    }
    dfqi_parallel_for(ctx, p->batch, entropy_and_gradient, &j);
    double sum = 0;
    for (int64_t b = 0; b < p->batch; b++) sum += *part_of(&j, b).entropy;
    return -sum / (double)p->batch;
}
