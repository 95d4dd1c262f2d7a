/* The struct behind dfq_sensitivity, for the files of its functions. */
#ifndef DFQI_API_SENSITIVITY_PRIV_H
#define DFQI_API_SENSITIVITY_PRIV_H

#include <dfq/sensitivity.h>

#include "bits/costs.h"
#include "bits/sensitivity.h"

struct dfq_sensitivity {
    dfqi_model *graph;  /* retained */
    dfq_tensor *given;  /* retained; or NULL */
    dfq_tensor *images; /* that damages are measured on */
    dfq_quantize_options quantize;
    dfqi_bits *table;                     /* layers, of any widths */
    dfqi_network basis;                   /* the float network, rotated or folded as the forms */
    dfqi_model *forms[DFQI_BITS_MAX + 1]; /* quantized at one width; made by the first steps */
    dfqi_sensitivity core;                /* ready behind the last form */
    int32_t n_forms;
    bool ready;
    /* tables of the accelerators that were chosen from last, and what they borrow */
    dfqi_scheme scheme;
    dfqi_bits_costs costs; /* ctx NULL: there are none */
};

/* Have all damages been measured? */
static inline bool dfqi_sensitivity_is_finished(const dfq_sensitivity *s)
{
    return s->core.done == s->core.n;
}

/* What measuring needs, if it is not there yet: the network at each width, and the float one's
 * probabilities. */
DFQI_CHECKED dfq_status dfqi_sensitivity_prepare(dfq_sensitivity *s);
/* Forgets the tables of accelerators. */
void dfqi_sensitivity_forget_costs(dfq_sensitivity *s);
/* Widths [layers] of a table, which must be of the same network. */
DFQI_CHECKED dfq_status dfqi_sensitivity_take(const dfq_sensitivity *s, const dfq_bits *bits,
                                              dfqi_pair *out);

#endif
