/* Sums become outputs, in the order of float operations that int_kernel.h fixes. */
#include "kernel/int_x86/finish.h"

/* A bias of -0 leaves every float as it is. */
void INT_ISA(finish_columns)(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                             const dfqi_int_output *out, int64_t first, finish_columns *c)
{
    static const int32_t zero = 0;
    c->first = first;
    c->lanes = b->n - first < VF ? b->n - first : VF;
    c->factors.scale = vf_load_tail(b->scale + first, c->lanes);
    c->factors.sum = a->zero_point ? vi_load_tail(b->sum + first, c->lanes) : vi_set(0);
    c->factors.bias = out->bias ? vf_load_tail(out->bias + first, c->lanes) : vf_set(-0.0f);
    c->out = out;
    c->row_scale = a->scale;
    c->scale_step = !a->one_grid;
    c->row_zero_point = a->zero_point ? a->zero_point : &zero;
    c->zero_point_step = a->zero_point && !a->one_grid;
    c->floats = out->y && !out->q && !out->relu && !out->add_codes;
    const int codes = out->q && !out->y && !(out->add && out->add_codes) && a->one_grid &&
                      (!out->relu || static_takes_relu(out->grid));
    c->kind = c->lanes < VF ? FINISH_TAIL
              : codes       ? FINISH_CODES
              : !c->floats  ? FINISH_ANY
              : out->add    ? FINISH_FLOATS_ADD
                            : FINISH_FLOATS;
    if (out->q) c->coder = static_coder_of(out->grid);
    if (codes && out->relu) static_take_relu(&c->coder, out->grid, out->cap);
    if (c->kind == FINISH_CODES) c->fast = finish_coder_of(a->scale[0], &c->factors, out);
}

/* What changes from row to row. */
typedef struct rows_of {
    const int32_t *sums, *zero_point;
    const float *scale;
    int64_t ld, scale_step, zero_point_step;
} rows_of;

ALWAYS_INLINE vf next_row(const finish_factors *f, rows_of *r)
{
    const vf y = finish_scaled(f, vi_load(r->sums), vi_set(*r->zero_point), vf_set(*r->scale));
    r->sums += r->ld;
    r->zero_point += r->zero_point_step;
    r->scale += r->scale_step;
    return y;
}

/* Loops work on copies of what they read: stores to memory do not spoil those. */
ALWAYS_INLINE void finish_floats(const finish_columns *from, rows_of r, int64_t rows, int64_t row,
                                 int has_add)
{
    const finish_columns c = *from;
    const int64_t ld_y = c.out->ld_y, ld_add = c.out->ld_add;
    const float *add = has_add ? c.out->add + row * ld_add + c.first : NULL;
    float *y = c.out->y + row * ld_y + c.first;
    for (float *end = y + rows * ld_y; y != end; y += ld_y) {
        vf v = next_row(&c.factors, &r);
        if (has_add) v = vf_add(v, vf_load(add));
        if (has_add) add += ld_add;
        vf_store(y, v);
    }
}

ALWAYS_INLINE vf added_codes(const dfqi_int_output *o, const uint8_t *codes, int64_t lanes)
{
    const vi code = lanes < VF ? vi_load_codes_n(codes, lanes) : vi_load_codes(codes);
    return vf_mul(vi_to_float(vi_sub(code, vi_set(o->add_zero_point))), vf_set(o->add_scale));
}

/* Row i with all that there may be but codes. */
ALWAYS_INLINE vf finished(const finish_columns *c, const dfqi_int_output *o, rows_of *r, int64_t i,
                          int64_t lanes)
{
    vf y = next_row(&c->factors, r);
    if (o->add) y = vf_add(y, vf_load_tail(o->add + i * o->ld_add + c->first, lanes));
    if (o->add_codes)
        y = vf_add(y, added_codes(o, o->add_codes + i * o->ld_add_codes + c->first, lanes));
    if (o->relu) y = vf_min(vf_set(o->cap), vf_max(vf_set(0.0f), y));
    if (o->y) vf_store_tail(o->y + i * o->ld_y + c->first, lanes, y);
    return y;
}

/* Codes of four rows at a time. */
ALWAYS_INLINE void finish_any(const finish_columns *from, rows_of r, int64_t rows, int64_t row,
                              int64_t lanes)
{
    const finish_columns c = *from;
    const dfqi_int_output o = *c.out;
    for (int64_t k = 0; k < rows; k += 4) {
        vf y[4];
        for (int i = 0; i < 4; i++)
            y[i] = k + i < rows ? finished(&c, &o, &r, row + k + i, lanes) : vf_set(0.0f);
        if (!o.q) continue;
        const v64 codes = static_code(&c.coder, y);
        for (int i = 0; i < 4 && k + i < rows; i++)
            v64_store_part(o.q + (row + k + i) * o.ld_q + c.first, lanes, codes, i);
    }
}

