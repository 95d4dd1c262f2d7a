/* Writing safetensors: the header is built in memory, and the tensors are streamed to the file. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/images.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { DATA_ALIGN = 64 };

static size_t tensor_bytes(const dfq_tensor *t)
{
    return (size_t)dfqi_tensor_count(t) * dfqi_dtype_bytes(t->dtype);
}

/* Large elements first: every tensor then begins at a multiple of its element size. */
static int by_size_and_name(const void *a, const void *b)
{
    const dfqi_st_entry *x = *(const dfqi_st_entry *const *)a,
                        *y = *(const dfqi_st_entry *const *)b;
    size_t m = dfqi_dtype_bytes(x->tensor->dtype), n = dfqi_dtype_bytes(y->tensor->dtype);
    if (m != n) return m > n ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const dfqi_st_meta *const *)a)->key, (*(const dfqi_st_meta *const *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const dfqi_st_entry *const *)a)->name,
                  (*(const dfqi_st_entry *const *)b)->name);
}

/* Sorts both lists for writing; refuses doubles and reserved names. */
static dfq_status arrange(dfq_context *ctx, const char *path, int64_t n, const dfqi_st_entry **e,
                          int64_t n_meta, const dfqi_st_meta **m)
{
    char show[DFQI_SHOW_MAX];
    if (n > 1) qsort((void *)e, (size_t)n, sizeof *e, by_name);
    if (n_meta > 1) qsort((void *)m, (size_t)n_meta, sizeof *m, by_key);
    for (int64_t i = 0; i < n; i++) {
        if (e[i]->name[0] == '\0' || strcmp(e[i]->name, "__metadata__") == 0)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "%s: \"%s\" cannot be the name of a tensor; choose another", path,
                             e[i]->name);
        if (i > 0 && strcmp(e[i]->name, e[i - 1]->name) == 0)
            return dfqi_fail(ctx, DFQ_E_INVALID, "%s: two tensors have the name \"%s\"; rename one",
                             path, dfqi_show(e[i]->name, show));
    }
    for (int64_t i = 1; i < n_meta; i++)
        if (strcmp(m[i]->key, m[i - 1]->key) == 0)
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "%s: two metadata keys have the name \"%s\"; rename one", path,
                             dfqi_show(m[i]->key, show));
    if (n > 1) qsort((void *)e, (size_t)n, sizeof *e, by_size_and_name);
    return DFQ_OK;
}

static dfq_status header_text(dfq_context *ctx, const char *path, int64_t n,
                              const dfqi_st_entry *const *e, int64_t n_meta,
                              const dfqi_st_meta *const *m, char **out, size_t *out_size)
{
    dfqi_json *doc;
    size_t offset = 0;
    DFQI_TRY(dfqi_json_new(ctx, path, &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    if (n_meta > 0) {
        dfqi_jnode meta = dfqi_json_put_object(root, "__metadata__");
        for (int64_t i = 0; i < n_meta; i++) dfqi_json_put_text(meta, m[i]->key, m[i]->value);
    }
    for (int64_t i = 0; i < n; i++) {
        const dfq_tensor *t = e[i]->tensor;
        dfqi_jnode node = dfqi_json_put_object(root, e[i]->name);
        dfqi_json_put_text(node, "dtype", dfqi_dtype_name(t->dtype));
        dfqi_jnode shape = dfqi_json_put_array(node, "shape");
        for (int32_t d = 0; d < t->rank; d++) dfqi_json_put_int(shape, NULL, t->dims[d]);
        dfqi_jnode offsets = dfqi_json_put_array(node, "data_offsets");
        dfqi_json_put_int(offsets, NULL, (int64_t)offset);
        offset += tensor_bytes(t); /* all of it is in memory, so the sum fits */
        dfqi_json_put_int(offsets, NULL, (int64_t)offset);
    }
    dfq_status status = dfqi_json_dump(doc, 0, false, out, out_size);
    dfqi_json_release(doc);
    return status;
}

/* Bytes before the first tensor. */
static size_t padded(size_t header)
{
    return (8 + header + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
}

static dfq_status write_header(dfqi_out *f, const char *text, size_t size)
{
    static const char spaces[DATA_ALIGN + 1] =
        "                                                                ";
    size_t pad = padded(size) - 8 - size;
    unsigned char length[8];
    for (size_t i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)(size + pad) >> (8 * i));
    DFQI_TRY(dfqi_out_write(f, length, sizeof length));
    DFQI_TRY(dfqi_out_write(f, text, size));
    return dfqi_out_write(f, spaces, pad);
}

static dfq_status write_images(dfqi_out *f, const dfqi_images *images, int64_t n)
{
    const float *x;
    for (int64_t i = 0; i < n; i++) {
        DFQI_TRY(dfqi_images_at(images, i, 1, &x));
        DFQI_TRY(dfqi_out_write(f, x, (size_t)images->pixels * sizeof *x));
    }
    return DFQ_OK;
}

/* The end of a file in memory. */
typedef struct block {
    unsigned char *bytes;
    size_t at;
} block;

static int32_t append(const void *bytes, size_t size, void *user)
{
    block *b = user;
    memcpy(b->bytes + b->at, bytes, size);
    b->at += size;
    return 0;
}

/* Opens `to` for a file of `size` bytes; in memory `tensor` is made to hold them. */
static dfq_status open_target(dfq_context *ctx, const dfqi_st_target *to, size_t size, block *b,
                              dfq_tensor **tensor, dfqi_out *f)
{
    if (to->path) return dfqi_out_open(ctx, to->path, f);
    if (to->writer) return dfqi_out_to(ctx, to->writer, f);
    const dfq_writer memory = {.struct_size = sizeof memory, .write = append, .user = b};
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_U8, 1, (int64_t[]){(int64_t)size}, tensor));
    b->bytes = (*tensor)->data;
    return dfqi_out_to(ctx, &memory, f);
}

