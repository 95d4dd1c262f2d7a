/* Image maker: the interface by which a synthesis job makes its batches. There are three
 * implementations. maker_pixels.c optimises a batch of noise through the network. maker_drawn.c
 * leaves the noise as it is, or draws dead leaves. maker_generator.c trains a generator network and
 * then samples it.
 *
 * The job calls its maker through this table alone. State that a maker keeps in the job is accessed
 * by the files that its struct names. A further maker is a further table. */
#ifndef DFQI_SYNTH_IMAGE_MAKER_PRIV_H
#define DFQI_SYNTH_IMAGE_MAKER_PRIV_H

#include "io/arrays.h"
#include "synth/synth.h"

typedef struct dfqi_image_maker {
    /* Sets o.batch, per_batch and training of a new job. */
    void (*plan)(dfqi_synth *s);
    /* Builds graphs or networks, after the sizes were checked. */
    DFQI_CHECKED dfq_status (*build)(dfqi_synth *s);
    /* Its pieces of s->floats, from `base` on: how many floats. With base NULL it only counts. */
    int64_t (*lay_out)(dfqi_synth *s, float *base);
    /* Allocates what else steps need, when s->floats is there; `stop` frees it. */
    DFQI_CHECKED dfq_status (*start)(dfqi_synth *s);
    void (*stop)(dfqi_synth *s);
    /* Frees what only further batches need, when there are none. NULL: nothing. */
    void (*finish)(dfqi_synth *s);
    /* One iteration; after the last one of a batch dfqi_synth_finish_batch. */
    DFQI_CHECKED dfq_status (*step)(dfqi_synth *s);
    /* The work of an iteration, to be timed: nothing of the job changes. NULL: it takes no time. */
    DFQI_CHECKED dfq_status (*pass)(dfqi_synth *s);
    /* For checkpoints: its arrays of a job that stands at this iteration of a batch; and the work
     * to be done after they and the job's position were read. */
    void (*list)(const dfqi_synth *s, int64_t iteration, dfqi_arrays *a);
    void (*resume)(dfqi_synth *s);
    /* Memory beside s->floats, and multiply-accumulates of an iteration. */
    DFQI_CHECKED dfq_status (*cost)(const dfqi_synth *s, double *bytes, double *macs);
    void (*fini)(dfqi_synth *s); /* last */
} dfqi_image_maker;

extern const dfqi_image_maker dfqi_maker_pixels, dfqi_maker_drawn, dfqi_maker_generator;

#endif
