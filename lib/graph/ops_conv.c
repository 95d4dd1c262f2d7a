/* Convolution of channels-last images and its gradients. It is depthwise when there is one filter
 * for each channel. Weights keep the shape that files give them, [O,C/groups,kh,kw]; a separate
 * node packs them (ops_conv_pack.c).
 *
 * The weight gradient reads the whole batch. It computes partial sums, whose number depends on the
 * shapes alone, and adds them up in order. So the order of summation does not depend on the number
 * of threads. */
#include "graph/ops_priv.h"

#include <string.h>

/* attr of conv, conv_dx and conv_dw: i = stride, pad, dilation, groups; conv_dx: Y, X of x;
 * conv_dw: 1 in BIAS_OF_X if the bias was added to x, for the gradient of conv_dx */
enum { STRIDE, PAD, DILATION, GROUPS, IN_Y, IN_X, BIAS_OF_X = IN_Y, LIMIT = 64 };

/* x[.,Y,X,C], w, y[.,Y',X',O] */
static dfqi_conv_shape shape_of(const dfqi_attr *a, const int64_t *x, const int64_t *w,
                                const int64_t *y)
{
    return (dfqi_conv_shape){.in_y = x[1],
                             .in_x = x[2],
                             .c = x[3],
                             .out_y = y[1],
                             .out_x = y[2],
                             .o = y[3],
                             .kernel_y = w[2],
                             .kernel_x = w[3],
                             .stride = a->i[STRIDE],
                             .pad = a->i[PAD],
                             .dilation = a->i[DILATION]};
}

/* Three ways to do it; the choice depends on the shape alone. */
typedef enum method { DENSE, DEPTHWISE, WINOGRAD } method;

static method method_of(const dfqi_attr *a, const dfqi_conv_shape *s)
{
    return a->i[GROUPS] != 1 ? DEPTHWISE : dfqi_winograd_pays(s) ? WINOGRAD : DENSE;
}

static int64_t scratch_of(const dfqi_graph *g, const dfqi_node *n, dfqi_id x, dfqi_id w, dfqi_id y)
{
    const dfqi_conv_shape s =
        shape_of(&n->attr, g->values[x].dims, g->values[w].dims, g->values[y].dims);
    return (int64_t)(method_of(&n->attr, &s) == WINOGRAD ? dfqi_winograd_scratch(&s)
                                                         : dfqi_conv_scratch(&s));
}

/* An element of y is a sum over the elements of one filter. */
static double macs_of(const dfqi_graph *g, dfqi_id w, dfqi_id y)
{
    const dfqi_value *v = &g->values[w];
    int64_t filter = dfqi_value_count(v) / v->dims[0];
    return (double)dfqi_value_count(&g->values[y]) * (double)filter;
}

/* Packed weights for a convolution of x, w and y. */
static dfqi_id make_pack(dfqi_graph *g, bool trans, const dfqi_attr *a, const int64_t *x, dfqi_id w,
                         const int64_t *y)
{
    const dfqi_conv_shape s = shape_of(a, x, g->values[w].dims, y);
    return dfqi_conv_pack(g, w, trans, method_of(a, &s) == WINOGRAD);
}

/* -- forward: operands x, w, packed w, b ------------------------------------------------------- */

/* The padded image must be small enough for plain arithmetic. */
static bool fits(const dfqi_value *x, const dfqi_value *w, const dfqi_attr *a)
{
    int64_t rest = 2 * a->i[PAD] + DFQI_CONV_KERNEL * a->i[DILATION], y = x->dims[1] + rest, n;
    return dfqi_mul_i64(y, x->dims[2] + rest, &n) && dfqi_mul_i64(n, x->dims[3] + w->dims[0], &n);
}

static bool within(int64_t v, int64_t lowest)
{
    return v >= lowest && v <= LIMIT;
}

