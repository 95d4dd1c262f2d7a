/* Layers with widths of their own, by the public interface and on real networks: what is asked for
 * is what the layers have, what the file says, what an accelerator is charged for, and what is
 * tuned. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"
#include "support/path.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

static dfq_context *ctx;
static char file[] = "/tmp/dfq-layer-config-XXXXXX";

static void setup(void)
{
    strcpy(file + sizeof file - 7, "XXXXXX");
    int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
}

static void teardown(void)
{
    dfq_context_release(ctx);
    unlink(file);
}

static dfq_graph *embedded(void)
{
    char path[512];
    dfq_graph *g;
    ck_assert_ptr_nonnull(
        dfqt_path("DFQ_TEST_GOLDEN", "../../examples/figures_vit.safetensors", path, sizeof path));
    OK(dfq_graph_load(ctx, path, NULL, &g));
    return g;
}

static dfq_tensor *noise(const dfq_graph *g, int64_t n)
{
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_tensor *t;
    uint32_t state = 5;
    OK(dfq_graph_get_info(g, &info));
    OK(dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, (int64_t[]){n, 3, info.image, info.image}, &t));
    float *x = dfq_tensor_get_data(t);
    for (size_t i = 0; i < dfq_tensor_get_bytes(t) / sizeof *x; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / (float)(1 << 23) - 1;
    }
    return t;
}

static dfq_layer_config config(const char *name, int32_t weight_bits, int32_t act_bits)
{
    return (dfq_layer_config){.struct_size = sizeof(dfq_layer_config),
                              .weight_bits = weight_bits,
                              .act_bits = act_bits,
                              .skip = weight_bits == 0 && act_bits == 0,
                              .name = name};
}

static dfq_graph *quantize(const dfq_graph *g, const dfq_tensor *images, int32_t mode,
                           const dfq_layer_config *layers, int32_t n)
{
    dfq_quantize_options o;
    dfq_graph *low;
    dfq_quantize_options_init(&o, sizeof o);
    o.act_scale = DFQ_ACT_SCALE_TENSOR; /* with scales of rows the head has 8 bits */
    o.mode = mode;
    o.layers = layers;
    o.n_layers = n;
    OK(dfq_graph_quantize(g, images, &o, &low));
    return low;
}

/* Widths of a layer's weight and input as the graph tells them; 32: float. */
static void check_layer(const dfq_graph *g, const char *name, int32_t weight, int32_t input)
{
    int32_t n;
    OK(dfq_graph_get_layer_count(g, &n));
    for (int32_t i = 0; i < n; i++) {
        dfq_layer_info l = {.struct_size = sizeof l};
        OK(dfq_graph_get_layer(g, i, &l));
        if (strcmp(l.name, name) != 0) continue;
        ck_assert_msg(l.weight_bits == weight && l.input_bits == input, "%s: w%da%d", name,
                      (int)l.weight_bits, (int)l.input_bits);
        return;
    }
    ck_abort_msg("no layer %s", name);
}

static double energy(const dfq_graph *g)
{
    dfq_accelerator *a;
    dfq_cost *c;
    dfq_cost_info total = {.struct_size = sizeof total};
    OK(dfq_accelerator_load(ctx, "eyeriss-16x16", &a));
    OK(dfq_cost_create(a, g, NULL, &c));
    OK(dfq_cost_get_total(c, &total));
    dfq_cost_release(c);
    dfq_accelerator_release(a);
    return total.total_pj;
}

static void check_reload(const dfq_graph *low, const dfq_tensor *images, const char *text)
{
    dfq_graph *again;
    dfq_tensor *z[2];
    OK(dfq_graph_save(low, file, 0));
    OK(dfq_graph_load(ctx, file, NULL, &again));
    ck_assert_str_eq(dfq_graph_get_layer_config(low), text);
    ck_assert_str_eq(dfq_graph_get_layer_config(again), text);
    OK(dfq_graph_forward(low, images, &z[0]));
    OK(dfq_graph_forward(again, images, &z[1]));
    ck_assert_mem_eq(dfq_tensor_get_data(z[0]), dfq_tensor_get_data(z[1]),
                     dfq_tensor_get_bytes(z[0]));
    dfq_tensor_release(z[0]);
    dfq_tensor_release(z[1]);
    dfq_graph_release(again);
}

