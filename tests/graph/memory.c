/* Memory: what an executor takes is what was foretold, and every refused allocation is survived. */
#include "graph/cases.h"
#include "graph/net.h"
#include "graph/rig.h"
#include "support/fail_alloc.h"

START_TEST(test_estimate)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context *ctx;
    dfq_context_options o;
    net n;
    size_t bytes;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1 + _i;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_net_build(&n, ctx, 50, NET_DX | NET_DPARAMS | NET_FAKE), DFQ_OK);
    int64_t before = fa.live_bytes, blocks = fa.live_blocks;
    ck_assert_int_eq(dfqi_exec_estimate(n.g, &bytes), DFQ_OK);
    ck_assert_int_eq(fa.live_bytes, before);
    ck_assert_int_eq(dfqt_net_start(&n), DFQ_OK);
    /* Beside the numbers there are the plan's tables and a header for each block. */
    int64_t tables = (fa.live_blocks - blocks) * DFQI_ALIGN + 256 +
                     n.g->n_nodes * (int64_t)(sizeof(dfqi_step) + sizeof(int32_t)) +
                     n.g->n_values * (int64_t)(sizeof(dfqi_place) + sizeof(float *)) +
                     n.g->n_nodes * (int64_t)(sizeof(dfqi_run) + sizeof(int64_t));
    int64_t taken = fa.live_bytes - before;
    ck_assert_msg(taken >= (int64_t)bytes && taken <= (int64_t)bytes + tables,
                  "%d bytes taken, %d foretold, tables at most %d", (int)taken, (int)bytes,
                  (int)tables);
    int64_t calls = fa.calls;
    ck_assert_int_eq(dfqi_exec_run(n.e), DFQ_OK);
    ck_assert_int_eq(fa.calls, calls);
    dfqt_net_fini(&n);
    dfq_context_release(ctx);
    ck_assert_int_eq(fa.live_bytes, 0);
}
END_TEST

/* The sum of relu(x) of [2,4] images first, first + 1, ... */
static float sum_in(dfqi_graph *g, dfqi_workspace *w, float first, dfqi_exec **e)
{
    float x[8], sum = 0;
    for (int i = 0; i < 8; i++) x[i] = first + (float)i;
    dfqi_id in = dfqi_graph_input(g, "x", 1, 1, (int64_t[]){4});
    dfqi_id out = dfqi_relu(g, NULL, in, 100.0f);
    dfqi_graph_keep(g, out);
    ck_assert_int_eq(dfqi_exec_new_in(g, w, e), DFQ_OK);
    dfqi_exec_bind(*e, in, x);
    ck_assert_int_eq(dfqi_exec_run(*e), DFQ_OK);
    for (int i = 0; i < 8; i++) sum += dfqi_exec_data(*e, out)[i];
    return sum;
}

/* One after the other they use the same memory; one beside the other they do not. */
START_TEST(test_workspace)
{
    dfqi_workspace w = {0};
    dfqi_graph *g[3];
    dfqi_exec *e[3];
    rig r = dfqt_rig(1, 2, 1);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dfqi_graph_new(r.ctx, 2, &g[i]), DFQ_OK);
    ck_assert_float_eq(sum_in(g[0], &w, 0, &e[0]), 28.0f);
    const float *base = w.base;
    ck_assert_ptr_nonnull(base);
    ck_assert_float_eq(sum_in(g[1], &w, 1, &e[1]), 36.0f);
    dfqi_exec_free(e[1]);
    ck_assert_int_eq(w.taken, 1);
    dfqi_exec_free(e[0]);
    ck_assert_int_eq(w.taken, 0);
    ck_assert_float_eq(sum_in(g[2], &w, 2, &e[2]), 44.0f);
    ck_assert_ptr_eq(w.base, base);
    dfqi_exec_free(e[2]);
    for (int i = 0; i < 3; i++) dfqi_graph_free(g[i]);
    dfqi_workspace_fini(r.ctx, &w);
    dfqt_rig_fini(&r);
}
END_TEST

static dfq_status build_and_run(dfq_context *ctx, void *arg)
{
    net n;
    dfq_status status = dfqt_net_build(&n, ctx, 2, *(const int *)arg);
    if (status == DFQ_OK) status = dfqt_net_start(&n);
    if (status == DFQ_OK) status = dfqi_exec_profile(n.e);
    if (status == DFQ_OK) status = dfqi_exec_run(n.e);
    dfqt_net_fini(&n);
    return status;
}

START_TEST(test_refused_allocations)
{
    int flags = _i ? NET_FAKE | NET_DX | NET_DPARAMS : NET_FROZEN | NET_DX;
    fail_alloc_sweep(build_and_run, &flags, 2);
}
END_TEST

/* Sizes that no machine has: refused when made or when planned, never wrapped. */
START_TEST(test_huge)
{
    rig r = dfqt_rig(1, INT64_C(1) << 40, 1);
    size_t bytes;
    dfqi_id x = dfqi_graph_input(r.g, "x", 1, 1, (int64_t[]){1 << 19});
    for (int i = 0; i < 20; i++) {
        x = dfqi_gelu(r.g, x);
        dfqi_graph_keep(r.g, x);
    }
    ck_assert_int_eq(dfqi_graph_status(r.g), DFQ_OK);
    ck_assert_int_eq(dfqi_exec_estimate(r.g, &bytes), DFQ_E_NOMEM);
    ck_assert_int_eq(dfqi_exec_new(r.g, &r.e), DFQ_E_NOMEM);
    ck_assert_int_eq(dfqi_graph_input(r.g, "y", 1, 2, (int64_t[]){1 << 20, 1 << 20}), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(r.g), DFQ_E_SHAPE);
    dfqt_rig_fini(&r);
    r = dfqt_rig(1, 1, 1);
    x = dfqi_graph_input(r.g, "x", 1, 1, (int64_t[]){INT64_C(1) << 58});
    dfqi_id w = dfqi_graph_input(r.g, "w", 0, 2, (int64_t[]){1, INT64_C(1) << 58});
    ck_assert_int_eq(dfqi_linear(r.g, "wide", x, w, DFQI_NONE), DFQI_NONE);
    ck_assert_int_eq(dfqi_graph_status(r.g), DFQ_E_SHAPE);
    dfqt_rig_fini(&r);
}
END_TEST

TCase *dfqt_memory_case(void)
{
    TCase *c = tcase_create("memory");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_estimate, 0, 3);
    tcase_add_test(c, test_workspace);
    tcase_add_loop_test(c, test_refused_allocations, 0, 2);
    tcase_add_test(c, test_huge);
    return c;
}
