/* Block reconstruction: units of networks, what steps do, checkpoints, refusals, memory. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quant/evaluate.h"
#include "support/fail_alloc.h"
#include "tune/cases.h"
#include "tune/reconstruct_priv.h"

enum { IMAGES = 9, CLASSES = 6, UNITS = 4, STEPS = 30 };

static dfqi_reconstruct_options small(void)
{
    dfqi_reconstruct_options o;
    dfqi_reconstruct_defaults(0, &o);
    o.steps = STEPS;
    o.views = 20;
    o.learning_rate = 1e-3f;
    return o;
}

static dfqi_reconstruct *job_of(const dfqt_pair *p, const dfqi_reconstruct_options *o)
{
    dfqi_reconstruct *r = NULL;
    ck_assert_msg(dfqi_reconstruct_new(p->teacher, p->student, p->images, NULL, o, &r) == DFQ_OK,
                  "%s", p->ctx->error);
    return r;
}

/* The student's bits after a job; errors[UNITS][4] may be NULL. */
static uint64_t bits_after(int32_t threads, const dfqi_reconstruct_options *o, float *errors)
{
    dfqt_pair p = dfqt_pair_new(threads, DFQI_MODE_IMPROVED, IMAGES);
    dfqi_reconstruct *r = job_of(&p, o);
    dfq_tensor *t;
    ck_assert_msg(dfqi_reconstruct_run(r) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_reconstruct_errors(r, &t), DFQ_OK);
    ck_assert_int_eq(t->dims[0], UNITS);
    if (errors) memcpy(errors, t->data, 4 * UNITS * sizeof *errors);
    dfqi_tensor_release(t);
    uint64_t bits = dfqt_bits(p.student);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
    return bits;
}

/* -- units ------------------------------------------------------------------------------------- */

static void check_layers(dfqt_pair p, const int32_t *layers, int32_t n)
{
    dfqi_reconstruct_options o = small();
    dfqi_reconstruct *r = job_of(&p, &o);
    ck_assert_int_eq(r->n_units, n);
    for (int32_t i = 0; i < n; i++) ck_assert_int_eq(r->units[i].layers, layers[i]);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
}

/* A grid for what a ReLU makes, as calibration finds it. */
static dfqt_pair cnn_pair(int32_t threads)
{
    dfqt_pair p = dfqt_cnn_pair_new(threads);
    dfqi_network copy = {0};
    dfqi_scheme scheme = {0};
    ck_assert_int_eq(dfqi_tensor_new(p.ctx, DFQI_F32, 4, (int64_t[]){IMAGES, 3, 8, 8}, &p.images),
                     DFQ_OK);
    dfqi_rng rng = dfqi_rng_make(3, 1);
    dfqi_rng_fill_normal(&rng, dfqi_tensor_f32(p.images), IMAGES * 192);
    dfqi_model_release(p.student);
    ck_assert_int_eq(dfqi_network_clone(&p.teacher->net, &copy), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_new(&copy, DFQI_MODE_IMPROVED, (dfqi_widths){3, 3, 0}, &scheme),
                     DFQ_OK);
    ck_assert_int_eq(
        dfqi_scheme_calibrate(&scheme, &p.teacher->net, &copy, dfqi_tensor_f32(p.images), IMAGES),
        DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&copy, &scheme, &p.student), DFQ_OK);
    return p;
}

START_TEST(test_units)
{
    check_layers(dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES), (int32_t[]){1, 4, 4, 1}, 4);
    check_layers(cnn_pair(1), (int32_t[]){1, 2, 2, 1}, 4);
}
END_TEST

/* -- steps ------------------------------------------------------------------------------------- */

static double logit_error(const dfqt_pair *p)
{
    float have[IMAGES * CLASSES], want[IMAGES * CLASSES];
    const float *x = dfqi_tensor_f32(p->images);
    double sum = 0;
    int n = IMAGES * (int)p->teacher->net.arch.classes;
    ck_assert_int_eq(dfqi_model_logits(p->teacher, x, IMAGES, want), DFQ_OK);
    ck_assert_int_eq(dfqi_model_logits(p->student, x, IMAGES, have), DFQ_OK);
    for (int i = 0; i < n; i++) sum += pow((double)have[i] - (double)want[i], 2);
    return sum;
}

