/* Packing of weights for the integer kernels, the same for all tables. */
#include <string.h>

#include "base/memory.h"
#include "kernel/int_layout.h"
#include "kernel/weight_groups.h"

int64_t dfqi_int_packed_bytes(int64_t n, int64_t spans, int64_t k, int bits)
{
    return dfqi_int_matrix_bytes(
        &(dfqi_int_matrix){.n = n, .k = k, .spans = spans, .nibbles = bits <= 4});
}

int64_t dfqi_int_matrix_bytes(const dfqi_int_matrix *b)
{
    return (b->n + DFQI_INT_PANEL - 1) / DFQI_INT_PANEL * dfqi_int_panel_bytes(b);
}

int64_t dfqi_int_product_scratch(const dfqi_int_matrix *b)
{
    return dfqi_int_weights_scratch(b) + DFQI_INT_WORD_ROWS * 2 * b->spans * dfqi_int_row(b->k);
}

/* The codes of a row as they come: [channels][taps]. They are packed taps after
 * taps, each as its channels and zeros up to `padded` codes. */
typedef struct filter {
    int64_t channels, taps;
    int64_t padded;
} filter;

static dfq_status check_size(dfq_context *ctx, const char *layer, int64_t k, int bits)
{
    if (bits < 2 || bits > 8)
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: weights have %d bits, must have 2 to 8", layer,
                         bits);
    if (k > DFQI_INT_K)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s: %lld products to a sum, must be at most %d to fit in 32 bits", layer,
                         (long long)k, DFQI_INT_K);
    return DFQ_OK;
}

static dfq_status check_codes(dfq_context *ctx, const char *layer, int64_t n, int64_t k, int bits,
                              const int8_t *codes)
{
    int32_t half = 1 << (bits - 1);
    for (int64_t i = 0; i < n * k; i++)
        if (codes[i] < -half || codes[i] >= half)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "%s: row %lld has the code %d, must be %d to %d with %d bits", layer,
                             (long long)(i / k), codes[i], -half, half - 1, bits);
    return DFQ_OK;
}

/* Also unsigned codes. */
static void put(const dfqi_int_matrix *b, uint8_t *packed, int64_t j, int64_t span, int64_t p,
                int8_t code)
{
    int shift;
    uint8_t *at = packed + dfqi_int_at(b, j, span, p, &shift);
    if (b->nibbles)
        *at = (uint8_t)(*at | (code & 15) << shift);
    else
        *at = (uint8_t)code;
}

static dfq_status pack(dfq_context *ctx, const char *layer, const filter *f, int bits,
                       const int8_t *codes, uint8_t *packed, int32_t *sum, const dfqi_int_matrix *b)
{
    const int64_t k = f->channels * f->taps;
    DFQI_TRY(check_size(ctx, layer, k, bits));
    DFQI_TRY(check_codes(ctx, layer, b->n, k, bits, codes));
    memset(packed, 0, (size_t)dfqi_int_packed_bytes(b->n, b->spans, b->k, bits));
    for (int64_t j = 0; j < b->n; j++) {
        int32_t total = 0;
        for (int64_t t = 0; t < f->taps; t++)
            for (int64_t c = 0; c < f->channels; c++) {
                int8_t code = codes[j * k + c * f->taps + t];
                int64_t at = t * f->padded + c;
                put(b, packed, j, at / b->k, at % b->k, code);
                total += code;
            }
        if (sum) sum[j] = total;
    }
    return DFQ_OK;
}

dfq_status dfqi_int_pack(dfq_context *ctx, const char *layer, int64_t n, int64_t k, int bits,
                         const int8_t *codes, const float *scale, uint8_t *packed, int32_t *sum,
                         dfqi_int_matrix *b)
{
    const filter f = {k, 1, k};
    *b = (dfqi_int_matrix){.n = n,
                           .k = k,
                           .spans = 1,
                           .nibbles = bits <= 4,
                           .codes = packed,
                           .scale = scale,
                           .sum = sum};
    return pack(ctx, layer, &f, bits, codes, packed, sum, b);
}

dfq_status dfqi_int_pack_spans(dfq_context *ctx, const char *layer, int64_t n, int64_t spans,
                               int64_t k, int bits, const int8_t *codes, const float *scale,
                               uint8_t *packed, int32_t *sum, dfqi_int_matrix *b)
{
    const filter f = {spans * k, 1, spans * k};
    *b = (dfqi_int_matrix){.n = n,
                           .k = k,
                           .spans = spans,
                           .nibbles = bits <= 4,
                           .codes = packed,
                           .scale = scale,
                           .sum = sum};
    DFQI_TRY(pack(ctx, layer, &f, bits, codes, packed, NULL, b));
    for (int64_t s = 0; s < spans; s++)
        for (int64_t j = 0; j < n; j++) {
            const int8_t *of = codes + (j * spans + s) * k;
            int32_t total = 0;
            for (int64_t p = 0; p < k; p++) total += of[p];
            sum[s * n + j] = total;
        }
    return DFQ_OK;
}

