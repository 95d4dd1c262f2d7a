/* Networks of all families in memory: the bytes of their files, and the networks of their files. */
#include <dfq/graph.h>
#include <dfq/quantizer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "quant/cases.h"

enum { FAMILIES = 5, SIDE = 8 };

static dfqi_arch arch_of(int family)
{
    static const dfqi_supernet_space mbconv = {.name = "tiny",
                                            .family = DFQI_SUPER_MBCONV,
                                            .image = SIDE,
                                            .classes = 3,
                                            .stem = 4,
                                            .first = 4,
                                            .head = 8,
                                            .n_stages = 2,
                                            .n_choices = 3,
                                            .stages = {{4, 2, 1}, {6, 1, 2}},
                                            .choices = {{3, 1}, {5, 4}, {3, 4}}};
    static const dfqi_supernet_space stages = {.name = "tiny transformer",
                                            .family = DFQI_SUPER_VIT,
                                            .n_stages = 3,
                                            .n_choices = 8,
                                            .image = SIDE,
                                            .classes = 3,
                                            .vit = {.patch = 4,
                                                    .tokens = 6,
                                                    .head = 3,
                                                    .optional = 1,
                                                    .width = {2, {4, 7}},
                                                    .depth = {2, {1, 2}},
                                                    .heads = {1, {2}},
                                                    .ratio = {2, {1, 2}}}};
    dfqi_arch a = {.family = (dfqi_family)family,
                   .name = "vit_random",
                   .image = SIDE,
                   .channels = 3,
                   .classes = 3,
                   .eps = family == DFQI_FAMILY_VIT ? 1e-6f : 1e-5f,
                   .mean = {0.5f, 0.5f, 0.5f},
                   .std = {0.5f, 0.25f, 0.5f}};
    if (family == DFQI_FAMILY_VIT)
        a.vit = (dfqi_vit_arch){.patch = 4, .width = 12, .depth = 2, .heads = 3, .hidden = 16};
    if (family == DFQI_FAMILY_RESNET) {
        memcpy(a.name, "resnet_test", 12);
        a.cnn = (dfqi_cnn_arch){
            .keys = DFQI_KEYS_AKAMASTER, .width = 8, .units = {1, 1}, .small = 1, .padded = 1};
    }
    if (family == DFQI_FAMILY_MOBILENET) {
        memcpy(a.name, "mobilenet_test", 15);
        a.image = 32;
        a.cnn.keys = DFQI_KEYS_TORCHVISION;
        a.classes = 1000;
    }
    if (family >= DFQI_FAMILY_MBCONV) {
        dfqi_arch_derive(family == DFQI_FAMILY_MBCONV ? &mbconv : &stages,
                         family == DFQI_FAMILY_MBCONV ? (int32_t[]){1, 2, 0} : (int32_t[]){3, 8, 5},
                         &a);
        for (int c = 0; c < 3; c++) a.mean[c] = a.std[c] = 0.5f;
    }
    return a;
}

static dfq_graph *make(dfq_context *ctx, int family)
{
    dfqi_arch a = arch_of(family);
    dfqi_network net;
    dfq_graph *g;
    ck_assert_msg(dfqi_network_new(ctx, &a, &net) == DFQ_OK, "%s", ctx->error);
    dfqi_network_init(&net, 5);
    ck_assert_int_eq(dfqi_model_new(&net, NULL, &g), DFQ_OK);
    return g;
}

static dfq_graph *quantize(const dfq_graph *g)
{
    dfqi_rng r = dfqi_rng_make(3, 1);
    dfq_tensor *x;
    dfq_graph *low;
    int64_t side = g->net.arch.image;
    ck_assert_int_eq(dfqi_tensor_new(g->ctx, DFQI_F32, 4, (int64_t[]){4, 3, side, side}, &x),
                     DFQ_OK);
    for (int64_t i = 0; i < dfqi_tensor_count(x); i++)
        dfqi_tensor_f32(x)[i] = dfqi_rng_range(&r, -1.0f, 1.0f);
    ck_assert_msg(dfq_graph_quantize(g, x, NULL, &low) == DFQ_OK, "%s", g->ctx->error);
    dfq_tensor_release(x);
    return low;
}

static void check_file(const dfq_tensor *bytes, const char *path)
{
    unsigned char *have = malloc(dfq_tensor_get_bytes(bytes) + 1);
    FILE *f = fopen(path, "rb");
    ck_assert(f && have);
    ck_assert_uint_eq(fread(have, 1, dfq_tensor_get_bytes(bytes) + 1, f),
                      dfq_tensor_get_bytes(bytes));
    ck_assert_mem_eq(have, dfq_tensor_get_data(bytes), dfq_tensor_get_bytes(bytes));
    fclose(f);
    free(have);
}

static void check_same(const dfq_graph *a, const dfq_graph *b)
{
    ck_assert_mem_eq(&a->net.arch, &b->net.arch, sizeof a->net.arch);
    ck_assert_uint_eq(dfqi_network_hash(&a->net), dfqi_network_hash(&b->net));
    ck_assert_int_eq(a->quantized, b->quantized);
    ck_assert_int_eq(a->scheme.n_sites, b->scheme.n_sites);
}

static void check_one(const dfq_graph *g, const char *path, int half)
{
    dfq_tensor *bytes, *again;
    dfq_graph *from_file, *from_memory;
    dfq_context *ctx = g->ctx;
    ck_assert_msg(dfq_graph_save(g, path, half) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfq_graph_save_to_memory(g, half, &bytes) == DFQ_OK, "%s", ctx->error);
    check_file(bytes, path);
    ck_assert_msg(dfq_graph_load(ctx, path, NULL, &from_file) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfq_graph_load_from_memory(ctx, dfq_tensor_get_data(bytes),
                                             dfq_tensor_get_bytes(bytes), NULL,
                                             &from_memory) == DFQ_OK,
                  "%s", ctx->error);
    check_same(from_file, from_memory);
    ck_assert_int_eq(dfq_graph_save_to_memory(from_memory, half, &again), DFQ_OK);
    check_file(again, path);
    dfq_tensor_release(again);
    dfq_tensor_release(bytes);
    dfq_graph_release(from_file);
    dfq_graph_release(from_memory);
}

START_TEST(test_families)
{
    char folder[] = "/tmp/dfq_memory_XXXXXX", path[64];
    dfq_context *ctx = dfqt_context(2);
    dfq_graph *g = make(ctx, _i);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/net", folder);
    check_one(g, path, 0);
    check_one(g, path, 1);
    if (_i != DFQI_FAMILY_STAGES) { /* which has no quantizers yet */
        dfq_graph *low = quantize(g);
        check_one(low, path, 0);
        dfq_graph_release(low);
    }
    dfq_graph_release(g);
    dfq_context_release(ctx);
    remove(path);
    rmdir(folder);
}
END_TEST

TCase *dfqt_memory_case(void)
{
    TCase *c = tcase_create("memory");
    tcase_add_loop_test(c, test_families, 0, FAMILIES);
    tcase_set_timeout(c, 60);
    return c;
}
