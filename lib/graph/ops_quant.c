/* Fake quantization: one op quantizes and dequantizes. Gradients use the straight-through estimator
 * (MimiQ, AIT: docs/METHODS.md, Quantizers) or LSQ's rule (Esser et al., ICLR 2020). */
#include "graph/ops_priv.h"

#include <math.h>
#include <string.h>

#include "kernel/weight_groups.h"

/* -- activations: x, scale, zero_point (may be absent); attr f = qmin, qmax,
 * scale_grad_mult, zero_point_grad_mult; i[0] 1: straight through everywhere, no gradient to scale
 * and zero_point ----------------------------------------------------------------------------- */

/* How an operand is split into parts, each with its own grid. Values with heads, [B,W*H,N,d], have
 * one part for each head of each window when there are H or H * d scales, and all windows have the
 * same grids. All other values have one part an image. attr i[1]: H. */
typedef struct fq_parts {
    int64_t parts, rows, cols, scales; /* scales: of one part, 1 or cols */
    int64_t heads;                     /* parts with grids of their own */
} fq_parts;

int64_t dfqi_heads_of(const dfqi_graph *g, const dfqi_value *x)
{
    const dfqi_node *n = x->node < 0 ? NULL : &g->nodes[x->node];
    return n && n->op == DFQI_OP_SPLIT_HEADS ? x->dims[1] / n->attr.i[3] : x->dims[1];
}

static dfq_status fq_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    int64_t scales = dfqi_value_count(dfqi_in(g, n, 1));
    int64_t heads = x->rank == 4 ? dfqi_heads_of(g, x) : 1;
    n->attr.i[1] = heads;
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    if (dfqi_in(g, n, 1)->batched ||
        (scales != 1 && scales != heads && scales != heads * dfqi_value_last(x)))
        return dfqi_bad_shape(g, n, 1, "one scale, one for each head, or one for each channel");
    if (n->in[2] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 2), scales))
        return dfqi_bad_shape(g, n, 2, "as many zero points as scales");
    return dfqi_shape_same(g, n);
}

static fq_parts parts_of(const dfqi_run *r)
{
    const dfqi_arg *x = &r->in[0];
    int64_t scales = r->in[1].count, cols = x->dims[x->rank - 1];
    if (x->rank != 4 || scales == 1)
        return (fq_parts){1, x->count / r->images / cols, cols, scales, 1};
    return (fq_parts){x->dims[1], x->dims[2], cols, scales / r->attr->i[1], r->attr->i[1]};
}

static dfqi_grid grid_of(const dfqi_run *r, const fq_parts *p, int64_t part)
{
    return (dfqi_grid){.scale = r->in[1].data + part * p->scales,
                       .zero_point = r->in[2].data ? r->in[2].data + part * p->scales : NULL,
                       .n_scales = p->scales,
                       .qmin = r->attr->f[0],
                       .qmax = r->attr->f[1]};
}

static void fq_run(const dfqi_run *r)
{
    fq_parts p = parts_of(r);
    for (int64_t i = 0; i < r->images * p.parts; i++) {
        dfqi_grid grid = grid_of(r, &p, i % p.heads);
        int64_t at = i * p.rows * p.cols;
        r->k->fq(p.rows, p.cols, &grid, r->in[0].data + at, r->out[0].data + at);
    }
}

static void fq_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                    dfqi_id *din)
{
    if (n->attr.i[0]) {
        if (want[0]) din[0] = dout[0];
        return;
    }
    dfqi_id dx = dfqi_make(g, DFQI_OP_FQ_DX, &n->attr, 4,
                           (dfqi_id[]){n->in[0], n->in[1], n->in[2], dout[0]});
    if (want[0]) din[0] = dx;
    if (want[1]) din[1] = dfqi_sum_batch(g, dfqi_graph_output(g, dx, 1), n->in[1], 0, n->attr.f[2]);
    if (want[2]) din[2] = dfqi_sum_batch(g, dfqi_graph_output(g, dx, 2), n->in[2], 0, n->attr.f[3]);
}

/* operands x, scale, zero_point, dy; outputs dx, dscale[B,S], dzero_point[B,S] of each image */
static dfq_status fq_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    int64_t dims[2] = {g->batch, dfqi_value_count(dfqi_in(g, n, 1))};
    dfqi_out_like(g, n, 0, n->in[0]);
    dfqi_out(g, n, 1, 1, 2, dims);
    dfqi_out(g, n, 2, 1, 2, dims);
    return DFQ_OK;
}

