/* JSON documents over jansson: lifetime, building, printing. json_get.c reads values. The allocator
 * of jansson is process-wide, so the library leaves it as the host program set it; only the texts
 * that the library returns come from the context's allocator. */
#include "io/json_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "io/look.h"

enum { JSON_FILE_MAX = 64 * 1024 * 1024, NESTING_MAX = 100 };

static dfq_status wrap(dfq_context *ctx, const char *name, json_t *take_root, dfqi_json **out)
{
    dfqi_json *doc = dfqi_calloc(ctx, 1, sizeof *doc);
    char *copy = doc ? dfqi_strdup(ctx, name) : NULL;
    if (!copy) {
        dfqi_free(ctx, doc);
        json_decref(take_root);
        return DFQ_E_NOMEM;
    }
    doc->ctx = ctx;
    doc->name = copy;
    doc->root = take_root;
    *out = doc;
    return DFQ_OK;
}

dfq_status dfqi_json_new(dfq_context *ctx, const char *name, dfqi_json **out)
{
    json_t *root = json_object();
    if (!root) return dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: the JSON of %s", name);
    return wrap(ctx, name, root, out);
}

/* Limits the nesting. jansson recurses up to 2048 levels, for which the stack of a host program's
 * thread may be too small. Brackets in strings do not count. */
static bool nested_too_deep(const char *text, size_t size)
{
    int32_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size && depth <= NESTING_MAX; i++) {
        const char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string)
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    }
    return depth > NESTING_MAX;
}

dfq_status dfqi_json_parse_any(dfq_context *ctx, const char *name, const char *text, size_t size,
                               dfqi_json **out)
{
    json_error_t e;
    char show[DFQI_SHOW_MAX];
    if (nested_too_deep(text, size))
        return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the JSON is nested deeper than %d levels", name,
                         (int)NESTING_MAX);
    locale_t before = dfqi_points_begin();
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &e);
    dfqi_points_end(before);
    if (!root && json_error_code(&e) == json_error_out_of_memory)
        return dfqi_fail(ctx, DFQ_E_NOMEM, "out of memory: %zu bytes of JSON of %s", size, name);
    if (!root) {
        const char *kind =
            size > 0 && !strchr("{[ \t\r\n\xEF", text[0]) ? dfqi_file_look(text, size).kind : NULL;
        if (kind)
            return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the file is not JSON, it looks like %s", name,
                             kind);
        return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the JSON is not valid at line %d, column %d: %s",
                         name, e.line, e.column, dfqi_show(e.text, show));
    }
    return wrap(ctx, name, root, out);
}

dfq_status dfqi_json_parse(dfq_context *ctx, const char *name, const char *text, size_t size,
                           dfqi_json **out)
{
    dfqi_json *doc;
    DFQI_TRY(dfqi_json_parse_any(ctx, name, text, size, &doc));
    if (!json_is_object(doc->root)) {
        dfqi_json_release(doc);
        return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the JSON must be an object, { ... }", name);
    }
    *out = doc;
    return DFQ_OK;
}

dfq_status dfqi_json_read(dfq_context *ctx, const char *path, dfqi_json **out)
{
    unsigned char *text;
    size_t size;
    DFQI_TRY(dfqi_file_read(ctx, path, JSON_FILE_MAX, &text, &size));
    dfq_status status = dfqi_json_parse(ctx, path, (const char *)text, size, out);
    dfqi_free(ctx, text);
    return status;
}

void dfqi_json_release(dfqi_json *doc)
{
    if (!doc) return;
    json_decref(doc->root);
    dfqi_free(doc->ctx, doc->name);
    dfqi_free(doc->ctx, doc);
}

dfqi_jnode dfqi_json_root(dfqi_json *doc)
{
    return (dfqi_jnode){doc, doc->root, NULL};
}

static bool utf8_ok(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = dfqi_utf8_length(s);
        if (n == 0) return false;
        s += n;
    }
    return true;
}

/* Replaces, in place, every byte that is no part of valid UTF-8. */
static void utf8_mend(char *text)
{
    for (unsigned char *s = (unsigned char *)text; *s;) {
        size_t n = dfqi_utf8_length(s);
        if (n == 0) *s = '?';
        s += n ? n : 1;
    }
}

