/* The augmentation against PyTorch and formulas, its draws against their distributions. */
#include "tune/augment.h"

#include <math.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/suite.h"
#include "tune/cases.h"

enum { SIDE = 40, PIXELS = 3 * SIDE * SIDE, DRAWS = 5 };

static const dfq_tensor *find(const dfqi_safetensors *st, const char *name)
{
    const dfq_tensor *t = dfqi_st_find(st, name);
    ck_assert_msg(t != NULL, "%s", name);
    return t;
}

static dfqi_draw read_draw(const dfqi_safetensors *st, int i)
{
    const int32_t *crop = (const int32_t *)find(st, "crop")->data + 4 * i;
    const int32_t *flags = (const int32_t *)find(st, "flags")->data + 3 * i;
    const int32_t *order = (const int32_t *)find(st, "order")->data + 4 * i;
    dfqi_draw d = {.top = crop[0],
                   .left = crop[1],
                   .height = crop[2],
                   .width = crop[3],
                   .mirror = flags[0],
                   .jitter = flags[1],
                   .gray = flags[2]};
    for (int k = 0; k < 4; k++) {
        d.order[k] = (uint32_t)order[k];
        d.color[k] = dfqi_tensor_f32(find(st, "factors"))[4 * i + k];
    }
    d.sigma = dfqi_tensor_f32(find(st, "sigma"))[i];
    return d;
}

START_TEST(test_golden)
{
    static float y[2 * PIXELS];
    char path[400], name[8];
    dfqi_safetensors st;
    dfqi_augment a;
    dfq_context *ctx = dfqt_context(2);
    ck_assert_ptr_nonnull(dfqt_path("DFQ_TEST_GOLDEN", "augment.safetensors", path, sizeof path));
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_int_eq(dfqi_augment_new(ctx, dfqi_square(SIDE), dfqi_tensor_f32(find(&st, "mean")),
                                      dfqi_tensor_f32(find(&st, "std")), &a),
                     DFQ_OK);
    for (int i = 0; i < DRAWS; i++) {
        dfqi_draw d = read_draw(&st, i);
        snprintf(name, sizeof name, "y%d", i);
        const float *want = dfqi_tensor_f32(find(&st, name));
        dfqi_augment_apply(&a, &d, 2, dfqi_tensor_f32(find(&st, "x")), y);
        for (int k = 0; k < 2 * PIXELS; k++)
            ck_assert_msg(fabsf(y[k] - want[k]) < 2e-5f, "%s[%d]: %g, expected %g", name, k,
                          (double)y[k], (double)want[k]);
    }
    dfqi_augment_fini(&a);
    dfqi_st_fini(&st);
    dfqi_context_release(ctx);
}
END_TEST

static const float zeros[3] = {0}, ones[3] = {1, 1, 1};

/* A ramp stays a ramp where the crop is far from its border; no draw is no change. */
START_TEST(test_crop_of_a_ramp)
{
    static float x[2 * PIXELS], y[PIXELS];
    dfqi_augment a;
    dfq_context *ctx = dfqt_context(1);
    for (int i = 0; i < 2 * PIXELS; i++)
        x[i] = (float)(i / PIXELS) * 100 + 2 * (float)(i % SIDE) - (float)(i / SIDE % SIDE);
    ck_assert_int_eq(dfqi_augment_new(ctx, dfqi_square(SIDE), zeros, ones, &a), DFQ_OK);
    dfqi_draw d = {.top = 3, .left = 7, .height = 20, .width = 10, .mirror = 1};
    dfqi_augment_apply(&a, &d, 1, x + PIXELS, y);
    for (int i = 0; i < PIXELS; i++) {
        float row = 3 + fminf(fmaxf(((float)(i / SIDE % SIDE) + 0.5f) / 2 - 0.5f, 0), 19);
        float col = 7 + fminf(fmaxf(((float)(SIDE - 1 - i % SIDE) + 0.5f) / 4 - 0.5f, 0), 9);
        ck_assert_float_eq_tol(y[i], 100 + 2 * col - row, 1e-4f);
    }
    d = (dfqi_draw){.height = SIDE, .width = SIDE};
    dfqi_augment_apply(&a, &d, 1, x, y);
    ck_assert_mem_eq(x, y, sizeof y);
    dfqi_augment_fini(&a);
    dfqi_context_release(ctx);
}
END_TEST

