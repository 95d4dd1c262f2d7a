/* Names of classes, from lines and from JSON, and a sorted index of the words for them. */
#include "io/class_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/json.h"

enum { NAMES_FILE_MAX = 64 * 1024 * 1024, SYNSET = 9, NUMBER = 24 };

/* A word for a class; a whole name or a synset wins over one word of several. */
typedef struct word {
    const char *text;
    int64_t class;
    int32_t part;
} word;

struct dfqi_class_names {
    dfq_context *ctx; /* retained */
    int32_t refs;     /* atomic: runtimes of several threads share it */
    dfqi_arena arena;
    int64_t n, n_words;
    const char **names, **synsets; /* of a class; a synset may be NULL */
    word *words;                   /* sorted */
};

/* "n01440764": WordNet's number, as ImageNet calls its classes */
static bool is_synset(const char *text, size_t n)
{
    return n == SYNSET && text[0] == 'n' && strspn(text + 1, "0123456789") >= SYNSET - 1;
}

static dfq_status begin(dfq_context *ctx, int64_t n, dfqi_class_names **out)
{
    dfqi_class_names *c = dfqi_calloc(ctx, 1, sizeof *c);
    if (!c) return DFQ_E_NOMEM;
    c->ctx = dfqi_context_retain(ctx);
    c->refs = 1;
    c->n = n;
    dfqi_arena_init(&c->arena, ctx);
    c->names = dfqi_calloc(ctx, (size_t)n, sizeof *c->names);
    c->synsets = dfqi_calloc(ctx, (size_t)n, sizeof *c->synsets);
    *out = c;
    return c->names && c->synsets ? DFQ_OK : DFQ_E_NOMEM;
}

dfqi_class_names *dfqi_class_names_retain(const dfqi_class_names *n)
{
    dfqi_class_names *own = (dfqi_class_names *)(uintptr_t)n; /* counts are not what is promised */
    if (own) dfqi_ref_inc(&own->refs);
    return own;
}

void dfqi_class_names_release(dfqi_class_names *n)
{
    if (!n || dfqi_ref_dec(&n->refs) > 0) return;
    dfq_context *ctx = n->ctx;
    dfqi_arena_fini(&n->arena);
    dfqi_free(ctx, n->names);
    dfqi_free(ctx, n->synsets);
    dfqi_free(ctx, n->words);
    dfqi_free(ctx, n);
    dfqi_context_release(ctx);
}

int64_t dfqi_class_names_count(const dfqi_class_names *n)
{
    return n->n;
}

const char *dfqi_class_names_get(const dfqi_class_names *n, int64_t i)
{
    return n->names[i];
}

/* -- the index --------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    const word *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    if (c == 0) c = x->part - y->part;
    return c ? c : (x->class > y->class) - (x->class < y->class);
}

/* The words that commas separate in a name. */
static dfq_status add_parts(dfqi_class_names *c, int64_t class)
{
    char *at = strchr(c->names[class], ',') ? dfqi_arena_strdup(&c->arena, c->names[class]) : NULL;
    if (!at) return strchr(c->names[class], ',') ? DFQ_E_NOMEM : DFQ_OK;
    while (at) {
        char *comma = strchr(at, ',');
        if (comma) *comma = '\0';
        at += strspn(at, " ");
        c->words[c->n_words++] = (word){at, class, 1};
        at = comma ? comma + 1 : NULL;
    }
    return DFQ_OK;
}

static dfq_status make_index(dfqi_class_names *c, const char *where)
{
    size_t most = 3 * (size_t)c->n; /* a name, a synset, and one word more than commas */
    for (int64_t i = 0; i < c->n; i++) {
        if (*c->names[i] == '\0')
            return dfqi_fail(c->ctx, DFQ_E_CORRUPT, "%s: the name of class %lld is empty", where,
                             (long long)i);
        for (const char *p = c->names[i]; (p = strchr(p, ',')); p++) most++;
    }
    c->words = dfqi_calloc(c->ctx, most, sizeof *c->words);
    if (!c->words) return DFQ_E_NOMEM;
    for (int64_t i = 0; i < c->n; i++) {
        c->words[c->n_words++] = (word){c->names[i], i, 0};
        if (c->synsets[i]) c->words[c->n_words++] = (word){c->synsets[i], i, 0};
        DFQI_TRY(add_parts(c, i));
    }
    qsort(c->words, (size_t)c->n_words, sizeof *c->words, by_text);
    return DFQ_OK;
}

