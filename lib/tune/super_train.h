/* Trains the shared weights of a supernet, one path in each step, and evaluates single paths. A
 * derived network is trained in the same way, with its own path in every step. */
#ifndef DFQI_TUNE_SUPER_TRAIN_H
#define DFQI_TUNE_SUPER_TRAIN_H

#include "nn/optim.h"
#include "nn/supernet.h"

/* Normalised images [n][3][S][S] and their labels; borrowed. */
typedef struct dfqi_super_data {
    int64_t n;
    const float *images;
    const int32_t *labels;
} dfqi_super_data;

typedef struct dfqi_super_options {
    dfqi_optim_kind optimizer; /* SGD, or AdamW with 0.9, 0.999 */
    int64_t batch,
        steps; /* half a cosine from `learning_rate` to 0, after `warmup_steps` steps up to it */
    int64_t warmup_steps;
    float learning_rate, momentum;
    float weight_decay; /* decoupled, of weights but not of norms, biases and positions */
    float smoothing;    /* of labels */
    int64_t crop;       /* images are shifted by at most so many pixels, and mirrored */
    uint64_t seed;
} dfqi_super_options;

void dfqi_super_defaults(dfqi_super_options *o);
/* Defaults for the family: AdamW for vision transformers, SGD otherwise. */
void dfqi_super_defaults_of(const dfqi_supernet_space *space, dfqi_super_options *o);

/* Draws the path of a step: each cell's choice with probability softmax(logits[cell]), rows of
 * DFQI_SUPER_CHOICES + 1, as the largest of logit + Gumbel noise. NULL: uniformly. */
void dfqi_super_sample(const dfqi_supernet *net, const float *logits, uint64_t seed, int64_t step,
                       int32_t *path);

typedef struct dfqi_super_train dfqi_super_train;

/* Changes `net` (borrowed) in place. */
DFQI_CHECKED dfq_status dfqi_super_train_new(dfqi_supernet *net, const dfqi_super_options *o,
                                             dfqi_super_train **out);
void dfqi_super_train_release(dfqi_super_train *t); /* NULL ok */
/* One step of the weights on the path, on a batch drawn from `data`; the loss is that before. On
 * failure the network stays as it is. */
DFQI_CHECKED dfq_status dfqi_super_train_step(dfqi_super_train *t, const dfqi_super_data *data,
                                              const int32_t *path, float *out_loss);
/* The same batch's loss and its gradient by the gates of the path's cells; nothing changes. With
 * the straight-through mixture this is the gradient by the probability of the choice taken. `key`
 * tells batches apart. */
DFQI_CHECKED dfq_status dfqi_super_train_gates(dfqi_super_train *t, const dfqi_super_data *data,
                                               int64_t key, const int32_t *path, float *out_loss,
                                               double *out_gates);

/* That loss alone, for a third of the work. */
DFQI_CHECKED dfq_status dfqi_super_train_loss(dfqi_super_train *t, const dfqi_super_data *data,
                                              int64_t key, const int32_t *path, float *out_loss);

/* What a checkpoint holds beside the weights: steps done, and the moments of tensor k of a layer,
 * dfqi_super_train_moments times as long as the tensor; NULL where nothing is trained. */
int64_t dfqi_super_train_done(const dfqi_super_train *t);
void dfqi_super_train_resume(dfqi_super_train *t, int64_t done);
int64_t dfqi_super_train_moments(const dfqi_super_train *t);
float *dfqi_super_train_momentum(const dfqi_super_train *t, int32_t layer, int32_t k);

/* Recomputes the running statistics of a path as means over `batches` batches, from the first image
 * on: statistics that many paths shared fit none of them. (Vision transformers have none.) */
DFQI_CHECKED dfq_status dfqi_super_recalibrate(dfqi_supernet *net, const int32_t *path,
                                               const dfqi_super_data *data, int64_t batch,
                                               int64_t batches);
/* Number of images that a path classifies correctly, with running statistics; and number of images
 * whose logits are not finite, which count as wrong. */
DFQI_CHECKED dfq_status dfqi_super_evaluate(const dfqi_supernet *net, const int32_t *path,
                                            const dfqi_super_data *data, int64_t batch,
                                            int64_t *out_correct, int64_t *out_not_finite);

#endif
