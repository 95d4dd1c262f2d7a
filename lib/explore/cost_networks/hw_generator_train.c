/* Training of GEN. The label of a sample is the best of all accelerators, found exhaustively. */
#include "base/memory.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "explore/cost_networks/hw_generator_priv.h"
#include "explore/cost_networks/samples.h"
#include "graph/ops.h"

enum { TRAIN_STREAM = 3, JUDGE_STREAM = 4 };

/* Label smoothing: the share that goes to all choices. A saturated softmax would give a search no
 * gradient. */
static const float smoothing = 0.1f;

/* Costs of a batch of networks on every accelerator: one product with the table. */
typedef struct labels {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, out;
    dfq_tensor *table, *base; /* [configs, cells], [configs] */
} labels;

/* -- labels ------------------------------------------------------------------------------------ */

/* The mean over accelerators of what a uniform mixture costs: the metric's unit. */
static double unit_of(const dfqi_gen *g, int32_t metric)
{
    const dfqi_domain *s = &g->space;
    size_t configs = (size_t)s->configs, m = (size_t)metric;
    double sum = 0;
    for (size_t c = 0; g->given.base_table && c < configs; c++)
        sum += g->given.base_table[m * configs + c];
    for (int32_t k = 0; k < s->n_groups - s->n_hw_params; k++)
        for (int32_t i = s->first[k]; i < s->first[k + 1]; i++)
            for (size_t c = 0; c < configs; c++)
                sum += g->given.cost_table[(m * (size_t)s->cells + (size_t)i) * configs + c] /
                       s->choices[k];
    return sum / s->configs;
}

static void add_metric(const dfqi_gen *g, int32_t metric, labels *l)
{
    size_t configs = (size_t)g->space.configs, cells = (size_t)g->space.cells, m = (size_t)metric;
    double unit = unit_of(g, metric), weight = unit > 0 ? 1 / unit : 0;
    float *table = dfqi_tensor_f32(l->table), *base = dfqi_tensor_f32(l->base);
    for (size_t c = 0; c < configs; c++) {
        if (g->given.base_table) base[c] += (float)(weight * g->given.base_table[m * configs + c]);
        for (size_t i = 0; i < cells; i++)
            table[c * cells + i] +=
                (float)(weight * g->given.cost_table[(m * cells + i) * configs + c]);
    }
}

static void labels_fini(labels *l)
{
    dfqi_exec_free(l->e);
    dfqi_graph_free(l->g);
    dfqi_tensor_release(l->table);
    dfqi_tensor_release(l->base);
}

static dfq_status labels_new(const dfqi_gen *g, labels *out)
{
    int64_t dims[2] = {g->space.configs, g->space.cells};
    labels l = {0};
    dfq_status status;
    DFQI_GOTO(dfqi_tensor_new(g->ctx, DFQI_F32, 2, dims, &l.table), fail);
    DFQI_GOTO(dfqi_tensor_new(g->ctx, DFQI_F32, 1, dims, &l.base), fail);
    for (int32_t m = 0; m < g->given.n_metrics; m++) add_metric(g, m, &l);
    DFQI_GOTO(dfqi_graph_new(g->ctx, g->o.batch, &l.g), fail);
    l.x = dfqi_graph_input(l.g, "x", 1, 1, dims + 1);
    l.out = dfqi_linear(l.g, NULL, l.x, dfqi_graph_param(l.g, NULL, l.table, 1),
                        dfqi_graph_param(l.g, NULL, l.base, 1));
    dfqi_graph_keep(l.g, l.out);
    DFQI_GOTO(dfqi_graph_status(l.g), fail);
    DFQI_GOTO(dfqi_exec_new(l.g, &l.e), fail);
    dfqi_exec_bind(l.e, l.x, g->x);
    *out = l;
    return DFQ_OK;
fail:
    labels_fini(&l);
    return status;
}

struct dfqi_gen_training {
    dfqi_gen *g;
    dfqi_samples samples;
    uint64_t stream;
    int64_t step;
    labels labels;
    dfqi_mlp_pass pass;
    dfqi_mlp_adam adam;
    dfqi_id loss[DFQI_MLP_HEADS]; /* [B] of each head */
};

static void draw_row(void *arg, int64_t row, int32_t thread)
{
    dfqi_gen_training *t = arg;
    uint64_t i = (uint64_t)(t->step * t->g->o.batch + row);
    dfqi_rng r = dfqi_rng_make(t->g->o.seed, t->stream << 56 | i);
    (void)thread;
    dfqi_samples_network(&t->samples, &r, t->g->x + row * t->g->space.cells);
}

