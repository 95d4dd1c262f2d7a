/* Derived networks: the result of a co-exploration, one path through a search space. The space's
 * family (supernet_priv.h) lists, names and computes the layers of the path. Metadata hold the
 * whole space, so the file alone defines the network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "io/json.h"
#include "nn/cnn.h"
#include "nn/load.h"
#include "nn/supernet_file.h"
#include "nn/supernet_priv.h"

static const char version_key[] = "dfq.derived", space_key[] = "dfq.derived.space",
                  path_key[] = "dfq.derived.path", version[] = "1";

int dfqi_arch_is_derived(const dfqi_arch *a)
{
    return a->family == DFQI_FAMILY_MBCONV || a->family == DFQI_FAMILY_STAGES;
}

void dfqi_arch_derive(const dfqi_supernet_space *space, const int32_t *path, dfqi_arch *out)
{
    const dfqi_super_row *row = dfqi_super_row_of(space);
    *out = (dfqi_arch){.family = space->family == DFQI_SUPER_VIT ? DFQI_FAMILY_STAGES
                                                                 : DFQI_FAMILY_MBCONV,
                       .image = dfqi_square(space->image),
                       .channels = 3,
                       .classes = space->classes,
                       .eps = row->eps,
                       .resize = dfqi_square(space->image),
                       .of.derived.space = *space};
    snprintf(out->name, sizeof out->name, "%s", space->name);
    memcpy(out->of.derived.path, path, (size_t)row->cells(space) * sizeof *path);
    for (int64_t c = 0, at = 0; c < row->cells(space); c++) {
        char name[DFQI_SUPER_CHOICE_NAME];
        dfqi_super_choice_name(space, path[c], name);
        at += snprintf(out->of.derived.choices + at, sizeof out->of.derived.choices - (size_t)at,
                       "%s%s", c ? " " : "", name);
    }
}

/* -- what is on the path ----------------------------------------------------------------------- */

/* Lists it into `l`. */
static void list_path(const dfqi_arch *a, dfqi_super_list *l, dfqi_supernet *outline)
{
    dfqi_super_outline(&a->of.derived.space, a->of.derived.path, outline);
    dfqi_super_row_of(&a->of.derived.space)->list(outline, l);
}

static int32_t count(const dfqi_arch *a)
{
    dfqi_supernet outline;
    dfqi_super_list l = dfqi_super_list_make(NULL, a->of.derived.path);
    list_path(a, &l, &outline);
    return l.tensors;
}

/* user: where the next one goes */
static void expect_tensors(void *user, const dfqi_super_layer *l)
{
    dfqi_expect **next = user;
    for (int32_t k = 0; k < dfqi_super_layer_tensors(l); k++) {
        dfqi_expect *e = (*next)++;
        memset(e, 0, sizeof *e);
        dfqi_super_tensor_name(l, k, e->name);
        e->rank = dfqi_super_layer_dims(l, k, e->dims);
        e->fixed = l->kind == DFQI_SUPER_CONV && k >= 3;
        e->variance = l->kind == DFQI_SUPER_CONV && k == 4;
    }
}

static void expect(const dfqi_arch *a, dfqi_expect *out)
{
    dfqi_supernet outline;
    dfqi_super_list l = dfqi_super_list_make(NULL, a->of.derived.path);
    l.each = expect_tensors;
    l.user = &out;
    list_path(a, &l, &outline);
}

static void forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *params, dfqi_id x,
                    dfqi_taps *taps)
{
    dfqi_supernet net;
    dfqi_super_list l = dfqi_super_list_make(NULL, a->of.derived.path);
    list_path(a, &l, &net);
    net.n_layers = l.n;
    net.layers = dfqi_arena_alloc(&g->names, (size_t)l.n * sizeof *net.layers);
    dfqi_super_pass p = {.net = &net,
                         .g = g,
                         .batch = g->batch,
                         .eps = a->eps,
                         .given = params,
                         .norms = taps->norms,
                         .x = x,
                         .logits = DFQI_NONE};
    p.taps = dfqi_arena_alloc(&g->names, (size_t)l.n * sizeof *p.taps);
    if (net.layers && p.taps) {
        l = dfqi_super_list_make(net.layers, a->of.derived.path);
        dfqi_super_row_of(&a->of.derived.space)->list(&net, &l);
        dfqi_super_row_of(&a->of.derived.space)->forward(&p, a->of.derived.path, DFQI_SUPER_EVAL);
    } else if (g->status == DFQ_OK) {
        g->status = DFQ_E_NOMEM;
    }
    taps->logits = p.logits;
}

