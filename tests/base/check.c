/* Range checks of options: both ends are in, NaN is out, and what the text says. */
#include "base/check.h"

#include <math.h>

#include <dfq/context.h>

#include "base/cases.h"

START_TEST(test_whole)
{
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqi_check_whole(ctx, "tune", "batch", 1, 1, 4096), DFQ_OK);
    ck_assert_int_eq(dfqi_check_whole(ctx, "tune", "batch", 4096, 1, 4096), DFQ_OK);
    ck_assert_int_eq(dfqi_check_whole(ctx, "tune", "batch", 0, 1, 4096), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "tune: batch is 0, must be 1 to 4096");
    ck_assert_int_eq(dfqi_check_whole(ctx, NULL, "steps", INT64_MAX, -1, 9), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "steps is 9223372036854775807, must be -1 to 9");
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_real)
{
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqi_check_real(ctx, "synth", "eps", 1e-8, 1e-8, 1), DFQ_OK);
    ck_assert_int_eq(dfqi_check_real(ctx, "synth", "eps", 1, 1e-8, 1), DFQ_OK);
    ck_assert_int_eq(dfqi_check_real(ctx, "synth", "eps", 1.5, 1e-8, 1), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "synth: eps is 1.5, must be 1e-08 to 1");
    ck_assert_int_eq(dfqi_check_real(ctx, NULL, "eps", (double)NAN, 0, 1), DFQ_E_INVALID);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_index)
{
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqi_check_index(ctx, "layer", 0, 6), DFQ_OK);
    ck_assert_int_eq(dfqi_check_index(ctx, "layer", 5, 6), DFQ_OK);
    ck_assert_int_eq(dfqi_check_index(ctx, "layer", 6, 6), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "layer is 6, must be 0 to 5");
    ck_assert_int_eq(dfqi_check_index(ctx, "layer", -1, 6), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_check_index(ctx, "layer", 0, 0), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "layer is 0, and there are none");
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_span)
{
    dfq_context *ctx;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqi_check_span(ctx, "images", 0, 5, 1, 5), DFQ_OK);
    ck_assert_int_eq(dfqi_check_span(ctx, "images", 5, 0, 0, 5), DFQ_OK);
    ck_assert_int_eq(dfqi_check_span(ctx, "images", 5, 0, 1, 5), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_check_span(ctx, "images", -1, 2, 1, 5), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_check_span(ctx, "images", 1, INT64_MAX, 1, 5), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_check_span(ctx, "images", 3, 3, 1, 5), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "images: first is 3 and n is 3, must be at least 0 and 1, and "
                                 "together at most 5");
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_check_case(void)
{
    TCase *c = tcase_create("check");
    tcase_add_test(c, test_whole);
    tcase_add_test(c, test_real);
    tcase_add_test(c, test_index);
    tcase_add_test(c, test_span);
    return c;
}
