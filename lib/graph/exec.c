/* The executor: it assigns memory to the values of a plan and runs the plan's steps. */
#include "graph/exec.h"

#include <string.h>

#include "base/parallel.h"
#include "base/progress.h"

struct dfqi_exec {
    dfq_context *ctx;
    const dfqi_graph *g;
    const dfqi_kernels *k;
    dfqi_plan plan;
    const float **bound;  /* one for each value: inputs */
    dfqi_workspace *work; /* taken, or &own */
    dfqi_workspace own;
    float *fixed; /* static region; this and the following lie in the workspace */
    float *global;
    float *local; /* threads x (local + scratch) */
    int32_t threads;
    int32_t primed;     /* static values are computed */
    double *profile;    /* [threads][DFQI_OP_COUNT], or NULL */
    dfqi_run *group;    /* the whole nodes of the running step */
    int64_t *group_end; /* the blocks of a node and of those before it */
};

/* One step as the body of a parallel loop. */
typedef struct loop {
    dfqi_exec *e;
    const dfqi_step *step;
} loop;

/* -- life -------------------------------------------------------------------------------------- */

void dfqi_workspace_fini(dfq_context *ctx, dfqi_workspace *w)
{
    dfqi_free(ctx, w->base);
    memset(w, 0, sizeof *w);
}

void dfqi_exec_free(dfqi_exec *e)
{
    if (!e) return;
    dfq_context *ctx = e->ctx;
    dfqi_plan_fini(&e->plan);
    if (e->work) e->work->taken = 0;
    dfqi_workspace_fini(ctx, &e->own);
    dfqi_free(ctx, e->bound);
    dfqi_free(ctx, e->profile);
    dfqi_free(ctx, e->group);
    dfqi_free(ctx, e->group_end);
    dfqi_free(ctx, e);
}

/* The plan has checked that no sum overflows, and aligned its parts. */
static dfq_status take_memory(dfqi_exec *e, dfqi_workspace *w)
{
    const dfqi_plan *p = &e->plan;
    const size_t floats = dfqi_plan_bytes(p, e->threads) / sizeof(float) + 1; /* never none */
    if (!w || w->taken) w = &e->own;
    if (w->floats < floats) {
        dfqi_workspace_fini(e->ctx, w);
        w->base = dfqi_alloc(e->ctx, floats * sizeof *w->base);
        if (!w->base) return DFQ_E_NOMEM;
        w->floats = floats;
    }
    w->taken = 1;
    e->work = w;
    e->fixed = w->base;
    e->global = e->fixed + p->static_floats;
    e->local = e->global + p->global_floats;
    return DFQ_OK;
}

dfq_status dfqi_exec_new_in(const dfqi_graph *g, dfqi_workspace *w, dfqi_exec **out)
{
    DFQI_TRY(dfqi_graph_status(g));
    dfq_context *ctx = g->ctx;
    dfqi_exec *e = dfqi_calloc(ctx, 1, sizeof *e);
    if (!e) return DFQ_E_NOMEM;
    dfq_status status;
    e->ctx = ctx;
    e->g = g;
    e->k = dfqi_kernels_get(ctx);
    e->threads = ctx->threads;
    e->plan.ctx = ctx;
    DFQI_GOTO(dfqi_plan_make(g, &e->plan), fail);
    DFQI_GOTO(take_memory(e, w), fail);
    const dfqi_plan *p = &e->plan;
    status = DFQ_E_NOMEM;
    e->bound = dfqi_calloc(ctx, (size_t)g->n_values + 1, sizeof *e->bound);
    int32_t largest = 0;
    for (int32_t k = 0; k < p->n_steps; k++)
        if (!p->steps[k].sliced && p->steps[k].count > largest) largest = p->steps[k].count;
    e->group = dfqi_calloc(ctx, (size_t)largest, sizeof *e->group);
    e->group_end = dfqi_calloc(ctx, (size_t)largest, sizeof *e->group_end);
    if (!e->bound || !e->group || !e->group_end) goto fail;
    for (int32_t v = 0; v < g->n_values; v++)
        if (g->values[v].kind == DFQI_VALUE_PARAM)
            e->bound[v] = dfqi_tensor_f32(g->values[v].tensor);
    *out = e;
    return DFQ_OK;
fail:
    dfqi_exec_free(e);
    return status;
}

dfq_status dfqi_exec_new(const dfqi_graph *g, dfqi_exec **out)
{
    return dfqi_exec_new_in(g, NULL, out);
}

dfq_status dfqi_exec_estimate(const dfqi_graph *g, size_t *out_bytes)
{
    dfqi_plan p;
    DFQI_TRY(dfqi_graph_status(g));
    DFQI_TRY(dfqi_plan_make(g, &p));
    *out_bytes = dfqi_plan_bytes(&p, g->ctx->threads);
    dfqi_plan_fini(&p);
    return DFQ_OK;
}

/* -- runs -------------------------------------------------------------------------------------- */

void dfqi_exec_bind(dfqi_exec *e, dfqi_id input, const float *data)
{
    if (input >= 0) e->bound[input] = data;
}

static float *address(const dfqi_exec *e, dfqi_id v, int64_t image, int32_t thread)
{
    const dfqi_place *at = &e->plan.places[v];
    size_t thread_floats = e->plan.local_floats + e->plan.scratch_floats;
    switch (at->region) {
    case DFQI_REGION_BOUND: /* operands are only read: the cast is safe */
        return e->bound[v] ? (float *)(uintptr_t)(e->bound[v] + image * at->stride) : NULL;
    case DFQI_REGION_STATIC:
        return e->fixed + at->offset;
    case DFQI_REGION_GLOBAL:
        return e->global + at->offset + image * at->stride;
    case DFQI_REGION_LOCAL:
        return e->local + (size_t)thread * thread_floats + at->offset;
    default:
        return NULL;
    }
}

