/** @file dfq/tuner.h
 *  @ingroup stable
 *  A tuner trains a fake-quantized network (the *student*) to give the same outputs as its float
 *  original (the *teacher*). It needs no labels and no image of the training set.
 *
 *  Use: dfq_tuner_create() with synthetic images, dfq_tuner_run(), and the student is tuned in
 *  place. A convolutional network has dfq_tuner_create_with_generator() in place of images.
 *
 *  **Loss.** One step computes both networks on a batch of B images x and moves the student's
 *  weights, biases, norms, embeddings, scales and zero points against the gradient of
 *
 *      L = kl_weight * T^2 / B * sum_b KL(softmax(z_t / T) || softmax(z_s / T))
 *        + head_weight * mean over blocks, images, heads and channels of (1 - S)
 *        + label_weight / B * sum_b CE(z_s, y_b)        (with a generator network: y is its class)
 *
 *  z_t and z_s are the logits of teacher and student, T is the temperature. S compares the
 *  attention output (attention map times values) of teacher and student, for one head and channel
 *  over the patch tokens: S = (2 cov + C) / (var_t + var_s + C), C = 0.03^2 (structural similarity;
 *  head-wise structural attention distillation, MimiQ, AAAI 2025, arXiv 2407.20021). Gradients pass
 *  rounding straight through; scales and zero points have the gradients of LSQ (ICLR 2020).
 *
 *  **Scales.** In mode ::DFQ_MODE_IMPROVED the optimiser moves the logarithm of a scale, so scales
 *  stay positive. In mode ::DFQ_MODE_PARITY it moves the scale itself, as published; a scale that
 *  would fall to 1e-8 or below is kept there, counted, and logged as a warning.
 *
 *  **Gradient inundation** (AIT, CVPR 2022, arXiv 2203.17008). A small update changes hardly any
 *  code of a quantized weight. With `crossing_target` rho > 0 the update of each quantized weight
 *  is multiplied by the least kappa >= 1 at which about a share rho of its codes changes. Moments,
 *  weight decay and other parameters are not affected. rho falls with the learning rate; kappa
 *  stays below 128 in the first `kappa_capped_steps` steps. A weight of which rho asks for less
 *  than half a code is left alone; in mode ::DFQ_MODE_PARITY one of its codes changes in every
 *  step, as published.
 *
 *  **Result.** Every 8th image is held out (more often if there are few images: at least a batch).
 *  Every `eval_every` steps the first term of L is measured on the held-out images. The parameters
 *  with the smallest value are the result.
 *
 *  **Generator network** (GDFQ, ECCV 2020, arXiv 2003.03603; AIT). Each step draws noise and
 *  classes and makes images of them. It trains the generator network towards images that the
 *  teacher assigns to their class, and whose statistics equal those of the teacher's BatchNorms.
 *  Then it trains the student on the same images. Nothing is held out; the last step is the result.
 *
 *  The same networks, images, options and build give the same bits at any thread count, also when a
 *  job was stopped and resumed. */
#ifndef DFQ_TUNER_H
#define DFQ_TUNER_H

#include <stddef.h>
#include <stdint.h>

#include <dfq/visibility.h>
#include <dfq/status.h>
#include <dfq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Generator networks that are trained beside a student and make its images. */
enum {
    DFQ_GENERATOR_GDFQ = 0,   /**< GDFQ's (ECCV 2020, arXiv 2003.03603) */
    DFQ_GENERATOR_QIMERA = 1, /**< Qimera's (NeurIPS 2021, arXiv 2111.02625): some batches are
                                   mixtures of classes */
    DFQ_GENERATOR_ARC = 2     /**< AutoReCon's (IJCAI 2021, arXiv 2105.12151), as found for the
                                   network */
};

/** Learning rate schedules, after the warm-up. */
enum {
    DFQ_SCHEDULE_CONSTANT = 0,   /**< it stays */
    DFQ_SCHEDULE_MULTI_STEP = 1, /**< times `milestone_factor` at each milestone */
    DFQ_SCHEDULE_COSINE = 2      /**< half a cosine from learning_rate to end_learning_rate */
};

/** Warm-ups. */
enum {
    DFQ_WARMUP_LINEAR = 0, /**< the learning rate grows linearly to `learning_rate` */
    DFQ_WARMUP_IDLE = 1    /**< losses are computed, no parameter moves (MimiQ's release) */
};