/* Units come nearer to the teacher's, and so does the network. */
START_TEST(test_comes_nearer)
{
    dfqt_pair p = _i ? cnn_pair(2) : dfqt_pair_new(2, DFQI_MODE_IMPROVED, IMAGES);
    dfqi_reconstruct_options o = small();
    dfq_tensor *t;
    o.steps = 300;
    o.feature_units = 1;
    o.augment = DFQ_AUGMENT_NONE;
    double before = logit_error(&p);
    dfqi_reconstruct *r = job_of(&p, &o);
    ck_assert_msg(dfqi_reconstruct_run(r) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_reconstruct_errors(r, &t), DFQ_OK);
    for (int64_t i = 0; i < t->dims[0]; i++) {
        const float *e = dfqi_tensor_f32(t) + 4 * i;
        ck_assert_msg(e[1] <= (i == 1 ? 0.95f : 1.0f) * e[0], "unit %d: %g, was %g", (int)i,
                      (double)e[1], (double)e[0]);
    }
    double after = logit_error(&p);
    ck_assert_msg(after < (_i ? 0.9 : 0.5) * before, "%g, was %g", after, before);
    dfqi_tensor_release(t);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_same_bits_at_any_thread_count)
{
    dfqi_reconstruct_options o = small();
    o.feature_units = 2;
    uint64_t bits = bits_after(1, &o, NULL);
    ck_assert_uint_eq(bits, bits_after(2, &o, NULL));
    ck_assert_uint_eq(bits, bits_after(5, &o, NULL));
    o.seed++;
    ck_assert_uint_ne(bits, bits_after(1, &o, NULL));
}
END_TEST

/* By default a CNN learns on the images as they are, each of them once. */
START_TEST(test_cnn_views_are_the_images)
{
    enum { FLOATS = 192 };
    dfqt_pair p = cnn_pair(1);
    dfqi_reconstruct_options o;
    int32_t finished, found[IMAGES] = {0};
    dfqi_reconstruct_defaults(1, &o);
    o.steps = 2;
    dfqi_reconstruct *r = job_of(&p, &o);
    ck_assert_int_eq(dfqi_reconstruct_step(r, &finished), DFQ_OK);
    for (int64_t i = 0; i < r->o.views; i++)
        for (int k = 0; k < IMAGES; k++)
            found[k] += memcmp(r->x + FLOATS * i, dfqi_tensor_f32(p.images) + FLOATS * k,
                               FLOATS * sizeof(float)) == 0;
    ck_assert_int_eq(r->o.views, IMAGES);
    for (int k = 0; k < IMAGES; k++) ck_assert_int_eq(found[k], 1);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
}
END_TEST

/* Every option changes the result. */
START_TEST(test_options_matter)
{
    dfqi_reconstruct_options o[8];
    for (int i = 0; i < 8; i++) {
        o[i] = small();
        o[i].steps = 5;
        o[i].feature_units = 2;
    }
    o[1].drop = 0;
    o[2].feature_units = 0;
    o[3].feature_weight = 5;
    o[4].augment = DFQ_AUGMENT_NONE;
    o[5].bias_learning_rate = 0;
    o[6].scale_learning_rate = 0;
    o[7].batch = 3;
    uint64_t bits = bits_after(1, &o[0], NULL);
    for (int i = 1; i < 8; i++) ck_assert_msg(bits != bits_after(1, &o[i], NULL), "option %d", i);
}
END_TEST

/* A learning rate at which everything breaks: units get their parameters back. */
START_TEST(test_worse_units_are_undone)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    uint64_t bits = dfqt_bits(p.student);
    dfqi_reconstruct_options o = small();
    float errors[4 * UNITS];
    o.learning_rate = o.bias_learning_rate = 3;
    o.scale_learning_rate = 0.5f;
    o.feature_units = 2;
    ck_assert_uint_eq(bits, bits_after(1, &o, errors));
    for (int i = 0; i < 2 * UNITS; i++) ck_assert(errors[2 * i] == errors[2 * i + 1]);
    dfqt_pair_end(&p);
}
END_TEST

