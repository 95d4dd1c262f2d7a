/* Codes of floats, with the same bits as in int_ref/: those of true divisions, with rounding half
 * to even. */
#include "kernel/int_x86/grids.h"
#include "kernel/int_x86/isa.h"
#include "kernel/int_x86/row_grids.h"

/* Rows of which not all have ordinary grids. */
static __attribute__((noinline)) void odd_rows(int64_t rows, int64_t cols, int bits, const float *x,
                                               int64_t ldx, uint8_t *q, int64_t ldq, float *scale,
                                               int32_t *zero_point)
{
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const dfqi_row_grid g = row_grid_of(row_ends_of(cols, x), bits, 0);
        row_coder coder = row_coder_of(&g);
        scale[r] = g.scale;
        if (zero_point)
            zero_point[r] = row_zero_point(&g);
        else
            row_coder_level(&coder, bits);
        row_codes(&coder, 0, cols, x, q);
    }
}

/* Up to sixteen rows: extremes of all, grids of all, codes of all. What waits for the extremes of a
 * row need not wait for those of the others. */
static inline void some_rows(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                             uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point)
{
    rows_ends e;
    row_grids g;
    rows_ends_of(rows, cols, x, ldx, &e);
    if (!row_grids_of(&e, bits, 0, &g)) {
        odd_rows(rows, cols, bits, x, ldx, q, ldq, scale, zero_point);
        return;
    }
    memcpy(scale, g.scale, (size_t)rows * sizeof *scale);
    if (zero_point) memcpy(zero_point, g.zero_point, (size_t)rows * sizeof *zero_point);
    for (int64_t r = 0; r < rows; r++) {
        row_coder coder = row_grids_coder(&g, r, bits, 0);
        if (!zero_point) row_coder_level(&coder, bits);
        row_codes(&coder, 0, cols, x + r * ldx, q + r * ldq);
    }
}

void INT_ISA(quantize_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                            uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point)
{
    for (int64_t r = 0; r < rows; r += VF)
        some_rows(rows - r < VF ? rows - r : VF, cols, bits, x + r * ldx, ldx, q + r * ldq, ldq,
                  scale + r, zero_point ? zero_point + r : NULL);
}

/* A grid for each column. */
static void quantize_columns(int64_t cols, const dfqi_grid *g, const float *x, uint8_t *q)
{
    const vf most = vf_set(1024.0f); /* above all codes, and fits in 32 bits */
    for (int64_t at = 0; at < cols; at += 64) {
        vi n[4];
        for (int64_t k = 0; k < 4; k++) {
            const int64_t i = at + k * VF, c = cols - i;
            n[k] = vi_set(0);
            if (c <= 0) continue;
            vf v = vf_div(vf_load_tail(x + i, c), vf_load_tail(g->scale + i, c));
            v = vf_round(v);
            if (g->zero_point) v = vf_add(v, vf_round(vf_load_tail(g->zero_point + i, c)));
            n[k] = vi_round(vf_min(most, v));
        }
        const v64 codes = v64_pack(n, -(int)g->qmin, 0);
        v64_store(q + at, cols - at, v64_min(codes, (int)(g->qmax - g->qmin)));
    }
}

void INT_ISA(quantize)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, int64_t ldx,
                       uint8_t *q, int64_t ldq)
{
    const static_coder coder = static_coder_of(g);
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        if (g->n_scales > 1) {
            quantize_columns(cols, g, x, q);
            continue;
        }
        for (int64_t at = 0; at < cols; at += 64) {
            vf v[4];
            for (int64_t k = 0; k < 4; k++) {
                const int64_t i = at + k * VF;
                v[k] = i < cols ? vf_load_tail(x + i, cols - i) : vf_set(0.0f);
            }
            v64_store(q + at, cols - at, static_code(&coder, v));
        }
    }
}
