/* Reads config.json of transformers and of timm, and preprocessor_config.json, as metadata. */
#include "nn/config.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/folder.h"
#include "io/json.h"
#include "nn/family.h"

enum { VALUE_MAX = 128 };

/* -- metadata ---------------------------------------------------------------------------------- */

static dfq_status add(dfqi_safetensors *st, const char *key, const char *value)
{
    return dfqi_st_meta_add(st, key, value);
}

static dfq_status add_int(dfqi_safetensors *st, const char *key, int64_t v)
{
    char text[VALUE_MAX];
    dfqi_print(text, sizeof text, "%lld", (long long)v);
    return add(st, key, text);
}

/* Member `from`, if there is one, as metadata `key`. */
static dfq_status take_int(dfqi_safetensors *st, dfqi_jnode at, const char *from, const char *key)
{
    int64_t v;
    if (!dfqi_json_has(at, from)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_int(at, from, 0, INT32_MAX, &v));
    return add_int(st, key, v);
}

static dfq_status take_real(dfqi_safetensors *st, dfqi_jnode at, const char *from, const char *key)
{
    char text[VALUE_MAX];
    double v;
    if (!dfqi_json_has(at, from)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_real(at, from, 0, 1, &v));
    dfqi_print(text, sizeof text, "%.9g", v);
    return add(st, key, text);
}

static dfq_status take_text(dfqi_safetensors *st, dfqi_jnode at, const char *from, const char *key)
{
    const char *v;
    if (!dfqi_json_has(at, from)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_text(at, from, &v));
    return add(st, key, v);
}

/* Three numbers, one for each colour. */
static dfq_status take_colours(dfqi_safetensors *st, dfqi_jnode at, const char *from,
                               const char *key)
{
    dfqi_jnode list;
    char text[VALUE_MAX];
    double v[3];
    if (!dfqi_json_has(at, from)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_array(at, from, &list));
    DFQI_TRY(dfqi_json_need_count(list, 3));
    for (int c = 0; c < 3; c++)
        DFQI_TRY(dfqi_json_get_real(dfqi_json_at(list, c), NULL, -10, 10, &v[c]));
    dfqi_print(text, sizeof text, "%.9g,%.9g,%.9g", v[0], v[1], v[2]);
    return add(st, key, text);
}

/* transformers' names for classes that nobody named */
static bool is_placeholder(const char *name)
{
    static const char mark[] = "LABEL_";
    const size_t n = sizeof mark - 1;
    return strncmp(name, mark, n) == 0 && strspn(name + n, "0123456789") == strlen(name + n);
}

/* Names of classes, {"0": "tench", ...}, as metadata. */
static dfq_status take_names(dfqi_safetensors *st, dfqi_jnode root)
{
    static const char key[] = "id2label";
    const char *class, *name;
    char *text = NULL;
    size_t size;
    bool named = false;
    void *iter = NULL;
    dfqi_jnode from, to, at;
    dfqi_json *doc;
    if (!dfqi_json_has(root, key) || dfqi_st_meta_find(st, key)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_object(root, key, &from));
    DFQI_TRY(dfqi_json_new(st->ctx, key, &doc));
    to = dfqi_json_root(doc);
    dfq_status status = DFQ_OK;
    while (status == DFQ_OK && dfqi_json_next(from, &iter, &class, &at)) {
        status = dfqi_json_get_text(at, NULL, &name);
        if (status != DFQ_OK) break;
        dfqi_json_put_text(to, class, name);
        named |= !is_placeholder(name);
    }
    if (status == DFQ_OK) status = dfqi_json_dump(doc, 0, false, &text, &size);
    if (status == DFQ_OK && named) status = add(st, key, text);
    dfqi_free(st->ctx, text);
    dfqi_json_release(doc);
    return status;
}

