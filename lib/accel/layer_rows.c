/* Builds the rows of layer_rows.h from the nodes of the forward graph, in the same order as
 * layer.c. */
#include "accel/layer_rows.h"

#include <stdio.h>
#include <string.h>

#include "accel/layer.h"
#include "accel/widths.h"

enum { FLOAT_BITS = 32 };

static int32_t kind_of(dfqi_op_kind op)
{
    switch (op) {
    case DFQI_OP_CONV:
        return DFQ_LAYER_CONV;
    case DFQI_OP_LINEAR:
        return DFQ_LAYER_LINEAR;
    case DFQI_OP_SOFTMAX:
        return DFQ_LAYER_SOFTMAX;
    case DFQI_OP_LAYERNORM:
        return DFQ_LAYER_LAYERNORM;
    case DFQI_OP_GELU:
        return DFQ_LAYER_GELU;
    case DFQI_OP_ADD:
        return DFQ_LAYER_SUM;
    default:
        return DFQ_LAYER_MATMUL;
    }
}

/* A value without its batch, images with channels first. */
static int32_t shape_of(const dfqi_arch *a, const dfqi_value *v, int64_t out[4])
{
    int32_t skip = v->batched ? 1 : 0, rank = v->rank - skip;
    for (int32_t i = 0; i < rank && i < 4; i++) out[i] = v->dims[i + skip];
    if (v->batched && rank == 3 && dfqi_arch_is_cnn(a)) {
        out[0] = v->dims[3];
        out[1] = v->dims[1];
        out[2] = v->dims[2];
    }
    return rank;
}

static int32_t bits_of(int32_t width)
{
    return width > 0 ? width : FLOAT_BITS;
}

static void set_second(const dfqi_arch *a, const dfqi_graph *g, const dfqi_scheme *s,
                       const dfqi_node *n, dfqi_layer_row *row)
{
    const dfqi_value *w = &g->values[n->in[1]];
    row->info.weight_rank = shape_of(a, w, row->info.weight_dims);
    row->info.weight_bits = bits_of(dfqi_width_read(g, s, n, 1).bits);
    if (w->kind == DFQI_VALUE_PARAM && w->name)
        snprintf(row->weight, sizeof row->weight, "%s", w->name);
}

static void fill(const dfqi_model *m, const dfqi_graph *g, const dfqi_node *n, dfqi_layer_row *row)
{
    static const dfqi_scheme none = {.n_sites = 0};
    const dfqi_scheme *s = m->quantized ? &m->scheme : &none;
    const dfqi_arch *a = &m->net.arch;
    const dfqi_op *op = dfqi_op_get(n->op);
    dfq_layer_info *info = &row->info;
    *info = (dfq_layer_info){.kind = kind_of(n->op),
                             .input_bits = bits_of(dfqi_width_read(g, s, n, 0).bits),
                             .output_bits = bits_of(dfqi_width_written(g, s, n->out[0]).bits),
                             .name = row->name,
                             .weight = row->weight};
    info->input_rank = shape_of(a, &g->values[n->in[0]], info->input_dims);
    info->output_rank = shape_of(a, &g->values[n->out[0]], info->output_dims);
    if (info->kind <= DFQ_LAYER_MATMUL || info->kind == DFQ_LAYER_SUM) set_second(a, g, s, n, row);
    if (op->flags & DFQI_OPF_PRODUCT) info->macs = dfqi_count_i64(op->macs(g, n));
    if (info->kind == DFQ_LAYER_CONV) {
        info->stride = n->attr.i[0];
        info->padding = n->attr.i[1];
        info->groups = n->attr.i[3];
    }
}

static dfq_status make(const dfqi_model *m, dfqi_layer_row **out, int32_t *out_n)
{
    dfqi_layer_list list = {0};
    dfqi_graph *g = NULL;
    dfqi_layer_row *rows = NULL;
    int32_t n = 0;
    dfq_status status;
    DFQI_TRY(dfqi_layers_of(m, (dfqi_layer_bits){0}, &list));
    DFQI_GOTO(dfqi_network_whole(&m->net, &g), out);
    rows = dfqi_calloc(m->ctx, (size_t)list.n_layers, sizeof *rows);
    if (!rows) {
        status = DFQ_E_NOMEM;
        goto out;
    }
    for (int32_t i = 0; i < g->n_nodes && n < list.n_layers; i++) {
        dfqi_layer l;
        if (!dfqi_layer_of_node(g, &g->nodes[i], &l)) continue;
        memcpy(rows[n].name, list.layers[n].name, sizeof rows[n].name);
        fill(m, g, &g->nodes[i], &rows[n++]);
    }
    *out = rows;
    *out_n = n;
out:
    dfqi_graph_free(g);
    dfqi_layer_list_fini(&list);
    return status;
}

dfq_status dfqi_layer_rows_of(const dfqi_model *m, int32_t *out_n, const dfqi_layer_row **out_rows)
{
    dfqi_model *own =
        (dfqi_model *)(uintptr_t)m; /* what is kept is no part of what const promises */
    if (!m->rows) DFQI_TRY(make(m, &own->rows, &own->n_rows));
    *out_n = m->n_rows;
    *out_rows = m->rows;
    return DFQ_OK;
}
