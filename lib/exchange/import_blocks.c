/* Transformer blocks among the ops that were read, each from what it makes to what it reads. */
#include <math.h>
#include <string.h>

#include "exchange/import_family_priv.h"

const dfqi_structure_op *dfqi_im_made_by(im_family *f, int32_t value, dfqi_structure_kind kind)
{
    const im_draft_op *maker = f->fits ? dfqi_im_maker(f->m, value) : NULL;
    f->fits &= maker && maker->op.kind == kind;
    return f->fits ? &maker->op : NULL;
}

const dfqi_structure_op *dfqi_im_rows_by(im_family *f, int32_t value, int64_t width,
                                         dfqi_structure_kind kind, im_rows *out)
{
    f->fits &= f->fits && dfqi_im_trace_rows(f->m, value, width, out);
    return f->fits ? dfqi_im_made_by(f, out->source, kind) : NULL;
}

bool dfqi_im_all_rows(const im_rows *r, int64_t n)
{
    bool all = r->n == n;
    for (int64_t i = 0; all && i < n; i++) all = r->at[i] == i;
    return all;
}

void dfqi_im_take_norm(im_family *f, const dfqi_structure_op *norm)
{
    const double near = 1e-3;
    if (!norm) return;
    if (!f->has_eps) f->eps = (double)norm->value;
    f->has_eps = true;
    f->fits &= fabs((double)norm->value - f->eps) <= near * f->eps;
}

/* Of all entries of a value's rows, the op behind moves; NULL: there is none. */
static const dfqi_structure_op *behind(const im_family *f, int32_t value)
{
    const int32_t source = dfqi_im_computed(f->m, value);
    const im_draft_op *maker = source < 0 ? NULL : dfqi_im_maker(f->m, source);
    return maker ? &maker->op : NULL;
}

static int64_t inputs_of(const im_family *f, const dfqi_structure_op *layer)
{
    const im_draft_value *w = &f->m->draft.values[layer->in[1]];
    int64_t n = 1;
    for (int32_t k = 1; k < w->rank; k++) n *= w->dims[k];
    return n;
}

static int64_t outputs_of(const im_family *f, const dfqi_structure_op *layer)
{
    return f->m->draft.values[layer->in[1]].dims[0];
}

/* A layer with a bias whose rows those of a value are, as they are: all channels. */
static const dfqi_structure_op *layer_of(im_family *f, int32_t value, int64_t width, im_rows *out)
{
    const dfqi_structure_op *layer = dfqi_im_rows_by(f, value, width, DFQI_STRUCTURE_LINEAR, out);
    f->fits &= layer && layer->n_in == 3 && out->first == 0 && outputs_of(f, layer) == width;
    return f->fits ? layer : NULL;
}

/* A norm whose rows are those of a value, and what it reads: rows of the stream. */
static const dfqi_structure_op *norm_of(im_family *f, int32_t value, int64_t width, im_rows *rows)
{
    im_rows in;
    const dfqi_structure_op *norm =
        dfqi_im_rows_by(f, value, width, DFQI_STRUCTURE_LAYERNORM, rows);
    f->fits &= norm && dfqi_im_trace_rows(f->m, norm->in[0], width, &in) && in.first == 0;
    if (!f->fits) return NULL;
    dfqi_im_rows_through(rows, &in);
    dfqi_im_take_norm(f, norm);
    return norm;
}

/* Which operand of the sum is a layer that reads something of this kind? -1: none, or both. */
static int32_t branch_of(const im_family *f, const dfqi_structure_op *sum, bool attention)
{
    int32_t found = -1;
    for (int32_t k = 0; k < 2; k++) {
        const dfqi_structure_op *layer = behind(f, sum->in[k]);
        if (!layer || layer->kind != DFQI_STRUCTURE_LINEAR) continue;
        const dfqi_structure_op *from = behind(f, layer->in[0]);
        if (!from) continue;
        bool other = from->kind != DFQI_STRUCTURE_LAYERNORM;
        bool fits = attention ? from->kind == DFQI_STRUCTURE_MATMUL_NN
                              : other && from->kind != DFQI_STRUCTURE_MATMUL_NN;
        if (fits && found >= 0) return -1;
        if (fits) found = k;
    }
    return found;
}

/* -- the MLP ----------------------------------------------------------------------------------- */

