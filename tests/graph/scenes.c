/* The scenes: see scenes.h; those of convolutional networks are in scenes_images.c. Extents differ
 * from each other, so that a swap shows. */
#include "graph/scenes.h"

int32_t dfqt_scene(const scene *s, rig *r, dfqi_id out[DFQI_OUT_MAX])
{
    dfqi_id seed[DFQI_OUT_MAX];
    int32_t n = s->outputs ? s->outputs : 1;
    dfqi_id first = s->build(r);
    ck_assert_msg(first >= 0, "%s: %s", s->name, r->ctx->error);
    for (int32_t i = 0; i < n; i++) {
        out[i] = dfqi_graph_output(r->g, first, i);
        seed[i] = s->outputs ? dfqt_seed(r, out[i]) : dfqi_fill(r->g, out[i], 1.0f);
    }
    dfqt_grad(r, n, out, seed);
    return n;
}

/* -- products ---------------------------------------------------------------------------------- */

static dfqi_id linear(rig *r)
{
    dfqi_id x = WRT(1, 2, 4, 6), w = WRT(0, 2, 5, 6), b = WRT(0, 1, 5);
    return dfqi_linear(r->g, "layer", x, w, b);
}

/* A convolution's weight, no bias, more rows than a panel has. */
static dfqi_id linear_bare(rig *r)
{
    dfqi_id x = WRT(1, 1, 12), w = WRT(0, 4, 67, 3, 2, 2);
    return dfqi_linear(r->g, "layer", x, w, DFQI_NONE);
}

static dfqi_id matmul_nt(rig *r)
{
    dfqi_id a = WRT(1, 3, 2, 4, 5), b = WRT(1, 3, 2, 6, 5);
    return dfqi_matmul_nt(r->g, "qk", a, b);
}

static dfqi_id matmul_nn(rig *r)
{
    dfqi_id a = WRT(1, 3, 2, 4, 5), b = WRT(1, 3, 2, 5, 6);
    return dfqi_matmul_nn(r->g, "av", a, b);
}

/* -- convolution ------------------------------------------------------------------------------- */

static dfqi_id conv_with(rig *r, dfqi_id x, dfqi_id w, dfqi_id b, dfqi_conv_attr a)
{
    return dfqi_conv(r->g, "conv", x, w, b, &a);
}

static dfqi_id conv(rig *r)
{
    dfqi_id x = WRT(1, 3, 5, 6, 3), w = WRT(0, 4, 4, 3, 3, 2), b = WRT(0, 1, 4);
    return conv_with(r, x, w, b, (dfqi_conv_attr){1, 1, 1, 1, 0});
}

/* More filters than one block has; some rows and columns are read by nobody. */
static dfqi_id conv_stride(rig *r)
{
    dfqi_id x = WRT(1, 3, 6, 4, 2), w = WRT(0, 4, 35, 2, 1, 2);
    return conv_with(r, x, w, DFQI_NONE, (dfqi_conv_attr){2, 0, 1, 1, 0});
}

static dfqi_id conv_dilated(rig *r)
{
    dfqi_id x = WRT(1, 3, 6, 5, 2), w = WRT(0, 4, 3, 2, 3, 3), b = WRT(0, 1, 3);
    return conv_with(r, x, w, b, (dfqi_conv_attr){2, 3, 2, 1, 0});
}

/* By Winograd's algorithm, with half a tile at the end of a column. */
static dfqi_id conv_tiles(rig *r)
{
    dfqi_id x = WRT(1, 3, 5, 8, 32), w = WRT(0, 4, 48, 32, 3, 3), b = WRT(0, 1, 48);
    return conv_with(r, x, w, b, (dfqi_conv_attr){1, 1, 1, 1, 0});
}

static dfqi_id conv_depthwise(rig *r)
{
    dfqi_id x = WRT(1, 3, 5, 6, 3), w = WRT(0, 4, 3, 1, 3, 2), b = WRT(0, 1, 3);
    return conv_with(r, x, w, b, (dfqi_conv_attr){2, 1, 1, 3, 0});
}

/* As TensorFlow pads: one row and column more behind the image than before it. */
static dfqi_id conv_same(rig *r)
{
    dfqi_id x = WRT(1, 3, 6, 8, 3), w = WRT(0, 4, 4, 3, 3, 3), b = WRT(0, 1, 4);
    return conv_with(r, x, w, b, (dfqi_conv_attr){2, 0, 1, 1, 1});
}

