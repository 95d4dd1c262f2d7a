/* A uniform grid for 16 elements. True divisions, rounding half to even, as in kernel/ref. */
#ifndef DFQI_KERNEL_X86_GRID_H
#define DFQI_KERNEL_X86_GRID_H

#include "kernel/x86/vec.h"

typedef struct grid {
    vf step, zero, lo, hi;
} grid;

static inline vf grid_code(const grid *g, vf x)
{
    vf code = vf_round(vf_add(vf_div(x, g->step), g->zero));
    return vf_min(g->hi, vf_max(g->lo, code));
}

static inline vf grid_fq(const grid *g, vf x)
{
    return vf_mul(vf_sub(grid_code(g, x), g->zero), g->step);
}

#endif
