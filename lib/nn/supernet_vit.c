/* The ViT family of supernets: its spaces, its layers, and the graph of a path. */
#include <stdio.h>

#include "graph/ops.h"
#include "nn/supernet_priv.h"
#include "nn/vit.h"

#define EPS 1e-6f

enum { VALUE_MAX = 4096 };

/* 64 tokens, from 5 to 28 million multiply-accumulates with all stages. */
const dfqi_supernet_space dfqi_super_vit_small = {.name = "cifar10-vit-small",
                                                  .family = DFQI_SUPER_VIT,
                                                  .n_stages = 3,
                                                  .n_choices = 24,
                                                  .image = 32,
                                                  .classes = 10,
                                                  .vit = {.patch = 4,
                                                          .tokens = 64,
                                                          .head = 32,
                                                          .optional = 1,
                                                          .width = {3, {48, 64, 80}},
                                                          .depth = {2, {1, 2}},
                                                          .heads = {2, {1, 2}},
                                                          .ratio = {2, {2, 3}}}};

/* 196 tokens, at most twelve blocks; those of DeiT-Tiny are of width 192 with 3 heads and ratio
 * 4. */
const dfqi_supernet_space dfqi_super_vit_tiny = {.name = "imagenet-vit-tiny",
                                                 .family = DFQI_SUPER_VIT,
                                                 .n_stages = 4,
                                                 .n_choices = 36,
                                                 .image = 224,
                                                 .classes = 1000,
                                                 .vit = {.patch = 16,
                                                         .tokens = 192,
                                                         .head = 64,
                                                         .optional = 0,
                                                         .width = {3, {128, 160, 192}},
                                                         .depth = {3, {1, 2, 3}},
                                                         .heads = {2, {2, 3}},
                                                         .ratio = {2, {3, 4}}}};

/* -- choices ----------------------------------------------------------------------------------- */

int32_t dfqi_super_vit_choices(const dfqi_super_vit *v)
{
    return v->width.n * v->depth.n * v->heads.n * v->ratio.n;
}

dfqi_super_blocks dfqi_super_vit_choice(const dfqi_super_vit *v, int32_t choice)
{
    dfqi_super_blocks c;
    c.ratio = v->ratio.value[choice % v->ratio.n];
    choice /= v->ratio.n;
    c.heads = v->heads.value[choice % v->heads.n];
    choice /= v->heads.n;
    c.depth = v->depth.value[choice % v->depth.n];
    c.width = v->width.value[choice / v->depth.n];
    return c;
}

/* Axes ascend: the largest of each. */
static dfqi_super_blocks largest(const dfqi_super_vit *v)
{
    return dfqi_super_vit_choice(v, dfqi_super_vit_choices(v) - 1);
}

static dfq_status check_axis(dfq_context *ctx, const dfqi_supernet_space *s, const char *name,
                             const dfqi_super_axis *a)
{
    if (a->n < 1 || a->n > DFQI_SUPER_VALUES)
        return dfqi_fail(ctx, DFQ_E_INVALID, "space %s: there are %d values of %s, must be 1 to %d",
                         s->name, a->n, name, DFQI_SUPER_VALUES);
    for (int32_t i = 0; i < a->n; i++)
        if (a->value[i] < 1 || a->value[i] > VALUE_MAX || (i && a->value[i] <= a->value[i - 1]))
            return dfqi_fail(ctx, DFQ_E_INVALID,
                             "space %s: %s is %lld, must be 1 to %d and larger than the one before",
                             s->name, name, (long long)a->value[i], VALUE_MAX);
    return DFQ_OK;
}

static dfq_status check(dfq_context *ctx, const dfqi_supernet_space *s)
{
    const dfqi_super_vit *v = &s->vit;
    if (v->patch < 1 || s->image < 1 || s->image > VALUE_MAX || s->image % v->patch)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "space %s: image is %lld, must be a multiple of the patch, %lld", s->name,
                         (long long)s->image, (long long)v->patch);
    if (s->n_stages < 1 || s->classes < 1 || s->classes > DFQI_EXTENT_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "space %s: there are %d stages and %lld classes, must be 1 or more",
                         s->name, s->n_stages, (long long)s->classes);
    if (v->tokens < 1 || v->tokens > VALUE_MAX || v->head < 1 || v->head > VALUE_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "space %s: tokens have %lld channels and heads %lld, must be 1 to %d",
                         s->name, (long long)v->tokens, (long long)v->head, VALUE_MAX);
    DFQI_TRY(check_axis(ctx, s, "width", &v->width));
    DFQI_TRY(check_axis(ctx, s, "depth", &v->depth));
    DFQI_TRY(check_axis(ctx, s, "heads", &v->heads));
    DFQI_TRY(check_axis(ctx, s, "ratio", &v->ratio));
    if (s->n_choices != dfqi_super_vit_choices(v))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "space %s: n_choices is %d, must be %d, the product of its axes", s->name,
                         s->n_choices, dfqi_super_vit_choices(v));
    return DFQ_OK;
}

