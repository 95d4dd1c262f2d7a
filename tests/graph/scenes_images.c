/* The scenes of ops that only convolutional networks have; see scenes.h. */
#include <math.h>

#include "graph/scenes.h"

/* -- elementwise ------------------------------------------------------------------------------- */

static dfqi_id mul(rig *r)
{
    dfqi_id a = WRT(1, 2, 4, 5), b = WRT(1, 2, 4, 5);
    return dfqi_mul(r->g, a, b);
}

static dfqi_id square(rig *r)
{
    dfqi_id a = WRT(1, 2, 4, 5);
    return dfqi_mul(r->g, a, a);
}

/* An operand without values near 0 and 1: differences do not step over a bend there. */
static dfqi_id unbent(rig *r)
{
    dfqi_id id = WRT(1, 2, 4, 5);
    float *x = dfqt_data(r, id);
    for (int64_t i = 0; i < dfqt_count(r, id); i++)
        for (float bend = 0; bend <= 1; bend++)
            if (x[i] > bend - 0.05f && x[i] < bend + 0.05f) x[i] = bend + 0.1f;
    return id;
}

static dfqi_id relu(rig *r)
{
    return dfqi_relu(r->g, NULL, unbent(r), INFINITY);
}

static dfqi_id relu_capped(rig *r)
{
    return dfqi_relu(r->g, "act", unbent(r), 1);
}

static dfqi_id leaky_relu(rig *r)
{
    return dfqi_leaky_relu(r->g, unbent(r), 0.2f);
}

static dfqi_id hyperbolic(rig *r)
{
    return dfqi_tanh(r->g, WRT(1, 2, 4, 5));
}

/* Values on both sides of the bends of the hard ones, and none near them. */
static dfqi_id activation_of(rig *r, dfqi_activation_kind kind)
{
    dfqi_id id = WRT(1, 2, 4, 5);
    float *x = dfqt_data(r, id);
    for (int64_t i = 0; i < dfqt_count(r, id); i++) {
        x[i] *= 5;
        if (fabsf(fabsf(x[i]) - 3) < 0.05f) x[i] += 0.1f;
    }
    return dfqi_activation(r->g, "act", id, kind);
}

static dfqi_id quick_gelu(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_QUICK_GELU);
}

static dfqi_id gelu_tanh(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_GELU_TANH);
}

static dfqi_id sigmoid(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_SIGMOID);
}

static dfqi_id silu(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_SILU);
}

static dfqi_id hard_sigmoid(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_HARD_SIGMOID);
}

static dfqi_id hard_swish(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_HARD_SWISH);
}

static dfqi_id elu(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_ELU);
}

static dfqi_id softplus(rig *r)
{
    return activation_of(r, DFQI_ACTIVATION_SOFTPLUS);
}

/* Values that lie above 0. */
static dfqi_id positive(rig *r, dfqi_activation_kind kind)
{
    return dfqi_activation(r->g, NULL, dfqt_wrt(r, 1, 3, DIMS(3, 2, 5), 0.5f, 2.0f), kind);
}

static dfqi_id root(rig *r)
{
    return positive(r, DFQI_ACTIVATION_SQRT);
}

static dfqi_id reciprocal(rig *r)
{
    return positive(r, DFQI_ACTIVATION_RECIPROCAL);
}

static dfqi_id exponential(rig *r)
{
    return positive(r, DFQI_ACTIVATION_EXP);
}

static dfqi_id affine(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), w = WRT(0, 1, 5), b = WRT(0, 1, 5);
    return dfqi_affine(r->g, x, w, b);
}

static dfqi_id affine_bare(rig *r)
{
    dfqi_id x = WRT(1, 1, 5), w = WRT(0, 1, 5);
    return dfqi_affine(r->g, x, w, DFQI_NONE);
}

static dfqi_id repeat(rig *r)
{
    return dfqi_repeat(r->g, WRT(1, 2, 3, 5), 4);
}

static dfqi_id gate(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), s = WRT(1, 1, 5);
    return dfqi_gate(r->g, x, s);
}

/* -- images ------------------------------------------------------------------------------------ */

static dfqi_id channels_last(rig *r)
{
    return dfqi_channels_last(r->g, WRT(1, 3, 2, 4, 5));
}

