/* Pooling and upsampling of channels-last images. */
#include "graph/ops_window_priv.h"

#include <math.h>
#include <string.h>

static dfq_status image_shape(dfqi_graph *g, const dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (!x->batched || x->rank != 4) return dfqi_bad_shape(g, n, 0, "[B,Y,X,C]");
    return DFQ_OK;
}

/* -- windows ----------------------------------------------------------------------------------- */

enum { LIMIT = 64 };

dfq_status dfqi_window_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    const char *op = dfqi_op_get(n->op)->name;
    if (a[POOL_SIZE] < 1 || a[POOL_SIZE] > LIMIT || a[POOL_STRIDE] < 1 || a[POOL_STRIDE] > LIMIT ||
        a[POOL_PAD] < 0 || a[POOL_PAD] > a[POOL_SIZE] / 2)
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "%s: size is %lld, stride is %lld, pad is %lld; must be 1 to %d, 1 to %d, "
                         "0 to half the size",
                         op, (long long)a[POOL_SIZE], (long long)a[POOL_STRIDE],
                         (long long)a[POOL_PAD], LIMIT, LIMIT);
    if (a[POOL_MORE] < 0 || a[POOL_PAD] + a[POOL_MORE] >= a[POOL_SIZE] ||
        (a[POOL_MORE] && a[POOL_COUNT_PAD]))
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "%s: padding behind the image is %lld more than before it, must be 0 to "
                         "%lld%s",
                         op, (long long)a[POOL_MORE], (long long)(a[POOL_SIZE] - 1 - a[POOL_PAD]),
                         a[POOL_COUNT_PAD] ? ", and 0 where padding counts" : "");
    DFQI_TRY(image_shape(g, n));
    const dfqi_value *x = dfqi_in(g, n, 0);
    int64_t dims[4] = {x->dims[0], 0, 0, x->dims[3]};
    for (int i = 1; i < 3; i++) {
        int64_t room = x->dims[i] + 2 * a[POOL_PAD] + a[POOL_MORE] - a[POOL_SIZE];
        if (room < 0) return dfqi_bad_shape(g, n, 0, "an image no smaller than the window");
        dims[i] = room / a[POOL_STRIDE] + 1;
    }
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

dfqi_attr dfqi_window_attr(const dfqi_pool_attr *a)
{
    return (dfqi_attr){.i = {a->size, a->stride, a->pad, a->more, a->count_pad}};
}

/* -- max pool; gradient: dy, x, y -------------------------------------------------------------- */

/* One window of an image x of `width` pixels a row. NaN is larger than everything. */
static void largest(const dfqi_window *w, int64_t width, int64_t c, const float *x, float *y)
{
    for (int64_t i = 0; i < c; i++) y[i] = -INFINITY;
    for (int64_t py = w->y; py < w->end_y; py++)
        for (int64_t px = w->x; px < w->end_x; px++) {
            const float *at = x + (py * width + px) * c;
            for (int64_t i = 0; i < c; i++)
                if (!(at[i] <= y[i] || isnan(y[i]))) y[i] = at[i];
        }
}

static void max_pool_run(const dfqi_run *r)
{
    const int64_t *x = r->in[0].dims, *y = r->out[0].dims;
    float *to = r->out[0].data;
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t oy = 0; oy < y[1]; oy++)
            for (int64_t ox = 0; ox < y[2]; ox++, to += y[3]) {
                const dfqi_window w = dfqi_window_at(r->attr->i, x, oy, ox);
                largest(&w, x[2], x[3], r->in[0].data + b * x[1] * x[2] * x[3], to);
            }
}

static double max_pool_macs(const dfqi_graph *g, const dfqi_node *n)
{
    const dfqi_value *y = &g->values[n->op == DFQI_OP_MAX_POOL ? n->out[0] : n->in[0]];
    return (double)dfqi_value_count(y) * (double)(n->attr.i[POOL_SIZE] * n->attr.i[POOL_SIZE]);
}

static void max_pool_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                          const uint8_t *want, dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_MAX_POOL_DX, &n->attr, 3,
                           (dfqi_id[]){dout[0], n->in[0], n->out[0]});
}

static dfq_status max_pool_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[1]);
    return DFQ_OK;
}

