/* State of a generator trainer, shared by its source files. */
#ifndef DFQI_SYNTH_GENERATOR_TRAINER_PRIV_H
#define DFQI_SYNTH_GENERATOR_TRAINER_PRIV_H

#include "graph/exec.h"
#include "nn/optim.h"
#include "synth/generator_trainer.h"

/* Inputs of an iteration; pieces of `block`. */
typedef struct dfqi_generator_draws {
    float *block;
    float *noise[DFQI_GENERATOR_NOISES];
    float *labels;               /* as the generator sees them: [B], or [B,slots] */
    float *classes;              /* [B]; `labels` itself without slots */
    float *mix, *own, *norm_mix; /* QIMERA: [B,slots] */
    float *targets;              /* QIMERA: [B,classes] */
} dfqi_generator_draws;

struct dfqi_generator_trainer {
    dfq_context *ctx; /* the model's, retained by it */
    dfqi_model *model;
    dfqi_generator_options o;
    dfqi_generator net;
    dfqi_graph *g;
    dfqi_exec *e; /* NULL before the first pass */
    dfqi_generator_inputs in;
    dfqi_id truth; /* labels or targets, of the loss */
    dfqi_id images, logits, total, parts;
    dfqi_id *params, *grads; /* [n_params] each */
    dfqi_moments *moments;
    dfqi_generator_draws draws;
    int64_t done;
};

/* generator_trainer_draw.c: allocates the draws, binds them to the graph's inputs, and makes those
 * of training step or sample `index`. */
DFQI_CHECKED dfq_status dfqi_generator_trainer_draws_new(dfqi_generator_trainer *h);
void dfqi_generator_trainer_draws_bind(dfqi_generator_trainer *h);
void dfqi_generator_trainer_draw(dfqi_generator_trainer *h, int sample, int64_t index);

/* generator_trainer.c: the two parts of a step: a forward and backward pass on the current draws,
 * and the Adam update. */
DFQI_CHECKED dfq_status dfqi_generator_trainer_pass(dfqi_generator_trainer *h,
                                                    dfqi_generator_batch *out);
void dfqi_generator_trainer_move(dfqi_generator_trainer *h, float learning_rate);

#endif