/* Checks all operands but the packed weights; dims[4] of y. */
static dfq_status conv_check(const dfqi_graph *g, const dfqi_node *n, int64_t *dims)
{
    const dfqi_value *x = dfqi_in(g, n, 0), *w = dfqi_in(g, n, 1);
    const int64_t *a = n->attr.i;
    if (!within(a[STRIDE], 1) || !within(a[PAD], 0) || !within(a[DILATION], 1))
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "conv %s: stride is %lld, pad is %lld, dilation is %lld; must be at least "
                         "1, 0 and 1, and at most %d",
                         n->name, (long long)a[STRIDE], (long long)a[PAD], (long long)a[DILATION],
                         LIMIT);
    if (!x->batched || x->rank != 4) return dfqi_bad_shape(g, n, 0, "[B,Y,X,C]");
    if (w->batched || w->rank != 4 || w->dims[2] > DFQI_CONV_KERNEL ||
        w->dims[3] > DFQI_CONV_KERNEL)
        return dfqi_bad_shape(g, n, 1, "unbatched [O,C/groups,kh,kw] with kernels up to 16");
    bool depthwise = a[GROUPS] == x->dims[3] && a[GROUPS] == w->dims[0] && w->dims[1] == 1;
    if (!depthwise && (a[GROUPS] != 1 || w->dims[1] != x->dims[3]))
        return dfqi_bad_shape(g, n, 1, "all channels of operand 0 in one group, or one in each");
    if (n->in[3] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 3), w->dims[0]))
        return dfqi_bad_shape(g, n, 3, "one bias for each filter");
    if (!fits(x, w, &n->attr)) return dfqi_bad_shape(g, n, 0, "an image that fits in memory");
    dims[0] = x->dims[0];
    dims[3] = w->dims[0];
    for (int i = 0; i < 2; i++) {
        int64_t room = x->dims[1 + i] + 2 * a[PAD] - a[DILATION] * (w->dims[2 + i] - 1) - 1;
        if (room < 0) return dfqi_bad_shape(g, n, 0, "an image no smaller than the kernel");
        dims[1 + i] = room / a[STRIDE] + 1;
    }
    return DFQ_OK;
}

static dfq_status conv_shape(dfqi_graph *g, dfqi_node *n)
{
    int64_t dims[4];
    DFQI_TRY(conv_check(g, n, dims));
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

static void conv_run(const dfqi_run *r)
{
    const dfqi_conv_shape s = shape_of(r->attr, r->in[0].dims, r->in[1].dims, r->out[0].dims);
    const method how = method_of(r->attr, &s);
    int64_t in = s.in_y * s.in_x * s.c, out = s.out_y * s.out_x * s.o;
    for (int64_t b = 0; b < r->images; b++)
        (how == DENSE       ? r->k->conv
         : how == DEPTHWISE ? r->k->depthwise
                            : r->k->winograd)(&s, r->in[0].data + b * in, r->in[2].data,
                                              r->in[3].data, r->out[0].data + b * out, r->scratch);
}

static int64_t conv_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return scratch_of(g, n, n->in[0], n->in[1], n->out[0]);
}

static double conv_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return macs_of(g, n->in[1], n->out[0]);
}

/* of x, w, dy: gradients of operands 1, the weight, and 3, the bias */
static void weight_grad(dfqi_graph *g, const dfqi_attr *a, const dfqi_id *from, const uint8_t *want,
                        dfqi_id *din)
{
    if (!want[1] && !want[3]) return;
    const dfqi_conv_shape s =
        shape_of(a, g->values[from[0]].dims, g->values[from[1]].dims, g->values[from[2]].dims);
    dfqi_id parts = dfqi_make(g, DFQI_OP_CONV_DW, a, 3, from);
    dfqi_id bias = dfqi_graph_output(g, parts, 1);
    if (want[1]) {
        dfqi_id sum = dfqi_make(g, DFQI_OP_SUM_PARTS, NULL, 1, &parts);
        din[1] = dfqi_conv_unpack(g, sum, from[1], method_of(a, &s) == WINOGRAD);
    }
    if (want[3]) din[3] = dfqi_make(g, DFQI_OP_SUM_PARTS, NULL, 1, &bias);
}

/* Operands as below; x: the extents of the gradient that is computed. */
static dfqi_id make_dx(dfqi_graph *g, const dfqi_attr *conv, const int64_t *x, const dfqi_id *in)
{
    dfqi_attr a = *conv;
    a.i[IN_Y] = x[1];
    a.i[IN_X] = x[2];
    return dfqi_make(g, DFQI_OP_CONV_DX, &a, 4, in);
}

static void conv_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    dfqi_id x = n->in[0], w = n->in[1], dy = dout[0];
    if (want[0]) {
        /* depthwise: the weights as the forward pass packed them */
        dfqi_id packed = n->attr.i[GROUPS] == 1 ? make_pack(g, true, &n->attr, g->values[x].dims, w,
                                                            g->values[dy].dims)
                                                : n->in[2];
        din[0] = make_dx(g, &n->attr, g->values[x].dims, (dfqi_id[]){dy, w, packed, DFQI_NONE});
    }
    weight_grad(g, &n->attr, (dfqi_id[]){x, w, dy}, want, din);
}

/* -- gradient to the input: operands dy, w, packed w, and a bias for each channel of x. With
 * gradients of its own it is a transposed convolution. --------------------------------------- */

