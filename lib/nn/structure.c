/* Structures: lifetime, and the check of every op. */
#include "nn/structure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"

dfq_status dfqi_structure_new(dfq_context *ctx, int32_t n_params, int32_t n_ops,
                              dfqi_structure **out)
{
    dfqi_structure *p = dfqi_calloc(ctx, 1, sizeof *p);
    if (!p) return DFQ_E_NOMEM;
    p->ctx = ctx;
    p->refs = 1;
    p->n_params = n_params;
    p->n_ops = n_ops;
    p->params = dfqi_calloc(ctx, (size_t)n_params, sizeof *p->params);
    p->ops = dfqi_calloc(ctx, (size_t)n_ops, sizeof *p->ops);
    if (!p->params || !p->ops) {
        dfqi_structure_release(p);
        return DFQ_E_NOMEM;
    }
    *out = p;
    return DFQ_OK;
}

dfqi_structure *dfqi_structure_retain(const dfqi_structure *p)
{
    dfqi_structure *own = (dfqi_structure *)(uintptr_t)p; /* the count is not what const promises */
    if (own) own->refs++;
    return own;
}

void dfqi_structure_release(dfqi_structure *p)
{
    if (!p || --p->refs > 0) return;
    dfqi_free(p->ctx, p->params);
    dfqi_free(p->ctx, p->ops);
    dfqi_free(p->ctx, p);
}

bool dfqi_structure_is_param(const dfqi_structure *p, int32_t value)
{
    return value > 0 && value <= p->n_params;
}

/* Outputs are numbered in the order of ops, so that a search by halves finds the maker. */
const dfqi_structure_op *dfqi_structure_maker(const dfqi_structure *p, int32_t value)
{
    int32_t lo = 0, hi = p->n_ops;
    if (value <= p->n_params) return NULL;
    while (hi - lo > 1) {
        int32_t mid = lo + (hi - lo) / 2;
        if (p->ops[mid].out <= value)
            lo = mid;
        else
            hi = mid;
    }
    return &p->ops[lo];
}

/* -- checks ------------------------------------------------------------------------------------ */

static dfq_status bad(const dfqi_structure *p, const char *name, int32_t i, const char *what)
{
    char show[DFQI_SHOW_MAX];
    const dfqi_structure_op *op = &p->ops[i];
    return dfqi_fail(p->ctx, DFQ_E_CORRUPT,
                     "%s: op %d of the structure, %s \"%s\", %s; import the ONNX file again", name,
                     i, dfqi_structure_rule_of(op->kind)->name, dfqi_show(op->name, show), what);
}

/* Layers are named in options (layer=w8,other=float), so some characters are not for names. */
static bool good_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127 || strchr("=,*\"\\", *c))
            return false;
    return true;
}

static bool is_named(const dfqi_structure_op *op)
{
    const dfqi_structure_kind kind = op->kind;
    return kind <= DFQI_STRUCTURE_CONV || (kind == DFQI_STRUCTURE_RELU && op->name[0]) ||
           kind == DFQI_STRUCTURE_ACTIVATION;
}

static dfq_status check_op(const dfqi_structure *p, const char *name, int32_t i)
{
    const dfqi_structure_op *op = &p->ops[i];
    const dfqi_structure_rule *r = dfqi_structure_rule_of(op->kind);
    if (op->n_in < r->min_in || op->n_in > r->max_in)
        return bad(p, name, i, "has a wrong number of operands");
    for (int32_t k = 0; k < op->n_in; k++) {
        if (op->in[k] < 0 || op->in[k] >= op->out)
            return bad(p, name, i, "reads a value that is not computed before it");
        if (dfqi_structure_is_param(p, op->in[k]) != (r->params >> k & 1))
            return bad(p, name, i,
                       "has a parameter where a computed value belongs, or the reverse");
    }
    if (op->n_ints < r->min_ints || op->n_ints > r->max_ints || op->n_floats < r->min_floats ||
        op->n_floats > r->max_floats)
        return bad(p, name, i, "has a wrong number of attributes");
    for (int32_t k = 0; k < op->n_ints; k++)
        if (op->ints[k] < 0 || op->ints[k] > DFQI_STRUCTURE_EXTENT)
            return bad(p, name, i, "has an attribute out of range, 0 to 2^24");
    if (!isfinite(op->value)) return bad(p, name, i, "has a float that is not finite");
    if (is_named(op) && (op->name[0] == '\0' || !good_name(op->name)))
        return bad(p, name, i, "must have a name of printable characters");
    return DFQ_OK;
}

