/* Convolution by Winograd's F(2x2,3x3), and its gradients. Tiles of 4 x 4 pixels are transformed to
 * 16 planes. Each plane is multiplied with its transformed tap as in a 1 x 1 convolution, and the
 * products are transformed back to tiles of 2 x 2 outputs. Pixels outside of an image are read from
 * zeros.
 *
 * For the weight gradient, the planes of x are multiplied with those of dy and summed over tiles;
 * the result stays in the transformed space of the taps. Each sum has one order, whatever columns
 * are computed beside it. */
#include "kernel/winograd.h"
#include "kernel/x86/conv_tile.h"
#include "kernel/x86/winograd.h"

enum { TAPS = DFQI_WINOGRAD_TAPS, WIDTH = DFQI_WINOGRAD_WIDTH };

/* Consecutive images. */
typedef struct images {
    const float *at;
    int64_t y, x, c;
} images;

/* The first output of tile number t, for images of y x x outputs. */
typedef struct corner {
    int64_t image, y, x;
} corner;

static inline corner corner_of(int64_t t, int64_t y, int64_t x)
{
    const int64_t row = (x + 1) / 2;
    const int64_t rows = (y + 1) / 2;
    return (corner){t / row / rows, t / row % rows * 2, t % row * 2};
}

/* The n x n pixels from a corner on; `zeros` where there are none. */
static inline void pixels(const images *m, corner p, int n, const float *zeros, const float **at)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = (p.image * m->y + p.y + i) * m->x;
        const int in = p.y + i >= 0 && p.y + i < m->y;
        for (int64_t j = 0; j < n; j++, at++)
            *at = in && p.x + j >= 0 && p.x + j < m->x ? m->at + (row + p.x + j) * m->c : zeros;
    }
}

static inline void store_4(float *to, int64_t next, vf4 v)
{
    vf_store(to, v.a);
    vf_store(to + next, v.b);
    vf_store(to + 2 * next, v.c);
    vf_store(to + 3 * next, v.d);
}

static inline vf4 load_in(const float *const *at, int64_t c)
{
    return winograd_in(vf_load(at[0] + c), vf_load(at[1] + c), vf_load(at[2] + c),
                       vf_load(at[3] + c));
}

/* `channels` of a tile of pixels to 16 planes. */
static void transform_in(const float *const *at, int64_t channels, float *to, int64_t plane)
{
    for (int64_t c = 0; c < channels; c += VF, to += VF) {
        const vf4 r0 = load_in(at, c);
        const vf4 r1 = load_in(at + 4, c);
        const vf4 r2 = load_in(at + 8, c);
        const vf4 r3 = load_in(at + 12, c);
        store_4(to, 4 * plane, winograd_in(r0.a, r1.a, r2.a, r3.a));
        store_4(to + plane, 4 * plane, winograd_in(r0.b, r1.b, r2.b, r3.b));
        store_4(to + 2 * plane, 4 * plane, winograd_in(r0.c, r1.c, r2.c, r3.c));
        store_4(to + 3 * plane, 4 * plane, winograd_in(r0.d, r1.d, r2.d, r3.d));
    }
}

/* The same for the gradient of a tile of 2 x 2 outputs. */
static void transform_out_back(const float *const *at, int64_t columns, float *to, int64_t plane)
{
    for (int64_t c = 0; c < columns; c += VF, to += VF) {
        const vf4 r0 = winograd_out_back(vf_load(at[0] + c), vf_load(at[1] + c));
        const vf4 r1 = winograd_out_back(vf_load(at[2] + c), vf_load(at[3] + c));
        store_4(to, 4 * plane, winograd_out_back(r0.a, r1.a));
        store_4(to + plane, 4 * plane, winograd_out_back(r0.b, r1.b));
        store_4(to + 2 * plane, 4 * plane, winograd_out_back(r0.c, r1.c));
        store_4(to + 3 * plane, 4 * plane, winograd_out_back(r0.d, r1.d));
    }
}

static inline vf2 load_out(const float *from, int64_t plane)
{
    return winograd_out(vf_load(from), vf_load(from + plane), vf_load(from + 2 * plane),
                        vf_load(from + 3 * plane));
}

