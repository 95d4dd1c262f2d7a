/* The hardware generation network: labels, training, and its part in a search. */
#include "explore/evaluator_gen.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "explore/evaluator_mlp.h"
#include "explore/evaluator_samples.h"
#include "graph/ops.h"

enum { TRAIN_STREAM = 3, JUDGE_STREAM = 4 };

/* Costs of a batch of networks on every accelerator: one product with the table. */
typedef struct labels {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, out;
    dfq_tensor *table, *base; /* [configs, cells], [configs] */
} labels;

struct dfqi_gen {
    dfq_context *ctx; /* retained */
    dfqi_gen_options o;
    dfq_problem given;
    dfqi_domain space;
    dfqi_mlp net;
    dfqi_gen_quality quality;
    float *x;        /* [batch][cells] */
    float *wanted;   /* by field [batch][choices]: the label, smoothed */
    int32_t *config; /* [batch] the label */
    double *start;   /* [net.count] */

    dfqi_mlp_pass one; /* of the search: one mixture, gradients to it and to the parameters */
    dfqi_id seed[DFQI_MLP_HEADS];
    float *dlogits; /* [total - cells] */
};

void dfqi_gen_defaults(dfqi_gen_options *o)
{
    *o = (dfqi_gen_options){.width = 256,
                            .blocks = 4,
                            .batch = 1024,
                            .steps = 5000,
                            .held_out = 8192,
                            .rate = 1e-3f,
                            .smoothing = 0.1f};
    for (int32_t m = 0; m < DFQ_METRICS_MAX; m++) o->weight[m] = 1;
}

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check(dfq_context *ctx, const dfq_problem *p, const dfqi_gen_options *o)
{
    if (!p->cost_table || !p->choices || p->n_metrics < 1 || p->n_metrics > DFQ_METRICS_MAX ||
        p->n_fields < 1 || p->n_fields > DFQI_MLP_HEADS)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "generator: it needs a cost_table and 1 to %d fields, there are %d",
                         (int)DFQI_MLP_HEADS, (int)p->n_fields);
    if (o->batch < 2 || o->batch > 65536 || o->steps < 1 || o->held_out < o->batch ||
        o->held_out % o->batch != 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "generator: batch %lld, %lld steps, %lld held out; a batch has 2 to 65536 "
                         "samples, there is a step at least, and whole batches are held out",
                         (long long)o->batch, (long long)o->steps, (long long)o->held_out);
    return DFQ_OK;
}

static dfq_status build_one(dfqi_gen *g)
{
    const int32_t *sizes = g->net.heads;
    float *at = g->dlogits;
    DFQI_TRY(dfqi_mlp_pass_begin(&g->net, 1, false, &g->one));
    for (int32_t i = 0; i < g->net.n_heads; i++)
        g->seed[i] = dfqi_graph_input(g->one.g, "seed", 1, 1, (int64_t[]){sizes[i]});
    DFQI_TRY(dfqi_mlp_pass_end(&g->one, g->net.n_heads, g->one.out, g->seed,
                               DFQI_MLP_DX | DFQI_MLP_DPARAMS));
    dfqi_exec_bind(g->one.e, g->one.x, g->x);
    for (int32_t i = 0; i < g->net.n_heads; at += sizes[i++])
        dfqi_exec_bind(g->one.e, g->seed[i], at);
    return DFQ_OK;
}

static dfq_status fill(dfqi_gen *g)
{
    const dfq_problem *p = &g->given;
    size_t batch = (size_t)g->o.batch;
    DFQI_TRY(dfqi_domain_new(g->ctx, p->n_groups, p->n_fields, p->choices, &g->space));
    if (g->space.cells < 1)
        return dfqi_fail(g->ctx, DFQ_E_INVALID, "generator: the space has no cells");
    DFQI_TRY(dfqi_mlp_new(g->ctx, g->space.cells, g->o.width, g->o.blocks, p->n_fields,
                          g->space.choices + p->n_groups - p->n_fields, g->o.seed, &g->net));
    g->x = dfqi_calloc(g->ctx, batch * (size_t)g->space.cells, sizeof *g->x);
    g->wanted = dfqi_calloc(g->ctx, batch * (size_t)g->space.total, sizeof *g->wanted);
    g->config = dfqi_calloc(g->ctx, batch, sizeof *g->config);
    g->start = dfqi_calloc(g->ctx, (size_t)g->net.count, sizeof *g->start);
    g->dlogits = dfqi_calloc(g->ctx, (size_t)g->space.total, sizeof *g->dlogits);
    if (!g->x || !g->wanted || !g->config || !g->start || !g->dlogits) return DFQ_E_NOMEM;
    return build_one(g);
}

