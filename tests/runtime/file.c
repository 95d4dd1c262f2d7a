/* Runtimes straight from files: the bits of a graph that was loaded before, less memory, what is
 * refused; and data sets. */
#include <dfq/dataset.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "runtime/cases.h"
#include "support/fail_alloc.h"

enum { IMAGES = 3 };

static char folder[32], path[64];

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/dfq_rt_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/net", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

/* A quantized network from its file, with codes that become floats first and with such that do not,
 * and a float one: they have the bits of the network that was saved, and as many products on
 * codes. */
START_TEST(test_load)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *made = dfqt_network(ctx, _i), *g;
    dfq_tensor *x = dfqt_family_images(made, IMAGES);
    dfq_runtime_options o;
    dfq_runtime *rt, *from, *before;
    dfq_runtime_info info = {.struct_size = sizeof info};
    static float logits[3][IMAGES * 1000];
    OK(ctx, dfq_graph_save(made, path, 0));
    OK(ctx, dfq_graph_load(ctx, path, NULL, &g));
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = IMAGES;
    OK(ctx, dfq_runtime_create(g, &o, &rt));
    OK(ctx, dfq_runtime_load(ctx, path, NULL, &o, &from));
    dfqt_run_images(rt, x, 0, IMAGES, logits[0]);
    dfqt_run_images(from, x, 0, IMAGES, logits[1]);
    ck_assert(memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
    OK(ctx, dfq_runtime_create(made, &o, &before));
    dfqt_run_images(before, x, 0, IMAGES, logits[2]);
    ck_assert(memcmp(logits[0], logits[2], sizeof logits[0]) == 0);
    OK(ctx, dfq_runtime_get_info(from, &info));
    ck_assert_double_ge((double)info.integer_macs, dfqt_integer_share(_i) * (double)info.macs);
    dfq_runtime_release(before);
    dfq_runtime_release(rt);
    dfq_runtime_release(from);
    dfqi_tensor_release(x);
    dfqi_model_release(g);
    dfqi_model_release(made);
    dfqi_context_release(ctx);
}
END_TEST

/* A transformer whose weights are most of what it is, with 4 bits in groups. */
static void save_large(void)
{
    dfq_vit_options v;
    dfq_quantize_options q;
    dfq_graph *g, *low;
    dfq_context *ctx = dfqt_context(1);
    dfq_vit_options_init(&v, sizeof v);
    v.image = 16;
    v.width = 192;
    v.depth = 4;
    v.heads = 3;
    v.hidden = 768;
    dfq_quantize_options_init(&q, sizeof q);
    q.rounding = DFQ_ROUNDING_NEAREST;
    OK(ctx, dfq_graph_create(ctx, &v, &g));
    OK(ctx, dfq_graph_quantize(g, NULL, &q, &low));
    OK(ctx, dfq_graph_save(low, path, 0));
    dfq_graph_release(g);
    dfq_graph_release(low);
    dfqi_context_release(ctx);
}

/* While it loads, the file, the packed weights and one layer are in memory, never all weights as
 * floats. */
START_TEST(test_memory_of_load)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o;
    dfq_context *ctx;
    dfq_runtime *rt;
    dfq_runtime_info info = {.struct_size = sizeof info};
    dfq_graph *g;
    save_large();
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    OK(ctx, dfq_graph_load(ctx, path, NULL, &g));
    const int64_t floats = 4 * dfqi_network_values(&g->net);
    ck_assert_int_gt(fa.peak_bytes, floats);
    dfq_graph_release(g);
    fa.peak_bytes = 0;
    OK(ctx, dfq_runtime_load(ctx, path, NULL, NULL, &rt));
    OK(ctx, dfq_runtime_get_info(rt, &info));
    ck_assert_int_lt(info.shared_bytes, floats / 4);
    ck_assert_int_lt(fa.peak_bytes, floats * 3 / 4);
    dfq_runtime_release(rt);
    dfqi_context_release(ctx);
    ck_assert_int_eq(fa.live_bytes, 0);
}
END_TEST

/* Names of classes: of the file that options name, also when the network and one of two runtimes
 * are gone. */