/* DFQI_VIT_* of an op; -1: it is no activation of a transformer. */
static int32_t curve_of(const dfqi_structure_op *op)
{
    switch (op->kind) {
    case DFQI_STRUCTURE_GELU:
        return DFQI_VIT_GELU;
    case DFQI_STRUCTURE_RELU:
        return op->n_floats == 0 || isinf(op->value) ? DFQI_VIT_RELU : -1;
    case DFQI_STRUCTURE_ACTIVATION:
        return op->ints[0] == DFQI_ACTIVATION_SILU         ? DFQI_VIT_SILU
               : op->ints[0] == DFQI_ACTIVATION_QUICK_GELU ? DFQI_VIT_QUICK_GELU
               : op->ints[0] == DFQI_ACTIVATION_GELU_TANH  ? DFQI_VIT_GELU_TANH
                                                           : -1;
    default:
        return -1;
    }
}

/* The activation whose rows those of a value are, and the layer that it reads; `rows` are those of
 * the layer. */
static const dfqi_structure_op *active(im_family *f, int32_t value, im_block *b, im_rows *rows)
{
    im_rows in;
    f->fits &= f->fits && dfqi_im_trace_rows(f->m, value, b->hidden, rows) && rows->first == 0;
    const im_draft_op *maker = f->fits ? dfqi_im_maker(f->m, rows->source) : NULL;
    b->activation = maker ? curve_of(&maker->op) : -1;
    f->fits &= b->activation >= 0;
    if (!f->fits) return NULL;
    const dfqi_structure_op *layer =
        dfqi_im_rows_by(f, maker->op.in[0], b->hidden, DFQI_STRUCTURE_LINEAR, &in);
    f->fits &= layer && in.first == 0 && layer->n_in == 3;
    if (f->fits) dfqi_im_rows_through(rows, &in);
    return layer;
}

/* The same of gates and values, which are halves of one layer. */
static const dfqi_structure_op *gated(im_family *f, const dfqi_structure_op *product, im_block *b,
                                      im_rows *rows)
{
    im_rows values;
    int32_t k = 0;
    const dfqi_structure_op *gate = behind(f, product->in[0]);
    if (!gate || curve_of(gate) < 0) k = 1;
    const dfqi_structure_op *layer = active(f, product->in[k], b, rows);
    const dfqi_structure_op *other =
        dfqi_im_rows_by(f, product->in[1 - k], b->hidden, DFQI_STRUCTURE_LINEAR, &values);
    b->gated = true;
    f->fits &= layer && layer == other && values.first == b->hidden && values.n == rows->n &&
               outputs_of(f, layer) == 2 * b->hidden;
    for (int64_t i = 0; f->fits && i < rows->n; i++) f->fits = rows->at[i] == values.at[i];
    return layer;
}

/* x + fc2(activation(fc1(norm(x)))): returns x. */
static int32_t mlp(im_family *f, int32_t value, im_block *b, im_rows *left)
{
    im_rows rows, in, out, norm;
    const dfqi_structure_op *sum = dfqi_im_made_by(f, value, DFQI_STRUCTURE_ADD);
    int32_t k = sum ? branch_of(f, sum, false) : -1;
    f->fits &= k >= 0;
    b->fc2 = f->fits ? layer_of(f, sum->in[k], b->width, &rows) : NULL;
    if (!b->fc2) return -1;
    b->hidden = inputs_of(f, b->fc2);
    const dfqi_structure_op *from = behind(f, b->fc2->in[0]);
    if (from && from->kind == DFQI_STRUCTURE_MUL) {
        f->fits &=
            dfqi_im_rows_by(f, b->fc2->in[0], b->hidden, DFQI_STRUCTURE_MUL, &in) && in.first == 0;
        b->fc1 = f->fits ? gated(f, from, b, &out) : NULL;
        if (f->fits) dfqi_im_rows_through(&in, &out);
    } else {
        b->fc1 = active(f, b->fc2->in[0], b, &in);
        f->fits &= f->fits && outputs_of(f, b->fc1) == b->hidden;
    }
    b->norm2 = f->fits ? norm_of(f, b->fc1->in[0], b->width, &norm) : NULL;
    f->fits &= b->norm2 && dfqi_im_trace_rows(f->m, sum->in[1 - k], b->width, left) &&
               left->source == norm.source && left->first == 0;
    if (!f->fits) return -1;
    dfqi_im_rows_through(&rows, &in);
    dfqi_im_rows_through(&rows, &norm);
    f->fits &= rows.n == left->n;
    for (int64_t i = 0; f->fits && i < left->n; i++)
        f->fits = left->at[i] >= 0 && rows.at[i] == left->at[i];
    return left->source;
}

/* -- attention --------------------------------------------------------------------------------- */

/* Entry of [windows, heads, tokens, head] for token `slot` of all windows. */
static int64_t entry_of(const im_block *b, int64_t slot, int64_t head, int64_t channel)
{
    return ((slot / b->tokens * b->heads + head) * b->tokens + slot % b->tokens) * b->head +
           channel;
}

