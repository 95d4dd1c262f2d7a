/* Register tiles of products of codes, for product.c and conv.c. */
#ifndef DFQI_INT_X86_TILE_H
#define DFQI_INT_X86_TILE_H

#include "kernel/int_layout.h"
#include "kernel/int_x86/isa.h"
#include "kernel/int_x86/vec_int.h"

#if defined(__AVX512F__)
enum { TILE_PANELS = 2, TILE_ROWS = 16 }; /* of a tile, at most */
#else
enum { TILE_PANELS = 1, TILE_ROWS = 6 };
#endif

/* Where a run of rows of the left operand lies: pixels of a row of an image, or
 * rows. */
typedef struct tile_rows {
    const uint8_t *x;
    int64_t n, step; /* rows, bytes from one to the next */
    int64_t spans;
    const int64_t *span; /* where they begin in a row, in bytes */
    int64_t number;      /* of the first row, in grids and outputs */
} tile_rows;

/* Computes the rows of b that lie in panels first/16 .. (TILE_PANELS of them,
 * as far as there are), for all rows of r. */
void INT_ISA(tiles)(const tile_rows *r, const dfqi_int_rows *a, const dfqi_int_matrix *b,
                    const dfqi_int_output *out, int64_t first);

/* The sums of `rows` rows, sums[i][j], become outputs from (row, first) on. */
void INT_ISA(finish)(const int32_t *sums, int64_t ld, int64_t rows, int64_t row, int64_t first,
                     const dfqi_int_rows *a, const dfqi_int_matrix *b, const dfqi_int_output *out);

#endif
