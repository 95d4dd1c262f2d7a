/* What follows from the ops of a structure: BatchNorms behind convolutions, attention, and whether
 * the whole is a vision transformer, with the parts of its residual stream. */
#include <stdio.h>
#include <string.h>

#include "nn/structure.h"

/* -- counting ---------------------------------------------------------------------------------- */

/* Is it a BatchNorm on a convolution without bias, with the five parameters of pair `n`? */
static bool follows_conv(const dfqi_structure *p, const dfqi_structure_op *op, int32_t n)
{
    const dfqi_structure_op *conv = dfqi_structure_maker(p, op->in[0]);
    bool fits = conv && conv->kind == DFQI_STRUCTURE_CONV && conv->n_in == 2;
    for (int32_t k = 0; fits && k < 5; k++)
        fits = (k == 0 ? conv->in[1] : op->in[k]) == 5 * n + k + 1;
    return fits;
}

/* The op that makes a value, before reshapes and, with `sums`, constants that are added. */
static dfqi_structure_op *behind(const dfqi_structure *p, int32_t value, bool sums)
{
    const dfqi_structure_op *op = dfqi_structure_maker(p, value);
    while (op && (op->kind == DFQI_STRUCTURE_RESHAPE ||
                  (sums && op->kind == DFQI_STRUCTURE_TOKENS && op->n_in == 2)))
        op = dfqi_structure_maker(p, op->in[0]);
    return (dfqi_structure_op *)(uintptr_t)op;
}

/* Is it the product behind a softmax of a product? Then all three get the number of this
 * attention. Returns the first product. */
static const dfqi_structure_op *attention_of(const dfqi_structure *p, dfqi_structure_op *op,
                                             int32_t number)
{
    dfqi_structure_op *map = behind(p, op->in[0], false);
    dfqi_structure_op *raw =
        map && map->kind == DFQI_STRUCTURE_SOFTMAX ? behind(p, map->in[0], true) : NULL;
    if (!raw || raw->kind != DFQI_STRUCTURE_MATMUL_NT || raw->tap >= 0) return NULL;
    raw->tap = map->tap = op->tap = number;
    return raw;
}

static int64_t heads_of(const dfqi_structure *p, const dfqi_structure_op *raw)
{
    const dfqi_structure_op *split = dfqi_structure_maker(p, raw->in[0]);
    return split && split->kind == DFQI_STRUCTURE_SPLIT_HEADS ? split->ints[0] : 0;
}

static void count(dfqi_structure *p, dfqi_structure_op *op)
{
    dfqi_structure_facts *f = &p->facts;
    f->convs += op->kind == DFQI_STRUCTURE_CONV;
    f->linears += op->kind == DFQI_STRUCTURE_LINEAR;
    f->layernorms += op->kind == DFQI_STRUCTURE_LAYERNORM;
    f->batchnorms += op->kind == DFQI_STRUCTURE_BATCHNORM;
    if (op->kind == DFQI_STRUCTURE_BATCHNORM && follows_conv(p, op, f->norms)) op->tap = f->norms++;
    f->products += op->kind == DFQI_STRUCTURE_MATMUL_NT || op->kind == DFQI_STRUCTURE_MATMUL_NN;
    const dfqi_structure_op *raw =
        op->kind == DFQI_STRUCTURE_MATMUL_NN ? attention_of(p, op, f->attentions) : NULL;
    if (!raw) return;
    int64_t heads = heads_of(p, raw);
    f->heads = f->attentions == 0 || f->heads == heads ? heads : 0;
    f->attentions++;
}

/* The layer that makes the logits. */
static void find_classifier(dfqi_structure *p)
{
    const dfqi_structure_op *op = dfqi_structure_maker(p, p->logits);
    while (op && op->kind == DFQI_STRUCTURE_RESHAPE) op = dfqi_structure_maker(p, op->in[0]);
    if (!op || (op->kind != DFQI_STRUCTURE_LINEAR && op->kind != DFQI_STRUCTURE_CONV)) return;
    p->facts.features = p->params[op->in[1] - 1].dims[1];
    snprintf(p->facts.classifier, sizeof p->facts.classifier, "%s", op->name);
}

/* -- in words ---------------------------------------------------------------------------------- */

static void add_words(dfqi_structure_facts *f, const char *fmt, int32_t n)
{
    size_t at = strlen(f->summary);
    if (n == 0) return;
    at += (size_t)snprintf(f->summary + at, sizeof f->summary - at, "%s", at ? ", " : "");
    snprintf(f->summary + at, sizeof f->summary - at, fmt, (int)n);
}

