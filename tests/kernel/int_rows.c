/* Float rows that become codes: the floats are those of the float table, so the codes are those of
 * the simulation. */
#include "kernel/int_support.h"

enum { ROUNDS = 60, MOST = 400 };

typedef struct rows {
    int64_t rows, cols, ld, ldq;
    int bits;
    float *x, *scale, *want_scale;
    uint8_t *q, *want;
    int32_t *zero_point, *want_zero_point;
} rows;

static rows take_rows(pages *p, int round)
{
    rows r = {.rows = draw(p, 1, 9), .cols = draw(p, 1, MOST), .bits = 2 + round % 7};
    size_t n = (size_t)r.rows;
    r.ld = r.cols + draw(p, 0, 9);
    r.ldq = r.cols + draw(p, 0, 9);
    r.x = take_floats(p, (size_t)((r.rows - 1) * r.ld + r.cols), -4.0f, 4.0f);
    if (round % 5 == 0) r.x[draw(p, 0, r.rows - 1) * r.ld] = round % 2 ? NAN : 1e38f;
    if (round % 7 == 0) r.x[draw(p, 0, r.rows - 1) * r.ld] = INFINITY;
    r.scale = take_floats(p, n, 0.0f, 1.0f);
    r.want_scale = take_floats(p, n, 0.0f, 1.0f);
    r.q = take_bytes(p, (size_t)((r.rows - 1) * r.ldq + r.cols), 99, 99);
    r.want = take_bytes(p, (size_t)((r.rows - 1) * r.ldq + r.cols), 99, 99);
    r.zero_point = take_ints(p, n, 0, 9);
    r.want_zero_point = take_ints(p, n, 0, 9);
    return r;
}

static void want_row(const dfqi_int_kernels *t, const rows *r, int64_t i, const float *y)
{
    t->quantize_rows(1, r->cols, r->bits, y, r->cols, r->want + i * r->ldq, r->ldq,
                     r->want_scale + i, r->want_zero_point + i);
}

static void check_rows(const dfqi_int_kernels *t, const rows *r)
{
    size_t n = (size_t)r->rows;
    same_floats(n, r->scale, r->want_scale, t->name);
    ck_assert_mem_eq(r->zero_point, r->want_zero_point, n * sizeof *r->zero_point);
    same_bytes((n - 1) * (size_t)r->ldq + (size_t)r->cols, r->q, r->want, t->name);
}

START_TEST(test_layernorm)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        rows r = take_rows(&p, round);
        float *gamma = take_floats(&p, (size_t)r.cols, -2.0f, 2.0f), y[MOST], stats[2];
        float *beta = take_floats(&p, (size_t)r.cols, -1.0f, 1.0f);
        for (int64_t i = 0; i < r.rows; i++) {
            float_table(t)->layernorm(1, r.cols, 1e-6f, r.x + i * r.ld, gamma, beta, y, stats);
            want_row(t, &r, i, y);
        }
        t->layernorm(r.rows, r.cols, 1e-6f, r.x, r.ld, gamma, beta, r.bits, r.q, r.ldq, r.scale,
                     r.zero_point, take_floats(&p, (size_t)r.cols, 0.0f, 1.0f));
        check_rows(t, &r);
        pages_end(&p);
    }
}
END_TEST

START_TEST(test_gelu)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        rows r = take_rows(&p, round);
        float y[MOST];
        for (int64_t i = 0; i < r.rows; i++) {
            float_table(t)->gelu((size_t)r.cols, r.x + i * r.ld, y);
            want_row(t, &r, i, y);
        }
        t->gelu(r.rows, r.cols, r.x, r.ld, r.bits, r.q, r.ldq, r.scale, r.zero_point,
                take_floats(&p, (size_t)r.cols, 0.0f, 1.0f));
        check_rows(t, &r);
        pages_end(&p);
    }
}
END_TEST

START_TEST(test_softmax)
{
    const dfqi_int_kernels *t = int_table(_i);
    pages p = pages_begin((uint64_t)_i);
    for (int round = 0; round < ROUNDS; round++) {
        rows r = take_rows(&p, round);
        float y[MOST], factor = round % 3 ? 0.125f : 20.0f;
        for (int64_t i = 0; i < r.rows; i++) {
            float_table(t)->softmax(1, r.cols, factor, r.x + i * r.ld, y);
            want_row(t, &r, i, y);
            ck_assert_int_eq(r.want_zero_point[i], 0);
            r.zero_point[i] = 0;
        }
        t->softmax(r.rows, r.cols, factor, r.x, r.ld, r.bits, r.q, r.ldq, r.scale);
        check_rows(t, &r);
        pages_end(&p);
    }
}
END_TEST

TCase *dfqt_int_rows_case(void)
{
    TCase *c = tcase_create("rows");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_layernorm, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_gelu, 0, DFQT_INT_TABLES);
    tcase_add_loop_test(c, test_softmax, 0, DFQT_INT_TABLES);
    return c;
}
