/* Cost of a layer on one accelerator under a given mapping: latency, energy by component,
 * utilization. */
#ifndef DFQI_ACCEL_COST_H
#define DFQI_ACCEL_COST_H

#include "accel/mapping.h"
#include "accel/accel_config.h"

/* Where energy goes. */
typedef enum dfqi_part {
    DFQI_PART_MAC,
    DFQI_PART_RF,
    DFQI_PART_NOC,
    DFQI_PART_GLB,
    DFQI_PART_DRAM,
    DFQI_PART_STATIC,
    DFQI_PARTS
} dfqi_part;

typedef struct dfqi_cost {
    double cycles; /* latency: the slowest of the next three */
    double
        compute_cycles; /* of the array, or of its lanes (dfqi_layer.effort) if they take longer */
    double dram_cycles, glb_cycles;
    double macs, dram_bytes;
    double pj[DFQI_PARTS];
    double total_pj;
} dfqi_cost;

/* MACs done, divided by those that the array could do in these cycles. */
double dfqi_cost_utilization(const dfqi_cost *c, const dfqi_layer *l, const dfqi_accel_config *t);

/* A layer whose widths of 0 are the accelerator's float_bits. DFQ_E_INVALID if a quantized operand
 * is wider than its words; `name` is what the error calls the layer. */
DFQI_CHECKED dfq_status dfqi_layer_resolve(dfq_context *ctx, const char *name, const dfqi_layer *l,
                                           const dfqi_accel_config *t, dfqi_layer *out);

/* Sets the memory levels of `m`: DRAM, buffer, then register files and registers of an element,
 * and which operands each level stores. Loops are left empty. */
void dfqi_mapping_levels(const dfqi_accel_config *t, dfqi_mapping *m);

/* Prices that depend on layer and accelerator alone: computed once for many mappings. */
typedef struct dfqi_pricing {
    dfqi_level_cost level[DFQI_LEVELS_MAX];
    double bits[DFQI_OPERANDS];    /* in DRAM and buffer: sums are wider than outputs */
    double rf_bits[DFQI_OPERANDS]; /* in the elements, which take operands of a word at most */
    double noc_pj[DFQI_OPERANDS];
    double mac_pj, static_pj, dram_pj; /* a product, a cycle, a bit */
    double rate;                       /* products of one element in a cycle */
    double dram_bits, glb_bits;        /* a cycle */
    double output_bits;
    double lane_cycles; /* of dfqi_layer.effort, a lane for each column of the array */
    uint32_t held;      /* bits of dfqi_operand: operands that stay in the buffer, where the layer
                         * before left them or the next one finds them */
} dfqi_pricing;

/* Nothing is held. */
void dfqi_pricing_of(const dfqi_layer *l, const dfqi_accel_config *t, dfqi_pricing *out);
/* The layer's bits are resolved, the mapping's levels those of the accelerator. */
void dfqi_cost_mapping(const dfqi_layer *l, const dfqi_pricing *p, const dfqi_mapping *m,
                       dfqi_cost *out);
/* Softmax, residual sums and the like: no mapping. Lanes are the array's columns; elements come
 * from the buffer and go back to it. */
void dfqi_cost_rows(const dfqi_layer *l, const dfqi_accel_config *t, const dfqi_pricing *p,
                    dfqi_cost *out);

#endif
