/* Synthetic images for data-free quantization (docs/METHODS.md, Synthetic images). The job
 * optimises batches of noise through a frozen network, or trains a generator network and samples it
 * (generator_trainer.h).
 *
 * All random numbers are keyed by (seed, purpose, batch, attempt, iteration). So a batch does not
 * depend on other batches, and a resumed job gives the same bits. */
#ifndef DFQI_SYNTH_H
#define DFQI_SYNTH_H

#include "quant/model.h"
#include "synth/imageset.h"

typedef enum dfqi_synth_kind {
    DFQI_SYNTH_AUTO = -1,     /* attention for vision transformers, BatchNorm for CNNs */
    DFQI_SYNTH_ATTENTION = 0, /* inter-head similarity + class prior + total variation */
    DFQI_SYNTH_PRIOR = 1,     /* class prior + total variation */
    DFQI_SYNTH_NOISE = 2,     /* N(0,1), clamped; nothing is optimised */
    DFQI_SYNTH_PSE = 3,       /* PSAQ-ViT: patch similarity entropy + class prior + TV's distance
                                 from a target, by a recipe of its own */
    DFQI_SYNTH_BNS = 4,       /* ZeroQ: statistics of BatchNorms + class prior + total variation */
    DFQI_SYNTH_GDFQ = 5,      /* samples of a generator; seed, batch and iterations alone count */
    DFQI_SYNTH_QIMERA = 6,
    DFQI_SYNTH_ARC = 7,
    DFQI_SYNTH_LEAVES = 8 /* dead leaves (leaves.h); nothing is optimised */
} dfqi_synth_kind;

typedef struct dfqi_synth_options {
    dfqi_synth_kind kind;
    int64_t images;     /* in all */
    int64_t batch;      /* images optimised together; the last batch is made whole, then cut */
    int64_t iterations; /* for each batch; of a generator once */
    uint64_t seed;
    float attention_weight, class_weight, tv_weight; /* 0 leaves a term out */
    float learning_rate, end_learning_rate,
        weight_decay;                /* AdamW, cosine from learning rate to end_learning_rate */
    int32_t roll_first, roll_second; /* largest offset in the first and second half, pixels */
    int32_t flip;                    /* 1: mirror the batch in every other iteration, by chance */
    int32_t jitter;                  /* 1: colour offset and colour jitter */
    int32_t multi_scale;             /* 1: multi-scale parametrisation (pyramid.h) */
    dfqi_distance distance;          /* of heads */
} dfqi_synth_options;

/* Kinds by what makes them: a generator network, or a random draw alone. */
static inline bool dfqi_synth_generates(dfqi_synth_kind kind)
{
    return kind >= DFQI_SYNTH_GDFQ && kind <= DFQI_SYNTH_ARC;
}
static inline bool dfqi_synth_draws(dfqi_synth_kind kind)
{
    return kind == DFQI_SYNTH_NOISE || kind == DFQI_SYNTH_LEAVES;
}

/* What a step reports; NaN for a term that is not part of the objective. */
enum {
    DFQI_SYNTH_TOTAL,
    DFQI_SYNTH_INTER_HEAD, /* or what stands in its place */
    DFQI_SYNTH_CLASS,
    DFQI_SYNTH_TV,
    DFQI_SYNTH_LOSSES
};

typedef struct dfqi_synth_cost {
    double bytes;   /* memory of the whole job at its peak, beside the network itself */
    double macs;    /* multiply-accumulates of one iteration of one batch */
    double seconds; /* of one iteration of one batch; NaN: not measured yet */
    double seconds_left;
} dfqi_synth_cost;

typedef struct dfqi_synth dfqi_synth;

void dfqi_synth_defaults(dfqi_synth_options *o); /* kind AUTO, mode improved */
/* Those of a kind, improved or as published (parity: iterations, and no multi-scale). The network
 * `a` tells what AUTO stands for and the batch of a generator; NULL: AUTO stays, small pictures. */
void dfqi_synth_recipe(dfqi_synth_kind kind, int32_t parity, const dfqi_arch *a,
                       dfqi_synth_options *o);

/* Checks the options and builds the graphs; the large blocks are allocated when work begins. The
 * model is retained and must be a float one. */
DFQI_CHECKED dfq_status dfqi_synth_new(const dfqi_model *m, const dfqi_synth_options *o,
                                       dfqi_synth **out);
void dfqi_synth_release(dfqi_synth *s); /* NULL ok */
const dfqi_model *dfqi_synth_model(const dfqi_synth *s);

/* Finished images wait in a file without a name in `folder` rather than in memory (io/images.h);
 * before work begins. DFQ_E_IO from then on, where it cannot be written or read: the batch is made
 * again. */
DFQI_CHECKED dfq_status dfqi_synth_spool(dfqi_synth *s, const char *folder);

/* One iteration of the current batch. *out_finished: nothing is left to do. A batch that turns NaN
 * is drawn anew, three times at most, then DFQ_E_NUMERIC. */
DFQI_CHECKED dfq_status dfqi_synth_step(dfqi_synth *s, int32_t *out_finished);
/* Steps until the end, reporting stage "synth"; DFQ_E_CANCELLED leaves it between two steps. */
DFQI_CHECKED dfq_status dfqi_synth_run(dfqi_synth *s);

/* Iterations over all batches; with a generator its own and one for each batch of samples. */
int64_t dfqi_synth_units(const dfqi_synth *s);
int64_t dfqi_synth_done(const dfqi_synth *s);
/* Images of finished batches. */
int64_t dfqi_synth_finished(const dfqi_synth *s);
/* Finished images F32 [n,3,S,S], normalised, and their labels I32 [n]: new references, shared with
 * the job when it is complete, copies before. DFQ_E_INVALID while there are none. */
DFQI_CHECKED dfq_status dfqi_synth_images(const dfqi_synth *s, dfq_tensor **out_images,
                                          dfq_tensor **out_labels);
/* Finished images in place, with their shape and labels: borrowed, valid until the job's next
 * call. */
DFQI_CHECKED dfq_status dfqi_synth_finished_images(const dfqi_synth *s, dfqi_images *out_images,
                                                   dfq_tensor *out_shape, dfq_tensor *out_labels);
/* The finished images of a spool as a set, which may outlive the job. DFQ_E_INVALID without a
 * spool. */
DFQI_CHECKED dfq_status dfqi_synth_set(const dfqi_synth *s, dfqi_imageset **out);
/* F32 [done, DFQI_SYNTH_LOSSES], batch after batch. */
DFQI_CHECKED dfq_status dfqi_synth_losses(const dfqi_synth *s, dfq_tensor **out);

/* Memory, work and time. probe: measures an iteration if none has been yet (nothing of the job
 * changes). */
DFQI_CHECKED dfq_status dfqi_synth_estimate(dfqi_synth *s, int probe, dfqi_synth_cost *out);

/* Mean inter-head similarity per block, F32 [depth] each, of the first n finished images: as they
 * were drawn, and as they are. n <= 0: all of them. */
DFQI_CHECKED dfq_status dfqi_synth_similarity(const dfqi_synth *s, int64_t n,
                                              dfq_tensor **out_before, dfq_tensor **out_after);

/* The state of the job as a safetensors file, finished images in a file beside it that grows from
 * one checkpoint to the next. A job with the same options and the same weights goes on from there,
 * to the same bits; others are refused. */
DFQI_CHECKED dfq_status dfqi_synth_save(dfqi_synth *s, const char *path);
/* On failure the job is as it was. */
DFQI_CHECKED dfq_status dfqi_synth_restore(dfqi_synth *s, const char *path);

#endif
