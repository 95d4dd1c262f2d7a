/* Constants of an ONNX graph, and attributes of its nodes. */
#include <math.h>
#include <string.h>

#include "exchange/import_priv.h"
#include "io/json.h"
#include "tensor/tensor.h"

/* Elements of one constant, and of all that are folded together. */
#define MOST_ELEMENTS (INT64_C(1) << 30)
#define MOST_WORK     (INT64_C(1) << 31)

bool dfqi_im_tensor_new(im *m, bool is_int, int32_t rank, const int64_t *dims, im_tensor *out)
{
    im_tensor t = {.is_int = is_int, .rank = rank, .count = 1};
    bool fits = rank <= IM_RANK;
    for (int32_t i = 0; fits && i < rank; i++) {
        fits = dims[i] >= 0 && dfqi_mul_i64(t.count, dims[i], &t.count) && t.count <= MOST_ELEMENTS;
        t.dims[i] = dims[i];
    }
    m->work += fits ? t.count : 0;
    if (!fits || m->work > MOST_WORK) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "a constant has more than %d extents, or more elements than 2^30; export again",
            IM_RANK);
        return false;
    }
    void *data = dfqi_im_alloc(m, (size_t)t.count, is_int ? sizeof(int64_t) : sizeof(float));
    if (is_int)
        t.i = data;
    else
        t.f = data;
    if (!data) return false;
    *out = t;
    return true;
}

bool dfqi_im_work(im *m, int64_t a, int64_t b)
{
    int64_t n;
    if (!dfqi_mul_i64(a, b, &n) || n > MOST_WORK || (m->work += n) > MOST_WORK) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "multiplies constants of more than 2^31 products; export them as one");
        return false;
    }
    return true;
}

/* -- from messages ----------------------------------------------------------------------------- */

enum {
    FLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    HALF = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16,
    BFLOAT = ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16,
    DOUBLE = ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE,
    INT64 = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
    INT32 = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
    BOOL = ONNX__TENSOR_PROTO__DATA_TYPE__BOOL
};

static size_t size_of(int32_t type)
{
    return type == DOUBLE || type == INT64  ? 8
           : type == FLOAT || type == INT32 ? 4
           : type == HALF || type == BFLOAT ? 2
           : type == BOOL                   ? 1
                                            : 0;
}

/* Element i of raw bytes, which may lie anywhere. */
static void raw_element(int32_t type, const uint8_t *bytes, int64_t i, im_tensor *t)
{
    const uint8_t *at = bytes + (size_t)i * size_of(type);
    float *f = t->f ? (float *)(uintptr_t)t->f + i : NULL;
    int64_t *whole = t->i ? (int64_t *)(uintptr_t)t->i + i : NULL;
    uint16_t half;
    int32_t narrow;
    double wide;
    switch (type) {
    case FLOAT:
        memcpy(f, at, sizeof *f);
        break;
    case HALF:
    case BFLOAT:
        memcpy(&half, at, sizeof half);
        *f = type == HALF ? dfqi_half_to_float(half) : dfqi_bf16_to_float(half);
        break;
    case DOUBLE:
        memcpy(&wide, at, sizeof wide);
        *f = (float)wide;
        break;
    case INT64:
        memcpy(whole, at, sizeof *whole);
        break;
    case INT32:
        memcpy(&narrow, at, sizeof narrow);
        *whole = narrow;
        break;
    default:
        *whole = *at != 0;
    }
}

/* How many elements the typed field for this type has. */
static size_t typed_count(const Onnx__TensorProto *t)
{
    return t->data_type == FLOAT    ? t->n_float_data
           : t->data_type == DOUBLE ? t->n_double_data
           : t->data_type == INT64  ? t->n_int64_data
                                    : t->n_int32_data;
}

static void typed_element(const Onnx__TensorProto *t, int64_t i, im_tensor *out)
{
    float *f = out->f ? (float *)(uintptr_t)out->f + i : NULL;
    int64_t *whole = out->i ? (int64_t *)(uintptr_t)out->i + i : NULL;
    switch (t->data_type) {
    case FLOAT:
        *f = t->float_data[i];
        break;
    case HALF:
        *f = dfqi_half_to_float((uint16_t)t->int32_data[i]);
        break;
    case BFLOAT:
        *f = dfqi_bf16_to_float((uint16_t)t->int32_data[i]);
        break;
    case DOUBLE:
        *f = (float)t->double_data[i];
        break;
    case INT64:
        *whole = t->int64_data[i];
        break;
    default:
        *whole = t->int32_data[i];
    }
}

static bool refuse(im *m, const Onnx__TensorProto *t, dfq_status code, const char *what)
{
    char show[DFQI_SHOW_MAX];
    dfqi_im_fail(m, code, "tensor \"%s\" %s", t->name ? dfqi_show(t->name, show) : "", what);
    return false;
}

