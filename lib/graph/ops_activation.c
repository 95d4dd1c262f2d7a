/* Smooth activations, and the gates of squeeze-and-excite. */
#include "graph/ops_priv.h"

#include <math.h>

/* -- activation: attr i[0] which; gradient: x, dy ---------------------------------------------- */

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static float sigmoid_slope(float x)
{
    const float s = sigmoid(x);
    return s * (1.0f - s);
}

static float silu_slope(float x)
{
    const float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

/* A bend is at -3 and at 3, where the slope is that of PyTorch. */
static float hard_sigmoid(float x)
{
    return fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f;
}

static float hard_sigmoid_slope(float x)
{
    return x > -3.0f && x < 3.0f ? 1.0f / 6.0f : 0.0f;
}

static float hard_swish(float x)
{
    return x * hard_sigmoid(x);
}

static float hard_swish_slope(float x)
{
    return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x / 3.0f + 0.5f;
}

static const float quick = 1.702f;

static float quick_gelu_slope(float x)
{
    const float s = sigmoid(quick * x);
    return s * (1.0f + quick * x * (1.0f - s));
}

static const float root = 0.797884560802865356f /* sqrt(2/pi) */, cubic = 0.044715f;

static float gelu_tanh_slope(float x)
{
    const float t = tanhf(root * (x + cubic * x * x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * root * (1.0f + 3.0f * cubic * x * x);
}

static float softplus(float x)
{
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
}

static float elu(float x)
{
    return x < 0.0f ? expm1f(x) : x;
}

static float elu_slope(float x)
{
    return x < 0.0f ? expf(x) : 1.0f;
}

static float root_of(float x)
{
    return x > 0.0f ? sqrtf(x) : 0.0f;
}

static float root_slope(float x)
{
    return x > 0.0f ? 0.5f / sqrtf(x) : 0.0f;
}

static float reciprocal(float x)
{
    return 1.0f / x;
}

static float reciprocal_slope(float x)
{
    return -1.0f / (x * x);
}

static float exponential(float x)
{
    return expf(x);
}

static const struct row {
    float (*value)(float x); /* NULL: a sigmoid, below */
    float (*slope)(float x);
} rows[DFQI_ACTIVATION_COUNT] = {
    [DFQI_ACTIVATION_SIGMOID] = {NULL, sigmoid_slope},
    [DFQI_ACTIVATION_SILU] = {NULL, silu_slope},
    [DFQI_ACTIVATION_HARD_SIGMOID] = {hard_sigmoid, hard_sigmoid_slope},
    [DFQI_ACTIVATION_HARD_SWISH] = {hard_swish, hard_swish_slope},
    [DFQI_ACTIVATION_QUICK_GELU] = {NULL, quick_gelu_slope},
    [DFQI_ACTIVATION_GELU_TANH] = {NULL, gelu_tanh_slope},
    [DFQI_ACTIVATION_SOFTPLUS] = {softplus, sigmoid},
    [DFQI_ACTIVATION_ELU] = {elu, elu_slope},
    [DFQI_ACTIVATION_SQRT] = {root_of, root_slope},
    [DFQI_ACTIVATION_RECIPROCAL] = {reciprocal, reciprocal_slope},
    [DFQI_ACTIVATION_EXP] = {exponential, exponential},
};

static dfq_status activation_shape(dfqi_graph *g, dfqi_node *n)
{
    if (n->attr.i[0] < 0 || n->attr.i[0] >= DFQI_ACTIVATION_COUNT)
        return dfqi_fail(g->ctx, DFQ_E_INVALID, "activation %s: kind is %lld, must be 0 to %d",
                         n->name, (long long)n->attr.i[0], DFQI_ACTIVATION_COUNT - 1);
    return dfqi_shape_same(g, n);
}

/* Those that are sigmoids of a x + b x^3, some times x (kernel.h); a 0: it is another one. */
static const struct sigmoid_row {
    float a, b;
    int gate;
} sigmoids[DFQI_ACTIVATION_COUNT] = {
    [DFQI_ACTIVATION_SIGMOID] = {1.0f, 0.0f, 0},
    [DFQI_ACTIVATION_SILU] = {1.0f, 0.0f, 1},
    [DFQI_ACTIVATION_QUICK_GELU] = {1.702f, 0.0f, 1},
    [DFQI_ACTIVATION_GELU_TANH] = {1.59576912160573071f, 0.0713548162726f, 1},
};

static void activation_run(const dfqi_run *r)
{
    const struct sigmoid_row *s = &sigmoids[r->attr->i[0]];
    if (s->a != 0.0f) {
        r->k->sigmoid((size_t)r->out[0].count, s->a, s->b, s->gate, r->in[0].data, r->out[0].data);
        return;
    }
    float (*const value)(float) = rows[r->attr->i[0]].value;
    for (int64_t i = 0; i < r->out[0].count; i++) r->out[0].data[i] = value(r->in[0].data[i]);
}

static void activation_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                            const uint8_t *want, dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_ACTIVATION_DX, &n->attr, 2, (dfqi_id[]){n->in[0], dout[0]});
}

static void activation_dx_run(const dfqi_run *r)
{
    float (*const slope)(float) = rows[r->attr->i[0]].slope;
    for (int64_t i = 0; i < r->out[0].count; i++)
        r->out[0].data[i] = r->in[1].data[i] * slope(r->in[0].data[i]);
}

/* -- gate: operands x[B,..,C], s[B,C] ---------------------------------------------------------- */

static dfq_status gate_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0), *s = dfqi_in(g, n, 1);
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    if (!s->batched || s->rank != 2 || s->dims[1] != dfqi_value_last(x))
        return dfqi_bad_shape(g, n, 1, "[B,C], one factor for each channel of operand 0");
    return dfqi_shape_same(g, n);
}

