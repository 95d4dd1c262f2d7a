/* Codes that cross, counted by hand, and beside what gradient inundation says it did. */
#include "tune/codes.h"

#include <math.h>
#include <string.h>

#include "diagnose/cases.h"
#include "tune/cases.h"

static const float *row_of(const dfqi_crossings *c, const dfq_tensor *rows, const char *name)
{
    for (int32_t i = 0; i < dfqi_crossings_count(c); i++)
        if (strcmp(dfqi_crossings_name(c, i), name) == 0)
            return dfqi_tensor_f32(rows) + i * DFQI_CROSSED_COLUMNS;
    ck_abort_msg("no weight %s", name);
    return NULL;
}

static dfq_tensor *measure(dfqi_crossings *c)
{
    dfq_tensor *rows;
    ck_assert_int_eq(dfqi_crossings_measure(c, &rows), DFQ_OK);
    return rows;
}

/* head.weight [6,24] becomes row by row 7 scales and then what is asked for: parity's grid is
 * max |w| / 7.5, so with 7.5 in front a weight of x has the code rint(x). */
static void set_row(dfqi_model *m, int64_t r, const float x[24])
{
    float *w = dfqi_tensor_f32(dfqi_network_find(&m->net, "head.weight")) + r * 24;
    memcpy(w, x, 24 * sizeof *x);
}

START_TEST(test_counts)
{
    dfqt_pair p = dfqt_pair_new(1 + _i, DFQI_MODE_PARITY, 2);
    dfqi_crossings *c;
    float a[24] = {7.5f, 0.2f, -3.1f, 1.6f}, b[24], d[24];
    for (int64_t r = 0; r < 6; r++) set_row(p.student, r, a);
    ck_assert_int_eq(dfqi_crossings_new(p.student, &c), DFQ_OK);
    ck_assert_int_eq(dfqi_crossings_count(c), 10); /* patches, four of two blocks, head */
    ck_assert_str_eq(dfqi_crossings_name(c, 0), "patch_embed.proj.weight");
    ck_assert_str_eq(dfqi_crossings_name(c, 9), "head.weight");
    dfq_tensor *rows = measure(c);
    const float *row = row_of(c, rows, "head.weight");
    ck_assert(row[DFQI_CROSSED_NOW] == 0 && row[DFQI_CROSSED_EVER] == 0);
    ck_assert(row[DFQI_CROSSED_CODES] == 144);
    /* 7.5 is clamped to 7, whose only border is 6.5; 0.2, -3.1, 1.6 and twenty zeros */
    float mean = (1.0f + 0.3f + 0.4f + 0.1f + 20 * 0.5f) / 24;
    ck_assert_msg(fabsf(row[DFQI_CROSSED_DISTANCE] - mean) < 1e-5f, "%g, expected %g",
                  (double)row[DFQI_CROSSED_DISTANCE], (double)mean);
    dfqi_tensor_release(rows);
    memcpy(b, a, sizeof a);
    b[1] = 0.6f;  /* crosses */
    b[2] = -3.4f; /* does not */
    b[5] = -1.2f;
    memcpy(d, a, sizeof a);
    d[1] = 5; /* another code again */
    set_row(p.student, 3, b);
    rows = measure(c);
    row = row_of(c, rows, "head.weight");
    ck_assert(row[DFQI_CROSSED_NOW] == 2 && row[DFQI_CROSSED_EVER] == 2);
    row = row_of(c, rows, "blocks.0.attn.qkv.weight");
    ck_assert(row[DFQI_CROSSED_NOW] == 0 && row[DFQI_CROSSED_EVER] == 0);
    dfqi_tensor_release(rows);
    set_row(p.student, 3, d);
    rows = measure(c);
    row = row_of(c, rows, "head.weight");
    ck_assert(row[DFQI_CROSSED_NOW] == 2 && row[DFQI_CROSSED_EVER] == 1);
    dfqi_tensor_release(rows);
    dfqi_crossings_release(c);
    dfqt_pair_end(&p);
}
END_TEST

/* Weights on a grid from the smallest to the largest of a row: with -3.2 and 11.8 among them the
 * scale is 1 and a weight of x has the code rint(x - 5), -3.2 and 11.8 the outermost. */
