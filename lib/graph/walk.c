/* Walks: cutting a graph into pieces, and running them (walk.h). */
#include "graph/walk.h"

#include <string.h>

enum { NEVER = -1 };

struct dfqi_walk {
    dfq_context *ctx;
    const dfqi_graph *g;
    dfqi_workspace *work;
    int32_t n_stops, at; /* at: the current stop, -1 before the first */
    dfqi_id *stops;
    int32_t *made;  /* value: the piece that makes a batched one, or NEVER */
    int32_t *last;  /* value: the last piece that reads it, or NEVER */
    float **kept;   /* value: of all images, or NULL */
    dfqi_id *local; /* value: its id in the graph of the piece, or DFQI_NONE */
    dfqi_graph *piece;
    dfqi_exec *e;
    int64_t first;  /* of the images run last */
    const float *x; /* the same images */
};

/* -- cutting ----------------------------------------------------------------------------------- */

/* Nodes that lead to stop k, and to no earlier one, belong to piece k. Parameters and what is made
 * of them alone belong to every piece that reads them. */
static dfq_status cut(dfqi_walk *w, int32_t k, uint8_t *needed)
{
    const dfqi_graph *g = w->g;
    memset(needed, 0, (size_t)g->n_values);
    needed[w->stops[k]] = 1;
    for (int32_t i = g->n_nodes - 1; i >= 0; i--) {
        const dfqi_node *n = &g->nodes[i];
        bool used = false;
        for (int32_t j = 0; j < n->n_out; j++) used = used || needed[n->out[j]];
        if (!used || w->made[n->out[0]] != NEVER || !g->values[n->out[0]].batched) continue;
        for (int32_t j = 0; j < n->n_out; j++) w->made[n->out[j]] = k;
        for (int32_t j = 0; j < n->n_in; j++) {
            if (n->in[j] < 0) continue;
            const dfqi_value *v = &g->values[n->in[j]];
            if (!v->batched && !v->frozen)
                return dfqi_fail(w->ctx, DFQ_E_INTERNAL,
                                 "%s cannot be walked through: an operand differs from batch to "
                                 "batch",
                                 dfqi_op_get(n->op)->name);
            needed[n->in[j]] = 1;
            w->last[n->in[j]] = k;
        }
    }
    if (w->last[w->stops[k]] < k) w->last[w->stops[k]] = k;
    return DFQ_OK;
}

dfq_status dfqi_walk_new(const dfqi_graph *g, int32_t n_stops, const dfqi_id *stops,
                         dfqi_workspace *work, dfqi_walk **out)
{
    dfq_context *ctx = g->ctx;
    size_t values = (size_t)g->n_values;
    dfq_status status = DFQ_E_NOMEM;
    uint8_t *needed = NULL;
    dfqi_walk *w = dfqi_calloc(ctx, 1, sizeof *w);
    if (!w) return DFQ_E_NOMEM;
    *w = (dfqi_walk){.ctx = ctx, .g = g, .work = work, .n_stops = n_stops, .at = -1};
    w->stops = dfqi_calloc(ctx, (size_t)n_stops, sizeof *w->stops);
    w->made = dfqi_calloc(ctx, 3 * values, sizeof *w->made);
    w->kept = (float **)dfqi_calloc(ctx, values, sizeof *w->kept);
    needed = dfqi_calloc(ctx, values, 1);
    if (!w->stops || !w->made || !w->kept || !needed) goto out;
    w->last = w->made + values;
    w->local = w->last + values;
    memcpy(w->stops, stops, (size_t)n_stops * sizeof *stops);
    for (size_t v = 0; v < 2 * values; v++) w->made[v] = NEVER; /* and last */
    for (int32_t k = 0; k < n_stops; k++) DFQI_GOTO(cut(w, k, needed), out);
    *out = w;
    w = NULL;
    status = DFQ_OK;
out:
    dfqi_free(ctx, needed);
    dfqi_walk_free(w);
    return status;
}

static void leave_piece(dfqi_walk *w)
{
    dfqi_exec_free(w->e);
    dfqi_graph_free(w->piece);
    w->e = NULL;
    w->piece = NULL;
}

void dfqi_walk_free(dfqi_walk *w)
{
    if (!w) return;
    leave_piece(w);
    for (int32_t v = 0; w->kept && v < w->g->n_values; v++) dfqi_free(w->ctx, w->kept[v]);
    dfqi_free(w->ctx, (void *)w->kept);
    dfqi_free(w->ctx, w->made);
    dfqi_free(w->ctx, w->stops);
    dfqi_free(w->ctx, w);
}

/* Made by piece k or before, and read behind it. The input is the caller's. */
static bool is_live(const dfqi_walk *w, dfqi_id v, int32_t k)
{
    return w->made[v] != NEVER && w->made[v] <= k && w->last[v] > k;
}

