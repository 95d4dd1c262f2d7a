/* What goes wrong: options, networks, images, numbers, memory. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/fail_alloc.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"

static void refuse(const dfqt_pair *p, dfqi_tune_options o, dfq_status want, const char *word)
{
    dfqi_tune *t = NULL;
    dfq_status status = dfqi_tune_new(p->teacher, p->student, p->images, &o, &t);
    ck_assert_msg(status == want && strstr(p->ctx->error, word), "%s: %d, %s", word, (int)status,
                  p->ctx->error);
    ck_assert_ptr_null(t);
}

START_TEST(test_options)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 4);
    dfqi_tune_options o;
#define REFUSE(field, value)                                                                       \
    do {                                                                                           \
        o = dfqt_options(DFQI_MODE_PARITY);                                                        \
        o.field = (value);                                                                         \
        refuse(&p, o, DFQ_E_INVALID, #field);                                                      \
    } while (0)
    REFUSE(steps, 0);
    REFUSE(steps, INT64_MAX);
    REFUSE(batch, 0);
    REFUSE(batch, 5000);
    REFUSE(schedule, 3);
    REFUSE(warmup, 2);
    REFUSE(warmup_steps, -1);
    REFUSE(augment, (dfqi_augment_kind)4);
    REFUSE(eval_every, -1);
    REFUSE(learning_rate, -1.0f);
    REFUSE(end_learning_rate, NAN);
    REFUSE(milestone_factor, 1.5f);
    REFUSE(momentum, 1.0f);
    REFUSE(beta1, 1.0f);
    REFUSE(beta2, -0.1f);
    REFUSE(eps, 0.0f);
    REFUSE(weight_decay, 2.0f);
    REFUSE(weight_lr_mult, -1.0f);
    REFUSE(scale_lr_mult, INFINITY);
    REFUSE(zero_point_lr_mult, NAN);
    REFUSE(crossing_target, 0.6f);
    REFUSE(temperature, 0.0f);
    REFUSE(kl_weight, -1.0f);
    REFUSE(head_weight, NAN);
#undef REFUSE
    o = dfqt_options(DFQI_MODE_PARITY);
    o.milestones[1] = -1;
    refuse(&p, o, DFQ_E_INVALID, "milestones");
    o = dfqt_options(DFQI_MODE_PARITY);
    o.optimizer = (dfqi_optim_kind)3;
    refuse(&p, o, DFQ_E_INVALID, "optimizer");
    o = dfqt_options(DFQI_MODE_PARITY);
    o.kl_weight = o.head_weight = 0;
    refuse(&p, o, DFQ_E_INVALID, "set one above 0");
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_networks_and_images)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 1), q;
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfq_tensor *db = NULL;
    refuse(&p, o, DFQ_E_INVALID, "there is 1 image");
    q = p;
    q.teacher = p.student;
    refuse(&q, o, DFQ_E_INVALID, "teacher is quantized");
    q.student = p.teacher;
    refuse(&q, o, DFQ_E_INVALID, "teacher is quantized");
    q.teacher = p.teacher;
    refuse(&q, o, DFQ_E_INVALID, "student is not quantized");
    ck_assert_int_eq(dfqi_layer_errors(p.teacher, p.teacher, dfqi_tensor_f32(p.images), 1, &db),
                     DFQ_E_INVALID);
    q = p;
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_F32, 4, (int64_t[]){4, 3, 16, 20}, &q.images),
                     DFQ_OK);
    refuse(&q, o, DFQ_E_SHAPE, "[4,3,16,20]");
    dfqi_tensor_release(q.images);
    p.teacher->net.arch.of.vit.hidden++;
    refuse(&p, o, DFQ_E_SHAPE, "different sizes");
    p.teacher->net.arch.of.vit.hidden--;
    dfqt_pair other = dfqt_pair_new(1, DFQI_MODE_PARITY, 1);
    q = p;
    q.teacher = other.teacher;
    refuse(&q, o, DFQ_E_INVALID, "different contexts");
    dfqt_pair_end(&other);
    dfqt_pair_end(&p);
}
END_TEST

/* The job stops at the step, names it and the parameter; the best parameters stay. */
START_TEST(test_not_finite)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfqi_tune *t;
    dfqi_tune_best best;
    int32_t finished;
    uint64_t untuned = dfqt_bits(p.student);
    o.learning_rate = 1e-6f;
    o.steps = 20;
    ck_assert_int_eq(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
    ck_assert_uint_ne(untuned, dfqt_bits(p.student));
    dfqi_tune_get_best(t, &best);
    dfqi_tensor_f32(dfqi_network_find(&p.student->net, "blocks.1.mlp.fc1.bias"))[3] = NAN;
    ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(p.ctx->error, "step 6") && strstr(p.ctx->error, "gradient of"), "%s",
                  p.ctx->error);
    for (int32_t i = 0; i < p.student->net.n_params; i++) {
        const dfq_tensor *w = p.student->net.params[i].tensor;
        for (int64_t k = 0; k < dfqi_tensor_count(w); k++)
            ck_assert(isfinite(dfqi_tensor_f32(w)[k]));
    }
    ck_assert(best.best_step == 0 ? untuned == dfqt_bits(p.student)
                                  : untuned != dfqt_bits(p.student));
    ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_E_NUMERIC);
    ck_assert_int_eq(dfqi_tune_done(t), 6);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* A verdict on images that the networks have no finite answer to is refused: of the float one by an
 * image, of the student by a bias. */
