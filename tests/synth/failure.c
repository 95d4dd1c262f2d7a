/* What goes wrong: options, numbers, memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "synth/cases.h"
#include "synth/imageset.h"

static void refuse(const dfqi_model *m, dfqi_synth_options o, const char *word)
{
    dfqi_synth *s = NULL;
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_null(s);
    ck_assert_msg(strstr(m->ctx->error, word) != NULL, "%s: %s", word, m->ctx->error);
}

START_TEST(test_options)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth_options o = dfqt_options();
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
#define REFUSE(field, value)                                                                       \
    do {                                                                                           \
        o = dfqt_options();                                                                        \
        o.field = (value);                                                                         \
        refuse(m, o, #field);                                                                      \
    } while (0)
    REFUSE(images, 0);
    REFUSE(images, INT64_MAX);
    REFUSE(batch, 0);
    REFUSE(batch, 5000);
    REFUSE(iterations, 0);
    REFUSE(iterations, 1000001);
    REFUSE(roll_first, -1);
    REFUSE(roll_second, 5000);
    REFUSE(flip, 2);
    REFUSE(jitter, -1);
    REFUSE(multi_scale, 2);
    REFUSE(distance, (dfqi_distance)2);
    REFUSE(attention_weight, -1.0f);
    REFUSE(class_weight, NAN);
    REFUSE(tv_weight, INFINITY);
    REFUSE(learning_rate, -0.1f);
    REFUSE(end_learning_rate, NAN);
    REFUSE(weight_decay, 2.0f);
    REFUSE(kind, (dfqi_synth_kind)(DFQI_SYNTH_LEAVES + 1));
    REFUSE(kind, (dfqi_synth_kind)-2);
#undef REFUSE
    o = dfqt_options();
    o.kind = DFQI_SYNTH_PRIOR;
    o.class_weight = o.tv_weight = 0;
    refuse(m, o, "all weights");
    m->quantized = 1;
    refuse(m, dfqt_options(), "float network");
    m->quantized = 0;
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

static void count_warning(int32_t level, const char *line, void *user)
{
    if (level == DFQ_LOG_WARNING && strstr(line, "drawn anew")) ++*(int *)user;
}

START_TEST(test_divergence)
{
    int warnings = 0;
    int32_t finished = 0;
    dfq_context_options co = {
        .struct_size = sizeof co, .threads = 2, .log = count_warning, .log_user = &warnings};
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_synth *s;
    dfqi_synth_options o = dfqt_options();
    ck_assert_int_eq(dfqi_context_create(&co, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    float *w = dfqi_tensor_f32(dfqi_network_find(&m->net, "head.weight"));
    for (int i = 0; i < 6 * 24; i++) w[i] = i % 2 ? 3e38f : -3e38f; /* logits overflow */
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(warnings, 3);
    ck_assert_int_eq(dfqi_synth_done(s), 0);
    ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(ctx->error, "batch 0"));
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_E_NUMERIC);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Each allocation of a job's life is refused once. */
static dfq_status life(dfq_context *ctx, void *arg)
{
    const char *path = arg;
    dfqi_model *m;
    dfqi_synth *s = NULL;
    dfqi_synth_cost cost;
    dfq_tensor *x = NULL, *y = NULL, *losses = NULL, *before = NULL, *after = NULL;
    dfqi_synth_options o = dfqt_options();
    dfq_status status;
    int32_t finished;
    o.images = 3;
    o.iterations = 1;
    o.kind = DFQI_SYNTH_PSE;
    DFQI_TRY(dfqt_random_model(ctx, &m));
    DFQI_GOTO(dfqi_synth_new(m, &o, &s), out);
    DFQI_GOTO(dfqi_synth_estimate(s, 0, &cost), out);
    DFQI_GOTO(dfqi_synth_step(s, &finished), out);
    DFQI_GOTO(dfqi_synth_save(s, path), out);
    DFQI_GOTO(dfqi_synth_images(s, &x, &y), out);
    DFQI_GOTO(dfqi_synth_losses(s, &losses), out);
    DFQI_GOTO(dfqi_synth_similarity(s, 1, &before, &after), out);
    dfqi_synth_release(s);
    s = NULL;
    DFQI_GOTO(dfqi_synth_new(m, &o, &s), out);
    DFQI_GOTO(dfqi_synth_restore(s, path), out);
    status = dfqi_synth_run(s);
out:
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_tensor_release(losses);
    dfqi_tensor_release(before);
    dfqi_tensor_release(after);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    return status;
}

static dfq_status set_life(dfq_context *ctx, void *arg)
{
    const char *folder = arg;
    char path[128];
    dfqi_model *m;
    dfq_tensor *images = NULL, *labels = NULL, *x = NULL, *y = NULL;
    dfq_status status;
    int64_t dims[4] = {2, 3, 16, 16};
    snprintf(path, sizeof path, "%s/attention.png", folder);
    DFQI_TRY(dfqt_random_model(ctx, &m));
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, 4, dims, &images), out);
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_I32, 1, dims, &labels), out);
    DFQI_GOTO(dfqi_imageset_save(m, images, labels, folder, 1), out);
    DFQI_GOTO(dfqi_attention_sheet(m, images, 1, path), out);
    status = dfqi_imageset_load(m, folder, &x, &y);
out:
    dfqi_tensor_release(images);
    dfqi_tensor_release(labels);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_no_memory)
{
    char folder[64], path[128];
    dfqt_folder(folder);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
    fail_alloc_sweep(life, path, 1);
    fail_alloc_sweep(set_life, folder, 1);
    dfqt_remove(folder);
}
END_TEST

TCase *dfqt_failure_case(void)
{
    TCase *t = tcase_create("failure");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_options);
    tcase_add_test(t, test_divergence);
    tcase_add_test(t, test_no_memory);
    return t;
}
