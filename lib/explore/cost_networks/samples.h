/* Training samples for DANCE's networks (docs/METHODS.md, DANCE's networks): random networks and
 * accelerators with their exact costs. 70 % of the networks are mixtures, Dirichlet(0.3) in each
 * cell; 30 % are single choices. Accelerators are uniform. */
#ifndef DFQI_EXPLORE_SAMPLES_H
#define DFQI_EXPLORE_SAMPLES_H

#include "base/rng.h"
#include "explore/domain/additive.h"

typedef struct dfqi_samples {
    const dfqi_domain *space; /* borrowed */
    int32_t n_metrics;
    float *rows; /* [configs][n_metrics][cells] */
    float *base; /* [configs][n_metrics] */
    uint32_t n_pool;
    float *pool; /* [n_pool][cells]: mixtures of single cells, put together anew for each network */
} dfqi_samples;

/* `n`: how many will be drawn. */
DFQI_CHECKED dfq_status dfqi_samples_new(const dfqi_domain *space, int32_t n_metrics,
                                         const double *cost, const double *base, uint64_t seed,
                                         int64_t n, dfqi_samples *out);
void dfqi_samples_fini(dfqi_samples *s);

/* A network p[cells], and an accelerator's number. */
void dfqi_samples_network(const dfqi_samples *s, dfqi_rng *r, float *p);
int32_t dfqi_samples_config(const dfqi_samples *s, dfqi_rng *r);
double dfqi_samples_cost(const dfqi_samples *s, const float *p, int32_t config, int32_t metric);

#endif
