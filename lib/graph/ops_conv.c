/* Convolution of channels-last images and its gradients. It is depthwise when there is one filter
 * for each channel; other groups are in ops_conv_group.c. Weights keep the shape that files give
 * them, [O,C/groups,kh,kw]; a separate node packs them (ops_conv_pack.c). The gradient to weights
 * is in ops_conv_dw.c. */
#include "graph/ops_conv_priv.h"

/* x[.,Y,X,C], w, y[.,Y',X',O] */
dfqi_conv_shape dfqi_conv_shape_of(const dfqi_attr *a, const int64_t *x, const int64_t *w,
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
                             .stride = a->i[CONV_STRIDE],
                             .pad = a->i[CONV_PAD],
                             .dilation = a->i[CONV_DILATION]};
}

bool dfqi_conv_is_depthwise(const dfqi_conv_shape *s, int64_t groups)
{
    return groups != 1 && groups == s->c && groups == s->o;
}

int64_t dfqi_conv_more(const dfqi_node *n)
{
    return n->attr.i[CONV_MORE];
}

dfqi_conv_method dfqi_conv_method_of(const dfqi_attr *a, const dfqi_conv_shape *s)
{
    if (a->i[CONV_GROUPS] == 1) return dfqi_winograd_pays(s) ? DFQI_CONV_WINOGRAD : DFQI_CONV_DENSE;
    return dfqi_conv_is_depthwise(s, a->i[CONV_GROUPS]) ? DFQI_CONV_DEPTHWISE : DFQI_CONV_GROUPED;
}

/* Groups that lie apart in packed weights. */
int64_t dfqi_conv_packed_groups(const dfqi_attr *a, const dfqi_conv_shape *s)
{
    return dfqi_conv_method_of(a, s) == DFQI_CONV_GROUPED ? a->i[CONV_GROUPS] : 1;
}

int64_t dfqi_conv_scratch_of(const dfqi_graph *g, const dfqi_node *n, dfqi_id x, dfqi_id w,
                             dfqi_id y, int64_t images)
{
    const dfqi_conv_shape s =
        dfqi_conv_shape_of(&n->attr, g->values[x].dims, g->values[w].dims, g->values[y].dims);
    switch (dfqi_conv_method_of(&n->attr, &s)) {
    case DFQI_CONV_GROUPED:
        return dfqi_conv_group_scratch(&s, n->attr.i[CONV_GROUPS], images);
    case DFQI_CONV_WINOGRAD:
        return (int64_t)dfqi_winograd_scratch(&s);
    default:
        return (int64_t)dfqi_conv_scratch(&s);
    }
}

/* An element of y is a sum over the elements of one filter. */
double dfqi_conv_macs_of(const dfqi_graph *g, dfqi_id w, dfqi_id y)
{
    const dfqi_value *v = &g->values[w];
    int64_t filter = dfqi_value_count(v) / v->dims[0];
    return (double)dfqi_value_count(&g->values[y]) * (double)filter;
}

/* Packed weights for a convolution of x, w and y. */
static dfqi_id make_pack(dfqi_graph *g, bool trans, const dfqi_attr *a, const int64_t *x, dfqi_id w,
                         const int64_t *y)
{
    const dfqi_conv_shape s = dfqi_conv_shape_of(a, x, g->values[w].dims, y);
    return dfqi_conv_pack(g, w, trans, dfqi_conv_method_of(a, &s) == DFQI_CONV_WINOGRAD,
                          dfqi_conv_packed_groups(a, &s));
}

/* -- forward: operands x, w, packed w, b ------------------------------------------------------- */

/* The padded image must be small enough for plain arithmetic. */
static bool fits(const dfqi_value *x, const dfqi_value *w, const dfqi_attr *a)
{
    int64_t rest = 2 * a->i[CONV_PAD] + a->i[CONV_MORE] + DFQI_CONV_KERNEL * a->i[CONV_DILATION],
            y = x->dims[1] + rest, n;
    return dfqi_mul_i64(y, x->dims[2] + rest, &n) && dfqi_mul_i64(n, x->dims[3] + w->dims[0], &n);
}

static bool within(int64_t v, int64_t lowest)
{
    return v >= lowest && v <= CONV_LIMIT;
}

