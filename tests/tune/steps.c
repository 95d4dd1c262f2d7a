/* What a step sees and what it does: which images, in which order, how they are changed, how
 * parameters move by their gradients, and what an evaluation is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/evaluate.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"

enum { PIXELS = 3 * 16 * 16, CLASSES = 6 };

static dfqi_tune *new_job(const dfqt_pair *p, const dfqi_tune_options *o)
{
    dfqi_tune *t = NULL;
    ck_assert_msg(dfqi_tune_new(p->teacher, p->student, p->images, o, &t) == DFQ_OK, "%s",
                  p->ctx->error);
    return t;
}

static void step(dfqi_tune *t)
{
    int32_t finished;
    ck_assert_msg(dfqi_tune_step(t, &finished) == DFQ_OK, "%s", t->ctx->error);
}

/* -- images ------------------------------------------------------------------------------------ */

enum { AS_THEY_ARE, HELD_CHANGED, TRAINED_CHANGED };

/* Losses of 12 steps, and the first evaluation, which comes before any step. */
static float run_changed(int what, float losses[12])
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfqi_tune *t = new_job(&p, &o);
    for (int64_t i = 0; what == HELD_CHANGED && i < t->n_held; i++)
        dfqi_tensor_f32(p.images)[dfqi_tune_held_image(t, i) * PIXELS + 100] += 1;
    for (int64_t i = 0; what == TRAINED_CHANGED && i < t->n_train; i++)
        dfqi_tensor_f32(p.images)[dfqi_tune_train_image(t, i) * PIXELS + 100] += 1;
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    for (int i = 0; i < 12; i++) losses[i] = t->losses[i * DFQI_TUNE_LOSSES];
    float first = t->evals[1];
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
    return first;
}

/* Steps see nothing of what is held out, and evaluations nothing of what is learned from. */
START_TEST(test_held_out_images_are_not_learned_from)
{
    float own[12], held[12], trained[12];
    float eval = run_changed(AS_THEY_ARE, own), held_eval = run_changed(HELD_CHANGED, held);
    float trained_eval = run_changed(TRAINED_CHANGED, trained);
    ck_assert_mem_eq(own, held, sizeof own);
    ck_assert_int_ne(memcmp(own, trained, sizeof own), 0);
    ck_assert_float_eq(eval, trained_eval);
    ck_assert_float_ne(eval, held_eval);
}
END_TEST

/* The number of image i of the step's batch, before it is augmented. */
static int64_t picked(const dfqi_tune *t, int64_t i)
{
    size_t bytes = PIXELS * sizeof(float);
    for (int64_t k = 0; k < t->from_set.images->dims[0]; k++)
        if (memcmp(t->from_set.picked + i * PIXELS,
                   dfqi_tensor_f32(t->from_set.images) + k * PIXELS, bytes) == 0)
            return k;
    ck_abort_msg("no image of the set");
    return -1;
}

/* Each epoch takes every image once, in an order of its own. */
START_TEST(test_order)
{
    enum { N = 6, EPOCHS = 6 };
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, N);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    int64_t index[EPOCHS][N];
    int alike = 0;
    o.eval_every = 0;
    dfqi_tune *t = new_job(&p, &o);
    for (int e = 0; e < EPOCHS; e++) {
        int seen[N] = {0};
        for (int i = 0; i < N; i++) {
            if (i % 3 == 0) step(t);
            index[e][i] = picked(t, i % 3);
        }
        for (int i = 0; i < N; i++) seen[index[e][i]]++;
        for (int i = 0; i < N; i++) ck_assert_int_eq(seen[i], 1);
        for (int k = 0; k < e; k++) alike += memcmp(index[e], index[k], sizeof index[e]) == 0;
    }
    ck_assert_int_eq(alike, 0); /* of 720 orders, so that few are */
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The batch has the draw of its kind, seed and step, another one in each step. */
START_TEST(test_augmented)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    const dfqi_arch *arch = &p.student->net.arch;
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqi_augment own;
    dfqi_draw draw;
    float want[3 * PIXELS];
    int plain = 0;
    o.augment = (dfqi_augment_kind)_i;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_augment_new(p.ctx, arch->image, arch->mean, arch->std, &own), DFQ_OK);
    for (int s = 0; s < 4; s++) {
        step(t);
        dfqi_augment_draw(o.augment, o.seed, s, arch->image, &draw);
        dfqi_augment_apply(&own, &draw, 3, t->from_set.picked, want);
        ck_assert_mem_eq(t->from_set.batch, want, sizeof want);
        for (int i = 0; i < 3 * PIXELS; i += PIXELS)
            plain += memcmp(want + i, t->from_set.picked + i, PIXELS * sizeof *want) == 0;
    }
    ck_assert_int_eq(plain, o.augment == DFQI_AUGMENT_NONE ? 12 : 0);
    dfqi_augment_fini(&own);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

