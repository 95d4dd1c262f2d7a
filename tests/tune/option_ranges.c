/* Ranges of the tuner's options, as dfq/tuner.h says them. */
#include "support/ranges.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"

#define ROW(name, kind, least, most) DFQT_RANGE(dfqi_tune_options, name, kind, least, most)

static const double many = 10e6;

static dfq_status check(dfq_context *ctx, const void *options)
{
    return dfqi_tune_check(ctx, options);
}

START_TEST(test_ranges)
{
    const float below_one = nextafterf(1, 0);
    const dfqt_range rows[] = {ROW(steps, DFQT_I64, 1, many),
                               ROW(batch, DFQT_I64, 1, 4096),
                               ROW(optimizer, DFQT_I32, DFQ_OPTIMIZER_SGD, DFQ_OPTIMIZER_RMSPROP),
                               ROW(schedule, DFQT_I32, 0, DFQ_SCHEDULE_COSINE),
                               ROW(warmup, DFQT_I32, 0, DFQ_WARMUP_IDLE),
                               ROW(warmup_steps, DFQT_I64, 0, many),
                               ROW(milestones, DFQT_I64, 0, many),
                               ROW(augment, DFQT_I32, 0, DFQ_AUGMENT_SYNTHETIC),
                               ROW(eval_every, DFQT_I64, 0, many),
                               ROW(learning_rate, DFQT_F32, 0, 1000),
                               ROW(end_learning_rate, DFQT_F32, 0, 1000),
                               ROW(milestone_factor, DFQT_F32, 0, 1),
                               ROW(momentum, DFQT_F32, 0, below_one),
                               ROW(beta1, DFQT_F32, 0, below_one),
                               ROW(beta2, DFQT_F32, 0, below_one),
                               ROW(eps, DFQT_F32, 1e-30f, 1),
                               ROW(weight_decay, DFQT_F32, 0, 1),
                               ROW(clip_norm, DFQT_F32, 0, 1e6),
                               ROW(weight_lr_mult, DFQT_F32, 0, 1e6),
                               ROW(scale_lr_mult, DFQT_F32, 0, 1e6),
                               ROW(zero_point_lr_mult, DFQT_F32, 0, 1e6),
                               ROW(crossing_target, DFQT_F32, 0, 0.5),
                               ROW(temperature, DFQT_F32, 1e-3f, 1000),
                               ROW(kl_weight, DFQT_F32, 0, 1e6),
                               ROW(head_weight, DFQT_F32, 0, 1e6),
                               ROW(label_weight, DFQT_F32, 0, 1e6),
                               ROW(kappa_capped_steps, DFQT_I64, 0, many),
                               ROW(range_steps, DFQT_I64, 0, many)};
    dfq_context *ctx = dfqt_context(1);
    dfqi_tune_options o;
    dfqi_tune_recipe(DFQ_RECIPE_MIMIQ, &(dfqi_recipe_case){.steps = 0}, &o);
    dfqt_ranges(ctx, rows, sizeof rows / sizeof *rows, &o, sizeof o, check);
    o.kl_weight = o.head_weight = o.label_weight = 0;
    ck_assert_int_eq(dfqi_tune_check(ctx, &o), DFQ_E_INVALID);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_option_ranges_case(void)
{
    TCase *c = tcase_create("option_ranges");
    tcase_add_test(c, test_ranges);
    return c;
}
