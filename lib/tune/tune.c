/* The tuning job: one optimiser step on each batch of images from its source. */
#include "tune/tune.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "nn/rotate.h"
#include "tune/tune_priv.h"

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check_pair(const dfqi_model *teacher, const dfqi_model *student)
{
    dfq_context *ctx = student->ctx;
    if (teacher->ctx != ctx)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "teacher and student belong to different contexts; create both with one");
    if (teacher->quantized || !student->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID, "the %s %s quantized, must %s",
                         teacher->quantized ? "teacher" : "student",
                         teacher->quantized ? "is" : "is not",
                         teacher->quantized ? "not be" : "be");
    return dfqi_network_need_alike(ctx, &teacher->net, &student->net);
}

dfq_status dfqi_tune_teacher(const dfqi_model *teacher, const dfqi_model *student, dfqi_model **out)
{
    uint64_t rotation = student->scheme.grids.rotation;
    dfqi_network net;
    DFQI_TRY(check_pair(teacher, student));
    if (!rotation) {
        *out = dfqi_model_retain(teacher);
        return DFQ_OK;
    }
    DFQI_TRY(dfqi_network_clone(&teacher->net, &net));
    dfq_status status = dfqi_network_rotate(&net, rotation);
    if (status == DFQ_OK) status = dfqi_model_new(&net, NULL, out);
    dfqi_network_fini(&net);
    return status;
}

/* Of features, which are no logits: at a high temperature the loss is half the variance of
 * differences d, T^2 KL -> sum (d - mean d)^2 / (2 C). */
enum { FEATURES = 100 };

/* The job without its graph: everything is checked but the source of images. */
static dfq_status prepare(const dfqi_model *teacher, dfqi_model *student,
                          const dfqi_image_source *source, const dfqi_tune_options *o,
                          dfqi_tune **out)
{
    dfq_context *ctx = student->ctx;
    const dfqi_arch *a = &student->net.arch;
    DFQI_TRY(dfqi_tune_check(ctx, o));
    dfqi_model *own;
    if (o->head_weight > 0)
        DFQI_TRY(
            dfqi_arch_need_attention(ctx, a, "a loss of attention heads (head_weight above 0)"));
    DFQI_TRY(dfqi_tune_teacher(teacher, student, &own));
    dfqi_tune *t = dfqi_calloc(ctx, 1, sizeof *t);
    if (!t) {
        dfqi_model_release(own);
        return DFQ_E_NOMEM;
    }
    t->ctx = ctx;
    t->teacher = own;
    t->student = dfqi_model_retain(student);
    t->o = *o;
    if (dfqi_arch_is_backbone(a)) t->o.temperature = FEATURES;
    t->source = source;
    t->pixels = dfqi_arch_pixels(a);
    t->best_kl = INFINITY;
    dfqi_arena_init(&t->names, ctx);
    *out = t;
    return DFQ_OK;
}

/* Finishes a job whose source has what it needs; takes it: on failure it is released. */
static dfq_status build(dfqi_tune *t, dfqi_tune **out)
{
    dfq_status status = t->source->check(t);
    if (status == DFQ_OK) status = dfqi_tune_build(t);
    if (status == DFQ_OK)
        *out = t;
    else
        dfqi_tune_release(t);
    return status;
}

dfq_status dfqi_tune_new(const dfqi_model *teacher, dfqi_model *student, const dfq_tensor *images,
                         const dfqi_tune_options *o, dfqi_tune **out)
{
    dfqi_tune *t;
    DFQI_TRY(prepare(teacher, student, &dfqi_source_set, o, &t));
    t->from_set.images = dfqi_tensor_retain(images);
    return build(t, out);
}

