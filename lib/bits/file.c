/* Bit widths as JSON (table.h). */
#include <string.h>

#include "bits/table.h"
#include "io/file.h"
#include "io/json.h"

/* Widths while a file is read: the table changes only if all of it is right. */
typedef struct widths {
    int32_t weight, act, seen;
} widths;

static dfq_status read_row(const dfqi_bits *b, const char *path, int32_t row, dfqi_jnode node,
                           widths *out)
{
    static const char *const known[] = {"w", "a", NULL};
    int64_t w = 0, a = 0;
    const char *word;
    out->seen = 1;
    if (dfqi_json_is_text(node, NULL)) {
        DFQI_TRY(dfqi_json_get_text(node, NULL, &word));
        if (strcmp(word, "float") == 0) return DFQ_OK;
        return dfqi_fail(b->ctx, DFQ_E_CORRUPT,
                         "%s: layer %s is a text, must be {\"w\": 4, \"a\": 4} or \"float\"", path,
                         b->rows[row].name);
    }
    DFQI_TRY(dfqi_json_only(node, known));
    if (dfqi_json_has(node, "w")) DFQI_TRY(dfqi_json_get_int(node, "w", 0, 64, &w));
    if (dfqi_json_has(node, "a")) DFQI_TRY(dfqi_json_get_int(node, "a", 0, 64, &a));
    out->weight = (int32_t)w;
    out->act = (int32_t)a;
    if (w == 0 && a == 0)
        return dfqi_fail(b->ctx, DFQ_E_INVALID,
                         "%s: layer %s has no bits, must have some or be \"float\"", path,
                         b->rows[row].name);
    return dfqi_bits_check(b, path, row, out->weight, out->act);
}

static dfq_status read_all(const dfqi_bits *b, const char *path, dfqi_json *doc, widths *all)
{
    static const char *const known[] = {"network", "layers", NULL};
    dfqi_jnode root = dfqi_json_root(doc), layers, node;
    const char *network, *name;
    char show[DFQI_SHOW_MAX];
    void *iter = NULL;
    DFQI_TRY(dfqi_json_only(root, known));
    DFQI_TRY(dfqi_json_get_text(root, "network", &network));
    DFQI_TRY(dfqi_json_get_object(root, "layers", &layers));
    while (dfqi_json_next(layers, &iter, &name, &node)) {
        int32_t row = dfqi_bits_find(b, name);
        if (row < 0) return dfqi_bits_unknown(b, path, name);
        DFQI_TRY(read_row(b, path, row, node, &all[row]));
    }
    for (int32_t i = 0; i < b->n; i++)
        if (!all[i].seen)
            return dfqi_fail(b->ctx, DFQ_E_INVALID,
                             "%s: layer %s of %s is missing; the file is of %s, and has to name "
                             "all layers",
                             path, b->rows[i].name, b->network, dfqi_show(network, show));
    return DFQ_OK;
}

dfq_status dfqi_bits_load(dfqi_bits *b, const char *path)
{
    dfqi_json *doc = NULL;
    dfq_status status = DFQ_E_NOMEM;
    widths *all = dfqi_calloc(b->ctx, (size_t)b->n, sizeof *all);
    if (!all) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_json_read(b->ctx, path, &doc), out);
    DFQI_GOTO(read_all(b, path, doc, all), out);
    for (int32_t i = 0; i < b->n; i++) dfqi_bits_set(b, i, all[i].weight, all[i].act);
out:
    dfqi_json_release(doc);
    dfqi_free(b->ctx, all);
    return status;
}

dfq_status dfqi_bits_save(const dfqi_bits *b, const char *path)
{
    dfqi_json *doc;
    char *text = NULL;
    size_t size;
    DFQI_TRY(dfqi_json_new(b->ctx, path, &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    dfqi_json_put_text(root, "network", b->network);
    dfqi_jnode layers = dfqi_json_put_object(root, "layers");
    for (int32_t i = 0; i < b->n; i++) {
        const dfqi_bits_row *r = &b->rows[i];
        if (r->weight_bits == 0 && r->act_bits == 0) {
            dfqi_json_put_text(layers, r->name, "float");
            continue;
        }
        dfqi_jnode one = dfqi_json_put_object(layers, r->name);
        if (r->weight_bits) dfqi_json_put_int(one, "w", r->weight_bits);
        if (r->act_bits) dfqi_json_put_int(one, "a", r->act_bits);
    }
    dfq_status status = dfqi_json_dump(doc, 1, false, &text, &size);
    if (status == DFQ_OK) status = dfqi_file_write(b->ctx, path, text, size);
    dfqi_free(b->ctx, text);
    dfqi_json_release(doc);
    return status;
}
