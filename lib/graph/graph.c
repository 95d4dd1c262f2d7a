/* Graph construction: values, nodes, names and the sticky error. */
#include "graph/graph.h"

#include <string.h>

#include "base/text.h"

dfq_status dfqi_graph_new(dfq_context *ctx, int64_t batch, dfqi_graph **out)
{
    if (batch < 1)
        return dfqi_fail(ctx, DFQ_E_INVALID, "batch is %lld, must be 1 or more", (long long)batch);
    dfqi_graph *g = dfqi_calloc(ctx, 1, sizeof *g);
    if (!g) return DFQ_E_NOMEM;
    g->ctx = ctx;
    g->batch = batch;
    dfqi_arena_init(&g->names, ctx);
    *out = g;
    return DFQ_OK;
}

void dfqi_graph_free(dfqi_graph *g)
{
    if (!g) return;
    for (int32_t i = 0; i < g->n_values; i++) dfqi_tensor_release(g->values[i].tensor);
    dfqi_free(g->ctx, g->values);
    dfqi_free(g->ctx, g->nodes);
    dfqi_arena_fini(&g->names);
    dfqi_free(g->ctx, g);
}

dfq_status dfqi_graph_status(const dfqi_graph *g)
{
    return g->status;
}

dfqi_id dfqi_graph_fail(dfqi_graph *g, dfq_status code, const char *fmt, ...)
{
    if (g->status != DFQ_OK) return DFQI_NONE;
    char text[512];
    va_list args;
    va_start(args, fmt);
    dfqi_vprint(text, sizeof text, fmt, args);
    va_end(args);
    g->status = dfqi_fail(g->ctx, code, "%s", text);
    return DFQI_NONE;
}

/* Room for one more element; false (with the sticky error set) when memory is out. */
static bool grow(dfqi_graph *g, void **array, int32_t n, int32_t *cap, size_t size)
{
    if (n < *cap) return true;
    int32_t want = *cap ? *cap * 2 : 64;
    void *p = dfqi_realloc(g->ctx, *array, (size_t)want * size);
    if (!p) {
        g->status = DFQ_E_NOMEM;
        return false;
    }
    *array = p;
    *cap = want;
    return true;
}

static const char *keep_name(dfqi_graph *g, const char *name)
{
    if (!name) return NULL;
    const char *copy = dfqi_arena_strdup(&g->names, name);
    if (!copy) g->status = DFQ_E_NOMEM;
    return copy;
}

static dfqi_id new_value(dfqi_graph *g, dfqi_value_kind kind, const char *name)
{
    if (g->status != DFQ_OK) return DFQI_NONE;
    if (!grow(g, (void **)&g->values, g->n_values, &g->cap_values, sizeof *g->values))
        return DFQI_NONE;
    dfqi_value *v = &g->values[g->n_values];
    memset(v, 0, sizeof *v);
    v->kind = kind;
    v->node = -1;
    v->name = keep_name(g, name);
    return g->status == DFQ_OK ? g->n_values++ : DFQI_NONE;
}

/* The element count must fit, so that later arithmetic on it needs no checks. */
static dfqi_id check_count(dfqi_graph *g, dfqi_id id)
{
    const dfqi_value *v = &g->values[id];
    int64_t count = 1;
    for (int32_t i = 0; i < v->rank; i++) {
        if (v->dims[i] < 1 || !dfqi_mul_i64(count, v->dims[i], &count) || count > INT64_MAX / 8)
            return dfqi_graph_fail(
                g, DFQ_E_SHAPE,
                "%s: extent %d is %lld, must be 0 or more with a product below 2^63",
                v->name ? v->name : "value", i, (long long)v->dims[i]);
    }
    return id;
}

dfqi_id dfqi_graph_input(dfqi_graph *g, const char *name, int batched, int32_t rank,
                         const int64_t *dims)
{
    if (rank + (batched != 0) > DFQI_RANK_MAX)
        return dfqi_graph_fail(g, DFQ_E_SHAPE, "input %s: rank is %d, must be at most %d",
                               name ? name : "", rank, DFQI_RANK_MAX);
    dfqi_id id = new_value(g, DFQI_VALUE_INPUT, name);
    if (id == DFQI_NONE) return id;
    dfqi_value *v = &g->values[id];
    v->batched = batched != 0;
    if (batched) v->dims[v->rank++] = g->batch;
    for (int32_t i = 0; i < rank; i++) v->dims[v->rank++] = dims[i];
    return check_count(g, id);
}

dfqi_id dfqi_graph_param(dfqi_graph *g, const char *name, const dfq_tensor *t, int frozen)
{
    if (t->dtype != DFQI_F32)
        return dfqi_graph_fail(g, DFQ_E_SHAPE, "parameter %s is %s, must be F32", name,
                               dfqi_dtype_name(t->dtype));
    dfqi_id id = new_value(g, DFQI_VALUE_PARAM, name);
    if (id == DFQI_NONE) return id;
    dfqi_value *v = &g->values[id];
    v->rank = t->rank;
    memcpy(v->dims, t->dims, sizeof v->dims);
    v->frozen = frozen != 0;
    v->tensor = dfqi_tensor_retain(t);
    return check_count(g, id);
}

