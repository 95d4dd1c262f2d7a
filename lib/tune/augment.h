/* Augmentation of a batch: random resized crop, mirror, colour jitter, grayscale and Gaussian blur,
 * as torchvision defines them. One random draw applies to all images of the batch, as in MimiQ.
 * Kind SYNTHETIC changes colours and focus of every image by a draw of its own. */
#ifndef DFQI_TUNE_AUGMENT_H
#define DFQI_TUNE_AUGMENT_H

#include "base/context.h"
#include "base/rng.h"
#include "base/size.h"

typedef enum dfqi_augment_kind {
    DFQI_AUGMENT_NONE = 0,
    DFQI_AUGMENT_MILD,     /* crop of 0.5 to 1 of the area, mirror */
    DFQI_AUGMENT_FULL,     /* crop of 0.08 to 1, mirror, colours, grayscale, blur */
    DFQI_AUGMENT_SYNTHETIC /* as MILD, then each image paler, and half of them blurred in part */
} dfqi_augment_kind;

enum { DFQI_COLOR_BRIGHTNESS, DFQI_COLOR_CONTRAST, DFQI_COLOR_SATURATION, DFQI_COLOR_HUE };

/* What is done to the images; a draw of all zeros but the crop leaves them alone. */
typedef struct dfqi_draw {
    int64_t top, left, height, width; /* crop, pixels */
    int32_t mirror, jitter, gray;
    uint32_t order[4]; /* of DFQI_COLOR_*, if jitter */
    float color[4];    /* factor of each, by DFQI_COLOR_*; hue: offset in turns */
    float sigma;       /* blur, pixels; 0: none */
    int32_t each;      /* each image has colours by `own`, and the blur in a part of it or not */
    dfqi_rng own;      /* image i has the stream i behind it */
} dfqi_draw;

/* The draw of a step. */
void dfqi_augment_draw(dfqi_augment_kind kind, uint64_t seed, int64_t step, dfqi_size size,
                       dfqi_draw *out);

/* Scratch memory and constants for images[3][height][width], normalised by mean and std. */
typedef struct dfqi_augment {
    dfq_context *ctx;
    dfqi_size size;
    float mean[3], std[3];
    float *scratch; /* [threads][dfqi_augment_floats] */
    float *blend;   /* [height + width] weight of the second neighbour, rows then columns */
    int32_t *from;  /* [2 (height + width)] first and second neighbours: rows, then columns */
    float *kernel;  /* blur, [2 radius + 1] */
    int64_t radius;
} dfqi_augment;

DFQI_CHECKED dfq_status dfqi_augment_new(dfq_context *ctx, dfqi_size size, const float mean[3],
                                         const float std[3], dfqi_augment *out);
void dfqi_augment_fini(dfqi_augment *a);
/* Bytes that dfqi_augment_new allocates. */
double dfqi_augment_bytes(const dfq_context *ctx, dfqi_size size);

/* How sharp each pixel of an image is, 0..1: a few waves of about its size, cut where 50 to 90 % of
 * the image lie above. */
void dfqi_augment_focus(dfqi_rng *r, dfqi_size size, float *share);

/* out[i] = augmented images[i], i < n. */
void dfqi_augment_apply(dfqi_augment *a, const dfqi_draw *d, int64_t n, const float *images,
                        float *out);

/* -- colours (color.c) ------------------------------------------------------------------------- */

/* The colour operations of a draw on one image[3][pixels] in normalised values. */
void dfqi_color_jitter(const dfqi_draw *d, const float mean[3], const float std[3], int64_t pixels,
                       float *image);
/* All channels become 0.2989 r + 0.587 g + 0.114 b of the normalised values. */
void dfqi_color_gray(int64_t pixels, float *image);

#endif
