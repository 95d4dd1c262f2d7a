/* dfq/graph.h: what a caller says of a network is what is computed, told and saved. */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

static dfq_context *ctx;
static dfq_graph *made;
static char folder[] = "/tmp/dfq_api_graph_XXXXXX", file[96];

static void setup(void)
{
    dfq_vit_options o;
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/net.safetensors", folder);
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    dfq_vit_options_init(&o, sizeof o);
    o.image = 16;
    o.patch = 4;
    o.width = 24;
    o.depth = 1;
    o.heads = 2;
    o.hidden = 8;
    o.classes = 3;
    OK(dfq_graph_create(ctx, &o, &made));
    OK(dfq_graph_save(made, file, 0));
}

static void teardown(void)
{
    dfq_graph_release(made);
    dfq_context_release(ctx);
    unlink(file);
    rmdir(folder);
}

static dfq_property_info property(const dfq_graph *g, const char *name)
{
    dfq_property_info p = {.struct_size = sizeof p};
    for (int32_t i = 0; i < dfq_graph_get_property_count(g); i++) {
        OK(dfq_graph_get_property(g, i, &p));
        ck_assert_int_eq(p.struct_size, sizeof p);
        if (strcmp(p.name, name) == 0) return p;
    }
    ck_abort_msg("no property %s", name);
    return p;
}

START_TEST(test_options)
{
    const float mean[3] = {0.25f, 0.5f, 0.75f}, std[3] = {1, 2, 4};
    dfq_load_options o;
    dfq_graph *g, *again;
    dfq_load_options_init(&o, sizeof o);
    o.arch = "vit_mine";
    o.mean = mean;
    o.std = std;
    o.heads = 3;
    o.crop = 0.5;
    o.interpolation = DFQ_INTERPOLATION_BILINEAR;
    OK(dfq_graph_load_with(ctx, file, &o, &g));
    OK(dfq_graph_save(g, file, 0));
    OK(dfq_graph_load(ctx, file, NULL, &again)); /* what is saved says it all */
    for (int k = 0; k < 2; k++) {
        const dfq_graph *have = k ? again : g;
        int32_t from = k ? DFQ_SOURCE_METADATA : DFQ_SOURCE_OPTION;
        dfq_graph_info info = {.struct_size = sizeof info};
        OK(dfq_graph_get_info(have, &info));
        ck_assert(info.heads == 3 && info.mean[2] == 0.75f && info.std[2] == 4);
        ck_assert_str_eq(dfq_graph_get_name(have), "vit_mine");
        ck_assert_str_eq(dfq_graph_get_naming(have), "timm");
        ck_assert_str_eq(dfq_graph_get_naming(NULL), "");
        static const char *const want[][2] = {{"heads", "3"},
                                              {"mean", "0.25,0.5,0.75"},
                                              {"std", "1,2,4"},
                                              {"resize", "32"},
                                              {"interpolation", "bilinear"}};
        for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
            dfq_property_info p = property(have, want[i][0]);
            ck_assert_str_eq(p.value, want[i][1]);
            ck_assert_int_eq(p.source, from);
        }
        ck_assert_int_eq(property(have, "heads").decides, DFQ_DECIDES_LOGITS | DFQ_DECIDES_COST);
        ck_assert_int_eq(property(have, "patch").source, DFQ_SOURCE_TENSOR);
    }
    dfq_graph_release(g);
    dfq_graph_release(again);
}
END_TEST

START_TEST(test_made_here)
{
    ck_assert_int_eq(property(made, "mean").source, DFQ_SOURCE_LIBRARY);
    ck_assert_int_eq(dfq_graph_get_property_count(made), 12);
    ck_assert_int_eq(dfq_graph_get_property_count(NULL), 0);
}
END_TEST

/* A tensor that no vision transformer needs lies beside the network. */
START_TEST(test_leftover)
{
    static const char header[] = "{\"mask_token\":{\"dtype\":\"F32\",\"shape\":[1],"
                                 "\"data_offsets\":[0,4]}}";
    enum { LENGTH = sizeof header - 1 };
    unsigned char bytes[8 + LENGTH + 4] = {LENGTH};
    dfq_tensor *whole;
    dfq_graph *g;
    memcpy(bytes + 8, header, LENGTH);
    OK(dfq_graph_save_to_memory(made, 0, &whole));
    const dfq_reader net = {.struct_size = sizeof net,
                            .size = dfq_tensor_get_bytes(whole),
                            .data = dfq_tensor_get_data(whole)};
    const dfq_reader more = {.struct_size = sizeof more, .size = sizeof bytes, .data = bytes};
    OK(dfq_graph_load_from_shards(ctx, NULL, (const dfq_reader *const[]){&net, &more}, 2, NULL,
                                  &g));
    ck_assert_int_eq(dfq_graph_get_leftover_count(g), 1);
    ck_assert_str_eq(dfq_graph_get_leftover(g, 0), "mask_token");
    ck_assert_str_eq(dfq_graph_get_leftover(g, 1), "");
    ck_assert_str_eq(dfq_graph_get_leftover(g, -1), "");
    ck_assert_int_eq(dfq_graph_get_leftover_count(made), 0);
    ck_assert_int_eq(dfq_graph_get_leftover_count(NULL), 0);
    dfq_tensor_release(whole);
    dfq_graph_release(g);
}
END_TEST

/* A graph lives until its last reference is given back. */
START_TEST(test_references)
{
    ck_assert_ptr_null(dfq_graph_retain(NULL));
    ck_assert_ptr_eq(dfq_graph_retain(made), made);
    dfq_graph_release(made);
    ck_assert_str_eq(dfq_graph_get_name(made), "vit_w24_d1_patch4_16");
    OK(dfq_graph_save(made, file, 1));
}
END_TEST

START_TEST(test_refused)
{
    dfq_property_info p = {.struct_size = sizeof p}, none = {.struct_size = 0};
    dfq_load_options o = {.struct_size = sizeof o, .heads = -1};
    dfq_graph *g = NULL;
    ck_assert_int_eq(dfq_graph_load_with(ctx, file, &o, &g), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "heads"));
    o.struct_size = 0;
    ck_assert_int_eq(dfq_graph_load_with(ctx, file, &o, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_with(NULL, file, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_with(ctx, NULL, NULL, &g), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_load_with(ctx, file, NULL, NULL), DFQ_E_INVALID);
    ck_assert_ptr_null(g);
    ck_assert_int_eq(dfq_graph_get_property(NULL, 0, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_property(made, -1, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_property(made, 12, &p), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_property(made, 0, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_get_property(made, 0, &none), DFQ_E_INVALID);
    OK(dfq_graph_load_with(ctx, file, NULL, &g));
    dfq_graph_release(g);
}
END_TEST

TCase *dfqt_api_graph_case(void)
{
    TCase *c = tcase_create("graph");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_options);
    tcase_add_test(c, test_made_here);
    tcase_add_test(c, test_leftover);
    tcase_add_test(c, test_references);
    tcase_add_test(c, test_refused);
    return c;
}
