/* Gradient inundation (AIT, CVPR 2022; docs/METHODS.md, Tuning). A small step changes hardly any
 * code of a quantized weight, so the network computes what it did before. Therefore the step is
 * amplified by the kappa >= 1 at which it changes the codes of about a share rho of the weights;
 * kappa is 1 if it does so already. The state of the optimiser and its weight decay know nothing of
 * kappa. */
#ifndef DFQI_NN_INUNDATION_H
#define DFQI_NN_INUNDATION_H

#include "kernel/kernel.h"
#include "nn/optim.h"

/* A quantized weight that is to be moved, and what the last step did to it: `changed` of its codes,
 * as the search saw them (AdamW's may differ by the last bits of the step). */
typedef struct dfqi_inundated {
    int64_t rows;
    dfqi_weight_grid grid; /* how p becomes codes */
    float *p;              /* [rows, moments->count / rows] */
    const float *g;
    dfqi_moments *moments;
    float kappa;     /* out */
    int64_t changed; /* out */
} dfqi_inundated;

/* What the search aims at, and its memory. */
typedef struct dfqi_inundation {
    dfq_context *ctx;
    float rho;  /* share of the codes to change, > 0; set before each step */
    int spare;  /* a weight of which rho asks for less than half a code is left alone; published:
                        one of its codes changes in every step */
    int capped; /* kappa stays below 128, also where rho is not met: AIT's first epoch */
    int64_t largest; /* elements of a weight */
    float *move;     /* [threads][largest] */
} dfqi_inundation;

/* For weights with up to `largest` elements; nothing is allocated after this. */
DFQI_CHECKED dfq_status dfqi_inundation_new(dfq_context *ctx, int64_t largest,
                                            dfqi_inundation *out);
void dfqi_inundation_fini(dfqi_inundation *w); /* all zero ok */
double dfqi_inundation_bytes(const dfq_context *ctx, int64_t largest);

/* dfqi_optim_step on n weights, with the rate of each times its kappa. Where nothing can cross,
 * because gradient and velocity are 0 or 2^60 times the step is not enough, kappa is 1. */
void dfqi_inundation_step(dfqi_inundation *w, const dfqi_optim_options *o, int64_t t, float lr,
                          int64_t n, dfqi_inundated *weights);

#endif