static int32_t norms(const dfqi_arch *a)
{
    dfqi_supernet outline;
    dfqi_super_list l = dfqi_super_list_make(NULL, a->of.derived.path);
    if (a->family != DFQI_FAMILY_MBCONV) return 0;
    list_path(a, &l, &outline);
    return l.n - 1; /* all layers but the last are convolutions */
}

static void keep_layer(void *user, const dfqi_super_layer *l)
{
    *(dfqi_super_layer *)user = *l;
}

static void head(const dfqi_arch *a, dfqi_cnn_head *out)
{
    dfqi_supernet outline;
    dfqi_super_layer last = {.in = 0};
    dfqi_super_list l = dfqi_super_list_make(NULL, a->of.derived.path);
    l.each = keep_layer;
    l.user = &last;
    list_path(a, &l, &outline);
    *out = (dfqi_cnn_head){.in = last.in, .bias = 1};
    dfqi_super_layer_name(&last, out->name);
}

/* Of stages of transformer blocks; a stage has the depth of its choice. */
static dfqi_sizes sizes(const dfqi_arch *a)
{
    const dfqi_derived_arch *d = &a->of.derived;
    if (a->family != DFQI_FAMILY_STAGES) return (dfqi_sizes){0};
    dfqi_sizes s = {.patch = d->space.vit.patch, .width = d->space.vit.tokens};
    for (int32_t i = 0; i < d->space.n_stages; i++)
        if (d->path[i] < d->space.n_choices)
            s.depth += dfqi_super_vit_choice(&d->space.vit, d->path[i]).depth;
    return s;
}

static const char *activation(const dfqi_arch *a)
{
    return a->family == DFQI_FAMILY_STAGES ? "gelu" : "relu6";
}

static bool lacks(const dfqi_arch *a, dfqi_prop p)
{
    return (p == DFQI_PROP_PATCH || p == DFQI_PROP_GRID) && a->family != DFQI_FAMILY_STAGES;
}

/* -- files ------------------------------------------------------------------------------------- */

static bool fits(const dfqi_safetensors *st)
{
    return dfqi_st_meta_find(st, version_key) || dfqi_st_meta_find(st, "dfq.supernet.path");
}

/* "0 3 6", a choice for each cell. */
static dfq_status read_path(const dfqi_safetensors *st, const char *path,
                            const dfqi_supernet_space *space, int32_t out[DFQI_SUPER_CELLS])
{
    static const int32_t any[DFQI_SUPER_CELLS] = {0};
    const char *text = dfqi_st_meta_find(st, path_key);
    dfqi_supernet outline;
    dfqi_super_list l = dfqi_super_list_make(NULL, NULL);
    if (!text)
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is missing; explore again to write the file anew", path,
                         path_key);
    dfqi_super_outline(space, any, &outline);
    dfqi_super_row_of(space)->list(&outline, &l); /* which cells may be left out */
    for (int32_t c = 0; c < outline.n_cells; c++) {
        char *end;
        int32_t choices = dfqi_supernet_choices(&outline, c);
        long v = text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;
        if (v < 0 || v >= choices || *end != (c + 1 < outline.n_cells ? ' ' : '\0'))
            return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                             "%s: metadata %s must have a choice for each of %d cells of space %s; "
                             "that of cell %d must be 0 to %d",
                             path, path_key, outline.n_cells, space->name, c, choices - 1);
        out[c] = (int32_t)v;
        text = end + 1;
    }
    return DFQ_OK;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    const char *have = dfqi_st_meta_find(st, version_key);
    const char *text = dfqi_st_meta_find(st, space_key);
    char show[DFQI_SHOW_MAX];
    dfqi_supernet_space space;
    int32_t choices[DFQI_SUPER_CELLS] = {0};
    if (!have)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: the derived network is of a version without a description of its "
                         "search space; explore again to write the file anew",
                         path);
    if (strcmp(have, version) != 0)
        return dfqi_fail(
            st->ctx, DFQ_E_UNSUPPORTED,
            "%s: metadata %s is \"%.20s\", must be %s; explore again to write the file anew", path,
            version_key, dfqi_show(have, show), version);
    if (!text || !dfqi_st_meta_find(st, "mean") || !dfqi_st_meta_find(st, "std"))
        return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                         "%s: metadata %s is missing; explore again to write the file anew", path,
                         text ? "mean or std" : space_key);
    DFQI_TRY(dfqi_supernet_space_parse(st->ctx, path, text, &space));
    DFQI_TRY(read_path(st, path, &space, choices));
    dfqi_arch_derive(&space, choices, a);
    dfqi_prop_from(a, DFQ_SOURCE_METADATA);
    return DFQ_OK;
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    snprintf(text, size, "a network of the search space %s", a->name);
}

