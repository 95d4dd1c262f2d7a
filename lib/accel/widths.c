/* Determines bit widths from a graph without quantizers and the quantization scheme. It asks the
 * same table as the quantization pass (quant/pass.c). */
#include "accel/widths.h"

/* Hands on values as they are, some of them or in another order. */
static bool moves(dfqi_op_kind op)
{
    switch (op) {
    case DFQI_OP_PATCHIFY:
    case DFQI_OP_SELECT_TOKEN:
    case DFQI_OP_DROP_TOKENS:
    case DFQI_OP_SPLIT_HEADS:
    case DFQI_OP_JOIN_HEADS:
    case DFQI_OP_CHANNELS_LAST:
    case DFQI_OP_RESHAPE:
    case DFQI_OP_SUBSAMPLE_PAD:
    case DFQI_OP_MAX_POOL:
    case DFQI_OP_WINDOWS:
    case DFQI_OP_UNWINDOW:
    case DFQI_OP_MERGE:
        return true;
    default:
        return false;
    }
}

/* Is done on the way out of the layer before. */
static bool folds(dfqi_op_kind op)
{
    return op == DFQI_OP_BATCHNORM || dfqi_op_activates(op);
}

static int32_t bits_at(const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    int32_t i = dfqi_site_index(s, n->op, n->name, slot);
    return i < 0 ? 0 : s->sites[i].bits;
}

/* Of the quantizer of a product's own. */
static int32_t operand_bits(const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    bool product = (dfqi_op_get(n->op)->flags & DFQI_OPF_PRODUCT) != 0;
    return product && slot < 2 ? bits_at(s, n, slot) : 0;
}

int32_t dfqi_width_read(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    int32_t bits = operand_bits(s, n, slot), from = g->values[n->in[slot]].node;
    while (bits == 0 && from >= 0) {
        const dfqi_node *source = &g->nodes[from];
        if (dfqi_op_activates(source->op)) return bits_at(s, source, 0);
        if (!moves(source->op)) return 0;
        from = g->values[source->in[0]].node;
    }
    return bits;
}

static int32_t widest_output(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n)
{
    int32_t most = 0;
    for (int32_t k = 0; k < n->n_out; k++) {
        int32_t bits = dfqi_width_written(g, s, n->out[k]);
        if (bits == 0) return 0;
        if (bits > most) most = bits;
    }
    return most;
}

/* As node `n` takes what it reads in `slot`. */
static int32_t taken_bits(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                          int32_t slot)
{
    int32_t bits = dfqi_op_activates(n->op) ? bits_at(s, n, 0) : operand_bits(s, n, slot);
    return bits == 0 && (moves(n->op) || folds(n->op)) ? widest_output(g, s, n) : bits;
}

int32_t dfqi_width_written(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v)
{
    int32_t most = 0;
    for (int32_t i = 0; i < g->n_nodes; i++)
        for (int32_t slot = 0; slot < g->nodes[i].n_in; slot++) {
            if (g->nodes[i].in[slot] != v) continue;
            int32_t bits = taken_bits(g, s, &g->nodes[i], slot);
            if (bits == 0) return 0;
            if (bits > most) most = bits;
        }
    return most;
}

static bool takes_found(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    bool product = (dfqi_op_get(n->op)->flags & DFQI_OPF_PRODUCT) != 0;
    int32_t i = product && slot < 2 ? dfqi_site_index(s, n->op, n->name, slot) : -1;
    if (i >= 0) return dfqi_site_is_runtime(&s->sites[i]);
    for (int32_t k = 0; k < n->n_out && moves(n->op); k++)
        if (dfqi_width_is_found(g, s, n->out[k])) return true;
    return false;
}

bool dfqi_width_is_found(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v)
{
    for (int32_t i = 0; i < g->n_nodes; i++)
        for (int32_t slot = 0; slot < g->nodes[i].n_in; slot++)
            if (g->nodes[i].in[slot] == v && takes_found(g, s, &g->nodes[i], slot)) return true;
    return false;
}
