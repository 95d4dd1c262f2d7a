/* Supernets and derived networks as safetensors files. A tensor is named by its place:
 * "cells.3.2.0.weight" is in cell 3, choice 2, its first layer. Metadata of a supernet are
 * dfq.supernet (format version) and dfq.supernet.space. A derived network has the metadata of
 * dfqi_arch_meta and is loaded like any other network. */
#ifndef DFQI_NN_SUPERNET_FILE_H
#define DFQI_NN_SUPERNET_FILE_H

#include "io/safetensors.h"
#include "nn/supernet.h"

/* Name of tensor k of a layer. */
void dfqi_super_tensor_name(const dfqi_super_layer *l, int32_t k, char out[DFQI_SUPER_NAME]);

/* Writes all tensors. `meta` is written in addition to the supernet's own metadata. */
DFQI_CHECKED dfq_status dfqi_supernet_save(const dfqi_supernet *net, const char *file,
                                           int64_t n_meta, const dfqi_st_meta *meta);
/* Every tensor of `net` from a file that may hold more. DFQ_E_SHAPE: another space; DFQ_E_NUMERIC:
 * a number that is not finite. `net` changes on success alone. */
DFQI_CHECKED dfq_status dfqi_supernet_load(dfqi_supernet *net, const char *file);

#endif
