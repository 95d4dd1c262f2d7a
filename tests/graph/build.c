/* Building: operands that do not fit are refused in one line, and the first error sticks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/cases.h"
#include "graph/rig.h"

#define DIMS(...)                                                                                  \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static dfqi_id image_value(dfqi_graph *g, int32_t rank, const int64_t *dims)
{
    return dfqi_graph_input(g, "x", 1, rank, dims);
}

static dfqi_id shared_value(dfqi_graph *g, int32_t rank, const int64_t *dims)
{
    return dfqi_graph_input(g, "w", 0, rank, dims);
}

#define X(...) image_value(g, (int32_t)(sizeof(DIMS(__VA_ARGS__)) / 8), DIMS(__VA_ARGS__))
#define W(...) shared_value(g, (int32_t)(sizeof(DIMS(__VA_ARGS__)) / 8), DIMS(__VA_ARGS__))
#define BARE   dfqi_graph_input(g, "b", 1, 0, NULL)

static dfqi_id conv(dfqi_graph *g, dfqi_id x, dfqi_id w, dfqi_id b, int64_t groups)
{
    return dfqi_conv(g, "conv", x, w, b, &(dfqi_conv_attr){1, 0, 1, groups, 0});
}

/* Each line is one mistake. */
enum { N_MISTAKES = 68, N_IMAGE_MISTAKES = 38 };

