/** @file dfq/trainer.h
 *  @ingroup advanced
 *  Supervised training from labelled images in memory, of a new vision transformer
 *  (dfq_graph_create()) or of a network that was loaded, float or fake-quantized. libdfq quantizes
 *  without data; a trainer is for callers who have data. It made the embedded example network.
 *
 *  Loss: mean over the batch of the cross-entropy of the logits with the labels. Optimiser: AdamW
 *  (Loshchilov and Hutter, 2019, arXiv 1711.05101), with a linear warm-up and then half a cosine:
 *
 *      lr(t) = learning_rate (t + 1) / warmup_steps                            for t <
 *      warmup_steps, lr(t) = end_learning_rate
 *              + (learning_rate - end_learning_rate) (1 + cos(pi s)) / 2       after,
 *      s = (t - warmup_steps) / (steps - warmup_steps),
 *
 *  for steps t = 0, 1, ...; from `steps` on it is end_learning_rate. Weight decay is decoupled
 *  (each step multiplies by 1 - lr(t) weight_decay) and applies to the weights of linear layers and
 *  of the patch embedding alone.
 *
 *  The same network, options, images and build give the same bits at any thread count. */
#ifndef DFQ_TRAINER_H
#define DFQ_TRAINER_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/job.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Options of dfq_trainer_create(). Fill with dfq_trainer_options_init() first. */
typedef struct dfq_trainer_options {
    uint32_t struct_size;    /**< set by init */
    int32_t reserved;        /**< 0 */
    int64_t batch;           /**< images of each step, 1..4096; default 64 */
    int64_t steps;           /**< length of the schedule, 1..1e9; default 10000. Further steps are
                               allowed, at end_learning_rate */
    int64_t warmup_steps;    /**< steps of warm-up, 0..1e9; default 500 */
    float learning_rate;     /**< largest learning rate, 0..1000; default 1e-3 */
    float end_learning_rate; /**< what the cosine ends at, 0..1000; default 1e-5 */
    float beta1;             /**< decay of the first moment, 0..0.999999; default 0.9 */
    float beta2;             /**< decay of the second moment, 0..0.999999; default 0.999 */
    float eps;               /**< added to the root of the second moment, 1e-20..1; default 1e-8 */
    float weight_decay;      /**< 0..1; default 0.05 */
    uint64_t seed; /**< of the order of images in dfq_trainer_run(), any number; default 0 */
} dfq_trainer_options;

/** Writes defaults: `size` must be sizeof(dfq_trainer_options) of the caller. */
DFQ_API void dfq_trainer_options_init(dfq_trainer_options *options, size_t size);

/** Prepares a job; allocates all that its steps need.
 *  @param graph       changed in place by each step; kept alive by the job. Other jobs on the same
 *                     graph must not run meanwhile. Of a fake-quantized one the weights, biases and
 *                     norms are trained, with gradients straight through the rounding
 *                     everywhere (as MimiQ's); scales and zero points stay as they are
 *  @param options     NULL for defaults
 *  @param out_trainer to be given back with dfq_trainer_release()
 *  @return ::DFQ_E_INVALID (an option out of range), ::DFQ_E_UNSUPPORTED (an option this library
 *          does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_trainer_create(dfq_graph *graph, const dfq_trainer_options *options,
                                          dfq_trainer **out_trainer);

/** Ends a job; the graph keeps what it learned. NULL is fine. */
DFQ_API void dfq_trainer_release(dfq_trainer *trainer);

/** One step. A step that fails leaves the graph as it was.
 *  @param images      F32 [batch,3,S,S], normalised with the graph's mean and std
 *  @param labels      I32 [batch], 0..classes - 1
 *  @param out_loss    mean cross-entropy in nats before the step; NULL if not wanted
 *  @param out_correct images whose label had the largest logit before the step (of equal logits the
 *                     lower class wins), 0..batch; NULL if not wanted
 *  @return ::DFQ_E_SHAPE (images or labels), ::DFQ_E_INVALID (a label out of range),
 *          ::DFQ_E_NUMERIC (the loss is not finite). */
DFQ_CHECKED dfq_status dfq_trainer_step(dfq_trainer *trainer, const dfq_tensor *images,
                                        const dfq_tensor *labels, float *out_loss,
                                        int32_t *out_correct);

/** Steps until options.steps are done, those of dfq_trainer_step() included. Each epoch takes all
 *  images once, in an order of its own, which is given by seed and step alone. Reports stage
 *  "train" after each step; its loss is that of the step.
 *  @param images F32 [n,3,S,S], normalised with the graph's mean and std; n >= 1
 *  @param labels I32 [n], 0..classes - 1
 *  @return ::DFQ_E_CANCELLED (between two steps: call again with the same images to go on),
 *          otherwise as dfq_trainer_step(). */
DFQ_CHECKED dfq_status dfq_trainer_run(dfq_trainer *trainer, const dfq_tensor *images,
                                       const dfq_tensor *labels);

/** Memory, work and time of the job; units are steps. Time is known once a step was made.
 *  @return ::DFQ_E_INVALID (struct_size is not set), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_trainer_estimate(const dfq_trainer *trainer, dfq_job_cost *out_cost);

/** Writes the job between two steps: parameters, moments of the optimiser, steps done. Written
 *  beside and renamed.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_trainer_save_checkpoint(const dfq_trainer *trainer, const char *path);

/** Puts a job that was created with the same options where a checkpoint left off. Its graph, of the
 *  same shapes and quantizers, gets the parameters of that moment; going on with the same images
 *  gives the same bits as a job that was not interrupted. On failure job and graph stay as they
 *  are.
 *  @return ::DFQ_E_IO, ::DFQ_E_CORRUPT (no such checkpoint), ::DFQ_E_INVALID (other options, shapes
 *          or quantizers), ::DFQ_E_UNSUPPORTED (another version), ::DFQ_E_NUMERIC,
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_trainer_load_checkpoint(dfq_trainer *trainer, const char *path);

#ifdef __cplusplus
}
#endif
#endif
