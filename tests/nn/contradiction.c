/* Names of architectures that the tensors contradict are refused, their own names are not. */
#include <string.h>

#include "nn/cases.h"
#include "nn/family.h"
#include "nn/support.h"
#include "support/suite.h"

enum net {
    TINY,
    DISTILLED,
    OLD_SMALL, /* metadata tell its 8 heads */
    SWIN_S,
    RESNET50,
    RESNET50_D,
    WIDE,
    NEXT,
    CIFAR20,
    MOBILE_V2,
    B0,
    V3_LARGE
};

static dfqi_arch vit_of(enum net net)
{
    dfqi_arch a = net == OLD_SMALL ? dfqt_arch(224, 16, 768, 8, 8) : dfqt_arch(224, 16, 192, 12, 3);
    a.source[DFQI_PROP_HEADS] = net == OLD_SMALL ? DFQ_SOURCE_METADATA : DFQ_SOURCE_ASSUMED;
    if (net == DISTILLED) a.of.vit.pooling = DFQI_VIT_TOKEN_DISTILLED;
    return a;
}

static dfqi_arch resnet_of(enum net net)
{
    dfqi_arch a = {.family = DFQI_FAMILY_RESNET};
    dfqi_cnn_arch *c = &a.of.cnn;
    if (net == CIFAR20) {
        *c = (dfqi_cnn_arch){.width = 16, .units = {3, 3, 3}, .small = 1};
        return a;
    }
    *c = (dfqi_cnn_arch){.width = 64, .units = {3, 4, 6, 3}, .bottleneck = 1};
    if (net == RESNET50_D) c->deep[0] = c->deep[1] = 32, c->averaged = 1;
    if (net == WIDE || net == NEXT) c->inner = 128;
    if (net == NEXT) c->groups = 32;
    return a;
}

static dfqi_arch inverted_of(enum net net)
{
    static const int8_t units[DFQI_INVERTED_STAGES] = {1, 2, 2, 3, 3, 4, 1};
    static const int16_t out[DFQI_INVERTED_STAGES] = {16, 24, 40, 80, 112, 192, 320};
    dfqi_arch a = {.family = DFQI_FAMILY_EFFICIENTNET};
    dfqi_inverted_arch *c = &a.of.inverted;
    c->stem = 32;
    for (int8_t s = 0; s < DFQI_INVERTED_STAGES; s++)
        for (int8_t u = 0; u < units[s]; u++)
            c->blocks[c->n_blocks++] = (dfqi_inverted_block){.out = out[s], .stage = s};
    if (net == V3_LARGE) {
        c->form = DFQI_INVERTED_MOBILENETV3_LARGE;
        c->blocks[c->n_blocks - 1].out = 160;
    }
    return a;
}

static dfqi_arch arch_of(enum net net)
{
    if (net <= OLD_SMALL) return vit_of(net);
    if (net == SWIN_S)
        return (dfqi_arch){.family = DFQI_FAMILY_SWIN,
                           .of.swin = {.patch = 4,
                                       .width = 96,
                                       .stages = 4,
                                       .depth = {2, 2, 18, 2},
                                       .heads = {3, 6, 12, 24},
                                       .window = {{7, 7}, {7, 7}, {7, 7}, {7, 7}}}};
    if (net <= CIFAR20) return resnet_of(net);
    if (net == MOBILE_V2) return (dfqi_arch){.family = DFQI_FAMILY_MOBILENET};
    return inverted_of(net);
}

