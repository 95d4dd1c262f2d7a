/* Bit widths of the values of a network (docs/METHODS.md, Widths). A value that a quantizer rounds
 * has the quantizer's bits wherever it is stored; all others are float. The scheme says which
 * values are quantized. */
#ifndef DFQI_ACCEL_WIDTHS_H
#define DFQI_ACCEL_WIDTHS_H

#include "accel/layer.h"

/* Of one word. Grids are stored beside the codes: scales, and zero points where grids are found at
 * run time. Static grids of activations are constants, of which there are few. */
typedef struct dfqi_width {
    int32_t bits; /* 0: no quantizer rounds it */
    dfqi_share grid;
} dfqi_width;

/* Operand `slot` of a node as it is read. */
dfqi_width dfqi_width_read(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                           int32_t slot);
/* A value as it is written: the widest that is read of it, 0 if something reads it unrounded, or
 * nothing at all. */
dfqi_width dfqi_width_written(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v);
/* Channels (columns) of operand `slot` of a product that share a grid; 0: all of a row. */
int64_t dfqi_width_group(const dfqi_scheme *s, const dfqi_node *n, int32_t slot);

/* Is a value rounded, once it is written, to grids that are found from its rows at run time? */
bool dfqi_width_is_found(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v);

#endif
