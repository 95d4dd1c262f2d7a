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

/* The same with STEP(vectors, i, count) for four vectors at a time, then for one. Where each step
 * waits for the one before, as in sums, vector k has a chain k of its own; long calculations go
 * through four of them side by side. */
enum { VF_CHAINS = 4 };
#define VF_LOOP_CHAINS(n, STEP)                                                                    \
    do {                                                                                           \
        int64_t vf_i = 0;                                                                          \
        for (; vf_i + VF_CHAINS * VF <= (n); vf_i += VF_CHAINS * VF) STEP(VF_CHAINS, vf_i, VF);    \
        for (; vf_i + VF <= (n); vf_i += VF) STEP(1, vf_i, VF);                                    \
        if (vf_i < (n)) STEP(1, vf_i, (n)-vf_i);                                                   \
    } while (0)
#define VF_EACH(vectors) for (int k = 0; k < (vectors); k++)

static inline void vf_chains_set(vf s[VF_CHAINS], float x)
{
    VF_EACH(VF_CHAINS) s[k] = vf_set(x);
}

static inline vf vf_chains_sum(const vf s[VF_CHAINS])
{
    return vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3]));
}

#endif
