/* Reading ONNX: the walk through a graph. */
#include "exchange/import.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "exchange/import_nodes_priv.h"
#include "io/json.h"

enum { MOST_NAMES = 400000 };
#define MOST_BYTES ((size_t)INT32_MAX) /* protobuf's own limit */

/* "node "/head/Gemm"", or by its output, since nodes need no name. */
static void say_node(const Onnx__NodeProto *node, char *out, size_t size)
{
    const bool named = node->name && node->name[0];
    char show[DFQI_SHOW_MAX];
    dfqi_show(named ? node->name : node->n_output > 0 ? node->output[0] : "", show);
    snprintf(out, size, "node %s\"%.80s\"", named ? "" : "that makes ", show);
}

void dfqi_im_fail(im *m, dfq_status code, const char *fmt, ...)
{
    char text[400], name[112], op[DFQI_SHOW_MAX];
    va_list args;
    if (m->status != DFQ_OK) return;
    va_start(args, fmt);
    dfqi_vprint(text, sizeof text, fmt, args);
    va_end(args);
    if (!m->node) {
        m->status = dfqi_fail(m->ctx, code, "%s: %s", m->path, text);
        return;
    }
    say_node(m->node, name, sizeof name);
    m->status = dfqi_fail(m->ctx, code, "%s: %s (%.40s) %s", m->path, name,
                          dfqi_show(m->node->op_type, op), text);
}

void *dfqi_im_alloc(im *m, size_t count, size_t size)
{
    size_t bytes;
    void *p = NULL;
    if (m->status != DFQ_OK) return NULL;
    if (dfqi_mul_size(count, size, &bytes)) p = dfqi_arena_alloc(&m->mem, bytes);
    if (!p) m->status = DFQ_E_NOMEM;
    return p;
}

/* -- names of values --------------------------------------------------------------------------- */

static int32_t *place(im *m, const char *name)
{
    uint64_t at = dfqi_hash(DFQI_HASH_START, name, strlen(name));
    for (at ^= at >> 32;; at++) {
        int32_t *p = &m->table[at & (uint64_t)(m->cap_table - 1)];
        if (*p == 0 || strcmp(m->values[*p - 1].name, name) == 0) return p;
    }
}

/* The value of a name; -1 for "", which stands for none. */
int32_t dfqi_im_value_of(im *m, const char *name)
{
    if (!name || name[0] == '\0' || m->status != DFQ_OK) return -1;
    int32_t *p = place(m, name);
    if (*p == 0) {
        m->values[m->n_values].name = name;
        *p = ++m->n_values;
    }
    return *p - 1;
}

int32_t dfqi_im_output(const im *m, int32_t slot)
{
    return slot < (int32_t)m->node->n_output && m->status == DFQ_OK ? m->outs[slot] : -1;
}

/* Room for all names, and how often each is read. */
static void collect(im *m)
{
    const Onnx__GraphProto *g = m->graph;
    int64_t n = (int64_t)(g->n_initializer + g->n_input + g->n_output);
    for (size_t i = 0; i < g->n_node; i++)
        n += (int64_t)(g->node[i]->n_input + g->node[i]->n_output);
    if (n > MOST_NAMES)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "the graph has %lld operands and outputs, must have at most %d", (long long)n,
                     MOST_NAMES);
    for (m->cap_table = 64; m->cap_table < 2 * n && m->status == DFQ_OK;) m->cap_table *= 2;
    m->values = dfqi_im_alloc(m, (size_t)n + 1, sizeof *m->values);
    m->table = dfqi_im_alloc(m, (size_t)m->cap_table, sizeof *m->table);
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_input; k++) {
            int32_t v = dfqi_im_value_of(m, g->node[i]->input[k]);
            if (v >= 0) m->values[v].uses++;
        }
    for (size_t i = 0; i < g->n_output; i++) {
        int32_t v = dfqi_im_value_of(m, g->output[i]->name);
        if (v >= 0) m->values[v].uses++;
    }
}