static const struct row {
    enum net net;
    const char *name, *says, *has; /* says NULL: nothing is wrong */
} rows[] = {
    {TINY, "vit_tiny_patch16_224", NULL, NULL},
    {TINY, "deit-tiny-patch16-224", NULL, NULL},
    {TINY, "vit_tiny_patch16_384.augreg", NULL, NULL},
    {TINY, "vit_mine", NULL, NULL},
    {TINY, "deit_small_patch16_224", "(width: 384)", "(width: 192)"},
    {TINY, "vit-small-patch16-224", "(width: 384)", "(width: 192)"},
    {TINY, "vit_b_16", "(width: 768)", "(width: 192)"},
    {TINY, "vit_tiny_patch32_224", "(patch: 32)", "(patch: 16)"},
    {TINY, "deit_tiny_distilled_patch16_224", "(classifiers: 2)", "(classifiers: 1)"},
    {DISTILLED, "deit_tiny_distilled_patch16_224", NULL, NULL},
    {DISTILLED, "deit_tiny_patch16_224", "(classifiers: 1)", "(classifiers: 2)"},
    {OLD_SMALL, "vit_small_patch16_224", NULL, NULL},
    {OLD_SMALL, "vit_base_patch16_224", "(blocks: 12)", "(blocks: 8)"},
    {SWIN_S, "swin_s", NULL, NULL},
    {SWIN_S, "swin-small-patch4-window7-224", NULL, NULL},
    {SWIN_S, "swin_small", NULL, NULL},
    {SWIN_S, "swin_t", "(depth: 2,2,6,2)", "(depth: 2,2,18,2)"},
    {SWIN_S, "swin_tiny_patch4_window7_224", "(depth: 2,2,6,2)", "(depth: 2,2,18,2)"},
    {SWIN_S, "swin_base_patch4_window7_224", "(width: 128)", "(width: 96)"},
    {SWIN_S, "swin_small_patch4_window12_384", "(window: 12)", "(window: 7)"},
    {SWIN_S, "swinv2_small_window8_256", "(version: 2)", "(version: 1)"},
    {RESNET50, "resnet50.tv_in1k", NULL, NULL},
    {RESNET50, "resnet50b", NULL, NULL},
    {RESNET50, "resnet_mine", NULL, NULL},
    {RESNET50, "resnet101", "(layers: 101)", "(layers: 50)"},
    {RESNET50, "resnet50d", "(stem: three of 3x3)", "(stem: 7x7)"},
    {RESNET50, "wide_resnet50_2", "(inner channels: 128)", "(inner channels: 64)"},
    {RESNET50, "resnext50_32x4d", "(groups: 32)", "(groups: 1)"},
    {RESNET50, "resnet50_wd2", "(channels of the stem: 32)", "(channels of the stem: 64)"},
    {RESNET50_D, "resnet50d", NULL, NULL},
    {RESNET50_D, "resnet50", "(stem: 7x7)", "(stem: three of 3x3)"},
    {WIDE, "wide_resnet50_2", NULL, NULL},
    {WIDE, "resnet50", "(inner channels: 64)", "(inner channels: 128)"},
    {NEXT, "resnext50_32x4d", NULL, NULL},
    {NEXT, "resnext50_32x8d", "(channels of a group: 8)", "(channels of a group: 4)"},
    {NEXT, "resnet50", "(groups: 1)", "(groups: 32)"},
    {CIFAR20, "resnet20_cifar10", NULL, NULL},
    {CIFAR20, "resnet56", "(layers: 56)", "(layers: 20)"},
    {CIFAR20, "resnet20_wd2", "(channels of the stem: 8)", "(channels of the stem: 16)"},
    {MOBILE_V2, "mobilenet_v2", NULL, NULL},
    {MOBILE_V2, "mobilenetv2_w1", NULL, NULL},
    {MOBILE_V2, "mobilenetv2_w3d4", "channels: 75)", "channels: 100)"},
    {MOBILE_V2, "mobilenet_v3_large", "(version: 3)", "(version: 2)"},
    {B0, "tf_efficientnet_b0.ns_jft_in1k", NULL, NULL},
    {B0, "efficientnet-b0", NULL, NULL},
    {B0, "efficientnet", NULL, NULL},
    {B0, "efficientnet_b3", "(network: efficientnet_b3)", "(network: efficientnet_b0)"},
    {B0, "tf_efficientnet_lite0", "(network: efficientnet_lite0)", "(network: efficientnet_b0)"},
    {B0, "efficientnet_b1_pruned", "_pruned)", "(network: efficientnet_b0)"},
    {B0, "tinynet_a", "(network: tinynet_a)", "(network: efficientnet_b0)"},
    {V3_LARGE, "mobilenet_v3_large", NULL, NULL},
    {V3_LARGE, "mobilenetv3_large_100.ra_in1k", NULL, NULL},
    {V3_LARGE, "mobilenetv3_large_075", "(channels behind the blocks: 120)", "blocks: 160)"},
    {V3_LARGE, "mobilenetv3_small_100", "(network: mobilenetv3_small_100)", "v3_large)"},
};

START_TEST(test_names)
{
    const struct row *r = &rows[_i];
    dfq_context *ctx = dfqt_context(1);
    const dfqi_arch a = arch_of(r->net);
    const dfq_status status = dfqi_name_check(ctx, "some.file", r->name, &a);
    ck_assert_msg(status == (r->says ? DFQ_E_INVALID : DFQ_OK), "%s: %d, %s", r->name, status,
                  ctx->error);
    if (r->says)
        ck_assert_msg(strstr(ctx->error, "some.file: the option arch is") &&
                          strstr(ctx->error, r->name) && strstr(ctx->error, r->says) &&
                          strstr(strstr(ctx->error, r->says), r->has),
                      "expected %s, %s in: %s", r->says, r->has, ctx->error);
    dfq_context_release(ctx);
}
END_TEST

/* Heads that metadata tell are what a name of the same width and depth must have. */
START_TEST(test_heads)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_arch(224, 16, 192, 12, 4);
    a.source[DFQI_PROP_HEADS] = DFQ_SOURCE_OPTION;
    ck_assert_int_eq(dfqi_name_check(ctx, "f", "vit_tiny_patch16_224", &a), DFQ_OK);
    a.source[DFQI_PROP_HEADS] = DFQ_SOURCE_METADATA;
    ck_assert_int_eq(dfqi_name_check(ctx, "f", "vit_tiny_patch16_224", &a), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "(heads: 3)"));
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_contradiction_case(void)
{
    TCase *t = tcase_create("contradiction");
    tcase_add_loop_test(t, test_names, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(t, test_heads);
    return t;
}
