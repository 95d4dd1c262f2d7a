/* The rig: see rig.h. */
#include "graph/rig.h"

dfq_context *dfqt_context(int32_t threads)
{
    dfq_context *ctx = NULL;
    dfq_context_options o;
    dfq_context_options_init(&o, sizeof o);
    o.threads = threads;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

rig dfqt_rig(int32_t threads, int64_t batch, uint64_t seed)
{
    rig r = {.ctx = dfqt_context(threads), .rng = dfqi_rng_make(seed, 0)};
    ck_assert_int_eq(dfqi_graph_new(r.ctx, batch, &r.g), DFQ_OK);
    return r;
}

void dfqt_rig_fini(rig *r)
{
    dfqi_exec_free(r->e);
    dfqi_graph_free(r->g);
    for (int32_t i = 0; i < r->n; i++) dfqi_free(r->ctx, r->data[i]);
    dfq_context_release(r->ctx);
}

int64_t dfqt_count(const rig *r, dfqi_id v)
{
    return dfqi_value_count(dfqi_graph_value(r->g, v));
}

dfqi_id dfqt_input(rig *r, int batched, int32_t rank, const int64_t *dims, float lo, float hi)
{
    dfqi_id id = dfqi_graph_input(r->g, "in", batched, rank, dims);
    ck_assert_msg(id >= 0 && r->n < RIG_MAX, "input: %s", r->ctx->error);
    int64_t n = dfqt_count(r, id);
    float *data = dfqi_calloc(r->ctx, (size_t)n, sizeof *data);
    ck_assert_ptr_nonnull(data);
    for (int64_t i = 0; i < n; i++) data[i] = dfqi_rng_range(&r->rng, lo, hi);
    r->input[r->n] = id;
    r->data[r->n++] = data;
    return id;
}

dfqi_id dfqt_wrt(rig *r, int batched, int32_t rank, const int64_t *dims, float lo, float hi)
{
    r->wrt[r->n_wrt++] = r->n;
    return dfqt_input(r, batched, rank, dims, lo, hi);
}

float *dfqt_data(const rig *r, dfqi_id input)
{
    for (int32_t i = 0; i < r->n; i++)
        if (r->input[i] == input) return r->data[i];
    ck_abort_msg("value %d is no input", input);
    return NULL;
}

dfqi_id dfqt_seed(rig *r, dfqi_id v)
{
    const dfqi_value *value = dfqi_graph_value(r->g, v);
    int64_t dims[DFQI_RANK_MAX];
    int32_t first = value->batched, rank = value->rank - first;
    for (int32_t i = 0; i < rank; i++) dims[i] = value->dims[first + i];
    return dfqt_input(r, first, rank, dims, -1.0f, 1.0f);
}

void dfqt_grad(rig *r, int32_t n, const dfqi_id *value, const dfqi_id *seed)
{
    dfqi_id wrt[RIG_MAX];
    for (int32_t i = 0; i < r->n_wrt; i++) wrt[i] = r->input[r->wrt[i]];
    ck_assert_msg(dfqi_graph_grad(r->g, n, value, seed, r->n_wrt, wrt, r->dwrt) == DFQ_OK,
                  "gradient: %s", r->ctx->error);
    for (int32_t i = 0; i < n; i++) dfqi_graph_keep(r->g, value[i]);
    for (int32_t i = 0; i < r->n_wrt; i++) dfqi_graph_keep(r->g, r->dwrt[i]);
}

void dfqt_start(rig *r)
{
    ck_assert_msg(dfqi_exec_new(r->g, &r->e) == DFQ_OK, "executor: %s", r->ctx->error);
    for (int32_t i = 0; i < r->n; i++) dfqi_exec_bind(r->e, r->input[i], r->data[i]);
}

void dfqt_run(rig *r)
{
    ck_assert_msg(dfqi_exec_run(r->e) == DFQ_OK, "run: %s", r->ctx->error);
}

int dfqt_has_op(const dfqi_graph *g, dfqi_op_kind op)
{
    int n = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) n += g->nodes[i].op == op;
    return n;
}
