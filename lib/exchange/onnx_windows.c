/* Emitters of Swin transformers. Windows count as images behind the split of their heads: a value
 * [B,W*H,N,d] is written as [B*W,H,N,d], so that the products of attention are those of other
 * transformers. Tokens change places by Gather. */
#include "exchange/onnx_priv.h"

void dfqi_onnx_windows_as_images(dfqi_graph *g)
{
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        int64_t windows = n->op == DFQI_OP_SPLIT_HEADS ? n->attr.i[3] : 1;
        /* operands of attention have their heads in common */
        for (int32_t k = 0; k < n->n_in && n->op != DFQI_OP_JOIN_HEADS; k++) {
            const dfqi_value *x = n->in[k] < 0 ? NULL : &g->values[n->in[k]];
            if (x && x->batched && x->rank == 4 && x->dims[0] > g->batch)
                windows = x->dims[0] / g->batch;
        }
        for (int32_t k = 0; k < n->n_out && windows > 1; k++) {
            dfqi_value *y = &g->values[n->out[k]];
            y->dims[0] *= windows; /* never NULL here. NOLINT(clang-analyzer-core.*) */
            y->dims[1] /= windows;
        }
    }
}

/* -- tokens that change places ----------------------------------------------------------------- */

/* The token that each token of the result comes from, or `tokens` for zeros: what the op makes of
 * the numbers 1, 2, .. of its tokens. NULL after an error. */
static int64_t *sources(dfqi_onnx *e, const dfqi_node *n, int64_t tokens, int64_t count,
                        bool *zeros)
{
    float *from = dfqi_onnx_floats(e, tokens), *to = dfqi_onnx_floats(e, count);
    int64_t *index = dfqi_onnx_alloc(e, (size_t)count, sizeof *index);
    if (!from || !to || !index) return NULL;
    for (int64_t i = 0; i < tokens; i++) from[i] = (float)(i + 1);
    dfqi_run r = {.attr = &n->attr, .images = 1, .batch = 1};
    r.in[0] = (dfqi_arg){.data = from, .rank = 3, .dims = {1, tokens, 1}, .count = tokens};
    r.out[0] = (dfqi_arg){.data = to, .rank = 3, .dims = {1, count, 1}, .count = count};
    dfqi_op_get(n->op)->run(&r);
    for (int64_t i = 0; i < count; i++) {
        index[i] = to[i] > 0 ? (int64_t)to[i] - 1 : tokens;
        *zeros |= index[i] == tokens;
    }
    return index;
}

/* Windows, the map again, and squares of 2 x 2 tokens: [B,N,C] -> [B,M,C] -> [B,M',C']. */
void dfqi_emit_move_tokens(dfqi_onnx *e, const dfqi_node *n)
{
    static const int64_t pads[6] = {0, 0, 0, 0, 1, 0};
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0), *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t count = y->dims[1] * (y->dims[2] / v->dims[2]);
    bool zeros = false;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    int64_t *index = sources(e, n, v->dims[1], count, &zeros);
    if (!index) return;
    if (zeros) x = dfqi_onnx_binary(e, "Pad", x, dfqi_onnx_list(e, 6, pads));
    char *name = dfqi_onnx_text(e, "%s.tokens.%d", e->label, (int)e->serial++);
    dfqi_ref at = dfqi_onnx_tensor(e, name, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, &count, index);
    x = dfqi_onnx_binary(e, "Gather", x, at);
    dfqi_onnx_int(e, "axis", 1);
    if (y->dims[2] != v->dims[2])
        x = dfqi_onnx_reshape(e, x, 3, (int64_t[]){0, y->dims[1], y->dims[2]});
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}

/* -- biases and masks -------------------------------------------------------------------------- */

/* The table of biases for each head and pair of tokens, times `factor`. */
static dfqi_ref biases(dfqi_onnx *e, const dfqi_node *n, float factor)
{
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 1);
    const dfqi_value *bias = dfqi_onnx_shape(e, n, 1), *table = dfqi_onnx_shape(e, maker, 0);
    int64_t count = dfqi_value_count(bias);
    float *to = dfqi_onnx_floats(e, count);
    if (!to) return NULL;
    dfqi_run r = {.attr = &maker->attr, .images = 1, .batch = 1};
    r.in[0] = (dfqi_arg){.data = dfqi_tensor_f32(table->tensor)};
    r.out[0] = (dfqi_arg){.data = to, .count = count};
    dfqi_op_get(maker->op)->run(&r);
    for (int64_t i = 0; i < count; i++) to[i] *= factor;
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.bias.%d", e->label, (int)e->serial++),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 3, bias->dims, to);
}

/* [W,1,N,N] */
static dfqi_ref masks(dfqi_onnx *e, const dfqi_node *n, int64_t windows, int64_t tokens,
                      float factor)
{
    int64_t size = tokens * tokens;
    dfqi_attr a = n->attr;
    float *to = dfqi_onnx_floats(e, windows * size);
    if (!to) return NULL;
    a.f[0] *= factor;
    for (int64_t i = 0; i < windows * size; i++) to[i] = 0;
    for (int64_t w = 0; w < windows; w++) dfqi_window_mask(&a, w, 0, tokens, to + w * size);
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.mask.%d", e->label, (int)e->serial++),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 4,
                            (int64_t[]){windows, 1, tokens, tokens}, to);
}

/* The scores may be scaled already, as the softmax behind would do it: then so is what is added. */
void dfqi_emit_window_bias(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    const dfqi_node *softmax = dfqi_onnx_reader(e, n);
    bool scaled = e->values[n->in[0]].scaled;
    float factor = scaled && softmax ? softmax->attr.f[0] : 1.0f;
    const int64_t windows = dfqi_window_count(
        &(dfqi_windowing){.map = {a[0], a[1]}, .window = {a[2], a[3]}, .shift = {a[4], a[5]}});
    dfqi_ref x =
        dfqi_onnx_binary(e, "Add", dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME), biases(e, n, factor));
    if (a[4] > 0 || a[5] > 0) {
        int64_t dims[5] = {-1, windows, y->dims[1], y->dims[2], y->dims[3]};
        x = dfqi_onnx_reshape(e, x, 5, dims);
        x = dfqi_onnx_binary(e, "Add", x, masks(e, n, windows, y->dims[2], factor));
        x = dfqi_onnx_reshape(e, x, 4, (int64_t[]){-1, dims[2], dims[3], dims[4]});
    }
    e->values[n->out[0]].scaled = scaled;
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}