START_TEST(test_ranged)
{
    enum { ROWS = 4 };
    dfqt_pair p = dfqt_cnn_pair_new(1);
    dfqi_crossings *c;
    dfq_tensor *w = NULL;
    int32_t last = p.student->net.n_params;
    while (!w) /* the classifier's */
        if (p.student->net.params[--last].tensor->rank == 2) w = p.student->net.params[last].tensor;
    int64_t cols = w->dims[1];
    ck_assert_int_eq(w->dims[0], ROWS);
    for (int64_t i = 0; i < dfqi_tensor_count(w); i++) {
        int64_t k = i % cols;
        dfqi_tensor_f32(w)[i] = k == 0 ? -3.2f : k == 1 ? 11.8f : k == 2 ? 4.4f : 0.3f;
    }
    ck_assert_int_eq(dfqi_crossings_new(p.student, &c), DFQ_OK);
    dfqi_tensor_f32(w)[2] = 4.6f;        /* crosses */
    dfqi_tensor_f32(w)[cols + 2] = 3.6f; /* does not */
    dfq_tensor *rows = measure(c);
    const float *row = row_of(c, rows, p.student->net.params[last].name);
    ck_assert(row[DFQI_CROSSED_NOW] == 1 && row[DFQI_CROSSED_EVER] == 1);
    /* -3.2 is 0.7 below its border, 11.8 0.3 above; 4.4 twice, 4.6, 3.6: 0.1; 0.3: 0.2 */
    double mean = (0.7 + 0.3 + 0.1 + (double)(cols - 3) * 0.2) / (double)cols;
    ck_assert_msg(fabs((double)row[DFQI_CROSSED_DISTANCE] - mean) < 1e-5, "%g, expected %g",
                  (double)row[DFQI_CROSSED_DISTANCE], mean);
    dfqi_tensor_release(rows);
    dfqi_crossings_release(c);
    dfqt_pair_end(&p);
}
END_TEST

/* A row that grows by a constant factor keeps its codes: the grid grows with it. */
START_TEST(test_live_grid)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 2);
    dfqi_crossings *c;
    ck_assert_int_eq(dfqi_crossings_new(p.student, &c), DFQ_OK);
    dfq_tensor *w = dfqi_network_find(&p.student->net, "head.weight");
    for (int64_t i = 0; i < dfqi_tensor_count(w); i++) dfqi_tensor_f32(w)[i] *= 4;
    dfq_tensor *rows = measure(c);
    ck_assert(row_of(c, rows, "head.weight")[DFQI_CROSSED_NOW] == 0);
    dfqi_tensor_release(rows);
    dfqi_crossings_release(c);
    dfqt_pair_end(&p);
}
END_TEST

/* With scales that stay, what a step of inundation changed is what is measured. */
START_TEST(test_inundation)
{
    dfqt_pair p = dfqt_pair_new(2, _i ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY, 8);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqi_crossings *c;
    dfqi_tune *t;
    float sum = 0;
    int32_t finished;
    o.crossing_target = 0.02f;
    o.warmup_steps = 0;
    o.eval_every = 0;
    o.scale_lr_mult = o.zero_point_lr_mult = 0;
    ck_assert_int_eq(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_crossings_new(p.student, &c), DFQ_OK);
    for (int step = 0; step < 4; step++) {
        dfq_tensor *said;
        ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
        ck_assert_int_eq(dfqi_tune_crossings(t, &said), DFQ_OK);
        dfq_tensor *rows = measure(c);
        ck_assert_int_eq(said->dims[0], rows->dims[0]);
        for (int64_t i = 0; i < rows->dims[0]; i++) {
            const float *row = dfqi_tensor_f32(rows) + i * DFQI_CROSSED_COLUMNS;
            const float *kappa = dfqi_tensor_f32(said) + 3 * i;
            ck_assert_msg(row[DFQI_CROSSED_NOW] == kappa[1], "step %d, %s: %g, inundation says %g",
                          step, dfqi_crossings_name(c, (int32_t)i), (double)row[DFQI_CROSSED_NOW],
                          (double)kappa[1]);
            ck_assert(row[DFQI_CROSSED_CODES] == kappa[2]);
            ck_assert(row[DFQI_CROSSED_DISTANCE] > 0.1f && row[DFQI_CROSSED_DISTANCE] < 0.6f);
            sum += row[DFQI_CROSSED_NOW];
        }
        dfqi_tensor_release(said);
        dfqi_tensor_release(rows);
    }
    ck_assert(sum > 100);
    dfqi_tune_release(t);
    dfqi_crossings_release(c);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_not_quantized)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 2);
    dfqi_crossings *c = NULL;
    ck_assert_int_eq(dfqi_crossings_new(p.teacher, &c), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(p.ctx->error, "not quantized"));
    ck_assert_ptr_null(c);
    dfqi_crossings_release(NULL);
    dfqt_pair_end(&p);
}
END_TEST

TCase *dfqt_codes_case(void)
{
    TCase *t = tcase_create("codes");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_counts, 0, 2);
    tcase_add_test(t, test_ranged);
    tcase_add_test(t, test_live_grid);
    tcase_add_loop_test(t, test_inundation, 0, 2);
    tcase_add_test(t, test_not_quantized);
    return t;
}
