/* Images of dead leaves: opaque shapes of many sizes that hide one another, with textures of 1/f
 * noise and shading. They need no network and no data, and their edges, scales and colours are
 * distributed as those of natural pictures (Lee, Mumford and Huang, IJCV 2001; as training images:
 * Baradad et al., NeurIPS 2021, arXiv 2106.05963). */
#ifndef DFQI_SYNTH_LEAVES_H
#define DFQI_SYNTH_LEAVES_H

#include "base/rng.h"
#include "nn/network.h"

/* Scratch floats of one thread for images of this size. */
int64_t dfqi_leaves_scratch(dfqi_size size);

/* x[n,3,height,width], normalised as the network wants it. Image i is drawn from the i-th stream
 * behind that of `first`, so it does not depend on n. scratch: dfqi_leaves_scratch() floats for
 * each thread of the context. */
void dfqi_leaves_draw(dfq_context *ctx, const dfqi_arch *a, dfqi_rng first, int64_t n,
                      float *scratch, float *x);

#endif