/* A point becomes the kernel; a constant image stays, up to its borders. */
START_TEST(test_blur)
{
    static float x[2 * PIXELS], y[2 * PIXELS];
    dfqi_augment a;
    dfq_context *ctx = dfqt_context(2);
    for (int i = 0; i < PIXELS; i++) x[i] = 3;
    x[PIXELS + 20 * SIDE + 11] = 1;
    ck_assert_int_eq(dfqi_augment_new(ctx, dfqi_square(SIDE), zeros, ones, &a), DFQ_OK);
    ck_assert_int_eq(a.radius, 2);
    dfqi_draw d = {.height = SIDE, .width = SIDE, .sigma = 1.3f};
    dfqi_augment_apply(&a, &d, 2, x, y);
    for (int i = 0; i < PIXELS; i++) ck_assert_float_eq_tol(y[i], 3, 1e-5f);
    double sum = 0;
    for (int k = -2; k <= 2; k++) sum += exp(-k * k / (2 * 1.3 * 1.3));
    for (int dy = -3; dy <= 3; dy++)
        for (int dx = -3; dx <= 3; dx++) {
            double want = abs(dy) > 2 || abs(dx) > 2
                              ? 0
                              : exp(-(dx * dx + dy * dy) / (2 * 1.3 * 1.3)) / (sum * sum);
            ck_assert_float_eq_tol(y[PIXELS + (20 + dy) * SIDE + 11 + dx], (float)want, 1e-6f);
        }
    d.sigma = 0.1f; /* so narrow that it changes nothing */
    dfqi_augment_apply(&a, &d, 2, x, y);
    for (int i = 0; i < 2 * PIXELS; i++) ck_assert_float_eq_tol(y[i], x[i], 1e-6f);
    dfqi_augment_fini(&a);
    dfqi_context_release(ctx);
}
END_TEST

/* What is done to a picture on its side is what is done to it upright. */
START_TEST(test_oblong)
{
    enum { Y = 24, X = 40, N = 3 * Y * X };
    static float x[N], turned[N], y[N], other[N];
    const dfqi_draw d = {.top = 3, .left = 6, .height = 17, .width = 30, .sigma = 1.3f};
    const dfqi_draw e = {.top = 6, .left = 3, .height = 30, .width = 17, .sigma = 1.3f};
    dfqi_augment a, b;
    dfqi_rng r = dfqi_rng_make(4, 1);
    dfq_context *ctx = dfqt_context(2);
    dfqi_rng_fill_normal(&r, x, N);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < Y * X; i++) turned[c * Y * X + i % X * Y + i / X] = x[c * Y * X + i];
    ck_assert_int_eq(dfqi_augment_new(ctx, (dfqi_size){Y, X}, zeros, ones, &a), DFQ_OK);
    ck_assert_int_eq(dfqi_augment_new(ctx, (dfqi_size){X, Y}, zeros, ones, &b), DFQ_OK);
    ck_assert_int_eq(a.radius, 1);
    dfqi_augment_apply(&a, &d, 1, x, y);
    dfqi_augment_apply(&b, &e, 1, turned, other);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < Y * X; i++)
            ck_assert_float_eq_tol(y[c * Y * X + i], other[c * Y * X + i % X * Y + i / X], 1e-5f);
    for (int64_t i = 0; i < 50; i++) { /* crops stay inside */
        dfqi_draw f;
        dfqi_augment_draw(DFQI_AUGMENT_FULL, 9, i, (dfqi_size){Y, X}, &f);
        ck_assert(f.top + f.height <= Y && f.left + f.width <= X);
    }
    dfqi_augment_fini(&a);
    dfqi_augment_fini(&b);
    dfqi_context_release(ctx);
}
END_TEST

