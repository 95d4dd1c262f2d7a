/* 8-bit RGB images: PNG, JPEG and WebP decoding, PNG encoding, and resampling with the same bits as
 * PIL. */
#ifndef DFQI_IO_IMAGE_H
#define DFQI_IO_IMAGE_H

#include "base/context.h"
#include "base/size.h"

typedef struct dfqi_image {
    dfq_context *ctx;
    int32_t width, height;
    uint8_t *rgb;        /* [height,width,3] */
    int32_t orientation; /* of a JPEG, by its EXIF data: 2 to 8 is turned or mirrored, which is left
                            as it is, as PyTorch leaves it; else 0 or 1 */
} dfqi_image;

typedef enum dfqi_filter { DFQI_BILINEAR = 0, DFQI_BICUBIC = 1 } dfqi_filter;

DFQI_CHECKED dfq_status dfqi_image_new(dfq_context *ctx, int32_t width, int32_t height,
                                       dfqi_image *out);
void dfqi_image_fini(dfqi_image *im);
/* Recognises the format by content, not by name. Grey, palette and CMYK become RGB, alpha is
 * dropped; pixels equal Pillow's. Limits: 16384 pixels a side, 100 million in all. */
DFQI_CHECKED dfq_status dfqi_image_read(dfq_context *ctx, const char *path, dfqi_image *out);
DFQI_CHECKED dfq_status dfqi_image_decode(dfq_context *ctx, const char *name, const void *bytes,
                                          size_t size, dfqi_image *out);
/* `text`, when not NULL, is a NULL-ended list of key, value pairs stored as tEXt. */
DFQI_CHECKED dfq_status dfqi_image_write_png(dfq_context *ctx, const char *path,
                                             const dfqi_image *im, const char *const *text);
/* Of a PNG of width x height pixels: its file at most, and the memory beside the pixels while it is
 * written. */
double dfqi_png_file_bytes(double width, double height);
double dfqi_png_work_bytes(double width, double height);
/* PIL's Image.resize: two passes, horizontal first, support scaled by the shrink factor, 22-bit
 * fixed-point coefficients, rounded to 8 bits after each pass. */
DFQI_CHECKED dfq_status dfqi_image_resize(const dfqi_image *in, int32_t width, int32_t height,
                                          dfqi_filter filter, dfqi_image *out);
/* The same filters on floats: in [from.height,from.width,channels] -> out
 * [to.height,to.width,channels]. */
DFQI_CHECKED dfq_status dfqi_grid_resize(dfq_context *ctx, const float *in, dfqi_size from,
                                         size_t channels, dfqi_size to, dfqi_filter filter,
                                         float *out);
/* The evaluation transform: the picture, at its aspect ratio, to the least size that covers
 * `resize` (0 x 0: as it is; at most 16384 each), then a centre crop to `size`; pictures smaller
 * than the crop are refused. For a square `resize` that is torchvision's Resize of the shorter
 * side, whose longer side is rounded down; for another timm's ResizeKeepRatio, which rounds both
 * half to even. Nothing outside the crop is computed: any shape of a picture will do. */
DFQI_CHECKED dfq_status dfqi_image_fit(const dfqi_image *in, dfqi_size resize, dfqi_size size,
                                       dfqi_filter filter, dfqi_image *out);
/* The normalised values of all bytes: (v / 255 - mean) / std. */
void dfqi_image_table(float mean, float std, float table[256]);
/* [height,width,3] bytes -> normalised planes [3,height,width]: (v / 255 - mean) / std. */
void dfqi_image_normalise(const dfqi_image *im, const float mean[3], const float std[3],
                          float *out);
/* The inverse, clamped to 0..255, half to even. */
void dfqi_image_denormalise(const float *planes, const float mean[3], const float std[3],
                            dfqi_image *im);

#endif