static void initializers(im *m)
{
    if (m->graph->n_sparse_initializer > 0)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "the graph has sparse initializers; export them dense");
    for (size_t i = 0; i < m->graph->n_initializer && m->status == DFQ_OK; i++) {
        const Onnx__TensorProto *t = m->graph->initializer[i];
        int32_t v = dfqi_im_value_of(m, t->name);
        if (v < 0) continue;
        if (m->values[v].state != IM_UNSET)
            dfqi_im_fail(m, DFQ_E_CORRUPT, "two initializers share a name");
        m->values[v].state = IM_CONST;
        m->values[v].proto = t;
        m->values[v].given = t->name;
    }
}

/* -- nodes ------------------------------------------------------------------------------------- */

void dfqi_im_set_const(im *m, int32_t slot, const im_tensor *t)
{
    int32_t id = dfqi_im_output(m, slot);
    if (id < 0 || m->status != DFQ_OK) return;
    m->values[id].state = IM_CONST;
    m->values[id].c = *t;
    m->values[id].given = m->n_in > 0 && m->in[0] >= 0 ? m->values[m->in[0]].given : NULL;
}

static void constant(im *m)
{
    const Onnx__AttributeProto *a = dfqi_im_attr(m, "value");
    im_tensor t;
    if (a && a->t) {
        if (dfqi_im_from_proto(m, a->t, &t)) dfqi_im_set_const(m, 0, &t);
        return;
    }
    const Onnx__AttributeProto *one_i = dfqi_im_attr(m, "value_int"),
                               *one_f = dfqi_im_attr(m, "value_float"),
                               *ints = dfqi_im_attr(m, "value_ints"),
                               *floats = dfqi_im_attr(m, "value_floats");
    bool is_int = one_i || ints;
    int64_t n = ints ? (int64_t)ints->n_ints : floats ? (int64_t)floats->n_floats : 1;
    if (!one_i && !one_f && !ints && !floats) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is not a tensor of numbers");
        return;
    }
    if (!dfqi_im_tensor_new(m, is_int, ints || floats, &n, &t)) return;
    for (int64_t i = 0; i < n; i++) {
        if (is_int)
            ((int64_t *)(uintptr_t)t.i)[i] = ints ? ints->ints[i] : one_i->i;
        else
            ((float *)(uintptr_t)t.f)[i] = floats ? floats->floats[i] : one_f ? one_f->f : 0;
    }
    dfqi_im_set_const(m, 0, &t);
}

/* All operands are constants: the node is one. False: it cannot be folded. */
static bool fold(im *m)
{
    const im_tensor *in[IM_INPUTS] = {NULL}; /* absent ones stay so */
    im_tensor t;
    int32_t n = m->n_in;
    while (n > 0 && m->in[n - 1] < 0) n--; /* what is left out at the end */
    im_fold f = dfqi_im_fold_of(m->node->op_type, n);
    if (!f) return false;
    for (int32_t k = 0; k < n; k++) in[k] = dfqi_im_const(m, m->in[k]);
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++)
        if (!in[k] && (k != 1 || strcmp(m->node->op_type, "Clip") != 0))
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "leaves out operand %d", k);
    if (m->status != DFQ_OK) return true;
    f(m, in, &t);
    if (m->status == DFQ_OK) dfqi_im_set_const(m, 0, &t);
    return true;
}

