/* Training of EST on samples of the cost tables. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "explore/cost_networks/evaluator_priv.h"
#include "graph/ops.h"

enum { TRAIN_STREAM = 1, JUDGE_STREAM = 2, FIRST_SAMPLES = 4096 };

static const float huber = 0.05f;    /* of log2; ours */
static const double accepted = 0.01; /* mean relative error */

struct dfqi_evaluator_training {
    dfqi_evaluator *e;
    dfqi_samples samples;
    int64_t step;
    dfqi_mlp_pass pass;
    dfqi_mlp_adam adam;
};

void dfqi_evaluator_sample(dfqi_evaluator *e, const dfqi_samples *s, uint64_t stream, int64_t i,
                           int64_t row)
{
    const dfqi_domain *space = &e->space;
    dfqi_rng r = dfqi_rng_make(e->o.seed, stream << 56 | (uint64_t)i);
    float *x = e->x + row * space->total, *minus = e->minus + row * e->n_learned;
    dfqi_samples_network(s, &r, x);
    int32_t config = dfqi_samples_config(s, &r), rest = config;
    memset(x + space->cells, 0, (size_t)(space->total - space->cells) * sizeof *x);
    for (int32_t g = space->n_groups - 1; g >= space->n_groups - space->n_hw_params; g--) {
        x[space->first[g] + rest % space->choices[g]] = 1;
        rest /= space->choices[g];
    }
    for (int32_t k = 0; k < e->n_learned; k++)
        minus[k] = -(float)log2(dfqi_samples_cost(s, x, config, e->learned[k]));
}

static void fill_row(void *arg, int64_t row, int32_t thread)
{
    dfqi_evaluator_training *t = arg;
    (void)thread;
    dfqi_evaluator_sample(t->e, &t->samples, TRAIN_STREAM, t->step * t->e->o.batch + row, row);
}

static dfq_status fill_batch(void *user, int64_t step)
{
    dfqi_evaluator_training *t = user;
    t->step = step;
    dfqi_parallel_for(t->e->ctx, t->e->o.batch, fill_row, t);
    return DFQ_OK;
}

static double mean_loss(void *user)
{
    const dfqi_evaluator_training *t = user;
    const float *out = dfqi_exec_data(t->pass.e, t->pass.out[0]);
    int64_t n = t->e->o.batch * t->e->n_learned;
    double sum = 0, delta = (double)huber;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)out[i] + (double)t->e->minus[i]);
        sum += d <= delta ? d * d / 2 : delta * (d - delta / 2);
    }
    return sum / (double)n;
}

/* The gradient of Huber's loss is the difference, cut at -delta and delta: that is all of it that
 * the graph needs. */
static dfq_status build_training(dfqi_evaluator_training *t)
{
    dfqi_evaluator *e = t->e;
    dfqi_mlp_pass *p = &t->pass;
    DFQI_TRY(dfqi_mlp_pass_begin(&e->net, e->o.batch, true, p));
    dfqi_id minus = dfqi_graph_input(p->g, "minus", 1, 1, (int64_t[]){e->n_learned});
    dfqi_id d = dfqi_add(p->g, p->out[0], minus);
    d = dfqi_add(p->g, d, dfqi_fill(p->g, d, huber));
    d = dfqi_relu(p->g, NULL, d, 2 * huber);
    d = dfqi_add(p->g, d, dfqi_fill(p->g, d, -huber));
    d = dfqi_mul(p->g, d, dfqi_fill(p->g, d, 1 / (float)e->o.batch));
    DFQI_TRY(dfqi_mlp_pass_end(p, 1, p->out, &d, DFQI_MLP_DPARAMS));
    dfqi_exec_bind(p->e, p->x, e->x);
    dfqi_exec_bind(p->e, minus, e->minus);
    return DFQ_OK;
}

/* The outputs begin at the mean of what they are to be. */
static void centre(dfqi_evaluator *e, const dfqi_samples *s)
{
    float *bias = dfqi_tensor_f32(e->net.params[e->net.n_params - 1]);
    double sum[DFQ_METRICS_MAX] = {0};
    for (int64_t i = 0; i < FIRST_SAMPLES; i++) {
        dfqi_evaluator_sample(e, s, TRAIN_STREAM, i, 0);
        for (int32_t k = 0; k < e->n_learned; k++) sum[k] -= (double)e->minus[k];
    }
    for (int32_t k = 0; k < e->n_learned; k++) bias[k] = (float)(sum[k] / FIRST_SAMPLES);
}

