/* The message of an ONNX file: a look at its structure before it is unpacked, so that small files
 * cannot ask for much memory or depth, and tensors in files of their own. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_priv.h"
#include "io/file.h"
#include "io/json.h"

enum { DEEP = 16, MOST_FIELDS = 4000000, MOST_NODES = 100000 };

/* -- the look ---------------------------------------------------------------------------------- */

typedef struct look {
    dfq_context *ctx;
    const char *path;
    int64_t fields, nodes;
} look;

typedef struct range {
    const uint8_t *at, *end;
} range;

static dfq_status damaged(const look *l)
{
    return dfqi_fail(l->ctx, DFQ_E_CORRUPT,
                     "%s is not an ONNX file, or is truncated; export it again", l->path);
}

static bool varint(range *r, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

/* The bytes of one field's value. */
static bool value(range *r, uint64_t wire, range *out)
{
    uint64_t n = 0, number;
    *out = *r;
    if (wire == 0) return varint(r, &number);
    if (wire == 1 || wire == 5)
        n = wire == 1 ? 8 : 4;
    else if (wire != 2 || !varint(r, &n))
        return false;
    if (n > (uint64_t)(r->end - r->at)) return false;
    *out = (range){r->at, r->at + n};
    r->at += n;
    return true;
}

static dfq_status look_at(look *l, const ProtobufCMessageDescriptor *d, range r, int depth)
{
    l->nodes += d == &onnx__node_proto__descriptor;
    if (l->nodes > MOST_NODES)
        return dfqi_fail(l->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the graph has more than %d nodes; networks of images have fewer",
                         l->path, MOST_NODES);
    if (depth > DEEP)
        return dfqi_fail(l->ctx, DFQ_E_UNSUPPORTED,
                         "%s: messages are nested more than %d deep (If, Loop or functions); "
                         "export without control flow",
                         l->path, DEEP);
    while (r.at < r.end) {
        uint64_t tag;
        range field;
        if (!varint(&r, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911 ||
            !value(&r, tag & 7, &field))
            return damaged(l);
        if (++l->fields > MOST_FIELDS)
            return dfqi_fail(l->ctx, DFQ_E_UNSUPPORTED,
                             "%s has more than %d fields; networks of images have fewer", l->path,
                             MOST_FIELDS);
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
        if (f && f->type == PROTOBUF_C_TYPE_MESSAGE && (tag & 7) == 2)
            DFQI_TRY(look_at(l, f->descriptor, field, depth + 1));
    }
    return DFQ_OK;
}

/* -- unpacking --------------------------------------------------------------------------------- */

static void *take(void *ctx, size_t size)
{
    return dfqi_alloc(ctx, size);
}

static void give_back(void *ctx, void *p)
{
    dfqi_free(ctx, p);
}

dfq_status dfqi_im_unpack(dfq_context *ctx, const char *path, const uint8_t *bytes, size_t size,
                          Onnx__ModelProto **out)
{
    ProtobufCAllocator memory = {take, give_back, ctx};
    look l = {.ctx = ctx, .path = path};
    DFQI_TRY(look_at(&l, &onnx__model_proto__descriptor, (range){bytes, bytes + size}, 0));
    ctx->error[0] = '\0';
    Onnx__ModelProto *model = onnx__model_proto__unpack(&memory, size, bytes);
    if (!model && ctx->error[0]) return DFQ_E_NOMEM; /* the allocator has said so */
    if (!model) return damaged(&l);
    *out = model;
    return DFQ_OK;
}

void dfqi_im_unpack_free(dfq_context *ctx, Onnx__ModelProto *model)
{
    ProtobufCAllocator memory = {take, give_back, ctx};
    if (model) onnx__model_proto__free_unpacked(model, &memory);
}

/* -- tensors in files of their own ------------------------------------------------------------- */

static const char *entry(const Onnx__TensorProto *t, const char *key)
{
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = t->external_data[i];
        if (e->key && e->value && strcmp(e->key, key) == 0) return e->value;
    }
    return NULL;
}

/* Only a file of the model's folder, or of a folder in it. */
static bool is_inside(const char *location)
{
    if (location[0] == '\0' || location[0] == '/' || strchr(location, '\\')) return false;
    for (const char *at = location; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0')) return false;
    }
    return true;
}

/* Digits alone; `otherwise` for an entry that is missing. */
static bool number(const char *text, uint64_t otherwise, uint64_t *out)
{
    *out = text ? 0 : otherwise;
    for (const char *c = text; c && *c; c++) {
        if (*c < '0' || *c > '9' || *out > (UINT64_MAX - 9) / 10) return false;
        *out = 10 * *out + (uint64_t)(*c - '0');
    }
    return !text || text[0];
}

static const uint8_t *read_part(im *m, const char *path, uint64_t offset, size_t want)
{
    dfqi_source s;
    uint8_t *to = dfqi_im_alloc(m, want, 1);
    dfq_status status = to ? dfqi_source_open(m->ctx, path, &s) : DFQ_E_NOMEM;
    if (status == DFQ_OK) {
        if (offset > s.size || want > s.size - offset)
            dfqi_im_fail(
                m, DFQ_E_CORRUPT,
                "external data needs bytes %llu to %llu of a file of %llu; copy the whole file "
                "beside the model",
                (unsigned long long)offset, (unsigned long long)offset + want,
                (unsigned long long)s.size);
        else
            status = dfqi_source_seek(&s, offset);
        if (status == DFQ_OK && m->status == DFQ_OK) status = dfqi_source_read(&s, to, want);
        dfqi_source_close(&s);
    }
    if (status != DFQ_OK && m->status == DFQ_OK) m->status = status;
    return m->status == DFQ_OK ? to : NULL;
}

const uint8_t *dfqi_im_external(im *m, const Onnx__TensorProto *t, size_t want)
{
    const char *location = entry(t, "location");
    char show[DFQI_SHOW_MAX];
    uint64_t offset, length;
    if (!location || !is_inside(location) || !m->folder) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "tensor data is in \"%s\", must be in a file inside of the model's folder; export "
            "with its data beside it",
            location ? dfqi_show(location, show) : "");
        return NULL;
    }
    if (!number(entry(t, "offset"), 0, &offset) || !number(entry(t, "length"), want, &length) ||
        length != want) {
        dfqi_im_fail(
            m, DFQ_E_CORRUPT,
            "external data of \"%s\" does not have %zu bytes, as its shape says; export again",
            dfqi_show(location, show), want);
        return NULL;
    }
    char *path = dfqi_format(m->ctx, "%s%s", m->folder, location);
    const uint8_t *bytes = path ? read_part(m, path, offset, want) : NULL;
    if (!path) m->status = DFQ_E_NOMEM;
    dfqi_free(m->ctx, path);
    return bytes;
}