/* Kernel sizes of the published rule: int(0.1 S), plus 1 if even. */
START_TEST(test_kernel_sizes)
{
    static const int64_t rows[][2] = {{224, 23}, {32, 3}, {16, 1}, {384, 39}, {40, 5}};
    dfq_context *ctx = dfqt_context(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfqi_augment a;
        ck_assert_int_eq(dfqi_augment_new(ctx, dfqi_square(rows[i][0]), zeros, ones, &a), DFQ_OK);
        ck_assert_int_eq(2 * a.radius + 1, rows[i][1]);
        dfqi_augment_fini(&a);
    }
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_draws)
{
    enum { N = 4000 };
    double mirror = 0, jitter = 0, gray = 0, sigma = 0, factor = 0, turn = 0, first = 0;
    for (int i = 0; i < N; i++) {
        dfqi_draw d;
        dfqi_augment_draw(DFQI_AUGMENT_FULL, 9, i, dfqi_square(224), &d);
        double area = (double)(d.height * d.width) / (224.0 * 224.0);
        double ratio = (double)d.width / (double)d.height;
        ck_assert(d.top >= 0 && d.left >= 0 && d.top + d.height <= 224 && d.left + d.width <= 224);
        ck_assert(area > 0.075 && area <= 1 && ratio > 0.73 && ratio < 1.37);
        ck_assert(d.sigma >= 0.1f && d.sigma < 2 && fabsf(d.color[3]) <= 0.2f);
        ck_assert_int_eq(1u << d.order[0] | 1u << d.order[1] | 1u << d.order[2] | 1u << d.order[3],
                         15);
        mirror += d.mirror;
        jitter += d.jitter;
        gray += d.gray;
        sigma += d.sigma;
        factor += d.color[1];
        turn += d.color[3];
        first += d.order[0];
        dfqi_augment_draw(DFQI_AUGMENT_MILD, 9, i, dfqi_square(224), &d);
        area = (double)(d.height * d.width) / (224.0 * 224.0);
        ck_assert(!d.each && area > 0.49 && !d.jitter && !d.gray && d.sigma == 0);
    }
    ck_assert_double_eq_tol(mirror / N, 0.5, 0.03);
    ck_assert_double_eq_tol(jitter / N, 0.8, 0.03);
    ck_assert_double_eq_tol(gray / N, 0.2, 0.03);
    ck_assert_double_eq_tol(sigma / N, 1.05, 0.04);
    ck_assert_double_eq_tol(factor / N, 1.0, 0.04);
    ck_assert_double_eq_tol(turn / N, 0.0, 0.01);
    ck_assert_double_eq_tol(first / N, 1.5, 0.08);
    dfqi_draw none, again;
    dfqi_augment_draw(DFQI_AUGMENT_NONE, 9, 3, dfqi_square(224), &none);
    ck_assert(none.height == 224 && none.width == 224 && !none.mirror && !none.jitter);
    dfqi_augment_draw(DFQI_AUGMENT_FULL, 9, 3, dfqi_square(224), &none);
    dfqi_augment_draw(DFQI_AUGMENT_FULL, 9, 3, dfqi_square(224), &again);
    ck_assert_mem_eq(&none, &again, sizeof none);
}
END_TEST

/* Each image has colours and focus of its own: of one image many times, all copies differ, none is
 * more colourful, and half of them have lost detail in a part. */
