/* The two structural-similarity losses of attention (MimiQ; kernel.h). Vectors hold floats; the
 * scalars of each head pair are doubles. */
#include <math.h>
#include <string.h>

#include "kernel/ref/ref.h"
#include "kernel/x86/isa.h"
#include "kernel/x86/vec.h"

#define C1        (0.01 * 0.01)
#define C2        (0.03 * 0.03)
#define RANGE_EPS 1e-8f

enum { MAX_HEADS = 32 }; /* more go to kernel/ref */

/* One head's row of the query-key map, scaled to [0, 1] and centred. */
typedef struct head_row {
    const float *r; /* [p] raw */
    float *a;       /* [p] scaled, minus mu */
    float low, inv; /* scaled = (r - low) * inv */
    int64_t arg_low, arg_high;
    double mu, var;
} head_row;

static int64_t find_first(int64_t p, const float *r, float value)
{
    const vf v = vf_set(value);
    for (int64_t i = 0; i < p; i += VF) {
        int64_t c = p - i < VF ? p - i : VF;
        unsigned bits = vm_bits(vf_eq(vf_load_tail(r + i, c), v)) & ((1u << c) - 1u);
        if (bits) return i + __builtin_ctz(bits);
    }
    return 0; /* NaN everywhere */
}

static void find_range(int64_t p, head_row *h, float *high)
{
    vf low = vf_set(h->r[0]);
    vf top = low;
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_load_tail(h->r + (i), c);                                                        \
        if ((c) < VF) v = vf_select(vm_first(c), v, low);                                          \
        low = vf_min(low, v);                                                                      \
        top = vf_max(top, v);                                                                      \
    } while (0)
    VF_LOOP(p, STEP);
#undef STEP
    h->low = vf_smallest(low);
    *high = vf_largest(top);
}

static void head_row_make(int64_t p, const float *r, float *a, bool with_args, head_row *h)
{
    float high;
    *h = (head_row){.r = r, .a = a};
    find_range(p, h, &high);
    h->inv = 1.0f / (high - h->low + RANGE_EPS);
    if (with_args) {
        h->arg_low = find_first(p, r, h->low);
        h->arg_high = find_first(p, r, high);
    }
    const vf low = vf_set(h->low);
    const vf inv = vf_set(h->inv);
    vf sum = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_mul(vf_sub(vf_load_tail(r + (i), c), low), inv);                                 \
        if ((c) < VF) v = vf_keep(vm_first(c), v);                                                 \
        vf_store_tail(a + (i), c, v);                                                              \
        sum = vf_add(sum, v);                                                                      \
    } while (0)
    VF_LOOP(p, STEP);
#undef STEP
    const float mean = vf_sum(sum) / (float)p;
    const vf m = vf_set(mean);
    vf square = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_sub(vf_load_tail(a + (i), c), m);                                                \
        if ((c) < VF) v = vf_keep(vm_first(c), v);                                                 \
        vf_store_tail(a + (i), c, v);                                                              \
        square = vf_fma(v, v, square);                                                             \
    } while (0)
    VF_LOOP(p, STEP);
#undef STEP
    h->mu = (double)mean;
    h->var = (double)vf_sum(square) / (double)p;
}

static double covariance(int64_t p, const float *a, const float *b)
{
    vf sum = vf_set(0.0f);
#define STEP(i, c) sum = vf_fma(vf_load_tail(a + (i), c), vf_load_tail(b + (i), c), sum)
    VF_LOOP(p, STEP);
#undef STEP
    return (double)vf_sum(sum) / (double)p;
}

/* The gradient of row i is flat[i] + sum over j of mix[i][j] a_j, symmetric in i and j but for
 * flat. */
typedef struct row_mix {
    float mix[MAX_HEADS][MAX_HEADS];
    double flat[MAX_HEADS], own[MAX_HEADS];
} row_mix;

/* Returns the sum of distances over ordered pairs; fills `out` if it is not NULL. */
static double distances(int64_t heads, int64_t p, dfqi_distance kind, const head_row *rows,
                        double weight, row_mix *out)
{
    double loss = 0.0;
    for (int64_t i = 0; out && i < heads; i++) out->flat[i] = out->own[i] = 0.0;
    for (int64_t i = 0; i < heads; i++)
        for (int64_t j = 0; j < i; j++) {
            const double mi = rows[i].mu;
            const double mj = rows[j].mu;
            const double a = 2.0 * mi * mj + C1;
            const double b = 2.0 * covariance(p, rows[i].a, rows[j].a) + C2;
            const double c = mi * mi + mj * mj + C1;
            const double d = rows[i].var + rows[j].var + C2;
            const double cd = 1.0 / (c * d);
            const double s = a * b * cd;
            const bool absolute = kind == DFQI_DISTANCE_ABSOLUTE;
            loss += 2.0 * (1.0 - (absolute ? fabs(s) : s * s));
            if (!out) continue;
            const double slope = absolute ? (double)((s > 0.0) - (s < 0.0)) : 2.0 * s;
            const double w = -2.0 * slope * weight / (double)p;
            out->flat[i] += w * (2.0 * mj * b * cd - 2.0 * mi * s * d * cd);
            out->flat[j] += w * (2.0 * mi * b * cd - 2.0 * mj * s * d * cd);
            out->own[i] -= w * 2.0 * s * c * cd;
            out->own[j] -= w * 2.0 * s * c * cd;
            out->mix[i][j] = out->mix[j][i] = (float)(w * 2.0 * a * cd);
        }
    for (int64_t i = 0; out && i < heads; i++) out->mix[i][i] = (float)out->own[i];
    return loss;
}

