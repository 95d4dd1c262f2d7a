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

/* What tensors that only some networks have tell: tokens, norms, heads. */
static void from_parts(const dfqi_safetensors *st, dfqi_arch *a)
{
    static const struct {
        const char *name;
        uint32_t part;
    } parts[] = {{"norm_pre.weight", DFQI_VIT_NORM_PRE},
                 {"fc_norm.weight", DFQI_VIT_FC_NORM},
                 {"blocks.0.attn.q_norm.weight", DFQI_VIT_QK_NORM}};
    dfqi_vit_arch *v = &a->of.vit;
    const dfq_tensor *cls = dfqi_st_find(st, "cls_token"), *reg = dfqi_st_find(st, "reg_token");
    const dfq_tensor *q = dfqi_st_find(st, "blocks.0.attn.q_norm.weight");
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
        if (dfqi_st_find(st, parts[k].name)) v->parts |= parts[k].part;
    if (!cls) v->parts |= DFQI_VIT_NO_CLASS;
    if (cls && cls->rank == 3 && cls->dims[1] > 0) v->registers = cls->dims[1] - 1;
    if (!cls && reg && reg->rank == 3) v->registers = reg->dims[1];
    if (q && q->rank == 1 && q->dims[0] > 0 && v->width % q->dims[0] == 0)
        v->heads = v->width / q->dims[0];
    if (dfqi_st_find(st, "head_dist.weight"))
        v->pooling = DFQI_VIT_TOKEN_DISTILLED;
    else if (dfqi_st_find(st, "head_avg.weight"))
        v->pooling = DFQI_VIT_TOKEN_AVG;
    else if (!cls || (v->parts & DFQI_VIT_FC_NORM))
        v->pooling = DFQI_VIT_AVG;
}

static dfq_status from_shapes(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    const dfq_tensor *proj, *pos, *fc1, *fc2, *norm, *head = NULL;
    DFQI_TRY(dfqi_need_tensor(st, path, "patch_embed.proj.weight", 4, timm, &proj));
    DFQI_TRY(dfqi_need_tensor(st, path, "pos_embed", 3, timm, &pos));
    DFQI_TRY(dfqi_need_tensor(st, path, "blocks.0.mlp.fc1.weight", 2, timm, &fc1));
    DFQI_TRY(dfqi_need_tensor(st, path, "blocks.0.mlp.fc2.weight", 2, timm, &fc2));
    DFQI_TRY(dfqi_need_tensor(st, path, "blocks.0.norm1.weight", 1, timm, &norm));
    const bool headless = !dfqi_st_find(st, "head.weight") && !dfqi_st_find(st, "head.bias");
    if (!headless) DFQI_TRY(dfqi_need_tensor(st, path, "head.weight", 2, timm, &head));
    a->of.vit.width = proj->dims[0];
    a->channels = proj->dims[1];
    a->of.vit.patch = proj->dims[2];
    a->of.vit.depth = count_blocks(st);
    a->of.vit.hidden = fc2->dims[1];
    if (fc1->dims[0] == 2 * fc2->dims[1]) { /* SwiGLU */
        a->of.vit.parts |= DFQI_VIT_GATED;
        a->of.vit.activation = DFQI_VIT_SILU;
    }
    a->classes = headless ? a->of.vit.width : head->dims[0]; /* outputs */
    if (headless) a->of.vit.parts |= DFQI_VIT_NO_HEAD;
    from_parts(st, a);
    const int64_t prefix = dfqi_vit_prefix(a), patches = pos->dims[1] - prefix;
    if (a->of.vit.width < 1 || a->of.vit.width > DFQI_EXTENT_MAX || a->of.vit.patch < 1 ||
        a->of.vit.patch > 1024 || a->of.vit.hidden < 1 || a->of.vit.hidden > DFQI_EXTENT_MAX ||
        a->classes < 1 || a->classes > DFQI_EXTENT_MAX || a->channels != 3 || patches < 1 ||
        patches > 1024 * 1024)
        return dfqi_fail(
            st->ctx, DFQ_E_SHAPE,
            "%s: by its tensors width is %lld, patch %lld, channels %lld and positions %lld with "
            "%lld tokens in front of the patches, which no vision transformer on colour images "
            "has",
            path, (long long)a->of.vit.width, (long long)a->of.vit.patch, (long long)a->channels,
            (long long)pos->dims[1], (long long)prefix);
    const int64_t side = square_root(patches);
    a->of.vit.patches = patches;
    if (side > 0) a->of.vit.grid = dfqi_square(side);
    a->image = dfqi_square(side > 0 ? side * a->of.vit.patch : 0);
    return DFQ_OK;
}