/* 16 planes to a tile of outputs at `to`: the second column or row may not exist. */
static void transform_out(const float *from, int64_t plane, int64_t columns, const float *bias,
                          int wide, int high, float *to, int64_t pixel, int64_t row)
{
    for (int64_t c = 0; c < columns; c += VF, from += VF, to += VF) {
        const vf b = bias ? vf_load(bias + c) : vf_set(0.0f);
        const vf2 r0 = load_out(from, plane);
        const vf2 r1 = load_out(from + 4 * plane, plane);
        const vf2 r2 = load_out(from + 8 * plane, plane);
        const vf2 r3 = load_out(from + 12 * plane, plane);
        const vf2 left = winograd_out(r0.a, r1.a, r2.a, r3.a);
        const vf2 right = winograd_out(r0.b, r1.b, r2.b, r3.b);
        vf_store(to, vf_add(left.a, b));
        if (wide) vf_store(to + pixel, vf_add(right.a, b));
        if (high) vf_store(to + row, vf_add(left.b, b));
        if (wide && high) vf_store(to + row + pixel, vf_add(right.b, b));
    }
}

/* -- forward, and the gradient to the input, which differs in weights and padding -------------- */

typedef struct pass {
    images from;
    int64_t y, x, columns; /* computed */
    int64_t pad;
    const float *packed, *bias; /* bias NULL: 0 */
    float *out;
    const float *zeros; /* and after them, in scratch: */
    float *in, *products;
} pass;

/* Tiles first .. first + n to planes. */
static void spread(const pass *q, int64_t first, int64_t n)
{
    const int64_t plane = dfqi_winograd_plane(n, q->from.c);
    for (int64_t t = 0; t < n; t++) {
        const float *at[TAPS];
        corner p = corner_of(first + t, q->y, q->x);
        p.y -= q->pad;
        p.x -= q->pad;
        pixels(&q->from, p, 4, q->zeros, at);
        transform_in(at, q->from.c, q->in + t * q->from.c, plane);
    }
}

/* The planes of n tiles times the taps of `columns` columns from `first` on. */
static void multiply(const pass *q, int64_t n, int64_t first, int64_t columns)
{
    const int64_t c = q->from.c;
    const conv_walk walk = {.y.kernel = 4,
                            .x.kernel = 4,
                            .depth = c,
                            .columns = columns,
                            .weights = q->packed + first * TAPS * c};
    conv_row row; /* with one span */
    row.pixels = n;
    row.in_step = c;
    row.out_step = WIDTH;
    row.n = 1;
    row.length[0] = c;
    for (int64_t e = 0; e < TAPS; e++) {
        row.in[0] = q->in + e * dfqi_winograd_plane(n, c);
        row.weight[0] = e * c;
        row.out = q->products + e * dfqi_winograd_plane(n, WIDTH);
        for (int64_t o = 0; o < columns; o += (int64_t)CONV_PANELS * VF)
            ISA(conv_tiles)(&walk, &row, o);
    }
}

static void fold(const pass *q, int64_t first_tile, int64_t n, int64_t first, int64_t columns)
{
    for (int64_t t = 0; t < n; t++) {
        const corner p = corner_of(first_tile + t, q->y, q->x);
        transform_out(q->products + t * WIDTH, dfqi_winograd_plane(n, WIDTH), columns,
                      q->bias ? q->bias + first : NULL, p.x + 1 < q->x, p.y + 1 < q->y,
                      q->out + (p.y * q->x + p.x) * q->columns + first, q->columns,
                      q->x * q->columns);
    }
}

static void run(pass *q, float *scratch)
{
    const int64_t tiles = dfqi_winograd_tiles(q->y, q->x);
    const int64_t parts = dfqi_winograd_parts(tiles, q->from.c);
    memset(scratch, 0, (size_t)q->from.c * sizeof *scratch);
    q->zeros = scratch;
    q->in = scratch + q->from.c;
    for (int64_t i = 0, t = 0, end; i < parts; i++, t = end) {
        end = (i + 1) * tiles / parts;
        q->products = q->in + TAPS * dfqi_winograd_plane(end - t, q->from.c);
        spread(q, t, end - t);
        for (int64_t o = 0; o < q->columns; o += WIDTH) {
            const int64_t columns = conv_min(q->columns - o, WIDTH);
            multiply(q, end - t, o, columns);
            fold(q, t, end - t, o, columns);
        }
    }
}

