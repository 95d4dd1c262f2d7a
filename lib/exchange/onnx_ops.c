/* The table of emitters, access to the operands of nodes, and the ops that map one to one. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_priv.h"

/* -- operands ---------------------------------------------------------------------------------- */

const dfqi_value *dfqi_onnx_shape(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    return dfqi_graph_value(e->g, n->in[slot]);
}

const dfqi_node *dfqi_onnx_maker(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    int32_t node = dfqi_onnx_shape(e, n, slot)->node;
    return node >= 0 ? &e->g->nodes[node] : NULL;
}

const float *dfqi_onnx_param(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    if (n->in[slot] < 0) return NULL;
    const dfqi_value *v = dfqi_graph_value(e->g, n->in[slot]);
    return v->kind == DFQI_VALUE_PARAM ? dfqi_tensor_f32(v->tensor) : NULL;
}

/* A parameter as a constant, without a copy of its values. */
static dfqi_ref constant_of(dfqi_onnx *e, const dfqi_value *v)
{
    char *name = v->name ? dfqi_onnx_text(e, "%s", v->name)
                         : dfqi_onnx_text(e, "%s.parameter.%d", e->label, (int)e->serial++);
    if (!name) return NULL;
    return dfqi_onnx_tensor(e, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, v->rank, v->dims,
                            dfqi_tensor_f32(v->tensor));
}

/* Does the node read one token of an operand that has all? */
static bool selects(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    return dfqi_graph_value(e->g, n->in[slot])->batched &&
           e->values[n->in[slot]].token == DFQI_TOKEN_ALL &&
           dfqi_onnx_token(e, n) != DFQI_TOKEN_ALL;
}

const dfqi_onnx_grid *dfqi_onnx_grid_of(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    return selects(e, n, slot) ? NULL : e->values[n->in[slot]].grid;
}

dfqi_ref dfqi_onnx_in_any(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_layout *out)
{
    *out = DFQI_LAYOUT_SAME;
    if (e->status != DFQ_OK) return NULL;
    dfqi_onnx_value *state = &e->values[n->in[slot]];
    const dfqi_value *v = dfqi_graph_value(e->g, n->in[slot]);
    if (!state->ref && v->kind == DFQI_VALUE_PARAM) state->ref = constant_of(e, v);
    if (!state->ref && state->grid)
        state->ref = state->grid->scale ? dfqi_onnx_row_values(e, state->grid)
                                        : dfqi_onnx_static_values(e, v, state->layout, state->grid);
    if (!state->ref)
        dfqi_onnx_fail(e, DFQ_E_INTERNAL, "operand %d of %s was not written", (int)slot,
                       dfqi_op_get(n->op)->name);
    *out = state->layout;
    if (!state->ref || !selects(e, n, slot)) return state->ref;
    int64_t token = dfqi_onnx_token(e, n);
    dfqi_ref x = dfqi_onnx_binary(e, "Gather", state->ref, dfqi_onnx_list(e, 1, &token));
    dfqi_onnx_int(e, "axis", 1);
    return x;
}

/* Axes of [B,H,N,d] or [B,Y,X,C] in a layout. */
static const int8_t axes_of[4][4] = {[DFQI_LAYOUT_SAME] = {0, 1, 2, 3},
                                     [DFQI_LAYOUT_CHANNELS_FIRST] = {0, 3, 1, 2},
                                     [DFQI_LAYOUT_TOKENS_FIRST] = {0, 2, 1, 3},
                                     [DFQI_LAYOUT_KEYS] = {0, 1, 3, 2}};

dfqi_ref dfqi_onnx_in(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_layout layout)
{
    dfqi_layout has;
    dfqi_ref x = dfqi_onnx_in_any(e, n, slot, &has);
    int64_t perm[4];
    if (!x || has == layout) return x;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++)
            if (axes_of[has][k] == axes_of[layout][i]) perm[i] = k;
    return dfqi_onnx_transpose(e, x, 4, perm);
}

