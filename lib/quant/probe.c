/* Probes. The list is read from a forward graph: nodes with the names of layers, and values named
 * by the network's family. */
#include "quant/probe.h"

#include <stdio.h>
#include <string.h>

#include "graph/exec.h"
#include "io/json.h"

enum { BATCH = 8 }; /* images of a pass, as elsewhere: results do not depend on it */

/* -- the list ---------------------------------------------------------------------------------- */

static int32_t kind_of(const dfqi_node *n, const char *value_name)
{
    static const char input[] = ".input";
    size_t length = value_name ? strlen(value_name) : 0, m = sizeof input - 1;
    switch (n->op) {
    case DFQI_OP_MATMUL_NT:
        return DFQ_PROBE_QUERY_KEY;
    case DFQI_OP_SOFTMAX:
        return DFQ_PROBE_ATTENTION_MAP;
    case DFQI_OP_MATMUL_NN:
        return DFQ_PROBE_ATTENTION_OUTPUT;
    default:
        if (length > m && strcmp(value_name + length - m, input) == 0)
            return DFQ_PROBE_BATCHNORM_INPUT;
        return value_name ? DFQ_PROBE_BLOCK : DFQ_PROBE_LAYER;
    }
}

/* Named nodes are layers or quantizers; quantizers are not probes. */
static bool names_layer(const dfqi_node *n)
{
    return n->name && n->name[0] &&
           (dfqi_op_get(n->op)->flags & DFQI_OPF_PRODUCT || dfqi_op_activates(n->op));
}

/* Images with channels last are turned around. */
static bool is_image(const dfqi_arch *a, const dfqi_value *v)
{
    return v->rank == 4 && dfqi_arch_is_cnn(a);
}

static void add(const dfqi_arch *a, const dfqi_value *v, const char *name, int32_t kind,
                dfqi_probe *out)
{
    *out = (dfqi_probe){.kind = kind, .rank = v->rank - 1};
    snprintf(out->name, sizeof out->name, "%s", name);
    for (int32_t i = 0; i < out->rank && i < 4; i++) out->dims[i] = v->dims[i + 1];
    if (is_image(a, v)) {
        out->dims[0] = v->dims[3];
        out->dims[1] = v->dims[1];
        out->dims[2] = v->dims[2];
    }
}

static int32_t list(const dfqi_arch *a, const dfqi_graph *g, dfqi_probe *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *node = &g->nodes[i];
        const dfqi_value *v = &g->values[node->out[0]];
        if (!v->batched || v->rank < 2 || v->rank > 4) continue;
        if (names_layer(node)) add(a, v, node->name, kind_of(node, NULL), &out[n++]);
        if (v->name) add(a, v, v->name, kind_of(node, v->name), &out[n++]);
    }
    return n;
}

dfq_status dfqi_probes_of(const dfqi_model *m, int32_t *out_n, const dfqi_probe **out_probes)
{
    dfqi_model *own =
        (dfqi_model *)(uintptr_t)m; /* what is kept is no part of what const promises */
    if (!m->probes) {
        dfqi_graph *g;
        DFQI_TRY(dfqi_network_whole(&m->net, &g));
        dfqi_probe *probes = dfqi_calloc(m->ctx, 2 * (size_t)g->n_nodes, sizeof *probes);
        if (probes) own->n_probes = list(&m->net.arch, g, probes);
        own->probes = probes;
        dfqi_graph_free(g);
        if (!probes) return DFQ_E_NOMEM;
    }
    *out_n = m->n_probes;
    *out_probes = m->probes;
    return DFQ_OK;
}

/* -- the pass ---------------------------------------------------------------------------------- */

typedef struct pass {
    const dfqi_model *m;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, logits, *ids; /* [n] */
    int32_t n;
    dfq_tensor **out;
    int64_t batch;
} pass;

/* The value of a name after its last node; DFQI_NONE if there is none. */
static dfqi_id find(const dfqi_graph *g, const char *name)
{
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *node = &g->nodes[i];
        const dfqi_value *v = &g->values[node->out[0]];
        if (!v->batched || v->rank < 2 || v->rank > 4) continue;
        if ((v->name && strcmp(v->name, name) == 0) ||
            (names_layer(node) && strcmp(node->name, name) == 0))
            return node->out[0];
    }
    return DFQI_NONE;
}

