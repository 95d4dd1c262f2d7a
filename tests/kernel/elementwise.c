/* Elementwise slots against libm in double. */
#include "kernel/support.h"

enum { ROUNDS = 40, LONGEST = 300 };

static size_t length(pool *p, int round)
{
    return round < 34 ? (size_t)round : (size_t)pool_extent(p, 34, LONGEST);
}

static void slot_add(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float *a = pool_take(p, n, -1.0f, 1.0f), *b = pool_take(p, n, -1.0f, 1.0f);
        float *y = pool_take(p, n, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++) want[i] = a[i] + b[i];
        t->add(n, a, b, y);
        check_close(n, y, want, 0.0, "add");
        t->add(n, a, b, b);
        check_close(n, b, want, 0.0, "add in place");
        pool_end(p);
    }
}

static void slot_axpy(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float *x = pool_take(p, n, -1.0f, 1.0f), *y = pool_take(p, n, -1.0f, 1.0f);
        float *want = pool_copy(p, n, y);
        for (size_t i = 0; i < n; i++)
            want[i] = (float)((double)want[i] + (double)-0.7f * (double)x[i]);
        t->axpy(n, -0.7f, x, y);
        check_close(n, y, want, 2e-7, "axpy");
        pool_end(p);
    }
}

static void slot_scale(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float *x = pool_take(p, n, -1.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++) want[i] = 3.3f * x[i];
        t->scale(n, 3.3f, x, x);
        check_close(n, x, want, 0.0, "scale");
        pool_end(p);
    }
}

/* Every scale of argument, both signs: i = 0 .. 2 n - 1. */
static float argument(size_t i, size_t n)
{
    double v = 1e-8 * pow(1.2e9, (double)(i % n) / (double)n);
    return (float)(i < n ? v : -v);
}

enum { FINE = 30000 };

static void slot_gelu(const dfqi_kernels *t, pool *p)
{
    float *x = pool_take(p, 2 * FINE, 0.0f, 1.0f), *y = pool_take(p, 2 * FINE, 0.0f, 1.0f);
    for (size_t i = 0; i < 2 * FINE; i++) x[i] = argument(i, FINE);
    t->gelu(2 * FINE, x, y);
    for (size_t i = 0; i < 2 * FINE; i++) {
        double want = 0.5 * (double)x[i] * erfc(-(double)x[i] / sqrt(2.0));
        check_number((double)y[i], want, 2.5e-7, "gelu");
        if (fabsf(x[i]) < 1.0f) /* relative */
            dfqt_each(fabs((double)y[i] - want) <= 1e-6 * fabs(want), "gelu(%g)", (double)x[i]);
    }
    pool_end(p);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float *a = pool_take(p, n, -4.0f, 4.0f), *b = pool_take(p, n, 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f);
        reference()->gelu(n, a, want);
        t->gelu(n, a, b);
        check_close(n, b, want, 4e-7, "gelu");
        pool_end(p);
    }
}

static void slot_gelu_bwd(const dfqi_kernels *t, pool *p)
{
    float *x = pool_take(p, 2 * FINE, 0.0f, 1.0f), *dy = pool_take(p, 2 * FINE, -1.0f, 1.0f);
    float *want = pool_take(p, 2 * FINE, 0.0f, 1.0f);
    for (size_t i = 0; i < 2 * FINE; i++) {
        x[i] = argument(i, FINE);
        double v = (double)x[i];
        double density = exp(-0.5 * v * v) / sqrt(2.0 * acos(-1.0));
        want[i] = (float)((0.5 * erfc(-v / sqrt(2.0)) + v * density) * (double)dy[i]);
    }
    float *dx = pool_take(p, 2 * FINE, 0.0f, 1.0f);
    t->gelu_bwd(2 * FINE, x, dy, dx);
    check_close(2 * FINE, dx, want, 4e-7, "gelu_bwd");
    t->gelu_bwd(2 * FINE, x, dy, dy);
    check_close(2 * FINE, dy, want, 4e-7, "gelu_bwd in place");
    pool_end(p);
}