/* Weights leave the middle of their cells, but not the cells. */
START_TEST(test_first_pass_is_the_student)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    const dfq_tensor *w = dfqi_network_find(&p.student->net, "blocks.0.mlp.fc1.weight");
    float have[IMAGES * CLASSES], want[IMAGES * CLASSES], first = dfqi_tensor_f32(w)[0];
    const float *x = dfqi_tensor_f32(p.images);
    dfqi_reconstruct_options o = small();
    int32_t finished;
    int changed = 0;
    float before[64];
    memcpy(before, w->data, sizeof before);
    o.learning_rate = o.bias_learning_rate = o.scale_learning_rate = 0;
    o.learning_rate = 1e-30f;
    o.steps = 2;
    ck_assert_int_eq(dfqi_model_logits(p.student, x, IMAGES, want), DFQ_OK);
    dfqi_reconstruct *r = job_of(&p, &o);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dfqi_reconstruct_step(r, &finished), DFQ_OK);
    for (int i = 0; i < 64; i++) changed += dfqi_tensor_f32(w)[i] != before[i];
    ck_assert_msg(changed > 32, "%d of 64, the first was %g", changed, (double)first);
    ck_assert_int_eq(dfqi_model_logits(p.student, x, IMAGES, have), DFQ_OK);
    ck_assert_mem_eq(have, want, sizeof want);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
}
END_TEST

/* -- checkpoints ------------------------------------------------------------------------------- */

static const char path[] = "reconstruct.safetensors";

/* Stops behind `at` steps, goes on in another job. */
static void resume_at(int at, uint64_t want)
{
    dfqi_reconstruct_options o = small();
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    dfqt_pair q = dfqt_pair_new(2, DFQI_MODE_IMPROVED, IMAGES);
    int32_t finished = 0;
    o.feature_units = 2;
    dfqi_reconstruct *r = job_of(&p, &o), *s = job_of(&q, &o);
    for (int i = 0; i < at; i++) ck_assert_int_eq(dfqi_reconstruct_step(r, &finished), DFQ_OK);
    ck_assert_msg(dfqi_reconstruct_save(r, path) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_msg(dfqi_reconstruct_restore(s, path) == DFQ_OK, "%s", q.ctx->error);
    ck_assert_msg(dfqi_reconstruct_run(s) == DFQ_OK, "%s", q.ctx->error);
    ck_assert_uint_eq(dfqt_bits(q.student), want);
    if (at < UNITS * STEPS) /* it has begun */
        ck_assert_int_eq(dfqi_reconstruct_restore(s, path), DFQ_E_INVALID);
    dfqi_reconstruct_release(r);
    dfqi_reconstruct_release(s);
    dfqt_pair_end(&p);
    dfqt_pair_end(&q);
    (void)remove(path);
}

START_TEST(test_resume)
{
    dfqi_reconstruct_options o = small();
    o.feature_units = 2;
    uint64_t want = bits_after(1, &o, NULL);
    static const int at[] = {0, 1, STEPS, STEPS + 13, 2 * STEPS, UNITS * STEPS};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) resume_at(at[i], want);
}
END_TEST

static void refuse_checkpoint(const dfqt_pair *p, dfqi_reconstruct_options o, const char *word)
{
    dfqi_reconstruct *r = job_of(p, &o);
    uint64_t bits = dfqt_bits(p->student);
    ck_assert_int_eq(dfqi_reconstruct_restore(r, path), DFQ_E_INVALID);
    ck_assert_msg(strstr(p->ctx->error, word) != NULL, "%s", p->ctx->error);
    ck_assert_uint_eq(bits, dfqt_bits(p->student));
    dfqi_reconstruct_release(r);
}

START_TEST(test_foreign_checkpoints)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    dfqi_reconstruct_options o = small();
    int32_t finished;
    dfqi_reconstruct *r = job_of(&p, &o);
    ck_assert_int_eq(dfqi_reconstruct_step(r, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_reconstruct_save(r, path), DFQ_OK);
    dfqi_reconstruct_release(r);
    o.batch++;
    refuse_checkpoint(&p, o, "options");
    o.batch--;
    dfqi_tensor_f32(p.images)[7] += 1;
    refuse_checkpoint(&p, o, "images");
    dfqi_tensor_f32(p.images)[7] -= 1;
    dfqi_tensor_f32(p.teacher->net.params[2].tensor)[0] += 1;
    refuse_checkpoint(&p, o, "teacher");
    dfqt_pair_end(&p);
    (void)remove(path);
}
END_TEST

/* -- what goes wrong --------------------------------------------------------------------------- */

