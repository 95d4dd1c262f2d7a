/* Data sets of the caller's images: in memory, or read through a callback, a few images at a
 * time. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/dataset_priv.h"

enum { LABELS_AT_ONCE = 4096, SIDE_MAX = 16384, PIXELS_MAX = 100000000 };

size_t dfqi_dataset_image_bytes(const dfq_dataset_source *s)
{
    size_t value = s->pixels == DFQ_PIXELS_F32_NCHW ? sizeof(float) : 1;
    return (size_t)s->height * (size_t)s->width * 3 * value;
}

static dfq_status check(dfq_context *ctx, const dfq_dataset_source *s)
{
    size_t all;
    if (s->pixels < DFQ_PIXELS_U8_NHWC || s->pixels > DFQ_PIXELS_F32_NCHW)
        return dfqi_fail(ctx, DFQ_E_INVALID, "dfq_dataset_source: pixels is %d, must be 0 to %d",
                         (int)s->pixels, DFQ_PIXELS_F32_NCHW);
    if (s->count < 1 || s->height < 1 || s->width < 1 || s->height > SIDE_MAX ||
        s->width > SIDE_MAX || (int64_t)s->height * s->width > PIXELS_MAX)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "dfq_dataset_source: there are %lld images of %d x %d; must be 1 image or "
                         "more, sides of 1 to %d and at most %d pixels",
                         (long long)s->count, (int)s->height, (int)s->width, SIDE_MAX, PIXELS_MAX);
    if ((s->images != NULL) == (s->read != NULL))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "dfq_dataset_source: images and read are both %s; set exactly one",
                         s->images ? "set" : "NULL");
    if (s->images && !s->labels)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "dfq_dataset_source: labels is NULL; images need labels");
    if (s->read && s->borrow)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "dfq_dataset_source: borrow is set, and images is NULL; leave borrow out");
    if (s->images && !s->borrow && s->release)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "dfq_dataset_source: release is set, and images are copied; set borrow, "
                         "or leave release out");
    if (s->count > INT32_MAX || !dfqi_mul_size((size_t)s->count, dfqi_dataset_image_bytes(s), &all))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "dfq_dataset_source: %lld images of %d x %d are too large to be addressed",
                         (long long)s->count, (int)s->height, (int)s->width);
    return DFQ_OK;
}

static dfq_status add(dfqi_dataset *d, int64_t i, int32_t label)
{
    char name[DFQI_IMAGE_NAME], where[DFQI_IMAGE_NAME + 64];
    snprintf(name, sizeof name, "image %lld", (long long)i);
    snprintf(where, sizeof where, "%.60s, %s", d->path, name);
    if (label < 0)
        return dfqi_fail(d->ctx, DFQ_E_INVALID, "%s: label is %d, must be 0 or more", where,
                         (int)label);
    DFQI_TRY(dfqi_dataset_check_label(d, where, label));
    return dfqi_dataset_add(d, name, label);
}

static dfq_status ask(const dfqi_dataset *d, int64_t first, int64_t n, void *images,
                      int32_t *labels)
{
    const dfq_dataset_source *s = d->source;
    int32_t answer = s->read(first, n, images, labels, s->user);
    if (answer == 0) return DFQ_OK;
    return dfqi_fail(d->ctx, DFQ_E_IO,
                     "cannot read %s: the source's function returned %d for images %lld to %lld",
                     d->path, (int)answer, (long long)first, (long long)(first + n - 1));
}

/* The labels of all images. */
static dfq_status index_all(dfqi_dataset *d)
{
    const dfq_dataset_source *s = d->source;
    int32_t *labels = NULL;
    dfq_status status = DFQ_OK;
    if (s->read) {
        labels = dfqi_calloc(d->ctx, LABELS_AT_ONCE, sizeof *labels);
        if (!labels) return DFQ_E_NOMEM;
    }
    for (int64_t i = 0; i < s->count && status == DFQ_OK; i += LABELS_AT_ONCE) {
        int64_t n = s->count - i < LABELS_AT_ONCE ? s->count - i : LABELS_AT_ONCE;
        if (labels) {
            for (int64_t k = 0; k < n; k++) labels[k] = -1; /* what read leaves out is no label */
            status = ask(d, i, n, NULL, labels);
        }
        for (int64_t k = 0; k < n && status == DFQ_OK; k++)
            status = add(d, i + k, labels ? labels[k] : s->labels[i + k]);
    }
    dfqi_free(d->ctx, labels);
    return status;
}

