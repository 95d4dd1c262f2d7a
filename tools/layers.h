/* The layers of a network with their size, float and as they are: a line or an object for each. */
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
