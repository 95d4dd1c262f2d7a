/* Jobs: what they learn, determinism, the choice of the best step, schedules, cancelling. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tune/cases.h"
#include "tune/tune_priv.h"

static dfqi_tune *new_job(const dfqt_pair *p, const dfqi_tune_options *o)
{
    dfqi_tune *t = NULL;
    ck_assert_msg(dfqi_tune_new(p->teacher, p->student, p->images, o, &t) == DFQ_OK, "%s",
                  p->ctx->error);
    return t;
}

static uint64_t tune(const dfqi_tune_options *o, int32_t threads, dfqi_mode mode)
{
    dfqt_pair p = dfqt_pair_new(threads, mode, 10);
    dfqi_tune *t = new_job(&p, o);
    uint64_t teacher = dfqt_bits(p.teacher);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_tune_restore_parameters(t, 0), DFQ_OK);
    uint64_t bits = dfqt_bits(p.student);
    ck_assert_uint_eq(teacher, dfqt_bits(p.teacher));
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
    return bits;
}

START_TEST(test_threads_do_not_matter)
{
    dfqi_mode mode = _i ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
    dfqi_tune_options o = dfqt_options(mode);
    uint64_t one = tune(&o, 1, mode);
    ck_assert_uint_eq(one, tune(&o, 2, mode));
    o.seed++;
    ck_assert_uint_ne(one, tune(&o, 2, mode));
}
END_TEST

static float mean_of(const float *losses, int64_t from, int64_t to, int column)
{
    float sum = 0;
    for (int64_t i = from; i < to; i++) sum += losses[i * DFQI_TUNE_LOSSES + column];
    return sum / (float)(to - from);
}

START_TEST(test_losses_fall)
{
    dfqi_mode mode = _i ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
    dfqt_pair p = dfqt_pair_new(1, mode, 32);
    dfqi_tune_options o = dfqt_options(mode);
    dfq_tensor *curves, *evals, *before, *after;
    dfqi_tune_best best;
    o.steps = 120;
    o.batch = 8;
    o.eval_every = 20;
    o.augment = DFQI_AUGMENT_NONE;
    o.schedule = DFQ_SCHEDULE_COSINE;
    if (!_i) o.learning_rate = 3e-3f;
    const float *images = dfqi_tensor_f32(p.images);
    ck_assert_int_eq(dfqi_layer_errors(p.teacher, p.student, images, 32, &before), DFQ_OK);
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfqi_tune_curves(t, &curves), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_evals(t, &evals), DFQ_OK);
    ck_assert_int_eq(curves->dims[0], 120);
    ck_assert_int_eq(evals->dims[0], 7);
    const float *v = dfqi_tensor_f32(curves), *e = dfqi_tensor_f32(evals);
    for (int c = DFQI_TUNE_TOTAL; c <= DFQI_TUNE_HEAD; c++)
        ck_assert_float_lt(mean_of(v, 100, 120, c), 0.8f * mean_of(v, 0, 10, c));
    dfqi_tune_get_best(t, &best);
    ck_assert_double_lt(best.best_kl, 0.9 * e[1]);
    ck_assert_int_eq(best.last_step, 120);
    ck_assert_int_eq(best.train + best.held_out, 32);
    ck_assert_int_eq(best.held_out, 8);
    for (int k = 0; k < 7; k++) {
        ck_assert_float_eq(e[2 * k], (float)(20 * k));
        ck_assert(e[2 * k + 1] >= (float)best.best_kl);
    }
    ck_assert_int_eq(dfqi_layer_errors(p.teacher, p.student, images, 32, &after), DFQ_OK);
    ck_assert_float_gt(dfqi_tensor_f32(after)[2], dfqi_tensor_f32(before)[2]);
    dfq_tensor *all[] = {curves, evals, before, after};
    for (int i = 0; i < 4; i++) dfqi_tensor_release(all[i]);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* With a learning rate that destroys the student the untuned parameters are the result; the last
 * ones can be looked at. */
