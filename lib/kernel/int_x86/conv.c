/* Convolutions of codes as products of matrices that are never written down: a
 * row of the left operand is a pixel, its spans are the rows of taps. */
#include "kernel/int_x86/conv_band.h"
#include "kernel/int_x86/tile.h"

/* Where the spans of a pixel begin: its rows of taps, or single taps. */
static void spans_of(const dfqi_conv_shape *s, const conv_band *band, int64_t pixel, int64_t *span)
{
    const int64_t of_row = dfqi_int_conv_spans(s) / s->kernel_y;
    for (int64_t u = 0; u < s->kernel_y; u++)
        for (int64_t v = 0; v < of_row; v++)
            span[u * of_row + v] = (u * band->next + v * pixel) * s->dilation;
}

void INT_ISA(conv)(const dfqi_conv_shape *s, int64_t first, int64_t rows, const dfqi_int_rows *a,
                   const dfqi_int_matrix *b, const dfqi_int_output *out, uint8_t *scratch)
{
    uint8_t *behind = scratch + dfqi_int_weights_scratch(b);
    const conv_bands bands = conv_bands_make(s, a, tile_takes_words(a, b), behind);
    int64_t span[DFQI_CONV_KERNEL * DFQI_CONV_KERNEL];
    tile_rows r = {.n = s->out_x, .step = s->stride * bands.pixel, .spans = b->spans, .span = span};
    if (dfqi_int_is_product(s)) {
        INT_ISA(product_rows)(first * s->out_x, rows * s->out_x, a, b, out, scratch);
        return;
    }
    for (int64_t y0 = first; y0 < first + rows; y0 += bands.rows) {
        const int64_t n = first + rows - y0 < bands.rows ? first + rows - y0 : bands.rows;
        const conv_band band = conv_band_load(&bands, y0, n);
        spans_of(s, &band, bands.pixel, span);
        for (int64_t j = 0; j < b->n; j += TILE_PANELS * DFQI_INT_PANEL) {
            tile_panels panels;
            tile_panels_at(a, b, out, j, INT_ISA(weights)(a, b, j, scratch), &panels);
            for (int64_t y = 0; y < n; y++) {
                r.x = band.at + y * s->stride * band.next;
                r.number = (y0 + y) * s->out_x;
                INT_ISA(tiles)(&panels, &r);
            }
        }
    }
}
