/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). A number depends only on
 * (seed, stream, index). So any part of a run can be drawn again, in any order and on any
 * thread. */
#ifndef DFQI_BASE_RNG_H
#define DFQI_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* The raw generator: 128-bit counter, 64-bit key, four words out. */
void dfqi_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A sequence: a cursor into the numbers of one (seed, stream). Plain data: copy it to save it. */
typedef struct dfqi_rng {
    uint64_t seed;
    uint64_t stream;
    uint64_t index; /* the next 32-bit word to hand out */
} dfqi_rng;

dfqi_rng dfqi_rng_make(uint64_t seed, uint64_t stream);
uint32_t dfqi_rng_u32(dfqi_rng *r);
uint64_t dfqi_rng_u64(dfqi_rng *r);
uint32_t dfqi_rng_below(dfqi_rng *r, uint32_t n);      /* uniform in [0, n), n >= 1, unbiased */
float dfqi_rng_uniform(dfqi_rng *r);                   /* uniform in [0, 1), 24 bits */
float dfqi_rng_range(dfqi_rng *r, float lo, float hi); /* uniform in [lo, hi) */
float dfqi_rng_normal(dfqi_rng *r);                    /* N(0, 1), Box-Muller */
void dfqi_rng_fill_normal(dfqi_rng *r, float *out, size_t n);
/* Fisher-Yates: `order` holds 0..n-1 in random order. */
void dfqi_rng_permute(dfqi_rng *r, uint32_t *order, uint32_t n);

#endif
