/* Reading safetensors. The header is parsed, and every entry is checked against the size of the
 * file, before the first tensor is allocated. Then the tensors are read in file order. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json.h"
#include "io/look.h"
#include "io/safetensors.h"
#include "io/st_types.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors data is little-endian and is copied as it is"
#endif

enum { HEADER_MAX = 100 * 1000 * 1000 };
static const char META_KEY[] = "__metadata__";

/* One entry of the header, checked. */
typedef struct item {
    const char *name; /* borrowed from the JSON document */
    const dfqi_st_type *type;
    int32_t rank;
    int64_t dims[DFQI_RANK_MAX];
    uint64_t begin, end; /* relative to the end of the header */
} item;

static dfq_status read_shape(const dfqi_source *s, dfqi_jnode entry, item *it, int64_t *out_bytes)
{
    dfqi_jnode shape;
    char show[DFQI_SHOW_MAX];
    DFQI_TRY(dfqi_json_get_array(entry, "shape", &shape));
    int64_t rank = dfqi_json_count(shape);
    if (rank > DFQI_RANK_MAX)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: tensor \"%s\" has %lld extents, must have at most %d", s->name,
                         dfqi_show(it->name, show), (long long)rank, DFQI_RANK_MAX);
    /* Extents of 0 are left out of the product: they must not hide an overflow of the others. */
    int64_t bytes = (int64_t)it->type->bytes;
    bool fits = true, empty = false;
    for (int32_t i = 0; i < rank; i++) {
        dfqi_jnode d = dfqi_json_at(shape, i);
        d.where = it->name;
        DFQI_TRY(dfqi_json_get_int(d, NULL, 0, INT64_MAX, &it->dims[i]));
        if (it->dims[i] == 0)
            empty = true;
        else
            fits = fits && dfqi_mul_i64(bytes, it->dims[i], &bytes);
    }
    if (!fits)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: the shape of tensor \"%s\" overflows 64 bits; the file is damaged",
                         s->name, dfqi_show(it->name, show));
    it->rank = (int32_t)rank;
    *out_bytes = empty ? 0 : bytes;
    return DFQ_OK;
}

/* Reads one member; `room` is the number of bytes behind the header. */
static dfq_status read_item(const dfqi_source *s, const char *name, dfqi_jnode member,
                            uint64_t room, item *it)
{
    dfqi_jnode entry, offsets;
    const char *dtype;
    int64_t bytes = 0, begin = 0, end = 0;
    char show[DFQI_SHOW_MAX], type[DFQI_SHOW_MAX];
    int64_t limit = room < INT64_MAX ? (int64_t)room : INT64_MAX;
    it->name = name;
    if (name[0] == '\0')
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: a tensor has an empty name; write the file again with names",
                         s->name);
    DFQI_TRY(dfqi_json_get_object(member, NULL, &entry));
    DFQI_TRY(dfqi_json_get_text(entry, "dtype", &dtype));
    it->type = dfqi_st_type_find(dtype);
    if (!it->type)
        return dfqi_fail(s->ctx, DFQ_E_UNSUPPORTED,
                         "%s: tensor \"%s\" is %s, must be a float of 8 to 64 bits, an integer or "
                         "BOOL; convert it to one of them",
                         s->name, dfqi_show(name, show), dfqi_show(dtype, type));
    DFQI_TRY(read_shape(s, entry, it, &bytes));
    DFQI_TRY(dfqi_json_get_array(entry, "data_offsets", &offsets));
    if (dfqi_json_count(offsets) != 2)
        return dfqi_fail(
            s->ctx, DFQ_E_CORRUPT,
            "%s: tensor \"%s\" has %lld data_offsets, must have 2; the file is damaged", s->name,
            dfqi_show(name, show), (long long)dfqi_json_count(offsets));
    dfqi_jnode b = dfqi_json_at(offsets, 0), e = dfqi_json_at(offsets, 1);
    b.where = e.where = name;
    DFQI_TRY(dfqi_json_get_int(b, NULL, 0, INT64_MAX, &begin));
    DFQI_TRY(dfqi_json_get_int(e, NULL, 0, INT64_MAX, &end));
    if (begin > end || end > limit)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: tensor \"%s\" is at bytes %lld to %lld of the data, which has only "
                         "%lld; the file is cut short or damaged, fetch it again",
                         s->name, dfqi_show(name, show), (long long)begin, (long long)end,
                         (long long)limit);
    if (end - begin != bytes)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: tensor \"%s\" has %lld bytes of data, must have %lld by its shape "
                         "and dtype; the file is damaged, fetch it again",
                         s->name, dfqi_show(name, show), (long long)(end - begin),
                         (long long)bytes);
    it->begin = (uint64_t)begin;
    it->end = (uint64_t)end;
    return DFQ_OK;
}

