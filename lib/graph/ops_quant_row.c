/* Fake quantization on grids found at run time: of each row (token), or of each column over the
 * rows of an image and head (values). Gradients go straight through the rounding, and through the
 * scale to the values that set it (docs/METHODS.md, Grids of rows). */
#include "graph/ops_priv.h"

#include <math.h>

#include "kernel/fq_column.h"

/* attr i[0] bits, i[1] 1: signed and symmetric, i[2] 1: grids of columns, i[3] 1: codes less zero
 * points, not values, i[4] values of a row that share a grid, 0: all. Output 1 has the scales,
 * shaped like output 0 with an extent of 1, or of the groups, along the grids. */

static int64_t groups_of(const dfqi_attr *a, int64_t last)
{
    return a->i[4] > 0 ? last / a->i[4] : 1;
}

static dfq_status fq_row_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (n->attr.i[0] < 2 || n->attr.i[0] > 8)
        return dfqi_fail(g->ctx, DFQ_E_INVALID, "%s: width is %lld bits, must be 2 to 8", n->name,
                         (long long)n->attr.i[0]);
    if (!x->batched || x->rank < (n->attr.i[2] ? 3 : 2))
        return dfqi_bad_shape(g, n, 0, n->attr.i[2] ? "[B,..,N,C]" : "[B,..,C]");
    if (n->attr.i[4] > 0 && (n->attr.i[2] || dfqi_value_last(x) % n->attr.i[4] != 0))
        return dfqi_bad_shape(g, n, 0, "rows of whole groups");
    dfqi_out_like(g, n, 0, n->in[0]);
    dfqi_out_like(g, n, 1, n->in[0]);
    g->values[n->out[1]].dims[x->rank - (n->attr.i[2] ? 2 : 1)] =
        groups_of(&n->attr, dfqi_value_last(x));
    return DFQ_OK;
}

/* An operand as parts of [rows, cols]; a group of a row is a row. */
typedef struct row_parts {
    int64_t parts, rows, cols, count; /* count: values of a part */
} row_parts;

static row_parts parts_of(const dfqi_run *r)
{
    const dfqi_arg *x = &r->in[0];
    int64_t cols = x->dims[x->rank - 1], rows = x->dims[x->rank - 2];
    cols /= groups_of(r->attr, cols);
    if (!r->attr->i[2]) return (row_parts){1, x->count / cols, cols, x->count};
    return (row_parts){x->count / (rows * cols), rows, cols, rows * cols};
}

/* Values to codes less zero points. Each value is a whole number times its scale, and rounded once:
 * the nearest whole number of the quotient is it. */
static void to_codes(const row_parts *p, int columns, const float *scale, float *y)
{
    for (int64_t r = 0; scale && r < p->rows; r++)
        for (int64_t c = 0; c < p->cols; c++)
            y[r * p->cols + c] = rintf(y[r * p->cols + c] / scale[columns ? c : r]);
}

static void fq_row_run(const dfqi_run *r)
{
    row_parts p = parts_of(r);
    int bits = (int)r->attr->i[0], is_signed = (int)r->attr->i[1], columns = r->attr->i[2] != 0;
    for (int64_t i = 0; i < p.parts; i++) {
        const float *x = r->in[0].data + i * p.count;
        float *y = r->out[0].data + i * p.count;
        float *scale = r->out[1].data ? r->out[1].data + i * (columns ? p.cols : p.rows) : NULL;
        if (columns)
            dfqi_fq_columns(r->k, p.rows, p.cols, bits, is_signed, x, y, scale, NULL, r->scratch);
        else
            r->k->fq_row(p.rows, p.cols, bits, is_signed, x, y, scale, NULL);
        if (r->attr->i[3]) to_codes(&p, columns, scale, y);
    }
}

static int64_t part_floats(const dfqi_graph *g, const dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    return n->attr.i[2] ? x->dims[x->rank - 2] * dfqi_value_last(x) : 0;
}

static int64_t fq_row_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return part_floats(g, n);
}

static void fq_row_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                        dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_FQ_ROW_DX, &n->attr, 2, (dfqi_id[]){n->in[0], dout[0]});
}

/* operands x, dy */
static void fq_row_dx_run(const dfqi_run *r)
{
    row_parts p = parts_of(r);
    int bits = (int)r->attr->i[0], is_signed = (int)r->attr->i[1];
    for (int64_t i = 0; i < p.parts; i++) {
        const float *x = r->in[0].data + i * p.count, *dy = r->in[1].data + i * p.count;
        float *dx = r->out[0].data + i * p.count;
        if (r->attr->i[2])
            dfqi_fq_columns_bwd(r->k, p.rows, p.cols, bits, is_signed, x, dy, dx, r->scratch);
        else
            r->k->fq_row_bwd(p.rows, p.cols, bits, is_signed, x, dy, dx);
    }
}

static int64_t fq_row_dx_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return 2 * part_floats(g, n);
}

/* -- builders ---------------------------------------------------------------------------------- */

static dfqi_id make(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed, int columns, int codes,
                    int64_t group)
{
    dfqi_attr a = {.i = {bits, is_signed != 0, columns, codes, group}};
    return dfqi_make(g, DFQI_OP_FQ_ROW, &a, 1, &x);
}

dfqi_id dfqi_fq_row(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed)
{
    return make(g, x, bits, is_signed, 0, 0, 0);
}

dfqi_id dfqi_fq_row_groups(dfqi_graph *g, dfqi_id x, int64_t bits, int64_t group)
{
    return make(g, x, bits, 0, 0, 0, group);
}

dfqi_id dfqi_fq_column(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed)
{
    return make(g, x, bits, is_signed, 1, 0, 0);
}

dfqi_id dfqi_fq_row_codes(dfqi_graph *g, dfqi_id x, int64_t bits, int is_signed, int columns,
                          int64_t group)
{
    return make(g, x, bits, is_signed, columns, 1, group);
}

const dfqi_op dfqi_ops_quant_row[] = {
    {"fq_row", 1, 1, 2, 0, fq_row_shape, fq_row_run, fq_row_grad, NULL, fq_row_scratch, NULL},
    {"fq_row_dx", 2, 2, 1, 0, dfqi_shape_same, fq_row_dx_run, NULL, NULL, fq_row_dx_scratch, NULL},
};
