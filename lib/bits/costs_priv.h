/* What the costs*.c files share: which shapes the cells of a table change, and to which. */
#ifndef DFQI_BITS_COSTS_PRIV_H
#define DFQI_BITS_COSTS_PRIV_H

#include "bits/costs.h"

/* The layers of the network under a scheme, one shape for each. */
typedef struct dfqi_bits_shapes {
    int32_t n;
    dfqi_layer *of;  /* [n] */
    int32_t *scores; /* [n] as in dfqi_layer_entry */
} dfqi_bits_shapes;

/* Growing lists of different shapes and attentions. */
typedef struct dfqi_bits_registry {
    dfq_context *ctx;
    int32_t n, room, n_attentions, attentions_room;
    dfqi_layer *all;
    dfqi_attention_pair *attentions;
} dfqi_bits_registry;

/* Entry `layer` of the network, or the attention that it ends, becomes `to` if the cell is
 * chosen. */
typedef struct dfqi_bits_change {
    int32_t cell, layer, to;
    bool attention;
} dfqi_bits_change;

struct dfqi_bits_plan {
    dfqi_bits_registry shapes;
    dfqi_bits_shapes base;                /* of a network with the widest bits everywhere */
    int32_t *base_shape, *base_attention; /* [base.n] -1: it ends none */
    int32_t n_changes, room;
    dfqi_bits_change *changes;
};

/* Bounds from below of latency and energy of all widths, for each accelerator. */
void dfqi_bits_bound(dfqi_bits_costs *c);

#endif
