/* Convolutions of every table, ref included, against one loop in double over everything that is
 * multiplied. */
#include <stdlib.h>

#include "kernel/support.h"

typedef enum kind { DENSE, DEPTHWISE, WINOGRAD } kind;

typedef struct problem {
    dfqi_conv_shape s;
    kind kind;
    int64_t images, taps, inner; /* inner: channels behind a filter */
    size_t nx, ny, nw;           /* of one image, and of the weight */
    float *x, *w, *bias, *dy, *scratch;
    double *y, *dx, *dw;
} problem;

/* The formula once: y = sum x w, dx = sum dy w, dw = sum x dy. */
static void expect(problem *q)
{
    const dfqi_conv_shape *s = &q->s;
    for (int64_t b = 0; b < q->images; b++)
        for (int64_t i = 0; i < s->out_y; i++)
            for (int64_t j = 0; j < s->out_x; j++)
                for (int64_t t = 0; t < q->taps; t++) {
                    int64_t row = i * s->stride + t / s->kernel_x * s->dilation - s->pad;
                    int64_t col = j * s->stride + t % s->kernel_x * s->dilation - s->pad;
                    if (row < 0 || row >= s->in_y || col < 0 || col >= s->in_x) continue;
                    int64_t out = ((b * s->out_y + i) * s->out_x + j) * s->o;
                    int64_t in = ((b * s->in_y + row) * s->in_x + col) * s->c;
                    for (int64_t o = 0; o < s->o; o++)
                        for (int64_t c = 0; c < q->inner; c++) {
                            int64_t k = (o * q->inner + c) * q->taps + t;
                            int64_t from = in + (q->kind == DEPTHWISE ? o : c);
                            q->y[out + o] += (double)q->x[from] * (double)q->w[k];
                            q->dx[from] += (double)q->dy[out + o] * (double)q->w[k];
                            q->dw[k] += (double)q->x[from] * (double)q->dy[out + o];
                        }
                }
}

static int64_t extent(int64_t in, int64_t kernel, const dfqi_conv_shape *s)
{
    return (in + 2 * s->pad - s->dilation * (kernel - 1) - 1) / s->stride + 1;
}

/* Networks' shapes first; then anything. Images so large that a band does not hold them are among
 * both. */
static dfqi_conv_shape shape(pool *p, int round, kind k)
{
    static const dfqi_conv_shape fixed[] = {
        {6, 32, 3, 0, 0, 16, 3, 3, 1, 1, 1},  {8, 16, 16, 0, 0, 32, 3, 3, 2, 1, 1},
        {4, 8, 64, 0, 0, 64, 3, 3, 1, 1, 1},  {9, 41, 19, 0, 0, 3, 3, 3, 1, 1, 1},
        {7, 7, 33, 0, 0, 48, 1, 1, 2, 0, 1},  {9, 200, 60, 0, 0, 3, 3, 2, 1, 1, 1},
        {13, 9, 40, 0, 0, 65, 1, 1, 1, 0, 1}, {9, 15, 5, 0, 0, 30, 7, 7, 2, 3, 1},
        {5, 3, 2, 0, 0, 4, 3, 3, 3, 4, 2},    {4, 4, 3, 0, 0, 2, 1, 1, 3, 4, 1},
    };
    enum { N_FIXED = sizeof fixed / sizeof *fixed };
    static const int64_t kernels[] = {1, 2, 3, 3, 5, 7};
    dfqi_conv_shape s;
    if (round < N_FIXED) {
        s = fixed[round];
    } else {
        s.stride = pool_extent(p, 1, 3);
        s.pad = pool_extent(p, 0, 4);
        s.dilation = pool_extent(p, 1, 3);
        s.kernel_y = kernels[pool_extent(p, 0, 5)];
        s.kernel_x = kernels[pool_extent(p, 0, 5)];
        /* at least one output */
        s.in_y = (s.kernel_y - 1) * s.dilation + 1 - s.pad;
        s.in_x = (s.kernel_x - 1) * s.dilation + 1 - s.pad;
        s.in_y = (s.in_y < 1 ? 1 : s.in_y) + pool_extent(p, 0, 7);
        s.in_x = (s.in_x < 1 ? 1 : s.in_x) + pool_extent(p, 0, 20);
        s.c = pool_extent(p, 1, round % 3 ? 20 : 50);
        s.o = pool_extent(p, 1, round % 2 ? 20 : 70);
    }
    if (k == DEPTHWISE) s.o = s.c;
    if (k == WINOGRAD) {
        s.kernel_y = s.kernel_x = 3;
        s.stride = s.dilation = 1;
        s.c = s.c / 2 / 16 * 16 + 16;
        s.o = s.o > 32 ? 48 : (s.o + 15) / 16 * 16;
        s.in_y = 3 + s.in_y % 8; /* channels come by 16, so images are kept small */
        s.in_x = 3 + s.in_x % (round < N_FIXED ? 40 : 12);
    }
    s.out_y = extent(s.in_y, s.kernel_y, &s);
    s.out_x = extent(s.in_x, s.kernel_x, &s);
    return s;
}

