/* Shared by the files of the host: its state. */
#ifndef DFQI_SYNTH_HOST_PRIV_H
#define DFQI_SYNTH_HOST_PRIV_H

#include "graph/exec.h"
#include "nn/optim.h"
#include "synth/host.h"

/* What an iteration is made from; pieces of `block`. */
typedef struct dfqi_host_draws {
    float *block;
    float *noise[DFQI_GENERATOR_NOISES];
    float *labels;               /* as the generator sees them: [B], or [B,slots] */
    float *classes;              /* [B]; `labels` itself without slots */
    float *mix, *own, *norm_mix; /* QIMERA: [B,slots] */
    float *targets;              /* QIMERA: [B,classes] */
} dfqi_host_draws;

struct dfqi_host {
    dfq_context *ctx; /* the model's, retained by it */
    dfqi_model *model;
    dfqi_host_options o;
    dfqi_generator net;
    dfqi_graph *g;
    dfqi_exec *e; /* NULL before the first pass */
    dfqi_generator_inputs in;
    dfqi_id truth; /* labels or targets, of the loss */
    dfqi_id images, logits, total, parts;
    dfqi_id *params, *grads; /* [n_params] each */
    dfqi_moments *moments;
    dfqi_host_draws draws;
    int64_t done;
};

/* host_draw.c: memory, its place among the inputs, and the draws of step or sample `index`. */
DFQI_CHECKED dfq_status dfqi_host_draws_new(dfqi_host *h);
void dfqi_host_draws_bind(dfqi_host *h);
void dfqi_host_draw(dfqi_host *h, int sample, int64_t index);

/* host.c: what a step consists of. A pass on the draws as they are, and Adam by its gradients. */
DFQI_CHECKED dfq_status dfqi_host_pass(dfqi_host *h, dfqi_host_batch *out);
void dfqi_host_move(dfqi_host *h, float rate);

#endif
