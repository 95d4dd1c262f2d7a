/* The attention losses against ref, and against their formulas (docs/METHODS.md, L_IH and Tuning)
 * evaluated as written. */
#include "kernel/support.h"

/* L_IH with its moments uncentred, in double; one query row of two heads. */
static double pair_loss(int64_t p, dfqi_distance kind, const float *ra, const float *rb)
{
    const float *r[2] = {ra, rb};
    double a[2][256], mu[2] = {0.0, 0.0}, square[2] = {0.0, 0.0}, cross = 0.0;
    for (int h = 0; h < 2; h++) {
        double lo = INFINITY, hi = -INFINITY;
        for (int64_t i = 0; i < p; i++) lo = fmin(lo, (double)r[h][i]);
        for (int64_t i = 0; i < p; i++) hi = fmax(hi, (double)r[h][i] - lo);
        for (int64_t i = 0; i < p; i++) {
            a[h][i] = ((double)r[h][i] - lo) / (hi + 1e-8);
            mu[h] += a[h][i] / (double)p;
            square[h] += a[h][i] * a[h][i] / (double)p;
        }
    }
    for (int64_t i = 0; i < p; i++) cross += a[0][i] * a[1][i] / (double)p;
    double c1 = 1e-4, c2 = 9e-4;
    double v0 = square[0] - mu[0] * mu[0], v1 = square[1] - mu[1] * mu[1];
    double s = (2.0 * mu[0] * mu[1] + c1) * (2.0 * (cross - mu[0] * mu[1]) + c2) /
               ((mu[0] * mu[0] + mu[1] * mu[1] + c1) * (v0 + v1 + c2));
    return kind == DFQI_DISTANCE_ABSOLUTE ? 1.0 - fabs(s) : 1.0 - s * s;
}

static void slot_inter_head(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < 30; round++) {
        int64_t heads = round == 29 ? 33 : pool_extent(p, 1, 6);
        int64_t n = round == 0 ? 197 : round == 29 ? 9 : pool_extent(p, 2, 70);
        int64_t drop = round % 2;
        dfqi_distance kind = (dfqi_distance)(round / 2 % 2);
        size_t all = (size_t)(heads * n * n);
        float *r = pool_take(p, all, -9.0f, 9.0f),
              *scratch = pool_take(p, (size_t)(3 * heads * n), 0.0f, 1.0f);
        float *dr = pool_take(p, all, -1.0f, 1.0f), *want = pool_take(p, all, -1.0f, 1.0f);
        if (round == 5) /* a flat row, and equal ends: the first one counts */
            for (int64_t i = 0; i < n; i++)
                r[drop * n + i] = 1.0f, r[(n - 1) * n + i] = (float)(i % 3);
        double expected = 0.0;
        for (int64_t q = drop; q < n; q++)
            for (int64_t i = 0; i < heads; i++)
                for (int64_t j = 0; j < heads; j++)
                    if (i != j)
                        expected += pair_loss(n - drop, kind, r + (i * n + q) * n + drop,
                                              r + (j * n + q) * n + drop);
        double ref = reference()->inter_head(heads, n, drop, kind, r, 0.3f, want, scratch);
        double got = t->inter_head(heads, n, drop, kind, r, 0.3f, dr, scratch);
        check_number(ref, expected, 1e-5, "inter_head, ref");
        check_number(got, expected, 1e-5, "inter_head");
        check_close(all, dr, want, 1e-5, "inter_head gradient");
        check_number(t->inter_head(heads, n, drop, kind, r, 0.3f, NULL, scratch), got, 0.0,
                     "inter_head without gradient");
        pool_end(p);
    }
}

static void slot_head_ssim(const dfqi_kernels *t, pool *p)
{
    for (int round = 0; round < 30; round++) {
        int64_t rows = pool_extent(p, 1, 4), d = pool_extent(p, 1, 70);
        int64_t n = round == 0 ? 197 : pool_extent(p, 2, 60), drop = round % 2;
        size_t all = (size_t)(rows * n * d);
        float *a = pool_take(p, all, -1.0f, 1.0f), *b = pool_take(p, all, -1.0f, 1.0f);
        float *ds = pool_take(p, all, 0.0f, 1.0f), *want = pool_take(p, all, 0.0f, 1.0f);
        float *scratch = pool_take(p, (size_t)(8 * d), 0.0f, 1.0f);
        for (size_t i = 0; i < all; i++) b[i] = 0.6f * a[i] + 0.4f * b[i];
        double expected = 0.0, count = (double)(n - drop);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < d; c++) {
                double sa = 0.0, sb = 0.0, aa = 0.0, bb = 0.0, ab = 0.0;
                for (int64_t i = drop; i < n; i++) {
                    double u = (double)a[(r * n + i) * d + c], v = (double)b[(r * n + i) * d + c];
                    sa += u / count, sb += v / count;
                    aa += u * u / count, bb += v * v / count, ab += u * v / count;
                }
                expected += (2.0 * (ab - sa * sb) + 9e-4) / (aa - sa * sa + bb - sb * sb + 9e-4);
            }
        double ref = reference()->head_ssim(rows, n, d, drop, a, b, 0.3f, want, scratch);
        double got = t->head_ssim(rows, n, d, drop, a, b, 0.3f, ds, scratch);
        check_number(ref, expected, 1e-6, "head_ssim, ref");
        check_number(got, expected, 2e-6, "head_ssim");
        /* over few tokens a variance may be small, and the gradient is divided by it */
        check_close(all, ds, want, 1e-5, "head_ssim gradient");
        check_number(t->head_ssim(rows, n, d, drop, a, b, 0.3f, NULL, scratch), got, 0.0,
                     "head_ssim without gradient");
        check_number(t->head_ssim(rows, n, d, drop, a, a, 0.3f, ds, scratch), (double)(rows * d),
                     1e-6, "head_ssim of equals");
        for (size_t i = 0; i < all; i++) check_number((double)ds[i], 0.0, 1e-6, "zero gradient");
        pool_end(p);
    }
}

const slot_test attention_slots[] = {SLOT(inter_head), SLOT(head_ssim), {NULL, 0, NULL}};