START_TEST(test_best_is_kept)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfqi_tune_best best;
    o.learning_rate = 0.05f;
    o.scale_lr_mult = o.zero_point_lr_mult = 1;
    uint64_t untuned = dfqt_bits(p.student);
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_tune_restore_parameters(t, 0), DFQ_E_INVALID);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    dfqi_tune_get_best(t, &best);
    ck_assert_int_eq(best.best_step, 0);
    ck_assert_double_gt(best.last_kl, best.best_kl);
    ck_assert_uint_eq(untuned, dfqt_bits(p.student));
    ck_assert_int_eq(dfqi_tune_restore_parameters(t, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_tune_restore_parameters(t, 0), DFQ_OK);
    ck_assert_uint_ne(untuned, dfqt_bits(p.student));
    ck_assert_int_eq(dfqi_tune_restore_parameters(t, 1), DFQ_OK);
    ck_assert_uint_eq(untuned, dfqt_bits(p.student));
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_OK); /* nothing is left to do */
    ck_assert_uint_eq(untuned, dfqt_bits(p.student));
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* A factor of 0 holds its kind of parameter: biases and norms have none. Scales stay positive. */
START_TEST(test_factors)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfqi_network *net = &p.student->net, before;
    int moved = 0;
    ck_assert_int_eq(dfqi_network_clone(net, &before), DFQ_OK);
    o.weight_lr_mult = 0;
    o.scale_lr_mult = 1e3f;
    o.eval_every = 0;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfq_tensor *now = net->params[i].tensor, *old = before.params[i].tensor;
        bool weight = now->rank > 1 && strstr(net->params[i].name, ".weight");
        size_t bytes = (size_t)dfqi_tensor_count(now) * sizeof(float);
        bool same = memcmp(now->data, old->data, bytes) == 0;
        ck_assert_msg(!weight || same, "%s", net->params[i].name);
        moved += !same;
    }
    ck_assert_int_gt(moved, 4);
    for (int32_t i = 0; i < p.student->scheme.n_sites; i++) {
        const dfq_tensor *s = p.student->scheme.sites[i].scale;
        for (int64_t k = 0; k < dfqi_tensor_count(s); k++) ck_assert(dfqi_tensor_f32(s)[k] > 0);
    }
    dfqi_network_fini(&before);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* How far one step of SGD moves the weights, and their bits behind it. */
static double one_step(float clip, uint64_t *bits)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    float *before[64];
    double sum = 0;
    ck_assert_int_le(p.student->net.n_params, 64);
    for (int32_t i = 0; i < p.student->net.n_params; i++) {
        dfq_tensor *w = p.student->net.params[i].tensor;
        size_t bytes = (size_t)dfqi_tensor_count(w) * sizeof(float);
        before[i] = malloc(bytes);
        ck_assert_ptr_nonnull(before[i]);
        memcpy(before[i], dfqi_tensor_f32(w), bytes);
    }
    o.steps = 1;
    o.learning_rate = 1;
    o.warmup_steps = o.eval_every = 0;
    o.momentum = o.weight_decay = 0;
    o.clip_norm = clip;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
    for (int32_t i = 0; i < p.student->net.n_params; i++) {
        dfq_tensor *w = p.student->net.params[i].tensor;
        for (int64_t k = 0; k < dfqi_tensor_count(w); k++) {
            double d = (double)dfqi_tensor_f32(w)[k] - (double)before[i][k];
            sum += d * d;
        }
        free(before[i]);
    }
    *bits = dfqt_bits(p.student);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
    return sqrt(sum);
}

/* All gradients together are scaled down to the norm, or left alone. */
START_TEST(test_clip)
{
    uint64_t free_bits, same, other;
    double whole = one_step(0, &free_bits), far = one_step(1e6f, &same);
    double one = one_step(1e-2f, &other), two = one_step(2e-2f, &other);
    ck_assert_double_gt(whole, 2e-2);
    ck_assert_double_eq(whole, far);
    ck_assert_uint_eq(free_bits, same);
    ck_assert_double_le(one, 1.001e-2); /* scales and zero points have their share */
    ck_assert_double_gt(one, 1e-5);
    ck_assert_double_eq_tol(two / one, 2, 0.01);
}
END_TEST

