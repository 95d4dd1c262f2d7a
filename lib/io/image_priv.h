/* The decoders behind dfqi_image_decode. `out` is a fresh picture on DFQ_OK, untouched otherwise.
 */
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

#endif
