/* Float rows that become codes: the plain C float slots, then quantize_rows. */
#include "kernel/int_ref/int_ref.h"
#include "kernel/ref/ref.h"

void dfqi_int_ref_layernorm(int64_t rows, int64_t cols, float eps, const float *x, int64_t ldx,
                            const float *gamma, const float *beta, int bits, uint8_t *q,
                            int64_t ldq, float *scale, int32_t *zero_point, float *scratch)
{
    float stats[2];
    for (int64_t r = 0; r < rows; r++) {
        dfqi_ref_layernorm(1, cols, eps, x + r * ldx, gamma, beta, scratch, stats);
        dfqi_int_ref_quantize_rows(1, cols, bits, scratch, cols, q + r * ldq, ldq, scale + r,
                                   zero_point + r);
    }
}

void dfqi_int_ref_gelu(int64_t rows, int64_t cols, const float *x, int64_t ldx, int bits,
                       uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point, float *scratch)
{
    for (int64_t r = 0; r < rows; r++) {
        dfqi_ref_gelu((size_t)cols, x + r * ldx, scratch);
        dfqi_int_ref_quantize_rows(1, cols, bits, scratch, cols, q + r * ldq, ldq, scale + r,
                                   zero_point + r);
    }
}

void dfqi_int_ref_softmax(int64_t rows, int64_t cols, float factor, float *x, int64_t ldx, int bits,
                          uint8_t *q, int64_t ldq, float *scale)
{
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        int32_t zero_point;
        dfqi_ref_softmax(1, cols, factor, x, x);
        dfqi_int_ref_quantize_rows(1, cols, bits, x, ldx, q + r * ldq, ldq, scale + r, &zero_point);
    }
}
