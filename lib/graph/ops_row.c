/* Elementwise ops, and ops over rows (the last extent). */
#include "graph/ops_priv.h"

#include <math.h>

/* -- add --------------------------------------------------------------------------------------- */

static dfq_status pair_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *a = dfqi_in(g, n, 0), *b = dfqi_in(g, n, 1);
    if (!dfqi_same_shape(a, b)) return dfqi_bad_shape(g, n, 1, "the shape of operand 0");
    return dfqi_shape_same(g, n);
}

static void add_run(const dfqi_run *r)
{
    r->k->add((size_t)r->out[0].count, r->in[0].data, r->in[1].data, r->out[0].data);
}

static void add_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                     dfqi_id *din)
{
    (void)g, (void)n;
    for (int i = 0; i < 2; i++)
        if (want[i]) din[i] = dout[0];
}

/* -- mul --------------------------------------------------------------------------------------- */

static void mul_run(const dfqi_run *r)
{
    for (int64_t i = 0; i < r->out[0].count; i++)
        r->out[0].data[i] = r->in[0].data[i] * r->in[1].data[i];
}

static void mul_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                     dfqi_id *din)
{
    for (int i = 0; i < 2; i++)
        if (want[i]) din[i] = dfqi_mul(g, dout[0], n->in[1 - i]);
}

/* -- gelu -------------------------------------------------------------------------------------- */

static void gelu_run(const dfqi_run *r)
{
    r->k->gelu((size_t)r->out[0].count, r->in[0].data, r->out[0].data);
}

static void gelu_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_GELU_DX, NULL, 2, (dfqi_id[]){n->in[0], dout[0]});
}

static void gelu_dx_run(const dfqi_run *r)
{
    r->k->gelu_bwd((size_t)r->out[0].count, r->in[0].data, r->in[1].data, r->out[0].data);
}

/* -- relu: attr f[0] cap; leaky_relu: attr f[0] slope. Gradients read outputs, which are above 0
 * (and below the cap) where inputs are
 * -------------------------------------------------------------- */

static dfq_status relu_shape(dfqi_graph *g, dfqi_node *n)
{
    if (!(n->attr.f[0] > 0))
        return dfqi_fail(g->ctx, DFQ_E_INVALID, "%s %s: cap or slope is %g, must be above 0",
                         dfqi_op_get(n->op)->name, n->name, (double)n->attr.f[0]);
    return dfqi_shape_same(g, n);
}

static void relu_run(const dfqi_run *r)
{
    r->k->relu((size_t)r->out[0].count, r->attr->f[0], r->in[0].data, r->out[0].data);
}

static void relu_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_RELU_DX, &n->attr, 2, (dfqi_id[]){n->out[0], dout[0]});
}

static void relu_dx_run(const dfqi_run *r)
{
    r->k->relu_bwd((size_t)r->out[0].count, r->attr->f[0], r->in[0].data, r->in[1].data,
                   r->out[0].data);
}

static void leaky_run(const dfqi_run *r)
{
    r->k->leaky_relu((size_t)r->out[0].count, r->attr->f[0], r->in[0].data, r->out[0].data);
}

static void leaky_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_LEAKY_RELU_DX, &n->attr, 2, (dfqi_id[]){n->out[0], dout[0]});
}

static void leaky_dx_run(const dfqi_run *r)
{
    r->k->leaky_relu_bwd((size_t)r->out[0].count, r->attr->f[0], r->in[0].data, r->in[1].data,
                         r->out[0].data);
}

/* -- tanh; gradient: y, dy --------------------------------------------------------------------- */

static void tanh_run(const dfqi_run *r)
{
    for (int64_t i = 0; i < r->out[0].count; i++) r->out[0].data[i] = tanhf(r->in[0].data[i]);
}

static void tanh_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_TANH_DX, NULL, 2, (dfqi_id[]){n->out[0], dout[0]});
}

