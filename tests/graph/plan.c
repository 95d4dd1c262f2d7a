/* The planner against a brute-force reading of its promises: whoever reads a value finds it written
 * and not overwritten, in every region, with the slices of a segment in any order. */
#include <stdint.h>
#include <string.h>

#include "graph/cases.h"
#include "graph/net.h"
#include "graph/rig.h"
#include "support/each.h"

/* Who holds a value, and when: in steps, and for local values in positions of the order. */
typedef struct holding {
    dfqi_place_region region;
    int32_t first_step, last_step, first_pos, last_pos;
    size_t begin, end; /* floats */
} holding;

static int32_t step_at(const dfqi_plan *p, int32_t pos)
{
    for (int32_t s = 0; s < p->n_steps; s++)
        if (pos < p->steps[s].first + p->steps[s].count) return s;
    return -1;
}

static void note_write(const dfqi_graph *g, const dfqi_plan *p, dfqi_id v, int32_t pos, holding *h)
{
    const dfqi_place *place = &p->places[v];
    const dfqi_value *value = dfqi_graph_value(g, v);
    if (place->region == DFQI_REGION_NONE) return;
    int64_t images = !value->batched ? 1 : place->region == DFQI_REGION_LOCAL ? p->slice : g->batch;
    ck_assert_int_eq(h[v].first_pos, -1);
    ck_assert_int_eq(place->stride, value->batched ? dfqi_value_stride(value) : 0);
    h[v] = (holding){place->region,
                     step_at(p, pos),
                     step_at(p, pos),
                     pos,
                     pos,
                     place->offset,
                     place->offset + (size_t)(images * dfqi_value_stride(value))};
    if (value->keep) h[v].last_step = p->n_steps, h[v].last_pos = INT32_MAX;
    ck_assert_uint_eq(place->offset % (DFQI_ALIGN / sizeof(float)), 0);
    ck_assert_uint_le(h[v].end, place->region == DFQI_REGION_STATIC   ? p->static_floats
                                : place->region == DFQI_REGION_GLOBAL ? p->global_floats
                                                                      : p->local_floats);
}

static void note_read(const dfqi_graph *g, const dfqi_plan *p, dfqi_id v, int32_t pos, holding *h)
{
    int32_t step = step_at(p, pos);
    if (v < 0) return;
    if (dfqi_graph_value(g, v)->kind != DFQI_VALUE_NODE) {
        ck_assert_int_eq(p->places[v].region, DFQI_REGION_BOUND);
        return;
    }
    ck_assert_msg(h[v].first_pos >= 0 && h[v].first_pos < pos, "value %d is read unwritten", v);
    /* whole nodes of one step run side by side */
    ck_assert(h[v].first_step < step || p->steps[step].sliced);
    if (h[v].region == DFQI_REGION_LOCAL) ck_assert_int_eq(h[v].first_step, step);
    if (step > h[v].last_step) h[v].last_step = step;
    if (pos > h[v].last_pos) h[v].last_pos = pos;
}

/* May the two lie on the same memory at the same time? */
static int meet(const holding *a, const holding *b)
{
    if (a->first_pos < 0 || b->first_pos < 0 || a->region != b->region) return 0;
    if (a->region == DFQI_REGION_STATIC) return 1;
    if (a->region == DFQI_REGION_GLOBAL)
        return a->first_step <= b->last_step && b->first_step <= a->last_step;
    return a->first_pos <= b->last_pos && b->first_pos <= a->last_pos;
}

static void check_plan(const dfqi_graph *g)
{
    dfqi_plan p;
    ck_assert_int_eq(dfqi_plan_make(g, &p), DFQ_OK);
    holding *h = dfqi_calloc(g->ctx, (size_t)g->n_values, sizeof *h);
    for (dfqi_id v = 0; v < g->n_values; v++) h[v].first_pos = -1;
    for (int32_t s = 0, pos = 0; s < p.n_steps; s++) {
        ck_assert_int_eq(p.steps[s].first, pos);
        for (int32_t k = 0; k < p.steps[s].count; k++, pos++) {
            const dfqi_node *n = &g->nodes[p.order[pos]];
            for (int32_t i = 0; i < n->n_in; i++) note_read(g, &p, n->in[i], pos, h);
            for (int32_t i = 0; i < n->n_out; i++) note_write(g, &p, n->out[i], pos, h);
            ck_assert_int_eq(p.steps[s].once, dfqi_graph_value(g, n->out[0])->frozen);
            ck_assert_int_eq(p.steps[s].sliced, dfqi_graph_value(g, n->out[0])->batched &&
                                                    !(dfqi_op_get(n->op)->flags & DFQI_OPF_WHOLE));
        }
    }
    for (dfqi_id a = 0; a < g->n_values; a++) {
        if (g->values[a].keep) ck_assert_int_ne(p.places[a].region, DFQI_REGION_LOCAL);
        for (dfqi_id b = 0; b < a; b++)
            dfqt_each(!meet(&h[a], &h[b]) || h[a].begin >= h[b].end || h[b].begin >= h[a].end,
                      "values %d and %d share memory", b, a);
    }
    dfqi_free(g->ctx, h);
    dfqi_plan_fini(&p);
}

static const int flag_sets[] = {0,
                                NET_FROZEN,
                                NET_DX | NET_FROZEN,
                                NET_DPARAMS,
                                NET_DX | NET_DPARAMS,
                                NET_FAKE | NET_FROZEN,
                                NET_FAKE | NET_DX | NET_DPARAMS,
                                NET_FAKE | NET_DX | NET_FROZEN | NET_PER_IMAGE};
