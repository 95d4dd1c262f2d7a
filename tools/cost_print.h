/* Text output of network costs, within 80 columns; equal layers share a line. */
#ifndef DFQ_TOOLS_COST_PRINT_H
#define DFQ_TOOLS_COST_PRINT_H

#include <dfq/accelerator.h>

/* The five lines that cost most, what the others cost together, and the total; all: each layer.
 * Nonzero without memory. */
int cost_print_layers(const dfq_cost *cost, const dfq_cost_info *total, int all);
/* One line of such a table. */
void cost_print_row(const char *name, const dfq_cost_info *layer, const dfq_cost_info *total);
/* Where the energy goes. */
void cost_print_parts(const dfq_cost_info *total);
/* "label        text", broken between words. */
void cost_print_wrapped(const char *label, const char *text);

#endif