static dfqi_id conv_same_tiles(rig *r)
{
    dfqi_id x = WRT(1, 3, 5, 7, 16), w = WRT(0, 4, 16, 16, 3, 3);
    return conv_with(r, x, w, DFQI_NONE, (dfqi_conv_attr){1, 0, 1, 1, 2});
}

static dfqi_id conv_same_depthwise(rig *r)
{
    dfqi_id x = WRT(1, 3, 6, 8, 3), w = WRT(0, 4, 3, 1, 5, 5), b = WRT(0, 1, 3);
    return conv_with(r, x, w, b, (dfqi_conv_attr){2, 1, 1, 3, 1});
}

static dfqi_id conv_groups(rig *r)
{
    dfqi_id x = WRT(1, 3, 5, 6, 6), w = WRT(0, 4, 9, 2, 3, 2), b = WRT(0, 1, 9);
    return conv_with(r, x, w, b, (dfqi_conv_attr){1, 1, 1, 3, 0});
}

/* Groups of more filters than a panel has; and two filters for each channel. */
static dfqi_id conv_groups_wide(rig *r)
{
    dfqi_id x = WRT(1, 3, 4, 4, 6), w = WRT(0, 4, 70, 3, 3, 3);
    return conv_with(r, x, w, DFQI_NONE, (dfqi_conv_attr){2, 1, 1, 2, 0});
}

static dfqi_id conv_multiplied(rig *r)
{
    dfqi_id x = WRT(1, 3, 5, 4, 3), w = WRT(0, 4, 6, 1, 3, 3);
    return conv_with(r, x, w, DFQI_NONE, (dfqi_conv_attr){1, 1, 1, 3, 0});
}

/* -- elementwise and rows ---------------------------------------------------------------------- */

static dfqi_id add(rig *r)
{
    dfqi_id a = WRT(1, 2, 4, 5), b = WRT(1, 2, 4, 5);
    return dfqi_add(r->g, a, b);
}

/* A value read three times collects three gradients. */
static dfqi_id add_twice(rig *r)
{
    dfqi_id a = WRT(1, 2, 4, 5);
    return dfqi_add(r->g, dfqi_add(r->g, a, a), a);
}

static dfqi_id gelu(rig *r)
{
    return dfqi_gelu(r->g, WRT(1, 2, 4, 5));
}

static dfqi_id softmax(rig *r)
{
    return dfqi_softmax(r->g, WRT(1, 3, 2, 3, 7), 0.7f);
}

static dfqi_id layernorm(rig *r)
{
    dfqi_id x = WRT(1, 2, 4, 9), gamma = WRT(0, 1, 9), beta = WRT(0, 1, 9);
    return dfqi_layernorm(r->g, x, gamma, beta, 1e-3f);
}

/* -- layout ------------------------------------------------------------------------------------ */

static dfqi_id patchify(rig *r)
{
    return dfqi_patchify(r->g, WRT(1, 3, 3, 4, 6), 2);
}

static dfqi_id tokens(rig *r)
{
    dfqi_id x = WRT(1, 2, 4, 5), cls = WRT(0, 3, 1, 1, 5), pos = WRT(0, 3, 1, 5, 5);
    return dfqi_tokens(r->g, x, cls, pos);
}

static dfqi_id tokens_alone(rig *r)
{
    dfqi_id x = WRT(1, 2, 4, 5), pos = WRT(0, 3, 1, 4, 5);
    return dfqi_tokens(r->g, x, DFQI_NONE, pos);
}

static dfqi_id tokens_three(rig *r)
{
    dfqi_id x = WRT(1, 2, 4, 5), cls = WRT(0, 3, 1, 3, 5), pos = WRT(0, 3, 1, 7, 5);
    return dfqi_tokens(r->g, x, cls, pos);
}

static dfqi_id drop_tokens(rig *r)
{
    return dfqi_drop_tokens(r->g, WRT(1, 2, 5, 4), 2);
}

static dfqi_id select_token(rig *r)
{
    return dfqi_select_token(r->g, WRT(1, 2, 4, 5), 2);
}

static dfqi_id split_heads(rig *r)
{
    return dfqi_split_heads(r->g, WRT(1, 2, 5, 24), 2, 3);
}

