/* Fake quantization on grids of rows: values and grids must be those of the definition to the
 * bit. */
#include <float.h>

#include "kernel/support.h"

enum { ROUNDS = 60 };

typedef struct rows {
    int64_t rows, cols;
    size_t n;
    int bits, is_signed;
    float *x;
} rows;

/* Rows of every sign, with values on ties between codes; some of zeros, constants and denormals. */
static rows make(pool *p, int round)
{
    static const float lows[] = {-3.0f, 0.0f, 0.5f, -2.0f}, highs[] = {3.0f, 1.0f, 2.0f, -0.5f};
    rows q = {.rows = pool_extent(p, 1, 9), .cols = round < 40 ? round + 1 : 300};
    q.n = (size_t)(q.rows * q.cols);
    q.bits = 2 + round % 7;
    q.is_signed = round % 2;
    q.x = pool_take(p, q.n, lows[round % 4], highs[round % 4]);
    int64_t top = (1 << (q.bits - q.is_signed)) - 1;
    for (int64_t r = 0; r < q.rows; r++) {
        float *x = q.x + r * q.cols;
        for (int64_t c = 0; c < q.cols && r % 3 == 1; c++) /* the scale is 1/8: halves are exact */
            x[c] = (float)pool_extent(p, 0, 2 * top) / 16.0f;
        if (r % 3 == 1) x[q.cols / 2] = (float)top / 8.0f;
        for (int64_t c = 0; c < q.cols && r == 3; c++) x[c] = 0.0f;
        for (int64_t c = 0; c < q.cols && r == 4; c++) x[c] = round % 3 ? 0.7f : -0.7f;
        for (int64_t c = 0; c < q.cols && r == 6; c++) x[c] *= 1e-38f;
        for (int64_t c = 0; c < q.cols && r == 7; c++) x[c] *= 1e-36f;
    }
    return q;
}

/* docs/METHODS.md, Grids of rows. */
typedef struct definition {
    float lo, hi, scale, zero_point, qmin, qmax;
    bool zeros;
} definition;

static definition define(const rows *q, int64_t r)
{
    definition d = {.qmax = ldexpf(1.0f, q->bits - q->is_signed) - 1.0f};
    for (int64_t c = 0; c < q->cols; c++) {
        d.lo = fminf(d.lo, q->x[r * q->cols + c]);
        d.hi = fmaxf(d.hi, q->x[r * q->cols + c]);
    }
    d.scale = (q->is_signed ? fmaxf(-d.lo, d.hi) : d.hi - d.lo) / d.qmax;
    d.zeros = d.scale < FLT_MIN;
    if (d.zeros) d.scale = 1.0f;
    d.qmin = q->is_signed ? -d.qmax : 0.0f;
    d.zero_point = q->is_signed ? 0.0f : rintf(-d.lo / d.scale);
    return d;
}

static float code(const definition *d, float x)
{
    return fminf(fmaxf(rintf(x / d->scale) + d->zero_point, d->qmin), d->qmax);
}

/* Of a long row the values are few: 2^bits at most. */
static void check_values(const rows *q, const float *y)
{
    float seen[256];
    int n = 0;
    for (int64_t c = 0; c < q->cols; c++) {
        int i = 0;
        while (i < n && seen[i] != y[c]) i++;
        ck_assert_int_lt(i, 1 << q->bits);
        if (i == n) seen[n++] = y[c];
    }
}

