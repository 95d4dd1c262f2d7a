/* The table of integer kernels: products of unsigned with signed codes, and what makes codes of
 * floats. Each runs on one thread and allocates nothing. The plain C table (int_ref/) is the truth:
 * all other tables give the same bits, but for the float part of the slots layernorm, gelu and
 * softmax, whose floats are those of the float table (kernel.h) of the same instruction set. The
 * result of a row does not depend on the rows beside it, so callers may slice rows as they like.
 *
 * Left operands (activations) are rows of unsigned 8-bit codes q with x = s (q - z), z in 0 .. 255.
 * Right operands (weights, keys, values) are packed signed codes c with w = s c. A product sums in
 * int32 and ends in float, in this order, each operation rounded once (no contraction):
 *
 *     t = sum over k of q[i,k] c[j,k] - z[i] sum[j]               exact
 *     y = ((float)t * s[i]) * s[j]
 *     y = y + bias[j]                                             where there is one
 *     y = y + add[i,j]     or     y + (float)(code - z) * s       the same
 *     y = min(max(y, 0), cap)                                     relu
 *     code = clamp(rint(y / scale) + rint(zero_point), qmin, qmax) - qmin
 *
 * int32 holds t for k up to DFQI_INT_K. NaN in a scale makes its row or column of y NaN. */
#ifndef DFQI_INT_KERNEL_H
#define DFQI_INT_KERNEL_H

#include "base/compiler.h"
#include "kernel/kernel.h"

enum {
    DFQI_INT_K = 65793,     /* k * 255 * 128 < 2^31 */
    DFQI_INT_PANEL = 16,    /* rows of a right operand that lie together */
    DFQI_INT_GROUP = 4,     /* codes of a row that lie together */
    DFQI_INT_LEVEL_BITS = 7 /* of codes that a byte holds when they are moved to one zero point */
};

/* Bytes of a row of k codes, or of a pixel, in whole groups: rows are at least this far apart.
 * Bytes behind the last code are read and do not count. */
static inline int64_t dfqi_int_row(int64_t k)
{
    return (k + DFQI_INT_GROUP - 1) / DFQI_INT_GROUP * DFQI_INT_GROUP;
}

/* A left operand q[m,k], or an image [y,x,k] of m pixels. */
typedef struct dfqi_int_rows {
    const uint8_t *codes;
    int64_t ld; /* bytes from a row to the next; from a pixel to the next: dfqi_int_row(k), or more
                   for a depthwise convolution of some channels */
    const float *scale;
    const int32_t *zero_point; /* NULL: 0 */
    int one_grid;              /* 1: scale and zero_point have one entry for all rows; 0: [m] */
    int32_t most;              /* the largest code, or zero point of an image; 0: 255 */
} dfqi_int_rows;

/* A right operand c[n,k]: panels of 16 rows, in them groups of 4 codes of each row,
 * codes[j / 16][p / 4][j % 16][p % 4] = c[j][p], padded with zeros. In nibbles, two groups of a
 * panel share their bytes: the first has the low half, the second the high half, each as a 4-bit
 * two's complement number. k is divided in equal spans (convolutions: rows of taps; products of
 * spans); each span begins with a new group, and in nibbles with a new byte.
 *
 * Nibbles may have grids of groups of weights (weight_groups.h): u, 0 .. 15, is then c = m (u - z)
 * with the grid of its row and of its `grid_columns` columns, counted through all spans. Behind the
 * codes of a panel lie its grids, codes[j / 16].grid[column / grid_columns][j % 16] = m + 16 z.
 *
 * A static grid with one scale and zero point for each column of the left operand is used as one
 * with scale 1 and zero point 1: `sum` then holds the sums of c[j,k] z[k], and the scales s[k] are
 * in the codes c. */
typedef struct dfqi_int_matrix {
    int64_t n, k;         /* k: codes of a span */
    int64_t spans;        /* 1 in `product` */
    int nibbles;          /* 1: 4-bit */
    int64_t grid_columns; /* columns of a row that share a grid; 0: there are no such grids */
    const uint8_t *codes; /* dfqi_int_matrix_bytes */
    const float *scale;   /* [n] */
    const int32_t *sum;   /* [n] sums over k of c[j,k]; NULL if zero points are 0 */
} dfqi_int_matrix;

