/* The public face: one whole life of a job through dfq/tuner.h. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tune/cases.h"

static dfq_tuner_options small_options(void)
{
    dfq_tuner_options o;
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ, NULL, 0);
    o.steps = 6;
    o.batch = 3;
    o.eval_every = 4;
    return o;
}

START_TEST(test_whole_life)
{
    static const char path[] = "tune_api.safetensors";
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, 8);
    dfqt_pair again = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 8);
    dfq_tuner *tuner, *other;
    dfq_tuner_options o = small_options();
    dfq_tuner_cost cost = {.struct_size = sizeof cost};
    dfq_tuner_best best = {.struct_size = sizeof best};
    dfq_tensor *curves, *evals, *crossings, *db;
    int32_t finished = -1;
    o.crossing_target = 0.001f;
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &o, &tuner), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_estimate(tuner, &cost), DFQ_OK);
    ck_assert(isnan(cost.seconds) && cost.bytes > 100000 && cost.macs > 1000000);
    ck_assert_int_eq(cost.steps, 6);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dfq_tuner_step(tuner, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    ck_assert_int_eq(dfq_tuner_estimate(tuner, &cost), DFQ_OK);
    ck_assert(cost.done == 3 && cost.seconds > 0 && cost.seconds_left > cost.seconds);
    ck_assert_int_eq(dfq_tuner_save_checkpoint(tuner, path), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_restore_parameters(tuner, 0), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_run(tuner), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_create(again.teacher, again.student, again.images, &o, &other),
                     DFQ_OK);
    ck_assert_msg(dfq_tuner_load_checkpoint(other, path) == DFQ_OK, "%s", again.ctx->error);
    ck_assert_int_eq(dfq_tuner_run(other), DFQ_OK);
    ck_assert_uint_eq(dfqt_bits(p.student), dfqt_bits(again.student));
    ck_assert_int_eq(dfq_tuner_get_curves(tuner, &curves), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(curves)[0], 6);
    ck_assert_int_eq(dfq_tensor_get_dims(curves)[1], DFQ_TUNE_COUNT);
    ck_assert_int_eq(dfq_tuner_get_evaluations(tuner, &evals), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(evals)[0], 3);
    ck_assert_int_eq(dfq_tuner_get_crossings(tuner, &crossings), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(crossings)[1], 3);
    ck_assert_int_eq(dfq_tuner_get_best(tuner, &best), DFQ_OK);
    ck_assert(best.last_step == 6 && best.held_out == 4 &&
              (float)best.best_kl <= (float)best.last_kl);
    ck_assert_int_eq(dfq_tuner_restore_parameters(tuner, 0), DFQ_OK);
    ck_assert_int_eq(dfq_graph_get_layer_errors(p.teacher, p.student, p.images, &db), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(db)[0], 3);
    dfq_tensor_release(curves);
    dfq_tensor_release(evals);
    dfq_tensor_release(crossings);
    dfq_tensor_release(db);
    dfqt_pair_end(&p);
    dfq_tuner_release(tuner); /* the last handle: it kept networks, images and context */
    dfq_tuner_release(other);
    dfqt_pair_end(&again);
    (void)remove(path);
}
END_TEST

static void released(dfq_tensor *t, int64_t rows, int64_t columns)
{
    ck_assert_int_eq(dfq_tensor_get_dims(t)[0], rows);
    if (columns) ck_assert_int_eq(dfq_tensor_get_dims(t)[1], columns);
    dfq_tensor_release(t);
}

