/* Scheduling and memory planning (plan.h). */
#include "graph/plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "graph/place.h"

/* A slice's largest value should fit in a core's cache beside the weights of one layer. */
enum { SLICE_FLOATS = 128 * 1024, ALIGN_FLOATS = DFQI_ALIGN / sizeof(float) };

/* No block of memory is larger. */
static const size_t MOST_FLOATS = PTRDIFF_MAX / sizeof(float);

/* Work in progress: one record for each node and for each value. */
typedef struct item {
    int32_t node;
    int32_t level; /* 2 s: whole nodes before segment s; 2 s + 1: segment s */
    int32_t depth; /* whole nodes: longest chain of others of the same level that lead here */
    uint8_t once;  /* from frozen parameters: 0 sorts behind 1 */
} item;

typedef struct planner {
    const dfqi_graph *g;
    dfqi_plan *p;
    uint8_t *needed;  /* node is needed for something kept */
    int32_t *readers; /* value: number of reading nodes, +1 if kept */
    item *items;
    int32_t n_items;
    int32_t *step_of; /* node -> step, -1 */
    int32_t *pos_of;  /* node -> position in order */
    dfqi_life *lives; /* pool: the region */
} planner;

static bool is_sliced(const dfqi_graph *g, const dfqi_node *n)
{
    return !(dfqi_op_get(n->op)->flags & DFQI_OPF_WHOLE) && g->values[n->out[0]].batched;
}

/* Nodes that lead to a kept value, from the back. */
static void mark_needed(planner *w)
{
    const dfqi_graph *g = w->g;
    for (int32_t v = 0; v < g->n_values; v++) w->readers[v] = g->values[v].keep;
    for (int32_t i = g->n_nodes - 1; i >= 0; i--) {
        const dfqi_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->n_out; k++) w->needed[i] |= w->readers[n->out[k]] > 0;
        for (int32_t k = 0; w->needed[i] && k < n->n_in; k++)
            if (n->in[k] >= 0) w->readers[n->in[k]]++;
    }
}

/* Schedules node i as early as possible. A sliced node joins the segment of its operands, unless an
 * operand comes from a whole node; then it opens the next segment. `of` has the items of all nodes
 * before i. */
static item make_item(const planner *w, int32_t i, const item *of)
{
    const dfqi_node *n = &w->g->nodes[i];
    int sliced = is_sliced(w->g, n);
    item it = {.node = i, .level = sliced, .once = w->g->values[n->out[0]].frozen};
    for (int32_t k = 0; k < n->n_in; k++) {
        int32_t from = n->in[k] >= 0 ? w->g->values[n->in[k]].node : -1;
        if (from < 0) continue;
        int32_t level = of[from].level, depth = sliced ? 0 : of[from].depth + 1;
        if ((level & 1) != sliced) { /* from a segment to the whole nodes behind it, or back */
            level++;
            depth = 0;
        }
        if (level > it.level || (level == it.level && depth > it.depth)) {
            it.level = level;
            it.depth = depth;
        }
    }
    return it;
}

static int by_step(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (x->depth != y->depth) return x->depth < y->depth ? -1 : 1;
    if (x->once != y->once) return x->once ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Do both belong to one step? */
static bool same_step(const item *a, const item *b)
{
    return a->level == b->level && a->depth == b->depth && a->once == b->once;
}

static dfq_status schedule(planner *w)
{
    const dfqi_graph *g = w->g;
    dfqi_plan *p = w->p;
    item *of = dfqi_calloc(g->ctx, (size_t)g->n_nodes + 1, sizeof *of);
    if (!of) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        if (!w->needed[i]) continue;
        of[i] = make_item(w, i, of);
        w->items[w->n_items++] = of[i];
    }
    dfqi_free(g->ctx, of);
    qsort(w->items, (size_t)w->n_items, sizeof *w->items, by_step);
    for (int32_t k = 0; k < w->n_items; k++) {
        const item *it = &w->items[k];
        if (k == 0 || !same_step(it - 1, it))
            p->steps[p->n_steps++] =
                (dfqi_step){.first = k, .sliced = it->level & 1, .once = it->once};
        p->steps[p->n_steps - 1].count++;
        p->order[k] = it->node;
        w->step_of[it->node] = p->n_steps - 1;
        w->pos_of[it->node] = k;
    }
    return DFQ_OK;
}

/* A value is local if one sliced segment makes and reads it and nobody else does. */
static bool is_local(const planner *w, dfqi_id id)
{
    const dfqi_graph *g = w->g;
    const dfqi_value *v = &g->values[id];
    int32_t step = w->step_of[v->node];
    return v->batched && !v->keep && w->p->steps[step].sliced;
}

