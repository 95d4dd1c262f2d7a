/* Codes of sixteen floats.
 *
 * A code is the rounded quotient of a division. Multiplying by the reciprocal gives it as well,
 * unless the quotient is near a tie; then the division is done. The product is wrong by less than
 * 1.5 * 2^-23 of itself. On grids of rows it is at most 255.5, and "near" is 2^-14. On static ones
 * what counts is below 2^9, and "near" is 2^-12; where the zero point is larger, `far` is below 0,
 * and each division is done. */
#ifndef DFQI_INT_X86_GRIDS_H
#define DFQI_INT_X86_GRIDS_H

#include <math.h>

#include "kernel/int_x86/vec_int.h"
#include "kernel/kernel.h"
#include "kernel/row_grid.h"

static inline int grid_is_ordinary(float scale, float zero_point)
{
    return scale > 0x1p-100f && scale < 0x1p100f && fabsf(zero_point) <= 256.0f;
}

static const float grid_far = 0.5f - 0x1p-12f;
static const float row_grid_far = 0.5f - 0x1p-14f; /* quotients are up to 255 */

/* Is one of 64 distances from a whole number, none below 0, as large as `far`? NaN is not. */
static inline int grid_is_far_off(const vf off[4], vf far)
{
    const vf a = vf_largest_off(off[0], off[1]), b = vf_largest_off(off[2], off[3]);
    return vm_bits(vf_le(far, vf_largest_off(a, b))) != 0;
}

/* Is one of 64 numbers near a tie? NaN is not. */
static inline int grid_is_near(const vf v[4], vf far)
{
    const vf off[4] = {vf_off(v[0]), vf_off(v[1]), vf_off(v[2]), vf_off(v[3])};
    return grid_is_far_off(off, far);
}

/* -- grids of rows ----------------------------------------------------------------------------- */

/* The extremes of numbers with 0 among them; odd: 0, or NaN where one is not finite. */
typedef struct row_ends {
    vf lo, hi, odd;
} row_ends;

