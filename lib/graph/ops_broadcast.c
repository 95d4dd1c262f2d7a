/* Ops by which values of different shapes meet: numbers for the channels of any value, and copies
 * of a value. */
#include "graph/ops_priv.h"

#include <string.h>

/* -- affine: operands x[B,..,C], w[C], b[C] ---------------------------------------------------- */

static dfq_status affine_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    for (int32_t i = 1; i < 3; i++)
        if (n->in[i] >= 0 && !dfqi_is_shared(dfqi_in(g, n, i), dfqi_value_last(x)))
            return dfqi_bad_shape(g, n, i, "one entry for each channel of operand 0");
    return dfqi_shape_same(g, n);
}

static void affine_run(const dfqi_run *r)
{
    const int64_t c = r->in[1].count, rows = r->in[0].count / c;
    const float *w = r->in[1].data, *b = r->in[2].data;
    for (int64_t row = 0; row < rows; row++) {
        const float *x = r->in[0].data + row * c;
        float *y = r->out[0].data + row * c;
        for (int64_t i = 0; i < c; i++) y[i] = b ? x[i] * w[i] + b[i] : x[i] * w[i];
    }
}

/* Sums over positions and images of a[B,..,C] times b, shaped like the unbatched `like`. */
static dfqi_id sum_products(dfqi_graph *g, dfqi_id a, dfqi_id b, dfqi_id like)
{
    dfqi_id sums = dfqi_make(g, DFQI_OP_GATE_DS, NULL, 2, (dfqi_id[]){a, b});
    return dfqi_sum_batch(g, sums, like, 0, 1.0f);
}

static void affine_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    const dfqi_id w = n->in[1], b = n->in[2], x = n->in[0];
    if (want[0]) din[0] = dfqi_affine(g, dout[0], w, DFQI_NONE);
    if (want[1]) din[1] = sum_products(g, dout[0], x, w);
    if (b >= 0 && want[2]) din[2] = sum_products(g, dout[0], dfqi_fill(g, dout[0], 1.0f), b);
}

/* -- repeat: attr i[0] how often --------------------------------------------------------------- */

static dfq_status repeat_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t times = n->attr.i[0], stride = dfqi_value_stride(x);
    int64_t count;
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..]");
    if (times < 1 || !dfqi_mul_i64(times, stride, &count) || count > INT32_MAX)
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "repeat: %lld copies of %lld values, must be at least 1 and fewer than "
                         "2^31 values",
                         (long long)times, (long long)stride);
    dfqi_out(g, n, 0, 1, 3, (int64_t[]){x->dims[0], times, stride});
    return DFQ_OK;
}

static void repeat_run(const dfqi_run *r)
{
    const int64_t times = r->attr->i[0], n = r->in[0].count / r->images;
    for (int64_t i = 0; i < r->images * times; i++)
        memcpy(r->out[0].data + i * n, r->in[0].data + i / times * n, (size_t)n * sizeof(float));
}

static void repeat_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    const dfqi_value x = *dfqi_in(g, n, 0);
    if (!want[0]) return;
    dfqi_id sums =
        dfqi_make(g, DFQI_OP_GATE_DS, NULL, 2, (dfqi_id[]){dout[0], dfqi_fill(g, dout[0], 1.0f)});
    din[0] = dfqi_reshape(g, sums, x.rank - 1, x.dims + 1);
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_affine(dfqi_graph *g, dfqi_id x, dfqi_id w, dfqi_id b)
{
    return dfqi_make(g, DFQI_OP_AFFINE, NULL, 3, (dfqi_id[]){x, w, b});
}

dfqi_id dfqi_repeat(dfqi_graph *g, dfqi_id x, int64_t times)
{
    const dfqi_attr a = {.i = {times}};
    return dfqi_make(g, DFQI_OP_REPEAT, &a, 1, &x);
}

const dfqi_op dfqi_ops_broadcast[] = {
    {"affine", 2, 3, 1, 0, affine_shape, affine_run, affine_grad, NULL, NULL, NULL},
    {"repeat", 1, 1, 1, 0, repeat_shape, repeat_run, repeat_grad, NULL, NULL, NULL},
};
