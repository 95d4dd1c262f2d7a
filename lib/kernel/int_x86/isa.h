/* Declares the vector kernels of one table. The command line of the compiler
 * gives DFQI_INT_ISA (int_avx2, int_avxvnni, int_avx512vnni), and DFQI_ISA for
 * the float kernels that go with it. */
#ifndef DFQI_INT_X86_ISA_H
#define DFQI_INT_X86_ISA_H

#include "kernel/int_kernel.h"
#include "kernel/x86/isa.h"

#define INT_ISA(name) DFQI_ISA_GLUE(DFQI_INT_ISA, name)

double INT_ISA(burst)(int64_t rounds);
void INT_ISA(quantize_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                            uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point);
void INT_ISA(quantize)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, int64_t ldx,
                       uint8_t *q, int64_t ldq);
void INT_ISA(pack_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                        uint8_t *codes, float *scale, int32_t *sum);
void INT_ISA(pack_columns)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                           uint8_t *codes, float *scale, int32_t *sum);
void INT_ISA(layernorm)(int64_t rows, int64_t cols, float eps, const float *x, int64_t ldx,
                        const float *gamma, const float *beta, int bits, uint8_t *q, int64_t ldq,
                        float *scale, int32_t *zero_point, float *scratch);
void INT_ISA(gelu)(int64_t rows, int64_t cols, const float *x, int64_t ldx, int bits, uint8_t *q,
                   int64_t ldq, float *scale, int32_t *zero_point, float *scratch);
void INT_ISA(softmax)(int64_t rows, int64_t cols, float factor, float *x, int64_t ldx, int bits,
                      uint8_t *q, int64_t ldq, float *scale);
void INT_ISA(product)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                      const dfqi_int_output *out, uint8_t *scratch);
void INT_ISA(product_spans)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                            const dfqi_int_output *out, uint8_t *scratch);
void INT_ISA(conv)(const dfqi_conv_shape *s, int64_t first, int64_t rows, const dfqi_int_rows *a,
                   const dfqi_int_matrix *b, const dfqi_int_output *out, uint8_t *scratch);
void INT_ISA(depthwise)(const dfqi_conv_shape *s, int64_t first, int64_t rows,
                        const dfqi_int_rows *a, const dfqi_int_matrix *b,
                        const dfqi_int_output *out, uint8_t *scratch);
void INT_ISA(max_pool)(const dfqi_conv_shape *s, const uint8_t *x, int64_t ldx, uint8_t *q,
                       int64_t ldq);
void INT_ISA(mean)(int64_t pixels, int64_t c, const dfqi_int_rows *a, float *y);

extern const dfqi_int_kernels INT_ISA(kernels);

#endif
