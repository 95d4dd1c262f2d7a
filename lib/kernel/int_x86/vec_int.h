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

static inline vi vi_max(vi a, vi b)
{
    return _mm512_max_epi32(a, b);
}

/* The low bytes of four lanes beside each other. */
static inline vi vi_bytes(const vi n[4])
{
    const __m512i low = _mm512_set1_epi32(255);
    const __m512i a = _mm512_and_si512(n[0], low), b = _mm512_and_si512(n[1], low);
    const __m512i c = _mm512_and_si512(n[2], low);
    return _mm512_or_si512(_mm512_or_si512(a, _mm512_slli_epi32(b, 8)),
                           _mm512_or_si512(_mm512_slli_epi32(c, 16), _mm512_slli_epi32(n[3], 24)));
}

static inline vf vi_to_float(vi a)
{
    return _mm512_cvtepi32_ps(a);
}

/* Sixteen codes in bytes; n: all others are 0. */
static inline vi vi_load_codes(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline vi vi_load_codes_n(const uint8_t *p, int64_t n)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vm_first(n), p));
}

static inline vi vi_round(vf a) /* half to even; NaN and what does not fit: INT32_MIN */
{
    return _mm512_cvtps_epi32(a);
}

/* a less the nearest whole number */
static inline vf vf_off(vf a)
{
    return _mm512_reduce_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* The larger magnitude; that of the other where one is NaN. */
static inline vf vf_largest_off(vf a, vf b)
{
    return _mm512_range_ps(a, b, 0xb);
}

/* Four vectors of codes. */
typedef __m512i v64;

/* The bytes of n + offset, clamped to 0 .. 255 (is_signed: -128 .. 127); small numbers. Each 128
 * bits of the result have those of the four vectors. */
static inline v64 v64_pack_lanes(const vi n[4], int offset, int is_signed)
{
    const __m512i by = _mm512_set1_epi16((int16_t)offset);
    const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(n[0], n[1]), by);
    const __m512i b = _mm512_adds_epi16(_mm512_packs_epi32(n[2], n[3]), by);
    return is_signed ? _mm512_packs_epi16(a, b) : _mm512_packus_epi16(a, b);
}

/* The same, one vector behind the other. */
static inline v64 v64_pack(const vi n[4], int offset, int is_signed)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, v64_pack_lanes(n, offset, is_signed));
}

/* At most `most`, unsigned. */
static inline v64 v64_min(v64 a, int most)
{
    return _mm512_min_epu8(a, _mm512_set1_epi8((char)most));
}

/* At least `least`, signed. */
static inline v64 v64_max(v64 a, int least)
{
    return _mm512_max_epi8(a, _mm512_set1_epi8((char)least));
}

static inline void v64_store(uint8_t *p, int64_t n, v64 a) /* the first n, at most 64 */
{
    if (n >= 64)
        _mm512_storeu_si512(p, a);
    else
        _mm512_mask_storeu_epi8(p, _cvtu64_mask64(~(~0ull << n)), a);
}

/* Vector i, its first n codes. */
static inline void v64_store_part(uint8_t *p, int64_t n, v64 a, int i)
{
    const __m128i part = i == 0   ? _mm512_castsi512_si128(a)
                         : i == 1 ? _mm512_extracti32x4_epi32(a, 1)
                         : i == 2 ? _mm512_extracti32x4_epi32(a, 2)
                                  : _mm512_extracti32x4_epi32(a, 3);
    if (n >= VF)
        _mm_storeu_si128((__m128i *)(void *)p, part);
    else
        _mm_mask_storeu_epi8(p, vm_first(n), part);
}