int64_t dfqi_walk_floats(const dfqi_walk *w)
{
    int64_t most = 0;
    for (int32_t k = 0; k < w->n_stops; k++) { /* what piece k reads, and what it leaves */
        int64_t sum = 0;
        for (int32_t v = 0; v < w->g->n_values; v++)
            if (is_live(w, v, k) || (is_live(w, v, k - 1) && w->last[v] == k))
                sum += dfqi_value_stride(&w->g->values[v]);
        most = sum > most ? sum : most;
    }
    return most;
}

/* -- pieces ------------------------------------------------------------------------------------ */

static void copy_node(dfqi_walk *w, const dfqi_node *n);

/* The value in the graph of the piece: a parameter, what is made of parameters alone, an input, or
 * made there before. */
static dfqi_id bring(dfqi_walk *w, dfqi_id id)
{
    const dfqi_value *v = &w->g->values[id];
    if (w->local[id] != DFQI_NONE) return w->local[id];
    if (v->kind == DFQI_VALUE_PARAM)
        w->local[id] = dfqi_graph_param(w->piece, v->name, v->tensor, v->frozen);
    else if (!v->batched)
        copy_node(w, &w->g->nodes[v->node]);
    else
        w->local[id] = dfqi_graph_input(w->piece, v->name, 1, v->rank - 1, v->dims + 1);
    return w->local[id];
}

static void copy_node(dfqi_walk *w, const dfqi_node *n)
{
    dfqi_id in[DFQI_IN_MAX];
    for (int32_t j = 0; j < n->n_in; j++) in[j] = n->in[j] < 0 ? DFQI_NONE : bring(w, n->in[j]);
    dfqi_id first = dfqi_graph_node(w->piece, n->op, n->name, &n->attr, n->n_in, in);
    for (int32_t j = 0; j < n->n_out; j++)
        w->local[n->out[j]] = dfqi_graph_output(w->piece, first, j);
}

static dfq_status make_piece(dfqi_walk *w, int32_t k)
{
    const dfqi_graph *g = w->g;
    DFQI_TRY(dfqi_graph_new(w->ctx, g->batch, &w->piece));
    for (int32_t v = 0; v < g->n_values; v++) w->local[v] = DFQI_NONE;
    for (int32_t i = 0; i < g->n_nodes; i++)
        if (w->made[g->nodes[i].out[0]] == k) copy_node(w, &g->nodes[i]);
    for (int32_t v = 0; v < g->n_values; v++)
        if (w->made[v] == k && (is_live(w, v, k) || v == w->stops[k]))
            dfqi_graph_keep(w->piece, w->local[v]);
    return dfqi_exec_new_in(w->piece, w->work, &w->e);
}

dfq_status dfqi_walk_next(dfqi_walk *w, int64_t images)
{
    const dfqi_graph *g = w->g;
    size_t floats;
    leave_piece(w);
    w->at++;
    for (int32_t v = 0; v < g->n_values; v++) {
        if (w->kept[v] && w->last[v] < w->at) {
            dfqi_free(w->ctx, w->kept[v]);
            w->kept[v] = NULL;
        }
        if (w->made[v] != w->at || !is_live(w, v, w->at)) continue;
        if (!dfqi_mul_size((size_t)images, (size_t)dfqi_value_stride(&g->values[v]), &floats))
            return DFQ_E_NOMEM;
        w->kept[v] = dfqi_calloc(w->ctx, floats, sizeof(float));
        if (!w->kept[v]) return DFQ_E_NOMEM;
    }
    return make_piece(w, w->at);
}

/* -- runs -------------------------------------------------------------------------------------- */

static const float *kept_at(const dfqi_walk *w, dfqi_id v, int64_t first)
{
    return w->kept[v] ? w->kept[v] + first * dfqi_value_stride(&w->g->values[v]) : w->x;
}

dfq_status dfqi_walk_run(dfqi_walk *w, int64_t first, const float *x)
{
    const dfqi_graph *g = w->g;
    w->first = first;
    w->x = x;
    for (int32_t v = 0; v < g->n_values; v++)
        if (w->local[v] >= 0 && w->piece->values[w->local[v]].kind == DFQI_VALUE_INPUT)
            dfqi_exec_bind(w->e, w->local[v], kept_at(w, v, first));
    DFQI_TRY(dfqi_exec_run(w->e));
    for (int32_t v = 0; v < g->n_values; v++) {
        if (w->made[v] != w->at || !w->kept[v]) continue;
        int64_t stride = dfqi_value_stride(&g->values[v]);
        memcpy(w->kept[v] + first * stride, dfqi_exec_data(w->e, w->local[v]),
               (size_t)(g->batch * stride) * sizeof(float));
    }
    return DFQ_OK;
}

const float *dfqi_walk_data(const dfqi_walk *w)
{
    dfqi_id stop = w->stops[w->at];
    if (w->made[stop] == w->at) return dfqi_exec_data(w->e, w->local[stop]);
    return kept_at(w, stop, w->first);
}
