/* Second moments of so many rows that floats lose them, and of two different sides. */
#include "quant/second_moments.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "quant/cases.h"
#include "quant/rounding_priv.h"
#include "support/fail_alloc.h"

enum { COLS = 70, PIECE = 260 }; /* two strips */

/* Equal rows, as tokens that attention mixes evenly: 10,000 images of 65 tokens. */
START_TEST(test_many_rows)
{
    enum { PIECES = 2500 };
    static float x[PIECE * COLS], y[PIECE * COLS];
    dfq_context *ctx = dfqt_context(1);
    dfqi_input_moments m;
    float *scratch = dfqi_calloc(ctx, dfqi_input_moments_scratch(ctx, COLS), sizeof *scratch);
    for (int i = 0; i < PIECE * COLS; i++) x[i] = 0.3f + 0.07f * (float)(i % COLS);
    for (int i = 0; i < PIECE * COLS; i++) y[i] = 0.2f - 0.01f * (float)(i % COLS);
    ck_assert_int_eq(dfqi_input_moments_new(ctx, COLS, &m), DFQ_OK);
    for (int i = 0; i < PIECES; i++) dfqi_input_moments_add(ctx, &m, PIECE, x, y, scratch);
    ck_assert(dfqi_input_moments_end(&m));
    ck_assert(m.rows == (double)PIECE * PIECES);
    for (int r = 0; r < COLS; r++) {
        ck_assert_double_eq_tol(m.student[r], (double)x[r] * m.rows, 1e-3 * m.rows);
        ck_assert_double_eq_tol(m.teacher[r], (double)y[r] * m.rows, 1e-3 * m.rows);
        for (int c = 0; c < COLS; c++) {
            double self = (double)x[r] * (double)x[c] * m.rows;
            double cross = (double)x[r] * (double)y[c] * m.rows;
            ck_assert_double_eq_tol(m.self[r * COLS + c], self, 1e-4 * fabs(self));
            ck_assert_double_eq_tol(m.cross[r * COLS + c], cross, 1e-4 * fabs(cross) + 1e-3);
        }
    }
    dfqi_free(ctx, scratch);
    dfqi_input_moments_fini(ctx, &m);
    dfqi_context_release(ctx);
}
END_TEST

/* Against plain sums; the bits are those of any number of threads. */
START_TEST(test_sums)
{
    static float x[2 * PIECE * COLS], y[2 * PIECE * COLS];
    dfqi_input_moments m[3];
    dfq_context *contexts[3];
    dfqi_rng r = dfqi_rng_make(4, 1);
    for (int i = 0; i < 2 * PIECE * COLS; i++) x[i] = dfqi_rng_range(&r, -1, 1);
    for (int i = 0; i < 2 * PIECE * COLS; i++) y[i] = dfqi_rng_range(&r, -1, 1);
    for (int i = 0; i < 3; i++) {
        dfq_context *ctx = contexts[i] = dfqt_context(i + 1);
        float *scratch = dfqi_calloc(ctx, dfqi_input_moments_scratch(ctx, COLS), sizeof *scratch);
        ck_assert_int_eq(dfqi_input_moments_new(ctx, COLS, &m[i]), DFQ_OK);
        dfqi_input_moments_add(ctx, &m[i], PIECE, x, y, scratch);
        dfqi_input_moments_add(ctx, &m[i], PIECE, x + PIECE * COLS, y + PIECE * COLS, scratch);
        ck_assert(dfqi_input_moments_end(&m[i]));
        ck_assert_mem_eq(m[i].self, m[0].self, COLS * COLS * sizeof(double));
        ck_assert_mem_eq(m[i].cross, m[0].cross, COLS * COLS * sizeof(double));
        ck_assert_mem_eq(m[i].student, m[0].student, 2 * COLS * sizeof(double));
        ck_assert(m[i].rows == 2 * PIECE);
        for (int k = 0; k < COLS; k++) {
            double sum = 0, cross = 0;
            for (int t = 0; t < 2 * PIECE; t++) {
                sum += (double)x[t * COLS + k] * (double)x[t * COLS + 3];
                cross += (double)x[t * COLS + k] * (double)y[t * COLS + 3];
            }
            ck_assert_double_eq_tol(m[i].self[k * COLS + 3], sum, 1e-3);
            ck_assert_double_eq_tol(m[i].cross[k * COLS + 3], cross, 1e-3);
        }
        dfqi_free(ctx, scratch);
    }
    for (int i = 0; i < 3; i++) {
        dfqi_input_moments_fini(contexts[i], &m[i]);
        dfqi_context_release(contexts[i]);
    }
}
END_TEST

