/* The synthesis job. It optimises one batch of noise after the other by a fixed number of AdamW
 * steps; or it trains a generator network once and then samples it. */
#include "synth/synth.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "synth/synth_priv.h"

/* -- life -------------------------------------------------------------------------------------- */

static void set_bounds(dfqi_synth *s)
{
    const dfqi_arch *a = &s->model->net.arch;
    for (int c = 0; c < 3; c++) {
        s->lo[c] = (0.0f - a->mean[c]) / a->std[c];
        s->hi[c] = (1.0f - a->mean[c]) / a->std[c];
    }
}

/* What all batches together hold must fit, so that later arithmetic needs no checks. */
static dfq_status check_size(const dfqi_synth *s)
{
    int64_t n, losses;
    bool ok = dfqi_mul_i64(s->o.images + s->o.batch, s->pixels, &n) && n <= INT64_MAX / 64 &&
              dfqi_mul_i64(s->n_batches, s->per_batch, &losses) && losses <= INT64_MAX / 128;
    if (ok && s->model->net.arch.classes <= 1 << 24) return DFQ_OK; /* labels pass through floats */
    return dfqi_fail(s->ctx, DFQ_E_INVALID,
                     "synth: %lld images, %lld iterations and %lld classes are more than can be "
                     "addressed",
                     (long long)s->o.images, (long long)s->o.iterations,
                     (long long)s->model->net.arch.classes);
}

static dfq_status make_generator(dfqi_synth *s)
{
    dfqi_generator_trainer_defaults(&s->generator_options);
    s->generator_options.kind = (dfqi_generator_kind)(s->o.kind - DFQI_SYNTH_GDFQ);
    s->generator_options.batch = s->o.batch;
    s->generator_options.seed = s->o.seed;
    return dfqi_generator_trainer_new(s->model, &s->generator_options, &s->generator);
}

/* Sizes; batches of a generator are as large as asked for, however few images are. */
static dfq_status set_up(dfqi_synth *s)
{
    const dfqi_arch *a = &s->model->net.arch;
    bool generator = s->o.kind >= DFQI_SYNTH_GDFQ, noise = s->o.kind == DFQI_SYNTH_NOISE;
    if (s->o.batch > s->o.images && !generator) s->o.batch = s->o.images;
    s->pixels = a->channels * a->image * a->image;
    s->n_batches = (s->o.images + s->o.batch - 1) / s->o.batch;
    s->per_batch = generator || noise ? 1 : s->o.iterations;
    s->pyramid = dfqi_pyramid_make(a->image, s->o.multi_scale && !noise);
    set_bounds(s);
    DFQI_TRY(check_size(s));
    return generator ? make_generator(s) : DFQ_OK;
}

dfq_status dfqi_synth_new(const dfqi_model *m, const dfqi_synth_options *o, dfqi_synth **out)
{
    dfq_context *ctx = m->ctx;
    const dfqi_arch *a = &m->net.arch;
    dfqi_synth_options own = *o;
    DFQI_TRY(dfqi_synth_check(ctx, o));
    dfqi_synth_settle(a, &own);
    if (m->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "synth: %s is quantized, images are made with the float "
                         "network",
                         a->name);
    DFQI_TRY(dfqi_synth_fits(ctx, a, &own));
    dfqi_synth *s = dfqi_calloc(ctx, 1, sizeof *s);
    if (!s) return DFQ_E_NOMEM;
    dfq_status status;
    s->model = dfqi_model_retain(m);
    s->ctx = ctx;
    s->o = own;
    DFQI_GOTO(set_up(s), fail);
    DFQI_GOTO(dfqi_objective_build(s), fail);
    *out = s;
    return DFQ_OK;
fail:
    dfqi_synth_release(s);
    return status;
}

/* Back to before work began. */
static void stop(dfqi_synth *s)
{
    dfqi_objective_stop(s);
    dfqi_moments_fini(s->ctx, &s->moments);
    dfqi_free(s->ctx, s->floats);
    dfqi_free(s->ctx, s->losses);
    dfqi_tensor_release(s->images);
    dfqi_tensor_release(s->labels);
    s->floats = s->losses = NULL;
    s->images = s->labels = NULL;
}