enum { N_ROUNDS = 40 };

static problem problem_make(pool *p, int round, kind k)
{
    problem q = {.s = shape(p, round, k), .kind = k, .images = 1 + round % 2};
    const dfqi_conv_shape *s = &q.s;
    q.inner = k == DEPTHWISE ? 1 : s->c;
    q.taps = s->kernel_y * s->kernel_x;
    q.nx = (size_t)(s->in_y * s->in_x * s->c);
    q.ny = (size_t)(s->out_y * s->out_x * s->o);
    q.nw = (size_t)(s->o * q.inner * q.taps);
    q.x = pool_take(p, (size_t)q.images * q.nx, -1.0f, 1.0f);
    q.dy = pool_take(p, (size_t)q.images * q.ny, -1.0f, 1.0f);
    q.w = pool_take(p, q.nw, -1.0f, 1.0f);
    q.bias = round % 3 ? pool_take(p, (size_t)s->o, -1.0f, 1.0f) : NULL;
    size_t scratch = k == WINOGRAD ? dfqi_winograd_scratch(s) : dfqi_conv_scratch(s);
    q.scratch = pool_take(p, scratch, 5.0f, 6.0f);
    q.y = calloc((size_t)q.images * q.ny, sizeof *q.y);
    q.dx = calloc((size_t)q.images * q.nx, sizeof *q.dx);
    q.dw = calloc(q.nw, sizeof *q.dw);
    ck_assert(q.y && q.dx && q.dw);
    expect(&q);
    return q;
}

static void problem_end(problem *q)
{
    free(q->y);
    free(q->dx);
    free(q->dw);
}

/* Sums of `count` products of numbers below 1. */
static void check_sums(const problem *q, size_t n, const float *got, const double *want,
                       const float *bias, int64_t count, const char *what)
{
    const dfqi_conv_shape *s = &q->s;
    double bound = 2e-6 + 5e-8 * (double)count;
    for (size_t i = 0; i < n; i++) {
        double sum = want[i] + (bias ? (double)bias[i % (size_t)s->o] : 0.0);
        dfqt_each(fabs((double)got[i] - sum) <= bound * fmax(1.0, fabs(sum)),
                  "%s[%zu]: %.9g, expected %.9g (%dx%dx%d, %d filters %dx%d, stride %d, pad "
                  "%d, dilation %d)",
                  what, i, (double)got[i], sum, (int)s->in_y, (int)s->in_x, (int)s->c, (int)s->o,
                  (int)s->kernel_y, (int)s->kernel_x, (int)s->stride, (int)s->pad,
                  (int)s->dilation);
    }
}

/* Taps of packed weights. */
static int64_t packed_taps(const problem *q)
{
    return q->kind == WINOGRAD ? DFQI_WINOGRAD_TAPS : q->taps;
}

static void pack(const dfqi_kernels *t, const problem *q, int trans, float *packed)
{
    int64_t next = q->inner * q->taps;
    if (q->kind == WINOGRAD)
        t->winograd_pack(trans, q->s.o, q->inner, q->w, next, packed);
    else
        t->conv_pack(trans, q->s.o, q->inner, q->taps, q->w, next, packed);
}

static void check_forward(const dfqi_kernels *t, pool *p, kind k)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        problem q = problem_make(p, round, k);
        size_t size = dfqi_conv_packed_floats(q.s.o, q.inner, packed_taps(&q));
        float *packed = pool_take(p, size, 0.0f, 1.0f);
        float *y = pool_take(p, q.ny, 0.0f, 1.0f);
        pack(t, &q, 0, packed);
        (k == DENSE       ? t->conv
         : k == DEPTHWISE ? t->depthwise
                          : t->winograd)(&q.s, q.x, packed, q.bias, y, q.scratch);
        check_sums(&q, q.ny, y, q.y, q.bias, q.inner * q.taps, "conv");
        problem_end(&q);
        pool_end(p);
    }
}

