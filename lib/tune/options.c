/* Tuning options: range checks, the learning rate schedule, and the text by which a checkpoint
 * recognises them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/text.h"
#include "tune/tune_priv.h"

enum { STEPS_MAX = 10 * 1000 * 1000, BATCH_MAX = 4096 };

static dfq_status check_optimiser(dfq_context *ctx, const dfqi_tune_options *o)
{
    static const float below_one = 0.99999994f;
    DFQI_TRY(dfqi_check_real(ctx, "tune", "learning_rate", (double)o->learning_rate, 0, 1e3));
    DFQI_TRY(
        dfqi_check_real(ctx, "tune", "end_learning_rate", (double)o->end_learning_rate, 0, 1e3));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "milestone_factor", (double)o->milestone_factor, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "momentum", (double)o->momentum, 0, (double)below_one));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "beta1", (double)o->beta1, 0, (double)below_one));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "beta2", (double)o->beta2, 0, (double)below_one));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "eps", (double)o->eps, (double)1e-30f, 1));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "weight_decay", (double)o->weight_decay, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "clip_norm", (double)o->clip_norm, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "weight_lr_mult", (double)o->weight_lr_mult, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "crossing_target", (double)o->crossing_target, 0, 0.5));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "scale_lr_mult", (double)o->scale_lr_mult, 0, 1e6));
    return dfqi_check_real(ctx, "tune", "zero_point_lr_mult", (double)o->zero_point_lr_mult, 0,
                           1e6);
}

dfq_status dfqi_tune_check(dfq_context *ctx, const dfqi_tune_options *o)
{
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "steps", o->steps, 1, STEPS_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "batch", o->batch, 1, BATCH_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "optimizer", o->optimizer, DFQI_SGD, DFQI_RMSPROP));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "schedule", o->schedule, DFQ_SCHEDULE_CONSTANT,
                              DFQ_SCHEDULE_COSINE));
    DFQI_TRY(
        dfqi_check_whole(ctx, "tune", "warmup", o->warmup, DFQ_WARMUP_LINEAR, DFQ_WARMUP_IDLE));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "warmup_steps", o->warmup_steps, 0, STEPS_MAX));
    for (int i = 0; i < DFQI_TUNE_MILESTONES; i++)
        DFQI_TRY(dfqi_check_whole(ctx, "tune", "milestones", o->milestones[i], 0, STEPS_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "augment", o->augment, DFQI_AUGMENT_NONE,
                              DFQI_AUGMENT_SYNTHETIC));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "eval_every", o->eval_every, 0, STEPS_MAX));
    DFQI_TRY(check_optimiser(ctx, o));
    DFQI_TRY(
        dfqi_check_real(ctx, "tune", "temperature", (double)o->temperature, (double)1e-3f, 1e3));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "kl_weight", (double)o->kl_weight, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "head_weight", (double)o->head_weight, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "tune", "label_weight", (double)o->label_weight, 0, 1e6));
    DFQI_TRY(
        dfqi_check_whole(ctx, "tune", "kappa_capped_steps", o->kappa_capped_steps, 0, STEPS_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "tune", "range_steps", o->range_steps, 0, STEPS_MAX));
    if (o->kl_weight == 0 && o->head_weight == 0 && o->label_weight == 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "tune: kl_weight, head_weight and label_weight are 0; set one above 0");
    return DFQ_OK;
}

/* -- learning rate ----------------------------------------------------------------------------- */

float dfqi_tune_milestone_factor(const dfqi_tune_options *o, int64_t step)
{
    int64_t at[DFQI_TUNE_MILESTONES] = {(o->steps + 3) / 4, (o->steps + 1) / 2, 0};
    const int64_t *own = o->milestones;
    float factor = 1.0f;
    for (int i = 0; i < DFQI_TUNE_MILESTONES; i++) {
        int64_t milestone = own[0] || own[1] || own[2] ? own[i] : at[i];
        if (milestone > 0 && milestone <= step) factor *= o->milestone_factor;
    }
    return factor;
}

float dfqi_tune_learning_rate(const dfqi_tune_options *o, int64_t step)
{
    int64_t ramp = o->warmup == DFQ_WARMUP_LINEAR ? o->warmup_steps : 0;
    if (step < o->warmup_steps && o->warmup == DFQ_WARMUP_IDLE) return 0.0f;
    if (step < ramp) return o->learning_rate * (float)(step + 1) / (float)ramp;
    if (o->schedule == DFQ_SCHEDULE_COSINE)
        return dfqi_cosine(step, o->steps, ramp, o->learning_rate, o->end_learning_rate);
    return o->schedule == DFQ_SCHEDULE_MULTI_STEP
               ? o->learning_rate * dfqi_tune_milestone_factor(o, step)
               : o->learning_rate;
}

float dfqi_tune_crossing_target(const dfqi_tune_options *o, int64_t step)
{
    float learning_rate = dfqi_tune_learning_rate(o, step);
    return learning_rate > 0 ? o->crossing_target * fminf(learning_rate / o->learning_rate, 1) : 0;
}

/* -- text -------------------------------------------------------------------------------------- */

void dfqi_tune_text(const dfqi_tune_options *o, char text[DFQI_TUNE_TEXT])
{
    int n =
        dfqi_print(text, DFQI_TUNE_TEXT,
                   "steps %" PRId64 ", batch %" PRId64 ", seed %" PRIu64
                   ", optimizer %d (%.9g %.9g %.9g %.9g, decay %.9g), learning rate %.9g to %.9g "
                   "by %d (%.9g at "
                   "%" PRId64 " %" PRId64 " %" PRId64 "), warm-up %d of %" PRId64
                   ", factors %.9g %.9g %.9g, temperature %.9g, weights %.9g %.9g, augment %d, "
                   "evaluation every %" PRId64,
                   o->steps, o->batch, o->seed, (int)o->optimizer, (double)o->momentum,
                   (double)o->beta1, (double)o->beta2, (double)o->eps, (double)o->weight_decay,
                   (double)o->learning_rate, (double)o->end_learning_rate, (int)o->schedule,
                   (double)o->milestone_factor, o->milestones[0], o->milestones[1],
                   o->milestones[2], (int)o->warmup, o->warmup_steps, (double)o->weight_lr_mult,
                   (double)o->scale_lr_mult, (double)o->zero_point_lr_mult, (double)o->temperature,
                   (double)o->kl_weight, (double)o->head_weight, (int)o->augment, o->eval_every);
    if (o->clip_norm > 0)
        n += dfqi_print(text + n, DFQI_TUNE_TEXT - (size_t)n, ", clip %.9g", (double)o->clip_norm);
    if (o->crossing_target > 0)
        n += dfqi_print(text + n, DFQI_TUNE_TEXT - (size_t)n,
                        ", inundation %.9g (capped %" PRId64 ")", (double)o->crossing_target,
                        o->kappa_capped_steps);
    if (o->label_weight > 0)
        n += dfqi_print(text + n, DFQI_TUNE_TEXT - (size_t)n, ", labels %.9g",
                        (double)o->label_weight);
    if (o->range_steps > 0)
        snprintf(text + n, DFQI_TUNE_TEXT - (size_t)n, ", ranges followed %" PRId64,
                 o->range_steps);
}