static void slot_sigmoid(const dfqi_kernels *t, pool *p)
{
    static const float kinds[][3] = {
        {1, 0, 0}, {1, 0, 1}, {1.702f, 0, 1}, {1.5957691f, 0.0713548f, 1}};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        const float a = kinds[kind][0], b = kinds[kind][1];
        const int gate = kinds[kind][2] != 0.0f;
        float *x = pool_take(p, 2 * FINE, 0.0f, 1.0f), *want = pool_take(p, 2 * FINE, 0.0f, 1.0f);
        float *y = pool_take(p, 2 * FINE, 0.0f, 1.0f);
        for (size_t i = 0; i < 2 * FINE; i++) {
            x[i] = 8.0f * argument(i, FINE);
            const double v = (double)x[i], z = ((double)a + (double)b * v * v) * v;
            want[i] = (float)((gate ? v : 1.0) / (1.0 + exp(-z)));
        }
        for (int round = 0; round < ROUNDS; round++) {
            size_t n = round == 0 ? 2 * FINE : length(p, round);
            memset(y, 0, 2 * FINE * sizeof *y);
            t->sigmoid(n, a, b, gate, x, y);
            check_close(n, y, want, 1e-6, "sigmoid");
            ck_assert(n == 2 * FINE || y[n] == 0.0f);
        }
        t->sigmoid(2 * FINE, a, b, gate, x, x);
        check_close(2 * FINE, x, want, 1e-6, "sigmoid in place");
        float sick = NAN;
        t->sigmoid(1, a, b, gate, &sick, &sick);
        ck_assert_float_nan(sick);
        pool_end(p);
    }
}

static void slot_relu(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float cap = round & 1 ? 6.0f : INFINITY;
        float *x = pool_take(p, n, -9.0f, 9.0f), *y = pool_take(p, n, 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++) want[i] = fminf(fmaxf(x[i], 0.0f), cap);
        t->relu(n, cap, x, y);
        check_close(n, y, want, 0.0, "relu");
        pool_end(p);
    }
}

static void slot_relu_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float cap = round & 1 ? 6.0f : INFINITY;
        float *x = pool_take(p, n, -9.0f, 9.0f), *dy = pool_take(p, n, -1.0f, 1.0f);
        float *dx = pool_take(p, n, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        if (n > 2) x[0] = 0.0f, x[1] = 6.0f;
        for (size_t i = 0; i < n; i++) want[i] = x[i] > 0.0f && x[i] < cap ? dy[i] : 0.0f;
        t->relu_bwd(n, cap, x, dy, dx);
        check_close(n, dx, want, 0.0, "relu_bwd");
        pool_end(p);
    }
}

static void slot_leaky_relu(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float *x = pool_take(p, n, -9.0f, 9.0f), *y = pool_take(p, n, 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++) want[i] = fmaxf(x[i], 0.0f) + 0.2f * fminf(x[i], 0.0f);
        t->leaky_relu(n, 0.2f, x, y);
        check_close(n, y, want, 0.0, "leaky_relu");
        pool_end(p);
    }
    float sick = NAN;
    t->leaky_relu(1, 0.2f, &sick, &sick);
    ck_assert_float_nan(sick);
}

static void slot_leaky_relu_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = length(p, round);
        float *x = pool_take(p, n, -9.0f, 9.0f), *dy = pool_take(p, n, -1.0f, 1.0f);
        float *dx = pool_take(p, n, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        if (n > 0) x[0] = 0.0f;
        for (size_t i = 0; i < n; i++) want[i] = (x[i] > 0.0f ? 1.0f : 0.2f) * dy[i];
        t->leaky_relu_bwd(n, 0.2f, x, dy, dx);
        check_close(n, dx, want, 0.0, "leaky_relu_bwd");
        pool_end(p);
    }
}

const slot_test elementwise_slots[] = {
    SLOT(add),        SLOT(axpy),           SLOT(scale),    SLOT(gelu),
    SLOT(gelu_bwd),   SLOT(sigmoid),        SLOT(relu),     SLOT(relu_bwd),
    SLOT(leaky_relu), SLOT(leaky_relu_bwd), {NULL, 0, NULL}};
