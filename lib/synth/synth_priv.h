/* State of a synthesis job, shared by the files of synth/. */
#ifndef DFQI_SYNTH_PRIV_H
#define DFQI_SYNTH_PRIV_H

#include "graph/exec.h"
#include "io/images.h"
#include "nn/optim.h"
#include "synth/generator_trainer.h"
#include "synth/image_maker_priv.h"
#include "synth/pse.h"
#include "synth/pyramid.h"
#include "synth/synth.h"

enum { DFQI_SYNTH_ATTEMPTS = 4, DFQI_OPTIONS_TEXT = 512, DFQI_KEPT_TEXT = 19 };

/* Settings without an option. They depend on the method: MimiQ or PSAQ-ViT. */
typedef struct dfqi_recipe {
    float beta1, beta2; /* of Adam */
    /* 1: in each half the learning rate rises over a fifth, then falls to the end */
    int32_t warm_ups;
    int32_t one_offset; /* 1: both axes roll by the same offset */
    float tv_diagonal;  /* weight of diagonal differences */
    /* If not 0: the loss is the distance of the augmented images' TV from a number in between,
     * drawn once for a batch. For 32 images of 224 x 224. */
    float tv_least, tv_most;
} dfqi_recipe;

/* The random part of one iteration. Arrays [batch,3]; the network sees (roll(x) + offset - mean) /
 * dev, mirrored first if flip. */
typedef struct dfqi_draws {
    float roll[2]; /* y, x */
    int32_t flip;
    float *offset, *mean, *dev;
    float tv_target; /* of kind PSE */
} dfqi_draws;

/* One graph with its inputs and, once work began, its executor. */
typedef struct dfqi_pass {
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id x, roll, scale, shift, labels;
    dfqi_id seen;   /* the augmented images */
    dfqi_taps taps; /* arrays of [depth], owned */
} dfqi_pass;

/* Finished images that are in the file beside a checkpoint (checkpoint_images.c). */
typedef struct dfqi_kept {
    char *path;    /* of the checkpoint, owned; NULL: there is none */
    char *name[2]; /* a file's two names, owned */
    int64_t n;     /* how many */
    uint64_t hash; /* their fingerprint */
    int32_t which; /* of the names */
} dfqi_kept;

/* Pixels that are optimised: of maker_pixels.c, objective.c and draw.c; maker_drawn.c has the
 * pyramid, the bounds and the scales. */
typedef struct dfqi_pixel_maker {
    dfqi_pyramid pyramid; /* of one channel of an image */
    float lo[3], hi[3];   /* clamp, by channel */

    /* objective: `main` has the losses and the gradient. The patch similarity entropy is computed
     * outside of the graph, from the heads that `view` shows; its gradient enters `main` by the
     * inputs seed[depth]. */
    dfqi_pass main, view;
    dfqi_id total, parts, dx, tv_target;
    int32_t term[DFQI_SYNTH_LOSSES]; /* index in `parts`, -1: absent */
    int64_t layers;                  /* blocks or BatchNorms that the first term is the mean of */
    dfqi_id *seed;
    dfqi_pse_shape pse;

    /* pieces of s->floats, and moments: made when work begins */
    float *scales, *moves, *mirror, *roll, *scale, *shift, *seeds, *pse_scratch;
    dfqi_draws draws;
    dfqi_moments moments;
    int32_t drawn; /* s->x holds the current batch */
} dfqi_pixel_maker;

/* A generator network: of maker_generator.c. */
typedef struct dfqi_generator_maker {
    dfqi_generator_options o;
    dfqi_generator_trainer *trainer;
} dfqi_generator_maker;

struct dfqi_synth {
    dfq_context *ctx; /* the model's, retained by it */
    dfqi_model *model;
    const dfqi_image_maker *maker;
    dfqi_pixel_maker by_pixels;
    dfqi_generator_maker by_generator;
    dfqi_synth_options o;
    int64_t pixels; /* floats of one image */
    /* iterations: `training` before the first batch, then per_batch for each */
    int64_t n_batches, per_batch, training;
    dfqi_images finished; /* all images: of the tensor, or a spool */
    dfqi_kept kept;

    /* where the job stands: `trained` of `training`; `iteration` steps of batch `at` are done */
    int64_t trained;
    int64_t at, iteration, attempt;

    /* made when work begins */
    float *floats;               /* one block: x, labels_f and the maker's */
    float *x, *labels_f;         /* the current batch */
    float *losses;               /* [units][DFQI_SYNTH_LOSSES] */
    dfq_tensor *images, *labels; /* images: NULL with a spool */

    double seconds; /* of `timed` iterations of this process, the first one left out */
    int64_t timed, runs;
};

/* A piece of s->floats. */
typedef struct dfqi_piece {
    float **at;
    int64_t floats;
} dfqi_piece;

/* options.c */
const dfqi_recipe *dfqi_recipe_of(dfqi_synth_kind kind);
/* Chooses the kind if it is AUTO. Kind PSE: puts the numbers of PSAQ-ViT in the place of the
 * options from tv_weight to multi_scale; kind BNS: no jitter, which would move the very
 * statistics. */
