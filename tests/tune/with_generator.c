/* Jobs with a generator beside the student. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dfq/graph.h>

#include "base/hash.h"
#include "support/fail_alloc.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"

enum { STEPS = 24, WARM = 8 };

static dfqi_generator_options generator_options(void)
{
    dfqi_generator_options h;
    dfqi_generator_trainer_defaults(&h);
    h.batch = 16;
    h.seed = 3;
    return h;
}

static dfqi_tune_options options(void)
{
    dfqi_tune_options o;
    dfqi_tune_recipe(DFQ_RECIPE_AIT_PARITY, &(dfqi_recipe_case){.classes = 4, .steps = STEPS}, &o);
    o.warmup_steps = o.range_steps = WARM;
    o.crossing_target = 0.02f;
    return o;
}

static dfqi_tune *new_job(const dfqt_pair *p, const dfqi_tune_options *o)
{
    dfqi_generator_options h = generator_options();
    dfqi_tune *t;
    ck_assert_msg(dfqi_tune_new_with_generator(p->teacher, p->student, &h, o, &t) == DFQ_OK, "%s",
                  p->ctx->error);
    return t;
}

/* Until the warm-up ends the student has its teacher's weights, and no ranges; then it moves. */
START_TEST(test_warm_up)
{
    dfqt_pair p = dfqt_cnn_pair_new(2);
    dfqi_tune_options o = options();
    dfqi_tune *t = new_job(&p, &o);
    uint64_t before = dfqi_network_hash(&p.student->net);
    int32_t finished = 0;
    ck_assert_int_eq(dfqi_model_ready(p.student), DFQ_E_INVALID);
    for (int i = 0; i < WARM; i++) {
        ck_assert_msg(dfqi_tune_step(t, &finished) == DFQ_OK, "%s", p.ctx->error);
        ck_assert(isnan(t->losses[i * DFQI_TUNE_LOSSES]));
    }
    ck_assert_int_eq(dfqi_model_ready(p.student), DFQ_OK);
    ck_assert_uint_eq(dfqi_network_hash(&p.student->net), before);
    float range[3];
    memcpy(range, p.student->scheme.sites[1].range->data, sizeof range);
    ck_assert_float_eq_tol(range[2], 1 - powf(0.9f, WARM), 1e-6f);
    while (!finished) ck_assert_msg(dfqi_tune_step(t, &finished) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_uint_ne(dfqi_network_hash(&p.student->net), before);
    ck_assert_mem_eq(range, p.student->scheme.sites[1].range->data, sizeof range);
    for (int i = WARM; i < STEPS; i++) {
        const float *l = t->losses + i * DFQI_TUNE_LOSSES;
        ck_assert(l[DFQI_TUNE_KL] > 0 && isnan(l[DFQI_TUNE_HEAD]) && isnan(l[DFQI_TUNE_LABEL]));
        ck_assert_float_eq_tol(l[DFQI_TUNE_TOTAL], l[DFQI_TUNE_KL] / 4, 1e-6f);
    }
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* All weights of the generator, as one number. */
static uint64_t generator_bits(const dfqi_tune *t)
{
    uint64_t hash = DFQI_HASH_START;
    for (int32_t i = 0; i < dfqi_generator_trainer_arrays(t->from_generator.trainer);
         i += 3) { /* moments follow */
        dfqi_generator_array a = dfqi_generator_trainer_array_at(t->from_generator.trainer, i);
        if (!strstr(a.name, "running"))
            hash = dfqi_hash(hash, a.data, (size_t)a.count * sizeof(float));
    }
    return hash;
}

/* At a milestone the generator's learning rate falls too: here to nothing. */
START_TEST(test_milestones)
{
    dfqt_pair p = dfqt_cnn_pair_new(1);
    dfqi_tune_options o = options();
    int32_t finished;
    o.milestones[0] = WARM + 2;
    o.milestones[1] = o.milestones[2] = 0;
    o.milestone_factor = 0;
    dfqi_tune *t = new_job(&p, &o);
    for (int i = 0; i < WARM + 4; i++) {
        uint64_t before = generator_bits(t);
        ck_assert_msg(dfqi_tune_step(t, &finished) == DFQ_OK, "%s", p.ctx->error);
        ck_assert_int_eq(before != generator_bits(t), i < WARM + 2);
    }
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* Behind the capped steps every weight crosses about rho of its codes. */
START_TEST(test_crossings)
{
    dfqt_pair p = dfqt_cnn_pair_new(2);
    dfqi_tune_options o = options();
    dfq_tensor *crossed, *losses, *images, *labels;
    o.kappa_capped_steps = 4;
    for (int i = 0; i < DFQI_TUNE_MILESTONES; i++) o.milestones[i] = STEPS;
    dfqi_tune *t = new_job(&p, &o);
    dfqi_tune_cost cost;
    ck_assert_int_eq(dfqi_tune_generator_images(t, &images, &labels), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_tune_estimate(t, &cost), DFQ_OK);
    ck_assert(cost.bytes > 1e6 && cost.bytes < 1e9 && cost.macs > 1e6);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_tune_crossed(t, &crossed), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_generator_curves(t, &losses), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_generator_images(t, &images, &labels), DFQ_OK);
    ck_assert_int_eq(images->dims[0], 16);
    for (int i = 0; i < 16; i++)
        ck_assert(((int32_t *)labels->data)[i] >= 0 && ((int32_t *)labels->data)[i] < 4);
    dfqi_tensor_release(images);
    dfqi_tensor_release(labels);
    ck_assert_int_eq(crossed->dims[0], STEPS);
    ck_assert_int_eq(crossed->dims[1], 6);
    for (int64_t k = 0; k < 6; k++) {
        float mean = 0; /* single steps may land a code or two beside the target */
        for (int64_t i = 0; i < STEPS; i++) {
            float share = dfqi_tensor_f32(crossed)[i * 6 + k];
            ck_assert_int_eq(isnan(share), i < WARM);
            if (i >= WARM + 4) mean += share / (STEPS - WARM - 4);
        }
        ck_assert_float_gt(mean, 0.01f);
        ck_assert_float_lt(mean, 0.1f); /* an extreme that moves changes its row */
    }
    for (int64_t i = 0; i < STEPS * DFQI_GENERATOR_LOSSES; i++)
        ck_assert(isfinite(dfqi_tensor_f32(losses)[i]));
    dfqi_tensor_release(crossed);
    dfqi_tensor_release(losses);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* What a step aims at falls with its learning rate: along the cosine, and at milestones; the idle
 * warm-up aims at nothing. */
START_TEST(test_crossing_targets)
{
    dfqt_pair p = dfqt_cnn_pair_new(1);
    dfqi_tune_options o = options();
    dfq_tensor *targets;
    if (_i) o.schedule = DFQ_SCHEDULE_COSINE;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_tune_crossing_targets(t, &targets), DFQ_OK);
    ck_assert(targets->rank == 1 && targets->dims[0] == 0);
    dfqi_tensor_release(targets);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_tune_crossing_targets(t, &targets), DFQ_OK);
    ck_assert_int_eq(targets->dims[0], STEPS);
    for (int i = 0; i < STEPS; i++) { /* milestones are at each quarter, the first in the warm-up */
        double want = 0.02 * (_i ? 0.5 * (1 + cos(acos(-1) * i / STEPS)) : pow(0.1, 4 * i / STEPS));
        ck_assert_float_eq_tol(dfqi_tensor_f32(targets)[i], i < WARM ? 0 : (float)want, 1e-7f);
    }
    dfqi_tensor_release(targets);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The loss of the publications has the classes besides. */
START_TEST(test_labels)
{
    dfqt_pair p = dfqt_cnn_pair_new(1);
    dfqi_tune_options o = options();
    dfqi_generator_options h = generator_options();
    dfqi_tune *t;
    o.label_weight = 1;
    o.crossing_target = 0;
    h.kind = (dfqi_generator_kind)_i;
    ck_assert_msg(dfqi_tune_new_with_generator(p.teacher, p.student, &h, &o, &t) == DFQ_OK, "%s",
                  p.ctx->error);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    for (int i = WARM; i < STEPS; i++) {
        const float *l = t->losses + i * DFQI_TUNE_LOSSES;
        ck_assert_float_eq_tol(l[DFQI_TUNE_TOTAL], l[DFQI_TUNE_KL] / 4 + l[DFQI_TUNE_LABEL], 1e-5f);
    }
    dfq_tensor *crossed;
    ck_assert_int_eq(dfqi_tune_crossed(t, &crossed), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_tune_crossing_targets(t, &crossed), DFQ_E_INVALID);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The divergence on the generator's images falls. */
START_TEST(test_learns)
{
    dfqt_pair p = dfqt_cnn_pair_new(2);
    dfqi_tune_options o = options();
    float first = 0, last = 0;
    o.steps = 200;
    o.crossing_target = 2e-3f;
    o.learning_rate = 1e-2f;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    for (int i = 0; i < 10; i++) {
        first += t->losses[(WARM + i) * DFQI_TUNE_LOSSES];
        last += t->losses[(199 - i) * DFQI_TUNE_LOSSES];
    }
    ck_assert_float_lt(last, 0.8f * first);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_threads)
{
    uint64_t bits[2];
    for (int32_t k = 0; k < 2; k++) {
        dfqt_pair p = dfqt_cnn_pair_new(k + 1);
        dfqi_tune_options o = options();
        dfqi_tune *t = new_job(&p, &o);
        ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
        bits[k] = dfqt_bits(p.student);
        dfqi_tune_release(t);
        dfqt_pair_end(&p);
    }
    ck_assert_uint_eq(bits[0], bits[1]);
}
END_TEST

/* Stopped in the warm-up, at its end or behind it: the same bits, also of curves. */
START_TEST(test_resume)
{
    static const int stops[3] = {3, WARM, 15};
    char path[] = "/tmp/dfq-generator-XXXXXX";
    int fd = mkstemp(path);
    dfq_tensor *curves[2], *crossed[2];
    uint64_t bits[2];
    int32_t finished = 0;
    ck_assert_int_ge(fd, 0);
    close(fd);
    for (int k = 0; k < 2; k++) {
        dfqt_pair p = dfqt_cnn_pair_new(k + 1);
        dfqi_tune_options o = options();
        dfqi_tune *t = new_job(&p, &o);
        for (int i = 0; k == 0 && i < stops[_i]; i++)
            ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
        if (k == 0)
            ck_assert_msg(dfqi_tune_save(t, path) == DFQ_OK, "%s", p.ctx->error);
        else
            ck_assert_msg(dfqi_tune_restore(t, path) == DFQ_OK, "%s", p.ctx->error);
        ck_assert_int_eq(dfqi_tune_done(t), stops[_i]);
        ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
        bits[k] = dfqt_bits(p.student);
        ck_assert_int_eq(dfqi_tune_generator_curves(t, &curves[k]), DFQ_OK);
        ck_assert_int_eq(dfqi_tune_crossed(t, &crossed[k]), DFQ_OK);
        dfqi_tune_release(t);
        dfqt_pair_end(&p);
    }
    for (int i = 0; i < 2; i++) {
        dfq_tensor **pair = i ? crossed : curves;
        ck_assert_mem_eq(pair[0]->data, pair[1]->data,
                         (size_t)dfqi_tensor_count(pair[0]) * sizeof(float));
        dfqi_tensor_release(pair[0]);
        dfqi_tensor_release(pair[1]);
    }
    ck_assert_uint_eq(bits[0], bits[1]);
    remove(path);
}
END_TEST

static double decibel(const dfq_tensor *a, const dfq_tensor *b)
{
    double signal = 0, noise = 0;
    for (int64_t i = 0; i < dfqi_tensor_count(a); i++) {
        double x = dfqi_tensor_f32(a)[i], d = (double)dfqi_tensor_f32(b)[i] - x;
        signal += x * x;
        noise += d * d;
    }
    return 10 * log10(signal / noise);
}

/* One value for each ReLU, as it leaves its quantizer, and one for the logits. */
START_TEST(test_layer_errors)
{
    dfqt_pair p = dfqt_cnn_pair_new(2);
    dfqi_tune_options o = options();
    dfq_tensor *db, *images, *labels, *a, *b;
    int32_t relus = 0, finished;
    dfqi_tune *t = new_job(&p, &o);
    for (int i = 0; i < WARM; i++) ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_generator_images(t, &images, &labels), DFQ_OK);
    int64_t n = images->dims[0] - 3; /* no whole number of batches */
    ck_assert_int_eq(dfqi_layer_errors(p.teacher, p.student, dfqi_tensor_f32(images), n, &db),
                     DFQ_OK);
    for (int32_t i = 0; i < p.student->scheme.n_sites; i++)
        relus += p.student->scheme.sites[i].kind == DFQI_SITE_UNIFORM;
    ck_assert_int_eq(db->dims[0], relus + 1);
    for (int32_t i = 0; i <= relus; i++)
        ck_assert(dfqi_tensor_f32(db)[i] > 0 && dfqi_tensor_f32(db)[i] < 40);
    images->dims[0] = n;
    ck_assert_int_eq(dfq_graph_forward(p.teacher, images, &a), DFQ_OK);
    ck_assert_int_eq(dfq_graph_forward(p.student, images, &b), DFQ_OK);
    ck_assert_double_eq_tol(dfqi_tensor_f32(db)[relus], decibel(a, b), 1e-3);
    /* with one range known to be far too wide, that layer is lost, and those before it are not */
    float before = *dfqi_tensor_f32(db);
    for (int32_t i = 0, k = 0; i < p.student->scheme.n_sites; i++)
        if (p.student->scheme.sites[i].kind == DFQI_SITE_UNIFORM && k++ == 1)
            *dfqi_tensor_f32(p.student->scheme.sites[i].scale) *= 1e4f;
    dfqi_tensor_release(db);
    ck_assert_int_eq(dfqi_layer_errors(p.teacher, p.student, dfqi_tensor_f32(images), n, &db),
                     DFQ_OK);
    ck_assert(dfqi_tensor_f32(db)[0] == before);
    ck_assert_float_eq_tol(dfqi_tensor_f32(db)[1], 0, 1);
    dfqi_tensor_release(a);
    dfqi_tensor_release(b);
    dfqi_tensor_release(db);
    dfqi_tensor_release(images);
    dfqi_tensor_release(labels);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

static void refuse(const dfqt_pair *p, const dfqi_tune_options *o, dfq_status code,
                   const char *text)
{
    dfqi_generator_options h = generator_options();
    dfqi_tune *t;
    ck_assert_int_eq(dfqi_tune_new_with_generator(p->teacher, p->student, &h, o, &t), code);
    ck_assert_msg(strstr(p->ctx->error, text) != NULL, "%s", p->ctx->error);
}

START_TEST(test_refusals)
{
    dfqt_pair p = dfqt_cnn_pair_new(1), vit = dfqt_pair_new(1, DFQI_MODE_PARITY, 2);
    dfqi_tune_options o = options();
    o.eval_every = 5;
    refuse(&p, &o, DFQ_E_INVALID, "eval_every");
    o = options();
    o.augment = DFQI_AUGMENT_MILD;
    refuse(&p, &o, DFQ_E_INVALID, "augment");
    o = options();
    o.range_steps = WARM + 1;
    refuse(&p, &o, DFQ_E_INVALID, "must be the length of the idle warm-up");
    o = options();
    o.range_steps = 0;
    refuse(&p, &o, DFQ_E_INVALID, "the range of conv1.relu.output is not known yet");
    o = options();
    o.head_weight = 1;
    refuse(&p, &o, DFQ_E_UNSUPPORTED, "attention heads");
    o = options();
    refuse(&vit, &o, DFQ_E_UNSUPPORTED, "BatchNorms");
    o.kl_weight = 0;
    refuse(&p, &o, DFQ_E_INVALID, "set one above 0");
    dfqt_pair_end(&p);
    dfqt_pair_end(&vit);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *user)
{
    dfqt_pair p;
    dfqi_generator_options h = generator_options();
    dfqi_tune_options o = options();
    dfqi_tune *t = NULL;
    (void)user;
    h.batch = 2;
    o.steps = 3;
    o.warmup_steps = o.range_steps = 1;
    DFQI_TRY(dfqt_cnn_pair_make(ctx, &p));
    dfq_status status = dfqi_tune_new_with_generator(p.teacher, p.student, &h, &o, &t);
    if (status == DFQ_OK) status = dfqi_tune_run(t);
    dfqi_tune_release(t);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_no_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_with_generator_case(void)
{
    TCase *c = tcase_create("with_generator");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, test_warm_up);
    tcase_add_test(c, test_milestones);
    tcase_add_test(c, test_crossings);
    tcase_add_loop_test(c, test_crossing_targets, 0, 2);
    tcase_add_loop_test(c, test_labels, DFQI_GENERATOR_GDFQ, DFQI_GENERATOR_ARC + 1);
    tcase_add_test(c, test_learns);
    tcase_add_test(c, test_threads);
    tcase_add_loop_test(c, test_resume, 0, 3);
    tcase_add_test(c, test_layer_errors);
    tcase_add_test(c, test_refusals);
    tcase_add_test(c, test_no_memory);
    return c;
}
