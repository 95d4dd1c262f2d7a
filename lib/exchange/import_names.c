/* Names of layers. PyTorch's exporters name nodes by the module that they come from: the older one
 * in the node's name ("/blocks/blocks.0/attn/qkv/MatMul"), the newer one in its metadata. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "exchange/import_family_priv.h"

enum { SCOPES_FIELD = 9, NAME_ROOM = 64 }; /* names of quantizers add to those of layers */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* The last part of a text, with other characters replaced. */
static void clean(const char *text, size_t n, char out[DFQI_LAYER_MAX])
{
    if (n > NAME_ROOM) {
        text += n - NAME_ROOM;
        n = NAME_ROOM;
    }
    for (size_t i = 0; i < n; i++) out[i] = is_plain(text[i]) ? text[i] : '_';
    out[n] = '\0';
}

/* "/blocks/blocks.0/attn/qkv/MatMul": a part that goes on with the one before takes its place. */
static void from_path(const char *name, char out[DFQI_LAYER_MAX])
{
    char joined[512] = "";
    size_t at = 0, before = 0; /* where the last part begins */
    for (const char *part = name + 1, *end; (end = strchr(part, '/')); part = end + 1) {
        size_t n = (size_t)(end - part), last = at - before;
        bool goes_on =
            at > 0 && n > last && strncmp(part, joined + before, last) == 0 && part[last] == '.';
        if (at + n + 2 > sizeof joined) break;
        if (goes_on) {
            at = before;
        } else if (at > 0) {
            joined[at++] = '.';
            before = at;
        }
        memcpy(joined + at, part, n);
        at += n;
    }
    clean(joined, at, out);
}

/* "['', 'blocks', 'blocks.0', 'blocks.0.attn', 'unbind']": the last but one, which is the
 * module. */
static void from_scopes(const char *text, size_t size, char out[DFQI_LAYER_MAX])
{
    const char *begin[2] = {NULL, NULL}, *end[2] = {NULL, NULL}, *open = NULL;
    for (const char *c = text; c < text + size; c++) {
        if (*c != '\'') continue;
        if (open) {
            begin[0] = begin[1];
            end[0] = end[1];
            begin[1] = open;
            end[1] = c;
        }
        open = open ? NULL : c + 1;
    }
    if (begin[0]) clean(begin[0], (size_t)(end[0] - begin[0]), out);
}

/* The metadata of a node are a field that older schemas do not know. */
static void from_metadata(const Onnx__NodeProto *node, char out[DFQI_LAYER_MAX])
{
    static const char key[] = "pkg.torch.onnx.name_scopes";
    const size_t n = sizeof key - 1;
    for (unsigned i = 0; i < node->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &node->base.unknown_fields[i];
        if (f->tag != SCOPES_FIELD || f->len < n) continue;
        const char *text = (const char *)f->data;
        for (size_t k = 0; k + n <= f->len; k++)
            if (memcmp(text + k, key, n) == 0) {
                from_scopes(text + k + n, f->len - k - n, out);
                return;
            }
    }
}

bool dfqi_im_own_name(const im *m, char out[DFQI_LAYER_MAX])
{
    const char *name = dfqi_im_is_ours(m) && m->node->name ? m->node->name : "";
    const char *end = strrchr(name, '/');
    out[0] = '\0';
    if (end) clean(name, (size_t)(end - name), out);
    return out[0] != '\0';
}

void dfqi_im_scope(const Onnx__NodeProto *node, char out[DFQI_LAYER_MAX])
{
    out[0] = '\0';
    if (node->name && node->name[0] == '/')
        from_path(node->name, out);
    else
        from_metadata(node, out);
}

/* "blocks.0.attn.qkv" of "blocks.0.attn.qkv.bias", the name of an initializer of one layer
 * alone. */
static bool from_initializer(const im *m, int32_t value, char out[DFQI_LAYER_MAX])
{
    static const char *const ends[] = {".weight", ".bias", "_weight", "_bias"};
    const char *name = value >= 0 && m->values[value].uses == 1 ? m->values[value].given : NULL;
    size_t n = name ? strlen(name) : 0;
    for (int k = 0; k < 4; k++) {
        size_t end = strlen(ends[k]);
        if (n <= end || strcmp(name + n - end, ends[k]) != 0) continue;
        clean(name, n - end, out);
        return true;
    }
    return false;
}

void dfqi_im_layer_name(im *m, int32_t weight, int32_t bias, char out[DFQI_LAYER_MAX])
{
    bool path = m->node->name && m->node->name[0] == '/';
    dfqi_im_scope(m->node, out);
    if ((path && out[0]) || from_initializer(m, weight, out) || from_initializer(m, bias, out) ||
        out[0])
        return;
    snprintf(out, DFQI_LAYER_MAX, "layer%d", m->draft.n_ops);
}

