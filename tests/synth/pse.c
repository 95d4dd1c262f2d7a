/* Patch similarity entropy: value against a plain computation, gradient against differences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "synth/cases.h"
#include "synth/pse.h"

enum { B = 2, H = 3, N = 6, D = 4, COUNT = B * H * N * D };

/* Straight from the definition, in double precision. */
static double plain(const double *head, const float range[2])
{
    double sum = 0, a[N][D];
    for (int b = 0; b < B; b++) {
        double p[10] = {0}, entropy = 0, step = ((double)range[1] - range[0]) / 9;
        for (int i = 1; i < N; i++)
            for (int c = 0; c < D; c++) {
                a[i][c] = 0;
                for (int h = 0; h < H; h++) a[i][c] += head[((b * H + h) * N + i) * D + c] / H;
            }
        for (int i = 1; i < N; i++)
            for (int j = 1; j < N; j++) {
                double dot = 0, ni = 0, nj = 0;
                for (int c = 0; c < D; c++) {
                    dot += a[i][c] * a[j][c];
                    ni += a[i][c] * a[i][c];
                    nj += a[j][c] * a[j][c];
                }
                for (int k = 0; k < 10; k++) {
                    double z = range[0] + k * step - dot / sqrt(ni * nj);
                    p[k] += exp(-z * z / 2e-4) / sqrt(2 * 3.14159265358979 * 1e-4) / 25;
                }
            }
        for (int k = 0; k + 1 < 10; k++) {
            double q = p[k] + 1e-4, r = p[k + 1] + 1e-4;
            entropy += step * 0.5 * (-q * log(q) - r * log(r));
        }
        sum += entropy;
    }
    return -sum / B;
}

START_TEST(test_value_and_gradient)
{
    const float range[2] = {0.90f, 1.0f}; /* fine enough that every similarity is felt */
    dfqi_pse_shape p = {.batch = B, .heads = H, .tokens = N, .d = D, .range = range};
    dfq_context *ctx = dfqt_context(2);
    float head[COUNT], grad[COUNT],
        *scratch = malloc((size_t)dfqi_pse_scratch(&p) * sizeof *scratch);
    double wide[COUNT];
    dfqi_rng r = dfqi_rng_make(3, 3);
    ck_assert_ptr_nonnull(scratch);
    for (int i = 0; i < COUNT; i++) head[i] = 1.0f + 0.2f * dfqi_rng_normal(&r);
    for (int i = 0; i < COUNT; i++) wide[i] = head[i];
    double loss = dfqi_pse(ctx, &p, head, 3.0f, grad, scratch);
    ck_assert_double_eq_tol(loss, plain(wide, range), 2e-5);
    double top = 0;
    for (int i = 0; i < COUNT; i++) top = fmax(top, fabs((double)grad[i]));
    ck_assert_double_gt(top, 0.01);
    for (int i = 0; i < COUNT; i++) {
        double h = 1e-6;
        wide[i] += h;
        double up = plain(wide, range);
        wide[i] -= 2 * h;
        double down = plain(wide, range);
        wide[i] += h;
        ck_assert_msg(fabs(3.0 * (up - down) / (2 * h) - (double)grad[i]) < 2e-3 * top,
                      "%d: %g, differences say %g", i, (double)grad[i],
                      3.0 * (up - down) / (2 * h));
        if (i / D % N == 0) ck_assert_float_eq(grad[i], 0.0f); /* the class token */
    }
    free(scratch);
    dfqi_context_release(ctx);
}
END_TEST

/* All patches alike: one similarity, a grid without width, entropy 0 and no NaN. */
START_TEST(test_equal_patches)
{
    dfqi_pse_shape p = {.batch = B, .heads = H, .tokens = N, .d = D};
    dfq_context *ctx = dfqt_context(1);
    float head[COUNT], grad[COUNT],
        *scratch = malloc((size_t)dfqi_pse_scratch(&p) * sizeof *scratch);
    ck_assert_ptr_nonnull(scratch);
    for (int zero = 0; zero < 2; zero++) {
        for (int i = 0; i < COUNT; i++) head[i] = zero ? 0.0f : 0.5f;
        ck_assert_double_eq_tol(dfqi_pse(ctx, &p, head, 1.0f, grad, scratch), 0.0, 1e-3);
        for (int i = 0; i < COUNT; i++) ck_assert(isfinite(grad[i]));
    }
    free(scratch);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_pse_case(void)
{
    TCase *t = tcase_create("pse");
    tcase_add_test(t, test_value_and_gradient);
    tcase_add_test(t, test_equal_patches);
    return t;
}
