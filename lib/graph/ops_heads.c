/* Heads of attention, of whole images or of windows. attr i: heads of all windows, parts, d,
 * windows. */
#include "graph/ops_priv.h"

#include <string.h>

static dfq_status split_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    int64_t windows = n->attr.i[3], parts = n->attr.i[1];
    int64_t h = windows > 0 ? n->attr.i[0] / windows : 0;
    if (h < 1 || (parts != 1 && parts != 3))
        return dfqi_fail(g->ctx, DFQ_E_SHAPE,
                         "split_heads: heads is %lld, must be 1 or more in each of %lld windows; "
                         "parts is %lld, must be 1 or 3",
                         (long long)h, (long long)windows, (long long)parts);
    if (x->rank != 3 || !x->batched || x->dims[2] / parts % h || x->dims[2] % parts ||
        x->dims[1] % windows)
        return dfqi_bad_shape(g, n, 0, "[B,windows*N,parts*H*d]");
    n->attr.i[2] = x->dims[2] / (h * parts);
    int64_t dims[4] = {x->dims[0], windows * h, x->dims[1] / windows, n->attr.i[2]};
    n->n_out = (int32_t)parts;
    for (int32_t i = 0; i < n->n_out; i++) dfqi_out(g, n, i, 1, 4, dims);
    return DFQ_OK;
}

/* rows[N, stride] columns at..at+d  <->  head[N, d] */
static void move_head(int64_t n, int64_t d, float *rows, int64_t stride, float *head, int back)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(back ? rows + i * stride : head + i * d, back ? head + i * d : rows + i * stride,
               (size_t)d * sizeof(float));
}

/* wide[B,W*N,parts*H*d] <-> part[k][B,W*H,N,d]; absent parts read as zero. */
static void move_heads(const dfqi_run *r, int64_t tokens, float *wide, const dfqi_arg *part,
                       int back)
{
    int64_t windows = r->attr->i[3], h = r->attr->i[0] / windows, parts = r->attr->i[1];
    int64_t n = tokens / windows, d = r->attr->i[2], stride = parts * h * d;
    for (int64_t b = 0; b < r->images * windows; b++)
        for (int64_t k = 0; k < parts; k++)
            for (int64_t i = 0; i < h; i++) {
                float *rows = wide + b * n * stride + (k * h + i) * d;
                if (part[k].data)
                    move_head(n, d, rows, stride, part[k].data + (b * h + i) * n * d, back);
                else if (back)
                    for (int64_t t = 0; t < n; t++)
                        memset(rows + t * stride, 0, (size_t)d * sizeof(float));
            }
}

static void split_run(const dfqi_run *r)
{
    move_heads(r, r->in[0].dims[1], r->in[0].data, r->out, 0);
}

static void split_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_JOIN_HEADS, &n->attr, (int32_t)n->attr.i[1], dout);
}

static dfq_status join_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *o = NULL;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0) o = dfqi_in(g, n, i);
    for (int32_t i = 0; o && i < n->n_in; i++)
        if (n->in[i] >= 0 && !dfqi_same_shape(o, dfqi_in(g, n, i))) o = NULL;
    int64_t windows = n->attr.i[3];
    if (!o || o->rank != 4 || !o->batched || windows < 1 || o->dims[1] % windows)
        return dfqi_fail(g->ctx, DFQ_E_SHAPE,
                         "join_heads: all operands must have one shape [B,windows*H,N,d]");
    n->attr.i[0] = o->dims[1];
    n->attr.i[1] = n->n_in;
    n->attr.i[2] = o->dims[3];
    dfqi_out(
        g, n, 0, 1, 3,
        (int64_t[]){o->dims[0], windows * o->dims[2], n->n_in * o->dims[1] / windows * o->dims[3]});
    return DFQ_OK;
}

static void join_run(const dfqi_run *r)
{
    move_heads(r, r->out[0].dims[1], r->out[0].data, r->in, 1);
}

static void join_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    int64_t windows = n->attr.i[3];
    dfqi_id first =
        dfqi_split_window_heads(g, dout[0], windows, n->attr.i[0] / windows, n->attr.i[1]);
    for (int32_t i = 0; i < n->n_in; i++)
        if (want[i]) din[i] = dfqi_graph_output(g, first, i);
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_split_heads(dfqi_graph *g, dfqi_id x, int64_t heads, int64_t parts)
{
    return dfqi_split_window_heads(g, x, 1, heads, parts);
}

dfqi_id dfqi_split_window_heads(dfqi_graph *g, dfqi_id x, int64_t windows, int64_t heads,
                                int64_t parts)
{
    dfqi_attr a = {.i = {windows * heads, parts, 0, windows}};
    return dfqi_make(g, DFQI_OP_SPLIT_HEADS, &a, 1, &x);
}

dfqi_id dfqi_join_heads(dfqi_graph *g, dfqi_id o)
{
    return dfqi_join_window_heads(g, o, 1);
}

dfqi_id dfqi_join_window_heads(dfqi_graph *g, dfqi_id o, int64_t windows)
{
    dfqi_attr a = {.i = {0, 0, 0, windows}};
    return dfqi_make(g, DFQI_OP_JOIN_HEADS, &a, 1, &o);
}

const dfqi_op dfqi_ops_heads[] = {
    {"split_heads", 1, 1, 3, 0, split_shape, split_run, split_grad, NULL, NULL, NULL},
    {"join_heads", 0, 3, 1, 0, join_shape, join_run, join_grad, NULL, NULL, NULL},
};