/* A real transformer with one layer at 8 bits and one that stays float. */
START_TEST(test_vit)
{
    dfq_graph *g = embedded(), *low, *plain;
    dfq_tensor *images = noise(g, 4);
    const dfq_layer_config layers[2] = {config("blocks.1.mlp.fc1", 8, 8), config("head", 0, 0)};
    dfq_tensor_info t = {.struct_size = sizeof t};
    dfq_tuner_options o;
    dfq_tuner *tuner;
    low = quantize(g, images, _i, layers, 2);
    plain = quantize(g, images, _i, NULL, 0);
    ck_assert_str_eq(dfq_graph_get_layer_config(plain), "");
    check_layer(low, "blocks.1.mlp.fc1", 8, 8);
    check_layer(low, "blocks.0.mlp.fc1", 4, 4);
    check_layer(low, "head", 32, 32);
    check_layer(plain, "head", 4, 4);
    check_reload(low, images, "blocks.1.mlp.fc1=w8a8,head=float");
    check_reload(plain, images, "");
    ck_assert(energy(low) > energy(plain));
    for (int32_t i = 0; i < dfq_graph_get_tensor_count(low); i++) {
        OK(dfq_graph_get_tensor_info(low, i, &t));
        if (strcmp(t.name, "head.weight") == 0) ck_assert(t.bits == 32 && t.bytes == t.float_bytes);
        if (strcmp(t.name, "blocks.1.mlp.fc1.weight") == 0) ck_assert_int_eq(t.bits, 8);
    }
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ, NULL, 0);
    o.steps = 3;
    o.batch = 2;
    o.eval_every = 0;
    OK(dfq_tuner_create(g, low, images, &o, &tuner));
    OK(dfq_tuner_run(tuner));
    dfq_tuner_release(tuner);
    check_layer(low, "blocks.1.mlp.fc1", 8, 8);
    check_reload(low, images, "blocks.1.mlp.fc1=w8a8,head=float");
    dfq_graph_release(low);
    dfq_graph_release(plain);
    dfq_graph_release(g);
    dfq_tensor_release(images);
}
END_TEST

/* A real convolutional network: widths of convolutions and of ReLUs. */
START_TEST(test_cnn)
{
    char path[512];
    dfq_graph *g, *low, *plain;
    dfqt_asset("models/resnet20_cifar10.safetensors", path, sizeof path);
    OK(dfq_graph_load(ctx, path, NULL, &g));
    dfq_tensor *images = noise(g, 4);
    dfq_quantizer_info q = {.struct_size = sizeof q};
    int32_t n = dfq_graph_get_tensor_count(g), at, found = 0;
    char conv[80] = "", relu[80] = "", text[256];
    plain = quantize(g, images, DFQ_MODE_IMPROVED, NULL, 0);
    dfq_graph_info info = {.struct_size = sizeof info};
    OK(dfq_graph_get_info(plain, &info));
    for (int32_t i = 0; i < info.quantizers; i++) { /* some layers of the middle */
        OK(dfq_graph_get_quantizer(plain, i, &q));
        char *to = q.kind == DFQ_QUANTIZER_UNIFORM ? relu : conv;
        if (i < info.quantizers / 2) snprintf(to, 80, "%s", q.name);
    }
    *strrchr(conv, '.') = *strrchr(relu, '.') = '\0';
    const dfq_layer_config layers[3] = {config(conv, 8, 0), config(relu, 0, 6),
                                        config("*.conv1", 0, 0)};
    low = quantize(g, images, DFQ_MODE_IMPROVED, layers, 2);
    for (int32_t i = 0; i < info.quantizers; i++) {
        OK(dfq_graph_get_quantizer(low, i, &q));
        size_t stem = strlen(q.name) - 7;
        int is_conv = strncmp(q.name, conv, stem) == 0 && stem == strlen(conv);
        int is_relu = strncmp(q.name, relu, stem) == 0 && stem == strlen(relu);
        found += is_conv + is_relu;
        ck_assert_msg(q.bits == (is_conv ? 8 : is_relu ? 6 : 4), "%s: %d", q.name, q.bits);
    }
    ck_assert_int_eq(found, 2);
    snprintf(text, sizeof text, "%s=w8,%s=a6", conv, relu);
    check_reload(low, images, text);
    dfq_graph_release(low);
    low = quantize(g, images, DFQ_MODE_PARITY, layers + 2, 1);
    OK(dfq_graph_get_info(low, &info));
    ck_assert_int_eq(dfq_graph_get_tensor_count(low), n);
    ck_assert_int_eq(dfq_graph_find_quantizer(low, "stages.0.0.conv1.weight", &at), DFQ_E_INVALID);
    check_reload(low, images, "*.conv1=float");
    dfq_graph_release(low);
    dfq_graph_release(plain);
    dfq_graph_release(g);
    dfq_tensor_release(images);
}
END_TEST

