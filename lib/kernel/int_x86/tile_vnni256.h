/* The register tiles for AVX-VNNI: as with 512 bits (tile_vnni512.h), a panel
 * in two halves. */
typedef __m256i wide;

static inline wide load_wide(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline wide high_nibbles(wide w)
{
    return _mm256_and_si256(w, _mm256_set1_epi8(-16));
}

static inline wide low_nibbles(wide w)
{
    return high_nibbles(_mm256_slli_epi16(w, 4));
}

static inline wide whole_bytes(wide w)
{
    return w;
}

static inline void store_wide(int32_t *p, wide sum, int shift)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_srai_epi32(sum, shift));
}

/* sum += products of groups (tile_vnni512.h). */
#define DOT(sum, x, w) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w))

/* The work of a tile for row p: sums a and b of the halves of a panel. */
#define BEGIN(p) wide a##p = _mm256_setzero_si256(), b##p = a##p;
#define STEP(p)                                                                                    \
    {                                                                                              \
        const wide one = _mm256_set1_epi32(load_group(x + (p)*step));                              \
        DOT(a##p, one, weight);                                                                    \
        DOT(b##p, one, weight_b);                                                                  \
    }
#define STEPS(P, part)                                                                             \
    {                                                                                              \
        const wide weight = part(load_wide(w)), weight_b = part(load_wide(w + 32));                \
        REPEAT_##P(STEP)                                                                           \
    }
#define END(p)                                                                                     \
    store_wide(t->sums + (p)*16, a##p, shift);                                                     \
    store_wide(t->sums + (p)*16 + 8, b##p, shift);

#define SPANS(P, LOOP)                                                                             \
    const int64_t step = t->rows->step;                                                            \
    const uint8_t *w = t->w;                                                                       \
    REPEAT_##P(BEGIN);                                                                             \
    for (int64_t s = 0; s < t->rows->spans; s++) {                                                 \
        const uint8_t *x = t->x + t->rows->span[s];                                                \
        LOOP                                                                                       \
    }                                                                                              \
    REPEAT_##P(END)
#define BYTES(P)                                                                                   \
    for (int64_t g = t->groups; g > 0; g--, w += DFQI_INT_BLOCK, x += DFQI_INT_GROUP)              \
    STEPS(P, whole_bytes)
#define NIBBLES(P)                                                                                 \
    for (int64_t g = t->groups; g > 0; g -= 2, w += DFQI_INT_BLOCK) {                              \
        STEPS(P, low_nibbles)                                                                      \
        x += g > 1 ? DFQI_INT_GROUP : 0;                                                           \
        STEPS(P, high_nibbles)                                                                     \
        x += DFQI_INT_GROUP;                                                                       \
    }

#define TILE(P, V)                                                                                 \
    static void bytes_##P(const tile *t)                                                           \
    {                                                                                              \
        enum { shift = 0 };                                                                        \
        SPANS(P, BYTES(P))                                                                         \
    }                                                                                              \
    static void nibbles_##P(const tile *t)                                                         \
    {                                                                                              \
        enum { shift = 4 };                                                                        \
        SPANS(P, NIBBLES(P))                                                                       \
    }                                                                                              \
    static void tile_##P##_##V(const tile *t)                                                      \
    {                                                                                              \
        (t->nibbles ? nibbles_##P : bytes_##P)(t);                                                 \
    }
