/* Multi-scale parametrisation of images. An image is a sum of planes with sides of 1/1, 1/2, ...,
 * upsampled bilinearly, in luminance and two colour differences. Each plane has its own AdamW; fine
 * scales and colour move less.
 *
 * Why: most energy of a natural picture is in coarse structure and luminance. AdamW on single
 * pixels (MimiQ) has no such preference. Its images stay as rough and colourful as the initial
 * noise, and activation ranges calibrated on them do not fit real images. */
#ifndef DFQI_SYNTH_PYRAMID_H
#define DFQI_SYNTH_PYRAMID_H

#include "base/context.h"
#include "base/size.h"

/* Layout of one plane: the scales one behind the other, the finest first. */
typedef struct dfqi_pyramid {
    dfqi_size size;
    int32_t multi_scale;
    int32_t scales; /* sides are halved down to 4 pixels or more; 1 if not multi_scale */
    int64_t floats; /* of one plane, all scales together */
} dfqi_pyramid;

dfqi_pyramid dfqi_pyramid_make(dfqi_size size, int32_t multi_scale);

/* The gradient of each scale: g[n][3][height][width] -> out[n][3][floats]. */
void dfqi_pyramid_split(dfq_context *ctx, const dfqi_pyramid *p, int64_t n, const float *g,
                        float *out);
/* x[n][3][height][width] = keep * x + the weighted sum of the scales of d[n][3][floats], in the
 * colours of x; d is overwritten. With keep 0 nothing of x is read. */
void dfqi_pyramid_add(dfq_context *ctx, const dfqi_pyramid *p, int64_t n, float *d, float keep,
                      float *x);

#endif
