/* Builds the layer list of a network from the nodes of its forward graph. */
#include "accel/layer.h"

#include <stdio.h>
#include <string.h>

#include "accel/mapping.h"
#include "accel/widths.h"

double dfqi_layer_macs(const dfqi_layer *l)
{
    double p = l->kind == DFQI_LAYER_PRODUCT;
    for (int d = 0; d < DFQI_DIMS; d++) p *= (double)l->dim[d];
    return p;
}

static double input_rows(const dfqi_layer *l, dfqi_dim windows, dfqi_dim taps)
{
    return dfqi_window_rows((double)l->dim[windows], (double)l->dim[taps], (double)l->stride);
}

double dfqi_layer_words(const dfqi_layer *l, dfqi_operand v)
{
    double p = 1;
    for (int d = 0; d < DFQI_DIMS; d++)
        if (dfqi_dim_relevant(v, (dfqi_dim)d) && (v != DFQI_I || d < DFQI_DIM_P))
            p *= (double)l->dim[d];
    if (v == DFQI_I)
        p *= input_rows(l, DFQI_DIM_P, DFQI_DIM_R) * input_rows(l, DFQI_DIM_Q, DFQI_DIM_S);
    return p;
}

/* -- shapes of nodes --------------------------------------------------------------------------- */

static const dfqi_value *operand(const dfqi_graph *g, const dfqi_node *n, int i)
{
    return &g->values[n->in[i]];
}

static void set_dims(dfqi_layer *l, const int64_t dims[DFQI_DIMS])
{
    memcpy(l->dim, dims, sizeof l->dim);
}

bool dfqi_layer_of_node(const dfqi_graph *g, const dfqi_node *n, dfqi_layer *l)
{
    if (n->n_in < 1 || n->in[0] < 0) return false;
    const int64_t *x = operand(g, n, 0)->dims, *y = g->values[n->out[0]].dims, *w;
    int64_t count = dfqi_value_count(operand(g, n, 0)), groups;
    *l = (dfqi_layer){.stride = 1};
    switch (n->op) {
    case DFQI_OP_CONV:
        w = operand(g, n, 1)->dims;
        groups = n->attr.i[3];
        l->stride = n->attr.i[0];
        set_dims(l, (int64_t[]){groups, 1, w[1], w[0] / groups, y[1], y[2], w[2], w[3]});
        return true;
    case DFQI_OP_LINEAR: {
        int64_t k = dfqi_value_last(operand(g, n, 0)), o = operand(g, n, 1)->dims[0];
        set_dims(l, (int64_t[]){1, 1, k, o, count / k, 1, 1, 1});
        return true;
    }
    case DFQI_OP_MATMUL_NT: /* x[B,H,P,C] w[B,H,M,C] */
    case DFQI_OP_MATMUL_NN: /* x[B,H,P,C] w[B,H,C,M] */
        set_dims(l, (int64_t[]){x[1], 1, x[3], y[3], x[2], 1, 1, 1});
        return true;
    case DFQI_OP_SOFTMAX:
    case DFQI_OP_LAYERNORM:
    case DFQI_OP_GELU:
    case DFQI_OP_ADD: /* docs/METHODS.md, Mappings */
        l->kind = DFQI_LAYER_ROWS;
        l->sum = n->op == DFQI_OP_ADD;
        l->effort = n->op == DFQI_OP_SOFTMAX ? 8 : l->sum ? 1 : 4;
        set_dims(l, (int64_t[]){1, 1, 1, 1, count, 1, 1, 1});
        return true;
    default:
        return false;
    }
}

static int32_t count_readers(const dfqi_graph *g, dfqi_id v)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->n_nodes; i++)
        for (int32_t slot = 0; slot < g->nodes[i].n_in; slot++) n += g->nodes[i].in[slot] == v;
    return n;
}

