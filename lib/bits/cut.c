/* Pieces of a graph (cut.h). */
#include "bits/cut.h"

#include <string.h>

/* The graph of nodes from .. to - 1, while it is made and run. */
typedef struct piece {
    const dfqi_cut *c;
    int32_t from;
    dfqi_graph *g;
    dfqi_id *local; /* [values] of the whole graph: the id here, or DFQI_NONE */
    dfqi_exec *e;
} piece;

dfq_status dfqi_cut_init(const dfqi_graph *g, dfqi_id logits, dfqi_cut *out)
{
    *out = (dfqi_cut){.ctx = g->ctx, .from = g, .logits = logits};
    uint8_t *value = dfqi_calloc(g->ctx, (size_t)g->n_values, sizeof *value);
    out->needed = dfqi_calloc(g->ctx, (size_t)g->n_nodes, sizeof *out->needed);
    if (!value || !out->needed) {
        dfqi_free(g->ctx, value);
        dfqi_cut_fini(out);
        return DFQ_E_NOMEM;
    }
    value[logits] = 1;
    for (int32_t i = g->n_nodes - 1; i >= 0; i--) {
        const dfqi_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->n_out; k++) out->needed[i] |= value[n->out[k]];
        for (int32_t k = 0; out->needed[i] && k < n->n_in; k++)
            if (n->in[k] >= 0) value[n->in[k]] = 1;
    }
    dfqi_free(g->ctx, value);
    return DFQ_OK;
}

void dfqi_cut_fini(dfqi_cut *c)
{
    if (c->ctx) dfqi_free(c->ctx, c->needed);
    memset(c, 0, sizeof *c);
}

dfq_status dfqi_cut_start(const dfqi_graph *g, dfqi_cut_state *out)
{
    *out = (dfqi_cut_state){.ctx = g->ctx, .n_values = g->n_values};
    out->kept = (float **)dfqi_calloc(g->ctx, (size_t)g->n_values, sizeof *out->kept);
    return out->kept ? DFQ_OK : DFQ_E_NOMEM;
}

void dfqi_cut_state_fini(dfqi_cut_state *s)
{
    for (int32_t v = 0; s->kept && v < s->n_values; v++) dfqi_free(s->ctx, s->kept[v]);
    if (s->ctx) dfqi_free(s->ctx, (void *)s->kept);
    memset(s, 0, sizeof *s);
}

/* -- pieces ------------------------------------------------------------------------------------ */

static void copy_node(piece *p, const dfqi_node *n);

static dfqi_id bring(piece *p, dfqi_id id)
{
    const dfqi_value *v = &p->c->from->values[id];
    if (p->local[id] != DFQI_NONE) return p->local[id];
    if (v->kind == DFQI_VALUE_PARAM)
        p->local[id] = dfqi_graph_param(p->g, v->name, v->tensor, v->frozen);
    else if (!v->batched)
        copy_node(p, &p->c->from->nodes[v->node]);
    else
        p->local[id] = dfqi_graph_input(p->g, v->name, 1, v->rank - 1, v->dims + 1);
    return p->local[id];
}

static void copy_node(piece *p, const dfqi_node *n)
{
    dfqi_id in[DFQI_IN_MAX];
    for (int32_t k = 0; k < n->n_in; k++) in[k] = n->in[k] < 0 ? DFQI_NONE : bring(p, n->in[k]);
    dfqi_id first = dfqi_graph_node(p->g, n->op, n->name, &n->attr, n->n_in, in);
    for (int32_t k = 0; k < n->n_out; k++) p->local[n->out[k]] = dfqi_graph_output(p->g, first, k);
}

static void piece_fini(piece *p)
{
    dfqi_exec_free(p->e);
    dfqi_graph_free(p->g);
    dfqi_free(p->c->ctx, p->local);
}

static dfq_status piece_init(const dfqi_cut *c, int32_t from, int32_t to, piece *out)
{
    const dfqi_graph *g = c->from;
    *out = (piece){.c = c, .from = from};
    out->local = dfqi_calloc(c->ctx, (size_t)g->n_values, sizeof *out->local);
    if (!out->local) return DFQ_E_NOMEM;
    memset(out->local, 0xff, (size_t)g->n_values * sizeof *out->local); /* DFQI_NONE */
    DFQI_TRY(dfqi_graph_new(c->ctx, g->batch, &out->g));
    for (int32_t i = from; i < to; i++)
        if (c->needed[i] && g->values[g->nodes[i].out[0]].batched) copy_node(out, &g->nodes[i]);
    return dfqi_graph_status(out->g);
}

