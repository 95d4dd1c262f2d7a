/* Walks: the bits are those of a run of the whole graph, and parameters may change on the way. */
#include "graph/walk.h"

#include <string.h>

#include "base/rng.h"
#include "graph/cases.h"
#include "graph/net.h"
#include "graph/ops.h"
#include "graph/rig.h"
#include "support/fail_alloc.h"

enum { IMAGES = 7, BATCH = 3, STOPS = 16 };

/* The inputs of linear layers, and the logits. */
static int32_t find_stops(const dfqi_graph *g, dfqi_id *stops)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->n_nodes && n < STOPS - 1; i++)
        if (g->nodes[i].op == DFQI_OP_LINEAR) stops[n++] = g->nodes[i].in[0];
    stops[n++] = g->nodes[g->n_nodes - 1].out[0];
    return n;
}

/* A forward pass alone: the logits are its last value. */
static dfq_status forward(dfq_context *ctx, const dfqi_network *from, int64_t batch, dfqi_graph **g)
{
    dfqi_id ids[NET_PARAMS_MAX];
    dfqi_taps taps = {0};
    const dfqi_arch *a = &from->arch;
    DFQI_TRY(dfqi_graph_new(ctx, batch, g));
    dfqi_id x = dfqi_arch_input(a, *g);
    dfqi_network_params(from, *g, 1, ids);
    dfqi_network_forward(from, *g, ids, x, &taps);
    dfqi_graph_keep(*g, taps.logits);
    return dfqi_graph_status(*g);
}

/* Walks to the last stop; `change`: the weights of the classifier are halved before it. */
static dfq_status walk(dfq_context *ctx, const dfqi_network *from, const float *x, bool change,
                       float *logits)
{
    dfqi_graph *g = NULL;
    dfqi_walk *w = NULL;
    dfqi_workspace work = {0};
    dfqi_id stops[STOPS];
    int64_t pixels = dfqi_arch_pixels(&from->arch), size = 0;
    dfq_tensor *head = dfqi_network_find(from, "head.weight");
    dfq_status status;
    DFQI_GOTO(forward(ctx, from, BATCH, &g), out);
    int32_t n = find_stops(g, stops);
    DFQI_GOTO(dfqi_walk_new(g, n, stops, &work, &w), out);
    for (int32_t k = 0; k < n; k++) {
        if (change && k == n - 1)
            for (int64_t i = 0; i < dfqi_tensor_count(head); i++) dfqi_tensor_f32(head)[i] *= 0.5f;
        DFQI_GOTO(dfqi_walk_next(w, IMAGES), out);
        size = dfqi_value_stride(dfqi_graph_value(g, stops[k]));
        for (int64_t i = 0; i < IMAGES; i += BATCH) {
            int64_t first = i + BATCH <= IMAGES ? i : IMAGES - BATCH;
            DFQI_GOTO(dfqi_walk_run(w, first, x + first * pixels), out);
            if (k == n - 1)
                memcpy(logits + first * size, dfqi_walk_data(w),
                       (size_t)(BATCH * size) * sizeof *logits);
        }
    }
out:
    dfqi_walk_free(w);
    dfqi_graph_free(g);
    dfqi_workspace_fini(ctx, &work);
    return status;
}

/* Logits of a run of the whole graph. */
static void whole(dfq_context *ctx, const dfqi_network *from, const float *x, float *logits)
{
    dfqi_graph *g;
    dfqi_exec *e;
    ck_assert_int_eq(forward(ctx, from, IMAGES, &g), DFQ_OK);
    ck_assert_int_eq(dfqi_exec_new(g, &e), DFQ_OK);
    dfqi_exec_bind(e, 0, x);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    dfqi_id z = g->nodes[g->n_nodes - 1].out[0];
    memcpy(logits, dfqi_exec_data(e, z),
           (size_t)dfqi_value_count(dfqi_graph_value(g, z)) * sizeof *logits);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
}

