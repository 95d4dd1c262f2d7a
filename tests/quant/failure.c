/* Every allocation of a quantization is refused once; cancelling leaves nothing behind; logits that
 * are not finite are no answer. */
#include <math.h>
#include <string.h>

#include "quant/cases.h"
#include "quant/evaluate.h"
#include "quant/search.h"
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

/* Images that drive an activation to NaN set no range: NaN loses every comparison of extremes. */
START_TEST(test_images_are_not_finite)
{
    static float x[DFQT_IMAGES * DFQT_IMAGE];
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t;
    dfqi_scheme scheme;
    dfqi_network net;
    dfqt_images(x);
    x[2 * DFQT_IMAGE + 7] = NAN;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_new(&t->net, (dfqi_mode)_i, (dfqi_widths){4, 4, 0}, &scheme),
                     DFQ_OK);
    ck_assert_int_eq(dfqi_network_clone(&t->net, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_calibrate(&scheme, &t->net, &net, x, DFQT_IMAGES), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(ctx->error, "blocks.0") && strstr(ctx->error, "not finite"), "%s",
                  ctx->error);
    dfqi_scheme_fini(&scheme);
    dfqi_network_fini(&net);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* Wherever the candidate without an error stands. */
START_TEST(test_nan_never_wins)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_stats stats;
    dfqi_site site = {.name = "x", .kind = DFQI_SITE_UNIFORM, .bits = 4, .qmax = 15};
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){1}, &site.scale), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){1}, &site.zero_point), DFQ_OK);
    ck_assert_int_eq(dfqi_stats_new(ctx, 1, 1, &stats), DFQ_OK);
    stats.candidates = 3;
    for (int c = 0; c < 3; c++) {
        stats.scale[c] = (float)(c + 1);
        stats.error[c] = c == _i ? (double)NAN : 5 - c;
    }
    dfqi_stats_choose(&stats, &site);
    ck_assert_float_eq(*dfqi_tensor_f32(site.scale), _i == 2 ? 2.0f : 3.0f);
    dfqi_stats_fini(ctx, &stats);
    dfqi_tensor_release(site.scale);
    dfqi_tensor_release(site.zero_point);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_failure_case(void)
{
    TCase *c = tcase_create("failure");
    tcase_add_loop_test(c, test_out_of_memory, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_cancel, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_the_best_class);
    tcase_add_loop_test(c, test_images_are_not_finite, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_loop_test(c, test_nan_never_wins, 0, 3);
    tcase_add_loop_test(c, test_not_finite_is_no_class, 0, 3);
    return c;
}
