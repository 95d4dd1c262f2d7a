/* Hadamard matrices: H [n,n] of entries +-1 with H H^T = n I, whose first row and first column are
 * all +1. Orders n = m 2^k are known here where m is 1 (Sylvester) or m - 1 is a prime of the form
 * 4 i + 3 (Paley): 192 = 12 * 16, 80 = 20 * 4. The matrix is the Kronecker product of the one of
 * order m and Sylvester's of order 2^k, and is applied as a fast transform. */
#ifndef DFQI_NN_HADAMARD_H
#define DFQI_NN_HADAMARD_H

#include "base/memory.h"

typedef struct dfqi_hadamard {
    int64_t n;       /* 0: no matrix of that order is known here */
    int64_t base;    /* m: 1, or the order of Paley's matrix */
    int8_t *residue; /* [m - 1] quadratic residues: 1, -1, and 0 for 0; NULL for m = 1 */
} dfqi_hadamard;

/* n >= 1; dfqi_hadamard_fini() frees it. */
DFQI_CHECKED dfq_status dfqi_hadamard_init(dfq_context *ctx, int64_t n, dfqi_hadamard *out);
void dfqi_hadamard_fini(dfq_context *ctx, dfqi_hadamard *h);
/* The row vector x[n] <- x H, or x H^T if `transposed`; scratch[n] is overwritten. */
void dfqi_hadamard_apply(const dfqi_hadamard *h, int transposed, double *x, double *scratch);

#endif