/* Index in the image of a window's largest value: the first one, row by row. */
static int64_t found_at(const dfqi_window *w, int64_t width, int64_t c, const float *x,
                        float largest)
{
    for (int64_t py = w->y; py < w->end_y; py++)
        for (int64_t px = w->x; px < w->end_x; px++)
            if (x[(py * width + px) * c] == largest) return (py * width + px) * c;
    return (w->y * width + w->x) * c; /* NaN */
}

static void max_pool_dx_run(const dfqi_run *r)
{
    const int64_t *x = r->in[1].dims, *y = r->in[0].dims;
    int64_t at = 0;
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t oy = 0; oy < y[1]; oy++)
            for (int64_t ox = 0; ox < y[2]; ox++) {
                const dfqi_window w = dfqi_window_at(r->attr->i, x, oy, ox);
                int64_t image = b * x[1] * x[2] * x[3];
                for (int64_t i = 0; i < x[3]; i++, at++) {
                    int64_t channel = image + i;
                    int64_t pixel =
                        found_at(&w, x[2], x[3], r->in[1].data + channel, r->in[2].data[at]);
                    r->out[0].data[channel + pixel] += r->in[0].data[at];
                }
            }
}

/* -- mean pool; gradient: attr i = Y, X -------------------------------------------------------- */

static dfq_status mean_pool_shape(dfqi_graph *g, dfqi_node *n)
{
    DFQI_TRY(image_shape(g, n));
    const dfqi_value *x = dfqi_in(g, n, 0);
    dfqi_out(g, n, 0, 1, 2, (int64_t[]){x->dims[0], x->dims[3]});
    return DFQ_OK;
}

static void mean_pool_run(const dfqi_run *r)
{
    const int64_t *x = r->in[0].dims;
    int64_t pixels = x[1] * x[2], c = x[3];
    for (int64_t b = 0; b < r->images; b++) {
        float *y = r->out[0].data + b * c;
        r->k->col_sum(pixels, c, r->in[0].data + b * pixels * c, 0, y);
        r->k->scale((size_t)c, 1.0f / (float)pixels, y, y);
    }
}

static void mean_pool_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    const int64_t *x = dfqi_in(g, n, 0)->dims;
    dfqi_attr a = {.i = {x[1], x[2]}};
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_MEAN_POOL_DX, &a, 1, dout);
}

static dfq_status mean_pool_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *dy = dfqi_in(g, n, 0)->dims, *a = n->attr.i;
    dfqi_out(g, n, 0, 1, 4, (int64_t[]){dy[0], a[0], a[1], dy[1]});
    return DFQ_OK;
}

static void mean_pool_dx_run(const dfqi_run *r)
{
    const int64_t *x = r->out[0].dims;
    int64_t pixels = x[1] * x[2], c = x[3];
    for (int64_t i = 0; i < r->images * pixels; i++)
        r->k->scale((size_t)c, 1.0f / (float)pixels, r->in[0].data + i / pixels * c,
                    r->out[0].data + i * c);
}

/* -- upsample: attr i[0] 1: bilinear ------------------------------------------------------------
 * Pixel o of a line lies in pixel o / 2 of the smaller one, a quarter of it away from the
 * centre. */

static const float NEAR = 0.75f, FAR = 0.25f;

/* The second small pixel that pixel o reads; at the edge it is o / 2 itself. */
static int64_t far_of(int64_t o, int64_t extent)
{
    int64_t far = o % 2 ? o / 2 + 1 : o / 2 - 1;
    return far < 0 ? 0 : far < extent ? far : extent - 1;
}

static dfq_status upsample_shape(dfqi_graph *g, dfqi_node *n)
{
    DFQI_TRY(image_shape(g, n));
    const int64_t *x = dfqi_in(g, n, 0)->dims;
    dfqi_out(g, n, 0, 1, 4, (int64_t[]){x[0], 2 * x[1], 2 * x[2], x[3]});
    return DFQ_OK;
}

static int64_t upsample_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    const int64_t *x = g->values[n->op == DFQI_OP_UPSAMPLE ? n->in[0] : n->out[0]].dims;
    (void)images;
    return x[2] * x[3];
}

static void blend(const dfqi_kernels *k, int64_t n, const float *near, const float *far, float *y)
{
    k->scale((size_t)n, NEAR, near, y);
    k->axpy((size_t)n, FAR, far, y);
}

