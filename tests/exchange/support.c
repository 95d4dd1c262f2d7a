/* Files of networks, read back by protobuf-c. */
#include <stdlib.h>
#include <string.h>

#include "exchange/cases.h"

/* Names of values, and how often each is read. */
typedef struct names {
    const char *name[4096];
    int read[4096];
    int n;
} names;

static int find(const names *v, const char *name)
{
    for (int i = 0; i < v->n; i++)
        if (strcmp(v->name[i], name) == 0) return i;
    return -1;
}

static void add(names *v, const char *name)
{
    ck_assert_msg(name[0] != '\0' && find(v, name) < 0, "%s is there twice", name);
    ck_assert_int_lt(v->n, 4096);
    v->read[v->n] = 0;
    v->name[v->n++] = name;
}

static void check_node(names *v, const Onnx__NodeProto *n)
{
    for (size_t k = 0; k < n->n_input; k++) {
        int at = find(v, n->input[k]);
        if (n->input[k][0] == '\0') continue; /* optional */
        ck_assert_msg(at >= 0, "%s reads %s before it is there", n->name, n->input[k]);
        v->read[at]++;
    }
    for (size_t k = 0; k < n->n_output; k++) add(v, n->output[k]);
}

static void check(const Onnx__GraphProto *g)
{
    names *v = calloc(1, sizeof *v);
    ck_assert_ptr_nonnull(v);
    ck_assert_uint_eq(g->n_input, 1);
    ck_assert_uint_eq(g->n_output, 1);
    ck_assert_str_eq(g->input[0]->name, "image");
    ck_assert_str_eq(g->output[0]->name, "logits");
    add(v, "image");
    for (size_t i = 0; i < g->n_initializer; i++) add(v, g->initializer[i]->name);
    for (size_t i = 0; i < g->n_node; i++) check_node(v, g->node[i]);
    int out = find(v, "logits");
    ck_assert_int_ge(out, 0);
    v->read[out]++;
    for (int i = 0; i < v->n; i++) ck_assert_msg(v->read[i] > 0, "%s is never read", v->name[i]);
    free(v);
}

Onnx__ModelProto *dfqt_export(const dfqi_model *m, const dfqi_onnx_options *o)
{
    dfq_tensor *bytes;
    const dfqi_st_target to = {.bytes = &bytes};
    dfqi_onnx_info info;
    ck_assert_msg(dfqi_onnx_write(m, o, &to, &info) == DFQ_OK, "%s", m->ctx->error);
    ck_assert_int_eq(info.bytes, dfqi_tensor_count(bytes));
    Onnx__ModelProto *p = onnx__model_proto__unpack(NULL, (size_t)info.bytes, bytes->data);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(info.nodes, (int64_t)p->graph->n_node);
    ck_assert_int_eq(info.initializers, (int64_t)p->graph->n_initializer);
    ck_assert_int_eq(info.ir_version, p->ir_version);
    ck_assert_uint_eq(p->n_opset_import, 1);
    ck_assert_int_eq(info.opset, p->opset_import[0]->version);
    check(p->graph);
    dfq_tensor_release(bytes);
    return p;
}

int dfqt_count(const Onnx__ModelProto *p, const char *type)
{
    int n = 0;
    for (size_t i = 0; i < p->graph->n_node; i++) n += !strcmp(p->graph->node[i]->op_type, type);
    return n;
}

const Onnx__TensorProto *dfqt_constant(const Onnx__ModelProto *p, const char *name)
{
    for (size_t i = 0; i < p->graph->n_initializer; i++)
        if (strcmp(p->graph->initializer[i]->name, name) == 0) return p->graph->initializer[i];
    return NULL;
}

const char *dfqt_meta(const Onnx__ModelProto *p, const char *key)
{
    for (size_t i = 0; i < p->n_metadata_props; i++)
        if (strcmp(p->metadata_props[i]->key, key) == 0) return p->metadata_props[i]->value;
    return NULL;
}

void dfqt_near(const float *have, const float *want, int n, double bar)
{
    double most = 0, far = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fabs((double)want[i]));
        far = fmax(far, fabs((double)have[i] - (double)want[i]));
        ck_assert(isfinite(have[i]));
    }
    ck_assert_msg(far <= bar * most, "off by %g of %g", far, most);
}
