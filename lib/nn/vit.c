/* The vision transformer as a graph. Parameters come in the order of the table below: four of the
 * embedding, twelve for each block, four of the head. */
#include "nn/vit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/ops.h"

/* Extents: D width, T 3 D, M hidden, C classes, P patches + 1; negative: a number. */
enum { D = 1, T, M, C, N, PATCH, CHANNELS };

typedef struct row {
    const char *name;
    int8_t rank;
    int8_t dims[4];
} row;

enum { EMBED_ROWS = 4, BLOCK_ROWS = 12, TAIL_ROWS = 4 };

static const row embed_rows[EMBED_ROWS] = {
    {"cls_token", 3, {-1, -1, D}},
    {"pos_embed", 3, {-1, N, D}},
    {"patch_embed.proj.weight", 4, {D, CHANNELS, PATCH, PATCH}},
    {"patch_embed.proj.bias", 1, {D}},
};
static const row block_rows[BLOCK_ROWS] = {
    {"norm1.weight", 1, {D}},  {"norm1.bias", 1, {D}},          {"attn.qkv.weight", 2, {T, D}},
    {"attn.qkv.bias", 1, {T}}, {"attn.proj.weight", 2, {D, D}}, {"attn.proj.bias", 1, {D}},
    {"norm2.weight", 1, {D}},  {"norm2.bias", 1, {D}},          {"mlp.fc1.weight", 2, {M, D}},
    {"mlp.fc1.bias", 1, {M}},  {"mlp.fc2.weight", 2, {D, M}},   {"mlp.fc2.bias", 1, {D}},
};
static const row tail_rows[TAIL_ROWS] = {
    {"norm.weight", 1, {D}},
    {"norm.bias", 1, {D}},
    {"head.weight", 2, {C, D}},
    {"head.bias", 1, {C}},
};

static int64_t extent(const dfqi_arch *a, int8_t code)
{
    int64_t side = a->image / a->vit.patch;
    switch (code) {
    case D:
        return a->vit.width;
    case T:
        return 3 * a->vit.width;
    case M:
        return a->vit.hidden;
    case C:
        return a->classes;
    case N:
        return side * side + 1;
    case PATCH:
        return a->vit.patch;
    case CHANNELS:
        return a->channels;
    default:
        return -code;
    }
}

int32_t dfqi_vit_count(const dfqi_arch *a)
{
    return EMBED_ROWS + BLOCK_ROWS * (int32_t)a->vit.depth + TAIL_ROWS;
}

void dfqi_vit_expect(const dfqi_arch *a, int32_t i, dfqi_expect *out)
{
    int32_t in_blocks = i - EMBED_ROWS, blocks = BLOCK_ROWS * (int32_t)a->vit.depth;
    const row *r = i < EMBED_ROWS       ? &embed_rows[i]
                   : in_blocks < blocks ? &block_rows[in_blocks % BLOCK_ROWS]
                                        : &tail_rows[in_blocks - blocks];
    memset(out, 0, sizeof *out);
    if (i >= EMBED_ROWS && in_blocks < blocks)
        snprintf(out->name, sizeof out->name, "blocks.%d.%s", in_blocks / BLOCK_ROWS, r->name);
    else
        snprintf(out->name, sizeof out->name, "%s", r->name);
    out->rank = r->rank;
    for (int32_t k = 0; k < r->rank; k++) out->dims[k] = extent(a, r->dims[k]);
}

/* x [B,N,D] -> attention output before the projection [B,N,D] */
static dfqi_id attention(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *p, int64_t block,
                         dfqi_id x, dfqi_taps *taps)
{
    char name[64];
    int64_t d = a->vit.width / a->vit.heads;
    snprintf(name, sizeof name, "blocks.%d.attn.qkv", (int)block);
    dfqi_id qkv = dfqi_linear(g, name, x, p[2], p[3]);
    dfqi_id q = dfqi_split_heads(g, qkv, a->vit.heads, 3);
    dfqi_id k = dfqi_graph_output(g, q, 1), v = dfqi_graph_output(g, q, 2);
    snprintf(name, sizeof name, "blocks.%d.attn.qk", (int)block);
    dfqi_id raw = dfqi_matmul_nt(g, name, q, k);
    dfqi_id map = dfqi_softmax(g, raw, 1.0f / sqrtf((float)d));
    snprintf(name, sizeof name, "blocks.%d.attn.av", (int)block);
    dfqi_id head = dfqi_matmul_nn(g, name, map, v);
    if (taps->raw) taps->raw[block] = raw;
    if (taps->attn) taps->attn[block] = map;
    if (taps->head) taps->head[block] = head;
    return dfqi_join_heads(g, head);
}

static dfqi_id block_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *p, int64_t block,
                             dfqi_id x, dfqi_taps *taps)
{
    char name[64];
    dfqi_id y = dfqi_layernorm(g, x, p[0], p[1], a->eps);
    y = attention(a, g, p, block, y, taps);
    /* The head reads the class token alone, so that behind the last attention the others need not be
     * computed. Quantizers (a rewrite) see all tokens: their ranges and gradients count them. */
    if (block + 1 == a->vit.depth && !g->rewrite) {
        x = dfqi_select_token(g, x, 0);
        y = dfqi_select_token(g, y, 0);
    }
    snprintf(name, sizeof name, "blocks.%d.attn.proj", (int)block);
    x = dfqi_add(g, x, dfqi_linear(g, name, y, p[4], p[5]));
    y = dfqi_layernorm(g, x, p[6], p[7], a->eps);
    snprintf(name, sizeof name, "blocks.%d.mlp.fc1", (int)block);
    y = dfqi_gelu(g, dfqi_linear(g, name, y, p[8], p[9]));
    snprintf(name, sizeof name, "blocks.%d.mlp.fc2", (int)block);
    return dfqi_add(g, x, dfqi_linear(g, name, y, p[10], p[11]));
}

void dfqi_vit_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *p, dfqi_id x,
                      dfqi_taps *taps)
{
    dfqi_id patches =
        dfqi_linear(g, "patch_embed.proj", dfqi_patchify(g, x, a->vit.patch), p[2], p[3]);
    x = dfqi_tokens(g, patches, p[0], p[1]);
    p += EMBED_ROWS;
    for (int64_t i = 0; i < a->vit.depth; i++, p += BLOCK_ROWS)
        x = block_forward(a, g, p, i, x, taps);
    if (g->rewrite || a->vit.depth == 0) x = dfqi_select_token(g, x, 0);
    x = dfqi_layernorm(g, x, p[0], p[1], a->eps);
    taps->logits = dfqi_linear(g, "head", x, p[2], p[3]);
}