/* No window may see padding alone because of `more`. */
static dfq_status check_attr(const dfqi_graph *g, const dfqi_node *n, const int64_t *w)
{
    const int64_t *a = n->attr.i, kernel = w[2] < w[3] ? w[2] : w[3];
    if (!within(a[CONV_STRIDE], 1) || !within(a[CONV_PAD], 0) || !within(a[CONV_DILATION], 1))
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "conv %s: stride is %lld, pad is %lld, dilation is %lld; must be at least "
                         "1, 0 and 1, and at most %d",
                         n->name, (long long)a[CONV_STRIDE], (long long)a[CONV_PAD],
                         (long long)a[CONV_DILATION], CONV_LIMIT);
    if (a[CONV_MORE] >= 0 && a[CONV_MORE] <= a[CONV_DILATION] * (kernel - 1)) return DFQ_OK;
    return dfqi_fail(g->ctx, DFQ_E_INVALID,
                     "conv %s: padding behind the image is %lld more than before it, must be 0 to "
                     "%lld",
                     n->name, (long long)a[CONV_MORE],
                     (long long)(a[CONV_DILATION] * (kernel - 1)));
}

/* Checks all operands but the packed weights; dims[4] of y. */
static dfq_status conv_check(const dfqi_graph *g, const dfqi_node *n, int64_t *dims)
{
    const dfqi_value *x = dfqi_in(g, n, 0), *w = dfqi_in(g, n, 1);
    const int64_t *a = n->attr.i;
    if (!x->batched || x->rank != 4) return dfqi_bad_shape(g, n, 0, "[B,Y,X,C]");
    if (w->batched || w->rank != 4 || w->dims[2] > DFQI_CONV_KERNEL ||
        w->dims[3] > DFQI_CONV_KERNEL)
        return dfqi_bad_shape(g, n, 1, "unbatched [O,C/groups,kh,kw] with kernels up to 16");
    DFQI_TRY(check_attr(g, n, w->dims));
    if (a[CONV_GROUPS] < 1 || w->dims[0] % a[CONV_GROUPS] || x->dims[3] % a[CONV_GROUPS] ||
        w->dims[1] != x->dims[3] / a[CONV_GROUPS])
        return dfqi_bad_shape(g, n, 1, "as many channels as a group of operand 0 has");
    if (n->in[3] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 3), w->dims[0]))
        return dfqi_bad_shape(g, n, 3, "one bias for each filter");
    if (!fits(x, w, &n->attr)) return dfqi_bad_shape(g, n, 0, "an image that fits in memory");
    dims[0] = x->dims[0];
    dims[3] = w->dims[0];
    for (int i = 0; i < 2; i++) {
        int64_t room = x->dims[1 + i] + 2 * a[CONV_PAD] + a[CONV_MORE] -
                       a[CONV_DILATION] * (w->dims[2 + i] - 1) - 1;
        if (room < 0) return dfqi_bad_shape(g, n, 0, "an image no smaller than the kernel");
        dims[1 + i] = room / a[CONV_STRIDE] + 1;
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
    const dfqi_conv_shape s =
        dfqi_conv_shape_of(r->attr, r->in[0].dims, r->in[1].dims, r->out[0].dims);
    const dfqi_conv_method how = dfqi_conv_method_of(r->attr, &s);
    int64_t in = s.in_y * s.in_x * s.c, out = s.out_y * s.out_x * s.o;
    if (how == DFQI_CONV_GROUPED) {
        dfqi_conv_group_run(r, &s, r->attr->i[CONV_GROUPS]);
        return;
    }
    for (int64_t b = 0; b < r->images; b++)
        (how == DFQI_CONV_DENSE       ? r->k->conv
         : how == DFQI_CONV_DEPTHWISE ? r->k->depthwise
                                      : r->k->winograd)(&s, r->in[0].data + b * in, r->in[2].data,
                                                        r->in[3].data, r->out[0].data + b * out,
                                                        r->scratch);
}

static int64_t conv_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return dfqi_conv_scratch_of(g, n, n->in[0], n->in[1], n->out[0], 1);
}

static double conv_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return dfqi_conv_macs_of(g, n->in[1], n->out[0]);
}