/* 64 channels make a head in timm's networks up to ViT-Large; larger ones have 72 to 104. */
static int64_t guess_heads(int64_t width)
{
    enum { HEAD = 64, SURE = 1024 };
    return width % HEAD == 0 && width <= SURE ? width / HEAD : 0;
}

/* Positions say how many patches an image has, and of a square its side: 4 x 9 are as many as
 * 6 x 6. */
static dfq_status told_image(dfq_context *ctx, const char *path, dfqi_size image, dfqi_arch *a)
{
    dfqi_vit_arch *v = &a->of.vit;
    const dfqi_size grid = dfqi_size_over(image, v->patch);
    char told[DFQI_SIZE_TEXT], own[DFQI_SIZE_TEXT];
    if (image.height % v->patch == 0 && image.width % v->patch == 0 && grid.height <= v->patches &&
        grid.width <= v->patches && dfqi_area(grid) == v->patches) {
        v->grid = grid;
        a->image = image;
        if (a->source[DFQI_PROP_RESIZE] == DFQ_SOURCE_ASSUMED) dfqi_vit_transform(a);
        return DFQ_OK;
    }
    if (a->image.height == 0)
        return dfqi_fail(ctx, DFQ_E_SHAPE,
                         "%s: image is %s, must have %lld patches of %lld pixels, as pos_embed has",
                         path, dfqi_size_text(image, told), (long long)v->patches,
                         (long long)v->patch);
    return dfqi_fail(ctx, DFQ_E_SHAPE,
                     "%s: image is %s, must be %s or have as many patches of %lld pixels, %lld, as "
                     "pos_embed has; --image-size interpolates it to another size",
                     path, dfqi_size_text(image, told), dfqi_size_text(a->image, own),
                     (long long)v->patch, (long long)v->patches);
}

static dfq_status check_image(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    const long long prefix = dfqi_vit_prefix(a);
    if (a->image.height > 0) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_SHAPE,
                     "%s: by its tensors there are positions %lld with %lld tokens in front of the "
                     "patches, which are no square; give height and width of the image by --image "
                     "224x160, or by the metadata key \"image\"",
                     path, (long long)a->of.vit.patches + prefix, prefix);
}

static dfq_status check(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    bool named = strcmp(a->name, "vit") != 0;
    DFQI_TRY(check_image(ctx, path, a));
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
    if ((a->of.vit.parts & DFQI_VIT_NO_CLASS) && a->of.vit.pooling != DFQI_VIT_AVG)
        return dfqi_fail(ctx, DFQ_E_CORRUPT,
                         "%s: pooling is %s, must be avg, since there is no class token", path,
                         dfqi_pooling_word(a));
    return DFQ_OK;
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    DFQI_TRY(from_shapes(st, path, a));
    if (a->name[0] == '\0') snprintf(a->name, sizeof a->name, "vit");
    a->eps = a->of.vit.parts & DFQI_VIT_NORM_PRE ? 1e-5f : 1e-6f; /* as CLIP has it */
    const bool heads_told = a->of.vit.heads > 0;
    if (!heads_told) a->of.vit.heads = guess_heads(a->of.vit.width);
    if (a->name[0] == 'd') /* DeiT was trained with ImageNet's statistics, ViT with 0.5 */
        dfqi_imagenet_statistics(a);
    else
        for (int c = 0; c < 3; c++) a->mean[c] = a->std[c] = 0.5f;
    dfqi_vit_transform(a);
    dfqi_prop_from(a, DFQ_SOURCE_ASSUMED);
    a->source[DFQI_PROP_PATCH] = DFQ_SOURCE_TENSOR;
    if (heads_told) a->source[DFQI_PROP_HEADS] = DFQ_SOURCE_TENSOR;
    if ((a->of.vit.parts & DFQI_VIT_NO_CLASS) || a->of.vit.pooling > DFQI_VIT_AVG)
        a->source[DFQI_PROP_POOLING] = DFQ_SOURCE_TENSOR;
    return DFQ_OK;
}

