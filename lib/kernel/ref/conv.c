/* Convolution in plain C, by its definition: sums in double, no scratch memory. In the depthwise
 * form each filter has one channel. The Winograd form recovers the nine taps from the sixteen
 * packed ones and computes the same sums. */
#include "kernel/ref/ref.h"

#include <string.h>

typedef enum kind { DENSE, DEPTHWISE, WINOGRAD } kind;

/* The entry of packed weights: panels of 16 `columns`, `rows` deep. */
static int64_t packed_at(int64_t taps, int64_t rows, int64_t tap, int64_t row, int64_t column)
{
    return ((column / 16 * taps + tap) * rows + row) * 16 + column % 16;
}

/* Winograd's 16 taps are G w G^T; R^T G = 1 for the R below. So w = R^T taps R, and R w R^T are
 * taps whose G^T taps G is w. Entries of R that are not 0: rows of tap i, and their sign. */
static int64_t winograd_rows(int64_t i, int64_t *row)
{
    row[0] = i == 2 ? 3 : i;
    row[1] = 2;
    return i == 1 ? 2 : 1;
}

/* Tap t of w, for a row and a column of packed weights. */
static double tap_at(const dfqi_conv_shape *s, kind k, const float *packed, int64_t rows, int64_t t,
                     int64_t row, int64_t column)
{
    if (k != WINOGRAD)
        return (double)packed[packed_at(s->kernel_y * s->kernel_x, rows, t, row, column)];
    int64_t y[2], x[2], n_y = winograd_rows(t / 3, y), n_x = winograd_rows(t % 3, x);
    double sum = 0;
    for (int64_t i = 0; i < n_y; i++)
        for (int64_t j = 0; j < n_x; j++) {
            int64_t at = packed_at(DFQI_WINOGRAD_TAPS, rows, y[i] * 4 + x[j], row, column);
            sum += (i == j ? 1.0 : -1.0) * (double)packed[at];
        }
    return sum;
}

/* The place of a gradient's tap t among the 16. */
static void put_taps(float *packed, int64_t rows, int64_t t, int64_t row, int64_t column,
                     float value)
{
    int64_t y[2], x[2], n_y = winograd_rows(t / 3, y), n_x = winograd_rows(t % 3, x);
    for (int64_t i = 0; i < n_y; i++)
        for (int64_t j = 0; j < n_x; j++)
            packed[packed_at(DFQI_WINOGRAD_TAPS, rows, y[i] * 4 + x[j], row, column)] =
                i == j ? value : -value;
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

/* All input channels feed output channel o, or channel o does. */
static float output_at(const dfqi_conv_shape *s, kind k, const float *x, const float *packed,
                       int64_t i, int64_t j, int64_t o)
{
    int64_t first = k == DEPTHWISE ? o : 0, n = k == DEPTHWISE ? 1 : s->c;
    double sum = 0;
    for (int64_t u = 0; u < s->kernel_y; u++)
        for (int64_t v = 0; v < s->kernel_x; v++) {
            int64_t y = reads(s, i, u, s->in_y), z = reads(s, j, v, s->in_x);
            if (y < 0 || z < 0) continue;
            for (int64_t c = 0; c < n; c++)
                sum += (double)x[(y * s->in_x + z) * s->c + first + c] *
                       tap_at(s, k, packed, n, u * s->kernel_x + v, c, o);
        }
    return (float)sum;
}

/* All output channels, or channel c, read input channel c, column c of the packed weights. */
static float input_at(const dfqi_conv_shape *s, kind k, const float *dy, const float *packed,
                      int64_t i, int64_t j, int64_t c)
{
    int64_t first = k == DEPTHWISE ? c : 0, n = k == DEPTHWISE ? 1 : s->o;
    int64_t last = s->kernel_y * s->kernel_x - 1;
    double sum = 0;
    for (int64_t u = 0; u < s->kernel_y; u++)
        for (int64_t v = 0; v < s->kernel_x; v++) {
            int64_t y = reader(s, i, u, s->out_y), z = reader(s, j, v, s->out_x);
            int64_t t = k == DEPTHWISE ? u * s->kernel_x + v : last - (u * s->kernel_x + v);
            if (y < 0 || z < 0) continue;
            for (int64_t o = 0; o < n; o++)
                sum += (double)dy[(y * s->out_x + z) * s->o + first + o] *
                       tap_at(s, k, packed, n, t, o, c);
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

static void forward(const dfqi_conv_shape *s, kind k, const float *x, const float *packed,
                    const float *bias, float *y)
{
    for (int64_t i = 0; i < s->out_y; i++)
        for (int64_t j = 0; j < s->out_x; j++)
            for (int64_t o = 0; o < s->o; o++) {
                float sum = output_at(s, k, x, packed, i, j, o);
                y[(i * s->out_x + j) * s->o + o] = bias ? sum + bias[o] : sum;
            }
}

static void backward(const dfqi_conv_shape *s, kind k, const float *dy, const float *packed,
                     float *dx)
{
    for (int64_t i = 0; i < s->in_y; i++)
        for (int64_t j = 0; j < s->in_x; j++)
            for (int64_t c = 0; c < s->c; c++)
                dx[(i * s->in_x + j) * s->c + c] = input_at(s, k, dy, packed, i, j, c);
}

void dfqi_ref_conv(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
                   float *y, float *scratch)
{
    (void)scratch;
    forward(s, DENSE, x, packed, bias, y);
}

void dfqi_ref_conv_dx(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                      float *scratch)
{
    (void)scratch;
    backward(s, DENSE, dy, packed, dx);
}

/* The gradient of filters first .. first + n in panels. */
static void weights(const dfqi_conv_shape *s, kind k, int64_t images, int64_t first, int64_t n,
                    const float *x, const float *dy, float *dw)
{
    int64_t taps = s->kernel_y * s->kernel_x, rows = k == DEPTHWISE ? 1 : s->c;
    int64_t packed = k == WINOGRAD ? DFQI_WINOGRAD_TAPS : taps;
    memset(dw, 0, dfqi_conv_packed_floats(n, rows, packed) * sizeof *dw);
    for (int64_t o = 0; o < n; o++)
        for (int64_t c = 0; c < rows; c++)
            for (int64_t t = 0; t < taps; t++) {
                int64_t y = t / s->kernel_x, x_tap = t % s->kernel_x;
                float sum = weight_at(s, images, x, dy, first + o, k == DEPTHWISE ? first + o : c,
                                      y, x_tap);
                if (k == WINOGRAD)
                    put_taps(dw, rows, t, c, o, sum);
                else
                    dw[packed_at(taps, rows, t, c, o)] = sum;
            }
}

void dfqi_ref_conv_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                      const float *x, const float *dy, float *dw, float *scratch)
{
    (void)scratch;
    weights(s, DENSE, images, first, n, x, dy, dw);
}

/* G, twice. */
static const double winograd_g[4][3] = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}};

