/* The job: batches of training images in random order, one optimiser step each. */
#include "tune/tune.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "tune/tune_priv.h"

enum { HOLD_OUT = 8 };

/* -- life -------------------------------------------------------------------------------------- */

dfq_status dfqi_tune_check_pair(const dfqi_model *teacher, const dfqi_model *student)
{
    dfq_context *ctx = student->ctx;
    if (teacher->ctx != ctx)
        return dfqi_fail(ctx, DFQ_E_INVALID, "teacher and student belong to different contexts");
    if (teacher->quantized || !student->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID, "the %s %s quantized, it must %s",
                         teacher->quantized ? "teacher" : "student",
                         teacher->quantized ? "is" : "is not", teacher->quantized ? "not" : "be");
    return dfqi_network_need_alike(ctx, &teacher->net, &student->net);
}

/* A batch at least is held out, and as many are left: the batch is cut if there are few images. */
static dfq_status split_images(dfqi_tune *t)
{
    int64_t n = t->source.n, part = t->o.eval_every > 0 ? n / 2 : n;
    if (part < 1)
        return dfqi_fail(
            t->ctx, DFQ_E_INVALID,
            "tune: there is one image only, and to evaluate one is held out; give two at least, or "
            "set eval_every to 0");
    if (n > INT32_MAX)
        return dfqi_fail(t->ctx, DFQ_E_INVALID, "tune: %lld images, the limit is %d", (long long)n,
                         INT32_MAX);
    if (t->o.batch > part) t->o.batch = part;
    if (t->o.eval_every > 0) {
        t->held = n / t->o.batch < HOLD_OUT ? n / t->o.batch : HOLD_OUT;
        t->n_held = n / t->held;
    }
    t->n_train = n - t->n_held;
    if (t->o.kappa_capped_steps == 0)
        t->o.kappa_capped_steps = (t->n_train + t->o.batch - 1) / t->o.batch;
    return DFQ_OK;
}

