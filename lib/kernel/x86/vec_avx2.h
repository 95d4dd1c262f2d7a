/* The vector primitives for AVX2 and FMA, on pairs of registers. */
#ifndef DFQI_KERNEL_X86_VEC_AVX2_H
#define DFQI_KERNEL_X86_VEC_AVX2_H

typedef struct vf {
    __m256 a, b; /* lanes 0..7, 8..15 */
} vf;
typedef vf vm; /* all bits of a lane set: true */

#define VF2(op, x, y)     ((vf){op((x).a, (y).a), op((x).b, (y).b)})
#define VF3(op, x, y, z)  ((vf){op((x).a, (y).a, (z).a), op((x).b, (y).b, (z).b)})
#define VF_CMP(x, y, how) ((vm){_mm256_cmp_ps((x).a, (y).a, how), _mm256_cmp_ps((x).b, (y).b, how)})

static inline __m256i vm_first_half(int64_t n) /* lanes 0..n-1 of 8 */
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes);
}

static inline vm vm_first(int64_t n)
{
    return (vm){_mm256_castsi256_ps(vm_first_half(n)), _mm256_castsi256_ps(vm_first_half(n - 8))};
}

static inline vf vf_set(float x)
{
    return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

static inline vf vf_load(const float *p)
{
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static inline vf vf_load_n(const float *p, int64_t n)
{
    vf x = {_mm256_maskload_ps(p, vm_first_half(n)), _mm256_setzero_ps()};
    if (n > 8) x.b = _mm256_maskload_ps(p + 8, vm_first_half(n - 8));
    return x;
}

static inline void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}

static inline void vf_store_n(float *p, int64_t n, vf x)
{
    _mm256_maskstore_ps(p, vm_first_half(n), x.a);
    if (n > 8) _mm256_maskstore_ps(p + 8, vm_first_half(n - 8), x.b);
}

static inline vf vf_add(vf a, vf b)
{
    return VF2(_mm256_add_ps, a, b);
}

static inline vf vf_sub(vf a, vf b)
{
    return VF2(_mm256_sub_ps, a, b);
}

static inline vf vf_mul(vf a, vf b)
{
    return VF2(_mm256_mul_ps, a, b);
}

static inline vf vf_div(vf a, vf b)
{
    return VF2(_mm256_div_ps, a, b);
}

static inline vf vf_fma(vf a, vf b, vf c) /* a b + c */
{
    return VF3(_mm256_fmadd_ps, a, b, c);
}

static inline vf vf_fnma(vf a, vf b, vf c) /* c - a b */
{
    return VF3(_mm256_fnmadd_ps, a, b, c);
}

/* A NaN in b comes through. */
static inline vf vf_min(vf a, vf b)
{
    return VF2(_mm256_min_ps, a, b);
}

static inline vf vf_max(vf a, vf b)
{
    return VF2(_mm256_max_ps, a, b);
}

static inline vf vf_abs(vf a)
{
    vf sign = vf_set(-0.0f);
    return VF2(_mm256_andnot_ps, sign, a);
}

static inline vf vf_round(vf a) /* half to even */
{
    enum { HOW = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
    return (vf){_mm256_round_ps(a.a, HOW), _mm256_round_ps(a.b, HOW)};
}

static inline __m256 vf_scale2_half(__m256 a, __m256 n)
{
    __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), shift));
}

/* a 2^n for integral n; a in [0.5, 2], result normal. */
static inline vf vf_scale2(vf a, vf n)
{
    return VF2(vf_scale2_half, a, n);
}

static inline __m256 vf_exponent_half(__m256 a)
{
    __m256i e = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(e, _mm256_set1_epi32(127)));
}

/* For normal a > 0: the power of two below it, as the exponent, and a divided by that. */
static inline vf vf_exponent(vf a)
{
    return (vf){vf_exponent_half(a.a), vf_exponent_half(a.b)};
}

static inline vf vf_mantissa(vf a)
{
    vf bits = vf_set(1.0f); /* exponent of 1, and all bits of the fraction */
    vf fraction = {_mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff)),
                   _mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff))};
    a = VF2(_mm256_and_ps, a, fraction);
    return VF2(_mm256_or_ps, a, bits);
}

/* Comparisons are false for NaN. */
static inline vm vf_lt(vf a, vf b)
{
    return VF_CMP(a, b, _CMP_LT_OQ);
}

static inline vm vf_le(vf a, vf b)
{
    return VF_CMP(a, b, _CMP_LE_OQ);
}

static inline vm vf_eq(vf a, vf b)
{
    return VF_CMP(a, b, _CMP_EQ_OQ);
}

static inline vm vf_nan(vf a)
{
    return VF_CMP(a, a, _CMP_UNORD_Q);
}

static inline vm vm_and(vm a, vm b)
{
    return VF2(_mm256_and_ps, a, b);
}

static inline unsigned vm_bits(vm a) /* bit i: lane i */
{
    return (unsigned)_mm256_movemask_ps(a.a) | (unsigned)_mm256_movemask_ps(a.b) << 8;
}

static inline vf vf_select(vm m, vf yes, vf no)
{
    return VF3(_mm256_blendv_ps, no, yes, m);
}

static inline vf vf_keep(vm m, vf x) /* 0 where the mask is false */
{
    return VF2(_mm256_and_ps, m, x);
}

static inline vf vf_drop(vm m, vf x) /* 0 where the mask is true */
{
    return VF2(_mm256_andnot_ps, m, x);
}

static inline __m256 vf_low(vf x)
{
    return x.a;
}

static inline __m256 vf_high(vf x)
{
    return x.b;
}

static inline void transpose8(__m256 v[8])
{
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            v[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
            v[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
        }
    for (int j = 0; j < 4; j++) {
        t[j] = _mm256_permute2f128_ps(v[j], v[j + 4], 0x20);
        t[j + 4] = _mm256_permute2f128_ps(v[j], v[j + 4], 0x31);
    }
    for (int j = 0; j < 8; j++) v[j] = t[j];
}

/* v[i][j] <-> v[j][i], as four blocks of 8 x 8. */
static inline void vf_transpose(vf v[16])
{
    __m256 q[4][8];
    for (int i = 0; i < 8; i++) {
        q[0][i] = v[i].a;
        q[1][i] = v[i].b;
        q[2][i] = v[i + 8].a;
        q[3][i] = v[i + 8].b;
    }
    for (int i = 0; i < 4; i++) transpose8(q[i]);
    for (int i = 0; i < 8; i++) {
        v[i] = (vf){q[0][i], q[2][i]};
        v[i + 8] = (vf){q[1][i], q[3][i]};
    }
}

#endif
