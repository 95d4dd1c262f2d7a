/* Fake quantization, with the same codes as in kernel/ref: true divisions, rounding half to
 * even. */
#include <float.h>
#include <math.h>

#include "kernel/x86/grid.h"
#include "kernel/x86/isa.h"

static inline grid grid_all(const dfqi_grid *g)
{
    return (grid){vf_set(g->scale[0]), vf_set(g->zero_point ? rintf(g->zero_point[0]) : 0.0f),
                  vf_set(g->qmin), vf_set(g->qmax)};
}

static inline grid grid_columns(const dfqi_grid *g, int64_t i, int64_t c)
{
    vf zero_point = g->zero_point ? vf_round(vf_load_tail(g->zero_point + i, c)) : vf_set(0.0f);
    return (grid){vf_load_tail(g->scale + i, c), zero_point, vf_set(g->qmin), vf_set(g->qmax)};
}

void ISA(fq)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, float *y)
{
    if (g->n_scales <= 1) {
        const grid all = grid_all(g);
#define STEP(i, c) vf_store_tail(y + (i), c, grid_fq(&all, vf_load_tail(x + (i), c)))
        VF_LOOP(rows * cols, STEP);
#undef STEP
        return;
    }
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        const grid column = grid_columns(g, i, c);                                                 \
        vf_store_tail(y + (i), c, grid_fq(&column, vf_load_tail(x + (i), c)));                     \
    } while (0)
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

/* The three gradients of 16 elements. */
typedef struct fq_slopes {
    vf dx, dscale, dzero_point;
} fq_slopes;

static inline fq_slopes fq_bwd(const grid *g, vf x, vf dy)
{
    vf u = vf_div(x, g->scale);
    vf v = vf_add(u, g->zero_point);
    vm in = vm_and(vf_le(g->qmin, v), vf_le(v, g->qmax));
    vf inside = vf_sub(vf_round(u), u);
    vf outside = vf_sub(vf_select(vf_lt(v, g->qmin), g->qmin, g->qmax), g->zero_point);
    return (fq_slopes){vf_keep(in, dy), vf_mul(dy, vf_select(in, inside, outside)),
                       vf_drop(in, vf_mul(g->scale, dy))};
}

/* Per-tensor scale: the lanes are added to double sums every few thousand elements. */
static void fq_bwd_all(int64_t n, const dfqi_grid *g, const float *x, const float *dy, float *dx,
                       float *dscale, float *dzero_point)
{
    enum { BLOCK = 4096 };
    const grid all = grid_all(g);
    double scale_sum = 0.0;
    double zero_point_sum = 0.0;
    for (int64_t at = 0; at < n; at += BLOCK) {
        int64_t count = n - at < BLOCK ? n - at : BLOCK;
        vf ds = vf_set(0.0f);
        vf dz = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        fq_slopes s = fq_bwd(&all, vf_load_tail(x + at + (i), c), vf_load_tail(dy + at + (i), c)); \
        vf_store_tail(dx + at + (i), c, s.dx);                                                     \
        ds = vf_add(ds, s.dscale);                                                                 \
        dz = vf_add(dz, s.dzero_point);                                                            \
    } while (0)
        VF_LOOP(count, STEP);
#undef STEP
        scale_sum += (double)vf_sum(ds);
        zero_point_sum -= (double)vf_sum(dz);
    }
    if (dscale) *dscale = (float)scale_sum;
    if (dzero_point) *dzero_point = (float)zero_point_sum;
}

void ISA(fq_bwd)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, const float *dy,
                 float *dx, float *dscale, float *dzero_point)
{
    if (g->n_scales <= 1) {
        fq_bwd_all(rows * cols, g, x, dy, dx, dscale, dzero_point);
        return;
    }
    for (int64_t c = 0; dscale && c < cols; c++) dscale[c] = 0.0f;
    for (int64_t c = 0; dzero_point && c < cols; c++) dzero_point[c] = 0.0f;
    for (int64_t r = 0; r < rows; r++, x += cols, dy += cols, dx += cols) {
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        const grid column = grid_columns(g, i, c);                                                 \
        fq_slopes s = fq_bwd(&column, vf_load_tail(x + (i), c), vf_load_tail(dy + (i), c));        \
        vf_store_tail(dx + (i), c, s.dx);                                                          \
        if (dscale)                                                                                \
            vf_store_tail(dscale + (i), c, vf_add(vf_load_tail(dscale + (i), c), s.dscale));       \
        if (dzero_point)                                                                           \
            vf_store_tail(dzero_point + (i), c,                                                    \
                          vf_sub(vf_load_tail(dzero_point + (i), c), s.dzero_point));              \
    } while (0)
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

/* The rule of dfqi_ref_fq_log: exponent and two thresholds on the mantissa. */
static inline vf fq_log(vf x, vf top, vf qmax)
{
    const vf one = vf_set(1.0f);
    const vf least = vf_set(FLT_MIN);
    vf u = vf_div(x, top);
    vf safe = vf_max(least, u);
    vf m = vf_mantissa(safe);
    vf q = vf_mul(vf_set(-2.0f), vf_exponent(safe));
    q = vf_sub(q, vf_keep(vf_le(vf_set(1.18920711500272f), m), one));
    q = vf_sub(q, vf_keep(vf_le(vf_set(1.68179283050743f), m), one));
    q = vf_max(vf_set(0.0f), q);
    /* 2^(-q/2) = 2^-whole, times sqrt 2 if q is odd; q/2 rounds up exactly when q + 1/2 is halved.
     */
    vf whole = vf_round(vf_mul(vf_set(0.5f), vf_add(q, vf_set(0.5f))));
    vm odd = vf_lt(q, vf_add(whole, whole));
    vf power =
        vf_scale2(vf_select(odd, vf_set(1.41421356237310f), one), vf_sub(vf_set(0.0f), whole));
    vf y = vf_mul(top, power);
    y = vf_drop(vf_lt(qmax, q), y);
    y = vf_drop(vf_lt(u, least), y);
    return vf_select(vf_nan(u), u, y);
}

void ISA(fq_log)(size_t n, float top, float qmax, const float *x, float *y)
{
    const vf t = vf_set(top);
    const vf h = vf_set(qmax);
#define STEP(i, c) vf_store_tail(y + (i), c, fq_log(vf_load_tail(x + (i), c), t, h))
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}