static int by_offset(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Sorted items must follow each other from the first byte to the last: the format allows neither
 * holes nor a tail, in which a file could carry what no reader sees. */
static dfq_status check_cover(const dfqi_source *s, const item *items, int64_t n, uint64_t room)
{
    char show[DFQI_SHOW_MAX], other[DFQI_SHOW_MAX];
    uint64_t end = 0;
    for (int64_t i = 0; i < n; i++) {
        if (items[i].begin < end)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: tensors \"%s\" and \"%s\" overlap at byte %llu of the data; the "
                             "file is damaged, fetch it again",
                             s->name, dfqi_show(items[i - 1].name, show),
                             dfqi_show(items[i].name, other), (unsigned long long)items[i].begin);
        if (items[i].begin > end)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: %llu unused byte%s before tensor \"%s\", the format allows "
                             "none; write the file again with safetensors' save_file",
                             s->name, (unsigned long long)(items[i].begin - end),
                             items[i].begin - end == 1 ? "" : "s", dfqi_show(items[i].name, show));
        end = items[i].end;
    }
    if (room > end)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: %llu unused byte%s behind the last tensor, the format allows none; "
                         "fetch the file again, or write it again with safetensors' save_file",
                         s->name, (unsigned long long)(room - end), room - end == 1 ? "" : "s");
    return DFQ_OK;
}

/* The length field and the header's JSON. */
static dfq_status read_header(dfqi_source *s, dfqi_json **out)
{
    unsigned char first[DFQI_LOOK_BYTES];
    size_t n_first = s->size < sizeof first ? (size_t)s->size : sizeof first;
    uint64_t length = 0;
    char *text = NULL;
    dfq_status status = DFQ_OK;
    DFQI_TRY(dfqi_source_read(s, first, n_first));
    for (size_t i = 0; i < 8 && i < n_first; i++) length |= (uint64_t)first[i] << (8 * i);
    if (n_first < 9 || length < 2 || length > HEADER_MAX || length > s->size - 8 ||
        first[8] != '{') {
        dfqi_look look = dfqi_file_look(first, n_first);
        if (look.kind)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: the file is not safetensors, it looks like %s; %s", s->name,
                             look.kind, look.cure);
        if (n_first < 9)
            return dfqi_fail(
                s->ctx, DFQ_E_CORRUPT,
                "%s: the file has %llu bytes, which are too few for safetensors; fetch it again",
                s->name, (unsigned long long)s->size);
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: the file is not safetensors, or is cut short: by its first 8 bytes "
                         "the header has %llu bytes, which must begin with { and be at most those "
                         "of the file, %llu, and %d; fetch it again",
                         s->name, (unsigned long long)length, (unsigned long long)s->size,
                         HEADER_MAX);
    }
    text = dfqi_alloc(s->ctx, (size_t)length);
    if (!text) return DFQ_E_NOMEM;
    size_t have = n_first - 8 < length ? n_first - 8 : (size_t)length;
    memcpy(text, first + 8, have);
    if (n_first - 8 > length) { /* a tiny header: the data begins inside `first` */
        DFQI_GOTO(dfqi_source_seek(s, 8 + length), out);
    }
    DFQI_GOTO(dfqi_source_read(s, text + have, (size_t)length - have), out);
    status = dfqi_json_parse(s->ctx, s->name, text, (size_t)length, out);
out:
    dfqi_free(s->ctx, text);
    return status;
}

