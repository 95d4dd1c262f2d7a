/* The protobuf messages of an ONNX graph: nodes, attributes, constants. All memory is of the
 * conversion's arena. */
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "exchange/onnx_priv.h"

enum { SHARED_BYTES = 64, ATTRIBUTES = 8 };

void *dfqi_onnx_alloc(dfqi_onnx *e, size_t count, size_t size)
{
    size_t bytes;
    if (e->status != DFQ_OK) return NULL;
    if (!dfqi_mul_size(count, size, &bytes)) bytes = SIZE_MAX;
    void *p = dfqi_arena_alloc(&e->mem, bytes);
    if (!p) e->status = DFQ_E_NOMEM;
    return p;
}

void dfqi_onnx_fail(dfqi_onnx *e, dfq_status code, const char *fmt, ...)
{
    char text[DFQI_ERROR_MAX];
    va_list args;
    if (e->status != DFQ_OK) return;
    va_start(args, fmt);
    dfqi_vprint(text, sizeof text, fmt, args);
    va_end(args);
    e->status = dfqi_fail(e->ctx, code, "%s", text);
}

char *dfqi_onnx_text(dfqi_onnx *e, const char *fmt, ...)
{
    char text[256];
    va_list args;
    if (e->status != DFQ_OK) return NULL;
    va_start(args, fmt);
    dfqi_vprint(text, sizeof text, fmt, args);
    va_end(args);
    char *copy = dfqi_arena_strdup(&e->mem, text);
    if (!copy) e->status = DFQ_E_NOMEM;
    return copy;
}

