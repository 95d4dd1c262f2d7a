/* The quantization grid of one row of weights, from the row's extremes. All tables share this
 * code. */
#ifndef DFQI_KERNEL_ROW_GRID_H
#define DFQI_KERNEL_ROW_GRID_H

#include <math.h>

typedef struct dfqi_row_grid {
    float scale, zero_point;
    float qmin, qmax; /* codes */
} dfqi_row_grid;

static inline dfqi_row_grid dfqi_row_grid_codes(int bits)
{
    float half = ldexpf(1.0f, bits - 1);
    return (dfqi_row_grid){.qmin = -half, .qmax = half - 1.0f};
}

/* Symmetric: the scale from m = max |v| (MimiQ). */
static inline dfqi_row_grid dfqi_row_grid_symmetric(int bits, float m)
{
    dfqi_row_grid g = dfqi_row_grid_codes(bits);
    g.scale = fmaxf(2.0f * m, 1e-8f) / (g.qmax - g.qmin);
    return g;
}

/* Asymmetric: the grid from the smallest value a to the largest b (AIT; its z is -zero_point
 * here). */
static inline dfqi_row_grid dfqi_row_grid_asymmetric(int bits, float a, float b)
{
    dfqi_row_grid g = dfqi_row_grid_codes(bits);
    g.scale = fmaxf(b - a, 1e-8f) / (g.qmax - g.qmin);
    g.zero_point = -(rintf(a / g.scale) - g.qmin);
    return g;
}

#endif
