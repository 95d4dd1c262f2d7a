/* The job: batches of training images in random order, one optimiser step each. */
#include "tune/tune.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "base/rng.h"
#include "tune/tune_priv.h"

enum { ORDER_STREAM = 8, HOLD_OUT = 8 };

/* -- life -------------------------------------------------------------------------------------- */

dfq_status dfqi_tune_check_images(const dfqi_model *m, const dfq_tensor *images)
{
    char text[96];
    const dfqi_arch *a = &m->net.arch;
    if (images->dtype == DFQI_F32 && images->rank == 4 && images->dims[0] >= 1 &&
        images->dims[1] == a->channels && images->dims[2] == a->image &&
        images->dims[3] == a->image)
        return DFQ_OK;
    return dfqi_fail(m->ctx, DFQ_E_SHAPE, "images are %s %s, %s wants F32 [n,%lld,%lld,%lld]",
                     dfqi_dtype_name(images->dtype),
                     dfqi_shape_text(images->rank, images->dims, text, sizeof text), a->name,
                     (long long)a->channels, (long long)a->image, (long long)a->image);
}

dfq_status dfqi_tune_check_pair(const dfqi_model *teacher, const dfqi_model *student)
{
    dfq_context *ctx = student->ctx;
    const dfqi_arch *a = &teacher->net.arch, *b = &student->net.arch;
    if (teacher->ctx != ctx)
        return dfqi_fail(ctx, DFQ_E_INVALID, "teacher and student belong to different contexts");
    if (teacher->quantized || !student->quantized)
        return dfqi_fail(ctx, DFQ_E_INVALID, "the %s %s quantized, it must %s",
                         teacher->quantized ? "teacher" : "student",
                         teacher->quantized ? "is" : "is not", teacher->quantized ? "not" : "be");
    if (a->family != b->family || a->image != b->image || a->channels != b->channels ||
        a->classes != b->classes || a->vit.patch != b->vit.patch || a->vit.width != b->vit.width ||
        a->vit.depth != b->vit.depth || a->vit.heads != b->vit.heads ||
        a->vit.hidden != b->vit.hidden)
        return dfqi_fail(ctx, DFQ_E_SHAPE,
                         "the teacher %s and the student %s differ in their sizes", a->name,
                         b->name);
    return dfqi_arch_need_vit(ctx, a, "distillation by attention heads");
}

/* A batch at least is held out, and as many are left: the batch is cut if there are few images. */
static dfq_status split_images(dfqi_tune *t)
{
    int64_t n = t->images->dims[0], part = t->o.eval_every > 0 ? n / 2 : n;
    if (part < 1)
        return dfqi_fail(
            t->ctx, DFQ_E_INVALID,
            "tune: there is one image only, evaluation needs another; give more or set "
            "eval_every to 0");
    if (n > INT32_MAX)
        return dfqi_fail(t->ctx, DFQ_E_INVALID, "tune: %lld images, the limit is %d", (long long)n,
                         INT32_MAX);
    if (t->o.batch > part) t->o.batch = part;
    if (t->o.eval_every > 0) {
        t->held = n / t->o.batch < HOLD_OUT ? n / t->o.batch : HOLD_OUT;
        t->n_held = n / t->held;
    }
    t->n_train = n - t->n_held;
    return DFQ_OK;
}

