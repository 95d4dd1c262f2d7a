/* Where the images of a step come from: a fixed set in random order, or a generator. */
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "tune/tune_priv.h"

enum { ORDER_STREAM = 8 };

/* Every image once in each epoch; a batch may lie across two epochs. */
static dfq_status take_images(dfqi_tune *t)
{
    dfqi_draw draw;
    const float *x;
    for (int64_t i = 0; i < t->o.batch; i++) {
        int64_t at = t->done * t->o.batch + i, epoch = at / t->n_train;
        if (epoch != t->epoch) {
            dfqi_rng r = dfqi_rng_make(t->o.seed, (uint64_t)ORDER_STREAM << 60 | (uint64_t)epoch);
            dfqi_rng_permute(&r, t->order, (uint32_t)t->n_train);
            t->epoch = epoch;
        }
        DFQI_TRY(
            dfqi_images_at(&t->source, dfqi_tune_train_image(t, t->order[at % t->n_train]), 1, &x));
        memcpy(t->picked + i * t->pixels, x, (size_t)t->pixels * sizeof *x);
    }
    dfqi_augment_draw(t->o.augment, t->o.seed, t->done, t->student->net.arch.image, &draw);
    dfqi_augment_apply(&t->augment, &draw, t->o.batch, t->picked, t->batch);
    return DFQ_OK;
}

static dfq_status follow_ranges(dfqi_tune *t, const float *images)
{
    if (t->done >= t->o.range_steps) {
        dfqi_tracker_free(t->tracker);
        t->tracker = NULL;
        return DFQ_OK;
    }
    if (!t->tracker)
        DFQI_TRY(dfqi_tracker_new(&t->student->scheme, &t->student->net, t->o.batch, &t->tracker));
    return dfqi_tracker_add(t->tracker, images);
}

bool dfqi_tune_is_idle(const dfqi_tune *t)
{
    return t->generator && t->o.warmup == DFQ_WARMUP_IDLE && t->done < t->o.warmup_steps;
}

/* As in AIT's code images and the teacher's logits are those from before the generator's step. */
static dfq_status generate_images(dfqi_tune *t)
{
    const dfqi_generator_batch *made = &t->made;
    float learning_rate =
        t->generator_options.learning_rate * dfqi_tune_milestone_factor(&t->o, t->done);
    DFQI_TRY(dfqi_generator_trainer_step(t->generator, learning_rate, &t->made));
    memcpy(t->generator_losses + t->done * DFQI_GENERATOR_LOSSES, made->losses,
           sizeof made->losses);
    dfqi_exec_bind(t->e, t->x, made->images);
    if (t->o.kl_weight > 0) dfqi_exec_bind(t->e, t->logits_in, made->logits);
    if (t->o.label_weight > 0)
        dfqi_exec_bind(t->e, t->labels_in, made->targets ? made->targets : made->labels);
    return follow_ranges(t, made->images);
}

dfq_status dfqi_tune_make_batch(dfqi_tune *t)
{
    if (t->generator) return generate_images(t);
    return take_images(t);
}
