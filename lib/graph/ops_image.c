/* Data movement for convolutional networks: channels-last and channels-first layout, reshape, the
 * parameter-free ResNet shortcut (subsample and pad), and embedding (rows of a table). */
#include "graph/ops_priv.h"

#include <string.h>

/* -- channels last, channels first ------------------------------------------------------------- */

static dfq_status image_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (!x->batched || x->rank != 4) return dfqi_bad_shape(g, n, 0, "an image, [B,.,.,.]");
    int64_t dims[4] = {x->dims[0], x->dims[2], x->dims[3], x->dims[1]};
    if (n->op == DFQI_OP_CHANNELS_FIRST) {
        dims[1] = x->dims[3];
        dims[2] = x->dims[1];
        dims[3] = x->dims[2];
    }
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

static void transpose_images(const dfqi_run *r, int64_t rows, int64_t cols)
{
    for (int64_t b = 0; b < r->images; b++)
        r->k->transpose(rows, cols, r->in[0].data + b * rows * cols, cols,
                        r->out[0].data + b * rows * cols, rows);
}

static void last_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    transpose_images(r, d[1], d[2] * d[3]);
}

static void first_run(const dfqi_run *r)
{
    const int64_t *d = r->in[0].dims;
    transpose_images(r, d[1] * d[2], d[3]);
}

static void last_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    (void)n;
    if (want[0]) din[0] = dfqi_channels_first(g, dout[0]);
}

static void first_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    (void)n;
    if (want[0]) din[0] = dfqi_channels_last(g, dout[0]);
}

/* -- reshape: attr i = extents behind the batch, RANK: their number ---------------------------- */

enum { RANK = DFQI_ATTR_MAX - 1 };

static dfq_status reshape_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t *a = n->attr.i;
    int64_t dims[DFQI_RANK_MAX] = {g->batch}, count = 1;
    bool fits = x->batched && a[RANK] >= 0 && a[RANK] < DFQI_RANK_MAX;
    for (int64_t i = 0; fits && i < a[RANK]; i++) {
        fits = a[i] > 0 && dfqi_mul_i64(count, a[i], &count);
        dims[1 + i] = a[i];
    }
    if (!fits || count != dfqi_value_stride(x))
        return dfqi_bad_shape(g, n, 0, "as many elements an image as the new extents have");
    dfqi_out(g, n, 0, 1, (int32_t)a[RANK] + 1, dims);
    return DFQ_OK;
}

static void reshape_run(const dfqi_run *r)
{
    memcpy(r->out[0].data, r->in[0].data, (size_t)r->in[0].count * sizeof(float));
}

static void reshape_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (want[0]) din[0] = dfqi_reshape(g, dout[0], x->rank - 1, x->dims + 1);
}

/* -- subsample and pad: attr i = stride, before, after; gradient: stride, before, Y, X, C of x - */

static dfq_status subsample_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    const int64_t *a = n->attr.i;
    if (a[0] < 1 || a[1] < 0 || a[2] < 0 || a[1] > INT64_MAX / 8 || a[2] > INT64_MAX / 8)
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "subsample_pad: stride is %lld, must be 1 or more; %lld channels before "
                         "and %lld after must be 0 or more",
                         (long long)a[0], (long long)a[1], (long long)a[2]);
    if (!x->batched || x->rank != 4) return dfqi_bad_shape(g, n, 0, "[B,Y,X,C]");
    int64_t dims[4] = {x->dims[0], (x->dims[1] - 1) / a[0] + 1, (x->dims[2] - 1) / a[0] + 1,
                       a[1] + x->dims[3] + a[2]};
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

/* Copies between pixels of the large images [.,Y,X,C] and the ones taken from them; `back`: into
 * the large ones. What is not copied to becomes 0. */
static void move_pixels(const dfqi_run *r, const int64_t *large, const int64_t *small, int back)
{
    int64_t stride = r->attr->i[0], before = r->attr->i[1], c = large[3];
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    for (int64_t b = 0; b < r->images; b++)
        for (int64_t y = 0; y < small[1]; y++)
            for (int64_t x = 0; x < small[2]; x++) {
                int64_t from = ((b * large[1] + y * stride) * large[2] + x * stride) * c;
                int64_t to = ((b * small[1] + y) * small[2] + x) * small[3] + before;
                memcpy(r->out[0].data + (back ? from : to), r->in[0].data + (back ? to : from),
                       (size_t)c * sizeof(float));
            }
}

static void subsample_run(const dfqi_run *r)
{
    move_pixels(r, r->in[0].dims, r->out[0].dims, 0);
}

static void subsample_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    const int64_t *x = dfqi_in(g, n, 0)->dims, *a = n->attr.i;
    dfqi_attr back = {.i = {a[0], a[1], x[1], x[2], x[3]}};
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_SUBSAMPLE_PAD_DX, &back, 1, dout);
}

static dfq_status subsample_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    dfqi_out(g, n, 0, 1, 4, (int64_t[]){g->batch, a[2], a[3], a[4]});
    return DFQ_OK;
}

