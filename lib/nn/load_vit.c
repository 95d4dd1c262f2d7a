/* Loading vision transformers: finds the architecture from shapes and metadata. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "nn/vit.h"

static int64_t count_blocks(const dfqi_safetensors *st)
{
    char name[64];
    for (int64_t i = 0;; i++) {
        snprintf(name, sizeof name, "blocks.%d.norm1.weight", (int)i);
        if (i >= 1000 || !dfqi_st_find(st, name)) return i;
    }
}

static int64_t square_root(int64_t n)
{
    if (n < 1 || n > DFQI_EXTENT_MAX) return -1;
    int64_t r = (int64_t)sqrt((double)n);
    return r * r == n ? r : -1;
}

static const char timm[] = "a ViT or DeiT with timm's names is expected";

static dfq_status from_shapes(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    const dfq_tensor *proj, *pos, *fc1, *norm, *head;
    DFQI_TRY(dfqi_need_tensor(st, path, "patch_embed.proj.weight", 4, timm, &proj));
    DFQI_TRY(dfqi_need_tensor(st, path, "pos_embed", 3, timm, &pos));
    DFQI_TRY(dfqi_need_tensor(st, path, "blocks.0.mlp.fc1.weight", 2, timm, &fc1));
    DFQI_TRY(dfqi_need_tensor(st, path, "blocks.0.norm1.weight", 1, timm, &norm));
    DFQI_TRY(dfqi_need_tensor(st, path, "head.weight", 2, timm, &head));
    a->of.vit.width = proj->dims[0];
    a->channels = proj->dims[1];
    a->of.vit.patch = proj->dims[2];
    a->of.vit.depth = count_blocks(st);
    a->of.vit.hidden = fc1->dims[0];
    a->classes = head->dims[0];
    int64_t side = square_root(pos->dims[1] - 1);
    if (a->of.vit.width < 1 || a->of.vit.width > DFQI_EXTENT_MAX || a->of.vit.patch < 1 ||
        a->of.vit.patch > 1024 || a->of.vit.hidden < 1 || a->of.vit.hidden > DFQI_EXTENT_MAX ||
        a->classes < 1 || a->classes > DFQI_EXTENT_MAX || a->channels != 3 || side < 1 ||
        side > 1024)
        return dfqi_fail(
            st->ctx, DFQ_E_SHAPE,
            "%s: by its tensors width is %lld, patch %lld, channels %lld and positions %lld, which "
            "no vision transformer on square colour images with one class token has",
            path, (long long)a->of.vit.width, (long long)a->of.vit.patch, (long long)a->channels,
            (long long)pos->dims[1]);
    a->image = side * a->of.vit.patch;
    return DFQ_OK;
}

/* 64 channels make a head in timm's networks up to ViT-Large; larger ones have 72 to 104. */
static int64_t guess_heads(int64_t width)
{
    enum { HEAD = 64, SURE = 1024 };
    return width % HEAD == 0 && width <= SURE ? width / HEAD : 0;
}

static dfq_status check(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    bool named = strcmp(a->name, "vit") != 0;
    if (a->of.vit.heads == 0)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: the tensors%s%s do not tell the number of attention heads at a width "
                         "of %lld; give it by --heads N, by the metadata key \"heads\", or by "
                         "timm's name of an architecture of this width with patches of %lld",
                         path, named ? " and the name " : "", named ? a->name : "",
                         (long long)a->of.vit.width, (long long)a->of.vit.patch);
    if (a->of.vit.width % a->of.vit.heads)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: width is %lld, must be a multiple of heads, %lld; give the number of "
                         "heads by --heads or by the metadata key \"heads\"",
                         path, (long long)a->of.vit.width, (long long)a->of.vit.heads);
    return DFQ_OK;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    DFQI_TRY(from_shapes(st, path, a));
    if (a->name[0] == '\0') snprintf(a->name, sizeof a->name, "vit");
    a->eps = 1e-6f;
    a->of.vit.heads = guess_heads(a->of.vit.width);
    if (a->name[0] == 'd') /* DeiT was trained with ImageNet's statistics, ViT with 0.5 */
        dfqi_imagenet_statistics(a);
    else
        for (int c = 0; c < 3; c++) a->mean[c] = a->std[c] = 0.5f;
    dfqi_vit_transform(a);
    dfqi_prop_from(a, DFQ_SOURCE_ASSUMED);
    a->source[DFQI_PROP_PATCH] = DFQ_SOURCE_TENSOR;
    return DFQ_OK;
}

static bool fits(const dfqi_safetensors *st)
{
    if (dfqi_family_swin.fits(st)) return false; /* which embeds patches as well */
    return dfqi_st_find(st, "patch_embed.proj.weight") || dfqi_st_find(st, "pos_embed");
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    snprintf(text, size, "a %lld-block vision transformer", (long long)a->of.vit.depth);
}

static uint64_t hash_heads(uint64_t hash, const dfqi_arch *a)
{
    return dfqi_hash(hash, &a->of.vit.heads, sizeof a->of.vit.heads);
}

static dfq_status alike(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student)
{
    const dfqi_vit_arch *a = &teacher->of.vit, *b = &student->of.vit;
    return dfqi_need_same(ctx, teacher, student, memcmp(a, b, sizeof *a) == 0);
}

static int64_t blocks(const dfqi_arch *a)
{
    return a->of.vit.depth;
}

static void attention(const dfqi_arch *a, int64_t block, dfqi_attention *out)
{
    const dfqi_vit_arch *v = &a->of.vit;
    const int64_t side = a->image / v->patch;
    (void)block; /* all are alike */
    *out = (dfqi_attention){.heads = v->heads,
                            .windows = 1,
                            .tokens = side * side + 1,
                            .width = v->width / v->heads,
                            .drop = 1};
}

const dfqi_family_row dfqi_family_vit = {.names = {"vit", "deit"},
                                         .fits = fits,
                                         .find = find,
                                         .name = dfqi_vit_name,
                                         .check = check,
                                         .describe = describe,
                                         .hash = hash_heads,
                                         .alike = alike,
                                         .count = dfqi_vit_count,
                                         .expect = dfqi_vit_expect,
                                         .forward = dfqi_vit_forward,
                                         .blocks = blocks,
                                         .attention = attention,
                                         .stream = dfqi_vit_stream};
