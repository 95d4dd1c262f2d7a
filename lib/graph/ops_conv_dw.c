/* The gradient of a convolution to its weight and bias. It reads the whole batch: partial sums,
 * whose number depends on the shapes alone, are added up in order (sum_parts). So the order of
 * summation does not depend on the number of threads. */
#include "graph/ops_conv_priv.h"

/* -- gradient to weight and bias: operands x, w, dy; outputs [parts, packed] and [parts,O] ----- */

/* Filters of one block, and blocks that cover all of them: of a group by itself, all of its. */
enum { DW_FILTERS = 2 * DFQI_CONV_PANEL };

static int64_t filter_blocks(const dfqi_attr *a, const dfqi_conv_shape *s)
{
    return dfqi_conv_method_of(a, s) == DFQI_CONV_GROUPED ? a->i[CONV_GROUPS]
                                                          : (s->o + DW_FILTERS - 1) / DW_FILTERS;
}

/* Many filters give enough blocks. Then there are few parts, since each part takes memory. */
static int64_t part_count(int64_t batch, int64_t blocks)
{
    enum { BLOCKS = 32 };
    int64_t parts = BLOCKS / blocks;
    return parts < 1 ? 1 : parts < batch ? parts : batch;
}

static dfq_status conv_dw_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *w = dfqi_in(g, n, 1)->dims;
    const dfqi_conv_shape s =
        dfqi_conv_shape_of(&n->attr, dfqi_in(g, n, 0)->dims, w, dfqi_in(g, n, 2)->dims);
    int64_t taps =
        dfqi_conv_method_of(&n->attr, &s) == DFQI_CONV_WINOGRAD ? DFQI_WINOGRAD_TAPS : w[2] * w[3];
    int64_t parts = part_count(g->batch, filter_blocks(&n->attr, &s));
    int64_t biases = dfqi_in(g, n, n->attr.i[CONV_BIAS_OF_X] ? 0 : 2)->dims[3];
    int64_t groups = dfqi_conv_packed_groups(&n->attr, &s);
    int64_t packed = groups * (int64_t)dfqi_conv_packed_floats(w[0] / groups, w[1], taps);
    dfqi_out(g, n, 0, 0, 2, (int64_t[]){parts, packed});
    dfqi_out(g, n, 1, 0, 2, (int64_t[]){parts, biases});
    return DFQ_OK;
}

static dfqi_conv_shape dw_shape_of(const dfqi_run *r)
{
    return dfqi_conv_shape_of(r->attr, r->in[0].dims, r->in[1].dims, r->in[2].dims);
}

/* Each part has the blocks of the filters, and one for the bias. */
static int64_t conv_dw_blocks(const dfqi_run *r)
{
    const dfqi_conv_shape s = dw_shape_of(r);
    int64_t blocks = filter_blocks(r->attr, &s);
    return part_count(r->batch, blocks) * (blocks + 1);
}

static void bias_of_part(const dfqi_run *r, int64_t part, int64_t images, const float *from)
{
    const int64_t *d = r->in[r->attr->i[CONV_BIAS_OF_X] ? 0 : 2].dims;
    r->k->col_sum(images * d[1] * d[2], d[3], from, 0, r->out[1].data + part * d[3]);
}

static void conv_dw_run(const dfqi_run *r)
{
    const dfqi_conv_shape s = dw_shape_of(r);
    const dfqi_conv_method how = dfqi_conv_method_of(r->attr, &s);
    int64_t in = s.in_y * s.in_x * s.c, out = s.out_y * s.out_x * s.o;
    int64_t all = filter_blocks(r->attr, &s), block = r->block % (all + 1);
    int64_t parts = r->out[0].dims[0], part = r->block / (all + 1);
    int64_t image = part * r->batch / parts, images = (part + 1) * r->batch / parts - image;
    int64_t packed = r->out[0].dims[1];
    const float *x = r->in[0].data + image * in, *dy = r->in[2].data + image * out;
    float *dw = r->out[0].data + part * packed;
    if (block == all) {
        if (r->out[1].data) bias_of_part(r, part, images, r->attr->i[CONV_BIAS_OF_X] ? x : dy);
        return;
    }
    if (how == DFQI_CONV_GROUPED) {
        dfqi_conv_group_dw_run(r, &s, all, block, images, x, dy, dw + block * (packed / all));
        return;
    }
    int64_t first = block * DW_FILTERS;
    int64_t n = s.o - first < DW_FILTERS ? s.o - first : DW_FILTERS;
    int64_t panels = (s.o + DFQI_CONV_PANEL - 1) / DFQI_CONV_PANEL;
    dw += first / DFQI_CONV_PANEL * (packed / panels);
    (how == DFQI_CONV_DENSE       ? r->k->conv_dw
     : how == DFQI_CONV_DEPTHWISE ? r->k->depthwise_dw
                                  : r->k->winograd_dw)(&s, images, first, n, x, dy, dw, r->scratch);
}

static int64_t conv_dw_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    int64_t parts = g->values[n->out[0]].dims[0];
    return dfqi_conv_scratch_of(g, n, n->in[0], n->in[1], n->in[2], (images + parts - 1) / parts);
}

static double conv_dw_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return dfqi_conv_macs_of(g, n->in[1], n->in[2]);
}

const dfqi_op dfqi_ops_conv_dw[] = {
    {"conv_dw", 3, 3, 2, DFQI_OPF_WHOLE, conv_dw_shape, conv_dw_run, NULL, conv_dw_macs,
     conv_dw_scratch, conv_dw_blocks},
};