int64_t dfqi_class_names_find(const dfqi_class_names *n, const char *text, int64_t several[2])
{
    int64_t lo = 0, hi = n->n_words;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (strcmp(n->words[mid].text, text) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    const word *w = &n->words[lo];
    if (lo == n->n_words || strcmp(w->text, text) != 0) return -1;
    for (const word *next = w + 1; next < n->words + n->n_words; next++) {
        if (strcmp(next->text, text) != 0 || next->part != w->part) break;
        if (next->class == w->class) continue;
        several[0] = w->class;
        several[1] = next->class;
        return -2;
    }
    return w->class;
}

/* -- lines ------------------------------------------------------------------------------------- */

/* One line: a name, or a synset and a name. */
static void put_line(dfqi_class_names *c, int64_t i, char *line)
{
    size_t n = strcspn(line, " \t");
    char *name = line;
    if (is_synset(line, n) && line[n] && line[n + strspn(line + n, " \t")]) {
        line[n] = '\0';
        c->synsets[i] = line;
        name = line + n + 1 + strspn(line + n + 1, " \t");
    }
    c->names[i] = name;
}

/* ImageNet's classes are its synsets, sorted; the development kit numbers them otherwise. */
static void warn_of_order(const dfqi_class_names *c, const char *where)
{
    for (int64_t i = 1; i < c->n; i++) {
        if (!c->synsets[i - 1] || !c->synsets[i]) return;
        if (strcmp(c->synsets[i - 1], c->synsets[i]) < 0) continue;
        dfqi_log(c->ctx, DFQ_LOG_WARNING,
                 "%s: %s stands behind %s, and ImageNet's classes are in the order of their "
                 "synsets; sort the lines unless the network has this order",
                 where, c->synsets[i], c->synsets[i - 1]);
        return;
    }
}

static dfq_status read_lines(dfq_context *ctx, const char *where, const char *text, size_t size,
                             dfqi_class_names **out)
{
    int64_t n = 0;
    const void *zero = memchr(text, '\0', size);
    if (zero)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: byte %zu is 0, which no text file has; give names, one a line", where,
                         (size_t)((const char *)zero - text));
    while (size > 0 && strchr("\r\n", text[size - 1])) size--;
    for (size_t i = 0; i < size; i++) n += text[i] == '\n';
    DFQI_TRY(begin(ctx, n + (size > 0), out));
    char *at = dfqi_arena_alloc(&(*out)->arena, size + 1);
    if (!at) return DFQ_E_NOMEM;
    if (size > 0) memcpy(at, text, size);
    for (int64_t i = 0; i < (*out)->n; i++) {
        size_t line = strcspn(at, "\n");
        char *next = at + line + (at[line] != '\0');
        at[line] = '\0';
        if (line > 0 && at[line - 1] == '\r') at[line - 1] = '\0';
        put_line(*out, i, at);
        at = next;
    }
    warn_of_order(*out, where);
    return DFQ_OK;
}

/* -- JSON -------------------------------------------------------------------------------------- */

static dfq_status keep(dfqi_class_names *c, const char *text, const char **out)
{
    *out = dfqi_arena_strdup(&c->arena, text);
    return *out ? DFQ_OK : DFQ_E_NOMEM;
}

/* A name, or a synset and a name. */
static dfq_status put_node(dfqi_class_names *c, const char *where, int64_t i, dfqi_jnode at)
{
    const char *name, *synset;
    if (!dfqi_json_is_array(at, NULL)) {
        DFQI_TRY(dfqi_json_get_text(at, NULL, &name));
        return keep(c, name, &c->names[i]);
    }
    if (dfqi_json_count(at) != 2)
        return dfqi_fail(c->ctx, DFQ_E_CORRUPT,
                         "%s: class %lld has %lld texts, must have a name, or a synset and a name",
                         where, (long long)i, (long long)dfqi_json_count(at));
    DFQI_TRY(dfqi_json_get_text(dfqi_json_at(at, 0), NULL, &synset));
    DFQI_TRY(dfqi_json_get_text(dfqi_json_at(at, 1), NULL, &name));
    DFQI_TRY(keep(c, synset, &c->synsets[i]));
    return keep(c, name, &c->names[i]);
}

/* The number of a class by a key: 0 <= it < n; -1: it is none. */
static int64_t number_of(const char *key, int64_t n)
{
    char again[NUMBER];
    int64_t v = strtoll(key, NULL, 10);
    snprintf(again, sizeof again, "%lld", (long long)v);
    return v >= 0 && v < n && strcmp(again, key) == 0 ? v : -1;
}

