/* Fake quantization: values must be those of ref to the bit, and ref those of the definition. */
#include "kernel/support.h"

enum { ROUNDS = 40 };

typedef struct problem {
    int64_t rows, cols;
    size_t n;
    dfqi_grid grid;
    float *x;
} problem;

/* Steps, zeros and inputs that hit codes, ties between codes, both ends and beyond. */
static problem make(pool *p, int round)
{
    problem q = {.rows = pool_extent(p, 1, 9), .cols = round < 35 ? round + 1 : 300};
    int64_t steps = round & 1 ? q.cols : 1;
    q.n = (size_t)(q.rows * q.cols);
    q.grid.n_steps = steps;
    q.grid.step = pool_take(p, (size_t)steps, 0.1f, 0.3f);
    q.grid.zero = round % 3 ? pool_take(p, (size_t)steps, -3.0f, 3.0f) : NULL;
    q.grid.lo = round % 4 ? -8.0f : 0.0f;
    q.grid.hi = q.grid.lo + 15.0f;
    q.x = pool_take(p, q.n, -3.0f, 3.0f);
    for (size_t i = 0; i < q.n; i += 3) { /* ties: halves are exact multiples of the step */
        float s = q.grid.step[steps > 1 ? i % (size_t)q.cols : 0];
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
            size_t c = q.grid.n_steps > 1 ? i % (size_t)q.cols : 0;
            float step = q.grid.step[c], zero = q.grid.zero ? rintf(q.grid.zero[c]) : 0.0f;
            float code = rintf(q.x[i] / step + zero);
            want[i] = (fminf(fmaxf(code, q.grid.lo), q.grid.hi) - zero) * step;
        }
        t->fq(q.rows, q.cols, &q.grid, q.x, y);
        check_close(q.n, y, want, 0.0, "fq");
        pool_end(p);
    }
    float step = 0.5f, sick[3] = {NAN, INFINITY, -INFINITY};
    dfqi_grid g = {&step, NULL, 1, -8.0f, 7.0f};
    t->fq(1, 3, &g, sick, sick);
    ck_assert_float_nan(sick[0]);
    ck_assert(sick[1] == 3.5f && sick[2] == -4.0f);
}

static void slot_fq_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        problem q = make(p, round);
        size_t steps = (size_t)q.grid.n_steps;
        float *dy = pool_take(p, q.n, -1.0f, 1.0f), *dx = pool_take(p, q.n, 0.0f, 1.0f);
        float *want = pool_take(p, q.n, 0.0f, 1.0f);
        float *dstep = pool_take(p, steps, 0.0f, 1.0f), *dzero = pool_take(p, steps, 0.0f, 1.0f);
        float *want_step = pool_take(p, steps, 0.0f, 0.0f);
        float *want_zero = pool_take(p, steps, 0.0f, 0.0f);
        for (size_t i = 0; i < q.n; i++) {
            size_t c = steps > 1 ? i % (size_t)q.cols : 0;
            float step = q.grid.step[c], zero = q.grid.zero ? rintf(q.grid.zero[c]) : 0.0f;
            float u = q.x[i] / step, v = u + zero;
            float code = fminf(fmaxf(rintf(v), q.grid.lo), q.grid.hi);
            bool in = v >= q.grid.lo && v <= q.grid.hi;
            want[i] = in ? dy[i] : 0.0f;
            want_step[c] += dy[i] * (code - zero - (in ? u : 0.0f));
            want_zero[c] -= in ? 0.0f : step * dy[i];
        }
        t->fq_bwd(q.rows, q.cols, &q.grid, q.x, dy, dx, dstep, dzero);
        check_close(q.n, dx, want, 0.0, "fq_bwd dx");
        check_close(steps, dstep, want_step, 3e-5, "fq_bwd dstep");
        check_close(steps, dzero, want_zero, 3e-5, "fq_bwd dzero");
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
        float hi = round % 3 == 0 ? 15.0f : round % 3 == 1 ? 7.0f : 255.0f;
        float *x = pool_take(p, n, 0.0f, 1.3f * top), *y = pool_take(p, n, 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f), *ref = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i += 2) x[i] *= ldexpf(1.0f, -(int)pool_extent(p, 0, 40));
        for (size_t i = 0; i < n; i += 7) x[i] = 0.0f;
        for (size_t i = 0; i < n; i++) {
            double q = fmax(rint(-2.0 * log2((double)x[i] / (double)top)), 0.0);
            want[i] = q > (double)hi ? 0.0f : (float)((double)top * pow(2.0, -0.5 * q));
        }
        reference()->fq_log(n, top, hi, x, ref);
        t->fq_log(n, top, hi, x, y);
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
