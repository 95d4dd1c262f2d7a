/* Sizes of packed weights and of scratch for convolutions: the same for every table. */
#include "kernel/conv_axis.h"
#include "kernel/kernel_priv.h"

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
