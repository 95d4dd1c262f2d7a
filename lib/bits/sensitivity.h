/* Damages of bit widths: the KL divergence of a float network and the network with one layer's
 * weights, or one layer's activations, at one width. What is not measured is NaN. */
#ifndef DFQI_BITS_SENSITIVITY_H
#define DFQI_BITS_SENSITIVITY_H

#include "bits/mixed.h"

/* Damages of one layer, by width - DFQI_BITS_MIN. */
typedef struct dfqi_damage {
    double w[DFQI_BITS_WIDTHS], a[DFQI_BITS_WIDTHS];
} dfqi_damage;

typedef struct dfqi_sensitivity {
    dfqi_mixed mixed;     /* images, forms and base are the caller's */
    int32_t n, done;      /* layers */
    dfqi_damage *damages; /* [n] */
    dfqi_mixed_graph graph;
    dfqi_cut_state state; /* in front of layer `done`; kept NULL: not begun */
} dfqi_sensitivity;

/* `mixed` is taken over; its forms and dfqi_mixed_init() may come later, before the first step. */
DFQI_CHECKED dfq_status dfqi_sensitivity_init(const dfqi_mixed *mixed, dfqi_sensitivity *out);
void dfqi_sensitivity_fini(dfqi_sensitivity *s);
/* Measures the next layer. */
DFQI_CHECKED dfq_status dfqi_sensitivity_step(dfqi_sensitivity *s);
/* Goes on behind `done` layers, whose damages are there. */
void dfqi_sensitivity_resume(dfqi_sensitivity *s, int32_t done);
/* The divergence that the damages predict for these widths: their sum. */
double dfqi_sensitivity_predict(const dfqi_sensitivity *s, const dfqi_pair *widths);

/* What one width adds; 0 bits: nothing. */
static inline double dfqi_damage_of(const double *d, int32_t bits)
{
    return bits ? d[bits - DFQI_BITS_MIN] : 0;
}

#endif