static dfqi_id channels_first(rig *r)
{
    return dfqi_channels_first(r->g, WRT(1, 3, 2, 4, 5));
}

static dfqi_id reshape(rig *r)
{
    return dfqi_reshape(r->g, WRT(1, 2, 4, 6), 3, DIMS(3, 2, 4));
}

static dfqi_id subsample_pad(rig *r)
{
    return dfqi_subsample_pad(r->g, WRT(1, 3, 5, 4, 3), 2, 1, 2);
}

/* Two images read one row, nobody reads the other ones. */
static dfqi_id embed(rig *r)
{
    dfqi_id table = WRT(0, 2, 4, 5), index = CONST(1, 0, 0);
    for (int b = 0; b < SCENE_BATCH; b++) dfqt_data(r, index)[b] = (float)(b / 2 * 3);
    return dfqi_embed(r->g, table, index);
}

/* A table of more rows than a block has; most of them are read, many more than once. */
static dfqi_id embed_several(rig *r)
{
    enum { SLOTS = 40, ROWS = 67 };
    dfqi_id table = WRT(0, 2, ROWS, 2), index = CONST(1, 1, SLOTS);
    for (int i = 0; i < SCENE_BATCH * SLOTS; i++) dfqt_data(r, index)[i] = (float)(7 * i % ROWS);
    return dfqi_embed(r->g, table, index);
}

/* Values that lie apart: which one is the largest does not change nearby. */
static dfqi_id max_pool_of(rig *r, const dfqi_pool_attr *a)
{
    enum { ALL = SCENE_BATCH * 5 * 6 * 2 };
    dfqi_id x = WRT(1, 3, 5, 6, 2);
    uint32_t order[ALL];
    dfqi_rng_permute(&r->rng, order, ALL);
    for (int i = 0; i < ALL; i++) dfqt_data(r, x)[i] = 0.1f * (float)order[i] - 9;
    return dfqi_max_pool(r->g, x, a);
}

static dfqi_id max_pool(rig *r)
{
    return max_pool_of(r, &(dfqi_pool_attr){.size = 3, .stride = 2, .pad = 1});
}

static dfqi_id max_pool_even(rig *r)
{
    return max_pool_of(r, &(dfqi_pool_attr){.size = 2, .stride = 1});
}

static dfqi_id max_pool_behind(rig *r)
{
    return max_pool_of(r, &(dfqi_pool_attr){.size = 3, .stride = 2, .more = 1});
}

static dfqi_id avg_pool(rig *r)
{
    return dfqi_avg_pool(r->g, WRT(1, 3, 5, 6, 2),
                         &(dfqi_pool_attr){.size = 3, .stride = 2, .pad = 1});
}

static dfqi_id avg_pool_counted(rig *r)
{
    const dfqi_pool_attr a = {.size = 3, .stride = 1, .pad = 1, .count_pad = 1};
    return dfqi_avg_pool(r->g, WRT(1, 3, 5, 6, 2), &a);
}

/* The last windows reach over the image's end. */
static dfqi_id avg_pool_behind(rig *r)
{
    return dfqi_avg_pool(r->g, WRT(1, 3, 5, 6, 2),
                         &(dfqi_pool_attr){.size = 2, .stride = 2, .more = 1});
}

static dfqi_id pad_image(rig *r)
{
    return dfqi_pad_image(r->g, WRT(1, 3, 4, 5, 2), (int64_t[]){1, 2, 3, 0});
}

static dfqi_id pad_and_cut(rig *r)
{
    return dfqi_pad_image(r->g, WRT(1, 3, 4, 5, 2), (int64_t[]){-1, 2, 1, -2});
}

static dfqi_id concat(rig *r)
{
    dfqi_id a = WRT(1, 3, 3, 4, 2), b = WRT(1, 3, 3, 4, 5);
    return dfqi_concat(r->g, a, b);
}

static dfqi_id channels(rig *r)
{
    return dfqi_channels(r->g, WRT(1, 2, 3, 7), 2, 3);
}

static dfqi_id mean_pool(rig *r)
{
    return dfqi_mean_pool(r->g, WRT(1, 3, 3, 4, 5));
}