static int32_t at(const im_trace *t, int64_t i)
{
    return t->at ? t->at[i] : (int32_t)i;
}

/* The rows that the projection reads, as tokens of windows. */
static bool slots_of(im_family *f, im_block *b, im_rows *out, const dfqi_structure_op **out_av)
{
    im_trace t;
    if (!dfqi_im_trace(f->m, b->proj->in[0], &t)) return false;
    const im_draft_value *o = &f->m->draft.values[t.source];
    const dfqi_structure_op *av = dfqi_im_made_by(f, t.source, DFQI_STRUCTURE_MATMUL_NN);
    bool good = av && o->rank == 3 && b->width % o->dims[2] == 0 && t.n % b->width == 0;
    if (good) {
        b->head = o->dims[2];
        b->heads = b->width / b->head;
        b->tokens = o->dims[1];
        b->windows = o->dims[0] / b->heads;
        good = o->dims[0] % b->heads == 0;
        *out = (im_rows){.source = t.source, .n = t.n / b->width};
        out->at = dfqi_im_alloc(f->m, (size_t)out->n, sizeof *out->at);
        good &= out->at != NULL;
    }
    for (int64_t i = 0; good && i < out->n; i++) {
        const int64_t row = at(&t, i * b->width) / b->head;
        const int64_t slot = row / b->tokens / b->heads * b->tokens + row % b->tokens;
        out->at[i] = (int32_t)slot;
        for (int64_t c = 0; good && c < b->width; c++)
            good = at(&t, i * b->width + c) == entry_of(b, slot, c / b->head, c % b->head);
    }
    dfqi_free(f->m->ctx, t.at);
    *out_av = av;
    return good;
}

/* The layer that makes queries, keys or values, behind a norm of them, and its rows for all tokens
 * of windows. */
static bool trace_third(im_family *f, int32_t value, int32_t which, im_block *b, im_trace *t)
{
    im_trace in;
    if (!dfqi_im_trace(f->m, value, t)) return false;
    const im_draft_op *maker = dfqi_im_maker(f->m, t->source);
    if (which == 2 || !maker || maker->op.kind != DFQI_STRUCTURE_LAYERNORM) return true;
    b->qk_norm[which] = &maker->op;
    dfqi_im_take_norm(f, &maker->op);
    bool good =
        dfqi_im_last(f->m, t->source) == b->head && dfqi_im_trace(f->m, maker->op.in[0], &in);
    if (good && !t->at) {
        *t = in;
        return true;
    }
    for (int64_t i = 0; good && i < t->n; i++) t->at[i] = t->at[i] < 0 ? -1 : at(&in, t->at[i]);
    if (good) t->source = in.source;
    if (good) dfqi_free(f->m->ctx, in.at);
    return good;
}

static bool third(im_family *f, int32_t value, int32_t which, im_block *b, im_rows *out)
{
    im_trace t = {.at = NULL};
    const int64_t n = b->windows * b->tokens;
    bool good = trace_third(f, value, which, b, &t) && t.n == n * b->width;
    const dfqi_structure_op *layer =
        good ? dfqi_im_made_by(f, t.source, DFQI_STRUCTURE_LINEAR) : NULL;
    const int64_t of = layer ? outputs_of(f, layer) : 1;
    good = layer && layer->n_in == 3 && inputs_of(f, layer) == b->width;
    *out = (im_rows){.source = t.source, .n = n};
    out->at = good ? dfqi_im_alloc(f->m, (size_t)n, sizeof *out->at) : NULL;
    b->qkv[which] = layer;
    b->first[which] = good ? at(&t, 0) % of : 0;
    good &= out->at && b->first[which] + b->width <= of;
    for (int64_t i = 0; good && i < n; i++) {
        const int64_t row = at(&t, entry_of(b, i, 0, 0)) / of;
        out->at[i] = (int32_t)row;
        for (int64_t c = 0; good && c < b->width; c++)
            good =
                at(&t, entry_of(b, i, c / b->head, c % b->head)) == row * of + b->first[which] + c;
    }
    dfqi_free(f->m->ctx, t.at);
    return good;
}

