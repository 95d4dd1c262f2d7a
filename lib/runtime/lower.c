/* Lowering: a forward graph becomes a program. Constants are what the graph computes from frozen
 * parameters alone; each other node that an output needs becomes a step, unless it is part of the
 * step of a later one. */
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"
#include "quant/evaluate.h"
#include "quant/probe.h"
#include "runtime/program_priv.h"

/* A slice's largest value should fit in a core's cache beside the weights of one layer. */
enum { SLICE_FLOATS = 128 * 1024 };

/* -- values and steps -------------------------------------------------------------------------- */

int32_t dfqi_rt_value_of(dfqi_rt_builder *b, dfqi_id id, bool data)
{
    if (id < 0) return -1;
    const dfqi_value *from = dfqi_graph_value(b->g, id);
    int32_t i = b->value_of[id];
    if (i < 0) {
        i = b->value_of[id] = b->p->n_values++;
        dfqi_rt_value *v = &b->p->values[i];
        v->region = from->batched ? DFQI_RT_SLICE : DFQI_RT_NONE;
        v->rank = from->rank;
        memcpy(v->dims, from->dims, sizeof v->dims);
        v->bytes = (size_t)dfqi_value_count(from) * sizeof(float);
        v->id = id;
    }
    if (data && b->p->values[i].region == DFQI_RT_NONE) b->p->values[i].region = DFQI_RT_CONSTANT;
    return i;
}

int32_t dfqi_rt_value_new(dfqi_rt_builder *b, dfqi_rt_region region, size_t bytes)
{
    b->p->values[b->p->n_values] =
        (dfqi_rt_value){.region = region, .bytes = bytes, .id = DFQI_NONE};
    return b->p->n_values++;
}

dfqi_rt_step *dfqi_rt_step_add(dfqi_rt_builder *b, const dfqi_node *n)
{
    dfqi_rt_step *s = &b->p->steps[b->p->n_steps++];
    s->op = n->op;
    s->kind = dfqi_op_get(n->op)->name;
    s->attr = n->attr;
    s->units = 1;
    for (int32_t i = 0; i < DFQI_IN_MAX; i++) s->in[i] = -1;
    for (int32_t i = 0; i < DFQI_OUT_MAX; i++) s->out[i] = -1;
    return s;
}

const dfqi_node *dfqi_rt_sole(const dfqi_rt_builder *b, dfqi_id id, dfqi_op_kind op)
{
    const dfqi_value *v = dfqi_graph_value(b->g, id);
    if (v->node < 0 || b->readers[id] != 1) return NULL;
    const dfqi_node *n = &b->g->nodes[v->node];
    return n->op == op ? n : NULL;
}

/* -- steps of single nodes --------------------------------------------------------------------- */

/* Is operand i of such a node looked at for its extents only? A packed form of it is read. */
static bool extents_only(dfqi_op_kind op, int32_t i)
{
    return (op == DFQI_OP_LINEAR || op == DFQI_OP_CONV) && i == 1;
}

/* Can a node be computed row by row (its operands seen as [rows, last extent])? */
static bool goes_by_rows(const dfqi_graph *g, const dfqi_node *n)
{
    switch (n->op) {
    case DFQI_OP_LINEAR:
    case DFQI_OP_ADD:
    case DFQI_OP_MUL:
    case DFQI_OP_GELU:
    case DFQI_OP_RELU:
    case DFQI_OP_LEAKY_RELU:
    case DFQI_OP_TANH:
    case DFQI_OP_ACTIVATION:
    case DFQI_OP_AFFINE:
    case DFQI_OP_CONCAT:
    case DFQI_OP_CHANNELS:
    case DFQI_OP_SOFTMAX:
    case DFQI_OP_LAYERNORM:
    case DFQI_OP_BATCHNORM:
    case DFQI_OP_FQ_LOG:
        return true;
    case DFQI_OP_FQ: /* one scale, or one for each entry of the last extent */
        return dfqi_value_count(dfqi_graph_value(g, n->in[1])) == 1 ||
               dfqi_graph_value(g, n->in[0])->rank < 4;
    case DFQI_OP_FQ_ROW:
        return n->attr.i[2] == 0;
    default:
        return false;
    }
}

/* Units of a node: its rows if all its values have the same number of them, else 1. */
static int64_t units_of(const dfqi_graph *g, const dfqi_node *n)
{
    const dfqi_value *y = dfqi_graph_value(g, n->out[0]);
    if (y->rank < 3 || !goes_by_rows(g, n)) return 1;
    for (int32_t i = 0; i < n->n_in; i++) {
        if (n->in[i] < 0) continue;
        const dfqi_value *x = dfqi_graph_value(g, n->in[i]);
        if (x->batched && (x->rank < 3 || x->dims[1] != y->dims[1])) return 1;
    }
    return y->dims[1];
}