static void summarise(dfqi_structure_facts *f)
{
    char text[120];
    if (f->norms > 0)
        snprintf(text, sizeof text,
                 "%%d convolutions (%d with BatchNorm, which zero-shot methods need)",
                 (int)f->norms);
    else
        snprintf(text, sizeof text,
                 "%%d convolutions (BatchNorm is folded away or was never there)");
    add_words(f, text, f->convs);
    add_words(f, f->linears == 1 ? "%d linear layer" : "%d linear layers", f->linears);
    add_words(f, "%d BatchNorms apart from convolutions", f->batchnorms - f->norms);
    add_words(f, "%d LayerNorms", f->layernorms);
    if (f->heads > 0)
        snprintf(text, sizeof text, "%%d attention layers of %d heads", (int)f->heads);
    else
        snprintf(text, sizeof text, "%%d attention layers of different heads");
    add_words(f, text, f->attentions);
}

/* -- the vision transformer -------------------------------------------------------------------- */

typedef struct walk {
    const dfqi_structure *p;
    dfqi_stream_part *parts; /* NULL: they are counted */
    int32_t n;
    dfqi_vit_arch vit;
    bool fits;
} walk;

/* The op of a kind that reads a value as operand `slot`, which `readers` ops read. */
static const dfqi_structure_op *next(walk *w, dfqi_structure_kind kind, int32_t value, int32_t slot,
                                     int32_t readers)
{
    const dfqi_structure_op *found = NULL;
    int32_t n = 0;
    for (int32_t i = 0; w->fits && i < w->p->n_ops; i++) {
        const dfqi_structure_op *op = &w->p->ops[i];
        for (int32_t k = 0; k < op->n_in; k++) {
            if (op->in[k] != value) continue;
            n++;
            if (op->kind == kind && (slot < 0 || k == slot)) found = op;
        }
    }
    w->fits &= found && n == readers;
    return w->fits ? found : NULL;
}

static int64_t rows(const walk *w, const dfqi_structure_op *linear)
{
    return w->p->params[linear->in[1] - 1].dims[0];
}

static void add_part(walk *w, dfqi_stream_part part)
{
    if (w->parts) w->parts[w->n] = part;
    w->n++;
}

/* A linear layer with a bias behind its weight, for the rotation. */
static const dfqi_structure_op *linear(walk *w, int32_t value)
{
    const dfqi_structure_op *op = next(w, DFQI_STRUCTURE_LINEAR, value, 0, 1);
    if (!op) return NULL;
    w->fits &= op->n_in == 3 && op->in[2] == op->in[1] + 1;
    return w->fits ? op : NULL;
}

/* LayerNorm and the layer that reads it; `readers` read the stream. */
static const dfqi_structure_op *read_stream(walk *w, int32_t stream, int32_t readers)
{
    const dfqi_structure_op *norm = next(w, DFQI_STRUCTURE_LAYERNORM, stream, 0, readers);
    const dfqi_structure_op *layer = norm ? linear(w, norm->out) : NULL;
    if (!layer) return NULL;
    w->fits &= norm->in[2] == norm->in[1] + 1;
    add_part(w, (dfqi_stream_part){.role = DFQI_STREAM_READER,
                                   .norm = norm->in[1] - 1,
                                   .linear = layer->in[1] - 1});
    return layer;
}

/* The layer that adds to the stream; returns the sum's value. */
static int32_t write_stream(walk *w, const dfqi_structure_op *layer, int32_t stream)
{
    const dfqi_structure_op *sum = next(w, DFQI_STRUCTURE_ADD, layer->out, -1, 1);
    w->fits &= sum && (sum->in[0] == stream || sum->in[1] == stream);
    add_part(w, (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = layer->in[1] - 1});
    return w->fits ? sum->out : -1;
}

/* The same in all blocks. */
static void same(walk *w, int64_t *of_all, int64_t v)
{
    w->fits &= *of_all == 0 || *of_all == v;
    *of_all = v;
}

