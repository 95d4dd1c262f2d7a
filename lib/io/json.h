/* Reading and writing JSON. No other part of the library uses jansson directly. A document owns all
 * its nodes; a node is a small value that points into it. */
#ifndef DFQI_IO_JSON_H
#define DFQI_IO_JSON_H

#include <stddef.h>

#include "base/context.h"

typedef struct dfqi_json dfqi_json;

typedef struct dfqi_jnode {
    dfqi_json *doc;
    void *value;       /* NULL: the building step that should have made it failed */
    const char *where; /* the key it was found under, for error texts; NULL: the root */
} dfqi_jnode;

/* An empty object to build in. `name` is what error texts call it (copied). */
DFQI_CHECKED dfq_status dfqi_json_new(dfq_context *ctx, const char *name, dfqi_json **out);
/* Strict: one object, no duplicate keys, no trailing text. DFQ_E_CORRUPT with line and column. */
DFQI_CHECKED dfq_status dfqi_json_parse(dfq_context *ctx, const char *name, const char *text,
                                        size_t size, dfqi_json **out);
/* The same of an object or a list. */
DFQI_CHECKED dfq_status dfqi_json_parse_any(dfq_context *ctx, const char *name, const char *text,
                                            size_t size, dfqi_json **out);
/* Reads and parses a file of at most 64 MB. */
DFQI_CHECKED dfq_status dfqi_json_read(dfq_context *ctx, const char *path, dfqi_json **out);
void dfqi_json_release(dfqi_json *doc); /* NULL ok */
dfqi_jnode dfqi_json_root(dfqi_json *doc);

/* Building. In an object `key` is the member's name (an old member of that name is replaced); in an
 * array it is NULL and the value is appended. The document keeps a failure, and dfqi_json_dump
 * returns it. In texts, invalid UTF-8 bytes are replaced by '?'; a key with invalid UTF-8 is a
 * failure. */
dfqi_jnode dfqi_json_put_object(dfqi_jnode at, const char *key);
dfqi_jnode dfqi_json_put_array(dfqi_jnode at, const char *key);
void dfqi_json_put_text(dfqi_jnode at, const char *key, const char *text); /* NULL: null */
void dfqi_json_put_int(dfqi_jnode at, const char *key, int64_t v);
/* The shortest decimal of at most 9 digits that gives the same float back; null for NaN and
 * infinities, which JSON does not know. */
void dfqi_json_put_real(dfqi_jnode at, const char *key, double v);
void dfqi_json_put_bool(dfqi_jnode at, const char *key, bool v);

/* The text, zero-ended (dfqi_free it). Layout: `indent` spaces per level, 0 for one line; keys as
 * they were put, or sorted. */
DFQI_CHECKED dfq_status dfqi_json_dump(dfqi_json *doc, int32_t indent, bool sorted, char **out,
                                       size_t *out_size);

/* Reading. With `key` they read the member of an object, without it the node itself. A missing
 * member, a wrong type or a value out of range is DFQ_E_CORRUPT, and the error text says what was
 * expected; `out` is then untouched. */
DFQI_CHECKED dfq_status dfqi_json_get_int(dfqi_jnode at, const char *key, int64_t lo, int64_t hi,
                                          int64_t *out);
DFQI_CHECKED dfq_status dfqi_json_get_real(dfqi_jnode at, const char *key, double lo, double hi,
                                           double *out);
DFQI_CHECKED dfq_status dfqi_json_get_bool(dfqi_jnode at, const char *key, bool *out);
/* Borrowed; lives as long as the document. */
DFQI_CHECKED dfq_status dfqi_json_get_text(dfqi_jnode at, const char *key, const char **out);
DFQI_CHECKED dfq_status dfqi_json_get_object(dfqi_jnode at, const char *key, dfqi_jnode *out);
DFQI_CHECKED dfq_status dfqi_json_get_array(dfqi_jnode at, const char *key, dfqi_jnode *out);
bool dfqi_json_has(dfqi_jnode at, const char *key); /* present and not null */
bool dfqi_json_is_array(dfqi_jnode at, const char *key);
bool dfqi_json_is_text(dfqi_jnode at, const char *key);
/* Refuses members that are not in the NULL-ended list `known`: a misspelt option is not ignored. */
DFQI_CHECKED dfq_status dfqi_json_only(dfqi_jnode object, const char *const *known);
int64_t dfqi_json_count(dfqi_jnode at); /* members or elements; 0 for anything else */
/* DFQ_E_CORRUPT unless it has n of them. */
DFQI_CHECKED dfq_status dfqi_json_need_count(dfqi_jnode at, int64_t n);
dfqi_jnode dfqi_json_at(dfqi_jnode array, int64_t i); /* 0 <= i < count */
/* Walks an object in file order: begin with `*iter` NULL, false at the end. */
bool dfqi_json_next(dfqi_jnode object, void **iter, const char **out_key, dfqi_jnode *out);

/* A name from a file, fit for an error text: control characters replaced, shortened. Returns buf.
 */
enum { DFQI_SHOW_MAX = 160 };
const char *dfqi_show(const char *text, char buf[DFQI_SHOW_MAX]);

#endif