/* Reads operands and outputs; true if all operands are constants. */
static bool operands(im *m, int32_t needed)
{
    bool constants = true;
    char show[DFQI_SHOW_MAX];
    m->n_in = (int32_t)m->node->n_input;
    for (int32_t k = 0; k < m->n_in && m->status == DFQ_OK; k++) {
        m->in[k] = dfqi_im_value_of(m, m->node->input[k]);
        if (m->in[k] < 0) {
            if (k < needed) dfqi_im_fail(m, DFQ_E_CORRUPT, "leaves out operand %d", k);
            continue;
        }
        const im_value *v = &m->values[m->in[k]];
        constants &= v->state == IM_CONST;
        if (v->state == IM_UNSET)
            dfqi_im_fail(
                m, DFQ_E_CORRUPT,
                "reads \"%s\", which no node before it computes (a cycle, or a node is missing)",
                dfqi_show(v->name, show));
    }
    for (size_t k = 0; k < m->node->n_output && m->status == DFQ_OK; k++) {
        m->outs[k] = dfqi_im_value_of(m, m->node->output[k]);
        if (m->outs[k] >= 0 && m->values[m->outs[k]].state != IM_UNSET)
            dfqi_im_fail(m, DFQ_E_CORRUPT, "computes \"%s\", which is there already",
                         dfqi_show(m->node->output[k], show));
    }
    return constants;
}

static void check_node(im *m)
{
    const Onnx__NodeProto *n = m->node;
    if (n->domain && n->domain[0] && strcmp(n->domain, "ai.onnx") != 0)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "is of a domain other than ONNX's own; export with standard ops");
    for (size_t i = 0; i < n->n_attribute; i++)
        if (n->attribute[i]->g || n->attribute[i]->n_graphs > 0)
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                         "has a graph of its own (control flow); export without If, Loop and Scan");
    if (n->n_input > IM_INPUTS || n->n_output > IM_INPUTS)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has more than %d operands or outputs", IM_INPUTS);
}

static void node(im *m)
{
    const char *op = m->node->op_type;
    int32_t needed;
    im_lower lower = dfqi_im_lower_of(op, m->node->n_input, &needed);
    check_node(m);
    bool constants = m->status == DFQ_OK && operands(m, needed);
    bool of_any = lower && (strcmp(op, "Shape") == 0 || strcmp(op, "Identity") == 0);
    if (m->status != DFQ_OK) return;
    if (strcmp(op, "Constant") == 0)
        constant(m);
    else if (!of_any && constants && fold(m))
        return;
    else if (!lower || (constants && !of_any))
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "is an op that is not known here; leave it out of the network, or export another "
            "form of it (opset %d to %d)",
            DFQI_IMPORT_OPSET_MIN, DFQI_IMPORT_OPSET_MAX);
    else
        lower(m);
}

/* -- the whole --------------------------------------------------------------------------------- */

static void check_opset(im *m)
{
    const Onnx__ModelProto *p = m->model;
    for (size_t i = 0; i < p->n_opset_import; i++) {
        const char *domain = p->opset_import[i]->domain;
        if (!domain || domain[0] == '\0' || strcmp(domain, "ai.onnx") == 0)
            m->opset = p->opset_import[i]->version;
    }
    if (!p->graph || p->graph->n_node == 0 || m->opset == 0)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "is not an ONNX model, or is truncated; export it again");
    else if (m->opset < DFQI_IMPORT_OPSET_MIN || m->opset > DFQI_IMPORT_OPSET_MAX)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "the opset is %lld, must be %d to %d; export with opset_version=18",
                     (long long)m->opset, DFQI_IMPORT_OPSET_MIN, DFQI_IMPORT_OPSET_MAX);
}

static dfq_status to_logits(im *m, int32_t v, const dfq_load_options *o, dfqi_model **out)
{
    const im_value *y = v >= 0 ? &m->values[v] : NULL;
    if (!y || y->state != IM_DATA || y->expr != IM_WHOLE || y->v.rank != 2 ||
        dfqi_im_extent(&y->v, 0) != 1) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "the output must be the logits of a classifier, [N,classes], computed from the "
            "image");
        return m->status;
    }
    im_view w = y->v;
    w.shared |= y->uses > 1;
    w = dfqi_im_settled(m, &w, 1);
    if (m->status != DFQ_OK) return m->status;
    const int64_t classes = dfqi_im_extent(&w, 1);
    int32_t logits = dfqi_im_arrange(m, &w, 1, &w.axes[1]);
    if (m->status != DFQ_OK) return m->status;
    return dfqi_im_finish(m, logits, classes, out, o);
}

