/* Local moves of chosen widths, by the divergence that they measure. */
#ifndef DFQI_BITS_REFINE_H
#define DFQI_BITS_REFINE_H

#include "bits/choose_costs.h"

typedef struct dfqi_refine {
    dfqi_sensitivity *s;      /* finished, and with networks to measure */
    const dfqi_bits_costs *c; /* of limits of cost; or NULL */
    const dfqi_cost_limits *limits;
    int32_t trials;
} dfqi_refine;

/* A move takes one bit more for one layer's weights (or activations) and one less for another's.
 * Of all that keep the limits those of the least predicted divergence are tried first, each once;
 * one that measures less is kept. Changes widths [s->n] and, of `chosen`, what they cost on its
 * accelerator. Divergences before and after go to kl. Reports progress ("refine"). */
DFQI_CHECKED dfq_status dfqi_refine_run(const dfqi_refine *r, dfqi_pair *widths,
                                        dfqi_chosen *chosen, double kl[2]);

#endif