static int64_t fq_dx_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return 2 * dfqi_value_count(dfqi_in(g, n, 1));
}

static void fq_dx_run(const dfqi_run *r)
{
    fq_parts p = parts_of(r);
    int sums = r->out[1].data || r->out[2].data;
    for (int64_t i = 0; i < r->images * p.parts; i++) {
        dfqi_grid grid = grid_of(r, &p, i % p.heads);
        int64_t at = i * p.rows * p.cols, window = i % p.parts / p.heads;
        int64_t s = (i / p.parts * p.heads + i % p.heads) * p.scales;
        float *to[2] = {r->out[1].data ? r->out[1].data + s : NULL,
                        r->out[2].data ? r->out[2].data + s : NULL};
        /* the kernel writes both sums or none; an unread sum, and one that is to be added to those
         * of the windows before, goes to scratch memory */
        float *own[2] = {r->scratch, r->scratch + p.scales};
        for (int k = 0; k < 2; k++)
            if (to[k] && window == 0) own[k] = to[k];
        r->k->fq_bwd(p.rows, p.cols, &grid, r->in[0].data + at, r->in[3].data + at,
                     r->out[0].data + at, sums ? own[0] : NULL, sums ? own[1] : NULL);
        for (int k = 0; k < 2; k++)
            if (to[k] && window > 0) r->k->axpy((size_t)p.scales, 1.0f, own[k], to[k]);
    }
}

/* -- logarithmic grid: p, top; attr f[0] largest code ------------------------------------------ */

static dfq_status fq_log_shape(dfqi_graph *g, dfqi_node *n)
{
    if (!dfqi_is_shared(dfqi_in(g, n, 1), 1)) return dfqi_bad_shape(g, n, 1, "[1]");
    return dfqi_shape_same(g, n);
}

static void fq_log_run(const dfqi_run *r)
{
    r->k->fq_log((size_t)r->in[0].count, r->in[1].data[0], r->attr->f[0], r->in[0].data,
                 r->out[0].data);
}

/* Straight through. */
static void pass_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                      dfqi_id *din)
{
    (void)g, (void)n;
    if (want[0]) din[0] = dout[0];
}

/* -- weights: w, col (may be absent), scale (may be absent), grids of groups [O,groups] (may be
 * absent, kernel/weight_groups.h); attr i[0] bits, i[1] 1: from smallest to largest, the others are
 * absent; i[2] 1: no gradient where w is clipped; i[3] 1: codes (of groups: numbers), not values;
 * f[0] scale_grad_mult. Output 1: the scales [O] --------------------------------------------- */

enum { W, COL, SCALE, GROUPS, DY };

static dfq_status groups_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *w = dfqi_in(g, n, W), *groups = dfqi_in(g, n, GROUPS);
    if (n->in[SCALE] < 0 || n->attr.i[0] > DFQI_GROUP_BITS)
        return dfqi_fail(g->ctx, DFQ_E_INVALID,
                         "%s: groups of weights need scales of rows and at most %d bits", n->name,
                         DFQI_GROUP_BITS);
    if (groups->batched || groups->rank != 2 || groups->dims[0] != w->dims[0] ||
        dfqi_value_count(w) / w->dims[0] % groups->dims[1] != 0)
        return dfqi_bad_shape(g, n, GROUPS, "[O,groups], groups a divisor of the weight's columns");
    return DFQ_OK;
}

static dfq_status fq_weight_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *w = dfqi_in(g, n, 0);
    if (n->attr.i[0] < 2 || n->attr.i[0] > 8)
        return dfqi_fail(g->ctx, DFQ_E_INVALID, "%s: bits is %lld, must be 2 to 8", n->name,
                         (long long)n->attr.i[0]);
    if (w->batched || w->rank < 2) return dfqi_bad_shape(g, n, 0, "unbatched [O,K]");
    if (n->in[1] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 1), dfqi_value_count(w) / w->dims[0]))
        return dfqi_bad_shape(g, n, 1, "one factor for each column of the weight");
    if (n->in[2] >= 0 && !dfqi_is_shared(dfqi_in(g, n, 2), w->dims[0]))
        return dfqi_bad_shape(g, n, 2, "one scale for each row of the weight");
    if (n->in[GROUPS] >= 0) DFQI_TRY(groups_shape(g, n));
    dfqi_out_like(g, n, 0, n->in[0]);
    dfqi_out(g, n, 1, 0, 1, w->dims);
    return DFQ_OK;
}

/* Work is cut into pieces of ROWS rows. */
enum { ROWS = 64 };

