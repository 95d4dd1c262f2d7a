/* Ops that take images apart and put them together: means of windows, borders, channels. */
#include "graph/ops_window_priv.h"

#include <string.h>

/* -- average pool; gradient: dy, attr i further Y, X of x -------------------------------------- */

enum { IN_Y = POOL_ATTRS, IN_X };

/* What a window's sum is divided by, along one axis: its pixels in the image, or in `pad` too. */
static int64_t width_of(const int64_t *a, int64_t at, int64_t extent)
{
    int64_t first, end;
    dfqi_window_clip(a, at, extent, &first, &end);
    if (!a[POOL_COUNT_PAD]) return end - first;
    int64_t from = at * a[POOL_STRIDE] - a[POOL_PAD], most = extent + a[POOL_PAD] - from;
    return most < a[POOL_SIZE] ? most : a[POOL_SIZE];
}

static float share_of(const int64_t *a, const int64_t *x, int64_t oy, int64_t ox)
{
    return 1.0f / (float)(width_of(a, oy, x[1]) * width_of(a, ox, x[2]));
}

static void avg_pool_run(const dfqi_run *r)
{
    const int64_t *x = r->in[0].dims, *y = r->out[0].dims, *a = r->attr->i, c = x[3];
    float *to = r->out[0].data;
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t oy = 0; oy < y[1]; oy++)
            for (int64_t ox = 0; ox < y[2]; ox++, to += c) {
                const dfqi_window w = dfqi_window_at(a, x, oy, ox);
                memset(to, 0, (size_t)c * sizeof *to);
                for (int64_t py = w.y; py < w.end_y; py++)
                    for (int64_t px = w.x; px < w.end_x; px++)
                        r->k->add((size_t)c, to, r->in[0].data + ((b * x[1] + py) * x[2] + px) * c,
                                  to);
                r->k->scale((size_t)c, share_of(a, x, oy, ox), to, to);
            }
}

static double avg_pool_macs(const dfqi_graph *g, const dfqi_node *n)
{
    const dfqi_value *y = &g->values[n->op == DFQI_OP_AVG_POOL ? n->out[0] : n->in[0]];
    return (double)dfqi_value_count(y) * (double)(n->attr.i[POOL_SIZE] * n->attr.i[POOL_SIZE]);
}

static void avg_pool_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                          const uint8_t *want, dfqi_id *din)
{
    dfqi_attr a = n->attr;
    a.i[IN_Y] = dfqi_in(g, n, 0)->dims[1];
    a.i[IN_X] = dfqi_in(g, n, 0)->dims[2];
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_AVG_POOL_DX, &a, 1, dout);
}

static dfq_status avg_pool_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *dy = dfqi_in(g, n, 0)->dims, *a = n->attr.i;
    dfqi_out(g, n, 0, 1, 4, (int64_t[]){dy[0], a[IN_Y], a[IN_X], dy[3]});
    return DFQ_OK;
}

static void avg_pool_dx_run(const dfqi_run *r)
{
    const int64_t *x = r->out[0].dims, *y = r->in[0].dims, *a = r->attr->i, c = x[3];
    const float *from = r->in[0].data;
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t oy = 0; oy < y[1]; oy++)
            for (int64_t ox = 0; ox < y[2]; ox++, from += c) {
                const dfqi_window w = dfqi_window_at(a, x, oy, ox);
                for (int64_t py = w.y; py < w.end_y; py++)
                    for (int64_t px = w.x; px < w.end_x; px++)
                        r->k->axpy((size_t)c, share_of(a, x, oy, ox), from,
                                   r->out[0].data + ((b * x[1] + py) * x[2] + px) * c);
            }
}

/* -- border: attr i = above, before, below, behind --------------------------------------------- */

enum { ABOVE, BEFORE, BELOW, BEHIND, BORDERS, BORDER_MAX = 1 << 16 };

static dfq_status pad_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t *a = n->attr.i;
    for (int i = 0; i < BORDERS; i++)
        if (a[i] < -BORDER_MAX || a[i] > BORDER_MAX)
            return dfqi_fail(g->ctx, DFQ_E_INVALID, "pad_image: border is %lld, must be %d to %d",
                             (long long)a[i], -BORDER_MAX, BORDER_MAX);
    if (!x->batched || x->rank != 4) return dfqi_bad_shape(g, n, 0, "[B,Y,X,C]");
    int64_t dims[4] = {x->dims[0], x->dims[1] + a[ABOVE] + a[BELOW],
                       x->dims[2] + a[BEFORE] + a[BEHIND], x->dims[3]};
    if (dims[1] < 1 || dims[2] < 1)
        return dfqi_bad_shape(g, n, 0, "an image larger than what is cut off");
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

static void pad_run(const dfqi_run *r)
{
    const int64_t *x = r->in[0].dims, *y = r->out[0].dims, *a = r->attr->i, c = x[3];
    int64_t first = a[BEFORE] > 0 ? a[BEFORE] : 0;
    int64_t end = x[2] + a[BEFORE] < y[2] ? x[2] + a[BEFORE] : y[2];
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t b = 0; b < r->images && first < end; b++)
        for (int64_t row = 0; row < y[1]; row++) {
            int64_t from = row - a[ABOVE];
            if (from < 0 || from >= x[1]) continue;
            memcpy(r->out[0].data + ((b * y[1] + row) * y[2] + first) * c,
                   r->in[0].data + ((b * x[1] + from) * x[2] + first - a[BEFORE]) * c,
                   (size_t)((end - first) * c) * sizeof(float));
        }
}

