/* fq_row of columns: x[rows, cols] is turned, so that its columns are rows. */
#ifndef DFQI_KERNEL_FQ_COLUMN_H
#define DFQI_KERNEL_FQ_COLUMN_H

#include "kernel/kernel.h"

/* scratch: rows * cols floats. scale_out and zero_point_out [cols] may be NULL. */
static inline void dfqi_fq_columns(const dfqi_kernels *k, int64_t rows, int64_t cols, int bits,
                                   int is_signed, const float *x, float *y, float *scale_out,
                                   float *zero_point_out, float *scratch)
{
    k->transpose(rows, cols, x, cols, scratch, rows);
    k->fq_row(cols, rows, bits, is_signed, scratch, scratch, scale_out, zero_point_out);
    k->transpose(cols, rows, scratch, rows, y, cols);
}

/* scratch: 2 * rows * cols floats. */
static inline void dfqi_fq_columns_bwd(const dfqi_kernels *k, int64_t rows, int64_t cols, int bits,
                                       int is_signed, const float *x, const float *dy, float *dx,
                                       float *scratch)
{
    float *turned = scratch + rows * cols;
    k->transpose(rows, cols, x, cols, scratch, rows);
    k->transpose(rows, cols, dy, cols, turned, rows);
    k->fq_row_bwd(cols, rows, bits, is_signed, scratch, turned, turned);
    k->transpose(cols, rows, turned, rows, dx, cols);
}

#endif
