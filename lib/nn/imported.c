/* Imported networks: the family whose ops are data (structure.h), which metadata
 * hold. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "nn/cnn.h"
#include "nn/structure.h"

static const char key[] = "dfq.structure";

bool dfqi_imported_fits(const dfqi_safetensors *st)
{
    return dfqi_st_meta_find(st, key) != NULL;
}

static const dfqi_structure *structure(const dfqi_arch *a)
{
    return a->of.imported.structure;
}

const char *dfqi_arch_structure(const dfqi_arch *a)
{
    return a->family == DFQI_FAMILY_IMPORTED ? structure(a)->facts.summary : "";
}

/* What PyTorch's collections of networks mostly have: ImageNet's mean and deviation, the shorter
 * side resized so that the crop is 7/8 of it. Small images are taken whole. */
static void assume_transform(dfqi_arch *a)
{
    enum { SMALL = 64 };
    dfqi_imagenet_statistics(a);
    a->crop = dfqi_longer(a->image) > SMALL ? 0.875 : 1.0;
    dfqi_prop_from(a, DFQ_SOURCE_ASSUMED);
    a->source[DFQI_PROP_IMAGE] = DFQ_SOURCE_METADATA;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    dfqi_structure *p;
    DFQI_TRY(dfqi_structure_parse(st->ctx, path, dfqi_st_meta_find(st, key), &p));
    a->of.imported.structure = p;
    a->image = p->image;
    a->channels = p->channels;
    a->classes = p->classes;
    a->eps = p->eps;
    if (a->name[0] == '\0') snprintf(a->name, sizeof a->name, "imported");
    assume_transform(a);
    return DFQ_OK;
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    const dfqi_structure_facts *f = &structure(a)->facts;
    snprintf(text, size,
             "an imported network of %d convolutions, %d linear and %d attention layers", f->convs,
             f->linears, f->attentions);
}

static uint64_t hash(uint64_t start, const dfqi_arch *a)
{
    const dfqi_structure *p = structure(a);
    for (int32_t i = 0; i < p->n_ops; i++) {
        const dfqi_structure_op *op = &p->ops[i];
        start = dfqi_hash(start, &op->kind, sizeof op->kind);
        start = dfqi_hash(start, op->in, sizeof op->in);
        start = dfqi_hash(start, op->ints, sizeof op->ints);
        start = dfqi_hash(start, &op->value, sizeof op->value);
    }
    return start;
}

static bool same_op(const dfqi_structure_op *a, const dfqi_structure_op *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
           memcmp(a->in, b->in, sizeof a->in) == 0 &&
           memcmp(a->ints, b->ints, sizeof a->ints) == 0 && a->value <= b->value &&
           a->value >= b->value;
}

static dfq_status alike(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student)
{
    const dfqi_structure *a = structure(teacher), *b = structure(student);
    bool same = a->n_ops == b->n_ops;
    for (int32_t i = 0; same && i < a->n_ops; i++) same = same_op(&a->ops[i], &b->ops[i]);
    return dfqi_need_same(ctx, teacher, student, same);
}

static int32_t norms(const dfqi_arch *a)
{
    return structure(a)->facts.norms;
}

static void head(const dfqi_arch *a, dfqi_cnn_head *out)
{
    const dfqi_structure_facts *f = &structure(a)->facts;
    *out = (dfqi_cnn_head){.in = f->features, .bias = 1};
    snprintf(out->name, sizeof out->name, "%s", f->classifier);
}

static int32_t count(const dfqi_arch *a)
{
    return structure(a)->n_params;
}

static void expect(const dfqi_arch *a, dfqi_expect *out)
{
    memcpy(out, structure(a)->params, (size_t)structure(a)->n_params * sizeof *out);
}

static void forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                    dfqi_taps *taps)
{
    dfqi_structure_forward(structure(a), a->eps, g, params, x, taps);
}

static dfq_status meta(const dfqi_arch *a, dfqi_arena *arena, dfqi_st_meta *out, int64_t *n)
{
    char *text;
    *n = 1;
    DFQI_TRY(dfqi_structure_text(structure(a), &text));
    out->key = dfqi_arena_strdup(arena, key);
    out->value = dfqi_arena_strdup(arena, text);
    dfqi_free(arena->ctx, text);
    return out->key && out->value ? DFQ_OK : DFQ_E_NOMEM;
}

static bool convolutional(const dfqi_arch *a)
{
    return structure(a)->facts.products == 0;
}

/* By which convolutions there are most of; stems and shortcuts are few. */
static dfqi_units units(const dfqi_arch *a)
{
    const dfqi_structure_facts *f = &structure(a)->facts;
    const int32_t spatial = f->convs - f->depthwise - f->pointwise;
    return f->depthwise > spatial   ? DFQI_UNITS_INVERTED
           : f->pointwise > spatial ? DFQI_UNITS_BOTTLENECK
                                    : DFQI_UNITS_PLAIN;
}

/* The structure has them. */
static bool lacks(const dfqi_arch *a, dfqi_prop p)
{
    (void)a;
    return p == DFQI_PROP_ACTIVATION || p == DFQI_PROP_EPS || p == DFQI_PROP_POOLING;
}

static const char *unrotatable(const dfqi_arch *a)
{
    return convolutional(a) ? NULL : "it was not recognised as a ViT or Swin transformer";
}

const dfqi_family_row dfqi_family_imported = {.turn = DFQI_TURN_ALWAYS,
                                              .fits = dfqi_imported_fits,
                                              .lacks = lacks,
                                              .fixed_image = true,
                                              .convolutional = convolutional,
                                              .find = find,
                                              .describe = describe,
                                              .meta = meta,
                                              .units = units,
                                              .hash = hash,
                                              .alike = alike,
                                              .norms = norms,
                                              .head = head,
                                              .count = count,
                                              .expect = expect,
                                              .forward = forward,
                                              .unrotatable = unrotatable};
