/* Emitters of vision transformers: patches, tokens, heads, attention, norms. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_priv.h"

enum { GELU_OPSET = 20 };

/* [B,C,Y,X] -> [B,C,Y/p,p,X/p,p] -> [B,Y/p,X/p,C,p,p] -> [B,P,C p p] */
void dfqi_emit_patchify(dfqi_onnx *e, const dfqi_node *n)
{
    static const int64_t perm[6] = {0, 2, 4, 1, 3, 5};
    const dfqi_value *x = dfqi_onnx_shape(e, n, 0), *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t p = n->attr.i[0], c = x->dims[1];
    const int64_t cut[6] = {0, c, x->dims[2] / p, p, x->dims[3] / p, p};
    dfqi_ref r = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    r = dfqi_onnx_transpose(e, dfqi_onnx_reshape(e, r, 6, cut), 6, perm);
    r = dfqi_onnx_reshape(e, r, 3, (int64_t[]){0, y->dims[1], y->dims[2]});
    dfqi_onnx_out(e, n, 0, r, DFQI_LAYOUT_SAME);
}

/* The class token and what follows it take the place of rows of zeros that are padded, so that
 * their copies need not know the batch; their positions are added beforehand, as the op does. */
void dfqi_emit_tokens(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t count = y->dims[1] * y->dims[2], d = y->dims[2];
    const int64_t pads[6] = {0, y->dims[1] - dfqi_onnx_shape(e, n, 0)->dims[1], 0, 0, 0, 0};
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME), at;
    if (n->in[2] >= 0) {
        const float *pos = dfqi_onnx_param(e, n, 1), *cls = dfqi_onnx_param(e, n, 2);
        float *sum = dfqi_onnx_floats(e, count);
        if (!sum) return;
        memcpy(sum, pos, (size_t)count * sizeof *sum);
        for (int64_t i = 0; i < pads[1] * d; i++) sum[i] = cls[i] + pos[i];
        x = dfqi_onnx_binary(e, "Pad", x, dfqi_onnx_list(e, 6, pads));
        at = dfqi_onnx_tensor(e, "cls_token+pos_embed", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 3,
                              (int64_t[]){1, y->dims[1], d}, sum);
    } else {
        at = dfqi_onnx_in(e, n, 1, DFQI_LAYOUT_SAME);
    }
    dfqi_onnx_out(e, n, 0, dfqi_onnx_binary(e, "Add", x, at), DFQI_LAYOUT_SAME);
}

/* The operand is that token already: [B,1,D] -> [B,D]. */
void dfqi_emit_select_token(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    x = dfqi_onnx_reshape(e, x, 2, (int64_t[]){0, dfqi_value_last(dfqi_onnx_shape(e, n, 0))});
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}

void dfqi_emit_drop_tokens(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t axis = 1;
    const dfqi_ref in[4] = {dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME),
                            dfqi_onnx_list(e, 1, &n->attr.i[0]),
                            dfqi_onnx_list(e, 1, &n->attr.i[1]), dfqi_onnx_list(e, 1, &axis)};
    dfqi_onnx_out(e, n, 0, dfqi_onnx_node(e, "Slice", 4, in), DFQI_LAYOUT_SAME);
}

/* Heads stay behind the tokens until a product needs them in front, so that keys are transposed
 * once. */
void dfqi_emit_split_heads(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    int64_t width = y->dims[1] * y->dims[3];
    const int64_t sizes[3] = {width, width, width},
                  dims[4] = {n->attr.i[3] > 1 ? -1 : 0, y->dims[2], y->dims[1], y->dims[3]};
    dfqi_ref part[3], x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    part[0] = x;
    if (n->n_out > 1) {
        dfqi_onnx_node_with(e, "Split", 2, (dfqi_ref[]){x, dfqi_onnx_list(e, n->n_out, sizes)},
                            n->n_out, part);
        dfqi_onnx_int(e, "axis", -1);
    }
    for (int32_t i = 0; i < n->n_out; i++)
        dfqi_onnx_out(e, n, i, dfqi_onnx_reshape(e, part[i], 4, dims), DFQI_LAYOUT_TOKENS_FIRST);
}

