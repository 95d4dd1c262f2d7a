/* Rotation of the residual stream of a vision transformer (QuaRot's idea; docs/METHODS.md,
 * Rotation). The network computes the same, but in another basis of the stream, of the values and
 * of queries and keys, in which no channel is much larger than the others.
 *
 * What a family says of its stream is a list of parts (nn/family.h, `stream`). */
#ifndef DFQI_NN_ROTATE_H
#define DFQI_NN_ROTATE_H

#include "nn/network.h"

/* Why the stream of such a network cannot be rotated: "it is a convolutional network"; NULL: it
 * can. */
const char *dfqi_arch_unrotatable(const dfqi_arch *a);
/* Rewrites the parameters. The affine parts of the LayerNorms move into the layers that read them.
 * The same seed gives the same bits. DFQ_E_UNSUPPORTED for a network whose stream cannot be
 * rotated. On failure the parameters are undefined. */
DFQI_CHECKED dfq_status dfqi_network_rotate(dfqi_network *net, uint64_t seed);

#endif
