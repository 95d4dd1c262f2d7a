/* Swin transformers as a graph. Tokens are a map of them, row by row. A block attends
 * within windows of it; between stages squares of 2 x 2 tokens are merged. */
#include "nn/swin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What the scores of tokens get that the shift made neighbours (the published value). */
static const float mask = -100;

/* -- sizes ------------------------------------------------------------------------------------- */

dfqi_size dfqi_swin_map(const dfqi_arch *a, int32_t s)
{
    dfqi_size map = dfqi_size_over(a->image, a->of.swin.patch);
    for (; s > 0; s--) map = (dfqi_size){(map.height + 1) / 2, (map.width + 1) / 2};
    return map;
}

dfqi_windowing dfqi_swin_windows(const dfqi_arch *a, int32_t s, int32_t j)
{
    const dfqi_size map = dfqi_swin_map(a, s), window = a->of.swin.window[s];
    const bool down = j % 2 && map.height > window.height;
    const bool right = j % 2 && map.width > window.width;
    return (dfqi_windowing){.map = map,
                            .window = window,
                            .shift = {down ? window.height / 2 : 0, right ? window.width / 2 : 0},
                            .pad_first = a->of.swin.pad_first};
}

bool dfqi_swin_window_pads(const dfqi_windowing *w)
{
    return w->map.height % w->window.height != 0 || w->map.width % w->window.width != 0;
}

bool dfqi_swin_pads(const dfqi_arch *a)
{
    for (int32_t s = 0; s < a->of.swin.stages; s++) {
        dfqi_windowing w = dfqi_swin_windows(a, s, 1);
        const bool rolls = a->of.swin.depth[s] > 1 && dfqi_longer(w.shift) > 0;
        if (rolls && dfqi_swin_window_pads(&w)) return true;
    }
    return false;
}

static int64_t width_of(const dfqi_arch *a, int32_t s)
{
    return a->of.swin.width << s;
}

int64_t dfqi_swin_blocks(const dfqi_arch *a)
{
    int64_t n = 0;
    for (int32_t s = 0; s < a->of.swin.stages; s++) n += a->of.swin.depth[s];
    return n;
}

void dfqi_swin_attention(const dfqi_arch *a, int64_t block, dfqi_attention *out)
{
    const dfqi_swin_arch *w = &a->of.swin;
    int32_t s = 0;
    for (; s + 1 < w->stages && block >= w->depth[s]; s++) block -= w->depth[s];
    dfqi_windowing attr = dfqi_swin_windows(a, s, (int32_t)block);
    *out = (dfqi_attention){.heads = w->heads[s],
                            .windows = dfqi_window_count(&attr),
                            .tokens = dfqi_area(attr.window),
                            .width = width_of(a, s) / w->heads[s],
                            .grid = dfqi_swin_map(a, s)};
}

/* -- parameters -------------------------------------------------------------------------------- */

/* Extents: C channels of a stage, B those of the stage before, T 3 C, B4 4 B, M hidden, R rows of
 * the table of biases, H heads, K classes; IN, PATCH of an image. */
enum { C = 1, B4, T, M, R, H, K, IN, PATCH };

typedef struct row {
    const char *name;
    int8_t rank;
    int8_t dims[4];
} row;

static const row embed_rows[DFQI_SWIN_EMBED] = {
    {"patch_embed.proj.weight", 4, {C, IN, PATCH, PATCH}},
    {"patch_embed.proj.bias", 1, {C}},
    {"patch_embed.norm.weight", 1, {C}},
    {"patch_embed.norm.bias", 1, {C}}};
static const row merge_rows[DFQI_SWIN_MERGE] = {{"downsample.norm.weight", 1, {B4}},
                                                {"downsample.norm.bias", 1, {B4}},
                                                {"downsample.reduction.weight", 2, {C, B4}}};
static const row block_rows[DFQI_SWIN_BLOCK] = {{"norm1.weight", 1, {C}},
                                                {"norm1.bias", 1, {C}},
                                                {"attn.relative_position_bias_table", 2, {R, H}},
                                                {"attn.qkv.weight", 2, {T, C}},
                                                {"attn.qkv.bias", 1, {T}},
                                                {"attn.proj.weight", 2, {C, C}},
                                                {"attn.proj.bias", 1, {C}},
                                                {"norm2.weight", 1, {C}},
                                                {"norm2.bias", 1, {C}},
                                                {"mlp.fc1.weight", 2, {M, C}},
                                                {"mlp.fc1.bias", 1, {M}},
                                                {"mlp.fc2.weight", 2, {C, M}},
                                                {"mlp.fc2.bias", 1, {C}}};