static dfqi_id mistake(dfqi_graph *g, int i)
{
    switch (i) {
    case 0:
        return dfqi_linear(g, "layer", X(4, 6), W(5, 7), DFQI_NONE);
    case 1:
        return dfqi_linear(g, "layer", X(4, 6), W(5, 6), W(4));
    case 2:
        return dfqi_linear(g, "layer", X(4, 6), W(6), DFQI_NONE);
    case 3:
        return dfqi_linear(g, "layer", W(4, 6), W(5, 6), DFQI_NONE);
    case 4:
        return dfqi_linear(g, "layer", X(4, 6), X(6), DFQI_NONE);
    case 5:
        return dfqi_linear(g, "layer", X(6), W(2, 6), BARE);
    case 6:
        return dfqi_linear(g, "layer", BARE, W(5, 2), DFQI_NONE);
    case 7:
        return dfqi_matmul_nt(g, "qk", X(2, 4, 5), X(2, 4, 6));
    case 8:
        return dfqi_matmul_nt(g, "qk", X(2, 4, 5), X(3, 4, 5));
    case 9:
        return dfqi_matmul_nt(g, "qk", X(4, 5), X(4, 5));
    case 10:
        return dfqi_matmul_nn(g, "av", X(2, 4, 5), X(2, 4, 5));
    case 11:
        return dfqi_matmul_nn(g, "av", X(2, 4, 5), W(2, 2, 5, 4));
    case 12:
        return dfqi_add(g, X(4, 5), X(5, 4));
    case 13:
        return dfqi_add(g, X(4), W(2, 4));
    case 14:
        return dfqi_softmax(g, BARE, 1);
    case 15:
        return dfqi_layernorm(g, X(4, 6), W(5), W(6), 1);
    case 16:
        return dfqi_layernorm(g, X(4, 6), W(6), W(5), 1);
    case 17:
        return dfqi_layernorm(g, W(4, 6), W(6), W(6), 1);
    case 18:
        return dfqi_layernorm(g, X(2), X(1), W(2), 1);
    case 19:
        return dfqi_patchify(g, X(3, 6, 8), 4);
    case 20:
        return dfqi_patchify(g, X(3, 8, 8), 0);
    case 21:
        return dfqi_patchify(g, X(8, 8), 4);
    case 22:
        return dfqi_tokens(g, X(4, 5), W(4), W(5, 5));
    case 23:
        return dfqi_tokens(g, X(4, 5), W(5), W(4, 5));
    case 24:
        return dfqi_tokens(g, X(5), W(5), W(2, 5));
    case 25:
        return dfqi_select_token(g, X(4, 5), 4);
    case 26:
        return dfqi_select_token(g, W(2, 4, 5), 0);
    case 27:
        return dfqi_split_heads(g, X(4, 10), 2, 3);
    case 28:
        return dfqi_split_heads(g, X(4, 12), 0, 3);
    case 29:
        return dfqi_split_heads(g, X(4, 12), 3, 2);
    case 30:
        return dfqi_join_heads(g, X(4, 12));
    case 31:
        return dfqi_sum_batch(g, X(4), W(3), 2, 1);
    case 32:
        return dfqi_sum_batch(g, W(2, 4), W(3), 0, 1);
    case 33:
        return dfqi_roll(g, X(3, 4, 4), W(3));
    case 34:
        return dfqi_roll(g, X(4, 4), W(2));
    case 35:
        return dfqi_channel_affine(g, X(3, 4, 4), X(2), X(3));
    case 36:
        return dfqi_channel_affine(g, X(3, 4, 4), W(2, 3), X(3));
    case 37:
        return dfqi_cross_entropy(g, X(10), X(2));
    case 38:
        return dfqi_cross_entropy(g, X(4, 10), BARE);
    case 39:
        return dfqi_kl(g, X(10), X(11), 1);
    case 40:
        return dfqi_inter_head(g, X(3, 4, 5), 1, 1, DFQI_DISTANCE_SQUARE);
    case 41:
        return dfqi_inter_head(g, X(3, 4, 4), 1, 4, DFQI_DISTANCE_SQUARE);
    case 42:
        return dfqi_head_ssim(g, X(3, 4, 5), X(3, 5, 4), 1);
    case 43:
        return dfqi_tv(g, X(4, 4), 1.0f, DFQI_NONE);
    case 44:
        return dfqi_total(g, 1, (dfqi_id[]){X(2)}, (float[]){1});
    case 45:
        return dfqi_fq(g, X(4, 6), W(5), DFQI_NONE, 0, 7, 1, 1);
    case 46:
        return dfqi_fq(g, X(4, 6), W(6), W(1), 0, 7, 1, 1);
    case 47:
        return dfqi_fq(g, W(4, 6), W(1), DFQI_NONE, 0, 7, 1, 1);
    case 48:
        return dfqi_fq_log(g, X(4, 6), W(6), 7);
    case 49:
        return dfqi_fq_weight(g, W(4, 6), W(4), DFQI_NONE, DFQI_NONE, 4, 1);
    case 50:
        return dfqi_fq_weight(g, W(4, 6), DFQI_NONE, W(6), DFQI_NONE, 4, 1);
    case 51:
        return conv(g, X(6, 3), W(5, 3, 1, 1), DFQI_NONE, 1);
    case 52:
        return conv(g, X(6, 6, 3), X(3, 1, 1), DFQI_NONE, 1);
    case 53:
        return conv(g, X(6, 6, 3), W(5, 4, 1, 1), DFQI_NONE, 1);
    case 54:
        return conv(g, X(6, 6, 4), W(5, 2, 1, 1), DFQI_NONE, 2);
    case 55:
        return conv(g, X(6, 6, 4), W(8, 2, 1, 1), DFQI_NONE, 4);
    case 56:
        return conv(g, X(6, 6, 3), W(5, 3, 7, 1), DFQI_NONE, 1);
    case 57:
        return conv(g, X(6, 6, 3), W(5, 3, 1, 1), W(4), 1);
    case 58:
        return dfqi_tokens(g, X(4, 5), DFQI_NONE, W(5, 5));
    case 59:
        return dfqi_leading(g, W(6, 4), 7, 4, 1);
    case 60:
        return dfqi_leading(g, W(6, 4), 3, 4, 2);
    case 61:
        return dfqi_leading(g, W(6), 4, 2, 2);
    case 62:
        return dfqi_leading(g, X(6), 2, 6, 1);
    case 63:
        return dfqi_fq_row(g, W(2, 4, 6), 4, 0);
    case 64:
        return dfqi_fq_row(g, BARE, 4, 1);
    case 65:
        return dfqi_fq_column(g, X(6), 4, 1);
    case 66:
        return dfqi_fq_row_groups(g, X(5, 6), 4, 4);
    default:
        return conv(g, X(40, 40, 3), W(5, 3, 17, 1), DFQI_NONE, 1);
    }
}

static dfqi_id stats_norm(dfqi_graph *g, dfqi_id x, dfqi_id mean, dfqi_id gamma, dfqi_id beta)
{
    return dfqi_batchnorm(g, x, mean, W(6), gamma, beta, 1e-5f);
}

