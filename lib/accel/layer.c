/* The layer list of a network, read off the nodes of its forward graph. */
#include "accel/layer.h"

#include <stdio.h>
#include <string.h>

double dfqi_layer_macs(const dfqi_layer *l)
{
    double p = l->kind == DFQI_LAYER_PRODUCT;
    for (int d = 0; d < DFQI_DIMS; d++) p *= (double)l->dim[d];
    return p;
}

/* Input rows that any window reads. */
static double touched(int64_t windows, int64_t stride, int64_t filter)
{
    return (double)(stride < filter ? (windows - 1) * stride + filter : windows * filter);
}

double dfqi_layer_words(const dfqi_layer *l, dfqi_operand v)
{
    double p = 1;
    for (int d = 0; d < DFQI_DIMS; d++)
        if (dfqi_dim_relevant(v, (dfqi_dim)d) && (v != DFQI_I || d < DFQI_DIM_P))
            p *= (double)l->dim[d];
    if (v == DFQI_I)
        p *= touched(l->dim[DFQI_DIM_P], l->stride, l->dim[DFQI_DIM_R]) *
             touched(l->dim[DFQI_DIM_Q], l->stride, l->dim[DFQI_DIM_S]);
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
    case DFQI_OP_GELU: /* docs/METHODS.md, Mappings */
        l->kind = DFQI_LAYER_ROWS;
        l->effort = n->op == DFQI_OP_SOFTMAX ? 8 : 4;
        set_dims(l, (int64_t[]){1, 1, 1, 1, count, 1, 1, 1});
        return true;
    default:
        return false;
    }
}

/* Bits of the site "<name>.<what>", else `other`. */
static int32_t site_bits(const dfqi_model *m, const char *name, const char *what, int32_t other)
{
    char text[128];
    snprintf(text, sizeof text, "%s.%s", name, what);
    const dfqi_site *s = m->quantized ? dfqi_scheme_find(&m->scheme, text) : NULL;
    return s ? s->bits : other;
}

static void set_bits(const dfqi_model *m, dfqi_layer_bits bits, const dfqi_node *n, bool first,
                     bool last, dfqi_layer *l)
{
    bool pair = n->op == DFQI_OP_MATMUL_NT || n->op == DFQI_OP_MATMUL_NN;
    int32_t act = bits.act ? bits.act : m->quantized ? m->scheme.act_bits : 0;
    int32_t edge = act ? 8 : 0; /* the image, the logits */
    l->bits[DFQI_O] = last ? edge : act;
    if (l->kind == DFQI_LAYER_ROWS) {
        l->bits[DFQI_W] = l->bits[DFQI_I] = act;
    } else if (bits.act) {
        bool fixed = first || last;
        l->bits[DFQI_W] = fixed ? 8 : pair ? bits.act : bits.weight;
        l->bits[DFQI_I] = fixed ? 8 : bits.act;
    } else {
        l->bits[DFQI_W] = site_bits(m, n->name, pair ? "b" : "weight", 0);
        l->bits[DFQI_I] = site_bits(m, n->name, pair ? "a" : "input", first ? edge : act);
    }
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
                                                : "norm";
    if (n->name && n->name[0])
        snprintf(name, 80, "%s", n->name);
    else if (before[0])
        snprintf(name, 80, "%.60s/%s", before, what);
    else
        snprintf(name, 80, "%s", what);
}

static dfq_status list_nodes(const dfqi_model *m, dfqi_layer_bits bits, const dfqi_graph *g,
                             dfqi_layer_list *out)
{
    int32_t first = -1, last = -1;
    const char *before = "";
    out->layers = dfqi_calloc(m->ctx, (size_t)g->n_nodes, sizeof *out->layers);
    out->shapes = dfqi_calloc(m->ctx, (size_t)g->n_nodes, sizeof *out->shapes);
    if (!out->layers || !out->shapes) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        if (!is_weighted(&g->nodes[i])) continue;
        if (first < 0) first = i;
        last = i;
    }
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        dfqi_layer l;
        if (!dfqi_layer_of_node(g, n, &l)) continue;
        set_bits(m, bits, n, i == first, i == last, &l);
        set_name(n, before, out->layers[out->n_layers].name);
        if (n->name && n->name[0]) before = n->name;
        out->layers[out->n_layers++].shape = find_shape(out, &l);
    }
    return DFQ_OK;
}

dfq_status dfqi_layers_of(const dfqi_model *m, dfqi_layer_bits bits, dfqi_layer_list *out)
{
    dfqi_graph *g;
    dfqi_layer_list list = {.ctx = m->ctx};
    DFQI_TRY(dfqi_network_whole(&m->net, &g));
    dfq_status status = list_nodes(m, bits, g, &list);
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
    memset(l, 0, sizeof *l);
}
