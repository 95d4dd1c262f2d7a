/* The grid of a row of activations, and its codes. */
#ifndef DFQI_INT_X86_ROW_CODES_H
#define DFQI_INT_X86_ROW_CODES_H

#include "kernel/int_x86/vec_int.h"
#include "kernel/row_grid.h"

/* The extremes of a row with 0 among them; odd: 0, or NaN where a value is not
 * finite. */
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

static inline row_ends row_ends_of(int64_t cols, const float *x)
{
    row_ends e = row_ends_begin();
#define STEP(i, c) row_ends_add(&e, vf_load_tail(x + (i), c))
    VF_LOOP(cols, STEP);
#undef STEP
    return e;
}

typedef struct row_grid {
    dfqi_row_grid at;
    vf scale, zero_point, qmin, qmax;
} row_grid;

static inline row_grid row_grid_set(dfqi_row_grid at)
{
    return (row_grid){at, vf_set(at.scale), vf_set(at.zero_point), vf_set(at.qmin),
                      vf_set(at.qmax)};
}

static inline row_grid row_grid_of(row_ends e, int bits, int is_signed)
{
    return row_grid_set(dfqi_row_grid_runtime(bits, is_signed, vf_smallest(e.lo), vf_largest(e.hi),
                                              vf_sum(e.odd) == 0.0f));
}

/* NaN gets the smallest code. */
static inline vf row_code(const row_grid *g, vf x)
{
    vf q = vf_add(vf_round(vf_div(x, g->scale)), g->zero_point);
    return vf_min(vf_max(q, g->qmin), g->qmax);
}

static inline int32_t row_zero_point(const row_grid *g)
{
    return g->at.scale == g->at.scale ? (int32_t)g->at.zero_point : 0;
}

static inline void row_codes(const row_grid *g, int64_t cols, const float *x, uint8_t *q)
{
#define STEP(i, c) codes_store_tail(q + (i), c, vf_to_codes(row_code(g, vf_load_tail(x + (i), c))))
    VF_LOOP(cols, STEP);
#undef STEP
}

#endif