/* The same for ops of convolutional networks. */
static dfqi_id image_mistake(dfqi_graph *g, int i)
{
    switch (i) {
    case 0:
        return dfqi_mul(g, X(4, 5), X(5, 4));
    case 1:
        return dfqi_channels_last(g, X(4, 5));
    case 2:
        return dfqi_channels_first(g, W(2, 3, 4, 5));
    case 3:
        return dfqi_reshape(g, X(24), 2, DIMS(5, 5));
    case 4:
        return dfqi_reshape(g, X(24), 2, DIMS(24, 0));
    case 5:
        return dfqi_reshape(g, X(24), 2, DIMS(-4, -6));
    case 6:
        return dfqi_reshape(g, X(24), 6, DIMS(1, 1, 1, 1, 1, 24));
    case 7:
        return dfqi_reshape(g, X(24), -1, NULL);
    case 8:
        return dfqi_reshape(g, X(24), 3, DIMS(INT64_MAX, INT64_MAX, 24));
    case 9:
        return dfqi_reshape(g, W(2, 24), 1, DIMS(24));
    case 10:
        return dfqi_subsample_pad(g, X(4, 5), 2, 1, 1);
    case 11:
        return dfqi_subsample_pad(g, W(2, 4, 4, 2), 2, 1, 1);
    case 12:
        return dfqi_embed(g, W(4), BARE);
    case 13:
        return dfqi_embed(g, X(4), BARE);
    case 14:
        return dfqi_embed(g, W(4, 5), X(2, 3));
    case 15:
        return dfqi_embed(g, W(4, 5), W(2));
    case 16:
        return dfqi_max_pool(g, X(4, 5), &(dfqi_pool_attr){3, 2, 1, 0, 0});
    case 17:
        return dfqi_max_pool(g, X(4, 4, 3), &(dfqi_pool_attr){7, 2, 1, 0, 0});
    case 18:
        return dfqi_mean_pool(g, X(4, 5));
    case 19:
        return dfqi_upsample(g, W(2, 4, 5, 3), 0);
    case 20:
        return dfqi_batch_stats(g, W(2, 6));
    case 21:
        return stats_norm(g, X(4, 6), W(5), W(6), W(6));
    case 22:
        return stats_norm(g, X(4, 6), X(6), W(6), W(6));
    case 23:
        return stats_norm(g, X(4, 6), W(6), X(5), X(6));
    case 24:
        return stats_norm(g, X(4, 6), W(6), X(6), W(5));
    case 25:
        return dfqi_bns(g, W(6), W(6), W(6), W(5));
    case 26:
        return dfqi_upsample_conv(g, X(4, 5, 3), W(6, 3, 5, 5), DFQI_NONE);
    case 27:
        return dfqi_upsample_conv(g, X(4, 5, 3), W(6, 2, 3, 3), DFQI_NONE);
    case 28:
        return dfqi_upsample_conv(g, X(4, 5, 3), W(6, 3, 3, 3), W(3));
    case 29:
        return dfqi_upsample_conv(g, X(4, 5), W(6, 5, 3, 3), DFQI_NONE);
    case 30:
        return dfqi_gate(g, X(4, 5, 3), X(4));
    case 31:
        return dfqi_gate(g, X(4, 5, 3), W(3));
    case 32:
        return dfqi_avg_pool(g, X(4, 4, 3), &(dfqi_pool_attr){.size = 7, .stride = 2});
    case 33:
        return dfqi_pad_image(g, X(4, 4, 3), (int64_t[]){-2, 0, -2, 0});
    case 34:
        return dfqi_concat(g, X(4, 4, 3), X(4, 5, 3));
    case 35:
        return dfqi_channels(g, X(4, 4, 3), 1, 3);
    case 36:
        return conv(g, X(6, 6, 4), W(4, 4, 1, 1), DFQI_NONE, 0);
    default:
        return dfqi_soft_cross_entropy(g, X(10), BARE);
    }
}

START_TEST(test_mistake)
{
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id id = _i < N_MISTAKES ? mistake(r.g, _i) : image_mistake(r.g, _i - N_MISTAKES);
    ck_assert_int_eq(id, DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(r.g), DFQ_E_SHAPE);
    ck_assert_msg(strstr(r.ctx->error, "expected") || strstr(r.ctx->error, "must") ||
                      strstr(r.ctx->error, "parts are"),
                  "%s", r.ctx->error);
    ck_assert_msg(!strchr(r.ctx->error, '\n') && strlen(r.ctx->error) < 200, "%s", r.ctx->error);
    dfqt_rig_fini(&r);
}
END_TEST