/* Only one of the three parts is used; the others send no gradient. */
static dfqi_id split_one(rig *r)
{
    dfqi_id q = dfqi_split_heads(r->g, WRT(1, 2, 5, 24), 2, 3);
    return dfqi_gelu(r->g, dfqi_graph_output(r->g, q, 1));
}

static dfqi_id join_heads(rig *r)
{
    return dfqi_join_heads(r->g, WRT(1, 3, 2, 4, 5));
}

/* Two rows of each of three groups, as queries, keys and values have. */
static dfqi_id leading(rig *r)
{
    return dfqi_leading(r->g, WRT(0, 2, 9, 5), 6, 3, 3);
}

static dfqi_id leading_vector(rig *r)
{
    return dfqi_leading(r->g, WRT(0, 1, 6), 4, 1, 2);
}

static dfqi_id roll(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 4, 5), by = CONST(0, 1, 2);
    dfqt_data(r, by)[0] = -1;
    dfqt_data(r, by)[1] = 12;
    return dfqi_roll(r->g, x, by);
}

static dfqi_id channel_affine(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 4, 5), scale = CONST(1, 1, 2), shift = CONST(1, 1, 2);
    return dfqi_channel_affine(r->g, x, scale, shift);
}

/* -- losses ------------------------------------------------------------------------------------ */

static dfqi_id cross_entropy(rig *r)
{
    dfqi_id z = WRT(1, 1, 7), labels = dfqt_input(r, 1, 0, NULL, 0, 1);
    for (int b = 0; b < SCENE_BATCH; b++) dfqt_data(r, labels)[b] = (float)(3 * b);
    return dfqi_cross_entropy(r->g, z, labels);
}

/* Weights of the classes that do not sum to 1. */
static dfqi_id soft_cross_entropy(rig *r)
{
    dfqi_id z = WRT(1, 1, 7);
    return dfqi_soft_cross_entropy(r->g, z, dfqt_input(r, 1, 1, DIMS(7), 0, 1));
}

/* Keys of images: the first drops nothing. */
static dfqi_id drop(rig *r)
{
    dfqi_id x = WRT(1, 2, 5, 13), q = WRT(1, 2, 5, 13);
    return dfqi_drop(r->g, x, q, dfqt_input(r, 1, 1, DIMS(1), -9e6f, 9e6f), 3);
}

static dfqi_id squared_error(rig *r)
{
    dfqi_id a = WRT(1, 2, 4, 5), b = CONST(1, 2, 4, 5);
    return dfqi_squared_error(r->g, a, b, CONST(0, 1, 20));
}

static dfqi_id squared_error_one(rig *r)
{
    dfqi_id a = WRT(1, 1, 7), b = CONST(1, 1, 7);
    return dfqi_squared_error(r->g, a, b, CONST(0, 1, 1));
}

static dfqi_id kl(rig *r)
{
    dfqi_id s = WRT(1, 1, 7), t = CONST(1, 1, 7);
    return dfqi_kl(r->g, s, t, 2.5f);
}

/* Rows whose entries lie apart: which is the smallest and the largest does not change nearby. */
static dfqi_id apart(rig *r, int64_t heads, int64_t n)
{
    dfqi_id id = WRT(1, 3, heads, n, n);
    float *x = dfqt_data(r, id);
    for (int64_t row = 0; row < SCENE_BATCH * heads * n; row++) {
        uint32_t order[8];
        dfqi_rng_permute(&r->rng, order, (uint32_t)n);
        for (int64_t i = 0; i < n; i++)
            x[row * n + i] = 0.6f * (float)order[i] + 0.1f * x[row * n + i];
    }
    return id;
}

static dfqi_id inter_head(rig *r)
{
    return dfqi_inter_head(r->g, apart(r, 3, 5), 1, 1, DFQI_DISTANCE_SQUARE);
}

static dfqi_id inter_head_absolute(rig *r)
{
    return dfqi_inter_head(r->g, apart(r, 3, 5), 1, 1, DFQI_DISTANCE_ABSOLUTE);
}

static dfqi_id inter_head_all(rig *r)
{
    return dfqi_inter_head(r->g, apart(r, 2, 4), 1, 0, DFQI_DISTANCE_SQUARE);
}

