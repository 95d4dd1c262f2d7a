/* Gradient inundation (AIT, CVPR 2022; docs/METHODS.md, Tuning). A small step changes hardly any
 * code of a quantized weight, so it leaves the network's function as it was. Therefore the step
 * is multiplied by the kappa >= 1 at which it changes a share of about rho of the codes; kappa
 * is 1 if the plain step does that. Kappa affects neither the state of the optimiser nor its
 * weight decay. */
#ifndef DFQI_NN_INUNDATION_H
#define DFQI_NN_INUNDATION_H

#include "kernel/kernel.h"
#include "nn/optim.h"

/* A quantized weight to be updated, and the result of the last step: `changed` is the number of
 * codes that changed in the search (with AdamW it may differ by the last bits of the step). */
typedef struct dfqi_inundated {
    int64_t rows;
    dfqi_weight_grid grid; /* how p becomes codes */
    const float *groups;   /* with a scale: [rows,n_groups] (kernel/weight_groups.h), or NULL */
    int64_t n_groups;
    float *p; /* [rows, moments->count / rows] */
    const float *g;
    dfqi_moments *moments;
    float kappa;     /* out */
    int64_t changed; /* out */
} dfqi_inundated;

/* The target of the search, and its memory. */
typedef struct dfqi_inundation {
    dfq_context *ctx;
    float rho;  /* share of the codes to change, > 0; set before each step */
    int spare;  /* 1: skip a weight for which rho asks for less than half a code; 0, as published:
                 * one of its codes changes in every step */
    int capped; /* 1: kappa stays below 128, even if rho is not reached: AIT's first epoch */
    int64_t largest; /* elements of a weight */
    float *move;     /* [threads][largest] */
} dfqi_inundation;

/* For weights with up to `largest` elements; nothing is allocated after this. */
DFQI_CHECKED dfq_status dfqi_inundation_new(dfq_context *ctx, int64_t largest,
                                            dfqi_inundation *out);
void dfqi_inundation_fini(dfqi_inundation *w); /* all zero ok */
double dfqi_inundation_bytes(const dfq_context *ctx, int64_t largest);

/* dfqi_optim_step on n weights, with the learning rate of each times its kappa. Kappa is 1 if no
 * code can change, because gradient and velocity are 0 or 2^60 times the step is not enough. */
void dfqi_inundation_step(dfqi_inundation *w, const dfqi_optim_options *o, int64_t t, float lr,
                          int64_t n, dfqi_inundated *weights);

#endif
