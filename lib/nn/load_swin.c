/* Loading Swin transformers: finds the architecture from shapes, and the image from masks, names or
 * the usual ratio of a window to it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "io/json.h"
#include "nn/swin.h"

static const char timm[] = "a Swin transformer with timm's names is expected";

/* -- what is not ours -------------------------------------------------------------------------- */

/* Tensors that Swin V2 has in place of the table of biases. */
static const char *second_version(const dfqi_safetensors *st)
{
    static const char *const marks[] = {".cpb_mlp.", ".continuous_position_bias_mlp."};
    for (int64_t i = 0; i < st->n_entries; i++)
        for (int k = 0; k < 2; k++)
            if (strstr(st->entries[i].name, marks[k])) return st->entries[i].name;
    return NULL;
}

static bool fits(const dfqi_safetensors *st)
{
    return dfqi_st_find(st, "layers.0.blocks.0.attn.relative_position_bias_table") ||
           second_version(st);
}

enum { IMAGE_MAX = 4096 };

/* -- sizes from shapes ------------------------------------------------------------------------- */

static int64_t square_root(int64_t n)
{
    if (n < 1 || n > DFQI_EXTENT_MAX) return -1;
    int64_t r = (int64_t)sqrt((double)n);
    return r * r == n ? r : -1;
}

/* Blocks of stage s. */
static int32_t count_blocks(const dfqi_safetensors *st, int32_t s)
{
    char name[64];
    for (int32_t j = 0;; j++) {
        snprintf(name, sizeof name, "layers.%d.blocks.%d.norm1.weight", s, j);
        if (j >= DFQI_SWIN_DEPTH || !dfqi_st_find(st, name)) return j;
    }
}

/* Depth, heads and window of stage s. */
static dfq_status find_stage(const dfqi_safetensors *st, const char *path, int32_t s, dfqi_arch *a)
{
    const dfq_tensor *table;
    char name[96];
    dfqi_swin_arch *w = &a->of.swin;
    snprintf(name, sizeof name, "layers.%d.blocks.0.attn.relative_position_bias_table", s);
    DFQI_TRY(dfqi_need_tensor(st, path, name, 2, timm, &table));
    const int64_t rows = table->dims[0], heads = table->dims[1], reach = square_root(rows);
    enum { REACH_MAX = 2 * DFQI_SWIN_WINDOW - 1 };
    if (rows < 1 || rows % 2 == 0 || rows > REACH_MAX * REACH_MAX || heads < 1 ||
        heads > w->width << s || (w->width << s) % heads)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: tensor %s is %lld,%lld; rows must be a product of odd numbers up to "
                         "%d (of windows), columns heads that divide %lld channels",
                         path, name, (long long)rows, (long long)heads, REACH_MAX,
                         (long long)(w->width << s));
    w->depth[s] = count_blocks(st, s);
    w->rows[s] = rows;
    if (reach > 0) w->window[s] = w->table[s] = dfqi_square((reach + 1) / 2);
    w->heads[s] = (int32_t)heads;
    return DFQ_OK;
}

static dfq_status from_shapes(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    const dfq_tensor *proj, *fc1, *head;
    dfqi_swin_arch *w = &a->of.swin;
    DFQI_TRY(dfqi_need_tensor(st, path, "patch_embed.proj.weight", 4, timm, &proj));
    DFQI_TRY(dfqi_need_tensor(st, path, "layers.0.blocks.0.mlp.fc1.weight", 2, timm, &fc1));
    DFQI_TRY(dfqi_need_tensor(st, path, "head.fc.weight", 2, timm, &head));
    w->width = proj->dims[0];
    w->patch = proj->dims[2];
    w->hidden = fc1->dims[0];
    a->channels = proj->dims[1];
    a->classes = head->dims[0];
    if (w->width < 1 || w->width > 1 << 16 || w->patch < 1 || w->patch > 64 || w->hidden < 1 ||
        w->hidden > 1 << 18 || a->classes < 1 || a->classes > DFQI_EXTENT_MAX || a->channels != 3)
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: by its tensors width is %lld, patch %lld, channels %lld and hidden "
                         "%lld, which no Swin transformer on colour images has",
                         path, (long long)w->width, (long long)w->patch, (long long)a->channels,
                         (long long)w->hidden);
    while (w->stages < DFQI_SWIN_STAGES && count_blocks(st, w->stages) > 0)
        DFQI_TRY(find_stage(st, path, w->stages++, a));
    if (w->stages > 0) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                     "%s: tensor layers.0.blocks.0.norm1.weight is missing; %s", path, timm);
}

