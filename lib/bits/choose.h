/* The widths of least predicted divergence within limits, by the exact solver. */
#ifndef DFQI_BITS_CHOOSE_H
#define DFQI_BITS_CHOOSE_H

#include "bits/sensitivity.h"

/* Mean widths at most, as dfqi_bits_mean_weight() and dfqi_bits_mean_act() have them; 0: no
 * limit, the widest. */
typedef struct dfqi_mean_limits {
    double weight, act;
} dfqi_mean_limits;

/* What is known of the widths within the limits. */
typedef struct dfqi_proof {
    bool proved;  /* none predict less than those chosen */
    double bound; /* none predict less than this */
} dfqi_proof;

/* Into widths [s->n]. DFQ_E_INFEASIBLE: the narrowest are too wide; the text names limit and least
 * mean. */
DFQI_CHECKED dfq_status dfqi_choose_means(const dfqi_sensitivity *s, dfqi_mean_limits limits,
                                          dfqi_pair *widths, dfqi_proof *proof);

#endif