START_TEST(test_not_finite)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    dfqi_reconstruct_options o = small();
    int32_t finished = 0;
    o.augment = DFQ_AUGMENT_NONE;
    for (int i = 0; i < IMAGES; i++) dfqi_tensor_f32(p.images)[i * 768 + 300] = NAN;
    dfqi_reconstruct *r = job_of(&p, &o);
    ck_assert_int_eq(dfqi_reconstruct_run(r), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(p.ctx->error, "unit 0") != NULL, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_reconstruct_step(r, &finished), DFQ_E_NUMERIC);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
}
END_TEST

static int32_t stop_at_40(const dfq_progress *progress, void *user)
{
    (void)user;
    ck_assert_str_eq(progress->stage, "reconstruct");
    ck_assert_uint_eq(progress->total, UNITS * STEPS);
    return progress->done == 40;
}

START_TEST(test_cancel)
{
    dfqi_reconstruct_options o = small();
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    uint64_t want = bits_after(1, &o, NULL);
    dfqi_reconstruct *r = job_of(&p, &o);
    p.ctx->progress = stop_at_40;
    ck_assert_int_eq(dfqi_reconstruct_run(r), DFQ_E_CANCELLED);
    ck_assert_int_eq(r->unit * STEPS + r->step, 40);
    ck_assert_int_eq(dfqi_reconstruct_run(r), DFQ_OK);
    ck_assert_uint_eq(dfqt_bits(p.student), want);
    dfqi_reconstruct_release(r);
    dfqt_pair_end(&p);
}
END_TEST

/* A job that failed goes on where it failed, to the same bits. */
static dfq_status short_job(dfq_context *ctx, void *arg)
{
    dfqt_pair p;
    dfqi_reconstruct *r = NULL;
    dfqi_reconstruct_options o = small();
    uint64_t *bits = arg;
    o.steps = 1;
    o.views = 2;
    o.feature_units = 1;
    DFQI_TRY(dfqt_pair_make(ctx, DFQI_MODE_IMPROVED, 2, &p));
    dfq_status status = dfqi_reconstruct_new(p.teacher, p.student, p.images, NULL, &o, &r);
    if (status == DFQ_OK) {
        status = dfqi_reconstruct_run(r);
        if (status == DFQ_E_NOMEM) ck_assert_int_eq(dfqi_reconstruct_run(r), DFQ_OK);
        if (*bits) ck_assert_uint_eq(*bits, dfqt_bits(p.student));
        *bits = dfqt_bits(p.student);
    }
    dfqi_reconstruct_release(r);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_no_memory)
{
    uint64_t bits = 0;
    fail_alloc_sweep(short_job, &bits, 1);
}
END_TEST

/* -- the public face --------------------------------------------------------------------------- */

START_TEST(test_whole_life)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, IMAGES);
    dfqt_pair q = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES);
    dfq_reconstructor *r, *s;
    dfq_reconstructor_options o;
    dfq_job_cost cost = {.struct_size = sizeof cost};
    dfq_tensor *errors;
    int32_t finished = -1;
    dfq_reconstructor_options_init(&o, sizeof o, NULL);
    o.steps = 3;
    o.views = 1000 * 1000;
    ck_assert_int_eq(dfq_reconstructor_create(p.teacher, p.student, p.images, &o, &r), DFQ_OK);
    ck_assert_int_eq(dfq_reconstructor_estimate(r, &cost), DFQ_OK);
    ck_assert(isnan(cost.seconds_left) && cost.macs > 100000 && cost.units == 3 * UNITS);
    ck_assert(cost.bytes > 1 << 29 && cost.bytes < (int64_t)3 << 29); /* views fill 1 GiB */
    dfq_reconstructor_release(r);
    o.views = 8;
    ck_assert_int_eq(dfq_reconstructor_create(p.teacher, p.student, p.images, &o, &r), DFQ_OK);
    for (int i = 0; i < 4; i++) ck_assert_int_eq(dfq_reconstructor_step(r, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 0);
    ck_assert_int_eq(dfq_reconstructor_estimate(r, &cost), DFQ_OK);
    ck_assert(cost.done == 4 && cost.seconds_left > 0);
    ck_assert_int_eq(dfq_reconstructor_save_checkpoint(r, path), DFQ_OK);
    ck_assert_int_eq(dfq_reconstructor_run(r), DFQ_OK);
    ck_assert_int_eq(dfq_reconstructor_create(q.teacher, q.student, q.images, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_reconstructor_load_checkpoint(s, path), DFQ_OK);
    ck_assert_int_eq(dfq_reconstructor_run(s), DFQ_OK);
    ck_assert_uint_eq(dfqt_bits(p.student), dfqt_bits(q.student));
    ck_assert_int_eq(dfq_reconstructor_get_errors(r, &errors), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(errors)[0], UNITS);
    dfq_tensor_release(errors);
    dfqt_pair_end(&p);
    dfq_reconstructor_release(r); /* the last handle: it kept networks, images and context */
    dfq_reconstructor_release(s);
    dfqt_pair_end(&q);
    (void)remove(path);
}
END_TEST

static void refuse(const dfqt_pair *p, dfq_reconstructor_options o, const char *word)
{
    dfq_reconstructor *r = NULL;
    ck_assert_int_eq(dfq_reconstructor_create(p->teacher, p->student, p->images, &o, &r),
                     DFQ_E_INVALID);
    ck_assert_msg(strstr(p->ctx->error, word) != NULL, "%s: %s", word, p->ctx->error);
    ck_assert_ptr_null(r);
}

START_TEST(test_refusals)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, IMAGES), q = dfqt_cnn_pair_new(1);
    dfq_reconstructor *r = NULL;
    dfq_reconstructor_options o;
    dfq_tensor *t = NULL;
    int32_t finished;
