/* Images in memory: lifetime, decoding by content, the evaluation transform, and conversion to
 * floats and back. */
#include "io/image_priv.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/look.h"

enum { FILE_MAX = 512 * 1024 * 1024 };

dfq_status dfqi_image_check(dfq_context *ctx, const char *name, int64_t width, int64_t height)
{
    if (width < 1 || height < 1)
        return dfqi_fail(
            ctx, DFQ_E_CORRUPT,
            "%s: the picture is %lld x %lld pixels, must be 1 x 1 or more; the file is damaged",
            name, (long long)width, (long long)height);
    if (width > DFQI_IMAGE_SIDE_MAX || height > DFQI_IMAGE_SIDE_MAX ||
        width * height > DFQI_IMAGE_PIXELS_MAX)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s: the picture is %lld x %lld pixels, must be at most %d a side and %d "
                         "in all; scale it down",
                         name, (long long)width, (long long)height, DFQI_IMAGE_SIDE_MAX,
                         DFQI_IMAGE_PIXELS_MAX);
    return DFQ_OK;
}

dfq_status dfqi_image_new(dfq_context *ctx, int32_t width, int32_t height, dfqi_image *out)
{
    DFQI_TRY(dfqi_image_check(ctx, "new picture", width, height));
    uint8_t *rgb = dfqi_alloc(ctx, (size_t)width * (size_t)height * 3);
    if (!rgb) return DFQ_E_NOMEM;
    *out = (dfqi_image){.ctx = ctx, .width = width, .height = height, .rgb = rgb};
    return DFQ_OK;
}

void dfqi_image_fini(dfqi_image *im)
{
    if (im->rgb) dfqi_free(im->ctx, im->rgb);
    im->rgb = NULL;
}

dfq_status dfqi_image_decode(dfq_context *ctx, const char *name, const void *bytes, size_t size,
                             dfqi_image *out)
{
    if (size == 0) return dfqi_fail(ctx, DFQ_E_CORRUPT, "%s: the file is empty", name);
    if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return dfqi_png_decode(ctx, name, bytes, size, out);
    if (size >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0)
        return dfqi_jpeg_decode(ctx, name, bytes, size, out);
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 &&
        memcmp((const char *)bytes + 8, "WEBP", 4) == 0)
        return dfqi_webp_decode(ctx, name, bytes, size, out);
    const char *kind = dfqi_file_look(bytes, size).kind;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "%s: the file is neither PNG, JPEG nor WebP%s%s; convert it to one of them",
                     name, kind ? ", it looks like " : "", kind ? kind : "");
}

dfq_status dfqi_image_read(dfq_context *ctx, const char *path, dfqi_image *out)
{
    unsigned char *bytes;
    size_t size;
    DFQI_TRY(dfqi_file_read(ctx, path, FILE_MAX, &bytes, &size));
    dfq_status status = dfqi_image_decode(ctx, path, bytes, size, out);
    dfqi_free(ctx, bytes);
    return status;
}

/* The middle `size` of n pixels. The offset is Python's round((n - size) / 2): half to even. */
static dfqi_span middle(int64_t n, int64_t size)
{
    return (dfqi_span){(int32_t)n, (int32_t)rint((double)(n - size) / 2.0), (int32_t)size};
}

static dfq_status centre_crop(const dfqi_image *in, dfqi_size size, dfqi_image *out)
{
    dfqi_image im;
    DFQI_TRY(dfqi_image_new(in->ctx, (int32_t)size.width, (int32_t)size.height, &im));
    size_t left = (size_t)middle(in->width, size.width).first;
    size_t top = (size_t)middle(in->height, size.height).first;
    size_t row = (size_t)size.width * 3, in_row = (size_t)in->width * 3;
    for (size_t y = 0; y < (size_t)size.height; y++)
        memcpy(im.rgb + y * row, in->rgb + (top + y) * in_row + left * 3, row);
    *out = im;
    return DFQ_OK;
}

/* The size of a picture that covers `to`. Of a square the shorter side becomes it, and the longer
 * one Python's int(to * long / short), which whole-number division gives as well. */
static dfqi_size cover(dfqi_size from, dfqi_size to)
{
    if (dfqi_is_square(to)) {
        int64_t least = dfqi_shorter(from);
        return (dfqi_size){to.height * from.height / least, to.width * from.width / least};
    }
    double down = (double)from.height / (double)to.height;
    double across = (double)from.width / (double)to.width, ratio = down < across ? down : across;
    return (dfqi_size){(int64_t)rint((double)from.height / ratio),
                       (int64_t)rint((double)from.width / ratio)};
}

dfq_status dfqi_image_fit(const dfqi_image *in, dfqi_size resize, dfqi_size size,
                          dfqi_filter filter, dfqi_image *out)
{
    enum { RESIZE_MAX = DFQI_IMAGE_SIDE_MAX }; /* times a side it stays below 2^31 */
    const bool kept = resize.height == 0 && resize.width == 0;
    if (dfqi_shorter(size) < 1 || (!kept && dfqi_shorter(resize) < 1) ||
        dfqi_longer(resize) > RESIZE_MAX)
        return dfqi_fail(in->ctx, DFQ_E_INVALID,
                         "crop is %lld x %lld after a resize to %lld x %lld, must be 1 or more, "
                         "and all at most %d",
                         (long long)size.height, (long long)size.width, (long long)resize.height,
                         (long long)resize.width, RESIZE_MAX);
    const dfqi_size own = {in->height, in->width}, to = kept ? own : cover(own, resize);
    if (to.height < size.height || to.width < size.width)
        return dfqi_fail(in->ctx, DFQ_E_SHAPE,
                         "the picture is %lld x %lld pixels, must be at least the crop of %lld x "
                         "%lld; resize it",
                         (long long)to.width, (long long)to.height, (long long)size.width,
                         (long long)size.height);
    if (dfqi_same_size(own, to)) return centre_crop(in, size, out);
    /* An elongated image gets very long when resized, so only the pixels inside the crop are
     * computed. */
    return dfqi_image_resize_part(in, middle(to.width, size.width), middle(to.height, size.height),
                                  filter, out);
}

void dfqi_image_table(float mean, float std, float table[256])
{
    for (int v = 0; v < 256; v++) table[v] = ((float)v / 255.0f - mean) / std;
}

void dfqi_image_normalise(const dfqi_image *im, const float mean[3], const float std[3], float *out)
{
    size_t n = (size_t)im->width * (size_t)im->height;
    for (size_t c = 0; c < 3; c++) {
        float table[256];
        dfqi_image_table(mean[c], std[c], table);
        for (size_t i = 0; i < n; i++) out[c * n + i] = table[im->rgb[3 * i + c]];
    }
}

void dfqi_image_denormalise(const float *planes, const float mean[3], const float std[3],
                            dfqi_image *im)
{
    size_t n = (size_t)im->width * (size_t)im->height;
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < n; i++) {
            float v = rintf((planes[c * n + i] * std[c] + mean[c]) * 255.0f);
            /* NaN fails both comparisons and becomes 0. */
            im->rgb[3 * i + c] = v >= 255.0f ? 255 : v > 0.0f ? (uint8_t)v : 0;
        }
}
