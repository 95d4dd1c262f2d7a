/* Reads several safetensors files (shards) as one: by an index, as Hugging Face stores large
 * models, or all files of a list. The index is untrusted: it may name only plain files of its
 * folder, and each tensor must be in the file that the index says. Run time grows as n log n with
 * the number of tensors. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { INDEX_MAX = 64 * 1024 * 1024, META_MAX = 1000, CAUSE_MAX = 500 };

/* A line of the index. */
typedef struct line {
    const char *tensor, *file; /* borrowed from the document */
    bool seen;
} line;

typedef struct shards {
    dfq_context *ctx;
    const char *name; /* of the index */
    dfqi_json *doc;
    dfqi_jnode map;
    int64_t n;
    line *lines; /* by file, then tensor */
    int32_t n_sources;
    dfqi_source *sources; /* NULL: files beside the index */
    dfqi_safetensors all;
} shards;

bool dfqi_st_is_index(const char *path)
{
    static const char end[] = ".json";
    size_t n = strlen(path);
    return n > sizeof end - 1 && strcmp(path + n - (sizeof end - 1), end) == 0;
}

/* -- the index --------------------------------------------------------------------------------- */

static int by_file(const void *a, const void *b)
{
    const line *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order ? order : strcmp(x->tensor, y->tensor);
}

static int by_tensor(const void *key, const void *member)
{
    return strcmp(key, ((const line *)member)->tensor);
}

/* A file outside of the folder is not part of the model. */
static dfq_status check_file(const shards *s, const char *tensor, const char *file)
{
    char show[DFQI_SHOW_MAX], what[DFQI_SHOW_MAX];
    if (file[0] && !strchr(file, '/') && !strchr(file, '\\') && strcmp(file, ".") != 0 &&
        strcmp(file, "..") != 0)
        return DFQ_OK;
    return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                     "%s: tensor \"%s\" is in \"%s\", which is not the name of a file in the "
                     "index's folder; shards must be beside their index",
                     s->name, dfqi_show(tensor, what), dfqi_show(file, show));
}

static dfq_status read_lines(shards *s, const char *text, size_t size)
{
    void *iter = NULL;
    const char *key;
    dfqi_jnode node;
    DFQI_TRY(dfqi_json_parse(s->ctx, s->name, text, size, &s->doc));
    dfqi_jnode root = dfqi_json_root(s->doc);
    if (!dfqi_json_has(root, "weight_map"))
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: \"weight_map\" is missing, so the JSON is not an index of shards; "
                         "give the model's .safetensors file or its model.safetensors.index.json",
                         s->name);
    DFQI_TRY(dfqi_json_get_object(root, "weight_map", &s->map));
    s->lines = dfqi_calloc(s->ctx, (size_t)dfqi_json_count(s->map), sizeof *s->lines);
    if (!s->lines) return DFQ_E_NOMEM;
    while (dfqi_json_next(s->map, &iter, &key, &node)) {
        line *l = &s->lines[s->n++];
        l->tensor = key;
        DFQI_TRY(dfqi_json_get_text(node, NULL, &l->file));
        DFQI_TRY(check_file(s, key, l->file));
    }
    if (s->n == 0)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: \"weight_map\" names no tensor; fetch the index again", s->name);
    if (s->n > 1) qsort(s->lines, (size_t)s->n, sizeof *s->lines, by_file);
    return DFQ_OK;
}

/* -- shards together --------------------------------------------------------------------------- */

static dfq_status check_meta(const shards *s, const char *file, const dfqi_st_meta *m,
                             bool *out_new)
{
    char key[DFQI_SHOW_MAX], one[DFQI_SHOW_MAX], other[DFQI_SHOW_MAX];
    const char *have = dfqi_st_meta_find(&s->all, m->key);
    if (have && strcmp(have, m->value) != 0)
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: metadata \"%s\" is \"%s\", in another shard \"%s\"; the files are "
                         "not of one model, fetch them again",
                         file, dfqi_show(m->key, key), dfqi_show(m->value, one),
                         dfqi_show(have, other));
    if (!have && s->all.n_meta >= META_MAX)
        return dfqi_fail(
            s->ctx, DFQ_E_CORRUPT,
            "%s: the shards have more than %d metadata keys in all; remove some of them", file,
            META_MAX);
    *out_new = !have;
    return DFQ_OK;
}

