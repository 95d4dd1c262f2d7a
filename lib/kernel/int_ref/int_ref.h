/* The plain C version of every integer slot: what all other tables must equal to the bit. */
#ifndef DFQI_INT_REF_H
#define DFQI_INT_REF_H

#include "kernel/int_kernel.h"

void dfqi_int_ref_quantize_rows(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                                uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point);
void dfqi_int_ref_quantize(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x,
                           int64_t ldx, uint8_t *q, int64_t ldq);
void dfqi_int_ref_pack_rows(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                            uint8_t *codes, float *scale, int32_t *sum);
void dfqi_int_ref_pack_columns(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                               uint8_t *codes, float *scale, int32_t *sum);

void dfqi_int_ref_layernorm(int64_t rows, int64_t cols, float eps, const float *x, int64_t ldx,
                            const float *gamma, const float *beta, int bits, uint8_t *q,
                            int64_t ldq, float *scale, int32_t *zero_point, float *scratch);
void dfqi_int_ref_gelu(int64_t rows, int64_t cols, const float *x, int64_t ldx, int bits,
                       uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point, float *scratch);
void dfqi_int_ref_softmax(int64_t rows, int64_t cols, float factor, float *x, int64_t ldx, int bits,
                          uint8_t *q, int64_t ldq, float *scale);

void dfqi_int_ref_product(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                          const dfqi_int_output *out, uint8_t *scratch);
void dfqi_int_ref_product_spans(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                                const dfqi_int_output *out, uint8_t *scratch);
void dfqi_int_ref_conv(const dfqi_conv_shape *s, int64_t first, int64_t rows,
                       const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *out,
                       uint8_t *scratch);
void dfqi_int_ref_depthwise(const dfqi_conv_shape *s, int64_t first, int64_t rows,
                            const dfqi_int_rows *a, const dfqi_int_matrix *b,
                            const dfqi_int_output *out, uint8_t *scratch);

void dfqi_int_ref_max_pool(const dfqi_conv_shape *s, const uint8_t *x, int64_t ldx, uint8_t *q,
                           int64_t ldq);
void dfqi_int_ref_mean(int64_t pixels, int64_t c, const dfqi_int_rows *a, float *y);

extern const dfqi_int_kernels dfqi_int_kernels_ref;

#endif
