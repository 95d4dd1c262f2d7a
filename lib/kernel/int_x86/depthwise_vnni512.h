/* Depthwise convolutions with 3 x 3 taps and codes as results, for AVX-512 VNNI: 64 channels at a
 * time. Codes of three rows are put beside each other by instructions that work within 128 bits, so
 * part l of vector k has the channels 16 l + 4 k .. + 3. Weights and factors are brought into that
 * order once; packing the codes of results undoes it. */
#ifndef DFQI_INT_X86_DEPTHWISE_VNNI512_H
#define DFQI_INT_X86_DEPTHWISE_VNNI512_H

enum { DW_CHANNELS = 64, DW_TAPS = 3, DW_VECTORS = 4, DW_COLUMN = DW_VECTORS * DFQI_INT_BLOCK };

typedef struct dw_block {
    __m512i taps[DW_TAPS][DW_VECTORS]; /* of each column of taps */
    vf scale[DW_VECTORS], bias[DW_VECTORS];
    vi start[DW_VECTORS]; /* of sums: less the zero point times the sum of codes */
    vf row_scale;
    static_coder coder;
    __mmask64 channels; /* which exist */
} dw_block;

/* Are the results codes alone? */
static int dw_fits(const dfqi_conv_shape *s, const dfqi_int_output *out)
{
    return s->kernel_y == DW_TAPS && s->kernel_x == DW_TAPS && s->dilation == 1 && out->q &&
           !out->y && !out->add && !out->add_codes && (!out->relu || static_takes_relu(out->grid));
}

/* 64 numbers of 32 bits, in the order of the vectors. */
static void dw_order(const void *x, void *vectors)
{
    for (int k = 0; k < DW_VECTORS; k++)
        for (int l = 0; l < 4; l++)
            memcpy((char *)vectors + 64 * k + 16 * l, (const char *)x + 64 * l + 16 * k, 16);
}

static void dw_taps(const dfqi_int_matrix *b, int64_t first, int64_t n, dw_block *w)
{
    const int64_t panel = dfqi_int_panel_bytes(b);
    const uint8_t *codes = b->codes + first / DFQI_INT_PANEL * panel;
    for (int v = 0; v < DW_TAPS; v++) {
        uint8_t natural[DW_COLUMN] = {0};
        for (int64_t i = 0; i * DFQI_INT_PANEL < n; i++)
            memcpy(natural + i * DFQI_INT_BLOCK, codes + i * panel + v * DFQI_INT_BLOCK,
                   DFQI_INT_BLOCK);
        dw_order(natural, w->taps[v]);
    }
}

/* Channels first .. first + n - 1. */
static void dw_block_make(const dfqi_int_rows *a, const dfqi_int_matrix *b,
                          const dfqi_int_output *out, int64_t first, int64_t n, dw_block *w)
{
    float scale[DW_CHANNELS] = {0}, bias[DW_CHANNELS];
    int32_t start[DW_CHANNELS] = {0};
    for (int64_t i = 0; i < DW_CHANNELS; i++)
        bias[i] = out->bias && i < n ? out->bias[first + i] : -0.0f;
    memcpy(scale, b->scale + first, (size_t)n * sizeof *scale);
    for (int64_t i = 0; a->zero_point && i < n; i++)
        start[i] = -a->zero_point[0] * b->sum[first + i];
    dw_order(scale, w->scale);
    dw_order(bias, w->bias);
    dw_order(start, w->start);
    dw_taps(b, first, n, w);
    w->row_scale = vf_set(a->scale[0]);
    w->coder = static_coder_of(out->grid);
    if (out->relu) static_take_relu(&w->coder, out->grid, out->cap);
    w->channels = n < DW_CHANNELS ? _cvtu64_mask64(~(~0ull << n)) : _cvtu64_mask64(~0ull);
}

/* The codes of three rows, for all pixels: columns[width][4][64]. */
static void dw_columns(const uint8_t *x, int64_t next, int64_t pixel, int64_t width,
                       __mmask64 channels, uint8_t *columns)
{
    const __m512i zero = _mm512_setzero_si512();
    for (int64_t p = 0; p < width; p++, x += pixel, columns += DW_COLUMN) {
        const __m512i a = _mm512_maskz_loadu_epi8(channels, x);
        const __m512i b = _mm512_maskz_loadu_epi8(channels, x + next);
        const __m512i c = _mm512_maskz_loadu_epi8(channels, x + 2 * next);
        const __m512i low = _mm512_unpacklo_epi8(a, b), low2 = _mm512_unpacklo_epi8(c, zero);
        const __m512i high = _mm512_unpackhi_epi8(a, b), high2 = _mm512_unpackhi_epi8(c, zero);
        _mm512_storeu_si512(columns, _mm512_unpacklo_epi16(low, low2));
        _mm512_storeu_si512(columns + 64, _mm512_unpackhi_epi16(low, low2));
        _mm512_storeu_si512(columns + 128, _mm512_unpacklo_epi16(high, high2));
        _mm512_storeu_si512(columns + 192, _mm512_unpackhi_epi16(high, high2));
    }
}

/* Results of a row, from columns that are `step` bytes apart. */
static void dw_results(const dw_block *from, const uint8_t *columns, int64_t step, int64_t n,
                       uint8_t *q, int64_t ldq)
{
    const dw_block w = *from;
    for (int64_t i = 0; i < n; i++, columns += step, q += ldq) {
        vf y[DW_VECTORS];
        for (int k = 0; k < DW_VECTORS; k++) {
            vi sum = w.start[k];
            for (int v = 0; v < DW_TAPS; v++)
                sum = _mm512_dpbusd_epi32(
                    sum, _mm512_loadu_si512(columns + v * DW_COLUMN + k * DFQI_INT_BLOCK),
                    w.taps[v][k]);
            y[k] = vf_mul(vi_to_float(sum), w.row_scale);
            y[k] = vf_add(vf_mul(y[k], w.scale[k]), w.bias[k]);
        }
        _mm512_mask_storeu_epi8(q, w.channels, static_code_lanes(&w.coder, y));
    }
}

static void dw_image(const dfqi_conv_shape *s, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                     const dfqi_int_output *out, uint8_t *scratch)
{
    const conv_bands bands = conv_bands_make(s, a, scratch);
    const int64_t width = bands.before + s->in_x + bands.after;
    uint8_t *columns = scratch + dfqi_int_band_bytes(s);
    for (int64_t y0 = 0; y0 < s->out_y; y0 += bands.rows) {
        const int64_t rows = s->out_y - y0 < bands.rows ? s->out_y - y0 : bands.rows;
        const conv_band band = conv_band_load(&bands, y0, rows);
        for (int64_t j = 0; j < s->c; j += DW_CHANNELS) {
            dw_block w;
            dw_block_make(a, b, out, j, s->c - j < DW_CHANNELS ? s->c - j : DW_CHANNELS, &w);
            for (int64_t y = 0; y < rows; y++) {
                dw_columns(band.at + y * s->stride * band.next + j, band.next, bands.pixel, width,
                           w.channels, columns);
                dw_results(&w, columns, s->stride * DW_COLUMN, s->out_x,
                           out->q + (y0 + y) * s->out_x * out->ld_q + j, out->ld_q);
            }
        }
    }
}

#endif