/* What is added to raw products, all of it together; returns the value that it is added to. */
static int32_t take_bias(im_family *f, int32_t value, im_block *b)
{
    const int64_t n = b->windows * b->heads * b->tokens * b->tokens;
    for (;;) {
        int32_t source = -1;
        f->fits &= f->fits && dfqi_im_trace_same(f->m, value, &source);
        const im_draft_op *maker = f->fits ? dfqi_im_maker(f->m, source) : NULL;
        if (!maker || maker->op.kind != DFQI_STRUCTURE_TOKENS) return source;
        const float *more = dfqi_im_param_data(f->m, maker->op.in[1]);
        f->fits &= maker->op.n_in == 2 && dfqi_im_entries(f->m, maker->op.in[1]) == n && more;
        if (f->fits && !b->bias) b->bias = dfqi_im_alloc(f->m, (size_t)n, sizeof *b->bias);
        f->fits &= b->bias != NULL;
        for (int64_t i = 0; f->fits && i < n; i++) b->bias[i] += more[i];
        value = maker->op.in[0];
    }
}

/* Exporters add masks that hide nothing. */
static bool is_bias(const im_block *b)
{
    const int64_t n = b->windows * b->heads * b->tokens * b->tokens;
    for (int64_t i = 0; b->bias && i < n; i++)
        if (b->bias[i] < 0 || b->bias[i] > 0) return true;
    return false;
}

/* The map and what it is made of; rows of queries, keys and values are all the same ones. */
static bool products(im_family *f, const dfqi_structure_op *av, im_block *b, im_rows *rows)
{
    int32_t source;
    im_rows more;
    f->fits &= f->fits && dfqi_im_trace_same(f->m, av->in[0], &source);
    const dfqi_structure_op *map =
        f->fits ? dfqi_im_made_by(f, source, DFQI_STRUCTURE_SOFTMAX) : NULL;
    if (!map) return false;
    b->scale = (double)map->value;
    source = take_bias(f, map->in[0], b);
    if (!is_bias(b)) b->bias = NULL;
    const dfqi_structure_op *raw =
        f->fits ? dfqi_im_made_by(f, source, DFQI_STRUCTURE_MATMUL_NT) : NULL;
    if (!raw || !third(f, raw->in[0], 0, b, rows)) return false;
    const int32_t values[2] = {raw->in[1], av->in[1]};
    for (int32_t k = 0; k < 2; k++) {
        if (!third(f, values[k], k + 1, b, &more)) return false;
        /* of different layers, the rows are compared where they come from */
        if (dfqi_im_computed(f->m, b->qkv[k + 1]->in[0]) !=
            dfqi_im_computed(f->m, b->qkv[0]->in[0]))
            return false;
        for (int64_t i = 0; i < more.n; i++)
            if (more.at[i] != rows->at[i]) return false;
    }
    return true;
}

/* x + proj(attention(norm(x))): returns x. */
static int32_t attention(im_family *f, int32_t value, im_block *b, im_rows *left)
{
    im_rows rows, slots, read, norm;
    const dfqi_structure_op *sum = dfqi_im_made_by(f, value, DFQI_STRUCTURE_ADD), *av;
    int32_t k = sum ? branch_of(f, sum, true) : -1;
    f->fits &= k >= 0;
    b->proj = f->fits ? layer_of(f, sum->in[k], b->width, &rows) : NULL;
    f->fits &= b->proj && inputs_of(f, b->proj) == b->width && slots_of(f, b, &slots, &av) &&
               products(f, av, b, &read);
    b->norm1 = f->fits ? norm_of(f, b->qkv[0]->in[0], b->width, &norm) : NULL;
    for (int32_t i = 1; i < 3 && f->fits; i++) { /* layers apart read the same rows */
        im_rows same;
        f->fits = norm_of(f, b->qkv[i]->in[0], b->width, &same) == b->norm1 && same.n == norm.n;
        for (int64_t j = 0; f->fits && j < norm.n; j++) f->fits = same.at[j] == norm.at[j];
    }
    f->fits &= b->norm1 && dfqi_im_trace_rows(f->m, sum->in[1 - k], b->width, left) &&
               left->source == norm.source && left->first == 0;
    if (!f->fits) return -1;
    dfqi_im_rows_through(&read, &norm);
    b->table = read.at;
    b->map = dfqi_im_entries(f->m, left->source) / b->width;
    dfqi_im_rows_through(&rows, &slots);
    f->fits &= rows.n == left->n;
    for (int64_t i = 0; f->fits && i < left->n; i++)
        f->fits = rows.at[i] >= 0 && left->at[i] >= 0 && b->table[rows.at[i]] == left->at[i];
    return left->source;
}

int32_t dfqi_im_find_block(im_family *f, int32_t value, im_block *b, im_rows *left)
{
    im_rows more;
    *b = (im_block){.width = dfqi_im_last(f->m, value)};
    int32_t between = mlp(f, value, b, left);
    int32_t before = f->fits ? attention(f, between, b, &more) : -1;
    if (f->fits) dfqi_im_rows_through(left, &more);
    return before;
}
