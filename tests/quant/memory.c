/* Networks of all families in memory: the bytes of their files, and the networks of their files. */
#include <dfq/graph.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quant/cases.h"

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
    dfqi_arch one = a->net.arch, two = b->net.arch;
    one.of.imported.structure = two.of.imported.structure = NULL; /* each has its own */
    ck_assert_mem_eq(&one, &two, sizeof one);
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
    dfq_graph *g = dfqt_family(ctx, _i);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/net", folder);
    check_one(g, path, 0);
    check_one(g, path, 1);
    if (_i != DFQI_FAMILY_STAGES) { /* which has no quantizers yet */
        dfq_graph *low = dfqt_family_low(g);
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
    tcase_set_tags(c, "slow");
    tcase_add_loop_test(c, test_families, 0, DFQI_FAMILY_COUNT);
    tcase_add_loop_test(c, test_families, DFQT_VIT_HEADS, DFQT_VIT_END);
    tcase_set_timeout(c, 60);
    return c;
}
