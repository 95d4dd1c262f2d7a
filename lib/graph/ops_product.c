/* Matrix products: the linear layer with its three gradient forms, and the batched products of
 * attention. A slice is computed serially. The weight gradient reads the whole batch and splits its
 * output rows into blocks. So the order of summation does not depend on the number of threads. */
#include "graph/ops_priv.h"

/* [O, rest..] as a matrix: rows O, columns K */
static int64_t rows_of(const dfqi_value *w)
{
    return w->dims[0];
}

static int64_t cols_of(const dfqi_value *w)
{
    return dfqi_value_count(w) / w->dims[0];
}

/* -- pack -------------------------------------------------------------------------------------- */

static dfq_status pack_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *w = dfqi_in(g, n, 0);
    if (w->batched || w->rank < 2) return dfqi_bad_shape(g, n, 0, "unbatched [O,K]");
    /* rounding the rows up to whole panels at most multiplies by the panel */
    int64_t packed;
    if (!dfqi_mul_i64(dfqi_value_count(w), DFQI_PANEL, &packed))
        return dfqi_bad_shape(g, n, 0, "a weight that fits in memory");
    packed = (int64_t)dfqi_packed_floats(cols_of(w), rows_of(w));
    dfqi_out(g, n, 0, 0, 1, &packed);
    return DFQ_OK;
}

static int64_t pack_blocks(const dfqi_run *r)
{
    return (r->in[0].dims[0] + DFQI_PANEL - 1) / DFQI_PANEL;
}

static void pack_run(const dfqi_run *r)
{
    int64_t o = r->in[0].dims[0], first = r->block * DFQI_PANEL;
    int64_t k = r->in[0].count / o;
    r->k->pack(1, k, o - first < DFQI_PANEL ? o - first : DFQI_PANEL, r->in[0].data + first * k, k,
               r->out[0].data + first * k);
}

/* -- products of codes ------------------------------------------------------------------------- */

/* y[rows,cols] = (y a[row]) b[col] + bias[col], rounded after each operation, as the integer
 * kernels do it (kernel/int_kernel.h); bias may be NULL. */
static void rescale(int64_t rows, int64_t cols, const float *a, const float *b, const float *bias,
                    float *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++, y++) {
            float v = *y * a[r];
            v = v * b[c];
            if (bias) v = v + bias[c];
            *y = v;
        }
}

/* The scales of a quantizer that gives codes; DFQI_NONE of any other value. */
static dfqi_id scales_of(const dfqi_graph *g, dfqi_id id)
{
    const int32_t node = id < 0 ? -1 : g->values[id].node;
    const dfqi_node *n = node < 0 ? NULL : &g->nodes[node];
    if (!n || (n->op != DFQI_OP_FQ_ROW && n->op != DFQI_OP_FQ_WEIGHT)) return DFQI_NONE;
    return n->attr.i[3] ? n->out[1] : DFQI_NONE;
}

/* Both operands of a product are codes, or none is. */
static dfq_status check_scales(const dfqi_graph *g, const dfqi_node *n, int32_t first)
{
    if ((n->in[first] >= 0) == (n->in[first + 1] >= 0)) return DFQ_OK;
    return dfqi_fail(g->ctx, DFQ_E_INTERNAL, "%s: one operand is codes, the other is values",
                     n->name);
}

/* -- linear ------------------------------------------------------------------------------------ */

/* operands: x, W, packed W, b, scales of x and W if they are codes */
static dfq_status linear_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0), *w = dfqi_in(g, n, 1);
    if (!x->batched || x->rank < 2 || dfqi_value_last(x) != cols_of(w))
        return dfqi_bad_shape(g, n, 0, "batched with as many channels as the weight has columns");
    if (n->in[3] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 3), rows_of(w)))
        return dfqi_bad_shape(g, n, 3, "one bias for each row of the weight");
    dfqi_out_like(g, n, 0, n->in[0]);
    g->values[n->out[0]].dims[x->rank - 1] = rows_of(w);
    return check_scales(g, n, 4);
}

/* y[rows,cols] = y + ((t a[row]) b[col]), rounded after each operation; without y where t is the
 * sum of the first group, to which the bias is added. a: a scale every `groups` floats. */