static bool operands_ok(dfqi_graph *g, const dfqi_op *op, int32_t n_in, const dfqi_id *in)
{
    if (g->status != DFQ_OK) return false;
    bool ok = n_in >= op->min_in && n_in <= op->max_in;
    for (int32_t i = 0; ok && i < n_in; i++)
        ok = in[i] < g->n_values && (in[i] >= 0 || i >= op->min_in);
    if (!ok) dfqi_graph_fail(g, DFQ_E_INTERNAL, "%s: wrong operands", op->name);
    return ok;
}

dfqi_id dfqi_graph_node(dfqi_graph *g, dfqi_op_kind kind, const char *name, const dfqi_attr *attr,
                        int32_t n_in, const dfqi_id *in)
{
    const dfqi_op *op = dfqi_op_get(kind);
    if (!operands_ok(g, op, n_in, in)) return DFQI_NONE;
    dfqi_node n = {.op = kind, .n_in = n_in, .n_out = op->n_out, .name = ""};
    if (attr) n.attr = *attr;
    if (name) n.name = keep_name(g, name);
    bool frozen = true;
    for (int32_t i = 0; i < DFQI_IN_MAX; i++) n.in[i] = i < n_in ? in[i] : DFQI_NONE;
    for (int32_t i = 0; i < n_in; i++)
        if (in[i] >= 0) frozen = frozen && g->values[in[i]].frozen;
    for (int32_t i = 0; i < op->n_out; i++) n.out[i] = new_value(g, DFQI_VALUE_NODE, NULL);
    if (g->status != DFQ_OK) return DFQI_NONE;
    if (!grow(g, (void **)&g->nodes, g->n_nodes, &g->cap_nodes, sizeof *g->nodes)) return DFQI_NONE;
    dfq_status s = op->shape(g, &n);
    if (s != DFQ_OK) {
        if (g->status == DFQ_OK) g->status = s;
        return DFQI_NONE;
    }
    for (int32_t i = 0; i < n.n_out; i++) {
        g->values[n.out[i]].node = g->n_nodes;
        g->values[n.out[i]].frozen = frozen;
        if (check_count(g, n.out[i]) == DFQI_NONE) return DFQI_NONE;
    }
    g->nodes[g->n_nodes++] = n;
    return n.out[0];
}

dfqi_id dfqi_graph_operand(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                           dfqi_id value)
{
    if (!g->rewrite || !name || value < 0 || g->status != DFQ_OK) return value;
    return g->rewrite(g, op, name, slot, value, g->rewrite_user);
}

dfqi_id dfqi_graph_output(const dfqi_graph *g, dfqi_id first, int32_t slot)
{
    if (first < 0 || g->values[first].node < 0) return DFQI_NONE;
    const dfqi_node *n = &g->nodes[g->values[first].node];
    return slot < n->n_out ? n->out[slot] : DFQI_NONE;
}

void dfqi_graph_keep(dfqi_graph *g, dfqi_id v)
{
    if (g->status == DFQ_OK && v >= 0) g->values[v].keep = 1;
}

void dfqi_graph_probe(dfqi_graph *g, dfqi_id v, const char *fmt, ...)
{
    if (g->status != DFQ_OK || v < 0) return;
    char text[256];
    va_list args;
    va_start(args, fmt);
    dfqi_vprint(text, sizeof text, fmt, args);
    va_end(args);
    g->values[v].name = keep_name(g, text);
}

dfqi_id dfqi_graph_find(const dfqi_graph *g, const char *name)
{
    for (int32_t i = 0; i < g->n_values; i++)
        if (g->values[i].name && strcmp(g->values[i].name, name) == 0) return i;
    return DFQI_NONE;
}

const dfqi_value *dfqi_graph_value(const dfqi_graph *g, dfqi_id v)
{
    return &g->values[v];
}

int64_t dfqi_value_count(const dfqi_value *v)
{
    int64_t n = 1;
    for (int32_t i = 0; i < v->rank; i++) n *= v->dims[i];
    return n;
}

int64_t dfqi_value_stride(const dfqi_value *v)
{
    return v->batched ? dfqi_value_count(v) / v->dims[0] : dfqi_value_count(v);
}

int64_t dfqi_value_last(const dfqi_value *v)
{
    return v->rank ? v->dims[v->rank - 1] : 1;
}

/* Sums over the nodes whose op has all of `flags`. */
static double sum_macs(const dfqi_graph *g, uint32_t flags)
{
    double sum = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_op *op = dfqi_op_get(g->nodes[i].op);
        if ((op->flags & flags) != flags) continue;
        sum += op->macs ? op->macs(g, &g->nodes[i])
                        : (double)dfqi_value_count(&g->values[g->nodes[i].out[0]]);
    }
    return sum;
}

double dfqi_graph_macs(const dfqi_graph *g)
{
    return sum_macs(g, 0);
}

double dfqi_graph_products(const dfqi_graph *g)
{
    return sum_macs(g, DFQI_OPF_PRODUCT);
}