void dfqi_synth_release(dfqi_synth *s)
{
    if (!s) return;
    dfqi_model *m = s->model;
    stop(s);
    dfqi_objective_fini(s);
    dfqi_generator_trainer_release(s->generator);
    dfqi_images_close(&s->finished);
    dfqi_kept_fini(s->ctx, &s->kept);
    dfqi_free(s->ctx, s);
    dfqi_model_release(m);
}

int64_t dfqi_synth_scale_floats(const dfqi_synth *s)
{
    return s->generator ? 0 : 3 * s->o.batch * s->pyramid.floats;
}

/* Hands out consecutive pieces of s->floats; with base NULL it only counts. */
static int64_t lay_out(dfqi_synth *s, float *base)
{
    int64_t n = 0, b = s->o.batch, images = b * s->pixels;
    int64_t entropy = s->seed ? dfqi_pse_scratch(&s->pse) : 0;
    int64_t seeds = s->pse.batch * s->pse.heads * s->pse.tokens * s->pse.d;
    struct piece {
        float **at;
        int64_t floats;
    } pieces[] = {{&s->x, images},
                  {&s->scales, dfqi_synth_scale_floats(s)},
                  {&s->moves, s->main.g ? dfqi_synth_scale_floats(s) : 0},
                  {&s->mirror, s->o.flip && s->main.g ? images : 0},
                  {&s->seeds, s->seed ? seeds * s->model->net.arch.of.vit.depth : 0},
                  {&s->pse_scratch, entropy},
                  {&s->labels_f, b},
                  {&s->roll, 2},
                  {&s->scale, 3 * b},
                  {&s->shift, 3 * b},
                  {&s->draws.offset, 3 * b},
                  {&s->draws.mean, 3 * b},
                  {&s->draws.dev, 3 * b}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (base) *pieces[i].at = base + n;
        n += (pieces[i].floats + 15) / 16 * 16;
    }
    return n;
}

int64_t dfqi_synth_block(const dfqi_synth *s)
{
    dfqi_synth copy = *s; /* counting writes nothing, but its type does not say so */
    return lay_out(&copy, NULL);
}

static dfq_status allocate(dfqi_synth *s)
{
    const dfqi_arch *a = &s->model->net.arch;
    s->floats = dfqi_calloc(s->ctx, (size_t)lay_out(s, NULL), sizeof *s->floats);
    s->losses = dfqi_calloc(s->ctx, (size_t)dfqi_synth_units(s), DFQI_SYNTH_LOSSES * sizeof(float));
    if (!s->floats || !s->losses) return DFQ_E_NOMEM;
    lay_out(s, s->floats);
    if (s->main.g)
        DFQI_TRY(dfqi_moments_new(s->ctx, DFQI_ADAMW, dfqi_synth_scale_floats(s), &s->moments));
    if (!s->finished.file) {
        DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_F32, 4,
                                 (int64_t[]){s->o.images, a->channels, a->image, a->image},
                                 &s->images));
        s->finished = (dfqi_images){
            .n = s->o.images, .pixels = s->pixels, .memory = dfqi_tensor_f32(s->images)};
    }
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_I32, 1, &s->o.images, &s->labels));
    return dfqi_objective_start(s);
}

dfq_status dfqi_synth_spool(dfqi_synth *s, const char *folder)
{
    if (s->floats || s->finished.file)
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "synth: where images wait is said once, before work begins");
    return dfqi_images_spool(s->ctx, folder, s->o.images, s->pixels, &s->finished);
}

dfq_status dfqi_synth_put(dfqi_synth *s, int64_t first, int64_t n, const float *x)
{
    if (s->finished.file) return dfqi_images_put(&s->finished, first, n, x);
    memcpy(dfqi_tensor_f32(s->images) + first * s->pixels, x, (size_t)(n * s->pixels) * sizeof *x);
    return DFQ_OK;
}

/* The current batch from its first iteration on. */
static void draw_batch(dfqi_synth *s)
{
    dfqi_draw_images(s, s->at, s->attempt, s->scales, s->x);
    dfqi_draw_labels(s, s->at, s->attempt, s->labels_f);
    if (s->main.g) memset(s->moments.m, 0, 2 * (size_t)s->moments.count * sizeof *s->moments.m);
    s->drawn = 1;
}

