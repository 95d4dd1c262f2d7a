/* Position embeddings for another image size. */
#ifndef DFQI_NN_POSITIONS_H
#define DFQI_NN_POSITIONS_H

#include "io/safetensors.h"
#include "nn/network.h"

/* Where `arch`, a vision transformer, has another grid of patches than the tensor pos_embed of
 * `view` has rows behind those of the tokens in front of the patches: replaces the tensor by its
 * interpolation to that grid, bicubic with antialias, as timm's resample_abs_pos_embed. Of a
 * Swin transformer the tables of biases (dfqi_swin_fit()). What is no such tensor stays, for the
 * loader to refuse. */
DFQI_CHECKED dfq_status dfqi_positions_fit(dfqi_safetensors *view, const dfqi_arch *arch);

#endif
