/* Bits of layers in a report. */
#ifndef DFQ_TOOLS_REPORT_WIDTH_BARS_H
#define DFQ_TOOLS_REPORT_WIDTH_BARS_H

#include "report/report.h"

#include <stdio.h>

/* Words for the head: bits of weights and activations, or what they are in the mean. */
void html_width_chips(FILE *f, const struct report *r);
/* A row for each layer: a bar for its weights, one for its activations, and the numbers. */
void html_width_bars(FILE *f, const struct report_width *widths, size_t n);
/* The section with these bars; nothing without layers. */
void report_write_widths(FILE *f, const struct report *r);

#endif
