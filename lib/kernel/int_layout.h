/* Where the codes of a right operand lie (int_kernel.h, dfqi_int_matrix), and
 * the grid of a row of codes. All tables share this code. */
#ifndef DFQI_INT_LAYOUT_H
#define DFQI_INT_LAYOUT_H

#include "kernel/conv_axis.h"
#include "kernel/int_kernel.h"

enum {
    DFQI_INT_BLOCK = DFQI_INT_PANEL * DFQI_INT_GROUP, /* bytes of a group of a panel */
    /* Panels of bytes that unpacked weights take: two panels, or one as bytes and as words. */
    DFQI_INT_UNPACKED = 3,
    DFQI_INT_WORD_ROWS = 96 /* of a left operand, that are words at a time */
};

static inline int64_t dfqi_int_groups(int64_t k)
{
    return (k + DFQI_INT_GROUP - 1) / DFQI_INT_GROUP;
}

/* Bytes of a span of a panel. */
static inline int64_t dfqi_int_span_bytes(int64_t k, int nibbles)
{
    int64_t groups = dfqi_int_groups(k);
    return (nibbles ? (groups + 1) / 2 : groups) * DFQI_INT_BLOCK;
}

/* Bytes of the codes of a panel, and with the grids behind them. */
static inline int64_t dfqi_int_panel_codes(const dfqi_int_matrix *b)
{
    return b->spans * dfqi_int_span_bytes(b->k, b->nibbles);
}

static inline int64_t dfqi_int_panel_bytes(const dfqi_int_matrix *b)
{
    const int64_t grids = b->grid_columns > 0 ? b->spans * b->k / b->grid_columns : 0;
    return dfqi_int_panel_codes(b) + grids * DFQI_INT_PANEL;
}

/* The byte of code p of a span of row j; in nibbles *shift is 0 for the low
 * half and 4 for the high one. */
static inline int64_t dfqi_int_at(const dfqi_int_matrix *b, int64_t j, int64_t span, int64_t p,
                                  int *shift)
{
    int64_t group = p / DFQI_INT_GROUP;
    *shift = b->nibbles && group % 2 ? 4 : 0;
    if (b->nibbles) group /= 2;
    return j / DFQI_INT_PANEL * dfqi_int_panel_bytes(b) +
           span * dfqi_int_span_bytes(b->k, b->nibbles) + group * DFQI_INT_BLOCK +
           j % DFQI_INT_PANEL * DFQI_INT_GROUP + p % DFQI_INT_GROUP;
}

/* The byte of the grid of that code. */
static inline int64_t dfqi_int_grid_at(const dfqi_int_matrix *b, int64_t j, int64_t span, int64_t p)
{
    return j / DFQI_INT_PANEL * dfqi_int_panel_bytes(b) + dfqi_int_panel_codes(b) +
           (span * b->k + p) / b->grid_columns * DFQI_INT_PANEL + j % DFQI_INT_PANEL;
}

/* Bytes of scratch for unpacked weights; rows that are words are behind them. */
static inline int64_t dfqi_int_weights_scratch(const dfqi_int_matrix *b)
{
    return DFQI_INT_UNPACKED * b->spans * dfqi_int_span_bytes(b->k, 0);
}

/* Bytes of the rows, with their padding, of which a convolution makes a copy at
 * a time. */
static inline int64_t dfqi_int_band_bytes(const dfqi_conv_shape *s)
{
    const dfqi_conv_axis x = dfqi_conv_axis_x(0, s), y = dfqi_conv_axis_y(0, s);
    const int64_t row = dfqi_conv_row(&x, dfqi_int_row(s->c));
    return dfqi_conv_band_rows(&y, dfqi_conv_band(&y, row)) * row;
}

#endif