/* Each argument by itself. */
START_TEST(test_refused)
{
    static const struct {
        dfq_layer_config c;
        const char *text;
    } rows[] = {{{sizeof(dfq_layer_config), 8, 8, 0, "haed"}, "similar names: head"},
                {{sizeof(dfq_layer_config), 8, 8, 0, "mlp.fc1"}, "similar names: blocks.0.mlp.fc1"},
                {{sizeof(dfq_layer_config), 9, 8, 0, "head"}, "weight_bits is 9"},
                {{sizeof(dfq_layer_config), 8, 1, 0, "head"}, "act_bits is 1"},
                {{sizeof(dfq_layer_config), 0, 0, 0, "head"}, "exactly one of bits and skip"},
                {{sizeof(dfq_layer_config), 8, 0, 1, "head"}, "exactly one of bits and skip"},
                {{sizeof(dfq_layer_config), 0, 0, 2, "head"}, "skip is 2"},
                {{sizeof(dfq_layer_config), 8, 8, 0, NULL}, "1 to 79"},
                {{sizeof(dfq_layer_config), 8, 8, 0, ""}, "1 to 79"},
                {{sizeof(dfq_layer_config), 8, 8, 0, "a=b"}, "without"},
                {{sizeof(dfq_layer_config), 8, 8, 0, "blocks.0.attn.qk"}, "takes act_bits alone"},
                {{0, 8, 8, 0, "head"}, "struct_size"},
                {{sizeof(dfq_layer_config), 0, 0, 1, "*"}, "nothing is left to quantize"}};
    dfq_graph *g = embedded(), *low = NULL;
    dfq_tensor *images = noise(g, 1);
    dfq_quantize_options o;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfq_quantize_options_init(&o, sizeof o);
        o.layers = &rows[i].c;
        o.n_layers = 1;
        ck_assert_int_eq(dfq_graph_quantize(g, images, &o, &low), DFQ_E_INVALID);
        ck_assert_msg(strstr(dfq_context_get_error(ctx), rows[i].text) != NULL, "%s",
                      dfq_context_get_error(ctx));
    }
    o.layers = NULL;
    ck_assert_int_eq(dfq_graph_quantize(g, images, &o, &low), DFQ_E_INVALID);
    o.layers = &rows[0].c;
    o.n_layers = -1;
    ck_assert_int_eq(dfq_graph_quantize(g, images, &o, &low), DFQ_E_INVALID);
    ck_assert_ptr_null(low);
    ck_assert_str_eq(dfq_graph_get_layer_config(NULL), "");
    ck_assert_str_eq(dfq_graph_get_layer_config(g), "");
    dfq_tensor_release(images);
    dfq_graph_release(g);
}
END_TEST

TCase *dfqt_api_layer_config_case(void)
{
    TCase *c = tcase_create("layer_config");
    tcase_set_tags(c, "slow");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_vit, DFQ_MODE_PARITY, DFQ_MODE_IMPROVED + 1);
    tcase_add_test(c, test_cnn);
    tcase_add_test(c, test_refused);
    return c;
}
