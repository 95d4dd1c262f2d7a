/* Exponentials and GELU of sixteen values. AVX-512 has piecewise polynomials of low degree, whose
 * coefficients it looks up in registers; AVX2 has one polynomial for all. */
#ifndef DFQI_KERNEL_X86_CURVES_H
#define DFQI_KERNEL_X86_CURVES_H

#include "kernel/x86/vec.h"

/* e^x = 2^(x LOG2_E) */
#define LOG2_E 1.44269504f

/* The number of vectors becomes a constant. */
#define CURVE static inline __attribute__((always_inline))

#if defined(__AVX512F__)

/* Adding it rounds a number that is not too large to a multiple of 2^-bits, and the lowest bits of
 * the sum count these multiples. */
#define VF_COUNTING(bits) vf_set(0x1.8p23f / (float)(1 << (bits)))

/* Entry `at` mod 16. */
static inline vf vf_look_up(const float table[16], vf at)
{
    return _mm512_permutexvar_ps(_mm512_castps_si512(at), vf_load(table));
}

/* 2^x for x <= 0, relative error below 2e-7; 0 below -126, where the result would lose bits.
 * 2^(j / 16) from a table, times 2^r with |r| <= 1/32 of degree 3. */
CURVE void vf_exp2(int vectors, vf x[VF_CHAINS])
{
    static const float powers[16] = {
        1.000000000e+00f, 1.044273782e+00f, 1.090507733e+00f, 1.138788635e+00f,
        1.189207115e+00f, 1.241857812e+00f, 1.296839555e+00f, 1.354255547e+00f,
        1.414213562e+00f, 1.476826146e+00f, 1.542210825e+00f, 1.610490332e+00f,
        1.681792831e+00f, 1.756252160e+00f, 1.834008086e+00f, 1.915206561e+00f};
    vf n[VF_CHAINS], r[VF_CHAINS], p[VF_CHAINS], power[VF_CHAINS];
    VF_EACH(vectors) power[k] = vf_add(x[k], VF_COUNTING(4));
    VF_EACH(vectors) n[k] = vf_sub(power[k], VF_COUNTING(4));
    VF_EACH(vectors) r[k] = vf_sub(x[k], n[k]);
    VF_EACH(vectors) power[k] = vf_look_up(powers, power[k]);
    VF_EACH(vectors) p[k] = vf_fma(vf_set(5.550410866e-02f), r[k], vf_set(2.402265070e-01f));
    VF_EACH(vectors) p[k] = vf_fma(p[k], r[k], vf_set(6.931471806e-01f));
    VF_EACH(vectors) p[k] = vf_fma(p[k], r[k], vf_set(1.0f));
    VF_EACH(vectors)
    {
        const vm above = _mm512_cmp_ps_mask(x[k], vf_set(-126.0f), _CMP_NLT_UQ); /* or NaN */
        x[k] = _mm512_maskz_scalef_ps(above, vf_mul(p[k], power[k]), n[k]);
    }
}

/* gelu(x) = max(x, 0) - u (1 - Phi(u)) with u = |x|. In units of 0.39, u is n + r with |r| <= 1/2,
 * and 1 - Phi(u) is a polynomial in r of degree 4 for each n; from 5.65 on it is 0. Error 2e-7
 * absolute and, for |x| < 1, 6e-7 relative. */
