/* The float operations on a row that the float kernels (rows.c, elementwise.c) share with those
 * that make codes of the result (int_x86/rows.c), which must see the same bits. */
#ifndef DFQI_KERNEL_X86_FLOAT_ROWS_H
#define DFQI_KERNEL_X86_FLOAT_ROWS_H

#include <math.h>

#include "kernel/x86/curves.h"

/* The largest value of scale * x. NaN is ignored here; the sum then carries it to the whole row. */
static inline float row_scaled_max(int64_t cols, vf scale, const float *x)
{
    vf top[VF_CHAINS];
    vf_chains_set(top, -INFINITY);
#define STEP(vectors, i, c)                                                                        \
    VF_EACH(vectors)                                                                               \
    {                                                                                              \
        const vf v = vf_mul(scale, vf_load_tail(x + (i) + k * VF, c));                             \
        top[k] = vf_max((c) < VF ? vf_select(vm_first(c), v, top[k]) : v, top[k]);                 \
    }
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return vf_largest(vf_max(vf_max(top[0], top[1]), vf_max(top[2], top[3])));
}

/* p = 2^(scale x - top); returns the sum of each lane. p may be x. */
static inline vf row_scaled_exp2(int64_t cols, vf scale, vf top, const float *x, float *p)
{
    vf sum[VF_CHAINS], e[VF_CHAINS];
    vf_chains_set(sum, 0.0f);
#define STEP(vectors, i, c)                                                                        \
    do {                                                                                           \
        VF_EACH(vectors)                                                                           \
        e[k] = vf_sub(vf_mul(scale, vf_load_tail(x + (i) + k * VF, c)), top);                      \
        vf_exp2(vectors, e);                                                                       \
        VF_EACH(vectors) vf_store_tail(p + (i) + k * VF, c, e[k]);                                 \
        VF_EACH(vectors)                                                                           \
        sum[k] = vf_add(sum[k], (c) < VF ? vf_keep(vm_first(c), e[k]) : e[k]);                     \
    } while (0)
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return vf_chains_sum(sum);
}

static inline float row_mean(int64_t cols, const float *x)
{
    vf sum[VF_CHAINS];
    vf_chains_set(sum, 0.0f);
#define STEP(vectors, i, c)                                                                        \
    VF_EACH(vectors) sum[k] = vf_add(sum[k], vf_load_tail(x + (i) + k * VF, c))
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return vf_sum(vf_chains_sum(sum)) / (float)cols;
}

/* 1 / sqrt(variance + eps) */
static inline float row_rstd(int64_t cols, float eps, const float *x, float mean)
{
    const vf m = vf_set(mean);
    vf sum[VF_CHAINS];
    vf_chains_set(sum, 0.0f);
#define STEP(vectors, i, c)                                                                        \
    VF_EACH(vectors)                                                                               \
    {                                                                                              \
        vf d = vf_sub(vf_load_tail(x + (i) + k * VF, c), m);                                       \
        if ((c) < VF) d = vf_keep(vm_first(c), d);                                                 \
        sum[k] = vf_fma(d, d, sum[k]);                                                             \
    }
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return 1.0f / sqrtf(vf_sum(vf_chains_sum(sum)) / (float)cols + eps);
}

/* LayerNorm of sixteen values. */
static inline vf row_normalized(vf mean, vf rstd, vf x, vf gamma, vf beta)
{
    return vf_fma(vf_mul(vf_sub(x, mean), rstd), gamma, beta);
}

/* Goes on with a polynomial whose higher part, divided by x^n, is p: adds c[0..n-1]. Loops of more
 * than 16 steps would not be unrolled. */
static inline vf vf_horner(vf p, const float *c, int n, vf x)
{
    for (int i = n - 1; i >= 0; i--) p = vf_fma(p, x, vf_set(c[i]));
    return p;
}

#endif
