/* The register tiles for AVX2. vpmaddubsw adds two products in 16 bits and
 * saturates: 2 * 255 * 128 is too much. So 8-bit codes are widened to 16 bits,
 * the even and the odd ones of a group apart. 4-bit codes need not be: eight
 * sums of two products are at most 8 * 2 * 255 * 8 < 2^15, so that many are
 * added in 16 bits before they are widened. A panel is computed in two halves.
 */
typedef __m256i wide;

enum { NIBBLE_BLOCKS = 4 }; /* of two groups each, that are added in 16 bits */

static inline wide load_wide(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline wide low_nibbles(wide w) /* four bits with sign, in bytes */
{
    const wide bit = _mm256_set1_epi8(8);
    w = _mm256_and_si256(w, _mm256_set1_epi8(15));
    return _mm256_sub_epi8(_mm256_xor_si256(w, bit), bit);
}

static inline wide high_nibbles(wide w)
{
    return low_nibbles(_mm256_srli_epi16(w, 4));
}

/* The work of a half tile for row p. */
#define BEGIN(p) wide a##p = _mm256_setzero_si256();
#define STEP(p)                                                                                    \
    {                                                                                              \
        const wide one = _mm256_set1_epi32(load_group(x + (p)*step));                              \
        const wide low = _mm256_madd_epi16(_mm256_and_si256(one, bytes), even);                    \
        const wide high = _mm256_madd_epi16(_mm256_srli_epi16(one, 8), odd);                       \
        a##p = _mm256_add_epi32(a##p, _mm256_add_epi32(low, high));                                \
    }
#define NIBBLES_BEGIN(p) wide s##p = _mm256_setzero_si256();
#define NIBBLES_STEP(p)                                                                            \
    s##p = _mm256_add_epi16(                                                                       \
        s##p, _mm256_maddubs_epi16(_mm256_set1_epi32(load_group(x + (p)*step)), weight));
#define NIBBLES_END(p) a##p = _mm256_add_epi32(a##p, _mm256_madd_epi16(s##p, ones));
#define NIBBLES_STEPS(P, part)                                                                     \
    {                                                                                              \
        const wide weight = part(load_wide(w));                                                    \
        REPEAT_##P(NIBBLES_STEP)                                                                   \
    }
#define END(p) _mm256_storeu_si256((__m256i *)(void *)(t->sums + (p)*16 + half * 8), a##p);

#define SPANS(P, LOOP)                                                                             \
    const int64_t step = t->rows->step;                                                            \
    const uint8_t *w = t->w + half * 32;                                                           \
    REPEAT_##P(BEGIN);                                                                             \
    for (int64_t s = 0; s < t->rows->spans; s++) {                                                 \
        const uint8_t *x = t->x + t->rows->span[s];                                                \
        LOOP                                                                                       \
    }                                                                                              \
    REPEAT_##P(END)
#define BYTES(P)                                                                                   \
    for (int64_t g = t->groups; g > 0; g--, w += DFQI_INT_BLOCK, x += DFQI_INT_GROUP) {            \
        const wide odd = _mm256_srai_epi16(load_wide(w), 8);                                       \
        const wide even = _mm256_srai_epi16(_mm256_slli_epi16(load_wide(w), 8), 8);                \
        REPEAT_##P(STEP)                                                                           \
    }
#define NIBBLES(P)                                                                                 \
    for (int64_t g = t->groups; g > 0;) {                                                          \
        REPEAT_##P(NIBBLES_BEGIN);                                                                 \
        for (int n = 0; n < NIBBLE_BLOCKS && g > 0; n++, g -= 2, w += DFQI_INT_BLOCK) {            \
            NIBBLES_STEPS(P, low_nibbles)                                                          \
            x += g > 1 ? DFQI_INT_GROUP : 0;                                                       \
            NIBBLES_STEPS(P, high_nibbles)                                                         \
            x += DFQI_INT_GROUP;                                                                   \
        }                                                                                          \
        REPEAT_##P(NIBBLES_END);                                                                   \
    }

#define TILE(P, V)                                                                                 \
    static void bytes_##P(const tile *t, int half)                                                 \
    {                                                                                              \
        const wide bytes = _mm256_set1_epi16(255);                                                 \
        SPANS(P, BYTES(P))                                                                         \
    }                                                                                              \
    static void nibbles_##P(const tile *t, int half)                                               \
    {                                                                                              \
        const wide ones = _mm256_set1_epi16(1);                                                    \
        SPANS(P, NIBBLES(P))                                                                       \
    }                                                                                              \
    static void tile_##P##_##V(const tile *t)                                                      \
    {                                                                                              \
        for (int half = 0; half < 2; half++) (t->nibbles ? nibbles_##P : bytes_##P)(t, half);      \
    }