static void count_clamps(int32_t level, const char *line, void *user)
{
    if (level == DFQ_LOG_WARNING && strstr(line, "zero or negative, the first of")) ++*(int *)user;
}

/* Parity mode: scales pushed below zero are kept at 1e-8 and counted; one line tells of all of
 * them, in the first step alone. */
START_TEST(test_clamped_scales)
{
    int warnings = 0;
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    p.ctx->log = count_clamps;
    p.ctx->log_user = &warnings;
    o.eval_every = 0;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_tune_start(t), DFQ_OK);
    dfqi_item *item = t->items;
    while (item->kind != DFQI_ITEM_SCALE) item++;
    item->moments.m[0] = 1e6f; /* velocity towards smaller scales */
    dfqi_item *other = item + 1;
    while (other->kind != DFQI_ITEM_SCALE) other++;
    other->moments.m[0] = 1e6f;
    int32_t finished;
    ck_assert_msg(dfqi_tune_step(t, &finished) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_float_eq(dfqi_tensor_f32(item->tensor)[0], 1e-8f);
    dfqi_tune_best best;
    dfqi_tune_get_best(t, &best);
    ck_assert_int_eq(best.clamped, 2);
    ck_assert_int_eq(warnings, 1);
    ck_assert_msg(dfqi_tune_step(t, &finished) == DFQ_OK, "%s", p.ctx->error);
    dfqi_tune_get_best(t, &best);
    ck_assert_int_gt(best.clamped, 2);
    ck_assert_int_eq(warnings, 1);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* The idle warm-up computes losses and moves nothing. */
START_TEST(test_idle_warm_up)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    int32_t finished;
    o.warmup_steps = 3;
    uint64_t bits = dfqt_bits(p.student);
    dfqi_tune *t = new_job(&p, &o);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
        ck_assert(t->losses[DFQI_TUNE_LOSSES * i] > 0);
    }
    ck_assert_uint_eq(bits, dfqt_bits(p.student));
    ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
    ck_assert_uint_ne(bits, dfqt_bits(p.student));
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_rates)
{
    dfqi_tune_options o;
    dfqi_tune_recipe(DFQ_RECIPE_MIMIQ_PARITY, &(dfqi_recipe_case){.steps = 0}, &o);
    o.steps = 200;
    o.learning_rate = 1;
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 49), 1);
    ck_assert_float_eq_tol(dfqi_tune_learning_rate(&o, 50), 0.1f, 1e-7f);
    ck_assert_float_eq_tol(dfqi_tune_learning_rate(&o, 199), 0.01f, 1e-8f);
    o.milestones[1] = 10;
    ck_assert_float_eq_tol(dfqi_tune_learning_rate(&o, 199), 0.1f, 1e-7f);
    o.warmup_steps = 5;
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 4), 0);
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 5), 1);
    o.warmup = DFQ_WARMUP_LINEAR;
    ck_assert_float_eq_tol(dfqi_tune_learning_rate(&o, 1), 0.4f, 1e-6f);
    o.schedule = DFQ_SCHEDULE_CONSTANT;
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 150), 1);
    o.schedule = DFQ_SCHEDULE_COSINE;
    o.warmup_steps = 0;
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 0), 1);
    ck_assert_float_eq_tol(dfqi_tune_learning_rate(&o, 100), 0.5f, 1e-6f);
    o.warmup_steps = 20; /* the cosine begins behind the ramp */
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 19), 1);
    ck_assert_float_eq(dfqi_tune_learning_rate(&o, 20), 1);
    ck_assert_float_eq_tol(dfqi_tune_learning_rate(&o, 110), 0.5f, 1e-6f);
}
END_TEST

