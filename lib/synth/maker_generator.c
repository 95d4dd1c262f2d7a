/* Image maker with a generator network: it is trained once, then each iteration samples a batch. */
#include <math.h>
#include <string.h>

#include "base/progress.h"
#include "synth/synth_priv.h"

/* Batches are as large as asked for, however few images are. */
static void plan(dfqi_synth *s)
{
    s->per_batch = 1;
    s->training = s->o.iterations;
}

static dfq_status build(dfqi_synth *s)
{
    dfqi_generator_options *o = &s->by_generator.o;
    dfqi_generator_trainer_defaults(o);
    o->kind = (dfqi_generator_kind)(s->o.kind - DFQI_SYNTH_GDFQ);
    o->batch = s->o.batch;
    o->seed = s->o.seed;
    return dfqi_generator_trainer_new(s->model, o, &s->by_generator.trainer);
}

static int64_t lay_out(dfqi_synth *s, float *base)
{
    (void)s;
    (void)base;
    return 0;
}

static dfq_status start(dfqi_synth *s)
{
    (void)s; /* the trainer allocates by itself */
    return DFQ_OK;
}

static void stop(dfqi_synth *s)
{
    (void)s;
}

static void record(const dfqi_generator_batch *made, float *losses)
{
    losses[DFQI_SYNTH_TOTAL] = made->losses[DFQI_GENERATOR_LOSS_TOTAL];
    losses[DFQI_SYNTH_INTER_HEAD] = made->losses[DFQI_GENERATOR_LOSS_BNS];
    losses[DFQI_SYNTH_CLASS] = made->losses[DFQI_GENERATOR_LOSS_CLASS];
    losses[DFQI_SYNTH_TV] = NAN;
}

static dfq_status train(dfqi_synth *s, dfqi_generator_batch *made)
{
    dfqi_generator_maker *own = &s->by_generator;
    float learning_rate =
        dfqi_generator_trainer_learning_rate(&own->o, s->trained, s->o.iterations);
    return dfqi_generator_trainer_step(own->trainer, learning_rate, made);
}

static dfq_status step(dfqi_synth *s)
{
    dfqi_generator_batch made;
    double begin = dfqi_now();
    bool training = s->trained < s->training;
    DFQI_TRY(training ? train(s, &made)
                      : dfqi_generator_trainer_sample(s->by_generator.trainer, s->at, &made));
    record(&made, dfqi_synth_current_losses(s));
    dfqi_synth_count_time(s, begin);
    if (training) {
        s->trained++;
        return DFQ_OK;
    }
    memcpy(s->x, made.images, (size_t)(s->o.batch * s->pixels) * sizeof *s->x);
    memcpy(s->labels_f, made.labels, (size_t)s->o.batch * sizeof *s->labels_f);
    return dfqi_synth_finish_batch(s);
}

static dfq_status pass(dfqi_synth *s)
{
    dfqi_generator_batch made;
    return dfqi_generator_trainer_sample(s->by_generator.trainer, 0, &made);
}

static void list(const dfqi_synth *s, int64_t iteration, dfqi_arrays *a)
{
    const dfqi_generator_trainer *trainer = s->by_generator.trainer;
    (void)iteration;
    for (int32_t i = 0; i < dfqi_generator_trainer_arrays(trainer); i++) {
        dfqi_generator_array own = dfqi_generator_trainer_array_at(trainer, i);
        dfqi_arrays_add(a, "", own.name, DFQI_F32, own.count, own.data, 1);
    }
}

static void resume(dfqi_synth *s)
{
    dfqi_generator_trainer_resume(s->by_generator.trainer, s->trained);
}

static dfq_status cost(const dfqi_synth *s, double *bytes, double *macs)
{
    return dfqi_generator_trainer_cost(s->by_generator.trainer, bytes, macs);
}

static void fini(dfqi_synth *s)
{
    dfqi_generator_trainer_release(s->by_generator.trainer);
}

const dfqi_image_maker dfqi_maker_generator = {.plan = plan,
                                               .build = build,
                                               .lay_out = lay_out,
                                               .start = start,
                                               .stop = stop,
                                               .step = step,
                                               .pass = pass,
                                               .list = list,
                                               .resume = resume,
                                               .cost = cost,
                                               .fini = fini};
