/* Where the images of a step come from: one interface, two implementations. A fixed set is taken in
 * random order, and a part of it may be held out (source_set.c). A generator network is trained
 * beside the student and makes new images in each step (source_generator.c).
 *
 * A job calls its source through this table and nothing else; what a source keeps in the job is
 * touched by its own file alone. Another source is another row. */
#ifndef DFQI_TUNE_IMAGE_SOURCE_PRIV_H
#define DFQI_TUNE_IMAGE_SOURCE_PRIV_H

#include "tune/tune.h"

typedef struct dfqi_image_source {
    /* Refuses options that make no sense with it; sets batch and the numbers of images. */
    DFQI_CHECKED dfq_status (*check)(dfqi_tune *t);
    /* The teacher in the graph: its pass on t->x, or inputs in its place. */
    void (*teacher)(dfqi_tune *t, dfqi_id *params, dfqi_taps *out);
    /* The loss of the student's logits against the classes of the images; only with
     * label_weight. */
    dfqi_id (*label_loss)(dfqi_tune *t);
    /* Its pieces of t->block, from `base` on: how many floats. With base NULL it only counts. */
    int64_t (*lay_out)(dfqi_tune *t, float *base);
    /* Allocates what steps need, when t->block and t->e are there; `stop` frees it. */
    DFQI_CHECKED dfq_status (*start)(dfqi_tune *t);
    void (*stop)(dfqi_tune *t);
    /* Binds the images of step t->done, and what comes with them, to the inputs. */
    DFQI_CHECKED dfq_status (*next)(dfqi_tune *t);
    /* Does the step leave the student alone, so that it need not be run? */
    bool (*is_idle)(const dfqi_tune *t);
    /* Image i of those that are held out. */
    DFQI_CHECKED dfq_status (*held_at)(dfqi_tune *t, int64_t i, const float **out);

    /* For checkpoints: a text that must be the same where a job goes on; its state as arrays, of
     * which some may be empty (data NULL); its curves [steps, n_curves] once work has begun, if it
     * has any; and what is to be done once arrays and t->done have been read. */
    DFQI_CHECKED dfq_status (*text)(dfqi_tune *t, char *text, size_t size);
    int32_t (*count_arrays)(const dfqi_tune *t);
    dfqi_generator_array (*array_at)(const dfqi_tune *t, int32_t i);
    int32_t n_curves; /* 0: `curves` is NULL */
    float *(*curves)(const dfqi_tune *t);
    void (*resume)(dfqi_tune *t);

    /* Adds its memory beside t->block, and its work in a step. */
    DFQI_CHECKED dfq_status (*cost)(const dfqi_tune *t, double *bytes, double *macs);
    void (*fini)(dfqi_tune *t); /* last */
} dfqi_image_source;

extern const dfqi_image_source dfqi_source_set, dfqi_source_generator;

#endif
