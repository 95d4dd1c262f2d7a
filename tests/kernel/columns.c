/* Slots on the columns of long matrices, against sums in double. */
#include "kernel/support.h"

enum { ROUNDS = 40 };

/* Few and many rows: one block of a vector kernel, several, and a rest. */
static void shape(pool *p, int round, int64_t *rows, int64_t *cols)
{
    *rows = round % 4 ? pool_extent(p, 1, 70) : pool_extent(p, 71, 400);
    *cols = round < 35 ? round + 1 : pool_extent(p, 36, 150);
}

static void slot_col_affine(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols), w = (size_t)cols;
        float *x = pool_take(p, n, 5.0f, 9.0f), *center = pool_take(p, w, 5.0f, 9.0f);
        float *s = pool_take(p, w, -2.0f, 2.0f), *shift = pool_take(p, w, -1.0f, 1.0f);
        float *y = pool_take(p, n, 0.0f, 1.0f), *want = pool_take(p, n, 0.0f, 1.0f);
        for (size_t i = 0; i < n; i++)
            want[i] = (float)(((double)x[i] - (double)center[i % w]) * (double)s[i % w] +
                              (double)shift[i % w]);
        t->col_affine(rows, cols, x, center, s, shift, y);
        check_close(n, y, want, 1e-6, "col_affine");
        pool_end(p);
    }
}

/* Far from 0, so that a difference of large sums would show. */
static void slot_col_moments(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t w = (size_t)cols;
        float *x = pool_take(p, (size_t)(rows * cols), 99.0f, 101.0f);
        float *mean = pool_take(p, w, 0.0f, 1.0f), *square = pool_take(p, w, 0.0f, 1.0f);
        t->col_moments(rows, cols, x, mean, square);
        for (int64_t c = 0; c < cols; c++) {
            double m = 0.0, q = 0.0;
            for (int64_t r = 0; r < rows; r++) m += (double)x[r * cols + c] / (double)rows;
            for (int64_t r = 0; r < rows; r++) q += pow((double)x[r * cols + c] - m, 2.0);
            check_number((double)mean[c], m, 4e-7, "col_moments mean");
            check_number((double)square[c], q, 1e-5, "col_moments square");
        }
        pool_end(p);
    }
}

static void slot_col_dots(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t rows, cols;
        shape(p, round, &rows, &cols);
        size_t n = (size_t)(rows * cols), w = (size_t)cols;
        float *x = pool_take(p, n, 5.0f, 7.0f), *center = pool_take(p, w, 5.0f, 7.0f);
        float *dy = pool_take(p, n, -1.0f, 1.0f);
        float *dot = pool_take(p, w, 0.0f, 1.0f), *sum = pool_take(p, w, 0.0f, 1.0f);
        t->col_dots(rows, cols, x, center, dy, dot, sum);
        for (int64_t c = 0; c < cols; c++) {
            double dots = 0.0, sums = 0.0;
            for (int64_t r = 0; r < rows; r++) {
                double d = (double)dy[r * cols + c];
                dots += ((double)x[r * cols + c] - (double)center[c]) * d;
                sums += d;
            }
            check_number((double)dot[c], dots, 2e-5, "col_dots dot");
            check_number((double)sum[c], sums, 2e-5, "col_dots sum");
        }
        pool_end(p);
    }
}

const slot_test column_slots[] = {
    SLOT(col_affine), SLOT(col_moments), SLOT(col_dots), {NULL, 0, NULL}};
