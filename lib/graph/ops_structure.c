/* Structural losses: inter-head similarity, structural similarity of head outputs, and total
 * variation. The gradient of a loss is scaled by the incoming gradient of each image. */
#include "graph/ops_priv.h"

#include <math.h>
#include <string.h>

/* -- inter-head similarity: r[B,windows H,N,N]; attr i = dropped, distance, windows; gradient: r,
 * dloss ---------------------------------------------------------------------------------------- */

static dfq_status inter_head_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *r = dfqi_in(g, n, 0);
    if (r->rank != 4 || r->dims[2] != r->dims[3] || n->attr.i[0] < 0 ||
        r->dims[2] <= n->attr.i[0] || n->attr.i[2] < 1 || r->dims[1] % n->attr.i[2])
        return dfqi_bad_shape(g, n, 0, "raw query-key products [B,windows*H,N,N]");
    return dfqi_shape_per_image(g, n);
}

static int64_t inter_head_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    const dfqi_value *r = dfqi_in(g, n, 0);
    (void)images;
    return 3 * r->dims[1] / n->attr.i[2] * r->dims[2];
}

static double inter_head_norm(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims, windows = r->attr->i[2];
    return 1.0 / ((double)(d[2] - r->attr->i[0]) * (double)d[1] * (double)d[1] / (double)windows);
}

static void inter_head_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims, windows = r->attr->i[2], h = d[1] / windows;
    int64_t size = h * d[2] * d[3];
    for (int64_t b = 0; b < r->images; b++) {
        double sum = 0;
        for (int64_t w = b * windows; w < (b + 1) * windows; w++)
            sum += r->k->inter_head(h, d[2], r->attr->i[0], (dfqi_distance)r->attr->i[1],
                                    r->in[0].data + w * size, 0, NULL, r->scratch);
        r->out[0].data[b] = (float)(inter_head_norm(r) * sum);
    }
}

static void inter_head_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                            const uint8_t *want, dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_INTER_HEAD_DX, &n->attr, 2, (dfqi_id[]){n->in[0], dout[0]});
}

static void inter_head_dx_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims, windows = r->attr->i[2], h = d[1] / windows;
    int64_t size = h * d[2] * d[3];
    for (int64_t w = 0; w < r->images * windows; w++)
        r->k->inter_head(h, d[2], r->attr->i[0], (dfqi_distance)r->attr->i[1],
                         r->in[0].data + w * size,
                         (float)(r->in[1].data[w / windows] * inter_head_norm(r)),
                         r->out[0].data + w * size, r->scratch);
}

/* -- head-wise structural distance: t, s [B,H,N,d]; attr i[0] dropped; gradient: t, s, dloss --- */

static dfq_status head_ssim_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *t = dfqi_in(g, n, 0), *s = dfqi_in(g, n, 1);
    if (t->rank != 4 || n->attr.i[0] < 0 || t->dims[2] <= n->attr.i[0])
        return dfqi_bad_shape(g, n, 0, "head outputs [B,H,N,d]");
    if (!dfqi_same_shape(s, t)) return dfqi_bad_shape(g, n, 1, "the shape of operand 0");
    return dfqi_shape_per_image(g, n);
}

static int64_t head_ssim_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return 8 * dfqi_value_last(dfqi_in(g, n, 0));
}

static void head_ssim_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t image = d[1] * d[2] * d[3];
    for (int64_t b = 0; b < r->images; b++) {
        double sum = r->k->head_ssim(d[1], d[2], d[3], r->attr->i[0], r->in[0].data + b * image,
                                     r->in[1].data + b * image, 0, NULL, r->scratch);
        r->out[0].data[b] = (float)(1.0 - sum / (double)(d[1] * d[3]));
    }
}

static void head_ssim_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    if (want[1])
        din[1] = dfqi_make(g, DFQI_OP_HEAD_SSIM_DX, &n->attr, 3,
                           (dfqi_id[]){n->in[0], n->in[1], dout[0]});
}

static dfq_status like_second(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[1]);
    return DFQ_OK;
}

static void head_ssim_dx_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t image = d[1] * d[2] * d[3];
    for (int64_t b = 0; b < r->images; b++)
        r->k->head_ssim(d[1], d[2], d[3], r->attr->i[0], r->in[0].data + b * image,
                        r->in[1].data + b * image,
                        (float)(-r->in[2].data[b] / (double)(d[1] * d[3])),
                        r->out[0].data + b * image, r->scratch);
}

/* -- total variation: sums of squared differences per image, then norms ------------------------ */

/* The four neighbour differences: right, down, down-left, down-right, as (dy, dx). */
static const int64_t tv_step[4][2] = {{0, 1}, {1, 0}, {1, -1}, {1, 1}};

static dfq_status tv_squares_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank != 4 || !x->batched) return dfqi_bad_shape(g, n, 0, "[B,C,Y,X]");
    dfqi_out(g, n, 0, 1, 2, (int64_t[]){x->dims[0], 4});
    return DFQ_OK;
}

static double squares(const float *plane, int64_t height, int64_t width, const int64_t step[2])
{
    int64_t dy = step[0], dx = step[1], first = dx < 0 ? 1 : 0, last = width - (dx > 0 ? 1 : 0);
    double sum = 0;
    for (int64_t y = 0; y + dy < height; y++) {
        const float *row = plane + y * width, *other = row + dy * width + dx;
        float lane[16] = {0};
        int64_t x = first;
        for (; x + 16 <= last; x += 16)
            for (int64_t k = 0; k < 16; k++) {
                float d = row[x + k] - other[x + k];
                lane[k] += d * d;
            }
        for (int64_t k = 0; k < 16; k++) sum += lane[k];
        for (; x < last; x++) sum += (double)(row[x] - other[x]) * (row[x] - other[x]);
    }
    return sum;
}

