/* Bit widths of the values of a network (docs/METHODS.md, Widths). A value that a quantizer rounds
 * has the quantizer's bits wherever it is stored; all others are float. The scheme says which
 * values are quantized. */
#ifndef DFQI_ACCEL_WIDTHS_H
#define DFQI_ACCEL_WIDTHS_H

#include "quant/scheme.h"

/* Bits of operand `slot` of a node as it is read; 0: no quantizer rounds it. */
int32_t dfqi_width_read(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                        int32_t slot);
/* Bits of a value as it is written: the widest that is read of it, 0 if something reads it
 * unrounded, or nothing at all. */
int32_t dfqi_width_written(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v);

/* Is a value rounded, once it is written, to grids that are found from its rows at run time? */
bool dfqi_width_is_found(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v);

#endif