static dfq_status run(piece *p, dfqi_id image, const float *images, const dfqi_cut_state *s,
                      dfqi_workspace *work)
{
    DFQI_TRY(dfqi_exec_new_in(p->g, work, &p->e));
    for (int32_t v = 0; v < p->c->from->n_values; v++) {
        if (p->local[v] < 0 || p->g->values[p->local[v]].kind != DFQI_VALUE_INPUT) continue;
        dfqi_exec_bind(p->e, p->local[v],
                       v == image        ? images
                       : v < s->n_values ? s->kept[v]
                                         : NULL);
    }
    return dfqi_exec_run(p->e);
}

/* -- moving on --------------------------------------------------------------------------------- */

/* Values that nodes before `to` make and nodes from `to` on read. */
static dfq_status live_at(const dfqi_cut *c, int32_t to, uint8_t **out)
{
    const dfqi_graph *g = c->from;
    uint8_t *live = dfqi_calloc(c->ctx, (size_t)g->n_values, sizeof *live);
    if (!live) return DFQ_E_NOMEM;
    for (int32_t i = to; i < g->n_nodes; i++)
        for (int32_t k = 0; c->needed[i] && k < g->nodes[i].n_in; k++) {
            dfqi_id v = g->nodes[i].in[k];
            if (v >= 0 && g->values[v].kind == DFQI_VALUE_NODE && g->values[v].batched &&
                g->values[v].node < to)
                live[v] = 1;
        }
    *out = live;
    return DFQ_OK;
}

static dfq_status take(const dfqi_cut *c, const piece *p, const uint8_t *live, dfqi_cut_state *s)
{
    for (int32_t v = 0; v < s->n_values; v++) {
        if (!live[v]) {
            dfqi_free(s->ctx, s->kept[v]);
            s->kept[v] = NULL;
            continue;
        }
        if (s->kept[v]) continue;
        size_t n = (size_t)dfqi_value_count(&c->from->values[v]);
        s->kept[v] = dfqi_alloc(s->ctx, n * sizeof(float));
        if (!s->kept[v]) return DFQ_E_NOMEM;
        memcpy(s->kept[v], dfqi_exec_data(p->e, p->local[v]), n * sizeof(float));
    }
    return DFQ_OK;
}

dfq_status dfqi_cut_advance(const dfqi_cut *c, dfqi_id image, const float *images, int32_t to,
                            dfqi_workspace *work, dfqi_cut_state *s)
{
    piece p = {.c = c};
    uint8_t *live = NULL;
    dfq_status status;
    if (to <= s->at) return DFQ_OK;
    DFQI_GOTO(live_at(c, to, &live), out);
    DFQI_GOTO(piece_init(c, s->at, to, &p), out);
    for (int32_t v = 0; v < s->n_values; v++)
        if (live[v] && !s->kept[v]) dfqi_graph_keep(p.g, p.local[v]);
    DFQI_GOTO(run(&p, image, images, s, work), out);
    status = take(c, &p, live, s);
    s->at = to;
out:
    piece_fini(&p);
    dfqi_free(c->ctx, live);
    return status;
}

dfq_status dfqi_cut_finish(const dfqi_cut *c, dfqi_id image, const float *images,
                           const dfqi_cut_state *s, dfqi_workspace *work, float *logits)
{
    piece p = {.c = c};
    dfq_status status;
    DFQI_GOTO(piece_init(c, s->at, c->from->n_nodes, &p), out);
    dfqi_graph_keep(p.g, p.local[c->logits]);
    DFQI_GOTO(run(&p, image, images, s, work), out);
    memcpy(logits, dfqi_exec_data(p.e, p.local[c->logits]),
           (size_t)dfqi_value_count(&c->from->values[c->logits]) * sizeof *logits);
out:
    piece_fini(&p);
    return status;
}
