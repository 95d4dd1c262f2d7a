/* Architectures and networks as containers: counts, names, copies. */
#include "nn/cases.h"
#include "nn/support.h"
#include "nn/vit.h"
#include "support/fail_alloc.h"

#include <string.h>

/* timm's models and their published parameter counts (mimiq.md 7.2). */
static const struct size {
    int64_t width, heads, values;
} sizes[] = {{192, 3, 5717416}, {384, 6, 22050664}, {768, 12, 86567656}};

START_TEST(test_totals)
{
    dfqi_arch a = dfqt_arch(224, 16, sizes[_i].width, 12, sizes[_i].heads);
    int64_t sum = 0;
    a.classes = 1000;
    a.vit.hidden = 4 * a.vit.width;
    ck_assert_int_eq(dfqi_vit_count(&a), 152);
    for (int32_t i = 0; i < dfqi_vit_count(&a); i++) {
        dfqi_expect e;
        int64_t n = 1;
        dfqi_vit_expect(&a, i, &e);
        for (int32_t k = 0; k < e.rank; k++) n *= e.dims[k];
        sum += n;
    }
    ck_assert_int_eq(sum, sizes[_i].values);
}
END_TEST

START_TEST(test_new_and_clone)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_arch(16, 4, 24, 2, 3);
    dfqi_network net, copy;
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    dfq_tensor *w = dfqi_network_find(&net, "blocks.1.attn.qkv.weight");
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(w->dims[0], 72);
    ck_assert_int_eq(w->dims[1], 24);
    ck_assert_ptr_null(dfqi_network_find(&net, "blocks.2.norm1.weight"));
    dfqi_tensor_f32(w)[5] = 7;
    ck_assert_int_eq(dfqi_network_clone(&net, &copy), DFQ_OK);
    dfqi_tensor_f32(w)[5] = 8;
    ck_assert(dfqi_tensor_f32(dfqi_network_find(&copy, "blocks.1.attn.qkv.weight"))[5] == 7);
    ck_assert_int_eq(dfqi_network_values(&net), dfqi_network_values(&copy));
    dfqi_network_fini(&net);
    dfqi_network_fini(&copy);
    dfqi_network_fini(&copy);
    dfq_context_release(ctx);
}
END_TEST

/* ViT-Tiny's 1.26 billion, all 197 tokens in all layers; the short cut of the last block (5 %) does
 * not count. */
START_TEST(test_macs)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_arch a = dfqt_arch(224, 16, 192, 12, 3);
    dfqi_network net;
    double macs, tokens = 197, width = 192, products = 196 * 768 * width + width * 1000;
    a.classes = 1000;
    a.vit.hidden = 4 * a.vit.width;
    products += 12 * (12 * tokens * width * width + 2 * tokens * tokens * width);
    ck_assert_int_eq(dfqi_network_new(ctx, &a, &net), DFQ_OK);
    ck_assert_int_eq(dfqi_network_macs(&net, &macs), DFQ_OK);
    ck_assert_double_ge(macs, products);
    ck_assert_double_le(macs, 1.02 * products); /* elementwise work, one each */
    dfqi_network_fini(&net);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status make_clone_describe(dfq_context *ctx, void *arg)
{
    dfqi_network net, copy;
    dfqi_st_meta meta[DFQI_ARCH_META];
    dfqi_arena arena;
    dfqi_arena_init(&arena, ctx);
    DFQI_TRY(dfqi_network_new(ctx, arg, &net));
    double macs;
    dfq_status status = dfqi_network_clone(&net, &copy);
    if (status == DFQ_OK) dfqi_network_fini(&copy);
    if (status == DFQ_OK) status = dfqi_network_macs(&net, &macs);
    if (status == DFQ_OK) status = dfqi_arch_meta(arg, &arena, meta);
    dfqi_network_fini(&net);
    dfqi_arena_fini(&arena);
    return status;
}

START_TEST(test_refused_allocations)
{
    dfqi_arch a = dfqt_arch(16, 4, 24, 2, 3);
    fail_alloc_sweep(make_clone_describe, &a, 1);
}
END_TEST

TCase *dfqt_network_case(void)
{
    TCase *c = tcase_create("network");
    tcase_add_loop_test(c, test_totals, 0, sizeof sizes / sizeof sizes[0]);
    tcase_add_test(c, test_new_and_clone);
    tcase_add_test(c, test_macs);
    tcase_add_test(c, test_refused_allocations);
    return c;
}