void dfqi_emit_join_heads(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_value *y = dfqi_graph_value(e->g, n->out[0]);
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_TOKENS_FIRST);
    int64_t images = n->attr.i[3] > 1 ? -1 : 0;
    x = dfqi_onnx_reshape(e, x, 3, (int64_t[]){images, y->dims[1], y->dims[2]});
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}

void dfqi_emit_softmax(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME);
    float scale = n->attr.f[0];
    if (scale != 1.0f && !e->values[n->in[0]].scaled)
        x = dfqi_onnx_binary(e, "Mul", x, dfqi_onnx_scalar(e, scale));
    const dfqi_node *reader = dfqi_onnx_reader(e, n);
    bool logarithm = reader && reader->op == DFQI_OP_FQ_LOG;
    x = dfqi_onnx_unary(e, logarithm ? "LogSoftmax" : "Softmax", x);
    dfqi_onnx_int(e, "axis", -1);
    e->values[n->out[0]].logarithm = logarithm;
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}

/* -- rows -------------------------------------------------------------------------------------- */

/* gamma and beta, divided by the scales of a grid, whose zero points are added to beta. */
static dfqi_ref divided(dfqi_onnx *e, const dfqi_node *fq, int64_t c, const float *v,
                        const float *zeros, const char *what)
{
    const float *s = dfqi_onnx_param(e, fq, 1);
    float *y = dfqi_onnx_floats(e, c);
    for (int64_t i = 0; y && i < c; i++)
        y[i] = (float)((double)v[i] / (double)s[i] + (zeros ? (double)zeros[i] : 0.0));
    char *name = dfqi_onnx_text(e, "%s.norm.%s.%d", e->label, what, (int)e->serial++);
    return dfqi_onnx_tensor(e, name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &c, y);
}

void dfqi_emit_layernorm(dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *grid = dfqi_onnx_channel_grid(e, n);
    int64_t c = dfqi_value_last(dfqi_onnx_shape(e, n, 0));
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME), gamma, beta;
    if (grid) {
        const float *zeros = dfqi_onnx_zeros(e, grid, c);
        gamma = divided(e, grid, c, dfqi_onnx_param(e, n, 1), NULL, "gamma");
        beta = divided(e, grid, c, dfqi_onnx_param(e, n, 2), zeros, "beta");
        e->values[n->out[0]].divided = true;
    } else {
        gamma = dfqi_onnx_in(e, n, 1, DFQI_LAYOUT_SAME);
        beta = dfqi_onnx_in(e, n, 2, DFQI_LAYOUT_SAME);
    }
    x = dfqi_onnx_node(e, "LayerNormalization", 3, (dfqi_ref[]){x, gamma, beta});
    dfqi_onnx_int(e, "axis", -1);
    dfqi_onnx_float(e, "epsilon", n->attr.f[0]);
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}

/* x / 2 (1 + erf(x / sqrt 2)) where there is no node for it */
void dfqi_emit_gelu(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_layout layout;
    dfqi_ref x = dfqi_onnx_in_any(e, n, 0, &layout), y;
    if (e->opset >= GELU_OPSET) {
        y = dfqi_onnx_unary(e, "Gelu", x);
    } else {
        y = dfqi_onnx_binary(e, "Div", x, dfqi_onnx_scalar(e, 1.41421356237309505f));
        y = dfqi_onnx_binary(e, "Add", dfqi_onnx_unary(e, "Erf", y), dfqi_onnx_scalar(e, 1.0f));
        y = dfqi_onnx_binary(e, "Mul", x, y);
        y = dfqi_onnx_binary(e, "Mul", y, dfqi_onnx_scalar(e, 0.5f));
    }
    dfqi_onnx_out(e, n, 0, y, layout);
}
