/* Codes of floats, with the same bits as in int_ref/: those of true divisions, with rounding half
 * to even. */
#include "kernel/int_x86/grids.h"
#include "kernel/int_x86/isa.h"

/* Rows whose extremes are found before the first one gets its codes: what waits for the extremes of
 * a row need not wait for those of the others. */
enum { TOGETHER = 8 };

void INT_ISA(quantize_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                            uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point)
{
    dfqi_row_grid g[TOGETHER];
    for (int64_t r = 0; r < rows; r += TOGETHER) {
        const int64_t n = rows - r < TOGETHER ? rows - r : TOGETHER;
        for (int64_t i = 0; i < n; i++) {
            g[i] = row_grid_of(row_ends_of(cols, x + (r + i) * ldx), bits, 0);
            scale[r + i] = g[i].scale;
            zero_point[r + i] = row_zero_point(&g[i]);
        }
        for (int64_t i = 0; i < n; i++) {
            const row_coder coder = row_coder_of(&g[i]);
            row_codes(&coder, 0, cols, x + (r + i) * ldx, q + (r + i) * ldq);
        }
    }
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
