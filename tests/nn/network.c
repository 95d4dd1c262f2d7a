/* Architectures and networks as containers: counts, names, copies. */
#include "nn/cases.h"
#include "nn/support.h"
#include "nn/vit.h"
#include "support/fail_alloc.h"
#include "support/each.h"

#include <math.h>
#include <string.h>

/* timm's models and their published parameter counts. */
static const struct size {
    int64_t width, heads, values;
} sizes[] = {{192, 3, 5717416}, {384, 6, 22050664}, {768, 12, 86567656}};

START_TEST(test_totals)
{
    enum { PARAMS = 152 };
    dfqi_arch a = dfqt_arch(224, 16, sizes[_i].width, 12, sizes[_i].heads);
    dfqi_expect e[PARAMS];
    int64_t sum = 0;
    a.classes = 1000;
    a.of.vit.hidden = 4 * a.of.vit.width;
    ck_assert_int_eq(dfqi_vit_count(&a), PARAMS);
    dfqi_vit_expect(&a, e);
    for (int32_t i = 0; i < PARAMS; i++) {
        int64_t n = 1;
        for (int32_t k = 0; k < e[i].rank; k++) n *= e[i].dims[k];
        sum += n;
    }
    ck_assert_int_eq(sum, sizes[_i].values);
}
END_TEST

/* Published counts of convolutional networks, without running statistics, and the number of their
 * BatchNorms. */
static const struct cnn_size {
    dfqi_keys keys;
    int32_t small, bottleneck, units[DFQI_STAGES]; /* no units: MobileNetV2 */
    int64_t classes, values;
    int32_t norms;
} cnn_sizes[] = {
    {DFQI_KEYS_AKAMASTER, 1, 0, {3, 3, 3}, 10, 269722, 19},
    {DFQI_KEYS_AKAMASTER, 1, 0, {5, 5, 5}, 10, 464154, 31},
    {DFQI_KEYS_AKAMASTER, 1, 0, {7, 7, 7}, 10, 658586, 43},
    {DFQI_KEYS_AKAMASTER, 1, 0, {9, 9, 9}, 10, 853018, 55},
    {DFQI_KEYS_PYTORCHCV, 1, 0, {3, 3, 3}, 10, 272474, 21},
    {DFQI_KEYS_PYTORCHCV, 1, 0, {3, 3, 3}, 100, 278324, 21},
    {DFQI_KEYS_PYTORCHCV, 0, 0, {2, 2, 2, 2}, 1000, 11689512, 20},
    {DFQI_KEYS_TORCHVISION, 0, 0, {3, 4, 6, 3}, 1000, 21797672, 36},
    {DFQI_KEYS_TORCHVISION, 0, 1, {3, 4, 6, 3}, 1000, 25557032, 53},
    {DFQI_KEYS_PYTORCHCV, 0, 0, {0}, 1000, 3504960, 53},
    {DFQI_KEYS_TORCHVISION, 0, 0, {0}, 1000, 3504872, 52},
};

START_TEST(test_cnn_totals)
{
    const struct cnn_size *c = &cnn_sizes[_i];
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a =
        c->units[0] ? dfqt_resnet(c->keys, c->small ? 16 : 64, 0, 0) : dfqt_mobilenet(c->keys);
    dfqi_network net;
    int32_t fixed = 0;
    memcpy(a.of.cnn.units, c->units, sizeof a.of.cnn.units);
    a.of.cnn.small = c->small;
    a.of.cnn.bottleneck = c->bottleneck;
    a.classes = c->classes;
    ck_assert_int_eq(dfqi_arch_norms(&a), c->norms);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_network_values(&net), c->values);
    for (int32_t i = 0; i < net.n_params; i++) {
        fixed += net.params[i].fixed;
        ck_assert_int_eq(net.params[i].fixed, strstr(net.params[i].name, ".running_") != NULL);
        for (int32_t k = 0; k < i; k++)
            dfqt_each(strcmp(net.params[k].name, net.params[i].name) != 0, "two parameters %s",
                      net.params[i].name);
    }
    ck_assert_int_eq(fixed, 2 * c->norms);
    dfqi_network_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_new_and_clone)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_arch(16, 4, 24, 2, 3);
    dfqi_network net, copy;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    dfq_tensor *w = dfqi_network_find(&net, "blocks.1.attn.qkv.weight");
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(w->dims[0], 72);
    ck_assert_int_eq(w->dims[1], 24);
    ck_assert_ptr_null(dfqi_network_find(&net, "blocks.2.norm1.weight"));
    dfqi_tensor_f32(w)[5] = 7;
    ck_assert_int_eq(dfqi_network_clone(&net, &copy), DFQ_OK);
    dfqi_tensor_f32(w)[5] = 8;
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&copy, "blocks.1.attn.qkv.weight"))[5] == 7);
    ck_assert_int_eq(dfqi_network_values(&net), dfqi_network_values(&copy));
    dfqi_network_fini(&net);
    dfqi_network_fini(&copy);
    dfqi_network_fini(&copy);
    dfq_context_release(ctx);
}
END_TEST

