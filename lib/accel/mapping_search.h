/* Finds the best mapping of a layer on an accelerator among the mappings of its dataflow
 * (docs/METHODS.md, Mappings). */
#ifndef DFQI_ACCEL_MAPPING_SEARCH_H
#define DFQI_ACCEL_MAPPING_SEARCH_H

#include "accel/cost.h"
#include "accel/tiling.h"

typedef enum dfqi_objective {
    DFQI_LEAST_EDP = 0, /* energy times latency; not slower than the best mapping on a smaller array
                         * that divides this one (the rest of the array would idle) */
    DFQI_LEAST_ENERGY   /* then latency; over the whole array, as nn_dataflow tiles and lays out */
} dfqi_objective;

/* Search cache of a layer: its tilings, and the best mappings on smaller arrays. Valid for
 * accelerators that differ in array, register file, dataflow, kind of element and buffer alone. Not
 * thread-safe. */
typedef struct dfqi_search_cache {
    dfqi_tiling_cache tiling_cache;
    int32_t n, room;
    struct dfqi_solved *solved;
} dfqi_search_cache;

/* The layer is resolved. */
void dfqi_search_cache_init(dfqi_search_cache *n, dfq_context *ctx, const dfqi_layer *l);
void dfqi_search_cache_fini(dfqi_search_cache *n);

/* DFQ_E_INFEASIBLE if nothing fits the buffer or the register files; `name` is what the error calls
 * the layer. mapping may be NULL. */
DFQI_CHECKED dfq_status dfqi_search_mapping(dfqi_search_cache *cache, const char *name,
                                            const dfqi_accel_config *t, dfqi_objective objective,
                                            dfqi_cost *out, dfqi_mapping *mapping);

/* No mapping that the search finds on the accelerator has fewer cycles: those of the array at best.
 * The layer is resolved. */
double dfqi_mapping_least_cycles(const dfqi_layer *l, const dfqi_accel_config *t);

#endif
