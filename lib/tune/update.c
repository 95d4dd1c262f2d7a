/* Updates parameters from their gradients, with gradient inundation of quantized weights if
 * enabled.
 *
 * Mode improved updates log(scale), with the gradient scale * dL/dscale, so a scale stays positive.
 * Mode parity updates the scale itself, as published, and clamps it above zero. */
#include <math.h>

#include "base/memory.h"
#include "tune/tune_priv.h"

static const float least_scale = 1e-8f;

/* Optimiser steps so far: those of an idle warm-up do not count. */
static int64_t updates(const dfqi_tune *t)
{
    const dfqi_tune_options *o = &t->o;
    return o->warmup == DFQ_WARMUP_IDLE && t->done >= o->warmup_steps ? t->done - o->warmup_steps
                                                                      : t->done;
}

static int64_t clamp_scales(dfqi_item *item)
{
    float *scale = dfqi_tensor_f32(item->tensor);
    int64_t n = 0;
    for (int64_t i = 0; i < item->count; i++) {
        if (scale[i] > least_scale) continue;
        scale[i] = least_scale;
        n++;
    }
    return n;
}

/* Biases, norms and embeddings move by the learning rate itself. */
static float factor_of(const dfqi_tune_options *o, const dfqi_item *item)
{
    return item->kind == DFQI_ITEM_SCALE        ? o->scale_lr_mult
           : item->kind == DFQI_ITEM_ZERO_POINT ? o->zero_point_lr_mult
           : item->of_layer                     ? o->weight_lr_mult
                                                : 1;
}

static dfqi_optim_options options_of(const dfqi_tune *t, dfqi_item_kind kind)
{
    const dfqi_tune_options *o = &t->o;
    return (dfqi_optim_options){.kind = o->optimizer,
                                .scale = t->scale,
                                .momentum = o->momentum,
                                .beta1 = o->beta1,
                                .beta2 = o->beta2,
                                .eps = o->eps,
                                .weight_decay = kind == DFQI_ITEM_WEIGHT ? o->weight_decay : 0};
}

static void move(dfqi_tune *t, dfqi_item *item, float learning_rate)
{
    dfqi_optim_options own = options_of(t, item->kind);
    if (factor_of(&t->o, item) == 0) return; /* held */
    learning_rate *= factor_of(&t->o, item);
    if (item->kind == DFQI_ITEM_SCALE && t->student->scheme.mode == DFQI_MODE_IMPROVED)
        dfqi_optim_step_log(t->ctx, &own, &item->moments, updates(t) + 1, learning_rate,
                            dfqi_exec_data(t->e, item->grad), dfqi_tensor_f32(item->tensor),
                            t->log_scratch);
    else
        dfqi_optim_step(t->ctx, &own, &item->moments, updates(t) + 1, learning_rate,
                        dfqi_exec_data(t->e, item->grad), dfqi_tensor_f32(item->tensor));
}

/* -- inundation -------------------------------------------------------------------------------- */

dfq_status dfqi_tune_inundate(dfqi_tune *t)
{
    dfqi_inundated *at;
    if (!(t->o.crossing_target > 0)) return DFQ_OK;
    t->inundated = at = dfqi_calloc(t->ctx, (size_t)t->n_quantized, sizeof *at);
    if (!at) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < t->n_items; i++) {
        dfqi_item *item = &t->items[i];
        const dfqi_site *site = item->site, *sites = t->student->scheme.sites;
        if (!site) continue;
        *at = (dfqi_inundated){.rows = item->tensor->dims[0],
                               .grid.bits = site->bits,
                               .grid.asymmetric = site->kind == DFQI_SITE_WEIGHT_MINMAX,
                               .p = dfqi_tensor_f32(item->tensor),
                               .moments = &item->moments};
        if (site->scale) at->grid.scale = dfqi_tensor_f32(site->scale);
        if (site->groups) at->groups = dfqi_tensor_f32(site->groups);
        if (site->groups) at->n_groups = site->groups->dims[1];
        if (site->input >= 0) at->grid.s = dfqi_tensor_f32(sites[site->input].scale);
        at++;
    }
    return dfqi_inundation_new(t->ctx, t->largest, &t->inundation);
}