static dfq_status convert_nodes(im *m, const dfq_load_options *o, dfqi_model **out)
{
    check_opset(m);
    if (m->status != DFQ_OK) return m->status;
    m->graph = m->model->graph;
    collect(m);
    if (m->status == DFQ_OK) initializers(m);
    if (m->status == DFQ_OK) dfqi_im_input(m);
    for (size_t i = 0; i < m->graph->n_node && m->status == DFQ_OK; i++) {
        const Onnx__NodeProto *n = m->graph->node[i];
        if (!n->op_type) dfqi_im_fail(m, DFQ_E_CORRUPT, "node %zu has no op", i);
        m->has_softmax |= n->op_type && strcmp(n->op_type, "Softmax") == 0;
    }
    for (size_t i = 0; i < m->graph->n_node && m->status == DFQ_OK; i++) {
        m->node = m->graph->node[i];
        node(m);
    }
    if (m->status != DFQ_OK) return m->status;
    m->node = NULL;
    return to_logits(m, dfqi_im_value_of(m, m->graph->output[0]->name), o, out);
}

static dfq_status convert(im *m, const dfq_load_options *o, dfqi_model **out)
{
    int32_t in[IM_INPUTS], outs[IM_INPUTS];
    m->in = in;
    m->outs = outs;
    dfq_status status = convert_nodes(m, o, out);
    m->in = m->outs = NULL;
    return status;
}

bool dfqi_import_is_onnx(const char *path)
{
    size_t n = strlen(path), end = strlen(".onnx");
    return n > end && strcmp(path + n - end, ".onnx") == 0;
}

dfq_status dfqi_import_looks_so(dfqi_source *s, bool *out)
{
    enum { BRACE = 8, VERSION_TAG = 0x08 }; /* behind the length of a header; field 1, a number */
    uint8_t first[BRACE + 1];
    *out = false;
    if (s->size < sizeof first) return DFQ_OK;
    DFQI_TRY(dfqi_source_read(s, first, sizeof first));
    *out = first[0] == VERSION_TAG && first[BRACE] != '{';
    return dfqi_source_seek(s, 0);
}

dfq_status dfqi_import_from(dfqi_source *s, const char *folder, const dfq_load_options *o,
                            dfqi_model **out)
{
    im m = {.ctx = s->ctx, .path = s->name, .folder = folder, .bytes = s->size};
    char *bytes;
    DFQI_TRY(dfqi_source_read_all(s, MOST_BYTES, &bytes));
    dfq_status status =
        dfqi_im_unpack(m.ctx, m.path, (const uint8_t *)bytes, (size_t)s->size, &m.model);
    dfqi_free(m.ctx, bytes);
    if (status != DFQ_OK) return status;
    dfqi_arena_init(&m.mem, m.ctx);
    status = convert(&m, o, out);
    dfqi_im_draft_fini(&m);
    dfqi_arena_fini(&m.mem);
    dfqi_im_unpack_free(m.ctx, m.model);
    return status;
}

dfq_status dfqi_import_load(dfq_context *ctx, const char *path, const dfq_load_options *o,
                            dfqi_model **out)
{
    dfqi_source s;
    const char *base = strrchr(path, '/');
    char *folder = dfqi_format(ctx, "%.*s", base ? (int)(base + 1 - path) : 0, path);
    if (!folder) return DFQ_E_NOMEM;
    dfq_status status = dfqi_source_open(ctx, path, &s);
    if (status == DFQ_OK) {
        status = dfqi_import_from(&s, folder, o, out);
        dfqi_source_close(&s);
    }
    dfqi_free(ctx, folder);
    return status;
}
