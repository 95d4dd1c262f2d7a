/* Results of a tuning job: loss curves, threshold crossings, the best step. */
#include <math.h>
#include <string.h>

#include "tune/tune_priv.h"

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
    if (from) memcpy(copy->data, from, (size_t)(rows * columns) * sizeof *from);
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

static dfq_status need_inundation(const dfqi_tune *t)
{
    if (t->o.crossing_target > 0) return DFQ_OK;
    return dfqi_fail(t->ctx, DFQ_E_INVALID,
                     "tune: threshold crossings are counted with gradient inundation alone, which "
                     "is off; set crossing_target");
}

dfq_status dfqi_tune_crossings(const dfqi_tune *t, dfq_tensor **out)
{
    dfq_tensor *rows;
    DFQI_TRY(need_inundation(t));
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

dfq_status dfqi_tune_crossed(const dfqi_tune *t, dfq_tensor **out)
{
    DFQI_TRY(need_inundation(t));
    return table(t->ctx, t->crossed, t->done, t->n_quantized, out);
}

dfq_status dfqi_tune_crossing_targets(const dfqi_tune *t, dfq_tensor **out)
{
    dfq_tensor *targets;
    DFQI_TRY(need_inundation(t));
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, 1, &t->done, &targets));
    for (int64_t i = 0; i < t->done; i++)
        dfqi_tensor_f32(targets)[i] = dfqi_tune_crossing_target(&t->o, i);
    *out = targets;
    return DFQ_OK;
}

dfq_status dfqi_tune_generator_curves(const dfqi_tune *t, dfq_tensor **out)
{
    if (t->source->n_curves == 0)
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: the job has no generator; create it with one");
    return table(t->ctx, t->e ? t->source->curves(t) : NULL, t->done, t->source->n_curves, out);
}

dfq_status dfqi_tune_generator_images(const dfqi_tune *t, dfq_tensor **out_images,
                                      dfq_tensor **out_labels)
{
    const dfqi_arch *a = &t->student->net.arch;
    int64_t dims[4] = {t->o.batch, a->channels, a->image.height, a->image.width};
    dfq_tensor *images, *labels;
    if (!t->from_generator.made.images)
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: the generator has made no images yet; run the job first");
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, 4, dims, &images));
    dfq_status status = dfqi_tensor_new(t->ctx, DFQI_I32, 1, dims, &labels);
    if (status != DFQ_OK) {
        dfqi_tensor_release(images);
        return status;
    }
    memcpy(images->data, t->from_generator.made.images,
           (size_t)dfqi_tensor_count(images) * sizeof(float));
    for (int64_t i = 0; i < dims[0]; i++)
        ((int32_t *)labels->data)[i] = (int32_t)t->from_generator.made.labels[i];
    *out_images = images;
    *out_labels = labels;
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

dfq_status dfqi_tune_restore_parameters(dfqi_tune *t, int best)
{
    if (!t->final)
        return dfqi_fail(t->ctx, DFQ_E_INVALID,
                         "tune: %lld of %lld steps are done; run the job to its end before "
                         "choosing best or last",
                         (long long)t->done, (long long)t->o.steps);
    if (t->o.eval_every > 0 && t->best_step != t->done && t->shown != (best != 0))
        dfqi_tune_swap(t);
    return DFQ_OK;
}