static dfqi_id head_ssim(rig *r)
{
    dfqi_id t = CONST(1, 3, 2, 6, 4), s = WRT(1, 3, 2, 6, 4);
    return dfqi_head_ssim(r->g, t, s, 1);
}

static dfqi_id tv(rig *r)
{
    return dfqi_tv(r->g, WRT(1, 3, 2, 5, 21), 0.7f, DFQI_NONE);
}

/* The variation is some 115, the targets lie below and above. */
static dfqi_id tv_from(rig *r, float target)
{
    dfqi_id x = WRT(1, 3, 2, 5, 21), id = CONST(0, 1, 1);
    dfqt_data(r, id)[0] = target;
    return dfqi_tv(r->g, x, 1.0f, id);
}

static dfqi_id tv_above(rig *r)
{
    return tv_from(r, 90.0f);
}

static dfqi_id tv_below(rig *r)
{
    return tv_from(r, 140.0f);
}

static dfqi_id total(rig *r)
{
    dfqi_id a = WRT(1, 0, 0), b = WRT(0, 1, 1), c = WRT(1, 1, 1);
    return dfqi_total(r->g, 3, (dfqi_id[]){a, b, c}, (float[]){0.5f, -2.0f, 3.0f});
}

const scene dfqt_smooth[] = {
    {"linear", DFQI_OP_LINEAR, 1, linear},
    {"linear, no bias", DFQI_OP_LINEAR, 1, linear_bare},
    {"matmul_nt", DFQI_OP_MATMUL_NT, 1, matmul_nt},
    {"matmul_nn", DFQI_OP_MATMUL_NN, 1, matmul_nn},
    {"conv", DFQI_OP_CONV, 1, conv},
    {"conv, stride", DFQI_OP_CONV, 1, conv_stride},
    {"conv, dilated", DFQI_OP_CONV, 1, conv_dilated},
    {"conv, tiles", DFQI_OP_CONV, 1, conv_tiles},
    {"conv, depthwise", DFQI_OP_CONV, 1, conv_depthwise},
    {"conv, SAME", DFQI_OP_CONV, 1, conv_same},
    {"conv, SAME, tiles", DFQI_OP_CONV, 1, conv_same_tiles},
    {"conv, SAME, depthwise", DFQI_OP_CONV, 1, conv_same_depthwise},
    {"conv, groups", DFQI_OP_CONV, 1, conv_groups},
    {"conv, wide groups", DFQI_OP_CONV, 1, conv_groups_wide},
    {"conv, two filters a channel", DFQI_OP_CONV, 1, conv_multiplied},
    {"add", DFQI_OP_ADD, 1, add},
    {"add, one operand", DFQI_OP_ADD, 1, add_twice},
    {"gelu", DFQI_OP_GELU, 1, gelu},
    {"softmax", DFQI_OP_SOFTMAX, 1, softmax},
    {"layernorm", DFQI_OP_LAYERNORM, 1, layernorm},
    {"patchify", DFQI_OP_PATCHIFY, 1, patchify},
    {"tokens", DFQI_OP_TOKENS, 1, tokens},
    {"tokens, no class token", DFQI_OP_TOKENS, 1, tokens_alone},
    {"tokens, three in front", DFQI_OP_TOKENS, 1, tokens_three},
    {"drop_tokens", DFQI_OP_DROP_TOKENS, 1, drop_tokens},
    {"select_token", DFQI_OP_SELECT_TOKEN, 1, select_token},
    {"split_heads", DFQI_OP_SPLIT_HEADS, 3, split_heads},
    {"split_heads, one part", DFQI_OP_SPLIT_HEADS, 1, split_one},
    {"join_heads", DFQI_OP_JOIN_HEADS, 1, join_heads},
    {"leading", DFQI_OP_LEADING, 1, leading},
    {"leading, vector", DFQI_OP_LEADING, 1, leading_vector},
    {"roll", DFQI_OP_ROLL, 1, roll},
    {"channel_affine", DFQI_OP_CHANNEL_AFFINE, 1, channel_affine},
    {"cross_entropy", DFQI_OP_CROSS_ENTROPY, 1, cross_entropy},
    {"soft_cross_entropy", DFQI_OP_SOFT_CROSS_ENTROPY, 1, soft_cross_entropy},
    {"kl", DFQI_OP_KL, 1, kl},
    {"drop", DFQI_OP_DROP, 1, drop},
    {"squared_error", DFQI_OP_SQUARED_ERROR, 1, squared_error},
    {"squared_error, one weight", DFQI_OP_SQUARED_ERROR, 1, squared_error_one},
    {"inter_head", DFQI_OP_INTER_HEAD, 1, inter_head},
    {"inter_head, absolute", DFQI_OP_INTER_HEAD, 1, inter_head_absolute},
    {"inter_head, all tokens", DFQI_OP_INTER_HEAD, 1, inter_head_all},
    {"head_ssim", DFQI_OP_HEAD_SSIM, 1, head_ssim},
    {"tv", DFQI_OP_TV, 1, tv},
    {"tv, above the target", DFQI_OP_TV, 1, tv_above},
    {"tv, below the target", DFQI_OP_TV, 1, tv_below},
    {"total", DFQI_OP_TOTAL, 0, total},
    {NULL, DFQI_OP_COUNT, 0, NULL},
};