/* -- the image --------------------------------------------------------------------------------- */

/* Some files have the masks of shifted blocks: as many as there are windows, which may stick out.
 * Returns whether there was one. */
static bool image_from_masks(const dfqi_safetensors *st, dfqi_arch *a)
{
    const dfqi_swin_arch *w = &a->of.swin;
    const dfq_tensor *t = dfqi_st_find(st, "layers.0.blocks.1.attn_mask");
    int64_t across = t && t->rank == 3 ? square_root(t->dims[0]) : -1;
    const int64_t window = w->window[0].height;
    if (across < 1 || window < 1 || across > IMAGE_MAX / (w->patch * window)) return false;
    a->image = dfqi_square(across * window * w->patch);
    return true;
}

/* Usually the last stage is one window, and the image has no padding. */
static void assume_image(dfqi_arch *a)
{
    const dfqi_swin_arch *w = &a->of.swin;
    int32_t last = w->stages - 1;
    a->image = dfqi_square((w->window[last].height << last) * w->patch);
}

static dfq_status find(const dfqi_safetensors *st, const char *path, dfqi_arch *a)
{
    const char *second = second_version(st);
    char show[DFQI_SHOW_MAX];
    if (second)
        return dfqi_fail(st->ctx, DFQ_E_UNSUPPORTED,
                         "%s: tensor %.80s belongs to Swin V2, whose cosine attention and "
                         "continuous position bias are not supported; take a Swin of version 1",
                         path, dfqi_show(second, show));
    DFQI_TRY(from_shapes(st, path, a));
    if (a->name[0] == '\0') snprintf(a->name, sizeof a->name, "swin");
    a->eps = 1e-5f;
    dfqi_imagenet_statistics(a);
    bool told = image_from_masks(st, a);
    if (!told) assume_image(a);
    dfqi_vit_transform(a);
    dfqi_prop_from(a, DFQ_SOURCE_ASSUMED);
    a->source[DFQI_PROP_PATCH] = DFQ_SOURCE_TENSOR;
    if (told) a->source[DFQI_PROP_IMAGE] = DFQ_SOURCE_TENSOR;
    return DFQ_OK;
}

/* Windows are squares, cut down to the map where that is shorter: the tables of a map that is no
 * square tell them once it is known. */
static dfq_status told_image(dfq_context *ctx, const char *path, dfqi_size image, dfqi_arch *a)
{
    dfqi_swin_arch *w = &a->of.swin;
    int64_t most = 0;
    if (dfqi_longer(image) > IMAGE_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID, "%s: image is %lld, must be at most %d", path,
                         (long long)dfqi_longer(image), IMAGE_MAX);
    a->image = image;
    for (int32_t s = 0; s < w->stages; s++)
        if (w->window[s].height > most) most = w->window[s].height;
    for (int32_t s = 0; s < w->stages && !dfqi_is_square(image); s++) {
        const dfqi_size map = dfqi_swin_map(a, s);
        const dfqi_size cut = {map.height < most ? map.height : most,
                               map.width < most ? map.width : most};
        if ((2 * cut.height - 1) * (2 * cut.width - 1) == w->rows[s])
            w->window[s] = w->table[s] = cut;
    }
    return DFQ_OK;
}

static dfq_status check_stage(dfq_context *ctx, const char *path, const dfqi_arch *a, int32_t s)
{
    const dfqi_swin_arch *w = &a->of.swin;
    const dfqi_size map = dfqi_swin_map(a, s), window = w->window[s];
    if (window.height < 1)
        return dfqi_fail(ctx, DFQ_E_SHAPE,
                         "%s: the tables of stage %d have %lld rows, which are those of no square "
                         "window; give height and width of the image by --image 224x160",
                         path, (int)s, (long long)w->rows[s]);
    if (w->joint_fit && (map.height <= window.height) != (map.width <= window.width))
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s: stage %d has a map of %lld x %lld and windows of %lld x %lld, which "
                         "transformers shifts along no axis; take the weights in timm's form",
                         path, (int)s, (long long)map.height, (long long)map.width,
                         (long long)window.height, (long long)window.width);
    return DFQ_OK;
}

