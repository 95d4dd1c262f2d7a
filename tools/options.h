/* The command line. One table has every option, its meaning and its verbs; parser and help use
 * it. */
#ifndef DFQ_TOOLS_OPTIONS_H
#define DFQ_TOOLS_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

enum verb {
    VERB_INFO,
    VERB_EVAL,
    VERB_RUN,
    VERB_SYNTH,
    VERB_QUANTIZE,
    VERB_EXPORT,
    VERB_BENCH,
    VERB_COST,
    VERB_EXPLORE,
    VERB_VERSION,
    VERB_JOINT, /* explore with a model in place of a search space */
    VERB_COUNT
};

enum option_id {
    OPT_OUT,
    OPT_BITS,
    OPT_FIRST_LAST_BITS,
    OPT_LAYER_BITS,
    OPT_BITS_FILE,
    OPT_BITS_FILE_OUT,
    OPT_MEAN_BITS,
    OPT_LIMIT_LATENCY,
    OPT_LIMIT_ENERGY,
    OPT_LIMIT_POWER,
    OPT_LIMIT_AREA,
    OPT_LIMIT_SIZE,
    OPT_DAMAGES,
    OPT_REFINE,
    OPT_SKIP,
    OPT_MODE,
    OPT_WEIGHT_GRID,
    OPT_ACT_GRID,
    OPT_ROTATE,
    OPT_ACT_SCALE,
    OPT_ACT_GROUP,
    OPT_WEIGHT_GROUP,
    OPT_ROUNDING,
    OPT_METHOD,
    OPT_GENERATOR,
    OPT_LOSS,
    OPT_KIND,
    OPT_CLASSES,
    OPT_IMAGES,
    OPT_ITERS,
    OPT_RECONSTRUCT,
    OPT_STEPS,
    OPT_BATCH,
    OPT_SEED,
    OPT_LR,
    OPT_GAMMA,
    OPT_CROSSING_TARGET,
    OPT_NO_TUNE,
    OPT_NO_IMAGES,
    OPT_SYNTH,
    OPT_REAL,
    OPT_DATA,
    OPT_PICTURE,
    OPT_LABELS,
    OPT_SIMULATE,
    OPT_RUNTIME,
    OPT_REPORT,
    OPT_DIAGNOSE,
    OPT_ACCEL,
    OPT_MAPPING,
    OPT_CONFIG,
    OPT_ALL,
    OPT_FPS,
    OPT_ENERGY,
    OPT_POWER,
    OPT_SIZE,
    OPT_AREA,
    OPT_TEST_DATA,
    OPT_WARMUP_STEPS,
    OPT_TRAIN_STEPS,
    OPT_RULE,
    OPT_PENALTY,
    OPT_COST_WEIGHT,
    OPT_COST_FUNCTION,
    OPT_EVALUATOR,
    OPT_GRADIENT,
    OPT_EVALUATOR_STEPS,
    OPT_SUPERNET,
    OPT_SAVE_SUPERNET,
    OPT_TRAJECTORY,
    OPT_OPSET,
    OPT_INT4,
    OPT_INTEGER,
    OPT_ARCH,
    OPT_HEADS,
    OPT_IMAGE,
    OPT_IMAGE_SIZE,
    OPT_STEM,
    OPT_ACTIVATION,
    OPT_POOLING,
    OPT_MEAN,
    OPT_STD,
    OPT_RESIZE,
    OPT_CROP,
    OPT_INTERPOLATION,
    OPT_LABELS_FROM,
    OPT_THREADS,
    OPT_RESUME,
    OPT_RESUME_AT,
    OPT_CHECKPOINT,
    OPT_FORCE,
    OPT_JSON,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_HELP,
    OPT_COUNT
};

/* How a network is tuned, and what a student with a generator beside it learns from. */
enum { METHOD_MIMIQ, METHOD_AIT };
enum { LOSS_AIT, LOSS_KL_CE };