dfq_status dfqi_probe_find(const dfqi_model *m, const dfqi_graph *g, const char *name,
                           dfqi_id *out_id, dfqi_probe *out)
{
    char show[DFQI_SHOW_MAX];
    dfqi_id id = name ? find(g, name) : DFQI_NONE;
    if (id == DFQI_NONE)
        return dfqi_fail(m->ctx, DFQ_E_INVALID,
                         "%s has no probe \"%s\"; dfq_graph_get_probe() lists them",
                         m->net.arch.name, name ? dfqi_show(name, show) : "NULL");
    add(&m->net.arch, dfqi_graph_value(g, id), name, 0, out);
    *out_id = id;
    return DFQ_OK;
}

static dfq_status prepare(pass *p, int64_t n, const char *const *names)
{
    for (int32_t i = 0; i < p->n; i++) {
        dfqi_probe probe;
        int64_t dims[DFQI_RANK_MAX];
        DFQI_TRY(dfqi_probe_find(p->m, p->g, names[i], &p->ids[i], &probe));
        dims[0] = n;
        memcpy(dims + 1, probe.dims, (size_t)probe.rank * sizeof *dims);
        DFQI_TRY(dfqi_tensor_new(p->m->ctx, DFQI_F32, probe.rank + 1, dims, &p->out[i]));
        dfqi_graph_keep(p->g, p->ids[i]);
    }
    dfqi_graph_keep(p->g, p->logits);
    return dfqi_exec_new(p->g, &p->e);
}

/* from[Y][X][C] to[C][Y][X] */
static void channels_first(const float *from, int64_t places, int64_t channels, float *to)
{
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < places; i++) to[c * places + i] = from[i * channels + c];
}

static void take(const pass *p, int32_t i, int64_t first)
{
    const dfqi_value *v = dfqi_graph_value(p->g, p->ids[i]);
    int64_t size = dfqi_value_stride(v);
    const float *from = dfqi_exec_data(p->e, p->ids[i]);
    float *to = dfqi_tensor_f32(p->out[i]) + first * size;
    if (!is_image(&p->m->net.arch, v)) {
        memcpy(to, from, (size_t)(p->batch * size) * sizeof *to);
        return;
    }
    for (int64_t b = 0; b < p->batch; b++)
        channels_first(from + b * size, v->dims[1] * v->dims[2], v->dims[3], to + b * size);
}

static dfq_status run(const pass *p, const float *images, int64_t n, float *logits)
{
    const dfqi_arch *a = &p->m->net.arch;
    int64_t pixels = dfqi_arch_pixels(a);
    for (int64_t i = 0; i < n; i += p->batch) {
        /* the last batch starts earlier so that it is full: some images are computed twice, to
         * the same bits */
        int64_t first = i + p->batch <= n ? i : n - p->batch;
        dfqi_exec_bind(p->e, p->x, images + first * pixels);
        DFQI_TRY(dfqi_exec_run(p->e));
        if (logits)
            memcpy(logits + first * a->classes, dfqi_exec_data(p->e, p->logits),
                   (size_t)(p->batch * a->classes) * sizeof *logits);
        for (int32_t k = 0; k < p->n; k++) take(p, k, first);
    }
    return DFQ_OK;
}

dfq_status dfqi_probe_forward(const dfqi_model *m, const float *images, int64_t n, int32_t n_names,
                              const char *const *names, float *logits, dfq_tensor **out)
{
    dfq_context *ctx = m->ctx;
    pass p = {.m = m, .n = n_names, .batch = n < BATCH ? n : BATCH};
    dfq_status status = DFQ_E_NOMEM;
    p.ids = dfqi_calloc(ctx, (size_t)n_names + 1, sizeof *p.ids);
    p.out = dfqi_calloc(ctx, (size_t)n_names + 1, sizeof(dfq_tensor *));
    if (!p.ids || !p.out) goto out;
    DFQI_GOTO(dfqi_model_graph_with(m, p.batch, DFQI_GRAPH_WHOLE | DFQI_GRAPH_EXACT, &p.g, &p.x,
                                    &p.logits),
              out);
    DFQI_GOTO(prepare(&p, n, names), out);
    DFQI_GOTO(run(&p, images, n, logits), out);
    for (int32_t i = 0; i < n_names; i++) {
        out[i] = p.out[i];
        p.out[i] = NULL;
    }
out:
    for (int32_t i = 0; p.out && i < n_names; i++) dfqi_tensor_release(p.out[i]);
    dfqi_exec_free(p.e);
    dfqi_graph_free(p.g);
    dfqi_free(ctx, (void *)p.out);
    dfqi_free(ctx, p.ids);
    return status;
}
