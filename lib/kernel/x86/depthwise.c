/* Depthwise convolution, 16 channels at a time. The forward pass keeps the sums of neighbouring
 * pixels in registers during the loop over taps. The weight gradient keeps the sums of taps in
 * registers during the loop over pixels. */
#include "kernel/x86/conv_walk.h"
#include "kernel/x86/isa.h"
#include "kernel/x86/repeat.h"
#include "kernel/x86/vec.h"

/* 16 channels of a row, of which `lanes` exist. */
typedef struct strip {
    const conv_row *row;
    int64_t channel, lanes;
} strip;

/* P pixels from `first` on; w: the panel of weights. */
#define BEGIN(p) vf a##p = bias;
#define STEP(p)  a##p = vf_fma(vf_load_n(x + (p)*step, t->lanes), weight, a##p);
#define END(p)   vf_store_tail(out + (p)*r->out_step, t->lanes, a##p);
#define PIXELS(P)                                                                                  \
    static void pixels_##P(const strip *t, int64_t first, const float *w, vf bias)                 \
    {                                                                                              \
        const conv_row *r = t->row;                                                                \
        const int64_t step = r->in_step;                                                           \
        float *out = r->out + first * r->out_step + t->channel;                                    \
        REPEAT_##P(BEGIN);                                                                         \
        for (int32_t s = 0; s < r->n; s++) {                                                       \
            const float *x = r->in[s] + first * step + t->channel;                                 \
            const vf weight = vf_load(w + r->weight[s] * VF);                                      \
            REPEAT_##P(STEP)                                                                       \
        }                                                                                          \
        REPEAT_##P(END)                                                                            \
    }

PIXELS(1)
PIXELS(2)
PIXELS(3)
PIXELS(4)
PIXELS(5)
PIXELS(6)
#if defined(__AVX512F__)
PIXELS(7)
PIXELS(8)
PIXELS(9)
PIXELS(10)
#endif
#undef BEGIN
#undef STEP
#undef END

typedef void (*pixels_fn)(const strip *t, int64_t first, const float *w, vf bias);

static const pixels_fn pixels[] = {
    pixels_1, pixels_2, pixels_3, pixels_4,  pixels_5, pixels_6,
#if defined(__AVX512F__)
    pixels_7, pixels_8, pixels_9, pixels_10,
#endif
};

/* All channels of a row, in tiles of about the same size. */
static void row(const conv_walk *q, const conv_row *r, int64_t first)
{
    const int64_t most = sizeof pixels / sizeof *pixels;
    const int64_t n = (r->pixels + most - 1) / most;
    const int64_t panel = q->y.kernel * q->x.kernel * VF;
    for (int64_t c = first; c < q->columns; c += VF) {
        const strip t = {r, c, conv_min(q->columns - c, VF)};
        const vf bias = q->bias ? vf_load_n(q->bias + c, t.lanes) : vf_set(0.0f);
        for (int64_t i = 0, from = 0, to; i < n; i++, from = to) {
            to = (i + 1) * r->pixels / n;
            pixels[to - from - 1](&t, from, q->weights + c / VF * panel, bias);
        }
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

/* T taps from `first` on, added up in dw: the panel of the gradient. */
#define BEGIN(k)                                                                                   \
    float *w##k = dw + r->weight[first + (k)] * VF;                                                \
    const float *x##k = r->in[first + (k)] + t->channel;                                           \
    vf a##k = vf_load(w##k);
#define STEP(k) a##k = vf_fma(vf_load_n(x##k + p * step, t->lanes), d, a##k);
#define END(k)  vf_store(w##k, a##k);
#define TAPS(T)                                                                                    \
    static void taps_##T(const strip *t, int32_t first, const float *dy, int64_t dy_step,          \
                         float *dw)                                                                \
    {                                                                                              \
        const conv_row *r = t->row;                                                                \
        const int64_t step = r->in_step;                                                           \
        REPEAT_##T(BEGIN);                                                                         \
        for (int64_t p = 0; p < r->pixels; p++) {                                                  \
            const vf d = vf_load_n(dy + p * dy_step, t->lanes);                                    \
            REPEAT_##T(STEP)                                                                       \
        }                                                                                          \
        REPEAT_##T(END)                                                                            \
    }

TAPS(1)
TAPS(2)
TAPS(3)
TAPS(4)
TAPS(5)
TAPS(6)
#if defined(__AVX512F__)
TAPS(7)
TAPS(8)
TAPS(9)
#endif

typedef void (*taps_fn)(const strip *t, int32_t first, const float *dy, int64_t dy_step, float *dw);

static const taps_fn taps[] = {
    taps_1, taps_2, taps_3, taps_4, taps_5, taps_6,
#if defined(__AVX512F__)
    taps_7, taps_8, taps_9,
#endif
};

/* Channels first .. first + n of a row; dy points at the row's first pixel. */
static void row_dw(const conv_walk *q, const conv_row *r, int64_t first, int64_t n, const float *dy,
                   float *dw)
{
    const int32_t most = sizeof taps / sizeof *taps;
    const int32_t parts = (r->n + most - 1) / most;
    const int64_t panel = q->y.kernel * q->x.kernel * VF;
    for (int64_t c = 0; c < n; c += VF, dw += panel) {
        const strip t = {r, first + c, conv_min(n - c, VF)};
        for (int32_t i = 0, from = 0, to; i < parts; i++, from = to) {
            to = (i + 1) * r->n / parts;
            taps[to - from - 1](&t, from, dy + t.channel, q->columns, dw);
        }
    }
}

void ISA(depthwise_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                       const float *x, const float *dy, float *dw, float *scratch)
{
    conv_walk q = conv_walk_make(0, 1, s, x, scratch);
    const int64_t band = dfqi_conv_band(&q.y, dfqi_conv_row(&q.x, q.channels));
    const dfqi_conv_run rows = dfqi_conv_axis_run(&q.y, 0);
    const conv_spans spans = conv_spans_make(&q, 0);
    conv_row r = {.pixels = s->out_x, .in_step = s->stride * s->c};
    memset(dw, 0, dfqi_conv_packed_floats(n, 1, s->kernel_y * s->kernel_x) * sizeof *dw);
    for (int64_t b = 0; b < images; b++, q.in += s->in_y * s->in_x * s->c)
        for (int64_t j0 = 0; j0 < s->out_y; j0 += band) {
            const conv_band in = conv_band_load(&q, j0, band);
            for (int64_t j = j0; j < conv_min(j0 + band, s->out_y); j++) {
                conv_row_make(&q, &in, &rows, j, &spans, &r);
                row_dw(&q, &r, first, n, dy + (b * s->out_y + j) * s->out_x * s->o, dw);
            }
        }
}
