/* Convolutions of every table, ref included, against one loop in double over everything that is
 * multiplied. */
#include <stdlib.h>

#include "kernel/support.h"

typedef struct problem {
    dfqi_conv_shape s;
    int depthwise;
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
                            int64_t from = in + (q->depthwise ? o : c);
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
static dfqi_conv_shape shape(pool *p, int round, int depthwise)
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
    if (depthwise) s.o = s.c;
    s.out_y = extent(s.in_y, s.kernel_y, &s);
    s.out_x = extent(s.in_x, s.kernel_x, &s);
    return s;
}

enum { N_ROUNDS = 40 };

static problem problem_make(pool *p, int round, int depthwise)
{
    problem q = {.s = shape(p, round, depthwise), .depthwise = depthwise, .images = 1 + round % 2};
    const dfqi_conv_shape *s = &q.s;
    q.inner = depthwise ? 1 : s->c;
    q.taps = s->kernel_y * s->kernel_x;
    q.nx = (size_t)(s->in_y * s->in_x * s->c);
    q.ny = (size_t)(s->out_y * s->out_x * s->o);
    q.nw = (size_t)(s->o * q.inner * q.taps);
    q.x = pool_take(p, (size_t)q.images * q.nx, -1.0f, 1.0f);
    q.dy = pool_take(p, (size_t)q.images * q.ny, -1.0f, 1.0f);
    q.w = pool_take(p, q.nw, -1.0f, 1.0f);
    q.bias = round % 3 ? pool_take(p, (size_t)s->o, -1.0f, 1.0f) : NULL;
    q.scratch = pool_take(p, dfqi_conv_scratch(s), 5.0f, 6.0f);
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
        ck_assert_msg(fabs((double)got[i] - sum) <= bound * fmax(1.0, fabs(sum)),
                      "%s[%zu]: %.9g, expected %.9g (%dx%dx%d, %d filters %dx%d, stride %d, pad "
                      "%d, dilation %d)",
                      what, i, (double)got[i], sum, (int)s->in_y, (int)s->in_x, (int)s->c,
                      (int)s->o, (int)s->kernel_y, (int)s->kernel_x, (int)s->stride, (int)s->pad,
                      (int)s->dilation);
    }
}

static void check_forward(const dfqi_kernels *t, pool *p, int depthwise)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        problem q = problem_make(p, round, depthwise);
        float *packed = pool_take(p, dfqi_conv_packed_floats(q.s.o, q.inner, q.taps), 0.0f, 1.0f);
        float *y = pool_take(p, q.ny, 0.0f, 1.0f);
        t->conv_pack(0, q.s.o, q.inner, q.taps, q.w, q.inner * q.taps, packed);
        (depthwise ? t->depthwise : t->conv)(&q.s, q.x, packed, q.bias, y, q.scratch);
        check_sums(&q, q.ny, y, q.y, q.bias, q.inner * q.taps, "conv");
        problem_end(&q);
        pool_end(p);
    }
}

static void check_dx(const dfqi_kernels *t, pool *p, int depthwise)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        problem q = problem_make(p, round, depthwise);
        int64_t columns = depthwise ? 1 : q.s.o;
        float *packed = pool_take(p, dfqi_conv_packed_floats(q.s.c, columns, q.taps), 0.0f, 1.0f);
        float *dx = pool_take(p, q.nx, 0.0f, 1.0f);
        t->conv_pack(!depthwise, q.s.o, q.inner, q.taps, q.w, q.inner * q.taps, packed);
        (depthwise ? t->depthwise_dx : t->conv_dx)(&q.s, q.dy, packed, dx, q.scratch);
        check_sums(&q, q.nx, dx, q.dx, NULL, columns * q.taps, "conv_dx");
        problem_end(&q);
        pool_end(p);
    }
}

static void check_dw(const dfqi_kernels *t, pool *p, int depthwise)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        problem q = problem_make(p, round, depthwise);
        float *dw = pool_take(p, q.nw, 0.0f, 1.0f);
        int64_t filter = q.inner * q.taps;
        float *packed = pool_take(p, dfqi_conv_packed_floats(q.s.o, q.inner, q.taps), 0.0f, 1.0f);
        for (int64_t first = 0, n; first < q.s.o; first += n) {
            n = round & 1 ? 16 : 48;
            if (n > q.s.o - first) n = q.s.o - first;
            (depthwise ? t->depthwise_dw : t->conv_dw)(&q.s, q.images, first, n, q.x, q.dy,
                                                       packed + first * filter, q.scratch);
        }
        reference()->conv_unpack(q.s.o, q.inner, q.taps, packed, dw);
        check_sums(&q, q.nw, dw, q.dw, NULL, q.images * q.s.out_y * q.s.out_x, "conv_dw");
        problem_end(&q);
        pool_end(p);
    }
}

static void slot_conv(const dfqi_kernels *t, pool *p)
{
    check_forward(t, p, 0);
}

static void slot_conv_dx(const dfqi_kernels *t, pool *p)
{
    check_dx(t, p, 0);
}

static void slot_conv_dw(const dfqi_kernels *t, pool *p)
{
    check_dw(t, p, 0);
}

static void slot_depthwise(const dfqi_kernels *t, pool *p)
{
    check_forward(t, p, 1);
}

static void slot_depthwise_dx(const dfqi_kernels *t, pool *p)
{
    check_dx(t, p, 1);
}

static void slot_depthwise_dw(const dfqi_kernels *t, pool *p)
{
    check_dw(t, p, 1);
}

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

const slot_test conv_slots[] = {SLOT(conv_pack),    SLOT(conv_unpack),  SLOT(conv),
                                SLOT(conv_dx),      SLOT(conv_dw),      SLOT(depthwise),
                                SLOT(depthwise_dx), SLOT(depthwise_dw), {NULL, 0, NULL}};