static dfq_status copy_images(dfqi_dataset *d)
{
    dfq_dataset_source *s = d->source;
    size_t size = (size_t)s->count * dfqi_dataset_image_bytes(s);
    void *own = dfqi_alloc(d->ctx, size);
    if (!own) return DFQ_E_NOMEM;
    memcpy(own, s->images, size);
    s->images = d->copy = own;
    return DFQ_OK;
}

/* The data set takes over `release` only when all else is done: on failure the caller keeps it. */
dfq_status dfqi_dataset_create(dfq_context *ctx, const dfq_dataset_source *source,
                               dfqi_dataset **out)
{
    dfqi_dataset *d;
    dfq_status status;
    DFQI_TRY(check(ctx, source));
    DFQI_TRY(dfqi_dataset_new(ctx, source->name ? source->name : "memory", source->classes, &d));
    d->counts.kind = source->read ? DFQ_DATASET_CALLBACK : DFQ_DATASET_MEMORY;
    d->source = dfqi_calloc(ctx, 1, sizeof *d->source);
    if (!d->source) {
        dfqi_dataset_release(d);
        return DFQ_E_NOMEM;
    }
    *d->source = *source;
    d->source->release = NULL;
    d->source->name = NULL; /* copied */
    status = index_all(d);
    d->source->labels = NULL; /* they are in the rows now */
    if (status == DFQ_OK && source->images && !source->borrow) status = copy_images(d);
    if (status != DFQ_OK) {
        dfqi_dataset_release(d);
        return status;
    }
    d->source->release = source->release;
    *out = d;
    return DFQ_OK;
}

void dfqi_dataset_release_source(dfqi_dataset *d)
{
    dfq_dataset_source *s = d->source;
    if (!s) return;
    if (s->release) s->release(s->user);
    dfqi_free(d->ctx, d->copy);
    dfqi_free(d->ctx, s);
}

/* -- reading ----------------------------------------------------------------------------------- */

dfq_status dfqi_dataset_raw(const dfqi_dataset *d, int64_t first, int64_t n, void *room,
                            const void **out)
{
    const dfq_dataset_source *s = d->source;
    if (s->images) {
        *out = (const unsigned char *)s->images + (size_t)first * dfqi_dataset_image_bytes(s);
        return DFQ_OK;
    }
    DFQI_TRY(ask(d, first, n, room, NULL));
    *out = room;
    return DFQ_OK;
}

dfq_status dfqi_dataset_raw_picture(const dfqi_dataset *d, dfq_context *ctx, const void *raw,
                                    dfqi_image *out)
{
    const dfq_dataset_source *s = d->source;
    const uint8_t *bytes = raw;
    size_t plane = (size_t)s->height * (size_t)s->width;
    dfqi_image im;
    if (s->pixels == DFQ_PIXELS_F32_NCHW)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "%s: floats for the network are not a picture; give bytes", d->path);
    DFQI_TRY(dfqi_image_new(ctx, s->width, s->height, &im));
    if (s->pixels == DFQ_PIXELS_U8_NHWC)
        memcpy(im.rgb, bytes, 3 * plane);
    else
        for (size_t i = 0; i < plane; i++)
            for (size_t c = 0; c < 3; c++) im.rgb[3 * i + c] = bytes[c * plane + i];
    *out = im;
    return DFQ_OK;
}

dfq_status dfqi_dataset_check_floats(const dfqi_dataset *d, const dfqi_preprocess *p)
{
    const dfq_dataset_source *s = d->source;
    if (s->pixels != DFQ_PIXELS_F32_NCHW ||
        (s->height == p->size.height && s->width == p->size.width))
        return DFQ_OK;
    return dfqi_fail(
        d->ctx, DFQ_E_SHAPE,
        "%s: images of floats are %d x %d, must be %lld x %lld, the network's input; or "
        "give bytes, which are resized",
        d->path, (int)s->height, (int)s->width, (long long)p->size.height,
        (long long)p->size.width);
}