/* What a job with a generator network tells; one without has neither curves nor images of it. */
START_TEST(test_generator)
{
    enum { STEPS = 6, WARM = 2, BATCH = 8 };
    dfqt_pair p = dfqt_cnn_pair_new(1);
    dfq_tuner *tuner;
    dfq_tuner_options o;
    dfq_generator_options g;
    dfq_tensor *t = NULL, *labels = NULL;
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_AIT_PARITY, p.teacher, STEPS);
    dfq_generator_options_init(&g, sizeof g, DFQ_RECIPE_AIT_PARITY, p.teacher);
    o.warmup_steps = o.range_steps = WARM;
    g.batch = BATCH;
    ck_assert_msg(dfq_tuner_create_with_generator(p.teacher, p.student, &g, &o, &tuner) == DFQ_OK,
                  "%s", p.ctx->error);
    ck_assert_int_eq(dfq_tuner_get_generator_images(tuner, &t, &labels), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_generator_images(tuner, &t, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_generator_curves(tuner, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_crossed(tuner, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_crossing_targets(tuner, NULL), DFQ_E_INVALID);
    ck_assert_msg(dfq_tuner_run(tuner) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfq_tuner_get_crossing_targets(tuner, &t), DFQ_OK);
    for (int i = 0; i < STEPS; i++)
        ck_assert_int_eq(((float *)dfq_tensor_get_data(t))[i] > 0, i >= WARM);
    released(t, STEPS, 0);
    ck_assert_int_eq(dfq_tuner_get_crossed(tuner, &t), DFQ_OK);
    released(t, STEPS, 6);
    ck_assert_int_eq(dfq_tuner_get_generator_curves(tuner, &t), DFQ_OK);
    released(t, STEPS, 3);
    ck_assert_int_eq(dfq_tuner_get_generator_images(tuner, &t, &labels), DFQ_OK);
    released(t, BATCH, 3);
    released(labels, BATCH, 0);
    dfq_tuner_release(tuner);
    ck_assert_int_eq(dfq_tuner_get_crossed(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_crossing_targets(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_generator_curves(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_generator_images(NULL, &t, &labels), DFQ_E_INVALID);
    dfqt_pair_end(&p);
}
END_TEST

/* A job on images has no generator network, and without a target no crossings. */
START_TEST(test_no_generator)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 8);
    dfq_tuner_options o = small_options();
    dfq_tuner *tuner;
    dfq_tensor *t = NULL, *labels = NULL;
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &o, &tuner), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_get_crossed(tuner, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_crossing_targets(tuner, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_generator_curves(tuner, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_generator_images(tuner, &t, &labels), DFQ_E_INVALID);
    ck_assert(t == NULL && labels == NULL && p.ctx->error[0] != '\0');
    dfq_tuner_release(tuner);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_bad_arguments)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 8);
    dfq_tuner *tuner = NULL;
    dfq_tensor *t = NULL;
    dfq_tuner_options o;
    dfq_generator_options generator;
    dfq_tuner_best best = {.struct_size = 0};
    dfq_tuner_cost cost = {.struct_size = 0};
    int32_t finished;
    struct {
        dfq_tuner_options o;
        uint64_t more;
    } newer;
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ_PARITY, NULL, 0);
    ck_assert_int_eq(o.optimizer, DFQ_OPTIMIZER_SGD);
    ck_assert_int_eq(o.schedule, DFQ_SCHEDULE_MULTI_STEP);
    ck_assert_int_eq(o.warmup, DFQ_WARMUP_IDLE);
    ck_assert_int_eq(o.augment, DFQ_AUGMENT_FULL);
    ck_assert(o.weight_decay == 0 && o.temperature == 5 && o.head_weight == 10);
    ck_assert_int_eq(dfq_tuner_create(p.teacher, NULL, p.images, &o, &tuner), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_create(NULL, p.student, p.images, &o, &tuner), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, NULL, &o, &tuner), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &o, NULL), DFQ_E_INVALID);
    o.steps = 0;
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &o, &tuner), DFQ_E_INVALID);
    dfq_tuner_options_init(&newer.o, sizeof newer, DFQ_RECIPE_MIMIQ, NULL, 0);
    newer.more = 1;
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &newer.o, &tuner),
                     DFQ_E_UNSUPPORTED);
    newer.more = 0;
    newer.o.crossing_target = 1;
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &newer.o, &tuner),
                     DFQ_E_INVALID);
    dfq_generator_options_init(&generator, sizeof generator, DFQ_RECIPE_AIT, NULL);
    generator.kind = 99;
    ck_assert_int_eq(
        dfq_tuner_create_with_generator(p.teacher, p.student, &generator, NULL, &tuner),
        DFQ_E_INVALID);
    ck_assert_ptr_null(tuner);
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, NULL, &tuner), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_step(tuner, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_step(NULL, &finished), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_run(NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_curves(tuner, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_evaluations(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_crossings(tuner, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_crossings(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_get_best(tuner, &best), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_estimate(tuner, &cost), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_save_checkpoint(tuner, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_load_checkpoint(tuner, "no/such/file"), DFQ_E_IO);
    ck_assert_int_eq(dfq_graph_get_layer_errors(p.teacher, p.student, NULL, &t), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    dfq_tuner_release(NULL);
    dfq_tuner_release(tuner);
    dfqt_pair_end(&p);
}
END_TEST

/* A network of so many classes and pixels. */
static dfq_graph *network(dfq_context *ctx, int64_t classes, int64_t image)
{
    dfq_vit_options v;
    dfq_graph *g;
    dfq_vit_options_init(&v, sizeof v);
    v.image = image;
    v.patch = image / 2;
    v.width = v.hidden = 4;
    v.depth = v.heads = 1;
    v.classes = classes;
    ck_assert_msg(dfq_graph_create(ctx, &v, &g) == DFQ_OK, "%s", dfq_context_get_error(ctx));
    return g;
}

/* What AIT's recipes have depends on steps, classes and image size: AIT has other numbers for
 * ImageNet. */
START_TEST(test_recipes)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *small = network(ctx, 20, 64), *large = network(ctx, 20, 66);
    dfq_tuner_options o;
    dfq_generator_options g;
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_AIT, NULL, 0);
    ck_assert(o.steps == 1000 && o.kl_weight == 0.1f && o.warmup_steps == 250);
    ck_assert(o.range_steps == 250 && o.learning_rate == 0.01f && o.clip_norm == 1.0f);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_AIT, small, 8000);
    ck_assert(o.steps == 8000 && o.kl_weight == 0.05f && o.warmup_steps == 800);
    ck_assert(o.batch == 200 && o.crossing_target == 1e-3f && o.clip_norm == 0.5f);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_AIT_PARITY, large, 400);
    ck_assert(o.batch == 16 && o.crossing_target == 1e-4f && o.clip_norm == 0);
    ck_assert(o.warmup_steps == 40 && o.kappa_capped_steps == 10 && o.milestones[0] == 100);
    ck_assert(o.learning_rate == 1e-4f && o.schedule == DFQ_SCHEDULE_MULTI_STEP);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_GDFQ, large, 400);
    ck_assert(o.batch == 16 && o.crossing_target == 0 && o.label_weight == 1);
    ck_assert(o.learning_rate == 1e-4f && o.clip_norm == 0 && o.weight_decay == 1e-3f);
    ck_assert(o.schedule == DFQ_SCHEDULE_COSINE && o.kl_weight == 0.05f);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_GDFQ_PARITY, small, 400);
    ck_assert(o.schedule == DFQ_SCHEDULE_MULTI_STEP && o.label_weight == 1 && o.batch == 200);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_AIT_SET, small, 0);
    ck_assert(o.batch == 64 && o.steps == 300 && o.warmup_steps + o.range_steps == 0);
    ck_assert(o.optimizer == DFQ_OPTIMIZER_ADAMW && o.learning_rate == 1e-4f && o.clip_norm == 0);
    ck_assert(o.crossing_target == 0 && o.kl_weight == 0.05f && o.temperature == 20);
    ck_assert(o.augment == DFQ_AUGMENT_MILD && o.eval_every == 50 && o.head_weight == 0);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_AIT_SET, large, 40);
    ck_assert(o.batch == 16 && o.steps == 40);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ, large, 70);
    ck_assert(o.steps == 70 && o.batch == 16 && o.head_weight == 10 && o.crossing_target == 0);
    ck_assert(o.weight_lr_mult == 1 && o.augment == DFQ_AUGMENT_MILD && o.learning_rate == 1e-4f);
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ_ROWS, large, 70);
    ck_assert(o.steps == 70 && o.weight_lr_mult == 0 && o.augment == DFQ_AUGMENT_SYNTHETIC);
    ck_assert(o.learning_rate == 1e-3f && o.scale_lr_mult == 0.5f && o.head_weight == 10);
    dfq_tuner_options_init(&o, sizeof o, 99, NULL, 0);
    ck_assert(o.steps == 500 && o.optimizer == DFQ_OPTIMIZER_ADAMW);
    dfq_generator_options_init(&g, sizeof g, DFQ_RECIPE_AIT, small);
    ck_assert(g.batch == 200 && g.bns_weight == 1 && g.kind == DFQ_GENERATOR_QIMERA);
    dfq_generator_options_init(&g, sizeof g, DFQ_RECIPE_AIT_PARITY, large);
    ck_assert(g.batch == 16 && g.bns_weight == 0.1f);
    dfq_graph_release(small);
    dfq_graph_release(large);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_api_case(void)
{
    TCase *t = tcase_create("api");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_whole_life);
    tcase_add_test(t, test_generator);
    tcase_add_test(t, test_no_generator);
    tcase_add_test(t, test_bad_arguments);
    tcase_add_test(t, test_recipes);
    return t;
}