/* {"0": "tench", ...}, or {"tench": 0, ...} */
static dfq_status put_members(dfqi_class_names *c, const char *where, dfqi_jnode object)
{
    char show[DFQI_SHOW_MAX];
    void *iter = NULL;
    const char *key;
    dfqi_jnode at;
    while (dfqi_json_next(object, &iter, &key, &at)) {
        int64_t i = number_of(key, c->n);
        const bool named = !dfqi_json_is_array(at, NULL) && !dfqi_json_is_text(at, NULL);
        if (named) DFQI_TRY(dfqi_json_get_int(at, NULL, 0, c->n - 1, &i));
        if (i < 0)
            return dfqi_fail(c->ctx, DFQ_E_CORRUPT,
                             "%s: the class is \"%s\", must be a whole number from 0 to %lld, one "
                             "for each of its names",
                             where, dfqi_show(key, show), (long long)c->n - 1);
        if (c->names[i])
            return dfqi_fail(c->ctx, DFQ_E_CORRUPT, "%s: class %lld has two names", where,
                             (long long)i);
        DFQI_TRY(named ? keep(c, key, &c->names[i]) : put_node(c, where, i, at));
    }
    return DFQ_OK; /* as many members as names, and none twice */
}

static dfq_status read_json(dfq_context *ctx, const char *where, const char *text, size_t size,
                            dfqi_class_names **out)
{
    dfqi_json *doc;
    DFQI_TRY(dfqi_json_parse_any(ctx, where, text, size, &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    dfq_status status = DFQ_OK;
    if (dfqi_json_has(root, "id2label")) status = dfqi_json_get_object(root, "id2label", &root);
    if (status == DFQ_OK) status = begin(ctx, dfqi_json_count(root), out);
    if (status == DFQ_OK && !dfqi_json_is_array(root, NULL))
        status = put_members(*out, where, root);
    else
        for (int64_t i = 0; status == DFQ_OK && i < (*out)->n; i++)
            status = put_node(*out, where, i, dfqi_json_at(root, i));
    dfqi_json_release(doc);
    return status;
}

/* -- both -------------------------------------------------------------------------------------- */

dfq_status dfqi_class_names_parse(dfq_context *ctx, const char *where, const char *text,
                                  size_t size, int64_t classes, dfqi_class_names **out)
{
    dfqi_class_names *c = NULL;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* some editors' mark */
        text += 3;
        size -= 3;
    }
    const bool json = size > 0 && (text[0] == '{' || text[0] == '[');
    dfq_status status =
        json ? read_json(ctx, where, text, size, &c) : read_lines(ctx, where, text, size, &c);
    if (status == DFQ_OK && classes > 0 && c->n != classes)
        status = dfqi_fail(ctx, DFQ_E_CORRUPT, "%s has %lld %s, must have %lld, one for each class",
                           where, (long long)c->n, json ? "names" : "lines", (long long)classes);
    if (status == DFQ_OK) status = make_index(c, where);
    if (status == DFQ_OK)
        *out = c;
    else
        dfqi_class_names_release(c);
    return status;
}

dfq_status dfqi_class_names_read(dfq_context *ctx, const char *path, int64_t classes,
                                 dfqi_class_names **out)
{
    unsigned char *text;
    size_t size;
    DFQI_TRY(dfqi_file_read(ctx, path, NAMES_FILE_MAX, &text, &size));
    dfq_status status = dfqi_class_names_parse(ctx, path, (const char *)text, size, classes, out);
    dfqi_free(ctx, text);
    return status;
}

dfq_status dfqi_class_names_json(const dfqi_class_names *n, char **out)
{
    char key[NUMBER];
    dfqi_json *doc;
    size_t size;
    DFQI_TRY(dfqi_json_new(n->ctx, "class names", &doc));
    for (int64_t i = 0; i < n->n; i++) {
        dfqi_jnode root = dfqi_json_root(doc), pair = root;
        snprintf(key, sizeof key, "%lld", (long long)i);
        if (n->synsets[i]) {
            pair = dfqi_json_put_array(root, key);
            dfqi_json_put_text(pair, NULL, n->synsets[i]);
        }
        dfqi_json_put_text(pair, n->synsets[i] ? NULL : key, n->names[i]);
    }
    dfq_status status = dfqi_json_dump(doc, 0, false, out, &size);
    dfqi_json_release(doc);
    return status;
}