int32_t dfqi_scores_of_node(const dfqi_graph *g, const dfqi_node *n)
{
    bool softmax = false;
    if (n->op != DFQI_OP_MATMUL_NN) return -1;
    for (dfqi_id v = n->in[0]; v >= 0 && count_readers(g, v) == 1; v = n->in[0]) {
        const int32_t at = g->values[v].node;
        if (at < 0) return -1;
        n = &g->nodes[at];
        if (n->op == DFQI_OP_MATMUL_NT) return softmax ? at : -1;
        if (n->op != DFQI_OP_SOFTMAX && n->op != DFQI_OP_WINDOW_BIAS && n->op != DFQI_OP_ADD)
            return -1;
        softmax = softmax || n->op == DFQI_OP_SOFTMAX;
    }
    return -1;
}

/* Smallest and largest value of each row of the result, where grids are found from them. */
enum { FIND_GRID = 2 };

static void set_width(dfqi_layer *l, dfqi_operand v, dfqi_width w)
{
    l->bits[v] = w.bits;
    l->grid[v] = w.grid;
}

/* Sums of groups of channels are scaled and added up, the first one as that of a row is. */
static void set_groups(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n, dfqi_layer *l)
{
    l->weight_group = (int32_t)dfqi_width_group(s, n, 1);
    l->act_group = (int32_t)dfqi_width_group(s, n, 0);
    if (l->act_group) l->effort += (int32_t)(dfqi_value_last(operand(g, n, 0)) / l->act_group) - 1;
}

static void set_bits(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n, dfqi_layer *l)
{
    set_width(l, DFQI_I, dfqi_width_read(g, s, n, 0));
    if (l->kind == DFQI_LAYER_PRODUCT || l->sum) set_width(l, DFQI_W, dfqi_width_read(g, s, n, 1));
    set_width(l, DFQI_O, dfqi_width_written(g, s, n->out[0]));
    if (l->kind == DFQI_LAYER_PRODUCT) set_groups(g, s, n, l);
    if (dfqi_width_is_found(g, s, n->out[0])) l->effort += FIND_GRID;
}

/* -- the list ---------------------------------------------------------------------------------- */

static int32_t find_shape(dfqi_layer_list *list, const dfqi_layer *l)
{
    for (int32_t i = 0; i < list->n_shapes; i++)
        if (memcmp(&list->shapes[i], l, sizeof *l) == 0) return i;
    list->shapes[list->n_shapes] = *l;
    return list->n_shapes++;
}

static bool is_weighted(const dfqi_node *n)
{
    return n->op == DFQI_OP_LINEAR || n->op == DFQI_OP_CONV;
}

/* What has no name of its own is called after the layer before it. */
static void set_name(const dfqi_node *n, const char *before, char name[80])
{
    const char *what = n->op == DFQI_OP_SOFTMAX ? "softmax"
                       : n->op == DFQI_OP_GELU  ? "gelu"
                       : n->op == DFQI_OP_ADD   ? "sum"
                                                : "norm";
    if (n->name && n->name[0])
        snprintf(name, 80, "%s", n->name);
    else if (before[0])
        snprintf(name, 80, "%.60s/%s", before, what);
    else
        snprintf(name, 80, "%s", what);
}

static int32_t find_attention(dfqi_layer_list *list, dfqi_attention_pair a)
{
    for (int32_t i = 0; i < list->n_attentions; i++)
        if (list->attentions[i].scores == a.scores && list->attentions[i].values == a.values)
            return i;
    list->attentions[list->n_attentions] = a;
    return list->n_attentions++;
}

/* Nodes `scores` to `values` and the rows between them are an attention. */
static void join_layers(const dfqi_graph *g, int32_t scores, int32_t values, const int32_t *number,
                        dfqi_layer_list *list)
{
    dfqi_layer_entry *layers = list->layers;
    const int32_t a = find_attention(
        list, (dfqi_attention_pair){layers[number[scores]].shape, layers[number[values]].shape});
    for (int32_t i = values;; i = g->values[g->nodes[i].in[0]].node) {
        if (number[i] >= 0) layers[number[i]].attention = a;
        if (i == scores) break;
    }
    layers[number[values]].scores = number[scores];
}

