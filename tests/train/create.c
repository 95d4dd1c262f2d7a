/* Vision transformers from nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/each.h"
#include "train/cases.h"

static double deviation(const dfq_tensor *t, float limit)
{
    const float *v = dfqi_tensor_f32(t);
    int64_t n = dfqi_tensor_count(t);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        dfqt_each(fabsf(v[i]) <= limit, "value %d is %g", (int)i, (double)v[i]);
        sum += (double)v[i] * (double)v[i];
    }
    return sqrt(sum / (double)n);
}

START_TEST(test_first_weights)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *g;
    ck_assert_int_eq(dfq_graph_create(ctx, NULL, &g), DFQ_OK);
    for (int32_t i = 0; i < g->net.n_params; i++) {
        const dfqi_param *p = &g->net.params[i];
        int bias = strstr(p->name, ".bias") != NULL;
        int norm = strstr(p->name, "norm") != NULL;
        const float *v = dfqi_tensor_f32(p->tensor);
        if (bias || norm)
            for (int64_t k = 0; k < dfqi_tensor_count(p->tensor); k++)
                ck_assert_float_eq(v[k], bias ? 0.0f : 1.0f);
        else if (dfqi_tensor_count(p->tensor) > 1000) /* 0.8796: a normal cut at 2 deviations */
            ck_assert_double_eq_tol(deviation(p->tensor, 0.04f), 0.8796 * 0.02, 3e-4);
        else
            ck_assert(deviation(p->tensor, 0.04f) > 0.01);
    }
    const float *one = dfqi_tensor_f32(dfqi_network_find(&g->net, "blocks.0.mlp.fc1.weight"));
    const float *two = dfqi_tensor_f32(dfqi_network_find(&g->net, "blocks.1.mlp.fc1.weight"));
    ck_assert_mem_ne(one, two, 64);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_info)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_vit_options o = dfqt_vit();
    dfq_graph_info info = {.struct_size = sizeof info};
    dfq_graph *g;
    o.mean[1] = 0.25f;
    ck_assert_int_eq(dfq_graph_create(ctx, &o, &g), DFQ_OK);
    ck_assert_str_eq(dfq_graph_get_name(g), "vit_w16_d2_patch4_8");
    ck_assert_int_eq(dfq_graph_get_info(g, &info), DFQ_OK);
    ck_assert_int_eq(info.image, 8);
    ck_assert_int_eq(info.patch, 4);
    ck_assert_int_eq(info.width, 16);
    ck_assert_int_eq(info.depth, 2);
    ck_assert_int_eq(info.heads, 2);
    ck_assert_int_eq(info.hidden, 24);
    ck_assert_int_eq(info.classes, DFQT_CLASSES);
    ck_assert_int_eq(info.quantized, 0);
    ck_assert_float_eq(info.mean[1], 0.25f);
    ck_assert_float_eq(info.std[2], 0.5f);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_seed)
{
    dfq_context *ctx = dfqt_context(2);
    dfq_vit_options o = dfqt_vit();
    dfq_graph *a, *b, *c;
    ck_assert_int_eq(dfq_graph_create(ctx, &o, &a), DFQ_OK);
    ck_assert_int_eq(dfq_graph_create(ctx, &o, &b), DFQ_OK);
    o.seed++;
    ck_assert_int_eq(dfq_graph_create(ctx, &o, &c), DFQ_OK);
    ck_assert(dfqt_same(a, b));
    ck_assert(!dfqt_same(a, c));
    dfq_graph_release(a);
    dfq_graph_release(b);
    dfq_graph_release(c);
    dfq_context_release(ctx);
}
END_TEST

/* A network that was made can be stored, and comes back as it was. */
START_TEST(test_file)
{
    char folder[] = "/tmp/dfq_train_XXXXXX", path[64];
    dfq_context *ctx = dfqt_context(1);
    dfq_vit_options o = dfqt_vit();
    dfq_graph *g, *back;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/net.safetensors", folder);
    o.name = "vit_small.test-1";
    o.std[0] = 0.3f;
    ck_assert_int_eq(dfq_graph_create(ctx, &o, &g), DFQ_OK);
    ck_assert_int_eq(dfq_graph_save(g, path, 0), DFQ_OK);
    ck_assert_msg(dfq_graph_load(ctx, path, NULL, &back) == DFQ_OK, "%s", ctx->error);
    ck_assert(dfqt_same(g, back));
    ck_assert_str_eq(dfq_graph_get_name(back), o.name);
    memset(back->net.arch.source, 0, sizeof back->net.arch.source);
    ck_assert_mem_eq(&g->net.arch, &back->net.arch, sizeof g->net.arch);
    dfq_graph_release(g);
    dfq_graph_release(back);
    dfq_context_release(ctx);
    remove(path);
    rmdir(folder);
}
END_TEST

TCase *dfqt_train_create_case(void)
{
    TCase *c = tcase_create("create");
    tcase_add_test(c, test_first_weights);
    tcase_add_test(c, test_info);
    tcase_add_test(c, test_seed);
    tcase_add_test(c, test_file);
    return c;
}