/* Where a product goes, and what is done on the way. Zeroed: nothing. */
typedef struct dfqi_int_output {
    const float *bias; /* [n] */
    const float *add;  /* [m,n], may be y */
    int64_t ld_add;
    const uint8_t *add_codes; /* [m,n], of one grid; may be q */
    int64_t ld_add_codes;
    float add_scale;
    int32_t add_zero_point;
    int relu;  /* 1: min(max(y, 0), cap) */
    float cap; /* INFINITY: none */
    float *y;  /* [m,n] or NULL */
    int64_t ld_y;
    uint8_t *q; /* [m,n] codes on `grid`, less qmin, or NULL */
    int64_t ld_q;
    const dfqi_grid *grid; /* one scale; qmax - qmin <= 255 */
} dfqi_int_output;

typedef struct dfqi_int_kernels {
    const char *name;  /* "ref", "avx2", "avxvnni", "avx512vnni" */
    const char *level; /* that of the float table it goes with: "ref", "avx2", "avx512" */
    /* Products of codes on registers alone, about `rounds` * 1000 vector operations; returns the
     * operations done (two for each product), 0 for "ref". For benchmarks. */
    double (*burst)(int64_t rounds);

    /* -- codes of floats: rows ldx floats apart, codes ldq bytes apart ---------------------- */

    /* The codes of kernel.h's fq_row, unsigned: q[rows,cols] with scale[rows], zero_point[rows].
     * bits: 2 .. 8. A row with NaN or an infinity, or whose range overflows, has scale NaN and
     * codes 0. zero_point NULL: codes are moved up so that all rows have the same zero point,
     * 2^bits - 1; bits: at most DFQI_INT_LEVEL_BITS. */
    void (*quantize_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                          uint8_t *q, int64_t ldq, float *scale, int32_t *zero_point);
    /* The codes of kernel.h's fq, less qmin (so the zero point of the operand is rint(zero_point) -
     * qmin); qmax - qmin <= 255. NaN gets code 0. */
    void (*quantize)(int64_t rows, int64_t cols, const dfqi_grid *g, const float *x, int64_t ldx,
                     uint8_t *q, int64_t ldq);
    /* Keys: x[rows,cols] becomes a right operand with n = rows, k = cols on signed grids of rows
     * (fq_row): packed codes, scale[rows], sum[rows] (sum NULL: not wanted). A row that is not
     * finite has scale NaN and codes -Q. */
    void (*pack_rows)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                      uint8_t *codes, float *scale, int32_t *sum);
    /* Values: x[rows,cols] becomes a right operand with n = cols, k = rows on signed grids of
     * columns: packed codes, scale[cols], sum[cols]. */
    void (*pack_columns)(int64_t rows, int64_t cols, int bits, const float *x, int64_t ldx,
                         uint8_t *codes, float *scale, int32_t *sum);

    /* -- float rows whose result is quantized by rows, as by quantize_rows ------------------ */

    /* Of kernel.h's layernorm. scratch: cols floats. */
    void (*layernorm)(int64_t rows, int64_t cols, float eps, const float *x, int64_t ldx,
                      const float *gamma, const float *beta, int bits, uint8_t *q, int64_t ldq,
                      float *scale, int32_t *zero_point, float *scratch);
    /* Of kernel.h's gelu. scratch: cols floats. */
    void (*gelu)(int64_t rows, int64_t cols, const float *x, int64_t ldx, int bits, uint8_t *q,
                 int64_t ldq, float *scale, int32_t *zero_point, float *scratch);
    /* Of kernel.h's softmax(factor * x). x is overwritten. The zero points are 0. */
    void (*softmax)(int64_t rows, int64_t cols, float factor, float *x, int64_t ldx, int bits,
                    uint8_t *q, int64_t ldq, float *scale);

    /* -- products --------------------------------------------------------------------------- */

    /* a[m,k] times b[n,k]^T. Blocks of about 64 rows, through all layers of a block of a network,
     * keep what they hand on in the L2 cache. scratch: dfqi_int_product_scratch bytes; panels
     * become there what products take, once for a block of rows. */
    void (*product)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                    const dfqi_int_output *out, uint8_t *scratch);
    /* The same where each span of b->k codes has grids of rows of its own: scale and zero point of
     * row i and span g are at [g * m + i] (one_grid 1: all have the zero point zero_point[0], which
     * is faster), and b->sum is [spans,n]. Of `out`, the bias, y and what
     * is added to it in floats count; add is not y. Spans are added up in their order, t_g being
     * the sum of span g:
     *
     *     y = ((float)t_0 * s_0[i]) * s[j] + bias[j]
     *     y = ((float)t_g * s_g[i]) * s[j] + y                    g = 1, 2 ..
     *     y = y + add[i,j] */
    void (*product_spans)(int64_t m, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                          const dfqi_int_output *out, uint8_t *scratch);
    /* A convolution of one image a[in_y,in_x,c] with b packed by dfqi_int_pack_conv: rows first ..
     * first + rows - 1 of the output. The padding is the zero point (one_grid is 1). Rows of `out`
     * are pixels, from the image's first one on. scratch: dfqi_int_conv_scratch bytes. */
    void (*conv)(const dfqi_conv_shape *s, int64_t first, int64_t rows, const dfqi_int_rows *a,
                 const dfqi_int_matrix *b, const dfqi_int_output *out, uint8_t *scratch);
    /* The same with one filter for each channel, b packed by dfqi_int_pack_depthwise. scratch:
     * dfqi_int_depthwise_scratch bytes. */
    void (*depthwise)(const dfqi_conv_shape *s, int64_t first, int64_t rows, const dfqi_int_rows *a,
                      const dfqi_int_matrix *b, const dfqi_int_output *out, uint8_t *scratch);

    /* -- pooling of codes, pixels ldx and ldq bytes apart ------------------------------------ */

    /* q = the largest code of each window; what lies outside of the image does not count. s: kernel
     * (every window reaches into the image), stride and pad; c = o. */
    void (*max_pool)(const dfqi_conv_shape *s, const uint8_t *x, int64_t ldx, uint8_t *q,
                     int64_t ldq);
    /* y[c] = (float)(sum over the pixels of codes - pixels * z) * (scale / (float)pixels). */
    void (*mean)(int64_t pixels, int64_t c, const dfqi_int_rows *a, float *y);
} dfqi_int_kernels;

