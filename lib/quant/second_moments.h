/* Second moments of many rows, the sum of x x^T. A sum in float alone is too inexact: over a
 * million equal products, rounding errors of one sign add up to more than the damping that makes
 * the sum invertible. So the float sum is added to a sum in double from time to time. Up to
 * DFQI_MOMENTS_ROWS rows the result is the float sum. */
#ifndef DFQI_QUANT_SECOND_MOMENTS_H
#define DFQI_QUANT_SECOND_MOMENTS_H

#include "kernel/kernel.h"

enum { DFQI_MOMENTS_ROWS = 1 << 16 };

typedef struct dfqi_second_moments {
    int64_t cols, rows; /* rows in `sum` */
    float *sum;         /* [cols,cols], zeros at first */
    double *total;      /* [cols,cols], zeros at first */
} dfqi_second_moments;

void dfqi_second_moments_add(const dfqi_kernels *k, dfqi_second_moments *m, const float *x,
                             int64_t rows);
/* Finishes the sum of all rows, in `sum`; no rows may be added afterwards. */
void dfqi_second_moments_end(dfqi_second_moments *m);

#endif