static dfq_status check(dfq_context *ctx, const char *path, const dfqi_arch *a)
{
    const dfqi_swin_arch *w = &a->of.swin;
    char text[DFQI_SIZE_TEXT];
    if (dfqi_shorter(a->image) < w->patch || a->image.height % w->patch ||
        a->image.width % w->patch)
        return dfqi_fail(
            ctx, a->source[DFQI_PROP_IMAGE] == DFQ_SOURCE_OPTION ? DFQ_E_INVALID : DFQ_E_SHAPE,
            "%s: image is %s, must be a multiple of the patch, %lld; give another size "
            "by --image",
            path, dfqi_size_text(a->image, text), (long long)w->patch);
    for (int32_t s = 0; s < w->stages; s++) DFQI_TRY(check_stage(ctx, path, a, s));
    return DFQ_OK;
}

/* -- the row ----------------------------------------------------------------------------------- */

static bool needless(const char *name)
{
    static const char mask[] = ".attn_mask";
    size_t n = strlen(name), m = sizeof mask - 1;
    return n > m && strcmp(name + n - m, mask) == 0;
}

static uint64_t hash_padding(uint64_t hash, const dfqi_arch *a)
{
    return dfqi_hash(hash, &a->of.swin.pad_first, sizeof a->of.swin.pad_first);
}

static void describe(const dfqi_arch *a, char *text, size_t size)
{
    snprintf(text, size, "a %lld-block Swin transformer", (long long)dfqi_swin_blocks(a));
}

static dfq_status alike(dfq_context *ctx, const dfqi_arch *teacher, const dfqi_arch *student)
{
    const dfqi_swin_arch *a = &teacher->of.swin, *b = &student->of.swin;
    bool same = a->patch == b->patch && a->width == b->width && a->hidden == b->hidden &&
                a->stages == b->stages && a->pad_first == b->pad_first;
    for (int32_t s = 0; same && s < a->stages; s++)
        same = a->depth[s] == b->depth[s] && a->heads[s] == b->heads[s] &&
               dfqi_same_size(a->window[s], b->window[s]);
    return dfqi_need_same(ctx, teacher, student, same);
}

static dfqi_sizes sizes(const dfqi_arch *a)
{
    const dfqi_swin_arch *w = &a->of.swin;
    return (dfqi_sizes){.patch = w->patch,
                        .width = w->width,
                        .depth = dfqi_swin_blocks(a),
                        .heads = w->heads[0],
                        .hidden = w->hidden,
                        .stages = w->stages,
                        .window = w->window[0].height};
}

static const char *activation(const dfqi_arch *a)
{
    (void)a;
    return "gelu";
}

static bool lacks(const dfqi_arch *a, dfqi_prop p)
{
    return p == DFQI_PROP_PADDING && !dfqi_swin_pads(a);
}

static void assume(const dfqi_naming *naming, dfqi_arch *a)
{
    a->eps = naming->eps;
    a->of.swin.pad_first = naming->pad_first;
    a->of.swin.joint_fit = naming->joint_fit;
    a->source[DFQI_PROP_PADDING] = DFQ_SOURCE_TENSOR; /* names tell the library */
}

const dfqi_family_row dfqi_family_swin = {.names = {"swin"},
                                          .turn = DFQI_TURN_FIRST,
                                          .properties = DFQI_PROP_BIT(PATCH) | DFQI_PROP_BIT(GRID) |
                                                        DFQI_PROP_BIT(PADDING),
                                          .lacks = lacks,
                                          .activation = activation,
                                          .sizes = sizes,
                                          .convolutional = dfqi_never,
                                          .deviation = 0.02f,
                                          .told_image = told_image,
                                          .resize = dfqi_swin_resize,
                                          .fit = dfqi_swin_fit,
                                          .assume = assume,
                                          .fits = fits,
                                          .needless = needless,
                                          .find = find,
                                          .name = dfqi_swin_name,
                                          .contradicts = dfqi_swin_contradicts,
                                          .check = check,
                                          .describe = describe,
                                          .hash = hash_padding,
                                          .alike = alike,
                                          .count = dfqi_swin_count,
                                          .expect = dfqi_swin_expect,
                                          .forward = dfqi_swin_forward,
                                          .blocks = dfqi_swin_blocks,
                                          .attention = dfqi_swin_attention,
                                          .stream = dfqi_swin_stream};