static dfq_status conv_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *dy = dfqi_in(g, n, 0), *w = dfqi_in(g, n, 1);
    const int64_t *a = n->attr.i;
    if (!dy->batched || dy->rank != 4 || dy->dims[3] != w->dims[0])
        return dfqi_bad_shape(g, n, 0, "[B,Y,X,O] with the filters' O");
    if (n->in[3] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 3), w->dims[1]))
        return dfqi_bad_shape(g, n, 3, "one bias for each channel");
    int64_t dims[4] = {dy->dims[0], a[IN_Y], a[IN_X], w->dims[1] * a[GROUPS]};
    dfqi_out(g, n, 0, 1, 4, dims);
    return DFQ_OK;
}

static void conv_dx_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    dfqi_id w = n->in[1];
    dfqi_attr a = n->attr;
    if (want[0]) {
        dfqi_id packed =
            make_pack(g, false, &a, g->values[dout[0]].dims, w, g->values[n->in[0]].dims);
        din[0] = dfqi_make(g, DFQI_OP_CONV, &a, 4, (dfqi_id[]){dout[0], w, packed, DFQI_NONE});
    }
    a.i[BIAS_OF_X] = 1;
    weight_grad(g, &a, (dfqi_id[]){dout[0], w, n->in[0]}, want, din);
}

static void conv_dx_run(const dfqi_run *r)
{
    const dfqi_conv_shape s = shape_of(r->attr, r->out[0].dims, r->in[1].dims, r->in[0].dims);
    const method how = method_of(r->attr, &s);
    int64_t pixels = s.in_y * s.in_x, out = s.out_y * s.out_x * s.o;
    for (int64_t b = 0; b < r->images; b++) {
        float *dx = r->out[0].data + b * pixels * s.c;
        (how == DENSE ? r->k->conv_dx
         : how == DEPTHWISE
             ? r->k->depthwise_dx
             : r->k->winograd_dx)(&s, r->in[0].data + b * out, r->in[2].data, dx, r->scratch);
        for (int64_t i = 0; i < pixels && r->in[3].data; i++)
            r->k->add((size_t)s.c, dx + i * s.c, r->in[3].data, dx + i * s.c);
    }
}

static int64_t conv_dx_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return scratch_of(g, n, n->out[0], n->in[1], n->in[0]);
}

static double conv_dx_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return macs_of(g, n->in[1], n->in[0]);
}

/* -- gradient to weight and bias: operands x, w, dy; outputs [parts, packed] and [parts,O] ----- */

/* Filters of one block, and blocks that cover all of them. */
enum { DW_FILTERS = 2 * DFQI_CONV_PANEL };

static int64_t filter_blocks(int64_t o)
{
    return (o + DW_FILTERS - 1) / DW_FILTERS;
}

/* Many filters give enough blocks. Then there are few parts, since each part takes memory. */
static int64_t part_count(int64_t batch, int64_t o)
{
    enum { BLOCKS = 32 };
    int64_t parts = BLOCKS / filter_blocks(o);
    return parts < 1 ? 1 : parts < batch ? parts : batch;
}

static dfq_status conv_dw_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *w = dfqi_in(g, n, 1)->dims;
    const dfqi_conv_shape s = shape_of(&n->attr, dfqi_in(g, n, 0)->dims, w, dfqi_in(g, n, 2)->dims);
    int64_t taps = method_of(&n->attr, &s) == WINOGRAD ? DFQI_WINOGRAD_TAPS : w[2] * w[3];
    int64_t parts = part_count(g->batch, w[0]);
    int64_t biases = dfqi_in(g, n, n->attr.i[BIAS_OF_X] ? 0 : 2)->dims[3];
    int64_t packed = (int64_t)dfqi_conv_packed_floats(w[0], w[1], taps);
    dfqi_out(g, n, 0, 0, 2, (int64_t[]){parts, packed});
    dfqi_out(g, n, 1, 0, 2, (int64_t[]){parts, biases});
    return DFQ_OK;
}

/* Each part has the blocks of the filters, and one for the bias. */
static int64_t conv_dw_blocks(const dfqi_run *r)
{
    int64_t o = r->in[1].dims[0];
    return part_count(r->batch, o) * (filter_blocks(o) + 1);
}

static void bias_of_part(const dfqi_run *r, int64_t part, int64_t images, const float *from)
{
    const int64_t *d = r->in[r->attr->i[BIAS_OF_X] ? 0 : 2].dims;
    r->k->col_sum(images * d[1] * d[2], d[3], from, 0, r->out[1].data + part * d[3]);
}

