/* Packs convolution weights into the layout that the kernels read, adds up the parts of their
 * gradients and unpacks them. Packing is a node of its own, so that a frozen network packs its
 * weights once. */
#include "graph/ops_priv.h"

#include <string.h>

/* attr of both: i[0] is 1 for conv_dx, i[1] is 1 for Winograd's taps, i[2] groups of filters that
 * are packed one behind the other */
enum { TRANS, TAPS_16, GROUPS };

/* -- packing: operand w ------------------------------------------------------------------------ */

/* Panels are of a group's filters, or of channels; depthwise weights have one channel each. */
static int64_t pack_columns(const dfqi_attr *a, const int64_t *w)
{
    return a->i[TRANS] ? w[1] : w[0] / a->i[GROUPS];
}

static int64_t panels_of(int64_t columns)
{
    return (columns + DFQI_CONV_PANEL - 1) / DFQI_CONV_PANEL;
}

static dfq_status pack_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *w = dfqi_in(g, n, 0);
    int64_t packed;
    if (w->batched || w->rank != 4) return dfqi_bad_shape(g, n, 0, "unbatched [O,C,kh,kw]");
    /* rounding up to whole panels at most multiplies by the panel, as do taps by 16 */
    if (!dfqi_mul_i64(dfqi_value_count(w), DFQI_CONV_PANEL, &packed))
        return dfqi_bad_shape(g, n, 0, "a weight that fits in memory");
    int64_t columns = pack_columns(&n->attr, w->dims), groups = n->attr.i[GROUPS];
    packed = groups * (int64_t)dfqi_conv_packed_floats(
                          columns, w->dims[0] * w->dims[1] / groups / columns,
                          n->attr.i[TAPS_16] ? DFQI_WINOGRAD_TAPS : w->dims[2] * w->dims[3]);
    dfqi_out(g, n, 0, 0, 1, &packed);
    return DFQ_OK;
}

static int64_t pack_blocks(const dfqi_run *r)
{
    return r->attr->i[GROUPS] * panels_of(pack_columns(r->attr, r->in[0].dims));
}

static void pack_run(const dfqi_run *r)
{
    const int64_t *w = r->in[0].dims;
    int64_t columns = pack_columns(r->attr, w), panels = panels_of(columns);
    int64_t group = r->block / panels, first = r->block % panels * DFQI_CONV_PANEL;
    int64_t taps = w[2] * w[3], next = w[1] * taps, filters = w[0] / r->attr->i[GROUPS];
    int64_t n = columns - first < DFQI_CONV_PANEL ? columns - first : DFQI_CONV_PANEL;
    int trans = r->attr->i[TRANS] != 0;
    int64_t o = trans ? filters : n, c = trans ? n : w[1];
    const float *from = r->in[0].data + group * filters * next + first * (trans ? taps : next);
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
    return r->attr->i[GROUPS] * panels_of(r->out[0].dims[0] / r->attr->i[GROUPS]);
}

static void unpack_run(const dfqi_run *r)
{
    const int64_t *w = r->out[0].dims;
    int64_t filters = w[0] / r->attr->i[GROUPS], panels = panels_of(filters), taps = w[2] * w[3];
    int64_t first = r->block % panels * DFQI_CONV_PANEL;
    int64_t n = filters - first < DFQI_CONV_PANEL ? filters - first : DFQI_CONV_PANEL;
    const float *from = r->in[0].data + r->block * (r->in[0].count / unpack_blocks(r));
    float *to = r->out[0].data + (r->block / panels * filters + first) * w[1] * taps;
    if (r->attr->i[TAPS_16])
        r->k->winograd_unpack(n, w[1], from, to);
    else
        r->k->conv_unpack(n, w[1], taps, from, to);
}

/* -- sum over the first extent of an unbatched value ------------------------------------------- */

enum { SUM_BLOCK = 4096 };

static dfq_status sum_parts_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    dfqi_out(g, n, 0, 0, x->rank - 1, x->dims + 1);
    return DFQ_OK;
}

static int64_t sum_parts_blocks(const dfqi_run *r)
{
    return (r->out[0].count + SUM_BLOCK - 1) / SUM_BLOCK;
}

static void sum_parts_run(const dfqi_run *r)
{
    int64_t all = r->out[0].count, first = r->block * SUM_BLOCK;
    size_t n = (size_t)(all - first < SUM_BLOCK ? all - first : SUM_BLOCK);
    float *out = r->out[0].data + first;
    memcpy(out, r->in[0].data + first, n * sizeof *out);
    for (int64_t i = 1; i < r->in[0].dims[0]; i++)
        r->k->add(n, out, r->in[0].data + i * all + first, out);
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_conv_pack(dfqi_graph *g, dfqi_id w, bool trans, bool winograd, int64_t groups)
{
    return dfqi_make(g, DFQI_OP_CONV_PACK, &(dfqi_attr){.i = {trans, winograd, groups}}, 1, &w);
}

dfqi_id dfqi_conv_unpack(dfqi_graph *g, dfqi_id packed, dfqi_id w, bool winograd, int64_t groups)
{
    return dfqi_make(g, DFQI_OP_CONV_UNPACK, &(dfqi_attr){.i = {0, winograd, groups}}, 2,
                     (dfqi_id[]){packed, w});
}

const dfqi_op dfqi_ops_conv_pack[] = {
    {"conv_pack", 1, 1, 1, 0, pack_shape, pack_run, NULL, NULL, NULL, pack_blocks},
    {"conv_unpack", 2, 2, 1, 0, unpack_shape, unpack_run, NULL, NULL, NULL, unpack_blocks},
    {"sum_parts", 1, 1, 1, 0, sum_parts_shape, sum_parts_run, NULL, dfqi_macs_input, NULL,
     sum_parts_blocks},
};
