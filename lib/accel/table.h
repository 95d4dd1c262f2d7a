/* Cost tables: costs of layer shapes on all accelerators of a description, and of a network on
 * one. */
#ifndef DFQI_ACCEL_TABLE_H
#define DFQI_ACCEL_TABLE_H

#include "accel/fused_attention.h"
#include "accel/mapping_search.h"

/* What a table has rows for. */
typedef struct dfqi_shapes {
    int32_t n, n_attentions;
    const dfqi_layer *of;
    const dfqi_attention_pair *attentions; /* of these shapes */
} dfqi_shapes;

/* Costs are additive over layers: a network's are sums over its layers' shapes and its
 * attentions. */
typedef struct dfqi_table {
    dfq_context *ctx;
    int32_t n_shapes, n_attentions;
    int64_t n_configs;
    double *cycles; /* [n_shapes + n_attentions][n_configs]; of a shape infinite where it fits no
                     * mapping. Of an attention what fusing it adds to its layers: 0 where it is
                     * better apart, or less */
    double *pj;     /* as cycles */
    double *mm2;    /* [n_configs] */
} dfqi_table;

/* All shapes on the configurations of the space that are `wanted` [n_configs] (NULL: on all; what
 * is not wanted is 0), on the context's threads; reports progress. `name` is what errors call the
 * shapes. DFQ_E_INFEASIBLE if all are wanted and a shape fits none of them. */
DFQI_CHECKED dfq_status dfqi_table_new(dfq_context *ctx, const dfqi_accel_space *space,
                                       const dfqi_shapes *shapes, const uint8_t *wanted,
                                       const char *name, dfqi_table *out);
void dfqi_table_fini(dfqi_table *t);
/* Of the network `l`, whose shapes the table has, on one configuration. */
void dfqi_table_sum(const dfqi_table *t, const dfqi_layer_list *l, int64_t config, double *cycles,
                    double *pj);
dfqi_shapes dfqi_shapes_of(const dfqi_layer_list *l);
/* Milliseconds of so many cycles. */
double dfqi_cycles_ms(double cycles, double clock_mhz);

/* A network on one accelerator, by layer. */
typedef struct dfqi_report {
    dfqi_accel_config t;
    dfqi_layer_list list;   /* shapes are resolved */
    dfqi_cost *costs;       /* [list.n_shapes] of layers apart */
    dfqi_mapping *mappings; /* [list.n_shapes] likewise */
    bool *is_fused;         /* [list.n_attentions] */
    dfqi_fused *fused;      /* [list.n_attentions] of those that are */
    dfqi_cost total;
} dfqi_report;

/* Layer i as it is computed: cost and mapping. */
const dfqi_cost *dfqi_report_cost(const dfqi_report *r, int32_t i);
const dfqi_mapping *dfqi_report_mapping(const dfqi_report *r, int32_t i);
bool dfqi_report_is_fused(const dfqi_report *r, int32_t i);
int32_t dfqi_report_count_fused(const dfqi_report *r); /* attentions */

DFQI_CHECKED dfq_status dfqi_report_new(const dfqi_model *m, const dfqi_accel_config *t,
                                        dfqi_layer_bits bits, dfqi_report *out);
void dfqi_report_fini(dfqi_report *r);

#endif