bool dfqi_im_from_proto(im *m, const Onnx__TensorProto *t, im_tensor *out)
{
    size_t size = size_of(t->data_type);
    bool is_int = t->data_type == INT64 || t->data_type == INT32 || t->data_type == BOOL;
    if (m->status != DFQ_OK) return false;
    if (size == 0)
        return refuse(m, t, DFQ_E_UNSUPPORTED,
                      "has an element type other than float, float16, bfloat16, double, int32, "
                      "int64 and bool; export the float network");
    if (t->n_dims > IM_RANK || t->segment)
        return refuse(m, t, DFQ_E_UNSUPPORTED, "has more than 12 extents, or is one of segments");
    if (!dfqi_im_tensor_new(m, is_int, (int32_t)t->n_dims, t->dims, out)) return false;
    const size_t want = (size_t)out->count * size;
    const uint8_t *raw = t->raw_data.data;
    if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        raw = dfqi_im_external(m, t, want);
    else if (t->has_raw_data && t->raw_data.len != want)
        return refuse(m, t, DFQ_E_CORRUPT, "has another number of bytes than its shape says");
    else if (!t->has_raw_data && typed_count(t) != (size_t)out->count)
        return refuse(m, t, DFQ_E_CORRUPT, "has another number of elements than its shape says");
    if (m->status != DFQ_OK) return false;
    bool has_raw =
        t->has_raw_data || t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (has_raw && t->data_type == FLOAT && want) {
        memcpy((void *)(uintptr_t)out->f, raw, want);
        return true;
    }
    for (int64_t i = 0; i < out->count; i++) {
        if (has_raw)
            raw_element(t->data_type, raw, i, out);
        else
            typed_element(t, i, out);
    }
    return true;
}

const im_tensor *dfqi_im_const(im *m, int32_t v)
{
    if (v < 0 || m->status != DFQ_OK || m->values[v].state != IM_CONST) return NULL;
    im_value *value = &m->values[v];
    if (value->proto) {
        if (!dfqi_im_from_proto(m, value->proto, &value->c)) return NULL;
        value->proto = NULL;
    }
    return &value->c;
}

bool dfqi_im_scalar(const im_tensor *t, double *out)
{
    if (!t || t->count != 1) return false;
    *out = t->is_int ? (double)t->i[0] : (double)t->f[0];
    return true;
}

/* -- attributes -------------------------------------------------------------------------------- */

const Onnx__AttributeProto *dfqi_im_attr(const im *m, const char *name)
{
    for (size_t i = 0; i < m->node->n_attribute; i++)
        if (m->node->attribute[i]->name && strcmp(m->node->attribute[i]->name, name) == 0)
            return m->node->attribute[i];
    return NULL;
}

int64_t dfqi_im_attr_int(const im *m, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *a = dfqi_im_attr(m, name);
    return a && a->has_i ? a->i : otherwise;
}

double dfqi_im_attr_float(const im *m, const char *name, double otherwise)
{
    const Onnx__AttributeProto *a = dfqi_im_attr(m, name);
    return a && a->has_f ? (double)a->f : otherwise;
}

bool dfqi_im_attr_is(const im *m, const char *name, const char *text, bool otherwise)
{
    const Onnx__AttributeProto *a = dfqi_im_attr(m, name);
    if (!a || !a->has_s) return otherwise;
    return a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

int32_t dfqi_im_ints(im *m, const char *name, int32_t slot, int32_t most, int64_t *out)
{
    const Onnx__AttributeProto *a = name ? dfqi_im_attr(m, name) : NULL;
    const im_tensor *t = NULL;
    if (!a && slot >= 0 && slot < m->n_in && m->in[slot] >= 0) {
        t = dfqi_im_const(m, m->in[slot]);
        if (!t || !t->is_int)
            dfqi_im_fail(
                m, DFQ_E_UNSUPPORTED,
                "operand %d depends on the image, must be a constant; export with fixed sizes",
                slot);
    }
    if ((!a && !t) || m->status != DFQ_OK) return -1;
    int64_t n = a ? (int64_t)a->n_ints : t->count;
    if (n > most) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has a list of %lld numbers, must have at most %d",
                     (long long)n, most);
        return -1;
    }
    const int64_t *from = a ? a->ints : t->i; /* may be NULL where there are none */
    for (int64_t i = 0; from && i < n; i++) out[i] = from[i];
    return (int32_t)n;
}

int32_t dfqi_im_axis_of(im *m, int64_t axis, int32_t rank)
{
    if (axis >= -rank && axis < rank) return (int32_t)(axis < 0 ? axis + rank : axis);
    dfqi_im_fail(m, DFQ_E_CORRUPT, "has axis %lld, must have one from %d to %d", (long long)axis,
                 -rank, rank - 1);
    return 0;
}
