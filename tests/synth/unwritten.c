/* Nothing depends on memory that was never written: jobs make the same bits when memory holds
 * NaN. */
#include <math.h>
#include <string.h>

#include "support/nan_alloc.h"
#include "synth/cases.h"
#include "synth/similarity.h"
#include "synth/synth_priv.h"

enum { MOST = DFQT_IMAGES * DFQT_PIXELS, DEPTH = 2 };

/* What a job shows. */
typedef struct shown {
    float images[MOST], losses[DFQI_SYNTH_LOSSES], before[DEPTH], after[DEPTH];
} shown;

static void take(float *to, dfq_tensor *t, int64_t skip, int64_t n)
{
    memcpy(to, dfqi_tensor_f32(t) + skip, (size_t)n * sizeof *to);
    dfqi_tensor_release(t);
}

static void make(dfq_context *ctx, const dfqi_synth_options *o, int cnn, shown *out)
{
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *x, *y;
    memset(out, 0, sizeof *out);
    ck_assert_int_eq(cnn ? dfqt_random_cnn(ctx, &m) : dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_msg(dfqi_synth_new(m, o, &s) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfqi_synth_run(s) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    take(out->images, x, 0, dfqi_tensor_count(x));
    dfqi_tensor_release(y);
    ck_assert_int_eq(dfqi_synth_losses(s, &x), DFQ_OK);
    take(out->losses, x, dfqi_tensor_count(x) - DFQI_SYNTH_LOSSES, DFQI_SYNTH_LOSSES);
    if (!cnn) {
        ck_assert_int_eq(dfqi_synth_similarity(s, 0, &x, &y), DFQ_OK);
        take(out->before, x, 0, DEPTH);
        take(out->after, y, 0, DEPTH);
    }
    for (int i = 0; i < MOST; i++) ck_assert(isfinite(out->images[i]));
    for (int i = 0; i < DEPTH; i++) ck_assert(isfinite(out->before[i]) && isfinite(out->after[i]));
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}

/* Kinds 0 to 3 of a transformer with images moved pixel by pixel, then at all scales; then the
 * kinds of a convolutional network. */
START_TEST(test_memory_full_of_nan)
{
    static shown want, have;
    dfqi_synth_options o = dfqt_options();
    int cnn = _i >= 8;
    o.kind = (dfqi_synth_kind)(cnn ? DFQI_SYNTH_BNS + _i - 8 : _i % 4);
    o.multi_scale = _i / 4 == 1;
    o.flip = 1;
    make(dfqt_context(1), &o, cnn, &want);
    make(nan_alloc_context(1), &o, cnn, &have);
    ck_assert_mem_eq(&want, &have, sizeof want);
}
END_TEST

/* A batch that turned NaN begins anew with numbers. */
START_TEST(test_a_nan_batch_is_drawn_anew)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *x, *y;
    int32_t finished = 0;
    dfqi_synth_options o = dfqt_options();
    o.multi_scale = _i;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    for (int64_t i = 0; i < o.batch * s->pixels; i++) s->x[i] = NAN;
    ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(s->attempt, 1);
    ck_assert_msg(dfqi_synth_run(s) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    for (int64_t i = 0; i < dfqi_tensor_count(x); i++) ck_assert(isfinite(dfqi_tensor_f32(x)[i]));
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_unwritten_case(void)
{
    TCase *tc = tcase_create("unwritten");
    tcase_add_loop_test(tc, test_memory_full_of_nan, 0, 12);
    tcase_add_loop_test(tc, test_a_nan_batch_is_drawn_anew, 0, 2);
    return tc;
}
