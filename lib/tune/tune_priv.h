/* State of a tuning job, shared by the files of tune/. */
#ifndef DFQI_TUNE_PRIV_H
#define DFQI_TUNE_PRIV_H

#include "graph/exec.h"
#include "quant/track.h"
#include "tune/image_source_priv.h"
#include "tune/tune.h"

enum { DFQI_TUNE_TEXT = 832 };

typedef enum dfqi_item_kind {
    DFQI_ITEM_WEIGHT,
    DFQI_ITEM_SCALE,
    DFQI_ITEM_ZERO_POINT
} dfqi_item_kind;

/* A tensor of the student that tuning changes. */
typedef struct dfqi_item {
    dfqi_item_kind kind;
    const char *name;   /* in t->names */
    dfq_tensor *tensor; /* the student's */
    int64_t count;
    const dfqi_site *site; /* the student's, of a quantized weight; else NULL */
    bool of_layer;         /* the weight of a layer, quantized or not */
    dfqi_id grad;
    dfqi_moments moments; /* in t->block */
    float *best;          /* in t->block: the best, or the last while the best ones are shown */
} dfqi_item;

/* Images in memory or in a set, in random order. */
typedef struct dfqi_set_state {
    dfq_tensor *images;    /* NULL: in `set` */
    dfqi_imageset *set;    /* NULL: in `images` */
    dfqi_images all;       /* of either */
    float *picked, *batch; /* images of a step: as they are, and augmented */
    uint32_t *order;       /* permutation of the training images in `epoch` */
    int64_t epoch;
    dfqi_augment augment;
    float *leaves; /* scratch of dead leaves; NULL: the augmentation has none */
    int32_t hashed;
    uint64_t hash;
} dfqi_set_state;

typedef struct dfqi_generator_state {
    dfqi_generator_options o;
    dfqi_generator_trainer *trainer;
    dfqi_generator_batch made;    /* by the last step of this process */
    dfqi_id logits_in, labels_in; /* inputs; labels only if the loss has them */
    float *losses;                /* [steps, DFQI_GENERATOR_LOSSES] */
    dfqi_tracker *tracker;        /* while ranges are followed */
} dfqi_generator_state;

struct dfqi_tune {
    dfq_context *ctx; /* the student's, retained by it */
    dfqi_model *teacher, *student;
    const dfqi_image_source *source;
    dfqi_set_state from_set;             /* of source_set.c alone */
    dfqi_generator_state from_generator; /* of source_generator.c alone */
    dfqi_tune_options o;
    int64_t pixels; /* floats of an image */
    int64_t held;   /* every held-th image is held out; 0: none is */
    int64_t n_train, n_held;

    /* objective.c */
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, total, parts;
    dfqi_id teacher_logits, student_logits;
    int32_t term[DFQI_TUNE_LOSSES]; /* index in `parts`, -1: absent */
    dfqi_arena names;
    int32_t n_items;
    dfqi_item *items;
    int64_t item_floats, scale_floats; /* all items together; the largest of kind STEP */
    int32_t n_quantized;               /* items that are quantized weights */
    int64_t largest;                   /* floats of one of them */

    /* made when work begins */
    float *block;   /* moments, best parameters, batch, targets, curves, scratch of steps */
    float *targets; /* the teacher's logits of the held-out images */
    float *losses, *evals, *crossed;
    float *log_scratch; /* [2 scale_floats] */
    dfqi_inundation inundation;
    dfqi_inundated *inundated; /* [n_quantized], NULL: no inundation */
    float scale;               /* of the running step's gradients */

    /* where the job stands */
    int64_t done, n_evals, clamped, best_step;
    double best_kl;
    int32_t have_targets, shown, final, failed; /* shown: the student holds the best parameters */
    int32_t hashed;
    uint64_t teacher_hash;
    double seconds; /* of `timed` steps of this process, the first one left out */
    int64_t timed, runs;
};

/* options.c */
DFQI_CHECKED dfq_status dfqi_tune_check(dfq_context *ctx, const dfqi_tune_options *o);
void dfqi_tune_text(const dfqi_tune_options *o, char text[DFQI_TUNE_TEXT]);
/* The learning rate of a step; 0: no parameter moves. */
float dfqi_tune_learning_rate(const dfqi_tune_options *o, int64_t step);
/* rho of a step, which falls together with the learning rate; 0: no code is pushed over. */
float dfqi_tune_crossing_target(const dfqi_tune_options *o, int64_t step);
/* The factor on the learning rate after the milestones passed so far. */
float dfqi_tune_milestone_factor(const dfqi_tune_options *o, int64_t step);

/* objective.c: graph and items */
DFQI_CHECKED dfq_status dfqi_tune_build(dfqi_tune *t);

/* update.c: allocates what inundation needs, if it is asked for; and gradients of the last run to
 * parameters. */
DFQI_CHECKED dfq_status dfqi_tune_inundate(dfqi_tune *t);
void dfqi_tune_update(dfqi_tune *t, float learning_rate, double norm);
/* DFQ_E_NUMERIC naming the first parameter whose gradient is not finite; the norm of those that
 * move, taken together. */
DFQI_CHECKED dfq_status dfqi_tune_check_grads(const dfqi_tune *t, double *out_norm);
/* Exchanges the student's parameters with t->items[].best. */
void dfqi_tune_swap(dfqi_tune *t);

/* holdout.c */
int64_t dfqi_tune_train_image(const dfqi_tune *t, int64_t i); /* numbers in the set */
int64_t dfqi_tune_held_image(const dfqi_tune *t, int64_t i);
int64_t dfqi_tune_evals_max(const dfqi_tune *t);
bool dfqi_tune_eval_due(const dfqi_tune *t);
/* Records the divergence on the held-out images; keeps the parameters if they are the best. */
DFQI_CHECKED dfq_status dfqi_tune_evaluate(dfqi_tune *t);

/* tune.c: allocates what work needs; and one step on the images that the inputs have. */
DFQI_CHECKED dfq_status dfqi_tune_start(dfqi_tune *t);
DFQI_CHECKED dfq_status dfqi_tune_iterate(dfqi_tune *t);

#endif
