/* The widths of least predicted divergence, and the accelerator, within hard limits of cost. */
#ifndef DFQI_BITS_CHOOSE_COSTS_H
#define DFQI_BITS_CHOOSE_COSTS_H

#include "bits/choose.h"
#include "bits/costs.h"

/* At most; 0: no limit. */
typedef struct dfqi_cost_limits {
    dfqi_mean_limits mean;
    double ms, mj, mm2, mw;
} dfqi_cost_limits;

typedef struct dfqi_chosen {
    dfqi_proof proof;   /* in the additive model, of all accelerators */
    int64_t config;     /* of the costs' space */
    double ms, mj, mm2; /* by the exact model */
    int32_t fused;      /* attentions */
} dfqi_chosen;

/* Into widths [s->n]: they meet the limits by the exact model. Fills the tables of accelerators
 * that may meet the limits. DFQ_E_INFEASIBLE: the text tells the tightest limits. */
DFQI_CHECKED dfq_status dfqi_choose_costs(const dfqi_sensitivity *s, dfqi_bits_costs *c,
                                          const dfqi_cost_limits *limits, dfqi_pair *widths,
                                          dfqi_chosen *out);

#endif
