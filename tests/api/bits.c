/* Tables of bit widths: their rows, files, and what quantization does by them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <dfq/dfq.h>

#include "api/cases.h"
#include "support/path.h"
#include "support/suite.h"

#define OK(call) ck_assert_int_eq(call, DFQ_OK)

static dfq_context *ctx;
static dfq_graph *net;
static char file[] = "/tmp/dfq_bits_XXXXXX";

static void setup(void)
{
    char path[512];
    OK(dfq_context_create(NULL, &ctx));
    ck_assert_ptr_nonnull(
        dfqt_path("DFQ_TEST_GOLDEN", "../../examples/figures_vit.safetensors", path, sizeof path));
    OK(dfq_graph_load(ctx, path, NULL, &net));
    int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    dfq_graph_release(net);
    dfq_context_release(ctx);
    unlink(file);
}

static dfq_bits_layer row(const dfq_bits *b, const char *name)
{
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++) {
        dfq_bits_layer l = {.struct_size = sizeof l};
        OK(dfq_bits_get_layer(b, i, &l));
        if (strcmp(l.name, name) == 0) return l;
    }
    ck_abort_msg("no layer %s", name);
    return (dfq_bits_layer){0};
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static dfq_graph *quantize(const dfq_bits *b)
{
    dfq_quantize_options o;
    dfq_graph *low;
    dfq_quantize_options_init(&o, sizeof o);
    o.drawn_images = 4;
    o.layers = dfq_bits_get_configs(b);
    o.n_layers = dfq_bits_get_count(b);
    OK(dfq_graph_quantize(net, NULL, &o, &low));
    return low;
}

/* Bits of a weight with its share of the grid of its group, a byte for 16 columns. */
static double stored(const dfq_bits_layer *l)
{
    return l->weight_bits + (l->weight_group && l->weight_bits <= 4 ? 0.5 : 0);
}

/* What a float network would get, weights and multiplications, and the means by hand. */
START_TEST(test_rows)
{
    dfq_bits *b;
    dfq_bits_means m = {.struct_size = sizeof m};
    double weights = 0, wsum = 0, macs = 0, asum = 0;
    OK(dfq_bits_create(net, NULL, &b));
    dfq_bits_layer fc1 = row(b, "blocks.0.mlp.fc1"), qk = row(b, "blocks.0.attn.qk");
    dfq_bits_layer head = row(b, "head"), patch = row(b, "patch_embed.proj");
    ck_assert(fc1.weight_bits == 4 && fc1.act_bits == 4 && fc1.weights > 0 && fc1.macs > 0);
    ck_assert(qk.weight_bits == 0 && qk.act_bits == 4 && qk.weights == 0 && qk.macs > 0);
    ck_assert(fc1.weight_group == 16 && qk.weight_group == 0 && patch.weight_group == 16);
    ck_assert(head.weight_bits == 8 && head.act_bits == 8 && patch.act_bits == 0);
    OK(dfq_bits_set_layer(b, "blocks.0.attn.qk", 0, 0)); /* float counts as 32 bits */
    for (int32_t i = 0; i < dfq_bits_get_count(b); i++) {
        dfq_bits_layer l = {.struct_size = sizeof l};
        OK(dfq_bits_get_layer(b, i, &l));
        int32_t a = strcmp(l.name, "blocks.0.attn.qk") == 0 ? 32 : l.act_bits;
        if (l.weight_bits) weights += (double)l.weights, wsum += (double)l.weights * stored(&l);
        if (a) macs += (double)l.macs, asum += (double)l.macs * a;
    }
    OK(dfq_bits_get_means(b, &m));
    ck_assert_double_eq_tol(m.weight_bits, wsum / weights, 1e-12);
    ck_assert_double_eq_tol(m.act_bits, asum / macs, 1e-12);
    dfq_bits_release(b);
}
END_TEST

