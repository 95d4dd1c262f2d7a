/* The vision transformer as a graph. Parameters are in the order of the tables below: embedding,
 * blocks, tail; what a network does not have is left out. */
#include "nn/vit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"

/* Extents: D width, T 3 D, M hidden, C classes, N all tokens, R those in front of the patches, HEAD
 * channels of a head; negative: a number. */
enum { D = 1, T, M, C, N, R, HEAD, PATCH, CHANNELS };

/* What a row needs: DFQI_VIT_* of the architecture, or what follows from it. */
enum {
    CLASS = 1 << 16,
    ALONE = 1 << 17,
    NORM = 1 << 18,
    DISTILLED = 1 << 19,
    MEAN = 1 << 20,
    LOGITS = 1 << 21
};

typedef struct row {
    const char *name;
    int8_t rank;
    int8_t dims[4];
    uint32_t needs;
} row;

enum { TOKENS, REGISTERS, POSITIONS, EMBED, EMBED_BIAS, PRE, PRE_BIAS, EMBED_ROWS };

static const row embed_rows[EMBED_ROWS] = {
    [TOKENS] = {"cls_token", 3, {-1, R, D}, CLASS},
    [REGISTERS] = {"reg_token", 3, {-1, R, D}, ALONE}, /* where there is no class token */
    [POSITIONS] = {"pos_embed", 3, {-1, N, D}, 0},
    [EMBED] = {"patch_embed.proj.weight", 4, {D, CHANNELS, PATCH, PATCH}, 0},
    [EMBED_BIAS] = {"patch_embed.proj.bias", 1, {D}, 0},
    [PRE] = {"norm_pre.weight", 1, {D}, DFQI_VIT_NORM_PRE},
    [PRE_BIAS] = {"norm_pre.bias", 1, {D}, DFQI_VIT_NORM_PRE},
};

/* In the order of dfqi_vit_block_forward's parameters, which come in pairs. */
enum { NORM1, QKV = 2, PROJ = 4, NORM2 = 6, FC1 = 8, FC2 = 10, Q_NORM = 12, K_NORM = 14 };

static const row block_rows[DFQI_VIT_BLOCK_MAX] = {
    {"norm1.weight", 1, {D}, 0},
    {"norm1.bias", 1, {D}, 0},
    {"attn.qkv.weight", 2, {T, D}, 0},
    {"attn.qkv.bias", 1, {T}, 0},
    {"attn.proj.weight", 2, {D, D}, 0},
    {"attn.proj.bias", 1, {D}, 0},
    {"norm2.weight", 1, {D}, 0},
    {"norm2.bias", 1, {D}, 0},
    {"mlp.fc1.weight", 2, {M, D}, 0},
    {"mlp.fc1.bias", 1, {M}, 0},
    {"mlp.fc2.weight", 2, {D, M}, 0},
    {"mlp.fc2.bias", 1, {D}, 0},
    {"attn.q_norm.weight", 1, {HEAD}, DFQI_VIT_QK_NORM},
    {"attn.q_norm.bias", 1, {HEAD}, DFQI_VIT_QK_NORM},
    {"attn.k_norm.weight", 1, {HEAD}, DFQI_VIT_QK_NORM},
    {"attn.k_norm.bias", 1, {HEAD}, DFQI_VIT_QK_NORM},
};

enum { LAST, FC_LAST = 2, HEAD1 = 4, HEAD_DIST = 6, HEAD_AVG = 8, TAIL_ROWS = 10 };

static const row tail_rows[TAIL_ROWS] = {
    {"norm.weight", 1, {D}, NORM},
    {"norm.bias", 1, {D}, NORM},
    {"fc_norm.weight", 1, {D}, DFQI_VIT_FC_NORM},
    {"fc_norm.bias", 1, {D}, DFQI_VIT_FC_NORM},
    {"head.weight", 2, {C, D}, LOGITS},
    {"head.bias", 1, {C}, LOGITS},
    {"head_dist.weight", 2, {C, D}, DISTILLED},
    {"head_dist.bias", 1, {C}, DISTILLED},
    {"head_avg.weight", 2, {C, D}, MEAN},
    {"head_avg.bias", 1, {C}, MEAN},
};

