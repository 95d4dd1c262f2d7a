/* The text of a structure: JSON on one line.
 *
 *   {"version": 1, "image": 224, "channels": 3, "classes": 1000, "eps": 1e-5,
 *    "params": [["conv1.weight", 64, 3, 7, 7], ...],
 *    "ops": [["conv", "conv1", [0, 1], [2, 3, 1, 1]], ["relu", "conv1.relu", [9]], ...],
 *    "logits": 240}
 *
 * An op has its kind, its name, its operands, and where there are any its whole numbers and its
 * float. */
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "nn/structure.h"

enum { VERSION = 1, IMAGE_MAX = 4096, KIND = 0, NAME, IN, INTS, VALUE, FIELDS };

static void put_ints(dfqi_jnode at, int32_t n, const int32_t *v)
{
    dfqi_jnode list = dfqi_json_put_array(at, NULL);
    for (int32_t i = 0; i < n; i++) dfqi_json_put_int(list, NULL, v[i]);
}

static void put_op(dfqi_jnode ops, const dfqi_structure_op *op)
{
    dfqi_jnode at = dfqi_json_put_array(ops, NULL);
    dfqi_json_put_text(at, NULL, dfqi_structure_rule_of(op->kind)->name);
    dfqi_json_put_text(at, NULL, op->name);
    put_ints(at, op->n_in, op->in);
    if (op->n_ints == 0 && op->n_floats == 0) return;
    dfqi_jnode ints = dfqi_json_put_array(at, NULL);
    for (int32_t i = 0; i < op->n_ints; i++) dfqi_json_put_int(ints, NULL, op->ints[i]);
    if (op->n_floats) dfqi_json_put_real(at, NULL, (double)op->value);
}

dfq_status dfqi_structure_text(const dfqi_structure *p, char **out)
{
    dfqi_json *doc;
    size_t size;
    DFQI_TRY(dfqi_json_new(p->ctx, "a structure", &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    dfqi_json_put_int(root, "version", VERSION);
    if (dfqi_is_square(p->image)) {
        dfqi_json_put_int(root, "image", p->image.height);
    } else { /* which versions before refuse, as they must */
        dfqi_jnode pair = dfqi_json_put_array(root, "image");
        dfqi_json_put_int(pair, NULL, p->image.height);
        dfqi_json_put_int(pair, NULL, p->image.width);
    }
    dfqi_json_put_int(root, "channels", p->channels);
    dfqi_json_put_int(root, "classes", p->classes);
    dfqi_json_put_real(root, "eps", (double)p->eps);
    dfqi_jnode params = dfqi_json_put_array(root, "params");
    for (int32_t i = 0; i < p->n_params; i++) {
        const dfqi_expect *e = &p->params[i];
        dfqi_jnode at = dfqi_json_put_array(params, NULL);
        dfqi_json_put_text(at, NULL, e->name);
        for (int32_t k = 0; k < e->rank; k++) dfqi_json_put_int(at, NULL, e->dims[k]);
    }
    dfqi_jnode ops = dfqi_json_put_array(root, "ops");
    for (int32_t i = 0; i < p->n_ops; i++) put_op(ops, &p->ops[i]);
    dfqi_json_put_int(root, "logits", p->logits);
    dfq_status status = dfqi_json_dump(doc, 0, false, out, &size);
    dfqi_json_release(doc);
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static dfq_status get_name(dfqi_jnode at, char *out, size_t cap, const char *name, dfq_context *ctx)
{
    const char *text;
    char show[DFQI_SHOW_MAX];
    DFQI_TRY(dfqi_json_get_text(at, NULL, &text));
    if (strlen(text) >= cap)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: a name of the structure has %zu bytes, must have at most %zu: \"%s\"",
                         name, strlen(text), cap - 1, dfqi_show(text, show));
    memcpy(out, text, strlen(text) + 1);
    return DFQ_OK;
}

/* The elements of an array, from `first` on. */
static dfq_status get_ints(dfqi_jnode at, int64_t first, int64_t most, const char *name,
                           dfq_context *ctx, int64_t *out, int32_t *out_n)
{
    int64_t n = dfqi_json_count(at) - first;
    if (n < 0 || n > most)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: a list of the structure has %lld numbers, must have 0 to %lld", name,
                         (long long)n, (long long)most);
    for (int64_t i = 0; i < n; i++)
        DFQI_TRY(dfqi_json_get_int(dfqi_json_at(at, first + i), NULL, 0, INT32_MAX, &out[i]));
    *out_n = (int32_t)n;
    return DFQ_OK;
}

static dfq_status get_kind(dfqi_jnode at, const char *name, dfq_context *ctx,
                           dfqi_structure_kind *out)
{
    const char *text;
    char show[DFQI_SHOW_MAX];
    DFQI_TRY(dfqi_json_get_text(at, NULL, &text));
    for (int k = 0; k < DFQI_STRUCTURE_KINDS; k++)
        if (strcmp(dfqi_structure_rule_of((dfqi_structure_kind)k)->name, text) == 0) {
            *out = (dfqi_structure_kind)k;
            return DFQ_OK;
        }
    return dfqi_fail(
        ctx, DFQ_E_UNSUPPORTED,
        "%s: the structure has an op \"%s\" that this version does not know; import the "
        "ONNX file again",
        name, dfqi_show(text, show));
}

static dfq_status get_op(dfqi_jnode at, const char *name, dfq_context *ctx, dfqi_structure_op *out)
{
    int64_t fields = dfqi_json_count(at), in[DFQI_STRUCTURE_IN];
    double value;
    if (fields < INTS || fields > FIELDS)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: an op of the structure has %lld fields, must have %d to %d", name,
                         (long long)fields, INTS, FIELDS);
    DFQI_TRY(get_kind(dfqi_json_at(at, KIND), name, ctx, &out->kind));
    DFQI_TRY(get_name(dfqi_json_at(at, NAME), out->name, sizeof out->name, name, ctx));
    DFQI_TRY(get_ints(dfqi_json_at(at, IN), 0, DFQI_STRUCTURE_IN, name, ctx, in, &out->n_in));
    for (int32_t i = 0; i < out->n_in; i++) out->in[i] = (int32_t)in[i];
    if (fields > INTS)
        DFQI_TRY(get_ints(dfqi_json_at(at, INTS), 0, DFQI_STRUCTURE_INTS, name, ctx, out->ints,
                          &out->n_ints));
    if (fields <= VALUE) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_real(dfqi_json_at(at, VALUE), NULL, -1e30, 1e30, &value));
    out->value = (float)value;
    out->n_floats = 1;
    return DFQ_OK;
}