static dfq_status check_param(const dfqi_structure *p, const char *name, int32_t i)
{
    const dfqi_expect *e = &p->params[i];
    bool good = e->name[0] && good_name(e->name) && e->rank >= 1 && e->rank <= 4;
    int64_t count = 1;
    for (int32_t k = 0; good && k < e->rank; k++)
        good = e->dims[k] >= 1 && e->dims[k] <= DFQI_STRUCTURE_EXTENT &&
               dfqi_mul_i64(count, e->dims[k], &count) && count < INT64_MAX / 8;
    if (good) return DFQ_OK;
    return dfqi_fail(p->ctx, DFQ_E_CORRUPT,
                     "%s: parameter %d of the structure has no name, or extents that are not 1 to "
                     "2^24, at most 4; import the ONNX file again",
                     name, i);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Quantizers find their layers by name, so that no two may have the same. */
static dfq_status check_unique(const dfqi_structure *p, const char *name)
{
    char show[DFQI_SHOW_MAX];
    int32_t n = 0, most = p->n_ops > p->n_params ? p->n_ops : p->n_params;
    const char **names = dfqi_calloc(p->ctx, (size_t)most + 1, sizeof *names);
    dfq_status status = DFQ_OK;
    if (!names) return DFQ_E_NOMEM;
    for (int turn = 0; turn < 2 && status == DFQ_OK; turn++) {
        n = 0;
        for (int32_t i = 0; turn == 0 && i < p->n_params; i++) names[n++] = p->params[i].name;
        for (int32_t i = 0; turn == 1 && i < p->n_ops; i++)
            if (is_named(&p->ops[i])) names[n++] = p->ops[i].name;
        qsort(names, (size_t)n, sizeof *names, by_text);
        for (int32_t i = 1; i < n && status == DFQ_OK; i++)
            if (strcmp(names[i - 1], names[i]) == 0)
                status =
                    dfqi_fail(p->ctx, DFQ_E_CORRUPT,
                              "%s: two layers or parameters of the structure are named \"%s\"; "
                              "import the ONNX file again",
                              name, dfqi_show(names[i], show));
    }
    dfqi_free(p->ctx, (void *)names);
    return status;
}

/* A variance is above 0, and it and a mean are never trained. */
static void mark_statistics(dfqi_structure *p)
{
    for (int32_t i = 0; i < p->n_ops; i++) {
        const dfqi_structure_op *op = &p->ops[i];
        if (op->kind != DFQI_STRUCTURE_BATCHNORM) continue;
        p->params[op->in[3] - 1].fixed = 1;
        p->params[op->in[4] - 1].fixed = 1;
        p->params[op->in[4] - 1].variance = 1;
    }
}

dfq_status dfqi_structure_finish(dfqi_structure *p, const char *name)
{
    int32_t next = 1 + p->n_params;
    for (int32_t i = 0; i < p->n_params; i++) DFQI_TRY(check_param(p, name, i));
    for (int32_t i = 0; i < p->n_ops; i++) {
        dfqi_structure_op *op = &p->ops[i];
        op->tap = -1;
        op->out = next;
        op->n_out = op->kind == DFQI_STRUCTURE_SPLIT_HEADS && op->ints[1] == 3 ? 3 : 1;
        next += op->n_out;
        DFQI_TRY(check_op(p, name, i));
    }
    if (p->logits <= p->n_params || p->logits >= next)
        return dfqi_fail(
            p->ctx, DFQ_E_CORRUPT,
            "%s: the logits of the structure are value %d, must be %d to %d; import the "
            "ONNX file again",
            name, p->logits, p->n_params + 1, next - 1);
    DFQI_TRY(check_unique(p, name));
    mark_statistics(p);
    dfqi_structure_find_facts(p);
    return DFQ_OK;
}
