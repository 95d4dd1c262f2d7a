/* Pooling of codes in plain C. */
#include "kernel/int_ref/int_ref.h"

/* The largest code of channel c in the window of output pixel (y, x). */
static uint8_t largest(const dfqi_conv_shape *s, const uint8_t *x, int64_t ldx, int64_t oy,
                       int64_t ox, int64_t c)
{
    uint8_t top = 0;
    for (int64_t u = 0; u < s->kernel_y; u++)
        for (int64_t v = 0; v < s->kernel_x; v++) {
            int64_t iy = oy * s->stride + u * s->dilation - s->pad;
            int64_t ix = ox * s->stride + v * s->dilation - s->pad;
            if (iy < 0 || iy >= s->in_y || ix < 0 || ix >= s->in_x) continue;
            uint8_t code = x[(iy * s->in_x + ix) * ldx + c];
            top = code > top ? code : top;
        }
    return top;
}

void dfqi_int_ref_max_pool(const dfqi_conv_shape *s, const uint8_t *x, int64_t ldx, uint8_t *q,
                           int64_t ldq)
{
    for (int64_t i = 0; i < s->out_y * s->out_x; i++)
        for (int64_t c = 0; c < s->c; c++)
            q[i * ldq + c] = largest(s, x, ldx, i / s->out_x, i % s->out_x, c);
}

void dfqi_int_ref_mean(int64_t pixels, int64_t c, const dfqi_int_rows *a, float *y)
{
    const float scale = a->scale[0] / (float)pixels;
    const int64_t zeros = a->zero_point ? pixels * a->zero_point[0] : 0;
    for (int64_t i = 0; i < c; i++) {
        int64_t sum = 0;
        for (int64_t p = 0; p < pixels; p++) sum += a->codes[p * a->ld + i];
        y[i] = (float)(int32_t)(sum - zeros) * scale;
    }
}