/* Every image is either held out or seen; none is seen twice in an epoch. */
START_TEST(test_split)
{
    static const int64_t rows[][3] = {{10, 3, 3}, {2, 16, 1}, {64, 4, 8}, {67, 16, 16}, {9, 4, 4}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, rows[r][0]);
        dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
        o.batch = rows[r][1];
        dfqi_tune *t = new_job(&p, &o);
        int seen[80] = {0};
        ck_assert_int_eq(t->n_held, rows[r][2]);
        ck_assert_int_eq(t->n_train + t->n_held, rows[r][0]);
        ck_assert(t->n_held >= t->o.batch && t->n_train >= t->o.batch);
        for (int64_t i = 0; i < t->n_held; i++) seen[dfqi_tune_held_image(t, i)]++;
        for (int64_t i = 0; i < t->n_train; i++) seen[dfqi_tune_train_image(t, i)]++;
        for (int64_t i = 0; i < rows[r][0]; i++) ck_assert_int_eq(seen[i], 1);
        dfqi_tune_release(t);
        dfqt_pair_end(&p);
    }
}
END_TEST

static int32_t stop_at_four(const dfq_progress *progress, void *user)
{
    ck_assert_str_eq(progress->stage, "tune");
    ++*(int *)user;
    return progress->done == 4;
}

START_TEST(test_cancel)
{
    int calls = 0;
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_PARITY, 10);
    p.ctx->progress = stop_at_four;
    p.ctx->progress_user = &calls;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqi_tune_done(t), 4);
    dfq_context_cancel(p.ctx);
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_E_CANCELLED);
    ck_assert_int_eq(dfqi_tune_done(t), 5);
    ck_assert_int_eq(dfqi_tune_run(t), DFQ_OK);
    ck_assert_int_eq(calls, 12);
    ck_assert_int_eq(dfqi_tune_restore_parameters(t, 0), DFQ_OK);
    ck_assert_uint_eq(dfqt_bits(p.student), tune(&o, 1, DFQI_MODE_PARITY));
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* Codes of all quantized weights, one behind the other. */
static int64_t codes_of(const dfqi_tune *t, float *codes)
{
    const dfqi_kernels *k = dfqi_kernels_get(t->ctx);
    int64_t n = 0;
    for (int32_t i = 0; i < t->n_items; i++) {
        const dfqi_site *site = t->items[i].site;
        const dfq_tensor *w = t->items[i].tensor, *col = NULL;
        float scale;
        if (!site) continue;
        int64_t rows = w->dims[0], cols = t->items[i].count / rows;
        if (site->input >= 0) col = t->student->scheme.sites[site->input].scale;
        for (int64_t r = 0; r < rows; r++, n += cols) {
            float *y = codes + n;
            k->fq_weight(1, cols, site->bits, dfqi_tensor_f32(w) + r * cols,
                         col ? dfqi_tensor_f32(col) : NULL,
                         site->scale ? dfqi_tensor_f32(site->scale) + r : NULL, y, &scale);
            for (int64_t c = 0; c < cols; c++)
                y[c] = rintf(y[c] * (col ? dfqi_tensor_f32(col)[c] : 1) / scale);
        }
    }
    return n;
}

/* A learning rate at which hardly any code would change: about the share changes, as counted, but
 * for the cap of the first epoch (7 images, so 3 steps of 3). */