/* of x, w, dy: gradients of operands 1, the weight, and 3, the bias */
static void weight_grad(dfqi_graph *g, const dfqi_attr *a, const dfqi_id *from, const uint8_t *want,
                        dfqi_id *din)
{
    if (!want[1] && !want[3]) return;
    const dfqi_conv_shape s = dfqi_conv_shape_of(a, g->values[from[0]].dims,
                                                 g->values[from[1]].dims, g->values[from[2]].dims);
    dfqi_id parts = dfqi_make(g, DFQI_OP_CONV_DW, a, 3, from);
    dfqi_id bias = dfqi_graph_output(g, parts, 1);
    if (want[1]) {
        dfqi_id sum = dfqi_make(g, DFQI_OP_SUM_PARTS, NULL, 1, &parts);
        din[1] = dfqi_conv_unpack(g, sum, from[1], dfqi_conv_method_of(a, &s) == DFQI_CONV_WINOGRAD,
                                  dfqi_conv_packed_groups(a, &s));
    }
    if (want[3]) din[3] = dfqi_make(g, DFQI_OP_SUM_PARTS, NULL, 1, &bias);
}

/* Operands as below; x: the extents of the gradient that is computed. */
static dfqi_id make_dx(dfqi_graph *g, const dfqi_attr *conv, const int64_t *x, const dfqi_id *in)
{
    dfqi_attr a = *conv;
    a.i[CONV_IN_Y] = x[1];
    a.i[CONV_IN_X] = x[2];
    return dfqi_make(g, DFQI_OP_CONV_DX, &a, 4, in);
}

static void conv_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    dfqi_id x = n->in[0], w = n->in[1], dy = dout[0];
    if (want[0]) {
        const int64_t *dims = g->values[x].dims, *out = g->values[dy].dims;
        const dfqi_conv_shape s = dfqi_conv_shape_of(&n->attr, dims, g->values[w].dims, out);
        /* depthwise: the weights as the forward pass packed them */
        dfqi_id packed = dfqi_conv_method_of(&n->attr, &s) == DFQI_CONV_DEPTHWISE
                             ? n->in[2]
                             : make_pack(g, true, &n->attr, dims, w, out);
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
    int64_t dims[4] = {dy->dims[0], a[CONV_IN_Y], a[CONV_IN_X], w->dims[1] * a[CONV_GROUPS]};
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
    a.i[CONV_BIAS_OF_X] = 1;
    weight_grad(g, &a, (dfqi_id[]){dout[0], w, n->in[0]}, want, din);
}

static void conv_dx_run(const dfqi_run *r)
{
    const dfqi_conv_shape s =
        dfqi_conv_shape_of(r->attr, r->out[0].dims, r->in[1].dims, r->in[0].dims);
    const dfqi_conv_method how = dfqi_conv_method_of(r->attr, &s);
    int64_t pixels = s.in_y * s.in_x, out = s.out_y * s.out_x * s.o;
    if (how == DFQI_CONV_GROUPED) {
        dfqi_conv_group_dx_run(r, &s, r->attr->i[CONV_GROUPS]);
        return;
    }
    for (int64_t b = 0; b < r->images; b++) {
        float *dx = r->out[0].data + b * pixels * s.c;
        (how == DFQI_CONV_DENSE ? r->k->conv_dx
         : how == DFQI_CONV_DEPTHWISE
             ? r->k->depthwise_dx
             : r->k->winograd_dx)(&s, r->in[0].data + b * out, r->in[2].data, dx, r->scratch);
        for (int64_t i = 0; i < pixels && r->in[3].data; i++)
            r->k->add((size_t)s.c, dx + i * s.c, r->in[3].data, dx + i * s.c);
    }
}

static int64_t conv_dx_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return dfqi_conv_scratch_of(g, n, n->out[0], n->in[1], n->in[0], 1);
}

static double conv_dx_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return dfqi_conv_macs_of(g, n->in[1], n->in[0]);
}

/* -- builders ---------------------------------------------------------------------------------- */

static dfqi_attr attr_of(const dfqi_conv_attr *a)
{
    return (dfqi_attr){.i = {a->stride, a->pad, a->dilation, a->groups, a->more}};
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
                    int64_t *out_groups)
{
    *out = dfqi_conv_shape_of(&n->attr, g->values[n->in[0]].dims, g->values[n->in[1]].dims,
                              g->values[n->out[0]].dims);
    *out_groups = n->attr.i[CONV_GROUPS];
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
};
