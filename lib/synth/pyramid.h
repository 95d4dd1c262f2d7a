/* Images moved at several scales at once. An image is the sum of planes of side S, S/2, S/4 ...,
 * the coarse ones interpolated up, and the optimiser moves every one of them. Adaptive steps have
 * about the same size in each, so the sum has about the same energy in every octave of frequency,
 * as real pictures have; steps on pixels alone are as rough as the noise they began with, and
 * ranges calibrated on such images do not fit real ones. One scale: the pixels themselves, as
 * published (mimiq.md 1.3). */
#ifndef DFQI_SYNTH_PYRAMID_H
#define DFQI_SYNTH_PYRAMID_H

#include "base/context.h"

/* Layout of one plane: the scales one behind the other, the finest first. */
typedef struct dfqi_pyramid {
    int64_t side;
    int32_t scales;
    int64_t floats; /* of one plane, all scales together */
} dfqi_pyramid;

/* As many of the wanted scales as the side can be halved down to 4 pixels or more. */
dfqi_pyramid dfqi_pyramid_make(int64_t side, int32_t wanted);

/* The gradient of each scale: g[planes][side][side] -> out[planes][floats]. */
void dfqi_pyramid_split(dfq_context *ctx, const dfqi_pyramid *p, int64_t planes, const float *g,
                        float *out);
/* x[planes][side][side] = keep * x + the sum of the scales in d[planes][floats]; d is overwritten. */
void dfqi_pyramid_add(dfq_context *ctx, const dfqi_pyramid *p, int64_t planes, float *d, float keep,
                      float *x);

#endif
