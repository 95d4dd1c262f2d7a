/* The leading part of a weight. In supernets of vision transformers, networks of many sizes share
 * one weight. An op takes the first rows of each group of rows, and the first columns of these
 * rows. */
#include "graph/ops_priv.h"

#include <string.h>

/* attr of both: extents of the part, number of groups, extents of the whole */
enum { ROWS, COLS, GROUPS, ALL_ROWS, ALL_COLS };

static dfq_status leading_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    int64_t *a = n->attr.i;
    int64_t rows = x->dims[0], cols = x->rank == 2 ? x->dims[1] : 1;
    if (x->batched || x->rank < 1 || x->rank > 2)
        return dfqi_bad_shape(g, n, 0, "unbatched [R,C] or [R]");
    if (a[GROUPS] < 1 || rows % a[GROUPS] || a[ROWS] % a[GROUPS] || a[ROWS] < 1 || a[COLS] < 1 ||
        a[ROWS] > rows || a[COLS] > cols)
        return dfqi_bad_shape(g, n, 0, "equal groups of rows, and at least the part's extents");
    a[ALL_ROWS] = rows;
    a[ALL_COLS] = cols;
    dfqi_out(g, n, 0, 0, x->rank, (int64_t[]){a[ROWS], a[COLS]});
    return DFQ_OK;
}

/* Copies the part out of the whole, or `back` into it. */
static void move_part(const int64_t *a, float *whole, float *part, int back)
{
    int64_t rows = a[ROWS] / a[GROUPS], all = a[ALL_ROWS] / a[GROUPS];
    for (int64_t k = 0; k < a[GROUPS]; k++)
        for (int64_t i = 0; i < rows; i++, part += a[COLS]) {
            float *row = whole + (k * all + i) * a[ALL_COLS];
            memcpy(back ? row : part, back ? part : row, (size_t)a[COLS] * sizeof *row);
        }
}

static void leading_run(const dfqi_run *r)
{
    move_part(r->attr->i, r->in[0].data, r->out[0].data, 0);
}

static void leading_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    if (want[0]) din[0] = dfqi_make(g, DFQI_OP_LEADING_DX, &n->attr, 1, dout);
}

/* Zeros where the part is not. */
static dfq_status leading_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    dfqi_out(g, n, 0, 0, dfqi_in(g, n, 0)->rank, (int64_t[]){a[ALL_ROWS], a[ALL_COLS]});
    return DFQ_OK;
}

static void leading_dx_run(const dfqi_run *r)
{
    memset(r->out[0].data, 0, (size_t)r->out[0].count * sizeof(float));
    move_part(r->attr->i, r->out[0].data, r->in[0].data, 1);
}

dfqi_id dfqi_leading(dfqi_graph *g, dfqi_id x, int64_t rows, int64_t cols, int64_t groups)
{
    dfqi_attr a = {.i = {rows, cols, groups}};
    return dfqi_make(g, DFQI_OP_LEADING, &a, 1, &x);
}

const dfqi_op dfqi_ops_leading[] = {
    {"leading", 1, 1, 1, 0, leading_shape, leading_run, leading_grad, NULL, NULL, NULL},
    {"leading_dx", 1, 1, 1, 0, leading_dx_shape, leading_dx_run, NULL, NULL, NULL, NULL},
};
