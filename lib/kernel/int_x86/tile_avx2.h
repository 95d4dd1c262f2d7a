/* The register tiles for AVX2. vpmaddubsw adds two products in 16 bits and saturates: 2 * 255 * 128
 * is too much. Where codes are small enough, four of its results are added before they are widened
 * (bytes; half a panel at a time). Else both operands are words of 16 bits (words.h), of which
 * vpmaddwd adds two products in 32 bits. */
typedef __m256i wide;

static inline wide load_wide(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline void store_wide(int32_t *p, wide sum)
{
    _mm256_storeu_si256((__m256i *)(void *)p, sum);
}

/* Steps for a row in assembly: compilers copy sums from register to register, and spill some. */
#define WORDS_DOT(a, b, x, w, w_b)                                                                 \
    {                                                                                              \
        wide one, two;                                                                             \
        __asm__("vpbroadcastd %4, %2\n\t"                                                          \
                "vpmaddwd %5, %2, %3\n\t"                                                          \
                "vpmaddwd %6, %2, %2\n\t"                                                          \
                "vpaddd %3, %0, %0\n\t"                                                            \
                "vpaddd %2, %1, %1"                                                                \
                : "+x"(a), "+x"(b), "=&x"(one), "=&x"(two)                                         \
                : "m"(*(const int32_t *)(const void *)(x)), "x"(w), "x"(w_b));                     \
    }
/* sum += the products of four groups with the bytes w0 .. w3: four sums of pairs in 16 bits. */
#define BYTES_DOT_4(sum, x)                                                                        \
    {                                                                                              \
        const int32_t *const groups = (const int32_t *)(const void *)(x);                          \
        wide one, two;                                                                             \
        __asm__("vpbroadcastd %3, %1\n\t"                                                          \
                "vpmaddubsw %7, %1, %1\n\t"                                                        \
                "vpbroadcastd %4, %2\n\t"                                                          \
                "vpmaddubsw %8, %2, %2\n\t"                                                        \
                "vpaddw %2, %1, %1\n\t"                                                            \
                "vpbroadcastd %5, %2\n\t"                                                          \
                "vpmaddubsw %9, %2, %2\n\t"                                                        \
                "vpaddw %2, %1, %1\n\t"                                                            \
                "vpbroadcastd %6, %2\n\t"                                                          \
                "vpmaddubsw %10, %2, %2\n\t"                                                       \
                "vpaddw %2, %1, %1\n\t"                                                            \
                "vpmaddwd %11, %1, %1\n\t"                                                         \
                "vpaddd %1, %0, %0"                                                                \
                : "+x"(sum), "=&x"(one), "=&x"(two)                                                \
                : "m"(groups[0]), "m"(groups[1]), "m"(groups[2]), "m"(groups[3]), "x"(w0),         \
                  "x"(w1), "x"(w2), "x"(w3), "x"(ones));                                           \
    }

#define SPANS(LOOP)                                                                                \
    for (int64_t s = 0; s < t->rows->spans; s++) {                                                 \
        const uint8_t *x = t->x + t->rows->span[s];                                                \
        LOOP                                                                                       \
    }

/* -- words: sums a and b of the halves of a panel ---------------------------------------------- */

#define WORDS_BEGIN(p) wide a##p = _mm256_setzero_si256(), b##p = a##p;
#define WORDS_STEP(p)  WORDS_DOT(a##p, b##p, x + (p)*step, weight, weight_b)
#define WORDS_PAIR(P)                                                                              \
    {                                                                                              \
        const wide weight = load_wide(w), weight_b = load_wide(w + 32);                            \
        REPEAT_##P(WORDS_STEP) x += 4;                                                             \
        w += 64;                                                                                   \
    }
#define WORDS(P)                                                                                   \
    for (int64_t g = t->groups; g > 0; g--) {                                                      \
        WORDS_PAIR(P)                                                                              \
        WORDS_PAIR(P)                                                                              \
    }
#define WORDS_END(p)                                                                               \
    store_wide(t->sums + (p)*16, a##p);                                                            \
    store_wide(t->sums + (p)*16 + 8, b##p);

/* -- bytes ------------------------------------------------------------------------------------- */

#define BYTES_BEGIN(p) wide a##p = _mm256_setzero_si256();
#define BYTES_STEP(p)                                                                              \
    {                                                                                              \
        const wide pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(load_group(x + (p)*step)), w0);  \
        a##p = _mm256_add_epi32(a##p, _mm256_madd_epi16(pairs, ones));                             \
    }
#define BYTES_STEP_4(p) BYTES_DOT_4(a##p, x + (p)*step)
#define BYTES(P)                                                                                   \
    int64_t g = t->groups;                                                                         \
    for (; g >= 4; g -= 4) {                                                                       \
        const wide w0 = load_wide(w), w1 = load_wide(w + DFQI_INT_BLOCK);                          \
        const wide w2 = load_wide(w + 2 * DFQI_INT_BLOCK), w3 = load_wide(w + 3 * DFQI_INT_BLOCK); \
        REPEAT_##P(BYTES_STEP_4);                                                                  \
        w += 4 * DFQI_INT_BLOCK;                                                                   \
        x += 4 * DFQI_INT_GROUP;                                                                   \
    }                                                                                              \
    for (; g > 0; g--) {                                                                           \
        const wide w0 = load_wide(w);                                                              \
        REPEAT_##P(BYTES_STEP);                                                                    \
        w += DFQI_INT_BLOCK;                                                                       \
        x += DFQI_INT_GROUP;                                                                       \
    }
#define BYTES_END(p) store_wide(t->sums + (p)*16 + half * 8, a##p);

#include "kernel/int_x86/tile_spans_avx2.h"

#define TILE(P, V)                                                                                 \
    static void words_##P(const tile *t)                                                           \
    {                                                                                              \
        const int64_t step = t->rows->step;                                                        \
        const uint8_t *w = t->w;                                                                   \
        REPEAT_##P(WORDS_BEGIN);                                                                   \
        SPANS(WORDS(P))                                                                            \
        REPEAT_##P(WORDS_END)                                                                      \
    }                                                                                              \
    static void bytes_##P(const tile *t, int half)                                                 \
    {                                                                                              \
        const int64_t step = t->rows->step;                                                        \
        const wide ones = _mm256_set1_epi16(1);                                                    \
        const uint8_t *w = t->w + half * 32;                                                       \
        REPEAT_##P(BYTES_BEGIN);                                                                   \
        SPANS(BYTES(P))                                                                            \
        REPEAT_##P(BYTES_END)                                                                      \
    }                                                                                              \
    SPAN_TILES(P)                                                                                  \
    static void tile_##P##_##V(const tile *t)                                                      \
    {                                                                                              \
        if (t->what == TILE_SPANS) {                                                               \
            spans_##P(t);                                                                          \
            return;                                                                                \
        }                                                                                          \
        if (t->words) {                                                                            \
            words_##P(t);                                                                          \
            return;                                                                                \
        }                                                                                          \
        for (int half = 0; half < 2; half++) bytes_##P(t, half);                                   \
    }
