/* Every allocation of a quantization is refused once; cancelling leaves nothing behind. */
#include <math.h>
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "support/fail_alloc.h"

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_model *t = NULL, *s = NULL;
    dfq_status status = dfqt_teacher(ctx, &t);
    if (status == DFQ_OK) status = dfqt_quantize(t, *(const dfqi_mode *)arg, 4, 4, &s);
    dfqi_model_release(t);
    dfqi_model_release(s);
    return status;
}

START_TEST(test_out_of_memory)
{
    dfqi_mode mode = (dfqi_mode)_i;
    fail_alloc_sweep(scenario, &mode, 1);
}
END_TEST

START_TEST(test_cancel)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    dfq_context_cancel(ctx);
    ck_assert_int_eq(dfqt_quantize(t, (dfqi_mode)_i, 4, 4, &s), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqt_quantize(t, (dfqi_mode)_i, 4, 4, &s), DFQ_OK);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_the_best_class)
{
    ck_assert_int_eq(dfqi_best_class((float[]){1, 3, 2}, 3), 1);
    ck_assert_int_eq(dfqi_best_class((float[]){-3, -1, -1, -2}, 4),
                     1); /* the lower one of equals */
    ck_assert_int_eq(dfqi_best_class((float[]){-5}, 1), 0);
}
END_TEST

/* Wherever it stands, in the place of the label and elsewhere. */
START_TEST(test_not_finite_is_no_class)
{
    static const float odd[3] = {NAN, INFINITY, -INFINITY};
    for (int at = 0; at < 4; at++) {
        float z[4] = {1, 2, 3, 4};
        z[at] = odd[_i];
        ck_assert_int_eq(dfqi_best_class(z, 4), -1);
    }
}
END_TEST

TCase *dfqt_failure_case(void)
{
    TCase *c = tcase_create("failure");
    tcase_add_loop_test(c, test_out_of_memory, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_cancel, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_the_best_class);
    tcase_add_loop_test(c, test_not_finite_is_no_class, 0, 3);
    return c;
}
