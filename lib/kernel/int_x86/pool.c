/* Pooling of codes. Loops over channels are innermost, and the compiler makes
 * vectors of them. */
#include <string.h>

#include "kernel/int_x86/isa.h"

static inline int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void larger(int64_t c, const uint8_t *x, uint8_t *q)
{
    for (int64_t i = 0; i < c; i++) q[i] = x[i] > q[i] ? x[i] : q[i];
}

void INT_ISA(max_pool)(const dfqi_conv_shape *s, const uint8_t *x, int64_t ldx, uint8_t *q,
                       int64_t ldq)
{
    for (int64_t i = 0; i < s->out_y * s->out_x; i++, q += ldq) {
        const int64_t y0 = i / s->out_x * s->stride - s->pad;
        const int64_t x0 = i % s->out_x * s->stride - s->pad;
        memset(q, 0, (size_t)s->c);
        for (int64_t y = most(y0, 0); y < least(y0 + s->kernel_y, s->in_y); y++)
            for (int64_t k = most(x0, 0); k < least(x0 + s->kernel_x, s->in_x); k++)
                larger(s->c, x + (y * s->in_x + k) * ldx, q);
    }
}

void INT_ISA(mean)(int64_t pixels, int64_t c, const dfqi_int_rows *a, float *y)
{
    enum { CHUNK = 64 };
    const float scale = a->scale[0] / (float)pixels;
    const int32_t zeros = a->zero_point ? (int32_t)pixels * a->zero_point[0] : 0;
    for (int64_t j = 0; j < c; j += CHUNK) {
        const int64_t n = least(c - j, CHUNK);
        int32_t sum[CHUNK] = {0};
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t i = 0; i < n; i++) sum[i] += a->codes[p * a->ld + j + i];
        for (int64_t i = 0; i < n; i++) y[j + i] = (float)(sum[i] - zeros) * scale;
    }
}