/* Row j with its grids; at[p], p = 0 ..: codes of all spans. */
static dfq_status pack_row(dfq_context *ctx, const char *layer, const dfqi_int_matrix *b, int64_t j,
                           const int8_t *at, const float *grids, uint8_t *packed, int32_t *sum)
{
    for (int64_t s = 0; s < b->spans; s++) {
        sum[s * b->n + j] = 0;
        for (int64_t p = 0; p < b->k; p++) {
            const int8_t code = at[s * b->k + p];
            const float byte = grids[(s * b->k + p) / b->grid_columns];
            const float number = dfqi_group_number((float)code, dfqi_group_grid_of(byte));
            if (code < 0 || code > DFQI_GROUP_TOP || number < INT8_MIN || number > INT8_MAX)
                return dfqi_fail(ctx, DFQ_E_INVALID,
                                 "%s: row %lld has the code %d, whose number is %g, must be 0 to "
                                 "%d and a number that fits in a byte",
                                 layer, (long long)j, code, (double)number, DFQI_GROUP_TOP);
            put(b, packed, j, s, p, code);
            packed[dfqi_int_grid_at(b, j, s, p)] = (uint8_t)byte;
            sum[s * b->n + j] += (int32_t)number;
        }
    }
    return DFQ_OK;
}

dfq_status dfqi_int_pack_weight_groups(dfq_context *ctx, const char *layer, int64_t n,
                                       int64_t spans, int64_t k, int64_t grid_columns,
                                       const int8_t *codes, const float *grids, const float *scale,
                                       uint8_t *packed, int32_t *sum, dfqi_int_matrix *b)
{
    *b = (dfqi_int_matrix){.n = n,
                           .k = k,
                           .spans = spans,
                           .nibbles = 1,
                           .grid_columns = grid_columns,
                           .codes = packed,
                           .scale = scale,
                           .sum = sum};
    DFQI_TRY(check_size(ctx, layer, spans * k, DFQI_GROUP_BITS));
    memset(packed, 0, (size_t)dfqi_int_matrix_bytes(b));
    for (int64_t j = 0; j < n; j++)
        DFQI_TRY(pack_row(ctx, layer, b, j, codes + j * spans * k,
                          grids + j * (spans * k / grid_columns), packed, sum));
    return DFQ_OK;
}

int64_t dfqi_int_conv_spans(const dfqi_conv_shape *s)
{
    return s->dilation == 1 ? s->kernel_y : s->kernel_y * s->kernel_x;
}

int64_t dfqi_int_conv_span(const dfqi_conv_shape *s)
{
    return s->dilation == 1 ? s->kernel_x * dfqi_int_row(s->c) : dfqi_int_row(s->c);
}

dfq_status dfqi_int_pack_conv(dfq_context *ctx, const char *layer, const dfqi_conv_shape *s,
                              int bits, const int8_t *codes, const float *scale, uint8_t *packed,
                              int32_t *sum, dfqi_int_matrix *b)
{
    const filter f = {s->c, s->kernel_y * s->kernel_x, dfqi_int_row(s->c)};
    *b = (dfqi_int_matrix){.n = s->o,
                           .k = dfqi_int_conv_span(s),
                           .spans = dfqi_int_conv_spans(s),
                           .nibbles = bits <= 4,
                           .codes = packed,
                           .scale = scale,
                           .sum = sum};
    return pack(ctx, layer, &f, bits, codes, packed, sum, b);
}

int64_t dfqi_int_conv_scratch(const dfqi_conv_shape *s)
{
    const dfqi_int_matrix b = {.k = dfqi_int_conv_span(s), .spans = dfqi_int_conv_spans(s)};
    if (dfqi_int_is_product(s)) return dfqi_int_product_scratch(&b);
    return dfqi_int_weights_scratch(&b) + 2 * dfqi_int_band_bytes(s);
}

/* The columns of taps of a row are beside each other, behind the band. */
int64_t dfqi_int_depthwise_scratch(const dfqi_conv_shape *s)
{
    enum { PANELS = 4 }; /* whose columns are made together */
    const dfqi_conv_axis x = dfqi_conv_axis_x(0, s);
    return dfqi_int_band_bytes(s) +
           dfqi_conv_row(&x, PANELS * dfqi_int_groups(s->kernel_y) * DFQI_INT_BLOCK);
}

/* A depthwise filter is a matrix of one span of kernel_y codes for each column
 * of taps. */
static dfqi_int_matrix depthwise(const dfqi_conv_shape *s)
{
    return (dfqi_int_matrix){.n = s->c, .k = s->kernel_y, .spans = s->kernel_x};
}

int64_t dfqi_int_depthwise_bytes(const dfqi_conv_shape *s)
{
    return dfqi_int_packed_bytes(s->c, s->kernel_x, s->kernel_y, 8);
}

dfq_status dfqi_int_pack_depthwise(dfq_context *ctx, const char *layer, const dfqi_conv_shape *s,
                                   int bits, const int8_t *codes, const float *scale,
                                   uint8_t *packed, int32_t *sum, dfqi_int_matrix *b)
{
    const int64_t taps = s->kernel_y * s->kernel_x;
    *b = depthwise(s);
    b->codes = packed;
    b->scale = scale;
    b->sum = sum;
    DFQI_TRY(check_size(ctx, layer, taps, bits));
    DFQI_TRY(check_codes(ctx, layer, s->c, taps, bits, codes));
    memset(packed, 0, (size_t)dfqi_int_depthwise_bytes(s));
    for (int64_t i = 0; i < s->c; i++) {
        int32_t total = 0;
        for (int64_t t = 0; t < taps; t++) {
            put(b, packed, i, t % s->kernel_x, t / s->kernel_x, codes[i * taps + t]);
            total += codes[i * taps + t];
        }
        if (sum) sum[i] = total;
    }
    return DFQ_OK;
}
