/* Tuning: trains a fake-quantized student to match its float teacher on synthetic images
 * (docs/METHODS.md, Tuning). The loss compares logits by KL divergence and attention outputs by
 * structural similarity. Images come from a set, or from a generator network trained beside the
 * student.
 *
 * All random numbers are keyed by (seed, purpose, step), so a resumed job gives the same bits. A
 * part of a set is held out; the step with the smallest divergence on it is the result. */
#ifndef DFQI_TUNE_H
#define DFQI_TUNE_H

#include <dfq/tuner.h>

#include "nn/inundation.h"
#include "quant/model.h"
#include "synth/generator_trainer.h"
#include "synth/imageset.h"
#include "tune/augment.h"

enum { DFQI_TUNE_MILESTONES = 3 };

/* The public struct is also the internal one; struct_size is not used here. */
typedef dfq_tuner_options dfqi_tune_options;

/* Columns of the curves; NaN for a term that is not part of the loss. */
enum { DFQI_TUNE_TOTAL, DFQI_TUNE_KL, DFQI_TUNE_HEAD, DFQI_TUNE_LABEL, DFQI_TUNE_LOSSES };

typedef struct dfqi_tune_best {
    int64_t best_step, last_step; /* steps done; last_step: at the last evaluation */
    double best_kl, last_kl;      /* held-out divergence; NaN: not evaluated */
    int64_t train, held_out;      /* images */
    int64_t clamped;              /* how often a learned scale was clamped above zero */
} dfqi_tune_best;

typedef struct dfqi_tune_cost {
    double bytes;   /* memory of the job at its peak, beside networks and images */
    double macs;    /* multiply-accumulates of a step */
    double seconds; /* of a step; NaN: not measured yet */
    double seconds_left;
} dfqi_tune_cost;

typedef struct dfqi_tune dfqi_tune;

/* What a recipe depends on. */
typedef struct dfqi_recipe_case {
    int64_t classes; /* of the network */
    dfqi_size image;
    int64_t steps; /* of the job; 0: as many as the recipe has */
} dfqi_recipe_case;

/* DFQ_RECIPE_* for a network; `recipe` must be one of them. */
void dfqi_tune_recipe(int32_t recipe, const dfqi_recipe_case *c, dfqi_tune_options *o);

/* Checks and builds the graph; large blocks are allocated when work begins. All three are retained:
 * the float teacher, the quantized student, which is changed in place, and images[n][3][S][S]. */
DFQI_CHECKED dfq_status dfqi_tune_new(const dfqi_model *teacher, dfqi_model *student,
                                      const dfq_tensor *images, const dfqi_tune_options *o,
                                      dfqi_tune **out);
/* The same with the images of a set, which is retained. They are read for each step, so that memory
 * does not grow with their number; bits are those of the same images in a tensor. */
DFQI_CHECKED dfq_status dfqi_tune_new_from(const dfqi_model *teacher, dfqi_model *student,
                                           dfqi_imageset *set, const dfqi_tune_options *o,
                                           dfqi_tune **out);
/* The same with images, classes and the teacher's logits from a generator that each step trains
 * (its learning rate falls at the milestones too); the batch is the generator's. Nothing can be
 * held out: the last step is the result. In an idle warm-up the generator alone moves. */
DFQI_CHECKED dfq_status dfqi_tune_new_with_generator(const dfqi_model *teacher, dfqi_model *student,
                                                     const dfqi_generator_options *generator,
                                                     const dfqi_tune_options *o, dfqi_tune **out);
void dfqi_tune_release(dfqi_tune *t); /* NULL ok */

/* One step, with an evaluation before it where one is due. *out_finished: nothing is left to do,
 * and the student holds its best parameters. A loss or gradient that is not finite is
 * DFQ_E_NUMERIC: the student then holds its best parameters, and the job cannot go on. */
DFQI_CHECKED dfq_status dfqi_tune_step(dfqi_tune *t, int32_t *out_finished);
/* Steps until the end, reporting stage "tune"; DFQ_E_CANCELLED leaves it between two steps, with
 * the parameters of the last one in the student. */
DFQI_CHECKED dfq_status dfqi_tune_run(dfqi_tune *t);

int64_t dfqi_tune_steps(const dfqi_tune *t);
int64_t dfqi_tune_done(const dfqi_tune *t);
/* F32 [done, DFQI_TUNE_LOSSES], before each step. */
DFQI_CHECKED dfq_status dfqi_tune_curves(const dfqi_tune *t, dfq_tensor **out);
/* F32 [evaluations, 2]: steps done, and the held-out divergence then. */
DFQI_CHECKED dfq_status dfqi_tune_evals(const dfqi_tune *t, dfq_tensor **out);
/* F32 [weights, 3]: kappa, codes changed (of the last step of this process; before it 0) and codes
 * of each quantized weight, in the order of the network's parameters. Only with inundation. */
DFQI_CHECKED dfq_status dfqi_tune_crossings(const dfqi_tune *t, dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_tune_crossing_targets(const dfqi_tune *t, dfq_tensor **out);
/* Share of the codes that each step changed, F32 [done, weights]; NaN where it moved none. Only
 * with inundation. */
DFQI_CHECKED dfq_status dfqi_tune_crossed(const dfqi_tune *t, dfq_tensor **out);
/* The generator's losses, F32 [done, DFQI_GENERATOR_LOSSES]. Only with one. */
DFQI_CHECKED dfq_status dfqi_tune_generator_curves(const dfqi_tune *t, dfq_tensor **out);
/* Images F32 [batch,3,S,S] and classes I32 [batch] of the last step of this process. Only with a
 * generator. */
DFQI_CHECKED dfq_status dfqi_tune_generator_images(const dfqi_tune *t, dfq_tensor **out_images,
                                                   dfq_tensor **out_labels);
void dfqi_tune_get_best(const dfqi_tune *t, dfqi_tune_best *out);
/* Puts the best (1) or the last (0) parameters into the student of a finished job. */
DFQI_CHECKED dfq_status dfqi_tune_restore_parameters(dfqi_tune *t, int best);
DFQI_CHECKED dfq_status dfqi_tune_estimate(const dfqi_tune *t, dfqi_tune_cost *out);

/* The state of the job as a safetensors file. A job with the same options, quantizers, teacher and
 * images goes on from there to the same bits; others are refused. */
DFQI_CHECKED dfq_status dfqi_tune_save(dfqi_tune *t, const char *path);
/* On failure the job is as it was. */
DFQI_CHECKED dfq_status dfqi_tune_restore(dfqi_tune *t, const char *path);

/* A fingerprint of what of the student's quantizers tuning and reconstruction leave alone. */
uint64_t dfqi_tune_hash_scheme(const dfqi_scheme *s);

/* -- diagnostics (layers.c) -------------------------------------------------------------------- */

/* Signal-to-quantization-noise ratios in dB, F32 [depth + 1]: head outputs of each block, then the
 * logits; 10 log10(sum float^2 / sum (student - float)^2) over images[n][3][S][S], end to end, at
 * most 200. */
DFQI_CHECKED dfq_status dfqi_layer_errors(const dfqi_model *teacher, const dfqi_model *student,
                                          const float *images, int64_t n, dfq_tensor **out);

/* The float teacher in the basis of its quantized student: `teacher` itself, or a copy with the
 * rotation of a rotated student (nn/rotate.h), so that heads, weights and layers can be compared.
 * They must have one context and one architecture. One reference. */
DFQI_CHECKED dfq_status dfqi_tune_teacher(const dfqi_model *teacher, const dfqi_model *student,
                                          dfqi_model **out);

#endif
