/* Ranges of activations, followed over batches (ait.md 3.4), and the grids they give. */
#ifndef DFQI_QUANT_RANGE_H
#define DFQI_QUANT_RANGE_H

#include "base/context.h"

typedef enum dfqi_range_kind {
    DFQI_RANGE_MEAN = 0, /* moving average, starting from the first batch */
    DFQI_RANGE_PUBLISHED /* its wrong bias correction fed back: overshoots up to 3945 times, and is
                            right to 1e-4 after 200 batches */
} dfqi_range_kind;

/* All of it is state. All zero: nothing seen. */
typedef struct dfqi_range {
    float lo, hi; /* moving averages of the extremes, factor 0.9 */
    float seen;   /* 1 - 0.9^batches */
} dfqi_range;

/* Takes in a batch: values x[n], n >= 1, or each image's extremes. */
void dfqi_range_update(dfq_context *ctx, dfqi_range *r, dfqi_range_kind kind, const float *x,
                       int64_t n);
/* The grid from lo to hi for dfqi_fq: codes -2^(bits-1) .. 2^(bits-1) - 1; zero is -z of ait.md. */
void dfqi_range_grid(const dfqi_range *r, int32_t bits, float *step, float *zero);

#endif
