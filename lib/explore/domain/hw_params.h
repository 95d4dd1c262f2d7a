/* How a search and a network that generates accelerators meet, so that neither knows the other. */
#ifndef DFQI_EXPLORE_HW_PARAMS_H
#define DFQI_EXPLORE_HW_PARAMS_H

#include "base/context.h"

/* A network (DANCE's GEN) that computes the logits of the hardware parameters from the mixture of
 * the cells. The search updates its parameters in place of the logits. */
typedef struct dfqi_hw_params {
    int64_t n;           /* parameters */
    const double *start; /* [n] their first values; borrowed for creation alone */
    /* The logits [total - cells] of mixture p [cells] with parameters v [n]. */
    DFQI_CHECKED dfq_status (*logits)(void *user, const double *p, const double *v, double *out);
    /* Gradients to both from that to the logits, at the point of the last call of logits(). */
    DFQI_CHECKED dfq_status (*gradient)(void *user, const double *dlogits, double *dp, double *dv);
    void *user;
} dfqi_hw_params;

#endif
