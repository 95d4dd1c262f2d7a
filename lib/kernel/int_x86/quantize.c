/* Codes of floats, with the same bits as in int_ref/: true divisions, rounding
 * half to even. */
#include <math.h>

#include "kernel/int_layout.h"
#include "kernel/int_x86/isa.h"
#include "kernel/int_x86/row_codes.h"

void INT_ISA(quantize_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                            uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point)
{
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        const row_grid g = row_grid_of(row_ends_of(cols, x), bits, 0);
        scale[r] = g.at.scale;
        zero_point[r] = row_zero_point(&g);
        row_codes(&g, cols, x, q);
    }
}

void INT_ISA(quantize)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, int64_t ldx,
                       uint8_t *q, int64_t ldq)
{
    const int each = g->n_scales > 1;
    grid_static all = {vf_set(g->scale[0]), vf_set(g->zero_point ? rintf(g->zero_point[0]) : 0.0f),
                       vf_set(g->qmin), vf_set(g->qmax)};
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
#define STEP(i, c)                                                                                 \
    do {                                                                                           \
        if (each) all.scale = vf_load_tail(g->scale + (i), c);                                     \
        if (each && g->zero_point)                                                                 \
            all.zero_point = vf_round(vf_load_tail(g->zero_point + (i), c));                       \
        const vf code = grid_static_code(&all, vf_load_tail(x + (i), c));                          \
        codes_store_tail(q + (i), c, vf_to_codes(code));                                           \
    } while (0)
        VF_LOOP(cols, STEP);
#undef STEP
    }
}
