/* --layer-bits and --skip: bit widths of single layers, as dfq_layer_config structs. */
#ifndef DFQ_TOOLS_LAYER_CONFIG_H
#define DFQ_TOOLS_LAYER_CONFIG_H

#include "options.h"

/* Reads both texts into o->layers. Returns -1 to go on, or an exit code after one error line. */
int layer_config_read(struct options *o);
void layer_config_free(struct options *o);

#endif
