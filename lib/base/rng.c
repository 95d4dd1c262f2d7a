/* The Philox4x32-10 generator (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1,
 * 2, 3", SC 2011) and the distributions made from it. The key is the seed. The low half of the
 * counter is the block number, the high half the stream. Word i of a sequence is word i % 4 of
 * block i / 4. */
#include "base/rng.h"

#include <math.h>

void dfqi_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    int round;
    for (round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c0 * 0xD2511F53u;
        uint64_t p1 = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void fill_block(const dfqi_rng *r, uint64_t block, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)r->stream,
                                 (uint32_t)(r->stream >> 32)};
    const uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
    dfqi_philox(counter, key, out);
}

dfqi_rng dfqi_rng_make(uint64_t seed, uint64_t stream)
{
    dfqi_rng r = {0, 0, 0};
    r.seed = seed;
    r.stream = stream;
    return r;
}

uint32_t dfqi_rng_u32(dfqi_rng *r)
{
    uint32_t words[4];
    fill_block(r, r->index / 4, words);
    return words[r->index++ % 4];
}

uint64_t dfqi_rng_u64(dfqi_rng *r)
{
    uint64_t lo = dfqi_rng_u32(r);
    uint64_t hi = dfqi_rng_u32(r);
    return hi << 32 | lo;
}

/* Lemire's multiplication with rejection of the uneven rest. */
uint32_t dfqi_rng_below(dfqi_rng *r, uint32_t n)
{
    uint32_t uneven = (0u - n) % n; /* 2^32 mod n */
    uint64_t m;
    do {
        m = (uint64_t)dfqi_rng_u32(r) * n;
    } while ((uint32_t)m < uneven);
    return (uint32_t)(m >> 32);
}

float dfqi_rng_uniform(dfqi_rng *r)
{
    return (float)(dfqi_rng_u32(r) >> 8) * 0x1p-24f;
}

float dfqi_rng_range(dfqi_rng *r, float lo, float hi)
{
    float v = lo + (hi - lo) * dfqi_rng_uniform(r);
    /* The sum may round up to the excluded end. */
    return v < hi || hi <= lo ? v : nextafterf(hi, lo);
}

/* Box-Muller, the cosine half: two words give one number, so the position of a number in the
 * sequence does not depend on what was drawn before. a + 1 keeps the logarithm finite. */
static float normal_of(uint32_t a, uint32_t b)
{
    float u = (float)((a >> 8) + 1) * 0x1p-24f;
    float angle = (float)(b >> 8) * (0x1p-24f * 6.28318530717958647692f);
    return sqrtf(-2.0f * logf(u)) * cosf(angle);
}

float dfqi_rng_normal(dfqi_rng *r)
{
    uint32_t a = dfqi_rng_u32(r);
    uint32_t b = dfqi_rng_u32(r);
    return normal_of(a, b);
}

/* The same numbers as n calls of dfqi_rng_normal, one Philox block per two of them. */
void dfqi_rng_fill_normal(dfqi_rng *r, float *out, size_t n)
{
    size_t i = 0;
    while (i < n && r->index % 4 != 0) out[i++] = dfqi_rng_normal(r);
    for (; n - i >= 2 && r->index % 4 == 0; i += 2) {
        uint32_t words[4];
        fill_block(r, r->index / 4, words);
        out[i] = normal_of(words[0], words[1]);
        out[i + 1] = normal_of(words[2], words[3]);
        r->index += 4;
    }
    while (i < n) out[i++] = dfqi_rng_normal(r);
}

void dfqi_rng_permute(dfqi_rng *r, uint32_t *order, uint32_t n)
{
    uint32_t i;
    for (i = 0; i < n; i++) order[i] = i;
    for (i = n; i > 1; i--) {
        uint32_t j = dfqi_rng_below(r, i);
        uint32_t t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}
