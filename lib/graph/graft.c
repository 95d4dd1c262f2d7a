/* Grafts: see graft.h. */
#include "graph/graft.h"

#include <string.h>

dfq_status dfqi_graft_new(const dfqi_graph *from, dfqi_graph *to, dfqi_graft *out)
{
    size_t n = (size_t)from->n_values;
    dfqi_graft t = {.from = from, .to = to};
    t.map = dfqi_calloc(to->ctx, n + 1, sizeof *t.map);
    t.needed = dfqi_calloc(to->ctx, n + 1, 1);
    if (!t.map || !t.needed) {
        dfqi_graft_fini(&t);
        return DFQ_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) t.map[i] = DFQI_NONE;
    *out = t;
    return DFQ_OK;
}

void dfqi_graft_fini(dfqi_graft *t)
{
    if (t->to) {
        dfqi_free(t->to->ctx, t->map);
        dfqi_free(t->to->ctx, t->needed);
    }
    *t = (dfqi_graft){0};
}

void dfqi_graft_put(dfqi_graft *t, dfqi_id from_id, dfqi_id to_id)
{
    t->map[from_id] = to_id;
}

/* A parameter or an input. */
static dfqi_id leaf(const dfqi_graft *t, const dfqi_value *v)
{
    if (v->kind == DFQI_VALUE_PARAM) return dfqi_graph_param(t->to, v->name, v->tensor, v->frozen);
    int32_t skip = v->batched;
    return dfqi_graph_input(t->to, v->name, v->batched, v->rank - skip, v->dims + skip);
}

static void copy_node(dfqi_graft *t, const dfqi_node *n)
{
    dfqi_id in[DFQI_IN_MAX];
    for (int32_t k = 0; k < n->n_in; k++) {
        dfqi_id id = n->in[k];
        if (id >= 0 && t->map[id] == DFQI_NONE) t->map[id] = leaf(t, &t->from->values[id]);
        in[k] = id < 0 ? DFQI_NONE : t->map[id];
    }
    dfqi_id first = dfqi_graph_node(t->to, n->op, n->name, &n->attr, n->n_in, in);
    for (int32_t k = 0; k < n->n_out && first >= 0; k++)
        if (t->map[n->out[k]] == DFQI_NONE) t->map[n->out[k]] = dfqi_graph_output(t->to, first, k);
}

dfqi_id dfqi_graft_bring(dfqi_graft *t, dfqi_id id)
{
    const dfqi_graph *g = t->from;
    if (t->map[id] != DFQI_NONE) return t->map[id];
    if (g->values[id].kind != DFQI_VALUE_NODE) return t->map[id] = leaf(t, &g->values[id]);
    memset(t->needed, 0, (size_t)g->n_values);
    t->needed[id] = 1;
    for (int pass = 0; pass < 2; pass++) /* backwards what is needed, then forwards its copies */
        for (int32_t i = 0; i < g->n_nodes; i++) {
            const dfqi_node *n = &g->nodes[pass ? i : g->n_nodes - 1 - i];
            bool wanted = false;
            for (int32_t k = 0; k < n->n_out; k++)
                wanted = wanted || (t->needed[n->out[k]] && t->map[n->out[k]] == DFQI_NONE);
            if (!wanted) continue;
            for (int32_t k = 0; !pass && k < n->n_in; k++)
                if (n->in[k] >= 0) t->needed[n->in[k]] = 1;
            if (pass) copy_node(t, n);
        }
    return t->map[id];
}
