/* Reverse-mode differentiation: the gradients are ordinary nodes, appended to the graph. */
#include "graph/ops_priv.h"

#include <string.h>

/* reach[v]: v depends on one of `wrt`. Nodes are in topological order, so one sweep does. */
static void mark_reach(const dfqi_graph *g, int32_t n_wrt, const dfqi_id *wrt, uint8_t *reach)
{
    for (int32_t i = 0; i < n_wrt; i++) reach[wrt[i]] = 1;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        uint8_t any = 0;
        for (int32_t k = 0; k < n->n_in; k++) any |= n->in[k] >= 0 && reach[n->in[k]];
        for (int32_t k = 0; any && k < n->n_out; k++) reach[n->out[k]] = 1;
    }
}

static void check_seed(dfqi_graph *g, dfqi_id value, dfqi_id grad)
{
    if (value < 0 || grad < 0) {
        dfqi_graph_fail(g, DFQ_E_INTERNAL, "a gradient seed is missing");
        return;
    }
    const dfqi_value *v = &g->values[value], *d = &g->values[grad];
    char have[96], want[96];
    if (!dfqi_same_shape(v, d))
        dfqi_graph_fail(g, DFQ_E_SHAPE, "the gradient seed of %s is %s, must be %s",
                        v->name ? v->name : "a value",
                        dfqi_shape_text(d->rank, d->dims, have, sizeof have),
                        dfqi_shape_text(v->rank, v->dims, want, sizeof want));
}

/* Adds `d` to the gradient of value v. */
static void accumulate(dfqi_graph *g, dfqi_id *grads, dfqi_id v, dfqi_id d)
{
    if (d == DFQI_NONE) return;
    grads[v] = grads[v] == DFQI_NONE ? d : dfqi_add(g, grads[v], d);
}

static void node_grad(dfqi_graph *g, int32_t i, const uint8_t *reach, dfqi_id *grads)
{
    const dfqi_node n = g->nodes[i]; /* a copy: the array moves while nodes are added */
    const dfqi_op *op = dfqi_op_get(n.op);
    dfqi_id dout[DFQI_OUT_MAX], din[DFQI_IN_MAX];
    uint8_t want[DFQI_IN_MAX] = {0};
    int any_out = 0, any_in = 0;
    for (int32_t k = 0; k < n.n_out; k++) {
        dout[k] = grads[n.out[k]];
        any_out |= dout[k] != DFQI_NONE;
    }
    for (int32_t k = 0; k < n.n_in; k++) {
        din[k] = DFQI_NONE;
        want[k] = n.in[k] >= 0 && reach[n.in[k]];
        any_in |= want[k];
    }
    if (!any_out || !any_in) return;
    if (!op->grad) {
        dfqi_graph_fail(g, DFQ_E_INTERNAL, "%s has no gradient", op->name);
        return;
    }
    op->grad(g, &n, dout, want, din);
    for (int32_t k = 0; k < n.n_in && g->status == DFQ_OK; k++)
        if (want[k]) accumulate(g, grads, n.in[k], din[k]);
}

dfq_status dfqi_graph_grad(dfqi_graph *g, int32_t n_seeds, const dfqi_id *value,
                           const dfqi_id *grad, int32_t n_wrt, const dfqi_id *wrt, dfqi_id *out)
{
    for (int32_t i = 0; i < n_seeds && g->status == DFQ_OK; i++) check_seed(g, value[i], grad[i]);
    for (int32_t i = 0; i < n_wrt && g->status == DFQ_OK; i++)
        if (wrt[i] < 0) dfqi_graph_fail(g, DFQ_E_INTERNAL, "a gradient is requested for no value");
    if (g->status != DFQ_OK) return g->status;
    int32_t n_values = g->n_values;
    uint8_t *reach = dfqi_calloc(g->ctx, (size_t)n_values, 1);
    dfqi_id *grads = dfqi_calloc(g->ctx, (size_t)n_values, sizeof *grads);
    if (!reach || !grads) {
        g->status = DFQ_E_NOMEM;
        goto out;
    }
    memset(grads, 0xff, (size_t)n_values * sizeof *grads);
    mark_reach(g, n_wrt, wrt, reach);
    for (int32_t i = 0; i < n_seeds; i++) accumulate(g, grads, value[i], grad[i]);
    for (int32_t i = g->n_nodes - 1; i >= 0 && g->status == DFQ_OK; i--)
        if (g->nodes[i].out[0] < n_values) node_grad(g, i, reach, grads);
    for (int32_t i = 0; i < n_wrt && g->status == DFQ_OK; i++) out[i] = grads[wrt[i]];
out:
    dfqi_free(g->ctx, reach);
    dfqi_free(g->ctx, grads);
    return g->status;
}
