/* Random draws of a generator trainer. Each purpose has its own stream; samples and training steps
 * have different streams. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "synth/generator_trainer_priv.h"

/* Share of iterations whose images are of mixtures. */
static const float mixed = 0.4f;

/* INIT (1) is generator_trainer.c's. */
enum { NOISE = 2, LABELS, CHOICE, MIX, SAMPLE = 8 };

static int64_t slots_of(const dfqi_generator_trainer *h)
{
    return h->o.kind == DFQI_GENERATOR_QIMERA ? h->net.arch.slots : 1;
}

/* Hands out consecutive pieces of `base`; with NULL it only counts. */
static int64_t lay_out(dfqi_generator_trainer *h, float *base)
{
    const dfqi_generator_arch *a = &h->net.arch;
    dfqi_generator_draws *d = &h->draws;
    int64_t n = 0, b = h->o.batch, all = b * slots_of(h);
    int64_t mixes = h->o.kind == DFQI_GENERATOR_QIMERA;
    struct piece {
        float **at;
        int64_t floats;
    } pieces[] = {{&d->noise[0], b * dfqi_generator_noise(a, 0)},
                  {&d->noise[1], b * dfqi_generator_noise(a, 1)},
                  {&d->noise[2], b * dfqi_generator_noise(a, 2)},
                  {&d->labels, all},
                  {&d->classes, mixes * b},
                  {&d->mix, mixes * all},
                  {&d->own, mixes * all},
                  {&d->norm_mix, mixes * all},
                  {&d->targets, mixes * b * a->classes}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (base) *pieces[i].at = base + n;
        n += pieces[i].floats;
    }
    if (base && !mixes) d->classes = d->labels;
    return n;
}

dfq_status dfqi_generator_trainer_draws_new(dfqi_generator_trainer *h)
{
    h->draws.block = dfqi_calloc(h->ctx, (size_t)lay_out(h, NULL), sizeof(float));
    if (!h->draws.block) return DFQ_E_NOMEM;
    lay_out(h, h->draws.block);
    return DFQ_OK;
}

void dfqi_generator_trainer_draws_bind(dfqi_generator_trainer *h)
{
    const dfqi_generator_draws *d = &h->draws;
    for (int32_t i = 0; i < DFQI_GENERATOR_NOISES; i++)
        if (dfqi_generator_noise(&h->net.arch, i) > 0)
            dfqi_exec_bind(h->e, h->in.noise[i], d->noise[i]);
    dfqi_exec_bind(h->e, h->in.labels, d->labels);
    if (h->o.kind != DFQI_GENERATOR_QIMERA) return;
    dfqi_exec_bind(h->e, h->in.mix, d->mix);
    dfqi_exec_bind(h->e, h->in.own, d->own);
    if (h->in.norm_mix != DFQI_NONE) dfqi_exec_bind(h->e, h->in.norm_mix, d->norm_mix);
    dfqi_exec_bind(h->e, h->truth, d->targets);
}

/* -- draws ------------------------------------------------------------------------------------- */

static dfqi_rng stream(const dfqi_generator_trainer *h, uint64_t purpose, int sample, int64_t index)
{
    if (sample) purpose |= SAMPLE;
    return dfqi_rng_make(h->o.seed, purpose << 60 | (uint64_t)index);
}

/* softmax of N(0,1) over the slots of an image. */
static void draw_mix(dfqi_rng *r, int64_t slots, float *mix)
{
    float most = -INFINITY, sum = 0;
    dfqi_rng_fill_normal(r, mix, (size_t)slots);
    for (int64_t k = 0; k < slots; k++) most = fmaxf(most, mix[k]);
    for (int64_t k = 0; k < slots; k++) sum += mix[k] = expf(mix[k] - most);
    for (int64_t k = 0; k < slots; k++) mix[k] /= sum;
}

/* The first slot has the class; the other slots have no effect. */
static void draw_own(dfqi_generator_trainer *h, dfqi_rng *noise, dfqi_rng *labels)
{
    dfqi_generator_draws *d = &h->draws;
    int64_t slots = slots_of(h), width = h->net.arch.latent;
    for (int64_t b = 0; b < h->o.batch; b++) {
        float *z = d->noise[0] + b * slots * width;
        memset(z, 0, (size_t)(slots * width) * sizeof *z);
        dfqi_rng_fill_normal(noise, z, (size_t)width);
        d->labels[b * slots] = (float)dfqi_rng_below(labels, (uint32_t)h->net.arch.classes);
        d->own[b * slots] = d->norm_mix[b * slots] = 1;
    }
}

static void draw_mixed(dfqi_generator_trainer *h, dfqi_rng *noise, dfqi_rng *labels, dfqi_rng *mix)
{
    dfqi_generator_draws *d = &h->draws;
    int64_t slots = slots_of(h), all = h->o.batch * slots;
    dfqi_rng_fill_normal(noise, d->noise[0], (size_t)(all * h->net.arch.latent));
    for (int64_t i = 0; i < all; i++)
        d->labels[i] = (float)dfqi_rng_below(labels, (uint32_t)h->net.arch.classes);
    for (int64_t b = 0; b < h->o.batch; b++) draw_mix(mix, slots, d->mix + b * slots);
    for (int64_t i = 0; i < all; i++) d->norm_mix[i] = d->mix[i] / (float)slots;
}

/* Weights of classes from those of slots, and the largest of each image. */
static void add_targets(dfqi_generator_trainer *h)
{
    dfqi_generator_draws *d = &h->draws;
    int64_t slots = slots_of(h), classes = h->net.arch.classes;
    for (int64_t b = 0; b < h->o.batch; b++) {
        float *y = d->targets + b * classes;
        int64_t most = 0;
        for (int64_t i = b * slots; i < (b + 1) * slots; i++)
            y[(int64_t)d->labels[i]] += d->mix[i] + d->own[i];
        for (int64_t c = 1; c < classes; c++)
            if (y[c] > y[most]) most = c;
        d->classes[b] = (float)most;
    }
}

static void draw_slots(dfqi_generator_trainer *h, int sample, int64_t index)
{
    dfqi_rng noise = stream(h, NOISE, sample, index), labels = stream(h, LABELS, sample, index);
    dfqi_rng choice = stream(h, CHOICE, sample, index), mix = stream(h, MIX, sample, index);
    dfqi_generator_draws *d = &h->draws;
    float *const cleared[] = {d->labels, d->mix, d->own, d->norm_mix};
    for (int i = 0; i < 4; i++)
        memset(cleared[i], 0, (size_t)(h->o.batch * slots_of(h)) * sizeof(float));
    memset(d->targets, 0, (size_t)(h->o.batch * h->net.arch.classes) * sizeof(float));
    if (dfqi_rng_range(&choice, 0, 1) < mixed)
        draw_mixed(h, &noise, &labels, &mix);
    else
        draw_own(h, &noise, &labels);
    add_targets(h);
}

void dfqi_generator_trainer_draw(dfqi_generator_trainer *h, int sample, int64_t index)
{
    dfqi_generator_draws *d = &h->draws;
    if (h->o.kind == DFQI_GENERATOR_QIMERA) {
        draw_slots(h, sample, index);
        return;
    }
    dfqi_rng noise = stream(h, NOISE, sample, index), labels = stream(h, LABELS, sample, index);
    dfqi_rng_fill_normal(&noise, d->noise[0], (size_t)(h->o.batch * h->net.arch.latent));
    for (int64_t i = 0; i < h->o.batch; i++)
        d->labels[i] = (float)dfqi_rng_below(&labels, (uint32_t)h->net.arch.classes);
}
