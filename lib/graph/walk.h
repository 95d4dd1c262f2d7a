/* A walk through a graph, for work that stops at some of its values: all images are run to the
 * first stop, where the caller may change parameters that are read behind it, then to the next one.
 * A whole walk costs what one run for all images costs.
 *
 * The graph is cut at the stops into pieces, each of which is a graph with a plan of its own. What
 * later pieces read of earlier ones is kept for all images. So the bits are those of a run of the
 * whole graph with the parameters as they are when their piece is run. */
#ifndef DFQI_GRAPH_WALK_H
#define DFQI_GRAPH_WALK_H

#include "graph/exec.h"

typedef struct dfqi_walk dfqi_walk;

/* A walk through `g`, which outlives it, with one batched input and batched stops in the order in
 * which they are reached; two may be the same value. DFQ_E_INTERNAL where an operand is neither
 * batched nor frozen. Executors use the memory of `w` (exec.h). */
DFQI_CHECKED dfq_status dfqi_walk_new(const dfqi_graph *g, int32_t n_stops, const dfqi_id *stops,
                                      dfqi_workspace *w, dfqi_walk **out);
void dfqi_walk_free(dfqi_walk *w); /* NULL ok */

/* Floats of one image that are kept between two pieces, at most. */
int64_t dfqi_walk_floats(const dfqi_walk *w);

/* Goes on to the next stop, of n images; n is the same for each. */
DFQI_CHECKED dfq_status dfqi_walk_next(dfqi_walk *w, int64_t images);
/* Runs images first .. first + batch of the graph - 1 to the stop; x[batch] are the images. */
DFQI_CHECKED dfq_status dfqi_walk_run(dfqi_walk *w, int64_t first, const float *x);
/* The value of the stop for the images that were run last; valid until the next call. */
const float *dfqi_walk_data(const dfqi_walk *w);

#endif