static void tv_squares_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    for (int64_t b = 0; b < r->images; b++)
        for (int k = 0; k < 4; k++) {
            double sum = 0;
            for (int64_t c = 0; c < d[1]; c++)
                sum +=
                    squares(r->in[0].data + (b * d[1] + c) * d[2] * d[3], d[2], d[3], tv_step[k]);
            r->out[0].data[b * 4 + k] = (float)sum;
        }
}

/* operands squares[B,4], x, target[1] or none; attr f[0] weight of the diagonals; outputs tv[1],
 * weight / norm [4] for the gradient */
static dfq_status tv_shape(dfqi_graph *g, dfqi_node *n)
{
    if (n->n_in > 2 && !dfqi_is_shared(dfqi_in(g, n, 2), 1)) return dfqi_bad_shape(g, n, 2, "[1]");
    dfqi_out(g, n, 0, 0, 1, (int64_t[]){1});
    dfqi_out(g, n, 1, 0, 1, (int64_t[]){4});
    return DFQ_OK;
}

static double tv_weight(const dfqi_run *r, int k)
{
    return k < 2 ? 1.0 : (double)r->attr->f[0];
}

static void tv_run(const dfqi_run *r)
{
    const float *target = r->in[2].data;
    double norm[4], tv = 0, sign = 1;
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        for (int64_t b = 0; b < r->batch; b++) sum += r->in[0].data[b * 4 + k];
        norm[k] = sqrt(sum);
        tv += tv_weight(r, k) * norm[k];
    }
    if (target) {
        tv -= *target;
        sign = (double)((tv > 0) - (tv < 0));
    }
    r->out[0].data[0] = (float)(sign * tv);
    for (int k = 0; r->out[1].data && k < 4; k++)
        r->out[1].data[k] = norm[k] > 0 ? (float)(sign * tv_weight(r, k) / norm[k]) : 0.0f;
}

static void tv_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                    dfqi_id *din)
{
    if (want[1])
        din[1] = dfqi_make(g, DFQI_OP_TV_DX, NULL, 3, (dfqi_id[]){n->in[1], n->out[1], dout[0]});
}

static void tv_dx_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t height = d[2], width = d[3];
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t plane = 0; plane < d[0] * d[1]; plane++)
        for (int k = 0; k < 4; k++) {
            int64_t dy = tv_step[k][0], dx = tv_step[k][1];
            float w = r->in[1].data[k] * r->in[2].data[0];
            for (int64_t y = 0; y + dy < height; y++) {
                const float *x = r->in[0].data + (plane * height + y) * width;
                float *o = r->out[0].data + (plane * height + y) * width;
                int64_t other = dy * width + dx, last = width - (dx > 0 ? 1 : 0);
                for (int64_t i = dx < 0 ? 1 : 0; i < last; i++) {
                    float v = w * (x[i] - x[i + other]);
                    o[i] += v;
                    o[i + other] -= v;
                }
            }
        }
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_inter_head(dfqi_graph *g, dfqi_id r, int64_t windows, int64_t drop,
                        dfqi_distance distance)
{
    dfqi_attr a = {.i = {drop, distance, windows}};
    return dfqi_make(g, DFQI_OP_INTER_HEAD, &a, 1, &r);
}

dfqi_id dfqi_head_ssim(dfqi_graph *g, dfqi_id teacher, dfqi_id student, int64_t drop)
{
    dfqi_attr a = {.i = {drop}};
    return dfqi_make(g, DFQI_OP_HEAD_SSIM, &a, 2, (dfqi_id[]){teacher, student});
}

dfqi_id dfqi_tv(dfqi_graph *g, dfqi_id x, float diagonal, dfqi_id target)
{
    dfqi_attr a = {.f = {diagonal}};
    dfqi_id squares_id = dfqi_make(g, DFQI_OP_TV_SQUARES, NULL, 1, &x);
    return dfqi_make(g, DFQI_OP_TV, &a, target == DFQI_NONE ? 2 : 3,
                     (dfqi_id[]){squares_id, x, target});
}

const dfqi_op dfqi_ops_structure[] = {
    {"inter_head", 1, 1, 1, 0, inter_head_shape, inter_head_run, inter_head_grad, NULL,
     inter_head_scratch, NULL},
    {"inter_head_dx", 2, 2, 1, 0, dfqi_shape_same, inter_head_dx_run, NULL, NULL,
     inter_head_scratch, NULL},
    {"head_ssim", 2, 2, 1, 0, head_ssim_shape, head_ssim_run, head_ssim_grad, NULL,
     head_ssim_scratch, NULL},
    {"head_ssim_dx", 3, 3, 1, 0, like_second, head_ssim_dx_run, NULL, NULL, head_ssim_scratch,
     NULL},
    {"tv_squares", 1, 1, 1, 0, tv_squares_shape, tv_squares_run, NULL, NULL, NULL, NULL},
    {"tv", 2, 3, 2, DFQI_OPF_WHOLE, tv_shape, tv_run, tv_grad, NULL, NULL, NULL},
    {"tv_dx", 3, 3, 1, 0, dfqi_shape_same, tv_dx_run, NULL, NULL, NULL, NULL},
};
