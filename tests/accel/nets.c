/* A network of each family, float and with quantizers. */
#include "accel/nets.h"

#include <check.h>

static const dfqi_arch vit = {
    .image = {16, 16},
    .channels = 3,
    .classes = 5,
    .of.vit = {.patch = 4, .width = 24, .depth = 2, .heads = 3, .hidden = 40},
    .eps = 1e-6f,
    .name = "vit"};

/* Rows are several groups. */
static const dfqi_arch wide_vit = {
    .image = {16, 16},
    .channels = 3,
    .classes = 5,
    .of.vit = {.patch = 4, .width = 64, .depth = 1, .heads = 2, .hidden = 128},
    .eps = 1e-6f,
    .name = "wide vit"};

static const dfqi_arch resnet = {.family = DFQI_FAMILY_RESNET,
                                 .image = {32, 32},
                                 .channels = 3,
                                 .classes = 10,
                                 .of.cnn = {.keys = DFQI_KEYS_AKAMASTER,
                                            .width = 16,
                                            .units = {1, 2, 1},
                                            .small = 1,
                                            .padded = 1},
                                 .eps = 1e-5f,
                                 .name = "resnet"};

/* With a projected shortcut, and the largest of windows behind the stem. */
static const dfqi_arch bottlenecks = {
    .family = DFQI_FAMILY_RESNET,
    .image = {64, 64},
    .channels = 3,
    .classes = 10,
    .of.cnn = {.keys = DFQI_KEYS_TORCHVISION, .width = 16, .units = {1, 1, 1, 1}, .bottleneck = 1},
    .eps = 1e-5f,
    .name = "bottlenecks"};

static const dfqi_arch mobilenet = {.family = DFQI_FAMILY_MOBILENET,
                                    .image = {32, 32},
                                    .channels = 3,
                                    .classes = 10,
                                    .of.cnn = {.keys = DFQI_KEYS_TORCHVISION},
                                    .eps = 1e-5f,
                                    .name = "mobilenet"};

static const int32_t cells[] = {0, 6, 3, 5, 1, 2, 4, 6, 0}, stages[] = {11, 24, 3};

const dfqt_net_row dfqt_nets[DFQT_NETS] = {{&vit, NULL, NULL, false},
                                           {&vit, NULL, NULL, true},
                                           {&resnet, NULL, NULL, false},
                                           {&resnet, NULL, NULL, true},
                                           {&bottlenecks, NULL, NULL, false},
                                           {&bottlenecks, NULL, NULL, true},
                                           {&mobilenet, NULL, NULL, false},
                                           {&mobilenet, NULL, NULL, true},
                                           {NULL, &dfqi_super_cifar_small, cells, false},
                                           {NULL, &dfqi_super_cifar_small, cells, true},
                                           {NULL, &dfqi_super_vit_small, stages, false},
                                           [DFQT_WIDE_VIT] = {&wide_vit, NULL, NULL, true}};

dfqi_model *dfqt_net(dfq_context *ctx, int i)
{
    dfqi_arch a;
    dfqi_network net;
    dfqi_scheme s;
    dfqi_model *m = NULL;
    if (dfqt_nets[i].arch)
        a = *dfqt_nets[i].arch;
    else
        dfqi_arch_derive(dfqt_nets[i].space, dfqt_nets[i].path, &a);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    if (dfqt_nets[i].quantized)
        ck_assert_int_eq(dfqi_scheme_new(&net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, &s),
                         DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&net, dfqt_nets[i].quantized ? &s : NULL, &m), DFQ_OK);
    return m;
}