/* ViT-Tiny's 1.26 billion, all 197 tokens in all layers; the short cut of the last block (5 %) does
 * not count. */
START_TEST(test_macs)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_arch(224, 16, 192, 12, 3);
    dfqi_network net;
    double macs, tokens = 197, width = 192, products = 196 * 768 * width + width * 1000;
    a.classes = 1000;
    a.of.vit.hidden = 4 * a.of.vit.width;
    products += 12 * (12 * tokens * width * width + 2 * tokens * tokens * width);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_network_macs(&net, &macs), DFQ_OK);
    ck_assert_double_eq(macs, products);
    dfqi_network_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

/* He's deviation, statistics that change nothing, and the same bits for the same seed. */
START_TEST(test_init)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_resnet(DFQI_KEYS_TORCHVISION, 16, 4, 1);
    dfqi_network net, again;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &again), DFQ_OK);
    dfqi_network_init(&net, 7);
    dfqi_network_init(&again, 7);
    ck_assert_uint_eq(dfqi_network_hash(&net), dfqi_network_hash(&again));
    dfqi_network_init(&again, 8);
    ck_assert_uint_ne(dfqi_network_hash(&net), dfqi_network_hash(&again));
    const dfq_tensor *w = dfqi_network_find(&net, "layer4.0.conv2.weight");
    const float *v = dfqi_tensor_f32(w);
    int64_t n = dfqi_tensor_count(w), k = n / w->dims[0];
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)v[i], square += (double)v[i] * (double)v[i];
    ck_assert_double_le(fabs(sum / (double)n), 1e-3);
    ck_assert_double_le(fabs(square / (double)n * (double)k / 2 - 1), 0.02);
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&net, "bn1.running_var"))[3] == 1);
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&net, "bn1.weight"))[3] == 1);
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&net, "bn1.running_mean"))[3] == 0);
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&net, "fc.bias"))[3] == 0);
    dfqi_network_fini(&net);
    dfqi_network_fini(&again);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status make_clone_describe(dfq_context *ctx, void *arg)
{
    dfqi_network net, copy;
    dfqi_st_meta meta[DFQI_ARCH_META];
    int64_t n;
    dfqi_arena arena;
    dfqi_arena_init(&arena, ctx);
    DFQI_TRY(dfqi_network_new(ctx, arg, &net));
    double macs;
    dfq_status status = dfqi_network_clone(&net, &copy);
    if (status == DFQ_OK) dfqi_network_fini(&copy);
    if (status == DFQ_OK) status = dfqi_network_macs(&net, &macs);
    if (status == DFQ_OK) status = dfqi_arch_meta(arg, &arena, meta, &n);
    dfqi_network_fini(&net);
    dfqi_arena_fini(&arena);
    return status;
}

START_TEST(test_refused_allocations)
{
    dfqi_arch a = _i ? dfqt_resnet(DFQI_KEYS_PYTORCHCV, 4, 2, 1) : dfqt_arch(16, 4, 24, 2, 3);
    fail_alloc_sweep(make_clone_describe, &a, 1);
}
END_TEST

TCase *dfqt_network_case(void)
{
    TCase *c = tcase_create("network");
    tcase_add_loop_test(c, test_totals, 0, sizeof sizes / sizeof sizes[0]);
    tcase_add_loop_test(c, test_cnn_totals, 0, sizeof cnn_sizes / sizeof cnn_sizes[0]);
    tcase_add_test(c, test_new_and_clone);
    tcase_add_test(c, test_init);
    tcase_add_test(c, test_macs);
    tcase_add_loop_test(c, test_refused_allocations, 0, 2);
    return c;
}