/* timm's names, and words that describe them: {"0": ["n01440764", "tench"], ...} */
static dfq_status take_timm_names(dfqi_safetensors *st, dfqi_jnode root)
{
    static const char key[] = "id2label";
    const char *name, *words;
    char number[VALUE_MAX], *text = NULL;
    size_t size;
    dfqi_jnode from, to, about = root;
    dfqi_json *doc;
    bool told = dfqi_json_has(root, "label_descriptions");
    if (!dfqi_json_is_array(root, "label_names") || dfqi_st_meta_find(st, key)) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_array(root, "label_names", &from));
    if (told) DFQI_TRY(dfqi_json_get_object(root, "label_descriptions", &about));
    DFQI_TRY(dfqi_json_new(st->ctx, key, &doc));
    dfq_status status = DFQ_OK;
    for (int64_t i = 0; i < dfqi_json_count(from) && status == DFQ_OK; i++) {
        dfqi_print(number, sizeof number, "%lld", (long long)i);
        status = dfqi_json_get_text(dfqi_json_at(from, i), NULL, &name);
        if (status != DFQ_OK) break;
        if (!told || !dfqi_json_is_text(about, name)) {
            dfqi_json_put_text(dfqi_json_root(doc), number, name);
            continue;
        }
        status = dfqi_json_get_text(about, name, &words);
        to = dfqi_json_put_array(dfqi_json_root(doc), number);
        dfqi_json_put_text(to, NULL, name);
        dfqi_json_put_text(to, NULL, words);
    }
    if (status == DFQ_OK) status = dfqi_json_dump(doc, 0, false, &text, &size);
    if (status == DFQ_OK) status = add(st, key, text);
    dfqi_free(st->ctx, text);
    dfqi_json_release(doc);
    return status;
}

/* -- what the tensors tell as well ------------------------------------------------------------- */

static const char window_key[] = "window_size", classes_key[] = "num_classes";

/* Sizes that transformers' configuration has of a network, and where these are in a dfqi_sizes. */
static const struct {
    const char *key, *what;
    size_t at;
} sizes[] = {{"hidden_size", "width", offsetof(dfqi_sizes, width)},
             {"embed_dim", "width", offsetof(dfqi_sizes, width)},
             {"num_hidden_layers", "depth", offsetof(dfqi_sizes, depth)},
             {"patch_size", "patches", offsetof(dfqi_sizes, patch)},
             {window_key, "windows", offsetof(dfqi_sizes, window)}};

enum { N_SIZES = sizeof sizes / sizeof sizes[0], HIDDEN_SIZE = 0 };

/* Keeps them as metadata for dfqi_config_check(). The hidden_size of a Swin is that of its last
 * stage. */
static dfq_status keep_sizes(dfqi_safetensors *st, dfqi_jnode root)
{
    const bool stages = dfqi_json_has(root, "embed_dim");
    char key[VALUE_MAX];
    for (size_t k = stages ? HIDDEN_SIZE + 1 : 0; k < N_SIZES; k++) {
        dfqi_print(key, sizeof key, DFQI_CONFIG_KEYS "%s", sizes[k].key);
        if (!dfqi_json_is_array(root, sizes[k].key))
            DFQI_TRY(take_int(st, root, sizes[k].key, key));
    }
    return DFQ_OK;
}

static int64_t kept(const dfqi_safetensors *st, const char *key)
{
    char text[VALUE_MAX];
    dfqi_print(text, sizeof text, DFQI_CONFIG_KEYS "%s", key);
    const char *value = dfqi_st_meta_find(st, text);
    return value ? strtoll(value, NULL, 10) : -1;
}

/* Windows are cut down to the map. */
static bool agrees(const dfqi_arch *a, const dfqi_sizes *have, const char *key, int64_t told,
                   int64_t size)
{
    if (key != window_key || size >= told) return told == size;
    return size > 0 && (a->image.height == 0 || size == dfqi_longer(a->image) / have->patch);
}