/* -- fake quantization: grids small enough that many values lie outside ------------------------ */

static dfqi_id fq_with(rig *r, dfqi_id x, int64_t scales, int zero_points)
{
    dfqi_id scale = dfqt_wrt(r, 0, 1, &scales, 0.1f, 0.4f);
    dfqi_id zero_point = zero_points ? dfqt_wrt(r, 0, 1, &scales, -2.4f, 2.4f) : DFQI_NONE;
    return dfqi_fq(r->g, x, scale, zero_point, -4, 3, 0.3f, 0.6f);
}

static dfqi_id fq(rig *r)
{
    return fq_with(r, WRT(1, 2, 5, 6), 1, 1);
}

static dfqi_id fq_symmetric(rig *r)
{
    return fq_with(r, WRT(1, 2, 5, 6), 1, 0);
}

static dfqi_id fq_channels(rig *r)
{
    return fq_with(r, WRT(1, 2, 5, 6), 6, 1);
}

static dfqi_id fq_one_for_heads(rig *r)
{
    return fq_with(r, WRT(1, 3, 2, 5, 6), 1, 1);
}

static dfqi_id fq_heads(rig *r)
{
    return fq_with(r, WRT(1, 3, 2, 5, 6), 2, 1);
}

static dfqi_id fq_head_channels(rig *r)
{
    return fq_with(r, WRT(1, 3, 2, 5, 6), 12, 1);
}

static dfqi_id fq_straight(rig *r)
{
    dfqi_id x = WRT(1, 2, 5, 6), scale = dfqt_input(r, 0, 1, DIMS(1), 0.1f, 0.4f);
    return dfqi_fq_straight(r->g, x, scale, dfqt_input(r, 0, 1, DIMS(1), -2.4f, 2.4f), -4, 3);
}

/* On the grid of a range that was -1 .. 2 on average. */
static dfqi_id fq_tracked(rig *r)
{
    dfqi_id x = WRT(1, 2, 5, 6), state = CONST(0, 1, 3);
    dfqt_data(r, state)[0] = -1;
    dfqt_data(r, state)[1] = 2;
    dfqt_data(r, state)[2] = 0.5f;
    dfqi_id scale = dfqi_track_range(r->g, x, state, 3, 0);
    return dfqi_fq_straight(r->g, x, scale, dfqi_graph_output(r->g, scale, 1), -4, 3);
}

static dfqi_id fq_log(rig *r)
{
    dfqi_id x = dfqt_wrt(r, 1, 2, DIMS(4, 5), 0, 1), top = CONST(0, 1, 1);
    dfqt_data(r, top)[0] = 0.9f;
    return dfqi_fq_log(r->g, x, top, 7);
}

static dfqi_id fq_weight(rig *r)
{
    return dfqi_fq_weight(r->g, WRT(0, 3, 4, 3, 2), DFQI_NONE, DFQI_NONE, DFQI_NONE, 3, 1);
}

static dfqi_id fq_weight_learned(rig *r)
{
    dfqi_id w = WRT(0, 2, 4, 6), col = dfqt_input(r, 0, 1, DIMS(6), 0.5f, 2.0f);
    dfqi_id scale = dfqt_wrt(r, 0, 1, DIMS(4), 0.1f, 0.4f);
    return dfqi_fq_weight(r->g, w, col, scale, DFQI_NONE, 3, 0.3f);
}