/* A side, or height and width. */
static dfq_status get_image(dfqi_jnode root, dfqi_size *out)
{
    static const char key[] = "image";
    dfqi_jnode pair;
    if (dfqi_json_get_array(root, key, &pair) != DFQ_OK || dfqi_json_count(pair) != 2) {
        DFQI_TRY(dfqi_json_get_int(root, key, 1, IMAGE_MAX, &out->height));
        out->width = out->height;
        return DFQ_OK;
    }
    DFQI_TRY(dfqi_json_get_int(dfqi_json_at(pair, 0), NULL, 1, IMAGE_MAX, &out->height));
    return dfqi_json_get_int(dfqi_json_at(pair, 1), NULL, 1, IMAGE_MAX, &out->width);
}

static dfq_status fill(dfqi_jnode root, const char *name, dfqi_jnode params, dfqi_jnode ops,
                       dfqi_structure *p)
{
    int64_t logits;
    double eps;
    DFQI_TRY(get_image(root, &p->image));
    DFQI_TRY(dfqi_json_get_int(root, "channels", 3, 3, &p->channels));
    DFQI_TRY(dfqi_json_get_int(root, "classes", 1, DFQI_STRUCTURE_EXTENT, &p->classes));
    DFQI_TRY(dfqi_json_get_int(root, "logits", 0, INT32_MAX, &logits));
    DFQI_TRY(dfqi_json_get_real(root, "eps", 0.0, 1.0, &eps));
    p->logits = (int32_t)logits;
    p->eps = (float)eps;
    for (int32_t i = 0; i < p->n_params; i++) {
        dfqi_jnode at = dfqi_json_at(params, i);
        dfqi_expect *e = &p->params[i];
        DFQI_TRY(get_name(dfqi_json_at(at, 0), e->name, sizeof e->name, name, p->ctx));
        DFQI_TRY(get_ints(at, 1, 4, name, p->ctx, e->dims, &e->rank));
    }
    for (int32_t i = 0; i < p->n_ops; i++)
        DFQI_TRY(get_op(dfqi_json_at(ops, i), name, p->ctx, &p->ops[i]));
    return DFQ_OK;
}

static dfq_status parse(dfq_context *ctx, const char *name, dfqi_jnode root, dfqi_structure **out)
{
    static const char *const known[] = {"version", "image", "channels", "classes", "eps",
                                        "params",  "ops",   "logits",   NULL};
    int64_t version;
    dfqi_jnode params, ops;
    DFQI_TRY(dfqi_json_only(root, known));
    DFQI_TRY(dfqi_json_get_int(root, "version", VERSION, VERSION, &version));
    DFQI_TRY(dfqi_json_get_array(root, "params", &params));
    DFQI_TRY(dfqi_json_get_array(root, "ops", &ops));
    int64_t n_params = dfqi_json_count(params), n_ops = dfqi_json_count(ops);
    if (n_params > DFQI_STRUCTURE_MOST || n_ops < 1 || n_ops > DFQI_STRUCTURE_MOST)
        return dfqi_fail(
            ctx, DFQ_E_CORRUPT,
            "%s: the structure has %lld ops and %lld parameters, must have 1 to %d and "
            "at most as many",
            name, (long long)n_ops, (long long)n_params, DFQI_STRUCTURE_MOST);
    dfqi_structure *p;
    DFQI_TRY(dfqi_structure_new(ctx, (int32_t)n_params, (int32_t)n_ops, &p));
    dfq_status status = fill(root, name, params, ops, p);
    if (status == DFQ_OK) status = dfqi_structure_finish(p, name);
    if (status != DFQ_OK)
        dfqi_structure_release(p);
    else
        *out = p;
    return status;
}

dfq_status dfqi_structure_parse(dfq_context *ctx, const char *name, const char *text,
                                dfqi_structure **out)
{
    dfqi_json *doc;
    DFQI_TRY(dfqi_json_parse(ctx, name, text, strlen(text), &doc));
    dfq_status status = parse(ctx, name, dfqi_json_root(doc), out);
    dfqi_json_release(doc);
    return status;
}