static dfq_status read_meta(const dfqi_source *s, dfqi_jnode object, dfqi_safetensors *st)
{
    void *iter = NULL;
    const char *key, *value;
    dfqi_jnode node;
    st->meta = dfqi_calloc(s->ctx, (size_t)dfqi_json_count(object), sizeof *st->meta);
    if (!st->meta) return DFQ_E_NOMEM;
    while (dfqi_json_next(object, &iter, &key, &node)) {
        DFQI_TRY(dfqi_json_get_text(node, NULL, &value));
        dfqi_st_meta *m = &st->meta[st->n_meta++];
        m->key = dfqi_strdup(s->ctx, key);
        m->value = dfqi_strdup(s->ctx, value);
        if (!m->key || !m->value) return DFQ_E_NOMEM;
    }
    return DFQ_OK;
}

/* Tensors are read in the order of their offsets, so the source stands at this one already. */
static dfq_status read_tensor(dfqi_source *s, const item *it, dfqi_st_entry *e)
{
    e->name = dfqi_strdup(s->ctx, it->name);
    if (!e->name) return DFQ_E_NOMEM;
    DFQI_TRY(dfqi_tensor_new(s->ctx, it->type->dtype, it->rank, it->dims, &e->tensor));
    const size_t bytes = (size_t)(it->end - it->begin);
    if (!it->type->convert) return dfqi_source_read(s, e->tensor->data, bytes);
    unsigned char *stored = dfqi_alloc(s->ctx, bytes);
    if (!stored) return DFQ_E_NOMEM;
    dfq_status status = dfqi_source_read(s, stored, bytes);
    if (status == DFQ_OK) it->type->convert(stored, bytes / it->type->bytes, e->tensor->data);
    dfqi_free(s->ctx, stored);
    return status;
}

/* The header and its entries, sorted by offset. The caller frees them, also on failure. */
typedef struct header {
    dfqi_json *doc; /* has the names of items */
    item *items;
    int64_t n;
} header;

static dfq_status read_items(dfqi_source *s, header *h, dfqi_safetensors *st)
{
    void *iter = NULL;
    const char *key;
    dfqi_jnode node;
    DFQI_TRY(read_header(s, &h->doc));
    const uint64_t room = s->size - s->at;
    dfqi_jnode root = dfqi_json_root(h->doc);
    h->items = dfqi_calloc(s->ctx, (size_t)dfqi_json_count(root), sizeof *h->items);
    if (!h->items) return DFQ_E_NOMEM;
    while (dfqi_json_next(root, &iter, &key, &node)) {
        if (strcmp(key, META_KEY) != 0) {
            DFQI_TRY(read_item(s, key, node, room, &h->items[h->n++]));
        } else if (dfqi_json_has(node, NULL)) {
            DFQI_TRY(dfqi_json_get_object(root, META_KEY, &node));
            DFQI_TRY(read_meta(s, node, st));
        }
    }
    if (h->n > 1) qsort(h->items, (size_t)h->n, sizeof *h->items, by_offset);
    return check_cover(s, h->items, h->n, room);
}

static void header_fini(dfq_context *ctx, header *h)
{
    dfqi_free(ctx, h->items);
    dfqi_json_release(h->doc);
}

/* but: a tensor to leave out, or NULL. */
static dfq_status read_all(dfqi_source *s, const char *but, dfqi_safetensors *out)
{
    dfqi_safetensors st = {.ctx = s->ctx, .bytes = s->size};
    header h = {NULL, NULL, 0};
    dfq_status status;
    DFQI_GOTO(read_items(s, &h, &st), out);
    const uint64_t base = s->at;
    st.entries = dfqi_calloc(s->ctx, (size_t)h.n, sizeof *st.entries);
    if (!st.entries) {
        status = DFQ_E_NOMEM;
        goto out;
    }
    for (int64_t i = 0; i < h.n; i++) {
        if (but && strcmp(h.items[i].name, but) == 0) {
            DFQI_GOTO(dfqi_source_seek(s, base + h.items[i].end), out);
            continue;
        }
        st.n_entries++; /* first, so that a half-read entry is freed as well */
        DFQI_GOTO(read_tensor(s, &h.items[i], &st.entries[st.n_entries - 1]), out);
    }
    *out = st;
    st = (dfqi_safetensors){.ctx = s->ctx};
out:
    dfqi_st_fini(&st);
    header_fini(s->ctx, &h);
    return status;
}

