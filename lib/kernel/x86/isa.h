/* Declares the vector kernels of one instruction set. DFQI_ISA (avx2, avx512) comes from the
 * command line of the compiler. */
#ifndef DFQI_KERNEL_X86_ISA_H
#define DFQI_KERNEL_X86_ISA_H

#include "kernel/kernel.h"

#define DFQI_ISA_GLUE_(isa, name) dfqi_##isa##_##name
#define DFQI_ISA_GLUE(isa, name)  DFQI_ISA_GLUE_(isa, name)
#define ISA(name)                 DFQI_ISA_GLUE(DFQI_ISA, name)

void ISA(pack)(int trans, int64_t k, int64_t n, const float *b, int64_t ldb, float *out);

/* AVX2 alone has this one. */
void ISA(gemm)(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
               const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc);
void ISA(gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                      const float *packed, const float *bias, float *c, int64_t ldc);
void ISA(gemm_nt)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float *c, int64_t ldc, float *scratch);

void ISA(minus_nt)(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                   int64_t ldb, double *c, int64_t ldc);

void ISA(conv_pack)(int trans, int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                    float *out);
void ISA(conv_unpack)(int64_t o, int64_t c, int64_t taps, const float *packed, float *w);
void ISA(conv)(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
               float *y, float *scratch);
void ISA(conv_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                  float *scratch);
void ISA(conv_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                  const float *x, const float *dy, float *dw, float *scratch);
void ISA(winograd_pack)(int trans, int64_t o, int64_t c, const float *w, int64_t next, float *out);
void ISA(winograd_unpack)(int64_t o, int64_t c, const float *packed, float *w);
void ISA(winograd)(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
                   float *y, float *scratch);
void ISA(winograd_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                      float *scratch);
void ISA(winograd_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                      const float *x, const float *dy, float *dw, float *scratch);
void ISA(depthwise)(const dfqi_conv_shape *s, const float *x, const float *packed,
                    const float *bias, float *y, float *scratch);
void ISA(depthwise_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                       float *scratch);
void ISA(depthwise_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                       const float *x, const float *dy, float *dw, float *scratch);

void ISA(add)(size_t n, const float *a, const float *b, float *y);
void ISA(axpy)(size_t n, float alpha, const float *x, float *y);
void ISA(scale)(size_t n, float alpha, const float *x, float *y);
void ISA(gelu)(size_t n, const float *x, float *y);
void ISA(gelu_bwd)(size_t n, const float *x, const float *dy, float *dx);
void ISA(sigmoid)(size_t n, float a, float b, int gate, const float *x, float *y);
void ISA(relu)(size_t n, float cap, const float *x, float *y);
void ISA(relu_bwd)(size_t n, float cap, const float *x, const float *dy, float *dx);
void ISA(leaky_relu)(size_t n, float slope, const float *x, float *y);
void ISA(leaky_relu_bwd)(size_t n, float slope, const float *x, const float *dy, float *dx);

void ISA(softmax)(int64_t rows, int64_t cols, float scale, const float *x, float *p);
void ISA(softmax_bwd)(int64_t rows, int64_t cols, float scale, const float *p, const float *dp,
                      float *dx);
void ISA(layernorm)(int64_t rows, int64_t cols, float eps, const float *x, const float *gamma,
                    const float *beta, float *y, float *stats);
void ISA(layernorm_bwd)(int64_t rows, int64_t cols, const float *x, const float *stats,
                        const float *gamma, const float *dy, float *dx, float *dgamma_dbeta);
void ISA(col_sum)(int64_t rows, int64_t cols, const float *x, int accumulate, float *out);
void ISA(col_scale)(int64_t rows, int64_t cols, const float *x, const float *s, float *y);
void ISA(col_affine)(int64_t rows, int64_t cols, const float *x, const float *center,
                     const float *s, const float *shift, float *y);
void ISA(col_moments)(int64_t rows, int64_t cols, const float *x, float *mean, float *square);
void ISA(col_dots)(int64_t rows, int64_t cols, const float *x, const float *center, const float *dy,
                   float *dot, float *sum);

void ISA(fq)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, float *y);
void ISA(fq_bwd)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, const float *dy,
                 float *dx, float *dscale, float *dzero_point);
void ISA(fq_log)(size_t n, float top, float qmax, const float *x, float *y);
void ISA(fq_row)(int64_t rows, int64_t cols, int bits, int is_signed, const float *x, float *y,
                 float *scale_out, float *zero_point_out);
void ISA(fq_row_bwd)(int64_t rows, int64_t cols, int bits, int is_signed, const float *x,
                     const float *dy, float *dx);
void ISA(fq_weight)(int64_t rows, int64_t cols, int bits, const float *w, const float *s,
                    const float *scale_in, float *y, float *scale_out);
void ISA(fq_weight_range)(int64_t rows, int64_t cols, int bits, const float *w, float *y,
                          float *scale_out, float *zero_point_out);
int64_t ISA(crossings)(int64_t rows, int64_t cols, const dfqi_weight_grid *g, const float *w,
                       const float *d, float alpha);
void ISA(extremes)(size_t n, const float *x, float *out);

void ISA(transpose)(int64_t rows, int64_t cols, const float *in, int64_t ld_in, float *out,
                    int64_t ld_out);

double ISA(inter_head)(int64_t heads, int64_t n, int64_t drop, dfqi_distance d, const float *r,
                       float weight, float *dr, float *scratch);
double ISA(head_ssim)(int64_t rows, int64_t n, int64_t d, int64_t drop, const float *t,
                      const float *s, float weight, float *ds, float *scratch);

/* Puts all of the above into a table. */
void ISA(fill)(dfqi_kernels *t);
/* See dfqi_fma_burst. */
double ISA(fma_burst)(int64_t rounds);

#endif