static dfqi_id upsample_nearest(rig *r)
{
    return dfqi_upsample(r->g, WRT(1, 3, 2, 4, 3), 0);
}

static dfqi_id upsample_bilinear(rig *r)
{
    return dfqi_upsample(r->g, WRT(1, 3, 3, 4, 2), 1);
}

/* More filters than a panel has. */
static dfqi_id upsample_conv(rig *r)
{
    dfqi_id x = WRT(1, 3, 3, 2, 3), w = WRT(0, 4, 18, 3, 3, 3), b = WRT(0, 1, 18);
    return dfqi_upsample_conv(r->g, x, w, b);
}

static dfqi_id upsample_conv_bare(rig *r)
{
    dfqi_id x = WRT(1, 3, 1, 4, 2), w = WRT(0, 4, 3, 2, 3, 3);
    return dfqi_upsample_conv(r->g, x, w, DFQI_NONE);
}

/* -- batch normalisation ----------------------------------------------------------------------- */

static dfqi_id batch_stats(rig *r)
{
    return dfqi_batch_stats(r->g, WRT(1, 3, 2, 3, 5));
}

/* Only one of the two is used; the other sends no gradient. */
static dfqi_id batch_mean(rig *r)
{
    return dfqi_gelu(r->g, dfqi_batch_stats(r->g, WRT(1, 1, 5)));
}

static dfqi_id batch_variance(rig *r)
{
    dfqi_id mean = dfqi_batch_stats(r->g, WRT(1, 2, 4, 5));
    return dfqi_gelu(r->g, dfqi_graph_output(r->g, mean, 1));
}

static const float eps = 0.05f;

/* Everything is an operand of its own, as with a network's own statistics. */
static dfqi_id batchnorm(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), mean = WRT(0, 1, 5);
    dfqi_id var = dfqt_wrt(r, 0, 1, DIMS(5), 0.5f, 1.5f), gamma = WRT(0, 1, 5);
    return dfqi_batchnorm(r->g, x, mean, var, gamma, WRT(0, 1, 5), eps);
}

static dfqi_id batchnorm_bare(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), mean = WRT(0, 1, 5);
    dfqi_id var = dfqt_wrt(r, 0, 1, DIMS(5), 0.5f, 1.5f);
    return dfqi_batchnorm(r->g, x, mean, var, DFQI_NONE, DFQI_NONE, eps);
}

static dfqi_id train(rig *r, dfqi_id x, dfqi_id gamma, dfqi_id beta)
{
    dfqi_id mean = dfqi_batch_stats(r->g, x);
    return dfqi_batchnorm(r->g, x, mean, dfqi_graph_output(r->g, mean, 1), gamma, beta, eps);
}

static dfqi_id batchnorm_train(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), gamma = WRT(0, 1, 5);
    return train(r, x, gamma, WRT(0, 1, 5));
}

static dfqi_id batchnorm_train_bare(rig *r)
{
    return train(r, WRT(1, 1, 5), DFQI_NONE, DFQI_NONE);
}

static dfqi_id batchnorm_conditional(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), gamma = WRT(1, 1, 5);
    return train(r, x, gamma, WRT(1, 1, 5));
}

/* Only beta belongs to an image. */
static dfqi_id batchnorm_shifted(rig *r)
{
    dfqi_id x = WRT(1, 3, 2, 3, 5), gamma = WRT(0, 1, 5);
    return train(r, x, gamma, WRT(1, 1, 5));
}

static dfqi_id bns(rig *r)
{
    dfqi_id mean = WRT(0, 1, 5), var = WRT(0, 1, 5), want = CONST(0, 1, 5);
    return dfqi_bns(r->g, mean, var, want, CONST(0, 1, 5));
}