dfq_status dfqi_tune_new(const dfqi_model *teacher, dfqi_model *student, const dfq_tensor *images,
                         const dfqi_tune_options *o, dfqi_tune **out)
{
    dfq_context *ctx = student->ctx;
    const dfqi_arch *a = &student->net.arch;
    dfq_status status;
    DFQI_TRY(dfqi_tune_check(ctx, o));
    DFQI_TRY(dfqi_tune_check_pair(teacher, student));
    DFQI_TRY(dfqi_tune_check_images(student, images));
    dfqi_tune *t = dfqi_calloc(ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->ctx = ctx;
    t->teacher = dfqi_model_retain(teacher);
    t->student = dfqi_model_retain(student);
    t->images = dfqi_tensor_retain(images);
    t->o = *o;
    t->pixels = a->channels * a->image * a->image;
    t->best_kl = INFINITY;
    t->epoch = -1;
    dfqi_arena_init(&t->names, ctx);
    DFQI_GOTO(split_images(t), fail);
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
    dfqi_free(t->ctx, t->index);
    dfqi_augment_fini(&t->augment);
    dfqi_inundation_fini(&t->inundation);
    dfqi_free(t->ctx, t->inundated);
    t->e = NULL;
    t->block = NULL;
    t->order = NULL;
    t->index = NULL;
    t->inundated = NULL;
}

void dfqi_tune_release(dfqi_tune *t)
{
    if (!t) return;
    dfqi_model *teacher = t->teacher, *student = t->student;
    dfq_tensor *images = t->images;
    stop(t);
    dfqi_graph_free(t->g);
    dfqi_arena_fini(&t->names);
    dfqi_free(t->ctx, t->items);
    dfqi_free(t->ctx, t);
    dfqi_tensor_release(images);
    dfqi_model_release(teacher);
    dfqi_model_release(student);
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Hands out consecutive pieces of t->block; with base NULL it only counts. */
static int64_t lay_out(dfqi_tune *t, float *base)
{
    int64_t n = 0, moments = dfqi_moments_floats(t->o.optim);
    struct piece {
        float **at;
        int64_t floats;
    } pieces[] = {{&t->batch, t->o.batch * t->pixels},
                  {&t->targets, t->n_held * t->student->net.arch.classes},
                  {&t->losses, t->o.steps * DFQI_TUNE_LOSSES},
                  {&t->evals, 2 * dfqi_tune_evals_max(t)},
                  {&t->log_step, t->step_floats},
                  {&t->log_grad, t->step_floats}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (base) *pieces[i].at = base + n;
        n += (pieces[i].floats + 15) / 16 * 16;
    }
    for (int32_t i = 0; i < t->n_items; i++) {
        dfqi_item *item = &t->items[i];
        if (base) {
            item->moments = dfqi_moments_at(t->o.optim, item->count, base + n);
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
    t->order = dfqi_calloc(t->ctx, (size_t)t->n_train, sizeof *t->order);
    t->index = dfqi_calloc(t->ctx, (size_t)t->o.batch, sizeof *t->index);
    if (!t->block || !t->order || !t->index) return DFQ_E_NOMEM;
    lay_out(t, t->block);
    for (int32_t i = 0; i < t->n_items; i++)
        memcpy(t->items[i].best, t->items[i].tensor->data,
               (size_t)t->items[i].count * sizeof(float));
    DFQI_TRY(dfqi_augment_new(t->ctx, a->image, a->mean, a->std, &t->augment));
    DFQI_TRY(dfqi_tune_inundate(t));
    DFQI_TRY(dfqi_exec_new(t->g, &t->e));
    dfqi_exec_bind(t->e, t->x, t->batch);
    return DFQ_OK;
}

dfq_status dfqi_tune_start(dfqi_tune *t)
{
    if (t->e) return DFQ_OK;
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
    if (t->o.inundation > 0) c.bytes += dfqi_inundation_bytes(t->ctx, t->largest);
    c.macs = dfqi_graph_macs(t->g);
    c.seconds = t->timed > 0 ? t->seconds / (double)t->timed : NAN;
    c.seconds_left = t->done < t->o.steps ? c.seconds * (double)(t->o.steps - t->done) : 0.0;
    *out = c;
    return DFQ_OK;
}

/* -- steps ------------------------------------------------------------------------------------- */

/* Every image once in each epoch; a batch may lie across two epochs. */
static void make_batch(dfqi_tune *t)
{
    dfqi_draw draw;
    for (int64_t i = 0; i < t->o.batch; i++) {
        int64_t at = t->done * t->o.batch + i, epoch = at / t->n_train;
        if (epoch != t->epoch) {
            dfqi_rng r = dfqi_rng_make(t->o.seed, (uint64_t)ORDER_STREAM << 60 | (uint64_t)epoch);
            dfqi_rng_permute(&r, t->order, (uint32_t)t->n_train);
            t->epoch = epoch;
        }
        t->index[i] = dfqi_tune_train_image(t, t->order[at % t->n_train]);
    }
    dfqi_augment_draw(t->o.augment, t->o.seed, t->done, t->student->net.arch.image, &draw);
    dfqi_augment_apply(&t->augment, &draw, t->o.batch, dfqi_tensor_f32(t->images), t->index,
                       t->batch);
}

static void read_losses(dfqi_tune *t, float *losses)
{
    const float *parts = dfqi_exec_data(t->e, t->parts);
    for (int i = 0; i < DFQI_TUNE_LOSSES; i++)
        losses[i] = t->term[i] >= 0 ? parts[t->term[i]] : NAN;
    losses[DFQI_TUNE_TOTAL] = *dfqi_exec_data(t->e, t->total);
    losses[DFQI_TUNE_HEAD] /= (float)t->student->net.arch.vit.depth;
}

/* The job is over; the student gets the best parameters there are. */
static dfq_status diverged(dfqi_tune *t)
{
    float total = *dfqi_exec_data(t->e, t->total);
    dfq_status status = dfqi_tune_check_grads(t);
    if (status == DFQ_OK)
        status = dfqi_fail(
            t->ctx, DFQ_E_NUMERIC,
            "tune: the loss of step %lld is %g; lower the rate (%g). The student has "
            "the parameters after step %lld",
            (long long)t->done, (double)total, (double)t->o.rate, (long long)t->best_step);
    if (!t->shown) dfqi_tune_swap(t);
    t->failed = 1;
    return status;
}

dfq_status dfqi_tune_iterate(dfqi_tune *t)
{
    float *losses = t->losses + t->done * DFQI_TUNE_LOSSES, rate = dfqi_tune_rate(&t->o, t->done);
    DFQI_TRY(dfqi_exec_run(t->e));
    read_losses(t, losses);
    if (!isfinite(losses[DFQI_TUNE_TOTAL])) return diverged(t);
    if (t->o.warm_kind == DFQI_WARM_LINEAR || t->done >= t->o.warm) {
        if (dfqi_tune_check_grads(t) != DFQ_OK) return diverged(t);
        dfqi_tune_update(t, rate);
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
        make_batch(t);
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

/* -- results ----------------------------------------------------------------------------------- */

int64_t dfqi_tune_steps(const dfqi_tune *t)
{
    return t->o.steps;
}

int64_t dfqi_tune_done(const dfqi_tune *t)
{
    return t->done;
}

static dfq_status table(dfq_context *ctx, const float *from, int64_t rows, int64_t columns,
                        dfq_tensor **out)
{
    dfq_tensor *copy;
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, 2, (int64_t[]){rows, columns}, &copy));
    if (rows > 0) memcpy(copy->data, from, (size_t)(rows * columns) * sizeof *from);
    *out = copy;
    return DFQ_OK;
}

dfq_status dfqi_tune_curves(const dfqi_tune *t, dfq_tensor **out)
{
    return table(t->ctx, t->losses, t->done, DFQI_TUNE_LOSSES, out);
}

dfq_status dfqi_tune_evals(const dfqi_tune *t, dfq_tensor **out)
{
    return table(t->ctx, t->evals, t->n_evals, 2, out);
}

dfq_status dfqi_tune_crossings(const dfqi_tune *t, dfq_tensor **out)
{
    dfq_tensor *rows;
    if (!(t->o.inundation > 0))
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: crossings are counted with inundation only; it is 0");
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, 2, (int64_t[]){t->n_quantized, 3}, &rows));
    float *row = dfqi_tensor_f32(rows);
    for (int32_t i = 0, k = 0; i < t->n_items; i++) {
        if (!t->items[i].site) continue;
        row[3 * k] = t->inundated ? t->inundated[k].kappa : 0;
        row[3 * k + 1] = t->inundated ? (float)t->inundated[k].changed : 0;
        row[3 * k++ + 2] = (float)t->items[i].count;
    }
    *out = rows;
    return DFQ_OK;
}

void dfqi_tune_get_best(const dfqi_tune *t, dfqi_tune_best *out)
{
    int evaluated = t->n_evals > 0;
    const float *last = evaluated ? t->evals + 2 * (t->n_evals - 1) : NULL;
    *out = (dfqi_tune_best){.best_step = t->o.eval_every > 0 ? t->best_step : t->done,
                            .last_step = evaluated ? (int64_t)last[0] : t->done,
                            .best_kl = evaluated ? t->best_kl : NAN,
                            .last_kl = evaluated ? last[1] : NAN,
                            .train = t->n_train,
                            .held_out = t->n_held,
                            .clamped = t->clamped};
}

dfq_status dfqi_tune_show(dfqi_tune *t, int best)
{
    if (!t->final)
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: %lld of %lld steps are done; best or last can be chosen at the end",
                         (long long)t->done, (long long)t->o.steps);
    if (t->o.eval_every > 0 && t->best_step != t->done && t->shown != (best != 0))
        dfqi_tune_swap(t);
    return DFQ_OK;
}