START_TEST(test_first_error_sticks)
{
    rig r = dfqt_rig(1, 2, 1);
    dfqi_graph *g = r.g;
    char first[DFQI_ERROR_MAX];
    dfqi_id x = X(4, 6), y = dfqi_linear(g, "first", x, W(5, 7), DFQI_NONE), d;
    snprintf(first, sizeof first, "%s", r.ctx->error);
    ck_assert_ptr_nonnull(strstr(first, "first"));
    y = dfqi_gelu(g, dfqi_add(g, y, dfqi_linear(g, "second", y, W(1, 1), y)));
    ck_assert_int_eq(y, DFQI_NONE);
    dfqi_graph_keep(g, y);
    dfqi_graph_probe(g, y, "probe %d", 1);
    ck_assert_int_eq(dfqi_graph_output(g, y, 1), DFQI_NONE);
    ck_assert_int_eq(X(5), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_fail(g, DFQ_E_INTERNAL, "late"), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_grad(g, 1, &y, &y, 1, &x, &d), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_exec_new(g, &r.e), DFQ_E_SHAPE);
    ck_assert_str_eq(r.ctx->error, first);
    dfqt_rig_fini(&r);
}
END_TEST

START_TEST(test_wrong_calls)
{
    dfqi_graph *g = NULL;
    rig r = dfqt_rig(1, 2, 1);
    ck_assert_int_eq(dfqi_graph_new(r.ctx, 0, &g), DFQ_E_INVALID);
    g = r.g;
    ck_assert_int_eq(dfqi_add(g, X(4), DFQI_NONE), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(g), DFQ_E_INTERNAL);
    dfqt_rig_fini(&r);

    r = dfqt_rig(1, 2, 1);
    g = r.g;
    ck_assert_int_eq(dfqi_fq_weight(g, W(4, 6), DFQI_NONE, DFQI_NONE, DFQI_NONE, 9, 1), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(g), DFQ_E_INVALID);
    dfqt_rig_fini(&r);

    for (int i = 0; i < 5; i++) {
        r = dfqt_rig(1, 2, 1);
        g = r.g;
        dfqi_conv_attr a = {.stride = i != 0, .pad = i == 1 ? -1 : 0, .dilation = i == 2 ? 65 : 1};
        a.groups = 1;
        a.more = i == 3 ? -1 : i == 4 ? 3 : 0;
        ck_assert_int_eq(dfqi_conv(g, "conv", X(6, 6, 3), W(5, 3, 3, 3), DFQI_NONE, &a), DFQI_NONE);
        ck_assert_int_eq(dfqi_graph_status(g), DFQ_E_INVALID);
        dfqt_rig_fini(&r);
    }

    r = dfqt_rig(1, 2, 1);
    g = r.g;
    ck_assert_int_eq(X(1, 2, 3, 4, 5, 6), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(g), DFQ_E_SHAPE);
    dfqt_rig_fini(&r);

    /* operands that are none: a builder that looks at shapes first does not look at theirs */
    for (int i = 0; i < 6; i++) {
        r = dfqt_rig(1, 2, 1);
        g = r.g;
        dfqi_id in[3] = {X(6, 6, 3), W(5, 3, 3, 3), W(5)};
        in[i % 3] = 1 << 24;
        dfqi_id y =
            i < 3 ? conv(g, in[0], in[1], in[2], 1) : dfqi_upsample_conv(g, in[0], in[1], in[2]);
        ck_assert_int_eq(y, DFQI_NONE);
        ck_assert_int_eq(dfqi_graph_status(g), DFQ_E_INTERNAL);
        dfqt_rig_fini(&r);
    }

    /* a gradient seed of another shape */
    r = dfqt_rig(1, 2, 1);
    g = r.g;
    dfqi_id x = X(4), y = dfqi_gelu(g, x), seed = X(5), d;
    ck_assert_int_eq(dfqi_graph_grad(g, 1, &y, &seed, 1, &x, &d), DFQ_E_SHAPE);
    dfqt_rig_fini(&r);
}
END_TEST

