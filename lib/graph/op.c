/* The op table. Each op file defines its rows; the table has them in the order of dfqi_op_kind. */
#include "graph/ops_priv.h"

#include <string.h>

const dfqi_op *dfqi_op_get(dfqi_op_kind kind)
{
    if (kind >= DFQI_OP_AFFINE) return &dfqi_ops_broadcast[kind - DFQI_OP_AFFINE];
    if (kind >= DFQI_OP_DROP) return &dfqi_ops_reconstruct[kind - DFQI_OP_DROP];
    if (kind >= DFQI_OP_WINDOWS) return &dfqi_ops_window[kind - DFQI_OP_WINDOWS];
    if (kind >= DFQI_OP_SPLIT_HEADS) return &dfqi_ops_heads[kind - DFQI_OP_SPLIT_HEADS];
    if (kind >= DFQI_OP_AVG_POOL) return &dfqi_ops_part[kind - DFQI_OP_AVG_POOL];
    if (kind >= DFQI_OP_ACTIVATION) return &dfqi_ops_activation[kind - DFQI_OP_ACTIVATION];
    if (kind >= DFQI_OP_LEADING) return &dfqi_ops_leading[kind - DFQI_OP_LEADING];
    if (kind >= DFQI_OP_EXTREMES) return &dfqi_ops_range[kind - DFQI_OP_EXTREMES];
    if (kind >= DFQI_OP_FQ_ROW) return &dfqi_ops_quant_row[kind - DFQI_OP_FQ_ROW];
    if (kind >= DFQI_OP_FQ) return &dfqi_ops_quant[kind - DFQI_OP_FQ];
    if (kind >= DFQI_OP_INTER_HEAD) return &dfqi_ops_structure[kind - DFQI_OP_INTER_HEAD];
    if (kind >= DFQI_OP_CROSS_ENTROPY) return &dfqi_ops_loss[kind - DFQI_OP_CROSS_ENTROPY];
    if (kind >= DFQI_OP_BATCH_MOMENTS) return &dfqi_ops_norm[kind - DFQI_OP_BATCH_MOMENTS];
    if (kind >= DFQI_OP_MAX_POOL) return &dfqi_ops_pool[kind - DFQI_OP_MAX_POOL];
    if (kind >= DFQI_OP_CHANNELS_LAST) return &dfqi_ops_image[kind - DFQI_OP_CHANNELS_LAST];
    if (kind >= DFQI_OP_PATCHIFY) return &dfqi_ops_layout[kind - DFQI_OP_PATCHIFY];
    if (kind >= DFQI_OP_ADD) return &dfqi_ops_row[kind - DFQI_OP_ADD];
    if (kind >= DFQI_OP_UP_FILTER) return &dfqi_ops_upconv[kind - DFQI_OP_UP_FILTER];
    if (kind >= DFQI_OP_CONV_DW) return &dfqi_ops_conv_dw[kind - DFQI_OP_CONV_DW];
    if (kind >= DFQI_OP_CONV) return &dfqi_ops_conv[kind - DFQI_OP_CONV];
    if (kind >= DFQI_OP_CONV_PACK) return &dfqi_ops_conv_pack[kind - DFQI_OP_CONV_PACK];
    return &dfqi_ops_product[kind - DFQI_OP_PACK];
}

void dfqi_out(dfqi_graph *g, const dfqi_node *n, int32_t slot, int batched, int32_t rank,
              const int64_t *dims)
{
    dfqi_value *v = &g->values[n->out[slot]];
    v->batched = batched != 0;
    v->rank = rank;
    memcpy(v->dims, dims, (size_t)rank * sizeof *dims);
}

void dfqi_out_like(dfqi_graph *g, const dfqi_node *n, int32_t slot, dfqi_id id)
{
    const dfqi_value *v = &g->values[id];
    dfqi_out(g, n, slot, v->batched, v->rank, v->dims);
}

const dfqi_value *dfqi_in(const dfqi_graph *g, const dfqi_node *n, int32_t slot)
{
    return &g->values[n->in[slot]];
}

bool dfqi_has_value(const dfqi_graph *g, dfqi_id v)
{
    return g->status == DFQ_OK && v >= 0 && v < g->n_values;
}

dfq_status dfqi_bad_shape(const dfqi_graph *g, const dfqi_node *n, int32_t slot,
                          const char *expected)
{
    char text[96];
    const dfqi_value *v = dfqi_in(g, n, slot);
    dfqi_shape_text(v->rank, v->dims, text, sizeof text);
    return dfqi_fail(g->ctx, DFQ_E_SHAPE, "%s %s: operand %d is %s, must be %s",
                     dfqi_op_get(n->op)->name, n->name, slot, text, expected);
}

bool dfqi_is_shared(const dfqi_value *v, int64_t count)
{
    return !v->batched && dfqi_value_count(v) == count;
}

bool dfqi_same_shape(const dfqi_value *a, const dfqi_value *b)
{
    return a->batched == b->batched && a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

dfq_status dfqi_shape_same(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[0]);
    return DFQ_OK;
}

dfq_status dfqi_shape_per_image(dfqi_graph *g, dfqi_node *n)
{
    if (!dfqi_in(g, n, 0)->batched) return dfqi_bad_shape(g, n, 0, "batched");
    dfqi_out(g, n, 0, 1, 1, &g->batch);
    return DFQ_OK;
}

double dfqi_macs_input(const dfqi_graph *g, const dfqi_node *n)
{
    return (double)dfqi_value_count(dfqi_in(g, n, 0));
}

int64_t dfqi_class_of(float y, int64_t classes)
{
    return y >= (float)classes ? classes - 1 : y > 0 ? (int64_t)y : 0; /* NaN: 0 */
}

dfqi_id dfqi_make(dfqi_graph *g, dfqi_op_kind op, const dfqi_attr *attr, int32_t n_in,
                  const dfqi_id *in)
{
    return dfqi_graph_node(g, op, NULL, attr, n_in, in);
}