int64_t dfqi_vit_prefix(const dfqi_arch *a)
{
    return a->of.vit.registers + !(a->of.vit.parts & DFQI_VIT_NO_CLASS);
}

static int64_t extent(const dfqi_arch *a, int8_t code)
{
    switch (code) {
    case D:
        return a->of.vit.width;
    case T:
        return 3 * a->of.vit.width;
    case M:
        return a->of.vit.hidden;
    case C:
        return a->classes;
    case N:
        return dfqi_area(dfqi_size_over(a->image, a->of.vit.patch)) + dfqi_vit_prefix(a);
    case R:
        return dfqi_vit_prefix(a);
    case HEAD:
        return a->of.vit.width / a->of.vit.heads;
    case PATCH:
        return a->of.vit.patch;
    case CHANNELS:
        return a->channels;
    default:
        return -code;
    }
}

static uint32_t has(const dfqi_arch *a)
{
    uint32_t parts = a->of.vit.parts;
    if (!(parts & DFQI_VIT_FC_NORM)) parts |= NORM;
    if (!(parts & DFQI_VIT_NO_HEAD)) parts |= LOGITS;
    if (!(parts & DFQI_VIT_NO_CLASS))
        parts |= CLASS;
    else if (a->of.vit.registers > 0)
        parts |= ALONE;
    if (a->of.vit.pooling == DFQI_VIT_TOKEN_DISTILLED) parts |= DISTILLED;
    if (a->of.vit.pooling == DFQI_VIT_TOKEN_AVG) parts |= MEAN;
    return parts;
}

/* The parameters of some rows, from number *next on: at[n], -1 for what there is not. */
static void place(const dfqi_arch *a, const row *rows, int32_t n, int32_t *next, int32_t *at)
{
    uint32_t parts = has(a);
    for (int32_t i = 0; i < n; i++) at[i] = (rows[i].needs & ~parts) ? -1 : (*next)++;
}

int32_t dfqi_vit_count(const dfqi_arch *a)
{
    int32_t embed = 0, block = 0, tail = 0, at[DFQI_VIT_BLOCK_MAX];
    place(a, embed_rows, EMBED_ROWS, &embed, at);
    place(a, block_rows, DFQI_VIT_BLOCK_MAX, &block, at);
    place(a, tail_rows, TAIL_ROWS, &tail, at);
    return embed + block * (int32_t)a->of.vit.depth + tail;
}

/* `block` -1: no block's. */
static void expect_rows(const dfqi_arch *a, const row *rows, int32_t n, int32_t block,
                        int32_t *next, dfqi_expect *out)
{
    int32_t at[DFQI_VIT_BLOCK_MAX];
    place(a, rows, n, next, at);
    for (int32_t i = 0; i < n; i++) {
        if (at[i] < 0) continue;
        dfqi_expect *e = &out[at[i]];
        memset(e, 0, sizeof *e);
        if (block >= 0)
            snprintf(e->name, sizeof e->name, "blocks.%d.%s", (int)block, rows[i].name);
        else
            snprintf(e->name, sizeof e->name, "%s", rows[i].name);
        e->rank = rows[i].rank;
        for (int32_t k = 0; k < e->rank; k++) e->dims[k] = extent(a, rows[i].dims[k]);
        if (block >= 0 && (i == FC1 || i == FC1 + 1) && (a->of.vit.parts & DFQI_VIT_GATED))
            e->dims[0] *= 2;
    }
}

void dfqi_vit_expect(const dfqi_arch *a, dfqi_expect *out)
{
    int32_t next = 0;
    expect_rows(a, embed_rows, EMBED_ROWS, -1, &next, out);
    for (int32_t i = 0; i < a->of.vit.depth; i++)
        expect_rows(a, block_rows, DFQI_VIT_BLOCK_MAX, i, &next, out);
    expect_rows(a, tail_rows, TAIL_ROWS, -1, &next, out);
}

