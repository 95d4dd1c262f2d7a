/* Every allocation of a quantization is refused once; cancelling leaves nothing behind. */
#include "quant/cases.h"
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

TCase *dfqt_failure_case(void)
{
    TCase *c = tcase_create("failure");
    tcase_add_loop_test(c, test_out_of_memory, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_cancel, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    return c;
}
