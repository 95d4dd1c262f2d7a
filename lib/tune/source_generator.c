/* Image source with a generator network: each step trains it, then trains the student on its
 * images. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "graph/ops.h"
#include "tune/tune_priv.h"

static dfq_status check(dfqi_tune *t)
{
    const dfqi_tune_options *o = &t->o;
    dfqi_generator_state *s = &t->from_generator;
    if (o->eval_every > 0 || o->augment != DFQ_AUGMENT_NONE)
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: images of a generator are neither held out nor augmented; set "
                         "eval_every and augment to 0");
    if (o->range_steps > (o->warmup == DFQ_WARMUP_IDLE ? o->warmup_steps : 0))
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: range_steps is %lld, must be the length of the idle warm-up",
                         (long long)o->range_steps);
    if (o->range_steps == 0) DFQI_TRY(dfqi_model_ready(t->student));
    t->o.batch = s->o.batch;
    return dfqi_generator_trainer_new(t->teacher, &s->o, &s->trainer);
}

/* Its logits come with the images. */
static void teacher(dfqi_tune *t, dfqi_id *params, dfqi_taps *out)
{
    dfqi_generator_state *s = &t->from_generator;
    (void)params;
    s->labels_in = DFQI_NONE;
    s->logits_in = out->logits =
        dfqi_graph_input(t->g, "teacher", 1, 1, &t->student->net.arch.classes);
}

/* Against classes, or a weight for each class where the generator mixes them. */
static dfqi_id label_loss(dfqi_tune *t)
{
    dfqi_generator_state *s = &t->from_generator;
    int mixes = s->o.kind == DFQI_GENERATOR_QIMERA;
    s->labels_in = dfqi_graph_input(t->g, mixes ? "targets" : "labels", 1, mixes,
                                    &t->student->net.arch.classes);
    return mixes ? dfqi_soft_cross_entropy(t->g, t->student_logits, s->labels_in)
                 : dfqi_cross_entropy(t->g, t->student_logits, s->labels_in);
}

static int64_t lay_out(dfqi_tune *t, float *base)
{
    if (base) t->from_generator.losses = base;
    return (t->o.steps * DFQI_GENERATOR_LOSSES + 15) / 16 * 16;
}

static dfq_status start(dfqi_tune *t)
{
    (void)t; /* the trainer allocates by itself, and steps bind what it made */
    return DFQ_OK;
}

static void stop(dfqi_tune *t)
{
    dfqi_tracker_free(t->from_generator.tracker);
    t->from_generator.tracker = NULL;
}

static dfq_status track_ranges(dfqi_tune *t, const float *images)
{
    dfqi_generator_state *s = &t->from_generator;
    if (t->done >= t->o.range_steps) {
        stop(t);
        return DFQ_OK;
    }
    if (!s->tracker)
        DFQI_TRY(dfqi_tracker_new(&t->student->scheme, &t->student->net, t->o.batch, &s->tracker));
    return dfqi_tracker_add(s->tracker, images);
}

/* As in AIT's code, images and the teacher's logits were computed before the generator's step. */
static dfq_status next(dfqi_tune *t)
{
    dfqi_generator_state *s = &t->from_generator;
    const dfqi_generator_batch *made = &s->made;
    float learning_rate = s->o.learning_rate * dfqi_tune_milestone_factor(&t->o, t->done);
    DFQI_TRY(dfqi_generator_trainer_step(s->trainer, learning_rate, &s->made));
    memcpy(s->losses + t->done * DFQI_GENERATOR_LOSSES, made->losses, sizeof made->losses);
    dfqi_exec_bind(t->e, t->x, made->images);
    if (t->o.kl_weight > 0) dfqi_exec_bind(t->e, s->logits_in, made->logits);
    if (t->o.label_weight > 0)
        dfqi_exec_bind(t->e, s->labels_in, made->targets ? made->targets : made->labels);
    return track_ranges(t, made->images);
}

static bool is_idle(const dfqi_tune *t)
{
    return t->o.warmup == DFQ_WARMUP_IDLE && t->done < t->o.warmup_steps;
}

/* Never asked for: nothing is held out. */
static dfq_status held_at(dfqi_tune *t, int64_t i, const float **out)
{
    (void)i;
    (void)out;
    return dfqi_fail(t->ctx, DFQ_E_INVALID, "tune: a job with a generator holds no images out");
}

/* -- checkpoints ------------------------------------------------------------------------------- */

static dfq_status text(dfqi_tune *t, char *out, size_t size)
{
    dfqi_generator_trainer_text(&t->from_generator.o, out, size);
    return DFQ_OK;
}

static int32_t count_arrays(const dfqi_tune *t)
{
    return dfqi_generator_trainer_arrays(t->from_generator.trainer) +
           3 * t->student->scheme.n_sites;
}

/* The generator's own, and then three for each site, as its images gave the student's ranges; sites
 * without them are empty. */
static dfqi_generator_array array_at(const dfqi_tune *t, int32_t i)
{
    static const char *const ends[3] = {"range", "scale", "zero_point"};
    const dfqi_generator_state *s = &t->from_generator;
    int32_t arrays = dfqi_generator_trainer_arrays(s->trainer), k = i - arrays;
    dfqi_generator_array a = {.count = 0};
    if (i < arrays) return dfqi_generator_trainer_array_at(s->trainer, i);
    const dfqi_site *site = &t->student->scheme.sites[k / 3];
    if (!site->range) return a;
    dfq_tensor *own[3] = {site->range, site->scale, site->zero_point};
    snprintf(a.name, sizeof a.name, "site%" PRId32 ".%s", k / 3, ends[k % 3]);
    a.data = dfqi_tensor_f32(own[k % 3]);
    a.count = dfqi_tensor_count(own[k % 3]);
    return a;
}

static float *curves(const dfqi_tune *t)
{
    return t->from_generator.losses;
}

static void resume(dfqi_tune *t)
{
    dfqi_generator_trainer_resume(t->from_generator.trainer, t->done);
}

/* -- what it costs, and its end ---------------------------------------------------------------- */

static dfq_status cost(const dfqi_tune *t, double *bytes, double *macs)
{
    double own_bytes, own_macs;
    DFQI_TRY(dfqi_generator_trainer_cost(t->from_generator.trainer, &own_bytes, &own_macs));
    *bytes += own_bytes;
    *macs += own_macs;
    return DFQ_OK;
}

static void fini(dfqi_tune *t)
{
    dfqi_generator_trainer_release(t->from_generator.trainer);
}

const dfqi_image_source dfqi_source_generator = {.check = check,
                                                 .teacher = teacher,
                                                 .label_loss = label_loss,
                                                 .lay_out = lay_out,
                                                 .start = start,
                                                 .stop = stop,
                                                 .next = next,
                                                 .is_idle = is_idle,
                                                 .held_at = held_at,
                                                 .text = text,
                                                 .count_arrays = count_arrays,
                                                 .array_at = array_at,
                                                 .n_curves = DFQI_GENERATOR_LOSSES,
                                                 .curves = curves,
                                                 .resume = resume,
                                                 .cost = cost,
                                                 .fini = fini};
