/* Reads the sizes of images that metadata and options tell: of the input, in place of the input's
 * own, and of pictures before the crop. */
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "io/json.h"
#include "nn/family.h"
#include "nn/meta_priv.h"

/* image: of networks that take any */
enum { IMAGE_MIN = 8, IMAGE_MAX = 1024, RESIZE_MAX = 16384, IMAGE_SIZE_MAX = 4096 };

const char *dfqi_size_text(dfqi_size s, char text[DFQI_SIZE_TEXT])
{
    const long long height = s.height, width = s.width;
    if (dfqi_is_square(s))
        snprintf(text, DFQI_SIZE_TEXT, "%lld", height);
    else
        snprintf(text, DFQI_SIZE_TEXT, "%lldx%lld", height, width);
    return text;
}

/* -- metadata ---------------------------------------------------------------------------------- */

static bool parse_extent(const char **text, int64_t lo, int64_t hi, int64_t *out)
{
    char *end;
    const double v = dfqi_parse_real(*text, &end);
    if (end == *text || !(v >= (double)lo && v <= (double)hi) || v != floor(v)) return false;
    *text = end;
    *out = (int64_t)v;
    return true;
}

/* "224", or "224x160": height and width. */
static bool parse_size(const char *text, int64_t lo, int64_t hi, dfqi_size *out)
{
    dfqi_size s;
    if (!parse_extent(&text, lo, hi, &s.height)) return false;
    s.width = s.height;
    if (*text == 'x') {
        text++;
        if (!parse_extent(&text, lo, hi, &s.width)) return false;
    }
    if (*text != '\0') return false;
    *out = s;
    return true;
}

static dfq_status read_size(const dfqi_safetensors *st, const char *path, const char *key,
                            int64_t lo, int64_t hi, dfqi_size *out)
{
    const char *text = dfqi_st_meta_find(st, key);
    char show[DFQI_SHOW_MAX];
    if (parse_size(text, lo, hi, out)) return DFQ_OK;
    return dfqi_fail(st->ctx, DFQ_E_CORRUPT,
                     "%s: metadata %s is \"%.40s\", must be a whole number from %lld to %lld, or "
                     "two as height x width: 224x160",
                     path, key, dfqi_show(text, show), (long long)lo, (long long)hi);
}

/* A file or a caller that states a size which the tensors cannot have has another network. */
static dfq_status take_image(dfq_context *ctx, const char *path, dfqi_size image, dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    if (row->told_image) return row->told_image(ctx, path, image, a);
    a->image = image;
    return DFQ_OK;
}

dfq_status dfqi_meta_image(const dfqi_safetensors *st, const char *path, const char *key,
                           dfqi_arch *a)
{
    const bool any = !dfqi_family_get(a->family)->told_image;
    dfqi_size image;
    DFQI_TRY(read_size(st, path, key, any ? IMAGE_MIN : 1, any ? IMAGE_MAX : INT32_MAX, &image));
    return take_image(st->ctx, path, image, a);
}

dfq_status dfqi_meta_resize(const dfqi_safetensors *st, const char *path, const char *key,
                            dfqi_arch *a)
{
    dfqi_size resize;
    DFQI_TRY(read_size(st, path, key, 0, RESIZE_MAX, &resize));
    a->resize = resize;
    if (dfqi_is_square(resize)) a->resize.width = 0; /* of the shorter side */
    a->crop = 0;
    return DFQ_OK;
}

/* -- options ----------------------------------------------------------------------------------- */

/* Positions are interpolated to the new grid (positions.c). A resizing that the file states is that
 * of the old image. */
static dfq_status take_image_size(dfq_context *ctx, const char *path, dfqi_size size, dfqi_arch *a)
{
    const dfqi_family_row *row = dfqi_family_get(a->family);
    const int64_t patch = dfqi_arch_patch(a);
    char text[DFQI_SIZE_TEXT], own[DFQI_SIZE_TEXT];
    if (size.height == 0 || a->image.height == 0) return DFQ_OK; /* not said; refused later */
    if (!row->fit && row->fixed_image)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s: image_size is %s, but %.63s has the size of its ONNX file, %s; "
                         "export it at another size",
                         path, dfqi_size_text(size, text), a->name, dfqi_size_text(a->image, own));
    if (!row->fit)
        return dfqi_fail(
            ctx, DFQ_E_INVALID,
            "%s: image_size is for vision transformers; %.63s takes images of any size "
            "by --image",
            path, a->name);
    if (dfqi_shorter(size) < 1 || dfqi_longer(size) > IMAGE_SIZE_MAX || size.height % patch != 0 ||
        size.width % patch != 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s: image_size is %s, must be a multiple of the patch, %lld, up to %d",
                         path, dfqi_size_text(size, text), (long long)patch, IMAGE_SIZE_MAX);
    if (a->crop <= 0 && a->source[DFQI_PROP_RESIZE] != DFQ_SOURCE_OPTION) {
        const double by = (double)dfqi_shorter(size) / (double)dfqi_shorter(a->image);
        a->resize = (dfqi_size){(int64_t)((double)a->resize.height * by), 0};
    }
    if (row->resize) row->resize(a, size);
    a->image = size;
    a->source[DFQI_PROP_IMAGE] = DFQ_SOURCE_OPTION;
    return DFQ_OK;
}