/* Floats of `images` images, at most MOST_FLOATS, rounded up to a multiple of ALIGN_FLOATS. */
static size_t whole_lines(int64_t images, int64_t stride)
{
    int64_t n;
    if (!dfqi_mul_i64(images, stride, &n) || (uint64_t)n > MOST_FLOATS) n = (int64_t)MOST_FLOATS;
    return ((size_t)n / ALIGN_FLOATS + ((size_t)n % ALIGN_FLOATS != 0)) * ALIGN_FLOATS;
}

/* Times are positions in the order; a value read outside its own step lives to the end of the
 * reader's step, because slices of one segment run side by side. */
static void find_lives(planner *w, int32_t *n_lives)
{
    const dfqi_graph *g = w->g;
    dfqi_plan *p = w->p;
    int32_t *at = w->readers; /* from here on: index into lives, or -1 */
    for (dfqi_id id = 0; id < g->n_values; id++) {
        const dfqi_value *v = &g->values[id];
        dfqi_place *place = &p->places[id];
        int used = w->readers[id] > 0;
        at[id] = -1;
        place->stride = v->batched ? dfqi_value_stride(v) : 0;
        if (v->kind != DFQI_VALUE_NODE) place->region = DFQI_REGION_BOUND;
        if (v->kind != DFQI_VALUE_NODE || v->node < 0 || !w->needed[v->node]) continue;
        if (!used && g->nodes[v->node].out[0] != id) continue; /* a further output nobody reads */
        place->region = v->frozen         ? DFQI_REGION_STATIC
                        : is_local(w, id) ? DFQI_REGION_LOCAL
                                          : DFQI_REGION_GLOBAL;
        int32_t pos = w->pos_of[v->node];
        at[id] = *n_lives;
        w->lives[(*n_lives)++] = (dfqi_life){.value = id, .first = pos, .last = pos};
    }
    for (int32_t k = 0; k < w->n_items; k++) {
        const dfqi_node *n = &g->nodes[p->order[k]];
        const dfqi_step *s = &p->steps[w->step_of[p->order[k]]];
        for (int32_t j = 0; j < n->n_in; j++) {
            if (n->in[j] < 0 || at[n->in[j]] < 0) continue;
            dfqi_life *l = &w->lives[at[n->in[j]]];
            if (w->step_of[g->values[n->in[j]].node] != w->step_of[p->order[k]]) {
                if (p->places[n->in[j]].region == DFQI_REGION_LOCAL)
                    p->places[n->in[j]].region = DFQI_REGION_GLOBAL;
                if (s->first + s->count - 1 > l->last) l->last = s->first + s->count - 1;
            } else if (k > l->last) {
                l->last = k;
            }
        }
    }
    for (int32_t i = 0; i < *n_lives; i++) {
        dfqi_life *l = &w->lives[i];
        const dfqi_value *v = &g->values[l->value];
        dfqi_place_region region = p->places[l->value].region;
        int64_t images = v->batched ? (region == DFQI_REGION_LOCAL ? p->slice : g->batch) : 1;
        l->pool = region;
        l->size = whole_lines(images, dfqi_value_stride(v));
        if (v->keep) l->last = w->n_items;
        if (region == DFQI_REGION_STATIC) { /* for all runs */
            l->first = 0;
            l->last = w->n_items;
        }
        if (region == DFQI_REGION_GLOBAL) {
            /* slices of the producing segment run at different times */
            const dfqi_step *s = &p->steps[w->step_of[v->node]];
            l->first = s->first;
            if (s->first + s->count - 1 > l->last) l->last = s->first + s->count - 1;
        }
    }
}

/* Places the values of a region. Returns its size, MOST_FLOATS if it is too large. */
static size_t place_all(planner *w, int32_t n_lives, dfqi_place_region region, int32_t *placed)
{
    size_t end = dfqi_lives_place(w->lives, n_lives, region, MOST_FLOATS, placed);
    for (int32_t i = 0; i < n_lives; i++)
        if (w->lives[i].pool == (int32_t)region)
            w->p->places[w->lives[i].value].offset = w->lives[i].offset;
    return end;
}

static void choose_slice(planner *w)
{
    const dfqi_graph *g = w->g;
    int64_t largest = 1;
    for (int32_t v = 0; v < g->n_values; v++)
        if (g->values[v].batched && dfqi_value_stride(&g->values[v]) > largest)
            largest = dfqi_value_stride(&g->values[v]);
    int64_t slice = SLICE_FLOATS / largest;
    w->p->slice = slice < 1 ? 1 : slice > g->batch ? g->batch : slice;
}

