/* Random orthogonal matrices that spread a few large channels over all of them: Hadamard matrices
 * with random signs, or the orthogonal factor of a random matrix where no Hadamard matrix is known.
 * A matrix is a function of its order and of the random numbers alone. */
#ifndef DFQI_NN_ORTHOGONAL_H
#define DFQI_NN_ORTHOGONAL_H

#include "base/rng.h"
#include "nn/hadamard.h"

typedef struct dfqi_orthogonal {
    dfq_context *ctx;
    int64_t n;
    int fixes_ones;
    dfqi_hadamard h; /* n 0: `dense` takes its place */
    uint32_t *order; /* [n] the permutation P; if fixes_ones */
    double *sign;    /* [n] the diagonal D */
    double *dense;   /* [n,n] the matrix itself */
} dfqi_orthogonal;

/* R [n,n] with R R^T = I and R 1 = 1, so that a LayerNorm without affine part commutes with it:
 * R = (1/n) H^T P D H with D = diag(+-1) and a permutation P, which both leave the first place as
 * it is. Advances `rng`; dfqi_orthogonal_fini() frees it. */
DFQI_CHECKED dfq_status dfqi_orthogonal_stream(dfq_context *ctx, int64_t n, dfqi_rng *rng,
                                               dfqi_orthogonal *out);
/* A = n^-1/2 D H. */
DFQI_CHECKED dfq_status dfqi_orthogonal_head(dfq_context *ctx, int64_t n, dfqi_rng *rng,
                                             dfqi_orthogonal *out);
void dfqi_orthogonal_fini(dfqi_orthogonal *q);
/* The row vector x[n] <- x Q; scratch[n] is overwritten. */
void dfqi_orthogonal_apply(const dfqi_orthogonal *q, double *x, double *scratch);

#endif
