/* Matrix products of every table, ref included, against sums in double. */
#include <stdlib.h>

#include "kernel/support.h"

typedef struct matrix {
    const float *at;
    int64_t row, col; /* strides */
} matrix;

/* want = A B + bias (NULL: 0) + old (NULL: 0) */
static void expect(int64_t m, int64_t n, int64_t k, matrix a, matrix b, const float *bias,
                   const float *old, int64_t ld, float *want)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = bias ? (double)bias[j] : 0.0;
            if (old) sum += (double)old[i * ld + j];
            for (int64_t p = 0; p < k; p++)
                sum += (double)a.at[i * a.row + p * a.col] * (double)b.at[p * b.row + j * b.col];
            want[i * ld + j] = (float)sum;
        }
}

/* Rounding of a float sum of k products of numbers below 1. */
static double bound(int64_t k)
{
    return 2e-6 +
           5e-8 * (double)k; /* in order, so a partial sum of size sqrt(k) is rounded k times */
}

static const int64_t fixed[][3] = {{1, 1, 1},      {24, 64, 64},  {197, 197, 64}, {197, 64, 197},
                                   {48, 40, 2000}, {6, 5, 1},     {25, 129, 770}, {3, 81, 0},
                                   {70, 600, 400}, {405, 20, 520}};
enum { N_FIXED = sizeof fixed / sizeof fixed[0], N_ROUNDS = N_FIXED + 24 };

static void shape(pool *p, int round, int64_t *m, int64_t *n, int64_t *k)
{
    *m = round < N_FIXED ? fixed[round][0] : pool_extent(p, 1, 60);
    *n = round < N_FIXED ? fixed[round][1] : pool_extent(p, 1, 150);
    *k = round < N_FIXED ? fixed[round][2] : pool_extent(p, 1, 100);
}

static void slot_gemm(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t m, n, k;
        shape(p, round, &m, &n, &k);
        for (int mode = 0; mode < 4; mode++) {
            int trans = mode & 1, accumulate = mode >> 1;
            int64_t lda = (trans ? m : k) + pool_extent(p, 0, 5) + 1;
            int64_t ldb = n + pool_extent(p, 0, 5);
            int64_t ldc = n + pool_extent(p, 0, 5);
            float *a = pool_take(p, (size_t)((trans ? k : m) * lda), -1.0f, 1.0f);
            float *b = pool_take(p, (size_t)(k * ldb), -1.0f, 1.0f);
            float *c = pool_take(p, (size_t)(m * ldc), -1.0f, 1.0f);
            float *want = pool_copy(p, (size_t)(m * ldc), c);
            matrix left = {a, trans ? 1 : lda, trans ? lda : 1};
            matrix right = {b, ldb, 1};
            expect(m, n, k, left, right, NULL, accumulate ? want : NULL, ldc, want);
            t->gemm(trans, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
            check_close((size_t)(m * ldc), c, want, bound(k), "gemm");
            pool_end(p);
        }
    }
}

static void slot_pack(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t m, n, k;
        shape(p, round, &m, &n, &k);
        int trans = round & 1;
        int64_t ld = (trans ? k : n) + pool_extent(p, 0, 5) + 1;
        size_t size = dfqi_packed_floats(k, n);
        float *b = pool_take(p, (size_t)((trans ? n : k) * ld), -1.0f, 1.0f);
        float *out = pool_take(p, size, -1.0f, 1.0f);
        float *want = pool_take(p, size, 0.0f, 0.0f);
        for (int64_t j = 0; j < n; j++)
            for (int64_t q = 0; q < k; q++)
                want[j / 64 * k * 64 + q * 64 + j % 64] = trans ? b[j * ld + q] : b[q * ld + j];
        t->pack(trans, k, n, b, ld, out);
        check_close(size, out, want, 0.0, "pack");
        pool_end(p);
    }
}

static void slot_gemm_packed(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t m, n, k;
        shape(p, round, &m, &n, &k);
        int64_t lda = k + pool_extent(p, 0, 5) + 1;
        int64_t ldc = n + pool_extent(p, 0, 5);
        float *a = pool_take(p, (size_t)(m * lda), -1.0f, 1.0f);
        float *b = pool_take(p, (size_t)(k * n), -1.0f, 1.0f);
        float *packed = pool_take(p, dfqi_packed_floats(k, n), 0.0f, 1.0f);
        float *bias = round & 1 ? pool_take(p, (size_t)n, -1.0f, 1.0f) : NULL;
        float *c = pool_take(p, (size_t)(m * ldc), -1.0f, 1.0f);
        float *want = pool_copy(p, (size_t)(m * ldc), c);
        matrix left = {a, lda, 1};
        matrix right = {b, n, 1};
        expect(m, n, k, left, right, bias, NULL, ldc, want);
        t->pack(0, k, n, b, n, packed);
        t->gemm_packed(m, n, k, a, lda, packed, bias, c, ldc);
        check_close((size_t)(m * ldc), c, want, bound(k), "gemm_packed");
        pool_end(p);
    }
}

static void slot_gemm_nt(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t m, n, k;
        shape(p, round, &m, &n, &k);
        int64_t lda = k + pool_extent(p, 0, 5) + 1;
        int64_t ldb = k + pool_extent(p, 0, 5) + 1;
        int64_t ldc = n + pool_extent(p, 0, 5);
        float *a = pool_take(p, (size_t)(m * lda), -1.0f, 1.0f);
        float *b = pool_take(p, (size_t)(n * ldb), -1.0f, 1.0f);
        float *scratch = pool_take(p, dfqi_packed_floats(k, n), 0.0f, 1.0f);
        float *c = pool_take(p, (size_t)(m * ldc), -1.0f, 1.0f);
        float *want = pool_copy(p, (size_t)(m * ldc), c);
        matrix left = {a, lda, 1};
        matrix right = {b, 1, ldb};
        expect(m, n, k, left, right, NULL, NULL, ldc, want);
        t->gemm_nt(m, n, k, a, lda, b, ldb, c, ldc, scratch);
        check_close((size_t)(m * ldc), c, want, bound(k), "gemm_nt");
        pool_end(p);
    }
}

static double *doubles(pool *p, int64_t n)
{
    double *x = malloc(((size_t)n + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t i = 0; i < n; i++) x[i] = (double)dfqi_rng_range(&p->rng, -1, 1) / 3.0;
    return x;
}

/* In float the sums would be off by 1e-7; rows are longer than their content. */
static void slot_minus_nt(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t m, n, k;
        shape(p, round, &m, &n, &k);
        int64_t lda = k + pool_extent(p, 0, 5), ldb = k + pool_extent(p, 0, 5), ldc = n + 3;
        double *a = doubles(p, m * lda), *b = doubles(p, n * ldb), *c = doubles(p, m * ldc);
        double *want = doubles(p, m * ldc);
        memcpy(want, c, (size_t)(m * ldc) * sizeof *c);
        for (int64_t i = 0; i < m * n; i++)
            for (int64_t q = 0; q < k; q++)
                want[i / n * ldc + i % n] -= a[i / n * lda + q] * b[i % n * ldb + q];
        t->minus_nt(m, n, k, a, lda, b, ldb, c, ldc);
        for (int64_t i = 0; i < m * ldc; i++) check_number(c[i], want[i], 1e-13, "minus_nt");
        free(a);
        free(b);
        free(c);
        free(want);
    }
}

const slot_test product_slots[] = {SLOT(gemm),    SLOT(pack),     SLOT(gemm_packed),
                                   SLOT(gemm_nt), SLOT(minus_nt), {NULL, 0, NULL}};