void ISA(winograd)(const dfqi_conv_shape *s, const float *x, const float *packed, const float *bias,
                   float *y, float *scratch)
{
    run(&(pass){.from = {x, s->in_y, s->in_x, s->c},
                .y = s->out_y,
                .x = s->out_x,
                .columns = s->o,
                .pad = s->pad,
                .packed = packed,
                .bias = bias,
                .out = y},
        scratch);
}

void ISA(winograd_dx)(const dfqi_conv_shape *s, const float *dy, const float *packed, float *dx,
                      float *scratch)
{
    run(&(pass){.from = {dy, s->out_y, s->out_x, s->o},
                .y = s->in_y,
                .x = s->in_x,
                .columns = s->c,
                .pad = 2 - s->pad,
                .packed = packed,
                .out = dx},
        scratch);
}

/* -- gradient to the taps ---------------------------------------------------------------------- */

typedef struct sums {
    images x, dy; /* from the first channel and column on */
    int64_t pad;
    int64_t channels, columns;
    const float *zeros; /* and after them, in scratch: */
    float *in, *out;
    float *dw; /* of the first column and channel */
} sums;

/* Adds what n tiles from `first` on give. */
static void add_tiles(const sums *q, int64_t first, int64_t n)
{
    const int64_t in = dfqi_winograd_plane(n, q->channels);
    const int64_t out = dfqi_winograd_plane(n, WIDTH);
    for (int64_t t = 0; t < n; t++) {
        const float *at[TAPS];
        corner p = corner_of(first + t, q->dy.y, q->dy.x);
        pixels(&q->dy, p, 2, q->zeros, at);
        transform_out_back(at, q->columns, q->out + t * WIDTH, out);
        p.y -= q->pad;
        p.x -= q->pad;
        pixels(&q->x, p, 4, q->zeros, at);
        transform_in(at, q->channels, q->in + t * q->channels, in);
    }
    conv_sums s = {.rows = 1,
                   .pixels = n,
                   .x_pixel = q->channels,
                   .dy_pixel = WIDTH,
                   .panel = TAPS * q->x.c * VF,
                   .lanes = VF};
    for (int64_t e = 0; e < TAPS; e++)
        for (int64_t o = 0; o < q->columns; o += (int64_t)CONV_PANELS * VF) {
            s.x = q->in + e * in;
            s.dy = q->out + e * out + o;
            s.sum = q->dw + (o * TAPS + e * VF) * q->x.c;
            ISA(conv_dw_tiles)(&s, q->columns - o > VF ? CONV_PANELS : 1, q->channels);
        }
}

void ISA(winograd_dw)(const dfqi_conv_shape *s, int64_t n_images, int64_t first, int64_t n,
                      const float *x, const float *dy, float *dw, float *scratch)
{
    sums q = {.x = {NULL, s->in_y, s->in_x, s->c},
              .dy = {NULL, s->out_y, s->out_x, s->o},
              .pad = s->pad,
              .zeros = scratch,
              .in = scratch + DFQI_WINOGRAD_CHANNELS};
    const int64_t tiles = n_images * dfqi_winograd_tiles(s->out_y, s->out_x);
    const int64_t parts = (tiles + DFQI_WINOGRAD_TILES - 1) / DFQI_WINOGRAD_TILES;
    memset(scratch, 0, DFQI_WINOGRAD_CHANNELS * sizeof *scratch);
    memset(dw, 0, dfqi_conv_packed_floats(n, s->c, TAPS) * sizeof *dw);
    for (int64_t o = 0; o < n; o += WIDTH)
        for (int64_t c = 0; c < s->c; c += DFQI_WINOGRAD_CHANNELS) {
            q.dy.at = dy + first + o;
            q.columns = conv_min(n - o, WIDTH);
            q.x.at = x + c;
            q.channels = conv_min(s->c - c, DFQI_WINOGRAD_CHANNELS);
            q.out = q.in + TAPS * dfqi_winograd_plane(DFQI_WINOGRAD_TILES, q.channels);
            q.dw = dw + o * TAPS * s->c + c * VF;
            for (int64_t i = 0; i < parts; i++)
                add_tiles(&q, i * tiles / parts, (i + 1) * tiles / parts - i * tiles / parts);
        }
}
