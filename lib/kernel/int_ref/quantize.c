/* Codes of floats in plain C, with true divisions and rounding half to even. */
#include <string.h>

#include "kernel/codes.h"
#include "kernel/int_layout.h"
#include "kernel/int_ref/int_ref.h"
#include "kernel/row_grid.h"

/* The grid of n values, `next` floats apart. */
static dfqi_row_grid grid_of(int64_t n, int bits, int is_signed, const float *x, int64_t next)
{
    float lo = 0.0f, hi = 0.0f;
    int finite = 1;
    for (int64_t i = 0; i < n; i++) {
        float v = x[i * next];
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
        finite &= fabsf(v) <= FLT_MAX;
    }
    return dfqi_row_grid_runtime(bits, is_signed, lo, hi, finite);
}

/* NaN gets the smallest code. */
static int32_t code_of(const dfqi_row_grid *g, float x)
{
    float q = dfqi_code_uniform(x, g->scale, g->zero_point, g->qmin, g->qmax);
    return (int32_t)(isnan(q) ? g->qmin : q);
}

void dfqi_int_ref_quantize_rows(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                                uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point)
{
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq) {
        dfqi_row_grid g = grid_of(cols, bits, 0, x, 1);
        const int32_t own = isnan(g.scale) ? 0 : (int32_t)g.zero_point;
        const int32_t up = zero_point || isnan(g.scale) ? 0 : (int32_t)g.qmax - own;
        for (int64_t c = 0; c < cols; c++) q[c] = (uint8_t)(code_of(&g, x[c]) + up);
        scale[r] = g.scale;
        if (zero_point) zero_point[r] = own;
    }
}

void dfqi_int_ref_quantize(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x,
                           int64_t ldx, uint8_t *q, int64_t ldq)
{
    for (int64_t r = 0; r < rows; r++, x += ldx, q += ldq)
        for (int64_t c = 0; c < cols; c++) {
            int64_t i = g->n_scales > 1 ? c : 0;
            float z = g->zero_point ? rintf(g->zero_point[i]) : 0.0f;
            float code = dfqi_code_uniform(x[c], g->scale[i], z, g->qmin, g->qmax);
            q[c] = (uint8_t)((isnan(code) ? g->qmin : code) - g->qmin);
        }
}

/* Row j of a right operand from n values, `next` floats apart. */
static void pack_row(const dfqi_int_matrix *b, int64_t j, int bits, const float *x, int64_t next,
                     uint8_t *codes, float *scale, int32_t *sum)
{
    dfqi_row_grid g = grid_of(b->k, bits, 1, x, next);
    int32_t total = 0;
    int shift;
    for (int64_t p = 0; p < b->k; p++) {
        int32_t code = code_of(&g, x[p * next]);
        codes[dfqi_int_at(b, j, 0, p, &shift)] = (uint8_t)code;
        total += code;
    }
    scale[j] = g.scale;
    if (sum) sum[j] = total;
}

void dfqi_int_ref_pack_rows(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                            uint8_t *codes, float *scale, int32_t *sum)
{
    const dfqi_int_matrix b = {.n = rows, .k = cols, .spans = 1};
    memset(codes, 0, (size_t)dfqi_int_packed_bytes(rows, 1, cols, 8));
    for (int64_t j = 0; j < rows; j++) pack_row(&b, j, bits, x + j * ldx, 1, codes, scale, sum);
}

void dfqi_int_ref_pack_columns(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                               uint8_t *codes, float *scale, int32_t *sum)
{
    const dfqi_int_matrix b = {.n = cols, .k = rows, .spans = 1};
    memset(codes, 0, (size_t)dfqi_int_packed_bytes(cols, 1, rows, 8));
    for (int64_t j = 0; j < cols; j++) pack_row(&b, j, bits, x + j, ldx, codes, scale, sum);
}