static const char *name_of(const dfqi_st_target *to)
{
    if (to->path) return to->path;
    return to->writer && to->writer->name ? to->writer->name : "memory";
}

static dfq_status write_file(dfq_context *ctx, const dfqi_st_target *to, int64_t n_entries,
                             const dfqi_st_entry *const *e, const char *text, size_t size,
                             const dfqi_images *images)
{
    dfqi_out f = {.ctx = ctx};
    block b = {NULL, 0};
    dfq_tensor *tensor = NULL;
    size_t all = padded(size);
    dfq_status status;
    for (int64_t i = 0; i < n_entries; i++) all += tensor_bytes(e[i]->tensor);
    DFQI_GOTO(open_target(ctx, to, all, &b, &tensor, &f), out);
    DFQI_GOTO(write_header(&f, text, size), out);
    for (int64_t i = 0; i < n_entries; i++) {
        const dfq_tensor *t = e[i]->tensor;
        DFQI_GOTO(images && !t->data ? write_images(&f, images, t->dims[0])
                                     : dfqi_out_write(&f, t->data, tensor_bytes(t)),
                  out);
    }
    DFQI_GOTO(dfqi_out_commit(&f), out);
    if (to->bytes) *to->bytes = tensor;
    tensor = NULL;
out:
    dfqi_out_abandon(&f);
    dfqi_tensor_release(tensor);
    return status;
}

static dfq_status write_any(dfq_context *ctx, const dfqi_st_target *to, int64_t n_entries,
                            const dfqi_st_entry *entries, int64_t n_meta, const dfqi_st_meta *meta,
                            const dfqi_images *images)
{
    const dfqi_st_entry **e = dfqi_calloc(ctx, (size_t)n_entries, sizeof *e);
    const dfqi_st_meta **m = dfqi_calloc(ctx, (size_t)n_meta, sizeof *m);
    char *text = NULL;
    size_t size = 0;
    dfq_status status = e && m ? DFQ_OK : DFQ_E_NOMEM;
    if (status != DFQ_OK) goto out;
    for (int64_t i = 0; i < n_entries; i++) e[i] = &entries[i];
    for (int64_t i = 0; i < n_meta; i++) m[i] = &meta[i];
    DFQI_GOTO(arrange(ctx, name_of(to), n_entries, e, n_meta, m), out);
    DFQI_GOTO(header_text(ctx, name_of(to), n_entries, e, n_meta, m, &text, &size), out);
    status = write_file(ctx, to, n_entries, e, text, size, images);
out:
    dfqi_free(ctx, text);
    dfqi_free(ctx, (void *)m);
    dfqi_free(ctx, (void *)e);
    return status;
}

dfq_status dfqi_st_write_to(dfq_context *ctx, const dfqi_st_target *to, int64_t n_entries,
                            const dfqi_st_entry *entries, int64_t n_meta, const dfqi_st_meta *meta)
{
    return write_any(ctx, to, n_entries, entries, n_meta, meta, NULL);
}

dfq_status dfqi_st_write_from(dfq_context *ctx, const char *path, int64_t n_entries,
                              const dfqi_st_entry *entries, int64_t n_meta,
                              const dfqi_st_meta *meta, const dfqi_images *images)
{
    const dfqi_st_target to = {.path = path};
    return write_any(ctx, &to, n_entries, entries, n_meta, meta, images);
}

dfq_status dfqi_st_write(dfq_context *ctx, const char *path, int64_t n_entries,
                         const dfqi_st_entry *entries, int64_t n_meta, const dfqi_st_meta *meta)
{
    return dfqi_st_write_from(ctx, path, n_entries, entries, n_meta, meta, NULL);
}
