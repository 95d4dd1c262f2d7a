/* The float operations on a row that the float kernels (rows.c, elementwise.c) share with those
 * that make codes of the result (int_x86/rows.c), which must see the same bits. */
#ifndef DFQI_KERNEL_X86_FLOAT_ROWS_H
#define DFQI_KERNEL_X86_FLOAT_ROWS_H

#include <math.h>

#include "kernel/x86/vec.h"

/* The largest value of scale * x. NaN is ignored here; the sum then carries it to the whole row. */
static inline float row_scaled_max(int64_t cols, vf scale, const float *x)
{
    vf top = vf_set(-INFINITY);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_mul(scale, vf_load_tail(x + (i), c));                                            \
        top = vf_max((c) < VF ? vf_select(vm_first(c), v, top) : v, top);                          \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
    return vf_largest(top);
}

/* p = e^(scale x - top); returns the sum of each lane. p may be x. */
static inline vf row_scaled_exp(int64_t cols, vf scale, vf top, const float *x, float *p)
{
    vf sum = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf e = vf_exp(vf_sub(vf_mul(scale, vf_load_tail(x + (i), c)), top));                       \
        vf_store_tail(p + (i), c, e);                                                              \
        sum = vf_add(sum, (c) < VF ? vf_keep(vm_first(c), e) : e);                                 \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
    return sum;
}

static inline float row_mean(int64_t cols, const float *x)
{
    vf sum = vf_set(0.0f);
#define STEP(i, c) sum = vf_add(sum, vf_load_tail(x + (i), c))
    VF_LOOP(cols, STEP);
#undef STEP
    return vf_sum(sum) / (float)cols;
}

/* 1 / sqrt(variance + eps) */
static inline float row_rstd(int64_t cols, float eps, const float *x, float mean)
{
    const vf m = vf_set(mean);
    vf sum = vf_set(0.0f);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf d = vf_sub(vf_load_tail(x + (i), c), m);                                                \
        if ((c) < VF) d = vf_keep(vm_first(c), d);                                                 \
        sum = vf_fma(d, d, sum);                                                                   \
    } while (0)
    VF_LOOP(cols, STEP);
#undef STEP
    return 1.0f / sqrtf(vf_sum(sum) / (float)cols + eps);
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

/* gelu(x) = max(x, 0) - u (1 - Phi(u)) with u = |x|. The second term is even, at most 0.17, and 0
 * to float precision beyond 5.5. It is approximated as u (5.5 - u) P(u - 2.25) with the minimax
 * polynomial P of degree 15. Error 1.6e-7 absolute and, for |x| < 1, 6e-7 relative. */
static inline vf vf_gelu(vf x)
{
    static const float c[16] = {
        3.761373693e-03f,  -8.608618751e-03f, 8.338012733e-03f,  -4.047451541e-03f,
        6.430840585e-04f,  3.410821664e-04f,  -2.004841081e-04f, 1.852890091e-05f,
        1.597790651e-05f,  -5.063011940e-06f, -3.243054039e-07f, 3.803818629e-07f,
        -3.486611533e-08f, -1.069117950e-08f, 2.166378854e-09f,  -8.609463836e-11f};
    const vf end = vf_set(5.5f);
    vf u = vf_min(end, vf_abs(x));
    const vf v = vf_sub(u, vf_set(2.25f)), v2 = vf_mul(v, v), v4 = vf_mul(v2, v2);
    vf p[4]; /* c[k] + c[k + 4] v^4 + ..: shorter chains than one */
    for (int k = 0; k < 4; k++) {
        p[k] = vf_fma(vf_set(c[12 + k]), v4, vf_set(c[8 + k]));
        p[k] = vf_fma(p[k], v4, vf_set(c[4 + k]));
        p[k] = vf_fma(p[k], v4, vf_set(c[k]));
    }
    return vf_fnma(vf_mul(u, vf_sub(end, u)),
                   vf_fma(vf_fma(p[3], v, p[2]), v2, vf_fma(p[1], v, p[0])),
                   vf_max(vf_set(0.0f), x));
}

#endif
