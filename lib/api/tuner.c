/* dfq/tuner.h. */
#include <dfq/tuner.h>

#include "api/api.h"
#include "base/memory.h"
#include "tune/tune.h"

struct dfq_tuner {
    dfq_context *ctx; /* kept alive by the job's networks */
    dfqi_tune *t;
};

static dfq_tuner_options public_options(const dfqi_tune_options *d)
{
    return (dfq_tuner_options){.optimizer = (int32_t)d->optim,
                               .steps = d->steps,
                               .batch = d->batch,
                               .seed = d->seed,
                               .schedule = (int32_t)d->schedule,
                               .warmup = (int32_t)d->warmup,
                               .warmup_steps = d->warmup_steps,
                               .milestones = {d->milestones[0], d->milestones[1], d->milestones[2]},
                               .eval_every = d->eval_every,
                               .learning_rate = d->learning_rate,
                               .end_learning_rate = d->end_learning_rate,
                               .milestone_factor = d->milestone_factor,
                               .momentum = d->momentum,
                               .beta1 = d->beta1,
                               .beta2 = d->beta2,
                               .eps = d->eps,
                               .weight_decay = d->weight_decay,
                               .weight_lr_mult = d->weight_lr_mult,
                               .scale_lr_mult = d->scale_lr_mult,
                               .zero_point_lr_mult = d->zero_point_lr_mult,
                               .temperature = d->temperature,
                               .kl_weight = d->kl_weight,
                               .head_weight = d->head_weight,
                               .augment = (int32_t)d->augment,
                               .crossing_target = d->crossing_target,
                               .kappa_capped_steps = d->kappa_capped_steps,
                               .range_steps = d->range_steps,
                               .label_weight = d->label_weight,
                               .clip_norm = d->clip_norm};
}

static dfqi_tune_options own_options(const dfq_tuner_options *o)
{
    return (dfqi_tune_options){.optim = (dfqi_optim_kind)o->optimizer,
                               .steps = o->steps,
                               .batch = o->batch,
                               .seed = o->seed,
                               .schedule = (dfqi_schedule)o->schedule,
                               .warmup = (dfqi_warmup)o->warmup,
                               .warmup_steps = o->warmup_steps,
                               .milestones = {o->milestones[0], o->milestones[1], o->milestones[2]},
                               .eval_every = o->eval_every,
                               .learning_rate = o->learning_rate,
                               .end_learning_rate = o->end_learning_rate,
                               .milestone_factor = o->milestone_factor,
                               .momentum = o->momentum,
                               .beta1 = o->beta1,
                               .beta2 = o->beta2,
                               .eps = o->eps,
                               .weight_decay = o->weight_decay,
                               .weight_lr_mult = o->weight_lr_mult,
                               .scale_lr_mult = o->scale_lr_mult,
                               .zero_point_lr_mult = o->zero_point_lr_mult,
                               .temperature = o->temperature,
                               .kl_weight = o->kl_weight,
                               .head_weight = o->head_weight,
                               .augment = (dfqi_augment_kind)o->augment,
                               .crossing_target = o->crossing_target,
                               .kappa_capped_steps = o->kappa_capped_steps,
                               .range_steps = o->range_steps,
                               .label_weight = o->label_weight,
                               .clip_norm = o->clip_norm};
}

static dfq_tuner_options defaults(void)
{
    dfqi_tune_options d;
    dfqi_tune_defaults(&d);
    return public_options(&d);
}

void dfq_tuner_options_init(dfq_tuner_options *options, size_t size)
{
    dfq_tuner_options d = defaults();
    dfqi_options_init(options, size, &d, sizeof d);
}

void dfq_tuner_options_init_parity(dfq_tuner_options *options, size_t size)
{
    dfqi_tune_options d;
    dfqi_tune_parity(&d);
    dfq_tuner_options own = public_options(&d);
    dfqi_options_init(options, size, &own, sizeof own);
}

void dfq_tuner_options_init_ait(dfq_tuner_options *options, size_t size, int64_t classes,
                                int64_t steps)
{
    dfqi_tune_options d;
    dfqi_tune_ait(classes > 0 ? classes : 1, steps, &d);
    dfq_tuner_options own = public_options(&d);
    dfqi_options_init(options, size, &own, sizeof own);
}

