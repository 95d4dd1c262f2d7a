/* The real ViT-Tiny, where its file is there: two steps on noise. */
#include <math.h>

#include "base/rng.h"
#include "support/suite.h"
#include "tune/cases.h"

START_TEST(test_vit_tiny)
{
    enum { N = 4 };
    char path[400];
    dfqi_model *teacher, *student;
    dfqi_network net;
    dfqi_scheme scheme;
    dfq_tensor *images, *curves;
    dfqi_tune *t;
    dfqi_tune_options o;
    dfqi_rng r = dfqi_rng_make(3, 3);
    dfqt_asset("models/vit_tiny_patch16_224.safetensors", path, sizeof path);
    dfq_context *ctx = dfqt_context(2);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &teacher) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){N, 3, 224, 224}, &images),
                     DFQ_OK);
    dfqi_rng_fill_normal(&r, dfqi_tensor_f32(images), N * 3 * 224 * 224);
    for (int64_t i = 0; i < dfqi_tensor_count(images); i++)
        dfqi_tensor_f32(images)[i] = fmaxf(-1, fminf(1, dfqi_tensor_f32(images)[i]));
    ck_assert_int_eq(
        dfqi_scheme_new(&teacher->net, DFQI_MODE_PARITY, (dfqi_widths){4, 4, 0}, &scheme), DFQ_OK);
    ck_assert_int_eq(dfqi_network_clone(&teacher->net, &net), DFQ_OK);
    ck_assert_int_eq(
        dfqi_scheme_calibrate(&scheme, &teacher->net, &net, dfqi_tensor_f32(images), 2), DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&net, &scheme, &student), DFQ_OK);
    dfqi_tune_recipe(DFQ_RECIPE_MIMIQ_PARITY, &(dfqi_recipe_case){.steps = 0}, &o);
    o.steps = o.batch = 2;
    o.learning_rate = 1e-4f;
    ck_assert_msg(dfqi_tune_new(teacher, student, images, &o, &t) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_tune_curves(t, &curves), DFQ_OK);
    const float *v = dfqi_tensor_f32(curves);
    for (int i = 0; i < 2; i++) {
        ck_assert(v[DFQI_TUNE_KL] > 0 && v[DFQI_TUNE_KL] < 100);
        ck_assert(v[DFQI_TUNE_HEAD] > 0 && v[DFQI_TUNE_HEAD] < 1.2f);
    }
    dfqi_tensor_release(curves);
    dfqi_tune_release(t);
    dfqi_tensor_release(images);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_real_case(void)
{
    TCase *t = tcase_create("real");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_vit_tiny);
    return t;
}
