/* Block sizes of Winograd's F(2x2,3x3) algorithm (Lavin and Gray, 2015). An output tile of 2 x 2
 * pixels is computed from 4 x 4 input pixels. Several tiles at a time are transformed into scratch
 * memory that fits into the L2 cache. */
#ifndef DFQI_KERNEL_WINOGRAD_H
#define DFQI_KERNEL_WINOGRAD_H

#include "kernel/kernel.h"

enum {
    DFQI_WINOGRAD_WIDTH = 32,    /* columns of products at a time */
    DFQI_WINOGRAD_CHANNELS = 64, /* channels at a time, for the weight gradient */
    DFQI_WINOGRAD_TILES = 64     /* tiles at a time, at most */
};

static inline int64_t dfqi_winograd_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Tiles that cover an image. */
static inline int64_t dfqi_winograd_tiles(int64_t y, int64_t x)
{
    return ((y + 1) / 2) * ((x + 1) / 2);
}

/* Parts of about the same size, each with as many tiles as stay in L2 with that many channels, but
 * enough to pay for loading the weights. */
static inline int64_t dfqi_winograd_parts(int64_t tiles, int64_t channels)
{
    enum { FLOATS = 4096, LEAST = 24 };
    int64_t most = dfqi_winograd_min(FLOATS / channels, DFQI_WINOGRAD_TILES);
    if (most < LEAST) most = LEAST;
    return (tiles + most - 1) / most;
}

/* Distance between two of the 16 planes [tiles, columns]. It is no power of two, so that the planes
 * of a tile do not compete for one set of the cache. */
static inline int64_t dfqi_winograd_plane(int64_t tiles, int64_t columns)
{
    return tiles * columns + 16;
}

#endif
