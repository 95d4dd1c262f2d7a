/* Activation ranges tracked over batches, and the quantization grids made from them (AIT;
 * docs/METHODS.md, Quantizers). */
#include "graph/ops_priv.h"

#include <math.h>

#include "kernel/row_grid.h"

/* -- extremes: x[B,..] -> smallest and largest value of each image, [B,2] ---------------------- */

static dfq_status extremes_shape(dfqi_graph *g, dfqi_node *n)
{
    if (!dfqi_in(g, n, 0)->batched) return dfqi_bad_shape(g, n, 0, "[B,..]");
    dfqi_out(g, n, 0, 1, 2, (int64_t[]){g->batch, 2});
    return DFQ_OK;
}

static void extremes_run(const dfqi_run *r)
{
    int64_t image = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++)
        r->k->extremes((size_t)image, r->in[0].data + b * image, r->out[0].data + 2 * b);
}

/* -- track_range: extremes[B,2], state[3] -> step[1], zero[1], next state[3]; attr i[0] bits,
 * i[1] 1: as published
 * -------------------------------------------------------------------------- */

static dfq_status track_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (!x->batched || x->rank != 2 || x->dims[1] != 2) return dfqi_bad_shape(g, n, 0, "[B,2]");
    if (!dfqi_is_shared(dfqi_in(g, n, 1), 3)) return dfqi_bad_shape(g, n, 1, "[3]");
    for (int32_t i = 0; i < 3; i++) dfqi_out(g, n, i, 0, 1, (int64_t[]){i == 2 ? 3 : 1});
    return DFQ_OK;
}

/* The published average divides its state by 1 - 0.9^batches. This would be the right bias
 * correction for an average that starts at 0, if the quotient were not fed back into the state. */
static float follow(float mean, float seen, float now, int published, int first)
{
    float next = 0.9f * mean + 0.1f * now;
    if (published) return next / seen;
    return first ? now : next;
}

static void track_run(const dfqi_run *r)
{
    const float *x = r->in[0].data, *state = r->in[1].data;
    int published = r->attr->i[1] != 0, first = state[2] == 0;
    float lo = x[0], hi = x[1], next[3];
    for (int64_t b = 1; b < r->batch; b++) {
        lo = fminf(lo, x[2 * b]);
        hi = fmaxf(hi, x[2 * b + 1]);
    }
    next[2] = 1.0f - 0.9f * (1.0f - state[2]);
    next[0] = follow(state[0], next[2], lo + 0.0f, published, first); /* 0 is +0 */
    next[1] = follow(state[1], next[2], hi + 0.0f, published, first);
    dfqi_row_grid grid = dfqi_row_grid_asymmetric((int)r->attr->i[0], next[0], next[1]);
    if (r->out[0].data) r->out[0].data[0] = grid.scale;
    if (r->out[1].data) r->out[1].data[0] = grid.zero_point;
    for (int i = 0; r->out[2].data && i < 3; i++) r->out[2].data[i] = next[i];
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_track_range(dfqi_graph *g, dfqi_id x, dfqi_id state, int64_t bits, int published)
{
    dfqi_attr a = {.i = {bits, published}};
    dfqi_id extremes = dfqi_make(g, DFQI_OP_EXTREMES, NULL, 1, &x);
    return dfqi_make(g, DFQI_OP_TRACK_RANGE, &a, 2, (dfqi_id[]){extremes, state});
}

const dfqi_op dfqi_ops_range[] = {
    {"extremes", 1, 1, 1, 0, extremes_shape, extremes_run, NULL, dfqi_macs_input, NULL, NULL},
    {"track_range", 2, 2, 3, DFQI_OPF_WHOLE, track_shape, track_run, NULL, dfqi_macs_input, NULL,
     NULL},
};
