/* Fake quantization in plain C, with true divisions and rounding half to even: codes must not
 * depend on the kernel that computes them. */
#include "kernel/ref/ref.h"

#include <math.h>

#include "kernel/codes.h"

void dfqi_ref_fq(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, float *y)
{
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        for (int64_t c = 0; c < cols; c++) {
            int64_t i = g->n_scales > 1 ? c : 0;
            float z = g->zero_point ? rintf(g->zero_point[i]) : 0.0f;
            y[c] = (dfqi_code_uniform(x[c], g->scale[i], z, g->qmin, g->qmax) - z) * g->scale[i];
        }
    }
}

/* One element: adds to the gradients of its scale and zero_point, returns that of x. */
static float fq_bwd_one(const dfqi_grid *g, int64_t i, float x, float dy, double *dscale,
                        double *dzero_point)
{
    float z = g->zero_point ? rintf(g->zero_point[i]) : 0.0f;
    float u = x / g->scale[i];
    float v = u + z;
    if (v >= g->qmin && v <= g->qmax) {
        *dscale += (double)(dy * (rintf(u) - u));
        return dy;
    }
    *dscale += (double)(dy * ((v < g->qmin ? g->qmin : g->qmax) - z));
    *dzero_point -= (double)(g->scale[i] * dy);
    return 0.0f;
}

void dfqi_ref_fq_bwd(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x,
                     const float *dy, float *dx, float *dscale, float *dzero_point)
{
    double ds = 0.0;
    double dz = 0.0;
    /* Column by column, so that a column's two sums are all that has to be kept. */
    for (int64_t c = 0; c < cols; c++) {
        int64_t i = g->n_scales > 1 ? c : 0;
        if (g->n_scales > 1) ds = dz = 0.0;
        for (int64_t r = 0; r < rows; r++)
            dx[r * cols + c] = fq_bwd_one(g, i, x[r * cols + c], dy[r * cols + c], &ds, &dz);
        if (dscale) dscale[i] = (float)ds;
        if (dzero_point) dzero_point[i] = (float)dz;
    }
}

void dfqi_ref_fq_log(size_t n, float top, float qmax, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++) {
        float u = x[i] / top;
        y[i] = u != u ? u : dfqi_code_log_value(dfqi_code_log(x[i], top, qmax), top, qmax);
    }
}
