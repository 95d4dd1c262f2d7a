/* How wide the values of a network are kept: what a quantizer rounds has its bits, from where it is
 * written to where it is read. A scheme says where the quantizers are (docs/METHODS.md, Widths). */
#ifndef DFQI_ACCEL_WIDTHS_H
#define DFQI_ACCEL_WIDTHS_H

#include "quant/scheme.h"

/* Bits of operand `slot` of a node as it is read; 0: no quantizer rounds it. */
int32_t dfqi_width_read(const dfqi_graph *g, const dfqi_scheme *s, const dfqi_node *n,
                        int32_t slot);
/* Bits of a value as it is written: the widest that is read of it, 0 if something reads it
 * unrounded, or nothing at all. */
int32_t dfqi_width_written(const dfqi_graph *g, const dfqi_scheme *s, dfqi_id v);

#endif
