/* Bit widths of layers in `dfq quantize`: --bits-file, --bits-file-out, --mean-bits. */
#ifndef DFQ_TOOLS_BITS_H
#define DFQ_TOOLS_BITS_H

#include "quantize.h"

/* Reads --bits-file and puts its layers in front of those of --layer-bits and --skip, in q->full.
 * Returns 0 or an exit code, after one error line. */
int bits_open(struct quantize *q);
/* With --mean-bits: measures damages and chooses the widths of all layers. Returns 0 or an exit
 * code, after one error line. */
int bits_choose(struct quantize *q);
/* Writes the widths of q->low to --bits-file-out. Returns 0 or an exit code, after one error
 * line. */
int bits_write(struct quantize *q);
void bits_close(struct quantize *q);

#endif