#define REFUSE(field, value)                                                                       \
    do {                                                                                           \
        dfq_reconstructor_options_init(&o, sizeof o, p.teacher);                                   \
        o.field = (value);                                                                         \
        refuse(&p, o, #field);                                                                     \
    } while (0)
    REFUSE(steps, 0);
    REFUSE(batch, 0);
    REFUSE(views, 0);
    REFUSE(augment, 4);
    REFUSE(feature_units, -1);
    REFUSE(drop, 2);
    REFUSE(learning_rate, NAN);
    REFUSE(bias_learning_rate, -1);
    REFUSE(scale_learning_rate, INFINITY);
    REFUSE(feature_weight, -1);
#undef REFUSE
    dfqi_tensor_release(q.images);
    ck_assert_int_eq(dfqi_tensor_new(q.ctx, DFQI_F32, 4, (int64_t[]){2, 3, 8, 8}, &q.images),
                     DFQ_OK);
    ck_assert_int_eq(dfq_reconstructor_create(q.teacher, q.student, q.images, NULL, &r),
                     DFQ_E_INVALID); /* no ranges yet */
    ck_assert_int_eq(dfq_reconstructor_create(p.teacher, p.student, q.images, NULL, &r),
                     DFQ_E_SHAPE);
    ck_assert_int_eq(dfq_reconstructor_create(p.teacher, p.teacher, p.images, NULL, &r),
                     DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_create(p.teacher, p.student, NULL, NULL, &r), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_create_from(p.teacher, p.student, NULL, NULL, &r),
                     DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_create_from(NULL, NULL, NULL, NULL, &r), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_step(NULL, &finished), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_run(NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_get_errors(NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_estimate(NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_save_checkpoint(NULL, path), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_reconstructor_load_checkpoint(NULL, path), DFQ_E_INVALID);
    dfq_reconstructor_release(NULL);
    dfqt_pair_end(&p);
    dfqt_pair_end(&q);
}
END_TEST

TCase *dfqt_reconstruct_case(void)
{
    TCase *t = tcase_create("reconstruct");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, test_units);
    tcase_add_loop_test(t, test_comes_nearer, 0, 2);
    tcase_add_test(t, test_same_bits_at_any_thread_count);
    tcase_add_test(t, test_cnn_views_are_the_images);
    tcase_add_test(t, test_options_matter);
    tcase_add_test(t, test_worse_units_are_undone);
    tcase_add_test(t, test_first_pass_is_the_student);
    tcase_add_test(t, test_resume);
    tcase_add_test(t, test_foreign_checkpoints);
    tcase_add_test(t, test_not_finite);
    tcase_add_test(t, test_cancel);
    tcase_add_test(t, test_no_memory);
    tcase_add_test(t, test_whole_life);
    tcase_add_test(t, test_refusals);
    return t;
}
