/* Float rows that become codes while they are in the L1 cache. The floats are
 * those of the float kernels. */
#include "kernel/int_x86/isa.h"

void INT_ISA(layernorm)(int64_t rows, int64_t cols, float eps, const float *x, int64_t ldx,
                        const float *gamma, const float *beta, int bits, uint8_t *q, int64_t ldq,
                        float *scale, int32_t *zero_point, float *scratch)
{
    float stats[2];
    for (int64_t r = 0; r < rows; r++) {
        ISA(layernorm)(1, cols, eps, x + r * ldx, gamma, beta, scratch, stats);
        INT_ISA(quantize_rows)
        (1, cols, bits, scratch, cols, q + r * ldq, ldq, scale + r, zero_point + r);
    }
}

void INT_ISA(gelu)(int64_t rows, int64_t cols, float *x, int64_t ldx, int bits, uint8_t *q,
                   int64_t ldq, float *scale, int32_t *zero_point)
{
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        ISA(gelu)((size_t)cols, x, x);
        INT_ISA(quantize_rows)
        (1, cols, bits, x, ldx, q + r * ldq, ldq, scale + r, zero_point + r);
    }
}

void INT_ISA(softmax)(int64_t rows, int64_t cols, float factor, float *x, int64_t ldx, int bits,
                      uint8_t *q, int64_t ldq, float *scale)
{
    for (int64_t r = 0; r < rows; r++, x += ldx) {
        int32_t zero_point;
        ISA(softmax)(1, cols, factor, x, x);
        INT_ISA(quantize_rows)
        (1, cols, bits, x, ldx, q + r * ldq, ldq, scale + r, &zero_point);
    }
}