static void add_group(int64_t rows, int64_t cols, int64_t groups, const float *t, const float *a,
                      const float *b, const float *bias, int first, float *y, int64_t ld)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++, t++) {
            float v = *t * a[r * groups];
            v = v * b[c];
            if (first && bias) v = v + bias[c];
            y[r * ld + c] = first ? v : v + y[r * ld + c];
        }
}

/* Codes whose rows have a scale for each of `groups` groups: a product for each group, in order,
 * for some rows and a panel of columns at a time. */
static void linear_run_groups(const dfqi_run *r, int64_t groups)
{
    const int64_t k = r->in[0].dims[r->in[0].rank - 1], o = r->in[1].dims[0], group = k / groups;
    const int64_t all = r->in[0].count / k;
    const float *bias = r->in[3].data;
    for (int64_t row = 0; row < all; row += DFQI_PANEL)
        for (int64_t col = 0; col < o; col += DFQI_PANEL) {
            const int64_t rows = all - row < DFQI_PANEL ? all - row : DFQI_PANEL;
            const int64_t cols = o - col < DFQI_PANEL ? o - col : DFQI_PANEL;
            for (int64_t i = 0; i < groups; i++) {
                r->k->gemm_packed(rows, cols, group, r->in[0].data + row * k + i * group, k,
                                  r->in[2].data + col * k + i * group * DFQI_PANEL, NULL,
                                  r->scratch, cols);
                add_group(rows, cols, groups, r->scratch, r->in[4].data + row * groups + i,
                          r->in[5].data + col, bias ? bias + col : NULL, i == 0,
                          r->out[0].data + row * o + col, o);
            }
        }
}

static int64_t linear_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return n->in[4] >= 0 && dfqi_value_last(dfqi_in(g, n, 4)) > 1 ? DFQI_PANEL * DFQI_PANEL : 0;
}

static void linear_run(const dfqi_run *r)
{
    int64_t k = r->in[0].dims[r->in[0].rank - 1];
    int64_t o = r->in[1].dims[0];
    if (r->in[4].data && r->in[4].count > r->in[0].count / k) {
        linear_run_groups(r, r->in[4].count / (r->in[0].count / k));
        return;
    }
    const float *scale = r->in[4].data, *bias = scale ? NULL : r->in[3].data;
    r->k->gemm_packed(r->in[0].count / k, o, k, r->in[0].data, k, r->in[2].data, bias,
                      r->out[0].data, o);
    if (scale) rescale(r->in[0].count / k, o, scale, r->in[5].data, r->in[3].data, r->out[0].data);
}

static double linear_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return (double)dfqi_value_count(dfqi_in(g, n, 0)) * (double)rows_of(dfqi_in(g, n, 1));
}

static void linear_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_LINEAR_DX, NULL, 2, (dfqi_id[]){dout[0], n->in[1]});
    if (want[1] || want[3]) {
        din[1] = dfqi_make(g, DFQI_OP_LINEAR_DW, NULL, 3, (dfqi_id[]){n->in[0], dout[0], n->in[1]});
        if (n->in[3] >= 0) din[3] = dfqi_graph_output(g, din[1], 1);
    }
}

/* -- gradient to the input: dy[B,..,O] W[O,K] -------------------------------------------------- */

static dfq_status linear_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *dy = dfqi_in(g, n, 0);
    dfqi_out_like(g, n, 0, n->in[0]);
    g->values[n->out[0]].dims[dy->rank - 1] = cols_of(dfqi_in(g, n, 1));
    return DFQ_OK;
}

static void linear_dx_run(const dfqi_run *r)
{
    int64_t o = r->in[1].dims[0];
    int64_t k = r->in[1].count / o;
    r->k->gemm(0, r->in[0].count / o, k, o, r->in[0].data, o, r->in[1].data, k, 0, r->out[0].data,
               k);
}

static double linear_dx_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return (double)dfqi_value_count(dfqi_in(g, n, 0)) * (double)cols_of(dfqi_in(g, n, 1));
}

/* -- gradient to weight and bias: dy^T x, column sums of dy; operands x, dy, W ----------------- */

static dfq_status linear_dw_shape(dfqi_graph *g, dfqi_node *n)
{
    int64_t o = rows_of(dfqi_in(g, n, 2));
    dfqi_out_like(g, n, 0, n->in[2]);
    dfqi_out(g, n, 1, 0, 1, &o);
    return DFQ_OK;
}