static void tanh_dx_run(const dfqi_run *r)
{
    const float *y = r->in[0].data, *dy = r->in[1].data;
    for (int64_t i = 0; i < r->out[0].count; i++) r->out[0].data[i] = dy[i] * (1.0f - y[i] * y[i]);
}

/* -- softmax: attr f[0] scale ------------------------------------------------------------------ */

static dfq_status softmax_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank < 1 + x->batched) return dfqi_bad_shape(g, n, 0, "rows, at least [N] an image");
    return dfqi_shape_same(g, n);
}

static void softmax_run(const dfqi_run *r)
{
    int64_t cols = r->in[0].dims[r->in[0].rank - 1];
    r->k->softmax(r->in[0].count / cols, cols, r->attr->f[0], r->in[0].data, r->out[0].data);
}

static void softmax_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_SOFTMAX_DX, &n->attr, 2, (dfqi_id[]){n->out[0], dout[0]});
}

static void softmax_dx_run(const dfqi_run *r)
{
    int64_t cols = r->in[0].dims[r->in[0].rank - 1];
    r->k->softmax_bwd(r->in[0].count / cols, cols, r->attr->f[0], r->in[0].data, r->in[1].data,
                      r->out[0].data);
}

/* -- layernorm: operands x, gamma, beta; outputs y, stats[B,..,2]; attr f[0] eps --------------- */

static dfq_status layernorm_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,D]");
    for (int32_t i = 1; i < 3; i++)
        if (!dfqi_is_shared(dfqi_in(g, n, i), dfqi_value_last(x)))
            return dfqi_bad_shape(g, n, i, "one entry for each channel of operand 0");
    dfqi_out_like(g, n, 0, n->in[0]);
    dfqi_out_like(g, n, 1, n->in[0]);
    g->values[n->out[1]].dims[x->rank - 1] = 2;
    return DFQ_OK;
}

/* Statistics that nobody reads go to scratch memory. */
static int64_t layernorm_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    return 2 * images * dfqi_value_stride(x) / dfqi_value_last(x);
}

static void layernorm_run(const dfqi_run *r)
{
    int64_t cols = r->in[0].dims[r->in[0].rank - 1];
    r->k->layernorm(r->in[0].count / cols, cols, r->attr->f[0], r->in[0].data, r->in[1].data,
                    r->in[2].data, r->out[0].data, r->out[1].data ? r->out[1].data : r->scratch);
}

static void layernorm_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    dfqi_id dx = dfqi_make(g, DFQI_OP_LAYERNORM_DX, NULL, 4,
                           (dfqi_id[]){dout[0], n->in[0], n->out[1], n->in[1]});
    dfqi_id partial = dfqi_graph_output(g, dx, 1);
    if (want[0]) din[0] = dx;
    if (want[1]) din[1] = dfqi_sum_batch(g, partial, n->in[1], 0, 1.0f);
    if (want[2])
        din[2] = dfqi_sum_batch(g, partial, n->in[2], dfqi_value_last(dfqi_in(g, n, 0)), 1.0f);
}

/* operands dy, x, stats, gamma; outputs dx, partial[B,2,D] = dgamma, dbeta of each image */
static dfq_status layernorm_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 1);
    int64_t dims[3] = {x->dims[0], 2, dfqi_value_last(x)};
    dfqi_out_like(g, n, 0, n->in[1]);
    dfqi_out(g, n, 1, 1, 3, dims);
    return DFQ_OK;
}

static void layernorm_dx_run(const dfqi_run *r)
{
    int64_t cols = r->in[1].dims[r->in[1].rank - 1];
    int64_t rows = r->in[1].count / cols / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        int64_t x = b * rows * cols;
        r->k->layernorm_bwd(rows, cols, r->in[1].data + x, r->in[2].data + b * rows * 2,
                            r->in[3].data, r->in[0].data + x, r->out[0].data + x,
                            r->out[1].data ? r->out[1].data + b * 2 * cols : NULL);
    }
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_add(dfqi_graph *g, dfqi_id a, dfqi_id b)
{
    return dfqi_make(g, DFQI_OP_ADD, NULL, 2, (dfqi_id[]){a, b});
}

