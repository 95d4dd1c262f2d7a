/* One little graph for each op: what the gradient checks and the walk over the op table run. */
#ifndef DFQT_GRAPH_SCENES_H
#define DFQT_GRAPH_SCENES_H

#include "graph/rig.h"

typedef struct scene {
    const char *name;
    dfqi_op_kind op; /* the op whose gradient rule it checks */
    int32_t
        outputs; /* outputs of the node that a gradient comes in at; 0: a total, seeded with 1 */
    dfqi_id (*build)(rig *r);
} scene;

extern const scene dfqt_smooth[];    /* checked against differences; ends with a NULL name */
extern const scene dfqt_surrogate[]; /* straight-through: checked against their formulas */

enum { SCENE_BATCH = 3 };
/* Builds the scene and its gradients; out[] are the seeded values. Returns their number. */
int32_t dfqt_scene(const scene *s, rig *r, dfqi_id out[DFQI_OUT_MAX]);

#endif
