/* Image maker that optimises: a batch of noise takes a fixed number of AdamW steps down the loss of
 * objective.c. */
#include <math.h>
#include <string.h>

#include "base/progress.h"
#include "synth/synth_priv.h"

static void plan(dfqi_synth *s)
{
    if (s->o.batch > s->o.images) s->o.batch = s->o.images;
    s->per_batch = s->o.iterations;
}

void dfqi_pixels_set_up(dfqi_synth *s, int32_t multi_scale)
{
    const dfqi_arch *a = &s->model->net.arch;
    s->by_pixels.pyramid = dfqi_pyramid_make(a->image, multi_scale);
    for (int c = 0; c < 3; c++) {
        s->by_pixels.lo[c] = (0.0f - a->mean[c]) / a->std[c];
        s->by_pixels.hi[c] = (1.0f - a->mean[c]) / a->std[c];
    }
}

static dfq_status build(dfqi_synth *s)
{
    dfqi_pixels_set_up(s, s->o.multi_scale);
    return dfqi_objective_build(s);
}

int64_t dfqi_pixels_scale_floats(const dfqi_synth *s)
{
    return 3 * s->o.batch * s->by_pixels.pyramid.floats;
}

static int64_t lay_out(dfqi_synth *s, float *base)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    int64_t b = s->o.batch, scales = dfqi_pixels_scale_floats(s);
    int64_t entropy = own->seed ? dfqi_pse_scratch(&own->pse) : 0;
    const dfqi_piece pieces[] = {{&own->scales, scales},
                                 {&own->moves, scales},
                                 {&own->mirror, s->o.flip ? b * s->pixels : 0},
                                 {&own->seeds, dfqi_objective_seeds(s)},
                                 {&own->pse_scratch, entropy},
                                 {&own->roll, 2},
                                 {&own->scale, 3 * b},
                                 {&own->shift, 3 * b},
                                 {&own->draws.offset, 3 * b},
                                 {&own->draws.mean, 3 * b},
                                 {&own->draws.dev, 3 * b}};
    return dfqi_pieces_lay_out(sizeof pieces / sizeof *pieces, pieces, base);
}

/* The current batch from its first iteration on. */
static void draw_batch(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    dfqi_draw_images(s, s->at, s->attempt, own->scales, s->x);
    dfqi_draw_labels(s, s->at, s->attempt, s->labels_f);
    memset(own->moments.m, 0, 2 * (size_t)own->moments.count * sizeof *own->moments.m);
    own->drawn = 1;
}

static dfq_status start(dfqi_synth *s)
{
    DFQI_TRY(
        dfqi_moments_new(s->ctx, DFQI_ADAMW, dfqi_pixels_scale_floats(s), &s->by_pixels.moments));
    DFQI_TRY(dfqi_objective_start(s));
    draw_batch(s);
    return DFQ_OK;
}

static void stop(dfqi_synth *s)
{
    dfqi_objective_stop(s);
    dfqi_moments_fini(s->ctx, &s->by_pixels.moments);
}

/* -- steps ------------------------------------------------------------------------------------- */

int32_t dfqi_pixels_clamp(dfqi_synth *s)
{
    int64_t plane = s->pixels / 3, nan = 0;
    for (int64_t p = 0; p < 3 * s->o.batch; p++) {
        float lo = s->by_pixels.lo[p % 3], hi = s->by_pixels.hi[p % 3], *x = s->x + p * plane;
        for (int64_t i = 0; i < plane; i++) {
            nan += x[i] != x[i];
            x[i] = x[i] < lo ? lo : x[i] > hi ? hi : x[i];
        }
    }
    return nan == 0;
}

int64_t dfqi_pixels_first_half(const dfqi_synth *s)
{
    return (s->o.iterations + 1) / 2;
}

float dfqi_pixels_learning_rate(const dfqi_synth *s)
{
    int64_t t = s->iteration, total = s->o.iterations, half = dfqi_pixels_first_half(s);
    if (!dfqi_recipe_of(s->o.kind)->warm_ups)
        return dfqi_cosine(t, total, 0, s->o.learning_rate, s->o.end_learning_rate);
    total = t < half ? half : total - half;
    return dfqi_cosine(t % half, total, total / 5, s->o.learning_rate, s->o.end_learning_rate);
}

