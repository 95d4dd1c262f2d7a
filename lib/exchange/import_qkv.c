/* Queries, keys and values that three layers make become one layer, as attention is rotated and
 * quantized by its queries, keys and values together. */
#include <string.h>

#include "exchange/import_family_priv.h"

static im_draft_op *split_of(im *m, int32_t value)
{
    im_draft_op *op = dfqi_im_maker(m, value);
    return op && op->op.kind == DFQI_STRUCTURE_SPLIT_HEADS && op->op.ints[1] == 1 ? op : NULL;
}

static im_draft_op *layer_of(im *m, const im_draft_op *split)
{
    im_draft_op *op = split ? dfqi_im_maker(m, split->op.in[0]) : NULL;
    return op && op->op.kind == DFQI_STRUCTURE_LINEAR && op->op.n_in == 3 ? op : NULL;
}

/* Rows of three parameters below each other. */
static int32_t stack(im *m, const int32_t params[3])
{
    im_draft_value v = m->draft.values[params[0]];
    int64_t n = dfqi_tensor_count(v.tensor);
    v.dims[0] *= 3;
    int32_t id = dfqi_im_param(m, v.name, v.rank, v.dims, NULL);
    float *to = dfqi_im_param_data(m, id);
    for (int k = 0; to && k < 3; k++)
        memcpy(to + k * n, dfqi_im_param_data(m, params[k]), (size_t)n * sizeof *to);
    return id;
}

/* "blocks.0.attn.query" -> "blocks.0.attn.qkv" */
static void rename_layer(char *name)
{
    char *dot = strrchr(name, '.');
    char *at = dot ? dot + 1 : name;
    if ((size_t)(at - name) + 4 <= DFQI_LAYER_MAX) memcpy(at, "qkv", 4);
}

/* The draft's ops keep their places: the first layer and the first split of the three become the
 * joined ones, so that all that reads them is behind them. */
static void join(im *m, im_draft_op *const layers[3], im_draft_op *const splits[3])
{
    int32_t weights[3], biases[3], outs[3], layer = INT32_MAX, split = INT32_MAX;
    for (int k = 0; k < 3; k++) {
        weights[k] = layers[k]->op.in[1];
        biases[k] = layers[k]->op.in[2];
        outs[k] = splits[k]->op.out;
        int32_t at = (int32_t)(layers[k] - m->draft.ops), of = (int32_t)(splits[k] - m->draft.ops);
        layer = at < layer ? at : layer;
        split = of < split ? of : split;
    }
    int64_t dims[2], heads = splits[0]->op.ints[0];
    memcpy(dims, m->draft.values[layers[0]->op.out].dims, sizeof dims);
    rename_layer(m->draft.ops[layer].op.name);
    int32_t w = stack(m, weights), b = stack(m, biases);
    if (m->status != DFQ_OK) return;
    for (int32_t i = 0; i < m->draft.n_ops; i++) /* the three parts of the new split */
        for (int32_t k = 0; k < m->draft.ops[i].op.n_in; k++)
            for (int j = 0; j < 3; j++)
                if (m->draft.ops[i].op.in[k] == outs[j] && i > split)
                    m->draft.ops[i].op.in[k] = -2 - j;
    m->draft.ops[layer].op.in[1] = w;
    m->draft.ops[layer].op.in[2] = b;
    m->draft.values[m->draft.ops[layer].op.out].dims[1] = 3 * dims[1];
    dfqi_structure_op op = m->draft.ops[split].op;
    op.n_out = 3;
    op.in[0] = m->draft.ops[layer].op.out;
    op.ints[0] = heads;
    op.ints[1] = 3;
    int32_t first = dfqi_im_new_outputs(m, split, 3, op.out);
    op.out = first;
    if (m->status != DFQ_OK) return;
    m->draft.ops[split].op = op;
    for (int32_t i = split + 1; i < m->draft.n_ops; i++)
        for (int32_t k = 0; k < m->draft.ops[i].op.n_in; k++)
            if (m->draft.ops[i].op.in[k] < -1)
                m->draft.ops[i].op.in[k] = first + (-2 - m->draft.ops[i].op.in[k]);
}

/* Are the three layers of one shape, on one input, and read by this attention alone? */
static bool belong_together(im *m, im_draft_op *const layers[3], im_draft_op *const splits[3])
{
    for (int k = 0; k < 3; k++) {
        if (!layers[k] || layers[k]->op.in[0] != layers[0]->op.in[0] ||
            splits[k]->op.ints[0] != splits[0]->op.ints[0] ||
            dfqi_im_readers(m, layers[k]->op.out) != 1 ||
            dfqi_im_readers(m, splits[k]->op.out) != 1)
            return false;
        const im_draft_value *w = &m->draft.values[layers[k]->op.in[1]],
                             *first = &m->draft.values[layers[0]->op.in[1]];
        if (w->dims[0] != first->dims[0] || w->dims[1] != first->dims[1]) return false;
    }
    return m->draft.values[layers[0]->op.out].rank == 2;
}

void dfqi_im_join_heads_layers(im *m)
{
    const int32_t n = m->draft.n_ops;
    for (int32_t i = 0; i < n && m->status == DFQ_OK; i++) {
        const dfqi_structure_op *out = &m->draft.ops[i].op;
        if (!m->draft.ops[i].needed || out->kind != DFQI_STRUCTURE_MATMUL_NN) continue;
        const im_draft_op *map = dfqi_im_maker(m, out->in[0]);
        const im_draft_op *raw = map ? dfqi_im_maker(m, map->op.in[0]) : NULL;
        if (!raw || map->op.kind != DFQI_STRUCTURE_SOFTMAX ||
            raw->op.kind != DFQI_STRUCTURE_MATMUL_NT)
            continue;
        im_draft_op *splits[3] = {split_of(m, raw->op.in[0]), split_of(m, raw->op.in[1]),
                                  split_of(m, out->in[1])};
        im_draft_op *layers[3] = {layer_of(m, splits[0]), layer_of(m, splits[1]),
                                  layer_of(m, splits[2])};
        if (belong_together(m, layers, splits)) join(m, layers, splits);
    }
}