/* Vectors 2 i and 2 i + 1. */
static inline void v64_store_two(uint8_t *p, v64 a, int i)
{
    _mm256_storeu_si256((__m256i *)(void *)p,
                        i ? _mm512_extracti64x4_epi64(a, 1) : _mm512_castsi512_si256(a));
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

static inline vi vi_max(vi a, vi b)
{
    return (vi){_mm256_max_epi32(a.a, b.a), _mm256_max_epi32(a.b, b.b)};
}

static inline __m256i half_bytes(__m256i n, __m256i m, __m256i k, __m256i l)
{
    const __m256i low = _mm256_set1_epi32(255);
    n = _mm256_and_si256(n, low);
    m = _mm256_slli_epi32(_mm256_and_si256(m, low), 8);
    k = _mm256_slli_epi32(_mm256_and_si256(k, low), 16);
    l = _mm256_slli_epi32(l, 24);
    return _mm256_or_si256(_mm256_or_si256(n, m), _mm256_or_si256(k, l));
}

static inline vi vi_bytes(const vi n[4])
{
    return (vi){half_bytes(n[0].a, n[1].a, n[2].a, n[3].a),
                half_bytes(n[0].b, n[1].b, n[2].b, n[3].b)};
}

static inline vf vi_to_float(vi a)
{
    return (vf){_mm256_cvtepi32_ps(a.a), _mm256_cvtepi32_ps(a.b)};
}

static inline vi vi_load_codes(const uint8_t *p)
{
    const __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (vi){_mm256_cvtepu8_epi32(codes), _mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8))};
}

static inline vi vi_load_codes_n(const uint8_t *p, int64_t n)
{
    uint8_t bytes[16] = {0};
    memcpy(bytes, p, (size_t)n);
    return vi_load_codes(bytes);
}

static inline vi vi_round(vf a)
{
    return (vi){_mm256_cvtps_epi32(a.a), _mm256_cvtps_epi32(a.b)};
}

static inline vf vf_off(vf a)
{
    return vf_sub(a, vf_round(a));
}

static inline vf vf_largest_off(vf a, vf b)
{
    return vf_max(vf_abs(a), vf_max(vf_abs(b), vf_set(0.0f))); /* vf_max: for NaN the second one */
}

typedef struct v64 {
    __m256i a, b; /* codes 0..31, 32..63 */
} v64;

static inline __m256i half_pack(vi n, vi m, int offset, int is_signed)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i by = _mm256_set1_epi16((int16_t)offset);
    const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(n.a, n.b), by);
    const __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(m.a, m.b), by);
    return _mm256_permutevar8x32_epi32(
        is_signed ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b), order);
}

static inline v64 v64_pack(const vi n[4], int offset, int is_signed)
{
    return (v64){half_pack(n[0], n[1], offset, is_signed),
                 half_pack(n[2], n[3], offset, is_signed)};
}

static inline v64 v64_min(v64 a, int most)
{
    const __m256i m = _mm256_set1_epi8((char)most);
    return (v64){_mm256_min_epu8(a.a, m), _mm256_min_epu8(a.b, m)};
}

static inline v64 v64_max(v64 a, int least)
{
    const __m256i m = _mm256_set1_epi8((char)least);
    return (v64){_mm256_max_epi8(a.a, m), _mm256_max_epi8(a.b, m)};
}

static inline void v64_store(uint8_t *p, int64_t n, v64 a)
{
    uint8_t bytes[64];
    uint8_t *to = n >= 64 ? p : bytes;
    _mm256_storeu_si256((__m256i *)(void *)to, a.a);
    _mm256_storeu_si256((__m256i *)(void *)(to + 32), a.b);
    if (n < 64) memcpy(p, bytes, (size_t)n);
}

static inline void v64_store_part(uint8_t *p, int64_t n, v64 a, int i)
{
    const __m256i half = i < 2 ? a.a : a.b;
    uint8_t bytes[16];
    uint8_t *to = n >= VF ? p : bytes;
    _mm_storeu_si128((__m128i *)(void *)to,
                     i % 2 ? _mm256_extracti128_si256(half, 1) : _mm256_castsi256_si128(half));
    if (n < VF) memcpy(p, bytes, (size_t)n);
}

static inline void v64_store_two(uint8_t *p, v64 a, int i)
{
    _mm256_storeu_si256((__m256i *)(void *)p, i ? a.b : a.a);
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

#endif
