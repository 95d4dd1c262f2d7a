/* Activations on grids of their rows, with the same codes as in kernel/ref. */
#include <math.h>
#include <string.h>

#include "kernel/row_grid.h"
#include "kernel/x86/isa.h"
#include "kernel/x86/vec.h"

/* A row's extremes, with 0 among them, and its grid. */
typedef struct row {
    float lo, hi;
    dfqi_row_grid grid;
    vf scale, zero_point, qmin, qmax;
} row;

static inline row row_of(int64_t cols, int bits, int is_signed, const float *x)
{
    const vf zero = vf_set(0.0f);
    vf lo = zero, hi = zero, odd = zero; /* odd: 0, or NaN where x is not finite */
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_load_tail(x + (i), c);                                                           \
        lo = vf_min(v, lo);                                                                        \
        hi = vf_max(v, hi);                                                                        \
        odd = vf_fma(v, zero, odd);                                                                \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
    row r = {.lo = vf_smallest(lo), .hi = vf_largest(hi)};
    r.grid = dfqi_row_grid_runtime(bits, is_signed, r.lo, r.hi, vf_sum(odd) == 0.0f);
    r.scale = vf_set(r.grid.scale);
    r.zero_point = vf_set(r.grid.zero_point);
    r.qmin = vf_set(r.grid.qmin);
    r.qmax = vf_set(r.grid.qmax);
    return r;
}

/* The code of x, less the zero point; u = x / scale. */
static inline vf row_code(const row *r, vf u)
{
    vf q = vf_add(vf_round(u), r->zero_point);
    return vf_sub(vf_min(r->qmax, vf_max(r->qmin, q)), r->zero_point);
}

void ISA(fq_row)(int64_t rows, int64_t cols, int bits, int is_signed, const float *x, float *y,
                 float *scale_out, float *zero_point_out)
{
    for (int64_t k = 0; k < rows; k++, x += cols, y += cols) {
        const row r = row_of(cols, bits, is_signed, x);
        if (scale_out) scale_out[k] = r.grid.scale;
        if (zero_point_out) zero_point_out[k] = r.grid.zero_point;
#define STEP(i, c)                                                                                 \
    vf_store_tail(y + (i), c,                                                                      \
                  vf_mul(row_code(&r, vf_div(vf_load_tail(x + (i), c), r.scale)), r.scale))
        VF_LOOP(cols, STEP);
#undef STEP
    }
}

void ISA(fq_row_bwd)(int64_t rows, int64_t cols, int bits, int is_signed, const float *x,
                     const float *dy, float *dx)
{
    for (int64_t k = 0; k < rows; k++, x += cols, dy += cols, dx += cols) {
        const row r = row_of(cols, bits, is_signed, x);
        int follows = dfqi_row_grid_follows(&r.grid, is_signed, r.lo, r.hi);
        vf sum = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf u = vf_div(vf_load_tail(x + (i), c), r.scale);                                          \
        sum = vf_add(sum, vf_mul(vf_load_tail(dy + (i), c), vf_sub(row_code(&r, u), u)));          \
    } while (0)
        if (follows) VF_LOOP(cols, STEP);
#undef STEP
        float slope = vf_sum(sum) / r.grid.qmax;
        if (dx != dy) memcpy(dx, dy, (size_t)cols * sizeof *dx);
        if (follows) dfqi_row_grid_bwd(cols, is_signed, r.lo, r.hi, slope, x, dx);
    }
}
