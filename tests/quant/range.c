/* Ranges of activations: the moving averages, and grids from them. */
#include "quant/range.h"

#include <math.h>
#include <stdlib.h>

#include "quant/cases.h"

static dfqi_range follow(dfqi_range_kind kind, float lo, float hi, int batches)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_range r = {0};
    float x[3] = {hi, 0.5f * (lo + hi), lo};
    for (int i = 0; i < batches; i++) dfqi_range_update(ctx, &r, kind, x, 3);
    dfqi_context_release(ctx);
    return r;
}

/* Golden vector 5 of ait.md. */
START_TEST(test_published)
{
    static const struct {
        int batches;
        double ratio;
    } rows[] = {{1, 1},          {2, 5.263158},   {3, 17.848126},  {4, 47.000039},
                {5, 103.538460}, {10, 1103.1833}, {21, 3945.1004}, {100, 3.63459},
                {120, 1.320437}, {200, 1.0000701}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfqi_range r = follow(DFQI_RANGE_PUBLISHED, -0.5f, 1.0f, rows[i].batches);
        ck_assert_double_eq_tol((double)r.hi, rows[i].ratio, 1e-5 * rows[i].ratio);
        ck_assert_double_eq_tol((double)r.lo, -0.5 * rows[i].ratio, 1e-5 * rows[i].ratio);
    }
    dfqi_range before = follow(DFQI_RANGE_PUBLISHED, 0, 1, 20);
    dfqi_range top = follow(DFQI_RANGE_PUBLISHED, 0, 1, 21);
    dfqi_range after = follow(DFQI_RANGE_PUBLISHED, 0, 1, 22);
    ck_assert(top.hi > before.hi && top.hi > after.hi);
}
END_TEST

START_TEST(test_mean)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_range r = {0};
    float x[2] = {-1, 3}, y[2] = {-3, 2};
    dfqi_range_update(ctx, &r, DFQI_RANGE_MEAN, x, 2);
    ck_assert(r.lo == -1 && r.hi == 3);
    dfqi_range_update(ctx, &r, DFQI_RANGE_MEAN, y, 2);
    ck_assert_float_eq_tol(r.lo, -1.2f, 1e-6f);
    ck_assert_float_eq_tol(r.hi, 2.9f, 1e-6f);
    for (int i = 0; i < 300; i++) dfqi_range_update(ctx, &r, DFQI_RANGE_MEAN, y, 2);
    ck_assert_float_eq_tol(r.lo, -3, 1e-5f);
    ck_assert_float_eq_tol(r.hi, 2, 1e-5f);
    dfqi_context_release(ctx);
}
END_TEST

/* Many chunks on several threads, the extremes anywhere; zeros of either sign. */
START_TEST(test_large)
{
    enum { N = 300000 };
    float *x = calloc(N, sizeof *x);
    for (int threads = 1; threads <= 3; threads++)
        for (int at = 0; at < N; at += 59999) {
            dfq_context *ctx = dfqt_context(threads);
            dfqi_range r = {0};
            for (int i = 0; i < N; i++) x[i] = i % 2 ? 0.0f : -0.0f;
            dfqi_range_update(ctx, &r, DFQI_RANGE_MEAN, x, N);
            ck_assert(r.lo == 0 && r.hi == 0 && !signbit(r.lo) && !signbit(r.hi));
            x[at] = -2;
            x[N - 1 - at] = 5;
            r = (dfqi_range){0};
            dfqi_range_update(ctx, &r, DFQI_RANGE_MEAN, x, N);
            ck_assert(r.lo == -2 && r.hi == 5);
            dfqi_context_release(ctx);
        }
    free(x);
}
END_TEST

START_TEST(test_grid)
{
    dfqi_range r = {.lo = 0, .hi = 3, .seen = 1};
    float step, zero;
    dfqi_range_grid(&r, 4, &step, &zero); /* golden vector 2 */
    ck_assert(step == 3.0f / 15.0f && zero == -8.0f);
    r.lo = -1;
    dfqi_range_grid(&r, 8, &step, &zero); /* z = rint(-63.75) + 128 */
    ck_assert(step == 4.0f / 255.0f && zero == -64.0f);
    r.lo = r.hi = 0;
    dfqi_range_grid(&r, 2, &step, &zero);
    ck_assert(step == 1e-8f / 3.0f && zero == -2.0f);
}
END_TEST

TCase *dfqt_range_case(void)
{
    TCase *c = tcase_create("range");
    tcase_add_test(c, test_published);
    tcase_add_test(c, test_mean);
    tcase_add_test(c, test_large);
    tcase_add_test(c, test_grid);
    return c;
}
