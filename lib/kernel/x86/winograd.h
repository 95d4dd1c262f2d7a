/* The transforms of F(2x2,3x3) along one axis, 16 columns at a time: an output pair is
 * A^T (G w . B^T d) with
 *
 *   B^T = 1  0 -1  0    G =  1    0    0      A^T = 1  1  1  0
 *         0  1  1  0        1/2  1/2  1/2           0  1 -1  1
 *         0 -1  1  0        1/2 -1/2  1/2
 *         0 -1  0  1         0    0    1
 */
#ifndef DFQI_KERNEL_X86_WINOGRAD_H
#define DFQI_KERNEL_X86_WINOGRAD_H

#include "kernel/x86/vec.h"

typedef struct vf2 {
    vf a, b;
} vf2;

typedef struct vf3 {
    vf a, b, c;
} vf3;

typedef struct vf4 {
    vf a, b, c, d;
} vf4;

/* B^T d */
static inline vf4 winograd_in(vf a, vf b, vf c, vf d)
{
    return (vf4){vf_sub(a, c), vf_add(b, c), vf_sub(c, b), vf_sub(d, b)};
}

/* A^T m */
static inline vf2 winograd_out(vf a, vf b, vf c, vf d)
{
    return (vf2){vf_add(a, vf_add(b, c)), vf_add(vf_sub(b, c), d)};
}

/* A y */
static inline vf4 winograd_out_back(vf a, vf b)
{
    return (vf4){a, vf_add(a, b), vf_sub(a, b), b};
}

/* G w */
static inline vf4 winograd_weight(vf a, vf b, vf c)
{
    const vf half = vf_set(0.5f);
    const vf outer = vf_mul(half, vf_add(a, c));
    const vf middle = vf_mul(half, b);
    return (vf4){a, vf_add(outer, middle), vf_sub(outer, middle), c};
}

/* G^T u */
static inline vf3 winograd_weight_back(vf a, vf b, vf c, vf d)
{
    const vf half = vf_set(0.5f);
    const vf outer = vf_mul(half, vf_add(b, c));
    return (vf3){vf_add(a, outer), vf_mul(half, vf_sub(b, c)), vf_add(outer, d)};
}

#endif
