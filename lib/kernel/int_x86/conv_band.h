/* Rows of an image of codes with their padding, in bands that fit into the L2 cache, as bytes or
 * as words. The padding holds the zero point. Bytes without padding are not copied. */
#ifndef DFQI_INT_X86_CONV_BAND_H
#define DFQI_INT_X86_CONV_BAND_H

#include <string.h>

#include "kernel/conv_axis.h"
#include "kernel/int_x86/words.h"

typedef struct conv_bands {
    const dfqi_conv_shape *s;
    const dfqi_int_rows *image;
    int words;     /* 1: a code has two bytes */
    int64_t pixel; /* bytes; of the image `ld`, which has more channels if threads share them */
    int64_t before, after; /* pixels of padding beside a row */
    int64_t rows;          /* of the output that a band is enough for */
    int copies;            /* 0: nothing is copied */
    uint8_t *scratch;
} conv_bands;

/* Input rows; the first is the one that tap 0 of output row `first` reads. */
typedef struct conv_band {
    const uint8_t *at; /* with the padding before the row */
    int64_t next;      /* bytes from a row to the next */
} conv_band;

static inline conv_bands conv_bands_make(const dfqi_conv_shape *s, const dfqi_int_rows *image,
                                         int words, uint8_t *scratch)
{
    const dfqi_conv_axis x = dfqi_conv_axis_x(0, s), y = dfqi_conv_axis_y(0, s);
    conv_bands b = {.s = s, .image = image, .words = words, .scratch = scratch};
    b.before = dfqi_conv_axis_before(&x);
    b.after = dfqi_conv_axis_after(&x);
    b.copies = words || s->pad > 0 || b.after > 0 || dfqi_conv_axis_after(&y) > 0;
    b.pixel = b.copies ? dfqi_int_row(s->c) << words : image->ld;
    b.rows = b.copies ? dfqi_conv_band(&y, dfqi_conv_row(&x, dfqi_int_row(s->c))) : s->out_y;
    return b;
}

/* n codes, a multiple of a group, from x or all of them `zero`. */
static inline void conv_band_put(const conv_bands *b, const uint8_t *x, int zero, int64_t n,
                                 uint8_t *to)
{
    const uint32_t word = (uint32_t)zero << 16 | (uint32_t)zero;
    if (!b->words && x)
        memcpy(to, x, (size_t)n);
    else if (!b->words)
        memset(to, zero, (size_t)n);
    else if (x)
        words_of_row(x, n / DFQI_INT_GROUP, to);
    else
        for (int64_t i = 0; i < 2 * n; i += 4) memcpy(to + i, &word, sizeof word);
}

/* The rows that output rows first .. first + n read. */
static inline conv_band conv_band_load(const conv_bands *b, int64_t first, int64_t n)
{
    const dfqi_conv_shape *s = b->s;
    const int64_t codes = dfqi_int_row(s->c), ld = b->image->ld, image_row = s->in_x * ld;
    const int64_t next = (b->before + s->in_x + b->after) * b->pixel;
    const int64_t from = first * s->stride - s->pad;
    const int64_t rows = (n - 1) * s->stride + (s->kernel_y - 1) * s->dilation + 1;
    const int zero = b->image->zero_point ? b->image->zero_point[0] : 0;
    if (!b->copies) return (conv_band){b->image->codes + from * image_row, image_row};
    for (int64_t i = 0; i < rows; i++) {
        uint8_t *to = b->scratch + i * next;
        const int inside = from + i >= 0 && from + i < s->in_y;
        conv_band_put(b, NULL, zero, (inside ? b->before : next / b->pixel) * codes, to);
        if (!inside) continue;
        const uint8_t *x = b->image->codes + (from + i) * image_row;
        to += b->before * b->pixel;
        if (ld == codes)
            conv_band_put(b, x, 0, s->in_x * codes, to);
        else
            for (int64_t p = 0; p < s->in_x; p++)
                conv_band_put(b, x + p * ld, 0, codes, to + p * b->pixel);
        conv_band_put(b, NULL, zero, b->after * codes, to + s->in_x * b->pixel);
    }
    return (conv_band){b->scratch, next};
}

#endif
