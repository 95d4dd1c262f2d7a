/* Networks from tensors: the architecture is found, every tensor is checked. */
#ifndef DFQI_NN_LOAD_H
#define DFQI_NN_LOAD_H

#include "io/safetensors.h"
#include "nn/network.h"

/* Finds the architecture of the tensors in `st`. What names and shapes do not tell comes from `o`
 * (of full size; NULL: nothing), from the metadata (keys: the names of properties, "architecture"
 * and "crop_pct"), from the architecture's name or else the file's (names.c), in this order; or it
 * is assumed, or refused. out->source tells which. */
DFQI_CHECKED dfq_status dfqi_arch_find(const dfqi_safetensors *st, const char *path,
                                       const dfq_load_options *o, dfqi_arch *out);
/* Takes the parameters of `arch` out of `st`: each must be there once, with its shape and without
 * NaN or infinity; anything left over is refused unless its name is known to be harmless. */
DFQI_CHECKED dfq_status dfqi_network_take(const dfqi_safetensors *st, const char *path,
                                          const dfqi_arch *arch, dfqi_network *out);
/* Puts the values of `t` (F32, F16 or BF16) in the place of parameter `name`, which must have its
 * shape and may be no NaN, infinity, or variance of zero or below. On failure nothing changes. */
DFQI_CHECKED dfq_status dfqi_network_set(dfqi_network *net, const char *name, const dfq_tensor *t);
/* The metadata that describe `arch`, and their number; keys and values belong to `arena`. */
enum { DFQI_ARCH_META = 13 };
DFQI_CHECKED dfq_status dfqi_arch_meta(const dfqi_arch *arch, dfqi_arena *arena,
                                       dfqi_st_meta out[DFQI_ARCH_META], int64_t *out_n);

#endif