dfq_status dfqi_gen_new(dfq_context *ctx, const dfq_problem *p, const dfqi_gen_options *o,
                        dfqi_gen **out)
{
    DFQI_TRY(check(ctx, p, o));
    dfqi_gen *g = dfqi_calloc(ctx, 1, sizeof *g);
    if (!g) return DFQ_E_NOMEM;
    g->ctx = dfqi_context_retain(ctx);
    g->space.ctx = ctx;
    g->o = *o;
    g->given = *p;
    dfq_status status = fill(g);
    if (status == DFQ_OK)
        *out = g;
    else
        dfqi_gen_release(g);
    return status;
}

void dfqi_gen_release(dfqi_gen *g)
{
    if (!g) return;
    dfq_context *ctx = g->ctx;
    dfqi_mlp_pass_fini(&g->one);
    dfqi_mlp_fini(&g->net);
    dfqi_domain_fini(&g->space);
    dfqi_free(ctx, g->x);
    dfqi_free(ctx, g->wanted);
    dfqi_free(ctx, g->config);
    dfqi_free(ctx, g->start);
    dfqi_free(ctx, g->dlogits);
    dfqi_free(ctx, g);
    dfqi_context_release(ctx);
}

/* -- labels ------------------------------------------------------------------------------------ */

/* The mean over accelerators of what a uniform mixture costs: the metric's unit. */
static double unit_of(const dfqi_gen *g, int32_t metric)
{
    const dfqi_domain *s = &g->space;
    size_t configs = (size_t)s->configs, m = (size_t)metric;
    double sum = 0;
    for (size_t c = 0; g->given.base_table && c < configs; c++)
        sum += g->given.base_table[m * configs + c];
    for (int32_t k = 0; k < s->n_groups - s->n_fields; k++)
        for (int32_t i = s->first[k]; i < s->first[k + 1]; i++)
            for (size_t c = 0; c < configs; c++)
                sum += g->given.cost_table[(m * (size_t)s->cells + (size_t)i) * configs + c] /
                       s->choices[k];
    return sum / s->configs;
}

