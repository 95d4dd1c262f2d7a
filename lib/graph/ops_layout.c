/* Data movement: patches, tokens, attention heads, sums over the batch, and the differentiable
 * image augmentations (roll and per-channel affine). */
#include "graph/ops_priv.h"

#include <string.h>

/* -- patchify: attr i[0] patch; unpatchify: attr i[0] patch, i[1] channels, i[2] height, i[3]
 * width */

static dfq_status patchify_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    int64_t p = n->attr.i[0];
    if (x->rank != 4 || !x->batched || p < 1 || x->dims[2] % p || x->dims[3] % p)
        return dfqi_bad_shape(g, n, 0, "[B,C,Y,X] with Y and X multiples of the patch");
    int64_t dims[3] = {x->dims[0], x->dims[2] / p * (x->dims[3] / p), x->dims[1] * p * p};
    dfqi_out(g, n, 0, 1, 3, dims);
    return DFQ_OK;
}

/* One image; `back` copies patches into the image instead. */
static void move_patches(int64_t c, int64_t y, int64_t x, int64_t p, float *image, float *patches,
                         int back)
{
    for (int64_t py = 0; py < y / p; py++)
        for (int64_t px = 0; px < x / p; px++)
            for (int64_t ch = 0; ch < c; ch++)
                for (int64_t row = 0; row < p; row++, patches += p) {
                    float *at = image + (ch * y + py * p + row) * x + px * p;
                    memcpy(back ? at : patches, back ? patches : at, (size_t)p * sizeof *at);
                }
}

static void patchify_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t image = d[1] * d[2] * d[3];
    for (int64_t b = 0; b < r->images; b++)
        move_patches(d[1], d[2], d[3], r->attr->i[0], r->in[0].data + b * image,
                     r->out[0].data + b * image, 0);
}

static void patchify_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                          const uint8_t *want, dfqi_id *din)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    dfqi_attr a = {.i = {n->attr.i[0], x->dims[1], x->dims[2], x->dims[3]}};
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_UNPATCHIFY, &a, 1, dout);
}

static dfq_status unpatchify_shape(dfqi_graph *g, dfqi_node *n)
{
    int64_t dims[4] = {g->batch, n->attr.i[1], n->attr.i[2], n->attr.i[3]};
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

static void unpatchify_run(const dfqi_run *r)
{
    const int64_t *d = r->out[0].dims;
    int64_t image = d[1] * d[2] * d[3];
    for (int64_t b = 0; b < r->images; b++)
        move_patches(d[1], d[2], d[3], r->attr->i[0], r->out[0].data + b * image,
                     r->in[0].data + b * image, 1);
}

/* -- tokens: operands patches, pos, cls (may be absent) ---------------------------------------- */

static dfq_status tokens_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank != 3 || !x->batched) return dfqi_bad_shape(g, n, 0, "[B,P,D]");
    int64_t dims[3] = {x->dims[0], x->dims[1], x->dims[2]};
    if (n->in[2] >= 0) {
        const dfqi_value *cls = dfqi_in(g, n, 2);
        if (cls->rank != 3 || !dfqi_is_shared(cls, cls->dims[1] * dims[2]))
            return dfqi_bad_shape(g, n, 2, "[1,R,D]");
        dims[1] += cls->dims[1];
    }
    if (!dfqi_is_shared(dfqi_in(g, n, 1), dims[1] * dims[2]))
        return dfqi_bad_shape(g, n, 1,
                              "[1,R+P,D], one position for each token in front of the "
                              "patches and for each patch");
    dfqi_out(g, n, 0, 1, 3, dims);
    return DFQ_OK;
}

static void tokens_run(const dfqi_run *r)
{
    int64_t d = r->out[0].dims[2], n = r->out[0].dims[1];
    int64_t first = r->in[2].data ? r->in[2].count : 0;
    for (int64_t b = 0; b < r->images; b++) {
        float *y = r->out[0].data + b * n * d;
        if (first) r->k->add((size_t)first, r->in[2].data, r->in[1].data, y);
        r->k->add((size_t)(n * d - first), r->in[0].data + b * (n * d - first),
                  r->in[1].data + first, y + first);
    }
}

static void tokens_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    if (want[0])
        din[0] = n->in[2] >= 0 ? dfqi_drop_tokens(g, dout[0], dfqi_in(g, n, 2)->dims[1]) : dout[0];
    if (want[1]) din[1] = dfqi_sum_batch(g, dout[0], n->in[1], 0, 1.0f);
    if (want[2]) din[2] = dfqi_sum_batch(g, dout[0], n->in[2], 0, 1.0f);
}

/* -- without the first tokens: attr i[0] their number, i[1] that of all ------------------------ */