static void subsample_dx_run(const dfqi_run *r)
{
    move_pixels(r, r->out[0].dims, r->in[0].dims, 1);
}

/* -- embed: table[N,D], index; gradient: index, dout, table (for its shape) -------------------- */

static dfq_status embed_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *table = dfqi_in(g, n, 0), *index = dfqi_in(g, n, 1);
    if (table->batched || table->rank != 2) return dfqi_bad_shape(g, n, 0, "unbatched [N,D]");
    if (!index->batched || index->rank > 2) return dfqi_bad_shape(g, n, 1, "[B] or [B,K]");
    int64_t dims[3] = {index->dims[0], index->dims[1], table->dims[1]};
    if (index->rank == 1) dims[1] = table->dims[1];
    dfqi_out(g, n, 0, 1, index->rank + 1, dims);
    return DFQ_OK;
}

static void embed_run(const dfqi_run *r)
{
    const int64_t *table = r->in[0].dims;
    for (int64_t i = 0; i < r->in[1].count; i++)
        memcpy(r->out[0].data + i * table[1],
               r->in[0].data + dfqi_class_of(r->in[1].data[i], table[0]) * table[1],
               (size_t)table[1] * sizeof(float));
}

static void embed_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    if (want[0])
        din[0] =
            dfqi_make(g, DFQI_OP_EMBED_DTABLE, NULL, 3, (dfqi_id[]){n->in[1], dout[0], n->in[0]});
}

static dfq_status embed_dtable_shape(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[2]);
    return DFQ_OK;
}

/* A block has ROWS rows of the table and adds up what belongs there, in the order of images. */
enum { ROWS = 64 };

static int64_t embed_dtable_blocks(const dfqi_run *r)
{
    return (r->out[0].dims[0] + ROWS - 1) / ROWS;
}

static void embed_dtable_run(const dfqi_run *r)
{
    int64_t rows = r->out[0].dims[0], cols = r->out[0].dims[1], first = r->block * ROWS;
    int64_t end = first + ROWS < rows ? first + ROWS : rows;
    memset(r->out[0].data + first * cols, 0, (size_t)((end - first) * cols) * sizeof(float));
    for (int64_t i = 0; i < r->in[0].count; i++) {
        int64_t row = dfqi_class_of(r->in[0].data[i], rows);
        float *to = r->out[0].data + row * cols;
        if (row >= first && row < end) r->k->add((size_t)cols, to, r->in[1].data + i * cols, to);
    }
}

static double embed_dtable_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return (double)dfqi_value_count(dfqi_in(g, n, 1));
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_channels_last(dfqi_graph *g, dfqi_id x)
{
    return dfqi_make(g, DFQI_OP_CHANNELS_LAST, NULL, 1, &x);
}

dfqi_id dfqi_channels_first(dfqi_graph *g, dfqi_id x)
{
    return dfqi_make(g, DFQI_OP_CHANNELS_FIRST, NULL, 1, &x);
}

dfqi_id dfqi_reshape(dfqi_graph *g, dfqi_id x, int32_t rank, const int64_t *dims)
{
    dfqi_attr a = {.i = {0}};
    for (int32_t i = 0; i < rank && i < RANK; i++) a.i[i] = dims[i];
    a.i[RANK] = rank;
    return dfqi_make(g, DFQI_OP_RESHAPE, &a, 1, &x);
}

dfqi_id dfqi_subsample_pad(dfqi_graph *g, dfqi_id x, int64_t stride, int64_t before, int64_t after)
{
    dfqi_attr a = {.i = {stride, before, after}};
    return dfqi_make(g, DFQI_OP_SUBSAMPLE_PAD, &a, 1, &x);
}

dfqi_id dfqi_embed(dfqi_graph *g, dfqi_id table, dfqi_id index)
{
    return dfqi_make(g, DFQI_OP_EMBED, NULL, 2, (dfqi_id[]){table, index});
}

const dfqi_op dfqi_ops_image[] = {
    {"channels_last", 1, 1, 1, 0, image_shape, last_run, last_grad, NULL, NULL, NULL},
    {"channels_first", 1, 1, 1, 0, image_shape, first_run, first_grad, NULL, NULL, NULL},
    {"reshape", 1, 1, 1, 0, reshape_shape, reshape_run, reshape_grad, NULL, NULL, NULL},
    {"subsample_pad", 1, 1, 1, 0, subsample_shape, subsample_run, subsample_grad, NULL, NULL, NULL},
    {"subsample_pad_dx", 1, 1, 1, 0, subsample_dx_shape, subsample_dx_run, NULL, NULL, NULL, NULL},
    {"embed", 2, 2, 1, 0, embed_shape, embed_run, embed_grad, NULL, NULL, NULL},
    {"embed_dtable", 3, 3, 1, DFQI_OPF_WHOLE, embed_dtable_shape, embed_dtable_run, NULL,
     embed_dtable_macs, NULL, embed_dtable_blocks},
};
