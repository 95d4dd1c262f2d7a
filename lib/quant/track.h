/* Min-max ranges of a CNN's activations, tracked over batches of images by forward passes through
 * the quantized network (AIT; docs/METHODS.md, Quantizers). The input of a quantizer has passed
 * those before it, and a batch updates a range before it is quantized with it. */
#ifndef DFQI_QUANT_TRACK_H
#define DFQI_QUANT_TRACK_H

#include "graph/exec.h"
#include "quant/scheme.h"

typedef struct dfqi_tracker dfqi_tracker;

/* For batches of `batch` images; scheme and network must outlive it, and the network stay as it
 * is. */
DFQI_CHECKED dfq_status dfqi_tracker_new(dfqi_scheme *s, const dfqi_network *net, int64_t batch,
                                         dfqi_tracker **out);
void dfqi_tracker_free(dfqi_tracker *t); /* NULL ok */
/* Updates the states, scales and zero points of the scheme with images[batch][3][S][S]. */
DFQI_CHECKED dfq_status dfqi_tracker_add(dfqi_tracker *t, const float *images);

#endif