/* -- the residual stream ----------------------------------------------------------------------- */

static void add_part(dfqi_stream_part *out, int32_t *n, dfqi_stream_part part)
{
    if (out) out[*n] = part;
    ++*n;
}

static void stream_block(const dfqi_arch *a, int32_t *next, dfqi_stream_part *out, int32_t *n)
{
    int32_t at[DFQI_VIT_BLOCK_MAX];
    place(a, block_rows, DFQI_VIT_BLOCK_MAX, next, at);
    add_part(out, n,
             (dfqi_stream_part){.role = DFQI_STREAM_READER, .linear = at[QKV], .norm = at[NORM1]});
    add_part(out, n,
             (dfqi_stream_part){.role = DFQI_STREAM_HEADS,
                                .linear = at[QKV],
                                .projection = at[PROJ],
                                .heads = a->of.vit.heads,
                                .values_only = at[Q_NORM] >= 0});
    add_part(out, n, (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = at[PROJ]});
    add_part(out, n,
             (dfqi_stream_part){.role = DFQI_STREAM_READER, .linear = at[FC1], .norm = at[NORM2]});
    add_part(out, n, (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = at[FC2]});
}

int32_t dfqi_vit_stream(const dfqi_arch *a, dfqi_stream_part *out, int64_t *out_channels)
{
    int32_t n = 0, next = 0, at[EMBED_ROWS + TAIL_ROWS];
    *out_channels = a->of.vit.width;
    place(a, embed_rows, EMBED_ROWS, &next, at);
    for (int i = TOKENS; i <= POSITIONS; i++)
        if (at[i] >= 0)
            add_part(out, &n, (dfqi_stream_part){.role = DFQI_STREAM_ROWS, .linear = at[i]});
    add_part(out, &n, (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = at[EMBED]});
    for (int64_t i = 0; i < a->of.vit.depth; i++) stream_block(a, &next, out, &n);
    place(a, tail_rows, TAIL_ROWS, &next, at);
    int32_t norm = at[LAST] >= 0 ? at[LAST] : at[FC_LAST];
    for (int i = HEAD1; i <= HEAD_AVG; i += 2)
        if (at[i] >= 0)
            add_part(out, &n,
                     (dfqi_stream_part){.role = DFQI_STREAM_READER, .linear = at[i], .norm = norm});
    return n;
}

/* -- blocks ------------------------------------------------------------------------------------ */

/* The names of a block's layers. */
static const char *named(const dfqi_vit_block *b, const char *what, char text[96])
{
    snprintf(text, 96, "%s.%s", b->name, what);
    return text;
}

/* x [B,N,D] -> attention output before the projection [B,N,H*d] */
static dfqi_id attention(dfqi_graph *g, const dfqi_vit_block *b, const dfqi_id *p, dfqi_id x)
{
    char name[96];
    dfqi_id qkv = dfqi_linear(g, named(b, "attn.qkv", name), x, p[QKV], p[QKV + 1]);
    dfqi_id q = dfqi_split_heads(g, qkv, b->heads, 3);
    dfqi_id k = dfqi_graph_output(g, q, 1), v = dfqi_graph_output(g, q, 2);
    if (b->qk_norm) {
        q = dfqi_layernorm(g, q, p[Q_NORM], p[Q_NORM + 1], b->eps);
        k = dfqi_layernorm(g, k, p[K_NORM], p[K_NORM + 1], b->eps);
    }
    dfqi_id raw = dfqi_matmul_nt(g, named(b, "attn.qk", name), q, k);
    dfqi_id map = dfqi_softmax(g, raw, 1.0f / sqrtf((float)b->head));
    dfqi_graph_probe(g, map, "%s", named(b, "attn.map", name));
    dfqi_id out = dfqi_matmul_nn(g, named(b, "attn.av", name), map, v);
    if (b->raw_tap) *b->raw_tap = raw;
    if (b->attn_tap) *b->attn_tap = map;
    if (b->head_tap) *b->head_tap = out;
    return dfqi_join_heads(g, out);
}

