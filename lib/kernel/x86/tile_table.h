/* Makes the register tiles of a convolution and the table of them. The macro TILE(N, V) defines the
 * function tile_N_V, for N pixels or rows and V panels of columns. Before including this file,
 * define TILE, and TILE_ARGUMENT as the type that tiles read. The number of registers limits N: 16
 * with AVX2, 32 with AVX-512. */
#ifndef DFQI_KERNEL_X86_TILE_TABLE_H
#define DFQI_KERNEL_X86_TILE_TABLE_H

#include <stdint.h>

typedef void (*tile_fn)(const TILE_ARGUMENT *t);

#define TILES_6(V)  TILE(1, V) TILE(2, V) TILE(3, V) TILE(4, V) TILE(5, V) TILE(6, V)
#define TILES_12(V) TILES_6(V) TILE(7, V) TILE(8, V) TILE(9, V) TILE(10, V) TILE(11, V) TILE(12, V)
#define NAMES_6(V)  tile_1_##V, tile_2_##V, tile_3_##V, tile_4_##V, tile_5_##V, tile_6_##V
#define NAMES_12(V)                                                                                \
    NAMES_6(V), tile_7_##V, tile_8_##V, tile_9_##V, tile_10_##V, tile_11_##V, tile_12_##V

#if defined(__AVX512F__)
TILES_12(1)
TILE(13, 1)
TILE(14, 1)
TILE(15, 1)
TILE(16, 1)
TILES_12(2)

static const tile_fn tiles_1[] = {NAMES_12(1), tile_13_1, tile_14_1, tile_15_1, tile_16_1};
static const tile_fn tiles_2[] = {NAMES_12(2)};
#else
TILES_6(1)

static const tile_fn tiles_1[] = {NAMES_6(1)};
#endif

/* The tiles of `panels` panels, by size from 1 to *most. */
static inline const tile_fn *tiles_of(int64_t panels, int64_t *most)
{
#if defined(__AVX512F__)
    if (panels == 2) {
        *most = sizeof tiles_2 / sizeof *tiles_2;
        return tiles_2;
    }
#endif
    (void)panels;
    *most = sizeof tiles_1 / sizeof *tiles_1;
    return tiles_1;
}

#endif