static void add_metric(const dfqi_gen *g, int32_t metric, labels *l)
{
    size_t configs = (size_t)g->space.configs, cells = (size_t)g->space.cells, m = (size_t)metric;
    double unit = unit_of(g, metric), weight = unit > 0 ? g->o.weight[metric] / unit : 0;
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

typedef struct training {
    dfqi_gen *g;
    const dfqi_samples *samples;
    uint64_t stream;
    int64_t step;
    labels labels;
    dfqi_mlp_pass pass;
    dfqi_id loss[DFQI_MLP_HEADS]; /* [B] of each head */
} training;

static void draw_row(void *arg, int64_t row, int32_t thread)
{
    training *t = arg;
    uint64_t i = (uint64_t)(t->step * t->g->o.batch + row);
    dfqi_rng r = dfqi_rng_make(t->g->o.seed, t->stream << 56 | i);
    (void)thread;
    dfqi_samples_network(t->samples, &r, t->g->x + row * t->g->space.cells);
}

/* Where the labels of field k begin. */
static float *wanted_of(const dfqi_gen *g, int32_t k)
{
    const dfqi_domain *s = &g->space;
    return g->wanted + g->o.batch * (s->first[s->n_groups - s->n_fields + k] - s->cells);
}

static void label_row(void *arg, int64_t row, int32_t thread)
{
    training *t = arg;
    dfqi_gen *g = t->g;
    const dfqi_domain *s = &g->space;
    const float *cost = dfqi_exec_data(t->labels.e, t->labels.out) + row * s->configs;
    int32_t best = 0;
    (void)thread;
    for (int32_t c = 1; c < s->configs; c++)
        if (cost[c] < cost[best]) best = c;
    g->config[row] = best;
    for (int32_t k = s->n_fields - 1; k >= 0; k--) {
        int32_t n = g->net.heads[k];
        float *wanted = wanted_of(g, k) + row * n, rest = g->o.smoothing / (float)n;
        for (int32_t i = 0; i < n; i++) wanted[i] = rest;
        wanted[best % n] += 1 - g->o.smoothing;
        best /= n;
    }
}

static dfq_status draw(void *user, int64_t step)
{
    training *t = user;
    t->step = step;
    dfqi_parallel_for(t->g->ctx, t->g->o.batch, draw_row, t);
    DFQI_TRY(dfqi_exec_run(t->labels.e));
    dfqi_parallel_for(t->g->ctx, t->g->o.batch, label_row, t);
    return DFQ_OK;
}

/* -- training ---------------------------------------------------------------------------------- */

static double mean_loss(void *user)
{
    const training *t = user;
    double sum = 0;
    for (int32_t k = 0; k < t->g->net.n_heads; k++) {
        const float *loss = dfqi_exec_data(t->pass.e, t->loss[k]);
        for (int64_t i = 0; i < t->g->o.batch; i++) sum += (double)loss[i];
    }
    return sum / (double)t->g->o.batch;
}

static dfq_status build_training(training *t)
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
static void judge_row(const training *t, const dfqi_mlp_pass *p, int64_t row, dfqi_gen_quality *q)
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

static dfq_status judge(training *t)
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

dfq_status dfqi_gen_train(dfqi_gen *g)
{
    dfqi_samples s;
    training t = {.g = g, .samples = &s, .stream = TRAIN_STREAM};
    dfq_status status;
    DFQI_TRY(dfqi_samples_new(&g->space, g->given.n_metrics, g->given.cost_table,
                              g->given.base_table, g->o.seed, g->o.steps * g->o.batch, &s));
    DFQI_GOTO(labels_new(g, &t.labels), out);
    DFQI_GOTO(build_training(&t), out);
    const dfqi_mlp_job job = {.net = &g->net,
                              .pass = &t.pass,
                              .stage = "generator",
                              .steps = g->o.steps,
                              .rate = g->o.rate,
                              .fill = draw,
                              .loss = mean_loss,
                              .user = &t};
    DFQI_GOTO(dfqi_mlp_train(&job), out);
    status = judge(&t);
out:
    dfqi_mlp_pass_fini(&t.pass);
    labels_fini(&t.labels);
    dfqi_samples_fini(&s);
    return status;
}

dfqi_gen_quality dfqi_gen_judged(const dfqi_gen *g)
{
    return g->quality;
}

/* -- in a search ------------------------------------------------------------------------------- */

static dfq_status make_logits(void *user, const double *p, const double *v, double *out)
{
    dfqi_gen *g = user;
    dfqi_mlp_set(&g->net, v);
    for (int32_t i = 0; i < g->space.cells; i++) g->x[i] = (float)p[i];
    DFQI_TRY(dfqi_exec_run(g->one.e));
    for (int32_t k = 0; k < g->net.n_heads; k++) {
        const float *z = dfqi_exec_data(g->one.e, g->one.out[k]);
        for (int32_t i = 0; i < g->net.heads[k]; i++) *out++ = (double)z[i];
    }
    return DFQ_OK;
}

static dfq_status make_gradient(void *user, const double *dlogits, double *dp, double *dv)
{
    dfqi_gen *g = user;
    for (int32_t i = 0; i < g->space.total - g->space.cells; i++) g->dlogits[i] = (float)dlogits[i];
    DFQI_TRY(dfqi_exec_run(g->one.e));
    const float *dx = dfqi_exec_data(g->one.e, g->one.dx);
    for (int32_t i = 0; i < g->space.cells; i++) dp[i] = (double)dx[i];
    for (int32_t i = 0; i < g->net.n_params; i++) {
        const float *d = dfqi_exec_data(g->one.e, g->one.grad[i]);
        for (int64_t k = 0; k < dfqi_tensor_count(g->net.params[i]); k++) *dv++ = (double)d[k];
    }
    return DFQ_OK;
}

dfqi_fields dfqi_gen_fields(dfqi_gen *g)
{
    dfqi_mlp_get(&g->net, g->start);
    return (dfqi_fields){.n = g->net.count,
                         .start = g->start,
                         .logits = make_logits,
                         .gradient = make_gradient,
                         .user = g};
}
