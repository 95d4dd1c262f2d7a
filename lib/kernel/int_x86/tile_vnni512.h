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

/* Keeps the compiler from computing the distances of all rows, for which registers are too few. */
#define FORGET(pointer) __asm__("" : "+r"(pointer))

/* Sums of a row become floats while they are in registers: columns from `at` on, those that `lanes`
 * has. */
static inline __attribute__((always_inline)) void put_floats(const tile_floats *o,
                                                             const finish_factors *f, int has_add,
                                                             int64_t p, int64_t at, vm lanes,
                                                             wide sums)
{
    vf v = finish_scaled(f, sums, vi_set(o->zero_point[p]), vf_set(o->scale[p]));
    if (has_add) v = vf_add(v, _mm512_maskz_loadu_ps(lanes, o->add + at));
    _mm512_mask_storeu_ps(o->y + at, lanes, v);
}

/* To the next row. */
static inline __attribute__((always_inline)) void next_floats(tile_floats *o, int has_add)
{
    o->y += o->ld_y;
    FORGET(o->y);
    if (!has_add) return;
    o->add += o->ld_add;
    FORGET(o->add);
}

#include "kernel/int_x86/tile_codes512.h"

static inline wide whole_bytes(wide w)
{
    return w;
}

/* sum += products of groups. Written in assembler because compilers copy the sums of a large tile
 * to and fro around the intrinsic. */
#define DOT(sum, x, w) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w))

/* Where rows of codes are: three to a pointer. */
enum { POINTERS = (TILE_ROWS + 2) / 3 };

static inline __attribute__((always_inline)) void set_pointers(const uint8_t *x[POINTERS],
                                                               const uint8_t *first, int64_t step)
{
    for (int i = 0; i < POINTERS; i++) {
        x[i] = first + 3 * i * step;
        FORGET(x[i]);
    }
}

static inline __attribute__((always_inline)) void move_pointers(const uint8_t *x[POINTERS], int by)
{
    for (int i = 0; i < POINTERS; i++) x[i] += by;
}

/* The work of a tile for row p, with one panel (sums a) or two (sums a and b).
 */
