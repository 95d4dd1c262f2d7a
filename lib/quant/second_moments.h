/* Second moments of a layer's inputs: of those that the student sees, x~, with themselves and with
 * the teacher's, x. Sums over rows in float would be too inexact: over a million equal products,
 * rounding errors of one sign add up to more than the damping that makes the sum invertible. So the
 * product of each piece of rows is computed in float and added up in double. */
#ifndef DFQI_QUANT_SECOND_MOMENTS_H
#define DFQI_QUANT_SECOND_MOMENTS_H

#include "kernel/kernel.h"

enum { DFQI_MOMENTS_ROWS = 1024 }; /* of a piece, at most */

typedef struct dfqi_input_moments {
    int64_t n;                 /* inputs */
    double rows;               /* rows so far */
    double *self;              /* [n,n] sum of x~[r] x~[c], lower triangle until the end */
    double *cross;             /* [n,n] sum of x~[r] x[c] */
    double *student, *teacher; /* [n] sums of x~ and of x */
} dfqi_input_moments;

DFQI_CHECKED dfq_status dfqi_input_moments_new(dfq_context *ctx, int64_t n,
                                               dfqi_input_moments *out);
void dfqi_input_moments_fini(dfq_context *ctx, dfqi_input_moments *m);
/* Floats of scratch that the threads of the context need to add n inputs. */
size_t dfqi_input_moments_scratch(const dfq_context *ctx, int64_t n);
/* Adds rows of the student's and the teacher's inputs, [rows,n] each, on all threads. The bits do
 * not depend on their number. */
void dfqi_input_moments_add(dfq_context *ctx, dfqi_input_moments *m, int64_t rows,
                            const float *student, const float *teacher, float *scratch);
/* Fills the upper triangle. False if a sum is not finite. */
bool dfqi_input_moments_end(dfqi_input_moments *m);

#endif
