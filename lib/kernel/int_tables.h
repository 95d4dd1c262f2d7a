/* What the files of kernel/ share about integer tables. */
#ifndef DFQI_INT_TABLES_H
#define DFQI_INT_TABLES_H

#include "kernel/int_kernel.h"

/* The table of that name if this machine can run it, else NULL. */
const dfqi_int_kernels *dfqi_int_kernels_find(const char *name);

/* Puts the vector tables that this CPU can run into `out`, best first; there
 * are three at most. */
int32_t dfqi_int_x86_tables(const dfqi_int_kernels **out);

#endif
