/* Images of dead leaves: what they must have in common with pictures, and that their bits depend on
 * the seed alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "support/small_vit.h"
#include "synth/cases.h"
#include "synth/leaves.h"

enum { SIDE = 64, PIXELS = SIDE * SIDE, IMAGE = 3 * PIXELS, MOST = 24 };

static dfqi_arch arch(void)
{
    dfqi_arch a = dfqt_small_vit(10, 32);
    a.image = dfqi_square(SIDE);
    for (int c = 0; c < 3; c++) {
        a.mean[c] = 0.4f + 0.1f * (float)c;
        a.std[c] = 0.2f;
    }
    return a;
}

static float *draw(int32_t threads, uint64_t seed, uint64_t stream, int64_t n)
{
    dfq_context *ctx = dfqt_context(threads);
    dfqi_arch a = arch();
    float *x = malloc((size_t)(n * IMAGE) * sizeof *x);
    float *scratch =
        malloc((size_t)(threads * dfqi_leaves_scratch(dfqi_square(SIDE))) * sizeof *scratch);
    ck_assert(x && scratch);
    dfqi_leaves_draw(ctx, &a, dfqi_rng_make(seed, stream), n, scratch, x);
    free(scratch);
    dfq_context_release(ctx);
    return x;
}

START_TEST(test_bits)
{
    size_t bytes = IMAGE * sizeof(float);
    float *x = draw(1, 7, 100, 3), *y = draw(2, 7, 100, 3), *last = draw(1, 7, 102, 1);
    float *other = draw(1, 8, 100, 1);
    ck_assert_int_eq(memcmp(x, y, 3 * bytes), 0);
    ck_assert_int_eq(memcmp(x + 2 * IMAGE, last, bytes), 0);
    ck_assert_int_ne(memcmp(x, other, bytes), 0);
    ck_assert_int_ne(memcmp(x, x + IMAGE, bytes), 0);
    free(x);
    free(y);
    free(last);
    free(other);
}
END_TEST

/* Pixels of a picture are from 0 to 1 before they are normalised. */
static float pixel(const float *x, int64_t image, int64_t c, int64_t i)
{
    dfqi_arch a = arch();
    return x[image * IMAGE + c * PIXELS + i] * a.std[c] + a.mean[c];
}

START_TEST(test_range)
{
    float *x = draw(2, 1, 0, MOST), least = 1, largest = 0;
    for (int64_t i = 0; i < MOST; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t k = 0; k < PIXELS; k++) {
                float v = pixel(x, i, c, k);
                ck_assert(v > -1e-5f && v < 1 + 1e-5f);
                least = fminf(least, v);
                largest = fmaxf(largest, v);
            }
    ck_assert_float_lt(least, 0.01f);
    ck_assert_float_gt(largest, 0.99f);
    free(x);
}
END_TEST

/* The correlation of green pixels `step` apart in a row, over all images. */
static double correlation(const float *x, int step)
{
    double sum = 0, squares = 0, products = 0, n = 0;
    for (int64_t i = 0; i < MOST; i++)
        for (int64_t k = 0; k + step < PIXELS; k++) {
            double v = (double)pixel(x, i, 1, k), w = (double)pixel(x, i, 1, k + step);
            if (k % SIDE + step >= SIDE) continue;
            sum += v;
            squares += v * v;
            products += v * w;
            n++;
        }
    double mean = sum / n;
    return (products / n - mean * mean) / (squares / n - mean * mean);
}

/* As of pictures: near ones are alike, far ones less so, and colours go together. Noise has 0. */
START_TEST(test_correlation)
{
    float *x = draw(2, 1, 0, MOST);
    double near = correlation(x, 1), far = correlation(x, 16);
    ck_assert_double_gt(near, 0.6);
    ck_assert_double_lt(far, near - 0.15);
    ck_assert_double_gt(far, 0.1);
    free(x);
}
END_TEST

/* Leaves have edges: the kurtosis of differences of neighbours is far above that of a Gauss
 * process, 3, to which textures alone would come. */
START_TEST(test_edges)
{
    float *x = draw(2, 1, 0, MOST);
    double squares = 0, fourth = 0, n = 0;
    for (int64_t i = 0; i < MOST; i++)
        for (int64_t k = 0; k + 1 < PIXELS; k++) {
            if (k % SIDE + 1 >= SIDE) continue;
            double d = (double)(pixel(x, i, 1, k + 1) - pixel(x, i, 1, k));
            squares += d * d;
            fourth += d * d * d * d;
            n++;
        }
    ck_assert_double_gt(fourth * n / (squares * squares), 8);
    free(x);
}
END_TEST

/* Green pixels that differ from their left neighbour by more than 0.15. */
static int edges_of(const float *x, int64_t image)
{
    int n = 0;
    for (int64_t k = 1; k < PIXELS; k++)
        n += k % SIDE > 0 && fabsf(pixel(x, image, 1, k) - pixel(x, image, 1, k - 1)) > 0.15f;
    return n;
}

/* In half of the images the largest leaf is painted first. Painted last, the large ones would hide
 * others there: a quarter of the edges. */
START_TEST(test_order)
{
    enum { N = 96 };
    float *x = draw(2, 3, 0, N);
    double sum = 0;
    for (int64_t i = 0; i < N; i++) sum += edges_of(x, i);
    ck_assert_double_gt(sum / N, 920); /* 1066, in the other order 770 */
    free(x);
}
END_TEST

/* Leaves are finished as they are drawn, so similarity has the same bits before and after. */
START_TEST(test_similarity)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_synth_options o = dfqt_options();
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *before, *after;
    int32_t finished = 0;
    o.kind = DFQI_SYNTH_LEAVES;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    while (!finished) ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_similarity(s, 0, &before, &after), DFQ_OK);
    ck_assert_int_eq(memcmp(before->data, after->data, (size_t)dfqi_tensor_count(before) * 4), 0);
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_leaves_case(void)
{
    TCase *c = tcase_create("leaves");
    tcase_add_test(c, test_bits);
    tcase_add_test(c, test_range);
    tcase_add_test(c, test_correlation);
    tcase_add_test(c, test_edges);
    tcase_add_test(c, test_order);
    tcase_add_test(c, test_similarity);
    return c;
}