START_TEST(test_inundation)
{
    enum { CODES = 20000 };
    static float before[CODES], after[CODES];
    dfqi_mode mode = _i ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
    dfqt_pair p = dfqt_pair_new(2, mode, 10);
    dfqi_tune_options o = dfqt_options(mode);
    dfq_tensor *rows;
    int32_t finished;
    o.optimizer = DFQI_SGD;
    o.schedule = DFQ_SCHEDULE_CONSTANT;
    o.scale_lr_mult = o.zero_point_lr_mult = 0;
    o.learning_rate = 1e-9f;
    o.crossing_target = 0.02f;
    o.eval_every = 50;
    dfqi_tune *t = new_job(&p, &o);
    for (int step = 0; step < 6; step++) {
        int64_t n = codes_of(t, before), at = 0, above = 0;
        ck_assert_int_le(n, CODES);
        ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
        codes_of(t, after);
        ck_assert_int_eq(dfqi_tune_crossings(t, &rows), DFQ_OK);
        ck_assert_int_eq(rows->dims[0], 10); /* patches, 4 in each block, head */
        const float *row = dfqi_tensor_f32(rows);
        for (int i = 0; i < 10; i++, row += 3) {
            int64_t changed = 0, count = (int64_t)row[2];
            for (int64_t k = at; k < at + count; k++) changed += before[k] != after[k];
            ck_assert_int_eq(changed, (int64_t)row[1]);
            ck_assert(step > 2 || row[0] < 128);
            above += row[0] > 128 && fabsf(row[1] / row[2] - 0.02f) < 0.01f;
            at += count;
        }
        ck_assert_int_eq(at, n);
        ck_assert(step < 3 ? above == 0 : above >= 8);
        dfqi_tensor_release(rows);
    }
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* rho falls with the learning rate; threads do not matter; without inundation nothing is
 * counted. */
START_TEST(test_inundation_schedule)
{
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    dfq_tensor *rows = NULL;
    int32_t finished;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_tune_crossings(t, &rows), DFQ_E_INVALID);
    dfqi_tune_release(t);
    o.crossing_target = 0.02f;
    o.milestones[0] = 2;
    uint64_t bits = tune(&o, 1, DFQI_MODE_PARITY);
    ck_assert_uint_eq(bits, tune(&o, 2, DFQI_MODE_PARITY));
    ck_assert_uint_eq(bits, tune(&o, 3, DFQI_MODE_PARITY));
    t = new_job(&p, &o);
    for (int step = 0; step < 3; step++) {
        ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
        ck_assert_float_eq_tol(t->inundation.rho, step < 2 ? 0.02f : 0.002f, 1e-8f);
    }
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}
END_TEST

/* Terms can be left out; 8 bits are close to the original, a network to itself entirely. */
START_TEST(test_terms_and_errors)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 5);
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    dfq_tensor *db;
    int32_t finished;
    o.head_weight = 0;
    dfqi_tune *t = new_job(&p, &o);
    ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
    ck_assert(t->losses[DFQI_TUNE_TOTAL] == t->losses[DFQI_TUNE_KL]);
    ck_assert(isnan(t->losses[DFQI_TUNE_HEAD]));
    dfqi_tune_release(t);
    ck_assert_int_eq(dfqi_layer_errors(p.teacher, p.student, dfqi_tensor_f32(p.images), 5, &db),
                     DFQ_OK);
    ck_assert_int_eq(db->dims[0], 3);
    for (int i = 0; i < 3; i++)
        ck_assert(dfqi_tensor_f32(db)[i] > 3 && dfqi_tensor_f32(db)[i] < 60);
    dfqi_tensor_release(db);
    dfqt_pair_end(&p);
}
END_TEST

TCase *dfqt_job_case(void)
{
    TCase *t = tcase_create("job");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_threads_do_not_matter, 0, 2);
    tcase_add_loop_test(t, test_losses_fall, 0, 2);
    tcase_add_test(t, test_best_is_kept);
    tcase_add_test(t, test_factors);
    tcase_add_test(t, test_clip);
    tcase_add_test(t, test_clamped_scales);
    tcase_add_test(t, test_idle_warm_up);
    tcase_add_test(t, test_rates);
    tcase_add_test(t, test_split);
    tcase_add_test(t, test_cancel);
    tcase_add_loop_test(t, test_inundation, 0, 2);
    tcase_add_test(t, test_inundation_schedule);
    tcase_add_test(t, test_terms_and_errors);
    return t;
}