START_TEST(test_not_finite)
{
    static float x[COLS];
    dfq_context *ctx = dfqt_context(1);
    dfqi_input_moments m;
    float *scratch = dfqi_calloc(ctx, dfqi_input_moments_scratch(ctx, COLS), sizeof *scratch);
    x[11] = _i ? INFINITY : NAN;
    ck_assert_int_eq(dfqi_input_moments_new(ctx, COLS, &m), DFQ_OK);
    dfqi_input_moments_add(ctx, &m, 1, x, x, scratch);
    ck_assert(!dfqi_input_moments_end(&m));
    dfqi_free(ctx, scratch);
    dfqi_input_moments_fini(ctx, &m);
    dfqi_context_release(ctx);
}
END_TEST

/* Of a convolution one position in four is taken, from image to image another one: together all are
 * seen. Image i is 1 at the positions that are its own. */
START_TEST(test_positions)
{
    enum {
        SIDE = 4,
        POSITIONS = SIDE * SIDE,
        EVERY = 4,
        CHANNELS = 4,
        IMAGE = POSITIONS * CHANNELS
    };
    static const int64_t channels_of[] = {1, 2, 4}, groups_of[] = {1, 2, 2};
    static float x[EVERY * IMAGE];
    const int64_t channels = channels_of[_i], groups = groups_of[_i], image = POSITIONS * channels;
    dfq_context *ctx = dfqt_context(2);
    dfqi_input_moments m[2];
    dfqi_round_layer l = {
        .ctx = ctx, .rows = channels, .n = channels / groups, .systems = groups, .moments = m};
    l.in = (dfqi_inputs_shape){.conv = {.in_y = SIDE,
                                        .in_x = SIDE,
                                        .c = channels,
                                        .out_y = SIDE,
                                        .out_x = SIDE,
                                        .o = channels,
                                        .kernel_y = 1,
                                        .kernel_x = 1,
                                        .stride = 1,
                                        .dilation = 1},
                               .image = image,
                               .rows = POSITIONS,
                               .every = EVERY,
                               .groups = groups};
    float *scratch = dfqi_calloc(ctx, dfqi_round_scratch(&l), sizeof *scratch);
    for (int64_t i = 0; i < EVERY * image; i++) /* channel c holds c + 1 */
        x[i] = i / channels % EVERY == i / image ? (float)(i % channels + 1) : 0.0f;
    for (int64_t k = 0; k < groups; k++)
        ck_assert_int_eq(dfqi_input_moments_new(ctx, l.n, &m[k]), DFQ_OK);
    dfqi_round_add(&l, 0, 3, x, x, scratch);
    dfqi_round_add(&l, 3, 1, x + 3 * image, x + 3 * image, scratch);
    for (int64_t c = 0; c < channels; c++) {
        const dfqi_input_moments *of = dfqi_round_moments(&l, c);
        const int64_t at = c % l.n, v = c + 1;
        ck_assert(of->rows == POSITIONS && of->student[at] == (double)(v * POSITIONS));
        ck_assert(of->self[at * (l.n + 1)] == (double)(v * v * POSITIONS));
    }
    dfqi_free(ctx, scratch);
    for (int64_t k = 0; k < groups; k++) dfqi_input_moments_fini(ctx, &m[k]);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    dfqi_input_moments m;
    (void)arg;
    DFQI_TRY(dfqi_input_moments_new(ctx, COLS, &m));
    dfqi_input_moments_fini(ctx, &m);
    return DFQ_OK;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_second_moments_case(void)
{
    TCase *t = tcase_create("second_moments");
    tcase_add_test(t, test_many_rows);
    tcase_add_test(t, test_sums);
    tcase_add_loop_test(t, test_not_finite, 0, 2);
    tcase_add_loop_test(t, test_positions, 0, 3);
    tcase_add_test(t, test_memory);
    return t;
}
