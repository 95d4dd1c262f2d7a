/* Held-out images: their selection, and the evaluations that choose the best step. No labels are
 * used. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "quant/evaluate.h"
#include "tune/tune_priv.h"

enum { CHUNK = 32 };

/* Every held-th image is held out, the last of its group. */
int64_t dfqi_tune_held_image(const dfqi_tune *t, int64_t i)
{
    return (i + 1) * t->held - 1;
}

int64_t dfqi_tune_train_image(const dfqi_tune *t, int64_t i)
{
    return t->held > 0 ? i + i / (t->held - 1) : i;
}

/* Evaluations come before the first step, then every eval_every steps, and behind the last one. */
int64_t dfqi_tune_evals_max(const dfqi_tune *t)
{
    int64_t every = t->o.eval_every;
    return every > 0 ? t->o.steps / every + 1 + (t->o.steps % every != 0) : 0;
}

bool dfqi_tune_eval_due(const dfqi_tune *t)
{
    int64_t every = t->o.eval_every;
    if (every == 0) return false;
    if (t->done == t->o.steps) return t->n_evals < dfqi_tune_evals_max(t);
    return t->n_evals <= t->done / every;
}

/* DFQ_E_NUMERIC if logits of the teacher or of the untuned student are not finite. A later step
 * with such logits is never the best. */
static dfq_status need_finite(const dfqi_tune *t, const char *whose, const float *logits)
{
    int64_t classes = t->student->net.arch.classes;
    for (int64_t i = 0; i < t->n_held; i++)
        if (dfqi_best_class(logits + i * classes, classes) < 0)
            return dfqi_fail(t->ctx, DFQ_E_NUMERIC,
                             "tune: logits of the %s are not finite for image %lld, which is held "
                             "out; check the images and the weights",
                             whose, (long long)dfqi_tune_held_image(t, i));
    return DFQ_OK;
}

/* Logits of the held-out images. */
static dfq_status held_logits(dfqi_tune *t, const dfqi_model *m, float *out)
{
    int64_t classes = m->net.arch.classes, most = t->n_held < CHUNK ? t->n_held : CHUNK;
    size_t image = (size_t)t->pixels * sizeof(float);
    const float *x = NULL;
    float *chunk = dfqi_alloc(t->ctx, (size_t)most * image);
    if (!chunk) return DFQ_E_NOMEM;
    dfq_status status = DFQ_OK;
    for (int64_t i = 0; i < t->n_held && status == DFQ_OK; i += most) {
        int64_t n = i + most <= t->n_held ? most : t->n_held - i;
        for (int64_t k = 0; k < n && status == DFQ_OK; k++) {
            status = t->source->held_at(t, i + k, &x);
            if (status == DFQ_OK) memcpy(chunk + k * t->pixels, x, image);
        }
        if (status == DFQ_OK) status = dfqi_model_logits(m, chunk, n, out + i * classes);
    }
    dfqi_free(t->ctx, chunk);
    return status;
}

static double log_sum_exp(const float *z, int64_t n, double scale)
{
    double top = z[0], sum = 0;
    for (int64_t i = 1; i < n; i++) top = z[i] > top ? z[i] : top;
    for (int64_t i = 0; i < n; i++) sum += exp(scale * (z[i] - top));
    return scale * top + log(sum);
}

/* T^2 KL(softmax(p / T) || softmax(q / T)) of one image. */
static double divergence(const float *p, const float *q, int64_t n, double temperature)
{
    double scale = 1 / temperature, sum = 0;
    double lse_p = log_sum_exp(p, n, scale), lse_q = log_sum_exp(q, n, scale);
    for (int64_t i = 0; i < n; i++) {
        double log_p = scale * p[i] - lse_p;
        sum += exp(log_p) * (log_p - (scale * q[i] - lse_q));
    }
    return temperature * temperature * sum;
}

static void keep_best(dfqi_tune *t, double kl)
{
    if (!(kl < t->best_kl)) return;
    t->best_kl = kl;
    t->best_step = t->done;
    for (int32_t i = 0; i < t->n_items; i++)
        memcpy(t->items[i].best, t->items[i].tensor->data,
               (size_t)t->items[i].count * sizeof(float));
}

dfq_status dfqi_tune_evaluate(dfqi_tune *t)
{
    int64_t classes = t->student->net.arch.classes;
    double sum = 0;
    float *logits = dfqi_alloc(t->ctx, (size_t)(t->n_held * classes) * sizeof *logits);
    if (!logits) return DFQ_E_NOMEM;
    dfq_status status = DFQ_OK;
    if (!t->have_targets) DFQI_GOTO(held_logits(t, t->teacher, t->targets), out);
    DFQI_GOTO(need_finite(t, "float network", t->targets), out);
    t->have_targets = 1;
    DFQI_GOTO(held_logits(t, t->student, logits), out);
    if (t->n_evals == 0) DFQI_GOTO(need_finite(t, "quantized network", logits), out);
    for (int64_t i = 0; i < t->n_held; i++)
        sum +=
            divergence(t->targets + i * classes, logits + i * classes, classes, t->o.temperature);
    t->evals[2 * t->n_evals] = (float)t->done;
    t->evals[2 * t->n_evals + 1] = (float)(sum / (double)t->n_held);
    t->n_evals++;
    keep_best(t, sum / (double)t->n_held);
out:
    dfqi_free(t->ctx, logits);
    return status;
}