static dfq_status drop_tokens_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank != 3 || !x->batched || n->attr.i[0] < 1 || n->attr.i[0] >= x->dims[1])
        return dfqi_bad_shape(g, n, 0, "[B,N,D] with more tokens than are left out");
    n->attr.i[1] = x->dims[1];
    dfqi_out_like(g, n, 0, n->in[0]);
    g->values[n->out[0]].dims[1] -= n->attr.i[0];
    return DFQ_OK;
}

static void drop_tokens_run(const dfqi_run *r)
{
    int64_t n = r->in[0].dims[1], d = r->in[0].dims[2], first = r->attr->i[0];
    for (int64_t b = 0; b < r->images; b++)
        memcpy(r->out[0].data + b * (n - first) * d, r->in[0].data + (b * n + first) * d,
               (size_t)((n - first) * d) * sizeof(float));
}

static void scatter_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_SCATTER_TOKEN, &n->attr, 1, dout);
}

/* -- one token: attr i[0] index, i[1] number of tokens ----------------------------------------- */

static dfq_status select_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank != 3 || !x->batched || n->attr.i[0] < 0 || n->attr.i[0] >= x->dims[1])
        return dfqi_bad_shape(g, n, 0, "[B,N,D] with more tokens than the index");
    n->attr.i[1] = x->dims[1];
    dfqi_out(g, n, 0, 1, 2, (int64_t[]){x->dims[0], x->dims[2]});
    return DFQ_OK;
}

static void select_run(const dfqi_run *r)
{
    int64_t n = r->in[0].dims[1], d = r->in[0].dims[2];
    for (int64_t b = 0; b < r->images; b++)
        memcpy(r->out[0].data + b * d, r->in[0].data + (b * n + r->attr->i[0]) * d,
               (size_t)d * sizeof(float));
}

/* x[B,D] or x[B,M,D] as tokens from `index` on; the others are 0. */
static dfq_status scatter_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    dfqi_out(g, n, 0, 1, 3, (int64_t[]){x->dims[0], n->attr.i[1], dfqi_value_last(x)});
    return DFQ_OK;
}

static void scatter_run(const dfqi_run *r)
{
    int64_t n = r->out[0].dims[1], d = r->out[0].dims[2], floats = r->in[0].count / r->images;
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t b = 0; b < r->images; b++)
        memcpy(r->out[0].data + (b * n + r->attr->i[0]) * d, r->in[0].data + b * floats,
               (size_t)floats * sizeof(float));
}

/* -- sum over the batch: operands x, like; attr i[0] first element, f[0] scale ----------------- */

static dfq_status sum_batch_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0), *like = dfqi_in(g, n, 1);
    if (!x->batched || n->attr.i[0] < 0 ||
        dfqi_value_count(like) > dfqi_value_stride(x) - n->attr.i[0])
        return dfqi_bad_shape(g, n, 0, "batched, with the given elements of each image");
    dfqi_out(g, n, 0, 0, like->rank, like->dims);
    return DFQ_OK;
}

static void sum_batch_run(const dfqi_run *r)
{
    int64_t stride = r->in[0].count / r->batch;
    const float *x = r->in[0].data + r->attr->i[0];
    size_t n = (size_t)r->out[0].count;
    r->k->scale(n, r->attr->f[0], x, r->out[0].data);
    for (int64_t b = 1; b < r->batch; b++)
        r->k->axpy(n, r->attr->f[0], x + b * stride, r->out[0].data);
}

/* -- roll: operands x, offsets[2]; attr i[0] sign ---------------------------------------------- */

static dfq_status roll_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank != 4 || !x->batched) return dfqi_bad_shape(g, n, 0, "[B,C,Y,X]");
    if (!dfqi_is_shared(dfqi_in(g, n, 1), 2)) return dfqi_bad_shape(g, n, 1, "[2]");
    return dfqi_shape_same(g, n);
}

static int64_t wrap(int64_t i, int64_t n)
{
    return (i % n + n) % n;
}

static void roll_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t oy = wrap(r->attr->i[0] * (int64_t)r->in[1].data[0], d[2]);
    int64_t ox = wrap(r->attr->i[0] * (int64_t)r->in[1].data[1], d[3]);
    for (int64_t plane = 0; plane < d[0] * d[1]; plane++)
        for (int64_t y = 0; y < d[2]; y++) {
            const float *from = r->in[0].data + (plane * d[2] + wrap(y - oy, d[2])) * d[3];
            float *to = r->out[0].data + (plane * d[2] + y) * d[3];
            memcpy(to + ox, from, (size_t)(d[3] - ox) * sizeof(float));
            memcpy(to, from + d[3] - ox, (size_t)ox * sizeof(float));
        }
}