static void fill_arg(const dfqi_exec *e, dfqi_id id, int64_t image, int64_t images, int32_t thread,
                     dfqi_arg *a)
{
    const dfqi_value *v = &e->g->values[id];
    a->data = address(e, id, image, thread);
    a->rank = v->rank;
    memcpy(a->dims, v->dims, sizeof a->dims);
    if (v->batched) a->dims[0] = images;
    a->count = v->batched ? images * e->plan.places[id].stride : dfqi_value_count(v);
}

static dfqi_run prepare(const dfqi_exec *e, int32_t node, int64_t image, int64_t images,
                        int32_t thread)
{
    const dfqi_node *n = &e->g->nodes[node];
    dfqi_run r = {.k = e->k, .attr = &n->attr, .images = images, .batch = e->g->batch};
    for (int32_t i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0) fill_arg(e, n->in[i], image, images, thread, &r.in[i]);
    for (int32_t i = 0; i < n->n_out; i++) fill_arg(e, n->out[i], image, images, thread, &r.out[i]);
    return r;
}

static void run_node(dfqi_exec *e, int32_t node, dfqi_run *r, int32_t thread)
{
    dfqi_op_kind op = e->g->nodes[node].op;
    size_t thread_floats = e->plan.local_floats + e->plan.scratch_floats;
    r->scratch = e->local + (size_t)thread * thread_floats + e->plan.local_floats;
    double start = e->profile ? dfqi_now() : 0;
    dfqi_op_get(op)->run(r);
    if (e->profile) e->profile[thread * DFQI_OP_COUNT + op] += dfqi_now() - start;
}

static void run_slice(void *arg, int64_t i, int32_t thread)
{
    const loop *s = arg;
    dfqi_exec *e = s->e;
    int64_t first = i * e->plan.slice, left = e->g->batch - first;
    int64_t images = left < e->plan.slice ? left : e->plan.slice;
    for (int32_t k = 0; k < s->step->count; k++) {
        int32_t node = e->plan.order[s->step->first + k];
        dfqi_run r = prepare(e, node, first, images, thread);
        run_node(e, node, &r, thread);
    }
}

/* Runs block i of a group of whole nodes, whose blocks are numbered consecutively. */
static void run_block(void *arg, int64_t i, int32_t thread)
{
    const loop *s = arg;
    int32_t k = 0, end = s->step->count - 1;
    while (k < end) {
        int32_t middle = (k + end) / 2;
        if (i < s->e->group_end[middle])
            end = middle;
        else
            k = middle + 1;
    }
    dfqi_run r = s->e->group[k];
    r.block = i - (k ? s->e->group_end[k - 1] : 0);
    run_node(s->e, s->e->plan.order[s->step->first + k], &r, thread);
}

static void run_group(dfqi_exec *e, loop *s)
{
    int64_t blocks = 0;
    for (int32_t k = 0; k < s->step->count; k++) {
        int32_t node = e->plan.order[s->step->first + k];
        const dfqi_op *op = dfqi_op_get(e->g->nodes[node].op);
        e->group[k] = prepare(e, node, 0, e->g->batch, 0);
        blocks += op->blocks ? op->blocks(&e->group[k]) : 1;
        e->group_end[k] = blocks;
    }
    dfqi_parallel_for(e->ctx, blocks, run_block, s);
}

static dfq_status check_bound(const dfqi_exec *e)
{
    for (int32_t k = 0; k < e->plan.n_steps; k++) {
        const dfqi_step *s = &e->plan.steps[k];
        for (int32_t j = s->first; j < s->first + s->count; j++) {
            const dfqi_node *n = &e->g->nodes[e->plan.order[j]];
            for (int32_t i = 0; i < n->n_in; i++)
                if (n->in[i] >= 0 && e->plan.places[n->in[i]].region == DFQI_REGION_BOUND &&
                    !e->bound[n->in[i]])
                    return dfqi_fail(e->ctx, DFQ_E_INTERNAL, "input %s of the graph is not bound",
                                     e->g->values[n->in[i]].name ? e->g->values[n->in[i]].name
                                                                 : "");
        }
    }
    return DFQ_OK;
}

dfq_status dfqi_exec_run(dfqi_exec *e)
{
    DFQI_TRY(check_bound(e));
    int64_t slices = (e->g->batch + e->plan.slice - 1) / e->plan.slice;
    for (int32_t k = 0; k < e->plan.n_steps; k++) {
        const dfqi_step *s = &e->plan.steps[k];
        loop body = {.e = e, .step = s};
        if (s->once && e->primed) continue;
        if (s->sliced)
            dfqi_parallel_for(e->ctx, slices, run_slice, &body);
        else
            run_group(e, &body);
    }
    e->primed = 1;
    return DFQ_OK;
}

const float *dfqi_exec_data(const dfqi_exec *e, dfqi_id v)
{
    return address(e, v, 0, 0);
}

dfq_status dfqi_exec_profile(dfqi_exec *e)
{
    if (!e->profile)
        e->profile = dfqi_calloc(e->ctx, (size_t)e->threads * DFQI_OP_COUNT, sizeof(double));
    return e->profile ? DFQ_OK : DFQ_E_NOMEM;
}

double dfqi_exec_seconds(const dfqi_exec *e, dfqi_op_kind op)
{
    double sum = 0;
    for (int32_t t = 0; e->profile && t < e->threads; t++)
        sum += e->profile[t * DFQI_OP_COUNT + op];
    return sum;
}
