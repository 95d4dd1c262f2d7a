/* Uniform quantization of 16 elements, with true divisions and rounding half to even, as in
 * kernel/ref. */
#ifndef DFQI_KERNEL_X86_GRID_H
#define DFQI_KERNEL_X86_GRID_H

#include "kernel/x86/vec.h"

typedef struct grid {
    vf scale, zero_point, qmin, qmax;
} grid;

static inline vf grid_code(const grid *g, vf x)
{
    vf code = vf_add(vf_round(vf_div(x, g->scale)), g->zero_point);
    return vf_min(g->qmax, vf_max(g->qmin, code));
}

static inline vf grid_fq(const grid *g, vf x)
{
    return vf_mul(vf_sub(grid_code(g, x), g->zero_point), g->scale);
}

#endif
