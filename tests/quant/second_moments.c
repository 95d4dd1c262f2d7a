/* Second moments of so many rows that floats lose them. */
#include "quant/second_moments.h"

#include <math.h>
#include <string.h>

#include "quant/cases.h"

enum { COLS = 16, PIECE = 260 };

static dfqi_second_moments fresh(void)
{
    static float sum[COLS * COLS];
    static double total[COLS * COLS];
    memset(sum, 0, sizeof sum);
    memset(total, 0, sizeof total);
    return (dfqi_second_moments){.cols = COLS, .sum = sum, .total = total};
}

/* Equal rows, as tokens that attention mixes evenly: 10,000 images of 65 tokens. */
START_TEST(test_many_rows)
{
    enum { PIECES = 2500 };
    static float x[PIECE * COLS];
    dfq_context *ctx = dfqt_context(1);
    const dfqi_kernels *k = dfqi_kernels_get(ctx);
    dfqi_second_moments m = fresh();
    for (int i = 0; i < PIECE * COLS; i++) x[i] = 0.3f + 0.07f * (float)(i % COLS);
    for (int i = 0; i < PIECES; i++) dfqi_second_moments_add(k, &m, x, PIECE);
    dfqi_second_moments_end(&m);
    for (int r = 0; r < COLS; r++)
        for (int c = 0; c < COLS; c++) {
            double want = (double)x[r] * (double)x[c] * PIECE * PIECES;
            double have = (double)m.sum[r * COLS + c];
            ck_assert_msg(fabs(have - want) < 1e-3 * want, "%d,%d: %g, not %g", r, c, have, want);
        }
    dfqi_context_release(ctx);
}
END_TEST

/* Few rows are what a float sum of them is: nothing that was made before changes. */
START_TEST(test_few_rows)
{
    static float x[PIECE * COLS], want[COLS * COLS];
    dfq_context *ctx = dfqt_context(1);
    const dfqi_kernels *k = dfqi_kernels_get(ctx);
    dfqi_second_moments m = fresh();
    memset(want, 0, sizeof want);
    for (int i = 0; i < PIECE * COLS; i++) x[i] = (float)(i * 37 % 101) / 50.0f - 1.0f;
    for (int i = 0; i < DFQI_MOMENTS_ROWS / PIECE; i++) {
        k->gemm(1, COLS, COLS, PIECE, x, COLS, x, COLS, 1, want, COLS);
        dfqi_second_moments_add(k, &m, x, PIECE);
    }
    dfqi_second_moments_end(&m);
    ck_assert_mem_eq(m.sum, want, sizeof want);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_second_moments_case(void)
{
    TCase *t = tcase_create("second_moments");
    tcase_add_test(t, test_many_rows);
    tcase_add_test(t, test_few_rows);
    return t;
}