static void gate_run(const dfqi_run *r)
{
    int64_t c = r->in[1].dims[1], rows_of = r->in[0].count / c / r->images;
    for (int64_t row = 0; row < r->images * rows_of; row++) {
        const float *s = r->in[1].data + row / rows_of * c, *x = r->in[0].data + row * c;
        for (int64_t i = 0; i < c; i++) r->out[0].data[row * c + i] = x[i] * s[i];
    }
}

static void gate_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_gate(g, dout[0], n->in[1]);
    if (want[1]) din[1] = dfqi_make(g, DFQI_OP_GATE_DS, NULL, 2, (dfqi_id[]){dout[0], n->in[0]});
}

/* dy[B,..,C], x -> [B,C]: sums of dy x over the positions of each image. */
static dfq_status gate_ds_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 1);
    dfqi_out(g, n, 0, 1, 2, (int64_t[]){x->dims[0], dfqi_value_last(x)});
    return DFQ_OK;
}

static void gate_ds_run(const dfqi_run *r)
{
    int64_t c = r->out[0].dims[1], rows_of = r->in[0].count / c / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        float *s = r->out[0].data + b * c;
        for (int64_t i = 0; i < c; i++) s[i] = 0.0f;
        for (int64_t row = b * rows_of; row < (b + 1) * rows_of; row++) {
            const float *dy = r->in[0].data + row * c, *x = r->in[1].data + row * c;
            for (int64_t i = 0; i < c; i++) s[i] += dy[i] * x[i];
        }
    }
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_activation(dfqi_graph *g, const char *name, dfqi_id x, dfqi_activation_kind kind)
{
    const dfqi_attr a = {.i = {kind}};
    dfqi_id y = dfqi_graph_node(g, DFQI_OP_ACTIVATION, name, &a, 1, &x);
    return dfqi_graph_operand(g, DFQI_OP_ACTIVATION, name, 0, y);
}

dfqi_id dfqi_gate(dfqi_graph *g, dfqi_id x, dfqi_id s)
{
    return dfqi_make(g, DFQI_OP_GATE, NULL, 2, (dfqi_id[]){x, s});
}

const dfqi_op dfqi_ops_activation[] = {
    {"activation", 1, 1, 1, 0, activation_shape, activation_run, activation_grad, NULL, NULL, NULL},
    {"activation_dx", 2, 2, 1, 0, dfqi_shape_same, activation_dx_run, NULL, NULL, NULL, NULL},
    {"gate", 2, 2, 1, 0, gate_shape, gate_run, gate_grad, NULL, NULL, NULL},
    {"gate_ds", 2, 2, 1, 0, gate_ds_shape, gate_ds_run, NULL, dfqi_macs_input, NULL, NULL},
};