/* Moves new metadata of `part` into `whole`; `part` keeps the rest. */
static dfq_status add_meta(shards *s, const char *file, dfqi_safetensors *part)
{
    size_t n = (size_t)(s->all.n_meta + part->n_meta);
    dfqi_st_meta *meta = dfqi_realloc(s->ctx, s->all.meta, n * sizeof *meta);
    if (!meta) return DFQ_E_NOMEM;
    s->all.meta = meta;
    for (int64_t i = 0; i < part->n_meta; i++) {
        bool is_new = false;
        DFQI_TRY(check_meta(s, file, &part->meta[i], &is_new));
        if (!is_new) continue;
        meta[s->all.n_meta++] = part->meta[i];
        part->meta[i] = (dfqi_st_meta){NULL, NULL};
    }
    return DFQ_OK;
}

static dfq_status add_part(shards *s, const char *file, dfqi_safetensors *part)
{
    size_t n = (size_t)(s->all.n_entries + part->n_entries);
    DFQI_TRY(add_meta(s, file, part));
    dfqi_st_entry *entries = dfqi_realloc(s->ctx, s->all.entries, n * sizeof *entries);
    if (!entries) return DFQ_E_NOMEM;
    s->all.entries = entries;
    if (part->n_entries > 0)
        memcpy(entries + s->all.n_entries, part->entries,
               (size_t)part->n_entries * sizeof *entries);
    s->all.n_entries += part->n_entries;
    s->all.bytes += part->bytes;
    part->n_entries = 0;
    return DFQ_OK;
}

/* Reads the texts of the index's "metadata". Its numbers (the size of all tensors) do not describe
 * the network. */
static dfq_status add_index_meta(shards *s)
{
    dfqi_jnode root = dfqi_json_root(s->doc), object, node;
    void *iter = NULL;
    const char *key, *value;
    dfqi_safetensors part = {.ctx = s->ctx};
    dfq_status status = DFQ_OK;
    if (!dfqi_json_has(root, "metadata")) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_object(root, "metadata", &object));
    part.meta = dfqi_calloc(s->ctx, (size_t)dfqi_json_count(object), sizeof *part.meta);
    if (!part.meta) return DFQ_E_NOMEM;
    while (dfqi_json_next(object, &iter, &key, &node)) {
        if (!dfqi_json_is_text(node, NULL)) continue;
        DFQI_GOTO(dfqi_json_get_text(node, NULL, &value), out);
        dfqi_st_meta *m = &part.meta[part.n_meta++];
        m->key = dfqi_strdup(s->ctx, key);
        m->value = dfqi_strdup(s->ctx, value);
        if (!m->key || !m->value) {
            status = DFQ_E_NOMEM;
            goto out;
        }
    }
    status = add_meta(s, s->name, &part);
out:
    dfqi_st_fini(&part);
    return status;
}

/* -- one shard --------------------------------------------------------------------------------- */