static void add_node(dfqi_rt_builder *b, const dfqi_node *n)
{
    const dfqi_graph *g = b->g;
    const dfqi_op *op = dfqi_op_get(n->op);
    dfqi_rt_step *s = dfqi_rt_step_add(b, n);
    s->run = dfqi_rt_run_op;
    s->units = units_of(g, n);
    s->n_in = n->n_in;
    s->n_out = n->n_out;
    for (int32_t i = 0; i < n->n_in; i++)
        s->in[i] = dfqi_rt_value_of(b, n->in[i], !extents_only(n->op, i));
    for (int32_t i = 0; i < n->n_out; i++)
        if (i == 0 || b->readers[n->out[i]] > 0) s->out[i] = dfqi_rt_value_of(b, n->out[i], true);
    s->product = (op->flags & DFQI_OPF_PRODUCT) != 0;
    if (op->scratch) s->scratch = (size_t)op->scratch(g, n, b->p->slice) * sizeof(float);
    s->macs = op->macs ? op->macs(g, n) : (double)dfqi_value_count(dfqi_graph_value(g, n->out[0]));
}

/* What reads the image itself: [3,S,S] to patches, or to channels last. */
static dfq_status add_reader(dfqi_rt_builder *b, const dfqi_node *n)
{
    if (n->op != DFQI_OP_PATCHIFY && n->op != DFQI_OP_CHANNELS_LAST)
        return dfqi_fail(b->g->ctx, DFQ_E_INTERNAL, "the runtime cannot read images for %s",
                         dfqi_op_get(n->op)->name);
    dfqi_rt_step *s = dfqi_rt_step_add(b, n);
    s->run = n->op == DFQI_OP_PATCHIFY ? dfqi_rt_run_patches : dfqi_rt_run_channels_last;
    s->n_out = 1;
    s->out[0] = dfqi_rt_value_of(b, n->out[0], true);
    s->units = dfqi_graph_value(b->g, n->out[0])->dims[1];
    return DFQ_OK;
}

/* -- what becomes of each node ----------------------------------------------------------------- */

void dfqi_rt_take(dfqi_rt_builder *b, const dfqi_node *n)
{
    b->how[n - b->g->nodes] = DFQI_RT_TAKEN;
}

void dfqi_rt_want(dfqi_rt_builder *b, dfqi_id id, int32_t what)
{
    if (id >= 0) b->want[id] |= (uint8_t)what;
}

static dfqi_rt_how decide(dfqi_rt_builder *b, const dfqi_node *n)
{
    if (dfqi_rt_attention_mark(b, n)) return DFQI_RT_ATTENTION;
    if (dfqi_rt_product_mark(b, n)) return DFQI_RT_PRODUCT;
    if (dfqi_rt_quantize_mark(b, n)) return DFQI_RT_QUANTIZE;
    if (dfqi_rt_move_mark(b, n)) return DFQI_RT_MOVE;
    for (int32_t k = 0; k < n->n_in; k++) dfqi_rt_want(b, n->in[k], DFQI_RT_FLOATS);
    return DFQI_RT_PLAIN;
}

/* From the back, since it depends on what is wanted of a node. */
static void decide_all(dfqi_rt_builder *b)
{
    for (int32_t i = b->g->n_nodes - 1; i >= 0; i--) {
        const dfqi_node *n = &b->g->nodes[i];
        if (b->needed[i] && b->how[i] != DFQI_RT_TAKEN &&
            !dfqi_graph_value(b->g, n->out[0])->frozen)
            b->how[i] = (uint8_t)decide(b, n);
    }
}

static dfq_status add_steps(dfqi_rt_builder *b, dfqi_id x)
{
    for (int32_t i = 0; i < b->g->n_nodes; i++) {
        const dfqi_node *n = &b->g->nodes[i];
        switch ((dfqi_rt_how)b->how[i]) {
        case DFQI_RT_PLAIN:
            if (n->n_in > 0 && n->in[0] == x)
                DFQI_TRY(add_reader(b, n));
            else
                add_node(b, n);
            break;
        case DFQI_RT_ATTENTION:
            dfqi_rt_attention_add(b, n);
            break;
        case DFQI_RT_PRODUCT:
            dfqi_rt_product_add(b, n);
            if (n->op == DFQI_OP_FQ && b->want[n->out[0]] & DFQI_RT_FLOATS)
                dfqi_rt_dequantize_add(b, n);
            break;
        case DFQI_RT_QUANTIZE:
            dfqi_rt_quantize_add(b, n);
            if (b->want[n->out[0]] & DFQI_RT_FLOATS) add_node(b, n);
            break;
        case DFQI_RT_MOVE:
            dfqi_rt_move_add(b, n);
            if (n->op != DFQI_OP_MEAN_POOL && b->want[n->out[0]] & DFQI_RT_FLOATS) add_node(b, n);
            break;
        default:
            break;
        }
    }
    return DFQ_OK;
}