dfq_status dfqi_config_check(const dfqi_safetensors *st, const char *path, const dfqi_arch *a)
{
    const dfqi_sizes have = dfqi_arch_sizes(a);
    for (size_t k = 0; k < N_SIZES && have.width > 0; k++) {
        const int64_t told = kept(st, sizes[k].key);
        int64_t size;
        memcpy(&size, (const char *)&have + sizes[k].at, sizeof size);
        if (told < 0 || agrees(a, &have, sizes[k].key, told, size)) continue;
        return dfqi_fail(st->ctx, DFQ_E_SHAPE,
                         "%s: the configuration beside it says %s %lld, the tensors have %s of "
                         "%lld; give the configuration of this network, or move it away",
                         path, sizes[k].key, (long long)told, sizes[k].what, (long long)size);
    }
    const int64_t classes = kept(st, classes_key);
    if (classes > 0 && classes != a->classes && !dfqi_arch_is_backbone(a))
        dfqi_log(st->ctx, DFQ_LOG_WARNING,
                 "%s: the configuration beside it says %lld classes, the tensors have %lld, which "
                 "count",
                 path, (long long)classes, (long long)a->classes);
    return DFQ_OK;
}

/* -- the files --------------------------------------------------------------------------------- */

static dfq_status get_side(dfqi_jnode at, const char *key, int64_t *out)
{
    return dfqi_json_get_int(at, key, 1, INT32_MAX, out);
}

static dfq_status add_size(dfqi_safetensors *st, const char *key, dfqi_size size)
{
    char text[DFQI_SIZE_TEXT];
    return add(st, key, dfqi_size_text(size, text));
}

/* timm's "pretrained_cfg" */
static dfq_status read_timm(dfqi_safetensors *st, dfqi_jnode root)
{
    dfqi_jnode c = root, size;
    dfqi_size image;
    DFQI_TRY(take_text(st, root, "architecture", "architecture"));
    DFQI_TRY(take_text(st, root, "global_pool", "pooling"));
    DFQI_TRY(take_timm_names(st, root));
    DFQI_TRY(take_int(st, root, classes_key, DFQI_CONFIG_KEYS "num_classes"));
    if (dfqi_json_has(root, "pretrained_cfg"))
        DFQI_TRY(dfqi_json_get_object(root, "pretrained_cfg", &c));
    DFQI_TRY(take_colours(st, c, "mean", "mean"));
    DFQI_TRY(take_colours(st, c, "std", "std"));
    DFQI_TRY(take_real(st, c, "crop_pct", "crop_pct"));
    DFQI_TRY(take_text(st, c, "interpolation", "interpolation"));
    if (!dfqi_json_has(c, "input_size")) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_array(c, "input_size", &size));
    DFQI_TRY(dfqi_json_need_count(size, 3));
    DFQI_TRY(get_side(dfqi_json_at(size, 1), NULL, &image.height));
    DFQI_TRY(get_side(dfqi_json_at(size, 2), NULL, &image.width));
    return add_size(st, "image", image);
}

static dfq_status flag(dfqi_jnode at, const char *key, bool *out)
{
    return dfqi_json_has(at, key) ? dfqi_json_get_bool(at, key, out) : DFQ_OK;
}

/* A number, or height and width. */
static dfq_status take_image(dfqi_safetensors *st, dfqi_jnode root)
{
    static const char key[] = "image_size";
    dfqi_jnode pair;
    dfqi_size image;
    if (!dfqi_json_has(root, key) || dfqi_json_get_array(root, key, &pair) != DFQ_OK)
        return take_int(st, root, key, "image");
    DFQI_TRY(dfqi_json_need_count(pair, 2));
    DFQI_TRY(get_side(dfqi_json_at(pair, 0), NULL, &image.height));
    DFQI_TRY(get_side(dfqi_json_at(pair, 1), NULL, &image.width));
    return add_size(st, "image", image);
}

static dfq_status read_transformers(dfqi_safetensors *st, dfqi_jnode root)
{
    bool gated = false;
    DFQI_TRY(take_int(st, root, "num_attention_heads", "heads"));
    DFQI_TRY(take_real(st, root, "layer_norm_eps", "eps"));
    DFQI_TRY(take_names(st, root));
    DFQI_TRY(keep_sizes(st, root));
    DFQI_TRY(
        flag(root, "use_swiglu_ffn", &gated)); /* whose gates have an activation of their own */
    DFQI_TRY(gated ? add(st, "activation", "silu")
                   : take_text(st, root, "hidden_act", "activation"));
    return take_image(st, root);
}