/* The table that DFQ_KERNELS names, with which the float table is the best of its level; else the
 * best one that needs no more than the float table has (dfqi_kernels_get). Chosen once per process;
 * static memory, thread safe. */
const dfqi_int_kernels *dfqi_int_kernels_get(dfq_context *ctx);
/* All tables usable on this machine, best first, "ref" last; for tests and benchmarks. */
int32_t dfqi_int_kernels_list(const dfqi_int_kernels **out, int32_t max);

/* -- packing, the same for all tables --------------------------------------------------------- */

/* Bytes of packed codes of n rows with `spans` spans of k codes each. bits <= 4: nibbles. */
int64_t dfqi_int_packed_bytes(int64_t n, int64_t spans, int64_t k, int bits);
/* Bytes of the codes of b, and of its grids: n, k, spans, nibbles and grid_columns count. */
int64_t dfqi_int_matrix_bytes(const dfqi_int_matrix *b);
/* Bytes of scratch that products with b need. */
int64_t dfqi_int_product_scratch(const dfqi_int_matrix *b);

/* Packs codes[n,k] with `bits` bits into packed[dfqi_int_packed_bytes(n, 1, k, bits)] and, if sum
 * is not NULL, adds them up in sum[n]. Then `b` describes them, with the scales given.
 * DFQ_E_INVALID, naming the layer, if k is more than DFQI_INT_K or a code does not fit. */