static dfqi_id activate(dfqi_graph *g, dfqi_vit_activation kind, dfqi_id x)
{
    static const dfqi_activation_kind curves[DFQI_VIT_ACTIVATIONS] = {
        [DFQI_VIT_QUICK_GELU] = DFQI_ACTIVATION_QUICK_GELU,
        [DFQI_VIT_GELU_TANH] = DFQI_ACTIVATION_GELU_TANH,
        [DFQI_VIT_SILU] = DFQI_ACTIVATION_SILU};
    if (kind == DFQI_VIT_GELU) return dfqi_gelu(g, x);
    if (kind == DFQI_VIT_RELU) return dfqi_relu(g, NULL, x, INFINITY);
    return dfqi_activation(g, NULL, x, curves[kind]);
}

/* x [B,N,D] or [B,D] -> what the MLP adds */
static dfqi_id mlp(dfqi_graph *g, const dfqi_vit_block *b, const dfqi_id *p, dfqi_id x)
{
    char name[96];
    dfqi_id y = dfqi_linear(g, named(b, "mlp.fc1", name), x, p[FC1], p[FC1 + 1]);
    if (b->gated) {
        const int64_t m = b->hidden;
        y = dfqi_mul(g, activate(g, b->activation, dfqi_channels(g, y, 0, m)),
                     dfqi_channels(g, y, m, m));
    } else {
        y = activate(g, b->activation, y);
    }
    return dfqi_linear(g, named(b, "mlp.fc2", name), y, p[FC2], p[FC2 + 1]);
}

dfqi_id dfqi_vit_block_forward(dfqi_graph *g, const dfqi_vit_block *b, const dfqi_id *p, dfqi_id x)
{
    char name[96];
    dfqi_id y = attention(g, b, p, dfqi_layernorm(g, x, p[NORM1], p[NORM1 + 1], b->eps));
    if (b->class_only) {
        x = dfqi_select_token(g, x, 0);
        y = dfqi_select_token(g, y, 0);
    }
    x = dfqi_add(g, x, dfqi_linear(g, named(b, "attn.proj", name), y, p[PROJ], p[PROJ + 1]));
    x = dfqi_add(g, x, mlp(g, b, p, dfqi_layernorm(g, x, p[NORM2], p[NORM2 + 1], b->eps)));
    dfqi_graph_probe(g, x, "%s", b->name);
    return x;
}

/* -- the network ------------------------------------------------------------------------------- */

/* The ids of rows. */
static void take(const dfqi_arch *a, const row *rows, int32_t n, int32_t *next, const dfqi_id *p,
                 dfqi_id *out)
{
    int32_t at[DFQI_VIT_BLOCK_MAX];
    place(a, rows, n, next, at);
    for (int32_t i = 0; i < n; i++) out[i] = at[i] < 0 ? DFQI_NONE : p[at[i]];
}

/* Image -> tokens [B,N,D] */
static dfqi_id embed(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *t, dfqi_id x)
{
    x = dfqi_linear(g, "patch_embed.proj", dfqi_patchify(g, x, a->of.vit.patch), t[EMBED],
                    t[EMBED_BIAS]);
    x = dfqi_tokens(g, x, t[TOKENS] != DFQI_NONE ? t[TOKENS] : t[REGISTERS], t[POSITIONS]);
    return t[PRE] == DFQI_NONE ? x : dfqi_layernorm(g, x, t[PRE], t[PRE_BIAS], a->eps);
}

/* Mean of the patches' tokens: [B,N,D] -> [B,D] */
static dfqi_id mean(const dfqi_arch *a, dfqi_graph *g, dfqi_id x)
{
    int64_t prefix = dfqi_vit_prefix(a), patches = extent(a, N) - prefix;
    if (prefix > 0) x = dfqi_drop_tokens(g, x, prefix);
    return dfqi_mean_pool(g, dfqi_reshape(g, x, 3, (int64_t[]){patches, 1, a->of.vit.width}));
}

