/* Fused attention (docs/METHODS.md, Fused attention): for some rows of queries at a time, the array
 * makes scores, the lanes their softmax, the array the product with values. Scores stay in the
 * buffer. */
#ifndef DFQI_ACCEL_FUSED_ATTENTION_H
#define DFQI_ACCEL_FUSED_ATTENTION_H

#include "accel/cost.h"

enum { DFQI_SCORES, DFQI_VALUES, DFQI_PRODUCTS };

/* The two products under one tiling. Softmax and what else lies between them cost what they always
 * do (dfqi_cost_rows). */
typedef struct dfqi_fused {
    dfqi_cost cost[DFQI_PRODUCTS];
    dfqi_mapping mapping[DFQI_PRODUCTS];
} dfqi_fused;

/* The tiling of least energy x latency of both products of those that are not slower and take no
 * more energy than given, and less of one of them: what the products take apart. False: there is
 * none, or the accelerator cannot; then *out stays as it is. The layers are resolved. */
bool dfqi_fuse_attention(const dfqi_layer *scores, const dfqi_layer *values,
                         const dfqi_accel_config *t, double cycles, double pj, dfqi_fused *out);
double dfqi_fused_cycles(const dfqi_fused *f);
double dfqi_fused_pj(const dfqi_fused *f);

#endif
