/* The residual perceptron of mlp.h as a graph, its training step, and its arrays. */
#include "explore/cost_networks/mlp.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"

enum { INIT_STREAM = 0x3A1, CALIBRATE = 64 };

static const float eps = 1e-5f;

void dfqi_mlp_defaults(dfqi_mlp_options *o)
{
    *o = (dfqi_mlp_options){.width = 256,
                            .blocks = 4,
                            .batch = 1024,
                            .steps = 5000,
                            .held_out = 8192,
                            .learning_rate = 1e-3f};
}

dfq_status dfqi_mlp_check(dfq_context *ctx, const char *name, const dfqi_mlp_options *o)
{
    if (o->batch >= 2 && o->batch <= 65536 && o->steps >= 1 && o->held_out >= o->batch &&
        o->held_out % o->batch == 0)
        return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "%s: batch is %lld, must be 2 to 65536; steps is %lld, must be 1 or more; "
                     "held_out is %lld, must be a multiple of batch",
                     name, (long long)o->batch, (long long)o->steps, (long long)o->held_out);
}

/* -- parameters -------------------------------------------------------------------------------- */

static dfq_status add_param(dfqi_mlp *m, int32_t rank, int64_t rows, int64_t cols)
{
    int64_t dims[2] = {rows, cols};
    DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, rank, dims, &m->params[m->n_params]));
    m->count += dfqi_tensor_count(m->params[m->n_params++]);
    return DFQ_OK;
}

static dfq_status add_linear(dfqi_mlp *m, int32_t in, int32_t out)
{
    DFQI_TRY(add_param(m, 2, out, in));
    return add_param(m, 1, out, 0);
}

static dfq_status add_block(dfqi_mlp *m, int32_t block)
{
    int64_t n = m->width;
    for (int32_t i = 0; i < 2; i++) DFQI_TRY(add_param(m, 1, n, 0));
    for (int32_t i = 0; i < 2; i++)
        DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, 1, &n, &m->stats[2 * block + i]));
    return add_linear(m, m->width, m->width);
}

static dfq_status add_params(dfqi_mlp *m)
{
    DFQI_TRY(add_linear(m, m->in, m->width));
    for (int32_t i = 0; i < m->blocks; i++) DFQI_TRY(add_block(m, i));
    for (int32_t i = 0; i < m->n_heads; i++) DFQI_TRY(add_linear(m, m->width, m->heads[i]));
    return DFQ_OK;
}

static void set_all(dfq_tensor *t, float v)
{
    for (int64_t i = 0; i < dfqi_tensor_count(t); i++) dfqi_tensor_f32(t)[i] = v;
}

static void init(dfqi_mlp *m, uint64_t seed)
{
    for (int32_t i = 0; i < m->n_params; i++) {
        dfq_tensor *t = m->params[i];
        int64_t n = dfqi_tensor_count(t);
        float size = t->rank == 2 ? sqrtf(2.0f / (float)t->dims[1]) : 0;
        dfqi_rng r = dfqi_rng_make(seed, (uint64_t)INIT_STREAM + (uint64_t)i);
        for (int64_t k = 0; k < n && size > 0; k++)
            dfqi_tensor_f32(t)[k] = size * dfqi_rng_normal(&r);
    }
    for (int32_t i = 0; i < m->blocks; i++) {
        set_all(m->params[2 + 4 * i], 1); /* gamma */
        set_all(m->stats[2 * i + 1], 1);
    }
}

dfq_status dfqi_mlp_new(dfq_context *ctx, int32_t in, int32_t width, int32_t blocks,
                        int32_t n_heads, const int32_t *heads, uint64_t seed, dfqi_mlp *out)
{
    dfqi_mlp m = {.ctx = ctx, .in = in, .width = width, .blocks = blocks, .n_heads = n_heads};
    if (in < 1 || width < 1 || width > 65536 || blocks < 0 || blocks > DFQI_MLP_BLOCKS ||
        n_heads < 1 || n_heads > DFQI_MLP_HEADS)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "network: inputs is %d, must be 1 or more; width is %d, must be 1 to "
                         "65536; blocks is %d and heads is %d, must be at most %d and 1 to %d",
                         (int)in, (int)width, (int)blocks, (int)n_heads, (int)DFQI_MLP_BLOCKS,
                         (int)DFQI_MLP_HEADS);
    memcpy(m.heads, heads, (size_t)n_heads * sizeof *heads);
    dfq_status status = add_params(&m);
    if (status != DFQ_OK) {
        dfqi_mlp_fini(&m);
        return status;
    }
    init(&m, seed);
    *out = m;
    return DFQ_OK;
}

