/* The decoders behind dfqi_image_decode. On DFQ_OK `out` is a new image; on failure it is
 * unchanged. */
#ifndef DFQI_IO_IMAGE_PRIV_H
#define DFQI_IO_IMAGE_PRIV_H

#include "io/image.h"

enum { DFQI_IMAGE_SIDE_MAX = 16384, DFQI_IMAGE_PIXELS_MAX = 100 * 1000 * 1000 };

/* DFQ_E_UNSUPPORTED beyond the limits above, naming them. */
DFQI_CHECKED dfq_status dfqi_image_check(dfq_context *ctx, const char *name, int64_t width,
                                         int64_t height);

DFQI_CHECKED dfq_status dfqi_png_decode(dfq_context *ctx, const char *name, const void *bytes,
                                        size_t size, dfqi_image *out);
DFQI_CHECKED dfq_status dfqi_jpeg_decode(dfq_context *ctx, const char *name, const void *bytes,
                                         size_t size, dfqi_image *out);
DFQI_CHECKED dfq_status dfqi_webp_decode(dfq_context *ctx, const char *name, const void *bytes,
                                         size_t size, dfqi_image *out);

/* Along one axis: the picture is resized to `full` pixels, of which `count` from `first` on are
 * computed. */
typedef struct dfqi_span {
    int32_t full, first, count;
} dfqi_span;

/* Computes a part of dfqi_image_resize(): these columns and rows, with the same bits. The full size
 * has no limit, since the full image is never stored. */
DFQI_CHECKED dfq_status dfqi_image_resize_part(const dfqi_image *in, dfqi_span across,
                                               dfqi_span down, dfqi_filter filter, dfqi_image *out);

#endif
