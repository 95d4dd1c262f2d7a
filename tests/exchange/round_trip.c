/* What this library writes as ONNX it reads back. A ViT or Swin transformer is one again, of its
 * family. A convolutional network is a list of ops, and nothing else is lost: it has the same
 * quantizers and codes, the same units, and generator networks make the same images for it. */
#include <dfq/graph.h>
#include <dfq/synthesizer.h>
#include <math.h>
#include <string.h>

#include "exchange/cases.h"
#include "quant/cases.h"
#include "quant/evaluate.h"
#include "tune/units.h"

static const int families[] = {DFQI_FAMILY_VIT,         DFQT_VIT_HEADS,     DFQI_FAMILY_SWIN,
                               DFQI_FAMILY_MOBILENET,   DFQI_FAMILY_MBCONV, DFQI_FAMILY_RESNET,
                               DFQI_FAMILY_EFFICIENTNET};
enum { FAMILIES = sizeof families / sizeof families[0], FIRST_CNN = 3 };

static dfq_context *ctx;
static dfq_graph *one, *two; /* written, and read */

/* Values of norms that differ, so that one that is lost shows; variances are above 0. */
static void vary_norms(const dfqi_network *net)
{
    for (int32_t i = 0; i < net->n_params; i++) {
        float *v = dfqi_tensor_f32(net->params[i].tensor);
        const int64_t n = dfqi_tensor_count(net->params[i].tensor);
        for (int64_t k = 0; k < n && net->params[i].tensor->rank == 1; k++)
            v[k] += 0.01f * (float)((k * 7 + i * 3) % 20);
    }
}

/* What the file has rounded: sums of tokens and positions, biases times the scale of a softmax. */
static void clear_rounded(const dfqi_network *net)
{
    for (int32_t i = 0; i < net->n_params; i++) {
        const dfqi_param *p = &net->params[i];
        if (strcmp(p->name, "cls_token") == 0 || strstr(p->name, "relative_position_bias_table"))
            memset(p->tensor->data, 0, dfq_tensor_get_bytes(p->tensor));
    }
}

static void read_back(int family)
{
    dfq_tensor *bytes;
    dfqi_onnx_info info;
    const dfqi_st_target to = {.bytes = &bytes};
    ctx = dfqt_context(2);
    one = dfqt_family(ctx, family);
    if (dfqi_arch_is_cnn(&one->net.arch)) vary_norms(&one->net);
    clear_rounded(&one->net);
    ck_assert_int_eq(dfqi_onnx_write(one, &(dfqi_onnx_options){0}, &to, &info), DFQ_OK);
    ck_assert_msg(dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                             dfq_tensor_get_bytes(bytes), NULL, &two) == DFQ_OK,
                  "%s", ctx->error);
    dfq_tensor_release(bytes);
}

static void finish(void)
{
    dfq_graph_release(one);
    dfq_graph_release(two);
    dfq_context_release(ctx);
}

START_TEST(test_logits)
{
    read_back(families[_i]);
    const bool cnn = dfqi_arch_is_cnn(&one->net.arch);
    dfq_tensor *x = dfqt_family_images(one, 2), *a, *b;
    ck_assert_int_eq(two->net.arch.family, cnn ? DFQI_FAMILY_IMPORTED : one->net.arch.family);
    ck_assert_int_eq(dfqi_arch_is_cnn(&two->net.arch), cnn);
    ck_assert_int_eq(dfqi_arch_blocks(&two->net.arch), dfqi_arch_blocks(&one->net.arch));
    ck_assert_int_eq(dfqi_arch_norms(&two->net.arch), dfqi_arch_norms(&one->net.arch));
    ck_assert_int_eq(dfqi_arch_units(&two->net.arch), dfqi_arch_units(&one->net.arch));
    for (int64_t i = 0; i < dfqi_arch_blocks(&one->net.arch); i++) {
        dfqi_attention s, t;
        dfqi_arch_attention(&one->net.arch, i, &s);
        dfqi_arch_attention(&two->net.arch, i, &t);
        ck_assert_mem_eq(&s, &t, sizeof s);
    }
    ck_assert_int_eq(dfq_graph_forward(one, x, &a), DFQ_OK);
    ck_assert_int_eq(dfq_graph_forward(two, x, &b), DFQ_OK);
    dfqt_near(dfqi_tensor_f32(b), dfqi_tensor_f32(a), (int)dfqi_tensor_count(a), 1e-5);
    dfq_tensor_release(a);
    dfq_tensor_release(b);
    dfq_tensor_release(x);
    finish();
}
END_TEST

/* -- quantizers -------------------------------------------------------------------------------- */

static void check_same(const dfq_tensor *a, const dfq_tensor *b, const char *name)
{
    ck_assert_msg(!a == !b, "%s", name);
    if (!a) return;
    ck_assert_msg(dfqi_tensor_count(a) == dfqi_tensor_count(b), "%s", name);
    ck_assert_msg(memcmp(a->data, b->data, dfq_tensor_get_bytes(a)) == 0, "%s", name);
}

