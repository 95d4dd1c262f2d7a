/* Supervised training: initialisation of a new vision transformer, and AdamW on the cross-entropy
 * of any network. A fake-quantized network is trained through its quantizers, whose scales stay
 * fixed. */
#ifndef DFQI_TUNE_TRAIN_H
#define DFQI_TUNE_TRAIN_H

#include "quant/model.h"

/* A new float model. `arch` is checked; an empty name is replaced by one made of the numbers, eps
 * and the evaluation transform are filled in. Weights, class token and positions are drawn from
 * N(0, 0.02^2) cut at two deviations; norms begin as ones, biases as zeros. */
DFQI_CHECKED dfq_status dfqi_train_create_model(dfq_context *ctx, const dfqi_arch *arch,
                                                uint64_t seed, dfqi_model **out);

typedef struct dfqi_train_options {
    int64_t batch;               /* images of a step */
    int64_t steps, warmup_steps; /* the schedule: linear warm-up, then half a cosine */
    float learning_rate, end_learning_rate;
    float beta1, beta2, eps;
    float weight_decay; /* of matrices only */
    uint64_t seed;      /* of the order of images in dfqi_train_run */
} dfqi_train_options;

void dfqi_train_defaults(dfqi_train_options *o);

typedef struct dfqi_train dfqi_train;

/* Prepares to change `m` (retained) in place; allocates all that steps need. */
DFQI_CHECKED dfq_status dfqi_train_new(dfqi_model *m, const dfqi_train_options *o,
                                       dfqi_train **out);
void dfqi_train_release(dfqi_train *t); /* NULL ok */

/* One step on images[batch][3][S][S], normalised, with labels[batch]. The mean loss and the number
 * of right answers are those before the step. On failure the model stays as it is. */
DFQI_CHECKED dfq_status dfqi_train_step(dfqi_train *t, const float *images, const int32_t *labels,
                                        float *out_loss, int32_t *out_correct);

/* Steps until the schedule ends, on images[n][3][S][S] with labels[n], in an order that is new in
 * every epoch and a function of seed and step. Reports stage "train"; DFQ_E_CANCELLED leaves the
 * job between two steps. */
DFQI_CHECKED dfq_status dfqi_train_run(dfqi_train *t, const float *images, const int32_t *labels,
                                       int64_t n);

typedef struct dfqi_train_cost {
    double bytes, macs;  /* at the peak, without the network; of one step */
    double seconds_left; /* NaN: no step was timed yet */
    int64_t steps, done;
} dfqi_train_cost;

DFQI_CHECKED dfq_status dfqi_train_estimate(const dfqi_train *t, dfqi_train_cost *out);

/* The job between two steps: parameters, moments, steps done. Read by a job with the same options
 * on a network of the same shapes and quantizers, which it then has as they were; on failure it is
 * left as it is. */
DFQI_CHECKED dfq_status dfqi_train_save(const dfqi_train *t, const char *path);
DFQI_CHECKED dfq_status dfqi_train_restore(dfqi_train *t, const char *path);

#endif