static int64_t weight_blocks(const dfqi_run *r)
{
    return (r->in[0].dims[0] + ROWS - 1) / ROWS;
}

static int64_t block_end(const dfqi_run *r)
{
    int64_t end = (r->block + 1) * ROWS;
    return end < r->in[0].dims[0] ? end : r->in[0].dims[0];
}

/* The numbers or values of row i of a weight in groups. */
static void row_of_groups(const dfqi_run *r, int64_t i, int64_t cols, float *y)
{
    const float *w = r->in[W].data + i * cols, *col = r->in[COL].data;
    const float scale = r->in[SCALE].data[i], top = (float)((1 << r->attr->i[0]) - 1);
    const int64_t groups = r->in[GROUPS].dims[1], n = cols / groups;
    for (int64_t c = 0; c < cols; c++) {
        const dfqi_group_grid g = dfqi_group_grid_of(r->in[GROUPS].data[i * groups + c / n]);
        const float u = dfqi_group_code(col ? w[c] * col[c] : w[c], scale, g, top);
        y[c] = r->attr->i[3] ? dfqi_group_number(u, g) : dfqi_group_value(u, scale, g);
        if (col && !r->attr->i[3]) y[c] /= col[c];
    }
}

static void fq_weight_run(const dfqi_run *r)
{
    int64_t cols = r->in[0].count / r->in[0].dims[0], i = r->block * ROWS;
    int64_t rows = block_end(r) - i;
    int bits = (int)r->attr->i[0];
    const float *w = r->in[0].data + i * cols;
    float *y = r->out[0].data + i * cols, *scale = r->out[1].data ? r->out[1].data + i : NULL;
    if (r->in[GROUPS].data) {
        for (int64_t k = 0; k < rows; k++) row_of_groups(r, i + k, cols, y + k * cols);
        if (scale) memcpy(scale, r->in[SCALE].data + i, (size_t)rows * sizeof *scale);
        return;
    }
    if (r->attr->i[1])
        r->k->fq_weight_range(rows, cols, bits, w, y, scale, NULL);
    else
        r->k->fq_weight(rows, cols, bits, w, r->in[1].data,
                        r->in[2].data ? r->in[2].data + i : NULL, y, scale);
    for (int64_t k = 0; r->attr->i[3] && scale && k < rows * cols; k++)
        y[k] = rintf(y[k] / scale[k / cols]); /* as in fq_row: whole numbers, rounded once */
}

/* Straight through to the weight, everywhere (MimiQ, AIT) or where it is not clipped (LSQ); LSQ to
 * a learned scale. */
static void fq_weight_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    int clips = n->attr.i[2] != 0;
    if (want[0] && !clips) din[0] = dout[0];
    if (!want[2] && !(want[0] && clips)) return;
    dfqi_id slopes =
        dfqi_make(g, DFQI_OP_FQ_WEIGHT_SLOPES, &n->attr, 5,
                  (dfqi_id[]){n->in[W], n->in[COL], n->in[SCALE], n->in[GROUPS], dout[0]});
    if (want[2]) din[2] = slopes;
    if (want[0] && clips) din[0] = dfqi_graph_output(g, slopes, 1);
}

/* operands as of fq_weight, dy; outputs dscale, dw */
static dfq_status fq_weight_slopes_shape(dfqi_graph *g, dfqi_node *n)
{
    dfqi_out_like(g, n, 0, n->in[2]);
    dfqi_out_like(g, n, 1, n->in[0]);
    return DFQ_OK;
}

/* d(w^)/d(scale) = (q - v/scale) / s in range, Q / s outside, v = w s, times m in a group, where q
 * is a code less the zero point. dw may be NULL. */
static float slopes_of_row(const dfqi_run *r, int64_t i, float *dw)
{
    int64_t cols = r->in[W].count / r->in[W].dims[0];
    const float *w = r->in[W].data + i * cols, *dy = r->in[DY].data + i * cols;
    const float half = (float)(1 << (r->attr->i[0] - 1));
    const int64_t groups = r->in[GROUPS].data ? r->in[GROUPS].dims[1] : 1;
    dfqi_group_grid g = {1.0f, half};
    double sum = 0;
    for (int64_t c = 0; c < cols; c++) {
        if (r->in[GROUPS].data)
            g = dfqi_group_grid_of(r->in[GROUPS].data[i * groups + c / (cols / groups)]);
        const float qmin = -g.zero_point, qmax = 2 * half - 1 - g.zero_point;
        float s = r->in[COL].data ? r->in[COL].data[c] : 1.0f;
        float u = w[c] * s / (r->in[SCALE].data[i] * g.multiplier);
        float q = u < qmin ? qmin : u > qmax ? qmax : rintf(u);
        int out = u < qmin || u > qmax;
        sum += (double)dy[c] * g.multiplier * (out ? q : q - u) / s;
        if (dw) dw[c] = out ? 0.0f : dy[c];
    }
    return (float)sum * r->attr->f[0];
}