static dfqi_id fq_weight_scale(rig *r)
{
    dfqi_id w = WRT(0, 2, 4, 6), scale = dfqt_wrt(r, 0, 1, DIMS(4), 0.1f, 0.4f);
    return dfqi_fq_weight(r->g, w, DFQI_NONE, scale, DFQI_NONE, 3, 0.3f);
}

/* Three groups of two columns. */
static dfqi_id fq_weight_groups(rig *r)
{
    dfqi_id w = WRT(0, 2, 4, 6), col = dfqt_input(r, 0, 1, DIMS(6), 0.5f, 2.0f);
    dfqi_id scale = dfqt_wrt(r, 0, 1, DIMS(4), 0.1f, 0.2f);
    dfqi_id groups = dfqt_input(r, 0, 2, DIMS(4, 3), 0, 1);
    for (int i = 0; i < 12; i++)
        dfqt_data(r, groups)[i] = (float)(1 + i % 4 + 16 * (2 + i % 5)); /* m 1..4, z 2..6 */
    return dfqi_fq_weight(r->g, w, col, scale, groups, 3, 0.3f);
}

static dfqi_id fq_weight_lsq(rig *r)
{
    dfqi_id w = WRT(0, 2, 4, 6), scale = dfqt_wrt(r, 0, 1, DIMS(4), 0.1f, 0.4f);
    return dfqi_fq_weight_lsq(r->g, w, scale, 3, 0.3f);
}

static dfqi_id fq_weight_range(rig *r)
{
    return dfqi_fq_weight_range(r->g, WRT(0, 3, 67, 3, 2), 3);
}

static dfqi_id fq_row(rig *r)
{
    return dfqi_fq_row(r->g, WRT(1, 2, 5, 6), 3, 0);
}

static dfqi_id fq_row_signed(rig *r)
{
    return dfqi_fq_row(r->g, WRT(1, 3, 2, 5, 6), 3, 1);
}

static dfqi_id fq_row_groups(rig *r)
{
    return dfqi_fq_row_groups(r->g, WRT(1, 3, 2, 5, 9), 3, 3);
}

static dfqi_id fq_column(rig *r)
{
    return dfqi_fq_column(r->g, WRT(1, 3, 2, 5, 6), 3, 1);
}

static dfqi_id fq_column_unsigned(rig *r)
{
    return dfqi_fq_column(r->g, WRT(1, 3, 2, 5, 6), 3, 0);
}

const scene dfqt_surrogate[] = {
    {"fq", DFQI_OP_FQ, 1, fq},
    {"fq, no zero point", DFQI_OP_FQ, 1, fq_symmetric},
    {"fq, channels", DFQI_OP_FQ, 1, fq_channels},
    {"fq, one scale for all heads", DFQI_OP_FQ, 1, fq_one_for_heads},
    {"fq, heads", DFQI_OP_FQ, 1, fq_heads},
    {"fq, channels of heads", DFQI_OP_FQ, 1, fq_head_channels},
    {"fq, straight through", DFQI_OP_FQ, 1, fq_straight},
    {"fq_straight, range", DFQI_OP_TRACK_RANGE, 1, fq_tracked},
    {"fq_log", DFQI_OP_FQ_LOG, 1, fq_log},
    {"fq_row", DFQI_OP_FQ_ROW, 1, fq_row},
    {"fq_row, signed", DFQI_OP_FQ_ROW, 1, fq_row_signed},
    {"fq_row, groups", DFQI_OP_FQ_ROW, 1, fq_row_groups},
    {"fq_column", DFQI_OP_FQ_ROW, 1, fq_column},
    {"fq_column, unsigned", DFQI_OP_FQ_ROW, 1, fq_column_unsigned},
    {"fq_weight", DFQI_OP_FQ_WEIGHT, 1, fq_weight},
    {"fq_weight, columns and scale", DFQI_OP_FQ_WEIGHT, 1, fq_weight_learned},
    {"fq_weight, groups", DFQI_OP_FQ_WEIGHT, 1, fq_weight_groups},
    {"fq_weight, scale", DFQI_OP_FQ_WEIGHT, 1, fq_weight_scale},
    {"fq_weight, LSQ", DFQI_OP_FQ_WEIGHT, 1, fq_weight_lsq},
    {"fq_weight, range", DFQI_OP_FQ_WEIGHT, 1, fq_weight_range},
    {NULL, DFQI_OP_COUNT, 0, NULL},
};