void dfq_tuner_options_init_ait_parity(dfq_tuner_options *options, size_t size, int64_t classes,
                                       int64_t steps)
{
    dfqi_tune_options d;
    dfqi_tune_ait_parity(classes > 0 ? classes : 1, steps, &d);
    dfq_tuner_options own = public_options(&d);
    dfqi_options_init(options, size, &own, sizeof own);
}

static dfq_generator_options generator_defaults(void)
{
    dfqi_generator_options d;
    dfqi_generator_trainer_defaults(&d);
    return (dfq_generator_options){.kind = DFQ_GENERATOR_QIMERA,
                                   .batch = d.batch,
                                   .learning_rate = d.learning_rate,
                                   .bns_weight = d.bns_weight};
}

void dfq_generator_options_init(dfq_generator_options *options, size_t size)
{
    dfq_generator_options d = generator_defaults();
    dfqi_options_init(options, size, &d, sizeof d);
}

/* Wraps a job; it is released on failure. */
static dfq_status hand_out(dfq_context *ctx, dfqi_tune *take_t, dfq_tuner **out)
{
    dfq_tuner *tuner = dfqi_calloc(ctx, 1, sizeof *tuner);
    if (tuner == NULL) {
        dfqi_tune_release(take_t);
        return DFQ_E_NOMEM;
    }
    *tuner = (dfq_tuner){.ctx = ctx, .t = take_t};
    *out = tuner;
    return DFQ_OK;
}

dfq_status dfq_tuner_create(const dfq_graph *teacher, dfq_graph *student, const dfq_tensor *images,
                            const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    dfq_tuner_options o = defaults();
    dfqi_tune *t;
    if (student == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = student->ctx;
    DFQI_NEED(ctx, teacher);
    DFQI_NEED(ctx, images);
    DFQI_NEED(ctx, out_tuner);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_tuner_options", options, &o, sizeof o));
    dfqi_tune_options own = own_options(&o);
    DFQI_TRY(dfqi_tune_new(teacher, student, images, &own, &t));
    return hand_out(ctx, t, out_tuner);
}

dfq_status dfq_tuner_create_from(const dfq_graph *teacher, dfq_graph *student, dfq_image_set *set,
                                 const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    dfq_tuner_options o = defaults();
    dfqi_tune *t;
    if (student == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = student->ctx;
    DFQI_NEED(ctx, teacher);
    DFQI_NEED(ctx, set);
    DFQI_NEED(ctx, out_tuner);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_tuner_options", options, &o, sizeof o));
    dfqi_tune_options own = own_options(&o);
    DFQI_TRY(dfqi_tune_new_from(teacher, student, set, &own, &t));
    return hand_out(ctx, t, out_tuner);
}

dfq_status dfq_tuner_create_with_generator(const dfq_graph *teacher, dfq_graph *student,
                                           const dfq_generator_options *generator,
                                           const dfq_tuner_options *options, dfq_tuner **out_tuner)
{
    dfq_generator_options g = generator_defaults();
    dfq_tuner_options o;
    dfqi_tune *t;
    if (student == NULL) return DFQ_E_INVALID;
    dfq_context *ctx = student->ctx;
    DFQI_NEED(ctx, teacher);
    DFQI_NEED(ctx, out_tuner);
    dfq_tuner_options_init_ait(&o, sizeof o, teacher->net.arch.classes, 1000);
    DFQI_TRY(dfqi_options_read(ctx, "dfq_generator_options", generator, &g, sizeof g));
    DFQI_TRY(dfqi_options_read(ctx, "dfq_tuner_options", options, &o, sizeof o));
    dfqi_tune_options own = own_options(&o);
    dfqi_generator_options own_g;
    dfqi_generator_trainer_defaults(&own_g);
    if (g.kind < DFQ_GENERATOR_GDFQ || g.kind > DFQ_GENERATOR_ARC)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "kind is %d, must be 0 (GDFQ), 1 (Qimera) or 2 (AutoReCon)", (int)g.kind);
    own_g.kind = g.kind == DFQ_GENERATOR_ARC      ? DFQI_GENERATOR_ARC
                 : g.kind == DFQ_GENERATOR_QIMERA ? DFQI_GENERATOR_QIMERA
                                                  : DFQI_GENERATOR_GDFQ;
    own_g.batch = g.batch;
    own_g.seed = g.seed;
    own_g.learning_rate = g.learning_rate;
    own_g.bns_weight = g.bns_weight;
    DFQI_TRY(dfqi_tune_new_with_generator(teacher, student, &own_g, &own, &t));
    return hand_out(ctx, t, out_tuner);
}

void dfq_tuner_release(dfq_tuner *tuner)
{
    if (tuner == NULL) return;
    dfqi_tune *t = tuner->t;
    dfqi_free(tuner->ctx, tuner);
    dfqi_tune_release(t); /* last: it keeps the context */
}

dfq_status dfq_tuner_step(dfq_tuner *tuner, int32_t *out_finished)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_finished);
    return dfqi_tune_step(tuner->t, out_finished);
}

