/* Bit widths of layers in `dfq quantize`: --bits-file and --bits-file-out. */
#ifndef DFQ_TOOLS_BITS_H
#define DFQ_TOOLS_BITS_H

#include "quantize.h"

/* Reads --bits-file and puts its layers in front of those of --layer-bits and --skip, in q->full.
 * Returns 0 or an exit code, after one error line. */
int bits_open(struct quantize *q);
/* Writes the widths of q->low to --bits-file-out. Returns 0 or an exit code, after one error
 * line. */
int bits_write(struct quantize *q);
void bits_close(struct quantize *q);

#endif
