/* Ops of reconstruction (tune/reconstruct.h): quantizers that are dropped at random, and the
 * squared error of a unit's output. */
#include "graph/ops_priv.h"

/* -- drop: exact x, quantized q, key of each image; attr i[0] the stream ----------------------- */

enum { WORD = 32 };

/* A word of random bits; bijective in x (the constants are Wellons's lowbias32). */
static uint32_t scramble(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* The bits of values 32 i .. 32 i + 31 of an image; 1: the quantizer is dropped. */
static uint32_t bits_of(float key, int64_t stream, int64_t i)
{
    if (key < 0) return 0;
    return scramble(scramble(scramble((uint32_t)key) + (uint32_t)stream) + (uint32_t)i);
}

static dfq_status drop_shape(dfqi_graph *g, dfqi_node *n)
{
    if (!dfqi_in(g, n, 0)->batched) return dfqi_bad_shape(g, n, 0, "batched");
    if (!dfqi_same_shape(dfqi_in(g, n, 0), dfqi_in(g, n, 1)))
        return dfqi_bad_shape(g, n, 1, "the shape of operand 0");
    if (!dfqi_in(g, n, 2)->batched || dfqi_value_stride(dfqi_in(g, n, 2)) != 1)
        return dfqi_bad_shape(g, n, 2, "one key for each image");
    return dfqi_shape_same(g, n);
}

static void drop_run(const dfqi_run *r)
{
    int64_t count = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        const float *x = r->in[0].data + b * count, *q = r->in[1].data + b * count;
        float *y = r->out[0].data + b * count;
        for (int64_t i = 0; i < count; i += WORD) {
            uint32_t bits = bits_of(r->in[2].data[b], r->attr->i[0], i / WORD);
            int64_t end = i + WORD < count ? WORD : count - i;
            for (int64_t k = 0; k < end; k++) y[i + k] = bits >> k & 1u ? x[i + k] : q[i + k];
        }
    }
}

static void drop_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    dfqi_id d = dfqi_make(g, DFQI_OP_DROP_DX, &n->attr, 2, (dfqi_id[]){dout[0], n->in[2]});
    if (want[0]) din[0] = d;
    if (want[1]) din[1] = dfqi_graph_output(g, d, 1);
}

static dfq_status drop_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 1, n->in[0]);
    return dfqi_shape_same(g, n);
}

/* operands dy, keys; outputs dx, dq, of which one may be absent */
static void drop_dx_run(const dfqi_run *r)
{
    int64_t count = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t i = 0; i < count; i += WORD) {
            uint32_t bits = bits_of(r->in[1].data[b], r->attr->i[0], i / WORD);
            int64_t at = b * count + i, end = i + WORD < count ? WORD : count - i;
            const float *dy = r->in[0].data + at;
            float *dx = r->out[0].data ? r->out[0].data + at : NULL;
            float *dq = r->out[1].data ? r->out[1].data + at : NULL;
            for (int64_t k = 0; dx && k < end; k++) dx[k] = bits >> k & 1u ? dy[k] : 0;
            for (int64_t k = 0; dq && k < end; k++) dq[k] = bits >> k & 1u ? 0 : dy[k];
        }
}

/* -- squared error: a, b, weights; gradient: a, b, weights, dloss ------------------------------ */

static dfq_status error_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *a = dfqi_in(g, n, 0), *w = dfqi_in(g, n, 2);
    if (!a->batched) return dfqi_bad_shape(g, n, 0, "batched");
    if (!dfqi_same_shape(a, dfqi_in(g, n, 1)))
        return dfqi_bad_shape(g, n, 1, "the shape of operand 0");
    if (!dfqi_is_shared(w, 1) && !dfqi_is_shared(w, dfqi_value_stride(a)))
        return dfqi_bad_shape(g, n, 2, "one weight, or one for each value of an image");
    return dfqi_shape_per_image(g, n);
}

static void error_run(const dfqi_run *r)
{
    int64_t n = r->in[0].count / r->images, own = r->in[2].count > 1;
    const float *w = r->in[2].data;
    for (int64_t b = 0; b < r->images; b++) {
        const float *x = r->in[0].data + b * n, *y = r->in[1].data + b * n;
        double sum = 0;
        for (int64_t i = 0; i < n; i++) {
            double d = (double)x[i] - (double)y[i];
            sum += (double)w[own * i] * d * d;
        }
        r->out[0].data[b] = (float)(sum / (double)n);
    }
}

static void error_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_SQUARED_ERROR_DX, NULL, 4,
                           (dfqi_id[]){n->in[0], n->in[1], n->in[2], dout[0]});
}

static void error_dx_run(const dfqi_run *r)
{
    int64_t n = r->in[0].count / r->images, own = r->in[2].count > 1;
    const float *w = r->in[2].data;
    for (int64_t b = 0; b < r->images; b++) {
        const float *x = r->in[0].data + b * n, *y = r->in[1].data + b * n;
        float *dx = r->out[0].data + b * n, d = 2 * r->in[3].data[b] / (float)n;
        for (int64_t i = 0; i < n; i++) dx[i] = d * w[own * i] * (x[i] - y[i]);
    }
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_drop(dfqi_graph *g, dfqi_id x, dfqi_id q, dfqi_id keys, int64_t stream)
{
    dfqi_attr a = {.i = {stream}};
    return dfqi_make(g, DFQI_OP_DROP, &a, 3, (dfqi_id[]){x, q, keys});
}

dfqi_id dfqi_squared_error(dfqi_graph *g, dfqi_id a, dfqi_id b, dfqi_id weights)
{
    return dfqi_make(g, DFQI_OP_SQUARED_ERROR, NULL, 3, (dfqi_id[]){a, b, weights});
}

const dfqi_op dfqi_ops_reconstruct[] = {
    {"drop", 3, 3, 1, 0, drop_shape, drop_run, drop_grad, NULL, NULL, NULL},
    {"drop_dx", 2, 2, 2, 0, drop_dx_shape, drop_dx_run, NULL, NULL, NULL, NULL},
    {"squared_error", 3, 3, 1, 0, error_shape, error_run, error_grad, dfqi_macs_input, NULL, NULL},
    {"squared_error_dx", 4, 4, 1, 0, dfqi_shape_same, error_dx_run, NULL, NULL, NULL, NULL},
};