/* Returns the value of the stream behind the attention. */
static int32_t attention(walk *w, int32_t stream)
{
    const dfqi_structure_op *qkv = read_stream(w, stream, 2);
    const dfqi_structure_op *split =
        qkv ? next(w, DFQI_STRUCTURE_SPLIT_HEADS, qkv->out, 0, 1) : NULL;
    w->fits &= split && split->n_out == 3;
    if (!w->fits) return -1;
    const dfqi_structure_op *raw = next(w, DFQI_STRUCTURE_MATMUL_NT, split->out, 0, 1);
    const dfqi_structure_op *map = raw ? next(w, DFQI_STRUCTURE_SOFTMAX, raw->out, 0, 1) : NULL;
    const dfqi_structure_op *out = map ? next(w, DFQI_STRUCTURE_MATMUL_NN, map->out, 0, 1) : NULL;
    const dfqi_structure_op *join = out ? next(w, DFQI_STRUCTURE_JOIN_HEADS, out->out, 0, 1) : NULL;
    const dfqi_structure_op *proj = join ? linear(w, join->out) : NULL;
    w->fits &= proj && raw->in[1] == split->out + 1 && out->in[1] == split->out + 2 &&
               map->tap == w->vit.depth && rows(w, qkv) == 3 * rows(w, proj);
    if (!w->fits) return -1;
    same(w, &w->vit.heads, split->ints[0]);
    same(w, &w->vit.width, rows(w, proj));
    add_part(w, (dfqi_stream_part){.role = DFQI_STREAM_HEADS,
                                   .linear = qkv->in[1] - 1,
                                   .projection = proj->in[1] - 1,
                                   .heads = split->ints[0]});
    return write_stream(w, proj, stream);
}

static int32_t mlp(walk *w, int32_t stream)
{
    const dfqi_structure_op *fc1 = read_stream(w, stream, 2);
    const dfqi_structure_op *act = fc1 ? next(w, DFQI_STRUCTURE_GELU, fc1->out, 0, 1) : NULL;
    const dfqi_structure_op *fc2 = act ? linear(w, act->out) : NULL;
    if (!fc2) return -1;
    same(w, &w->vit.hidden, rows(w, fc1));
    return write_stream(w, fc2, stream);
}

/* Patches, tokens and positions; returns the value of the stream. */
static int32_t embedding(walk *w)
{
    const dfqi_structure_op *cut = next(w, DFQI_STRUCTURE_PATCHIFY, DFQI_STRUCTURE_IMAGE, 0, 1);
    const dfqi_structure_op *embed = cut ? linear(w, cut->out) : NULL;
    if (!embed) return -1;
    w->vit.patch = cut->ints[0];
    add_part(w, (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = embed->in[1] - 1});
    int32_t value = embed->out, n = 0;
    const dfqi_structure_op *tokens = next(w, DFQI_STRUCTURE_TOKENS, value, 0, 1);
    for (; tokens && tokens->kind == DFQI_STRUCTURE_TOKENS && n < 1; n++) {
        for (int32_t k = 1; k < tokens->n_in; k++)
            add_part(w, (dfqi_stream_part){.role = DFQI_STREAM_ROWS, .linear = tokens->in[k] - 1});
        value = tokens->out;
    }
    w->fits &= tokens && tokens->n_in == 3; /* what looks at attention leaves out one class token */
    return value;
}

/* The class token is read before or after the last LayerNorm. */
static void head(walk *w, int32_t stream)
{
    const dfqi_structure_op *norm = next(w, DFQI_STRUCTURE_LAYERNORM, stream, 0, 1);
    const dfqi_structure_op *one =
        norm ? next(w, DFQI_STRUCTURE_SELECT_TOKEN, norm->out, 0, 1) : NULL;
    const dfqi_structure_op *layer = one ? linear(w, one->out) : NULL;
    w->fits &=
        layer && one->ints[0] == 0 && layer->out == w->p->logits && norm->in[2] == norm->in[1] + 1;
    if (!w->fits) return;
    add_part(w, (dfqi_stream_part){.role = DFQI_STREAM_READER,
                                   .norm = norm->in[1] - 1,
                                   .linear = layer->in[1] - 1});
}

static walk walk_vit(const dfqi_structure *p, dfqi_stream_part *parts)
{
    walk w = {.p = p, .parts = parts, .fits = p->facts.attentions > 0};
    int32_t stream = embedding(&w);
    for (; w.fits && w.vit.depth < p->facts.attentions; w.vit.depth++) {
        stream = attention(&w, stream);
        if (w.fits) stream = mlp(&w, stream);
    }
    if (w.fits) head(&w, stream);
    return w;
}

int32_t dfqi_structure_stream(const dfqi_structure *p, dfqi_stream_part *out)
{
    return p->facts.vit.depth ? walk_vit(p, out).n : 0;
}

void dfqi_structure_find_facts(dfqi_structure *p)
{
    for (int32_t i = 0; i < p->n_ops; i++) count(p, &p->ops[i]);
    find_classifier(p);
    summarise(&p->facts);
    walk w = walk_vit(p, NULL);
    if (w.fits && w.vit.width % w.vit.heads == 0 && p->image.height % w.vit.patch == 0 &&
        p->image.width % w.vit.patch == 0)
        p->facts.vit = w.vit;
}