/* -- uniqueness -------------------------------------------------------------------------------- */

typedef struct entry {
    char *name;
    size_t cap;
} entry;

static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (; *text; text++) h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    return h;
}

/* A second one of a name gets a number; `table` has `size` places, a power of two. */
static void add_unique(char **table, size_t size, char *name, size_t cap, const char *end)
{
    char base[DFQI_NAME_MAX];
    snprintf(base, sizeof base, "%.*s", (int)(strlen(name) - strlen(end)), name);
    for (int turn = 1;; turn++) {
        size_t at = hash(name) & (size - 1);
        while (table[at] && strcmp(table[at], name) != 0) at = (at + 1) & (size - 1);
        if (!table[at]) {
            table[at] = name;
            return;
        }
        dfqi_print(name, cap, "%.60s-%d%s", base, turn + 1, end);
    }
}

/* "conv1" and the end give "conv1.weight": biases are found by the names of weights. */
static void name_param(im *m, const dfqi_structure_op *op, int32_t slot, const char *end)
{
    if (slot >= op->n_in) return;
    im_draft_value *v = &m->draft.values[op->in[slot]];
    snprintf(v->name, sizeof v->name, "%s.%s", op->name, end);
}

static void name_params(im *m, const dfqi_structure_op *op)
{
    static const char *const ends[] = {"weight", "bias", "running_mean", "running_var"};
    bool named = op->kind == DFQI_STRUCTURE_LINEAR || op->kind == DFQI_STRUCTURE_CONV ||
                 op->kind == DFQI_STRUCTURE_LAYERNORM || op->kind == DFQI_STRUCTURE_BATCHNORM ||
                 op->kind == DFQI_STRUCTURE_AFFINE;
    for (int32_t k = 0; named && k < 4; k++) name_param(m, op, k + 1, ends[k]);
}

/* Of sums with one name, the last one is what a block makes. */
static void name_blocks(im *m, size_t size, char **table)
{
    for (int32_t i = m->draft.n_ops - 1; i >= 0; i--) {
        dfqi_structure_op *op = &m->draft.ops[i].op;
        if (!m->draft.ops[i].needed || op->kind != DFQI_STRUCTURE_ADD || !op->name[0]) continue;
        size_t at = hash(op->name) & (size - 1);
        while (table[at] && strcmp(table[at], op->name) != 0) at = (at + 1) & (size - 1);
        if (table[at])
            op->name[0] = '\0';
        else
            table[at] = op->name;
    }
}

void dfqi_im_unique(im *m)
{
    size_t size = 64;
    while (size < 4 * (size_t)(m->draft.n_values + m->draft.n_ops)) size *= 2;
    char **table = dfqi_im_alloc(m, 3 * size, sizeof *table);
    if (!table) return;
    name_blocks(m, size, table);
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        dfqi_structure_op *op = &m->draft.ops[i].op;
        if (!m->draft.ops[i].needed || !op->name[0]) continue;
        add_unique(table + size, size, op->name, sizeof op->name, "");
        name_params(m, op);
    }
    for (int32_t i = 0; i < m->draft.n_ops; i++) {
        const dfqi_structure_op *op = &m->draft.ops[i].op;
        for (int32_t k = 0; m->draft.ops[i].needed && k < op->n_in; k++) {
            im_draft_value *v = &m->draft.values[op->in[k]];
            const char *end = strrchr(v->name, '.');
            if (v->tensor)
                add_unique(table + 2 * size, size, v->name, sizeof v->name, end ? end : "");
        }
    }
}

/* -- names of initializers --------------------------------------------------------------------- */

const char *dfqi_im_given(im *m, int32_t slot, const char *otherwise)
{
    static const char *const taken[] = {".scale", ".zero_point", ".range",
                                        ".shape", ".bits",       ".codes"};
    const char *given = m->values[m->in[slot]].given;
    size_t n = given ? strlen(given) : 0;
    char *name = dfqi_im_alloc(m, DFQI_LAYER_MAX, 1);
    if (!name || n == 0 || strchr(given, '/') || strchr(given, ':')) return otherwise;
    for (size_t k = 0; k < sizeof taken / sizeof taken[0]; k++) { /* files use these ends */
        size_t end = strlen(taken[k]);
        if (n >= end && strcmp(given + n - end, taken[k]) == 0) return otherwise;
    }
    clean(given, n, name);
    return name;
}

void dfqi_im_name_by_bias(im *m, int32_t bias, int32_t base)
{
    im_draft_op *maker = dfqi_im_maker(m, base);
    char name[DFQI_LAYER_MAX];
    if (!maker || strncmp(maker->op.name, "layer", 5) != 0) return;
    for (const char *c = maker->op.name + 5; *c; c++)
        if (*c < '0' || *c > '9') return;
    if (from_initializer(m, bias, name)) memcpy(maker->op.name, name, sizeof name);
}