/* -- the whole --------------------------------------------------------------------------------- */

/* Nodes that lead to an output, from the back. */
static void mark_needed(dfqi_rt_builder *b, int32_t n_outputs, const dfqi_id *outputs)
{
    const dfqi_graph *g = b->g;
    for (int32_t i = 0; i < n_outputs; i++) {
        b->readers[outputs[i]]++;
        dfqi_rt_want(b, outputs[i], DFQI_RT_FLOATS);
    }
    for (int32_t i = g->n_nodes - 1; i >= 0; i--) {
        const dfqi_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->n_out; k++) b->needed[i] |= b->readers[n->out[k]] > 0;
        for (int32_t k = 0; b->needed[i] && k < n->n_in; k++)
            if (n->in[k] >= 0) b->readers[n->in[k]]++;
    }
}

/* Images that stay in cache; two of a transformer, whose weights are then read half as often. */
static int64_t near_of(const dfqi_graph *g, int64_t batch)
{
    int64_t largest = 1, least = 2;
    for (int32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == DFQI_OP_CONV) least = 1;
    for (int32_t v = 0; v < g->n_values; v++)
        if (g->values[v].batched && dfqi_value_stride(&g->values[v]) > largest)
            largest = dfqi_value_stride(&g->values[v]);
    const int64_t near = SLICE_FLOATS / largest > least ? SLICE_FLOATS / largest : least;
    return near < batch ? near : batch;
}

/* More where layers have so many weights that reading them for each image costs time. */
static int64_t slice_of(const dfqi_graph *g, int64_t batch, int64_t near)
{
    enum { MANY_WEIGHTS = 4 * 1024 * 1024, IMAGES = 4 };
    int64_t weights = 0;
    for (int32_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == DFQI_OP_CONV)
            weights += dfqi_value_count(dfqi_graph_value(g, g->nodes[i].in[1]));
    const int64_t slice = weights < MANY_WEIGHTS || near > IMAGES ? near : IMAGES;
    return slice < batch ? slice : batch;
}

/* Outputs are values that nothing else stands for: one that is asked for twice has two names. */
static void add_outputs(dfqi_rt_builder *b, const dfqi_id *outputs)
{
    for (int32_t i = 0; i < b->p->n_outputs; i++) {
        int32_t v = dfqi_rt_value_of(b, outputs[i], true);
        b->p->values[v].region = DFQI_RT_OUTPUT;
        b->p->outputs[i].value = v;
    }
}

static void find_parts(dfqi_program *p)
{
    for (int32_t i = 0; i < p->n_steps; i++) {
        dfqi_rt_step *s = &p->steps[i];
        while (s->part < p->n_parts && (strcmp(p->parts[s->part].kind, s->kind) != 0 ||
                                        p->parts[s->part].integer != s->integer))
            s->part++;
        if (s->part == p->n_parts)
            p->parts[p->n_parts++] = (dfqi_rt_part){.kind = s->kind, .integer = s->integer};
        if (s->product) p->parts[s->part].macs += s->macs;
    }
}