/** Augmentations; one random draw for each batch, and one for each image where it is said. */
enum {
    DFQ_AUGMENT_NONE = 0, /**< images as they are */
    DFQ_AUGMENT_MILD = 1, /**< crop of 0.5..1 of the area, mirror */
    DFQ_AUGMENT_FULL = 2, /**< crop of 0.08..1, mirror, colour jitter, grayscale, Gaussian blur */
    DFQ_AUGMENT_SYNTHETIC = 3 /**< as MILD; then each image gets a saturation of 0..1, contrast and
                                   brightness, and every second a part out of focus;
                                   a quarter of each batch is new images of dead leaves */
};

/** Columns of dfq_tuner_get_curves(). */
enum {
    DFQ_TUNE_TOTAL = 0, /**< L */
    DFQ_TUNE_KL = 1,    /**< its first term, unweighted */
    DFQ_TUNE_HEAD = 2,  /**< its second term, unweighted: 0 where heads agree */
    DFQ_TUNE_LABEL = 3, /**< cross-entropy with the generator's classes, unweighted */
    DFQ_TUNE_COUNT = 4  /**< number of columns */
};

/** Recipes: sets of options that belong together. */
enum {
    /** MimiQ's with improved quantizers (::DFQ_MODE_IMPROVED), for vision transformers: AdamW, a
     *  cosine, mild augmentation. */
    DFQ_RECIPE_MIMIQ = 0,
    /** MimiQ's as published, for ::DFQ_MODE_PARITY. The paper's code leaves learning rate and
     *  number of steps to its caller; it runs 200 epochs, lowering the learning rate at 50 and
     *  100. */
    DFQ_RECIPE_MIMIQ_PARITY = 1,
    /** AIT's, for convolutional networks with a generator network: KL alone at temperature 20,
     *  divided by the number of classes, gradient inundation, SGD. Meant for some thousand steps:
     *  an idle warm-up of a quarter of them, at most 800, then a cosine from learning rate 0.01. */
    DFQ_RECIPE_AIT = 2,
    /** AIT's as published, for ::DFQ_MODE_PARITY, its 80,000 steps scaled to those of the job. An
     *  idle warm-up of a tenth of them, at most 800; learning rate 1e-4, which falls tenfold after
     *  each quarter. */
    DFQ_RECIPE_AIT_PARITY = 3,
    /** As ::DFQ_RECIPE_AIT with the loss of GDFQ and Qimera: KL and cross-entropy, learning rate
     *  1e-4, no inundation. */
    DFQ_RECIPE_GDFQ = 4,
    /** As ::DFQ_RECIPE_AIT_PARITY with that loss. */
    DFQ_RECIPE_GDFQ_PARITY = 5,
    /** For convolutional networks on a set of images (::DFQ_MODE_IMPROVED): AIT's KL alone, AdamW
     *  at 1e-4 with ten times that for scales, a cosine, mild augmentation, no inundation. It has
     *  not been shown to gain on a rounded network (docs/METHODS.md). */
    DFQ_RECIPE_AIT_SET = 6,
    /** ::DFQ_RECIPE_MIMIQ for students with scales of rows: codes of weights stay
     *  (weight_lr_mult 0), biases and norms move at a learning rate of 1e-3, scales at half of it,
     *  augmentation ::DFQ_AUGMENT_SYNTHETIC. */
    DFQ_RECIPE_MIMIQ_ROWS = 7
};

/** Options of dfq_tuner_create(). Fill with dfq_tuner_options_init() first. Two defaults: of
 *  ::DFQ_RECIPE_MIMIQ | of ::DFQ_RECIPE_MIMIQ_PARITY. For a set of images in place of a generator
 *  AIT's other recipes need warmup_steps and range_steps 0. */