/* protobuf-c has plain pointers where the content is only read. */
static char *own(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* Room for one more in a list of pointers, which doubles when it is full. */
static void *grow(dfqi_onnx *e, void *list, size_t n, size_t *cap)
{
    if (n < *cap) return list;
    size_t more = *cap ? 2 * *cap : 64;
    void *p = dfqi_onnx_alloc(e, more, sizeof(void *));
    if (!p) return NULL;
    if (n) memcpy(p, list, n * sizeof(void *));
    *cap = more;
    return p;
}

/* -- nodes ------------------------------------------------------------------------------------- */

static bool set_operands(dfqi_onnx *e, Onnx__NodeProto *p, int32_t n_in, const dfqi_ref *in)
{
    static char absent[] = "";
    p->input = dfqi_onnx_alloc(e, (size_t)n_in, sizeof *p->input);
    if (!p->input) return false;
    p->n_input = (size_t)n_in;
    for (int32_t i = 0; i < n_in; i++) p->input[i] = in[i] ? own(in[i]) : absent;
    return true;
}

void dfqi_onnx_node_with(dfqi_onnx *e, const char *type, int32_t n_in, const dfqi_ref *in,
                         int32_t n_out, dfqi_ref *out)
{
    Onnx__NodeProto *p = dfqi_onnx_alloc(e, 1, sizeof *p), **list;
    for (int32_t i = 0; i < n_out; i++) out[i] = NULL;
    if (!p) return;
    onnx__node_proto__init(p);
    p->op_type = own(type);
    p->name = dfqi_onnx_text(e, "%s/%s.%d", e->label, type, (int)e->serial++);
    p->attribute = dfqi_onnx_alloc(e, ATTRIBUTES, sizeof *p->attribute);
    p->output = dfqi_onnx_alloc(e, (size_t)n_out, sizeof *p->output);
    list = grow(e, e->graph.node, e->graph.n_node, &e->cap_nodes);
    if (!list || !set_operands(e, p, n_in, in)) return;
    for (int32_t i = 0; i < n_out; i++)
        p->output[i] = i ? dfqi_onnx_text(e, "%s:%d", p->name, (int)i) : p->name;
    if (e->status != DFQ_OK) return;
    p->n_output = (size_t)n_out;
    e->graph.node = list;
    list[e->graph.n_node++] = p;
    e->last = p;
    for (int32_t i = 0; i < n_out; i++) out[i] = p->output[i];
}

dfqi_ref dfqi_onnx_node(dfqi_onnx *e, const char *type, int32_t n_in, const dfqi_ref *in)
{
    dfqi_ref out;
    dfqi_onnx_node_with(e, type, n_in, in, 1, &out);
    return out;
}

static Onnx__AttributeProto *add_attribute(dfqi_onnx *e, const char *name,
                                           Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *a = dfqi_onnx_alloc(e, 1, sizeof *a);
    if (!a) return NULL;
    onnx__attribute_proto__init(a);
    a->name = own(name);
    a->has_type = 1;
    a->type = type;
    e->last->attribute[e->last->n_attribute++] = a;
    return a;
}

void dfqi_onnx_int(dfqi_onnx *e, const char *name, int64_t value)
{
    Onnx__AttributeProto *a = add_attribute(e, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a) return;
    a->has_i = 1;
    a->i = value;
}

void dfqi_onnx_float(dfqi_onnx *e, const char *name, float value)
{
    Onnx__AttributeProto *a = add_attribute(e, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a) return;
    a->has_f = 1;
    a->f = value;
}

void dfqi_onnx_ints(dfqi_onnx *e, const char *name, int32_t n, const int64_t *values)
{
    int64_t *copy = dfqi_onnx_alloc(e, (size_t)n, sizeof *copy);
    Onnx__AttributeProto *a = add_attribute(e, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    if (!copy || !a) return;
    memcpy(copy, values, (size_t)n * sizeof *copy);
    a->ints = copy;
    a->n_ints = (size_t)n;
}

/* -- constants --------------------------------------------------------------------------------- */

static int64_t type_bits(int32_t type)
{
    switch (type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
        return 32;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        return 64;
    case DFQI_ONNX_INT4:
    case DFQI_ONNX_UINT4:
        return 4;
    default:
        return 8;
    }
}

/* A protobuf message has at most 2 GB; what is no constant takes less than the rest. */
static const int64_t constants_limit = INT32_MAX - (1 << 24);

static int64_t bytes_of(dfqi_onnx *e, const char *name, int32_t type, int32_t rank,
                        const int64_t *dims)
{
    int64_t n = type_bits(type);
    bool fits = true;
    for (int32_t i = 0; i < rank; i++) fits = fits && dfqi_mul_i64(n, dims[i], &n);
    n = n / 8 + (n % 8 != 0);
    if (fits && n <= constants_limit - e->constant_bytes) return n;
    dfqi_onnx_fail(e, DFQ_E_UNSUPPORTED,
                   "%s: the weights up to this one take more than 2 GB, the most that an ONNX file "
                   "can hold; export a smaller network or one of fewer bits",
                   name);
    return 0;
}

static bool same_constant(const Onnx__TensorProto *t, int32_t type, int32_t rank,
                          const int64_t *dims, size_t bytes, const void *data)
{
    return t->data_type == type && t->n_dims == (size_t)rank && t->raw_data.len == bytes &&
           (rank == 0 || memcmp(t->dims, dims, (size_t)rank * sizeof *dims) == 0) &&
           memcmp(t->raw_data.data, data, bytes) == 0;
}

dfqi_ref dfqi_onnx_tensor(dfqi_onnx *e, const char *name, int32_t type, int32_t rank,
                          const int64_t *dims, const void *data)
{
    if (e->status != DFQ_OK) return NULL;
    int64_t bytes = bytes_of(e, name, type, rank, dims);
    Onnx__TensorProto *t = dfqi_onnx_alloc(e, 1, sizeof *t), **list;
    list = grow(e, e->graph.initializer, e->graph.n_initializer, &e->cap_initializers);
    int64_t *shape = dfqi_onnx_alloc(e, (size_t)rank, sizeof *shape);
    if (!t || !list || !shape) return NULL;
    e->constant_bytes += bytes;
    onnx__tensor_proto__init(t);
    if (rank) memcpy(shape, dims, (size_t)rank * sizeof *shape);
    t->name = own(name);
    t->has_data_type = 1;
    t->data_type = type;
    t->n_dims = (size_t)rank;
    t->dims = shape;
    t->has_raw_data = 1;
    t->raw_data.len = (size_t)bytes;
    t->raw_data.data = (uint8_t *)(uintptr_t)data;
    e->graph.initializer = list;
    list[e->graph.n_initializer++] = t;
    return name;
}

/* A copy of a small constant, or the one that is there. */
static dfqi_ref small_constant(dfqi_onnx *e, int32_t type, int32_t rank, const int64_t *dims,
                               size_t bytes, const void *data)
{
    for (size_t i = 0; i < e->graph.n_initializer; i++)
        if (same_constant(e->graph.initializer[i], type, rank, dims, bytes, data))
            return e->graph.initializer[i]->name;
    void *copy = dfqi_onnx_alloc(e, 1, bytes);
    char *name = dfqi_onnx_text(e, "constant.%d", (int)e->serial++);
    if (!copy || !name) return NULL;
    memcpy(copy, data, bytes);
    return dfqi_onnx_tensor(e, name, type, rank, dims, copy);
}

dfqi_ref dfqi_onnx_scalar(dfqi_onnx *e, float value)
{
    return small_constant(e, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 0, NULL, sizeof value, &value);
}

dfqi_ref dfqi_onnx_list(dfqi_onnx *e, int32_t n, const int64_t *values)
{
    return small_constant(e, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 1, (int64_t[]){n},
                          (size_t)n * sizeof *values, values);
}

dfqi_ref dfqi_onnx_code(dfqi_onnx *e, int32_t type, int32_t value)
{
    const uint8_t byte = (uint8_t)(type_bits(type) == 4 ? value & 15 : value);
    return small_constant(e, type, 0, NULL, 1, &byte);
}

float *dfqi_onnx_floats(dfqi_onnx *e, int64_t n)
{
    return dfqi_onnx_alloc(e, (size_t)n, sizeof(float));
}
