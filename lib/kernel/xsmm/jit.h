/* Machine code for products of small matrices. libxsmm's generator makes it; it is kept until the
 * end of the process. */
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

/* Call it once, before the first look-up. Returns false if the system refuses to run generated
 * code. */
bool dfqi_xsmm_start(void);

/* The kernel of this shape, made at its first use; NULL: libxsmm has none, or no memory. Any
 * thread, some kilobytes of stack. */
dfqi_xsmm_kernel dfqi_xsmm_find(const dfqi_xsmm_shape *shape);

#endif
