/* Factors of symmetric matrices and the systems they solve, in double, blocked and on all threads
 * of the context. Each element has one order of summation, so the bits do not depend on the number
 * of threads. For the second moments of layers, with up to some thousand columns. */
#ifndef DFQI_QUANT_FACTOR_H
#define DFQI_QUANT_FACTOR_H

#include "kernel/kernel.h"

/* a = L L^T, [n,n]. The lower triangle of `a` becomes L, the upper one its transpose. `inverse` has
 * the inverses of the blocks of 64 on the diagonal, negative, [n,64], and their transposes behind
 * them. */
typedef struct dfqi_factor {
    dfq_context *ctx;
    const dfqi_kernels *k;
    int64_t n;
    double *a;       /* [n,n] the caller's: the matrix, then its factor */
    double *inverse; /* [2,n,64] owned */
    double *scratch; /* [threads][32,64] owned */
} dfqi_factor;

DFQI_CHECKED dfq_status dfqi_factor_new(dfq_context *ctx, int64_t n, dfqi_factor *out);
void dfqi_factor_fini(dfqi_factor *f);
/* Factors the matrix in a[n,n], whose lower triangle is read; `a` stays in use. False if it is not
 * positive definite (or not finite). */
bool dfqi_factor_make(dfqi_factor *f, double *a);
/* Rows x of b[rows,n] become y with L L^T y = x. */
void dfqi_factor_solve(const dfqi_factor *f, int64_t rows, double *b);
/* out[n,n] = the inverse of L, transposed: its upper triangle, with zeros below. */
void dfqi_factor_invert(const dfqi_factor *f, double *out);

#endif