/* What the heads read of tokens x [B,N,D], or `alone` of the class token [B,D]; out[1] is of the
 * second head. */
static void pool(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *t, dfqi_id x, bool alone,
                 dfqi_id out[2])
{
    const dfqi_vit_pooling how = a->of.vit.pooling;
    const dfqi_id gamma = t[LAST] != DFQI_NONE ? t[LAST] : t[FC_LAST];
    const dfqi_id beta = t[LAST] != DFQI_NONE ? t[LAST + 1] : t[FC_LAST + 1];
    const bool first = how == DFQI_VIT_TOKEN || how == DFQI_VIT_TOKEN_DISTILLED;
    for (int i = 0; i < (how == DFQI_VIT_TOKEN_DISTILLED ? 2 : first); i++)
        out[i] = dfqi_layernorm(g, alone ? x : dfqi_select_token(g, x, i), gamma, beta, a->eps);
    if (first) return;
    if (t[FC_LAST] != DFQI_NONE) {
        out[0] = dfqi_layernorm(g, mean(a, g, x), gamma, beta, a->eps);
        return;
    }
    x = dfqi_layernorm(g, x, gamma, beta, a->eps);
    out[how == DFQI_VIT_TOKEN_AVG] = mean(a, g, x);
    if (how == DFQI_VIT_TOKEN_AVG) out[0] = dfqi_select_token(g, x, 0);
}

void dfqi_vit_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *p, dfqi_id x,
                      dfqi_taps *taps)
{
    dfqi_id t[DFQI_VIT_BLOCK_MAX], read[2] = {DFQI_NONE, DFQI_NONE};
    int32_t next = 0;
    take(a, embed_rows, EMBED_ROWS, &next, p, t);
    x = embed(a, g, t, x);
    /* Where the head reads the class token alone, the other tokens need not be computed after the
     * last attention. With quantizers (a rewrite) they are, where ranges and gradients matter. */
    const bool class_only = a->of.vit.pooling == DFQI_VIT_TOKEN && (!g->rewrite || g->lean);
    for (int64_t i = 0; i < a->of.vit.depth; i++) {
        char name[32];
        dfqi_vit_block b = {.name = name,
                            .heads = a->of.vit.heads,
                            .head = a->of.vit.width / a->of.vit.heads,
                            .eps = a->eps,
                            .hidden = a->of.vit.hidden,
                            .gated = (a->of.vit.parts & DFQI_VIT_GATED) != 0,
                            .activation = a->of.vit.activation,
                            .qk_norm = (a->of.vit.parts & DFQI_VIT_QK_NORM) != 0,
                            .class_only = i + 1 == a->of.vit.depth && class_only,
                            .raw_tap = taps->raw ? &taps->raw[i] : NULL,
                            .attn_tap = taps->attn ? &taps->attn[i] : NULL,
                            .head_tap = taps->head ? &taps->head[i] : NULL};
        snprintf(name, sizeof name, "blocks.%d", (int)i);
        take(a, block_rows, DFQI_VIT_BLOCK_MAX, &next, p, t);
        x = dfqi_vit_block_forward(g, &b, t, x);
    }
    take(a, tail_rows, TAIL_ROWS, &next, p, t);
    pool(a, g, t, x, class_only && a->of.vit.depth > 0, read);
    taps->logits = read[0];
    if (t[HEAD1] == DFQI_NONE) return;
    x = dfqi_linear(g, "head", read[0], t[HEAD1], t[HEAD1 + 1]);
    if (t[HEAD_DIST] != DFQI_NONE)
        x = dfqi_add(g, x, dfqi_linear(g, "head_dist", read[1], t[HEAD_DIST], t[HEAD_DIST + 1]));
    if (t[HEAD_AVG] != DFQI_NONE)
        x = dfqi_add(g, x, dfqi_linear(g, "head_avg", read[1], t[HEAD_AVG], t[HEAD_AVG + 1]));
    if (a->of.vit.pooling > DFQI_VIT_AVG) dfqi_graph_probe(g, x, "heads");
    taps->logits = x;
}
