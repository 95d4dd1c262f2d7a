/* Configurations beside a file of weights, as Hugging Face stores them. */
#ifndef DFQI_NN_CONFIG_H
#define DFQI_NN_CONFIG_H

#include "io/safetensors.h"

/* Adds what config.json and preprocessor_config.json say to the metadata of `st`, read from `path`;
 * keys that it has already stay. The configurations are read if they lie beside a file named
 * model.safetensors, model.safetensors.index.json or model.onnx: other files may be of another
 * network.
 * DFQ_E_CORRUPT or DFQ_E_UNSUPPORTED, naming the configuration, if it is damaged or says what no
 * network here computes. */
DFQI_CHECKED dfq_status dfqi_config_add(const char *path, dfqi_safetensors *st);

#endif
