/* Determines bit widths from a graph without quantizers and the quantization scheme. It asks the
 * same table as the quantization pass (quant/pass.c). */
#include "accel/widths.h"

enum { SCALE_BITS = 32, GROUP_BITS = 8 };

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

static const dfqi_site *site_at(const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    int32_t i = dfqi_site_index(s, n->op, n->name, slot);
    return i < 0 ? NULL : &s->sites[i];
}

/* A row of weights has a scale, and a zero point where its grid is not symmetric; its groups have a
 * byte each. */
static dfqi_share weight_grid(const dfqi_site *site, const dfqi_value *w)
{
    int64_t cols = dfqi_value_count(w) / w->dims[0], bits = SCALE_BITS;
    if (site->kind == DFQI_SITE_WEIGHT_MINMAX) bits += site->bits;
    if (site->group > 0) bits += GROUP_BITS * cols / site->group;
    return (dfqi_share){(int32_t)bits, (int32_t)cols};
}

/* Zero points of symmetric grids and of attention maps are 0. */
static dfqi_share act_grid(const dfqi_node *n, const dfqi_site *site, const dfqi_value *v)
{
    bool map = n->op == DFQI_OP_MATMUL_NN && site->kind == DFQI_SITE_ROW;
    int64_t words = site->group > 0 ? site->group : dfqi_value_last(v);
    if (!dfqi_site_is_runtime(site)) return (dfqi_share){0};
    if (site->kind == DFQI_SITE_COLUMN) words = v->dims[v->rank - 2];
    return (dfqi_share){SCALE_BITS + (map || site->qmin < 0 ? 0 : site->bits), (int32_t)words};
}

static dfqi_width width_at(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                           int32_t slot)
{
    const dfqi_site *site = site_at(s, n, slot);
    if (!site) return (dfqi_width){0};
    const dfqi_value *v = &g->values[n->in[slot]];
    bool weight = dfqi_site_is_weight(site);
    return (dfqi_width){site->bits, weight ? weight_grid(site, v) : act_grid(n, site, v)};
}

static bool is_product(const dfqi_node *n)
{
    return (dfqi_op_get(n->op)->flags & DFQI_OPF_PRODUCT) != 0;
}

/* Of the quantizer of a product's own. */
static dfqi_width operand_width(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                                int32_t slot)
{
    return is_product(n) && slot < 2 ? width_at(g, s, n, slot) : (dfqi_width){0};
}

int64_t dfqi_width_group(const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    const dfqi_site *site = is_product(n) ? site_at(s, n, slot) : NULL;
    return site ? site->group : 0;
}

dfqi_width dfqi_width_read(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                           int32_t slot)
{
    dfqi_width width = operand_width(g, s, n, slot);
    int32_t from = g->values[n->in[slot]].node;
    while (width.bits == 0 && from >= 0) {
        const dfqi_node *source = &g->nodes[from];
        if (dfqi_op_activates(source->op)) return width_at(g, s, source, 0);
        if (!moves(source->op)) break;
        from = g->values[source->in[0]].node;
    }
    return width;
}

static double all_bits(dfqi_width w)
{
    return w.bits + (w.grid.bits ? (double)w.grid.bits / w.grid.words : 0);
}

static void widen(dfqi_width *most, dfqi_width w)
{
    if (all_bits(w) > all_bits(*most)) *most = w;
}

static dfqi_width widest_output(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n)
{
    dfqi_width most = {0};
    for (int32_t k = 0; k < n->n_out; k++) {
        dfqi_width w = dfqi_width_written(g, s, n->out[k]);
        if (w.bits == 0) return w;
        widen(&most, w);
    }
    return most;
}

/* As node `n` takes what it reads in `slot`. */
static dfqi_width taken_width(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                              int32_t slot)
{
    dfqi_width w = dfqi_op_activates(n->op) ? width_at(g, s, n, 0) : operand_width(g, s, n, slot);
    return w.bits == 0 && (moves(n->op) || folds(n->op)) ? widest_output(g, s, n) : w;
}

dfqi_width dfqi_width_written(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v)
{
    dfqi_width most = {0};
    for (int32_t i = 0; i < g->n_nodes; i++)
        for (int32_t slot = 0; slot < g->nodes[i].n_in; slot++) {
            if (g->nodes[i].in[slot] != v) continue;
            dfqi_width w = taken_width(g, s, &g->nodes[i], slot);
            if (w.bits == 0) return w;
            widen(&most, w);
        }
    return most;
}

static bool takes_found(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n, int32_t slot)
{
    const dfqi_site *site = is_product(n) && slot < 2 ? site_at(s, n, slot) : NULL;
    if (site) return dfqi_site_is_runtime(site);
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