/* -- layers ------------------------------------------------------------------------------------ */

/* Extents: T channels of a token, W width, A channels of all heads, QKV three times that, M hidden
 * channels of the MLP. */
enum { PIXELS, PATCHES, CLASSES, T, W, A, QKV, M };

enum {
    EMBED,
    POSITIONS,
    ENTER_NORM,
    ENTER,
    BLOCK, /* six in the order of dfqi_vit_block_forward's parameters */
    LEAVE = BLOCK + DFQI_VIT_BLOCK_PARAMS / 2,
    NORM,
    HEAD,
    ROLES
};

typedef struct role {
    dfqi_super_kind kind;
    int8_t in, out;
} role;

static const role roles[ROLES] = {
    [EMBED] = {DFQI_SUPER_LINEAR, PIXELS, T}, [POSITIONS] = {DFQI_SUPER_POSITIONS, T, PATCHES},
    [ENTER_NORM] = {DFQI_SUPER_NORM, T, T},   [ENTER] = {DFQI_SUPER_LINEAR, T, W},
    [BLOCK + 0] = {DFQI_SUPER_NORM, W, W},    [BLOCK + 1] = {DFQI_SUPER_LINEAR, W, QKV},
    [BLOCK + 2] = {DFQI_SUPER_LINEAR, A, W},  [BLOCK + 3] = {DFQI_SUPER_NORM, W, W},
    [BLOCK + 4] = {DFQI_SUPER_LINEAR, W, M},  [BLOCK + 5] = {DFQI_SUPER_LINEAR, M, W},
    [LEAVE] = {DFQI_SUPER_LINEAR, W, T},      [NORM] = {DFQI_SUPER_NORM, T, T},
    [HEAD] = {DFQI_SUPER_LINEAR, T, CLASSES},
};

static int64_t extent(const dfqi_supernet_space *s, const dfqi_super_blocks *c, int8_t code)
{
    int64_t side = s->image / s->vit.patch, heads = c->heads * s->vit.head;
    const int64_t of[] = {[PIXELS] = 3 * s->vit.patch * s->vit.patch,
                          [PATCHES] = side * side,
                          [CLASSES] = s->classes,
                          [T] = s->vit.tokens,
                          [W] = c->width,
                          [A] = heads,
                          [QKV] = 3 * heads,
                          [M] = c->ratio * c->width};
    return of[code];
}

typedef struct list {
    dfqi_super_list *to;
    const dfqi_supernet_space *space;
    dfqi_super_blocks size;
    int32_t cell;
} list;

static void add_layer(list *l, int32_t r, uint64_t uses)
{
    dfqi_super_list_add(l->to, &(dfqi_super_layer){.kind = roles[r].kind,
                                                   .in = extent(l->space, &l->size, roles[r].in),
                                                   .out = extent(l->space, &l->size, roles[r].out),
                                                   .cell = l->cell,
                                                   .choice = -1,
                                                   .uses = uses,
                                                   .groups = roles[r].out == QKV ? 3 : 1,
                                                   .role = r,
                                                   .closes = r == LEAVE});
}

static int64_t count_cells(const dfqi_supernet_space *s)
{
    return s->n_stages;
}

/* The choices with more than `depth` blocks. */
static uint64_t deeper(const dfqi_supernet_space *s, int64_t depth)
{
    uint64_t uses = 0;
    for (int32_t k = 0; k < s->n_choices; k++)
        if (dfqi_super_vit_choice(&s->vit, k).depth > depth) uses |= (uint64_t)1 << k;
    return uses;
}

static void list_stage(list *l)
{
    const dfqi_super_vit *v = &l->space->vit;
    int64_t blocks = v->depth.value[v->depth.n - 1];
    add_layer(l, ENTER_NORM, deeper(l->space, 0));
    add_layer(l, ENTER, deeper(l->space, 0));
    for (int64_t b = 0; b < blocks; b++) {
        uint64_t uses = deeper(l->space, b);
        for (int32_t r = BLOCK; r < LEAVE; r++) add_layer(l, r, uses);
    }
    add_layer(l, LEAVE, deeper(l->space, 0));
}

static void list_layers(dfqi_supernet *net, dfqi_super_list *to)
{
    const dfqi_supernet_space *s = &net->space;
    list l = {.to = to, .space = s, .size = largest(&s->vit), .cell = -1};
    add_layer(&l, EMBED, 0);
    add_layer(&l, POSITIONS, 0);
    for (l.cell = 0; l.cell < s->n_stages; l.cell++) {
        net->skips[l.cell] = s->vit.optional != 0;
        if (net->derived && net->path[l.cell] < s->n_choices)
            l.size = dfqi_super_vit_choice(&s->vit, net->path[l.cell]);
        list_stage(&l);
    }
    l.cell = -1;
    add_layer(&l, NORM, 0);
    add_layer(&l, HEAD, 0);
}

