/* The kinds of ops of a structure, and the forward pass. */
#include <math.h>
#include <stdio.h>

#include "graph/ops.h"
#include "nn/structure.h"

/* Operands that are parameters are marked by bits: 1 << 1 is the second one. */
enum { P1 = 2, P2 = 4, P3 = 8, P4 = 16 };

static const dfqi_structure_rule rules[DFQI_STRUCTURE_KINDS] = {
    [DFQI_STRUCTURE_LINEAR] = {"linear", 2, 3, P1 | P2, 0, 0, 0, 0},
    [DFQI_STRUCTURE_MATMUL_NT] = {"matmul_nt", 2, 2, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_MATMUL_NN] = {"matmul_nn", 2, 2, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_CONV] = {"conv", 2, 3, P1 | P2, 5, 5, 0, 0},
    [DFQI_STRUCTURE_ADD] = {"add", 2, 2, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_MUL] = {"mul", 2, 2, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_GATE] = {"gate", 2, 2, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_GELU] = {"gelu", 1, 1, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_TANH] = {"tanh", 1, 1, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_RELU] = {"relu", 1, 1, 0, 0, 0, 0, 1},
    [DFQI_STRUCTURE_ACTIVATION] = {"activation", 1, 1, 0, 1, 1, 0, 0},
    [DFQI_STRUCTURE_SOFTMAX] = {"softmax", 1, 1, 0, 0, 0, 1, 1},
    [DFQI_STRUCTURE_LAYERNORM] = {"layernorm", 3, 3, P1 | P2, 0, 0, 1, 1},
    [DFQI_STRUCTURE_BATCHNORM] = {"batchnorm", 5, 5, P1 | P2 | P3 | P4, 0, 0, 1, 1},
    [DFQI_STRUCTURE_PATCHIFY] = {"patchify", 1, 1, 0, 1, 1, 0, 0},
    [DFQI_STRUCTURE_TOKENS] = {"tokens", 2, 3, P1 | P2, 0, 0, 0, 0},
    [DFQI_STRUCTURE_SELECT_TOKEN] = {"select_token", 1, 1, 0, 1, 1, 0, 0},
    [DFQI_STRUCTURE_SPLIT_HEADS] = {"split_heads", 1, 1, 0, 2, 2, 0, 0},
    [DFQI_STRUCTURE_JOIN_HEADS] = {"join_heads", 1, 1, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_CHANNELS_LAST] = {"channels_last", 1, 1, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_RESHAPE] = {"reshape", 1, 1, 0, 1, DFQI_STRUCTURE_INTS, 0, 0},
    [DFQI_STRUCTURE_MAX_POOL] = {"max_pool", 1, 1, 0, 4, 4, 0, 0},
    [DFQI_STRUCTURE_AVG_POOL] = {"avg_pool", 1, 1, 0, 5, 5, 0, 0},
    [DFQI_STRUCTURE_MEAN_POOL] = {"mean_pool", 1, 1, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_PAD_IMAGE] = {"pad_image", 1, 1, 0, 4, 4, 0, 0},
    [DFQI_STRUCTURE_CONCAT] = {"concat", 2, 2, 0, 0, 0, 0, 0},
    [DFQI_STRUCTURE_CHANNELS] = {"channels", 1, 1, 0, 2, 2, 0, 0},
    [DFQI_STRUCTURE_AFFINE] = {"affine", 3, 3, P1 | P2, 0, 0, 0, 0},
    [DFQI_STRUCTURE_REPEAT] = {"repeat", 1, 1, 0, 1, 1, 0, 0},
    [DFQI_STRUCTURE_FUNCTION] = {"function", 1, 1, 0, 1, 1, 0, 0},
    [DFQI_STRUCTURE_NORMALISE] = {"normalise", 1, 1, 0, 0, 0, 1, 1},
    [DFQI_STRUCTURE_LEAKY_RELU] = {"leaky_relu", 1, 1, 0, 0, 0, 1, 1},
};

const dfqi_structure_rule *dfqi_structure_rule_of(dfqi_structure_kind kind)
{
    return &rules[kind];
}

typedef struct pass {
    const dfqi_structure *p;
    float eps;
    dfqi_graph *g;
    dfqi_taps *taps;
    dfqi_id *values; /* ids of the structure's values */
} pass;