/* One for each panel of the weight's rows, and one for the bias. */
static int64_t linear_dw_blocks(const dfqi_run *r)
{
    return (r->in[2].dims[0] + DFQI_PANEL - 1) / DFQI_PANEL + 1;
}

static void linear_dw_run(const dfqi_run *r)
{
    int64_t o = r->in[2].dims[0];
    int64_t k = r->in[2].count / o;
    int64_t rows = r->in[0].count / k;
    int64_t first = r->block * DFQI_PANEL;
    if (first >= o) {
        if (r->out[1].data) r->k->col_sum(rows, o, r->in[1].data, 0, r->out[1].data);
        return;
    }
    int64_t n = o - first < DFQI_PANEL ? o - first : DFQI_PANEL;
    r->k->gemm(1, n, k, rows, r->in[1].data + first, o, r->in[0].data, k, 0,
               r->out[0].data + first * k, k);
}

static double linear_dw_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return (double)dfqi_value_count(dfqi_in(g, n, 0)) * (double)rows_of(dfqi_in(g, n, 2));
}

/* -- attention products: operands [B,H,.,.], and their scales if they are codes ---------------- */

static dfq_status matmul_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *a = dfqi_in(g, n, 0), *b = dfqi_in(g, n, 1);
    if (a->rank != 4 || !a->batched) return dfqi_bad_shape(g, n, 0, "[B,H,M,N]");
    if (b->rank != 4 || !b->batched || b->dims[1] != a->dims[1])
        return dfqi_bad_shape(g, n, 1, "[B,H,N,d] with the heads of operand 0");
    int64_t m = n->op == DFQI_OP_MATMUL_TN ? a->dims[3] : a->dims[2];
    int64_t k = n->op == DFQI_OP_MATMUL_TN ? a->dims[2] : a->dims[3];
    int64_t bk = n->op == DFQI_OP_MATMUL_NT ? b->dims[3] : b->dims[2];
    if (k != bk) return dfqi_bad_shape(g, n, 1, "the inner extent of operand 0");
    int64_t dims[4] = {a->dims[0], a->dims[1], m,
                       n->op == DFQI_OP_MATMUL_NT ? b->dims[2] : b->dims[3]};
    dfqi_out(g, n, 0, 1, 4, dims);
    return n->n_in > 2 ? check_scales(g, n, 2) : DFQ_OK;
}

/* Product i of a slice, [rows, cols]. */
static void rescale_part(const dfqi_run *r, int64_t i)
{
    const int64_t rows = r->out[0].dims[2], cols = r->out[0].dims[3];
    if (r->in[2].data)
        rescale(rows, cols, r->in[2].data + i * rows, r->in[3].data + i * cols, NULL,
                r->out[0].data + i * rows * cols);
}

static double matmul_macs(const dfqi_graph *g, const dfqi_node *n)
{
    const dfqi_value *a = dfqi_in(g, n, 0);
    const dfqi_value *c = dfqi_graph_value(g, n->out[0]);
    int64_t k = n->op == DFQI_OP_MATMUL_TN ? a->dims[2] : a->dims[3];
    return (double)dfqi_value_count(c) * (double)k;
}

static int64_t matmul_nt_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    const dfqi_value *b = dfqi_in(g, n, 1);
    (void)images;
    return (int64_t)dfqi_packed_floats(b->dims[3], b->dims[2]);
}

static void matmul_nt_run(const dfqi_run *r)
{
    const int64_t *a = r->in[0].dims, *b = r->in[1].dims;
    for (int64_t i = 0; i < a[0] * a[1]; i++) {
        r->k->gemm_nt(a[2], b[2], a[3], r->in[0].data + i * a[2] * a[3], a[3],
                      r->in[1].data + i * b[2] * b[3], b[3], r->out[0].data + i * a[2] * b[2], b[2],
                      r->scratch);
        rescale_part(r, i);
    }
}