static dfq_status lower(const dfqi_model *m, const dfqi_graph *g, dfqi_id x, const dfqi_id *outputs,
                        dfqi_program *p)
{
    dfq_context *ctx = g->ctx;
    dfqi_rt_builder b = {.g = g, .scheme = m->quantized ? &m->scheme : NULL, .p = p};
    dfq_status status = DFQ_E_NOMEM;
    size_t values = (size_t)g->n_values + 1, nodes = (size_t)g->n_nodes + 1;
    p->near = near_of(g, p->batch);
    p->slice = slice_of(g, p->batch, p->near);
    /* a node has at most three values more for its codes, and four for its weights */
    p->values = dfqi_calloc(ctx, values + 7 * nodes, sizeof *p->values);
    p->steps = dfqi_calloc(ctx, nodes, sizeof *p->steps);
    p->segments = dfqi_calloc(ctx, nodes, sizeof *p->segments);
    p->parts = dfqi_calloc(ctx, nodes, sizeof *p->parts);
    b.value_of = dfqi_alloc(ctx, values * sizeof *b.value_of);
    b.readers = dfqi_calloc(ctx, values, sizeof *b.readers);
    b.codes_of = dfqi_alloc(ctx, values * sizeof *b.codes_of);
    b.want = dfqi_calloc(ctx, values, 1);
    b.needed = dfqi_calloc(ctx, nodes, 1);
    b.how = dfqi_calloc(ctx, nodes, 1);
    b.weights = dfqi_calloc(ctx, nodes, sizeof *b.weights);
    if (!p->values || !p->steps || !p->segments || !p->parts || !b.value_of || !b.readers ||
        !b.codes_of || !b.want || !b.needed || !b.how || !b.weights)
        goto out;
    memset(b.value_of, 0xff, values * sizeof *b.value_of);
    memset(b.codes_of, 0xff, values * sizeof *b.codes_of);
    mark_needed(&b, p->n_outputs, outputs);
    decide_all(&b);
    DFQI_GOTO(add_steps(&b, x), out);
    add_outputs(&b, outputs);
    find_parts(p);
    DFQI_GOTO(dfqi_rt_constants(&b), out);
    status = dfqi_rt_plan(p);
out:
    dfqi_free(ctx, b.value_of);
    dfqi_free(ctx, b.readers);
    dfqi_free(ctx, b.needed);
    dfqi_free(ctx, b.codes_of);
    dfqi_free(ctx, b.want);
    dfqi_free(ctx, b.how);
    dfqi_free(ctx, b.weights);
    return status;
}

/* The values of the logits and of all probes; images with channels first. */
static dfq_status find_outputs(const dfqi_model *m, const dfq_runtime_options *o, dfqi_graph *g,
                               dfqi_program *p, dfqi_id *outputs)
{
    snprintf(p->outputs[0].name, sizeof p->outputs[0].name, "logits");
    for (int32_t i = 0; i < o->n_probes; i++) {
        dfqi_probe probe;
        dfqi_id id;
        DFQI_TRY(dfqi_probe_find(m, g, o->probes[i], &id, &probe));
        memcpy(p->outputs[i + 1].name, probe.name, sizeof probe.name);
        bool turned = dfqi_arch_is_cnn(&m->net.arch) && dfqi_graph_value(g, id)->rank == 4;
        outputs[i + 1] = turned ? dfqi_channels_first(g, id) : id;
    }
    return dfqi_graph_status(g);
}

static void describe(const dfqi_model *m, dfqi_program *p)
{
    p->channels = m->net.arch.channels;
    p->classes = m->net.arch.classes;
    p->quantized = m->quantized;
    p->backbone = dfqi_arch_is_backbone(&m->net.arch);
    p->names = dfqi_class_names_retain(m->net.names);
    p->preprocess = dfqi_model_preprocess(m);
    for (int c = 0; c < 3; c++)
        dfqi_image_table(p->preprocess.mean[c], p->preprocess.std[c], p->table[c]);
}

dfq_status dfqi_program_new(const dfqi_model *m, const dfq_runtime_options *o, dfqi_program **out)
{
    dfq_context *ctx = m->ctx;
    dfqi_graph *g = NULL;
    dfqi_id x, *outputs = NULL;
    dfq_status status = DFQ_E_NOMEM;
    dfqi_program *p = dfqi_calloc(ctx, 1, sizeof *p);
    if (!p) return status;
    p->ctx = dfqi_context_retain(ctx);
    p->refs = 1;
    p->k = dfqi_kernels_get(ctx);
    p->ik = dfqi_int_kernels_get(ctx);
    p->batch = o->batch;
    p->n_outputs = 1 + o->n_probes;
    describe(m, p);
    p->outputs = dfqi_calloc(ctx, (size_t)p->n_outputs, sizeof *p->outputs);
    outputs = dfqi_calloc(ctx, (size_t)p->n_outputs, sizeof *outputs);
    if (!p->outputs || !outputs) goto out;
    const int32_t flags = (o->n_probes > 0 ? DFQI_GRAPH_WHOLE : DFQI_GRAPH_LEAN) |
                          (o->integer ? DFQI_GRAPH_IMAGE_CODES : 0) | DFQI_GRAPH_EXACT;
    DFQI_GOTO(dfqi_model_graph_with(m, 1, flags, &g, &x, &outputs[0]), out);
    DFQI_GOTO(find_outputs(m, o, g, p, outputs), out);
    status = lower(m, g, x, outputs, p);
out:
    dfqi_graph_free(g);
    dfqi_free(ctx, outputs);
    if (status == DFQ_OK)
        *out = p;
    else
        dfqi_program_release(p);
    return status;
}
