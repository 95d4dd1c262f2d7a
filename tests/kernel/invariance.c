/* A row comes out with the same bits whatever rows are computed beside it, and so does a second
 * run: that is what lets callers slice work over threads. */
#include <sys/resource.h>

#include "kernel/support.h"
#include "support/skip.h"

/* Calls body(t, arg, begin, count) for random slices that cover n rows. */
typedef void (*slice_fn)(const dfqi_kernels *t, void *arg, int64_t begin, int64_t count,
                         float *out);

static void check_slices(const dfqi_kernels *t, pool *p, slice_fn body, void *arg, int64_t rows,
                         int64_t cols, const char *what)
{
    size_t n = (size_t)(rows * cols);
    float *whole = pool_take(p, n, 0.0f, 1.0f), *parts = pool_take(p, n, 0.0f, 1.0f);
    body(t, arg, 0, rows, whole);
    body(t, arg, 0, rows, parts);
    ck_assert_msg(memcmp(whole, parts, n * sizeof *whole) == 0, "%s %s: two runs differ", t->name,
                  what);
    for (int round = 0; round < 6; round++) {
        memset(parts, 0, n * sizeof *parts);
        for (int64_t at = 0; at < rows;) {
            int64_t count = pool_extent(p, 1, round < 3 ? 7 : 40);
            if (count > rows - at) count = rows - at;
            body(t, arg, at, count, parts + at * cols);
            at += count;
        }
        ck_assert_msg(memcmp(whole, parts, n * sizeof *whole) == 0, "%s %s: slices differ", t->name,
                      what);
    }
}

typedef struct problem {
    int64_t k, n, m;
    float *a, *b, *bias, *packed, *scratch, *base;
} problem;

static void run_gemm(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->gemm(0, m, q->n, q->k, q->a + i * q->k, q->k, q->b, q->n, 0, out, q->n);
}

static void run_gemm_trans(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    memcpy(out, q->base + i * q->n, (size_t)(m * q->n) * sizeof *out);
    t->gemm(1, m, q->n, q->k, q->a + i, q->m, q->b, q->n, 1, out, q->n);
}

static void run_gemm_packed(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->gemm_packed(m, q->n, q->k, q->a + i * q->k, q->k, q->packed, q->bias, out, q->n);
}

static void run_gemm_nt(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->gemm_nt(m, q->n, q->k, q->a + i * q->k, q->k, q->b, q->k, out, q->n, q->scratch);
}

static problem make_problem(pool *p, int64_t m, int64_t n, int64_t k)
{
    problem q = {.k = k, .n = n, .m = m};
    q.a = pool_take(p, (size_t)(m * k), -1.0f, 1.0f);
    q.b = pool_take(p, (size_t)(n * k), -1.0f, 1.0f);
    q.bias = pool_take(p, (size_t)n, -1.0f, 1.0f);
    q.base = pool_take(p, (size_t)(m * n), -1.0f, 1.0f);
    q.packed = pool_take(p, dfqi_packed_floats(k, n), 0.0f, 1.0f);
    q.scratch = pool_take(p, dfqi_packed_floats(k, n), 0.0f, 1.0f);
    return q;
}

START_TEST(test_products)
{
    static const int64_t n[] = {64, 5, 13, 16, 17, 33, 70, 197};
    static const int64_t k[] = {64, 3, 197, 770};
    need_table(_i);
    const dfqi_kernels *t = table(_i);
    for (size_t s = 0; s < 32; s++) {
        pool p = pool_begin(s);
        problem q = make_problem(&p, 61, n[s % 8], k[s / 8]);
        if (s % 2 == 0) q.bias = NULL;
        t->pack(0, q.k, q.n, q.b, q.n, q.packed);
        check_slices(t, &p, run_gemm, &q, q.m, q.n, "gemm");
        check_slices(t, &p, run_gemm_trans, &q, q.m, q.n, "gemm, transposed");
        check_slices(t, &p, run_gemm_packed, &q, q.m, q.n, "gemm_packed");
        check_slices(t, &p, run_gemm_nt, &q, q.m, q.n, "gemm_nt");
        pool_end(&p);
    }
}
END_TEST

/* libxsmm makes code at the first product of a shape. Where the system refuses memory for it, the
 * result is the same. (BLIS ends the process where it gets none.) */