dfqi_id dfqi_mul(dfqi_graph *g, dfqi_id a, dfqi_id b)
{
    return dfqi_make(g, DFQI_OP_MUL, NULL, 2, (dfqi_id[]){a, b});
}

dfqi_id dfqi_relu(dfqi_graph *g, const char *name, dfqi_id x, float cap)
{
    dfqi_attr a = {.f = {cap}};
    dfqi_id y = dfqi_graph_node(g, DFQI_OP_RELU, name, &a, 1, &x);
    return dfqi_graph_operand(g, DFQI_OP_RELU, name, 0, y);
}

dfqi_id dfqi_leaky_relu(dfqi_graph *g, dfqi_id x, float slope)
{
    dfqi_attr a = {.f = {slope}};
    return dfqi_make(g, DFQI_OP_LEAKY_RELU, &a, 1, &x);
}

dfqi_id dfqi_tanh(dfqi_graph *g, dfqi_id x)
{
    return dfqi_make(g, DFQI_OP_TANH, NULL, 1, &x);
}

dfqi_id dfqi_gelu(dfqi_graph *g, dfqi_id x)
{
    return dfqi_make(g, DFQI_OP_GELU, NULL, 1, &x);
}

dfqi_id dfqi_softmax(dfqi_graph *g, dfqi_id x, float scale)
{
    dfqi_attr a = {.f = {scale}};
    return dfqi_make(g, DFQI_OP_SOFTMAX, &a, 1, &x);
}

dfqi_id dfqi_layernorm(dfqi_graph *g, dfqi_id x, dfqi_id gamma, dfqi_id beta, float eps)
{
    dfqi_attr a = {.f = {eps}};
    return dfqi_make(g, DFQI_OP_LAYERNORM, &a, 3, (dfqi_id[]){x, gamma, beta});
}

const dfqi_op dfqi_ops_row[] = {
    {"add", 2, 2, 1, 0, pair_shape, add_run, add_grad, NULL, NULL, NULL},
    {"mul", 2, 2, 1, 0, pair_shape, mul_run, mul_grad, NULL, NULL, NULL},
    {"gelu", 1, 1, 1, 0, dfqi_shape_same, gelu_run, gelu_grad, NULL, NULL, NULL},
    {"gelu_dx", 2, 2, 1, 0, dfqi_shape_same, gelu_dx_run, NULL, NULL, NULL, NULL},
    {"relu", 1, 1, 1, 0, relu_shape, relu_run, relu_grad, NULL, NULL, NULL},
    {"relu_dx", 2, 2, 1, 0, dfqi_shape_same, relu_dx_run, NULL, NULL, NULL, NULL},
    {"leaky_relu", 1, 1, 1, 0, relu_shape, leaky_run, leaky_grad, NULL, NULL, NULL},
    {"leaky_relu_dx", 2, 2, 1, 0, dfqi_shape_same, leaky_dx_run, NULL, NULL, NULL, NULL},
    {"tanh", 1, 1, 1, 0, dfqi_shape_same, tanh_run, tanh_grad, NULL, NULL, NULL},
    {"tanh_dx", 2, 2, 1, 0, dfqi_shape_same, tanh_dx_run, NULL, NULL, NULL, NULL},
    {"softmax", 1, 1, 1, 0, softmax_shape, softmax_run, softmax_grad, NULL, NULL, NULL},
    {"softmax_dx", 2, 2, 1, 0, dfqi_shape_same, softmax_dx_run, NULL, NULL, NULL, NULL},
    {"layernorm", 3, 3, 2, 0, layernorm_shape, layernorm_run, layernorm_grad, NULL,
     layernorm_scratch, NULL},
    {"layernorm_dx", 4, 4, 2, 0, layernorm_dx_shape, layernorm_dx_run, NULL, NULL, NULL, NULL},
};