static void check_dx(const dfqi_kernels *t, pool *p, kind k)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        problem q = problem_make(p, round, k);
        int64_t columns = k == DEPTHWISE ? 1 : q.s.o;
        size_t size = dfqi_conv_packed_floats(q.s.c, columns, packed_taps(&q));
        float *packed = pool_take(p, size, 0.0f, 1.0f);
        float *dx = pool_take(p, q.nx, 0.0f, 1.0f);
        pack(t, &q, k != DEPTHWISE, packed);
        (k == DENSE       ? t->conv_dx
         : k == DEPTHWISE ? t->depthwise_dx
                          : t->winograd_dx)(&q.s, q.dy, packed, dx, q.scratch);
        check_sums(&q, q.nx, dx, q.dx, NULL, columns * q.taps, "conv_dx");
        problem_end(&q);
        pool_end(p);
    }
}

static void check_dw(const dfqi_kernels *t, pool *p, kind k)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        problem q = problem_make(p, round, k);
        float *dw = pool_take(p, q.nw, 0.0f, 1.0f);
        int64_t filter = q.inner * packed_taps(&q);
        size_t size = dfqi_conv_packed_floats(q.s.o, q.inner, packed_taps(&q));
        float *packed = pool_take(p, size, 0.0f, 1.0f);
        for (int64_t first = 0, n; first < q.s.o; first += n) {
            n = round & 1 ? 16 : 48;
            if (n > q.s.o - first) n = q.s.o - first;
            (k == DENSE       ? t->conv_dw
             : k == DEPTHWISE ? t->depthwise_dw
                              : t->winograd_dw)(&q.s, q.images, first, n, q.x, q.dy,
                                                packed + first * filter, q.scratch);
        }
        if (k == WINOGRAD)
            reference()->winograd_unpack(q.s.o, q.inner, packed, dw);
        else
            reference()->conv_unpack(q.s.o, q.inner, q.taps, packed, dw);
        check_sums(&q, q.nw, dw, q.dw, NULL, q.images * q.s.out_y * q.s.out_x, "conv_dw");
        problem_end(&q);
        pool_end(p);
    }
}

#define CHECK(slot, check, kind)                                                                   \
    static void slot_##slot(const dfqi_kernels *t, pool *p)                                        \
    {                                                                                              \
        check(t, p, kind);                                                                         \
    }
CHECK(conv, check_forward, DENSE)
CHECK(conv_dx, check_dx, DENSE)
CHECK(conv_dw, check_dw, DENSE)
CHECK(depthwise, check_forward, DEPTHWISE)
CHECK(depthwise_dx, check_dx, DEPTHWISE)
CHECK(depthwise_dw, check_dw, DEPTHWISE)
CHECK(winograd, check_forward, WINOGRAD)
CHECK(winograd_dx, check_dx, WINOGRAD)
CHECK(winograd_dw, check_dw, WINOGRAD)

/* Panel after panel, as the definition says; filters apart from each other. */
static void slot_conv_pack(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int trans = round & 1;
        int64_t o = pool_extent(p, 1, 50), c = pool_extent(p, 1, 50), taps = pool_extent(p, 1, 26);
        int64_t next = c * taps + pool_extent(p, 0, 9);
        size_t n = dfqi_conv_packed_floats(trans ? c : o, trans ? o : c, taps);
        float *w = pool_take(p, (size_t)(o * next), -1.0f, 1.0f);
        float *out = pool_take(p, n, -1.0f, 1.0f), *want = pool_take(p, n, 0.0f, 0.0f);
        for (int64_t i = 0; i < o; i++)
            for (int64_t j = 0; j < c; j++)
                for (int64_t k = 0; k < taps; k++)
                    if (trans)
                        want[j / 16 * taps * o * 16 + (taps - 1 - k) * o * 16 + i * 16 + j % 16] =
                            w[i * next + j * taps + k];
                    else
                        want[i / 16 * taps * c * 16 + k * c * 16 + j * 16 + i % 16] =
                            w[i * next + j * taps + k];
        t->conv_pack(trans, o, c, taps, w, next, out);
        check_close(n, out, want, 0.0, "conv_pack");
        pool_end(p);
    }
}

