/* Rows of an image of codes with their padding, in bands that fit into the L2
 * cache. The padding holds the zero point. Without padding nothing is copied.
 */
#ifndef DFQI_INT_X86_CONV_BAND_H
#define DFQI_INT_X86_CONV_BAND_H

#include <string.h>

#include "kernel/conv_axis.h"
#include "kernel/int_layout.h"

typedef struct conv_bands {
    const dfqi_conv_shape *s;
    const dfqi_int_rows *image;
    int64_t pixel; /* bytes; of the image `ld`, which has more channels if threads share them */
    int64_t before, after; /* pixels of padding beside a row */
    int64_t rows;          /* of the output that a band is enough for */
    int pads;              /* 0: there is no padding, and nothing is copied */
    uint8_t *scratch;
} conv_bands;

/* Input rows; the first is the one that tap 0 of output row `first` reads. */
typedef struct conv_band {
    const uint8_t *at; /* with the padding before the row */
    int64_t next;      /* bytes from a row to the next */
} conv_band;

static inline conv_bands conv_bands_make(const dfqi_conv_shape *s, const dfqi_int_rows *image,
                                         uint8_t *scratch)
{
    const dfqi_conv_axis x = dfqi_conv_axis_x(0, s), y = dfqi_conv_axis_y(0, s);
    conv_bands b = {.s = s, .image = image, .scratch = scratch};
    b.before = dfqi_conv_axis_before(&x);
    b.after = dfqi_conv_axis_after(&x);
    b.pads = s->pad > 0 || b.after > 0 || dfqi_conv_axis_after(&y) > 0;
    b.pixel = b.pads ? dfqi_int_row(s->c) : image->ld;
    b.rows = b.pads ? dfqi_conv_band(&y, dfqi_conv_row(&x, b.pixel)) : s->out_y;
    return b;
}

/* The rows that output rows first .. first + n read. */
static inline conv_band conv_band_load(const conv_bands *b, int64_t first, int64_t n)
{
    const dfqi_conv_shape *s = b->s;
    const int64_t row = s->in_x * b->pixel, before = b->before * b->pixel;
    const int64_t after = b->after * b->pixel, next = before + row + after;
    const int64_t from = first * s->stride - s->pad;
    const int64_t rows = (n - 1) * s->stride + (s->kernel_y - 1) * s->dilation + 1;
    const int zero = b->image->zero_point ? b->image->zero_point[0] : 0;
    const int64_t ld = b->image->ld, image_row = s->in_x * ld;
    if (!b->pads) return (conv_band){b->image->codes + from * row, row};
    for (int64_t i = 0; i < rows; i++) {
        uint8_t *to = b->scratch + i * next;
        const int inside = from + i >= 0 && from + i < s->in_y;
        memset(to, zero, (size_t)(inside ? before : next));
        if (!inside) continue;
        const uint8_t *x = b->image->codes + (from + i) * image_row;
        if (ld == b->pixel)
            memcpy(to + before, x, (size_t)row);
        else
            for (int64_t p = 0; p < s->in_x; p++)
                memcpy(to + before + p * b->pixel, x + p * ld, (size_t)s->c);
        memset(to + before + row, zero, (size_t)after);
    }
    return (conv_band){b->scratch, next};
}

#endif