static void matmul_nn_run(const dfqi_run *r)
{
    const int64_t *a = r->in[0].dims, *b = r->in[1].dims;
    for (int64_t i = 0; i < a[0] * a[1]; i++) {
        r->k->gemm(0, a[2], b[3], a[3], r->in[0].data + i * a[2] * a[3], a[3],
                   r->in[1].data + i * b[2] * b[3], b[3], 0, r->out[0].data + i * a[2] * b[3],
                   b[3]);
        rescale_part(r, i);
    }
}

static void matmul_tn_run(const dfqi_run *r)
{
    const int64_t *a = r->in[0].dims, *b = r->in[1].dims;
    for (int64_t i = 0; i < a[0] * a[1]; i++)
        r->k->gemm(1, a[3], b[3], a[2], r->in[0].data + i * a[2] * a[3], a[3],
                   r->in[1].data + i * b[2] * b[3], b[3], 0, r->out[0].data + i * a[3] * b[3],
                   b[3]);
}

/* c = a b^T: da = dc b, db = dc^T a */
static void matmul_nt_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_MATMUL_NN, NULL, 2, (dfqi_id[]){dout[0], n->in[1]});
    if (want[1]) din[1] = dfqi_make(g, DFQI_OP_MATMUL_TN, NULL, 2, (dfqi_id[]){dout[0], n->in[0]});
}

/* c = a b: da = dc b^T, db = a^T dc */
static void matmul_nn_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_MATMUL_NT, NULL, 2, (dfqi_id[]){dout[0], n->in[1]});
    if (want[1]) din[1] = dfqi_make(g, DFQI_OP_MATMUL_TN, NULL, 2, (dfqi_id[]){n->in[0], dout[0]});
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_linear(dfqi_graph *g, const char *name, dfqi_id x, dfqi_id w, dfqi_id b)
{
    x = dfqi_graph_operand(g, DFQI_OP_LINEAR, name, 0, x);
    w = dfqi_graph_operand(g, DFQI_OP_LINEAR, name, 1, w);
    dfqi_id packed = dfqi_make(g, DFQI_OP_PACK, NULL, 1, &w);
    return dfqi_graph_node(g, DFQI_OP_LINEAR, name, NULL, 6,
                           (dfqi_id[]){x, w, packed, b, scales_of(g, x), scales_of(g, w)});
}

static dfqi_id matmul(dfqi_graph *g, dfqi_op_kind op, const char *name, dfqi_id a, dfqi_id b)
{
    a = dfqi_graph_operand(g, op, name, 0, a);
    b = dfqi_graph_operand(g, op, name, 1, b);
    return dfqi_graph_node(g, op, name, NULL, 4,
                           (dfqi_id[]){a, b, scales_of(g, a), scales_of(g, b)});
}

dfqi_id dfqi_matmul_nt(dfqi_graph *g, const char *name, dfqi_id a, dfqi_id b)
{
    return matmul(g, DFQI_OP_MATMUL_NT, name, a, b);
}

dfqi_id dfqi_matmul_nn(dfqi_graph *g, const char *name, dfqi_id a, dfqi_id b)
{
    return matmul(g, DFQI_OP_MATMUL_NN, name, a, b);
}

const dfqi_op dfqi_ops_product[] = {
    {"pack", 1, 1, 1, 0, pack_shape, pack_run, NULL, NULL, NULL, pack_blocks},
    {"linear", 3, 6, 1, DFQI_OPF_PRODUCT, linear_shape, linear_run, linear_grad, linear_macs,
     linear_scratch, NULL},
    {"linear_dx", 2, 2, 1, 0, linear_dx_shape, linear_dx_run, NULL, linear_dx_macs, NULL, NULL},
    {"linear_dw", 3, 3, 2, DFQI_OPF_WHOLE, linear_dw_shape, linear_dw_run, NULL, linear_dw_macs,
     NULL, linear_dw_blocks},
    {"matmul_nt", 2, 4, 1, DFQI_OPF_PRODUCT, matmul_shape, matmul_nt_run, matmul_nt_grad,
     matmul_macs, matmul_nt_scratch, NULL},
    {"matmul_nn", 2, 4, 1, DFQI_OPF_PRODUCT, matmul_shape, matmul_nn_run, matmul_nn_grad,
     matmul_macs, NULL, NULL},
    {"matmul_tn", 2, 2, 1, 0, matmul_shape, matmul_tn_run, NULL, matmul_macs, NULL, NULL},
};