typedef struct dfq_tuner_options {
    uint32_t struct_size;  /**< set by init */
    int32_t optimizer;     /**< DFQ_OPTIMIZER_* of dfq/types.h; AdamW | SGD */
    int64_t steps;         /**< 1..10 million; 500 */
    int64_t batch;         /**< images of a step, 1..4096; 16. Cut to half of the images, or to all
                                of them if eval_every is 0 */
    uint64_t seed;         /**< of the order of images and of the augmentation; 0 */
    int32_t schedule;      /**< DFQ_SCHEDULE_*; cosine | multi-step */
    int32_t warmup;        /**< DFQ_WARMUP_*; linear | idle */
    int64_t warmup_steps;  /**< steps of the warm-up; 0 (MimiQ's release: 2 epochs) */
    int64_t milestones[3]; /**< steps at which the learning rate falls, 0: none; all 0: after 1/4
                                and 1/2 */
    int64_t eval_every;    /**< steps between evaluations; 50. 0: nothing is held out, the last
                                step is the result */
    float learning_rate;   /**< 0..1000; of biases, norms and embeddings; 1e-4 | 1e-3 */
    float end_learning_rate;  /**< what the cosine ends at; 0 */
    float milestone_factor;   /**< of the learning rate at a milestone, 0..1; 0.1 */
    float momentum;           /**< SGD, 0 to below 1; 0.9 */
    float beta1;              /**< AdamW, 0 to below 1; 0.9 */
    float beta2;              /**< AdamW and RMSProp, 0 to below 1; 0.999 */
    float eps;                /**< AdamW and RMSProp, 1e-30..1; 1e-8 */
    float weight_decay;       /**< of weights, biases, norms and embeddings, 0..1; 0 */
    float weight_lr_mult;     /**< multiplies that of weights of linear layers and convolutions,
                                   0..1e6; 1. 0: they stay, and cost no gradients */
    float scale_lr_mult;      /**< multiplies that of quantizer scales; 10 | 1. 0: they stay */
    float zero_point_lr_mult; /**< multiplies that of zero points; 10 | 1. 0: they stay */
    float temperature;        /**< T, 0.001..1000; 5 */
    float kl_weight;          /**< 0..1e6, 0 leaves the term out; 1 */
    float head_weight;        /**< 0..1e6, 0 leaves the term out; 10 */
    int32_t augment;          /**< DFQ_AUGMENT_*; mild | full */
    float crossing_target;    /**< rho of gradient inundation, 0..0.5; 0: off. AIT: 0.001 for small
                                   networks, 0.0001 for those of ImageNet */
    int64_t kappa_capped_steps; /**< steps after the warm-up in which kappa stays below 128; 0: one
                                     epoch of the images, none with a generator */
    int64_t
        range_steps;    /**< with a generator: the first steps, all in an idle warm-up, in which the
                              ranges of the student's activations are tracked; 0 otherwise */
    float label_weight; /**< with a generator, 0..1e6; 0: AIT, 1: what GDFQ does itself */
    float clip_norm;    /**< norm of all gradients that move something, above which they are scaled
                              down to it, 0..1e6; 0: never. AIT: 10 / classes, as published: 0 */
} dfq_tuner_options;

/** The generator network beside a student. Fill with dfq_generator_options_init() first. */
typedef struct dfq_generator_options {
    uint32_t struct_size; /**< set by init */
    int32_t kind;         /**< DFQ_GENERATOR_*; default ::DFQ_GENERATOR_QIMERA */
    int64_t batch;        /**< images of a step, 2..4096; default 200 */
    uint64_t seed;        /**< of weights, noise and classes; default 0 */
    float learning_rate;  /**< Adam's (0.5, 0.999), 0..1000; default 1e-3; falls at the
                                tuner's milestones */
    float bns_weight;     /**< of the BatchNorm statistics beside the cross-entropy, 0..1e6; 1. The
                           publications have 0.1 */
} dfq_generator_options;

/** The best step and the last one. Filled by dfq_tuner_get_best(). */
typedef struct dfq_tuner_best {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t best_step;    /**< steps done when the held-out divergence was smallest; 0: untuned */
    int64_t last_step;    /**< steps done at the last evaluation */
    double best_kl;       /**< held-out divergence then; NaN: nothing was evaluated */
    double last_kl;       /**< held-out divergence at the last evaluation */
    int64_t train;        /**< images to learn from */
    int64_t held_out;     /**< images held out */
    int64_t clamped;      /**< how often a learned scale was clamped above zero */
} dfq_tuner_best;

/** What a job costs. Filled by dfq_tuner_estimate(). */
typedef struct dfq_tuner_cost {
    uint32_t struct_size; /**< bytes the caller has room for; set before the call */
    int32_t reserved;     /**< 0 */
    int64_t bytes;        /**< memory at the peak, without networks and images */
    int64_t macs;         /**< multiply-accumulates of one step, teacher included */
    double seconds;       /**< of one step; NaN: not measured yet */
    double seconds_left;  /**< to the end of the job, evaluations left out; NaN: unknown */
    int64_t steps;        /**< of the whole job */
    int64_t done;         /**< steps done */
} dfq_tuner_cost;