/* `number` [nodes]: scratch, which layer a node is; -1: none. */
static void list_nodes(const dfqi_graph *g, const dfqi_scheme *s, int32_t *number,
                       dfqi_layer_list *out)
{
    const char *before = "";
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        dfqi_layer l;
        number[i] = -1;
        if (!dfqi_layer_of_node(g, n, &l)) continue;
        dfqi_layer_entry *entry = &out->layers[number[i] = out->n_layers++];
        set_bits(g, s, n, &l);
        set_name(n, before, entry->name);
        if (n->name && n->name[0]) before = n->name;
        entry->shape = find_shape(out, &l);
        entry->attention = entry->scores = -1;
        const int32_t scores = dfqi_scores_of_node(g, n);
        if (scores >= 0) join_layers(g, scores, i, number, out);
    }
}

static dfq_status list_layers(const dfqi_graph *g, const dfqi_scheme *s, dfqi_layer_list *out)
{
    const size_t n = (size_t)g->n_nodes;
    out->layers = dfqi_calloc(g->ctx, n, sizeof *out->layers);
    out->shapes = dfqi_calloc(g->ctx, n, sizeof *out->shapes);
    out->attentions = dfqi_calloc(g->ctx, n, sizeof *out->attentions);
    int32_t *number = dfqi_calloc(g->ctx, n, sizeof *number);
    const bool room = out->layers && out->shapes && out->attentions && number;
    if (room) list_nodes(g, s, number, out);
    dfqi_free(g->ctx, number);
    return room ? DFQ_OK : DFQ_E_NOMEM;
}

/* Quantizers of the first and the last product get 8 bits; then those of fewer have groups. */
static void widen_ends(const dfqi_graph *g, dfqi_scheme *s)
{
    const dfqi_node *ends[2] = {NULL, NULL};
    for (int32_t i = 0; i < g->n_nodes; i++) {
        if (!is_weighted(&g->nodes[i])) continue;
        if (!ends[0]) ends[0] = &g->nodes[i];
        ends[1] = &g->nodes[i];
    }
    for (int k = 0; k < 4 && ends[0]; k++) {
        int32_t i = dfqi_site_index(s, ends[k / 2]->op, ends[k / 2]->name, k % 2);
        if (i >= 0) s->sites[i].bits = 8;
    }
}

static dfq_status outline(const dfqi_network *net, const dfqi_graph *g, dfqi_layer_bits bits,
                          dfqi_scheme *out)
{
    const bool chosen = bits.grids.weight_group == DFQI_WEIGHT_GROUP_AUTO;
    DFQI_TRY(dfqi_scheme_outline(net, DFQI_MODE_IMPROVED, (dfqi_widths){bits.weight, bits.act, 0},
                                 bits.grids, out));
    widen_ends(g, out);
    return dfqi_scheme_group_weights(net, chosen, out);
}

dfq_status dfqi_layers_of(const dfqi_model *m, dfqi_layer_bits bits, dfqi_layer_list *out)
{
    dfqi_graph *g;
    dfqi_scheme asked = {.n_sites = 0}; /* none of a float network */
    dfqi_layer_list list = {.ctx = m->ctx};
    bool own = m->quantized && !bits.act;
    DFQI_TRY(dfqi_network_whole(&m->net, &g));
    dfq_status status = bits.act ? outline(&m->net, g, bits, &asked) : DFQ_OK;
    if (status == DFQ_OK) status = list_layers(g, own ? &m->scheme : &asked, &list);
    dfqi_scheme_fini(&asked);
    dfqi_graph_free(g);
    if (status == DFQ_OK)
        *out = list;
    else
        dfqi_layer_list_fini(&list);
    return status;
}

void dfqi_layer_list_fini(dfqi_layer_list *l)
{
    dfqi_free(l->ctx, l->layers);
    dfqi_free(l->ctx, l->shapes);
    dfqi_free(l->ctx, l->attentions);
    memset(l, 0, sizeof *l);
}