dfq_status dfqi_tune_new_from(const dfqi_model *teacher, dfqi_model *student, dfqi_imageset *set,
                              const dfqi_tune_options *o, dfqi_tune **out)
{
    dfqi_tune *t;
    if (set->ctx != student->ctx)
        return dfqi_fail(
            student->ctx, DFQ_E_INVALID,
            "image set and student belong to different contexts; create both with one");
    DFQI_TRY(prepare(teacher, student, &dfqi_source_set, o, &t));
    t->from_set.set = dfqi_imageset_retain(set);
    return build(t, out);
}

dfq_status dfqi_tune_new_with_generator(const dfqi_model *teacher, dfqi_model *student,
                                        const dfqi_generator_options *generator,
                                        const dfqi_tune_options *o, dfqi_tune **out)
{
    dfqi_tune *t;
    DFQI_TRY(prepare(teacher, student, &dfqi_source_generator, o, &t));
    t->from_generator.o = *generator;
    return build(t, out);
}

/* Back to before work began. */
static void stop(dfqi_tune *t)
{
    dfqi_exec_free(t->e);
    dfqi_free(t->ctx, t->block);
    dfqi_inundation_fini(&t->inundation);
    dfqi_free(t->ctx, t->inundated);
    t->source->stop(t);
    t->e = NULL;
    t->block = NULL;
    t->inundated = NULL;
}

void dfqi_tune_release(dfqi_tune *t)
{
    if (!t) return;
    dfqi_model *teacher = t->teacher, *student = t->student;
    stop(t);
    t->source->fini(t);
    dfqi_graph_free(t->g);
    dfqi_arena_fini(&t->names);
    dfqi_free(t->ctx, t->items);
    dfqi_free(t->ctx, t);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Hands out consecutive pieces of t->block; with base NULL it only counts. */
static int64_t lay_out(dfqi_tune *t, float *base)
{
    int64_t n = t->source->lay_out(t, base), moments = dfqi_moments_floats(t->o.optimizer);
    struct piece {
        float **at;
        int64_t floats;
    } pieces[] = {{&t->targets, t->n_held * t->student->net.arch.classes},
                  {&t->losses, t->o.steps * DFQI_TUNE_LOSSES},
                  {&t->evals, 2 * dfqi_tune_evals_max(t)},
                  {&t->crossed, t->o.crossing_target > 0 ? t->o.steps * t->n_quantized : 0},
                  {&t->log_scratch, 2 * t->scale_floats}};
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
    t->block = dfqi_calloc(t->ctx, (size_t)lay_out(t, NULL), sizeof *t->block);
    if (!t->block) return DFQ_E_NOMEM;
    lay_out(t, t->block);
    for (int32_t i = 0; i < t->n_items; i++)
        memcpy(t->items[i].best, t->items[i].tensor->data,
               (size_t)t->items[i].count * sizeof(float));
    for (int64_t i = 0; t->o.crossing_target > 0 && i < t->o.steps * t->n_quantized; i++)
        t->crossed[i] = NAN;
    DFQI_TRY(dfqi_tune_inundate(t));
    DFQI_TRY(dfqi_exec_new(t->g, &t->e));
    return t->source->start(t);
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
    c.bytes = (double)bytes + (double)lay_out(count, NULL) * (double)sizeof(float);
    if (t->o.crossing_target > 0) c.bytes += dfqi_inundation_bytes(t->ctx, t->largest);
    c.macs = dfqi_graph_macs(t->g);
    DFQI_TRY(t->source->cost(t, &c.bytes, &c.macs));
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
        losses[DFQI_TUNE_HEAD] /= (float)dfqi_arch_blocks(&t->student->net.arch);
}

/* Ends a failed job: the student gets the best parameters so far. */
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
    if (t->source->is_idle(t)) {
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
                         "tune: the job has ended: step %lld was not finite; start anew",
                         (long long)t->done);
    DFQI_TRY(dfqi_tune_start(t));
    if (t->done < t->o.steps) {
        if (dfqi_tune_eval_due(t)) DFQI_TRY(dfqi_tune_evaluate(t));
        double start = dfqi_now();
        DFQI_TRY(t->source->next(t));
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
