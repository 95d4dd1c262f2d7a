/* Image source: the interface by which a tuning job gets the images of a step. There are two
 * implementations. source_set.c takes a fixed set in random order and may hold out a part of it.
 * source_generator.c trains a generator network beside the student and makes new images in each
 * step.
 *
 * The job calls its source through this table alone. State that a source keeps in the job is
 * accessed by its own file alone. A further source is a further table. */
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
    /* True if this step does not train the student, so its pass can be skipped. */
    bool (*is_idle)(const dfqi_tune *t);
    /* Image i of those that are held out. */
    DFQI_CHECKED dfq_status (*held_at)(dfqi_tune *t, int64_t i, const float **out);

    /* For checkpoints: a text that a resumed job must have too; the state as arrays, some of which
     * may be empty (data NULL); the curves [steps, n_curves] of a job that has begun, if any; and
     * the work to be done after arrays and t->done were read. */
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
