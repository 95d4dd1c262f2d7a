/* The scenes of ops on windows of tokens; see scenes.h. */
#include "graph/scenes.h"

/* 2 x 2 windows of 3 x 3 tokens, the lower two of which stick out by one row. */
static const dfqi_windowing padded = {.map = {5, 6}, .window = {3, 3}, .shift = {1, 1}},
                            pad_first = {.map = {5, 6},
                                         .window = {3, 3},
                                         .shift = {1, 1},
                                         .pad_first = 1},
                            oblong = {.map = {5, 6}, .window = {5, 2}, .shift = {0, 1}};

static dfqi_id windows(rig *r)
{
    return dfqi_windows(r->g, WRT(1, 2, 30, 2), &padded);
}

static dfqi_id unwindow(rig *r)
{
    return dfqi_unwindow(r->g, WRT(1, 2, 36, 2), &pad_first);
}

/* 3 windows of 5 x 2 tokens, shifted across alone. */
static dfqi_id oblong_windows(rig *r)
{
    return dfqi_windows(r->g, WRT(1, 2, 30, 2), &oblong);
}

static dfqi_id merge(rig *r)
{
    return dfqi_merge(r->g, WRT(1, 2, 15, 2), 3, 5);
}

/* The gradient of a gradient has the op that merges back. */
static dfqi_id unmerge(rig *r)
{
    dfqi_id x = WRT(1, 2, 15, 2), y = dfqi_merge(r->g, x, 3, 5), seed = CONST(1, 2, 6, 8), dx;
    ck_assert_int_eq(dfqi_graph_grad(r->g, 1, &y, &seed, 1, &x, &dx), DFQ_OK);
    return dfqi_mul(r->g, dx, x);
}

static dfqi_id relative_bias(rig *r)
{
    return dfqi_relative_bias(r->g, WRT(0, 2, 15, 2), (dfqi_size){2, 3}, 0.7f);
}

static dfqi_id window_bias(rig *r)
{
    dfqi_id raw = WRT(1, 3, 8, 9, 9), bias = WRT(0, 3, 2, 9, 9);
    return dfqi_window_bias(r->g, raw, bias, &padded, -3);
}

static dfqi_id split_window_heads(rig *r)
{
    return dfqi_split_window_heads(r->g, WRT(1, 2, 10, 12), 2, 2, 3);
}

static dfqi_id join_window_heads(rig *r)
{
    return dfqi_join_window_heads(r->g, WRT(1, 3, 6, 4, 5), 3);
}

/* Two windows of three heads. Rows whose entries lie apart, as in the scene of whole images. */
static dfqi_id inter_head(rig *r)
{
    enum { N = 4, ROWS = SCENE_BATCH * 6 * N };
    dfqi_id id = WRT(1, 3, 6, N, N);
    float *x = dfqt_data(r, id);
    for (int row = 0; row < ROWS; row++)
        for (int i = 0; i < N; i++)
            x[row * N + i] =
                0.6f * (float)((i * 3 + row * 5 + row / 3) % N) + 0.1f * x[row * N + i];
    return dfqi_inter_head(r->g, id, 2, 0, DFQI_DISTANCE_SQUARE);
}

const scene dfqt_windows[] = {
    {"windows", DFQI_OP_WINDOWS, 1, windows},
    {"windows, oblong", DFQI_OP_WINDOWS, 1, oblong_windows},
    {"unwindow", DFQI_OP_UNWINDOW, 1, unwindow},
    {"merge", DFQI_OP_MERGE, 1, merge},
    {"unmerge", DFQI_OP_UNMERGE, 1, unmerge},
    {"relative_bias", DFQI_OP_RELATIVE_BIAS, 1, relative_bias},
    {"window_bias", DFQI_OP_WINDOW_BIAS, 1, window_bias},
    {"split_heads, windows", DFQI_OP_SPLIT_HEADS, 3, split_window_heads},
    {"join_heads, windows", DFQI_OP_JOIN_HEADS, 1, join_window_heads},
    {"inter_head, windows", DFQI_OP_INTER_HEAD, 1, inter_head},
    {NULL, DFQI_OP_COUNT, 0, NULL},
};