START_TEST(test_bits)
{
    for (int32_t threads = 1; threads <= 3; threads++) {
        static float have[IMAGES * 100], want[IMAGES * 100];
        dfq_context *ctx = dfqt_context(threads);
        net n;
        ck_assert_int_eq(dfqt_net_build(&n, ctx, IMAGES, NET_FROZEN), DFQ_OK);
        int64_t classes = n.net.arch.classes;
        ck_assert_int_le(classes, 100);
        dfqt_net_images(&n, 0);
        for (int change = 0; change < 2; change++) {
            ck_assert_int_eq(walk(ctx, &n.net, n.x, change, have), DFQ_OK);
            whole(ctx, &n.net, n.x, want); /* with the weights as they are by now */
            ck_assert_mem_eq(have, want, (size_t)(IMAGES * classes) * sizeof *have);
        }
        dfqt_net_fini(&n);
        dfq_context_release(ctx);
    }
}
END_TEST

/* Two stops at one value, one at the input itself; what is kept is what later pieces read. */
START_TEST(test_same_value)
{
    rig r = dfqt_rig(1, 2, 5);
    const int64_t dims[1] = {4};
    dfqi_walk *w;
    dfqi_workspace work = {0};
    dfqi_id x = dfqt_input(&r, 1, 1, dims, -1, 1);
    dfqi_id a = dfqi_gelu(r.g, x), b = dfqi_add(r.g, a, x), c = dfqi_add(r.g, a, b);
    const dfqi_id stops[] = {x, a, a, c};
    ck_assert_int_eq(dfqi_walk_new(r.g, 4, stops, &work, &w), DFQ_OK);
    ck_assert_int_eq(dfqi_walk_floats(w), 4); /* a; x is the caller's, b stays in its piece */
    for (int k = 0; k < 4; k++) {
        ck_assert_int_eq(dfqi_walk_next(w, 2), DFQ_OK);
        ck_assert_int_eq(dfqi_walk_run(w, 0, r.data[0]), DFQ_OK);
        for (int i = 0; i < 8; i++) {
            float v = r.data[0][i], y;
            dfqi_kernels_get(r.ctx)->gelu(1, &v, &y);
            float want = k == 0 ? v : k < 3 ? y : y + (y + v);
            ck_assert_float_eq_tol(dfqi_walk_data(w)[i], want, 1e-6f);
        }
    }
    dfqi_walk_free(w);
    dfqi_workspace_fini(r.ctx, &work);
    dfqt_start(&r); /* so that the rig can end */
    dfqt_rig_fini(&r);
}
END_TEST

/* A sum over the batch would be one over part of the images. */
START_TEST(test_sums_of_a_batch)
{
    rig r = dfqt_rig(1, 2, 5);
    const int64_t dims[1] = {4};
    dfqi_walk *w;
    dfqi_id x = dfqt_input(&r, 1, 1, dims, -1, 1), c = dfqt_input(&r, 0, 1, dims, -1, 1);
    dfqi_id y = dfqi_layernorm(r.g, x, dfqi_sum_batch(r.g, x, c, 0, 1), c, 1e-5f);
    ck_assert_int_eq(dfqi_graph_status(r.g), DFQ_OK);
    ck_assert_int_eq(dfqi_walk_new(r.g, 1, &y, NULL, &w), DFQ_E_INTERNAL);
    ck_assert_ptr_nonnull(strstr(r.ctx->error, "cannot be walked through"));
    dfqt_start(&r);
    dfqt_rig_fini(&r);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    static float logits[IMAGES * 100];
    net n;
    (void)arg;
    dfq_status status = dfqt_net_build(&n, ctx, IMAGES, NET_FROZEN);
    if (status == DFQ_OK) status = walk(ctx, &n.net, n.x, false, logits);
    dfqt_net_fini(&n);
    return status;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(life, NULL, 1);
}
END_TEST

TCase *dfqt_walk_case(void)
{
    TCase *c = tcase_create("walk");
    tcase_add_test(c, test_bits);
    tcase_add_test(c, test_same_value);
    tcase_add_test(c, test_sums_of_a_batch);
    tcase_add_test(c, test_memory);
    tcase_set_timeout(c, 30);
    return c;
}
