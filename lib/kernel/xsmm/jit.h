/* Machine code for products of small matrices, made by libxsmm's generator and kept until the end
 * of the process. */
#ifndef DFQI_KERNEL_XSMM_JIT_H
#define DFQI_KERNEL_XSMM_JIT_H

#include <stdbool.h>
#include <stdint.h>

/* C = A B, or C += A B, in libxsmm's column-major terms: A is m x k, B is k x n (trans_b: n x k
 * in memory), lda, ldb, ldc are the distances of columns. */
typedef struct dfqi_xsmm_shape {
    int32_t m, n, k, lda, ldb, ldc;
    int32_t trans_b, add; /* 0 or 1 */
} dfqi_xsmm_shape;

typedef void (*dfqi_xsmm_kernel)(const float *a, const float *b, float *c);

/* False where no code can be run that was made at run time. Before the first look-up, once. */
bool dfqi_xsmm_start(void);

/* The kernel of this shape, made at its first use; NULL: libxsmm has none, or no memory. Any
 * thread, some kilobytes of stack. */
dfqi_xsmm_kernel dfqi_xsmm_find(const dfqi_xsmm_shape *shape);

#endif
