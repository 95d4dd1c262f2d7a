/* The register tiles for AVX2. vpmaddubsw adds two products in 16 bits and saturates: 2 * 255 * 128
 * is too much. Where codes of rows are small enough, as many of its results as 16 bits hold are
 * added before they are widened (bytes; half a panel at a time). Else both operands are words of 16
 * bits (words.h), of which vpmaddwd adds two products in 32 bits. */
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
#define BYTES_DOT(sum, x, w)                                                                       \
    {                                                                                              \
        wide one;                                                                                  \
        __asm__("vpbroadcastd %2, %1\n\t"                                                          \
                "vpmaddubsw %3, %1, %1\n\t"                                                        \
                "vpaddw %1, %0, %0"                                                                \
                : "+x"(sum), "=&x"(one)                                                            \
                : "m"(*(const int32_t *)(const void *)(x)), "x"(w));                               \
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
#define SHORT_BEGIN(p) wide s##p = _mm256_setzero_si256();
#define SHORT_STEP(p)  BYTES_DOT(s##p, x + (p)*step, weight)
#define SHORT_END(p)   a##p = _mm256_add_epi32(a##p, _mm256_madd_epi16(s##p, ones));
#define BYTES(P)                                                                                   \
    for (int64_t g = t->groups; g > 0; g -= t->together) {                                         \
        REPEAT_##P(SHORT_BEGIN);                                                                   \
        for (int64_t n = g < t->together ? g : t->together; n > 0; n--) {                          \
            const wide weight = load_wide(w);                                                      \
            REPEAT_##P(SHORT_STEP);                                                                \
            w += DFQI_INT_BLOCK;                                                                   \
            x += DFQI_INT_GROUP;                                                                   \
        }                                                                                          \
        REPEAT_##P(SHORT_END);                                                                     \
    }
#define BYTES_END(p) store_wide(t->sums + (p)*16 + half * 8, a##p);

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
    static void tile_##P##_##V(const tile *t)                                                      \
    {                                                                                              \
        if (t->together == 0) {                                                                    \
            words_##P(t);                                                                          \
            return;                                                                                \
        }                                                                                          \
        for (int half = 0; half < 2; half++) bytes_##P(t, half);                                   \
    }
