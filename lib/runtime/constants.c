/* Constants of a program: parameters, and what the graph computes from them alone, as packed and
 * fake-quantized weights. */
#include <string.h>

#include "runtime/program_priv.h"

static DFQI_CHECKED dfq_status compute(const dfqi_graph *g, dfqi_id id, float *out);

/* An operand of a frozen node; *own is memory to free, or NULL. */
static dfq_status operand(const dfqi_graph *g, dfqi_id id, dfqi_arg *a, float **own)
{
    const dfqi_value *v = dfqi_graph_value(g, id);
    *own = NULL;
    a->rank = v->rank;
    memcpy(a->dims, v->dims, sizeof a->dims);
    a->count = dfqi_value_count(v);
    if (v->kind == DFQI_VALUE_PARAM && !v->tensor->fill) {
        a->data = dfqi_tensor_f32(v->tensor); /* read only */
        return DFQ_OK;
    }
    *own = dfqi_calloc(g->ctx, (size_t)a->count, sizeof **own);
    if (!*own) return DFQ_E_NOMEM;
    a->data = *own;
    return compute(g, id, *own);
}

/* A result of a frozen node, in memory of its own unless there is some. */
static dfq_status result(const dfqi_graph *g, dfqi_id id, float *data, dfqi_arg *a, float **own)
{
    const dfqi_value *v = dfqi_graph_value(g, id);
    *a = (dfqi_arg){.data = data, .rank = v->rank, .count = dfqi_value_count(v)};
    memcpy(a->dims, v->dims, sizeof a->dims);
    if (data) return DFQ_OK;
    a->data = *own = dfqi_calloc(g->ctx, (size_t)a->count, sizeof **own);
    return a->data ? DFQ_OK : DFQ_E_NOMEM;
}

/* Runs a frozen node; output `id` goes to `out`. */
static dfq_status run_node(const dfqi_graph *g, const dfqi_node *n, dfqi_id id, float *out)
{
    const dfqi_op *op = dfqi_op_get(n->op);
    dfqi_run r = {.k = dfqi_kernels_get(g->ctx), .attr = &n->attr, .images = 1, .batch = g->batch};
    float *own[DFQI_IN_MAX + 1 + DFQI_OUT_MAX] = {NULL};
    dfq_status status = DFQ_OK;
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0) DFQI_GOTO(operand(g, n->in[i], &r.in[i], &own[i]), out);
    for (int32_t i = 0; i < n->n_out; i++)
        if (i == 0 || n->out[i] == id)
            DFQI_GOTO(result(g, n->out[i], n->out[i] == id ? out : NULL, &r.out[i],
                             &own[DFQI_IN_MAX + 1 + i]),
                      out);
    if (op->scratch) {
        status = DFQ_E_NOMEM;
        r.scratch = own[DFQI_IN_MAX] =
            dfqi_calloc(g->ctx, (size_t)op->scratch(g, n, 1), sizeof *r.scratch);
        if (!r.scratch) goto out;
    }
    const int64_t blocks = op->blocks ? op->blocks(&r) : 1;
    for (r.block = 0; r.block < blocks; r.block++) op->run(&r);
    status = DFQ_OK;
out:
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) dfqi_free(g->ctx, own[i]);
    return status;
}

static dfq_status compute(const dfqi_graph *g, dfqi_id id, float *out)
{
    const dfqi_value *v = dfqi_graph_value(g, id);
    if (v->kind == DFQI_VALUE_NODE) return run_node(g, &g->nodes[v->node], id, out);
    dfqi_tensor_read(v->tensor, out);
    return DFQ_OK;
}

/* Places that no other constant has, each at the beginning of a cache line. */
static dfq_status place(dfqi_rt_builder *b)
{
    dfqi_program *p = b->p;
    size_t end = 0;
    for (int32_t i = 0; i < p->n_values; i++) {
        dfqi_rt_value *v = &p->values[i];
        if (v->region != DFQI_RT_CONSTANT) continue;
        v->offset = end;
        if (!dfqi_add_size(end, v->bytes + DFQI_ALIGN - 1, &end)) return DFQ_E_NOMEM;
        end -= end % DFQI_ALIGN;
    }
    p->constant_bytes = end;
    p->constants = dfqi_calloc(p->ctx, end + 1, 1);
    return p->constants ? DFQ_OK : DFQ_E_NOMEM;
}

dfq_status dfqi_rt_constants(dfqi_rt_builder *b)
{
    DFQI_TRY(place(b));
    for (int32_t i = 0; i < b->p->n_values; i++) {
        const dfqi_rt_value *v = &b->p->values[i];
        if (v->region == DFQI_RT_CONSTANT && v->id >= 0)
            DFQI_TRY(compute(b->g, v->id, (float *)(void *)(b->p->constants + v->offset)));
    }
    for (int32_t i = 0; i < b->n_weights; i++) DFQI_TRY(dfqi_rt_weight_compute(b, &b->weights[i]));
    return DFQ_OK;
}
