/* Depthwise convolutions with 3 x 3 taps and codes as results, for AVX-512 VNNI. A vector of bytes
 * has 64 channels of a pixel, or 32 or 16 channels of pixels from two or four parts of a row
 * ("streams"). Codes of four rows are put beside each other, which serves two rows of the output:
 * taps of the second one begin a row later. That is done by instructions which work within 128
 * bits, so part l of vector k has the bytes 16 l + 4 k .. + 3. Weights and factors are brought into
 * that order once; packing the codes of results undoes it. Nothing is copied: what lies outside of
 * the image is read from a pixel that holds the zero point. */
#ifndef DFQI_INT_X86_DEPTHWISE_VNNI512_H
#define DFQI_INT_X86_DEPTHWISE_VNNI512_H

enum { DW_BYTES = 64, DW_TAPS = 3, DW_VECTORS = 4, DW_STREAMS = 4 };

typedef struct dw_block {
    __m512i taps[2][DW_TAPS][DW_VECTORS]; /* of each column of taps, for both rows */
    finish_factors factors[DW_VECTORS];   /* sum: less what sums begin with */
    finish_coder fast[DW_VECTORS];
    vf far, row_scale;
    static_coder coder;
    __mmask64 channels; /* which exist */
    int usable;         /* is `fast`? */
} dw_block;

/* Where the channels of a block begin in four rows of the input. */
typedef struct dw_rows {
    const uint8_t *row[4];
    int64_t step[4]; /* bytes from a pixel to the next; 0: outside of the image */
    int64_t width;
    const uint8_t *outside;
} dw_rows;

typedef struct dw_output {
    uint8_t *q[2];                    /* rows */
    int64_t ld, first[DW_STREAMS], n; /* pixels of each stream */
} dw_output;

/* Are the results codes alone, and is there room for two rows? */
static int dw_fits(const dfqi_conv_shape *s, int64_t rows, const dfqi_int_output *out)
{
    return s->kernel_y == DW_TAPS && s->kernel_x == DW_TAPS && s->dilation == 1 && s->stride <= 2 &&
           (s->stride == 2 || rows >= 2) && out->q && !out->y && !out->add && !out->add_codes &&
           (!out->relu || static_takes_relu(out->grid));
}

/* 64 numbers of 32 bits, in the order of the vectors. */
static void dw_order(const void *x, vi *vectors)
{
    for (size_t k = 0; k < DW_VECTORS; k++)
        for (size_t l = 0; l < 4; l++)
            memcpy((char *)&vectors[k] + 16 * l, (const char *)x + 64 * l + 16 * k, 16);
}

/* Numbers of n channels for all bytes of a vector: those of each stream, and of the first channel
 * where there are no others. */
static void dw_spread(const void *x, int64_t n, int64_t width, void *out)
{
    for (int64_t i = 0; i < DW_BYTES; i++)
        memcpy((char *)out + 4 * i, (const char *)x + (i % width < n ? 4 * (i % width) : 0), 4);
}

/* The same, in the order of the vectors. */
static void dw_lanes(const void *x, int64_t n, int64_t width, vi *vectors)
{
    int32_t spread[DW_BYTES];
    if (n < DW_BYTES) dw_spread(x, n, width, spread);
    dw_order(n < DW_BYTES ? spread : x, vectors);
}

static void dw_taps(const dfqi_int_matrix *b, int64_t first, int64_t n, int64_t width, dw_block *w)
{
    const int64_t panel = dfqi_int_panel_bytes(b), panels = (n - 1) / DFQI_INT_PANEL + 1;
    const uint8_t *codes = b->codes + first / DFQI_INT_PANEL * panel;
    for (int v = 0; v < DW_TAPS; v++) {
        uint8_t taps[DW_BYTES * DFQI_INT_GROUP];
        for (int64_t i = 0; i < panels; i++)
            memcpy(taps + i * DFQI_INT_BLOCK, codes + i * panel + v * DFQI_INT_BLOCK,
                   DFQI_INT_BLOCK);
        dw_lanes(taps, n, width, w->taps[0][v]);
        for (int k = 0; k < DW_VECTORS; k++)
            w->taps[1][v][k] = _mm512_slli_epi32(w->taps[0][v][k], 8);
    }
}