/* A number, or the sides, or the shorter side. */
static dfq_status read_size(dfqi_jnode at, const char *key, dfqi_size *out)
{
    static const char shorter[] = "shortest_edge";
    dfqi_jnode size;
    const bool pair = dfqi_json_get_object(at, key, &size) == DFQ_OK;
    if (pair && !dfqi_json_has(size, shorter)) {
        DFQI_TRY(get_side(size, "height", &out->height));
        if (dfqi_json_has(size, "width")) return get_side(size, "width", &out->width);
    } else {
        DFQI_TRY(get_side(pair ? size : at, pair ? shorter : key, &out->height));
    }
    out->width = out->height;
    return DFQ_OK;
}

static dfq_status read_preprocessor(dfqi_safetensors *st, dfqi_jnode root)
{
    static const char *const filters[] = {"nearest", "lanczos", "bilinear",
                                          "bicubic", "box",     "hamming"};
    bool resize = true, normalize = true;
    dfqi_size size = {0, 0};
    int64_t filter;
    DFQI_TRY(flag(root, "do_resize", &resize));
    DFQI_TRY(flag(root, "do_normalize", &normalize));
    if (normalize) {
        DFQI_TRY(take_colours(st, root, "image_mean", "mean"));
        DFQI_TRY(take_colours(st, root, "image_std", "std"));
    } else {
        DFQI_TRY(add(st, "mean", "0,0,0"));
        DFQI_TRY(add(st, "std", "1,1,1"));
    }
    if (resize && dfqi_json_has(root, "size")) DFQI_TRY(read_size(root, "size", &size));
    if (!resize || size.height > 0) DFQI_TRY(add_size(st, "resize", size));
    if (!dfqi_json_has(root, "resample")) return DFQ_OK;
    DFQI_TRY(dfqi_json_get_int(root, "resample", 0, 5, &filter)); /* Pillow's numbers */
    return add(st, "interpolation", filters[filter]);
}

/* "folder/model.safetensors" -> the bytes of "folder/"; -1: another name. */
static int folder_of(const char *path)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "model.onnx"};
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    for (int k = 0; k < 3; k++)
        if (strcmp(base, names[k]) == 0) return (int)(base - path);
    return -1;
}

/* "net/onnx/" -> the bytes of "net/": exporters for transformers put model.onnx into a folder below
 * that of the configuration; -1: another folder. */
static int folder_above(const char *path, int folder)
{
    static const char name[] = "onnx/";
    const int n = (int)sizeof name - 1;
    if (folder < n || memcmp(path + folder - n, name, (size_t)n) != 0) return -1;
    return folder == n || path[folder - n - 1] == '/' ? folder - n : -1;
}

static dfq_status read_one(dfqi_safetensors *st, const char *path, int folder, int which)
{
    static const char *const names[] = {"config.json", "preprocessor_config.json"};
    dfqi_json *doc = NULL;
    const int above = folder_above(path, folder);
    char *own = dfqi_format(st->ctx, "%.*s%s", folder, path, names[which]);
    if (own && above >= 0 && !dfqi_path_is_file(own)) {
        dfqi_free(st->ctx, own);
        own = dfqi_format(st->ctx, "%.*s%s", above, path, names[which]);
    }
    if (!own) return DFQ_E_NOMEM;
    dfq_status status = DFQ_OK;
    if (dfqi_path_is_file(own)) {
        status = dfqi_json_read(st->ctx, own, &doc);
        if (status == DFQ_OK) {
            dfqi_jnode root = dfqi_json_root(doc);
            status = which                               ? read_preprocessor(st, root)
                     : dfqi_json_has(root, "model_type") ? read_transformers(st, root)
                                                         : read_timm(st, root);
        }
        if (status == DFQ_OK) dfqi_log(st->ctx, DFQ_LOG_INFO, "%s is read as well", own);
    }
    dfqi_json_release(doc);
    dfqi_free(st->ctx, own);
    return status;
}

dfq_status dfqi_config_add(const char *path, dfqi_safetensors *st)
{
    int folder = folder_of(path);
    if (folder < 0) return DFQ_OK;
    DFQI_TRY(read_one(st, path, folder, 0));
    return read_one(st, path, folder, 1);
}