static bool fits(const dfqi_safetensors *st)
{
    return dfqi_st_find(st, "patch_embed.proj.weight") || dfqi_st_find(st, "pos_embed");
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    snprintf(text, size, "a %lld-block vision transformer", (long long)a->of.vit.depth);
}

static uint64_t hash_told(uint64_t hash, const dfqi_arch *a)
{
    const dfqi_vit_arch *v = &a->of.vit;
    hash = dfqi_hash(hash, &v->heads, sizeof v->heads);
    if (v->pooling != DFQI_VIT_TOKEN) hash = dfqi_hash(hash, &v->pooling, sizeof v->pooling);
    if (v->activation != DFQI_VIT_GELU)
        hash = dfqi_hash(hash, &v->activation, sizeof v->activation);
    return hash;
}

static dfq_status alike(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student)
{
    const dfqi_vit_arch *a = &teacher->of.vit, *b = &student->of.vit;
    return dfqi_need_same(ctx, teacher, student,
                          a->patch == b->patch && a->width == b->width && a->depth == b->depth &&
                              a->heads == b->heads && a->hidden == b->hidden &&
                              a->registers == b->registers && a->pooling == b->pooling &&
                              a->activation == b->activation && a->parts == b->parts);
}

static int64_t blocks(const dfqi_arch *a)
{
    return a->of.vit.depth;
}

static void attention(const dfqi_arch *a, int64_t block, dfqi_attention *out)
{
    const dfqi_vit_arch *v = &a->of.vit;
    const int64_t prefix = dfqi_vit_prefix(a);
    const dfqi_size grid = dfqi_size_over(a->image, v->patch);
    (void)block; /* all are alike */
    *out = (dfqi_attention){.heads = v->heads,
                            .windows = 1,
                            .tokens = dfqi_area(grid) + prefix,
                            .width = v->width / v->heads,
                            .drop = prefix,
                            .grid = grid};
}

static dfqi_sizes sizes(const dfqi_arch *a)
{
    const dfqi_vit_arch *v = &a->of.vit;
    return (dfqi_sizes){.patch = v->patch,
                        .width = v->width,
                        .depth = v->depth,
                        .heads = v->heads,
                        .hidden = v->hidden};
}

static const char *activation(const dfqi_arch *a)
{
    return dfqi_vit_activation_words[a->of.vit.activation];
}

static const char *pooling(const dfqi_arch *a)
{
    return dfqi_vit_pooling_words[a->of.vit.pooling];
}

static const char *unrotatable(const dfqi_arch *a)
{
    const bool pre = (a->of.vit.parts & DFQI_VIT_NORM_PRE) != 0;
    return pre ? "its first norm has a factor for each channel of the stream" : NULL;
}

/* CLIP's norms have an eps of their own. */
static void assume(const dfqi_naming *naming, dfqi_arch *a)
{
    if (!(a->of.vit.parts & DFQI_VIT_NORM_PRE)) a->eps = naming->eps;
}

const dfqi_family_row dfqi_family_vit = {.names = {"vit", "deit"},
                                         .properties = DFQI_PROP_BIT(PATCH) | DFQI_PROP_BIT(GRID) |
                                                       DFQI_PROP_BIT(HEADS),
                                         .activation = activation,
                                         .pooling = pooling,
                                         .told_activation = true,
                                         .sizes = sizes,
                                         .convolutional = dfqi_never,
                                         .deviation = 0.02f,
                                         .told_image = told_image,
                                         .fit = dfqi_vit_fit,
                                         .assume = assume,
                                         .fits = fits,
                                         .find = find,
                                         .name = dfqi_vit_name,
                                         .contradicts = dfqi_vit_contradicts,
                                         .check = check,
                                         .describe = describe,
                                         .hash = hash_told,
                                         .alike = alike,
                                         .count = dfqi_vit_count,
                                         .expect = dfqi_vit_expect,
                                         .forward = dfqi_vit_forward,
                                         .blocks = blocks,
                                         .attention = attention,
                                         .stream = dfqi_vit_stream,
                                         .unrotatable = unrotatable};
