/* The cost estimation network EST: creation, and its use in a search. */
#include "explore/cost_networks/evaluator.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "explore/cost_networks/evaluator_priv.h"
#include "graph/ops.h"

static const double ln2 = 0.69314718055994530942;

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check(dfq_context *ctx, const dfq_problem *p, const dfqi_mlp_options *o)
{
    if (!p->cost_table || !p->choices || p->n_metrics < 1 || p->n_metrics > DFQ_METRICS_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "evaluator: cost_table is NULL; give the table to learn from");
    return dfqi_mlp_check(ctx, "evaluator", o);
}

/* The least that a network costs on each accelerator has a logarithm. */
static dfq_status check_metric(const dfqi_evaluator *e, int32_t metric)
{
    const dfqi_domain *s = &e->space;
    size_t configs = (size_t)s->configs, m = (size_t)metric;
    for (size_t c = 0; c < configs; c++) {
        double least = e->given.base_table ? e->given.base_table[m * configs + c] : 0;
        for (int32_t g = 0; g < s->n_groups - s->n_hw_params; g++) {
            double best = INFINITY;
            for (int32_t i = s->first[g]; i < s->first[g + 1]; i++)
                best = fmin(best,
                            e->given.cost_table[(m * (size_t)s->cells + (size_t)i) * configs + c]);
            least += best;
        }
        if (!(least > 0 && isfinite(least)))
            return dfqi_fail(e->ctx, DFQ_E_INVALID,
                             "evaluator: metric %d is %g on accelerator %zu, must be above 0, "
                             "since its logarithm is learned",
                             (int)metric, least, c);
    }
    return DFQ_OK;
}

static dfq_status list_metrics(dfqi_evaluator *e)
{
    size_t n = (size_t)e->space.cells * (size_t)e->space.configs;
    for (int32_t m = 0; m < e->given.n_metrics; m++) {
        const double *t = e->given.cost_table + (size_t)m * n;
        size_t i = 0;
        e->quality.tau[m] = 1;
        while (i < n && t[i] == 0) i++;
        if (i == n) continue;
        DFQI_TRY(check_metric(e, m));
        e->learned[e->n_learned++] = m;
    }
    if (e->n_learned > 0) return DFQ_OK;
    return dfqi_fail(e->ctx, DFQ_E_INVALID,
                     "evaluator: no metric depends on the network; use the tables");
}

static dfq_status build_one(dfqi_evaluator *e)
{
    DFQI_TRY(dfqi_mlp_pass_begin(&e->net, 1, false, &e->one));
    e->seed = dfqi_graph_input(e->one.g, "seed", 1, 1, (int64_t[]){e->n_learned});
    return dfqi_mlp_pass_end(&e->one, 1, e->one.out, &e->seed, DFQI_MLP_DX);
}

static dfq_status fill(dfqi_evaluator *e)
{
    const dfq_problem *p = &e->given;
    size_t batch = (size_t)e->o.batch;
    DFQI_TRY(dfqi_domain_new(e->ctx, p->n_groups, p->n_hw_params, p->choices, &e->space));
    DFQI_TRY(dfqi_additive_new(&e->space, p->n_metrics, p->cost_table, p->base_table, &e->tables));
    DFQI_TRY(list_metrics(e));
    DFQI_TRY(dfqi_mlp_new(e->ctx, e->space.total, e->o.width, e->o.blocks, 1, &e->n_learned,
                          e->o.seed, &e->net));
    e->x = dfqi_calloc(e->ctx, batch * (size_t)e->space.total, sizeof *e->x);
    e->minus = dfqi_calloc(e->ctx, batch * (size_t)e->n_learned, sizeof *e->minus);
    return e->x && e->minus ? build_one(e) : DFQ_E_NOMEM;
}

dfq_status dfqi_evaluator_new(dfq_context *ctx, const dfq_problem *p, const dfqi_mlp_options *o,
                              dfqi_evaluator **out)
{
    DFQI_TRY(check(ctx, p, o));
    dfqi_evaluator *e = dfqi_calloc(ctx, 1, sizeof *e);
    if (!e) return DFQ_E_NOMEM;
    e->ctx = dfqi_context_retain(ctx);
    e->space.ctx = ctx;
    e->o = *o;
    e->given = *p;
    dfq_status status = fill(e);
    if (status == DFQ_OK)
        *out = e;
    else
        dfqi_evaluator_release(e);
    return status;
}

