/* Units: see units.h. */
#include "tune/units.h"

#include "base/memory.h"

static bool is_layer(const dfqi_node *n)
{
    return n->op == DFQI_OP_LINEAR || n->op == DFQI_OP_CONV;
}

/* What a quantization pass adds to a graph. */
static bool is_quantizer(const dfqi_node *n)
{
    return n->op == DFQI_OP_DROP || (n->op >= DFQI_OP_FQ && n->op <= DFQI_OP_TRACK_RANGE);
}

/* last[v]: the last node that reads a value; behind all of them for the logits. */
static int32_t *last_readers(const dfqi_pass_ends *p)
{
    const dfqi_graph *g = p->g;
    int32_t *last = dfqi_calloc(g->ctx, (size_t)g->n_values, sizeof *last);
    if (!last) return NULL;
    for (int32_t v = 0; v < g->n_values; v++) last[v] = -1;
    for (int32_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0) last[g->nodes[i].in[k]] = i;
    last[p->logits] = g->n_nodes;
    return last;
}

/* ends[n]: the nodes of the teacher that end a unit. Returns their number. */
static int32_t find_ends(const dfqi_pass_ends *p, const int32_t *last, int32_t least, int32_t *ends,
                         int32_t *layers)
{
    const dfqi_graph *g = p->g;
    int32_t n = 0, live = 1, cut = -1, own = 0, at_cut = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *node = &g->nodes[i];
        if (!g->values[node->out[0]].batched) continue;
        if (is_layer(node) && cut >= 0) {
            ends[n] = cut;
            layers[n++] = at_cut;
            own -= at_cut;
            cut = -1;
        }
        own += is_layer(node);
        for (int32_t k = 0; k < node->n_in; k++) {
            dfqi_id v = node->in[k];
            bool again = false;
            for (int32_t j = 0; j < k; j++) again = again || node->in[j] == v;
            if (v >= 0 && g->values[v].batched && last[v] == i && !again) live--;
        }
        for (int32_t k = 0; k < node->n_out; k++) live += last[node->out[k]] > i;
        if (live != 1 || last[node->out[0]] <= i || own < (n == 0 ? 1 : least)) continue;
        cut = i;
        at_cut = own;
    }
    return n;
}

/* The student's node for each of the teacher's. */
static dfq_status match_nodes(const dfqi_graph *teacher, const dfqi_graph *student, int32_t *match)
{
    int32_t k = 0;
    for (int32_t i = 0; i < teacher->n_nodes; i++, k++) {
        while (k < student->n_nodes && is_quantizer(&student->nodes[k])) k++;
        if (k == student->n_nodes || student->nodes[k].op != teacher->nodes[i].op)
            return dfqi_fail(teacher->ctx, DFQ_E_INTERNAL,
                             "the graphs of teacher and student "
                             "differ by more than quantizers");
        match[i] = k;
    }
    return DFQ_OK;
}

static void fill_units(const dfqi_pass_ends *teacher, const dfqi_pass_ends *student, int32_t n,
                       const int32_t *ends, const int32_t *layers, const int32_t *match,
                       dfqi_unit *units)
{
    int32_t all = 0;
    for (int32_t i = 0; i < teacher->g->n_nodes; i++) all += is_layer(&teacher->g->nodes[i]);
    for (int32_t i = 0; i <= n; i++) {
        dfqi_unit *u = &units[i];
        u->teacher_in = i ? units[i - 1].teacher_out : teacher->x;
        u->student_in = i ? units[i - 1].student_out : student->x;
        u->teacher_out = i < n ? teacher->g->nodes[ends[i]].out[0] : teacher->logits;
        u->student_out = i < n ? student->g->nodes[match[ends[i]]].out[0] : student->logits;
        u->layers = i < n ? layers[i] : all;
        all -= u->layers;
    }
}

dfq_status dfqi_units_find(const dfqi_pass_ends *teacher, const dfqi_pass_ends *student,
                           int32_t least, dfqi_unit **out, int32_t *out_n)
{
    dfq_context *ctx = teacher->g->ctx;
    size_t nodes = (size_t)teacher->g->n_nodes;
    dfq_status status = DFQ_E_NOMEM;
    int32_t *last = last_readers(teacher), *ends = dfqi_calloc(ctx, 3 * nodes, sizeof *ends);
    dfqi_unit *units = NULL;
    if (!last || !ends) goto out;
    int32_t n = find_ends(teacher, last, least, ends, ends + nodes);
    DFQI_GOTO(match_nodes(teacher->g, student->g, ends + 2 * nodes), out);
    units = dfqi_calloc(ctx, (size_t)n + 1, sizeof *units);
    status = units ? DFQ_OK : DFQ_E_NOMEM;
    if (!units) goto out;
    fill_units(teacher, student, n, ends, ends + nodes, ends + 2 * nodes, units);
    *out = units;
    *out_n = n + 1;
out:
    dfqi_free(ctx, last);
    dfqi_free(ctx, ends);
    return status;
}
