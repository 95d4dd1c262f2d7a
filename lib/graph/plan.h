/* The plan of a graph: the order of its steps and the memory place of every value, computed before
 * the first run.
 *
 * Nodes on batched values are *sliced*. A segment of sliced nodes runs slice by slice (one or a few
 * images each); one thread runs all nodes of a slice. So values used only inside the segment stay
 * in that thread's cache and need memory for one slice only.
 *
 * Nodes that reduce over the batch are *whole*. They run between segments, cut into blocks;
 * independent ones run side by side. Segments and blocks depend on the graph only, so results do
 * not depend on the number of threads. */
#ifndef DFQI_GRAPH_PLAN_H
#define DFQI_GRAPH_PLAN_H

#include "graph/graph.h"

typedef enum dfqi_place_region {
    DFQI_REGION_NONE,   /* not needed: nobody reads it */
    DFQI_REGION_BOUND,  /* inputs and parameters: memory of others */
    DFQI_REGION_STATIC, /* computed once from frozen parameters */
    DFQI_REGION_GLOBAL, /* whole batch */
    DFQI_REGION_LOCAL   /* one slice, one thread */
} dfqi_place_region;

typedef struct dfqi_place {
    dfqi_place_region region;
    int64_t stride; /* floats an image; 0 for unbatched values */
    size_t offset;  /* floats into its region */
} dfqi_place;

/* A segment of sliced nodes, or whole nodes independent of each other: nodes order[first .. first +
 * count). */
typedef struct dfqi_step {
    int32_t first, count;
    uint8_t sliced, once; /* once: from frozen parameters, run one time only */
} dfqi_step;

typedef struct dfqi_plan {
    dfq_context *ctx;
    int64_t slice; /* images a slice */
    int32_t n_steps;
    dfqi_step *steps;
    int32_t *order;     /* node indices in running order */
    dfqi_place *places; /* one for each value */
    size_t static_floats, global_floats;
    size_t local_floats, scratch_floats; /* for each thread */
} dfqi_plan;

DFQI_CHECKED dfq_status dfqi_plan_make(const dfqi_graph *g, dfqi_plan *out);
void dfqi_plan_fini(dfqi_plan *p);
size_t dfqi_plan_bytes(const dfqi_plan *p, int32_t threads);

#endif
