/* Copies a part of one graph into another: the nodes between values that have a counterpart there
 * and a value that is wanted. */
#ifndef DFQI_GRAPH_GRAFT_H
#define DFQI_GRAPH_GRAFT_H

#include "graph/graph.h"

typedef struct dfqi_graft {
    const dfqi_graph *from;
    dfqi_graph *to;
    dfqi_id *map;    /* [values of `from`] the value in `to`, or DFQI_NONE */
    uint8_t *needed; /* [values of `from`] */
} dfqi_graft;

/* Of two graphs with the same batch, which outlive it. */
DFQI_CHECKED dfq_status dfqi_graft_new(const dfqi_graph *from, dfqi_graph *to, dfqi_graft *out);
void dfqi_graft_fini(dfqi_graft *t); /* zeroed ok */

/* From now on `to_id` stands for `from_id`: what leads to it is not copied. */
void dfqi_graft_put(dfqi_graft *t, dfqi_id from_id, dfqi_id to_id);
/* Copies what `id` is computed from, and returns its counterpart. Parameters and inputs without one
 * come along; the tensors of parameters are shared. Errors are those of graph `to`. */
dfqi_id dfqi_graft_bring(dfqi_graft *t, dfqi_id id);

#endif
