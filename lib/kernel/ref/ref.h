/* The plain C version of every slot. It is the reference that tests compare all other kernels with,
 * and it runs on machines without a faster one. Sums run in double, except where kernel.h fixes the
 * order of k. */
#ifndef DFQI_KERNEL_REF_H
#define DFQI_KERNEL_REF_H

#include "kernel/kernel.h"

void dfqi_ref_gemm(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                   const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc);
void dfqi_ref_pack(int trans, int64_t k, int64_t n, const float *b, int64_t ldb, float *out);
void dfqi_ref_gemm_packed(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                          const float *packed, const float *bias, float *c, int64_t ldc);
void dfqi_ref_minus_nt(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda,
                       const double *b, int64_t ldb, double *c, int64_t ldc);
void dfqi_ref_gemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                      int64_t ldb, float *c, int64_t ldc, float *scratch);

void dfqi_ref_conv_pack(int trans, int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                        float *out);
void dfqi_ref_conv_unpack(int64_t o, int64_t c, int64_t taps, const float *packed, float *w);
void dfqi_ref_conv(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
                   float *y, float *scratch);
void dfqi_ref_conv_dx(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                      float *scratch);
void dfqi_ref_conv_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                      const float *x, const float *dy, float *dw, float *scratch);
void dfqi_ref_winograd_pack(int trans, int64_t o, int64_t c, const float *w, int64_t next,
                            float *out);
void dfqi_ref_winograd_unpack(int64_t o, int64_t c, const float *packed, float *w);
void dfqi_ref_winograd(const dfqi_conv_shape *s, const float *x, const float *packed,
                       const float *bias, float *y, float *scratch);
void dfqi_ref_winograd_dx(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                          float *scratch);
void dfqi_ref_winograd_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                          const float *x, const float *dy, float *dw, float *scratch);

void dfqi_ref_depthwise(const dfqi_conv_shape *s, const float *x, const float *packed,
                        const float *bias, float *y, float *scratch);
void dfqi_ref_depthwise_dx(const dfqi_conv_shape *s, const float *dy, const float *packed,
                           float *dx, float *scratch);
void dfqi_ref_depthwise_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                           const float *x, const float *dy, float *dw, float *scratch);

void dfqi_ref_add(size_t n, const float *a, const float *b, float *y);
void dfqi_ref_axpy(size_t n, float alpha, const float *x, float *y);
void dfqi_ref_scale(size_t n, float alpha, const float *x, float *y);
void dfqi_ref_gelu(size_t n, const float *x, float *y);
void dfqi_ref_gelu_bwd(size_t n, const float *x, const float *dy, float *dx);
void dfqi_ref_sigmoid(size_t n, float a, float b, int gate, const float *x, float *y);
void dfqi_ref_relu(size_t n, float cap, const float *x, float *y);
void dfqi_ref_relu_bwd(size_t n, float cap, const float *x, const float *dy, float *dx);
void dfqi_ref_leaky_relu(size_t n, float slope, const float *x, float *y);
void dfqi_ref_leaky_relu_bwd(size_t n, float slope, const float *x, const float *dy, float *dx);

void dfqi_ref_softmax(int64_t rows, int64_t cols, float scale, const float *x, float *p);
void dfqi_ref_softmax_bwd(int64_t rows, int64_t cols, float scale, const float *p, const float *dp,
                          float *dx);
void dfqi_ref_layernorm(int64_t rows, int64_t cols, float eps, const float *x, const float *gamma,
                        const float *beta, float *y, float *stats);
void dfqi_ref_layernorm_bwd(int64_t rows, int64_t cols, const float *x, const float *stats,
                            const float *gamma, const float *dy, float *dx, float *dgamma_dbeta);
void dfqi_ref_col_sum(int64_t rows, int64_t cols, const float *x, int accumulate, float *out);
void dfqi_ref_col_scale(int64_t rows, int64_t cols, const float *x, const float *s, float *y);
void dfqi_ref_col_affine(int64_t rows, int64_t cols, const float *x, const float *center,
                         const float *s, const float *shift, float *y);
void dfqi_ref_col_moments(int64_t rows, int64_t cols, const float *x, float *mean, float *square);
void dfqi_ref_col_dots(int64_t rows, int64_t cols, const float *x, const float *center,
                       const float *dy, float *dot, float *sum);

void dfqi_ref_fq(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, float *y);
void dfqi_ref_fq_bwd(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x,
                     const float *dy, float *dx, float *dscale, float *dzero_point);
void dfqi_ref_fq_log(size_t n, float top, float qmax, const float *x, float *y);
void dfqi_ref_fq_row(int64_t rows, int64_t cols, int bits, int is_signed, const float *x, float *y,
                     float *scale_out, float *zero_point_out);
void dfqi_ref_fq_row_bwd(int64_t rows, int64_t cols, int bits, int is_signed, const float *x,
                         const float *dy, float *dx);
void dfqi_ref_fq_weight(int64_t rows, int64_t cols, int bits, const float *w, const float *s,
                        const float *scale_in, float *y, float *scale_out);
void dfqi_ref_fq_weight_range(int64_t rows, int64_t cols, int bits, const float *w, float *y,
                              float *scale_out, float *zero_point_out);
int64_t dfqi_ref_crossings(int64_t rows, int64_t cols, const dfqi_weight_grid *g, const float *w,
                           const float *d, float alpha);
void dfqi_ref_extremes(size_t n, const float *x, float *out);

void dfqi_ref_transpose(int64_t rows, int64_t cols, const float *in, int64_t ld_in, float *out,
                        int64_t ld_out);

double dfqi_ref_inter_head(int64_t heads, int64_t n, int64_t drop, dfqi_distance d, const float *r,
                           float weight, float *dr, float *scratch);
double dfqi_ref_head_ssim(int64_t rows, int64_t n, int64_t d, int64_t drop, const float *t,
                          const float *s, float weight, float *ds, float *scratch);

#endif