/* Counts products only. */
static double path_work(const dfqi_supernet *net, const int32_t *path)
{
    const dfqi_supernet_space *s = &net->space;
    dfqi_super_blocks c = largest(&s->vit);
    double macs = 0, tokens = (double)extent(s, &c, PATCHES);
    for (int32_t i = 0; i < net->n_layers; i++) {
        const dfqi_super_layer *l = &net->layers[i];
        if (!dfqi_supernet_on_path(l, path) || l->kind != DFQI_SUPER_LINEAR) continue;
        if (l->cell >= 0) c = dfqi_super_vit_choice(&s->vit, path[l->cell]);
        macs += (l->role == HEAD ? 1.0 : tokens) * (double)extent(s, &c, roles[l->role].in) *
                (double)extent(s, &c, roles[l->role].out);
        if (roles[l->role].out == QKV) macs += 2.0 * tokens * tokens * (double)extent(s, &c, A);
    }
    return macs;
}

/* -- forward ----------------------------------------------------------------------------------- */

/* The tensors of layer i for a choice. */
static const dfqi_id *take(dfqi_super_pass *p, int32_t i, const dfqi_super_blocks *c)
{
    const role *r = &roles[p->net->layers[i].role];
    const dfqi_supernet_space *s = &p->net->space;
    dfqi_super_params(p, i, extent(s, c, r->in), extent(s, c, r->out));
    return p->taps[i].t;
}

/* Layers of a stage from i on. */
static dfqi_id stage(dfqi_super_pass *p, int32_t i, int32_t cell, const dfqi_super_blocks *c,
                     dfqi_id x)
{
    const dfqi_supernet *net = p->net;
    char name[48];
    dfqi_vit_block b = {
        .name = name, .heads = c->heads, .head = net->space.vit.head, .eps = p->eps};
    const dfqi_id *t = take(p, i++, c);
    dfqi_id y = dfqi_layernorm(p->g, x, t[0], t[1], p->eps);
    snprintf(name, sizeof name, "stages.%d.enter", cell);
    t = take(p, i++, c);
    y = dfqi_linear(p->g, name, y, t[0], t[1]);
    for (int64_t k = 0; k < c->depth; k++) {
        dfqi_id params[DFQI_VIT_BLOCK_PARAMS];
        for (int32_t j = 0; j < DFQI_VIT_BLOCK_PARAMS; j += 2) {
            t = take(p, i++, c);
            params[j] = t[0];
            params[j + 1] = t[1];
        }
        snprintf(name, sizeof name, "stages.%d.blocks.%d", cell, (int)k);
        y = dfqi_vit_block_forward(p->g, &b, params, y);
    }
    while (net->layers[i].role != LEAVE) i++;
    snprintf(name, sizeof name, "stages.%d.leave", cell);
    t = take(p, i, c);
    x = dfqi_add(p->g, x, dfqi_linear(p->g, name, y, t[0], t[1]));
    dfqi_graph_probe(p->g, x, "stages.%d", (int)cell);
    return x;
}

static void forward(dfqi_super_pass *p, const int32_t *path, dfqi_super_mode mode)
{
    const dfqi_supernet_space *s = &p->net->space;
    dfqi_super_blocks c = largest(&s->vit);
    int64_t tokens = extent(s, &c, PATCHES);
    const dfqi_id *t = take(p, 0, &c);
    dfqi_id x = dfqi_linear(p->g, "embed", dfqi_patchify(p->g, p->x, s->vit.patch), t[0], t[1]);
    (void)mode; /* LayerNorms know no batch */
    x = dfqi_tokens(p->g, x, DFQI_NONE, take(p, 1, &c)[0]);
    for (int32_t i = 2; i < p->net->n_layers; i++) {
        const dfqi_super_layer *l = &p->net->layers[i];
        if (l->role != ENTER_NORM || !dfqi_supernet_on_path(l, path)) continue;
        c = dfqi_super_vit_choice(&s->vit, path[l->cell]);
        p->span[l->cell][0] = p->g->n_nodes;
        x = stage(p, i, l->cell, &c, x);
        p->span[l->cell][1] = p->g->n_nodes;
    }
    t = take(p, p->net->n_layers - 2, &c);
    x = dfqi_layernorm(p->g, x, t[0], t[1], p->eps);
    x = dfqi_mean_pool(p->g, dfqi_reshape(p->g, x, 3, (int64_t[]){tokens, 1, s->vit.tokens}));
    t = take(p, p->net->n_layers - 1, &c);
    p->logits = dfqi_linear(p->g, "head", x, t[0], t[1]);
}

const dfqi_super_row dfqi_super_row_vit = {1.0f,        EPS,       check,   count_cells,
                                           list_layers, path_work, forward, NULL};