static dfqi_id batchnorm(const pass *s, const dfqi_structure_op *op, const dfqi_id *in)
{
    const char *gamma = s->p->params[op->in[1] - 1].name;
    if (op->tap >= 0 && s->taps->norms)
        s->taps->norms[op->tap] = (dfqi_norm_tap){in[0], in[1], in[2], in[3], in[4]};
    if (op->tap >= 0) dfqi_graph_probe(s->g, in[0], "%s.input", op->name[0] ? op->name : gamma);
    return dfqi_batchnorm(s->g, in[0], in[3], in[4], in[1], in[2],
                          op->tap >= 0 ? s->eps : op->value);
}

static dfqi_id product(const pass *s, const dfqi_structure_op *op, const dfqi_id *in)
{
    const int64_t *a = op->ints;
    const dfqi_conv_attr conv = {
        .stride = a[0], .pad = a[1], .dilation = a[2], .groups = a[3], .more = a[4]};
    switch (op->kind) {
    case DFQI_STRUCTURE_LINEAR:
        return dfqi_linear(s->g, op->name, in[0], in[1], in[2]);
    case DFQI_STRUCTURE_CONV:
        return dfqi_conv(s->g, op->name, in[0], in[1], in[2], &conv);
    case DFQI_STRUCTURE_MATMUL_NT:
        return dfqi_matmul_nt(s->g, op->name, in[0], in[1]);
    default:
        return dfqi_matmul_nn(s->g, op->name, in[0], in[1]);
    }
}

/* One with a name is what a block makes. */
static dfqi_id sum(const pass *s, const dfqi_structure_op *op, const dfqi_id *in)
{
    dfqi_id y = dfqi_add(s->g, in[0], in[1]);
    if (op->name[0]) dfqi_graph_probe(s->g, y, "%s", op->name);
    return y;
}

static dfqi_id softmax(const pass *s, const dfqi_structure_op *op, dfqi_id x)
{
    x = dfqi_softmax(s->g, x, op->value);
    if (op->name[0]) dfqi_graph_probe(s->g, x, "%s", op->name);
    return x;
}

/* A vector of the graph's own, with the same number in all entries. */
static dfqi_id filled(dfqi_graph *g, int64_t n, float value)
{
    dfq_tensor *t = NULL;
    dfq_status status = dfqi_tensor_new(g->ctx, DFQI_F32, 1, &n, &t);
    if (status != DFQ_OK) return dfqi_graph_fail(g, status, "out of memory");
    for (int64_t i = 0; i < n; i++) dfqi_tensor_f32(t)[i] = value;
    dfqi_id id = dfqi_graph_param(g, NULL, t, 1);
    dfqi_tensor_release(t);
    return id;
}

static dfqi_id normalise(const pass *s, const dfqi_structure_op *op, dfqi_id x)
{
    if (s->g->status != DFQ_OK) return DFQI_NONE;
    const int64_t n = dfqi_value_last(dfqi_graph_value(s->g, x));
    return dfqi_layernorm(s->g, x, filled(s->g, n, 1.0f), filled(s->g, n, 0.0f), op->value);
}

static dfqi_id layout(dfqi_graph *g, const dfqi_structure_op *op, const dfqi_id *in)
{
    const int64_t *a = op->ints;
    const dfqi_pool_attr pool = {
        .size = a[0], .stride = a[1], .pad = a[2], .more = a[3], .count_pad = a[4]};
    switch (op->kind) {
    case DFQI_STRUCTURE_PATCHIFY:
        return dfqi_patchify(g, in[0], a[0]);
    case DFQI_STRUCTURE_TOKENS:
        return dfqi_tokens(g, in[0], in[2], in[1]);
    case DFQI_STRUCTURE_SELECT_TOKEN:
        return dfqi_select_token(g, in[0], a[0]);
    case DFQI_STRUCTURE_SPLIT_HEADS:
        return dfqi_split_heads(g, in[0], a[0], a[1]);
    case DFQI_STRUCTURE_JOIN_HEADS:
        return dfqi_join_heads(g, in[0]);
    case DFQI_STRUCTURE_CHANNELS_LAST:
        return dfqi_channels_last(g, in[0]);
    case DFQI_STRUCTURE_MAX_POOL:
        return dfqi_max_pool(g, in[0], &pool);
    case DFQI_STRUCTURE_AVG_POOL:
        return dfqi_avg_pool(g, in[0], &pool);
    case DFQI_STRUCTURE_PAD_IMAGE:
        return dfqi_pad_image(g, in[0], a);
    case DFQI_STRUCTURE_CONCAT:
        return dfqi_concat(g, in[0], in[1]);
    case DFQI_STRUCTURE_CHANNELS:
        return dfqi_channels(g, in[0], a[0], a[1]);
    case DFQI_STRUCTURE_REPEAT:
        return dfqi_repeat(g, in[0], a[0]);
    case DFQI_STRUCTURE_MEAN_POOL:
        return dfqi_mean_pool(g, in[0]);
    default:
        return dfqi_reshape(g, in[0], op->n_ints, a);
    }
}