typedef enum added_kind { ADDED_NOTHING, ADDED_CODES, ADDED_FLOATS } added_kind;

/* Four vectors of codes. */
ALWAYS_INLINE void store_codes(uint8_t *q, int64_t ld_q, int64_t rows, int panels, v64 codes)
{
    for (int i = 0; i < 4 / panels && i < rows; i++)
        if (panels == 2)
            v64_store_two(q + i * ld_q, codes, i);
        else
            v64_store_part(q + i * ld_q, VF, codes, i);
}

/* Four vectors at a time: rows of one panel, or half as many of two. The last may be made twice. */
ALWAYS_INLINE void codes_of(const finish_columns *c, const int32_t *sums, int64_t ld, int64_t rows,
                            int64_t row, int panels, added_kind added)
{
    const dfqi_int_output *o = c->out;
    const finish_factors f[2] = {c[0].factors, c[panels - 1].factors};
    const static_coder coder = c->coder;
    const vf scale = vf_set(*c->row_scale);
    const vi zero_point = vi_set(*c->row_zero_point);
    const int64_t ld_q = o->ld_q, n = 4 / panels;
    const int64_t ld_add = added == ADDED_FLOATS ? o->ld_add : o->ld_add_codes;
    const int64_t first = row * ld_add + c->first;
    uint8_t *q = o->q + row * ld_q + c->first;
    const uint8_t *codes_add = added == ADDED_CODES ? o->add_codes + first : NULL;
    const float *add = added == ADDED_FLOATS ? o->add + first : NULL;
    for (int64_t k = 0; k < rows; k += n) {
        vf y[4];
        for (int i = 0; i < 4; i++) {
            const int64_t r = k + i / panels < rows ? k + i / panels : rows - 1;
            const int at = i % panels * VF;
            y[i] = finish_scaled(&f[i % panels], vi_load(sums + r * ld + at), zero_point, scale);
            if (added == ADDED_FLOATS) y[i] = vf_add(y[i], vf_load(add + r * ld_add + at));
            if (added == ADDED_CODES)
                y[i] = vf_add(y[i], added_codes(o, codes_add + r * ld_add + at, VF));
        }
        store_codes(q + k * ld_q, ld_q, rows - k, panels, static_code(&coder, y));
    }
}

/* Number of panels and kind become constants. */
static __attribute__((noinline)) void codes_exact(const finish_columns *c, const int32_t *sums,
                                                  int64_t ld, int64_t rows, int64_t row, int panels)
{
    const int two = panels == 2;
    if (c->out->add)
        two ? codes_of(c, sums, ld, rows, row, 2, ADDED_FLOATS)
            : codes_of(c, sums, ld, rows, row, 1, ADDED_FLOATS);
    else if (c->out->add_codes)
        two ? codes_of(c, sums, ld, rows, row, 2, ADDED_CODES)
            : codes_of(c, sums, ld, rows, row, 1, ADDED_CODES);
    else
        two ? codes_of(c, sums, ld, rows, row, 2, ADDED_NOTHING)
            : codes_of(c, sums, ld, rows, row, 1, ADDED_NOTHING);
}

void INT_ISA(finish_codes_exact)(const finish_columns *c, int64_t panels, const int32_t *sums,
                                 int64_t ld, int64_t rows, int64_t row)
{
    codes_exact(c, sums, ld, rows, row, (int)panels);
}

/* What codes of all rows of some panels share; the rows that a group of four vectors has. */
typedef struct fast_codes {
    vf scale[2], bias[2], far, added;
    vi zeros[2];
    int limit;
} fast_codes;

/* Each unit of a float that is added makes a result wrong by so much at most (finish_coder_of). */
static const float added_off = 16.0f * 0x1p-24f;

/* Four vectors of codes by multiplication and addition alone, of which the last may be twice the
 * same. False if one comes near to a tie. Floats that are added have no bound that is known before:
 * their share of the error is added here, and what is above all codes is cut. */
