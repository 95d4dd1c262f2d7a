/* Trains a generator network against a frozen CNN f (docs/METHODS.md, Generators). An iteration
 * draws noise and classes y, generates a batch of images x, and takes one Adam step on
 *
 *   L = CE(f(x), y) + bns_weight L_BNS,
 *   L_BNS = mean over BatchNorms of (|mean - running|^2 + |var - running|^2) / C
 *
 * so that f classifies x as y, and the BatchNorm statistics of x match the running ones.
 *
 * Qimera's generator mixes classes in a random 40 % of the iterations; y then has a weight for each
 * class. All draws are keyed by (seed, iteration). Not thread-safe. */
#ifndef DFQI_SYNTH_GENERATOR_TRAINER_H
#define DFQI_SYNTH_GENERATOR_TRAINER_H

#include "nn/generator.h"
#include "quant/model.h"

typedef struct dfqi_generator_options {
    dfqi_generator_kind kind;
    int64_t batch;
    uint64_t seed;
    float bns_weight;
    float learning_rate;     /* first learning rate, for whoever drives the steps */
    float beta1, beta2, eps; /* Adam */
} dfqi_generator_options;

enum {
    DFQI_GENERATOR_LOSS_TOTAL,
    DFQI_GENERATOR_LOSS_CLASS,
    DFQI_GENERATOR_LOSS_BNS,
    DFQI_GENERATOR_LOSSES
};

/* The batch of an iteration; valid until the next one. */
typedef struct dfqi_generator_batch {
    const float *images;  /* [B,3,height,width], before the generator moved */
    const float *logits;  /* [B,classes] of the CNN */
    const float *labels;  /* [B]; of a mixture its largest class */
    const float *targets; /* [B,classes], a weight for each class; NULL but of QIMERA */
    float losses[DFQI_GENERATOR_LOSSES];
} dfqi_generator_batch;

typedef struct dfqi_generator_trainer dfqi_generator_trainer;

void dfqi_generator_trainer_defaults(dfqi_generator_options *o);
/* Published batches: 200 for pictures of up to 64 pixels a side, 16 for larger ones. */
int64_t dfqi_generator_trainer_batch(dfqi_size image);
/* The learning rate of step 0 .. steps - 1: a tenth after each quarter. */
float dfqi_generator_trainer_learning_rate(const dfqi_generator_options *o, int64_t step,
                                           int64_t steps);
/* The options as text, for checkpoints to compare. */
void dfqi_generator_trainer_text(const dfqi_generator_options *o, char *text, size_t size);
/* The CNN is retained. What iterations need is allocated by the first one. */
DFQI_CHECKED dfq_status dfqi_generator_trainer_new(const dfqi_model *m,
                                                   const dfqi_generator_options *o,
                                                   dfqi_generator_trainer **out);
void dfqi_generator_trainer_release(dfqi_generator_trainer *h); /* NULL ok */

/* One iteration; learning rate 0 leaves the generator as it is. DFQ_E_NUMERIC if a loss is not
 * finite: the generator is then as it was before. */
DFQI_CHECKED dfq_status dfqi_generator_trainer_step(dfqi_generator_trainer *h, float learning_rate,
                                                    dfqi_generator_batch *out);
/* Samples batch `index` without training; the draws differ from those of all steps. DFQ_E_NUMERIC
 * as above. */
DFQI_CHECKED dfq_status dfqi_generator_trainer_sample(dfqi_generator_trainer *h, int64_t index,
                                                      dfqi_generator_batch *out);
int64_t dfqi_generator_trainer_done(const dfqi_generator_trainer *h);

/* The state, for checkpoints: array i = 0 .. dfqi_generator_trainer_arrays - 1 is to be stored and
 * put back in place; then the next iteration is the one that follows `done` others. */
typedef struct dfqi_generator_array {
    char name[48]; /* "generator.fc.weight", "generator.m.fc.weight", "generator.v.fc.weight" */
    float *data;
    int64_t count;
} dfqi_generator_array;
int32_t dfqi_generator_trainer_arrays(const dfqi_generator_trainer *h);
dfqi_generator_array dfqi_generator_trainer_array_at(const dfqi_generator_trainer *h, int32_t i);
void dfqi_generator_trainer_resume(dfqi_generator_trainer *h, int64_t done);
/* Memory of the job beside the CNN's weights, and multiply-accumulates of an iteration. */
DFQI_CHECKED dfq_status dfqi_generator_trainer_cost(const dfqi_generator_trainer *h, double *bytes,
                                                    double *macs);

#endif