static dfqi_id build(const pass *s, const dfqi_structure_op *op, const dfqi_id *in)
{
    switch (op->kind) {
    case DFQI_STRUCTURE_ADD:
        return sum(s, op, in);
    case DFQI_STRUCTURE_MUL:
        return dfqi_mul(s->g, in[0], in[1]);
    case DFQI_STRUCTURE_GATE:
        return dfqi_gate(s->g, in[0], in[1]);
    case DFQI_STRUCTURE_GELU:
        return dfqi_gelu(s->g, in[0]);
    case DFQI_STRUCTURE_TANH:
        return dfqi_tanh(s->g, in[0]);
    case DFQI_STRUCTURE_RELU:
        return dfqi_relu(s->g, op->name[0] ? op->name : NULL, in[0],
                         op->n_floats ? op->value : INFINITY);
    case DFQI_STRUCTURE_ACTIVATION:
        return dfqi_activation(s->g, op->name, in[0], (dfqi_activation_kind)op->ints[0]);
    case DFQI_STRUCTURE_FUNCTION:
        return dfqi_activation(s->g, NULL, in[0], (dfqi_activation_kind)op->ints[0]);
    case DFQI_STRUCTURE_LEAKY_RELU:
        return dfqi_leaky_relu(s->g, in[0], op->value);
    case DFQI_STRUCTURE_AFFINE:
        return dfqi_affine(s->g, in[0], in[1], in[2]);
    case DFQI_STRUCTURE_SOFTMAX:
        return softmax(s, op, in[0]);
    case DFQI_STRUCTURE_LAYERNORM:
        return dfqi_layernorm(s->g, in[0], in[1], in[2], op->value);
    case DFQI_STRUCTURE_NORMALISE:
        return normalise(s, op, in[0]);
    case DFQI_STRUCTURE_BATCHNORM:
        return batchnorm(s, op, in);
    default:
        return op->kind <= DFQI_STRUCTURE_CONV ? product(s, op, in) : layout(s->g, op, in);
    }
}

static void check_logits(const pass *s, dfqi_id logits)
{
    const dfqi_value *v = logits >= 0 ? dfqi_graph_value(s->g, logits) : NULL;
    if (v && v->rank == 2 && v->batched && v->dims[1] == s->p->classes) return;
    dfqi_graph_fail(s->g, DFQ_E_SHAPE, "the structure does not make logits of %lld classes",
                    (long long)s->p->classes);
}

void dfqi_structure_forward(const dfqi_structure *p, float eps, dfqi_graph *g,
                            const dfqi_id *params, dfqi_id x, dfqi_taps *taps)
{
    const dfqi_structure_op *last = &p->ops[p->n_ops - 1];
    size_t n = (size_t)last->out + (size_t)last->n_out;
    pass s = {.p = p, .eps = eps, .g = g, .taps = taps};
    s.values = dfqi_arena_alloc(&g->names, n * sizeof *s.values);
    if (!s.values) {
        dfqi_graph_fail(g, DFQ_E_NOMEM, "out of memory");
        return;
    }
    s.values[DFQI_STRUCTURE_IMAGE] = x;
    for (int32_t i = 0; i < p->n_params; i++) s.values[1 + i] = params[i];
    for (int32_t i = 0; i < p->n_ops && g->status == DFQ_OK; i++) {
        const dfqi_structure_op *op = &p->ops[i];
        dfqi_id in[DFQI_STRUCTURE_IN];
        for (int32_t k = 0; k < DFQI_STRUCTURE_IN; k++)
            in[k] = k < op->n_in ? s.values[op->in[k]] : DFQI_NONE;
        dfqi_id y = build(&s, op, in);
        for (int32_t k = 0; k < op->n_out; k++)
            s.values[op->out + k] = k == 0 ? y : dfqi_graph_output(g, y, k);
    }
    if (g->status != DFQ_OK) return;
    taps->logits = s.values[p->logits];
    check_logits(&s, taps->logits);
}
