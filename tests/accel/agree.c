/* One number of multiply-accumulates for a network, whoever tells it: the network itself (info), its
 * layers and their sum (cost), and the supernet it was derived from (explore). */
#include <string.h>

#include "accel/cases.h"
#include "accel/table.h"
#include "nn/supernet.h"

static const dfqi_arch vit = {
    .image = 16,
    .channels = 3,
    .classes = 5,
    .vit = {.patch = 4, .width = 24, .depth = 2, .heads = 3, .hidden = 40},
    .eps = 1e-6f,
    .name = "vit"};

static const dfqi_arch resnet = {
    .family = DFQI_FAMILY_RESNET,
    .image = 32,
    .channels = 3,
    .classes = 10,
    .cnn = {.keys = DFQI_KEYS_AKAMASTER, .width = 16, .units = {1, 2, 1}, .small = 1, .padded = 1},
    .eps = 1e-5f,
    .name = "resnet"};

/* With a projected shortcut, and the largest of windows behind the stem. */
static const dfqi_arch bottlenecks = {
    .family = DFQI_FAMILY_RESNET,
    .image = 64,
    .channels = 3,
    .classes = 10,
    .cnn = {.keys = DFQI_KEYS_TORCHVISION, .width = 16, .units = {1, 1, 1, 1}, .bottleneck = 1},
    .eps = 1e-5f,
    .name = "bottlenecks"};

static const dfqi_arch mobilenet = {.family = DFQI_FAMILY_MOBILENET,
                                    .image = 32,
                                    .channels = 3,
                                    .classes = 10,
                                    .cnn = {.keys = DFQI_KEYS_TORCHVISION},
                                    .eps = 1e-5f,
                                    .name = "mobilenet"};

static const int32_t cells[] = {0, 6, 3, 5, 1, 2, 4, 6, 0}, stages[] = {11, 24, 3};

static const struct {
    const dfqi_arch *arch; /* NULL: derived from */
    const dfqi_super_space *space;
    const int32_t *path;
    bool quantized; /* what is made of stages has no quantizers */
} nets[] = {{&vit, NULL, NULL, false},
            {&vit, NULL, NULL, true},
            {&resnet, NULL, NULL, false},
            {&resnet, NULL, NULL, true},
            {&bottlenecks, NULL, NULL, false},
            {&bottlenecks, NULL, NULL, true},
            {&mobilenet, NULL, NULL, false},
            {&mobilenet, NULL, NULL, true},
            {NULL, &dfqi_super_cifar_small, cells, false},
            {NULL, &dfqi_super_cifar_small, cells, true},
            {NULL, &dfqi_super_vit_small, stages, false}};
enum { NETS = sizeof nets / sizeof *nets };

static dfqi_model *make(dfq_context *ctx, int i)
{
    dfqi_arch a;
    dfqi_network net;
    dfqi_scheme s;
    dfqi_model *m = NULL;
    if (nets[i].arch)
        a = *nets[i].arch;
    else
        dfqi_arch_derive(nets[i].space, nets[i].path, &a);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    if (nets[i].quantized)
        ck_assert_int_eq(dfqi_scheme_new(&net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, &s),
                         DFQ_OK);
    ck_assert_int_eq(dfqi_model_new(&net, nets[i].quantized ? &s : NULL, &m), DFQ_OK);
    return m;
}

static double macs_of_report(const dfqi_model *m)
{
    dfqi_space s;
    dfqi_template t;
    dfqi_report r;
    double macs = 0;
    ck_assert_int_eq(dfqi_space_load(m->ctx, "eyeriss-16x16", &s), DFQ_OK);
    dfqi_space_config(&s, 0, &t);
    ck_assert_msg(dfqi_report_new(m, &t, (dfqi_layer_bits){0}, &r) == DFQ_OK, "%s", m->ctx->error);
    for (int32_t i = 0; i < r.list.n_layers; i++)
        macs += dfqi_layer_macs(&r.list.shapes[r.list.layers[i].shape]);
    ck_assert_double_eq(macs, r.total.macs);
    dfqi_report_fini(&r);
    return macs;
}

START_TEST(test_one_number)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = make(ctx, _i);
    double macs, derived;
    ck_assert_int_eq(dfqi_network_macs(&m->net, &macs), DFQ_OK);
    ck_assert_double_gt(macs, 100000);
    ck_assert_double_eq(macs_of_report(m), macs);
    if (nets[_i].space) {
        dfqi_supernet net;
        ck_assert_int_eq(dfqi_supernet_new(ctx, nets[_i].space, NULL, 1, &net), DFQ_OK);
        ck_assert_int_eq(dfqi_supernet_macs(&net, nets[_i].path, &derived), DFQ_OK);
        ck_assert_double_eq(derived, macs);
        dfqi_supernet_fini(&net);
    }
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_agree_case(void)
{
    TCase *c = tcase_create("agree");
    tcase_add_loop_test(c, test_one_number, 0, NETS);
    return c;
}
