/* Fake quantization: values must be those of ref to the bit, and ref those of the definition. */
#include "kernel/support.h"

enum { ROUNDS = 40 };

typedef struct problem {
    int64_t rows, cols;
    size_t n;
    dfqi_grid grid;
    float *x;
} problem;

/* Scales, zero points and inputs that hit codes, ties between codes, both ends and beyond. */
static problem make(pool *p, int round)
{
    problem q = {.rows = pool_extent(p, 1, 9), .cols = round < 35 ? round + 1 : 300};
    int64_t scales = round & 1 ? q.cols : 1;
    q.n = (size_t)(q.rows * q.cols);
    q.grid.n_scales = scales;
    q.grid.scale = pool_take(p, (size_t)scales, 0.1f, 0.3f);
    q.grid.zero_point = round % 3 ? pool_take(p, (size_t)scales, -3.0f, 3.0f) : NULL;
    q.grid.qmin = round % 4 ? -8.0f : 0.0f;
    q.grid.qmax = q.grid.qmin + 15.0f;
    q.x = pool_take(p, q.n, -3.0f, 3.0f);
    for (size_t i = 0; i < q.n; i += 3) { /* ties: halves are exact multiples of the scale */
        float s = q.grid.scale[scales > 1 ? i % (size_t)q.cols : 0];
        q.x[i] = (float)pool_extent(p, -20, 20) * 0.5f * s;
    }
    return q;
}

static void slot_fq(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        problem q = make(p, round);
        float *y = pool_take(p, q.n, 0.0f, 1.0f), *want = pool_take(p, q.n, 0.0f, 1.0f);
        for (size_t i = 0; i < q.n; i++) {
            size_t c = q.grid.n_scales > 1 ? i % (size_t)q.cols : 0;
            float scale = q.grid.scale[c],
                  zero_point = q.grid.zero_point ? rintf(q.grid.zero_point[c]) : 0.0f;
            float code = rintf(q.x[i] / scale) + zero_point;
            want[i] = (fminf(fmaxf(code, q.grid.qmin), q.grid.qmax) - zero_point) * scale;
        }
        t->fq(q.rows, q.cols, &q.grid, q.x, y);
        check_close(q.n, y, want, 0.0, "fq");
        pool_end(p);
    }
    float scale = 0.5f, sick[3] = {NAN, INFINITY, -INFINITY};
    dfqi_grid g = {&scale, NULL, 1, -8.0f, 7.0f};
    t->fq(1, 3, &g, sick, sick);
    ck_assert_float_nan(sick[0]);
    ck_assert(sick[1] == 3.5f && sick[2] == -4.0f);
    /* As in ONNX, ties are those of x / scale: the zero point does not move them. */
    float zero_point = 3.0f, ties[5] = {0.25f, 0.75f, 1.25f, -0.25f, -0.75f};
    g = (dfqi_grid){&scale, &zero_point, 1, 0.0f, 15.0f};
    t->fq(1, 5, &g, ties, ties);
    ck_assert(ties[0] == 0.0f && ties[1] == 1.0f && ties[2] == 1.0f);
    ck_assert(ties[3] == 0.0f && ties[4] == -1.0f);
}

static void slot_fq_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        problem q = make(p, round);
        size_t scales = (size_t)q.grid.n_scales;
        float *dy = pool_take(p, q.n, -1.0f, 1.0f), *dx = pool_take(p, q.n, 0.0f, 1.0f);
        float *want = pool_take(p, q.n, 0.0f, 1.0f);
        float *dscale = pool_take(p, scales, 0.0f, 1.0f),
              *dzero_point = pool_take(p, scales, 0.0f, 1.0f);
        float *want_scale = pool_take(p, scales, 0.0f, 0.0f);
        float *want_zero_point = pool_take(p, scales, 0.0f, 0.0f);
        for (size_t i = 0; i < q.n; i++) {
            size_t c = scales > 1 ? i % (size_t)q.cols : 0;
            float scale = q.grid.scale[c],
                  zero_point = q.grid.zero_point ? rintf(q.grid.zero_point[c]) : 0.0f;
            float u = q.x[i] / scale, v = u + zero_point;
            float code = fminf(fmaxf(rintf(u) + zero_point, q.grid.qmin), q.grid.qmax);
            bool in = v >= q.grid.qmin && v <= q.grid.qmax;
            want[i] = in ? dy[i] : 0.0f;
            want_scale[c] += dy[i] * (code - zero_point - (in ? u : 0.0f));
            want_zero_point[c] -= in ? 0.0f : scale * dy[i];
        }
        t->fq_bwd(q.rows, q.cols, &q.grid, q.x, dy, dx, dscale, dzero_point);
        check_close(q.n, dx, want, 0.0, "fq_bwd dx");
        check_close(scales, dscale, want_scale, 3e-5, "fq_bwd dscale");
        check_close(scales, dzero_point, want_zero_point, 3e-5, "fq_bwd dzero_point");
        t->fq_bwd(q.rows, q.cols, &q.grid, q.x, dy, dy, NULL, NULL);
        check_close(q.n, dy, want, 0.0, "fq_bwd in place");
        pool_end(p);
    }
}

static void slot_fq_log(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = round < 35 ? (size_t)round : 3000;
        float top = dfqi_rng_range(&p->rng, 0.1f, 1.0f);
        float qmax = round % 3 == 0 ? 15.0f : round % 3 == 1 ? 7.0f : 255.0f;
        float *x = pool_take(p, n, 0.0f, 1.3f * top), *y = pool_take(p, n, 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f), *ref = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i += 2) x[i] *= ldexpf(1.0f, -(int)pool_extent(p, 0, 40));
        for (size_t i = 0; i < n; i += 7) x[i] = 0.0f;
        for (size_t i = 0; i < n; i++) {
            double q = fmax(rint(-2.0 * log2((double)x[i] / (double)top)), 0.0);
            want[i] = q > (double)qmax ? 0.0f : (float)((double)top * pow(2.0, -0.5 * q));
        }
        reference()->fq_log(n, top, qmax, x, ref);
        t->fq_log(n, top, qmax, x, y);
        check_close(n, y, ref, 0.0, "fq_log");
        check_mostly(n, y, want, 1e-7, 1, "fq_log");
        pool_end(p);
    }
    float sick[2] = {NAN, 1.0f};
    t->fq_log(2, 1.0f, 15.0f, sick, sick);
    ck_assert_float_nan(sick[0]);
    ck_assert_float_eq(sick[1], 1.0f);
}

const slot_test quant_slots[] = {SLOT(fq), SLOT(fq_bwd), SLOT(fq_log), {NULL, 0, NULL}};
