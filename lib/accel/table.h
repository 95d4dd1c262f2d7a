/* Cost tables: costs of layer shapes on all accelerators of a description, and of a network on
 * one. */
#ifndef DFQI_ACCEL_TABLE_H
#define DFQI_ACCEL_TABLE_H

#include "accel/mapping_search.h"

/* Costs are additive over layers: a network's are sums over its layers' shapes. */
typedef struct dfqi_table {
    dfq_context *ctx;
    int32_t n_shapes;
    int64_t n_configs;
    double *cycles; /* [n_shapes][n_configs]; infinite where a layer fits no mapping */
    double *pj;     /* as cycles */
    double *mm2;    /* [n_configs] */
} dfqi_table;

/* All shapes on all configurations of the space, on the context's threads; reports progress. `name`
 * is what errors call the shapes. DFQ_E_INFEASIBLE if a shape fits no configuration at all. */
DFQI_CHECKED dfq_status dfqi_table_new(dfq_context *ctx, const dfqi_accel_space *space,
                                       int32_t n_shapes, const dfqi_layer *shapes, const char *name,
                                       dfqi_table *out);
void dfqi_table_fini(dfqi_table *t);
/* Milliseconds of so many cycles. */
double dfqi_cycles_ms(double cycles, double clock_mhz);

/* A network on one accelerator, by layer. */
typedef struct dfqi_report {
    dfqi_accel_config t;
    dfqi_layer_list list;   /* shapes are resolved */
    dfqi_cost *costs;       /* [list.n_shapes] */
    dfqi_mapping *mappings; /* [list.n_shapes] */
    dfqi_cost total;
} dfqi_report;

DFQI_CHECKED dfq_status dfqi_report_new(const dfqi_model *m, const dfqi_accel_config *t,
                                        dfqi_layer_bits bits, dfqi_report *out);
void dfqi_report_fini(dfqi_report *r);

#endif