static bool in_set(const dfqi_tune *t, int64_t i)
{
    const float *x = dfqi_tensor_f32(t->from_set.images);
    for (int64_t k = 0; k < t->from_set.images->dims[0]; k++)
        if (memcmp(t->from_set.picked + i * PIXELS, x + k * PIXELS, PIXELS * sizeof *x) == 0)
            return true;
    return false;
}

/* A quarter of each batch is new dead leaves if images are synthetic, none otherwise. */
START_TEST(test_leaves_beside)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 16);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    float last[PIXELS] = {0};
    o.augment = (dfqi_augment_kind)_i;
    o.batch = 8;
    o.eval_every = 0;
    dfqi_tune *t = new_job(&p, &o);
    int64_t kept = _i == DFQI_AUGMENT_SYNTHETIC ? 6 : 8;
    for (int s = 0; s < 3; s++) {
        step(t);
        for (int64_t i = 0; i < 8; i++) ck_assert_int_eq(in_set(t, i), i < kept);
        ck_assert(memcmp(last, t->from_set.picked + 7 * PIXELS, sizeof last) != 0);
        memcpy(last, t->from_set.picked + 7 * PIXELS, sizeof last);
    }
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* -- evaluation -------------------------------------------------------------------------------- */

static void softmax(const float *z, double t, double *out)
{
    double sum = 0;
    for (int i = 0; i < CLASSES; i++) sum += out[i] = exp((double)z[i] / t);
    for (int i = 0; i < CLASSES; i++) out[i] /= sum;
}

