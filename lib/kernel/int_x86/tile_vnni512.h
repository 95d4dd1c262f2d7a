/* The register tiles for AVX-512 VNNI: vpdpbusd multiplies four codes with
 * four, and adds. A 4-bit code is used where it lies, in the high half of its
 * byte (low halves are shifted there), so it counts 16 times; the sums are
 * divided by 16 at the end. */
typedef __m512i wide;

static inline wide high_nibbles(wide w)
{
    return _mm512_and_si512(w, _mm512_set1_epi8(-16));
}

static inline wide low_nibbles(wide w)
{
    return high_nibbles(_mm512_slli_epi16(w, 4));
}

/* Row p of a tile becomes floats while its sums are in registers: those of a panel. */
static inline __attribute__((always_inline)) void
put_floats(const tile_floats *o, const finish_factors *f, int64_t p, int64_t at, wide sums)
{
    vf y = finish_scaled(f, sums, vi_set(o->zero_point[p]), vf_set(o->scale[p]));
    if (o->add) y = vf_add(y, vf_load(o->add + p * o->ld_add + at));
    vf_store(o->y + p * o->ld_y + at, y);
}

static inline wide whole_bytes(wide w)
{
    return w;
}

/* sum += products of groups. Written in assembler because compilers copy the sums of a large tile
 * to and fro around the intrinsic. */
#define DOT(sum, x, w) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))

/* The work of a tile for row p, with one panel (sums a) or two (sums a and b).
 */
#define BEGIN_1(p) wide a##p = _mm512_setzero_si512();
#define BEGIN_2(p) wide a##p = _mm512_setzero_si512(), b##p = a##p;
#define STEP_1(p)                                                                                  \
    {                                                                                              \
        const wide one = _mm512_set1_epi32(load_group(x + (p)*step));                              \
        DOT(a##p, one, weight);                                                                    \
    }
#define STEP_2(p)                                                                                  \
    {                                                                                              \
        const wide one = _mm512_set1_epi32(load_group(x + (p)*step));                              \
        DOT(a##p, one, weight);                                                                    \
        DOT(b##p, one, weight_b);                                                                  \
    }
#define END_1(p) _mm512_storeu_si512(t->sums + (p)*32, _mm512_srai_epi32(a##p, shift));
#define END_2(p)                                                                                   \
    END_1(p)                                                                                       \
    _mm512_storeu_si512(t->sums + (p)*32 + 16, _mm512_srai_epi32(b##p, shift));
#define FLOATS_1(p) put_floats(&o, &f, p, 0, _mm512_srai_epi32(a##p, shift));
#define FLOATS_2(p)                                                                                \
    FLOATS_1(p)                                                                                    \
    put_floats(&o, &f_b, p, VF, _mm512_srai_epi32(b##p, shift));
/* Copies, which stores to memory do not spoil. */
#define FACTORS_1      const finish_factors f = o.columns[0].factors;
#define FACTORS_2      FACTORS_1 const finish_factors f_b = o.columns[1].factors;
#define WEIGHT_1(part) const wide weight = part(_mm512_loadu_si512(w));
#define WEIGHT_2(part)                                                                             \
    WEIGHT_1(part)                                                                                 \
    const wide weight_b = part(_mm512_loadu_si512(w + panel));

/* P rows, V panels: P * V sums, V weights and a group of codes fit in the registers. Each loop has
 * a function of its own, because the compiler does not keep the sums of two loops in registers. */
#define SPANS(P, V, LOOP)                                                                          \
    const int64_t step = t->rows->step, panel = t->panel;                                          \
    const uint8_t *w = t->w;                                                                       \
    (void)panel;                                                                                   \
    REPEAT_##P(BEGIN_##V) for (int64_t s = 0; s < t->rows->spans; s++)                             \
    {                                                                                              \
        const uint8_t *x = t->x + t->rows->span[s];                                                \
        LOOP                                                                                       \
    }                                                                                              \
    if (t->floats.y) {                                                                             \
        const tile_floats o = t->floats;                                                           \
        FACTORS_##V REPEAT_##P(FLOATS_##V)                                                         \
    } else {                                                                                       \
        REPEAT_##P(END_##V)                                                                        \
    }
#define BYTES(P, V)                                                                                \
    for (const uint8_t *end = w + t->groups * DFQI_INT_BLOCK; w < end;                             \
         w += DFQI_INT_BLOCK, x += DFQI_INT_GROUP) {                                               \
        WEIGHT_##V(whole_bytes) REPEAT_##P(STEP_##V)                                               \
    }
/* Behind an odd number of groups the high halves are zeros, and the last group is read again. */
#define NIBBLES(P, V)                                                                              \
    for (int64_t g = t->groups; g > 0; g -= 2, w += DFQI_INT_BLOCK) {                              \
        {WEIGHT_##V(low_nibbles) REPEAT_##P(STEP_##V)} x += g > 1 ? DFQI_INT_GROUP : 0;            \
        WEIGHT_##V(high_nibbles) REPEAT_##P(STEP_##V) x += DFQI_INT_GROUP;                         \
    }

#define TILE(P, V)                                                                                 \
    static void bytes_##P##_##V(const tile *t)                                                     \
    {                                                                                              \
        enum { shift = 0 };                                                                        \
        SPANS(P, V, BYTES(P, V))                                                                   \
    }                                                                                              \
    static void nibbles_##P##_##V(const tile *t)                                                   \
    {                                                                                              \
        enum { shift = 4 };                                                                        \
        SPANS(P, V, NIBBLES(P, V))                                                                 \
    }                                                                                              \
    static void tile_##P##_##V(const tile *t)                                                      \
    {                                                                                              \
        (t->nibbles ? nibbles_##P##_##V : bytes_##P##_##V)(t);                                     \
    }