/* kappa has a cap during the first epoch (AIT). */
static void move_inundated(dfqi_tune *t, float learning_rate, float rho)
{
    dfqi_optim_options own = options_of(t, DFQI_ITEM_WEIGHT);
    dfqi_inundated *at = t->inundated;
    t->inundation.rho = rho;
    t->inundation.capped = updates(t) < t->o.kappa_capped_steps;
    t->inundation.spare = t->student->scheme.mode == DFQI_MODE_IMPROVED;
    for (int32_t i = 0; i < t->n_items; i++)
        if (t->items[i].site) at++->g = dfqi_exec_data(t->e, t->items[i].grad);
    dfqi_inundation_step(&t->inundation, &own, updates(t) + 1, learning_rate * t->o.weight_lr_mult,
                         t->n_quantized, t->inundated);
    float *crossed = t->crossed + t->done * t->n_quantized;
    for (int32_t i = 0; i < t->n_quantized; i++)
        crossed[i] = (float)t->inundated[i].changed / (float)t->inundated[i].moments->count;
}

/* Logged once per job: a weight that is all zero would be clamped in each step. All are counted. */
static void warn_clamped(dfqi_tune *t, int64_t clamped, int64_t tensors, const char *first)
{
    if (clamped > 0)
        dfqi_log(t->ctx, t->clamped ? DFQ_LOG_DEBUG : DFQ_LOG_WARNING,
                 "tune: step %lld would have made %lld scales of %lld tensors zero or negative, "
                 "the first of %s; they stay at %g",
                 (long long)t->done, (long long)clamped, (long long)tensors, first,
                 (double)least_scale);
    t->clamped += clamped;
}

/* Codes are those of the scales that this step's forward pass had, so weights move first. */
void dfqi_tune_update(dfqi_tune *t, float learning_rate, double norm)
{
    double clip = (double)t->o.clip_norm;
    t->scale = clip > 0 && norm > clip ? (float)(clip / norm) : 1;
    float rho = dfqi_tune_crossing_target(&t->o, t->done);
    int inundate = rho > 0 && t->o.weight_lr_mult > 0;
    int64_t clamped = 0, tensors = 0;
    const char *first = NULL;
    if (inundate) move_inundated(t, learning_rate, rho);
    for (int32_t i = 0; i < t->n_items; i++) {
        dfqi_item *item = &t->items[i];
        if (!inundate || !item->site) move(t, item, learning_rate);
        int64_t own = item->kind == DFQI_ITEM_SCALE ? clamp_scales(item) : 0;
        if (own > 0 && tensors++ == 0) first = item->name;
        clamped += own;
    }
    warn_clamped(t, clamped, tensors, first);
}

/* In eight sums, so that the loop can be vectorized. */
static double squares(const float *g, int64_t n)
{
    enum { SUMS = 8 };
    double sum[SUMS] = {0}, all = 0;
    int64_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (int k = 0; k < SUMS; k++) sum[k] += (double)g[i + k] * (double)g[i + k];
    for (; i < n; i++) sum[0] += (double)g[i] * (double)g[i];
    for (int k = 0; k < SUMS; k++) all += sum[k];
    return all;
}

dfq_status dfqi_tune_check_grads(const dfqi_tune *t, double *out_norm)
{
    double sum = 0;
    for (int32_t i = 0; i < t->n_items; i++) {
        double own = squares(dfqi_exec_data(t->e, t->items[i].grad), t->items[i].count);
        if (factor_of(&t->o, &t->items[i]) != 0) sum += own;
        if (!isfinite(own))
            return dfqi_fail(t->ctx, DFQ_E_NUMERIC,
                             "tune: step %lld is not finite, the gradient of %s first; lower the "
                             "learning rate (%g). The student has the parameters after step %lld",
                             (long long)t->done, t->items[i].name, (double)t->o.learning_rate,
                             (long long)t->best_step);
    }
    *out_norm = sqrt(sum);
    return DFQ_OK;
}

void dfqi_tune_swap(dfqi_tune *t)
{
    for (int32_t i = 0; i < t->n_items; i++) {
        float *p = dfqi_tensor_f32(t->items[i].tensor), *q = t->items[i].best;
        for (int64_t k = 0; k < t->items[i].count; k++) {
            float v = p[k];
            p[k] = q[k];
            q[k] = v;
        }
    }
    t->shown = !t->shown;
}