static void fq_weight_slopes_run(const dfqi_run *r)
{
    int64_t cols = r->in[0].count / r->in[0].dims[0];
    for (int64_t i = r->block * ROWS; i < block_end(r); i++) {
        float sum = slopes_of_row(r, i, r->out[1].data ? r->out[1].data + i * cols : NULL);
        if (r->out[0].data) r->out[0].data[i] = sum;
    }
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_fq(dfqi_graph *g, dfqi_id x, dfqi_id scale, dfqi_id zero_point, float qmin, float qmax,
                float scale_grad_mult, float zero_point_grad_mult)
{
    dfqi_attr a = {.f = {qmin, qmax, scale_grad_mult, zero_point_grad_mult}};
    return dfqi_make(g, DFQI_OP_FQ, &a, 3, (dfqi_id[]){x, scale, zero_point});
}

dfqi_id dfqi_fq_straight(dfqi_graph *g, dfqi_id x, dfqi_id scale, dfqi_id zero_point, float qmin,
                         float qmax)
{
    dfqi_attr a = {.i = {1}, .f = {qmin, qmax}};
    return dfqi_make(g, DFQI_OP_FQ, &a, 3, (dfqi_id[]){x, scale, zero_point});
}

dfqi_id dfqi_fq_log(dfqi_graph *g, dfqi_id x, dfqi_id top, float qmax)
{
    dfqi_attr a = {.f = {qmax}};
    return dfqi_make(g, DFQI_OP_FQ_LOG, &a, 2, (dfqi_id[]){x, top});
}

dfqi_id dfqi_fq_weight(dfqi_graph *g, dfqi_id w, dfqi_id col, dfqi_id scale, dfqi_id groups,
                       int64_t bits, float scale_grad_mult)
{
    dfqi_attr a = {.i = {bits}, .f = {scale_grad_mult}};
    return dfqi_make(g, DFQI_OP_FQ_WEIGHT, &a, 4, (dfqi_id[]){w, col, scale, groups});
}

dfqi_id dfqi_fq_weight_codes(dfqi_graph *g, dfqi_id w, dfqi_id scale, dfqi_id groups, int64_t bits)
{
    dfqi_attr a = {.i = {bits, 0, 0, 1}};
    return dfqi_make(g, DFQI_OP_FQ_WEIGHT, &a, 4, (dfqi_id[]){w, DFQI_NONE, scale, groups});
}

dfqi_id dfqi_fq_weight_lsq(dfqi_graph *g, dfqi_id w, dfqi_id scale, int64_t bits,
                           float scale_grad_mult)
{
    dfqi_attr a = {.i = {bits, 0, 1}, .f = {scale_grad_mult}};
    return dfqi_make(g, DFQI_OP_FQ_WEIGHT, &a, 4, (dfqi_id[]){w, DFQI_NONE, scale, DFQI_NONE});
}

dfqi_id dfqi_fq_weight_range(dfqi_graph *g, dfqi_id w, int64_t bits)
{
    dfqi_attr a = {.i = {bits, 1}};
    return dfqi_make(g, DFQI_OP_FQ_WEIGHT, &a, 4, (dfqi_id[]){w, DFQI_NONE, DFQI_NONE, DFQI_NONE});
}

const dfqi_op dfqi_ops_quant[] = {
    {"fq", 2, 3, 1, 0, fq_shape, fq_run, fq_grad, NULL, NULL, NULL},
    {"fq_dx", 2, 4, 3, 0, fq_dx_shape, fq_dx_run, NULL, NULL, fq_dx_scratch, NULL},
    {"fq_log", 2, 2, 1, 0, fq_log_shape, fq_log_run, pass_grad, NULL, NULL, NULL},
    {"fq_weight", 1, 4, 2, 0, fq_weight_shape, fq_weight_run, fq_weight_grad, NULL, NULL,
     weight_blocks},
    {"fq_weight_slopes", 1, 5, 2, 0, fq_weight_slopes_shape, fq_weight_slopes_run, NULL, NULL, NULL,
     weight_blocks},
};
