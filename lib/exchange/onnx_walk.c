/* The walk through a graph: what is needed, by whom, and of which tokens. */
#include "exchange/onnx_priv.h"

static bool is_needed(const dfqi_onnx *e, const dfqi_node *n)
{
    for (int32_t i = 0; i < n->n_out; i++)
        if (e->values[n->out[i]].needed) return true;
    return false;
}

/* Does an op compute each token [B,N,D] from that token of its operands? */
static bool is_by_token(const dfqi_onnx *e, const dfqi_node *n)
{
    if (dfqi_onnx_shape(e, n, 0)->rank != 3) return false;
    switch (n->op) {
    case DFQI_OP_LINEAR:
    case DFQI_OP_ADD:
    case DFQI_OP_LAYERNORM:
    case DFQI_OP_MUL:
    case DFQI_OP_GELU:
    case DFQI_OP_RELU:
    case DFQI_OP_ACTIVATION:
    case DFQI_OP_AFFINE:
    case DFQI_OP_LEAKY_RELU:
    case DFQI_OP_TANH:
    case DFQI_OP_CHANNELS:
    case DFQI_OP_FQ:
        return true;
    case DFQI_OP_FQ_ROW:
        return !n->attr.i[2]; /* columns are over tokens */
    default:
        return false;
    }
}

int32_t dfqi_onnx_token(const dfqi_onnx *e, const dfqi_node *n)
{
    if (n->op == DFQI_OP_SELECT_TOKEN) return (int32_t)n->attr.i[0];
    return is_by_token(e, n) ? e->values[n->out[0]].token : DFQI_TOKEN_ALL;
}

/* A product packs its weight for the kernels of this library alone: that reads nothing here. */
static void mark_operands(dfqi_onnx *e, const dfqi_node *n)
{
    bool packs = n->op == DFQI_OP_PACK || n->op == DFQI_OP_CONV_PACK;
    int32_t token = dfqi_onnx_token(e, n);
    for (int32_t i = 0; i < n->n_in; i++) {
        if (n->in[i] < 0) continue;
        dfqi_onnx_value *v = &e->values[n->in[i]];
        v->token = !v->needed || v->token == token ? token : DFQI_TOKEN_ALL;
        v->needed = true;
        v->readers += !packs;
    }
}

static void mark(dfqi_onnx *e, dfqi_id logits)
{
    e->values[logits].needed = true;
    e->values[logits].token = DFQI_TOKEN_ALL;
    for (const dfqi_node *n = e->g->nodes + e->g->n_nodes; n-- > e->g->nodes;) {
        if (!is_needed(e, n)) continue;
        for (int32_t i = 0; i < n->n_out && !is_by_token(e, n); i++)
            e->values[n->out[i]].token = DFQI_TOKEN_ALL;
        mark_operands(e, n);
    }
}

void dfqi_onnx_walk(dfqi_onnx *e, dfqi_id logits)
{
    mark(e, logits);
    for (int32_t i = 0; i < e->g->n_nodes && e->status == DFQ_OK; i++) {
        const dfqi_node *n = &e->g->nodes[i];
        dfqi_emit emit = dfqi_onnx_emitter(n->op);
        if (!is_needed(e, n)) continue;
        if (n->name[0]) e->label = n->name;
        if (emit)
            emit(e, n);
        else
            dfqi_onnx_fail(e, DFQ_E_UNSUPPORTED, "%s: op %s behind %s cannot be written as ONNX",
                           e->m->net.arch.name, dfqi_op_get(n->op)->name, e->label);
    }
}
