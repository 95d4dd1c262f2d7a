/* Pieces of a graph: its nodes from one number to another, as a graph of their own. What they read
 * of earlier nodes are inputs, which a caller keeps from the piece before. */
#ifndef DFQI_BITS_CUT_H
#define DFQI_BITS_CUT_H

#include "graph/exec.h"

typedef struct dfqi_cut {
    dfq_context *ctx;
    const dfqi_graph *from; /* borrowed; graph and values of pieces have its batch */
    dfqi_id logits;
    uint8_t *needed; /* [nodes] of the logits */
} dfqi_cut;

/* The values of all images at one place, by their ids in the graph: what earlier nodes made and
 * later ones read. `of` are the caller's images, by their id. */
typedef struct dfqi_cut_state {
    dfq_context *ctx;
    int32_t at, n_values;
    float **kept; /* [n_values] */
} dfqi_cut_state;

DFQI_CHECKED dfq_status dfqi_cut_init(const dfqi_graph *g, dfqi_id logits, dfqi_cut *out);
void dfqi_cut_fini(dfqi_cut *c);
/* Before the first node: nothing is kept. */
DFQI_CHECKED dfq_status dfqi_cut_start(const dfqi_graph *g, dfqi_cut_state *out);
void dfqi_cut_state_fini(dfqi_cut_state *s);

/* Runs the nodes from s->at up to `to`, and moves the state there. */
DFQI_CHECKED dfq_status dfqi_cut_advance(const dfqi_cut *c, dfqi_id image, const float *images,
                                         int32_t to, dfqi_workspace *work, dfqi_cut_state *s);
/* Runs all nodes from the state on, which may be that of another graph with the same nodes up to
 * there: logits[batch][classes]. */
DFQI_CHECKED dfq_status dfqi_cut_finish(const dfqi_cut *c, dfqi_id image, const float *images,
                                        const dfqi_cut_state *s, dfqi_workspace *work,
                                        float *logits);

#endif