/* Row x[X,C] -> y[2X,C]. */
static void widen(const dfqi_run *r, int64_t width, int64_t c, const float *x, float *y)
{
    for (int64_t o = 0; o < 2 * width; o++, y += c)
        if (r->attr->i[0])
            blend(r->k, c, x + o / 2 * c, x + far_of(o, width) * c, y);
        else
            memcpy(y, x + o / 2 * c, (size_t)c * sizeof *y);
}

static void upsample_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t row = d[2] * d[3];
    for (int64_t b = 0; b < r->images; b++) {
        const float *image = r->in[0].data + b * d[1] * row;
        for (int64_t o = 0; o < 2 * d[1]; o++) {
            const float *from = image + o / 2 * row;
            if (r->attr->i[0]) {
                blend(r->k, row, from, image + far_of(o, d[1]) * row, r->scratch);
                from = r->scratch;
            }
            widen(r, d[2], d[3], from, r->out[0].data + (b * 2 * d[1] + o) * 2 * row);
        }
    }
}

static void upsample_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                          const uint8_t *want, dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_UPSAMPLE_DX, &n->attr, 1, dout);
}

static dfq_status upsample_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *dy = dfqi_in(g, n, 0)->dims;
    dfqi_out(g, n, 0, 1, 4, (int64_t[]){dy[0], dy[1] / 2, dy[2] / 2, dy[3]});
    return DFQ_OK;
}

/* The adjoint of upsampling line o: dx[n entries a pixel] += the shares of dy. */
static void give_back(const dfqi_run *r, int64_t o, int64_t extent, int64_t n, const float *dy,
                      float *dx)
{
    float *near = dx + o / 2 * n;
    if (r->attr->i[0]) {
        r->k->axpy((size_t)n, NEAR, dy, near);
        r->k->axpy((size_t)n, FAR, dy, dx + far_of(o, extent) * n);
    } else {
        r->k->add((size_t)n, near, dy, near);
    }
}

static void upsample_dx_run(const dfqi_run *r)
{
    const int64_t *d = r->out[0].dims;
    int64_t row = d[2] * d[3];
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t o = 0; o < 2 * d[1]; o++) {
            const float *dy = r->in[0].data + (b * 2 * d[1] + o) * 2 * row;
            memset(r->scratch, 0, (size_t)row * sizeof(float));
            for (int64_t i = 0; i < 2 * d[2]; i++)
                give_back(r, i, d[2], d[3], dy + i * d[3], r->scratch);
            give_back(r, o, d[1], row, r->scratch, r->out[0].data + b * d[1] * row);
        }
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_max_pool(dfqi_graph *g, dfqi_id x, const dfqi_pool_attr *a)
{
    const dfqi_attr attr = dfqi_window_attr(a);
    return dfqi_make(g, DFQI_OP_MAX_POOL, &attr, 1, &x);
}

dfqi_id dfqi_mean_pool(dfqi_graph *g, dfqi_id x)
{
    return dfqi_make(g, DFQI_OP_MEAN_POOL, NULL, 1, &x);
}

dfqi_id dfqi_upsample(dfqi_graph *g, dfqi_id x, int bilinear)
{
    dfqi_attr a = {.i = {bilinear != 0}};
    return dfqi_make(g, DFQI_OP_UPSAMPLE, &a, 1, &x);
}

const dfqi_op dfqi_ops_pool[] = {
    {"max_pool", 1, 1, 1, 0, dfqi_window_shape, max_pool_run, max_pool_grad, max_pool_macs, NULL,
     NULL},
    {"max_pool_dx", 3, 3, 1, 0, max_pool_dx_shape, max_pool_dx_run, NULL, max_pool_macs, NULL,
     NULL},
    {"mean_pool", 1, 1, 1, 0, mean_pool_shape, mean_pool_run, mean_pool_grad, dfqi_macs_input, NULL,
     NULL},
    {"mean_pool_dx", 1, 1, 1, 0, mean_pool_dx_shape, mean_pool_dx_run, NULL, NULL, NULL, NULL},
    {"upsample", 1, 1, 1, 0, upsample_shape, upsample_run, upsample_grad, NULL, upsample_scratch,
     NULL},
    {"upsample_dx", 1, 1, 1, 0, upsample_dx_shape, upsample_dx_run, NULL, dfqi_macs_input,
     upsample_scratch, NULL},
};
