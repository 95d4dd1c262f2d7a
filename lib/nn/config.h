/* Configurations beside a file of weights, as Hugging Face stores them. */
#ifndef DFQI_NN_CONFIG_H
#define DFQI_NN_CONFIG_H

#include "io/safetensors.h"
#include "nn/network.h"

/* How the keys begin of what dfqi_config_check() compares. */
#define DFQI_CONFIG_KEYS "config."

/* Adds what config.json and preprocessor_config.json say to the metadata of `st`, read from `path`;
 * keys that it has already stay. The configurations are read if they lie beside a file named
 * model.safetensors, model.safetensors.index.json or model.onnx: other files may be of another
 * network.
 * DFQ_E_CORRUPT or DFQ_E_UNSUPPORTED, naming the configuration, if it is damaged or says what no
 * network here computes. */
DFQI_CHECKED dfq_status dfqi_config_add(const char *path, dfqi_safetensors *st);
/* DFQ_E_SHAPE where sizes that it said are not those of the tensors: it is another network's, and
 * so are its heads. Another number of classes is said by a warning. */
DFQI_CHECKED dfq_status dfqi_config_check(const dfqi_safetensors *st, const char *path,
                                          const dfqi_arch *a);

#endif