void dfqi_mlp_fini(dfqi_mlp *m)
{
    for (int32_t i = 0; i < DFQI_MLP_PARAMS; i++) dfqi_tensor_release(m->params[i]);
    for (int32_t i = 0; i < 2 * DFQI_MLP_BLOCKS; i++) dfqi_tensor_release(m->stats[i]);
    memset(m, 0, sizeof *m);
}

void dfqi_mlp_get(const dfqi_mlp *m, double *v)
{
    for (int32_t i = 0; i < m->n_params; i++)
        for (int64_t k = 0; k < dfqi_tensor_count(m->params[i]); k++)
            *v++ = (double)dfqi_tensor_f32(m->params[i])[k];
}

void dfqi_mlp_set(dfqi_mlp *m, const double *v)
{
    for (int32_t i = 0; i < m->n_params; i++)
        for (int64_t k = 0; k < dfqi_tensor_count(m->params[i]); k++)
            dfqi_tensor_f32(m->params[i])[k] = (float)*v++;
}

/* -- graph ------------------------------------------------------------------------------------- */

static dfqi_id block(dfqi_mlp_pass *p, int32_t i, bool trained, dfqi_id x)
{
    const dfqi_id *t = p->params + 2 + 4 * i;
    dfqi_id *stats = p->stats + 2 * i, y = dfqi_relu(p->g, NULL, x, INFINITY);
    if (trained) {
        stats[0] = dfqi_batch_stats(p->g, y);
        stats[1] = dfqi_graph_output(p->g, stats[0], 1);
        for (int32_t k = 0; k < 2; k++) dfqi_graph_keep(p->g, stats[k]);
    } else {
        for (int32_t k = 0; k < 2; k++)
            stats[k] = dfqi_graph_param(p->g, NULL, p->net->stats[2 * i + k], 0);
    }
    y = dfqi_batchnorm(p->g, y, stats[0], stats[1], t[0], t[1], eps);
    return dfqi_add(p->g, x, dfqi_linear(p->g, NULL, y, t[2], t[3]));
}

dfq_status dfqi_mlp_pass_begin(const dfqi_mlp *m, int64_t batch, bool trained, dfqi_mlp_pass *p)
{
    *p = (dfqi_mlp_pass){.net = m, .dx = DFQI_NONE};
    DFQI_TRY(dfqi_graph_new(m->ctx, batch, &p->g));
    for (int32_t i = 0; i < m->n_params; i++) {
        p->params[i] = dfqi_graph_param(p->g, NULL, m->params[i], 0);
        p->grad[i] = DFQI_NONE;
    }
    p->x = dfqi_graph_input(p->g, "x", 1, 1, (int64_t[]){m->in});
    dfqi_id y = dfqi_linear(p->g, NULL, p->x, p->params[0], p->params[1]);
    for (int32_t i = 0; i < m->blocks; i++) y = block(p, i, trained, y);
    const dfqi_id *head = p->params + 2 + 4 * m->blocks;
    for (int32_t i = 0; i < m->n_heads; i++) {
        p->out[i] = dfqi_linear(p->g, NULL, y, head[2 * i], head[2 * i + 1]);
        dfqi_graph_keep(p->g, p->out[i]);
    }
    dfq_status status = dfqi_graph_status(p->g);
    if (status != DFQ_OK) dfqi_mlp_pass_fini(p);
    return status;
}

dfq_status dfqi_mlp_pass_end(dfqi_mlp_pass *p, int32_t n, const dfqi_id *value, const dfqi_id *grad,
                             int wanted)
{
    dfqi_id wrt[DFQI_MLP_PARAMS + 1], got[DFQI_MLP_PARAMS + 1];
    int32_t n_params = wanted & DFQI_MLP_DPARAMS ? p->net->n_params : 0, n_wrt = n_params;
    dfq_status status;
    memcpy(wrt, p->params, (size_t)n_params * sizeof *wrt);
    if (wanted & DFQI_MLP_DX) wrt[n_wrt++] = p->x;
    DFQI_GOTO(dfqi_graph_status(p->g), fail);
    if (n_wrt > 0) DFQI_GOTO(dfqi_graph_grad(p->g, n, value, grad, n_wrt, wrt, got), fail);
    for (int32_t i = 0; i < n_wrt; i++) dfqi_graph_keep(p->g, got[i]);
    memcpy(p->grad, got, (size_t)n_params * sizeof *got);
    if (n_wrt > n_params) p->dx = got[n_params];
    DFQI_GOTO(dfqi_graph_status(p->g), fail);
    DFQI_GOTO(dfqi_exec_new(p->g, &p->e), fail);
    return DFQ_OK;
fail:
    dfqi_mlp_pass_fini(p);
    return status;
}