static void check_site(const dfqi_site *s, const dfqi_site *t)
{
    ck_assert_str_eq(s->name, t->name);
    ck_assert_int_eq(s->kind, t->kind);
    ck_assert_int_eq(s->bits, t->bits);
    ck_assert_int_eq(s->heads, t->heads);
    ck_assert_int_eq(s->group, t->group);
    ck_assert_int_eq(s->input, t->input);
    check_same(s->scale, t->scale, s->name);
    check_same(s->zero_point, t->zero_point, s->name);
    check_same(s->groups, t->groups, s->name);
}

/* To the last bit: quantizers, the weights that rounding chose, and the logits. */
START_TEST(test_quantized)
{
    read_back(families[_i]);
    dfq_graph *a = dfqt_family_low(one), *b = dfqt_family_low(two);
    dfq_tensor *x = dfqt_family_images(one, 2), *y, *z;
    ck_assert_int_eq(a->scheme.n_sites, b->scheme.n_sites);
    for (int32_t i = 0; i < a->scheme.n_sites; i++)
        check_site(&a->scheme.sites[i], &b->scheme.sites[i]);
    for (int32_t i = 0; i < a->net.n_params; i++) {
        const dfqi_param *p = &a->net.params[i];
        check_same(p->tensor, dfqi_network_find(&b->net, p->name), p->name);
    }
    ck_assert_int_eq(dfq_graph_forward(a, x, &y), DFQ_OK);
    ck_assert_int_eq(dfq_graph_forward(b, x, &z), DFQ_OK);
    check_same(y, z, "logits");
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_tensor_release(z);
    dfq_graph_release(a);
    dfq_graph_release(b);
    finish();
}
END_TEST

/* -- convolutional networks -------------------------------------------------------------------- */

static dfq_tensor *generate(const dfq_graph *g, int32_t kind)
{
    dfq_synthesizer_options o;
    dfq_synthesizer *s;
    dfq_tensor *images;
    dfq_synthesizer_options_init(&o, sizeof o, kind, DFQ_MODE_IMPROVED, g);
    o.images = o.batch = 4;
    o.iterations = 2;
    ck_assert_msg(dfq_synthesizer_create(g, &o, &s) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfq_synthesizer_run(s) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfq_synthesizer_get_images(s, &images), DFQ_OK);
    dfq_synthesizer_release(s);
    return images;
}

/* Images that are trained through the network's norms and classes, by pixels and by each of the
 * generators, whose shape depends on what the network's units are. */
START_TEST(test_generators)
{
    static const int32_t kinds[] = {DFQ_SYNTHESIZER_BNS, DFQ_SYNTHESIZER_GDFQ,
                                    DFQ_SYNTHESIZER_QIMERA, DFQ_SYNTHESIZER_ARC};
    read_back(_i ? DFQI_FAMILY_EFFICIENTNET : DFQI_FAMILY_RESNET);
    for (int k = 0; k < 4; k++) {
        dfq_tensor *a = generate(one, kinds[k]), *b = generate(two, kinds[k]);
        check_same(a, b, "images");
        dfq_tensor_release(a);
        dfq_tensor_release(b);
    }
    finish();
}
END_TEST

static int32_t count_units(const dfq_graph *g)
{
    dfqi_pass_ends ends;
    dfqi_graph *pass;
    dfqi_taps taps = {0};
    dfqi_unit *units;
    int32_t n;
    ck_assert_int_eq(dfqi_model_graph(g, 1, &pass, &ends.x, &taps), DFQ_OK);
    ends.g = pass;
    ends.logits = taps.logits;
    ck_assert_int_eq(dfqi_units_find(&ends, &ends, 2, &units, &n), DFQ_OK);
    dfqi_free(ctx, units);
    dfqi_graph_free(pass);
    return n;
}

/* What reconstruction goes by, and the work of a pass. */
START_TEST(test_units)
{
    double a, b;
    read_back(families[FIRST_CNN + _i]);
    ck_assert_int_gt(count_units(one), 2);
    ck_assert_int_eq(count_units(two), count_units(one));
    ck_assert_int_eq(dfqi_network_macs(&one->net, &a), DFQ_OK);
    ck_assert_int_eq(dfqi_network_macs(&two->net, &b), DFQ_OK);
    ck_assert_double_eq(a, b);
    finish();
}
END_TEST

TCase *dfqt_round_trip_case(void)
{
    TCase *c = tcase_create("round trip");
    tcase_add_loop_test(c, test_logits, 0, FAMILIES);
    tcase_add_loop_test(c, test_quantized, 0, FAMILIES);
    tcase_add_loop_test(c, test_generators, 0, 2);
    tcase_add_loop_test(c, test_units, 0, FAMILIES - FIRST_CNN);
    return c;
}