void dfqi_onnx_out(dfqi_onnx *e, const dfqi_node *n, int32_t slot, dfqi_ref ref, dfqi_layout layout)
{
    e->values[n->out[slot]].ref = ref;
    e->values[n->out[slot]].layout = layout;
}

const dfqi_node *dfqi_onnx_reader_of(const dfqi_onnx *e, const dfqi_node *n, int32_t slot)
{
    dfqi_id v = n->out[slot];
    if (e->values[v].readers != 1) return NULL;
    for (const dfqi_node *r = n + 1; r < e->g->nodes + e->g->n_nodes; r++)
        for (int32_t i = 0; i < r->n_in; i++)
            if (r->in[i] == v) return r;
    return NULL;
}

const dfqi_node *dfqi_onnx_reader(const dfqi_onnx *e, const dfqi_node *n)
{
    return dfqi_onnx_reader_of(e, n, 0);
}

/* -- shorthands -------------------------------------------------------------------------------- */

dfqi_ref dfqi_onnx_binary(dfqi_onnx *e, const char *type, dfqi_ref a, dfqi_ref b)
{
    return dfqi_onnx_node(e, type, 2, (dfqi_ref[]){a, b});
}

dfqi_ref dfqi_onnx_unary(dfqi_onnx *e, const char *type, dfqi_ref a)
{
    return dfqi_onnx_node(e, type, 1, &a);
}

dfqi_ref dfqi_onnx_cast(dfqi_onnx *e, dfqi_ref a, int32_t type)
{
    a = dfqi_onnx_unary(e, "Cast", a);
    dfqi_onnx_int(e, "to", type);
    return a;
}

dfqi_ref dfqi_onnx_reduce(dfqi_onnx *e, const char *type, dfqi_ref x, int64_t axis)
{
    enum {
        AXES_OPERAND = 18
    }; /* the operator set in which axes became an operand of all of them */
    bool attribute = e->opset < AXES_OPERAND && strcmp(type, "ReduceSum") != 0;
    if (attribute)
        x = dfqi_onnx_unary(e, type, x);
    else
        x = dfqi_onnx_binary(e, type, x, dfqi_onnx_list(e, 1, &axis));
    if (attribute) dfqi_onnx_ints(e, "axes", 1, &axis);
    dfqi_onnx_int(e, "keepdims", 1);
    return x;
}

dfqi_ref dfqi_onnx_transpose(dfqi_onnx *e, dfqi_ref x, int32_t rank, const int64_t *perm)
{
    x = dfqi_onnx_unary(e, "Transpose", x);
    dfqi_onnx_ints(e, "perm", rank, perm);
    return x;
}

dfqi_ref dfqi_onnx_reshape(dfqi_onnx *e, dfqi_ref x, int32_t rank, const int64_t *dims)
{
    return dfqi_onnx_binary(e, "Reshape", x, dfqi_onnx_list(e, rank, dims));
}

/* -- ops of one node --------------------------------------------------------------------------- */

/* Both operands in the layout of the first. */
static void emit_mul(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref a = dfqi_onnx_in_any(e, n, 0, &layout), b = dfqi_onnx_in(e, n, 1, layout);
    dfqi_onnx_out(e, n, 0, dfqi_onnx_binary(e, "Mul", a, b), layout);
}

static void emit_relu(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout);
    float cap = n->attr.f[0];
    if (isinf(cap))
        x = dfqi_onnx_unary(e, "Relu", x);
    else
        x = dfqi_onnx_node(e, "Clip", 3,
                           (dfqi_ref[]){x, dfqi_onnx_scalar(e, 0.0f), dfqi_onnx_scalar(e, cap)});
    dfqi_onnx_out(e, n, 0, x, layout);
}

/* attr i: extents behind the batch, their number last */
static void emit_reshape(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t dims[DFQI_RANK_MAX] = {0}; /* 0: the batch, as it is */
    memcpy(dims + 1, y->dims + 1, (size_t)(y->rank - 1) * sizeof *dims);
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    dfqi_onnx_out(e, n, 0, dfqi_onnx_reshape(e, x, y->rank, dims), DFQI_LAYOUT_SAME);
}