static dfqi_jnode put(dfqi_jnode at, const char *key, json_t *take_value)
{
    dfqi_jnode node = {at.doc, NULL, at.where};
    json_t *parent = at.value;
    if (key && !utf8_ok(key) && at.doc->status == DFQ_OK) {
        char show[DFQI_SHOW_MAX];
        at.doc->status =
            dfqi_fail(at.doc->ctx, DFQ_E_INVALID, "%s: key \"%s\" is not UTF-8; rename it",
                      at.doc->name, dfqi_show(key, show));
    }
    int rc = -1;
    if (at.doc->status == DFQ_OK && parent && take_value)
        rc = key ? json_object_set(parent, key, take_value) : json_array_append(parent, take_value);
    if (rc == 0)
        node.value = take_value;
    else if (at.doc->status == DFQ_OK)
        at.doc->status =
            dfqi_fail(at.doc->ctx, DFQ_E_NOMEM, "out of memory: the JSON of %s", at.doc->name);
    json_decref(take_value);
    return node;
}

dfqi_jnode dfqi_json_put_object(dfqi_jnode at, const char *key)
{
    return put(at, key, json_object());
}

dfqi_jnode dfqi_json_put_array(dfqi_jnode at, const char *key)
{
    return put(at, key, json_array());
}

void dfqi_json_put_text(dfqi_jnode at, const char *key, const char *text)
{
    if (!text) {
        put(at, key, json_null());
        return;
    }
    if (utf8_ok(text)) {
        put(at, key, json_string(text));
        return;
    }
    char *mended = dfqi_strdup(at.doc->ctx, text);
    if (mended) utf8_mend(mended);
    put(at, key, mended ? json_string(mended) : NULL);
    dfqi_free(at.doc->ctx, mended);
}

void dfqi_json_put_int(dfqi_jnode at, const char *key, int64_t v)
{
    put(at, key, json_integer(v));
}

void dfqi_json_put_real(dfqi_jnode at, const char *key, double v)
{
    if (!isfinite(v)) {
        put(at, key, json_null());
        return;
    }
    /* The double next to the shortest decimal: the printer's 9 digits then show that decimal. */
    char text[40];
    double shortest = v;
    for (int digits = 1; digits <= 9; digits++) {
        dfqi_print(text, sizeof text, "%.*g", digits, v);
        shortest = dfqi_parse_real(text, NULL);
        if (digits < 9 && fabs(v) <= 3.4e38 && (float)shortest == (float)v) break;
    }
    put(at, key, json_real(isfinite(shortest) ? shortest : v));
}

void dfqi_json_put_bool(dfqi_jnode at, const char *key, bool v)
{
    put(at, key, json_boolean(v));
}

/* json_dumpb() with decimal points. */
static size_t dump(const dfqi_json *doc, char *text, size_t size, size_t flags)
{
    locale_t before = dfqi_points_begin();
    size_t n = json_dumpb(doc->root, text, size, flags);
    dfqi_points_end(before);
    return n;
}

dfq_status dfqi_json_dump(dfqi_json *doc, int32_t indent, bool sorted, char **out, size_t *out_size)
{
    if (doc->status != DFQ_OK) return doc->status;
    size_t flags = JSON_REAL_PRECISION(9);
    flags |= indent > 0 ? JSON_INDENT((size_t)indent) : JSON_COMPACT;
    if (sorted) flags |= JSON_SORT_KEYS;
    size_t size = dump(doc, NULL, 0, flags);
    char *text = size ? dfqi_alloc(doc->ctx, size + 1) : NULL;
    if (!text) return dfqi_fail(doc->ctx, DFQ_E_NOMEM, "out of memory: the JSON of %s", doc->name);
    if (dump(doc, text, size, flags) != size) {
        dfqi_free(doc->ctx, text);
        return dfqi_fail(doc->ctx, DFQ_E_NOMEM, "out of memory: the JSON of %s", doc->name);
    }
    text[size] = '\0';
    *out = text;
    if (out_size) *out_size = size;
    return DFQ_OK;
}