static void roll_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    dfqi_attr a = {.i = {-n->attr.i[0]}};
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_ROLL, &a, 2, (dfqi_id[]){dout[0], n->in[1]});
}

/* -- channel affine: operands x, scale[B,C], shift[B,C] (may be absent) ------------------------ */

static dfq_status affine_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (x->rank != 4 || !x->batched) return dfqi_bad_shape(g, n, 0, "[B,C,Y,X]");
    for (int32_t i = 1; i < n->n_in; i++)
        if (n->in[i] >= 0 &&
            (!dfqi_in(g, n, i)->batched || dfqi_value_stride(dfqi_in(g, n, i)) != x->dims[1]))
            return dfqi_bad_shape(g, n, i, "[B,C]");
    return dfqi_shape_same(g, n);
}

static void affine_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    int64_t pixels = d[2] * d[3];
    for (int64_t plane = 0; plane < d[0] * d[1]; plane++) {
        const float *x = r->in[0].data + plane * pixels;
        float *y = r->out[0].data + plane * pixels;
        float scale = r->in[1].data[plane], shift = r->in[2].data ? r->in[2].data[plane] : 0.0f;
        for (int64_t i = 0; i < pixels; i++) y[i] = x[i] * scale + shift;
    }
}

static void affine_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_CHANNEL_AFFINE, NULL, 2, (dfqi_id[]){dout[0], n->in[1]});
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_patchify(dfqi_graph *g, dfqi_id x, int64_t patch)
{
    dfqi_attr a = {.i = {patch}};
    return dfqi_make(g, DFQI_OP_PATCHIFY, &a, 1, &x);
}

dfqi_id dfqi_tokens(dfqi_graph *g, dfqi_id patches, dfqi_id cls, dfqi_id pos)
{
    return dfqi_make(g, DFQI_OP_TOKENS, NULL, 3, (dfqi_id[]){patches, pos, cls});
}

dfqi_id dfqi_select_token(dfqi_graph *g, dfqi_id x, int64_t index)
{
    dfqi_attr a = {.i = {index}};
    return dfqi_make(g, DFQI_OP_SELECT_TOKEN, &a, 1, &x);
}

dfqi_id dfqi_drop_tokens(dfqi_graph *g, dfqi_id x, int64_t first)
{
    dfqi_attr a = {.i = {first}};
    return dfqi_make(g, DFQI_OP_DROP_TOKENS, &a, 1, &x);
}

dfqi_id dfqi_sum_batch(dfqi_graph *g, dfqi_id x, dfqi_id like, int64_t first, float scale)
{
    dfqi_attr a = {.i = {first}, .f = {scale}};
    return dfqi_make(g, DFQI_OP_SUM_BATCH, &a, 2, (dfqi_id[]){x, like});
}

dfqi_id dfqi_roll(dfqi_graph *g, dfqi_id x, dfqi_id offsets)
{
    dfqi_attr a = {.i = {1}};
    return dfqi_make(g, DFQI_OP_ROLL, &a, 2, (dfqi_id[]){x, offsets});
}

dfqi_id dfqi_channel_affine(dfqi_graph *g, dfqi_id x, dfqi_id scale, dfqi_id shift)
{
    return dfqi_make(g, DFQI_OP_CHANNEL_AFFINE, NULL, 3, (dfqi_id[]){x, scale, shift});
}

const dfqi_op dfqi_ops_layout[] = {
    {"patchify", 1, 1, 1, 0, patchify_shape, patchify_run, patchify_grad, NULL, NULL, NULL},
    {"unpatchify", 1, 1, 1, 0, unpatchify_shape, unpatchify_run, NULL, NULL, NULL, NULL},
    {"tokens", 2, 3, 1, 0, tokens_shape, tokens_run, tokens_grad, NULL, NULL, NULL},
    {"drop_tokens", 1, 1, 1, 0, drop_tokens_shape, drop_tokens_run, scatter_grad, NULL, NULL, NULL},
    {"select_token", 1, 1, 1, 0, select_shape, select_run, scatter_grad, NULL, NULL, NULL},
    {"scatter_token", 1, 1, 1, 0, scatter_shape, scatter_run, NULL, NULL, NULL, NULL},
    {"sum_batch", 2, 2, 1, DFQI_OPF_WHOLE, sum_batch_shape, sum_batch_run, NULL, NULL, NULL, NULL},
    {"roll", 2, 2, 1, 0, roll_shape, roll_run, roll_grad, NULL, NULL, NULL},
    {"channel_affine", 2, 3, 1, 0, affine_shape, affine_run, affine_grad, NULL, NULL, NULL},
};
