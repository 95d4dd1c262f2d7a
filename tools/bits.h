/* Bit widths of layers in `dfq quantize`: --bits-file, --bits-file-out, --mean-bits,
 * --limit-*. */
#ifndef DFQ_TOOLS_BITS_H
#define DFQ_TOOLS_BITS_H

#include "quantize.h"

/* Reads --accel, and --bits-file, whose layers come before those of --layer-bits and --skip.
 * Returns 0 or an exit code, after one error line. */
int bits_open(struct quantize *q);
/* With --mean-bits and --limit-*: measures damages and chooses the widths of all layers. Returns 0
 * or an exit code, after one error line. */
int bits_choose(struct quantize *q);
/* The limits of the command line, as dfq_sensitivity_choose() takes them. */
dfq_status bits_limits(struct quantize *q, dfq_bits_limits *limits);
/* Writes the widths of q->low to --bits-file-out. Returns 0 or an exit code, after one error
 * line. */
int bits_write(struct quantize *q);
/* How good chosen bits are: "proved to be the least", or how much others could take off. */
const char *bits_proof(const dfq_bits_choice *choice, char out[80]);
/* dfq explore MODEL needs images where scales are static, or where an option asks for some. */
int bits_need_no_images(const struct options *o, const dfq_graph_info *info);
void bits_close(struct quantize *q);

#endif