void dfqi_mlp_pass_fini(dfqi_mlp_pass *p)
{
    dfqi_exec_free(p->e);
    dfqi_graph_free(p->g);
    memset(p, 0, sizeof *p);
}

void dfqi_mlp_pass_track(const dfqi_mlp_pass *p, float momentum)
{
    for (int32_t i = 0; i < 2 * p->net->blocks; i++) {
        const float *now = dfqi_exec_data(p->e, p->stats[i]);
        float *use = dfqi_tensor_f32(p->net->stats[i]);
        for (int32_t k = 0; k < p->net->width; k++) use[k] += momentum * (now[k] - use[k]);
    }
}

/* -- training ---------------------------------------------------------------------------------- */

dfq_status dfqi_mlp_adam_new(const dfqi_mlp *m, dfqi_mlp_adam *out)
{
    dfqi_mlp_adam a = {.ctx = m->ctx};
    for (int32_t i = 0; i < m->n_params; i++) {
        int64_t n = dfqi_tensor_count(m->params[i]);
        dfq_status status = dfqi_moments_new(m->ctx, DFQI_ADAMW, n, &a.moments[i]);
        if (status != DFQ_OK) {
            dfqi_mlp_adam_fini(&a);
            return status;
        }
    }
    *out = a;
    return DFQ_OK;
}

void dfqi_mlp_adam_fini(dfqi_mlp_adam *a)
{
    for (int32_t i = 0; a->ctx && i < DFQI_MLP_PARAMS; i++)
        if (a->moments[i].m) dfqi_moments_fini(a->ctx, &a->moments[i]);
    memset(a, 0, sizeof *a);
}

void dfqi_mlp_adam_step(dfqi_mlp_adam *a, dfqi_mlp *m, const dfqi_mlp_pass *p, float rate)
{
    static const dfqi_optim_options o = {
        .kind = DFQI_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    a->done++;
    for (int32_t i = 0; i < m->n_params; i++)
        dfqi_optim_step(m->ctx, &o, &a->moments[i], a->done, rate, dfqi_exec_data(p->e, p->grad[i]),
                        dfqi_tensor_f32(m->params[i]));
}

static dfq_status calibrate(const dfqi_mlp_job *j)
{
    for (int32_t k = 0; k < CALIBRATE; k++) {
        DFQI_TRY(j->fill(j->user, j->steps + k));
        DFQI_TRY(dfqi_exec_run(j->pass->e));
        dfqi_mlp_pass_track(j->pass, 1.0f / (float)(k + 1));
    }
    return DFQ_OK;
}

static dfq_status descend(const dfqi_mlp_job *j, dfqi_mlp_adam *a, double *loss)
{
    float rate = dfqi_cosine(a->done, j->steps, 0, j->learning_rate, 0);
    DFQI_TRY(j->fill(j->user, a->done));
    DFQI_TRY(dfqi_exec_run(j->pass->e));
    *loss = j->loss(j->user);
    if (!isfinite(*loss))
        return dfqi_fail(j->net->ctx, DFQ_E_NUMERIC,
                         "%s: the loss of step %lld is %g at a learning rate of %g; check the "
                         "costs that it learns",
                         j->stage, (long long)a->done, *loss, (double)j->learning_rate);
    dfqi_mlp_adam_step(a, j->net, j->pass, rate);
    return DFQ_OK;
}

dfq_status dfqi_mlp_train_step(const dfqi_mlp_job *j, dfqi_mlp_adam *a, double *loss)
{
    if (a->done < j->steps) DFQI_TRY(descend(j, a, loss));
    return a->done == j->steps ? calibrate(j) : DFQ_OK;
}

int32_t dfqi_mlp_arrays(const dfqi_mlp *m, const dfqi_mlp_adam *a, dfqi_mlp_array *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < m->n_params; i++)
        out[n++] = (dfqi_mlp_array){dfqi_tensor_count(m->params[i]), dfqi_tensor_f32(m->params[i])};
    for (int32_t i = 0; i < 2 * m->blocks; i++)
        out[n++] = (dfqi_mlp_array){m->width, dfqi_tensor_f32(m->stats[i])};
    for (int32_t i = 0; a && i < m->n_params; i++) {
        out[n++] = (dfqi_mlp_array){a->moments[i].count, a->moments[i].m};
        out[n++] = (dfqi_mlp_array){a->moments[i].count, a->moments[i].v};
    }
    return n;
}
