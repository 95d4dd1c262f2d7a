/* Position embeddings for another image size. */
#ifndef DFQI_NN_POSITIONS_H
#define DFQI_NN_POSITIONS_H

#include "io/safetensors.h"
#include "nn/network.h"

/* Fits tensors of `view` to the image size of `arch`, by its family's row. What is no such tensor
 * stays, for the loader to refuse. */
DFQI_CHECKED dfq_status dfqi_positions_fit(dfqi_safetensors *view, const dfqi_arch *arch);

#endif