/* Channels first .. first + n - 1 of streams of `width` channels. */
static void dw_block_make(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                          const dfqi_int_output *out, int64_t first, int64_t n, int64_t width,
                          dw_block *w)
{
    float no_bias[DW_BYTES];
    int32_t no_sum[DW_BYTES] = {0};
    for (int i = 0; i < DW_BYTES; i++) no_bias[i] = -0.0f;
    vi lanes[3][DW_VECTORS];
    dw_lanes(b->scale + first, n, width, lanes[0]);
    dw_lanes(out->bias ? out->bias + first : no_bias, n, width, lanes[1]);
    dw_lanes(a->zero_point ? b->sum + first : no_sum, n, width, lanes[2]);
    for (int k = 0; k < DW_VECTORS; k++)
        w->factors[k] = (finish_factors){_mm512_castsi512_ps(lanes[0][k]),
                                         _mm512_castsi512_ps(lanes[1][k]), lanes[2][k]};
    dw_taps(b, first, n, width, w);
    for (int k = 0; k < DW_VECTORS && a->zero_point; k++)
        w->factors[k].sum = vi_mul(w->factors[k].sum, vi_set(a->zero_point[0]));
    w->usable = 1;
    for (int k = 0; k < DW_VECTORS; k++) {
        w->fast[k] = finish_coder_of(a->scale[0], &w->factors[k], out);
        w->usable &= w->fast[k].usable;
        w->far = k == 0 ? w->fast[k].far : vf_min(w->far, w->fast[k].far);
    }
    w->row_scale = vf_set(a->scale[0]);
    w->coder = static_coder_of(out->grid);
    if (out->relu) static_take_relu(&w->coder, out->grid, out->cap);
    w->channels = n < DW_BYTES ? _cvtu64_mask64(~(~0ull << n)) : _cvtu64_mask64(~0ull);
}

/* The codes of column x of row r. */
static inline const uint8_t *dw_at(const dw_rows *in, int r, int64_t x)
{
    return x >= 0 && x < in->width ? in->row[r] + x * in->step[r] : in->outside;
}

/* Column x + first[s] of row r for all streams. */
ALWAYS_INLINE __m512i dw_load(const dw_rows *in, __mmask64 channels, int r, const int64_t *first,
                              int64_t x, int streams)
{
    if (streams == 1) return _mm512_maskz_loadu_epi8(channels, dw_at(in, r, first[0] + x));
    if (streams == 2) {
        const __mmask32 half = (__mmask32)_cvtmask64_u64(channels);
        const __m256i a = _mm256_maskz_loadu_epi8(half, dw_at(in, r, first[0] + x));
        const __m256i b = _mm256_maskz_loadu_epi8(half, dw_at(in, r, first[1] + x));
        return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
    }
    const __mmask16 part = (__mmask16)_cvtmask64_u64(channels);
    __m128i p[DW_STREAMS];
    for (int s = 0; s < DW_STREAMS; s++)
        p[s] = _mm_maskz_loadu_epi8(part, dw_at(in, r, first[s] + x));
    return _mm512_inserti64x4(
        _mm512_castsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(p[0]), p[1], 1)),
        _mm256_inserti128_si256(_mm256_castsi128_si256(p[2]), p[3], 1), 1);
}

typedef struct dw_column {
    __m512i v[DW_VECTORS];
} dw_column;

ALWAYS_INLINE dw_column dw_column_at(const dw_rows *in, __mmask64 channels, const int64_t *first,
                                     int64_t x, int streams, int rows)
{
    const __m512i a = dw_load(in, channels, 0, first, x, streams);
    const __m512i b = dw_load(in, channels, 1, first, x, streams);
    const __m512i c = dw_load(in, channels, 2, first, x, streams);
    const __m512i d =
        rows == 2 ? dw_load(in, channels, 3, first, x, streams) : _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(a, b), low2 = _mm512_unpacklo_epi8(c, d);
    const __m512i high = _mm512_unpackhi_epi8(a, b), high2 = _mm512_unpackhi_epi8(c, d);
    return (dw_column){{_mm512_unpacklo_epi16(low, low2), _mm512_unpackhi_epi16(low, low2),
                        _mm512_unpacklo_epi16(high, high2), _mm512_unpackhi_epi16(high, high2)}};
}

static __attribute__((noinline)) v64 dw_exact(const dw_block *w, const vi *sums)
{
    vf y[DW_VECTORS];
    for (int k = 0; k < DW_VECTORS; k++)
        y[k] = finish_scaled(&w->factors[k], sums[k], vi_set(1), w->row_scale);
    return static_code_lanes(&w->coder, y);
}

/* Codes of a row of the output for one pixel of each stream. */
ALWAYS_INLINE v64 dw_codes(const dw_block *w, const dw_column *c, int row)
{
    vf y[DW_VECTORS];
    vi sums[DW_VECTORS], codes[DW_VECTORS];
    for (int k = 0; k < DW_VECTORS; k++) {
        sums[k] = vi_set(0);
        for (int v = 0; v < DW_TAPS; v++)
            sums[k] = _mm512_dpbusd_epi32(sums[k], c[v].v[k], w->taps[row][v][k]);
        y[k] = vf_fma(vi_to_float(vi_sub(sums[k], w->factors[k].sum)), w->fast[k].scale,
                      w->fast[k].bias);
    }
    if (!w->usable || grid_is_near(y, w->far)) return dw_exact(w, sums);
    for (int k = 0; k < DW_VECTORS; k++) codes[k] = vi_round(y[k]);
    return v64_min(v64_pack_lanes(codes, 0, 0), w->coder.limit);
}