static void slot_fq_row(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        rows q = make(p, round);
        size_t k = (size_t)q.rows;
        float *y = pool_take(p, q.n, 0.0f, 1.0f), *want = pool_take(p, q.n, 0.0f, 1.0f);
        float *scale = pool_take(p, k, 0.0f, 1.0f), *zero_point = pool_take(p, k, 0.0f, 1.0f);
        t->fq_row(q.rows, q.cols, q.bits, q.is_signed, q.x, y, scale, zero_point);
        for (int64_t r = 0; r < q.rows; r++) {
            definition d = define(&q, r);
            ck_assert_float_eq(scale[r], d.scale);
            ck_assert_float_eq(zero_point[r], d.zero_point);
            ck_assert(zero_point[r] >= d.qmin && zero_point[r] <= d.qmax);
            for (int64_t c = 0; c < q.cols; c++)
                want[r * q.cols + c] = (code(&d, q.x[r * q.cols + c]) - d.zero_point) * d.scale;
            check_values(&q, y + r * q.cols);
        }
        check_close(q.n, y, want, 0.0, "fq_row");
        reference()->fq_row(q.rows, q.cols, q.bits, q.is_signed, q.x, want, NULL, NULL);
        ck_assert_mem_eq(y, want, q.n * sizeof *y);
        t->fq_row(q.rows, q.cols, q.bits, q.is_signed, q.x, q.x, NULL, NULL);
        ck_assert_mem_eq(q.x, want, q.n * sizeof *y);
        pool_end(p);
    }
    for (int i = 0; i < 5 * 2 * 40; i++) { /* what is not finite spoils its row, no other */
        static const float odd[] = {NAN, INFINITY, -INFINITY, -FLT_MAX, FLT_MAX};
        int64_t cols = i / 10 + 2;
        size_t n = 3 * (size_t)cols;
        float *x = pool_take(p, n, -1.0f, 1.0f), *y = pool_take(p, n, 0.0f, 1.0f), scale[3];
        x[cols + pool_extent(p, 0, cols - 1)] = odd[i % 5];
        if (i % 5 == 3) memset(x + cols, 0, sizeof *x * (size_t)cols);
        if (i % 5 == 3) x[cols] = -FLT_MAX, x[cols + 1] = FLT_MAX;
        t->fq_row(3, cols, 4, i / 5 % 2, x, y, scale, NULL);
        bool overflows = i % 5 < 3 || (i % 5 == 3 && i / 5 % 2 == 0);
        for (size_t k = 0; k < n; k++)
            ck_assert_msg((y[k] != y[k]) == (overflows && k / (size_t)cols == 1), "%s: case %d",
                          t->name, i);
        ck_assert_int_eq(isnan(scale[1]) != 0, overflows);
        pool_end(p);
    }
}

static void slot_fq_row_bwd(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        rows q = make(p, round);
        float *dy = pool_take(p, q.n, -1.0f, 1.0f), *dx = pool_take(p, q.n, 0.0f, 1.0f);
        float *want = pool_copy(p, q.n, dy);
        for (int64_t r = 0; r < q.rows; r++) {
            definition d = define(&q, r);
            const float *x = q.x + r * q.cols;
            double e = 0;
            for (int64_t c = 0; c < q.cols; c++)
                e +=
                    (double)(dy[r * q.cols + c] * (code(&d, x[c]) - d.zero_point - x[c] / d.scale));
            float slope = d.zeros ? 0.0f : (float)e / d.qmax;
            int high = d.hi > 0 && (!q.is_signed || d.hi >= -d.lo);
            int low = d.lo < 0 && !(q.is_signed && high);
            for (int64_t c = 0; c < q.cols; c++) { /* the first of equal ones */
                if (high && x[c] == d.hi) want[r * q.cols + c] += slope, high = 0;
                if (low && x[c] == d.lo) want[r * q.cols + c] -= slope, low = 0;
            }
        }
        t->fq_row_bwd(q.rows, q.cols, q.bits, q.is_signed, q.x, dy, dx);
        check_close(q.n, dx, want, 1e-5, "fq_row_bwd");
        t->fq_row_bwd(q.rows, q.cols, q.bits, q.is_signed, q.x, dy, dy);
        ck_assert_mem_eq(dy, dx, q.n * sizeof *dx);
        pool_end(p);
    }
    float sick[4] = {1.0f, NAN, 2.0f, INFINITY}, dy[4] = {1.0f, 2.0f, 3.0f, 4.0f}, dx[4];
    t->fq_row_bwd(2, 2, 4, 0, sick, dy, dx);
    ck_assert_mem_eq(dx, dy, sizeof dx);
}

const slot_test quant_row_slots[] = {SLOT(fq_row), SLOT(fq_row_bwd), {NULL, 0, NULL}};
