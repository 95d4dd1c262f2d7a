/* State of a mapping search, shared with the dataflows (flow_rs.c, flow_ws_os.c). */
#ifndef DFQI_ACCEL_MAPPING_SEARCH_PRIV_H
#define DFQI_ACCEL_MAPPING_SEARCH_PRIV_H

#include "accel/mapping_search.h"

typedef struct dfqi_mapping_search {
    const dfqi_layer *layer;
    const dfqi_accel_config *t;
    dfqi_dim out; /* of DFQI_AXIS_OUT */
    dfqi_objective objective;
    dfqi_pricing pricing;
    const dfqi_tiling *tiling; /* the one being tried */
    dfqi_cost best;
    double score; /* of `best`; infinity at first */
    double most;  /* cycles that a mapping may take */
    dfqi_mapping mapping;
} dfqi_mapping_search;

/* A search that has tried nothing yet. The layer is resolved; `out`: the dimension of
 * DFQI_AXIS_OUT. */
dfqi_mapping_search dfqi_mapping_search_of(const dfqi_layer *l, dfqi_dim out,
                                           const dfqi_accel_config *t, dfqi_objective objective);
/* Tries the mappings of one tiling, laid out in all ways. */
void dfqi_mapping_search_tiling(dfqi_mapping_search *h, const dfqi_tiling *tiling);
/* The most steps of each dimension that the array takes at a time, laid out in way `i`; false
 * behind the last one. */
bool dfqi_mapping_search_unit(const dfqi_mapping_search *h, int32_t i, int64_t unit[DFQI_DIMS]);
/* Energy times latency, or what else is to be least. */
double dfqi_mapping_score(dfqi_objective objective, double pj, double cycles);
/* The mapping of the present tiling without its loops inside the buffer. */
void dfqi_mapping_search_begin(const dfqi_mapping_search *h, dfqi_mapping *m);
/* Costs a mapping and keeps it if it is the best so far. */
void dfqi_mapping_search_try(dfqi_mapping_search *h, const dfqi_mapping *m);

/* A dataflow has several ways to lay a layer out in space. */
typedef enum dfqi_way {
    DFQI_WAY_NONE, /* behind the last one */
    DFQI_WAY,
    DFQI_WAY_IF_FASTER /* worth its time if it takes fewer cycles of the array than those before */
} dfqi_way;

typedef struct dfqi_flow {
    /* Way `i`: the most steps of each dimension that the array takes at a time. */
    dfqi_way (*way)(const dfqi_mapping_search *h, int32_t i, int64_t unit[DFQI_DIMS]);
    /* Tries the mappings of h->tiling that take `unit`. */
    void (*try_all)(dfqi_mapping_search *h, const int64_t unit[DFQI_DIMS]);
} dfqi_flow;

extern const dfqi_flow dfqi_flow_ws, dfqi_flow_os, dfqi_flow_rs;

#endif