ALWAYS_INLINE void dw_store(uint8_t *q, const dw_output *out, int64_t x, __mmask64 channels,
                            v64 codes, int streams)
{
    if (streams == 1) {
        _mm512_mask_storeu_epi8(q + (out->first[0] + x) * out->ld, channels, codes);
    } else if (streams == 2) {
        const __mmask32 half = (__mmask32)_cvtmask64_u64(channels);
        _mm256_mask_storeu_epi8(q + (out->first[0] + x) * out->ld, half,
                                _mm512_castsi512_si256(codes));
        _mm256_mask_storeu_epi8(q + (out->first[1] + x) * out->ld, half,
                                _mm512_extracti64x4_epi64(codes, 1));
    } else {
        const int64_t n = (int64_t)__builtin_popcountll(_cvtmask64_u64(channels));
        for (int s = 0; s < DW_STREAMS; s++)
            v64_store_part(q + (out->first[s] + x) * out->ld, n, codes, s);
    }
}

/* One row of the output (stride 2), or two. */
ALWAYS_INLINE void dw_line(const dw_block *w, const dw_rows *in, const dw_output *out, int64_t pad,
                           int stride, int streams)
{
    const int rows = 3 - stride;
    int64_t first[DW_STREAMS];
    dw_column c[DW_TAPS];
    for (int s = 0; s < streams; s++) first[s] = out->first[s] * stride - pad;
    for (int v = stride; v < DW_TAPS; v++)
        c[v] = dw_column_at(in, w->channels, first, v - stride, streams, rows);
    for (int64_t x = 0; x < out->n; x++) {
        for (int v = 0; v < DW_TAPS - stride; v++) c[v] = c[v + stride];
        for (int v = DW_TAPS - stride; v < DW_TAPS; v++)
            c[v] = dw_column_at(in, w->channels, first, x * stride + v, streams, rows);
        for (int r = 0; r < rows; r++)
            dw_store(out->q[r], out, x, w->channels, dw_codes(w, c, r), streams);
    }
}

/* Streams and stride become constants. */
static void dw_line_of(const dw_block *w, const dw_rows *in, const dw_output *out, int64_t pad,
                       int64_t stride, int64_t streams)
{
    if (stride == 1)
        streams == 1   ? dw_line(w, in, out, pad, 1, 1)
        : streams == 2 ? dw_line(w, in, out, pad, 1, 2)
                       : dw_line(w, in, out, pad, 1, 4);
    else
        streams == 1   ? dw_line(w, in, out, pad, 2, 1)
        : streams == 2 ? dw_line(w, in, out, pad, 2, 2)
                       : dw_line(w, in, out, pad, 2, 4);
}

/* Bytes of a stream's pixel for n channels, in a row of so many pixels. */
static int64_t dw_width(int64_t n, int64_t pixels)
{
    return n > 32 || pixels < 2 ? 64 : n > 16 || pixels < 4 ? 32 : 16;
}

/* Which part of the output is computed. */
typedef struct dw_part {
    int64_t row, rows, channel, channels;
} dw_part;

/* Rows and streams that do not fill a part are shifted into it: what they share with others is
 * computed again. */
static void dw_channels(const dfqi_conv_shape *s, const dw_part *part, const dfqi_int_rows *a,
                        const dfqi_int_matrix *b, const dfqi_int_output *out)
{
    const int64_t width = dw_width(part->channels, s->out_x), streams = DW_BYTES / width;
    const int64_t rows = 3 - s->stride, last = part->row + part->rows - rows;
    uint8_t outside[DW_BYTES];
    dw_block w;
    dw_rows in = {.width = s->in_x, .outside = outside};
    dw_output to = {.ld = out->ld_q, .n = (s->out_x + streams - 1) / streams};
    memset(outside, a->zero_point ? a->zero_point[0] : 0, sizeof outside);
    dw_block_make(a, b, out, part->channel, part->channels, width, &w);
    for (int64_t i = 0; i < streams; i++)
        to.first[i] = i * to.n < s->out_x - to.n ? i * to.n : s->out_x - to.n;
    for (int64_t y = part->row; y < part->row + part->rows; y += rows) {
        const int64_t y0 = y < last ? y : last;
        for (int64_t r = 0; r < 4; r++) {
            const int64_t at = y0 * s->stride + r - s->pad;
            const int inside = at >= 0 && at < s->in_y;
            in.row[r] = inside ? a->codes + at * s->in_x * a->ld + part->channel : outside;
            in.step[r] = inside ? a->ld : 0;
        }
        for (int64_t r = 0; r < rows; r++)
            to.q[r] = out->q + (y0 + r) * s->out_x * out->ld_q + part->channel;
        dw_line_of(&w, &in, &to, s->pad, s->stride, streams);
    }
}

static void dw_image(const dfqi_conv_shape *s, int64_t first, int64_t rows, const dfqi_int_rows *a,
                     const dfqi_int_matrix *b, const dfqi_int_output *out)
{
    for (int64_t j = 0; j < s->c; j += DW_BYTES) {
        const dw_part part = {first, rows, j, s->c - j < DW_BYTES ? s->c - j : DW_BYTES};
        dw_channels(s, &part, a, b, out);
    }
}

#endif