START_TEST(test_no_memory_for_code)
{
    static const int64_t shapes[][3] = {{61, 197, 197}, {7, 5, 13}, {24, 64, 770}, {11, 16, 150}};
    static const slice_fn calls[] = {run_gemm, run_gemm_trans, run_gemm_packed, run_gemm_nt};
    struct rlimit usual, none;
    const dfqi_kernels *t = NULL;
    for (int i = 0; i < n_tables() && !t; i++)
        if (strstr(table(i)->name, "libxsmm")) t = table(i);
    if (!t) dfqt_skip("no libxsmm");
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &usual), 0);
    none = usual;
    none.rlim_cur = 1 << 20;
    for (size_t s = 0; s < 16; s++) {
        pool p = pool_begin(s);
        problem q = make_problem(&p, shapes[s / 4][0], shapes[s / 4][1], shapes[s / 4][2]);
        size_t count = (size_t)(q.m * q.n);
        float *without = pool_take(&p, count, 0.0f, 1.0f), *with = pool_take(&p, count, 0.0f, 1.0f);
        t->pack(0, q.k, q.n, q.b, q.n, q.packed);
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &none), 0);
        calls[s % 4](t, &q, 0, q.m, without);
        ck_assert_int_eq(setrlimit(RLIMIT_AS, &usual), 0);
        calls[s % 4](t, &q, 0, q.m, with);
        ck_assert_msg(memcmp(with, without, count * sizeof *with) == 0, "%s, case %zu", t->name, s);
        pool_end(&p);
    }
}
END_TEST

static void run_softmax(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->softmax(m, q->n, 0.3f, q->a + i * q->n, out);
}

static void run_softmax_bwd(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->softmax_bwd(m, q->n, 0.3f, q->a + i * q->n, q->b + i * q->n, out);
}

static void run_layernorm(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->layernorm(m, q->n, 1e-6f, q->a + i * q->n, q->bias, q->bias, out, q->scratch + 2 * i);
}

static void run_layernorm_bwd(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->layernorm_bwd(m, q->n, q->a + i * q->n, q->scratch + 2 * i, q->bias, q->b + i * q->n, out,
                     NULL);
}

static void run_col_affine(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->col_affine(m, q->n, q->a + i * q->n, q->bias, q->bias, q->bias, out);
}

/* One column a row: any split of an elementwise call. */
static void run_gelu(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->gelu((size_t)(m * q->n), q->a + i * q->n, out);
}

static void run_gelu_bwd(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    t->gelu_bwd((size_t)(m * q->n), q->a + i * q->n, q->b + i * q->n, out);
}

static void run_axpy(const dfqi_kernels *t, void *arg, int64_t i, int64_t m, float *out)
{
    const problem *q = arg;
    memcpy(out, q->b + i * q->n, (size_t)(m * q->n) * sizeof *out);
    t->axpy((size_t)(m * q->n), 0.3f, q->a + i * q->n, out);
}

START_TEST(test_rows)
{
    need_table(_i);
    const dfqi_kernels *t = table(_i);
    for (int64_t n = 1; n < 70; n += 11) {
        pool p = pool_begin((uint64_t)n);
        problem q = {.n = n, .m = 61};
        q.a = pool_take(&p, (size_t)(q.m * n), -3.0f, 3.0f);
        q.b = pool_take(&p, (size_t)(q.m * n), -1.0f, 1.0f);
        q.bias = pool_take(&p, (size_t)n, 0.5f, 1.5f);
        q.scratch = pool_take(&p, (size_t)(2 * q.m), 0.0f, 1.0f);
        check_slices(t, &p, run_softmax, &q, q.m, n, "softmax");
        check_slices(t, &p, run_softmax_bwd, &q, q.m, n, "softmax_bwd");
        check_slices(t, &p, run_layernorm, &q, q.m, n, "layernorm");
        check_slices(t, &p, run_layernorm_bwd, &q, q.m, n, "layernorm_bwd");
        check_slices(t, &p, run_col_affine, &q, q.m, n, "col_affine");
        check_slices(t, &p, run_gelu, &q, q.m, n, "gelu");
        check_slices(t, &p, run_gelu_bwd, &q, q.m, n, "gelu_bwd");
        check_slices(t, &p, run_axpy, &q, q.m, n, "axpy");
        pool_end(&p);
    }
}
END_TEST

TCase *dfqt_invariance_case(void)
{
    TCase *c = tcase_create("invariance");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_products, 0, DFQT_TABLES_MAX);
    tcase_add_test(c, test_no_memory_for_code);
    tcase_add_loop_test(c, test_rows, 0, DFQT_TABLES_MAX);
    return c;
}