/* Products write their weights themselves: the codes, and not what kernels read. */
static void emit_nothing(dfqi_onnx *e, const dfqi_node *n)
{
    (void)e, (void)n;
}

dfqi_emit dfqi_onnx_emitter(dfqi_op_kind op)
{
    static const dfqi_emit table[DFQI_OP_COUNT] = {
        [DFQI_OP_PACK] = emit_nothing,
        [DFQI_OP_CONV_PACK] = emit_nothing,
        [DFQI_OP_LINEAR] = dfqi_emit_linear,
        [DFQI_OP_MATMUL_NT] = dfqi_emit_matmul,
        [DFQI_OP_MATMUL_NN] = dfqi_emit_matmul,
        [DFQI_OP_CONV] = dfqi_emit_conv,
        [DFQI_OP_ADD] = dfqi_emit_add,
        [DFQI_OP_MUL] = emit_mul,
        [DFQI_OP_GELU] = dfqi_emit_gelu,
        [DFQI_OP_RELU] = emit_relu,
        [DFQI_OP_SOFTMAX] = dfqi_emit_softmax,
        [DFQI_OP_LAYERNORM] = dfqi_emit_layernorm,
        [DFQI_OP_PATCHIFY] = dfqi_emit_patchify,
        [DFQI_OP_TOKENS] = dfqi_emit_tokens,
        [DFQI_OP_SELECT_TOKEN] = dfqi_emit_select_token,
        [DFQI_OP_DROP_TOKENS] = dfqi_emit_drop_tokens,
        [DFQI_OP_SPLIT_HEADS] = dfqi_emit_split_heads,
        [DFQI_OP_JOIN_HEADS] = dfqi_emit_join_heads,
        [DFQI_OP_WINDOWS] = dfqi_emit_move_tokens,
        [DFQI_OP_UNWINDOW] = dfqi_emit_move_tokens,
        [DFQI_OP_MERGE] = dfqi_emit_move_tokens,
        [DFQI_OP_RELATIVE_BIAS] = emit_nothing, /* window_bias writes it */
        [DFQI_OP_WINDOW_BIAS] = dfqi_emit_window_bias,
        [DFQI_OP_CHANNELS_LAST] = dfqi_emit_channels,
        [DFQI_OP_RESHAPE] = emit_reshape,
        [DFQI_OP_SUBSAMPLE_PAD] = dfqi_emit_subsample_pad,
        [DFQI_OP_MAX_POOL] = dfqi_emit_pool,
        [DFQI_OP_AVG_POOL] = dfqi_emit_pool,
        [DFQI_OP_MEAN_POOL] = dfqi_emit_mean_pool,
        [DFQI_OP_ACTIVATION] = dfqi_emit_activation,
        [DFQI_OP_AFFINE] = dfqi_emit_affine,
        [DFQI_OP_REPEAT] = dfqi_emit_repeat,
        [DFQI_OP_LEAKY_RELU] = dfqi_emit_leaky_relu,
        [DFQI_OP_TANH] = dfqi_emit_tanh,
        [DFQI_OP_GATE] = dfqi_emit_gate,
        [DFQI_OP_PAD_IMAGE] = dfqi_emit_pad_image,
        [DFQI_OP_CONCAT] = dfqi_emit_concat,
        [DFQI_OP_CHANNELS] = dfqi_emit_channel_part,
        [DFQI_OP_BATCHNORM] = dfqi_emit_batchnorm,
        [DFQI_OP_FQ] = dfqi_emit_fq,
        [DFQI_OP_FQ_LOG] = dfqi_emit_fq_log,
        [DFQI_OP_FQ_WEIGHT] = emit_nothing,
        [DFQI_OP_FQ_ROW] = dfqi_emit_fq_row,
    };
    return table[op];
}