dfq_status dfqi_synth_start(dfqi_synth *s)
{
    if (!s->floats) {
        dfq_status status = allocate(s);
        if (status != DFQ_OK) {
            stop(s);
            return status;
        }
    }
    if (!s->drawn && !s->generator && s->at < s->n_batches) draw_batch(s);
    return DFQ_OK;
}

/* -- steps ------------------------------------------------------------------------------------- */

/* Into the range of real pictures, channel by channel; 0 if there is a NaN. */
static int32_t clamp(dfqi_synth *s)
{
    int64_t plane = s->pixels / 3, nan = 0;
    for (int64_t p = 0; p < 3 * s->o.batch; p++) {
        float lo = s->lo[p % 3], hi = s->hi[p % 3], *x = s->x + p * plane;
        for (int64_t i = 0; i < plane; i++) {
            nan += x[i] != x[i];
            x[i] = x[i] < lo ? lo : x[i] > hi ? hi : x[i];
        }
    }
    return nan == 0;
}

int64_t dfqi_synth_first_half(const dfqi_synth *s)
{
    return (s->o.iterations + 1) / 2;
}

float dfqi_synth_learning_rate(const dfqi_synth *s)
{
    int64_t t = s->iteration, total = s->o.iterations, half = dfqi_synth_first_half(s);
    if (!dfqi_recipe_of(s->o.kind)->warm_ups)
        return dfqi_cosine(t, total, 0, s->o.learning_rate, s->o.end_learning_rate);
    total = t < half ? half : total - half;
    return dfqi_cosine(t % half, total, total / 5, s->o.learning_rate, s->o.end_learning_rate);
}

/* One AdamW step at every scale. Its decay shrinks the images themselves. */
static void move(dfqi_synth *s, const float *grad)
{
    const dfqi_recipe *r = dfqi_recipe_of(s->o.kind);
    const dfqi_optim_options adam = {
        .kind = DFQI_ADAMW, .beta1 = r->beta1, .beta2 = r->beta2, .eps = 1e-8f};
    float learning_rate = dfqi_synth_learning_rate(s);
    dfqi_pyramid_split(s->ctx, &s->pyramid, s->o.batch, grad, s->scales);
    memset(s->moves, 0, (size_t)dfqi_synth_scale_floats(s) * sizeof *s->moves);
    dfqi_optim_step(s->ctx, &adam, &s->moments, s->iteration + 1, learning_rate, s->scales,
                    s->moves);
    dfqi_pyramid_add(s->ctx, &s->pyramid, s->o.batch, s->moves,
                     1.0f - learning_rate * s->o.weight_decay, s->x);
}

dfq_status dfqi_synth_iterate(dfqi_synth *s, const dfqi_draws *d, int32_t *ok)
{
    const float *grad;
    float *losses = s->losses + (s->at * s->per_batch + s->iteration) * DFQI_SYNTH_LOSSES;
    double start = dfqi_now();
    DFQI_TRY(dfqi_objective_run(s, d, losses, &grad));
    move(s, grad);
    *ok = clamp(s) && isfinite(losses[DFQI_SYNTH_TOTAL]);
    s->iteration++;
    if (s->runs++ > 0) {
        s->seconds += dfqi_now() - start;
        s->timed++;
    }
    return DFQ_OK;
}

/* A batch that diverged begins again with other numbers. */
static dfq_status redraw(dfqi_synth *s)
{
    if (s->attempt + 1 < DFQI_SYNTH_ATTEMPTS) {
        dfqi_log(s->ctx, DFQ_LOG_WARNING,
                 "synth: batch %lld is not finite after step %lld, drawn anew", (long long)s->at,
                 (long long)s->iteration);
        s->attempt++;
        s->iteration = 0;
        draw_batch(s);
        return DFQ_OK;
    }
    /* the state stays here, so that a further call tries again and fails again */
    s->iteration = 0;
    draw_batch(s);
    return dfqi_fail(s->ctx, DFQ_E_NUMERIC,
                     "synth: batch %lld became NaN or infinite in %d attempts at a learning rate "
                     "of %g; check the "
                     "weights of %s",
                     (long long)s->at, DFQI_SYNTH_ATTEMPTS, (double)s->o.learning_rate,
                     s->model->net.arch.name);
}

