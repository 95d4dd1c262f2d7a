/* One little graph for each op: what the gradient checks and the walk over the op table run. */
#ifndef DFQT_GRAPH_SCENES_H
#define DFQT_GRAPH_SCENES_H

#include "graph/rig.h"

typedef struct scene {
    const char *name;
    dfqi_op_kind op; /* the op whose gradient rule it checks */
    /* outputs of the node that a gradient comes in at; 0: a total, seeded with 1 */
    int32_t outputs;
    dfqi_id (*build)(rig *r);
} scene;

/* Lists end with a NULL name. */
extern const scene dfqt_smooth[];    /* checked against differences */
extern const scene dfqt_images[];    /* the same, of convolutional networks */
extern const scene dfqt_windows[];   /* the same, of windows of tokens */
extern const scene dfqt_surrogate[]; /* straight-through: checked against their formulas */

enum { SCENE_BATCH = 3 };

/* For scenes of a rig `r`: operands with numbers of a good size, whose gradient is asked for or
 * not.
 */
#define DIMS(...)                                                                                  \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define WRT(batched, rank, ...)   dfqt_wrt(r, batched, rank, DIMS(__VA_ARGS__), -1.5f, 1.5f)
#define CONST(batched, rank, ...) dfqt_input(r, batched, rank, DIMS(__VA_ARGS__), -1.5f, 1.5f)

/* Builds the scene and its gradients; out[] are the seeded values. Returns their number. */
int32_t dfqt_scene(const scene *s, rig *r, dfqi_id out[DFQI_OUT_MAX]);

#endif