void dfqi_synth_settle(const dfqi_arch *a, dfqi_synth_options *o);
/* Whether images of a settled kind can be made of the network. */
DFQI_CHECKED dfq_status dfqi_synth_fits(dfq_context *ctx, const dfqi_arch *a,
                                        const dfqi_synth_options *o);
DFQI_CHECKED dfq_status dfqi_synth_check(dfq_context *ctx, const dfqi_synth_options *o);
void dfqi_synth_text(const dfqi_synth_options *o, char text[DFQI_OPTIONS_TEXT]);

/* draw.c: everything random. `labels` as class numbers. */
/* x[batch] as it begins: dead leaves, or noise at every scale; scratch of dfqi_draw_scratch()
 * floats, which is dfqi_pixels_scale_floats() of noise. */
int64_t dfqi_draw_scratch(const dfqi_synth *s);
void dfqi_draw_images(const dfqi_synth *s, int64_t batch, int64_t attempt, float *scratch,
                      float *x);
void dfqi_draw_labels(const dfqi_synth *s, int64_t batch, int64_t attempt, float *labels);
void dfqi_draw_augment(const dfqi_synth *s, dfqi_draws *out);

/* objective.c */
DFQI_CHECKED dfq_status dfqi_objective_build(dfqi_synth *s);
DFQI_CHECKED dfq_status dfqi_objective_start(dfqi_synth *s); /* executors */
void dfqi_objective_stop(dfqi_synth *s);
void dfqi_objective_fini(dfqi_synth *s);
DFQI_CHECKED dfq_status dfqi_objective_cost(const dfqi_synth *s, double *bytes, double *macs);
int64_t dfqi_objective_seeds(const dfqi_synth *s); /* floats of all seeds, 0: there are none */
/* Losses and the gradient of s->x, by the draws. *grad is valid until the next evaluation. */
DFQI_CHECKED dfq_status dfqi_objective_run(dfqi_synth *s, const dfqi_draws *d,
                                           float losses[DFQI_SYNTH_LOSSES], const float **grad);

/* checkpoint_images.c */
/* Writes what is new of the finished images for a checkpoint at `path`; afterwards k names them
 * all. */
DFQI_CHECKED dfq_status dfqi_kept_write(const dfqi_synth *s, const char *path, dfqi_kept *k);
/* The checkpoint that names them is written: files of another one go. */
void dfqi_kept_clean(const dfqi_kept *k);
void dfqi_kept_fini(dfq_context *ctx, dfqi_kept *k);
/* How a checkpoint names them, in its metadata dfq.synth.images. */
void dfqi_kept_text(const dfqi_kept *k, char text[DFQI_KEPT_TEXT]);
/* The n images of a checkpoint, checked. */
DFQI_CHECKED dfq_status dfqi_kept_open(const dfqi_synth *s, const dfqi_safetensors *st,
                                       const char *path, int64_t n, dfqi_images *out,
                                       dfqi_kept *out_kept);

/* results.c: images of the first `batches` batches. */
int64_t dfqi_synth_images_in(const dfqi_synth *s, int64_t batches);

/* synth.c: images first .. first + n - 1 are finished. */
DFQI_CHECKED dfq_status dfqi_synth_put(dfqi_synth *s, int64_t first, int64_t n, const float *x);
/* Allocates what work needs. */
DFQI_CHECKED dfq_status dfqi_synth_start(dfqi_synth *s);
int64_t dfqi_synth_block(const dfqi_synth *s); /* floats of s->floats */
/* For makers. Hands out consecutive pieces of a block from `base` on, and returns their floats;
 * with base NULL it only counts. */
int64_t dfqi_pieces_lay_out(size_t n, const dfqi_piece *pieces, float *base);
float *dfqi_synth_current_losses(const dfqi_synth *s); /* of the running iteration */
void dfqi_synth_count_time(dfqi_synth *s, double begin);
/* s->x and s->labels_f are a finished batch. If it cannot be written to the spool, it has to be
 * made again: iteration is 0. */
DFQI_CHECKED dfq_status dfqi_synth_finish_batch(dfqi_synth *s);

/* maker_pixels.c: pyramid and bounds; one optimiser step with given draws, *ok: 0 if x is not
 * finite any more. */
void dfqi_pixels_set_up(dfqi_synth *s, int32_t multi_scale);
DFQI_CHECKED dfq_status dfqi_pixels_iterate(dfqi_synth *s, const dfqi_draws *d, int32_t *ok);
/* Into the range of real pictures, channel by channel; 0 if there is a NaN. */
int32_t dfqi_pixels_clamp(dfqi_synth *s);
float dfqi_pixels_learning_rate(const dfqi_synth *s);  /* of the next step */
int64_t dfqi_pixels_first_half(const dfqi_synth *s);   /* iterations */
int64_t dfqi_pixels_scale_floats(const dfqi_synth *s); /* a batch at all scales */

#endif
