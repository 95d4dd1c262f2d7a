/* Loading and transposing blocks of 16 x 16 floats in registers. */
#ifndef DFQI_KERNEL_X86_BLOCK_H
#define DFQI_KERNEL_X86_BLOCK_H

#include "kernel/x86/vec.h"

static inline int64_t at_most_16(int64_t n)
{
    return n < VF ? n : VF;
}

/* Loads r rows of c columns (both <= 16) and transposes; missing elements are 0. */
static inline void load_block(int64_t r, int64_t c, const float *in, int64_t ld_in, vf v[16])
{
    if (r == VF && c == VF) {
        for (int i = 0; i < VF; i++) v[i] = vf_load(in + i * ld_in);
    } else {
        for (int i = 0; i < VF; i++) v[i] = i < r ? vf_load_tail(in + i * ld_in, c) : vf_set(0.0f);
    }
    vf_transpose(v);
}

#endif