/* A table goes through a file into a network, and comes out of it the same. */
START_TEST(test_round_trip)
{
    dfq_bits *b, *again, *of;
    dfq_quantizer_info q = {.struct_size = sizeof q};
    int32_t i;
    OK(dfq_bits_create(net, NULL, &b));
    OK(dfq_bits_set_layer(b, "blocks.1.mlp.fc2", 3, 7));
    OK(dfq_bits_set_layer(b, "blocks.0.attn.av", 0, 6));
    OK(dfq_bits_set_layer(b, "blocks.1.attn.proj", 0, 0));
    OK(dfq_bits_save(b, file));
    OK(dfq_bits_load(net, file, &again));
    dfq_graph *low = quantize(again);
    OK(dfq_graph_find_quantizer(low, "blocks.0.attn.av.b", &i));
    OK(dfq_graph_get_quantizer(low, i, &q));
    ck_assert_int_eq(q.bits, 6);
    OK(dfq_graph_find_quantizer(low, "blocks.1.mlp.fc2.weight", &i));
    OK(dfq_graph_get_quantizer(low, i, &q));
    ck_assert_int_eq(q.bits, 3);
    ck_assert_int_eq(dfq_graph_find_quantizer(low, "blocks.1.attn.proj.weight", &i), DFQ_E_INVALID);
    OK(dfq_bits_create(low, NULL, &of));
    ck_assert_int_eq(dfq_bits_get_count(of), dfq_bits_get_count(b));
    for (int32_t k = 0; k < dfq_bits_get_count(b); k++) {
        const dfq_layer_config *x = &dfq_bits_get_configs(b)[k], *y = &dfq_bits_get_configs(of)[k];
        ck_assert_str_eq(x->name, y->name);
        ck_assert_msg(x->weight_bits == y->weight_bits && x->act_bits == y->act_bits &&
                          x->skip == y->skip,
                      "%s", x->name);
    }
    dfq_quantize_options o;
    dfq_quantize_options_init(&o, sizeof o);
    dfq_bits *none = NULL;
    ck_assert_int_eq(dfq_bits_create(low, &o, &none), DFQ_E_INVALID);
    dfq_graph_release(low);
    dfq_bits_release(of);
    dfq_bits_release(again);
    dfq_bits_release(b);
}
END_TEST

/* A wrong file is one line that says what is wrong. */
START_TEST(test_wrong)
{
    static const struct {
        const char *text, *error;
    } files[] = {
        {"{\"network\": \"x\", \"layers\": {\"blocks.0.mlp.fc9\": {\"w\": 4, \"a\": 4}}}",
         "no layer \"blocks.0.mlp.fc9\" with quantizers; similar names: blocks.0.mlp.fc1"},
        {"{\"network\": \"other\", \"layers\": {\"head\": {\"w\": 4, \"a\": 4}}}",
         "is missing; the file is of other"},
        {"{\"network\": \"x\", \"layers\": {\"head\": {\"w\": 9, \"a\": 4}}}", "have 9 bits"},
        {"{\"network\": \"x\", \"layers\": {\"head\": {\"w\": 4, \"a\": 1}}}", "have 1 bits"},
        {"{\"network\": \"x\", \"layers\": {\"head\": {\"w\": 4}}}", "have 0 bits"},
        {"{\"network\": \"x\", \"layers\": {\"head\": {}}}", "has no bits"},
        {"{\"network\": \"x\", \"layers\": {\"head\": \"eight\"}}", "or \"float\""},
        {"{\"network\": \"x\", \"layers\": {\"blocks.0.attn.qk\": {\"w\": 4, \"a\": 4}}}",
         "no quantizer of weights"},
        {"{\"network\": \"x\", \"layers\": {\"head\": {\"w\": 4, \"a\": 4, \"b\": 1}}}", "b"},
        {"{\"layers\": {}}", "network"},
        {"[4]", "must be an object"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        dfq_bits *b = NULL;
        write_file(files[i].text);
        dfq_status status = dfq_bits_load(net, file, &b);
        const char *error = dfq_context_get_error(ctx);
        ck_assert_msg(status == DFQ_E_INVALID || status == DFQ_E_CORRUPT, "%zu: %d", i, status);
        ck_assert_ptr_null(b);
        ck_assert_msg(strstr(error, files[i].error) && strstr(error, file), "%zu: %s", i, error);
    }
    dfq_bits *b;
    OK(dfq_bits_create(net, NULL, &b));
    ck_assert_int_eq(dfq_bits_set_layer(b, "haed", 4, 4), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_bits_set_layer(b, "head", 4, 9), DFQ_E_INVALID);
    ck_assert_int_eq(row(b, "head").act_bits, 8);
    ck_assert_int_eq(dfq_bits_save(b, "/nothing/there"), DFQ_E_IO);
    ck_assert_int_eq(dfq_bits_get_count(NULL), 0);
    ck_assert_ptr_null(dfq_bits_get_configs(NULL));
    dfq_bits_release(NULL);
    dfq_bits_release(b);
}
END_TEST

TCase *dfqt_api_bits_case(void)
{
    TCase *t = tcase_create("bits");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_rows);
    tcase_add_test(t, test_round_trip);
    tcase_add_test(t, test_wrong);
    return t;
}