START_TEST(test_class_names)
{
    char list[] = "/tmp/dfq-names-XXXXXX";
    static const char text[] = "tench\ngoldfish\nray\n";
    dfq_context *ctx = dfqt_context(1), *other = dfqt_context(1);
    dfq_graph *made = dfqt_network(ctx, DFQI_FAMILY_VIT);
    dfq_load_options o;
    dfq_runtime *rt, *twin;
    int fd = mkstemp(list);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, sizeof text - 1), (int)sizeof text - 1);
    close(fd);
    OK(ctx, dfq_graph_save(made, path, 0));
    dfq_graph_release(made);
    OK(ctx, dfq_runtime_load(ctx, path, NULL, NULL, &rt));
    ck_assert_str_eq(dfq_runtime_get_class_name(rt, 0), "");
    dfq_runtime_release(rt);
    dfq_load_options_init(&o, sizeof o);
    o.class_names = list;
    OK(ctx, dfq_runtime_load(ctx, path, &o, NULL, &rt));
    OK(ctx, dfq_runtime_clone(rt, other, &twin));
    dfq_runtime_release(rt);
    ck_assert_str_eq(dfq_runtime_get_class_name(twin, 1), "goldfish");
    ck_assert_str_eq(dfq_runtime_get_class_name(twin, 3), "");
    ck_assert_str_eq(dfq_runtime_get_class_name(NULL, 0), "");
    dfq_runtime_release(twin);
    o.class_names = "/nowhere/names";
    ck_assert_int_eq(dfq_runtime_load(ctx, path, &o, NULL, &rt), DFQ_E_IO);
    unlink(list);
    dfqi_context_release(other);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfq_runtime *rt = NULL;
    (void)arg;
    dfq_status status = dfq_runtime_load(ctx, path, NULL, NULL, &rt);
    dfq_runtime_release(rt);
    return status;
}

START_TEST(test_out_of_memory)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_network(ctx, _i);
    OK(ctx, dfq_graph_save(g, path, 0));
    dfqi_model_release(g);
    dfqi_context_release(ctx);
    fail_alloc_sweep(scenario, NULL, 1);
}
END_TEST

/* Writes the file anew with another value of a tensor's first element. */
static void spoil(dfq_context *ctx, const char *name, float value)
{
    dfqi_safetensors st;
    OK(ctx, dfqi_st_read(ctx, path, &st));
    for (int64_t i = 0; i < st.n_entries; i++)
        if (strcmp(st.entries[i].name, name) == 0) *dfqi_tensor_f32(st.entries[i].tensor) = value;
    unlink(path);
    OK(ctx, dfqi_st_write(ctx, path, st.n_entries, st.entries, st.n_meta, st.meta));
    dfqi_st_fini(&st);
}

static void refused(dfq_context *ctx, dfq_status status, const char *words)
{
    dfq_runtime *rt = NULL;
    ck_assert_int_eq(dfq_runtime_load(ctx, path, NULL, NULL, &rt), status);
    ck_assert_msg(strstr(ctx->error, words) != NULL && strstr(ctx->error, path) != NULL, "%s",
                  ctx->error);
    ck_assert_ptr_null(rt);
}