static const row tail_rows[DFQI_SWIN_TAIL] = {{"norm.weight", 1, {C}},
                                              {"norm.bias", 1, {C}},
                                              {"head.fc.weight", 2, {K, C}},
                                              {"head.fc.bias", 1, {K}}};

static int64_t extent(const dfqi_arch *a, int32_t s, int8_t code)
{
    const dfqi_swin_arch *w = &a->of.swin;
    switch (code) {
    case B4:
        return 4 * width_of(a, s - 1);
    case T:
        return 3 * width_of(a, s);
    case M:
        return w->hidden << s;
    case R:
        return (2 * w->window[s].height - 1) * (2 * w->window[s].width - 1);
    case H:
        return w->heads[s];
    case K:
        return a->classes;
    case IN:
        return a->channels;
    case PATCH:
        return w->patch;
    default:
        return width_of(a, s);
    }
}

int32_t dfqi_swin_at(const dfqi_arch *a, int32_t s, int32_t j)
{
    int32_t at = DFQI_SWIN_EMBED;
    for (int32_t k = 0; k <= s; k++) {
        if (k > 0 && !(k == s && j < 0)) at += DFQI_SWIN_MERGE;
        at += DFQI_SWIN_BLOCK * (k < s ? a->of.swin.depth[k] : j < 0 ? 0 : j);
    }
    return at;
}

int32_t dfqi_swin_count(const dfqi_arch *a)
{
    int32_t last = a->of.swin.stages - 1;
    return dfqi_swin_at(a, last, a->of.swin.depth[last]) + DFQI_SWIN_TAIL;
}

static dfqi_expect *expect_rows(const dfqi_arch *a, int32_t s, const char *prefix, const row *rows,
                                int32_t n, dfqi_expect *out)
{
    for (int32_t i = 0; i < n; i++, out++) {
        memset(out, 0, sizeof *out);
        snprintf(out->name, sizeof out->name, "%s%s", prefix, rows[i].name);
        out->rank = rows[i].rank;
        for (int32_t k = 0; k < out->rank; k++) out->dims[k] = extent(a, s, rows[i].dims[k]);
    }
    return out;
}

void dfqi_swin_expect(const dfqi_arch *a, dfqi_expect *out)
{
    char prefix[48];
    int32_t last = a->of.swin.stages - 1;
    out = expect_rows(a, 0, "", embed_rows, DFQI_SWIN_EMBED, out);
    for (int32_t s = 0; s <= last; s++) {
        snprintf(prefix, sizeof prefix, "layers.%d.", s);
        if (s > 0) out = expect_rows(a, s, prefix, merge_rows, DFQI_SWIN_MERGE, out);
        for (int32_t j = 0; j < a->of.swin.depth[s]; j++) {
            snprintf(prefix, sizeof prefix, "layers.%d.blocks.%d.", s, j);
            out = expect_rows(a, s, prefix, block_rows, DFQI_SWIN_BLOCK, out);
        }
    }
    expect_rows(a, last, "", tail_rows, DFQI_SWIN_TAIL, out);
}

/* -- forward ----------------------------------------------------------------------------------- */

/* A block and where its taps go. */
typedef struct block {
    char name[48];
    dfqi_windowing windows;
    dfqi_attention attention;
    float eps;
    int64_t index; /* of its taps */
    dfqi_taps *taps;
} block;

static const char *named(const block *b, const char *what, char text[96])
{
    snprintf(text, 96, "%s.%s", b->name, what);
    return text;
}

/* Scores: softmax(scale (q k^T + (bias + mask) / scale)), so that raw products are those that the
 * losses of heads look at, and their gradient passes unchanged. */
