/* Supernets, and networks derived from them, as safetensors: tensors named by where they stand
 * ("cells.3.2.0.weight": cell 3, choice 2, its first layer). Metadata of a supernet: dfq.supernet =
 * format version, dfq.supernet.space. Those of a derived network are dfqi_arch_meta's, and it is
 * read like any other network. */
#ifndef DFQI_NN_SUPERNET_FILE_H
#define DFQI_NN_SUPERNET_FILE_H

#include "io/safetensors.h"
#include "nn/supernet.h"

/* Name of tensor k of a layer. */
void dfqi_super_tensor_name(const dfqi_super_layer *l, int32_t k, char out[DFQI_SUPER_NAME]);

/* All tensors that there are. `meta` is written beside a supernet's own. */
DFQI_CHECKED dfq_status dfqi_supernet_save(const dfqi_supernet *net, const char *file,
                                           int64_t n_meta, const dfqi_st_meta *meta);
/* Every tensor of `net` from a file that may hold more. DFQ_E_SHAPE: another space; DFQ_E_NUMERIC:
 * a number that is not finite. `net` changes on success alone. */
DFQI_CHECKED dfq_status dfqi_supernet_load(dfqi_supernet *net, const char *file);

#endif
