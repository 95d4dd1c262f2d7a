/* The vector primitives for AVX-512 F, BW, DQ and VL. */
#ifndef DFQI_KERNEL_X86_VEC_AVX512_H
#define DFQI_KERNEL_X86_VEC_AVX512_H

typedef __m512 vf;
typedef __mmask16 vm; /* one truth value per lane */

static inline vm vm_first(int64_t n) /* lanes 0..n-1, n <= 16 */
{
    return (vm)((1u << n) - 1u);
}

static inline vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline vf vf_load_n(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(vm_first(n), p);
}

static inline void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

static inline void vf_store_n(float *p, int64_t n, vf x)
{
    _mm512_mask_storeu_ps(p, vm_first(n), x);
}

static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

static inline vf vf_fma(vf a, vf b, vf c) /* a b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vf vf_fnma(vf a, vf b, vf c) /* c - a b */
{
    return _mm512_fnmadd_ps(a, b, c);
}

/* A NaN in b comes through. */
static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

static inline vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

static inline vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}

static inline vf vf_round(vf a) /* half to even */
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* a 2^n for integral n; a in [0.5, 2], result normal. */
static inline vf vf_scale2(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}

/* For normal a > 0: the power of two below it, as the exponent, and a divided by that. */
static inline vf vf_exponent(vf a)
{
    return _mm512_getexp_ps(a);
}

static inline vf vf_mantissa(vf a)
{
    return _mm512_getmant_ps(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
}

/* Comparisons are false for NaN. */
static inline vm vf_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

static inline vm vf_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}

static inline vm vf_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}

static inline vm vf_nan(vf a)
{
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}

static inline vm vm_and(vm a, vm b)
{
    return (vm)(a & b);
}

static inline unsigned vm_bits(vm a) /* bit i: lane i */
{
    return a;
}

static inline vf vf_select(vm m, vf yes, vf no)
{
    return _mm512_mask_blend_ps(m, no, yes);
}

static inline vf vf_keep(vm m, vf x) /* 0 where the mask is false */
{
    return _mm512_maskz_mov_ps(m, x);
}

static inline vf vf_drop(vm m, vf x) /* 0 where the mask is true */
{
    return _mm512_maskz_mov_ps((vm)~m, x);
}

static inline __m256 vf_low(vf x)
{
    return _mm512_castps512_ps256(x);
}

static inline __m256 vf_high(vf x)
{
    return _mm512_extractf32x8_ps(x, 1);
}

/* v[i][j] <-> v[j][i]: pairs, then quads of lanes, then quads of registers. */
static inline void vf_transpose(vf v[16])
{
    vf t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d a = _mm512_castps_pd(t[i + j]);
            __m512d b = _mm512_castps_pd(t[i + j + 2]);
            v[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            v[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    for (int j = 0; j < 4; j++) {
        t[j] = _mm512_shuffle_f32x4(v[j], v[j + 4], 0x88);
        t[j + 4] = _mm512_shuffle_f32x4(v[j + 8], v[j + 12], 0x88);
        t[j + 8] = _mm512_shuffle_f32x4(v[j], v[j + 4], 0xdd);
        t[j + 12] = _mm512_shuffle_f32x4(v[j + 8], v[j + 12], 0xdd);
    }
    for (int j = 0; j < 4; j++) {
        v[j] = _mm512_shuffle_f32x4(t[j], t[j + 4], 0x88);
        v[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 4], 0xdd);
        v[j + 4] = _mm512_shuffle_f32x4(t[j + 8], t[j + 12], 0x88);
        v[j + 12] = _mm512_shuffle_f32x4(t[j + 8], t[j + 12], 0xdd);
    }
}

#endif
