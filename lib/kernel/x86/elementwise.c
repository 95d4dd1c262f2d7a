/* Elementwise slots. The result for an element does not depend on its lane in the vector. */
#include "kernel/x86/float_rows.h"
#include "kernel/x86/isa.h"

void ISA(add)(size_t n, const float *a, const float *b, float *y)
{
#define STEP(i, c)                                                                                 \
    vf_store_tail(y + (i), c, vf_add(vf_load_tail(a + (i), c), vf_load_tail(b + (i), c)))
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

void ISA(axpy)(size_t n, float alpha, const float *x, float *y)
{
    const vf s = vf_set(alpha);
#define STEP(i, c)                                                                                 \
    vf_store_tail(y + (i), c, vf_fma(s, vf_load_tail(x + (i), c), vf_load_tail(y + (i), c)))
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

void ISA(scale)(size_t n, float alpha, const float *x, float *y)
{
    const vf s = vf_set(alpha);
#define STEP(i, c) vf_store_tail(y + (i), c, vf_mul(s, vf_load_tail(x + (i), c)))
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

/* The slope is d for x < 0 and 1 - d else, where d = 1 - Phi(u) - u phi(u), u = |x|, is
 * approximated as (5.8 - u) P(u - 2.25), P minimax of degree 18. Error 3e-7. */
static inline vf gelu_slope(vf x)
{
    static const float c[19] = {
        -1.667316258e-02f, 2.268446051e-02f,  -4.297104198e-03f, -9.866680950e-03f,
        7.328623440e-03f,  -9.238432976e-04f, -1.046355697e-03f, 4.605345021e-04f,
        2.018532905e-05f,  -5.845479609e-05f, 9.944288649e-06f,  3.438866088e-06f,
        -1.384674420e-06f, -1.612887246e-08f, 8.559742781e-08f,  -1.186824417e-08f,
        -1.779456804e-09f, 6.132597763e-10f,  -4.699805128e-11f};
    const vf end = vf_set(5.8f);
    vf u = vf_min(end, vf_abs(x));
    vf v = vf_sub(u, vf_set(2.25f));
    vf d = vf_mul(vf_sub(end, u), vf_horner(vf_horner(vf_set(c[18]), c + 9, 9, v), c, 9, v));
    return vf_select(vf_lt(x, vf_set(0.0f)), d, vf_sub(vf_set(1.0f), d));
}

void ISA(gelu)(size_t n, const float *x, float *y)
{
    vf v[VF_CHAINS];
#define STEP(vectors, i, c)                                                                        \
    do {                                                                                           \
        VF_EACH(vectors) v[k] = vf_load_tail(x + (i) + k * VF, c);                                 \
        vf_gelu(vectors, v);                                                                       \
        VF_EACH(vectors) vf_store_tail(y + (i) + k * VF, c, v[k]);                                 \
    } while (0)
    VF_LOOP_CHAINS((int64_t)n, STEP);
#undef STEP
}

void ISA(gelu_bwd)(size_t n, const float *x, const float *dy, float *dx)
{
#define STEP(i, c)                                                                                 \
    vf_store_tail(dx + (i), c,                                                                     \
                  vf_mul(gelu_slope(vf_load_tail(x + (i), c)), vf_load_tail(dy + (i), c)))
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

/* s(z): with e = 2^-|z|, in [0, 1], nothing overflows. */
static inline __attribute__((always_inline)) void sigmoid_of(int vectors, vf z[VF_CHAINS])
{
    const vf one = vf_set(1.0f);
    vf e[VF_CHAINS];
    VF_EACH(vectors) e[k] = vf_mul(vf_abs(z[k]), vf_set(-LOG2_E));
    vf_exp2(vectors, e);
    VF_EACH(vectors)
    {
        const vf top = vf_select(vf_lt(z[k], vf_set(0.0f)), e[k], one);
        z[k] = vf_div(top, vf_add(one, e[k]));
    }
}

void ISA(sigmoid)(size_t n, float a, float b, int gate, const float *x, float *y)
{
    const vf linear = vf_set(a), cubic = vf_set(b), one = vf_set(1.0f);
    const int bends = b != 0.0f;
    vf v[VF_CHAINS], z[VF_CHAINS];
#define STEP(vectors, i, c)                                                                        \
    do {                                                                                           \
        VF_EACH(vectors) v[k] = vf_load_tail(x + (i) + k * VF, c);                                 \
        VF_EACH(vectors) z[k] = bends ? vf_fma(vf_mul(v[k], v[k]), cubic, linear) : linear;        \
        VF_EACH(vectors) z[k] = vf_mul(z[k], v[k]);                                                \
        sigmoid_of(vectors, z);                                                                    \
        VF_EACH(vectors)                                                                           \
        vf_store_tail(y + (i) + k * VF, c, vf_mul(z[k], gate ? v[k] : one));                       \
    } while (0)
    VF_LOOP_CHAINS((int64_t)n, STEP);
#undef STEP
}

void ISA(relu)(size_t n, float cap, const float *x, float *y)
{
    const vf low = vf_set(0.0f);
    const vf high = vf_set(cap);
#define STEP(i, c) vf_store_tail(y + (i), c, vf_min(high, vf_max(low, vf_load_tail(x + (i), c))))
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

void ISA(relu_bwd)(size_t n, float cap, const float *x, const float *dy, float *dx)
{
    const vf low = vf_set(0.0f);
    const vf high = vf_set(cap);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_load_tail(x + (i), c);                                                           \
        vm open = vm_and(vf_lt(low, v), vf_lt(v, high));                                           \
        vf_store_tail(dx + (i), c, vf_keep(open, vf_load_tail(dy + (i), c)));                      \
    } while (0)
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

void ISA(leaky_relu)(size_t n, float slope, const float *x, float *y)
{
    const vf zero = vf_set(0.0f);
    const vf s = vf_set(slope);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf v = vf_load_tail(x + (i), c);                                                           \
        vf_store_tail(y + (i), c, vf_select(vf_lt(v, zero), vf_mul(s, v), v));                     \
    } while (0)
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}

void ISA(leaky_relu_bwd)(size_t n, float slope, const float *x, const float *dy, float *dx)
{
    const vf zero = vf_set(0.0f);
    const vf s = vf_set(slope);
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        vf d = vf_load_tail(dy + (i), c);                                                          \
        vm up = vf_lt(zero, vf_load_tail(x + (i), c));                                             \
        vf_store_tail(dx + (i), c, vf_select(up, d, vf_mul(s, d)));                                \
    } while (0)
    VF_LOOP((int64_t)n, STEP);
#undef STEP
}
