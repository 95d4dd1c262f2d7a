/* Writes the file of a network. */
#include <stdio.h>
#include <string.h>

#include <dfq/version.h>

#include "exchange/onnx_priv.h"
#include "io/file.h"
#include "nn/load.h"

/* The version of the file format that came with an operator set. */
static int32_t ir_version(int32_t opset)
{
    static const int8_t ir[DFQI_OPSET_MAX - DFQI_OPSET_MIN + 1] = {8, 8, 9, 9, 10, 10, 11, 12, 13};
    return ir[opset - DFQI_OPSET_MIN];
}

/* -- the graph --------------------------------------------------------------------------------- */

/* A float value as an input or output of the ONNX graph, its first axis free. */
static Onnx__ValueInfoProto *describe(dfqi_onnx *e, const char *name, const dfqi_value *v)
{
    Onnx__ValueInfoProto *info = dfqi_onnx_alloc(e, 1, sizeof *info);
    Onnx__TypeProto *type = dfqi_onnx_alloc(e, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = dfqi_onnx_alloc(e, 1, sizeof *tensor);
    Onnx__TensorShapeProto *shape = dfqi_onnx_alloc(e, 1, sizeof *shape);
    size_t rank = (size_t)v->rank;
    Onnx__TensorShapeProto__Dimension **dims = dfqi_onnx_alloc(e, rank, sizeof *dims),
                                      *d = dfqi_onnx_alloc(e, rank, sizeof *d);
    if (!info || !type || !tensor || !shape || !dims || !d) return NULL;
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    for (size_t i = 0; i < rank; i++) {
        dims[i] = d + i;
        onnx__tensor_shape_proto__dimension__init(d + i);
        d[i].value_case = i ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                            : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (i)
            d[i].dim_value = v->dims[i];
        else
            d[i].dim_param = dfqi_onnx_text(e, "batch");
    }
    shape->n_dim = rank;
    shape->dim = dims;
    tensor->has_elem_type = 1;
    tensor->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    tensor->shape = shape;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    info->name = dfqi_onnx_text(e, "%s", name);
    info->type = type;
    return info;
}

/* The ONNX graph of one forward pass. Names of inputs and outputs are what a caller writes down, so
 * the logits get one. */
static void build(dfqi_onnx *e, dfqi_id x, dfqi_id logits)
{
    Onnx__GraphProto *p = &e->graph;
    onnx__graph_proto__init(p);
    p->name = dfqi_onnx_text(e, "%s", e->m->net.arch.name);
    p->input = dfqi_onnx_alloc(e, 1, sizeof *p->input);
    p->output = dfqi_onnx_alloc(e, 1, sizeof *p->output);
    if (e->status != DFQ_OK) return;
    p->input[0] = describe(e, "image", dfqi_graph_value(e->g, x));
    p->output[0] = describe(e, "logits", dfqi_graph_value(e->g, logits));
    if (e->status != DFQ_OK) return;
    p->n_input = p->n_output = 1;
    e->values[x].ref = p->input[0]->name;
    dfqi_onnx_walk(e, logits);
    if (e->status == DFQ_OK) e->last->output[0] = p->output[0]->name;
}

/* -- the file ---------------------------------------------------------------------------------- */

/* protobuf-c's function to write with; a failed write is remembered, later ones do nothing. */
typedef struct sink {
    ProtobufCBuffer base;
    dfqi_out *out; /* or `to`, whose size is that of the message */
    uint8_t *to;
    dfq_status status;
} sink;

static void append(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
    sink *s = (sink *)buffer;
    if (s->status != DFQ_OK || len == 0) return;
    if (s->out) {
        s->status = dfqi_out_write(s->out, data, len);
    } else {
        memcpy(s->to, data, len);
        s->to += len;
    }
}

static dfq_status pack(const Onnx__ModelProto *p, sink *s)
{
    s->base.append = append;
    (void)onnx__model_proto__pack_to_buffer(p, &s->base);
    return s->status;
}

static dfq_status write_message(dfq_context *ctx, const Onnx__ModelProto *p, size_t bytes,
                                const dfqi_st_target *to)
{
    dfqi_out out;
    sink s = {.status = DFQ_OK};
    if (to->bytes) {
        const int64_t n = (int64_t)bytes;
        dfq_tensor *t;
        DFQI_TRY(dfqi_tensor_new(ctx, DFQI_U8, 1, &n, &t));
        s.to = t->data;
        (void)pack(p, &s);
        *to->bytes = t;
        return DFQ_OK;
    }
    DFQI_TRY(to->path ? dfqi_out_open(ctx, to->path, &out) : dfqi_out_to(ctx, to->writer, &out));
    s.out = &out;
    dfq_status status = pack(p, &s);
    if (status == DFQ_OK) return dfqi_out_commit(&out);
    dfqi_out_abandon(&out);
    return status;
}

/* What the network is, by the keys that safetensors files of this library have. */
static void set_metadata(dfqi_onnx *e, Onnx__ModelProto *p)
{
    dfqi_st_meta meta[DFQI_MODEL_META];
    int64_t n = 0;
    if (e->status != DFQ_OK) return;
    e->status = dfqi_model_meta(e->m, &e->mem, meta, &n);
    Onnx__StringStringEntryProto *entry = dfqi_onnx_alloc(e, (size_t)n + 1, sizeof *entry);
    p->metadata_props = dfqi_onnx_alloc(e, (size_t)n + 1, sizeof *p->metadata_props);
    if (e->status != DFQ_OK) return;
    for (int64_t i = 0; i <= n; i++) {
        onnx__string_string_entry_proto__init(entry + i);
        p->metadata_props[i] = entry + i;
        entry[i].key = i < n ? meta[i].key : dfqi_onnx_text(e, "classes");
        entry[i].value =
            i < n ? meta[i].value : dfqi_onnx_text(e, "%lld", (long long)e->m->net.arch.classes);
    }
    p->n_metadata_props = (size_t)n + 1;
}

static dfq_status write_model(dfqi_onnx *e, const dfqi_st_target *to, dfqi_onnx_info *out)
{
    static char producer[] = "libdfq", none[] = "";
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets = &opset;
    opset.domain = none;
    opset.has_version = 1;
    opset.version = e->opset;
    model.has_ir_version = 1;
    model.ir_version = ir_version(e->opset);
    model.n_opset_import = 1;
    model.opset_import = &opsets;
    model.producer_name = producer;
    model.producer_version =
        dfqi_onnx_text(e, "%d.%d.%d", DFQ_VERSION_MAJOR, DFQ_VERSION_MINOR, DFQ_VERSION_PATCH);
    model.graph = &e->graph;
    set_metadata(e, &model);
    if (e->status != DFQ_OK) return e->status;
    size_t bytes = onnx__model_proto__get_packed_size(&model);
    DFQI_TRY(write_message(e->ctx, &model, bytes, to));
    *out = (dfqi_onnx_info){.opset = e->opset,
                            .ir_version = (int32_t)model.ir_version,
                            .nodes = (int64_t)e->graph.n_node,
                            .initializers = (int64_t)e->graph.n_initializer,
                            .bytes = (int64_t)bytes};
    return DFQ_OK;
}

static dfq_status choose_opset(dfq_context *ctx, int32_t asked, bool int4, int32_t *out)
{
    enum { OPSET = 20 }; /* has all that a float network needs as single nodes */
    if (asked != 0 && (asked < DFQI_OPSET_MIN || asked > DFQI_OPSET_MAX))
        return dfqi_fail(ctx, DFQ_E_INVALID, "opset is %d, must be %d to %d", asked, DFQI_OPSET_MIN,
                         DFQI_OPSET_MAX);
    if (int4 && asked != 0 && asked < DFQI_INT4_OPSET)
        return dfqi_fail(
            ctx, DFQ_E_UNSUPPORTED,
            "opset is %d, which has no 4-bit types; set it to %d or more, or leave int4 "
            "out",
            asked, DFQI_INT4_OPSET);
    *out = asked ? asked : int4 ? DFQI_INT4_OPSET : OPSET;
    return DFQ_OK;
}

dfq_status dfqi_onnx_write_graph(const dfqi_model *m, const dfqi_graph *g, dfqi_id x,
                                 dfqi_id logits, const dfqi_onnx_options *o,
                                 const dfqi_st_target *to, dfqi_onnx_info *out)
{
    dfqi_onnx e = {.ctx = m->ctx,
                   .m = m,
                   .g = g,
                   .int4 = o->int4 != 0,
                   .integer = o->integer != 0,
                   .label = "",
                   .status = DFQ_OK};
    size_t n = (size_t)g->n_values;
    DFQI_TRY(choose_opset(m->ctx, o->opset, e.int4, &e.opset));
    dfqi_arena_init(&e.mem, m->ctx);
    e.values = dfqi_onnx_alloc(&e, n, sizeof *e.values);
    if (e.status == DFQ_OK) build(&e, x, logits);
    dfq_status status = e.status;
    if (status == DFQ_OK) status = write_model(&e, to, out);
    dfqi_arena_fini(&e.mem);
    return status;
}

/* Is there anything that 4-bit types are for? */
static dfq_status check_int4(const dfqi_model *m)
{
    const dfqi_scheme *s = &m->scheme;
    if (!m->quantized)
        return dfqi_fail(m->ctx, DFQ_E_INVALID,
                         "%s is float and has no codes of up to 4 bits; leave int4 out",
                         m->net.arch.name);
    for (int32_t i = 0; i < s->n_sites; i++)
        if (s->sites[i].bits <= DFQI_INT4_BITS) return DFQ_OK;
    return dfqi_fail(m->ctx, DFQ_E_INVALID,
                     "%s, w%da%d, has no codes of up to 4 bits; leave int4 out", m->net.arch.name,
                     s->weight_bits, s->act_bits);
}

/* Can all of it be computed in integers? */
static dfq_status check_integer(const dfqi_model *m)
{
    if (m->quantized && dfqi_arch_is_cnn(&m->net.arch) && m->scheme.weight_bits == 8 &&
        m->scheme.act_bits == 8)
        return DFQ_OK;
    return dfqi_fail(m->ctx, DFQ_E_INVALID,
                     "integer is for convolutional networks of 8 bits, %s is none; leave it out",
                     m->net.arch.name);
}

dfq_status dfqi_onnx_write(const dfqi_model *m, const dfqi_onnx_options *o,
                           const dfqi_st_target *to, dfqi_onnx_info *out)
{
    dfqi_graph *g = NULL;
    dfqi_taps taps = {0};
    dfqi_id x;
    if (o->int4) DFQI_TRY(check_int4(m));
    if (o->integer) DFQI_TRY(check_integer(m));
    DFQI_TRY(dfqi_model_graph(m, 1, &g, &x, &taps));
    dfqi_onnx_windows_as_images(g);
    dfq_status status = dfqi_onnx_write_graph(m, g, x, taps.logits, o, to, out);
    dfqi_graph_free(g);
    return status;
}
