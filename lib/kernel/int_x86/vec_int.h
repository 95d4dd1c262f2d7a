/* Vectors of sixteen int32, beside the sixteen floats of x86/vec.h, and codes
 * of floats. */
#ifndef DFQI_INT_X86_VEC_INT_H
#define DFQI_INT_X86_VEC_INT_H

#include <string.h>

#include "kernel/x86/vec.h"

#if defined(__AVX512F__)
typedef __m512i vi;

static inline vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

static inline vi vi_load(const int32_t *p)
{
    return _mm512_loadu_si512(p);
}

static inline void vi_store(int32_t *p, vi x)
{
    _mm512_storeu_si512(p, x);
}

static inline vi vi_load_n(const int32_t *p, int64_t n)
{
    return _mm512_maskz_loadu_epi32(vm_first(n), p);
}

static inline vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}

static inline vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}

static inline vi vi_mul(vi a, vi b)
{
    return _mm512_mullo_epi32(a, b);
}

static inline vf vi_to_float(vi a)
{
    return _mm512_cvtepi32_ps(a);
}

/* Sixteen codes in bytes, of which the last ones are 0. */
static inline vi vi_load_codes(const uint8_t *p, int64_t n)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vm_first(n), p));
}

/* The low bytes of whole numbers in -128 .. 255. */
static inline __m128i vf_to_codes(vf x)
{
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
}

static inline void codes_store_n(uint8_t *p, int64_t n, __m128i codes)
{
    _mm_mask_storeu_epi8(p, vm_first(n), codes);
}
#else
typedef struct vi {
    __m256i a, b; /* lanes 0..7, 8..15 */
} vi;

static inline vi vi_set(int32_t x)
{
    return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

static inline vi vi_load(const int32_t *p)
{
    return (vi){_mm256_loadu_si256((const __m256i *)(const void *)p),
                _mm256_loadu_si256((const __m256i *)(const void *)(p + 8))};
}

static inline void vi_store(int32_t *p, vi x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, x.a);
    _mm256_storeu_si256((__m256i *)(void *)(p + 8), x.b);
}

static inline vi vi_load_n(const int32_t *p, int64_t n)
{
    vi x = {_mm256_maskload_epi32(p, vm_first_half(n)), _mm256_setzero_si256()};
    if (n > 8) x.b = _mm256_maskload_epi32(p + 8, vm_first_half(n - 8));
    return x;
}

static inline vi vi_add(vi a, vi b)
{
    return (vi){_mm256_add_epi32(a.a, b.a), _mm256_add_epi32(a.b, b.b)};
}

static inline vi vi_sub(vi a, vi b)
{
    return (vi){_mm256_sub_epi32(a.a, b.a), _mm256_sub_epi32(a.b, b.b)};
}

static inline vi vi_mul(vi a, vi b)
{
    return (vi){_mm256_mullo_epi32(a.a, b.a), _mm256_mullo_epi32(a.b, b.b)};
}

static inline vf vi_to_float(vi a)
{
    return (vf){_mm256_cvtepi32_ps(a.a), _mm256_cvtepi32_ps(a.b)};
}

static inline vi vi_load_codes(const uint8_t *p, int64_t n)
{
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, (size_t)n);
    __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    return (vi){_mm256_cvtepu8_epi32(codes), _mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8))};
}

static inline __m128i vf_to_codes(vf x)
{
    const __m256i low = _mm256_set1_epi32(255);
    __m256i a = _mm256_and_si256(_mm256_cvtps_epi32(x.a), low);
    __m256i b = _mm256_and_si256(_mm256_cvtps_epi32(x.b), low);
    __m256i half = _mm256_packus_epi32(a, b); /* a0-3 b0-3 a4-7 b4-7 */
    half = _mm256_permute4x64_epi64(half, 0xd8);
    return _mm_packus_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

static inline void codes_store_n(uint8_t *p, int64_t n, __m128i codes)
{
    uint8_t bytes[16];
    _mm_storeu_si128((__m128i *)(void *)bytes, codes);
    memcpy(p, bytes, (size_t)n);
}
#endif

/* Adds to lane i the products of codes 4 i .. 4 i + 3: x unsigned, w signed. */
#if defined(__AVX512VNNI__)
static inline vi vi_dot(vi sum, const uint8_t *x, const uint8_t *w)
{
    return _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(x), _mm512_loadu_si512(w));
}
#else
static inline __m256i half_dot(__m256i sum, __m256i x, __m256i w)
{
#if defined(__AVXVNNI__)
    return _mm256_dpbusd_avx_epi32(sum, x, w);
#else
    /* vpmaddubsw would saturate; so even and odd codes apart, in 16 bits */
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(255)),
                                           _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
#endif
}

static inline vi vi_dot(vi sum, const uint8_t *x, const uint8_t *w)
{
    const vi a = vi_load((const int32_t *)(const void *)x);
    const vi b = vi_load((const int32_t *)(const void *)w);
    return (vi){half_dot(sum.a, a.a, b.a), half_dot(sum.b, a.b, b.b)};
}
#endif

/* Four vectors of sixteen codes become one of groups: out[i][p] = c[p][i]. */
static inline void codes_store_group(const __m128i c[4], uint8_t *out)
{
    const __m128i low = _mm_unpacklo_epi8(c[0], c[1]), low2 = _mm_unpacklo_epi8(c[2], c[3]);
    const __m128i high = _mm_unpackhi_epi8(c[0], c[1]), high2 = _mm_unpackhi_epi8(c[2], c[3]);
    __m128i *to = (__m128i *)(void *)out;
    _mm_storeu_si128(to, _mm_unpacklo_epi16(low, low2));
    _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(low, low2));
    _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(high, high2));
    _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(high, high2));
}

static inline vi vi_load_tail(const int32_t *p, int64_t n)
{
    return n >= VF ? vi_load(p) : vi_load_n(p, n);
}

static inline void codes_store_tail(uint8_t *p, int64_t n, __m128i codes)
{
    if (n >= VF)
        _mm_storeu_si128((__m128i *)(void *)p, codes);
    else
        codes_store_n(p, n, codes);
}

/* A uniform grid, for whole codes from 0 on: code - qmin. NaN gets 0. */
typedef struct grid_static {
    vf scale, zero_point, qmin, qmax;
} grid_static;

static inline vf grid_static_code(const grid_static *g, vf x)
{
    vf code = vf_round(vf_add(vf_div(x, g->scale), g->zero_point));
    return vf_sub(vf_min(vf_max(code, g->qmin), g->qmax), g->qmin);
}

#endif
