/* Loading networks: finds the architecture from the tensors, and checks every tensor. */
#ifndef DFQI_NN_LOAD_H
#define DFQI_NN_LOAD_H

#include "io/safetensors.h"
#include "nn/naming.h"
#include "nn/network.h"

/* Finds the architecture of the tensors in `st`. Properties that names and shapes do not show come
 * from `o` (of full size; NULL: nothing), from the metadata (keys: the names of properties,
 * "architecture" and "crop_pct"), or from the architecture's name or else the file's (names.c), in
 * this order. Otherwise they are assumed, by `naming` (NULL: nothing) too, or the file is refused.
 * out->source tells which. The caller calls dfqi_arch_fini(). */
DFQI_CHECKED dfq_status dfqi_arch_find(const dfqi_safetensors *st, const char *path,
                                       const dfqi_naming *naming, const dfq_load_options *o,
                                       dfqi_arch *out);
/* Takes the parameters of `arch` out of `st`: each must be there once, with its shape and without
 * NaN or infinity; anything left over is refused. */
DFQI_CHECKED dfq_status dfqi_network_take(const dfqi_safetensors *st, const char *path,
                                          const dfqi_arch *arch, dfqi_network *out);
/* Takes the names of classes out of the metadata id2label, if there are as many as classes; others
 * are left out with a warning. */
DFQI_CHECKED dfq_status dfqi_network_take_names(const dfqi_safetensors *st, const char *path,
                                                dfqi_network *net);
/* Replaces the values of parameter `name` by those of `t` (F32, F16 or BF16). `t` must have the
 * parameter's shape, no NaN or infinity, and variances above zero. On failure nothing changes. */
DFQI_CHECKED dfq_status dfqi_network_set(dfqi_network *net, const char *name, const dfq_tensor *t);
/* The metadata of the names of classes. */
#define DFQI_META_NAMES "id2label"
/* The metadata that describe `arch`, and their number; keys and values belong to `arena`. */
enum { DFQI_ARCH_META = 14 };
DFQI_CHECKED dfq_status dfqi_arch_meta(const dfqi_arch *arch, dfqi_arena *arena,
                                       dfqi_st_meta out[DFQI_ARCH_META], int64_t *out_n);

/* Drops what an architecture has only while its file is read, so that it is byte by byte that of
 * the same network made in memory. Behind dfqi_positions_fit(). */
void dfqi_arch_read(dfqi_arch *a);

#endif
