/* Sums become outputs, in the order of float operations that int_kernel.h fixes. */
#include <math.h>

#include "kernel/int_x86/tile.h"

/* Sixteen columns of some rows, and where their results go. */
typedef struct columns {
    int64_t lanes; /* how many columns there are */
    vf scale, bias;
    vi sum;
    const float *row_scale; /* of the first row */
    const int32_t *zero_point;
    int64_t scale_step, zero_point_step; /* 1, or 0: one for all rows */
    const float *add;
    const uint8_t *add_codes;
    float *y;
    uint8_t *q;
    grid_static grid;
} columns;

/* Copies of loops for the usual cases need arguments that are constants. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE vf scaled(const columns *c, const int32_t *sums, int64_t k)
{
    const vi zero_point = vi_set(c->zero_point[k * c->zero_point_step]);
    const vf t = vi_to_float(vi_sub(vi_load(sums), vi_mul(zero_point, c->sum)));
    const vf y = vf_mul(vf_mul(t, vf_set(c->row_scale[k * c->scale_step])), c->scale);
    return vf_add(y, c->bias);
}

/* Floats alone, with or without others to add. */
ALWAYS_INLINE void finish_floats(const columns *c, const dfqi_int_output *o, int has_add,
                                 int64_t lanes, const int32_t *sums, int64_t ld, int64_t rows)
{
    for (int64_t k = 0; k < rows; k++) {
        vf y = scaled(c, sums + k * ld, k);
        if (has_add) y = vf_add(y, vf_load_tail(c->add + k * o->ld_add, lanes));
        vf_store_tail(c->y + k * o->ld_y, lanes, y);
    }
}

ALWAYS_INLINE vf added_codes(const columns *c, const dfqi_int_output *o, int64_t lanes, int64_t k)
{
    const vi code = vi_load_codes(c->add_codes + k * o->ld_add_codes, lanes);
    return vf_mul(vi_to_float(vi_sub(code, vi_set(o->add_zero_point))), vf_set(o->add_scale));
}

/* All that there may be. */
ALWAYS_INLINE void finish_any(const columns *c, const dfqi_int_output *o, int64_t lanes,
                              const int32_t *sums, int64_t ld, int64_t rows)
{
    for (int64_t k = 0; k < rows; k++) {
        vf y = scaled(c, sums + k * ld, k);
        if (c->add) y = vf_add(y, vf_load_tail(c->add + k * o->ld_add, lanes));
        if (c->add_codes) y = vf_add(y, added_codes(c, o, lanes, k));
        if (o->relu) y = vf_min(vf_set(o->cap), vf_max(vf_set(0.0f), y));
        if (c->y) vf_store_tail(c->y + k * o->ld_y, lanes, y);
        if (c->q)
            codes_store_tail(c->q + k * o->ld_q, lanes, vf_to_codes(grid_static_code(&c->grid, y)));
    }
}

/* What all columns of some rows share. */
static columns columns_of(const dfqi_int_rows *a, const dfqi_int_output *o, int64_t row)
{
    static const int32_t zero = 0;
    const int64_t grid = a->one_grid ? 0 : row;
    columns c = {.row_scale = a->scale + grid, .scale_step = !a->one_grid};
    c.zero_point = a->zero_point ? a->zero_point + grid : &zero;
    c.zero_point_step = a->zero_point && !a->one_grid;
    if (!o->q) return c;
    const dfqi_grid *g = o->grid;
    c.grid =
        (grid_static){vf_set(g->scale[0]), vf_set(g->zero_point ? rintf(g->zero_point[0]) : 0.0f),
                      vf_set(g->qmin), vf_set(g->qmax)};
    return c;
}

/* Columns from j on. A bias of -0 leaves every float as it is. */
static void columns_at(columns *c, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                       const dfqi_int_output *o, int64_t row, int64_t j)
{
    c->lanes = b->n - j < VF ? b->n - j : VF;
    c->scale = vf_load_tail(b->scale + j, c->lanes);
    c->sum = a->zero_point ? vi_load_tail(b->sum + j, c->lanes) : vi_set(0);
    c->bias = o->bias ? vf_load_tail(o->bias + j, c->lanes) : vf_set(-0.0f);
    c->add = o->add ? o->add + row * o->ld_add + j : NULL;
    c->add_codes = o->add_codes ? o->add_codes + row * o->ld_add_codes + j : NULL;
    c->y = o->y ? o->y + row * o->ld_y + j : NULL;
    c->q = o->q ? o->q + row * o->ld_q + j : NULL;
}

void INT_ISA(finish)(const int32_t *sums, int64_t ld, int64_t rows, int64_t row, int64_t first,
                     const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *out)
{
    columns c = columns_of(a, out, row);
    const int floats = out->y && !out->q && !out->relu && !out->add_codes;
    for (int64_t j = first; j < first + ld && j < b->n; j += VF, sums += VF) {
        columns_at(&c, a, b, out, row, j);
        if (floats && c.lanes == VF && !out->add)
            finish_floats(&c, out, 0, VF, sums, ld, rows);
        else if (floats && c.lanes == VF)
            finish_floats(&c, out, 1, VF, sums, ld, rows);
        else if (c.lanes == VF)
            finish_any(&c, out, VF, sums, ld, rows);
        else
            finish_any(&c, out, c.lanes, sums, ld, rows);
    }
}
