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
/* Writes the widths of q->low to --bits-file-out. Returns 0 or an exit code, after one error
 * line. */
int bits_write(struct quantize *q);
void bits_close(struct quantize *q);

#endif