/* Every tensor of the shard is one of its lines, and every line is there. */
static dfq_status check_lines(const shards *s, const char *file, line *lines, int64_t n,
                              const dfqi_safetensors *part)
{
    char show[DFQI_SHOW_MAX], other[DFQI_SHOW_MAX];
    for (int64_t i = 0; i < part->n_entries; i++) {
        const char *name = part->entries[i].name, *said = NULL;
        line *found = bsearch(name, lines, (size_t)n, sizeof *lines, by_tensor);
        if (found) {
            found->seen = true;
            continue;
        }
        if (!dfqi_json_has(s->map, name))
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: tensor \"%s\" is in %s and is not in the index; the files are "
                             "not of one model, fetch them again",
                             s->name, dfqi_show(name, show), file);
        DFQI_TRY(dfqi_json_get_text(s->map, name, &said));
        return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                         "%s: tensor \"%s\" is in %s, by the index in %s; the files are not of "
                         "one model, fetch them again",
                         s->name, dfqi_show(name, show), file, dfqi_show(said, other));
    }
    for (int64_t i = 0; i < n; i++)
        if (!lines[i].seen)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "%s: tensor \"%s\" is missing in %s, where the index has it; the "
                             "files are not of one model, fetch them again",
                             s->name, dfqi_show(lines[i].tensor, show), file);
    return DFQ_OK;
}

/* A file beside the index. */
static dfq_status open_file(const shards *s, const line *l, dfqi_source *out, char **out_path)
{
    char cause[CAUSE_MAX], show[DFQI_SHOW_MAX];
    const char *slash = strrchr(s->name, '/');
    int folder = slash ? (int)(slash + 1 - s->name) : 0;
    char *path = dfqi_format(s->ctx, "%.*s%s", folder, s->name, l->file);
    if (!path) return DFQ_E_NOMEM;
    dfq_status status = dfqi_source_open(s->ctx, path, out);
    if (status == DFQ_E_IO) {
        size_t n = strlen(s->ctx->error);
        if (n >= sizeof cause) n = sizeof cause - 1;
        memcpy(cause, s->ctx->error, n);
        cause[n] = '\0';
        status =
            dfqi_fail(s->ctx, DFQ_E_IO,
                      "%s; it is the shard of tensor \"%s\" and others, fetch it into the folder "
                      "of %s",
                      cause, dfqi_show(l->tensor, show), s->name);
    }
    if (status != DFQ_OK)
        dfqi_free(s->ctx, path);
    else
        *out_path = path;
    return status;
}

static dfq_status find_source(const shards *s, const line *l, dfqi_source **out)
{
    char show[DFQI_SHOW_MAX], what[DFQI_SHOW_MAX];
    for (int32_t i = 0; i < s->n_sources; i++)
        if (strcmp(s->sources[i].name, l->file) == 0) {
            *out = &s->sources[i];
            return DFQ_OK;
        }
    return dfqi_fail(s->ctx, DFQ_E_INVALID,
                     "%s: the reader of shard \"%s\" is missing, which has tensor \"%s\"; add one "
                     "with that name",
                     s->name, dfqi_show(l->file, show), dfqi_show(l->tensor, what));
}

/* The shard of lines[n]. */
static dfq_status read_shard(shards *s, line *lines, int64_t n)
{
    dfqi_safetensors part = {.ctx = s->ctx};
    dfqi_source own, *source = &own;
    char *path = NULL;
    dfq_status status =
        s->sources ? find_source(s, lines, &source) : open_file(s, lines, &own, &path);
    if (status != DFQ_OK) return status;
    DFQI_GOTO(dfqi_st_read_source(source, &part), out);
    DFQI_GOTO(check_lines(s, source->name, lines, n, &part), out);
    status = add_part(s, source->name, &part);
out:
    dfqi_st_fini(&part);
    if (path) dfqi_source_close(&own);
    dfqi_free(s->ctx, path);
    return status;
}

static dfq_status check_unused(const shards *s)
{
    for (int32_t i = 0; i < s->n_sources; i++) {
        bool used = false;
        for (int64_t k = 0; k < s->n && !used; k++)
            used = (k == 0 || strcmp(s->lines[k].file, s->lines[k - 1].file) != 0) &&
                   strcmp(s->lines[k].file, s->sources[i].name) == 0;
        if (!used)
            return dfqi_fail(s->ctx, DFQ_E_INVALID,
                             "%s: the index names no shard \"%s\"; leave that reader out", s->name,
                             s->sources[i].name);
    }
    return DFQ_OK;
}