static inline row_ends row_ends_begin(void)
{
    return (row_ends){vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
}

/* Lanes behind the end of the row hold 0. */
static inline void row_ends_add(row_ends *e, vf v)
{
    e->lo = vf_min(v, e->lo);
    e->hi = vf_max(v, e->hi);
    e->odd = vf_fma(v, vf_set(0.0f), e->odd);
}

/* The ends of all chains. */
static inline row_ends row_ends_join(const row_ends e[VF_CHAINS])
{
    row_ends all = e[0];
    for (int k = 1; k < VF_CHAINS; k++) {
        all.lo = vf_min(all.lo, e[k].lo);
        all.hi = vf_max(all.hi, e[k].hi);
        all.odd = vf_add(all.odd, e[k].odd);
    }
    return all;
}

static inline void row_ends_begin_chains(row_ends e[VF_CHAINS])
{
    VF_EACH(VF_CHAINS) e[k] = row_ends_begin();
}

static inline row_ends row_ends_of(int64_t cols, const float *x)
{
    row_ends e[VF_CHAINS];
    row_ends_begin_chains(e);
#define STEP(vectors, i, c) VF_EACH(vectors) row_ends_add(&e[k], vf_load_tail(x + (i) + k * VF, c))
    VF_LOOP_CHAINS(cols, STEP);
#undef STEP
    return row_ends_join(e);
}

static inline dfqi_row_grid row_grid_of(row_ends e, int bits, int is_signed)
{
    return dfqi_row_grid_runtime(bits, is_signed, vf_smallest(e.lo), vf_largest(e.hi),
                                 vm_bits(vf_nan(e.odd)) == 0);
}

static inline int32_t row_zero_point(const dfqi_row_grid *g)
{
    return g->scale == g->scale ? (int32_t)g->zero_point : 0;
}

typedef struct row_coder {
    vf scale, inverse, far;
    int zero_point, limit; /* codes: up to limit, signed: from -limit on */
} row_coder;

static inline row_coder row_coder_of(const dfqi_row_grid *g)
{
    const int fast = grid_is_ordinary(g->scale, g->zero_point);
    return (row_coder){vf_set(g->scale), vf_set(1.0f / g->scale),
                       vf_set(fast ? row_grid_far : -1.0f), row_zero_point(g), (int)g->qmax};
}

/* Codes are moved up to the zero point 2^bits - 1. */
static inline void row_coder_level(row_coder *g, int bits)
{
    const int most = (1 << bits) - 1;
    g->limit = 2 * most - g->zero_point;
    g->zero_point = most;
}

/* The rounded quotients of 64 numbers. */
static inline void row_round(const row_coder *g, const vf x[4], vi n[4])
{
    vf v[4];
    for (int i = 0; i < 4; i++) v[i] = vf_mul(x[i], g->inverse);
    if (__builtin_expect(grid_is_near(v, g->far), 0))
        for (int i = 0; i < 4; i++) v[i] = vf_div(x[i], g->scale);
    for (int i = 0; i < 4; i++) n[i] = vi_round(v[i]);
}

/* NaN gets the smallest code. */
static inline v64 row_code(const row_coder *g, int is_signed, const vf x[4])
{
    vi n[4];
    row_round(g, x, n);
    const v64 codes = v64_pack(n, g->zero_point, is_signed);
    /* a quotient is at most 1/2 over the ends of its grid */
    return is_signed ? v64_max(codes, -g->limit) : v64_min(codes, g->limit);
}

/* Codes of a row, 64 at a time: VALUE(i, count) is the vector of values from i on, of which
 * `count` exist. */
#define ROW_CODES(coder, is_signed, cols, q, VALUE)                                                \
    do {                                                                                           \
        vf codes_x[4];                                                                             \
        int64_t codes_at = 0;                                                                      \
        for (; codes_at + 64 <= (cols); codes_at += 64) {                                          \
            for (int v = 0; v < 4; v++) codes_x[v] = VALUE(codes_at + v * VF, VF);                 \
            v64_store((q) + codes_at, 64, row_code(coder, is_signed, codes_x));                    \
        }                                                                                          \
        if (codes_at == (cols)) break;                                                             \
        for (int v = 0; v < 4; v++) {                                                              \
            const int64_t codes_i = codes_at + v * VF, codes_n = (cols)-codes_i;                   \
            codes_x[v] = codes_n > 0 ? VALUE(codes_i, codes_n) : vf_set(0.0f);                     \
        }                                                                                          \
        v64_store((q) + codes_at, (cols)-codes_at, row_code(coder, is_signed, codes_x));           \
    } while (0)

static inline void row_codes(const row_coder *g, int is_signed, int64_t cols, const float *x,
                             uint8_t *q)
{
#define VALUE(i, count) vf_load_tail(x + (i), count)
    ROW_CODES(g, is_signed, cols, q, VALUE);
#undef VALUE
}

/* -- static grids ------------------------------------------------------------------------------ */

typedef struct static_coder {
    vf scale, inverse, far, most;
    int offset, limit; /* the zero point and the largest code, less qmin */
} static_coder;

static inline static_coder static_coder_of(const dfqi_grid *g)
{
    const float whole = g->zero_point ? rintf(g->zero_point[0]) : 0.0f;
    const float zero_point = fminf(fmaxf(whole, -0x1p14f), 0x1p14f); /* 16 bits have room for it */
    const int fast = grid_is_ordinary(g->scale[0], zero_point);
    return (static_coder){.scale = vf_set(g->scale[0]),
                          .inverse = vf_set(1.0f / g->scale[0]),
                          .far = vf_set(fast ? grid_far : -1.0f),
                          .most = vf_set(1024.0f + fabsf(zero_point)),
                          .offset = (int)(zero_point - g->qmin),
                          .limit = (int)(g->qmax - g->qmin)};
}

/* A ReLU in front of the grid can be done on codes where 0 has the smallest one: rounding keeps the
 * order of numbers. */
static inline int static_takes_relu(const dfqi_grid *g)
{
    return g->qmin == 0.0f && (!g->zero_point || rintf(g->zero_point[0]) == 0.0f);
}

static inline void static_take_relu(static_coder *c, const dfqi_grid *g, float cap)
{
    const float most = rintf(cap / g->scale[0]);
    if (most < (float)c->limit) c->limit = (int)most;
}

/* Whole numbers must fit in 32 bits, those above all codes are cut. */
static inline void static_round(const static_coder *g, const vf x[4], vi n[4])
{
    vf v[4];
    for (int i = 0; i < 4; i++) v[i] = vf_mul(x[i], g->inverse);
    if (grid_is_near(v, g->far))
        for (int i = 0; i < 4; i++) v[i] = vf_div(x[i], g->scale);
    for (int i = 0; i < 4; i++) n[i] = vi_round(vf_min(g->most, v[i]));
}

/* Codes less qmin; NaN gets 0. */
static inline v64 static_code(const static_coder *g, const vf x[4])
{
    vi n[4];
    static_round(g, x, n);
    return v64_min(v64_pack(n, g->offset, 0), g->limit);
}

#if defined(__AVX512F__)
/* The same in the order of v64_pack_lanes. */
static inline v64 static_code_lanes(const static_coder *g, const vf x[4])
{
    vi n[4];
    static_round(g, x, n);
    return v64_min(v64_pack_lanes(n, g->offset, 0), g->limit);
}
#endif

#endif