CURVE void vf_gelu(int vectors, vf x[VF_CHAINS])
{
    static const float c[5][16] = {
        {1.949999928e-01f, 1.358246207e-01f, 8.490122110e-02f, 4.719018936e-02f, 2.315817773e-02f,
         9.979343042e-03f, 3.760329215e-03f, 1.235019299e-03f, 3.526595247e-04f, 8.738080214e-05f,
         1.875757334e-05f, 3.484125727e-06f, 5.594060895e-07f, 7.757406451e-08f, 9.284624625e-09f,
         0.000000000e+00f},
        {-6.067891046e-02f, -5.623513460e-02f, -4.476384073e-02f, -3.060496226e-02f,
         -1.797210798e-02f, -9.064537473e-03f, -3.926699981e-03f, -1.460966188e-03f,
         -4.668495676e-04f, -1.281241712e-04f, -3.019912583e-05f, -6.113046766e-06f,
         -1.062700107e-06f, -1.586506500e-07f, -2.033940305e-08f, 0.000000000e+00f},
        {-3.369310889e-06f, 4.276643973e-03f, 6.808494218e-03f, 6.982407067e-03f, 5.467021838e-03f,
         3.446757793e-03f, 1.791775692e-03f, 7.777895080e-04f, 2.840688976e-04f, 8.771655848e-05f,
         2.297616447e-05f, 5.117274668e-06f, 9.707837307e-07f, 1.570734582e-07f, 2.169824143e-08f,
         0.000000000e+00f},
        {1.557130250e-03f, 1.201618114e-03f, 4.451115383e-04f, -2.800798975e-04f, -6.469947984e-04f,
         -6.410346832e-04f, -4.455284798e-04f, -2.402079990e-04f, -1.044887613e-04f,
         -3.740360626e-05f, -1.114597762e-05f, -2.785323886e-06f, -5.866262427e-07f,
         -1.045035987e-07f, -1.578844788e-08f, 0.000000000e+00f},
        {-4.343580804e-05f, -1.532227616e-04f, -2.051267074e-04f, -1.439094340e-04f,
         -3.961999755e-05f, 3.446819755e-05f, 5.587049236e-05f, 4.383560372e-05f, 2.431831490e-05f,
         1.043934481e-05f, 3.599789807e-06f, 1.016852025e-06f, 2.380805881e-07f, 4.656102703e-08f,
         7.646888456e-09f, 0.000000000e+00f}};
    vf u[VF_CHAINS], at[VF_CHAINS], r[VF_CHAINS], p[VF_CHAINS];
    VF_EACH(vectors) u[k] = vf_min(vf_set(15.0f), vf_abs(vf_mul(x[k], vf_set(1.0f / 0.39f))));
    VF_EACH(vectors) at[k] = vf_add(u[k], VF_COUNTING(0));
    VF_EACH(vectors) r[k] = vf_sub(u[k], vf_sub(at[k], VF_COUNTING(0)));
    VF_EACH(vectors) p[k] = vf_look_up(c[4], at[k]);
    for (int i = 3; i >= 0; i--)
        VF_EACH(vectors) p[k] = vf_fma(p[k], r[k], vf_look_up(c[i], at[k]));
    VF_EACH(vectors) x[k] = vf_fnma(u[k], p[k], vf_max(vf_set(0.0f), x[k]));
}

#else

/* 2^x for x <= 0, relative error below 2e-7; 0 below -126, where the result would lose bits. */
static inline vf one_exp2(vf x)
{
    const vf lowest = vf_set(-126.0f), v = vf_max(lowest, x), n = vf_round(v);
    const vf r = vf_mul(vf_sub(v, n), vf_set(6.931471806e-01f));
    vf p = vf_set(1.381461276e-03f);
    p = vf_fma(p, r, vf_set(8.368710056e-03f));
    p = vf_fma(p, r, vf_set(4.166838899e-02f));
    p = vf_fma(p, r, vf_set(1.666652113e-01f));
    p = vf_fma(p, r, vf_set(4.999999404e-01f));
    p = vf_fma(p, vf_mul(r, r), vf_add(r, vf_set(1.0f)));
    return vf_drop(vf_lt(x, lowest), vf_scale2(p, n));
}

CURVE void vf_exp2(int vectors, vf x[VF_CHAINS])
{
    VF_EACH(vectors) x[k] = one_exp2(x[k]);
}

/* gelu(x) = max(x, 0) - u (1 - Phi(u)) with u = |x|. The second term is even, at most 0.17, and 0
 * to float precision beyond 5.5. It is approximated as u (5.5 - u) P(u - 2.25) with the minimax
 * polynomial P of degree 15. Error 1.6e-7 absolute and, for |x| < 1, 6e-7 relative. */
static inline vf one_gelu(vf x)
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

CURVE void vf_gelu(int vectors, vf x[VF_CHAINS])
{
    VF_EACH(vectors) x[k] = one_gelu(x[k]);
}

#endif

#endif