void dfqi_evaluator_release(dfqi_evaluator *e)
{
    if (!e) return;
    dfq_context *ctx = e->ctx;
    dfqi_evaluator_forget(e);
    dfqi_mlp_pass_fini(&e->one);
    dfqi_mlp_fini(&e->net);
    dfqi_additive_fini(&e->tables);
    dfqi_domain_fini(&e->space);
    dfqi_free(ctx, e->x);
    dfqi_free(ctx, e->minus);
    dfqi_free(ctx, e);
    dfqi_context_release(ctx);
}

/* -- in a search ------------------------------------------------------------------------------- */

/* The accelerator's number, its hardware parameters' likeliest choices; the network's input in row
 * 0 of e->x. */
static int32_t make_input(dfqi_evaluator *e, const double *p)
{
    const dfqi_domain *s = &e->space;
    int32_t config = 0;
    for (int32_t i = 0; i < s->total; i++) e->x[i] = i < s->cells ? (float)p[i] : 0;
    for (int32_t g = s->n_groups - s->n_hw_params; g < s->n_groups; g++) {
        int32_t best = s->first[g];
        for (int32_t i = best + 1; i < s->first[g + 1]; i++)
            if (p[i] > p[best]) best = i;
        e->x[best] = 1;
        config = config * s->choices[g] + best - s->first[g];
    }
    return config;
}

static double base_at(const dfqi_evaluator *e, int32_t metric, int32_t config)
{
    const double *t = e->given.base_table;
    return t ? t[(size_t)metric * (size_t)e->space.configs + (size_t)config] : 0;
}

/* From the table, at a single accelerator: so does its multilinear extension change. */
static void read_table(const dfqi_evaluator *e, int32_t metric, int32_t config, double *cost,
                       double *gradient)
{
    const dfqi_domain *s = &e->space;
    int32_t stride = 1;
    *cost = base_at(e, metric, config);
    if (!gradient) return;
    memset(gradient, 0, (size_t)s->cells * sizeof *gradient);
    for (int32_t g = s->n_groups - 1; g >= s->n_groups - s->n_hw_params; g--) {
        int32_t first = config - config / stride % s->choices[g] * stride;
        for (int32_t k = 0; k < s->choices[g]; k++)
            gradient[s->first[g] + k] = base_at(e, metric, first + k * stride);
        stride *= s->choices[g];
    }
}

dfq_status dfqi_evaluator_costs(const double *p, double *costs, double *gradients, void *evaluator)
{
    dfqi_evaluator *e = evaluator;
    size_t total = (size_t)e->space.total;
    float seed[DFQ_METRICS_MAX] = {0};
    int32_t config = make_input(e, p);
    dfqi_exec_bind(e->one.e, e->one.x, e->x);
    dfqi_exec_bind(e->one.e, e->seed, seed);
    for (int32_t m = 0; m < e->given.n_metrics; m++)
        read_table(e, m, config, &costs[m], gradients ? gradients + (size_t)m * total : NULL);
    for (int32_t k = 0; k < e->n_learned && (gradients || k == 0); k++) {
        double *g = gradients ? gradients + (size_t)e->learned[k] * total : NULL;
        seed[k] = 1;
        DFQI_TRY(dfqi_exec_run(e->one.e));
        seed[k] = 0;
        const float *out = dfqi_exec_data(e->one.e, e->one.out[0]);
        const float *dx = dfqi_exec_data(e->one.e, e->one.dx);
        for (int32_t i = 0; i < e->n_learned; i++) costs[e->learned[i]] = exp2((double)out[i]);
        for (size_t i = 0; g && i < total; i++) g[i] = costs[e->learned[k]] * ln2 * (double)dx[i];
    }
    return DFQ_OK;
}

dfq_status dfqi_evaluator_exact(const int32_t *choice, double *costs, void *evaluator)
{
    const dfqi_evaluator *e = evaluator;
    dfqi_additive_exact(&e->tables, choice, costs);
    return DFQ_OK;
}
