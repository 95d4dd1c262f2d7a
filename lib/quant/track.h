/* Ranges of a CNN's activations, followed over batches of images by a forward pass through the
 * quantized network (AIT): each quantizer takes in what those before it let through, and has its
 * new range already when the same batch passes it. */
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
/* Takes in images[batch][3][S][S]: states, scales and zero points of the scheme. */
DFQI_CHECKED dfq_status dfqi_tracker_add(dfqi_tracker *t, const float *images);

#endif