/** Writes the options of a recipe.
 *  @param options what to fill; then change what you want
 *  @param size    sizeof(dfq_tuner_options) of the caller
 *  @param recipe  DFQ_RECIPE_*; any other number is taken for ::DFQ_RECIPE_MIMIQ
 *  @param graph   the network that is to be tuned, teacher or student: the recipes of convolutional
 *                 networks depend on its number of classes and its image size. NULL: 10 classes,
 *                 small pictures
 *  @param steps   of the whole job, which warm-up and milestones of AIT go by; 0: as many as the
 *                 recipe has, 500 for MimiQ, 1000 for AIT */
DFQ_API void dfq_tuner_options_init(dfq_tuner_options *options, size_t size, int32_t recipe,
                                    const dfq_graph *graph, int64_t steps);

/** Writes defaults of a generator network that is trained beside a student.
 *  @param options what to fill; then change what you want
 *  @param size    sizeof(dfq_generator_options) of the caller
 *  @param recipe  DFQ_RECIPE_*; the parity ones weigh BatchNorm statistics as published, by 0.1
 *  @param graph   the network that is to be tuned: its image size tells the batch, 200 for pictures
 *                 of up to 64 pixels and 16 for larger ones. NULL: small pictures */
DFQ_API void dfq_generator_options_init(dfq_generator_options *options, size_t size, int32_t recipe,
                                        const dfq_graph *graph);

/** Prepares a job. Large memory is allocated only when work begins, so dfq_tuner_estimate() can be
 *  asked before.
 *  @param teacher   the float network; kept alive by the job, must stay as it is. If the student
 *                   is rotated (dfq_graph_info.rotation) the job has a rotated copy of it instead
 *  @param student   the quantized one, made from the teacher by dfq_graph_quantize(); kept alive,
 *                   and changed in place by every step
 *  @param images    F32 [n,3,S,S], normalised with the network's mean and std, as those of
 *                   dfq_synthesizer_get_images(); kept alive, must stay as they are
 *  @param options   NULL for those of ::DFQ_RECIPE_MIMIQ
 *  @param out_tuner to be given back with dfq_tuner_release()
 *  @return ::DFQ_E_INVALID (an option out of range, teacher quantized, student not, different
 *          contexts), ::DFQ_E_SHAPE (images, or networks of different sizes), ::DFQ_E_UNSUPPORTED
 *          (an option this library does not know), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_create(const dfq_graph *teacher, dfq_graph *student,
                                        const dfq_tensor *images, const dfq_tuner_options *options,
                                        dfq_tuner **out_tuner);

/** As dfq_tuner_create(), with the images of a set. They are read for each step, so memory does not
 *  grow with their number. Bits and checkpoints are those of the same images in a tensor.
 *  @param set kept alive by the job; its file must stay as it is
 *  @return as dfq_tuner_create(); ::DFQ_E_INVALID (a set of another context). Steps and checkpoints
 *          may also return ::DFQ_E_IO, see dfq_image_set_read(). */
DFQ_CHECKED dfq_status dfq_tuner_create_from(const dfq_graph *teacher, dfq_graph *student,
                                             dfq_image_set *set, const dfq_tuner_options *options,
                                             dfq_tuner **out_tuner);

/** Prepares a job with a generator network in place of images. The batch is that of `generator`.
 *  Nothing can be held out, so eval_every and augment must be 0 and the last step is the result.
 *  @param teacher a float convolutional network with BatchNorms
 *  @param student as for dfq_tuner_create(); with range_steps above 0 its ranges need not be known
 *                 yet
 *  @param generator NULL for those of ::DFQ_RECIPE_AIT
 *  @param options NULL for those of ::DFQ_RECIPE_AIT
 *  @return as dfq_tuner_create(); ::DFQ_E_UNSUPPORTED (no BatchNorm). */
DFQ_CHECKED dfq_status dfq_tuner_create_with_generator(const dfq_graph *teacher, dfq_graph *student,
                                                       const dfq_generator_options *generator,
                                                       const dfq_tuner_options *options,
                                                       dfq_tuner **out_tuner);

/** Ends a job; the student stays as it is. NULL is fine. */
DFQ_API void dfq_tuner_release(dfq_tuner *tuner);

