/* Projection of a mixture onto limits in relative entropy (docs/METHODS.md, Projection). */
#ifndef DFQI_EXPLORE_PROJECT_PRIV_H
#define DFQI_EXPLORE_PROJECT_PRIV_H

#include <dfq/solver.h>

/* The cells on one accelerator. Vectors have first[n_groups] entries. */
typedef struct dfqi_projection {
    int32_t n_groups;
    const int32_t *first;                /* [n_groups + 1] where a cell begins in vectors */
    const double *z;                     /* logits of the mixture that is projected */
    int32_t n_limits;                    /* 0..DFQ_METRICS_MAX */
    const double *cost[DFQ_METRICS_MAX]; /* c_j: cost of each choice as a share of the limit */
    double room[DFQ_METRICS_MAX];        /* what of the limit is left for the cells */
} dfqi_projection;

/* p = softmax(z - sum_j lam_j c_j), the mixture nearest to softmax(z) in relative entropy that has
 * sum_i p_i c_j[i] <= room_j for every j. The prices lam [n_limits], 0..1e6, are those of a mixture
 * nearby on entry, which saves time, and the solution's on return. Where no mixture meets the
 * limits, the prices grow to their bound and p to the cheapest choices. */
void dfqi_project(const dfqi_projection *q, double *lam, double *p);

#endif
