/* Depthwise convolution: 16 channels at a time, neighbouring pixels side by side in registers. */
#include "kernel/x86/conv_walk.h"
#include "kernel/x86/isa.h"
#include "kernel/x86/vec.h"

/* P pixels from `pixel` on, `lanes` channels from `first` on; w: their panel. */
#define TILE(P)                                                                                    \
    static inline void tile_##P(const conv_row *r, int64_t pixel, int64_t first, int64_t lanes,    \
                                const float *w, vf bias)                                           \
    {                                                                                              \
        const int64_t step = r->in_step;                                                           \
        vf sum[P];                                                                                 \
        for (int p = 0; p < (P); p++) sum[p] = bias;                                               \
        for (int32_t s = 0; s < r->n; s++) {                                                       \
            const float *x = r->in[s] + pixel * step + first;                                      \
            const vf weight = vf_load(w + r->weight[s] * VF);                                      \
            for (int p = 0; p < (P); p++)                                                          \
                sum[p] = vf_fma(vf_load_n(x + p * step, lanes), weight, sum[p]);                   \
        }                                                                                          \
        float *out = r->out + pixel * r->out_step + first;                                         \
        for (int p = 0; p < (P); p++) vf_store_tail(out + p * r->out_step, lanes, sum[p]);         \
    }

TILE(1)
TILE(4)

static void row(const conv_walk *q, const conv_row *r, int64_t first)
{
    const int64_t panel = q->y.kernel * q->x.kernel * VF;
    for (int64_t c = first; c < q->columns; c += VF) {
        const int64_t lanes = conv_min(q->columns - c, VF);
        const float *w = q->weights + c / VF * panel;
        const vf bias = q->bias ? vf_load_n(q->bias + c, lanes) : vf_set(0.0f);
        int64_t p = 0;
        for (; p + 4 <= r->pixels; p += 4) tile_4(r, p, c, lanes, w, bias);
        for (; p < r->pixels; p++) tile_1(r, p, c, lanes, w, bias);
    }
}

void ISA(depthwise)(const dfqi_conv_shape *s, const float *x, const float *packed,
                    const float *bias, float *y, float *scratch)
{
    conv_walk q = conv_walk_make(0, 1, s, x, scratch);
    q.weights = packed;
    q.bias = bias;
    q.out = y;
    conv_walk_rows(&q, q.columns, row);
}

void ISA(depthwise_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                       float *scratch)
{
    conv_walk q = conv_walk_make(1, 1, s, dy, scratch);
    q.weights = packed;
    q.out = dx;
    conv_walk_rows(&q, q.columns, row);
}

/* One tap of 16 channels: pixels in four chains, so that sums do not wait for each other. */
static vf tap_sum(int64_t pixels, const float *x, int64_t x_pixel, const float *dy,
                  int64_t dy_pixel, int64_t lanes)
{
    enum { CHAINS = 4 };
    vf sum[CHAINS];
    int64_t p = 0;
    for (int k = 0; k < CHAINS; k++) sum[k] = vf_set(0.0f);
    for (; p + CHAINS <= pixels; p += CHAINS, x += CHAINS * x_pixel, dy += CHAINS * dy_pixel)
        for (int k = 0; k < CHAINS; k++)
            sum[k] = vf_fma(vf_load_n(x + k * x_pixel, lanes), vf_load_n(dy + k * dy_pixel, lanes),
                            sum[k]);
    for (; p < pixels; p++, x += x_pixel, dy += dy_pixel)
        sum[0] = vf_fma(vf_load_n(x, lanes), vf_load_n(dy, lanes), sum[0]);
    return vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3]));
}

void ISA(depthwise_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                       const float *x, const float *dy, float *dw, float *scratch)
{
    conv_walk q = conv_walk_make(0, 1, s, x, scratch);
    const int64_t step = dfqi_conv_band(&q.y, dfqi_conv_row(&q.x, q.channels));
    const int64_t taps = s->kernel_y * s->kernel_x;
    const dfqi_conv_run rows = dfqi_conv_axis_run(&q.y, 0);
    const conv_spans spans = conv_spans_make(&q, 0);
    conv_row r = {.in_step = s->stride * s->c};
    memset(dw, 0, dfqi_conv_packed_floats(n, 1, taps) * sizeof *dw);
    for (int64_t b = 0; b < images; b++, q.in += s->in_y * s->in_x * s->c)
        for (int64_t j0 = 0; j0 < s->out_y; j0 += step) {
            const conv_band in = conv_band_load(&q, j0, step);
            for (int64_t j = j0; j < conv_min(j0 + step, s->out_y); j++) {
                conv_row_make(&q, &in, &rows, j, &spans, &r);
                const float *d = dy + (b * s->out_y + j) * s->out_x * s->o + first;
                for (int64_t c = 0; c < n; c += VF)
                    for (int32_t t = 0; t < r.n; t++) {
                        float *sum = dw + (c * taps) + r.weight[t] * VF;
                        vf v = tap_sum(s->out_x, r.in[t] + first + c, r.in_step, d + c, s->o,
                                       conv_min(n - c, VF));
                        vf_store(sum, vf_add(vf_load(sum), v));
                    }
            }
        }
}