/* Numbers that were not given are -1 (NaN for floats): the library's defaults hold. */
struct options {
    int argc;
    char *const *argv; /* the whole command line, for messages and reports */
    enum verb verb;
    char given[OPT_COUNT]; /* is the option on the command line? */
    const char *input;
    const char *out, *arch, *synth, *real, *data, *report, *resume_at, *accel, *mapping;
    const char *bits_file, *bits_file_out, *damages;
    const char *layer_bits, *skip; /* texts, and what they say: */
    const struct dfq_layer_config *layers;
    int32_t n_layers;
    const char **pictures; /* --image of run, and what follows the model */
    int n_pictures;
    const char *labels;
    const char *test_data, *supernet, *save_supernet, *trajectory, *labels_from;
    int32_t weight_bits, act_bits; /* 2..8 */
    int64_t first_last_bits;       /* 0: weight_bits */
    int32_t mode, kind, generator; /* DFQ_MODE_*, DFQ_SYNTHESIZER_*, DFQ_GENERATOR_* */
    int32_t method, loss;          /* METHOD_*, -1: by the network; LOSS_* */
    int64_t images, iters, steps, batch;
    int64_t refine;                         /* moves of chosen bits to be measured; 0: none */
    int64_t reconstruct;                    /* steps of each unit; 0: none */
    int64_t heads, image[2], image_size[2]; /* of the network; 0: not said. Sizes: height, width */
    int64_t resize[2];                      /* -1: not said */
    int32_t stem, interpolation, activation, pooling, classes; /* from 0; -1: not said */
    double crop;                                               /* NaN: not said */
    float mean[3], std[3];                                     /* if given */
    int64_t diagnose;                                          /* images to look at; 0: none */
    uint64_t seed;
    int32_t weight_grid, act_grid; /* DFQ_WEIGHT_GRID_*, DFQ_ACT_GRID_* */
    int32_t rotate;                /* DFQ_ROTATE_* */
    int32_t act_scale;             /* DFQ_ACT_SCALE_* */
    int64_t act_group;             /* 0: none; DFQ_ACT_GROUP_AUTO */
    int64_t weight_group;          /* 0: none; DFQ_WEIGHT_GROUP_AUTO */
    int32_t rounding;              /* DFQ_ROUNDING_* */
    double lr, gamma, crossing_target;
    double fps, energy, area, size, power; /* limits; NaN: none */
    double mean_bits; /* of weights and of activations at most; NaN: no limit */
    double limit_latency, limit_energy, limit_area, limit_size; /* of a choice of bits; NaN: none */
    double limit_power;                                         /* likewise */
    int64_t warmup_steps, train_steps;
    int64_t opset; /* of ONNX; 0: the library chooses */
    int64_t evaluator_steps;
    int32_t evaluator;           /* DFQ_EVALUATOR_* */
    int32_t gradient;            /* DFQ_GRADIENT_* */
    int64_t config;              /* an accelerator of a description; -1: the best */
    double penalty, cost_weight; /* of some rules; NaN: the library's */
    int32_t cost_function;       /* DFQ_COST_* */
    int32_t rule;                /* DFQ_RULE_*, never the exact one */
    double checkpoint;           /* seconds between checkpoints */
    int32_t threads;
    int int4, integer, no_tune, no_images, resume, force, json, quiet, all, verbose, simulate,
        runtime;
};

extern const char *const verb_names[VERB_COUNT];

static inline int option_given(const struct options *o, enum option_id id)
{
    return o->given[id];
}

/* Are the bits of layers to be chosen: is one of the options given that limit them? */
int options_choose_bits(const struct options *o);

/* What was given for an option that is a text; for OPT_COUNT, what stands alone. NULL: nothing. */
const char *option_text(const struct options *o, enum option_id id);

/* Reads the command line. Returns -1 to go on, or an exit code: help was printed to stdout (0), or
 * something is wrong and one line on stderr says what (2). */
int options_parse(int argc, char **argv, struct options *out);
void options_free(struct options *o);

/* For words of the table: their names, as the command line has them. */
const char *option_mode_name(int32_t mode);
const char *option_kind_name(int32_t kind);
const char *option_weight_grid_name(int32_t weights);
/* "auto", "nearest", or of "search,ridge,gptq,bias" those that are in `parts`. */
const char *option_rounding_name(int32_t parts);
const char *option_act_grid_name(int32_t acts);
const char *option_rotate_name(int32_t rotate);
const char *option_act_scale_name(int32_t act_scale);
const char *option_method_name(int32_t method);
const char *option_generator_name(int32_t generator);
const char *option_stem_name(int32_t stem);
const char *option_classes_name(int32_t classes);
const char *option_activation_name(int32_t activation);
const char *option_pooling_name(int32_t pooling);
const char *option_interpolation_name(int32_t interpolation);
const char *option_loss_name(int32_t loss);
const char *option_rule_name(int32_t rule);
const char *option_cost_name(int32_t function);
const char *option_evaluator_name(int32_t evaluator);
const char *option_gradient_name(int32_t gradient);

/* -- for options.c: values --------------------------------------------------------------------- */

/* Says on stderr what is wrong; returns the exit code, 2. */
int option_wrong(const struct options *o, const char *format, ...);
/* Whole lines of a verb: -1, or option_wrong(). The last one tells a model from a search space, by
 * which the verb becomes VERB_JOINT. */
int option_check_quantize(const struct options *o);
int option_check_bench(const struct options *o);
int option_check_explore(const struct options *o);
int option_tell_explore(struct options *o);
/* One more picture of dfq run; there is room for as many as the line has words. */
void options_add_picture(struct options *o, const char *text);
/* Puts the value of an option where it belongs: 0, or option_wrong(). */
int option_take(struct options *o, enum option_id id, const char *text);

/* -- for help.c: the table --------------------------------------------------------------------- */

struct option_row {
    char letter;              /* 0: none */
    const char *name, *value; /* value: what stands behind it; NULL: a switch */
    uint32_t verbs;           /* bits of enum verb */
    const char *help;
};

extern const struct option_row option_table[OPT_COUNT];

void help_program(FILE *f);
void help_verb(FILE *f, enum verb verb);

#endif