/* If a finished batch cannot be written to the spool, it is made again, with the same bits. */
static dfq_status finish_batch(dfqi_synth *s)
{
    int64_t first = s->at * s->o.batch, left = s->o.images - first;
    int64_t n = left < s->o.batch ? left : s->o.batch;
    int32_t *labels = s->labels->data;
    dfq_status status = dfqi_synth_put(s, first, n, s->x);
    if (status != DFQ_OK) {
        s->iteration = 0;
        s->drawn = 0;
        return status;
    }
    for (int64_t i = 0; i < n; i++) labels[first + i] = (int32_t)s->labels_f[i];
    s->at++;
    s->iteration = s->attempt = 0;
    s->drawn = 0;
    return DFQ_OK;
}

/* Noise: what is drawn is the result. */
static dfq_status step_noise(dfqi_synth *s)
{
    float *losses = s->losses + s->at * DFQI_SYNTH_LOSSES;
    for (int i = 0; i < DFQI_SYNTH_LOSSES; i++) losses[i] = NAN;
    (void)clamp(s);
    return finish_batch(s);
}

/* The generator's steps, then a batch of samples at a time. */
static dfq_status step_generator(dfqi_synth *s)
{
    dfqi_generator_batch b;
    float *losses = s->losses + dfqi_synth_done(s) * DFQI_SYNTH_LOSSES;
    double start = dfqi_now();
    bool training = s->trained < s->o.iterations;
    if (training) {
        float learning_rate = dfqi_generator_trainer_learning_rate(&s->generator_options,
                                                                   s->trained, s->o.iterations);
        DFQI_TRY(dfqi_generator_trainer_step(s->generator, learning_rate, &b));
    } else {
        DFQI_TRY(dfqi_generator_trainer_sample(s->generator, s->at, &b));
    }
    losses[DFQI_SYNTH_TOTAL] = b.losses[DFQI_GENERATOR_LOSS_TOTAL];
    losses[DFQI_SYNTH_INTER_HEAD] = b.losses[DFQI_GENERATOR_LOSS_BNS];
    losses[DFQI_SYNTH_CLASS] = b.losses[DFQI_GENERATOR_LOSS_CLASS];
    losses[DFQI_SYNTH_TV] = NAN;
    if (s->runs++ > 0) {
        s->seconds += dfqi_now() - start;
        s->timed++;
    }
    if (training) {
        s->trained++;
        return DFQ_OK;
    }
    memcpy(s->x, b.images, (size_t)(s->o.batch * s->pixels) * sizeof *s->x);
    memcpy(s->labels_f, b.labels, (size_t)s->o.batch * sizeof *s->labels_f);
    return finish_batch(s);
}

dfq_status dfqi_synth_step(dfqi_synth *s, int32_t *out_finished)
{
    DFQI_TRY(dfqi_synth_start(s));
    if (s->at < s->n_batches && s->generator) {
        DFQI_TRY(step_generator(s));
    } else if (s->at < s->n_batches && !s->main.g) {
        DFQI_TRY(step_noise(s));
    } else if (s->at < s->n_batches) {
        int32_t ok;
        dfqi_draw_augment(s, &s->draws);
        DFQI_TRY(dfqi_synth_iterate(s, &s->draws, &ok));
        if (!ok)
            DFQI_TRY(redraw(s));
        else if (s->iteration == s->per_batch)
            DFQI_TRY(finish_batch(s));
    }
    *out_finished = s->at == s->n_batches;
    return DFQ_OK;
}

dfq_status dfqi_synth_run(dfqi_synth *s)
{
    int32_t finished = s->floats && s->at == s->n_batches;
    dfqi_stage stage = dfqi_stage_begin(s->ctx, "synth", (uint64_t)dfqi_synth_done(s),
                                        (uint64_t)dfqi_synth_units(s));
    while (!finished) {
        DFQI_TRY(dfqi_synth_step(s, &finished));
        int64_t done = dfqi_synth_done(s), last = done > 0 ? done - 1 : 0;
        DFQI_TRY(
            dfqi_stage_report(&stage, (uint64_t)done, (double)s->losses[last * DFQI_SYNTH_LOSSES]));
    }
    return DFQ_OK;
}
