/* Prints the layers of a network and their sizes, float and quantized, as text and JSON. */
#ifndef DFQ_TOOLS_LAYERS_H
#define DFQ_TOOLS_LAYERS_H

#include <dfq/dfq.h>

#include "json.h"

void layers_print(const dfq_graph *g);
/* A member "layers". */
void layers_json(struct json *j, const dfq_graph *g);
/* A member "operations": what is computed, with shapes, bits and work. */
void operations_json(struct json *j, const dfq_graph *g);

#endif
