/* Convolution in plain C, straight from its definition: sums in double, no scratch. A depthwise
 * convolution is the same with one channel behind each filter. */
#include "kernel/ref/ref.h"

#include <string.h>

/* The entry of packed weights: panels of 16 `columns`, `rows` deep. */
static int64_t packed_at(int64_t taps, int64_t rows, int64_t tap, int64_t row, int64_t column)
{
    return ((column / 16 * taps + tap) * rows + row) * 16 + column % 16;
}

void dfqi_ref_conv_pack(int trans, int64_t o, int64_t c, int64_t taps, const float *w, int64_t next,
                        float *out)
{
    int64_t columns = trans ? c : o, rows = trans ? o : c;
    memset(out, 0, dfqi_conv_packed_floats(columns, rows, taps) * sizeof *out);
    for (int64_t i = 0; i < o; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t t = 0; t < taps; t++) {
                int64_t column = trans ? j : i, row = trans ? i : j;
                out[packed_at(taps, rows, trans ? taps - 1 - t : t, row, column)] =
                    w[i * next + j * taps + t];
            }
}

void dfqi_ref_conv_unpack(int64_t o, int64_t c, int64_t taps, const float *packed, float *w)
{
    for (int64_t i = 0; i < o; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t t = 0; t < taps; t++) *w++ = packed[packed_at(taps, c, t, j, i)];
}

/* The row or column of x that output i reads through tap u; -1: padding. */
static int64_t reads(const dfqi_conv_shape *s, int64_t i, int64_t u, int64_t extent)
{
    int64_t at = i * s->stride + u * s->dilation - s->pad;
    return at >= 0 && at < extent ? at : -1;
}

/* The output that reads row or column i of x through tap u; -1: none. */
static int64_t reader(const dfqi_conv_shape *s, int64_t i, int64_t u, int64_t extent)
{
    int64_t at = i + s->pad - u * s->dilation;
    return at >= 0 && at % s->stride == 0 && at / s->stride < extent ? at / s->stride : -1;
}

/* Input channels first .. first + n feed output channel o. */
static float output_at(const dfqi_conv_shape *s, const float *x, const float *packed, int64_t first,
                       int64_t n, int64_t i, int64_t j, int64_t o)
{
    int64_t taps = s->kernel_y * s->kernel_x;
    double sum = 0;
    for (int64_t u = 0; u < s->kernel_y; u++)
        for (int64_t v = 0; v < s->kernel_x; v++) {
            int64_t y = reads(s, i, u, s->in_y), z = reads(s, j, v, s->in_x);
            if (y < 0 || z < 0) continue;
            for (int64_t c = 0; c < n; c++)
                sum += (double)x[(y * s->in_x + z) * s->c + first + c] *
                       (double)packed[packed_at(taps, n, u * s->kernel_x + v, c, o)];
        }
    return (float)sum;
}

/* Output channels first .. first + n read input channel c, column c of the packed weights. */
static float input_at(const dfqi_conv_shape *s, int flipped, const float *dy, const float *packed,
                      int64_t first, int64_t n, int64_t i, int64_t j, int64_t c)
{
    int64_t taps = s->kernel_y * s->kernel_x;
    double sum = 0;
    for (int64_t u = 0; u < s->kernel_y; u++)
        for (int64_t v = 0; v < s->kernel_x; v++) {
            int64_t y = reader(s, i, u, s->out_y), z = reader(s, j, v, s->out_x);
            int64_t t = flipped ? taps - 1 - (u * s->kernel_x + v) : u * s->kernel_x + v;
            if (y < 0 || z < 0) continue;
            for (int64_t o = 0; o < n; o++)
                sum += (double)dy[(y * s->out_x + z) * s->o + first + o] *
                       (double)packed[packed_at(taps, n, t, o, c)];
        }
    return (float)sum;
}

static float weight_at(const dfqi_conv_shape *s, int64_t images, const float *x, const float *dy,
                       int64_t o, int64_t c, int64_t u, int64_t v)
{
    double sum = 0;
    for (int64_t b = 0; b < images; b++)
        for (int64_t i = 0; i < s->out_y; i++)
            for (int64_t j = 0; j < s->out_x; j++) {
                int64_t y = reads(s, i, u, s->in_y), z = reads(s, j, v, s->in_x);
                if (y < 0 || z < 0) continue;
                sum += (double)x[((b * s->in_y + y) * s->in_x + z) * s->c + c] *
                       (double)dy[((b * s->out_y + i) * s->out_x + j) * s->o + o];
            }
    return (float)sum;
}

static void forward(const dfqi_conv_shape *s, int depthwise, const float *x, const float *packed,
                    const float *bias, float *y)
{
    for (int64_t i = 0; i < s->out_y; i++)
        for (int64_t j = 0; j < s->out_x; j++)
            for (int64_t o = 0; o < s->o; o++) {
                float sum =
                    output_at(s, x, packed, depthwise ? o : 0, depthwise ? 1 : s->c, i, j, o);
                y[(i * s->out_x + j) * s->o + o] = bias ? sum + bias[o] : sum;
            }
}

static void backward(const dfqi_conv_shape *s, int depthwise, const float *dy, const float *packed,
                     float *dx)
{
    for (int64_t i = 0; i < s->in_y; i++)
        for (int64_t j = 0; j < s->in_x; j++)
            for (int64_t c = 0; c < s->c; c++)
                dx[(i * s->in_x + j) * s->c + c] = input_at(
                    s, !depthwise, dy, packed, depthwise ? c : 0, depthwise ? 1 : s->o, i, j, c);
}

void dfqi_ref_conv(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
                   float *y, float *scratch)
{
    (void)scratch;
    forward(s, 0, x, packed, bias, y);
}

void dfqi_ref_conv_dx(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                      float *scratch)
{
    (void)scratch;
    backward(s, 0, dy, packed, dx);
}

/* The gradient of filters first .. first + n in panels. */
static void weights(const dfqi_conv_shape *s, int depthwise, int64_t images, int64_t first,
                    int64_t n, const float *x, const float *dy, float *dw)
{
    int64_t taps = s->kernel_y * s->kernel_x, rows = depthwise ? 1 : s->c;
    memset(dw, 0, dfqi_conv_packed_floats(n, rows, taps) * sizeof *dw);
    for (int64_t o = 0; o < n; o++)
        for (int64_t c = 0; c < rows; c++)
            for (int64_t t = 0; t < taps; t++)
                dw[packed_at(taps, rows, t, c, o)] =
                    weight_at(s, images, x, dy, first + o, depthwise ? first + o : c,
                              t / s->kernel_x, t % s->kernel_x);
}

void dfqi_ref_conv_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                      const float *x, const float *dy, float *dw, float *scratch)
{
    (void)scratch;
    weights(s, 0, images, first, n, x, dy, dw);
}

void dfqi_ref_depthwise(const dfqi_conv_shape *s, const float *x, const float *packed,
                        const float *bias, float *y, float *scratch)
{
    (void)scratch;
    forward(s, 1, x, packed, bias, y);
}

void dfqi_ref_depthwise_dx(const dfqi_conv_shape *s, const float *dy, const float *packed,
                           float *dx, float *scratch)
{
    (void)scratch;
    backward(s, 1, dy, packed, dx);
}

void dfqi_ref_depthwise_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                           const float *x, const float *dy, float *dw, float *scratch)
{
    (void)scratch;
    weights(s, 1, images, first, n, x, dy, dw);
}
