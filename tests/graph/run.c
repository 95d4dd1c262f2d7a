/* The executor: the same bits whatever the threads, the slices and the number of runs; what is
 * frozen is computed once; what is not bound is named. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "graph/cases.h"
#include "graph/net.h"
#include "graph/rig.h"
#include "support/each.h"

/* A copy of everything kept, value after value. */
static float *results(const net *n, int64_t *out_count)
{
    int64_t count = 0;
    for (int32_t i = 0; i < n->n_out; i++)
        count += dfqi_value_count(dfqi_graph_value(n->g, n->out[i]));
    float *all = calloc((size_t)count, sizeof *all);
    *out_count = count;
    count = 0;
    for (int32_t i = 0; i < n->n_out; i++) {
        int64_t size = dfqi_value_count(dfqi_graph_value(n->g, n->out[i]));
        memcpy(all + count, dfqi_exec_data(n->e, n->out[i]), (size_t)size * sizeof *all);
        count += size;
    }
    return all;
}

static void start(net *n, dfq_context *ctx, int64_t batch, int flags)
{
    ck_assert_msg(dfqt_net_build(n, ctx, batch, flags) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqt_net_start(n), DFQ_OK);
}

static const int flag_sets[] = {NET_DX | NET_FROZEN, NET_DPARAMS | NET_DX,
                                NET_FAKE | NET_DX | NET_DPARAMS};
enum { N_FLAG_SETS = sizeof flag_sets / sizeof flag_sets[0], BATCH = 260 };

START_TEST(test_threads_and_repetition)
{
    float *want = NULL;
    int64_t count = 0;
    for (int32_t threads = 1; threads <= 3; threads++) {
        dfq_context *ctx = dfqt_context(threads);
        net n;
        start(&n, ctx, BATCH, flag_sets[_i]);
        for (int run = 0; run < 2; run++) {
            /* other images in between: nothing of them may be left */
            dfqt_net_images(&n, 77);
            ck_assert_int_eq(dfqi_exec_run(n.e), DFQ_OK);
            dfqt_net_images(&n, 0);
            ck_assert_int_eq(dfqi_exec_run(n.e), DFQ_OK);
            float *have = results(&n, &count);
            if (want)
                ck_assert_msg(memcmp(want, have, (size_t)count * sizeof *want) == 0,
                              "%d threads, run %d: other bits", threads, run);
            if (want) free(have);
            if (!want) want = have;
        }
        dfqt_net_fini(&n);
        dfq_context_release(ctx);
    }
    for (int64_t i = 0; i < count; i++) dfqt_each(!isnan(want[i]), "value %d is NaN", (int)i);
    free(want);
}
END_TEST

/* What belongs to an image does not depend on the images beside it, nor on the slices. */
START_TEST(test_images_are_independent)
{
    dfq_context *ctx = dfqt_context(2);
    int flags = NET_DX | NET_FROZEN | NET_PER_IMAGE | (_i ? NET_FAKE : 0);
    net all, one;
    start(&all, ctx, BATCH, flags);
    start(&one, ctx, 1, flags);
    ck_assert_int_eq(dfqi_exec_run(all.e), DFQ_OK);
    for (int64_t b = 0; b < BATCH; b += 37) {
        dfqt_net_images(&one, b);
        ck_assert_int_eq(dfqi_exec_run(one.e), DFQ_OK);
        for (int32_t i = 0; i < all.n_out; i++) {
            const dfqi_value *v = dfqi_graph_value(all.g, all.out[i]);
            ck_assert(v->batched);
            ck_assert_mem_eq(dfqi_exec_data(all.e, all.out[i]) + b * dfqi_value_stride(v),
                             dfqi_exec_data(one.e, one.out[i]),
                             (size_t)dfqi_value_stride(v) * sizeof(float));
        }
    }
    dfqt_net_fini(&all);
    dfqt_net_fini(&one);
    dfq_context_release(ctx);
}
END_TEST

/* Packed and fake-quantized weights of a frozen network are made once; otherwise at each run. */
START_TEST(test_static_nodes_run_once)
{
    dfq_context *ctx = dfqt_context(2);
    int frozen = _i;
    net n;
    int64_t count;
    start(&n, ctx, 2, NET_FAKE | (frozen ? NET_FROZEN : 0));
    ck_assert_int_eq(dfqi_exec_run(n.e), DFQ_OK);
    float *first = results(&n, &count);
    float *w = dfqi_tensor_f32(dfqi_network_find(&n.net, "blocks.1.mlp.fc1.weight"));
    for (int i = 0; i < 100; i++) w[i] = -w[i];
    ck_assert_int_eq(dfqi_exec_run(n.e), DFQ_OK);
    float *second = results(&n, &count);
    ck_assert_int_eq(memcmp(first, second, (size_t)count * sizeof *first) == 0, frozen);
    free(first);
    free(second);
    dfqt_net_fini(&n);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_unbound_input)
{
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqi_graph_input(r.g, "picture", 1, 1, (int64_t[]){8});
    dfqi_id unread = dfqi_graph_input(r.g, "unread", 1, 1, (int64_t[]){8});
    dfqi_id y = dfqi_gelu(r.g, x);
    (void)unread;
    dfqi_graph_keep(r.g, y);
    dfqt_start(&r);
    ck_assert_int_eq(dfqi_exec_run(r.e), DFQ_E_INTERNAL);
    ck_assert_ptr_nonnull(strstr(r.ctx->error, "picture"));
    dfqi_exec_bind(r.e, x, (float[16]){0});
    ck_assert_int_eq(dfqi_exec_run(r.e), DFQ_OK);
    dfqt_rig_fini(&r);
}
END_TEST

START_TEST(test_profile)
{
    dfq_context *ctx = dfqt_context(2);
    net n;
    start(&n, ctx, 8, NET_FROZEN);
    ck_assert(dfqi_exec_seconds(n.e, DFQI_OP_LINEAR) == 0);
    ck_assert_int_eq(dfqi_exec_profile(n.e), DFQ_OK);
    ck_assert_int_eq(dfqi_exec_run(n.e), DFQ_OK);
    ck_assert(dfqi_exec_seconds(n.e, DFQI_OP_LINEAR) > 0);
    ck_assert(dfqi_exec_seconds(n.e, DFQI_OP_LINEAR_DW) == 0);
    dfqt_net_fini(&n);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_run_case(void)
{
    TCase *c = tcase_create("run");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_threads_and_repetition, 0, N_FLAG_SETS);
    tcase_add_loop_test(c, test_images_are_independent, 0, 2);
    tcase_add_loop_test(c, test_static_nodes_run_once, 0, 2);
    tcase_add_test(c, test_unbound_input);
    tcase_add_test(c, test_profile);
    return c;
}
