/* A rotated student and a float teacher that is not: what compares them does so in one basis. The
 * same comparisons fail if the student's scheme does not say that it is rotated. */
#include <math.h>
#include <string.h>

#include "nn/rotate.h"
#include "quant/model.h"
#include "support/fail_alloc.h"
#include "tune/cases.h"
#include "tune/diagnose.h"

enum { IMAGES = 8 };

/* A student of 8 bits of p->teacher with a rotated stream. */
static dfq_status make_student(const dfqt_pair *p, dfqi_model **out)
{
    const dfqi_grids grids = {.rotation = DFQI_ROTATION_SEED};
    dfqi_network net = {0}, like = {0};
    dfqi_scheme scheme = {0};
    dfq_status status;
    DFQI_GOTO(dfqi_network_clone(&p->teacher->net, &net), out);
    DFQI_GOTO(dfqi_network_rotate(&net, grids.rotation), out);
    DFQI_GOTO(dfqi_network_clone(&net, &like), out);
    DFQI_GOTO(
        dfqi_scheme_new_with(&net, DFQI_MODE_IMPROVED, (dfqi_widths){8, 8, 0}, grids, &scheme),
        out);
    DFQI_GOTO(dfqi_scheme_calibrate(&scheme, &like, &net, dfqi_tensor_f32(p->images), 4), out);
    status = dfqi_model_new(&net, &scheme, out);
out:
    dfqi_network_fini(&net);
    dfqi_network_fini(&like);
    dfqi_scheme_fini(&scheme);
    return status;
}

/* A pair whose student is rotated; if `hidden` its scheme does not say so. */
static dfqt_pair begin(int hidden)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, IMAGES);
    dfqi_model_release(p.student);
    ck_assert_msg(make_student(&p, &p.student) == DFQ_OK, "%s", p.ctx->error);
    if (hidden) p.student->scheme.grids.rotation = 0;
    return p;
}

/* Every layer and block is close to the teacher's, in decibel. */
START_TEST(test_layer_errors)
{
    double least[2] = {INFINITY, INFINITY};
    for (int hidden = 0; hidden < 2; hidden++) {
        dfqt_pair p = begin(hidden);
        dfq_tensor *db;
        ck_assert_int_eq(
            dfqi_layer_errors(p.teacher, p.student, dfqi_tensor_f32(p.images), IMAGES, &db),
            DFQ_OK);
        for (int64_t i = 0; i < dfqi_tensor_count(db); i++)
            least[hidden] = fmin(least[hidden], (double)dfqi_tensor_f32(db)[i]);
        dfqi_tensor_release(db);
        dfqt_pair_end(&p);
    }
    ck_assert_msg(least[0] > 20 && least[1] < 3, "%g dB, %g without the teacher's rotation",
                  least[0], least[1]);
}
END_TEST

/* Losses of the first step: heads of attention are like the teacher's. Logits are so in any
 * basis. */
START_TEST(test_losses)
{
    float kl[2], head[2];
    for (int hidden = 0; hidden < 2; hidden++) {
        dfqt_pair p = begin(hidden);
        dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
        dfqi_tune *t;
        dfq_tensor *curves;
        o.steps = 1;
        o.head_weight = 1;
        ck_assert_msg(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t) == DFQ_OK, "%s",
                      p.ctx->error);
        ck_assert_int_eq(dfqi_tune_run(t), DFQ_OK);
        ck_assert_int_eq(dfqi_tune_curves(t, &curves), DFQ_OK);
        kl[hidden] = dfqi_tensor_f32(curves)[DFQI_TUNE_KL];
        head[hidden] = dfqi_tensor_f32(curves)[DFQI_TUNE_HEAD];
        dfqi_tensor_release(curves);
        dfqi_tune_release(t);
        dfqt_pair_end(&p);
    }
    ck_assert_msg(kl[0] < 0.02f && fabsf(kl[0] - kl[1]) < 0.01f, "KL %g and %g", (double)kl[0],
                  (double)kl[1]);
    ck_assert_msg(head[0] < 0.05f && head[1] > 0.3f, "heads %g, %g without the teacher's rotation",
                  (double)head[0], (double)head[1]);
}
END_TEST

/* Tuning moves the parameters of the rotated network, LayerNorms too, and keeps its rotation; the
 * diagnosis agrees with the teacher. */
START_TEST(test_tuned)
{
    dfqt_pair p = begin(0);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfqi_diagnose_options look;
    dfqi_diagnosis *d;
    const float *gamma =
        dfqi_tensor_f32(dfqi_network_find(&p.student->net, "blocks.1.norm1.weight"));
    dfqi_tune *t;
    dfqi_model *teacher;
    int moved = 0;
    o.eval_every = 0; /* the last step counts */
    ck_assert_int_eq(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_OK);
    dfqi_tune_release(t);
    for (int i = 0; i < 24; i++) moved += gamma[i] != 1.0f;
    ck_assert_int_gt(moved, 12);
    ck_assert_uint_eq(p.student->scheme.grids.rotation, DFQI_ROTATION_SEED);
    ck_assert_int_eq(dfqi_tune_teacher(p.teacher, p.student, &teacher), DFQ_OK);
    ck_assert_ptr_ne(teacher, p.teacher);
    dfqi_model_release(teacher);
    dfqi_diagnose_defaults(&look);
    look.curvature = (dfqi_loss_curvature_options){.probes = 1, .power = 1, .grid = 3};
    ck_assert_int_eq(dfqi_diagnosis_new(p.teacher, p.student, p.images, NULL, &look, &d), DFQ_OK);
    ck_assert_int_eq(dfqi_diagnosis_run(d), DFQ_OK);
    ck_assert_int_ge(dfqi_diagnosis_agreement(d).agree, IMAGES - 1);
    dfqi_diagnosis_release(d);
    dfqt_pair_end(&p);
}
END_TEST

static dfq_status make_teacher(dfq_context *ctx, void *arg)
{
    dfqt_pair p = {0};
    dfqi_model *like = NULL;
    (void)arg;
    DFQI_TRY(dfqt_pair_make(ctx, DFQI_MODE_PARITY, 1, &p));
    p.student->scheme.grids.rotation = 3;
    dfq_status status = dfqi_tune_teacher(p.teacher, p.student, &like);
    dfqi_model_release(like);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(make_teacher, NULL, 1);
}
END_TEST

TCase *dfqt_rotated_case(void)
{
    TCase *c = tcase_create("rotated");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_layer_errors);
    tcase_add_test(c, test_losses);
    tcase_add_test(c, test_tuned);
    tcase_add_test(c, test_out_of_memory);
    return c;
}
