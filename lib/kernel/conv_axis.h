/* The geometry of a convolution along one axis, for outputs (conv) and inputs (conv_dx). The
 * positions to compute are grouped into runs; all positions of a run use the same taps.
 *
 * Forward: y_i reads x[i stride + u dilation - pad]; all positions are in one run. Backward: x_i
 * reads y[(i + pad - u dilation) / stride] where the division is exact, so there are `stride`
 * runs. */
#ifndef DFQI_KERNEL_CONV_AXIS_H
#define DFQI_KERNEL_CONV_AXIS_H

#include "kernel/kernel.h"

typedef struct dfqi_conv_axis {
    int64_t from, to;              /* extents: read, computed */
    int64_t runs;                  /* position run + j runs, j = 0, 1, ... */
    int64_t step;                  /* read position of j: j step + at[tap] */
    int64_t lowest, highest;       /* of at[] over all runs and taps */
    int64_t kernel, pad, dilation; /* as in the shape */
    int back;
} dfqi_conv_axis;

/* One run; its taps are in the order of the positions they read. */
typedef struct dfqi_conv_run {
    int64_t n; /* positions */
    int32_t n_taps;
    int32_t tap[DFQI_CONV_KERNEL];
    int64_t at[DFQI_CONV_KERNEL];
} dfqi_conv_run;

/* a / b rounded down, b > 0 */
static inline int64_t dfqi_div_down(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static inline dfqi_conv_axis dfqi_conv_axis_make(int back, int64_t in, int64_t out, int64_t kernel,
                                                 const dfqi_conv_shape *s)
{
    int64_t reach = (kernel - 1) * s->dilation;
    dfqi_conv_axis a = {.from = back ? out : in,
                        .to = back ? in : out,
                        .runs = back ? s->stride : 1,
                        .step = back ? 1 : s->stride,
                        .kernel = kernel,
                        .pad = s->pad,
                        .dilation = s->dilation,
                        .back = back};
    a.lowest = back ? dfqi_div_down(s->pad - reach, s->stride) : -s->pad;
    a.highest = back ? dfqi_div_down(s->stride - 1 + s->pad, s->stride) : reach - s->pad;
    return a;
}

static inline dfqi_conv_axis dfqi_conv_axis_y(int back, const dfqi_conv_shape *s)
{
    return dfqi_conv_axis_make(back, s->in_y, s->out_y, s->kernel_y, s);
}

static inline dfqi_conv_axis dfqi_conv_axis_x(int back, const dfqi_conv_shape *s)
{
    return dfqi_conv_axis_make(back, s->in_x, s->out_x, s->kernel_x, s);
}

static inline dfqi_conv_run dfqi_conv_axis_run(const dfqi_conv_axis *a, int64_t run)
{
    dfqi_conv_run r = {.n = run < a->to ? (a->to - run + a->runs - 1) / a->runs : 0};
    for (int32_t i = 0; i < a->kernel; i++) {
        int32_t tap = a->back ? (int32_t)a->kernel - 1 - i : i;
        int64_t at = a->back ? run + a->pad - tap * a->dilation : tap * a->dilation - a->pad;
        if (a->back && at % a->runs != 0) continue;
        r.tap[r.n_taps] = tap;
        r.at[r.n_taps++] = at / a->runs;
    }
    return r;
}

/* Positions of the longest run. */
static inline int64_t dfqi_conv_axis_n(const dfqi_conv_axis *a)
{
    return (a->to + a->runs - 1) / a->runs;
}

/* The numbers of padding zeros before and after a row of the input. */
static inline int64_t dfqi_conv_axis_before(const dfqi_conv_axis *a)
{
    return a->lowest < 0 ? -a->lowest : 0;
}

static inline int64_t dfqi_conv_axis_after(const dfqi_conv_axis *a)
{
    int64_t last = (dfqi_conv_axis_n(a) - 1) * a->step + a->highest;
    return last >= a->from ? last - a->from + 1 : 0;
}

/* Floats of a row of `channels` with its zeros. */
static inline int64_t dfqi_conv_row(const dfqi_conv_axis *x, int64_t channels)
{
    return (dfqi_conv_axis_before(x) + x->from + dfqi_conv_axis_after(x)) * channels;
}

/* Rows that n positions of every run read. */
static inline int64_t dfqi_conv_band_rows(const dfqi_conv_axis *y, int64_t n)
{
    return (n - 1) * y->step + y->highest - y->lowest + 1;
}

/* Rows are copied with their zeros, a band at a time that stays in L2: its positions of a run. */
static inline int64_t dfqi_conv_band(const dfqi_conv_axis *y, int64_t row)
{
    enum { BAND_FLOATS = 64 * 1024 };
    int64_t spare = BAND_FLOATS / row - dfqi_conv_band_rows(y, 1);
    int64_t n = spare > 0 ? 1 + spare / y->step : 1;
    return n < dfqi_conv_axis_n(y) ? n : dfqi_conv_axis_n(y);
}

#endif
