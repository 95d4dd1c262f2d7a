/* Tilings: how a layer is cut into tiles that fit the global buffer. Tile sizes are multiples of
 * the unit that the array processes at a time; accelerators with equal units share tilings. */
#ifndef DFQI_ACCEL_TILING_H
#define DFQI_ACCEL_TILING_H

#include "accel/mapping.h"

/* Loops are handled along three axes: channels; filters, or the channels of a depthwise
 * convolution; images and pixels. */
typedef enum dfqi_axis { DFQI_AXIS_IN, DFQI_AXIS_OUT, DFQI_AXIS_PLACE, DFQI_AXES } dfqi_axis;

typedef struct dfqi_tiling {
    int64_t tile[DFQI_DIMS]; /* what the buffer holds of each dimension */
    dfqi_nest dram;          /* the loops over tiles */
    double dram_bits;
} dfqi_tiling;

/* What tilings depend on besides the layer. */
typedef struct dfqi_buffer {
    double kb;
    int32_t psum_bits;
    int32_t columns; /* 1: tiles may be parts of all rows, too */
    int64_t unit[DFQI_DIMS];
} dfqi_buffer;

/* By ascending DRAM traffic. */
typedef struct dfqi_tilings {
    dfqi_buffer buffer;
    int32_t n; /* 0: not even the smallest tile fits */
    dfqi_tiling *list;
} dfqi_tilings;

/* The tilings of one layer that were asked for so far. One thread at a time. */
typedef struct dfqi_tiling_cache {
    dfq_context *ctx;
    dfqi_layer layer; /* resolved */
    dfqi_dim out;     /* dfqi_tiling_out() */
    int32_t n, room;
    dfqi_tilings *sets;
} dfqi_tiling_cache;

/* The dimension of DFQI_AXIS_OUT: M, or G of a depthwise convolution. */
dfqi_dim dfqi_tiling_out(const dfqi_layer *l);

void dfqi_tiling_cache_init(dfqi_tiling_cache *s, dfq_context *ctx, const dfqi_layer *l);
void dfqi_tiling_cache_fini(dfqi_tiling_cache *s);
/* Valid until the next call. */
DFQI_CHECKED dfq_status dfqi_tiling_cache_get(dfqi_tiling_cache *s, const dfqi_buffer *buffer,
                                              const dfqi_tilings **out);

/* Sizes of equal parts of `length` up to `limit`, largest first: its divisors; a prime above 3 is
 * parted as if it were one longer. 1 is always among them. Returns their number. */
enum { DFQI_PARTS_MAX = 64 };
int32_t dfqi_parts(int64_t length, int64_t limit, int64_t out[DFQI_PARTS_MAX]);

static inline int64_t dfqi_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t dfqi_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