#define BEGIN_1(p) a##p = c.start[0];
#define BEGIN_2(p) a##p = c.start[0], b##p = c.start[1];
#define SUMS_1(p)  wide a##p;
#define SUMS_2(p)  wide a##p, b##p;
#define STEP_1(p)                                                                                  \
    {                                                                                              \
        const wide one = _mm512_set1_epi32(load_group(x[(p) / 3] + (p) % 3 * step));               \
        DOT(a##p, one, weight);                                                                    \
    }
#define STEP_2(p)                                                                                  \
    {                                                                                              \
        const wide one = _mm512_set1_epi32(load_group(x[(p) / 3] + (p) % 3 * step));               \
        DOT(a##p, one, weight);                                                                    \
        DOT(b##p, one, weight_b);                                                                  \
    }
#define END_1(p) _mm512_storeu_si512(t->sums + (p)*32, _mm512_srai_epi32(a##p, shift));
#define END_2(p)                                                                                   \
    END_1(p)                                                                                       \
    _mm512_storeu_si512(t->sums + (p)*32 + 16, _mm512_srai_epi32(b##p, shift));
/* Row p becomes floats. */
#define FLOATS_1(p, has_add)                                                                       \
    put_floats(&o, &f, has_add, p, 0, lanes, _mm512_srai_epi32(a##p, shift));                      \
    next_floats(&o, has_add);
#define FLOATS_2(p, has_add)                                                                       \
    put_floats(&o, &f, has_add, p, 0, 0xffff, _mm512_srai_epi32(a##p, shift));                     \
    put_floats(&o, &f_b, has_add, p, VF, lanes, _mm512_srai_epi32(b##p, shift));                   \
    next_floats(&o, has_add);
/* Row p becomes codes. */
#define CODES_2(p, has_add)                                                                        \
    put_codes(&c, &two, has_add, p, all_rows, _mm512_srai_epi32(a##p, shift),                      \
              _mm512_srai_epi32(b##p, shift));
/* Copies, which stores to memory do not spoil. */
#define FACTORS_1      const finish_factors f = o.columns[0].factors;
#define FACTORS_2      FACTORS_1 const finish_factors f_b = o.columns[1].factors;
#define WEIGHT_1(part) const wide weight = part(_mm512_loadu_si512(w));
#define WEIGHT_2(part)                                                                             \
    WEIGHT_1(part)                                                                                 \
    const wide weight_b = part(_mm512_loadu_si512(w + panel));

/* The weights of the next panels come into the L2 cache, two lines for each of this one. */
#define AHEAD_1
#define AHEAD_2                                                                                    \
    _mm_prefetch((const char *)(ahead + 2 * (uintptr_t)w), _MM_HINT_T1);                           \
    _mm_prefetch((const char *)(ahead + 2 * (uintptr_t)w) + 64, _MM_HINT_T1);

/* P rows, V panels: P * V sums, V weights and a group of codes fit in the registers. Each loop, and
 * each thing that is done with sums, has a function of its own, because the compiler does not keep
 * sums in registers through more than one. */
#define SPANS(P, V, LOOP, FINISH)                                                                  \
    enum { all_rows = (P) };                                                                       \
    const int64_t step = t->rows->step, panel = t->panel;                                          \
    const uintptr_t ahead = (uintptr_t)t->next - 2 * (uintptr_t)t->w;                              \
    const uint8_t *first = t->x;                                                                   \
    tile_floats o = t->floats;                                                                     \
    tile_codes c = *t->codes;                                                                      \
    (void)panel;                                                                                   \
    (void)ahead;                                                                                   \
    for (int64_t again = t->tiles; again > 0; again--, first += all_rows * step) {                 \
        const uint8_t *w = t->w;                                                                   \
        REPEAT_##P(SUMS_##V) REPEAT_##P(BEGIN_##V) for (int64_t s = 0; s < t->rows->spans; s++)    \
        {                                                                                          \
            const uint8_t *x[POINTERS];                                                            \
            set_pointers(x, first + t->rows->span[s], step);                                       \
            LOOP                                                                                   \
        }                                                                                          \
        (void)w;                                                                                   \
        FINISH                                                                                     \
    }                                                                                              \
    (void)o;                                                                                       \
    (void)c;
#define BYTES(P, V)                                                                                \
    for (const uint8_t *end = w + t->groups * DFQI_INT_BLOCK; w < end; w += DFQI_INT_BLOCK) {      \
        WEIGHT_##V(whole_bytes) AHEAD_##V REPEAT_##P(STEP_##V) move_pointers(x, DFQI_INT_GROUP);   \
    }
/* Behind an odd number of groups the high halves are zeros, and the last group is read again. */
#define NIBBLES(P, V)                                                                              \
    for (int64_t g = t->groups; g > 0; g -= 2, w += DFQI_INT_BLOCK) {                              \
        {WEIGHT_##V(low_nibbles) REPEAT_##P(STEP_##V)} move_pointers(x,                            \
                                                                     g > 1 ? DFQI_INT_GROUP : 0);  \
        WEIGHT_##V(high_nibbles) AHEAD_##V REPEAT_##P(STEP_##V) move_pointers(x, DFQI_INT_GROUP);  \
    }

#define FINISH_SUMS(P, V) REPEAT_##P(END_##V)
#define PLAIN_1(p)        FLOATS_1(p, 0)
#define PLAIN_2(p)        FLOATS_2(p, 0)
#define ADD_1(p)          FLOATS_1(p, 1)
#define ADD_2(p)          FLOATS_2(p, 1)
#define FINISH_FLOATS(V, ROWS)                                                                     \
    const vm lanes = vm_first(o.lanes);                                                            \
    FACTORS_##V ROWS o.zero_point += all_rows * o.zero_point_step;                                 \
    o.scale += all_rows * o.scale_step;
#define PLAIN_CODES(p) CODES_2(p, 0)
#define ADD_CODES(p)   CODES_2(p, 1)
#define FINISH_CODES(ROWS)                                                                         \
    two_rows two;                                                                                  \
    ROWS c.row += all_rows;

#define FUNCTION(name, P, V, FINISH)                                                               \
    static void name##_bytes_##P##_##V(const tile *t)                                              \
    {                                                                                              \
        enum { shift = 0 };                                                                        \
        SPANS(P, V, BYTES(P, V), FINISH)                                                           \
    }                                                                                              \
    static void name##_nibbles_##P##_##V(const tile *t)                                            \
    {                                                                                              \
        enum { shift = 4 };                                                                        \
        SPANS(P, V, NIBBLES(P, V), FINISH)                                                         \
    }
#define ENTRY(name, P, V)                                                                          \
    {                                                                                              \
        name##_bytes_##P##_##V, name##_nibbles_##P##_##V                                           \
    }
/* Codes are made of two panels. */
#define CODES_FUNCTIONS_1(P)
#define CODES_FUNCTIONS_2(P)                                                                       \
    FUNCTION(codes, P, 2, FINISH_CODES(REPEAT_##P(PLAIN_CODES)))                                   \
    FUNCTION(codes_add, P, 2, FINISH_CODES(REPEAT_##P(ADD_CODES)))
#define CODES_ENTRIES_1(P)                                                                         \
    {NULL},                                                                                        \
    {                                                                                              \
        NULL                                                                                       \
    }
#define CODES_ENTRIES_2(P) ENTRY(codes, P, 2), ENTRY(codes_add, P, 2)

#include "kernel/int_x86/tile_spans512.h"

#define TILE(P, V)                                                                                 \
    SPAN_FUNCTIONS(P, V)                                                                           \
    FUNCTION(sums, P, V, FINISH_SUMS(P, V))                                                        \
    FUNCTION(floats, P, V, FINISH_FLOATS(V, REPEAT_##P(PLAIN_##V)))                                \
    FUNCTION(floats_add, P, V, FINISH_FLOATS(V, REPEAT_##P(ADD_##V)))                              \
    CODES_FUNCTIONS_##V(P) static void tile_##P##_##V(const tile *t)                               \
    {                                                                                              \
        static const tile_fn functions[][2] = {ENTRY(sums, P, V), ENTRY(floats, P, V),             \
                                               ENTRY(floats_add, P, V), ENTRY(spans, P, V),        \
                                               CODES_ENTRIES_##V(P)};                              \
        functions[t->what][t->nibbles != 0](t);                                                    \
    }
