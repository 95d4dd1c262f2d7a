/* Nothing depends on memory that was never written: calibration, tuning, and jobs beside a
 * generator end at the same bits when memory holds NaN. */
#include <math.h>

#include "quant/evaluate.h"
#include "support/nan_alloc.h"
#include "tune/cases.h"

enum { IMAGES = 9, LOGITS = IMAGES * 6 };

static uint64_t tuned(dfq_context *ctx, dfqi_mode mode, float *logits)
{
    dfqt_pair p;
    dfqi_tune *t;
    dfqi_tune_options o = dfqt_options(mode);
    ck_assert_msg(dfqt_pair_make(ctx, mode, IMAGES, &p) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_model_logits(p.student, dfqi_tensor_f32(p.images), IMAGES, logits),
                     DFQ_OK);
    for (int i = 0; i < LOGITS; i++) ck_assert(isfinite(logits[i]));
    uint64_t bits = dfqt_bits(p.student);
    dfqi_tune_release(t);
    dfqt_pair_fini(&p);
    dfqi_context_release(ctx);
    return bits;
}

START_TEST(test_memory_full_of_nan)
{
    float want[LOGITS], have[LOGITS];
    dfqi_mode mode = _i == 0 ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
    uint64_t bits = tuned(dfqt_context(1), mode, want);
    ck_assert(bits == tuned(nan_alloc_context(1), mode, have));
    ck_assert_mem_eq(want, have, sizeof want);
}
END_TEST

static uint64_t tuned_with_generator(dfq_context *ctx, dfqi_generator_kind kind)
{
    dfqt_pair p;
    dfqi_tune *t;
    dfqi_generator_options h;
    dfqi_tune_options o;
    ck_assert_msg(dfqt_cnn_pair_make(ctx, &p) == DFQ_OK, "%s", ctx->error);
    dfqi_generator_trainer_defaults(&h);
    h.kind = kind;
    h.batch = 2;
    dfqi_tune_recipe(DFQ_RECIPE_AIT, &(dfqi_recipe_case){.classes = 4, .steps = 16}, &o);
    ck_assert_msg(dfqi_tune_new_with_generator(p.teacher, p.student, &h, &o, &t) == DFQ_OK, "%s",
                  ctx->error);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", ctx->error);
    uint64_t bits = dfqt_bits(p.student);
    dfqi_tune_release(t);
    dfqt_pair_fini(&p);
    dfqi_context_release(ctx);
    return bits;
}

START_TEST(test_memory_full_of_nan_beside_a_generator)
{
    dfqi_generator_kind kind = (dfqi_generator_kind)_i;
    ck_assert(tuned_with_generator(dfqt_context(1), kind) ==
              tuned_with_generator(nan_alloc_context(1), kind));
}
END_TEST

TCase *dfqt_unwritten_case(void)
{
    TCase *tc = tcase_create("unwritten");
    tcase_add_loop_test(tc, test_memory_full_of_nan, 0, 2);
    tcase_add_loop_test(tc, test_memory_full_of_nan_beside_a_generator, 0, 3);
    return tc;
}
