/* Packs convolution weights into the layout that the kernels read, and unpacks their gradients.
 * Packing is a node of its own, so that a frozen network packs its weights once. */
#include "graph/ops_priv.h"

/* attr of both: i[0] is 1 for conv_dx, i[1] is 1 for Winograd's taps */
enum { TRANS, TAPS_16 };

/* -- packing: operand w ------------------------------------------------------------------------ */

/* Panels are of filters, or of channels; depthwise weights have one channel each. */
static int64_t pack_columns(const dfqi_attr *a, const int64_t *w)
{
    return a->i[TRANS] ? w[1] : w[0];
}

static dfq_status pack_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *w = dfqi_in(g, n, 0);
    int64_t packed;
    if (w->batched || w->rank != 4) return dfqi_bad_shape(g, n, 0, "unbatched [O,C,kh,kw]");
    /* rounding up to whole panels at most multiplies by the panel, as do taps by 16 */
    if (!dfqi_mul_i64(dfqi_value_count(w), DFQI_CONV_PANEL, &packed))
        return dfqi_bad_shape(g, n, 0, "a weight that fits in memory");
    int64_t columns = pack_columns(&n->attr, w->dims);
    packed = (int64_t)dfqi_conv_packed_floats(columns, w->dims[0] * w->dims[1] / columns,
                                              n->attr.i[TAPS_16] ? DFQI_WINOGRAD_TAPS
                                                                 : w->dims[2] * w->dims[3]);
    dfqi_out(g, n, 0, 0, 1, &packed);
    return DFQ_OK;
}

static int64_t pack_blocks(const dfqi_run *r)
{
    return (pack_columns(r->attr, r->in[0].dims) + DFQI_CONV_PANEL - 1) / DFQI_CONV_PANEL;
}

static void pack_run(const dfqi_run *r)
{
    const int64_t *w = r->in[0].dims;
    int64_t columns = pack_columns(r->attr, w), first = r->block * DFQI_CONV_PANEL,
            taps = w[2] * w[3], next = w[1] * taps;
    int64_t n = columns - first < DFQI_CONV_PANEL ? columns - first : DFQI_CONV_PANEL;
    int trans = r->attr->i[TRANS] != 0;
    int64_t o = trans ? w[0] : n, c = trans ? n : w[1];
    const float *from = r->in[0].data + first * (trans ? taps : next);
    float *to = r->out[0].data + r->block * (r->out[0].count / pack_blocks(r));
    if (r->attr->i[TAPS_16])
        r->k->winograd_pack(trans, o, c, from, next, to);
    else
        r->k->conv_pack(trans, o, c, taps, from, next, to);
}

/* -- unpacking: operands packed, w ------------------------------------------------------------- */

static dfq_status unpack_shape(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[1]);
    return DFQ_OK;
}

static int64_t unpack_blocks(const dfqi_run *r)
{
    return (r->out[0].dims[0] + DFQI_CONV_PANEL - 1) / DFQI_CONV_PANEL;
}

static void unpack_run(const dfqi_run *r)
{
    const int64_t *w = r->out[0].dims;
    int64_t first = r->block * DFQI_CONV_PANEL, taps = w[2] * w[3];
    int64_t n = w[0] - first < DFQI_CONV_PANEL ? w[0] - first : DFQI_CONV_PANEL;
    const float *from = r->in[0].data + r->block * (r->in[0].count / unpack_blocks(r));
    float *to = r->out[0].data + first * w[1] * taps;
    if (r->attr->i[TAPS_16])
        r->k->winograd_unpack(n, w[1], from, to);
    else
        r->k->conv_unpack(n, w[1], taps, from, to);
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_conv_pack(dfqi_graph *g, dfqi_id w, bool trans, bool winograd)
{
    return dfqi_make(g, DFQI_OP_CONV_PACK, &(dfqi_attr){.i = {trans, winograd}}, 1, &w);
}

dfqi_id dfqi_conv_unpack(dfqi_graph *g, dfqi_id packed, dfqi_id w, bool winograd)
{
    return dfqi_make(g, DFQI_OP_CONV_UNPACK, &(dfqi_attr){.i = {0, winograd}}, 2,
                     (dfqi_id[]){packed, w});
}

const dfqi_op dfqi_ops_conv_pack[] = {
    {"conv_pack", 1, 1, 1, 0, pack_shape, pack_run, NULL, NULL, NULL, pack_blocks},
    {"conv_unpack", 2, 2, 1, 0, unpack_shape, unpack_run, NULL, NULL, NULL, unpack_blocks},
};
