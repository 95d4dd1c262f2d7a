/* Units of a network for reconstruction: a transformer block, a residual unit, a stem, a
 * classifier. They are found in the graph, so that families need not name them: a unit ends where
 * the rest of the network reads one value alone. */
#ifndef DFQI_TUNE_UNITS_H
#define DFQI_TUNE_UNITS_H

#include "graph/graph.h"

/* A forward pass: what it reads and makes. */
typedef struct dfqi_pass_ends {
    const dfqi_graph *g;
    dfqi_id x, logits;
} dfqi_pass_ends;

typedef struct dfqi_unit {
    dfqi_id teacher_in, teacher_out; /* in the teacher's graph */
    dfqi_id student_in, student_out; /* the same values in the student's */
    int32_t layers;                  /* linear layers and convolutions */
} dfqi_unit;

/* The units of a pair of graphs, which differ by the student's quantizers alone, in network order.
 * A unit has at least so many layers, except the first and the last one, and what follows them up
 * to the next layer. Frees with dfqi_free. */
DFQI_CHECKED dfq_status dfqi_units_find(const dfqi_pass_ends *teacher,
                                        const dfqi_pass_ends *student, int32_t least,
                                        dfqi_unit **out, int32_t *out_n);

#endif
