/* The hardware generation network GEN: creation, and its use in a search. */
#include "base/memory.h"
#include "explore/cost_networks/hw_generator_priv.h"
#include "graph/ops.h"

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check(dfq_context *ctx, const dfq_problem *p, const dfqi_mlp_options *o)
{
    if (!p->cost_table || !p->choices || p->n_metrics < 1 || p->n_metrics > DFQ_METRICS_MAX ||
        p->n_hw_params < 1 || p->n_hw_params > DFQI_MLP_HEADS)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "hw-generator: the problem must have a cost_table and 1 to %d hardware "
                         "parameters, it has %d",
                         (int)DFQI_MLP_HEADS, (int)p->n_hw_params);
    return dfqi_mlp_check(ctx, "hw-generator", o);
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
    DFQI_TRY(dfqi_domain_new(g->ctx, p->n_groups, p->n_hw_params, p->choices, &g->space));
    if (g->space.cells < 1)
        return dfqi_fail(g->ctx, DFQ_E_INVALID, "hw-generator: the space has no cells");
    DFQI_TRY(dfqi_mlp_new(g->ctx, g->space.cells, g->o.width, g->o.blocks, p->n_hw_params,
                          g->space.choices + p->n_groups - p->n_hw_params, g->o.seed, &g->net));
    g->x = dfqi_calloc(g->ctx, batch * (size_t)g->space.cells, sizeof *g->x);
    g->wanted = dfqi_calloc(g->ctx, batch * (size_t)g->space.total, sizeof *g->wanted);
    g->config = dfqi_calloc(g->ctx, batch, sizeof *g->config);
    g->start = dfqi_calloc(g->ctx, (size_t)g->net.count, sizeof *g->start);
    g->dlogits = dfqi_calloc(g->ctx, (size_t)g->space.total, sizeof *g->dlogits);
    if (!g->x || !g->wanted || !g->config || !g->start || !g->dlogits) return DFQ_E_NOMEM;
    return build_one(g);
}

dfq_status dfqi_gen_new(dfq_context *ctx, const dfq_problem *p, const dfqi_mlp_options *o,
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
    dfqi_gen_forget(g);
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

dfqi_hw_params dfqi_gen_hw_params(dfqi_gen *g)
{
    if (!g->searched) dfqi_mlp_get(&g->net, g->start);
    g->searched = true;
    return (dfqi_hw_params){.n = g->net.count,
                            .start = g->start,
                            .logits = make_logits,
                            .gradient = make_gradient,
                            .user = g};
}
