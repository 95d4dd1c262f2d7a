/* The kernel table: compute functions on raw pointers. Each runs on one thread and allocates
 * nothing.
 *
 * `ref/` fills every slot with plain C; `blis/`, `xsmm/` and `x86/` then replace the slots that
 * they compute faster on this machine (dfqi_kernels_get). All matrices are row-major, and leading
 * dimensions count floats. Outputs and inputs may not overlap unless a slot says so. The result of
 * a row (or an image) has the same bits whatever rows are computed beside it, so callers may slice
 * work as they like.
 *
 * Numbers are float32. Sums run in float with 16 fixed lanes (or wider); rounding is half to even.
 * NaN passes through forward slots. Tables may differ in the last bits, except in fq, fq_log,
 * fq_row, fq_weight, fq_weight_range, crossings and extremes. */
#ifndef DFQI_KERNEL_H
#define DFQI_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/context.h"

enum { DFQI_PANEL = 64 }; /* columns of a packed panel */

/* Floats that `pack` writes for a [k,n] right-hand side: ceil(n / 64) panels of k x 64, padded with
 * zeros. */
size_t dfqi_packed_floats(int64_t k, int64_t n);

/* A convolution of one image x[in_y, in_x, c] with o filters of kernel_y x kernel_x taps, padded
 * with zeros: y[i,j] = sum over taps of w[tap] x[i stride + u dilation - pad, j stride + v dilation
 * - pad]. Padding behind the image is as much as out_y and out_x need. */
typedef struct dfqi_conv_shape {
    int64_t in_y, in_x, c;
    int64_t out_y, out_x, o;
    int64_t kernel_y, kernel_x; /* at most DFQI_CONV_KERNEL */
    int64_t stride, pad, dilation;
} dfqi_conv_shape;

enum {
    DFQI_CONV_KERNEL = 16, /* taps along an axis */
    DFQI_CONV_PANEL = 16,  /* filters of a panel of packed weights */
    DFQI_WINOGRAD_TAPS = 16
};

/* Floats that `conv_pack` writes. */
size_t dfqi_conv_packed_floats(int64_t o, int64_t c, int64_t taps);
/* Floats of scratch that each convolution slot needs for this shape. */
size_t dfqi_conv_scratch(const dfqi_conv_shape *s);

/* Is Winograd's F(2x2,3x3) faster for this shape? It needs 3 x 3 taps, stride 1, dilation 1, and
 * multiples of 16 channels and filters. A tile of 2 x 2 outputs then takes 16 products for each
 * channel instead of 36, and weights have 16 taps. The answer is the same for every table. */
int dfqi_winograd_pays(const dfqi_conv_shape *s);
/* Floats of scratch that each winograd slot needs for this shape. */
size_t dfqi_winograd_scratch(const dfqi_conv_shape *s);

/* A uniform quantization grid: q = clamp(rint(x / scale) + rint(zero_point), qmin, qmax) and
 * x^ = (q - rint(zero_point)) * scale. `scale` and `zero_point` have `n_scales` entries: 1 (per
 * tensor) or one per column. Scales are > 0. zero_point NULL: 0. */
typedef struct dfqi_grid {
    const float *scale;
    const float *zero_point;
    int64_t n_scales;
    float qmin, qmax; /* smallest and largest code */
} dfqi_grid;

/* The codes of a weight w[rows, cols], a grid for each row. */
typedef struct dfqi_weight_grid {
    int bits;
    int asymmetric;     /* 1: as fq_weight_range; 0: as fq_weight */
    const float *s;     /* [cols] column factors, or NULL; not if asymmetric */
    const float *scale; /* [rows], or NULL: found from the weights themselves; not if asymmetric */
} dfqi_weight_grid;

/* The distance of two heads with similarity S. */
typedef enum dfqi_distance {
    DFQI_DISTANCE_SQUARE = 0,  /* 1 - S^2 */
    DFQI_DISTANCE_ABSOLUTE = 1 /* 1 - |S| */
} dfqi_distance;