/** One step, with an evaluation before it where one is due. After the last step the student gets
 *  the best parameters.
 *  @param out_finished 1: nothing is left to do; else 0
 *  @return ::DFQ_E_NUMERIC (loss or a gradient is NaN or infinite: the text names step and
 *          parameter, the student gets the best parameters so far, and the job is over),
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_step(dfq_tuner *tuner, int32_t *out_finished);

/** Steps until the end. Reports stage "tune" after each step; its loss is L.
 *  @return ::DFQ_E_CANCELLED (between two steps, the student has the parameters of the last: call
 *          again to go on), otherwise as dfq_tuner_step(). */
DFQ_CHECKED dfq_status dfq_tuner_run(dfq_tuner *tuner);

/** The curves: a new F32 [done, ::DFQ_TUNE_COUNT], one row for each step (columns DFQ_TUNE_*), as
 *  it was before the step. NaN for terms that are left out.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_curves(const dfq_tuner *tuner, dfq_tensor **out_curves);

/** The evaluations: a new F32 [k, 2], rows of steps done and held-out divergence.
 *  @return ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_evaluations(const dfq_tuner *tuner,
                                                 dfq_tensor **out_evaluations);

/** What the last step did to the codes of each quantized weight, in the order of the network's
 *  parameters: a new F32 [weights, 3], rows of kappa, codes changed, and codes. kappa and codes
 *  changed are 0 before the first step of this process.
 *  @return ::DFQ_E_INVALID (crossing_target is 0), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_crossings(const dfq_tuner *tuner, dfq_tensor **out_crossings);

/** The share of codes that each step aimed at, the same for all weights: a new F32 [done]. It is
 *  crossing_target in proportion to the learning rate of the step; 0 for steps that moved no
 *  weight.
 *  @return ::DFQ_E_INVALID (crossing_target is 0), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_crossing_targets(const dfq_tuner *tuner,
                                                      dfq_tensor **out_targets);

/** The share of codes that each step changed, for each quantized weight: a new F32 [done, weights];
 *  NaN for steps that moved no weight.
 *  @return ::DFQ_E_INVALID (crossing_target is 0), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_crossed(const dfq_tuner *tuner, dfq_tensor **out_crossed);

/** The generator's curves: a new F32 [done, 3], rows of its loss, the teacher's cross-entropy, and
 *  the distance of BatchNorm statistics, unweighted.
 *  @return ::DFQ_E_INVALID (the job has no generator), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_generator_curves(const dfq_tuner *tuner,
                                                      dfq_tensor **out_curves);

/** The images that the generator made for the last step of this process: a new F32 [batch,3,S,S],
 *  normalised, and their classes, a new I32 [batch].
 *  @return ::DFQ_E_INVALID (no generator, no step yet), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_get_generator_images(const dfq_tuner *tuner,
                                                      dfq_tensor **out_images,
                                                      dfq_tensor **out_labels);

/** The best step so far and the last one.
 *  @return ::DFQ_E_INVALID (struct_size is not set). */
DFQ_CHECKED dfq_status dfq_tuner_get_best(const dfq_tuner *tuner, dfq_tuner_best *out_best);

/** Puts the best or the last parameters into the student of a finished job. They are kept until the
 *  job is released, so that both can be evaluated.
 *  @param best 1: the best (what a finished job shows at first), 0: the last
 *  @return ::DFQ_E_INVALID (the job is not finished). */
DFQ_CHECKED dfq_status dfq_tuner_restore_parameters(dfq_tuner *tuner, int32_t best);

/** Memory, work and time of the job. Allocates nothing that stays.
 *  @return ::DFQ_E_INVALID (struct_size is not set), ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_estimate(const dfq_tuner *tuner, dfq_tuner_cost *out_cost);

/** Writes the state of the job to a safetensors file, beside `path` and renamed: parameters, steps,
 *  zero points, moments, the best copy, curves, and fingerprints of options, quantizers, teacher
 *  and images.
 *  @return ::DFQ_E_IO, ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_save_checkpoint(dfq_tuner *tuner, const char *path);

/** Puts a job that was created with the same teacher, quantizers, images and options where a
 *  checkpoint left off. The student will have the same bits as after an uninterrupted job. On
 *  failure the job is as it was.
 *  @return ::DFQ_E_INVALID (other options, quantizers, teacher or images), ::DFQ_E_IO,
 *          ::DFQ_E_CORRUPT, ::DFQ_E_NUMERIC, ::DFQ_E_UNSUPPORTED (a newer format),
 *          ::DFQ_E_NOMEM. */
DFQ_CHECKED dfq_status dfq_tuner_load_checkpoint(dfq_tuner *tuner, const char *path);

#ifdef __cplusplus
}
#endif
#endif
