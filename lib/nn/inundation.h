/* Gradient inundation (AIT, CVPR 2022; ait.md 2). A small step changes hardly any code of a
 * quantized weight, so the network computes what it did before. Therefore the step is amplified by
 * the kappa >= 1 at which it changes the codes of about a share rho of the weights; kappa is 1 if it
 * does so already. The state of the optimiser and its weight decay know nothing of kappa. */
#ifndef DFQI_NN_INUNDATION_H
#define DFQI_NN_INUNDATION_H

#include "kernel/kernel.h"
#include "nn/optim.h"

/* The codes of a weight that is being moved. */
typedef struct dfqi_codes {
    int64_t rows;
    dfqi_weight_grid grid;
} dfqi_codes;

/* What a step did to a weight: `changed` of its `count` codes, as the search saw them; AdamW's may
 * differ by the last bits of the step. */
typedef struct dfqi_crossing {
    float kappa;
    int64_t changed, count;
} dfqi_crossing;

/* Memory of the search, made once, and what it aims at, set before each step. */
typedef struct dfqi_inundation {
    dfq_context *ctx;
    const dfqi_kernels *k;
    float *move;      /* [largest] */
    int64_t *changed; /* [rows], of each block of rows */
    float rho;        /* share of the codes to change, > 0 */
    int capped;       /* kappa stays below 128, also where rho is not met: AIT's first epoch */
} dfqi_inundation;

/* For weights with up to `largest` elements and `rows` rows. */
dfq_status dfqi_inundation_new(dfq_context *ctx, int64_t largest, int64_t rows,
                               dfqi_inundation *out);
void dfqi_inundation_fini(dfqi_inundation *w); /* all zero ok */
double dfqi_inundation_bytes(int64_t largest, int64_t rows);

/* dfqi_optim_step with the rate of the step times kappa. Where nothing can cross, because gradient
 * and velocity are 0 or 2^60 times the step is not enough, kappa is 1. */
dfqi_crossing dfqi_inundation_step(dfqi_inundation *w, const dfqi_optim_options *o, dfqi_moments *s,
                                   int64_t t, float lr, const float *g, float *p,
                                   const dfqi_codes *codes);

#endif