void dfqi_ref_winograd_pack(int trans, int64_t o, int64_t c, const float *w, int64_t next,
                            float *out)
{
    int64_t columns = trans ? c : o, rows = trans ? o : c;
    memset(out, 0, dfqi_conv_packed_floats(columns, rows, DFQI_WINOGRAD_TAPS) * sizeof *out);
    for (int64_t i = 0; i < o; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t e = 0; e < DFQI_WINOGRAD_TAPS; e++) {
                double sum = 0;
                for (int64_t t = 0; t < 9; t++)
                    sum += winograd_g[e / 4][t / 3] * winograd_g[e % 4][t % 3] *
                           (double)w[i * next + j * 9 + (trans ? 8 - t : t)];
                out[packed_at(DFQI_WINOGRAD_TAPS, rows, e, trans ? i : j, trans ? j : i)] =
                    (float)(sum / 4);
            }
}

void dfqi_ref_winograd_unpack(int64_t o, int64_t c, const float *packed, float *w)
{
    for (int64_t i = 0; i < o; i++)
        for (int64_t j = 0; j < c; j++)
            for (int64_t t = 0; t < 9; t++) {
                double sum = 0;
                for (int64_t e = 0; e < DFQI_WINOGRAD_TAPS; e++)
                    sum += winograd_g[e / 4][t / 3] * winograd_g[e % 4][t % 3] *
                           (double)packed[packed_at(DFQI_WINOGRAD_TAPS, c, e, j, i)];
                *w++ = (float)(sum / 4);
            }
}

void dfqi_ref_winograd(const dfqi_conv_shape *s, const float *x, const float *packed,
                       const float *bias, float *y, float *scratch)
{
    (void)scratch;
    forward(s, WINOGRAD, x, packed, bias, y);
}

void dfqi_ref_winograd_dx(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                          float *scratch)
{
    (void)scratch;
    backward(s, WINOGRAD, dy, packed, dx);
}

void dfqi_ref_winograd_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                          const float *x, const float *dy, float *dw, float *scratch)
{
    (void)scratch;
    weights(s, WINOGRAD, images, first, n, x, dy, dw);
}

void dfqi_ref_depthwise(const dfqi_conv_shape *s, const float *x, const float *packed,
                        const float *bias, float *y, float *scratch)
{
    (void)scratch;
    forward(s, DEPTHWISE, x, packed, bias, y);
}

void dfqi_ref_depthwise_dx(const dfqi_conv_shape *s, const float *dy, const float *packed,
                           float *dx, float *scratch)
{
    (void)scratch;
    backward(s, DEPTHWISE, dy, packed, dx);
}

void dfqi_ref_depthwise_dw(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                           const float *x, const float *dy, float *dw, float *scratch)
{
    (void)scratch;
    weights(s, DEPTHWISE, images, first, n, x, dy, dw);
}
