/* Grids of groups of weights (docs/METHODS.md, Groups of weights). A row of weights has a scale s.
 * Each group of its columns has a multiplier m and a zero point z, whole numbers of four bits. Code
 * u, 0 .. 2^b - 1, stands for the weight (u - z) (s m). It is s times the number m (u - z), which
 * lies in -128 .. 127: integer kernels multiply groups as rows of 8 bits (Lin et al., QServe, MLSys
 * 2025). */
#ifndef DFQI_KERNEL_WEIGHT_GROUPS_H
#define DFQI_KERNEL_WEIGHT_GROUPS_H

#include <math.h>

enum { DFQI_GROUP_BITS = 4, DFQI_GROUP_TOP = 15 }; /* widest codes; largest m and z */

/* Group grids are stored as m + 16 z, one byte. Tensors of graphs have them as floats. */
typedef struct dfqi_group_grid {
    float multiplier, zero_point;
} dfqi_group_grid;

static inline dfqi_group_grid dfqi_group_grid_of(float byte)
{
    const int b = (int)byte;
    return (dfqi_group_grid){(float)(b & DFQI_GROUP_TOP), (float)(b >> DFQI_GROUP_BITS)};
}

static inline float dfqi_group_byte(dfqi_group_grid g)
{
    return g.multiplier + (float)(1 << DFQI_GROUP_BITS) * g.zero_point;
}

/* Are m above 0 and all numbers within a byte? top: the largest code, 2^b - 1. */
static inline int dfqi_group_fits(dfqi_group_grid g, float top)
{
    return g.multiplier > 0 && g.zero_point <= top && g.multiplier * g.zero_point <= 128.0f &&
           g.multiplier * (top - g.zero_point) <= 127.0f;
}

/* The code of value v; NaN stays NaN. */
static inline float dfqi_group_code(float v, float scale, dfqi_group_grid g, float top)
{
    const float u = rintf(v / (scale * g.multiplier)) + g.zero_point;
    return u < 0.0f ? 0.0f : u > top ? top : u;
}

/* The number and the value of a code. */
static inline float dfqi_group_number(float code, dfqi_group_grid g)
{
    return g.multiplier * (code - g.zero_point);
}

static inline float dfqi_group_value(float code, float scale, dfqi_group_grid g)
{
    return (code - g.zero_point) * (scale * g.multiplier);
}

#endif