START_TEST(test_synthetic)
{
    enum { N = 64, PLANE = SIDE * SIDE };
    static float x[N * PIXELS], y[N * PIXELS], again[N * PIXELS];
    const float half[3] = {0.5f, 0.5f, 0.5f};
    dfqi_augment a;
    dfqi_draw d;
    dfq_context *ctx = dfqt_context(2);
    int soft = 0;
    for (int i = 0; i < N * PIXELS; i++) x[i] = (float)(i % PIXELS * 37 % 101) / 50 - 1;
    ck_assert_int_eq(dfqi_augment_new(ctx, dfqi_square(SIDE), half, half, &a), DFQ_OK);
    dfqi_augment_draw(DFQI_AUGMENT_SYNTHETIC, 9, 5, dfqi_square(SIDE), &d);
    ck_assert(d.each && !d.jitter && !d.gray && d.height * d.width > 0.49 * SIDE * SIDE);
    ck_assert(d.sigma >= SIDE / 224.0f && d.sigma < 6.1f * SIDE / 224);
    d.top = d.left = d.mirror = 0;
    d.height = d.width = SIDE;
    d.sigma = 2;
    dfqi_augment_apply(&a, &d, N, x, y);
    dfqi_augment_apply(&a, &d, N, x, again);
    ck_assert_mem_eq(y, again, sizeof y);
    for (int i = 0; i < N; i++) {
        const float *at = y + i * PIXELS;
        double color[2] = {0, 0}, detail[2] = {0, 0};
        for (int k = 0; k + 1 < PLANE; k++) {
            color[0] += fabs((double)x[k] - (double)x[k + PLANE]);
            color[1] += fabs((double)at[k] - (double)at[k + PLANE]);
            detail[0] = fmax(detail[0], fabs((double)at[k] - (double)at[k + 1]));
        }
        ck_assert(color[1] < 1.55 * color[0]); /* contrast 1.1, brightness 1.4 */
        for (int k = 0; k < i; k++) ck_assert(memcmp(at, y + k * PIXELS, sizeof x / N) != 0);
        float few = 0; /* pairs of neighbours that are nearly alike */
        for (int k = 0; k + 1 < PLANE; k++)
            few += fabs((double)at[k] - (double)at[k + 1]) < 0.05 * detail[0];
        soft += few > 0.1f * PLANE;
    }
    ck_assert_int_ge(soft, N / 4);
    ck_assert_int_le(soft, 3 * N / 4);
    dfqi_augment_fini(&a);
    dfqi_context_release(ctx);
}
END_TEST

/* Shares, most of them near 0 or 1, over half of an image sharp. */
START_TEST(test_focus)
{
    enum { N = 200 };
    static float share[SIDE * SIDE];
    double sum = 0, edge = 0;
    for (int i = 0; i < N; i++) {
        dfqi_rng r = dfqi_rng_make(3, (uint64_t)i);
        dfqi_augment_focus(&r, dfqi_square(SIDE), share);
        for (int k = 0; k < SIDE * SIDE; k++) {
            ck_assert(share[k] >= 0 && share[k] <= 1);
            sum += (double)share[k];
            edge += share[k] > 0.1f && share[k] < 0.9f;
        }
    }
    ck_assert_double_eq_tol(sum / (N * SIDE * SIDE), 0.7, 0.08);
    ck_assert_double_lt(edge / (N * SIDE * SIDE), 0.35);
}
END_TEST

/* Colours beyond the range of pictures must not make NaN. */
START_TEST(test_odd_colours)
{
    float x[3 * 4] = {-9, 0, 9, 0, -9, 0, -9, 1e-9f, -9, 0, 9, -1e-9f};
    dfqi_draw d = {.jitter = 1, .order = {3, 2, 1, 0}, .color = {1.5f, 0.5f, 1.8f, 0.2f}};
    dfqi_color_jitter(&d, zeros, ones, 4, x);
    for (int i = 0; i < 12; i++) ck_assert(x[i] >= 0 && x[i] <= 1);
}
END_TEST

TCase *dfqt_augment_case(void)
{
    TCase *t = tcase_create("augment");
    tcase_add_test(t, test_golden);
    tcase_add_test(t, test_crop_of_a_ramp);
    tcase_add_test(t, test_blur);
    tcase_add_test(t, test_oblong);
    tcase_add_test(t, test_kernel_sizes);
    tcase_add_test(t, test_draws);
    tcase_add_test(t, test_synthetic);
    tcase_add_test(t, test_focus);
    tcase_add_test(t, test_odd_colours);
    return t;
}
