/* Softmax, LayerNorm and column reductions against sums in double. */
#include "kernel/support.h"

enum { ROUNDS = 40 };

static void shape(pool *p, int round, int64_t *rows, int64_t *cols)
{
    *rows = pool_extent(p, 1, 9);
    *cols = round < 35 ? round + 1 : pool_extent(p, 36, 300);
}

static void slot_softmax(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols);
        float spread = round % 3 ? 10.0f : 300.0f;
        float *x = pool_take(p, n, -spread, spread), *y = pool_take(p, n, 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f);
        for (int64_t r = 0; r < rows; r++) {
            double top = -INFINITY, sum = 0.0;
            for (int64_t c = 0; c < cols; c++) top = fmax(top, 0.7 * (double)x[r * cols + c]);
            for (int64_t c = 0; c < cols; c++) sum += exp(0.7 * (double)x[r * cols + c] - top);
            for (int64_t c = 0; c < cols; c++)
                want[r * cols + c] = (float)(exp(0.7 * (double)x[r * cols + c] - top) / sum);
        }
        t->softmax(rows, cols, 0.7f, x, y);
        check_close(n, y, want, round % 3 ? 3e-6 : 6e-5, "softmax"); /* |0.7 x| in float */
        t->softmax(rows, cols, 0.7f, x, x);
        check_close(n, x, y, 0.0, "softmax in place");
        pool_end(p);
    }
    float lone[3] = {-INFINITY, 2.0f, -INFINITY};
    t->softmax(1, 3, 1.0f, lone, lone);
    ck_assert(lone[0] == 0.0f && lone[1] == 1.0f && lone[2] == 0.0f);
    float sick[40] = {0};
    sick[37] = NAN;
    t->softmax(1, 40, 1.0f, sick, sick);
    ck_assert_float_nan(sick[0]);
}

static void slot_softmax_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols);
        float *y = pool_take(p, n, 0.0f, 1.0f), *dy = pool_take(p, n, -1.0f, 1.0f);
        float *dx = pool_take(p, n, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        for (int64_t r = 0; r < rows; r++) {
            const float *a = y + r * cols, *b = dy + r * cols;
            double dot = 0.0;
            for (int64_t c = 0; c < cols; c++) dot += (double)a[c] * (double)b[c];
            for (int64_t c = 0; c < cols; c++)
                want[r * cols + c] = (float)(0.7 * (double)a[c] * ((double)b[c] - dot));
        }
        t->softmax_bwd(rows, cols, 0.7f, y, dy, dx);
        check_close(n, dx, want, 4e-6, "softmax_bwd");
        t->softmax_bwd(rows, cols, 0.7f, y, dy, dy);
        check_close(n, dy, dx, 0.0, "softmax_bwd in place");
        pool_end(p);
    }
}

static void slot_layernorm(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols);
        float *x = pool_take(p, n, 2.0f, 5.0f), *y = pool_take(p, n, 0.0f, 1.0f);
        float *gamma = pool_take(p, (size_t)cols, 0.5f, 1.5f);
        float *beta = pool_take(p, (size_t)cols, -1.0f, 1.0f);
        float *stats = pool_take(p, (size_t)(2 * rows), 0.0f, 1.0f);
        float *want = pool_take(p, n, 0.0f, 1.0f);
        for (int64_t r = 0; r < rows; r++) {
            double mean = 0.0, var = 0.0;
            for (int64_t c = 0; c < cols; c++) mean += (double)x[r * cols + c] / (double)cols;
            for (int64_t c = 0; c < cols; c++)
                var += pow((double)x[r * cols + c] - mean, 2.0) / (double)cols;
            double rstd = 1.0 / sqrt(var + 1e-2);
            for (int64_t c = 0; c < cols; c++)
                want[r * cols + c] =
                    (float)(((double)x[r * cols + c] - mean) * rstd * (double)gamma[c] +
                            (double)beta[c]);
            stats[2 * r] = stats[2 * r + 1] = 0.0f;
        }
        t->layernorm(rows, cols, 1e-2f, x, gamma, beta, y, stats);
        check_close(n, y, want, 1e-5, "layernorm");
        for (int64_t r = 0; r < rows; r++) {
            double y0 = ((double)x[r * cols] - (double)stats[2 * r]) * (double)stats[2 * r + 1];
            check_number(y0 * (double)gamma[0] + (double)beta[0], (double)want[r * cols], 1e-5,
                         "layernorm stats");
        }
        pool_end(p);
    }
}

static void slot_layernorm_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols), w = (size_t)(2 * cols);
        float *x = pool_take(p, n, -2.0f, 2.0f), *dy = pool_take(p, n, -1.0f, 1.0f);
        float *gamma = pool_take(p, (size_t)cols, 0.5f, 1.5f);
        float *stats = pool_take(p, (size_t)(2 * rows), 0.5f, 1.5f);
        float *dx = pool_take(p, n, 0.0f, 1.0f), *dw = pool_take(p, w, 0.0f, 1.0f);
        float *want_dx = pool_take(p, n, 0.0f, 1.0f), *want_dw = pool_take(p, w, 0.0f, 1.0f);
        reference()->layernorm_bwd(rows, cols, x, stats, gamma, dy, want_dx, want_dw);
        t->layernorm_bwd(rows, cols, x, stats, gamma, dy, dx, dw);
        check_close(n, dx, want_dx, 4e-6, "layernorm_bwd dx");
        check_close(w, dw, want_dw, 4e-6, "layernorm_bwd dgamma, dbeta");
        float *alone = pool_take(p, n, 0.0f, 1.0f);
        t->layernorm_bwd(rows, cols, x, stats, gamma, dy, alone, NULL);
        check_close(n, alone, dx, 0.0, "layernorm_bwd dx alone");
        pool_end(p);
    }
}

static void slot_col_sum(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        float *x = pool_take(p, (size_t)(rows * cols), -1.0f, 1.0f);
        float *out = pool_take(p, (size_t)cols, -1.0f, 1.0f);
        float *want = pool_copy(p, (size_t)cols, out);
        for (int64_t c = 0; c < cols; c++) {
            double sum = round & 1 ? (double)out[c] : 0.0;
            for (int64_t r = 0; r < rows; r++) sum += (double)x[r * cols + c];
            want[c] = (float)sum;
        }
        t->col_sum(rows, cols, x, round & 1, out);
        check_close((size_t)cols, out, want, 2e-6, "col_sum");
        pool_end(p);
    }
}

static void slot_col_scale(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols);
        float *x = pool_take(p, n, -1.0f, 1.0f), *y = pool_take(p, n, -1.0f, 1.0f);
        float *s = pool_take(p, (size_t)cols, -1.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++) want[i] = x[i] * s[i % (size_t)cols];
        t->col_scale(rows, cols, x, s, y);
        check_close(n, y, want, 0.0, "col_scale");
        pool_end(p);
    }
}

const slot_test row_slots[] = {SLOT(softmax),       SLOT(softmax_bwd), SLOT(layernorm),
                               SLOT(layernorm_bwd), SLOT(col_sum),     SLOT(col_scale),
                               {NULL, 0, NULL}};
