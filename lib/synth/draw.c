/* All random draws of a synthesis job. Each purpose has its own random stream, so disabling one
 * augmentation does not change the random numbers of another. */
#include <math.h>

#include "base/rng.h"
#include "synth/leaves.h"
#include "synth/synth_priv.h"

enum { IMAGES = 1, LABELS, ROLL, FLIP, NOISE, JITTER, TARGET };

/* 4 bits purpose, 4 attempt, 32 batch, 24 iteration: the limits of options.c keep them apart. */
static dfqi_rng stream(const dfqi_synth *s, uint64_t purpose, int64_t batch, int64_t attempt,
                       int64_t iteration)
{
    return dfqi_rng_make(s->o.seed, purpose << 60 | (uint64_t)attempt << 56 |
                                        (uint64_t)batch << 24 | (uint64_t)iteration);
}

int64_t dfqi_draw_scratch(const dfqi_synth *s)
{
    if (s->o.kind != DFQI_SYNTH_LEAVES) return dfqi_pixels_scale_floats(s);
    return s->ctx->threads * dfqi_leaves_scratch(s->model->net.arch.image);
}

static void draw_noise(const dfqi_synth *s, dfqi_rng r, float *scratch, float *x)
{
    dfqi_rng_fill_normal(&r, scratch, (size_t)dfqi_pixels_scale_floats(s));
    if (s->by_pixels.pyramid.multi_scale) /* remaining noise would not look natural */
        for (int64_t i = 0; i < dfqi_pixels_scale_floats(s); i++) scratch[i] *= 0.1f;
    dfqi_pyramid_add(s->ctx, &s->by_pixels.pyramid, s->o.batch, scratch, 0, x);
}

/* In the stream of dead leaves an image has the place of an iteration. */
void dfqi_draw_images(const dfqi_synth *s, int64_t batch, int64_t attempt, float *scratch, float *x)
{
    dfqi_rng r = stream(s, IMAGES, batch, attempt, 0);
    if (s->o.kind == DFQI_SYNTH_LEAVES)
        dfqi_leaves_draw(s->ctx, &s->model->net.arch, r, s->o.batch, scratch, x);
    else
        draw_noise(s, r, scratch, x);
}

void dfqi_draw_labels(const dfqi_synth *s, int64_t batch, int64_t attempt, float *labels)
{
    dfqi_rng r = stream(s, LABELS, batch, attempt, 0);
    const dfqi_arch *a = &s->model->net.arch;
    uint32_t classes = dfqi_arch_is_backbone(a) ? 1 : (uint32_t)a->classes;
    for (int64_t i = 0; i < s->o.batch; i++) labels[i] = (float)dfqi_rng_below(&r, classes);
}

/* Uniform in -most..most. */
static float offset(dfqi_rng *r, int32_t most)
{
    return (float)((int64_t)dfqi_rng_below(r, 2 * (uint32_t)most + 1) - most);
}

/* The target of a batch is for 32 images of 224 x 224 in the paper's program; Frobenius norms grow
 * with the root of the number of pixels. */
static float tv_target(const dfqi_synth *s, const dfqi_recipe *recipe)
{
    dfqi_rng r = stream(s, TARGET, s->at, s->attempt, 0);
    double share = (double)(s->o.batch * s->pixels) / (32.0 * 3 * 224 * 224);
    return dfqi_rng_range(&r, recipe->tv_least, recipe->tv_most) * (float)sqrt(share);
}

void dfqi_draw_augment(const dfqi_synth *s, dfqi_draws *out)
{
    int64_t t = s->iteration, total = s->o.iterations, n = 3 * s->o.batch;
    dfqi_rng roll = stream(s, ROLL, s->at, s->attempt, t);
    dfqi_rng flip = stream(s, FLIP, s->at, s->attempt, t);
    dfqi_rng noise = stream(s, NOISE, s->at, s->attempt, t);
    dfqi_rng jitter = stream(s, JITTER, s->at, s->attempt, t);
    const dfqi_recipe *recipe = dfqi_recipe_of(s->o.kind);
    int32_t most = t < dfqi_pixels_first_half(s) ? s->o.roll_first : s->o.roll_second;
    float fade = 0.5f * (float)(total - 1 - t) / (float)total;
    out->roll[0] = offset(&roll, most);
    out->roll[1] = recipe->one_offset ? out->roll[0] : offset(&roll, most);
    out->tv_target = tv_target(s, recipe);
    out->flip = s->o.flip && dfqi_rng_below(&flip, 2) == 1;
    for (int64_t i = 0; i < n; i++) {
        out->offset[i] = s->o.jitter ? fade * dfqi_rng_normal(&noise) : 0.0f;
        out->mean[i] = s->o.jitter ? dfqi_rng_range(&jitter, -1.0f, 1.0f) : 0.0f;
        out->dev[i] = s->o.jitter ? expf(dfqi_rng_range(&jitter, -1.0f, 1.0f)) : 1.0f;
    }
}