/* A side, or height and width. */
static dfqi_size size_of(int64_t side, int64_t width)
{
    return (dfqi_size){side, width ? width : side};
}

dfqi_size dfqi_image_told(const dfqi_safetensors *st, const dfq_load_options *o)
{
    const char *text = dfqi_st_meta_find(st, dfqi_prop_name(DFQI_PROP_IMAGE));
    dfqi_size image = {0, 0};
    if (o && o->image > 0 && o->image_width >= 0) return size_of(o->image, o->image_width);
    if (text && !parse_size(text, 1, INT32_MAX, &image)) image = dfqi_square(0);
    return image;
}

dfq_status dfqi_image_take_told(dfq_context *ctx, const char *path, const dfq_load_options *o,
                                dfqi_arch *a)
{
    const dfqi_size image = size_of(o->image, o->image_width);
    if ((o->image_width != 0 && o->image == 0) || (o->image_size_width != 0 && o->image_size == 0))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s: a width of the image is given without its height; give both", path);
    if (o->image != 0) {
        const bool any = !dfqi_family_get(a->family)->told_image;
        DFQI_TRY(dfqi_prop_need(
            ctx, path, a, DFQI_PROP_IMAGE,
            !any || (dfqi_shorter(image) >= IMAGE_MIN && dfqi_longer(image) <= IMAGE_MAX),
            "8 to 1024"));
        DFQI_TRY(take_image(ctx, path, image, a));
        a->source[DFQI_PROP_IMAGE] = DFQ_SOURCE_OPTION;
    }
    return take_image_size(ctx, path, size_of(o->image_size, o->image_size_width), a);
}

static bool is_resize(int64_t resize, int64_t width)
{
    return resize >= -1 && resize <= RESIZE_MAX && width >= 0 && width <= RESIZE_MAX &&
           (width == 0 || resize > 0);
}

dfq_status dfqi_resize_take_told(dfq_context *ctx, const char *path, const dfq_load_options *o,
                                 dfqi_arch *a)
{
    if (o->resize == 0 && o->resize_width == 0 && !(o->crop < 0) && !(o->crop > 0)) return DFQ_OK;
    if (o->resize != 0 && o->crop > 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "%s: resize and crop exclude each other; leave one out", path);
    DFQI_TRY(dfqi_prop_need(ctx, path, a, DFQI_PROP_RESIZE,
                            o->resize != 0 ? is_resize(o->resize, o->resize_width)
                                           : o->crop >= 0.01 && o->crop <= 1,
                            "-1 (none) to 16384 pixels, or a crop of 0.01 to 1"));
    a->resize = (dfqi_size){o->resize > 0 ? o->resize : 0, o->resize_width};
    a->crop = o->resize != 0 ? 0 : o->crop;
    a->source[DFQI_PROP_RESIZE] = DFQ_SOURCE_OPTION;
    return DFQ_OK;
}

/* -- the transform ----------------------------------------------------------------------------- */

static int64_t before_crop(int64_t image, double crop)
{
    const double side = floor((double)image / crop);
    return side < RESIZE_MAX ? (int64_t)side : RESIZE_MAX;
}

dfqi_size dfqi_resize_of(dfqi_size image, double crop)
{
    return (dfqi_size){before_crop(image.height, crop), before_crop(image.width, crop)};
}

static int64_t in_proportion(int64_t extent, int64_t resize, int64_t least)
{
    const double v = rint((double)extent * (double)resize / (double)least);
    return v < RESIZE_MAX ? (int64_t)v : RESIZE_MAX;
}

void dfqi_resize_settle(dfqi_arch *a)
{
    const int64_t resize = a->resize.height, least = dfqi_shorter(a->image);
    if (a->crop > 0)
        a->resize = dfqi_resize_of(a->image, a->crop);
    else if (a->resize.width == 0)
        a->resize = (dfqi_size){in_proportion(a->image.height, resize, least),
                                in_proportion(a->image.width, resize, least)};
    a->crop = 0;
}
