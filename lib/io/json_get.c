/* Typed reading of JSON values. The error of a mismatch names the document, the key, the value
 * found and the value expected. */
#include "io/json_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *dfqi_show(const char *text, char buf[DFQI_SHOW_MAX])
{
    size_t n = 0;
    for (; text[n] && n < DFQI_SHOW_MAX - 4; n++) buf[n] = text[n];
    if (text[n]) {
        /* Do not cut a UTF-8 sequence in two. */
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
        memcpy(buf + n, "...", 3);
        n += 3;
    }
    buf[n] = '\0';
    dfqi_printable(buf);
    return buf;
}

/* `doc: "key" in "where"` for error texts. */
enum { PLACE_MAX = 2 * DFQI_SHOW_MAX + 16 };

static const char *place(dfqi_jnode at, const char *key, char buf[PLACE_MAX])
{
    char k[DFQI_SHOW_MAX], w[DFQI_SHOW_MAX];
    if (at.where) dfqi_show(at.where, w);
    if (key && at.where)
        snprintf(buf, PLACE_MAX, "\"%s\" of \"%s\"", dfqi_show(key, k), w);
    else if (key || at.where)
        snprintf(buf, PLACE_MAX, "\"%s\"", key ? dfqi_show(key, k) : w);
    else
        snprintf(buf, PLACE_MAX, "the JSON");
    return buf;
}

static const char *type_text(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static dfq_status mismatch(dfqi_jnode at, const char *key, const json_t *v, const char *want)
{
    char where[PLACE_MAX];
    if (!v)
        return dfqi_fail(at.doc->ctx, DFQ_E_CORRUPT, "%s: %s is missing, must be %s", at.doc->name,
                         place(at, key, where), want);
    return dfqi_fail(at.doc->ctx, DFQ_E_CORRUPT, "%s: %s is %s, must be %s", at.doc->name,
                     place(at, key, where), type_text(v), want);
}

static json_t *find(dfqi_jnode at, const char *key)
{
    return key ? json_object_get(at.value, key) : at.value;
}

dfq_status dfqi_json_get_int(dfqi_jnode at, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    const json_t *v = find(at, key);
    char where[PLACE_MAX];
    if (!json_is_integer(v)) return mismatch(at, key, v, "an integer");
    int64_t n = json_integer_value(v);
    if (n < lo || n > hi)
        return dfqi_fail(at.doc->ctx, DFQ_E_CORRUPT, "%s: %s is %lld, must be %lld to %lld",
                         at.doc->name, place(at, key, where), (long long)n, (long long)lo,
                         (long long)hi);
    *out = n;
    return DFQ_OK;
}

dfq_status dfqi_json_get_real(dfqi_jnode at, const char *key, double lo, double hi, double *out)
{
    const json_t *v = find(at, key);
    char where[PLACE_MAX];
    if (!json_is_number(v)) return mismatch(at, key, v, "a number");
    double x = json_number_value(v);
    if (!(x >= lo && x <= hi))
        return dfqi_fail(at.doc->ctx, DFQ_E_CORRUPT, "%s: %s is %g, must be %g to %g", at.doc->name,
                         place(at, key, where), x, lo, hi);
    *out = x;
    return DFQ_OK;
}

dfq_status dfqi_json_get_bool(dfqi_jnode at, const char *key, bool *out)
{
    const json_t *v = find(at, key);
    if (!json_is_boolean(v)) return mismatch(at, key, v, "true or false");
    *out = json_is_true(v);
    return DFQ_OK;
}

dfq_status dfqi_json_get_text(dfqi_jnode at, const char *key, const char **out)
{
    const json_t *v = find(at, key);
    if (!json_is_string(v)) return mismatch(at, key, v, "a string");
    *out = json_string_value(v);
    return DFQ_OK;
}

dfq_status dfqi_json_get_object(dfqi_jnode at, const char *key, dfqi_jnode *out)
{
    json_t *v = find(at, key);
    if (!json_is_object(v)) return mismatch(at, key, v, "an object");
    *out = (dfqi_jnode){at.doc, v, key ? key : at.where};
    return DFQ_OK;
}

dfq_status dfqi_json_get_array(dfqi_jnode at, const char *key, dfqi_jnode *out)
{
    json_t *v = find(at, key);
    if (!json_is_array(v)) return mismatch(at, key, v, "an array");
    *out = (dfqi_jnode){at.doc, v, key ? key : at.where};
    return DFQ_OK;
}

bool dfqi_json_has(dfqi_jnode at, const char *key)
{
    const json_t *v = find(at, key);
    return v && !json_is_null(v);
}

bool dfqi_json_is_array(dfqi_jnode at, const char *key)
{
    return json_is_array(find(at, key));
}

bool dfqi_json_is_text(dfqi_jnode at, const char *key)
{
    return json_is_string(find(at, key));
}

dfq_status dfqi_json_only(dfqi_jnode object, const char *const *known)
{
    void *iter = NULL;
    const char *key;
    dfqi_jnode value;
    while (dfqi_json_next(object, &iter, &key, &value)) {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0) k++;
        if (*k) continue;
        char where[PLACE_MAX], list[256] = "";
        for (size_t n = 0; *known && n < sizeof list; known++)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", *known);
        return dfqi_fail(object.doc->ctx, DFQ_E_CORRUPT,
                         "%s: key %s is not known; must be one of %s", object.doc->name,
                         place(object, key, where), list);
    }
    return DFQ_OK;
}

dfq_status dfqi_json_need_count(dfqi_jnode at, int64_t n)
{
    char text[PLACE_MAX];
    const int64_t have = dfqi_json_count(at);
    if (have == n) return DFQ_OK;
    return dfqi_fail(at.doc->ctx, DFQ_E_CORRUPT, "%s: %s has %lld entries, must have %lld",
                     at.doc->name, place(at, NULL, text), (long long)have, (long long)n);
}

int64_t dfqi_json_count(dfqi_jnode at)
{
    if (json_is_object((json_t *)at.value)) return (int64_t)json_object_size(at.value);
    return (int64_t)json_array_size(at.value);
}

dfqi_jnode dfqi_json_at(dfqi_jnode array, int64_t i)
{
    return (dfqi_jnode){array.doc, json_array_get(array.value, (size_t)i), array.where};
}

bool dfqi_json_next(dfqi_jnode object, void **iter, const char **out_key, dfqi_jnode *out)
{
    *iter = *iter ? json_object_iter_next(object.value, *iter) : json_object_iter(object.value);
    if (!*iter) return false;
    *out_key = json_object_iter_key(*iter);
    *out = (dfqi_jnode){object.doc, json_object_iter_value(*iter), *out_key};
    return true;
}
