/* The weight gradient of a convolution: sums of outer products of pixels of x and dy. The sums of a
 * tile (some rows of weights times one or two panels of filters) stay in registers during the loop
 * over the pixels of a band. Each band is then added to the packed gradient. */
#include "kernel/x86/conv_tile.h"
#include "kernel/x86/repeat.h"

/* The work of a tile for row q of weights, with one panel (sums a) or two (sums a and b). */
#define BEGIN_1(q) vf a##q = vf_load(t->sum + (q)*VF);
#define BEGIN_2(q) BEGIN_1(q) vf b##q = vf_load(t->sum + t->panel + (q)*VF);
#define STEP_1(q)  a##q = vf_fma(vf_set(x[q]), d, a##q);
#define STEP_2(q)                                                                                  \
    {                                                                                              \
        const vf one = vf_set(x[q]);                                                               \
        a##q = vf_fma(one, d, a##q);                                                               \
        b##q = vf_fma(one, d_b, b##q);                                                             \
    }
#define END_1(q) vf_store(t->sum + (q)*VF, a##q);
#define END_2(q) END_1(q) vf_store(t->sum + t->panel + (q)*VF, b##q);
#define PIXEL_1  const vf d = vf_load_n(dy, lanes);
#define PIXEL_2                                                                                    \
    const vf d = vf_load(dy);                                                                      \
    const vf d_b = vf_load_n(dy + VF, lanes);

/* Q rows of weights, V panels. */
#define TILE(Q, V)                                                                                 \
    static void tile_##Q##_##V(const conv_sums *t)                                                 \
    {                                                                                              \
        const int64_t lanes = t->lanes;                                                            \
        const int64_t x_pixel = t->x_pixel;                                                        \
        const int64_t dy_pixel = t->dy_pixel;                                                      \
        REPEAT_##Q(BEGIN_##V);                                                                     \
        for (int64_t i = 0; i < t->rows; i++) {                                                    \
            const float *x = t->x + i * t->x_row;                                                  \
            const float *dy = t->dy + i * t->dy_row;                                               \
            const float *end = dy + t->pixels * dy_pixel;                                          \
            for (; dy < end; x += x_pixel, dy += dy_pixel) {                                       \
                PIXEL_##V REPEAT_##Q(STEP_##V)                                                     \
            }                                                                                      \
        }                                                                                          \
        REPEAT_##Q(END_##V)                                                                        \
    }

#define TILE_ARGUMENT conv_sums
#include "kernel/x86/tile_table.h"

/* Uses tiles of about the same size. */
void ISA(conv_dw_tiles)(const conv_sums *whole, int panels, int64_t length)
{
    int64_t most;
    const tile_fn *tiles = tiles_of(panels, &most);
    const int64_t n = (length + most - 1) / most;
    for (int64_t i = 0, from = 0, to; i < n; i++, from = to) {
        to = (i + 1) * length / n;
        conv_sums t = *whole;
        t.x += from;
        t.sum += from * VF;
        tiles[to - from - 1](&t);
    }
}

/* Positions j0 .. j1 of y: all taps, `panels` panels of filters from `first` on. */
static void band(const conv_walk *q, const conv_band *b, int64_t j0, int64_t j1, const float *dy,
                 int64_t first, int panels, int64_t lanes, float *dw)
{
    const dfqi_conv_run rows = dfqi_conv_axis_run(&q->y, 0);
    const conv_spans s = conv_spans_make(q, 0);
    const int64_t dy_row = q->x.to * q->columns;
    conv_sums t = {.pixels = s.pixels,
                   .x_row = b->next * q->y.step,
                   .x_pixel = q->x.step * q->channels,
                   .dy_row = dy_row,
                   .dy_pixel = q->columns,
                   .panel = q->y.kernel * q->x.kernel * q->depth * VF,
                   .lanes = lanes};
    for (int32_t u = 0; u < rows.n_taps; u++) {
        int64_t from = -dfqi_div_down(rows.at[u], q->y.step); /* rounded up: the first in x */
        int64_t to = dfqi_div_down(q->y.from - 1 - rows.at[u], q->y.step) + 1;
        if (from < j0) from = j0;
        if (to > j1) to = j1;
        if (from >= to) continue;
        t.rows = to - from;
        t.dy = dy + from * dy_row + first;
        for (int32_t i = 0; i < s.n; i++) {
            const int64_t y = from * q->y.step + rows.at[u] - b->first;
            t.x = b->at + y * b->next + s.span[i].from;
            t.sum = dw + (rows.tap[u] * q->x.kernel * q->depth + s.span[i].weight) * VF;
            ISA(conv_dw_tiles)(&t, panels, s.span[i].length);
        }
    }
}

void ISA(conv_dw)(const dfqi_conv_shape *s, int64_t images, int64_t first, int64_t n,
                  const float *x, const float *dy, float *dw, float *scratch)
{
    conv_walk q = conv_walk_make(0, 0, s, x, scratch);
    const int64_t step = dfqi_conv_band(&q.y, dfqi_conv_row(&q.x, q.channels));
    const int64_t filter = s->kernel_y * s->kernel_x * s->c;
    memset(dw, 0, dfqi_conv_packed_floats(n, s->c, s->kernel_y * s->kernel_x) * sizeof *dw);
    for (int64_t b = 0; b < images; b++, q.in += s->in_y * s->in_x * s->c)
        for (int64_t j = 0; j < s->out_y; j += step) {
            const conv_band rows = conv_band_load(&q, j, step);
            for (int64_t o = 0; o < n; o += (int64_t)CONV_PANELS * VF) {
                const int panels = n - o > VF ? CONV_PANELS : 1;
                const int64_t lanes = conv_min(n - o - (panels - 1) * VF, VF);
                band(&q, &rows, j, conv_min(j + step, s->out_y),
                     dy + b * s->out_y * s->out_x * s->o, first + o, panels, lanes,
                     dw + o * filter);
            }
        }
}
