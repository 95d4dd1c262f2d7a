/* The loop of the convolutions over an image. Rows are copied with their zero padding into scratch,
 * in bands that fit into the L2 cache; without padding nothing is copied. The input of an output
 * row is a list of spans: consecutive floats that are multiplied with consecutive rows of packed
 * weights. Rows in the padding above and below are left out, and neighbouring taps of a row merge
 * into one span. */
#ifndef DFQI_KERNEL_X86_CONV_WALK_H
#define DFQI_KERNEL_X86_CONV_WALK_H

#include <string.h>

#include "kernel/conv_axis.h"

/* One direction of a convolution: `in` is read, `out` computed. */
typedef struct conv_walk {
    dfqi_conv_axis y, x;
    int64_t channels, columns; /* of a pixel: read, computed */
    int depthwise;
    int64_t depth; /* rows of weights a tap: channels, depthwise 1 */
    int flipped;   /* weights begin with the last tap */
    const float *in;
    const float *weights, *bias; /* bias NULL: 0 */
    float *out;
    float *scratch;
} conv_walk;

/* Rows first .. of the input, from the first zero on; `next` floats from one to the next. */
typedef struct conv_band {
    const float *at;
    int64_t first, next;
} conv_band;

/* A span of the input that a row reads, in floats from the beginning of its input row; `weight`
 * counts rows of weights. */
typedef struct conv_span {
    int64_t from, weight, length;
} conv_span;

/* The spans of one input row for one run of columns. */
typedef struct conv_spans {
    int64_t pixels;
    int32_t n;
    conv_span span[DFQI_CONV_KERNEL];
} conv_spans;

/* A row of pixels to compute: spans in the input with their weights, in a panel of columns. */
typedef struct conv_row {
    int64_t pixels, in_step, out_step; /* floats from pixel to pixel */
    float *out;
    int32_t n;
    const float *in[DFQI_CONV_KERNEL * DFQI_CONV_KERNEL];
    int64_t weight[DFQI_CONV_KERNEL * DFQI_CONV_KERNEL];
    int64_t length[DFQI_CONV_KERNEL * DFQI_CONV_KERNEL];
} conv_row;

static inline int64_t conv_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The rows that positions j .. j + n of the runs read. */
static inline conv_band conv_band_load(const conv_walk *q, int64_t j, int64_t n)
{
    const int64_t before = dfqi_conv_axis_before(&q->x) * q->channels;
    const int64_t after = dfqi_conv_axis_after(&q->x) * q->channels;
    const int64_t row = q->x.from * q->channels;
    if (before + after == 0) return (conv_band){q->in, 0, row};
    int64_t first = j * q->y.step + q->y.lowest;
    int64_t end = conv_min(first + dfqi_conv_band_rows(&q->y, n), q->y.from);
    if (first < 0) first = 0;
    float *to = q->scratch;
    for (int64_t i = first; i < end; i++, to += before + row + after) {
        memset(to, 0, (size_t)before * sizeof *to);
        memcpy(to + before, q->in + i * row, (size_t)row * sizeof *to);
        memset(to + before + row, 0, (size_t)after * sizeof *to);
    }
    return (conv_band){q->scratch, first, before + row + after};
}

/* The position of a tap's weights. */
static inline int64_t conv_tap(const conv_walk *q, const dfqi_conv_axis *a, int64_t tap)
{
    return q->flipped ? a->kernel - 1 - tap : tap;
}

static inline conv_spans conv_spans_make(const conv_walk *q, int64_t run)
{
    const dfqi_conv_run r = dfqi_conv_axis_run(&q->x, run);
    const int64_t before = dfqi_conv_axis_before(&q->x);
    conv_spans s = {.pixels = r.n};
    for (int32_t i = 0; i < r.n_taps; i++) {
        conv_span next = {(before + r.at[i]) * q->channels, conv_tap(q, &q->x, r.tap[i]) * q->depth,
                          q->depth};
        conv_span *last = s.n > 0 ? &s.span[s.n - 1] : NULL;
        if (last && !q->depthwise && last->from + last->length == next.from &&
            last->weight + last->length == next.weight)
            last->length += next.length;
        else
            s.span[s.n++] = next;
    }
    return s;
}

/* Row j of a run of rows, as far as its taps read rows of the image. */
static inline void conv_row_make(const conv_walk *q, const conv_band *b, const dfqi_conv_run *rows,
                                 int64_t j, const conv_spans *s, conv_row *r)
{
    r->n = 0;
    for (int32_t t = 0; t < rows->n_taps; t++) {
        const int64_t y = j * q->y.step + rows->at[t];
        if (y < 0 || y >= q->y.from) continue;
        const float *in = b->at + (y - b->first) * b->next;
        const int64_t weight = conv_tap(q, &q->y, rows->tap[t]) * q->x.kernel * q->depth;
        for (int32_t i = 0; i < s->n; i++, r->n++) {
            r->in[r->n] = in + s->span[i].from;
            r->weight[r->n] = weight + s->span[i].weight;
            r->length[r->n] = s->span[i].length;
        }
    }
}

typedef void (*conv_row_fn)(const conv_walk *q, const conv_row *r, int64_t first);

/* Calls fn for every row of pixels, once for each `width` columns from `first` on. */
static inline void conv_walk_rows(const conv_walk *q, int64_t width, conv_row_fn fn)
{
    const int64_t n = dfqi_conv_axis_n(&q->y);
    const int64_t band = dfqi_conv_band(&q->y, dfqi_conv_row(&q->x, q->channels));
    conv_row r = {.in_step = q->x.step * q->channels, .out_step = q->x.runs * q->columns};
    for (int64_t j0 = 0; j0 < n; j0 += band) {
        const conv_band b = conv_band_load(q, j0, band);
        for (int64_t first = 0; first < q->columns; first += width)
            for (int64_t run = 0; run < q->y.runs * q->x.runs; run++) {
                const int64_t run_y = run / q->x.runs;
                const int64_t run_x = run % q->x.runs;
                const dfqi_conv_run rows = dfqi_conv_axis_run(&q->y, run_y);
                const conv_spans s = conv_spans_make(q, run_x);
                r.pixels = s.pixels;
                for (int64_t j = j0; j < conv_min(j0 + band, rows.n); j++) {
                    const int64_t y = j * q->y.runs + run_y;
                    r.out = q->out + (y * q->x.to + run_x) * q->columns;
                    conv_row_make(q, &b, &rows, j, &s, &r);
                    fn(q, &r, first);
                }
            }
    }
}

/* conv and depthwise, or their dx: its dense weights are packed with the taps backwards. */
static inline conv_walk conv_walk_make(int back, int depthwise, const dfqi_conv_shape *s,
                                       const float *in, float *scratch)
{
    const int64_t channels = back ? s->o : s->c;
    return (conv_walk){.y = dfqi_conv_axis_y(back, s),
                       .x = dfqi_conv_axis_x(back, s),
                       .channels = channels,
                       .columns = back ? s->c : s->o,
                       .depthwise = depthwise,
                       .depth = depthwise ? 1 : channels,
                       .flipped = back && !depthwise,
                       .in = in,
                       .scratch = scratch};
}

#endif
