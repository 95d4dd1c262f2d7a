/* Activations on grids of their rows, found at run time, in plain C. With true divisions and
 * rounding half to even: the integer network must compute the same codes. */
#include <string.h>

#include "kernel/codes.h"
#include "kernel/ref/ref.h"
#include "kernel/row_grid.h"

/* A row's extremes, with 0 among them. */
typedef struct ends {
    float lo, hi;
    int finite;
} ends;

static ends ends_of(int64_t cols, const float *x)
{
    ends e = {0.0f, 0.0f, 1};
    for (int64_t c = 0; c < cols; c++) {
        e.lo = x[c] < e.lo ? x[c] : e.lo;
        e.hi = x[c] > e.hi ? x[c] : e.hi;
        e.finite &= fabsf(x[c]) <= FLT_MAX;
    }
    return e;
}

void dfqi_ref_fq_row(int64_t rows, int64_t cols, int bits, int is_signed, const float *x, float *y,
                     float *scale_out, float *zero_point_out)
{
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        ends e = ends_of(cols, x);
        dfqi_row_grid g = dfqi_row_grid_runtime(bits, is_signed, e.lo, e.hi, e.finite);
        for (int64_t c = 0; c < cols; c++)
            y[c] = (dfqi_code_uniform(x[c], g.scale, g.zero_point, g.qmin, g.qmax) - g.zero_point) *
                   g.scale;
        if (scale_out) scale_out[r] = g.scale;
        if (zero_point_out) zero_point_out[r] = g.zero_point;
    }
}

/* sum of dy (q - zero_point - x / scale) */
static float scale_slope(int64_t cols, const dfqi_row_grid *g, const float *x, const float *dy)
{
    double sum = 0.0;
    for (int64_t c = 0; c < cols; c++) {
        float q = dfqi_code_uniform(x[c], g->scale, g->zero_point, g->qmin, g->qmax);
        sum += (double)(dy[c] * (q - g->zero_point - x[c] / g->scale));
    }
    return (float)sum;
}

void dfqi_ref_fq_row_bwd(int64_t rows, int64_t cols, int bits, int is_signed, const float *x,
                         const float *dy, float *dx)
{
    for (int64_t r = 0; r < rows; r++, x += cols, dy += cols, dx += cols) {
        ends e = ends_of(cols, x);
        dfqi_row_grid g = dfqi_row_grid_runtime(bits, is_signed, e.lo, e.hi, e.finite);
        int follows = dfqi_row_grid_follows(&g, is_signed, e.lo, e.hi);
        float slope = follows ? scale_slope(cols, &g, x, dy) / g.qmax : 0.0f;
        if (dx != dy) memcpy(dx, dy, (size_t)cols * sizeof *dx);
        if (follows) dfqi_row_grid_bwd(cols, is_signed, e.lo, e.hi, slope, x, dx);
    }
}
