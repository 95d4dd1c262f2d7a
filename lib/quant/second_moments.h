/* Second moments of many rows: sum of x x^T. Floats alone lose them: in a sum of a million equal
 * products each new one is rounded the same way, and what is lost is more than the damping that
 * makes the sum invertible. So a float sum is put into one of doubles now and then. Up to
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
/* All rows so far, in `sum`; nothing may be added behind it. */
void dfqi_second_moments_end(dfqi_second_moments *m);

#endif
