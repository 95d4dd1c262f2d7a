/* L_BNS: the distance between the BatchNorm statistics of a batch and the running statistics. */
#ifndef DFQI_SYNTH_NORMS_H
#define DFQI_SYNTH_NORMS_H

#include "nn/network.h"

/* The sum over n >= 1 BatchNorms of |mean - running|^2 / C + |var - running|^2 / C of their inputs,
 * [1]. */
dfqi_id dfqi_norm_distance(dfqi_graph *g, const dfqi_norm_tap *taps, int32_t n);

#endif
