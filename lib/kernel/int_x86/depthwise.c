/* Depthwise convolutions of codes. For each row of the output, the codes under
 * four taps of a column are put beside each other, so that they are a group of
 * a product. */
#include "kernel/int_x86/conv_band.h"
#include "kernel/int_x86/tile.h"

enum { RUN = 16 }; /* pixels whose sums are finished together */

/* One row of the output for sixteen channels, of which n exist. */
typedef struct dw_row {
    const dfqi_conv_shape *s;
    conv_band band;      /* from the row's first tap on */
    int64_t pixel, n;    /* bytes of a pixel, channels */
    int64_t width;       /* pixels of a row of the band */
    int64_t groups;      /* of a column of taps */
    uint8_t *columns;    /* [width][groups][64] */
    const uint8_t *taps; /* [kernel_x][groups][64] */
} dw_row;

static inline __m128i load_codes(const uint8_t *x, int64_t n)
{
    uint8_t bytes[16] = {0};
    if (n >= VF) return _mm_loadu_si128((const __m128i *)(const void *)x);
    memcpy(bytes, x, (size_t)n);
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* Group g of the columns of all pixels of a row. */
static void make_columns(const dw_row *r, int64_t g)
{
    const int64_t first = g * DFQI_INT_GROUP, next = r->band.next * r->s->dilation;
    const uint8_t *x = r->band.at + first * next;
    const int64_t taps = r->s->kernel_y - first;
    for (int64_t p = 0; p < r->width; p++, x += r->pixel) {
        __m128i c[DFQI_INT_GROUP];
        for (int64_t u = 0; u < DFQI_INT_GROUP; u++)
            c[u] = u < taps ? load_codes(x + u * next, r->n) : _mm_setzero_si128();
        codes_store_group(c, r->columns + (p * r->groups + g) * DFQI_INT_BLOCK);
    }
}

/* The sums of pixel i. */
static void sum_pixel(const dw_row *r, int64_t i, int32_t *sums)
{
    const int64_t column = r->groups * DFQI_INT_BLOCK;
    const uint8_t *x = r->columns + i * r->s->stride * column, *w = r->taps;
    vi sum = vi_set(0);
    for (int64_t v = 0; v < r->s->kernel_x; v++, x += r->s->dilation * column)
        for (int64_t g = 0; g < r->groups; g++, w += DFQI_INT_BLOCK)
            sum = vi_dot(sum, x + g * DFQI_INT_BLOCK, w);
    vi_store(sums, sum);
}

static void depthwise_row(const dw_row *r, int64_t y, const finish_columns *columns)
{
    int32_t sums[RUN * VF];
    for (int64_t g = 0; g < r->groups; g++) make_columns(r, g);
    for (int64_t i = 0; i < r->s->out_x; i += RUN) {
        const int64_t n = r->s->out_x - i < RUN ? r->s->out_x - i : RUN;
        for (int64_t k = 0; k < n; k++) sum_pixel(r, i + k, sums + k * VF);
        INT_ISA(finish)(columns, sums, VF, n, y * r->s->out_x + i);
    }
}

#if defined(__AVX512VNNI__)
#include "kernel/int_x86/depthwise_vnni512.h"
#endif

void INT_ISA(depthwise)(const dfqi_conv_shape *s, int64_t first, int64_t rows,
                        const dfqi_int_rows *a, const dfqi_int_matrix *b,
                        const dfqi_int_output *out, uint8_t *scratch)
{
#if defined(__AVX512VNNI__)
    if (dw_fits(s, rows, out)) {
        dw_image(s, first, rows, a, b, out);
        return;
    }
#endif
    const conv_bands bands = conv_bands_make(s, a, 0, scratch);
    dw_row r = {.s = s, .pixel = bands.pixel, .groups = dfqi_int_groups(s->kernel_y)};
    r.width = bands.before + s->in_x + bands.after;
    r.columns = scratch + dfqi_int_band_bytes(s);
    for (int64_t y0 = first; y0 < first + rows; y0 += bands.rows) {
        const int64_t n = first + rows - y0 < bands.rows ? first + rows - y0 : bands.rows;
        const conv_band band = conv_band_load(&bands, y0, n);
        for (int64_t j = 0; j < s->c; j += VF) {
            finish_columns columns;
            INT_ISA(finish_columns)(a, b, out, j, &columns);
            r.n = s->c - j < VF ? s->c - j : VF;
            r.taps = b->codes + j / VF * dfqi_int_panel_bytes(b);
            for (int64_t y = 0; y < n; y++) {
                r.band = (conv_band){band.at + y * s->stride * band.next + j, band.next};
                depthwise_row(&r, y0 + y, &columns);
            }
        }
    }
}
