/* What follows from the ops of a structure: BatchNorms behind convolutions, attention, the
 * classifier. */
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
static const dfqi_structure_op *behind(const dfqi_structure *p, int32_t value, bool sums)
{
    const dfqi_structure_op *op = dfqi_structure_maker(p, value);
    while (op && (op->kind == DFQI_STRUCTURE_RESHAPE ||
                  (sums && op->kind == DFQI_STRUCTURE_TOKENS && op->n_in == 2)))
        op = dfqi_structure_maker(p, op->in[0]);
    return op;
}

/* The first product, if it is the one behind a softmax of a product; else NULL. */
static const dfqi_structure_op *attention_of(const dfqi_structure *p, const dfqi_structure_op *op)
{
    const dfqi_structure_op *map = behind(p, op->in[0], false);
    const dfqi_structure_op *raw =
        map && map->kind == DFQI_STRUCTURE_SOFTMAX ? behind(p, map->in[0], true) : NULL;
    return raw && raw->kind == DFQI_STRUCTURE_MATMUL_NT ? raw : NULL;
}

static int64_t heads_of(const dfqi_structure *p, const dfqi_structure_op *raw)
{
    const dfqi_structure_op *split = dfqi_structure_maker(p, raw->in[0]);
    return split && split->kind == DFQI_STRUCTURE_SPLIT_HEADS ? split->ints[0] : 0;
}

static void count_conv(dfqi_structure *p, const dfqi_structure_op *op)
{
    const int64_t *dims = p->params[op->in[1] - 1].dims; /* [outputs, inputs of a group, taps] */
    const bool depthwise = dims[1] == 1 && op->ints[3] > 1;
    p->facts.convs++;
    p->facts.depthwise += depthwise;
    p->facts.pointwise += !depthwise && dims[2] == 1 && dims[3] == 1;
}

static void count(dfqi_structure *p, dfqi_structure_op *op)
{
    dfqi_structure_facts *f = &p->facts;
    if (op->kind == DFQI_STRUCTURE_CONV) count_conv(p, op);
    f->linears += op->kind == DFQI_STRUCTURE_LINEAR;
    f->layernorms += op->kind == DFQI_STRUCTURE_LAYERNORM;
    f->batchnorms += op->kind == DFQI_STRUCTURE_BATCHNORM;
    if (op->kind == DFQI_STRUCTURE_BATCHNORM && follows_conv(p, op, f->norms)) op->tap = f->norms++;
    f->products += op->kind == DFQI_STRUCTURE_MATMUL_NT || op->kind == DFQI_STRUCTURE_MATMUL_NN;
    const dfqi_structure_op *raw =
        op->kind == DFQI_STRUCTURE_MATMUL_NN ? attention_of(p, op) : NULL;
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

void dfqi_structure_find_facts(dfqi_structure *p)
{
    for (int32_t i = 0; i < p->n_ops; i++) count(p, &p->ops[i]);
    find_classifier(p);
    summarise(&p->facts);
}