/* Scales that are 0, negative, not finite, or make weights that are not; a file that ends early. */
START_TEST(test_damaged)
{
    static const float bad[] = {0.0f, -1.0f, NAN, INFINITY, 3e38f};
    const char *name = "blocks.0.mlp.fc1.weight.scale";
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g = dfqt_network(ctx, DFQT_LOW_ROW);
    OK(ctx, dfq_graph_save(g, path, 0));
    if (_i < (int)(sizeof bad / sizeof *bad)) {
        spoil(ctx, name, bad[_i]);
        refused(ctx, DFQ_E_NUMERIC, "blocks.0.mlp.fc1.weight");
    } else {
        ck_assert_int_eq(truncate(path, 6000), 0);
        refused(ctx, DFQ_E_CORRUPT, "net");
    }
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Writes the file anew without a tensor, or with another first byte of it. */
static void tamper(dfq_context *ctx, const char *name, int byte)
{
    dfqi_safetensors st;
    int64_t at = 0;
    OK(ctx, dfqi_st_read(ctx, path, &st));
    while (at < st.n_entries && strcmp(st.entries[at].name, name) != 0) at++;
    ck_assert_msg(at < st.n_entries, "no %s", name);
    if (byte >= 0) *(uint8_t *)st.entries[at].tensor->data = (uint8_t)byte;
    const dfqi_st_entry entry = st.entries[at];
    for (int64_t i = at; byte < 0 && i + 1 < st.n_entries; i++) st.entries[i] = st.entries[i + 1];
    unlink(path);
    OK(ctx, dfqi_st_write(ctx, path, st.n_entries - (byte < 0), st.entries, st.n_meta, st.meta));
    if (byte < 0) st.entries[st.n_entries - 1] = entry; /* freed like the others */
    dfqi_st_fini(&st);
}

/* Files whose parts contradict each other: one line has file, tensor and cure. */
START_TEST(test_contradicting)
{
    static const struct {
        int network;
        const char *name;
        int byte; /* -1: the tensor is left out */
        dfq_status status;
    } rows[] = {{DFQT_LOW_ROW, "blocks.0.mlp.fc1.weight.scale", -1, DFQ_E_CORRUPT},
                {DFQT_LOW_ROW, "blocks.0.mlp.fc1.weight.shape", -1, DFQ_E_CORRUPT},
                {DFQT_LOW_ROW, "blocks.0.mlp.fc1.weight.shape", 0, DFQ_E_CORRUPT},
                {DFQT_LOW_ROW, "blocks.0.mlp.fc1.weight.shape", 200, DFQ_E_SHAPE},
                {DFQT_LOW_ROW, "head.weight.bits", 9, DFQ_E_CORRUPT},
                {DFQT_LOW_ROW, "head.weight.bits", 7, DFQ_E_SHAPE},
                {DFQT_LOW_RESNET, "conv1.relu.output.scale", -1, DFQ_E_CORRUPT}};
    dfq_context *ctx = dfqt_context(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfq_graph *g = dfqt_network(ctx, rows[i].network);
        unlink(path);
        OK(ctx, dfq_graph_save(g, path, 0));
        tamper(ctx, rows[i].name, rows[i].byte);
        refused(ctx, rows[i].status, rows[i].byte < 0 ? rows[i].name : "weight");
        ck_assert_ptr_null(strchr(ctx->error, '\n'));
        dfqi_model_release(g);
    }
    dfqi_context_release(ctx);
}
END_TEST

enum { JUDGED = 11 };

static int32_t read_pattern(int64_t first, int64_t n, void *images, int32_t *labels, void *user)
{
    const dfqi_arch *a = user;
    const int64_t bytes = dfqi_arch_pixels(a);
    for (int64_t i = 0; labels && i < n; i++) labels[i] = (int32_t)((first + i) % a->classes);
    for (int64_t k = 0; images && k < n * bytes; k++)
        ((uint8_t *)images)[k] = (uint8_t)((first * bytes + k) * 2654435761u >> 11);
    return 0;
}

/* The accuracy of a runtime is that of the graph, of some images as of all. */
START_TEST(test_evaluate)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = dfqt_network(ctx, _i ? DFQT_LOW_ROW : DFQI_FAMILY_RESNET);
    const int64_t side = g->net.arch.image.height;
    int64_t rights = 0;
    const dfq_dataset_source source = {.struct_size = sizeof source,
                                       .count = JUDGED,
                                       .height = (int32_t)side,
                                       .width = (int32_t)side,
                                       .read = read_pattern,
                                       .user = &g->net.arch};
    dfq_dataset *d;
    dfq_runtime *rt = dfqt_runtime(g, 4, 0, NULL);
    OK(ctx, dfq_dataset_create(ctx, &source, &d));
    for (int64_t first = 0; first < JUDGED; first += 3)
        for (int64_t n = 1; first + n <= JUDGED; n += 2) {
            dfq_accuracy of_graph = {.struct_size = sizeof of_graph}, own = of_graph;
            OK(ctx, dfq_graph_evaluate(g, d, first, n, &of_graph));
            OK(ctx, dfq_runtime_evaluate(rt, d, first, n, &own));
            ck_assert_msg(own.n == n && own.correct == of_graph.correct &&
                              own.correct5 == of_graph.correct5,
                          "images %d to %d: %d right, not %d", (int)first, (int)(first + n),
                          (int)own.correct, (int)of_graph.correct);
            rights += own.correct;
        }
    ck_assert_int_gt(rights, 0);
    dfq_runtime_release(rt);
    dfq_dataset_release(d);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_runtime_file_case(void)
{
    TCase *c = tcase_create("file");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_load, 0, DFQT_NETWORKS);
    tcase_add_test(c, test_memory_of_load);
    tcase_add_test(c, test_class_names);
    tcase_add_loop_test(c, test_evaluate, 0, 2);
    tcase_add_loop_test(c, test_out_of_memory, DFQT_LOW_RESNET, DFQT_LOW_RESNET + 1);
    tcase_add_loop_test(c, test_out_of_memory, DFQT_LOW_ROW, DFQT_LOW_ROW + 1);
    tcase_add_test(c, test_contradicting);
    tcase_add_loop_test(c, test_damaged, 0, 6);
    return c;
}
