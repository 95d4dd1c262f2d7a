/* The register tiles of dense convolutions: products of pixels with weights (conv.c) and sums of
 * outer products (conv_dw.c). Winograd's algorithm also uses them. */
#ifndef DFQI_KERNEL_X86_CONV_TILE_H
#define DFQI_KERNEL_X86_CONV_TILE_H

#include "kernel/x86/conv_walk.h"
#include "kernel/x86/isa.h"
#include "kernel/x86/vec.h"

#if defined(__AVX512F__)
enum { CONV_PANELS = 2 }; /* of weights in a tile, at most */
#else
enum { CONV_PANELS = 1 };
#endif

/* Pixels of x and dy that meet, and the sums: rows of weights, panels `panel` floats apart, of the
 * last one `lanes` columns exist. */
typedef struct conv_sums {
    int64_t rows, pixels;
    const float *x, *dy;
    int64_t x_row, x_pixel, dy_row, dy_pixel; /* floats from one to the next */
    float *sum;
    int64_t panel, lanes;
} conv_sums;

/* Columns first .. of a row, up to CONV_PANELS panels. */
void ISA(conv_tiles)(const conv_walk *q, const conv_row *r, int64_t first);
/* Adds to `length` rows of weights from whole->sum on. */
void ISA(conv_dw_tiles)(const conv_sums *whole, int panels, int64_t length);

#endif