dfq_status dfqi_st_locate(dfq_context *ctx, const char *path, FILE *f, uint64_t size,
                          const char *name, dfq_tensor *out_shape, uint64_t *out_begin)
{
    dfqi_source s = dfqi_source_file(ctx, path, f, size);
    dfqi_safetensors st = {.ctx = ctx};
    header h = {NULL, NULL, 0};
    const item *it = NULL;
    dfq_status status;
    DFQI_GOTO(read_items(&s, &h, &st), out);
    for (int64_t i = 0; i < h.n && !it; i++)
        if (strcmp(h.items[i].name, name) == 0) it = &h.items[i];
    if (!it) {
        status = dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: tensor %s is missing", path, name);
        goto out;
    }
    if (it->type->convert) {
        status = dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "%s: tensor %s is %s, must be %s; convert it",
                           path, name, it->type->name, dfqi_dtype_name(it->type->dtype));
        goto out;
    }
    *out_shape = (dfq_tensor){.ctx = ctx, .refs = 1, .dtype = it->type->dtype, .rank = it->rank};
    memcpy(out_shape->dims, it->dims, sizeof it->dims);
    *out_begin = s.at + it->begin;
out:
    dfqi_st_fini(&st);
    header_fini(ctx, &h);
    return status;
}

dfq_status dfqi_st_read_source(dfqi_source *s, dfqi_safetensors *out)
{
    return read_all(s, NULL, out);
}

dfq_status dfqi_st_read_but(dfq_context *ctx, const char *path, const char *but,
                            dfqi_safetensors *out)
{
    dfqi_source s;
    DFQI_TRY(dfqi_source_open(ctx, path, &s));
    dfq_status status = read_all(&s, but, out);
    dfqi_source_close(&s);
    return status;
}

dfq_status dfqi_st_read_meta(dfq_context *ctx, const char *path, dfqi_safetensors *out)
{
    dfqi_source s;
    dfqi_safetensors st = {.ctx = ctx};
    header h = {NULL, NULL, 0};
    DFQI_TRY(dfqi_source_open(ctx, path, &s));
    dfq_status status = read_items(&s, &h, &st);
    dfqi_source_close(&s);
    header_fini(ctx, &h);
    if (status != DFQ_OK)
        dfqi_st_fini(&st);
    else
        *out = st;
    return status;
}

dfq_status dfqi_st_read(dfq_context *ctx, const char *path, dfqi_safetensors *out)
{
    return dfqi_st_read_but(ctx, path, NULL, out);
}

dfq_status dfqi_st_parse(dfq_context *ctx, const char *name, const void *bytes, size_t size,
                         dfqi_safetensors *out)
{
    dfqi_source s = dfqi_source_memory(ctx, name, bytes, size);
    return read_all(&s, NULL, out);
}

void dfqi_st_fini(dfqi_safetensors *st)
{
    for (int64_t i = 0; st->entries && i < st->n_entries; i++) {
        dfqi_free(st->ctx, st->entries[i].name);
        dfqi_tensor_release(st->entries[i].tensor);
    }
    for (int64_t i = 0; st->meta && i < st->n_meta; i++) {
        dfqi_free(st->ctx, st->meta[i].key);
        dfqi_free(st->ctx, st->meta[i].value);
    }
    dfqi_free(st->ctx, st->entries);
    dfqi_free(st->ctx, st->meta);
    st->entries = NULL;
    st->meta = NULL;
    st->n_entries = st->n_meta = 0;
}

const dfq_tensor *dfqi_st_find(const dfqi_safetensors *st, const char *name)
{
    for (int64_t i = 0; i < st->n_entries; i++)
        if (strcmp(st->entries[i].name, name) == 0) return st->entries[i].tensor;
    return NULL;
}