/* -- step by step ------------------------------------------------------------------------------ */

void dfqi_evaluator_forget(dfqi_evaluator *e)
{
    dfqi_evaluator_training *t = e->training;
    if (!t) return;
    dfqi_mlp_adam_fini(&t->adam);
    dfqi_mlp_pass_fini(&t->pass);
    dfqi_samples_fini(&t->samples);
    dfqi_free(e->ctx, t);
    e->training = NULL;
}

static dfq_status begin(dfqi_evaluator *e)
{
    dfq_status status;
    if (e->training) return DFQ_OK;
    dfqi_evaluator_training *t = dfqi_calloc(e->ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->e = e;
    e->training = t;
    DFQI_GOTO(dfqi_samples_new(&e->space, e->given.n_metrics, e->given.cost_table,
                               e->given.base_table, e->o.seed, e->o.steps * e->o.batch,
                               &t->samples),
              fail);
    DFQI_GOTO(build_training(t), fail);
    DFQI_GOTO(dfqi_mlp_adam_new(&e->net, &t->adam), fail);
    return DFQ_OK;
fail:
    dfqi_evaluator_forget(e);
    return status;
}

static dfq_status accept(const dfqi_evaluator *e)
{
    for (int32_t k = 0; k < e->n_learned; k++) {
        int32_t m = e->learned[k];
        double mean = e->quality.mean[m];
        char name[64];
        if (mean <= accepted) continue;
        if (e->given.metrics)
            snprintf(name, sizeof name, "%.60s", e->given.metrics[m]);
        else
            snprintf(name, sizeof name, "metric %d", (int)m);
        return dfqi_fail(e->ctx, DFQ_E_NUMERIC,
                         "evaluator: the mean relative error of %s is %.3g %% on %lld held-out "
                         "samples, must be at most %.3g %%; train longer than %lld steps",
                         name, 100 * mean, (long long)e->o.held_out, 100 * accepted,
                         (long long)e->o.steps);
    }
    return DFQ_OK;
}

dfq_status dfqi_evaluator_step(dfqi_evaluator *e, double *loss)
{
    if (e->state.finished) return accept(e);
    DFQI_TRY(begin(e));
    dfqi_evaluator_training *t = e->training;
    const dfqi_mlp_job job = {.net = &e->net,
                              .pass = &t->pass,
                              .stage = "evaluator",
                              .steps = e->o.steps,
                              .learning_rate = e->o.learning_rate,
                              .fill = fill_batch,
                              .loss = mean_loss,
                              .user = t};
    if (t->adam.done == 0) centre(e, &t->samples);
    DFQI_TRY(dfqi_mlp_train_step(&job, &t->adam, loss));
    e->state.done = t->adam.done;
    if (e->state.done < e->o.steps) return DFQ_OK;
    DFQI_TRY(dfqi_evaluator_judge(e, &t->samples, JUDGE_STREAM));
    e->state.finished = true;
    dfqi_evaluator_forget(e);
    return accept(e);
}

dfq_status dfqi_evaluator_train(dfqi_evaluator *e)
{
    dfqi_stage stage =
        dfqi_stage_begin(e->ctx, "evaluator", (uint64_t)e->state.done, (uint64_t)e->o.steps);
    dfq_status status = DFQ_OK;
    while (status == DFQ_OK && !e->state.finished) {
        double loss = 0;
        status = dfqi_evaluator_step(e, &loss);
        if (status == DFQ_OK) status = dfqi_stage_report(&stage, (uint64_t)e->state.done, loss);
    }
    return status;
}

/* -- state ------------------------------------------------------------------------------------- */

dfqi_evaluator_quality dfqi_evaluator_judged(const dfqi_evaluator *e)
{
    return e->quality;
}

dfqi_mlp_state dfqi_evaluator_state(const dfqi_evaluator *e)
{
    return e->state;
}

dfq_status dfqi_evaluator_resume(dfqi_evaluator *e, dfqi_mlp_state state,
                                 const dfqi_evaluator_quality *q)
{
    e->state = state;
    e->quality = *q;
    if (state.done == 0 || state.finished) return DFQ_OK;
    DFQI_TRY(begin(e));
    e->training->adam.done = state.done;
    return DFQ_OK;
}

int32_t dfqi_evaluator_arrays(const dfqi_evaluator *e, dfqi_mlp_array *out)
{
    return dfqi_mlp_arrays(&e->net, e->training ? &e->training->adam : NULL, out);
}