static dfq_status read_by_index(shards *s, dfqi_source *index, dfqi_safetensors *out)
{
    char *text = NULL;
    int64_t end;
    dfq_status status;
    s->all.ctx = s->ctx;
    DFQI_GOTO(dfqi_source_read_all(index, INDEX_MAX, &text), out);
    DFQI_GOTO(read_lines(s, text, (size_t)index->size), out);
    DFQI_GOTO(check_unused(s), out);
    for (int64_t i = 0; i < s->n; i = end) {
        for (end = i; end < s->n && strcmp(s->lines[end].file, s->lines[i].file) == 0;) end++;
        DFQI_GOTO(read_shard(s, &s->lines[i], end - i), out);
    }
    DFQI_GOTO(add_index_meta(s), out);
    *out = s->all;
    s->all = (dfqi_safetensors){.ctx = s->ctx};
out:
    dfqi_st_fini(&s->all);
    dfqi_free(s->ctx, s->lines);
    dfqi_json_release(s->doc);
    dfqi_free(s->ctx, text);
    return status;
}

dfq_status dfqi_st_read_index(dfq_context *ctx, const char *path, dfqi_safetensors *out)
{
    dfqi_source index;
    shards s = {.ctx = ctx, .name = path};
    DFQI_TRY(dfqi_source_open(ctx, path, &index));
    dfq_status status = read_by_index(&s, &index, out);
    dfqi_source_close(&index);
    return status;
}

/* -- a list without an index ------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const line *x = a, *y = b;
    int order = strcmp(x->tensor, y->tensor);
    return order ? order : strcmp(x->file, y->file);
}

/* lines[n]: all tensors and their shards. */
static dfq_status check_doubles(shards *s)
{
    char show[DFQI_SHOW_MAX];
    if (s->n > 1) qsort(s->lines, (size_t)s->n, sizeof *s->lines, by_name);
    for (int64_t i = 1; i < s->n; i++)
        if (strcmp(s->lines[i].tensor, s->lines[i - 1].tensor) == 0)
            return dfqi_fail(s->ctx, DFQ_E_CORRUPT,
                             "tensor \"%s\" is in shards %s and %s, must be in one alone; give "
                             "the shards of one model",
                             dfqi_show(s->lines[i].tensor, show), s->lines[i - 1].file,
                             s->lines[i].file);
    return DFQ_OK;
}

static dfq_status read_list(shards *s, dfqi_safetensors *out)
{
    dfq_status status = DFQ_OK;
    s->all.ctx = s->ctx;
    for (int32_t i = 0; i < s->n_sources; i++) {
        dfqi_safetensors part = {.ctx = s->ctx};
        int64_t before = s->all.n_entries;
        status = dfqi_st_read_source(&s->sources[i], &part);
        if (status == DFQ_OK) status = add_part(s, s->sources[i].name, &part);
        dfqi_st_fini(&part);
        if (status != DFQ_OK) goto out;
        size_t n = (size_t)s->all.n_entries;
        line *lines = dfqi_realloc(s->ctx, s->lines, n * sizeof *lines);
        if (!lines) {
            status = DFQ_E_NOMEM;
            goto out;
        }
        s->lines = lines;
        for (int64_t k = before; k < s->all.n_entries; k++)
            lines[s->n++] = (line){.tensor = s->all.entries[k].name, .file = s->sources[i].name};
    }
    DFQI_GOTO(check_doubles(s), out);
    *out = s->all;
    s->all = (dfqi_safetensors){.ctx = s->ctx};
out:
    dfqi_st_fini(&s->all);
    dfqi_free(s->ctx, s->lines);
    return status;
}

dfq_status dfqi_st_read_shards(dfq_context *ctx, dfqi_source *index, int32_t n_shards,
                               dfqi_source *sources, dfqi_safetensors *out)
{
    shards s = {.ctx = ctx, .n_sources = n_shards, .sources = sources};
    if (!index) return read_list(&s, out);
    s.name = index->name;
    return read_by_index(&s, index, out);
}
