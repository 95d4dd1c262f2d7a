/* A vector of sixteen floats: one AVX-512 register or two AVX2 registers. Sums over lanes run in
 * one fixed order, so both give the same bits. This file is compiled once per instruction set,
 * which DFQI_ISA names. */
#ifndef DFQI_KERNEL_X86_VEC_H
#define DFQI_KERNEL_X86_VEC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { VF = 16 };

#if defined(__AVX512F__)
#include "kernel/x86/vec_avx512.h"
#else
#include "kernel/x86/vec_avx2.h"
#endif

static inline __m128 vf_fold_add(vf x)
{
    __m256 h = _mm256_add_ps(vf_low(x), vf_high(x));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

/* The sum of all lanes: lane i + lane i+8, then +4, +2, +1. */
static inline float vf_sum(vf x)
{
    __m128 q = vf_fold_add(x);
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

static inline float vf_largest(vf x)
{
    __m256 h = _mm256_max_ps(vf_low(x), vf_high(x));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

static inline float vf_smallest(vf x)
{
    return -vf_largest(vf_sub(vf_set(-0.0f), x));
}

/* Up to 16 floats in the order of memory; lanes from n on are 0 (load) or left alone (store). */
static inline vf vf_load_tail(const float *p, int64_t n)
{
    return n >= VF ? vf_load(p) : vf_load_n(p, n);
}

static inline void vf_store_tail(float *p, int64_t n, vf x)
{
    if (n >= VF)
        vf_store(p, x);
    else
        vf_store_n(p, n, x);
}

/* Calls STEP(i, count) for i = 0, 16, ... below n; the last count may be smaller than 16. Written
 * twice so that the loop body is free of masks. */
#define VF_LOOP(n, STEP)                                                                           \
    do {                                                                                           \
        int64_t vf_i = 0;                                                                          \
        for (; vf_i + VF <= (n); vf_i += VF) STEP(vf_i, VF);                                       \
        if (vf_i < (n)) STEP(vf_i, (n)-vf_i);                                                      \
    } while (0)

/* e^x, relative error below 2e-7; 0 below -87.3, where the result would lose bits. */
static inline vf vf_exp(vf x)
{
    const vf lowest = vf_set(-87.3f);
    vf v = vf_min(vf_set(88.0f), vf_max(lowest, x));
    vf n = vf_round(vf_mul(v, vf_set(1.44269504f)));
    vf r = vf_fnma(n, vf_set(0.693359375f), v);
    r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
    vf p = vf_set(1.381461276e-03f);
    p = vf_fma(p, r, vf_set(8.368710056e-03f));
    p = vf_fma(p, r, vf_set(4.166838899e-02f));
    p = vf_fma(p, r, vf_set(1.666652113e-01f));
    p = vf_fma(p, r, vf_set(4.999999404e-01f));
    p = vf_fma(p, vf_mul(r, r), vf_add(r, vf_set(1.0f)));
    return vf_drop(vf_lt(x, lowest), vf_scale2(p, n));
}

#endif