/* Where the labels of hardware parameter k begin. */
static float *wanted_of(const dfqi_gen *g, int32_t k)
{
    const dfqi_domain *s = &g->space;
    return g->wanted + g->o.batch * (s->first[s->n_groups - s->n_hw_params + k] - s->cells);
}

static void label_row(void *arg, int64_t row, int32_t thread)
{
    dfqi_gen_training *t = arg;
    dfqi_gen *g = t->g;
    const dfqi_domain *s = &g->space;
    const float *cost = dfqi_exec_data(t->labels.e, t->labels.out) + row * s->configs;
    int32_t best = 0;
    (void)thread;
    for (int32_t c = 1; c < s->configs; c++)
        if (cost[c] < cost[best]) best = c;
    g->config[row] = best;
    for (int32_t k = s->n_hw_params - 1; k >= 0; k--) {
        int32_t n = g->net.heads[k];
        float *wanted = wanted_of(g, k) + row * n, rest = smoothing / (float)n;
        for (int32_t i = 0; i < n; i++) wanted[i] = rest;
        wanted[best % n] += 1 - smoothing;
        best /= n;
    }
}

static dfq_status draw(void *user, int64_t step)
{
    dfqi_gen_training *t = user;
    t->step = step;
    dfqi_parallel_for(t->g->ctx, t->g->o.batch, draw_row, t);
    DFQI_TRY(dfqi_exec_run(t->labels.e));
    dfqi_parallel_for(t->g->ctx, t->g->o.batch, label_row, t);
    return DFQ_OK;
}

/* -- training ---------------------------------------------------------------------------------- */

static double mean_loss(void *user)
{
    const dfqi_gen_training *t = user;
    double sum = 0;
    for (int32_t k = 0; k < t->g->net.n_heads; k++) {
        const float *loss = dfqi_exec_data(t->pass.e, t->loss[k]);
        for (int64_t i = 0; i < t->g->o.batch; i++) sum += (double)loss[i];
    }
    return sum / (double)t->g->o.batch;
}

static dfq_status build_training(dfqi_gen_training *t)
{
    dfqi_gen *g = t->g;
    dfqi_mlp_pass *p = &t->pass;
    dfqi_id wanted[DFQI_MLP_HEADS], share[DFQI_MLP_HEADS];
    DFQI_TRY(dfqi_mlp_pass_begin(&g->net, g->o.batch, true, p));
    for (int32_t k = 0; k < g->net.n_heads; k++) {
        wanted[k] = dfqi_graph_input(p->g, "wanted", 1, 1, (int64_t[]){g->net.heads[k]});
        t->loss[k] = dfqi_soft_cross_entropy(p->g, p->out[k], wanted[k]);
        share[k] = dfqi_fill(p->g, t->loss[k], 1 / (float)g->o.batch);
        dfqi_graph_keep(p->g, t->loss[k]);
    }
    DFQI_TRY(dfqi_mlp_pass_end(p, g->net.n_heads, t->loss, share, DFQI_MLP_DPARAMS));
    dfqi_exec_bind(p->e, p->x, g->x);
    for (int32_t k = 0; k < g->net.n_heads; k++) dfqi_exec_bind(p->e, wanted[k], wanted_of(g, k));
    return DFQ_OK;
}

/* One sample's part of the quality. */
static void judge_row(const dfqi_gen_training *t, const dfqi_mlp_pass *p, int64_t row,
                      dfqi_gen_quality *q)
{
    const dfqi_gen *g = t->g;
    double share = 1 / (double)g->o.held_out;
    int32_t config = 0, stride = g->space.configs;
    for (int32_t k = 0; k < g->net.n_heads; k++) {
        int32_t n = g->net.heads[k], best = 0;
        const float *z = dfqi_exec_data(p->e, p->out[k]) + row * n;
        for (int32_t i = 1; i < n; i++)
            if (z[i] > z[best]) best = i;
        stride /= n;
        if (best == g->config[row] / stride % n) q->accuracy[k] += share;
        config = config * n + best;
    }
    const float *cost = dfqi_exec_data(t->labels.e, t->labels.out) + row * g->space.configs;
    if (config == g->config[row]) q->all += share;
    q->regret += share * (double)(cost[config] / cost[g->config[row]] - 1);
}

