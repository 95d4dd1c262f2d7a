/* The functions by which the folders of kernel/ fill a table, for table.c. Each gets a complete
 * table and overwrites the slots that it computes faster. It returns false, and leaves the table
 * untouched, if this build or this machine lacks support. Each may be called more than once, by one
 * thread at a time. */
#ifndef DFQI_KERNEL_TABLES_H
#define DFQI_KERNEL_TABLES_H

#include <stdbool.h>

#include "kernel/kernel.h"

extern const dfqi_kernels dfqi_kernels_ref; /* complete: every other table starts as its copy */

/* Matrix products; those with a packed operand unless they are better already (AVX-512). For levels
 * without products of their own. */
bool dfqi_kernels_use_xsmm(dfqi_kernels *t);
bool dfqi_kernels_use_blis(dfqi_kernels *t);

/* All slots; AVX-512 has of the products only those with a packed operand. It runs before the
 * sources of products, which use its packing. */
bool dfqi_kernels_use_avx2(dfqi_kernels *t);
bool dfqi_kernels_use_avx512(dfqi_kernels *t);

#endif
