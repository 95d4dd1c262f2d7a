/* From gradients to parameters.
 *
 * Improved mode moves the logarithm of a learned step (its gradient is the step times that of the
 * step), so that a step stays positive; parity mode moves the step itself, as published, and keeps
 * it from vanishing. */
#include <math.h>

#include "tune/tune_priv.h"

static const float least_step = 1e-8f;

/* Optimiser steps so far: those of an idle warm-up do not count. */
static int64_t updates(const dfqi_tune *t)
{
    const dfqi_tune_options *o = &t->o;
    return o->warm_kind == DFQI_WARM_IDLE && t->done > o->warm ? t->done - o->warm : t->done;
}

static void move_log_step(dfqi_tune *t, dfqi_item *item, const dfqi_optim_options *o, float rate)
{
    const float *grad = dfqi_exec_data(t->e, item->grad);
    float *step = dfqi_tensor_f32(item->tensor);
    for (int64_t i = 0; i < item->count; i++) {
        t->log_grad[i] = grad[i] * step[i];
        t->log_step[i] = 0;
    }
    dfqi_optim_step(t->ctx, o, &item->moments, updates(t) + 1, rate, t->log_grad, t->log_step);
    for (int64_t i = 0; i < item->count; i++) step[i] *= expf(t->log_step[i]);
}

static int64_t clamp_steps(dfqi_item *item)
{
    float *step = dfqi_tensor_f32(item->tensor);
    int64_t n = 0;
    for (int64_t i = 0; i < item->count; i++) {
        if (step[i] > least_step) continue;
        step[i] = least_step;
        n++;
    }
    return n;
}

static float factor_of(const dfqi_tune_options *o, dfqi_item_kind kind)
{
    return kind == DFQI_ITEM_WEIGHT ? o->weight_rate
           : kind == DFQI_ITEM_STEP ? o->step_rate
                                    : o->zero_rate;
}

static void move(dfqi_tune *t, dfqi_item *item, float rate)
{
    const dfqi_tune_options *o = &t->o;
    dfqi_optim_options own = {.kind = o->optim,
                              .momentum = o->momentum,
                              .beta1 = o->beta1,
                              .beta2 = o->beta2,
                              .eps = o->eps};
    if (factor_of(o, item->kind) == 0) return; /* held */
    rate *= factor_of(o, item->kind);
    if (item->kind == DFQI_ITEM_WEIGHT) own.weight_decay = o->weight_decay;
    if (item->kind == DFQI_ITEM_STEP && t->student->scheme.mode == DFQI_MODE_IMPROVED)
        move_log_step(t, item, &own, rate);
    else
        dfqi_optim_step(t->ctx, &own, &item->moments, updates(t) + 1, rate,
                        dfqi_exec_data(t->e, item->grad), dfqi_tensor_f32(item->tensor));
}

void dfqi_tune_update(dfqi_tune *t, float rate)
{
    for (int32_t i = 0; i < t->n_items; i++) {
        dfqi_item *item = &t->items[i];
        move(t, item, rate);
        int64_t clamped = item->kind == DFQI_ITEM_STEP ? clamp_steps(item) : 0;
        if (clamped > 0)
            dfqi_log(t->ctx, DFQ_LOG_WARNING,
                     "tune: step %lld would have made %lld of %s zero or negative, kept at %g",
                     (long long)t->done, (long long)clamped, item->name, (double)least_step);
        t->clamped += clamped;
    }
}

dfq_status dfqi_tune_check_grads(const dfqi_tune *t)
{
    for (int32_t i = 0; i < t->n_items; i++) {
        const float *grad = dfqi_exec_data(t->e, t->items[i].grad);
        int bad = 0;
        for (int64_t k = 0; k < t->items[i].count; k++) bad |= !isfinite(grad[k]);
        if (bad)
            return dfqi_fail(t->ctx, DFQ_E_NUMERIC,
                             "tune: step %lld is not finite, the gradient of %s first; lower the "
                             "rate (%g). The student has the parameters after step %lld",
                             (long long)t->done, t->items[i].name, (double)t->o.rate,
                             (long long)t->best_step);
    }
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