static void find_scratch(planner *w)
{
    const dfqi_graph *g = w->g;
    for (int32_t k = 0; k < w->n_items; k++) {
        const dfqi_node *n = &g->nodes[w->p->order[k]];
        const dfqi_op *op = dfqi_op_get(n->op);
        if (!op->scratch) continue;
        size_t floats = whole_lines(1, op->scratch(g, n, is_sliced(g, n) ? w->p->slice : g->batch));
        if (floats > w->p->scratch_floats) w->p->scratch_floats = floats;
    }
}

/* The memory of all the context's threads must fit into one block; then dfqi_plan_bytes() cannot
 * overflow. */
static dfq_status check_sizes(const dfqi_plan *p, int64_t batch)
{
    size_t threads = (size_t)p->ctx->threads, total;
    if (dfqi_mul_size(threads, p->local_floats + p->scratch_floats, &total) &&
        dfqi_add_size(total, p->static_floats, &total) &&
        dfqi_add_size(total, p->global_floats, &total) && total < MOST_FLOATS)
        return DFQ_OK;
    return dfqi_fail(p->ctx, DFQ_E_NOMEM,
                     "out of memory: a batch of %lld with %d threads needs more than the %.3g GB "
                     "that can be addressed",
                     (long long)batch, (int)threads, (double)MOST_FLOATS * sizeof(float) * 1e-9);
}

dfq_status dfqi_plan_make(const dfqi_graph *g, dfqi_plan *out)
{
    dfq_context *ctx = g->ctx;
    dfqi_plan p = {.ctx = ctx};
    planner w = {.g = g, .p = &p};
    dfq_status status = DFQ_E_NOMEM;
    size_t nodes = (size_t)g->n_nodes + 1, values = (size_t)g->n_values + 1;
    int32_t n_lives = 0;
    int32_t *placed = dfqi_calloc(ctx, values, sizeof *placed);
    p.steps = dfqi_calloc(ctx, nodes, sizeof *p.steps);
    p.order = dfqi_calloc(ctx, nodes, sizeof *p.order);
    p.places = dfqi_calloc(ctx, values, sizeof *p.places);
    w.needed = dfqi_calloc(ctx, nodes, 1);
    w.readers = dfqi_calloc(ctx, values, sizeof *w.readers);
    w.items = dfqi_calloc(ctx, nodes, sizeof *w.items);
    w.step_of = dfqi_calloc(ctx, nodes, sizeof *w.step_of);
    w.pos_of = dfqi_calloc(ctx, nodes, sizeof *w.pos_of);
    w.lives = dfqi_calloc(ctx, values, sizeof *w.lives);
    if (!placed || !p.steps || !p.order || !p.places || !w.needed || !w.readers || !w.items ||
        !w.step_of || !w.pos_of || !w.lives)
        goto out;
    choose_slice(&w);
    mark_needed(&w);
    DFQI_GOTO(schedule(&w), out);
    find_lives(&w, &n_lives);
    find_scratch(&w);
    dfqi_lives_sort(w.lives, n_lives);
    p.static_floats = place_all(&w, n_lives, DFQI_REGION_STATIC, placed);
    p.global_floats = place_all(&w, n_lives, DFQI_REGION_GLOBAL, placed);
    p.local_floats = place_all(&w, n_lives, DFQI_REGION_LOCAL, placed);
    DFQI_GOTO(check_sizes(&p, g->batch), out);
    *out = p;
    memset(&p, 0, sizeof p);
    status = DFQ_OK;
out:
    dfqi_free(ctx, placed);
    dfqi_free(ctx, w.needed);
    dfqi_free(ctx, w.readers);
    dfqi_free(ctx, w.items);
    dfqi_free(ctx, w.step_of);
    dfqi_free(ctx, w.pos_of);
    dfqi_free(ctx, w.lives);
    p.ctx = ctx;
    dfqi_plan_fini(&p);
    return status;
}

void dfqi_plan_fini(dfqi_plan *p)
{
    dfqi_free(p->ctx, p->steps);
    dfqi_free(p->ctx, p->order);
    dfqi_free(p->ctx, p->places);
    memset(p, 0, sizeof *p);
}

size_t dfqi_plan_bytes(const dfqi_plan *p, int32_t threads)
{
    return sizeof(float) * (p->static_floats + p->global_floats +
                            (size_t)threads * (p->local_floats + p->scratch_floats));
}
