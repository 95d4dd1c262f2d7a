/* Convolution sizes for all kernel tables: packed weights, scratch memory, and the choice of shapes
 * for Winograd's algorithm. */
#include "kernel/conv_axis.h"
#include "kernel/tables.h"
#include "kernel/winograd.h"

size_t dfqi_conv_packed_floats(int64_t o, int64_t c, int64_t taps)
{
    return (size_t)((o + DFQI_CONV_PANEL - 1) / DFQI_CONV_PANEL * DFQI_CONV_PANEL * c * taps);
}

static int64_t band_floats(int back, const dfqi_conv_shape *s, int64_t channels)
{
    const dfqi_conv_axis y = dfqi_conv_axis_y(back, s), x = dfqi_conv_axis_x(back, s);
    int64_t row = dfqi_conv_row(&x, channels);
    return row * dfqi_conv_band_rows(&y, dfqi_conv_band(&y, row));
}

size_t dfqi_conv_scratch(const dfqi_conv_shape *s)
{
    int64_t forward = band_floats(0, s, s->c), back = band_floats(1, s, s->o);
    return (size_t)(forward > back ? forward : back);
}

/* Tiles may lie partly outside: at least 3/4 of their outputs must be used. */
int dfqi_winograd_pays(const dfqi_conv_shape *s)
{
    int64_t tiles = dfqi_winograd_tiles(s->out_y, s->out_x);
    return s->kernel_y == 3 && s->kernel_x == 3 && s->stride == 1 && s->dilation == 1 &&
           s->c % 16 == 0 && s->o % 16 == 0 && 3 * tiles <= s->out_y * s->out_x;
}

/* Zeros, transformed inputs, products. */
static int64_t forward_floats(int64_t y, int64_t x, int64_t channels)
{
    int64_t tiles = dfqi_winograd_tiles(y, x), parts = dfqi_winograd_parts(tiles, channels);
    int64_t n = (tiles + parts - 1) / parts;
    return channels + DFQI_WINOGRAD_TAPS * (dfqi_winograd_plane(n, channels) +
                                            dfqi_winograd_plane(n, DFQI_WINOGRAD_WIDTH));
}

/* Zeros, transformed inputs, transformed gradients of outputs. */
static int64_t weight_floats(void)
{
    return DFQI_WINOGRAD_CHANNELS +
           DFQI_WINOGRAD_TAPS * (dfqi_winograd_plane(DFQI_WINOGRAD_TILES, DFQI_WINOGRAD_CHANNELS) +
                                 dfqi_winograd_plane(DFQI_WINOGRAD_TILES, DFQI_WINOGRAD_WIDTH));
}

size_t dfqi_winograd_scratch(const dfqi_conv_shape *s)
{
    int64_t forward = forward_floats(s->out_y, s->out_x, s->c),
            back = forward_floats(s->in_y, s->in_x, s->o), most = weight_floats();
    if (forward > most) most = forward;
    return (size_t)(back > most ? back : most);
}