/* The gradient of raw row i through the scaling to [0, 1]. The smallest and the largest value,
 * which define the scaling, get their share. */
static void row_gradient(int64_t heads, int64_t p, const head_row *rows, const row_mix *m,
                         int64_t i, float *dr)
{
    const head_row *own = &rows[i];
    const vf flat = vf_set((float)m->flat[i]);
    const vf mu = vf_set((float)own->mu);
    const vf inv = vf_set(own->inv);
    vf sum = vf_set(0.0f);
    vf weighted = vf_set(0.0f);
#define STEP(at, c)                                                                                \
    do {                                                                                           \
        vf da = flat;                                                                              \
        for (int64_t j = 0; j < heads; j++)                                                        \
            da = vf_fma(vf_set(m->mix[i][j]), vf_load_tail(rows[j].a + (at), c), da);              \
        if ((c) < VF) da = vf_keep(vm_first(c), da);                                               \
        sum = vf_add(sum, da);                                                                     \
        weighted = vf_fma(da, vf_add(vf_load_tail(own->a + (at), c), mu), weighted);               \
        vf_store_tail(dr + (at), c, vf_mul(da, inv));                                              \
    } while (0)
    VF_LOOP(p, STEP);
#undef STEP
    const float high = vf_sum(weighted);
    dr[own->arg_high] -= high * own->inv;
    dr[own->arg_low] -= (vf_sum(sum) - high) * own->inv;
}

double ISA(inter_head)(int64_t heads, int64_t n, int64_t drop, dfqi_distance d, const float *r,
                       float weight, float *dr, float *scratch)
{
    if (heads > MAX_HEADS || n <= drop)
        return dfqi_ref_inter_head(heads, n, drop, d, r, weight, dr, scratch);
    const int64_t p = n - drop;
    double loss = 0.0;
    head_row rows[MAX_HEADS];
    row_mix mix;
    for (int64_t h = 0; dr && h < heads; h++)
        memset(dr + h * n * n, 0, (size_t)(drop * n) * sizeof *dr);
    for (int64_t q = drop; q < n; q++) {
        for (int64_t h = 0; h < heads; h++)
            head_row_make(p, r + (h * n + q) * n + drop, scratch + h * n, dr != NULL, &rows[h]);
        loss += distances(heads, p, d, rows, (double)weight, dr ? &mix : NULL);
        for (int64_t h = 0; dr && h < heads; h++) {
            float *row = dr + (h * n + q) * n;
            memset(row, 0, (size_t)drop * sizeof *row);
            row_gradient(heads, p, rows, &mix, h, row + drop);
        }
    }
    return loss;
}

/* Sixteen channels (c of them exist) of one head over p tokens, d floats apart. */
static double channels_ssim(int64_t p, int64_t d, int64_t c, const float *t, const float *s,
                            float weight, float *ds)
{
    const vf inv = vf_set(1.0f / (float)p);
    const vf c2 = vf_set((float)C2);
    vf mt = vf_set(0.0f);
    vf ms = vf_set(0.0f);
    for (int64_t i = 0; i < p; i++) {
        mt = vf_add(mt, vf_load_tail(t + i * d, c));
        ms = vf_add(ms, vf_load_tail(s + i * d, c));
    }
    mt = vf_mul(mt, inv);
    ms = vf_mul(ms, inv);
    vf vt = vf_set(0.0f);
    vf vs = vf_set(0.0f);
    vf cov = vf_set(0.0f);
    for (int64_t i = 0; i < p; i++) {
        vf a = vf_sub(vf_load_tail(t + i * d, c), mt);
        vf b = vf_sub(vf_load_tail(s + i * d, c), ms);
        vt = vf_fma(a, a, vt);
        vs = vf_fma(b, b, vs);
        cov = vf_fma(a, b, cov);
    }
    const vf den = vf_fma(vf_add(vt, vs), inv, c2);
    const vf sim = vf_div(vf_fma(vf_add(cov, cov), inv, c2), den);
    const vf w = vf_div(vf_mul(vf_set(2.0f * weight), inv), den);
    for (int64_t i = 0; ds && i < p; i++) {
        vf a = vf_sub(vf_load_tail(t + i * d, c), mt);
        vf b = vf_sub(vf_load_tail(s + i * d, c), ms);
        vf_store_tail(ds + i * d, c, vf_mul(w, vf_fnma(sim, b, a)));
    }
    return (double)vf_sum(c < VF ? vf_keep(vm_first(c), sim) : sim);
}

double ISA(head_ssim)(int64_t rows, int64_t n, int64_t d, int64_t drop, const float *t,
                      const float *s, float weight, float *ds, float *scratch)
{
    if (n <= drop) return dfqi_ref_head_ssim(rows, n, d, drop, t, s, weight, ds, scratch);
    double sum = 0.0;
    for (int64_t r = 0; r < rows; r++) {
        if (ds) memset(ds + r * n * d, 0, (size_t)(drop * d) * sizeof *ds);
        const int64_t at = (r * n + drop) * d;
        for (int64_t c = 0; c < d; c += VF)
            sum += channels_ssim(n - drop, d, d - c < VF ? d - c : VF, t + at + c, s + at + c,
                                 weight, ds ? ds + at + c : NULL);
    }
    return sum;
}
