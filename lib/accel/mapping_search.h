/* The best mapping of a layer on an accelerator, within the three templates of docs/METHODS.md,
 * Mappings. */
#ifndef DFQI_ACCEL_MAPPING_SEARCH_H
#define DFQI_ACCEL_MAPPING_SEARCH_H

#include "accel/cost.h"
#include "accel/tiling.h"

typedef enum dfqi_objective {
    DFQI_LEAST_EDP = 0, /* energy times latency; not slower than on an array of which this one has a
                         * multiple of the columns or rows, the rest of it then idles */
    DFQI_LEAST_ENERGY   /* then latency; over the whole array */
} dfqi_objective;

/* What was found for a layer so far: tilings, and the best mappings on smaller arrays. One thread
 * at a time; for accelerators that differ in array, register file, dataflow, elements' kind and
 * buffer. */
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

#endif