static void conv_dw_run(const dfqi_run *r)
{
    const dfqi_conv_shape s = shape_of(r->attr, r->in[0].dims, r->in[1].dims, r->in[2].dims);
    const method how = method_of(r->attr, &s);
    int64_t in = s.in_y * s.in_x * s.c, out = s.out_y * s.out_x * s.o;
    int64_t blocks = filter_blocks(s.o) + 1, parts = r->out[0].dims[0], part = r->block / blocks;
    int64_t image = part * r->batch / parts, images = (part + 1) * r->batch / parts - image;
    int64_t first = r->block % blocks * DW_FILTERS, packed = r->out[0].dims[1];
    const float *x = r->in[0].data + image * in, *dy = r->in[2].data + image * out;
    if (first >= s.o) {
        if (r->out[1].data) bias_of_part(r, part, images, r->attr->i[BIAS_OF_X] ? x : dy);
        return;
    }
    int64_t n = s.o - first < DW_FILTERS ? s.o - first : DW_FILTERS;
    int64_t panels = (s.o + DFQI_CONV_PANEL - 1) / DFQI_CONV_PANEL;
    float *dw = r->out[0].data + part * packed + first / DFQI_CONV_PANEL * (packed / panels);
    (how == DENSE       ? r->k->conv_dw
     : how == DEPTHWISE ? r->k->depthwise_dw
                        : r->k->winograd_dw)(&s, images, first, n, x, dy, dw, r->scratch);
}

static int64_t conv_dw_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return scratch_of(g, n, n->in[0], n->in[1], n->in[2]);
}

static double conv_dw_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return macs_of(g, n->in[1], n->in[2]);
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

static dfqi_attr attr_of(const dfqi_conv_attr *a)
{
    return (dfqi_attr){.i = {a->stride, a->pad, a->dilation, a->groups}};
}

dfqi_id dfqi_conv(dfqi_graph *g, const char *name, dfqi_id x, dfqi_id w, dfqi_id b,
                  const dfqi_conv_attr *a)
{
    const dfqi_attr attr = attr_of(a);
    x = dfqi_graph_operand(g, DFQI_OP_CONV, name, 0, x);
    w = dfqi_graph_operand(g, DFQI_OP_CONV, name, 1, w);
    dfqi_id packed = DFQI_NONE;
    if (dfqi_has_value(g, x) && dfqi_has_value(g, w) && b < g->n_values) {
        /* how weights are packed depends on the extents of y */
        const dfqi_node n = {
            .op = DFQI_OP_CONV, .name = name ? name : "", .attr = attr, .in = {x, w, packed, b}};
        int64_t y[4] = {0};
        g->status = conv_check(g, &n, y);
        if (g->status == DFQ_OK) packed = make_pack(g, false, &attr, g->values[x].dims, w, y);
    }
    return dfqi_graph_node(g, DFQI_OP_CONV, name, &attr, 4, (dfqi_id[]){x, w, packed, b});
}

void dfqi_conv_node(const dfqi_graph *g, const struct dfqi_node *n, dfqi_conv_shape *out,
                    int64_t *out_depthwise)
{
    *out = shape_of(&n->attr, g->values[n->in[0]].dims, g->values[n->in[1]].dims,
                    g->values[n->out[0]].dims);
    *out_depthwise = n->attr.i[GROUPS] != 1;
}

dfqi_id dfqi_conv_transposed(dfqi_graph *g, dfqi_id dy, dfqi_id w, dfqi_id b,
                             const dfqi_conv_attr *a, int64_t y, int64_t x)
{
    const dfqi_attr attr = attr_of(a);
    dfqi_id packed = DFQI_NONE;
    int64_t dims[4] = {0, y, x, 0};
    if (dfqi_has_value(g, dy) && dfqi_has_value(g, w)) {
        dims[3] = g->values[w].dims[1]; /* one group */
        packed = make_pack(g, true, &attr, dims, w, g->values[dy].dims);
    }
    return make_dx(g, &attr, dims, (dfqi_id[]){dy, w, packed, b});
}

const dfqi_op dfqi_ops_conv[] = {
    {"conv", 3, 4, 1, DFQI_OPF_PRODUCT, conv_shape, conv_run, conv_grad, conv_macs, conv_scratch,
     NULL},
    {"conv_dx", 3, 4, 1, 0, conv_dx_shape, conv_dx_run, conv_dx_grad, conv_dx_macs, conv_dx_scratch,
     NULL},
    {"conv_dw", 3, 3, 2, DFQI_OPF_WHOLE, conv_dw_shape, conv_dw_run, NULL, conv_dw_macs,
     conv_dw_scratch, conv_dw_blocks},
    {"sum_parts", 1, 1, 1, 0, sum_parts_shape, sum_parts_run, NULL, dfqi_macs_input, NULL,
     sum_parts_blocks},
};
