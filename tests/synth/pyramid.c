/* Scales of images: interpolation against its definition, and its adjoint. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "synth/cases.h"
#include "synth/pyramid.h"

enum { SIDE = 16, PIXELS = SIDE * SIDE, PLANES = 2, FLOATS = PIXELS + 64 + 16 };

START_TEST(test_layout)
{
    ck_assert_int_eq(dfqi_pyramid_make(224, 6).scales, 6);
    ck_assert_int_eq(dfqi_pyramid_make(224, 16).scales, 6); /* 7 is odd */
    ck_assert_int_eq(dfqi_pyramid_make(32, 16).scales, 4);  /* 4 is the least */
    ck_assert_int_eq(dfqi_pyramid_make(33, 6).scales, 1);
    ck_assert_int_eq(dfqi_pyramid_make(SIDE, 3).floats, FLOATS);
}
END_TEST

/* Bilinear interpolation of coarse[n][n] to 2n, half-pixel centres, edges repeated. */
static double sample(const float *coarse, int n, int y, int x)
{
    double v = (y + 0.5) / 2 - 0.5, u = (x + 0.5) / 2 - 0.5, sum = 0;
    int i = (int)floor(v), j = (int)floor(u);
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
            int r = i + a < 0 ? 0 : i + a > n - 1 ? n - 1 : i + a;
            int c = j + b < 0 ? 0 : j + b > n - 1 ? n - 1 : j + b;
            sum += (a ? v - i : 1 - v + i) * (b ? u - j : 1 - u + j) * (double)coarse[r * n + c];
        }
    return sum;
}

START_TEST(test_sum)
{
    float scales[PLANES * FLOATS], copy[PLANES * FLOATS], x[PLANES * PIXELS], was[PLANES * PIXELS];
    dfq_context *ctx = dfqt_context(2);
    dfqi_pyramid p = dfqi_pyramid_make(SIDE, 2); /* the definition above is of two scales */
    int floats = (int)p.floats;
    dfqi_rng r = dfqi_rng_make(1, 1);
    dfqi_rng_fill_normal(&r, scales, PLANES * FLOATS);
    dfqi_rng_fill_normal(&r, x, PLANES * PIXELS);
    memcpy(copy, scales, sizeof copy);
    memcpy(was, x, sizeof was);
    dfqi_pyramid_add(ctx, &p, PLANES, scales, 0.5f, x);
    for (int i = 0; i < PLANES * PIXELS; i++) {
        const float *plane = copy + i / PIXELS * floats;
        int y = i % PIXELS / SIDE, c = i % SIDE;
        double want = 0.5 * (double)was[i] + (double)plane[i % PIXELS] +
                      sample(plane + PIXELS, SIDE / 2, y, c);
        ck_assert_float_eq_tol(x[i], (float)want, 1e-5f);
    }
    dfq_context_release(ctx);
}
END_TEST

/* <sum of scales(d), g> = <d, split(g)> */
START_TEST(test_adjoint)
{
    float d[PLANES * FLOATS], copy[PLANES * FLOATS], split[PLANES * FLOATS];
    float x[PLANES * PIXELS], g[PLANES * PIXELS];
    double left = 0, right = 0;
    dfq_context *ctx = dfqt_context(2);
    dfqi_pyramid p = dfqi_pyramid_make(SIDE, 3);
    dfqi_rng r = dfqi_rng_make(2, 1);
    dfqi_rng_fill_normal(&r, d, PLANES * FLOATS);
    dfqi_rng_fill_normal(&r, g, PLANES * PIXELS);
    memcpy(copy, d, sizeof copy);
    memset(x, 0, sizeof x);
    dfqi_pyramid_split(ctx, &p, PLANES, g, split);
    dfqi_pyramid_add(ctx, &p, PLANES, d, 0, x);
    for (int i = 0; i < PLANES * PIXELS; i++) left += (double)x[i] * (double)g[i];
    for (int i = 0; i < PLANES * FLOATS; i++) right += (double)copy[i] * (double)split[i];
    ck_assert_double_eq_tol(left, right, 1e-4);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_pyramid_case(void)
{
    TCase *t = tcase_create("pyramid");
    tcase_add_test(t, test_layout);
    tcase_add_test(t, test_sum);
    tcase_add_test(t, test_adjoint);
    return t;
}