const scene dfqt_images[] = {
    {"mul", DFQI_OP_MUL, 1, mul},
    {"mul, one operand", DFQI_OP_MUL, 1, square},
    {"relu", DFQI_OP_RELU, 1, relu},
    {"relu, capped", DFQI_OP_RELU, 1, relu_capped},
    {"leaky_relu", DFQI_OP_LEAKY_RELU, 1, leaky_relu},
    {"tanh", DFQI_OP_TANH, 1, hyperbolic},
    {"quick_gelu", DFQI_OP_ACTIVATION, 1, quick_gelu},
    {"gelu_tanh", DFQI_OP_ACTIVATION, 1, gelu_tanh},
    {"sigmoid", DFQI_OP_ACTIVATION, 1, sigmoid},
    {"silu", DFQI_OP_ACTIVATION, 1, silu},
    {"hard_sigmoid", DFQI_OP_ACTIVATION, 1, hard_sigmoid},
    {"hard_swish", DFQI_OP_ACTIVATION, 1, hard_swish},
    {"elu", DFQI_OP_ACTIVATION, 1, elu},
    {"softplus", DFQI_OP_ACTIVATION, 1, softplus},
    {"sqrt", DFQI_OP_ACTIVATION, 1, root},
    {"reciprocal", DFQI_OP_ACTIVATION, 1, reciprocal},
    {"exp", DFQI_OP_ACTIVATION, 1, exponential},
    {"affine", DFQI_OP_AFFINE, 1, affine},
    {"affine, no summand", DFQI_OP_AFFINE, 1, affine_bare},
    {"repeat", DFQI_OP_REPEAT, 1, repeat},
    {"gate", DFQI_OP_GATE, 1, gate},
    {"channels_last", DFQI_OP_CHANNELS_LAST, 1, channels_last},
    {"channels_first", DFQI_OP_CHANNELS_FIRST, 1, channels_first},
    {"reshape", DFQI_OP_RESHAPE, 1, reshape},
    {"subsample_pad", DFQI_OP_SUBSAMPLE_PAD, 1, subsample_pad},
    {"embed", DFQI_OP_EMBED, 1, embed},
    {"embed, several rows", DFQI_OP_EMBED, 1, embed_several},
    {"max_pool", DFQI_OP_MAX_POOL, 1, max_pool},
    {"max_pool, even size", DFQI_OP_MAX_POOL, 1, max_pool_even},
    {"max_pool, behind", DFQI_OP_MAX_POOL, 1, max_pool_behind},
    {"avg_pool", DFQI_OP_AVG_POOL, 1, avg_pool},
    {"avg_pool, counted", DFQI_OP_AVG_POOL, 1, avg_pool_counted},
    {"avg_pool, behind", DFQI_OP_AVG_POOL, 1, avg_pool_behind},
    {"pad_image", DFQI_OP_PAD_IMAGE, 1, pad_image},
    {"pad_image, cut", DFQI_OP_PAD_IMAGE, 1, pad_and_cut},
    {"concat", DFQI_OP_CONCAT, 1, concat},
    {"channels", DFQI_OP_CHANNELS, 1, channels},
    {"mean_pool", DFQI_OP_MEAN_POOL, 1, mean_pool},
    {"upsample, nearest", DFQI_OP_UPSAMPLE, 1, upsample_nearest},
    {"upsample, bilinear", DFQI_OP_UPSAMPLE, 1, upsample_bilinear},
    {"upsample_conv", DFQI_OP_CONV_DX, 1, upsample_conv},
    {"upsample_conv, no bias", DFQI_OP_UP_FILTER, 1, upsample_conv_bare},
    {"batch_stats", DFQI_OP_BATCH_STATS, 2, batch_stats},
    {"batch_stats, mean", DFQI_OP_BATCH_STATS, 1, batch_mean},
    {"batch_stats, variance", DFQI_OP_BATCH_STATS, 1, batch_variance},
    {"batchnorm", DFQI_OP_BATCHNORM, 1, batchnorm},
    {"batchnorm, bare", DFQI_OP_BATCHNORM, 1, batchnorm_bare},
    {"batchnorm, training", DFQI_OP_BATCHNORM, 1, batchnorm_train},
    {"batchnorm, training, bare", DFQI_OP_BATCHNORM, 1, batchnorm_train_bare},
    {"batchnorm, conditional", DFQI_OP_BATCHNORM, 1, batchnorm_conditional},
    {"batchnorm, own beta", DFQI_OP_BATCHNORM, 1, batchnorm_shifted},
    {"bns", DFQI_OP_BNS, 1, bns},
    {NULL, DFQI_OP_COUNT, 0, NULL},
};
