/* A pass: the graph of one path of a supernet, and the values and gradients read after a run. */
#include <string.h>

#include "base/memory.h"
#include "graph/ops.h"
#include "nn/supernet_priv.h"

void dfqi_super_params(dfqi_super_pass *p, int32_t i, int64_t in, int64_t out)
{
    const dfqi_super_layer *l = &p->net->layers[i];
    for (int32_t k = 0; p->given && k < dfqi_super_layer_tensors(l); k++)
        p->taps[i].t[k] = *p->given++;
    for (int32_t k = 0; k < DFQI_SUPER_TENSORS && l->t[k]; k++) {
        const dfq_tensor *t = l->t[k];
        dfqi_id x = dfqi_graph_param(p->g, NULL, t, 0);
        if (out < t->dims[0] || (t->rank == 2 && in < t->dims[1])) {
            x = dfqi_leading(p->g, x, out, t->rank == 2 ? in : 1, l->groups);
            if (l->closes) dfqi_graph_keep(p->g, x); /* for gates */
        }
        p->taps[i].t[k] = x;
    }
}

static void add_loss(dfqi_super_pass *p)
{
    p->targets = dfqi_graph_input(p->g, "targets", 1, 1, &p->net->space.classes);
    dfqi_id losses = dfqi_soft_cross_entropy(p->g, p->logits, p->targets);
    p->loss = dfqi_total(p->g, 1, &losses, (float[]){1.0f});
    dfqi_graph_keep(p->g, p->loss);
}

/* Gradients of all that is trained. */
static dfq_status backward(dfqi_super_pass *p)
{
    int32_t n = 0, most = p->net->n_layers * 3;
    dfq_status status;
    dfqi_id *wrt = dfqi_calloc(p->net->ctx, 2 * (size_t)most, sizeof *wrt), *grad;
    if (!wrt) return DFQ_E_NOMEM;
    grad = wrt + most;
    dfqi_id one = dfqi_fill(p->g, p->loss, 1.0f);
    for (int32_t i = 0; i < p->net->n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&p->net->layers[i]); k++)
            if (p->taps[i].t[k] != DFQI_NONE) wrt[n++] = p->taps[i].t[k];
    DFQI_GOTO(dfqi_graph_status(p->g), out);
    DFQI_GOTO(dfqi_graph_grad(p->g, 1, &p->loss, &one, n, wrt, grad), out);
    n = 0;
    for (int32_t i = 0; i < p->net->n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&p->net->layers[i]); k++)
            if (p->taps[i].t[k] != DFQI_NONE) dfqi_graph_keep(p->g, p->taps[i].grad[k] = grad[n++]);
    status = dfqi_graph_status(p->g);
out:
    dfqi_free(p->net->ctx, wrt);
    return status;
}

void dfqi_super_pass_fini(dfqi_super_pass *p)
{
    dfqi_exec_free(p->e);
    dfqi_graph_free(p->g);
    if (p->net) dfqi_free(p->net->ctx, p->taps);
    memset(p, 0, sizeof *p);
}

static dfq_status check_path(const dfqi_supernet *net, const int32_t *path)
{
    for (int32_t c = 0; c < net->n_cells; c++)
        if (path[c] < 0 || path[c] >= dfqi_supernet_choices(net, c))
            return dfqi_fail(net->ctx, DFQ_E_INVALID,
                             "the choice of cell %d is %d, must be 0 to %d", c, path[c],
                             dfqi_supernet_choices(net, c) - 1);
    for (int32_t c = 0; net->derived && c < net->n_cells; c++)
        if (path[c] != net->path[c])
            return dfqi_fail(net->ctx, DFQ_E_INVALID,
                             "the choice of cell %d is %d, which this derived network does not "
                             "have; use its own path",
                             c, path[c]);
    return DFQ_OK;
}

/* All of a pass but its executor. */
static dfq_status build(const dfqi_supernet *net, const int32_t *path, int64_t batch,
                        dfqi_super_mode mode, dfqi_super_pass *out)
{
    const dfqi_super_row *row = dfqi_super_row_of(&net->space);
    dfqi_super_pass p = {.net = net, .batch = batch, .eps = row->eps};
    int64_t s = net->space.image;
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(check_path(net, path));
    p.taps = dfqi_calloc(net->ctx, (size_t)net->n_layers, sizeof *p.taps);
    if (!p.taps) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < net->n_layers; i++)
        p.taps[i] = (dfqi_super_tap){
            .t = {-1, -1, -1, -1, -1}, .grad = {-1, -1, -1}, .mean = DFQI_NONE, .var = DFQI_NONE};
    DFQI_GOTO(dfqi_graph_new(net->ctx, batch, &p.g), fail);
    p.x = dfqi_graph_input(p.g, "image", 1, 3, (int64_t[]){3, s, s});
    row->forward(&p, path, mode);
    dfqi_graph_keep(p.g, p.logits);
    if (mode != DFQI_SUPER_EVAL) add_loss(&p);
    if (mode == DFQI_SUPER_TRAIN) DFQI_GOTO(backward(&p), fail);
    DFQI_GOTO(dfqi_graph_status(p.g), fail);
    *out = p;
    return DFQ_OK;
fail:
    dfqi_super_pass_fini(&p);
    return status;
}