static dfqi_id attend(dfqi_graph *g, const block *b, const dfqi_id *p, dfqi_id qkv)
{
    char name[96];
    const dfqi_attention *t = &b->attention;
    const float scale = 1.0f / sqrtf((float)t->width);
    dfqi_id q = dfqi_split_window_heads(g, qkv, t->windows, t->heads, 3);
    dfqi_id k = dfqi_graph_output(g, q, 1), v = dfqi_graph_output(g, q, 2);
    dfqi_id raw = dfqi_matmul_nt(g, named(b, "attn.qk", name), q, k);
    dfqi_id bias = dfqi_relative_bias(g, p[2], b->windows.window, 1.0f / scale);
    dfqi_id map = dfqi_softmax(g, dfqi_window_bias(g, raw, bias, &b->windows, mask / scale), scale);
    dfqi_graph_probe(g, map, "%s", named(b, "attn.map", name));
    dfqi_id out = dfqi_matmul_nn(g, named(b, "attn.av", name), map, v);
    if (b->taps->raw) b->taps->raw[b->index] = raw;
    if (b->taps->attn) b->taps->attn[b->index] = map;
    if (b->taps->head) b->taps->head[b->index] = out;
    return dfqi_join_window_heads(g, out, t->windows);
}

static dfqi_id run_block(dfqi_graph *g, const block *b, const dfqi_id *p, dfqi_id x)
{
    char name[96];
    const dfqi_windowing *w = &b->windows;
    const bool whole = dfqi_same_size(w->window, w->map);
    dfqi_id y = dfqi_layernorm(g, x, p[0], p[1], b->eps);
    if (!whole) y = dfqi_windows(g, y, w);
    y = attend(g, b, p, dfqi_linear(g, named(b, "attn.qkv", name), y, p[3], p[4]));
    if (!whole) y = dfqi_unwindow(g, y, w);
    x = dfqi_add(g, x, dfqi_linear(g, named(b, "attn.proj", name), y, p[5], p[6]));
    y = dfqi_layernorm(g, x, p[7], p[8], b->eps);
    y = dfqi_gelu(g, dfqi_linear(g, named(b, "mlp.fc1", name), y, p[9], p[10]));
    x = dfqi_add(g, x, dfqi_linear(g, named(b, "mlp.fc2", name), y, p[11], p[12]));
    dfqi_graph_probe(g, x, "%s", b->name);
    return x;
}

/* The tokens of stage s - 1, in squares, become those of stage s. */
static dfqi_id merge(const dfqi_arch *a, dfqi_graph *g, int32_t s, const dfqi_id *p, dfqi_id x)
{
    char name[48];
    const dfqi_size map = dfqi_swin_map(a, s - 1);
    snprintf(name, sizeof name, "layers.%d.downsample.reduction", s);
    x = dfqi_layernorm(g, dfqi_merge(g, x, map.height, map.width), p[0], p[1], a->eps);
    return dfqi_linear(g, name, x, p[2], DFQI_NONE);
}

void dfqi_swin_forward(const dfqi_arch *a, dfqi_graph *g, const dfqi_id *p, dfqi_id x,
                       dfqi_taps *taps)
{
    const dfqi_swin_arch *w = &a->of.swin;
    block b = {.eps = a->eps, .taps = taps};
    x = dfqi_linear(g, "patch_embed.proj", dfqi_patchify(g, x, w->patch), p[0], p[1]);
    x = dfqi_layernorm(g, x, p[2], p[3], a->eps);
    for (int32_t s = 0; s < w->stages; s++) {
        if (s > 0) x = merge(a, g, s, p + dfqi_swin_at(a, s, -1), x);
        for (int32_t j = 0; j < w->depth[s]; j++, b.index++) {
            snprintf(b.name, sizeof b.name, "layers.%d.blocks.%d", s, j);
            b.windows = dfqi_swin_windows(a, s, j);
            dfqi_swin_attention(a, b.index, &b.attention);
            x = run_block(g, &b, p + dfqi_swin_at(a, s, j), x);
        }
    }
    p += dfqi_swin_count(a) - DFQI_SWIN_TAIL;
    const int64_t tokens = dfqi_area(dfqi_swin_map(a, w->stages - 1));
    x = dfqi_layernorm(g, x, p[0], p[1], a->eps);
    x = dfqi_mean_pool(g,
                       dfqi_reshape(g, x, 3, (int64_t[]){tokens, 1, width_of(a, w->stages - 1)}));
    taps->logits = dfqi_linear(g, "head.fc", x, p[2], p[3]);
}
