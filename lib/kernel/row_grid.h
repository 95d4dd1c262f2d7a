/* The quantization grid of one row, of weights or of activations, from the row's extremes. All
 * tables share this code. */
#ifndef DFQI_KERNEL_ROW_GRID_H
#define DFQI_KERNEL_ROW_GRID_H

#include <float.h>
#include <math.h>
#include <stdint.h>

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

/* A row of activations (fq_row), lo <= 0 <= hi being its extremes and 0. The scale of a row with an
 * infinity or NaN, and of one whose range overflows, is NaN, hence all its values. A row whose
 * scale would be below FLT_MIN counts as zeros: scale 1. */
static inline dfqi_row_grid dfqi_row_grid_runtime(int bits, int is_signed, float lo, float hi,
                                                  int finite)
{
    dfqi_row_grid g = {.qmax = (float)((1 << (is_signed ? bits - 1 : bits)) - 1)};
    g.qmin = is_signed ? -g.qmax : 0.0f;
    g.scale = (is_signed ? fmaxf(-lo, hi) : hi - lo) / g.qmax;
    if (!finite || !(g.scale <= FLT_MAX)) g.scale = NAN;
    if (g.scale < FLT_MIN) g.scale = 1.0f;
    if (!is_signed) g.zero_point = rintf((0.0f - lo) / g.scale);
    return g;
}

/* Does the grid follow the row's values? Not that of zeros. */
static inline int dfqi_row_grid_follows(const dfqi_row_grid *g, int is_signed, float lo, float hi)
{
    float range = is_signed ? fmaxf(-lo, hi) : hi - lo;
    return range / g->qmax >= FLT_MIN && g->scale <= FLT_MAX;
}

static inline void dfqi_row_add_first(int64_t cols, const float *x, float value, float slope,
                                      float *dx)
{
    for (int64_t c = 0; c < cols; c++)
        if (x[c] == value) {
            dx[c] += slope;
            return;
        }
}

/* Adds to dx what fq_row_bwd gives the values that set the scale; slope: of the range. */
static inline void dfqi_row_grid_bwd(int64_t cols, int is_signed, float lo, float hi, float slope,
                                     const float *x, float *dx)
{
    int top = hi > 0.0f && (!is_signed || hi >= -lo);
    if (top) dfqi_row_add_first(cols, x, hi, slope, dx);
    if (lo < 0.0f && !(is_signed && top)) dfqi_row_add_first(cols, x, lo, -slope, dx);
}

#endif
