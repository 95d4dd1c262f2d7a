/* The network: see net.h. */
#include "graph/net.h"

#include <string.h>

#include "base/rng.h"
#include "graph/ops.h"
#include "support/small_vit.h"

enum { CLASSES = 10, IMAGE = 16 };

static dfqi_id quantize(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                        dfqi_id value, void *user)
{
    const net *n = user;
    (void)name;
    if (op == DFQI_OP_LINEAR && slot == 1)
        return dfqi_fq_weight(g, value, DFQI_NONE, DFQI_NONE, DFQI_NONE, 4, 1);
    return dfqi_fq(g, value, n->scale, n->zero_point, -8, 7, 0.1f, 0.1f);
}

static void fill_weights(dfqi_network *of)
{
    dfqi_rng rng = dfqi_rng_make(5, 0);
    for (int32_t i = 0; i < of->n_params; i++) {
        float *w = dfqi_tensor_f32(of->params[i].tensor);
        for (int64_t k = 0; k < dfqi_tensor_count(of->params[i].tensor); k++)
            w[k] = 0.2f * dfqi_rng_normal(&rng) + (strstr(of->params[i].name, "norm") ? 0.5f : 0);
    }
}

/* Cross-entropy, inter-head similarity of both blocks, total variation. */
static void add_losses(net *n, const dfqi_taps *taps, int flags)
{
    dfqi_graph *g = n->g;
    dfqi_id ce = dfqi_cross_entropy(g, taps->logits, n->labels_id);
    dfqi_id ih = dfqi_add(g, dfqi_inter_head(g, taps->raw[0], 1, 1, DFQI_DISTANCE_SQUARE),
                          dfqi_inter_head(g, taps->raw[1], 1, 1, DFQI_DISTANCE_SQUARE));
    dfqi_id value[2] = {ce, ih}, wrt[NET_PARAMS_MAX + 2];
    int32_t n_seeds = 2, n_wrt = 0;
    dfqi_id seed[2];
    if (!(flags & NET_PER_IMAGE)) {
        dfqi_id term[3] = {ce, ih, dfqi_tv(g, n->x_id, 1.0f, DFQI_NONE)};
        value[0] = dfqi_total(g, 3, term, (float[]){1, 0.5f, 0.01f});
        n_seeds = 1;
    }
    for (int32_t i = 0; i < n_seeds; i++) {
        seed[i] = dfqi_fill(g, value[i], 1);
        n->out[n->n_out++] = value[i];
    }
    if (flags & NET_DX) wrt[n_wrt++] = n->x_id;
    if ((flags & NET_FAKE) && !(flags & NET_FROZEN)) wrt[n_wrt++] = n->scale;
    for (int32_t i = 0; (flags & NET_DPARAMS) && i < n->net.n_params; i++) wrt[n_wrt++] = n->ids[i];
    if (n_wrt && dfqi_graph_grad(g, n_seeds, value, seed, n_wrt, wrt, n->out + n->n_out) == DFQ_OK)
        n->n_out += n_wrt;
}

dfq_status dfqt_net_build(net *n, dfq_context *ctx, int64_t batch, int flags)
{
    dfqi_id raw[2];
    dfqi_taps taps = {.raw = raw};
    *n = (net){.ctx = ctx, .grid = {0.05f, -0.3f}};
    const dfqi_arch arch = dfqt_small_vit(CLASSES, 48);
    DFQI_TRY(dfqi_network_new(ctx, &arch, &n->net));
    fill_weights(&n->net);
    n->x = dfqi_calloc(ctx, (size_t)(batch * 3 * IMAGE * IMAGE), sizeof(float));
    n->labels = dfqi_calloc(ctx, (size_t)batch, sizeof(float));
    if (!n->x || !n->labels) return DFQ_E_NOMEM;
    DFQI_TRY(dfqi_graph_new(ctx, batch, &n->g));
    dfqi_graph *g = n->g;
    n->x_id = dfqi_graph_input(g, "x", 1, 3, (int64_t[]){3, IMAGE, IMAGE});
    n->labels_id = dfqi_graph_input(g, "labels", 1, 0, NULL);
    n->scale = dfqi_graph_input(g, "scale", 0, 1, (int64_t[]){1});
    n->zero_point = dfqi_graph_input(g, "zero_point", 0, 1, (int64_t[]){1});
    dfqi_network_params(&n->net, g, flags & NET_FROZEN, n->ids);
    if (flags & NET_FAKE) {
        g->rewrite = quantize;
        g->rewrite_user = n;
    }
    dfqi_network_forward(&n->net, g, n->ids, n->x_id, &taps);
    g->rewrite = NULL;
    n->out[n->n_out++] = taps.logits;
    if (dfqi_graph_status(g) == DFQ_OK) add_losses(n, &taps, flags);
    DFQI_TRY(dfqi_graph_status(g));
    for (int32_t i = 0; i < n->n_out; i++) dfqi_graph_keep(g, n->out[i]);
    return DFQ_OK;
}

dfq_status dfqt_net_start(net *n)
{
    DFQI_TRY(dfqi_exec_new(n->g, &n->e));
    dfqi_exec_bind(n->e, n->x_id, n->x);
    dfqi_exec_bind(n->e, n->labels_id, n->labels);
    dfqi_exec_bind(n->e, n->scale, &n->grid[0]);
    dfqi_exec_bind(n->e, n->zero_point, &n->grid[1]);
    dfqt_net_images(n, 0);
    return DFQ_OK;
}

void dfqt_net_fini(net *n)
{
    dfqi_exec_free(n->e);
    dfqi_graph_free(n->g);
    dfqi_network_fini(&n->net);
    if (!n->ctx) return;
    dfqi_free(n->ctx, n->x);
    dfqi_free(n->ctx, n->labels);
}

void dfqt_net_images(net *n, int64_t first)
{
    int64_t pixels = 3 * IMAGE * IMAGE;
    for (int64_t b = 0; b < n->g->batch; b++) {
        dfqi_rng rng = dfqi_rng_make(9, (uint64_t)(first + b));
        for (int64_t i = 0; i < pixels; i++) n->x[b * pixels + i] = dfqi_rng_range(&rng, -1, 1);
        n->labels[b] = (float)((first + b) % CLASSES);
    }
}