dfq_status dfqi_super_pass_new(const dfqi_supernet *net, const int32_t *path, int64_t batch,
                               dfqi_super_mode mode, dfqi_super_pass *out)
{
    dfqi_super_pass p;
    DFQI_TRY(build(net, path, batch, mode, &p));
    dfq_status status = dfqi_exec_new_in(p.g, net->work, &p.e);
    if (status == DFQ_OK)
        *out = p;
    else
        dfqi_super_pass_fini(&p);
    return status;
}

dfq_status dfqi_super_graph(dfq_context *ctx, const dfqi_supernet_space *space, const int32_t *path,
                            dfqi_graph **out, int32_t (*out_span)[2])
{
    dfqi_supernet net;
    dfqi_super_pass p;
    DFQI_TRY(dfqi_super_make(ctx, space, path, &net));
    dfq_status status = build(&net, path, 1, DFQI_SUPER_EVAL, &p);
    if (status == DFQ_OK) {
        memcpy(out_span, p.span, (size_t)net.n_cells * sizeof *out_span);
        *out = p.g;
        p.g = NULL;
        dfqi_super_pass_fini(&p);
    }
    dfqi_supernet_fini(&net);
    return status;
}

dfq_status dfqi_supernet_macs(const dfqi_supernet *net, const int32_t *path, double *out)
{
    dfqi_super_pass p;
    DFQI_TRY(build(net, path, 1, DFQI_SUPER_EVAL, &p));
    *out = dfqi_graph_products(p.g);
    dfqi_super_pass_fini(&p);
    return DFQ_OK;
}

/* -- after a run ------------------------------------------------------------------------------- */

void dfqi_super_pass_copy(const dfqi_super_pass *p, int32_t layer, int32_t k, float *whole,
                          float *part, int back)
{
    const dfq_tensor *t = p->net->layers[layer].t[k];
    const dfqi_value *v = dfqi_graph_value(p->g, p->taps[layer].t[k]);
    int64_t groups = p->net->layers[layer].groups, rows = v->dims[0] / groups;
    int64_t cols = dfqi_value_count(v) / v->dims[0], stride = dfqi_tensor_count(t) / t->dims[0];
    for (int64_t i = 0; i < v->dims[0]; i++, part += cols) {
        float *row = whole + (i / rows * (t->dims[0] / groups) + i % rows) * stride;
        memcpy(back ? row : part, back ? part : row, (size_t)cols * sizeof *row);
    }
}

dfq_status dfqi_supernet_hand_down(const dfqi_supernet *net, dfqi_supernet *derived)
{
    dfqi_super_pass p;
    DFQI_TRY(dfqi_super_pass_new(net, derived->path, 1, DFQI_SUPER_EVAL, &p));
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < DFQI_SUPER_TENSORS; k++)
            if (derived->layers[i].t[k] && p.taps[i].t[k] != DFQI_NONE)
                dfqi_super_pass_copy(&p, i, k, dfqi_tensor_f32(net->layers[i].t[k]),
                                     dfqi_tensor_f32(derived->layers[i].t[k]), 0);
    dfqi_super_pass_fini(&p);
    return DFQ_OK;
}

void dfqi_super_pass_track(const dfqi_super_pass *p, float momentum)
{
    for (int32_t i = 0; i < p->net->n_layers; i++) {
        const dfqi_super_tap *tap = &p->taps[i];
        const dfqi_super_layer *l = &p->net->layers[i];
        if (tap->mean == DFQI_NONE) continue;
        const float *mean = dfqi_exec_data(p->e, tap->mean), *var = dfqi_exec_data(p->e, tap->var);
        float *rm = dfqi_tensor_f32(l->t[3]), *rv = dfqi_tensor_f32(l->t[4]);
        float n = (float)tap->values, unbiased = tap->values > 1 ? n / (n - 1.0f) : 1.0f;
        for (int64_t c = 0; c < l->out; c++) {
            rm[c] += momentum * (mean[c] - rm[c]);
            rv[c] += momentum * (var[c] * unbiased - rv[c]);
        }
    }
}

/* The gradient of a gate without a node of its own. A cell adds the output of its last layer to the
 * shortcut. That output is linear in two tensors of the layer: gamma and beta of a BatchNorm, or
 * weight and bias of a linear layer. A gate on the output scales both, so at gate 1 d/d gate = sum
 * over both of <tensor, d/d tensor>. */
void dfqi_super_pass_gates(const dfqi_super_pass *p, double *out)
{
    for (int32_t c = 0; c < p->net->n_cells; c++) out[c] = 0;
    for (int32_t i = 0; i < p->net->n_layers; i++) {
        const dfqi_super_layer *l = &p->net->layers[i];
        const dfqi_super_tap *tap = &p->taps[i];
        int32_t first = l->kind == DFQI_SUPER_CONV ? 1 : 0;
        if (!l->closes || tap->t[0] == DFQI_NONE) continue;
        for (int32_t k = first; k < first + 2; k++) {
            const float *v = dfqi_exec_data(p->e, tap->t[k]);
            const float *g = dfqi_exec_data(p->e, tap->grad[k]);
            int64_t n = dfqi_value_count(dfqi_graph_value(p->g, tap->t[k]));
            for (int64_t j = 0; j < n; j++) out[l->cell] += (double)v[j] * g[j];
        }
    }
}