dfq_status dfq_tuner_run(dfq_tuner *tuner)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    return dfqi_tune_run(tuner->t);
}

dfq_status dfq_tuner_get_curves(const dfq_tuner *tuner, dfq_tensor **out_curves)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_curves);
    return dfqi_tune_curves(tuner->t, out_curves);
}

dfq_status dfq_tuner_get_evaluations(const dfq_tuner *tuner, dfq_tensor **out_evaluations)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_evaluations);
    return dfqi_tune_evals(tuner->t, out_evaluations);
}

dfq_status dfq_tuner_get_crossings(const dfq_tuner *tuner, dfq_tensor **out_crossings)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_crossings);
    return dfqi_tune_crossings(tuner->t, out_crossings);
}

dfq_status dfq_tuner_get_crossed(const dfq_tuner *tuner, dfq_tensor **out_crossed)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_crossed);
    return dfqi_tune_crossed(tuner->t, out_crossed);
}

dfq_status dfq_tuner_get_generator_curves(const dfq_tuner *tuner, dfq_tensor **out_curves)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_curves);
    return dfqi_tune_generator_curves(tuner->t, out_curves);
}

dfq_status dfq_tuner_get_generator_images(const dfq_tuner *tuner, dfq_tensor **out_images,
                                          dfq_tensor **out_labels)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_images);
    DFQI_NEED(tuner->ctx, out_labels);
    return dfqi_tune_generator_images(tuner->t, out_images, out_labels);
}

dfq_status dfq_tuner_get_best(const dfq_tuner *tuner, dfq_tuner_best *out_best)
{
    dfqi_tune_best b;
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_best);
    dfqi_tune_get_best(tuner->t, &b);
    dfq_tuner_best out = {.best_step = b.best_step,
                          .last_step = b.last_step,
                          .best_kl = b.best_kl,
                          .last_kl = b.last_kl,
                          .train = b.train,
                          .held_out = b.held_out,
                          .clamped = b.clamped};
    return dfqi_info_write(tuner->ctx, "dfq_tuner_best", &out, sizeof out, out_best);
}

dfq_status dfq_tuner_restore_parameters(dfq_tuner *tuner, int32_t best)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    return dfqi_tune_restore_parameters(tuner->t, best != 0);
}

dfq_status dfq_tuner_estimate(const dfq_tuner *tuner, dfq_tuner_cost *out_cost)
{
    dfqi_tune_cost c;
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, out_cost);
    DFQI_TRY(dfqi_tune_estimate(tuner->t, &c));
    dfq_tuner_cost out = {.bytes = dfqi_count_i64(c.bytes),
                          .macs = dfqi_count_i64(c.macs),
                          .seconds = c.seconds,
                          .seconds_left = c.seconds_left,
                          .steps = dfqi_tune_steps(tuner->t),
                          .done = dfqi_tune_done(tuner->t)};
    return dfqi_info_write(tuner->ctx, "dfq_tuner_cost", &out, sizeof out, out_cost);
}

dfq_status dfq_tuner_save_checkpoint(dfq_tuner *tuner, const char *path)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, path);
    return dfqi_tune_save(tuner->t, path);
}

dfq_status dfq_tuner_load_checkpoint(dfq_tuner *tuner, const char *path)
{
    if (tuner == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tuner->ctx, path);
    return dfqi_tune_restore(tuner->t, path);
}
