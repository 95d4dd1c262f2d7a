/* The vision transformer as a graph. Parameters are in the order of the table below: four of the
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

enum { EMBED_ROWS = 4, BLOCK_ROWS = DFQI_VIT_BLOCK_PARAMS, TAIL_ROWS = 4 };

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
    int64_t side = a->image / a->of.vit.patch;
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
        return side * side + 1;
    case PATCH:
        return a->of.vit.patch;
    case CHANNELS:
        return a->channels;
    default:
        return -code;
    }
}

int32_t dfqi_vit_count(const dfqi_arch *a)
{
    return EMBED_ROWS + BLOCK_ROWS * (int32_t)a->of.vit.depth + TAIL_ROWS;
}

static void expect_one(const dfqi_arch *a, int32_t i, dfqi_expect *out)
{
    int32_t in_blocks = i - EMBED_ROWS, blocks = BLOCK_ROWS * (int32_t)a->of.vit.depth;
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

void dfqi_vit_expect(const dfqi_arch *a, dfqi_expect *out)
{
    for (int32_t i = 0, n = dfqi_vit_count(a); i < n; i++) expect_one(a, i, &out[i]);
}

int32_t dfqi_vit_stream(const dfqi_arch *a, dfqi_stream_part *out, int64_t *out_channels)
{
    int32_t n = 0, depth = (int32_t)a->of.vit.depth, tail = EMBED_ROWS + depth * BLOCK_ROWS;
    *out_channels = a->of.vit.width;
    if (!out) return 4 + 5 * depth;
    out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_ROWS, .linear = 0};
    out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_ROWS, .linear = 1};
    out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = 2};
    for (int32_t p = EMBED_ROWS; p < tail; p += BLOCK_ROWS) {
        out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_READER, .norm = p, .linear = p + 2};
        out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_HEADS,
                                      .linear = p + 2,
                                      .projection = p + 4,
                                      .heads = a->of.vit.heads};
        out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = p + 4};
        out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_READER, .norm = p + 6, .linear = p + 8};
        out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_WRITER, .linear = p + 10};
    }
    out[n++] = (dfqi_stream_part){.role = DFQI_STREAM_READER, .norm = tail, .linear = tail + 2};
    return n;
}

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
    dfqi_id qkv = dfqi_linear(g, named(b, "attn.qkv", name), x, p[2], p[3]);
    dfqi_id q = dfqi_split_heads(g, qkv, b->heads, 3);
    dfqi_id k = dfqi_graph_output(g, q, 1), v = dfqi_graph_output(g, q, 2);
    dfqi_id raw = dfqi_matmul_nt(g, named(b, "attn.qk", name), q, k);
    dfqi_id map = dfqi_softmax(g, raw, 1.0f / sqrtf((float)b->head));
    dfqi_graph_probe(g, map, "%s", named(b, "attn.map", name));
    dfqi_id out = dfqi_matmul_nn(g, named(b, "attn.av", name), map, v);
    if (b->raw_tap) *b->raw_tap = raw;
    if (b->attn_tap) *b->attn_tap = map;
    if (b->head_tap) *b->head_tap = out;
    return dfqi_join_heads(g, out);
}

dfqi_id dfqi_vit_block_forward(dfqi_graph *g, const dfqi_vit_block *b, const dfqi_id *p, dfqi_id x)
{
    char name[96];
    dfqi_id y = attention(g, b, p, dfqi_layernorm(g, x, p[0], p[1], b->eps));
    if (b->class_only) {
        x = dfqi_select_token(g, x, 0);
        y = dfqi_select_token(g, y, 0);
    }
    x = dfqi_add(g, x, dfqi_linear(g, named(b, "attn.proj", name), y, p[4], p[5]));
    y = dfqi_layernorm(g, x, p[6], p[7], b->eps);
    y = dfqi_gelu(g, dfqi_linear(g, named(b, "mlp.fc1", name), y, p[8], p[9]));
    x = dfqi_add(g, x, dfqi_linear(g, named(b, "mlp.fc2", name), y, p[10], p[11]));
    dfqi_graph_probe(g, x, "%s", b->name);
    return x;
}

void dfqi_vit_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *p, dfqi_id x,
                      dfqi_taps *taps)
{
    dfqi_id patches =
        dfqi_linear(g, "patch_embed.proj", dfqi_patchify(g, x, a->of.vit.patch), p[2], p[3]);
    x = dfqi_tokens(g, patches, p[0], p[1]);
    p += EMBED_ROWS;
    /* The head reads the class token alone, so after the last attention the other tokens need not
     * be computed. With quantizers (a rewrite) they are, where ranges and gradients matter. */
    const bool class_only = !g->rewrite || g->lean;
    for (int64_t i = 0; i < a->of.vit.depth; i++, p += BLOCK_ROWS) {
        char name[32];
        dfqi_vit_block b = {.name = name,
                            .heads = a->of.vit.heads,
                            .head = a->of.vit.width / a->of.vit.heads,
                            .eps = a->eps,
                            .raw_tap = taps->raw ? &taps->raw[i] : NULL,
                            .attn_tap = taps->attn ? &taps->attn[i] : NULL,
                            .head_tap = taps->head ? &taps->head[i] : NULL};
        b.class_only = i + 1 == a->of.vit.depth && class_only;
        snprintf(name, sizeof name, "blocks.%d", (int)i);
        x = dfqi_vit_block_forward(g, &b, p, x);
    }
    if (!class_only || a->of.vit.depth == 0) x = dfqi_select_token(g, x, 0);
    x = dfqi_layernorm(g, x, p[0], p[1], a->eps);
    taps->logits = dfqi_linear(g, "head", x, p[2], p[3]);
}