/* One AdamW step at every scale. Its decay shrinks the images themselves. */
static void move(dfqi_synth *s, const float *grad)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    const dfqi_recipe *r = dfqi_recipe_of(s->o.kind);
    const dfqi_optim_options adam = {
        .kind = DFQI_ADAMW, .beta1 = r->beta1, .beta2 = r->beta2, .eps = 1e-8f};
    float learning_rate = dfqi_pixels_learning_rate(s);
    dfqi_pyramid_split(s->ctx, &own->pyramid, s->o.batch, grad, own->scales);
    memset(own->moves, 0, (size_t)dfqi_pixels_scale_floats(s) * sizeof *own->moves);
    dfqi_optim_step(s->ctx, &adam, &own->moments, s->iteration + 1, learning_rate, own->scales,
                    own->moves);
    dfqi_pyramid_add(s->ctx, &own->pyramid, s->o.batch, own->moves,
                     1.0f - learning_rate * s->o.weight_decay, s->x);
}

dfq_status dfqi_pixels_iterate(dfqi_synth *s, const dfqi_draws *d, int32_t *ok)
{
    const float *grad;
    float *losses = dfqi_synth_current_losses(s);
    double begin = dfqi_now();
    DFQI_TRY(dfqi_objective_run(s, d, losses, &grad));
    move(s, grad);
    *ok = dfqi_pixels_clamp(s) && isfinite(losses[DFQI_SYNTH_TOTAL]);
    s->iteration++;
    dfqi_synth_count_time(s, begin);
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

static dfq_status step(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    int32_t ok;
    if (!own->drawn) draw_batch(s);
    dfqi_draw_augment(s, &own->draws);
    DFQI_TRY(dfqi_pixels_iterate(s, &own->draws, &ok));
    if (!ok) return redraw(s);
    if (s->iteration < s->per_batch) return DFQ_OK;
    own->drawn = 0;
    return dfqi_synth_finish_batch(s);
}

static dfq_status pass(dfqi_synth *s)
{
    float losses[DFQI_SYNTH_LOSSES];
    const float *grad;
    if (!s->by_pixels.drawn) draw_batch(s);
    dfqi_draw_augment(s, &s->by_pixels.draws);
    return dfqi_objective_run(s, &s->by_pixels.draws, losses, &grad);
}

/* -- checkpoints, what it costs, and its end --------------------------------------------------- */

/* A batch at its beginning is drawn again. */
static void list(const dfqi_synth *s, int64_t iteration, dfqi_arrays *a)
{
    const dfqi_moments *moments = &s->by_pixels.moments;
    if (iteration == 0) return;
    dfqi_arrays_add(a, "", "x", DFQI_F32, s->o.batch * s->pixels, s->x, 1);
    dfqi_arrays_add(a, "", "m", DFQI_F32, moments->count, moments->m, 1);
    dfqi_arrays_add(a, "", "v", DFQI_F32, moments->count, moments->v, 1);
}

static void resume(dfqi_synth *s)
{
    s->by_pixels.drawn = s->iteration > 0;
    if (s->by_pixels.drawn) dfqi_draw_labels(s, s->at, s->attempt, s->labels_f);
}

static dfq_status cost(const dfqi_synth *s, double *bytes, double *macs)
{
    DFQI_TRY(dfqi_objective_cost(s, bytes, macs));
    *bytes += sizeof(float) * 2 * (double)dfqi_pixels_scale_floats(s); /* moments */
    return DFQ_OK;
}

static void fini(dfqi_synth *s)
{
    dfqi_objective_fini(s);
}

const dfqi_image_maker dfqi_maker_pixels = {.plan = plan,
                                            .build = build,
                                            .lay_out = lay_out,
                                            .start = start,
                                            .stop = stop,
                                            .finish = dfqi_objective_stop,
                                            .step = step,
                                            .pass = pass,
                                            .list = list,
                                            .resume = resume,
                                            .cost = cost,
                                            .fini = fini};