/* T^2 KL of teacher and student, both at T, over the held-out images. */
START_TEST(test_divergence)
{
    static const float temperatures[] = {1, 5};
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    double t2 = (double)temperatures[_i] * (double)temperatures[_i], want = 0;
    o.temperature = temperatures[_i];
    dfqi_tune *t = new_job(&p, &o);
    for (int64_t i = 0; i < t->n_held; i++) {
        const float *x = dfqi_tensor_f32(p.images) + dfqi_tune_held_image(t, i) * PIXELS;
        float z[CLASSES], s[CLASSES];
        double a[CLASSES], b[CLASSES];
        ck_assert_int_eq(dfqi_model_logits(p.teacher, x, 1, z), DFQ_OK);
        ck_assert_int_eq(dfqi_model_logits(p.student, x, 1, s), DFQ_OK);
        softmax(z, (double)o.temperature, a);
        softmax(s, (double)o.temperature, b);
        for (int c = 0; c < CLASSES; c++) want += t2 * a[c] * log(a[c] / b[c]) / (double)t->n_held;
    }
    step(t);
    ck_assert_float_eq(t->evals[0], 0);
    ck_assert_double_eq_tol((double)t->evals[1] / want, 1, 1e-4);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* -- parameters -------------------------------------------------------------------------------- */

/* Plain gradient descent at one learning rate. */
static dfqi_tune_options descent(dfqi_mode mode)
{
    dfqi_tune_options o = dfqt_options(mode);
    o.optimizer = DFQI_SGD;
    o.schedule = DFQ_SCHEDULE_CONSTANT;
    o.momentum = 0;
    o.warmup_steps = o.eval_every = 0;
    o.learning_rate = 1e-4f;
    o.scale_lr_mult = 3;
    o.zero_point_lr_mult = 7;
    return o;
}

static float *copy_of(const dfqi_item *item)
{
    size_t bytes = (size_t)item->count * sizeof(float);
    float *copy = malloc(bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, dfqi_tensor_f32(item->tensor), bytes);
    return copy;
}

/* Weights lose learning rate * decay of themselves, scales and zero points nothing; each kind of
 * parameter has its factor. Improved mode moves the logarithm of a scale by its own gradient, the
 * scale times that of the scale. */
START_TEST(test_how_parameters_move)
{
    dfqi_mode mode = _i ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
    dfqt_pair p = dfqt_pair_new(1, mode, 10);
    dfqi_tune_options o = descent(mode);
    int kinds = 0;
    o.weight_decay = 0.5f;
    dfqi_tune *t = new_job(&p, &o);
    float **before = calloc((size_t)t->n_items, sizeof *before);
    ck_assert_ptr_nonnull(before);
    for (int32_t i = 0; i < t->n_items; i++) before[i] = copy_of(&t->items[i]);
    step(t);
    for (int32_t i = 0; i < t->n_items; i++) {
        const dfqi_item *item = &t->items[i];
        const float *grad = dfqi_exec_data(t->e, item->grad), *now = dfqi_tensor_f32(item->tensor);
        kinds |= 1 << item->kind;
        for (int64_t k = 0; k < item->count; k++) {
            float w = before[i][k], want = w - 7e-4f * grad[k];
            if (item->kind == DFQI_ITEM_WEIGHT) want = w - 1e-4f * (grad[k] + 0.5f * w);
            if (item->kind == DFQI_ITEM_SCALE) want = w - 3e-4f * grad[k];
            if (item->kind == DFQI_ITEM_SCALE && _i) want = w * expf(-3e-4f * grad[k] * w);
            ck_assert_msg(fabsf(now[k] - want) <= 3e-7f * fmaxf(fabsf(w), 1e-3f),
                          "%s[%d]: %g, expected %g", item->name, (int)k, (double)now[k],
                          (double)want);
        }
        free(before[i]);
    }
    ck_assert_int_eq(kinds, 7);
    free(before);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The norm that is clipped is of all gradients whose parameters move, to the last element. */
START_TEST(test_norm)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = descent(DFQI_MODE_PARITY);
    double sum = 0, norm = 0;
    if (_i == 1) o.weight_lr_mult = 0;
    if (_i == 2) o.weight_lr_mult = o.scale_lr_mult = 0;
    dfqi_tune *t = new_job(&p, &o);
    step(t);
    for (int32_t i = 0; i < t->n_items; i++) {
        const dfqi_item *item = &t->items[i];
        const float *grad = dfqi_exec_data(t->e, item->grad);
        int moves = item->kind == DFQI_ITEM_SCALE ? _i < 2 : 1;
        ck_assert_int_eq(_i > 0 && item->of_layer, 0); /* no gradients of what is held */
        for (int64_t k = 0; moves && k < item->count; k++) sum += (double)grad[k] * (double)grad[k];
    }
    ck_assert_int_eq(dfqi_tune_check_grads(t, &norm), DFQ_OK);
    ck_assert_double_eq_tol(norm / sqrt(sum), 1, 1e-9);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The first step of Adam is as long as the learning rate; steps of an idle warm-up are none of its
 * own. */
START_TEST(test_first_step_behind_an_idle_warm_up)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = descent(DFQI_MODE_PARITY);
    float farthest = 0;
    o.optimizer = DFQI_ADAMW;
    o.warmup = DFQ_WARMUP_IDLE;
    o.warmup_steps = 3;
    dfqi_tune *t = new_job(&p, &o);
    for (int i = 0; i < 3; i++) step(t);
    const dfqi_item *item = t->items;
    while (item->kind != DFQI_ITEM_WEIGHT) item++;
    float *before = copy_of(item);
    step(t);
    for (int64_t k = 0; k < item->count; k++)
        farthest = fmaxf(farthest, fabsf(dfqi_tensor_f32(item->tensor)[k] - before[k]));
    ck_assert_float_eq_tol(farthest, 1e-4f, 1e-6f);
    free(before);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The steps with a cap on kappa begin behind the warm-up too. At such a learning rate kappa has no
 * other bound. */
START_TEST(test_cap_behind_an_idle_warm_up)
{
    enum { WARM = 5, CAPPED = 2 };
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = descent(DFQI_MODE_PARITY);
    o.learning_rate = 1e-9f;
    o.crossing_target = 0.02f;
    o.kappa_capped_steps = CAPPED;
    o.warmup = DFQ_WARMUP_IDLE;
    o.warmup_steps = WARM;
    dfqi_tune *t = new_job(&p, &o);
    for (int i = 0; i < WARM; i++) step(t);
    for (int i = 0; i < 2 * CAPPED; i++) {
        int above = 0;
        step(t);
        for (int32_t k = 0; k < t->n_quantized; k++) above += t->inundated[k].kappa > 128;
        ck_assert(i < CAPPED ? above == 0 : above > t->n_quantized / 2);
    }
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

TCase *dfqt_steps_case(void)
{
    TCase *t = tcase_create("steps");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_held_out_images_are_not_learned_from);
    tcase_add_test(t, test_order);
    tcase_add_loop_test(t, test_augmented, DFQI_AUGMENT_NONE, DFQI_AUGMENT_SYNTHETIC + 1);
    tcase_add_loop_test(t, test_divergence, 0, 2);
    tcase_add_loop_test(t, test_how_parameters_move, 0, 2);
    tcase_add_loop_test(t, test_leaves_beside, DFQI_AUGMENT_MILD, DFQI_AUGMENT_SYNTHETIC + 1);
    tcase_add_loop_test(t, test_norm, 0, 3);
    tcase_add_test(t, test_first_step_behind_an_idle_warm_up);
    tcase_add_test(t, test_cap_behind_an_idle_warm_up);
    return t;
}