static dfq_status meta(const dfqi_arch *a, dfqi_arena *arena, dfqi_st_meta *out, int64_t *n)
{
    const char *const keys[DFQI_FAMILY_META] = {version_key, space_key, path_key};
    char path[4 * DFQI_SUPER_CELLS] = "", *space;
    int32_t cells = (int32_t)dfqi_super_row_of(&a->of.derived.space)->cells(&a->of.derived.space);
    for (int32_t c = 0, at = 0; c < cells; c++)
        at += snprintf(path + at, sizeof path - (size_t)at, "%s%d", c ? " " : "",
                       a->of.derived.path[c]);
    DFQI_TRY(dfqi_supernet_space_text(arena->ctx, &a->of.derived.space, &space));
    const char *const values[DFQI_FAMILY_META] = {version, space, path};
    for (int32_t i = 0; i < DFQI_FAMILY_META; i++) {
        out[i].key = dfqi_arena_strdup(arena, keys[i]);
        out[i].value = dfqi_arena_strdup(arena, values[i]);
    }
    dfqi_free(arena->ctx, space);
    *n = DFQI_FAMILY_META;
    for (int32_t i = 0; i < DFQI_FAMILY_META; i++)
        if (!out[i].key || !out[i].value) return DFQ_E_NOMEM;
    return DFQ_OK;
}

/* -- comparing --------------------------------------------------------------------------------- */

/* Hashes the properties of a derived network that its parameters' names and shapes do not show. */
static uint64_t hash_derived(uint64_t hash, const dfqi_arch *a)
{
    const dfqi_supernet_space *s = &a->of.derived.space;
    for (int32_t i = 0; i < s->n_stages && a->family == DFQI_FAMILY_MBCONV; i++)
        hash = dfqi_hash(hash, &s->stages[i], sizeof s->stages[i]);
    hash = dfqi_hash(hash, &s->vit.head, sizeof s->vit.head);
    return dfqi_hash(hash, a->of.derived.path, sizeof a->of.derived.path);
}

/* The stride of a cell of a derived convolutional network: that of its depthwise layer. */
static int64_t cell_stride(const dfqi_supernet_space *s, int64_t cell)
{
    int32_t i = 0;
    for (; i + 1 < s->n_stages && cell >= s->stages[i].cells; i++) cell -= s->stages[i].cells;
    return cell == 0 ? s->stages[i].stride : 1;
}

/* Tensors do not show strides. */
static dfq_status same_strides(dfq_context *ctx, const dfqi_arch *a, const dfqi_arch *b)
{
    int64_t cells = 0;
    if (a->family != DFQI_FAMILY_MBCONV) return DFQ_OK;
    for (int32_t i = 0; i < a->of.derived.space.n_stages; i++)
        cells += a->of.derived.space.stages[i].cells;
    for (int64_t c = 0; c < cells; c++) {
        int64_t mine = cell_stride(&a->of.derived.space, c),
                its = cell_stride(&b->of.derived.space, c);
        if (mine != its)
            return dfqi_fail(ctx, DFQ_E_SHAPE,
                             "the stride of cell %lld is %lld in the teacher %s and %lld in the "
                             "student %s, must be the same",
                             (long long)c, (long long)mine, a->name, (long long)its, b->name);
    }
    return DFQ_OK;
}

static bool convolutional(const dfqi_arch *a)
{
    return a->family == DFQI_FAMILY_MBCONV;
}

static dfqi_units units(const dfqi_arch *a)
{
    (void)a;
    return DFQI_UNITS_INVERTED;
}

const dfqi_family_row dfqi_family_derived = {.fits = fits,
                                             .properties =
                                                 DFQI_PROP_BIT(PATCH) | DFQI_PROP_BIT(GRID),
                                             .lacks = lacks,
                                             .activation = activation,
                                             .sizes = sizes,
                                             .convolutional = convolutional,
                                             .find = find,
                                             .describe = describe,
                                             .meta = meta,
                                             .units = units,
                                             .hash = hash_derived,
                                             .alike = same_strides,
                                             .norms = norms,
                                             .head = head,
                                             .count = count,
                                             .expect = expect,
                                             .forward = forward};
