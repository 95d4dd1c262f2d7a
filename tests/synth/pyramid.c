/* How images are moved: interpolation and colours against their definitions, and the adjoint. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "synth/cases.h"
#include "synth/pyramid.h"

enum { SIDE = 16, PIXELS = SIDE * SIDE, IMAGES = 2, PLANES = 3 * IMAGES };
enum { SCALES = 3, FLOATS = PIXELS + 64 + 16, OBLONG_FLOATS = 16 * 24 + 8 * 12 + 4 * 6 };

static const float scale_weights[SCALES] = {0.7f, 1.0f, 1.0f}; /* the finest first */
static const float colour_weights[3] = {1.2f, 0.4f, 0.4f};

START_TEST(test_layout)
{
    ck_assert_int_eq(dfqi_pyramid_make(dfqi_square(224), 1).scales, 6); /* 7 is odd */
    ck_assert_int_eq(dfqi_pyramid_make(dfqi_square(32), 1).scales, 4);  /* 4 is the least */
    ck_assert_int_eq(dfqi_pyramid_make(dfqi_square(33), 1).scales, 1);
    ck_assert_int_eq(dfqi_pyramid_make(dfqi_square(224), 0).scales, 1);
    ck_assert_int_eq(dfqi_pyramid_make(dfqi_square(SIDE), 1).floats, FLOATS);
    ck_assert_int_eq(dfqi_pyramid_make((dfqi_size){16, 24}, 1).floats, OBLONG_FLOATS);
    ck_assert_int_eq(dfqi_pyramid_make((dfqi_size){6, 24}, 1).scales, 1);
}
END_TEST

START_TEST(test_pixels)
{
    float g[PLANES * PIXELS], d[PLANES * PIXELS], x[PLANES * PIXELS];
    dfq_context *ctx = dfqt_context(2);
    dfqi_pyramid p = dfqi_pyramid_make(dfqi_square(SIDE), 0);
    dfqi_rng r = dfqi_rng_make(1, 1);
    dfqi_rng_fill_normal(&r, g, PLANES * PIXELS);
    for (int i = 0; i < PLANES * PIXELS; i++) x[i] = (float)i;
    dfqi_pyramid_split(ctx, &p, IMAGES, g, d);
    dfqi_pyramid_add(ctx, &p, IMAGES, d, 0.5f, x);
    for (int i = 0; i < PLANES * PIXELS; i++) ck_assert_float_eq(x[i], 0.5f * (float)i + g[i]);
    dfq_context_release(ctx);
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

/* Luminance at the second scale: interpolated, the same in all channels. */
START_TEST(test_luminance)
{
    static float d[PLANES * FLOATS], x[PLANES * PIXELS];
    float coarse[IMAGES][64];
    dfq_context *ctx = dfqt_context(2);
    dfqi_pyramid p = dfqi_pyramid_make(dfqi_square(SIDE), 1);
    dfqi_rng r = dfqi_rng_make(1, 1);
    for (int b = 0; b < IMAGES; b++) {
        dfqi_rng_fill_normal(&r, coarse[b], 64);
        memcpy(d + 3 * b * FLOATS + PIXELS, coarse[b], sizeof coarse[b]);
    }
    dfqi_pyramid_add(ctx, &p, IMAGES, d, 0, x);
    for (int i = 0; i < PLANES * PIXELS; i++) {
        double want = sample(coarse[i / (3 * PIXELS)], SIDE / 2, i % PIXELS / SIDE, i % SIDE);
        ck_assert_float_eq_tol(x[i], (float)(want * 1.2 / sqrt(3.0)), 1e-5f);
    }
    dfq_context_release(ctx);
}
END_TEST

/* <add(d), g> = <weights d, split(g)>: colours are turned by an orthonormal matrix, and the
 * gradient of a scale is the adjoint of its interpolation. */
START_TEST(test_adjoint)
{
    enum { MOST = PLANES * OBLONG_FLOATS };
    static float d[MOST], weighted[MOST], split[MOST], x[MOST], g[MOST];
    const dfqi_size size = {SIDE, _i ? 24 : SIDE};
    const int pixels = (int)dfqi_area(size);
    double left = 0, right = 0;
    dfq_context *ctx = dfqt_context(2);
    dfqi_pyramid p = dfqi_pyramid_make(size, 1);
    const int floats = (int)p.floats;
    dfqi_rng r = dfqi_rng_make(2, 1);
    dfqi_rng_fill_normal(&r, d, (size_t)(PLANES * floats));
    dfqi_rng_fill_normal(&r, g, (size_t)(PLANES * pixels));
    for (int i = 0; i < PLANES * floats; i++) {
        int at = i % floats, k = at < pixels ? 0 : at < pixels + pixels / 4 ? 1 : 2;
        weighted[i] = scale_weights[k] * colour_weights[i / floats % 3] * d[i];
    }
    dfqi_pyramid_split(ctx, &p, IMAGES, g, split);
    dfqi_pyramid_add(ctx, &p, IMAGES, d, 0, x);
    for (int i = 0; i < PLANES * pixels; i++) left += (double)x[i] * (double)g[i];
    for (int i = 0; i < PLANES * floats; i++) right += (double)weighted[i] * (double)split[i];
    ck_assert_double_eq_tol(left, right, 1e-4);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_pyramid_case(void)
{
    TCase *t = tcase_create("pyramid");
    tcase_add_test(t, test_layout);
    tcase_add_test(t, test_pixels);
    tcase_add_test(t, test_luminance);
    tcase_add_loop_test(t, test_adjoint, 0, 2);
    return t;
}