static dfq_status judge(dfqi_gen_training *t)
{
    dfqi_gen *g = t->g;
    dfqi_gen_quality q = {.all = 0};
    dfqi_mlp_pass p = {0};
    dfq_status status;
    t->stream = JUDGE_STREAM;
    DFQI_TRY(dfqi_mlp_pass_begin(&g->net, g->o.batch, false, &p));
    DFQI_TRY(dfqi_mlp_pass_end(&p, 0, NULL, NULL, 0));
    dfqi_exec_bind(p.e, p.x, g->x);
    for (int64_t step = 0; step < g->o.held_out / g->o.batch; step++) {
        DFQI_GOTO(draw(t, step), out);
        DFQI_GOTO(dfqi_exec_run(p.e), out);
        for (int64_t row = 0; row < g->o.batch; row++) judge_row(t, &p, row, &q);
    }
    g->quality = q;
    status = DFQ_OK;
out:
    dfqi_mlp_pass_fini(&p);
    return status;
}

/* -- step by step ------------------------------------------------------------------------------ */

void dfqi_gen_forget(dfqi_gen *g)
{
    dfqi_gen_training *t = g->training;
    if (!t) return;
    dfqi_mlp_adam_fini(&t->adam);
    dfqi_mlp_pass_fini(&t->pass);
    labels_fini(&t->labels);
    dfqi_samples_fini(&t->samples);
    dfqi_free(g->ctx, t);
    g->training = NULL;
}

static dfq_status begin(dfqi_gen *g)
{
    dfq_status status;
    if (g->training) return DFQ_OK;
    dfqi_gen_training *t = dfqi_calloc(g->ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->g = g;
    g->training = t;
    DFQI_GOTO(dfqi_samples_new(&g->space, g->given.n_metrics, g->given.cost_table,
                               g->given.base_table, g->o.seed, g->o.steps * g->o.batch,
                               &t->samples),
              fail);
    DFQI_GOTO(labels_new(g, &t->labels), fail);
    DFQI_GOTO(build_training(t), fail);
    DFQI_GOTO(dfqi_mlp_adam_new(&g->net, &t->adam), fail);
    return DFQ_OK;
fail:
    dfqi_gen_forget(g);
    return status;
}

dfq_status dfqi_gen_step(dfqi_gen *g, double *loss)
{
    if (g->state.finished) return DFQ_OK;
    DFQI_TRY(begin(g));
    g->searched = false;
    dfqi_gen_training *t = g->training;
    const dfqi_mlp_job job = {.net = &g->net,
                              .pass = &t->pass,
                              .stage = "hw-generator",
                              .steps = g->o.steps,
                              .learning_rate = g->o.learning_rate,
                              .fill = draw,
                              .loss = mean_loss,
                              .user = t};
    t->stream = TRAIN_STREAM;
    DFQI_TRY(dfqi_mlp_train_step(&job, &t->adam, loss));
    g->state.done = t->adam.done;
    if (g->state.done < g->o.steps) return DFQ_OK;
    DFQI_TRY(judge(t));
    g->state.finished = true;
    dfqi_gen_forget(g);
    return DFQ_OK;
}

dfq_status dfqi_gen_train(dfqi_gen *g)
{
    dfqi_stage stage =
        dfqi_stage_begin(g->ctx, "hw-generator", (uint64_t)g->state.done, (uint64_t)g->o.steps);
    dfq_status status = DFQ_OK;
    while (status == DFQ_OK && !g->state.finished) {
        double loss = 0;
        status = dfqi_gen_step(g, &loss);
        if (status == DFQ_OK) status = dfqi_stage_report(&stage, (uint64_t)g->state.done, loss);
    }
    return status;
}

/* -- state ------------------------------------------------------------------------------------- */

dfqi_gen_quality dfqi_gen_judged(const dfqi_gen *g)
{
    return g->quality;
}

dfqi_mlp_state dfqi_gen_state(const dfqi_gen *g)
{
    return g->state;
}

dfq_status dfqi_gen_resume(dfqi_gen *g, dfqi_mlp_state state, const dfqi_gen_quality *q)
{
    g->state = state;
    g->quality = *q;
    g->searched = false;
    if (state.done == 0 || state.finished) return DFQ_OK;
    DFQI_TRY(begin(g));
    g->training->adam.done = state.done;
    return DFQ_OK;
}

int32_t dfqi_gen_arrays(const dfqi_gen *g, dfqi_mlp_array *out)
{
    return dfqi_mlp_arrays(&g->net, g->training ? &g->training->adam : NULL, out);
}