typedef struct dfqi_kernels {
    const char *name; /* "ref", "avx2", "avx512+libxsmm", ... */

    /* -- matrix products ------------------------------------------------------------------- */

    /* C[m,n] = A[m,k] B[k,n] (+ C if accumulate). trans_a: A is stored [k,m]. */
    void (*gemm)(int trans_a, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                 const float *b, int64_t ldb, int accumulate, float *c, int64_t ldc);
    /* Packs B[k,n] (trans 0: stored [k,n], row stride ldb) or its transpose (trans 1: stored
     * [n,k], row stride ldb) into panels: out[(j / 64) * k * 64 + p * 64 + j % 64] = B[p][j]. */
    void (*pack)(int trans, int64_t k, int64_t n, const float *b, int64_t ldb, float *out);
    /* C[m,n] = A[m,k] B + bias[n] (bias NULL: 0), B packed. */
    void (*gemm_packed)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                        const float *packed, const float *bias, float *c, int64_t ldc);
    /* C[m,n] = A[m,k] B[n,k]^T, `scratch` of dfqi_packed_floats(k, n) floats. */
    void (*gemm_nt)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                    int64_t ldb, float *c, int64_t ldc, float *scratch);

    /* C[m,n] = C - A[m,k] B[n,k]^T in double; an element of C does not depend on those beside it.
     * For factoring and solving (quant/factor.h). */
    void (*minus_nt)(int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                     int64_t ldb, double *c, int64_t ldc);

    /* -- convolution: images are channels-last; see dfqi_conv_shape ------------------------ */

    /* Weights w[o, c, taps], `next` floats from one filter to the next, in panels of 16 filters,
     * padded with zeros: out[i / 16][t][j][i % 16] = w[i][j][t]. trans, for conv_dx: panels of 16
     * channels, taps backwards, out[j / 16][taps - 1 - t][i][j % 16] = w[i][j][t]. For the
     * depthwise slots: c is 1, no trans. */
    void (*conv_pack)(int trans, int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                      float *out);
    /* Unpacks panels (packed without trans) to w[o, c, taps]. */
    void (*conv_unpack)(int64_t o, int64_t c, int64_t taps, const float *packed, float *w);
    /* y[out_y, out_x, o] = convolution + bias[o] (NULL: 0). */
    void (*conv)(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
                 float *y, float *scratch);
    /* dx[in_y, in_x, c] from dy[out_y, out_x, o], weights packed with trans. */
    void (*conv_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                    float *scratch);
    /* The weight gradient of filters first .. first + n in panels, first a multiple of 16, summed
     * over `images` images x and dy in order. */
    void (*conv_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                    const float *x, const float *dy, float *dw, float *scratch);
    /* Convolution by Winograd's algorithm. The 16 taps of a filter w[3,3] are G w G^T, row by row;
     * with trans, w has its taps backwards. Panels are those of conv_pack. */
    void (*winograd_pack)(int trans, int64_t o, int64_t c, const float *w, int64_t next,
                          float *out);
    /* The gradient of w from the gradient dw of the 16 taps: G^T dw G (not the inverse of
     * packing). */
    void (*winograd_unpack)(int64_t o, int64_t c, const float *packed, float *w);
    void (*winograd)(const dfqi_conv_shape *s, const float *x, const float *packed,
                     const float *bias, float *y, float *scratch);
    void (*winograd_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                        float *scratch);
    /* The gradient of the taps of filters first .. first + n, both multiples of 16. */
    void (*winograd_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                        const float *x, const float *dy, float *dw, float *scratch);
    /* Convolution with one filter for each channel (o = c): w[c, 1, taps]. */
    void (*depthwise)(const dfqi_conv_shape *s, const float *x, const float *packed,
                      const float *bias, float *y, float *scratch);
    void (*depthwise_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                         float *scratch);
    void (*depthwise_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                         const float *x, const float *dy, float *dw, float *scratch);

    /* -- elementwise ----------------------------------------------------------------------- */

    void (*add)(size_t n, const float *a, const float *b, float *y); /* y may be a or b */
    void (*axpy)(size_t n, float alpha, const float *x, float *y);   /* y += alpha x */
    void (*scale)(size_t n, float alpha, const float *x, float *y);  /* y may be x */
    /* The erf form, to 4e-7. */
    void (*gelu)(size_t n, const float *x, float *y);
    void (*gelu_bwd)(size_t n, const float *x, const float *dy, float *dx); /* dx may be dy */
    /* y = s(a x + b x^3), times x if `gate` is not 0, with s(z) = 1 / (1 + e^-z): sigmoid, SiLU,
     * and the GELUs that are made of them. To 1e-6. y may be x. */
    void (*sigmoid)(size_t n, float a, float b, int gate, const float *x, float *y);
    /* min(max(x, 0), cap), cap INFINITY: ReLU. The slope is 1 strictly inside (0, cap), else 0. */
    void (*relu)(size_t n, float cap, const float *x, float *y);
    void (*relu_bwd)(size_t n, float cap, const float *x, const float *dy, float *dx);
    /* x where x >= 0, else slope x. The backward slope is 1 where x > 0, else `slope`. */
    void (*leaky_relu)(size_t n, float slope, const float *x, float *y);
    void (*leaky_relu_bwd)(size_t n, float slope, const float *x, const float *dy, float *dx);

    /* -- rows: x is [rows, cols], contiguous ----------------------------------------------- */

    /* p = softmax(scale * x) per row. p may be x. */
    void (*softmax)(int64_t rows, int64_t cols, float scale, const float *x, float *p);
    /* dx = scale * p * (dp - sum(p * dp)). dx may be dp. */
    void (*softmax_bwd)(int64_t rows, int64_t cols, float scale, const float *p, const float *dp,
                        float *dx);
    /* y = (x - mean) * rstd * gamma + beta, rstd = 1 / sqrt(var + eps), biased variance.
     * stats[rows][2] = mean, rstd. */
    void (*layernorm)(int64_t rows, int64_t cols, float eps, const float *x, const float *gamma,
                      const float *beta, float *y, float *stats);
    /* dx; and, if not NULL, dgamma_dbeta[2][cols] = sum over rows of dy * xhat, and of dy. */
    void (*layernorm_bwd)(int64_t rows, int64_t cols, const float *x, const float *stats,
                          const float *gamma, const float *dy, float *dx, float *dgamma_dbeta);
    /* out[cols] = sum over rows (+ out if accumulate). */
    void (*col_sum)(int64_t rows, int64_t cols, const float *x, int accumulate, float *out);
    /* y[r][c] = x[r][c] * s[c] */
    void (*col_scale)(int64_t rows, int64_t cols, const float *x, const float *s, float *y);
    /* y[r][c] = (x[r][c] - center[c]) * s[c] + shift[c] */
    void (*col_affine)(int64_t rows, int64_t cols, const float *x, const float *center,
                       const float *s, const float *shift, float *y);
    /* The mean of each column, and the sum of squared distances from it. */
    void (*col_moments)(int64_t rows, int64_t cols, const float *x, float *mean, float *square);
    /* dot[c] = sum over rows of (x[r][c] - center[c]) * dy[r][c]; sum[c] = that of dy[r][c]. */
    void (*col_dots)(int64_t rows, int64_t cols, const float *x, const float *center,
                     const float *dy, float *dot, float *sum);

    /* -- fake quantization (docs/METHODS.md, Quantizers) ------------------------------------ */

    /* y = dequantized x on `g`; x is [rows, cols], grid columns = cols when n_scales > 1. */
    void (*fq)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, float *y);
    /* LSQ backward: dx = dy in range, 0 outside; dscale[n_scales], dzero_point[n_scales] (may both
     * be NULL) = sums of dy * (q - z - x/scale) in range, dy * (Q - z) outside; and of -scale * dy
     * outside, 0 in range. "In range" is qmin <= x/scale + rint(zero_point) <= qmax. dx may be
     * dy. */
    void (*fq_bwd)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, const float *dy,
                   float *dx, float *dscale, float *dzero_point);
    /* Logarithmic grid with base 2^(1/2): q = rint(-2 log2(x / top)); q > qmax gives 0, q < 0 is 0;
     * y = top * 2^(-q/2). x >= 0; x / top below FLT_MIN gives 0. */
    void (*fq_log)(size_t n, float top, float qmax, const float *x, float *y);
    /* Activations, each row of x[rows, cols] on a grid of its own, found from the row. With
     * lo = min(0, min x) and hi = max(0, max x):
     * unsigned: scale = (hi - lo) / (2^bits - 1), zero_point = rint(-lo / scale), codes 0 ..
     * 2^bits - 1; signed: scale = max(-lo, hi) / Q, zero_point = 0, codes -Q .. Q with
     * Q = 2^(bits-1) - 1. q = clamp(rint(x / scale) + zero_point), y = (q - zero_point) * scale.
     * A row whose scale would be below FLT_MIN counts as zeros, scale 1. A row with NaN or an
     * infinity, or whose range overflows, becomes NaN, and its scale is NaN. scale_out and
     * zero_point_out [rows] may be NULL. y may be x. */
    void (*fq_row)(int64_t rows, int64_t cols, int bits, int is_signed, const float *x, float *y,
                   float *scale_out, float *zero_point_out);
    /* Its gradient, straight through the rounding, and through the scale to the values that set it:
     * dx = dy; with e = sum of dy (q - zero_point - x / scale) over the row, the largest value
     * (first of equal ones, above 0) also gets e / (2^bits - 1), the smallest (below 0) minus that;
     * signed: the one of largest magnitude gets e / Q with its sign (of x and -x, x > 0). A row of
     * zeros or of NaN passes dy. dx may be dy. */
    void (*fq_row_bwd)(int64_t rows, int64_t cols, int bits, int is_signed, const float *x,
                       const float *dy, float *dx);
    /* Weights, per row r of w[rows, cols], optional per-column factor s[c] (NULL: 1):
     * v = w s; m = max |v|; scale = scale_in ? scale_in[r] : max(2 m, 1e-8) / (2^bits - 1);
     * y = clamp(rint(v / scale), -2^(bits-1), 2^(bits-1) - 1) * scale / s. scale_out[r] = scale
     * (may be NULL). y may be w. */
    void (*fq_weight)(int64_t rows, int64_t cols, int bits, const float *w, const float *s,
                      const float *scale_in, float *y, float *scale_out);
    /* Weights on a grid from the smallest value a to the largest b of each row (AIT):
     * scale = max(b - a, 1e-8) / (2^bits - 1); zero_point = -(rint(a / scale) + 2^(bits-1));
     * q = clamp(rint(w / scale) + zero_point, -2^(bits-1), 2^(bits-1) - 1);
     * y = (q - zero_point) * scale. scale_out and zero_point_out [rows] may be NULL. y may be w.
     * All slots divide w by the scale, as ONNX does. The published code multiplies by 1 / scale;
     * then a value within an ulp of a tie may get the next code. */
    void (*fq_weight_range)(int64_t rows, int64_t cols, int bits, const float *w, float *y,
                            float *scale_out, float *zero_point_out);
    /* Threshold crossings: the number of codes that differ between w[rows, cols] and w - alpha d,
     * each with the grids of its own rows. NaN differs from everything. */
    int64_t (*crossings)(int64_t rows, int64_t cols, const dfqi_weight_grid *g, const float *w,
                         const float *d, float alpha);
    /* out[0] = min x, out[1] = max x, NaN left out; n 0: +inf, -inf. */
    void (*extremes)(size_t n, const float *x, float *out);

    /* -- layout ---------------------------------------------------------------------------- */

    /* out[cols, rows] = in[rows, cols]^T with row strides. */
    void (*transpose)(int64_t rows, int64_t cols, const float *in, int64_t ld_in, float *out,
                      int64_t ld_out);

    /* -- attention losses (MimiQ: docs/METHODS.md, Synthetic images and Tuning) -------------- */

    /* Inter-head similarity of one image: r[heads][n][n] raw query-key products, the first `drop`
     * tokens left out as query and as key. Returns the sum over queries and ordered head pairs of
     * their distance. If dr is not NULL, dr[heads][n][n] = gradient of that sum times `weight`
     * (rows and columns of dropped tokens 0). scratch: 3 * heads * n floats. */
    double (*inter_head)(int64_t heads, int64_t n, int64_t drop, dfqi_distance d, const float *r,
                         float weight, float *dr, float *scratch);
    /* Structural similarity of teacher and student head outputs t, s [rows, n, d] (rows = heads),
     * dropping the first `drop` of the n tokens; statistics per (row, channel) over tokens. Returns
     * the sum over rows and channels of S. If ds is not NULL, ds = gradient of that sum times
     * `weight` (dropped tokens 0). scratch: 8 * d floats. */
    double (*head_ssim)(int64_t rows, int64_t n, int64_t d, int64_t drop, const float *t,
                        const float *s, float weight, float *ds, float *scratch);
} dfqi_kernels;

/* The best table for this machine, or the one that DFQ_KERNELS names: by its name
 * ("avx512+libxsmm"), the best one with that part in its name ("ref", "blis", "avx2", ...), or the
 * best one of the level of an integer table (int_kernel.h). An unknown or unusable name falls back
 * to the best table with a warning in the log.
 * Chosen once per process; static memory, thread safe. */
const dfqi_kernels *dfqi_kernels_get(dfq_context *ctx);
/* All tables usable on this machine, best first, "ref" last; for tests and benchmarks. */
int32_t dfqi_kernels_list(const dfqi_kernels **out, int32_t max);

/* FP32 fused multiply-adds on registers alone, for about `rounds` * 1000 vector operations; returns
 * the floating-point operations done (0 where there is no vector unit we know). For benchmarks. */
double dfqi_fma_burst(int64_t rounds);

#endif
