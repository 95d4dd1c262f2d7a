/* Tables of what widths cost on accelerators: latency and energy of a network with the widest ones
 * everywhere, and what one layer's widths take off. A layer's widths change its own product, what
 * computes its operands, as it is stored in fewer bits, and nothing else; where two layers read one
 * value, its widest reader counts, and whether an attention is better fused depends on all its
 * widths. Sums over layers are therefore a model, which the exact costs (dfqi_bits_exact())
 * check. */
#ifndef DFQI_BITS_COSTS_H
#define DFQI_BITS_COSTS_H

#include "accel/table.h"
#include "bits/mixed.h"

/* A choice of a layer. */
typedef struct dfqi_bits_cell {
    int32_t row;
    dfqi_pair pair;
} dfqi_bits_cell;

typedef struct dfqi_bits_costs {
    dfq_context *ctx;
    const dfqi_model *net; /* float; borrowed, as the others */
    const dfqi_scheme *scheme;
    const dfqi_bits *table;
    dfqi_accel_space space;
    int32_t n_cells, *first; /* [table->n + 1] the cells of a row */
    dfqi_bits_cell *cells;
    int32_t widest; /* bits: 8, or what an operand may have at most */
    int64_t n_configs;
    struct dfqi_bits_plan *plan;          /* how to fill the tables (costs_priv.h) */
    uint8_t *filled;                      /* [n_configs] accelerators that these tables have: */
    double *ms, *mj;                      /* [n_cells][n_configs] */
    double *base_ms, *base_mj, *base_mm2; /* [n_configs] the area of all accelerators */
    double *least_ms, *least_mj;          /* [n_configs] of all accelerators: no widths take less */
} dfqi_bits_costs;

/* Costs that no limit allows: the layer fits no mapping. */
#define DFQI_BITS_NEVER 1e12

/* For all widths that operands of the accelerators may have, of all layers. Nothing is filled: that
 * takes long, and limits leave few of many accelerators. */
DFQI_CHECKED dfq_status dfqi_bits_costs_new(const dfqi_model *net, const dfqi_scheme *scheme,
                                            const dfqi_bits *table, const dfqi_accel_space *space,
                                            dfqi_bits_costs *out);
void dfqi_bits_costs_fini(dfqi_bits_costs *c);
/* Fills the tables of accelerators that are `wanted` [n_configs] (NULL: of all), where they are not
 * filled; reports progress. DFQ_E_INFEASIBLE if all of the space are and a layer has no mapping. */
DFQI_CHECKED dfq_status dfqi_bits_costs_fill(dfqi_bits_costs *c, const uint8_t *wanted);

/* Costs of a network with these widths [table->n] on one accelerator, by the exact model, and how
 * many of its attentions are fused. */
DFQI_CHECKED dfq_status dfqi_bits_exact(const dfqi_bits_costs *c, const dfqi_pair *widths,
                                        int64_t config, double *ms, double *mj, int32_t *fused);

#endif
