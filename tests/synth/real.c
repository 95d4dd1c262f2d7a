/* The real ViT-Tiny and ResNet-20, where their files are there: a few images, a few iterations. */
#include <math.h>

#include "support/each.h"
#include "support/suite.h"
#include "synth/cases.h"

START_TEST(test_vit_tiny)
{
    char path[400];
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *t, *y, *before, *after;
    dfqi_synth_options o;
    dfqt_asset("models/vit_tiny_patch16_224.safetensors", path, sizeof path);
    dfq_context *ctx = dfqt_context(2);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &m) == DFQ_OK, "%s", ctx->error);
    dfqi_synth_defaults(&o);
    o.images = 2;
    o.iterations = 3;
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_msg(dfqi_synth_run(s) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_synth_losses(s, &t), DFQ_OK);
    const float *v = dfqi_tensor_f32(t);
    for (int i = 0; i < 3; i++) {
        ck_assert(v[4 * i + DFQI_SYNTH_INTER_HEAD] > 0.05f && v[4 * i + DFQI_SYNTH_INTER_HEAD] < 1);
        ck_assert(v[4 * i + DFQI_SYNTH_CLASS] > 1 && v[4 * i + DFQI_SYNTH_CLASS] < 40);
        ck_assert(v[4 * i + DFQI_SYNTH_TV] > 1 && v[4 * i + DFQI_SYNTH_TV] < 1000);
    }
    dfqi_tensor_release(t);
    ck_assert_int_eq(dfqi_synth_images(s, &t, &y), DFQ_OK);
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++)
        dfqt_each(fabsf(dfqi_tensor_f32(t)[i]) <= 1.0f, "value %d", (int)i);
    ck_assert_int_eq(dfqi_synth_similarity(s, 0, &before, &after), DFQ_OK);
    for (int64_t i = 0; i < 12; i++) ck_assert(fabsf(dfqi_tensor_f32(before)[i]) <= 1.0f);
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    dfqi_tensor_release(t);
    dfqi_tensor_release(y);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Statistics of 16 images come near, and generators of all kinds run. */
START_TEST(test_resnet20)
{
    char path[400];
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *t;
    dfqi_synth_options o;
    dfqt_asset("models/resnet20_cifar10.safetensors", path, sizeof path);
    dfq_context *ctx = dfqt_context(1);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &m) == DFQ_OK, "%s", ctx->error);
    dfqi_synth_defaults(&o);
    o.kind = (dfqi_synth_kind)_i;
    o.images = o.batch = 16;
    o.iterations = _i == DFQI_SYNTH_BNS ? 20 : 3;
    ck_assert_msg(dfqi_synth_new(m, &o, &s) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfqi_synth_run(s) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_synth_losses(s, &t), DFQ_OK);
    const float *first = dfqi_tensor_f32(t);
    const float *last = first + (t->dims[0] - 1) * DFQI_SYNTH_LOSSES;
    ck_assert(first[DFQI_SYNTH_CLASS] > 0.5f && first[DFQI_SYNTH_CLASS] < 30);
    ck_assert(first[DFQI_SYNTH_INTER_HEAD] > 4 && first[DFQI_SYNTH_INTER_HEAD] < 40);
    ck_assert_float_lt(last[DFQI_SYNTH_INTER_HEAD],
                       (_i == DFQI_SYNTH_BNS ? 0.4f : 1.0f) * first[DFQI_SYNTH_INTER_HEAD]);
    dfqi_tensor_release(t);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_real_case(void)
{
    TCase *t = tcase_create("real");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_vit_tiny);
    tcase_add_loop_test(t, test_resnet20, DFQI_SYNTH_BNS, DFQI_SYNTH_ARC + 1);
    return t;
}