/* Attributes out of range. */
START_TEST(test_wrong_attributes)
{
    enum { N = 14 };
    for (int i = 0; i < N; i++) {
        rig r = dfqt_rig(1, 2, 1);
        dfqi_graph *g = r.g;
        dfqi_id x = X(4, 4, 3);
        dfqi_relu(g, "act", x, i == 0 ? 0.0f : 6.0f);
        dfqi_leaky_relu(g, x, i == 1 ? NAN : 0.2f);
        dfqi_subsample_pad(g, x, i == 2 ? 0 : 1, i == 3 ? -1 : 0, i == 4 ? INT64_MAX : 0);
        dfqi_activation(g, "act", x, i == 9 ? DFQI_ACTIVATION_COUNT : DFQI_ACTIVATION_SILU);
        dfqi_pad_image(g, x, (int64_t[]){1, i == 10 ? 1 << 20 : 1, 1, 1});
        const dfqi_pool_attr a = {.size = i == 5   ? 0
                                          : i == 6 ? 65
                                                   : 3,
                                  .stride = i != 7,
                                  .pad = i == 8 ? 2 : 0,
                                  .more = i == 11   ? -1
                                          : i == 12 ? 3
                                                    : i == 13,
                                  .count_pad = i == 13};
        dfqi_id last = dfqi_max_pool(g, x, &a);
        ck_assert_msg(last == DFQI_NONE, "attribute %d is taken", i);
        ck_assert_int_eq(dfqi_graph_status(g), DFQ_E_INVALID);
        ck_assert_msg(strstr(r.ctx->error, "must be"), "%s", r.ctx->error);
        dfqt_rig_fini(&r);
    }
}
END_TEST

START_TEST(test_names)
{
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqi_graph_input(r.g, "picture", 1, 1, DIMS(4)), y = dfqi_gelu(r.g, x);
    dfqi_graph_probe(r.g, y, "block.%d", 3);
    ck_assert_int_eq(dfqi_graph_find(r.g, "picture"), x);
    ck_assert_int_eq(dfqi_graph_find(r.g, "block.3"), y);
    ck_assert_int_eq(dfqi_graph_find(r.g, "block.4"), DFQI_NONE);
    dfqt_rig_fini(&r);
}
END_TEST

/* Costs of the products: two multiply-accumulates would be counted if gradients were. What a
 * network is sized by leaves out their gradients, packing and work on single elements. */
START_TEST(test_macs)
{
    rig r = dfqt_rig(1, 2, 1);
    dfqi_graph *g = r.g;
    dfqi_id x = X(4, 6), w = W(5, 6), y = dfqi_linear(g, "a", x, w, DFQI_NONE), d[2];
    double forward = 2 * 4 * 6 * 5, pack = dfqi_graph_macs(g) - forward;
    ck_assert(pack >= 0 && pack <= 6 * 64);
    ck_assert_int_eq(dfqi_graph_grad(g, 1, &y, &y, 2, (dfqi_id[]){x, w}, d), DFQ_OK);
    ck_assert(dfqi_graph_macs(g) == 3 * forward + pack);
    dfqi_id q = X(2, 4, 5), k = X(2, 6, 5);
    double before = dfqi_graph_macs(g);
    dfqi_matmul_nt(g, "qk", q, k);
    ck_assert(dfqi_graph_macs(g) - before == 2 * 2 * 4 * 6 * 5);
    before = dfqi_graph_macs(g);
    dfqi_conv(g, "conv", X(8, 6, 3), W(16, 3, 3, 3), DFQI_NONE, &(dfqi_conv_attr){2, 1, 1, 1, 0});
    ck_assert(dfqi_graph_macs(g) - before == 2 * 4 * 3 * 16 * 27 + 16 * 27);
    ck_assert(dfqi_graph_products(g) == forward + 2 * 2 * 4 * 6 * 5 + 2 * 4 * 3 * 16 * 27);
    before = dfqi_graph_products(g);
    dfqi_matmul_nn(g, "av", X(2, 4, 6), X(2, 6, 5));
    ck_assert(dfqi_graph_products(g) - before == 2 * 2 * 4 * 6 * 5);
    dfqi_add(g, dfqi_gelu(g, x), x);
    ck_assert(dfqi_graph_products(g) - before == 2 * 2 * 4 * 6 * 5);
    dfqt_rig_fini(&r);
}
END_TEST

TCase *dfqt_build_case(void)
{
    TCase *c = tcase_create("build");
    tcase_add_loop_test(c, test_mistake, 0, N_MISTAKES + N_IMAGE_MISTAKES);
    tcase_add_test(c, test_first_error_sticks);
    tcase_add_test(c, test_wrong_calls);
    tcase_add_test(c, test_wrong_attributes);
    tcase_add_test(c, test_names);
    tcase_add_test(c, test_macs);
    return c;
}