static const int64_t batches[] = {1, 3, 1000};

START_TEST(test_no_two_live_values_share_memory)
{
    dfq_context *ctx = dfqt_context(2);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        net n;
        ck_assert_int_eq(dfqt_net_build(&n, ctx, batches[b], flag_sets[_i]), DFQ_OK);
        check_plan(n.g);
        /* inner values kept as well */
        for (dfqi_id v = 0; v < n.g->n_values; v += 5)
            if (n.g->values[v].node >= 0) dfqi_graph_keep(n.g, v);
        check_plan(n.g);
        dfqt_net_fini(&n);
    }
    dfq_context_release(ctx);
}
END_TEST

/* A node that nothing kept depends on is not run. */
START_TEST(test_unneeded_nodes_stay_out)
{
    rig r = dfqt_rig(1, 2, 1);
    dfqi_id x = dfqt_input(&r, 1, 1, (int64_t[]){8}, -1, 1), y = dfqi_gelu(r.g, x), z;
    dfqi_plan p;
    z = dfqi_softmax(r.g, y, 1);
    dfqi_add(r.g, z, z);
    dfqi_graph_keep(r.g, y);
    ck_assert_int_eq(dfqi_plan_make(r.g, &p), DFQ_OK);
    ck_assert_int_eq(p.n_steps, 1);
    ck_assert_int_eq(p.steps[0].count, 1);
    ck_assert_int_eq(p.places[z].region, DFQI_REGION_NONE);
    dfqi_plan_fini(&p);
    dfqt_rig_fini(&r);
}
END_TEST

/* Memory that lives only inside a slice does not grow with the batch. */
START_TEST(test_local_memory)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_plan p[2];
    for (int i = 0; i < 2; i++) {
        net n;
        ck_assert_int_eq(dfqt_net_build(&n, ctx, i ? 4000 : 1000, NET_FROZEN), DFQ_OK);
        ck_assert_int_eq(dfqi_plan_make(n.g, &p[i]), DFQ_OK);
        dfqt_net_fini(&n);
    }
    ck_assert_uint_eq(p[0].local_floats, p[1].local_floats);
    ck_assert_uint_eq(p[0].static_floats, p[1].static_floats);
    ck_assert_uint_gt(p[1].global_floats, p[0].global_floats);
    ck_assert_uint_gt(p[0].local_floats, p[0].global_floats);
    for (int i = 0; i < 2; i++) dfqi_plan_fini(&p[i]);
    dfq_context_release(ctx);
}
END_TEST

/* The bytes are those of the context's threads, and what fits for them is not refused. */
START_TEST(test_memory_by_threads)
{
    static const int32_t threads[] = {1, 2, 256};
    size_t fixed = 0, own = 0;
    for (int i = 0; i < 3; i++) {
        dfq_context *ctx = dfqt_context(threads[i]);
        dfqi_plan p;
        net n;
        size_t bytes;
        ck_assert_int_eq(dfqt_net_build(&n, ctx, 8, NET_FROZEN), DFQ_OK);
        ck_assert_int_eq(dfqi_exec_estimate(n.g, &bytes), DFQ_OK);
        ck_assert_int_eq(dfqi_plan_make(n.g, &p), DFQ_OK);
        if (i == 0) {
            fixed = sizeof(float) * (p.static_floats + p.global_floats);
            own = sizeof(float) * (p.local_floats + p.scratch_floats);
        }
        ck_assert_uint_gt(own, 0);
        ck_assert_uint_eq(bytes, fixed + (size_t)threads[i] * own);
        dfqi_plan_fini(&p);
        dfqt_net_fini(&n);
        dfqi_context_release(ctx);
    }
}
END_TEST

/* The largest batch that can be addressed, to a power of two; twice that is refused with the
 * cause. */
START_TEST(test_what_can_be_addressed)
{
    dfq_context *ctx = dfqt_context(2);
    int64_t batch = 1;
    dfq_status status = DFQ_OK;
    size_t floats = 0;
    while (status == DFQ_OK) {
        dfqi_plan p;
        dfqi_graph *g;
        batch *= 2;
        ck_assert_int_eq(dfqi_graph_new(ctx, batch, &g), DFQ_OK);
        dfqi_id x = dfqi_graph_input(g, "x", 1, 1, (int64_t[]){16});
        for (int k = 0; k < 8; k++) dfqi_graph_keep(g, x = dfqi_gelu(g, x));
        ck_assert_int_eq(dfqi_graph_status(g), DFQ_OK);
        status = dfqi_plan_make(g, &p);
        if (status == DFQ_OK) {
            floats = p.global_floats;
            dfqi_plan_fini(&p);
        }
        dfqi_graph_free(g);
    }
    ck_assert_int_eq(status, DFQ_E_NOMEM);
    ck_assert_ptr_nonnull(strstr(ctx->error, "with 2 threads needs more than"));
    ck_assert_uint_gt(floats, PTRDIFF_MAX / sizeof(float) / 2 - 4096);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_plan_case(void)
{
    TCase *c = tcase_create("plan");
    tcase_set_timeout(c, 30);
    tcase_add_loop_test(c, test_no_two_live_values_share_memory, 0,
                        sizeof flag_sets / sizeof flag_sets[0]);
    tcase_add_test(c, test_unneeded_nodes_stay_out);
    tcase_add_test(c, test_local_memory);
    tcase_add_test(c, test_memory_by_threads);
    tcase_add_test(c, test_what_can_be_addressed);
    return c;
}