static void pad_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                     dfqi_id *din)
{
    const int64_t *a = n->attr.i;
    if (want[0])
        din[0] =
            dfqi_pad_image(g, dout[0], (int64_t[]){-a[ABOVE], -a[BEFORE], -a[BELOW], -a[BEHIND]});
}

/* -- concat: operands a[B,..,C], b[B,..,D] ----------------------------------------------------- */

static dfq_status concat_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *a = dfqi_in(g, n, 0), *b = dfqi_in(g, n, 1);
    if (!a->batched || a->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    bool same = b->batched && b->rank == a->rank &&
                memcmp(a->dims, b->dims, (size_t)(a->rank - 1) * sizeof *a->dims) == 0;
    if (!same) return dfqi_bad_shape(g, n, 1, "the shape of operand 0 but for its channels");
    dfqi_out_like(g, n, 0, n->in[0]);
    g->values[n->out[0]].dims[a->rank - 1] += dfqi_value_last(b);
    return DFQ_OK;
}

/* Channels first .. first + n of wide[rows, channels] <-> narrow[rows, n]. */
static void move_channels(int64_t rows, int64_t channels, int64_t first, int64_t n, float *wide,
                          float *narrow, bool back)
{
    for (int64_t i = 0; i < rows; i++) {
        float *at = wide + i * channels + first, *one = narrow + i * n;
        memcpy(back ? at : one, back ? one : at, (size_t)n * sizeof *at);
    }
}

static int64_t last_of(const dfqi_arg *a)
{
    return a->dims[a->rank - 1];
}

static void concat_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]), d = last_of(&r->in[1]), rows = r->in[0].count / c;
    move_channels(rows, c + d, 0, c, r->out[0].data, r->in[0].data, true);
    move_channels(rows, c + d, c, d, r->out[0].data, r->in[1].data, true);
}

static void concat_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    int64_t c = dfqi_value_last(dfqi_in(g, n, 0)), d = dfqi_value_last(dfqi_in(g, n, 1));
    if (want[0]) din[0] = dfqi_channels(g, dout[0], 0, c);
    if (want[1]) din[1] = dfqi_channels(g, dout[0], c, d);
}

/* -- channels: attr i = first, count; gradient: first, channels of x --------------------------- */

static dfq_status channels_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t *a = n->attr.i;
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    if (a[0] < 0 || a[1] < 1 || a[0] >= dfqi_value_last(x) || a[1] > dfqi_value_last(x) - a[0])
        return dfqi_bad_shape(g, n, 0, "[B,..,C] with the channels that are taken");
    dfqi_out_like(g, n, 0, n->in[0]);
    g->values[n->out[0]].dims[x->rank - 1] = a[1];
    return DFQ_OK;
}

static void channels_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]);
    move_channels(r->in[0].count / c, c, r->attr->i[0], r->attr->i[1], r->in[0].data,
                  r->out[0].data, false);
}

static void channels_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                          const uint8_t *want, dfqi_id *din)
{
    const dfqi_attr a = {.i = {n->attr.i[0], dfqi_value_last(dfqi_in(g, n, 0))}};
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_CHANNELS_DX, &a, 1, dout);
}

static dfq_status channels_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[0]);
    g->values[n->out[0]].dims[dfqi_in(g, n, 0)->rank - 1] = n->attr.i[1];
    return DFQ_OK;
}

static void channels_dx_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]);
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    move_channels(r->in[0].count / c, r->attr->i[1], r->attr->i[0], c, r->out[0].data,
                  r->in[0].data, true);
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_avg_pool(dfqi_graph *g, dfqi_id x, const dfqi_pool_attr *a)
{
    const dfqi_attr attr = dfqi_window_attr(a);
    return dfqi_make(g, DFQI_OP_AVG_POOL, &attr, 1, &x);
}

dfqi_id dfqi_pad_image(dfqi_graph *g, dfqi_id x, const int64_t border[4])
{
    const dfqi_attr a = {.i = {border[0], border[1], border[2], border[3]}};
    return dfqi_make(g, DFQI_OP_PAD_IMAGE, &a, 1, &x);
}

dfqi_id dfqi_concat(dfqi_graph *g, dfqi_id a, dfqi_id b)
{
    return dfqi_make(g, DFQI_OP_CONCAT, NULL, 2, (dfqi_id[]){a, b});
}

dfqi_id dfqi_channels(dfqi_graph *g, dfqi_id x, int64_t first, int64_t count)
{
    const dfqi_attr a = {.i = {first, count}};
    return dfqi_make(g, DFQI_OP_CHANNELS, &a, 1, &x);
}

const dfqi_op dfqi_ops_part[] = {
    {"avg_pool", 1, 1, 1, 0, dfqi_window_shape, avg_pool_run, avg_pool_grad, avg_pool_macs, NULL,
     NULL},
    {"avg_pool_dx", 1, 1, 1, 0, avg_pool_dx_shape, avg_pool_dx_run, NULL, avg_pool_macs, NULL,
     NULL},
    {"pad_image", 1, 1, 1, 0, pad_shape, pad_run, pad_grad, NULL, NULL, NULL},
    {"concat", 2, 2, 1, 0, concat_shape, concat_run, concat_grad, NULL, NULL, NULL},
    {"channels", 1, 1, 1, 0, channels_shape, channels_run, channels_grad, NULL, NULL, NULL},
    {"channels_dx", 1, 1, 1, 0, channels_dx_shape, channels_dx_run, NULL, NULL, NULL, NULL},
};