START_TEST(test_held_out_logits_are_not_finite)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfqi_tune *t;
    int32_t finished;
    ck_assert_int_eq(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    if (_i == 0)
        dfqi_tensor_f32(p.images)[dfqi_tune_held_image(t, 1) * t->pixels] = NAN;
    else
        dfqi_tensor_f32(dfqi_network_find(&p.student->net, "head.bias"))[2] = INFINITY;
    for (int i = 0; i < 2; i++) { /* and stays so */
        ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_E_NUMERIC);
        ck_assert_msg(
            strstr(p.ctx->error, _i == 0 ? "float network are not finite for image" : "quantized"),
            "%s", p.ctx->error);
    }
    ck_assert_int_eq(dfqi_tune_done(t), 0);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* Without evaluations there is no best step: the untuned parameters come back. */
START_TEST(test_not_finite_without_evaluations)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqi_tune *t;
    uint64_t untuned = dfqt_bits(p.student);
    o.learning_rate = 1e3f;
    o.schedule = DFQ_SCHEDULE_CONSTANT;
    o.steps = 200;
    o.eval_every = 0;
    ck_assert_int_eq(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_E_NUMERIC);
    ck_assert_uint_eq(untuned, dfqt_bits(p.student));
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* Each allocation of a job's life is refused once. */
static dfq_status life(dfq_context *ctx, void *arg)
{
    const char *path = arg;
    dfqt_pair p;
    dfqi_tune *t = NULL;
    dfqi_tune_cost cost;
    dfq_tensor *curves = NULL, *evals = NULL, *crossings = NULL, *targets = NULL, *db = NULL;
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfq_status status;
    int32_t finished;
    o.crossing_target = 0.01f;
    o.steps = 2;
    o.batch = 1;
    DFQI_TRY(dfqt_pair_make(ctx, DFQI_MODE_PARITY, 2, &p));
    DFQI_GOTO(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), out);
    DFQI_GOTO(dfqi_tune_estimate(t, &cost), out);
    DFQI_GOTO(dfqi_tune_step(t, &finished), out);
    DFQI_GOTO(dfqi_tune_save(t, path), out);
    DFQI_GOTO(dfqi_tune_curves(t, &curves), out);
    DFQI_GOTO(dfqi_tune_evals(t, &evals), out);
    DFQI_GOTO(dfqi_tune_crossings(t, &crossings), out);
    DFQI_GOTO(dfqi_tune_crossing_targets(t, &targets), out);
    dfqi_tune_release(t);
    t = NULL;
    DFQI_GOTO(dfqi_tune_new(p.teacher, p.student, p.images, &o, &t), out);
    DFQI_GOTO(dfqi_tune_restore(t, path), out);
    DFQI_GOTO(dfqi_tune_run(t), out);
    status = dfqi_layer_errors(p.teacher, p.student, dfqi_tensor_f32(p.images), 2, &db);
out:
    dfqi_tensor_release(curves);
    dfqi_tensor_release(evals);
    dfqi_tensor_release(crossings);
    dfqi_tensor_release(targets);
    dfqi_tensor_release(db);
    dfqi_tune_release(t);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_no_memory)
{
    static char path[] = "tune_no_memory.safetensors";
    fail_alloc_sweep(life, path, 1);
    (void)remove(path);
}
END_TEST

TCase *dfqt_failure_case(void)
{
    TCase *t = tcase_create("failure");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_options);
    tcase_add_test(t, test_networks_and_images);
    tcase_add_test(t, test_not_finite);
    tcase_add_loop_test(t, test_held_out_logits_are_not_finite, 0, 2);
    tcase_add_test(t, test_not_finite_without_evaluations);
    tcase_add_test(t, test_no_memory);
    return t;
}