ALWAYS_INLINE int fast_group(const fast_codes *f, const int32_t *sums, int64_t ld,
                             const uint8_t *codes_add, const float *add, int64_t ld_add,
                             int64_t rows, int panels, v64 *out)
{
    vf v[4], off[4];
    vi codes[4];
    for (int i = 0; i < 4; i++) {
        const int k = i % panels;
        const int64_t r = i / panels < rows ? i / panels : rows - 1;
        const vi sum = vi_sub(vi_load(sums + r * ld + k * VF), f->zeros[k]);
        v[i] = vf_fma(vi_to_float(sum), f->scale[k], f->bias[k]);
        if (codes_add)
            v[i] =
                vf_fma(vi_to_float(vi_load_codes(codes_add + r * ld_add + k * VF)), f->added, v[i]);
        if (!add) continue;
        const vf a = vf_mul(vf_load(add + r * ld_add + k * VF), f->added);
        v[i] = vf_min(vf_set(1024.0f), vf_add(v[i], a));
        off[i] = vf_fma(vf_abs(a), vf_set(added_off), vf_abs(vf_off(v[i])));
    }
    if (add ? grid_is_far_off(off, f->far) : grid_is_near(v, f->far)) return 0;
    for (int i = 0; i < 4; i++) codes[i] = vi_round(v[i]);
    *out = v64_min(v64_pack(codes, 0, 0), f->limit);
    return 1;
}

ALWAYS_INLINE void codes_fast(const finish_columns *c, const int32_t *sums, int64_t ld,
                              int64_t rows, int64_t row, int panels, added_kind added)
{
    const int last = panels - 1, n = 4 / panels;
    const dfqi_int_output *o = c->out;
    const int64_t ld_q = o->ld_q, ld_add = added == ADDED_FLOATS ? o->ld_add : o->ld_add_codes;
    const int64_t first = row * ld_add + c->first;
    const vi zero_point = vi_set(*c->row_zero_point);
    const fast_codes f = {
        .scale = {c->fast.scale, c[last].fast.scale},
        .bias = {c->fast.bias, c[last].fast.bias},
        .far = vf_min(c->fast.far, c[last].fast.far),
        .added = vf_set(c->fast.added),
        .zeros = {vi_mul(zero_point, c->factors.sum), vi_mul(zero_point, c[last].factors.sum)},
        .limit = c->coder.limit};
    uint8_t *q = o->q + row * ld_q + c->first;
    const uint8_t *codes_add = added == ADDED_CODES ? o->add_codes + first : NULL;
    const float *add = added == ADDED_FLOATS ? o->add + first : NULL;
    for (; rows > 0; rows -= n, row += n) {
        const int64_t now = rows < n ? rows : n;
        v64 codes;
        if (rows >= n ? fast_group(&f, sums, ld, codes_add, add, ld_add, n, panels, &codes)
                      : fast_group(&f, sums, ld, codes_add, add, ld_add, now, panels, &codes))
            store_codes(q, ld_q, now, panels, codes);
        else
            codes_exact(c, sums, ld, now, row, panels);
        sums += n * ld;
        q += n * ld_q;
        if (codes_add) codes_add += n * ld_add;
        if (add) add += n * ld_add;
    }
}

void INT_ISA(finish_codes)(const finish_columns *c, int64_t panels, const int32_t *sums, int64_t ld,
                           int64_t rows, int64_t row)
{
    const int two = panels == 2;
    if (!c[0].fast.usable || !c[panels - 1].fast.usable)
        codes_exact(c, sums, ld, rows, row, (int)panels);
    else if (c->out->add_codes)
        two ? codes_fast(c, sums, ld, rows, row, 2, ADDED_CODES)
            : codes_fast(c, sums, ld, rows, row, 1, ADDED_CODES);
    else if (c->out->add)
        two ? codes_fast(c, sums, ld, rows, row, 2, ADDED_FLOATS)
            : codes_fast(c, sums, ld, rows, row, 1, ADDED_FLOATS);
    else
        two ? codes_fast(c, sums, ld, rows, row, 2, ADDED_NOTHING)
            : codes_fast(c, sums, ld, rows, row, 1, ADDED_NOTHING);
}

void INT_ISA(finish)(const finish_columns *c, const int32_t *sums, int64_t ld, int64_t rows,
                     int64_t row)
{
    const rows_of r = {.sums = sums,
                       .zero_point = c->row_zero_point + row * c->zero_point_step,
                       .scale = c->row_scale + row * c->scale_step,
                       .ld = ld,
                       .scale_step = c->scale_step,
                       .zero_point_step = c->zero_point_step};
    switch (c->kind) {
    case FINISH_FLOATS:
        finish_floats(c, r, rows, row, 0);
        return;
    case FINISH_FLOATS_ADD:
        finish_floats(c, r, rows, row, 1);
        return;
    case FINISH_CODES:
        INT_ISA(finish_codes)(c, 1, sums, ld, rows, row);
        return;
    case FINISH_ANY:
        finish_any(c, r, rows, row, VF);
        return;
    case FINISH_TAIL:
        finish_any(c, r, rows, row, c->lanes);
    }
}