/* The job without its graph: everything is checked but the source of images. */
static dfq_status prepare(const dfqi_model *teacher, dfqi_model *student,
                          const dfqi_tune_options *o, dfqi_tune **out)
{
    dfq_context *ctx = student->ctx;
    const dfqi_arch *a = &student->net.arch;
    DFQI_TRY(dfqi_tune_check(ctx, o));
    DFQI_TRY(dfqi_tune_check_pair(teacher, student));
    if (o->head_weight > 0)
        DFQI_TRY(dfqi_arch_need_vit(ctx, a, "a loss of attention heads (head_weight above 0)"));
    dfqi_tune *t = dfqi_calloc(ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->ctx = ctx;
    t->teacher = dfqi_model_retain(teacher);
    t->student = dfqi_model_retain(student);
    t->o = *o;
    t->pixels = a->channels * a->image * a->image;
    t->best_kl = INFINITY;
    t->epoch = -1;
    dfqi_arena_init(&t->names, ctx);
    *out = t;
    return DFQ_OK;
}

/* One of `images` and `set`; `shape` is that of all images. */
static dfq_status make(const dfqi_model *teacher, dfqi_model *student, const dfq_tensor *images,
                       dfqi_imageset *set, const dfq_tensor *shape, const dfqi_tune_options *o,
                       dfqi_tune **out)
{
    dfqi_tune *t;
    dfq_status status;
    if (o->label_weight > 0 || o->range_steps > 0)
        return dfqi_fail(student->ctx, DFQ_E_INVALID,
                         "tune: label_weight and follow are for jobs with a generator, they are %g "
                         "and %lld",
                         (double)o->label_weight, (long long)o->range_steps);
    DFQI_TRY(prepare(teacher, student, o, &t));
    DFQI_GOTO(dfqi_model_check_images(student, shape, 0), fail);
    DFQI_GOTO(dfqi_model_ready(student), fail);
    if (set) {
        t->set = dfqi_imageset_retain(set);
        t->source = set->images;
    } else {
        t->images = dfqi_tensor_retain(images);
        t->source = (dfqi_images){
            .n = images->dims[0], .pixels = t->pixels, .memory = dfqi_tensor_f32(images)};
    }
    DFQI_GOTO(split_images(t), fail);
    DFQI_GOTO(dfqi_tune_build(t), fail);
    *out = t;
    return DFQ_OK;
fail:
    dfqi_tune_release(t);
    return status;
}

dfq_status dfqi_tune_new(const dfqi_model *teacher, dfqi_model *student, const dfq_tensor *images,
                         const dfqi_tune_options *o, dfqi_tune **out)
{
    return make(teacher, student, images, NULL, images, o, out);
}

dfq_status dfqi_tune_new_from(const dfqi_model *teacher, dfqi_model *student, dfqi_imageset *set,
                              const dfqi_tune_options *o, dfqi_tune **out)
{
    if (set->ctx != student->ctx)
        return dfqi_fail(student->ctx, DFQ_E_INVALID,
                         "image set and student belong to different contexts");
    return make(teacher, student, NULL, set, &set->shape, o, out);
}

dfq_status dfqi_tune_new_with_generator(const dfqi_model *teacher, dfqi_model *student,
                                        const dfqi_generator_options *generator,
                                        const dfqi_tune_options *o, dfqi_tune **out)
{
    dfqi_tune *t;
    dfq_status status;
    if (o->eval_every > 0 || o->augment != DFQI_AUGMENT_NONE)
        return dfqi_fail(student->ctx, DFQ_E_INVALID,
                         "tune: a generator's images are neither held out nor augmented; set "
                         "eval_every and augment to 0");
    if (o->range_steps > (o->warmup == DFQ_WARMUP_IDLE ? o->warmup_steps : 0))
        return dfqi_fail(
            student->ctx, DFQ_E_INVALID,
            "tune: ranges are followed for %lld steps, the idle warm-up must be as long",
            (long long)o->range_steps);
    DFQI_TRY(prepare(teacher, student, o, &t));
    t->generator_options = *generator;
    t->o.batch = generator->batch;
    if (o->range_steps == 0) DFQI_GOTO(dfqi_model_ready(student), fail);
    DFQI_GOTO(dfqi_generator_trainer_new(t->teacher, generator, &t->generator), fail);
    DFQI_GOTO(dfqi_tune_build(t), fail);
    *out = t;
    return DFQ_OK;
fail:
    dfqi_tune_release(t);
    return status;
}

/* Back to before work began. */
static void stop(dfqi_tune *t)
{
    dfqi_exec_free(t->e);
    dfqi_free(t->ctx, t->block);
    dfqi_free(t->ctx, t->order);
    dfqi_augment_fini(&t->augment);
    dfqi_inundation_fini(&t->inundation);
    dfqi_free(t->ctx, t->inundated);
    dfqi_tracker_free(t->tracker);
    t->e = NULL;
    t->tracker = NULL;
    t->block = NULL;
    t->order = NULL;
    t->inundated = NULL;
}

void dfqi_tune_release(dfqi_tune *t)
{
    if (!t) return;
    dfqi_model *teacher = t->teacher, *student = t->student;
    dfq_tensor *images = t->images;
    dfqi_imageset *set = t->set;
    stop(t);
    dfqi_generator_trainer_release(t->generator);
    dfqi_graph_free(t->g);
    dfqi_arena_fini(&t->names);
    dfqi_free(t->ctx, t->items);
    dfqi_free(t->ctx, t);
    dfqi_tensor_release(images);
    dfqi_imageset_release(set);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Hands out consecutive pieces of t->block; with base NULL it only counts. */
static int64_t lay_out(dfqi_tune *t, float *base)
{
    int64_t n = 0, moments = dfqi_moments_floats(t->o.optimizer);
    struct piece {
        float **at;
        int64_t floats;
    } pieces[] = {{&t->picked, t->generator ? 0 : t->o.batch * t->pixels},
                  {&t->batch, t->generator ? 0 : t->o.batch * t->pixels},
                  {&t->targets, t->n_held * t->student->net.arch.classes},
                  {&t->losses, t->o.steps * DFQI_TUNE_LOSSES},
                  {&t->evals, 2 * dfqi_tune_evals_max(t)},
                  {&t->generator_losses, t->generator ? t->o.steps * DFQI_GENERATOR_LOSSES : 0},
                  {&t->crossed, t->o.crossing_target > 0 ? t->o.steps * t->n_quantized : 0},
                  {&t->log_scale, t->scale_floats},
                  {&t->log_grad, t->scale_floats}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (base) *pieces[i].at = base + n;
        n += (pieces[i].floats + 15) / 16 * 16;
    }
    for (int32_t i = 0; i < t->n_items; i++) {
        dfqi_item *item = &t->items[i];
        if (base) {
            item->moments = dfqi_moments_at(t->o.optimizer, item->count, base + n);
            item->best = base + n + moments * item->count;
        }
        n += (moments + 1) * item->count;
    }
    return n;
}

static dfq_status allocate(dfqi_tune *t)
{
    const dfqi_arch *a = &t->student->net.arch;
    t->block = dfqi_calloc(t->ctx, (size_t)lay_out(t, NULL), sizeof *t->block);
    t->order = dfqi_calloc(t->ctx, (size_t)t->n_train + 1, sizeof *t->order);
    if (!t->block || !t->order) return DFQ_E_NOMEM;
    lay_out(t, t->block);
    for (int32_t i = 0; i < t->n_items; i++)
        memcpy(t->items[i].best, t->items[i].tensor->data,
               (size_t)t->items[i].count * sizeof(float));
    for (int64_t i = 0; t->o.crossing_target > 0 && i < t->o.steps * t->n_quantized; i++)
        t->crossed[i] = NAN;
    DFQI_TRY(dfqi_augment_new(t->ctx, a->image, a->mean, a->std, &t->augment));
    DFQI_TRY(dfqi_tune_inundate(t));
    DFQI_TRY(dfqi_exec_new(t->g, &t->e));
    if (!t->generator) dfqi_exec_bind(t->e, t->x, t->batch);
    return DFQ_OK;
}

dfq_status dfqi_tune_start(dfqi_tune *t)
{
    if (t->e) return DFQ_OK;
    dfqi_scheme_loosen(&t->student->scheme);
    dfq_status status = allocate(t);
    if (status != DFQ_OK) stop(t);
    return status;
}

dfq_status dfqi_tune_estimate(const dfqi_tune *t, dfqi_tune_cost *out)
{
    dfqi_tune_cost c;
    dfqi_tune *count = (dfqi_tune *)(uintptr_t)t; /* without a base, nothing is written */
    size_t bytes;
    DFQI_TRY(dfqi_exec_estimate(t->g, &bytes));
    c.bytes = (double)bytes + (double)lay_out(count, NULL) * (double)sizeof(float) +
              (double)t->n_train * (double)sizeof *t->order +
              dfqi_augment_bytes(t->ctx, t->student->net.arch.image);
    if (t->o.crossing_target > 0) c.bytes += dfqi_inundation_bytes(t->ctx, t->largest);
    c.macs = dfqi_graph_macs(t->g);
    if (t->generator) {
        double own, macs;
        DFQI_TRY(dfqi_generator_trainer_cost(t->generator, &own, &macs));
        c.bytes += own;
        c.macs += macs;
    }
    c.seconds = t->timed > 0 ? t->seconds / (double)t->timed : NAN;
    c.seconds_left = t->done < t->o.steps ? c.seconds * (double)(t->o.steps - t->done) : 0.0;
    *out = c;
    return DFQ_OK;
}

/* -- steps ------------------------------------------------------------------------------------- */

static void read_losses(dfqi_tune *t, float *losses)
{
    const float *parts = dfqi_exec_data(t->e, t->parts);
    for (int i = 0; i < DFQI_TUNE_LOSSES; i++)
        losses[i] = t->term[i] >= 0 ? parts[t->term[i]] : NAN;
    losses[DFQI_TUNE_TOTAL] = *dfqi_exec_data(t->e, t->total);
    if (t->term[DFQI_TUNE_HEAD] >= 0)
        losses[DFQI_TUNE_HEAD] /= (float)t->student->net.arch.vit.depth;
}

/* The job is over; the student gets the best parameters there are. */
static dfq_status diverged(dfqi_tune *t)
{
    float total = *dfqi_exec_data(t->e, t->total);
    double norm;
    dfq_status status = dfqi_tune_check_grads(t, &norm);
    if (status == DFQ_OK)
        status = dfqi_fail(
            t->ctx, DFQ_E_NUMERIC,
            "tune: the loss of step %lld is %g; lower the learning rate (%g). The student has "
            "the parameters after step %lld",
            (long long)t->done, (double)total, (double)t->o.learning_rate, (long long)t->best_step);
    if (!t->shown) dfqi_tune_swap(t);
    t->failed = 1;
    return status;
}

dfq_status dfqi_tune_iterate(dfqi_tune *t)
{
    float *losses = t->losses + t->done * DFQI_TUNE_LOSSES,
          learning_rate = dfqi_tune_learning_rate(&t->o, t->done);
    if (dfqi_tune_is_idle(t)) {
        for (int i = 0; i < DFQI_TUNE_LOSSES; i++) losses[i] = NAN;
        t->done++;
        return DFQ_OK;
    }
    DFQI_TRY(dfqi_exec_run(t->e));
    read_losses(t, losses);
    if (!isfinite(losses[DFQI_TUNE_TOTAL])) return diverged(t);
    if (t->o.warmup == DFQ_WARMUP_LINEAR || t->done >= t->o.warmup_steps) {
        double norm;
        if (dfqi_tune_check_grads(t, &norm) != DFQ_OK) return diverged(t);
        dfqi_tune_update(t, learning_rate, norm);
    }
    t->done++;
    return DFQ_OK;
}

static dfq_status finish(dfqi_tune *t)
{
    if (t->final) return DFQ_OK;
    if (dfqi_tune_eval_due(t)) DFQI_TRY(dfqi_tune_evaluate(t));
    if (t->o.eval_every > 0 && t->best_step != t->done) dfqi_tune_swap(t);
    t->final = 1;
    return DFQ_OK;
}

dfq_status dfqi_tune_step(dfqi_tune *t, int32_t *out_finished)
{
    if (t->failed)
        return dfqi_fail(t->ctx, DFQ_E_NUMERIC,
                         "tune: the job stopped at step %lld, which was not finite",
                         (long long)t->done);
    DFQI_TRY(dfqi_tune_start(t));
    if (t->done < t->o.steps) {
        if (dfqi_tune_eval_due(t)) DFQI_TRY(dfqi_tune_evaluate(t));
        double start = dfqi_now();
        DFQI_TRY(dfqi_tune_make_batch(t));
        DFQI_TRY(dfqi_tune_iterate(t));
        if (t->runs++ > 0) { /* the first run packs the teacher's weights */
            t->seconds += dfqi_now() - start;
            t->timed++;
        }
    }
    if (t->done == t->o.steps) DFQI_TRY(finish(t));
    *out_finished = t->done == t->o.steps;
    return DFQ_OK;
}

dfq_status dfqi_tune_run(dfqi_tune *t)
{
    int32_t finished = t->final;
    dfqi_stage stage = dfqi_stage_begin(t->ctx, "tune", (uint64_t)t->done, (uint64_t)t->o.steps);
    while (!finished) {
        DFQI_TRY(dfqi_tune_step(t, &finished));
        float loss = t->losses[(t->done - 1) * DFQI_TUNE_LOSSES];
        dfq_status status = dfqi_stage_report(&stage, (uint64_t)t->done, (double)loss);
        if (status != DFQ_OK && !finished) return status;
    }
    return DFQ_OK;
}