DFQI_CHECKED dfq_status dfqi_int_pack(dfq_context *ctx, const char *layer, int64_t n, int64_t k,
                                      int bits, const int8_t *codes, const float *scale,
                                      uint8_t *packed, int32_t *sum, dfqi_int_matrix *b);

/* The same of codes[n, spans * k], for product_spans; sum[spans,n]. */
DFQI_CHECKED dfq_status dfqi_int_pack_spans(dfq_context *ctx, const char *layer, int64_t n,
                                            int64_t spans, int64_t k, int bits, const int8_t *codes,
                                            const float *scale, uint8_t *packed, int32_t *sum,
                                            dfqi_int_matrix *b);

/* Can codes with grids of so many columns be packed in spans of k codes? */
static inline int dfqi_int_takes_weight_groups(int64_t k, int64_t grid_columns)
{
    return k % (2 * DFQI_INT_GROUP) == 0 && grid_columns % (2 * DFQI_INT_GROUP) == 0;
}

/* Unsigned codes[n, spans * k] with grids[n, spans * k / grid_columns] of the groups of each row
 * (weight_groups.h, as floats), which are whole and are taken (above). packed:
 * dfqi_int_matrix_bytes of the result; sum[spans,n]: of the numbers m (u - z). DFQ_E_INVALID if a
 * code is not 0 .. 15, or its number does not fit in a byte. */
DFQI_CHECKED dfq_status dfqi_int_pack_weight_groups(dfq_context *ctx, const char *layer, int64_t n,
                                                    int64_t spans, int64_t k, int64_t grid_columns,
                                                    const int8_t *codes, const float *grids,
                                                    const float *scale, uint8_t *packed,
                                                    int32_t *sum, dfqi_int_matrix *b);

/* Spans of a convolution's weights and codes of each: rows of taps of dfqi_int_row(c) codes, or
 * single taps where these do not lie beside each other (dilation). */
int64_t dfqi_int_conv_spans(const dfqi_conv_shape *s);
int64_t dfqi_int_conv_span(const dfqi_conv_shape *s);
/* Filters codes[o, c, kernel_y, kernel_x], otherwise like dfqi_int_pack;
 * packed: dfqi_int_packed_bytes(o, spans, span, bits). */
DFQI_CHECKED dfq_status dfqi_int_pack_conv(dfq_context *ctx, const char *layer,
                                           const dfqi_conv_shape *s, int bits, const int8_t *codes,
                                           const float *scale, uint8_t *packed, int32_t *sum,
                                           dfqi_int_matrix *b);
/* Filters codes[c, kernel_y, kernel_x], one for each channel, in bytes whatever the bits: columns
 * of four taps, packed[i / 16][v][u / 4][i % 16][u % 4] = codes[i][u][v]. */
int64_t dfqi_int_depthwise_bytes(const dfqi_conv_shape *s);
DFQI_CHECKED dfq_status dfqi_int_pack_depthwise(dfq_context *ctx, const char *layer,
                                                const dfqi_conv_shape *s, int bits,
                                                const int8_t *codes, const float *scale,
                                                uint8_t *packed, int32_t *sum, dfqi_int_matrix *b);
/* Bytes of scratch that conv and depthwise need. */
int64_t dfqi_int_conv_scratch(const dfqi_conv_shape *s);
int64_t dfqi_int_depthwise_scratch(const dfqi_conv_shape *s);

/* Are rows of the left operand pixels as they are? */
static inline int dfqi_int_is_product(const dfqi_conv_shape *s)
{
    return s->kernel_y * s->kernel_x == 1 && s->stride == 1 && s->pad == 0;
}

/* Rows first .. first + n of a right operand; first is a multiple of 16. For splitting columns of a
 * product among threads. */
static inline dfqi_int_matrix dfqi_int_matrix_part(const dfqi_int_matrix *b, int64_t first,
                                                   int64_t n)
{
    dfqi_int_matrix p = *b;
    p.n = first;
    p.codes += dfqi_int_matrix_bytes(&p);
    p.n = n;
    p.scale += first;
    p.sum = b->sum ? b->sum + first : NULL;
    return p;
}

#endif