static void slot_conv_unpack(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t o = pool_extent(p, 1, 50), c = pool_extent(p, 1, 50), taps = pool_extent(p, 1, 26);
        size_t n = (size_t)(o * c * taps), size = dfqi_conv_packed_floats(o, c, taps);
        float *packed = pool_take(p, size, -1.0f, 1.0f), *again = pool_copy(p, size, packed);
        float *w = pool_take(p, n, -1.0f, 1.0f);
        t->conv_unpack(o, c, taps, packed, w);
        reference()->conv_pack(0, o, c, taps, w, c * taps, again);
        for (int64_t i = o; i % 16 != 0; i++) /* what was in the padding is gone */
            for (int64_t k = 0; k < c * taps; k++)
                packed[i / 16 * taps * c * 16 + k * 16 + i % 16] = 0.0f;
        check_close(size, again, packed, 0.0, "conv_unpack");
        pool_end(p);
    }
}

/* One axis of G w G^T: w has 3 numbers, `step` apart. */
static void spread(const double *w, int step, double *out, int out_step)
{
    double outer = (w[0] + w[2 * step]) / 2, middle = w[step] / 2;
    out[0] = w[0];
    out[out_step] = outer + middle;
    out[2 * out_step] = outer - middle;
    out[3 * out_step] = w[2 * step];
}

static void slot_winograd_pack(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int trans = round & 1;
        int64_t o = pool_extent(p, 1, 50), c = pool_extent(p, 1, 50), next = c * 9 + round % 5;
        int64_t rows = trans ? o : c;
        size_t n = dfqi_conv_packed_floats(trans ? c : o, rows, DFQI_WINOGRAD_TAPS);
        float *w = pool_take(p, (size_t)(o * next), -1.0f, 1.0f);
        float *out = pool_take(p, n, -1.0f, 1.0f), *want = pool_take(p, n, 0.0f, 0.0f);
        for (int64_t i = 0; i < o; i++)
            for (int64_t j = 0; j < c; j++) {
                int64_t column = trans ? j : i, row = trans ? i : j;
                double plain[9], half[12], all[16];
                for (int k = 0; k < 9; k++)
                    plain[k] = (double)w[i * next + j * 9 + (trans ? 8 - k : k)];
                for (int k = 0; k < 3; k++) spread(plain + k, 3, half + k, 3);
                for (int k = 0; k < 4; k++) spread(half + 3 * k, 1, all + 4 * k, 1);
                for (int k = 0; k < 16; k++)
                    want[((column / 16 * 16 + k) * rows + row) * 16 + column % 16] = (float)all[k];
            }
        t->winograd_pack(trans, o, c, w, next, out);
        check_close(n, out, want, 1e-6, "winograd_pack");
        pool_end(p);
    }
}

/* The adjoint of packing: <unpack(packed), w> = <packed, pack(w)>. */
static void slot_winograd_unpack(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t o = pool_extent(p, 1, 50), c = pool_extent(p, 1, 50);
        size_t n = (size_t)(o * c * 9), size = dfqi_conv_packed_floats(o, c, DFQI_WINOGRAD_TAPS);
        float *packed = pool_take(p, size, -1.0f, 1.0f), *spread_w = pool_take(p, size, 0.0f, 0.0f);
        float *w = pool_take(p, n, -1.0f, 1.0f), *got = pool_take(p, n, -1.0f, 1.0f);
        float *unit = pool_take(p, n, 0.0f, 0.0f);
        t->winograd_unpack(o, c, packed, got);
        for (int probe = 0; probe < 20; probe++) {
            int64_t at = pool_extent(p, 0, (int64_t)n - 1);
            double sum = 0;
            unit[at] = w[at];
            reference()->winograd_pack(0, o, c, unit, c * 9, spread_w);
            for (size_t i = 0; i < size; i++) sum += (double)packed[i] * (double)spread_w[i];
            check_number((double)got[at] * (double)w[at], sum, 1e-6, "winograd_unpack");
            unit[at] = 0.0f;
        }
        pool_end(p);
    }
}

const slot_test conv_slots[] = {SLOT(conv_pack),       SLOT(conv_unpack),  SLOT(conv),
                                SLOT(conv_dx),         SLOT(conv_dw),      SLOT(depthwise),
                                SLOT(depthwise_dx),    SLOT(depthwise_dw), SLOT(winograd_pack),
                                SLOT(winograd_unpack), SLOT(winograd),     SLOT(winograd_dx),
                                SLOT(winograd_dw),     {NULL, 0, NULL}};
