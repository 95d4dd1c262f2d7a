/* The table of options, and the names of enumerated values. */
#include <dfq/dfq.h>

#include "options.h"

const char *const verb_names[VERB_COUNT] = {"info",  "eval", "synth",   "quantize",
                                            "bench", "cost", "explore", "version"};

enum {
    INFO = 1 << VERB_INFO,
    EVAL = 1 << VERB_EVAL,
    SYNTH = 1 << VERB_SYNTH,
    QUANTIZE = 1 << VERB_QUANTIZE,
    BENCH = 1 << VERB_BENCH,
    COST = 1 << VERB_COST,
    EXPLORE = 1 << VERB_EXPLORE,
    VERSION = 1 << VERB_VERSION,
    JOBS = SYNTH | QUANTIZE,
    MODELS = INFO | EVAL | JOBS | BENCH | COST,
    LONG = JOBS | EXPLORE, /* with something to write, to stop and to resume */
    ALL = MODELS | EXPLORE
};

const struct option_row option_table[OPT_COUNT] = {
    [OPT_OUT] = {'o', "output", "OUT", LONG, "what to write; nothing is replaced without --force"},
    [OPT_BITS] = {'b', "bits", "wXaY", QUANTIZE | BENCH | COST,
                  "bits of weights and activations, 2..8"},
    [OPT_FIRST_LAST_BITS] = {0, "first-last-bits", "N", QUANTIZE,
                             "bits of the first and the last weight"},
    [OPT_LAYER_BITS] = {0, "layer-bits", "NAME=wXaY", QUANTIZE,
                        "bits of a layer of its own; several: with commas"},
    [OPT_SKIP] = {0, "skip", "NAME", QUANTIZE, "a layer that stays float; several: with commas"},
    [OPT_MODE] = {0, "mode", "WORD", JOBS | BENCH, "improved, or parity as published"},
    [OPT_WEIGHT_GRID] = {0, "weight-grid", "WORD", QUANTIZE,
                         "parity: auto, minmax, minmax-asym or lsq"},
    [OPT_ACT_GRID] = {0, "act-grid", "WORD", QUANTIZE, "parity: auto, lsq or minmax"},
    [OPT_ROTATE] = {0, "rotate", "WORD", QUANTIZE,
                    "the residual stream of a transformer: auto, off or on"},
    [OPT_ACT_SCALE] = {0, "act-scale", "WORD", QUANTIZE,
                       "scales of activations: row (token, at run time) or tensor"},
    [OPT_ROUNDING] = {0, "rounding", "WORDS", QUANTIZE | BENCH,
                      "auto, nearest, or parts of search,ridge,gptq,bias"},
    [OPT_METHOD] = {0, "method", "WORD", QUANTIZE, "mimiq for transformers, ait for CNNs"},
    [OPT_GENERATOR] = {0, "generator", "WORD", QUANTIZE, "ait: generator gdfq, qimera or arc"},
    [OPT_LOSS] = {0, "loss", "WORD", QUANTIZE,
                  "ait: what tunes, ait (KL, gradient inundation) or kl-ce"},
    [OPT_KIND] = {0, "kind", "WORD", JOBS,
                  "attention, prior, noise, pse; CNNs: bns, gdfq, qimera, arc"},
    [OPT_IMAGES] = {'n', "images", "N", JOBS | EVAL, "number of images"},
    [OPT_ITERS] = {0, "iters", "N", JOBS, "synthesis: iterations of each batch"},
    [OPT_STEPS] = {0, "steps", "N", QUANTIZE | EXPLORE, "tuning, exploring: steps"},
    [OPT_BATCH] = {0, "batch", "N", LONG | BENCH, "images computed together"},
    [OPT_SEED] = {'s', "seed", "N", LONG, "of all random numbers"},
    [OPT_LR] = {0, "lr", "X", QUANTIZE, "tuning: learning rate"},
    [OPT_GAMMA] = {0, "gamma", "X", QUANTIZE, "tuning: weight of the attention distance"},
    [OPT_CROSSING_TARGET] = {0, "crossing-target", "X", QUANTIZE,
                             "ait: share of codes to change; 0: KL alone"},
    [OPT_NO_IMAGES] = {0, "no-images", NULL, QUANTIZE,
                       "transformers: rounds weights on noise; no synthesis, no tuning"},
    [OPT_NO_TUNE] = {0, "no-tune", NULL, QUANTIZE, "calibrate only"},
    [OPT_SYNTH] = {0, "synth", "DIR", QUANTIZE, "use images that 'dfq synth' made"},
    [OPT_REAL] = {0, "real", "DIR", QUANTIZE, "use real images: for comparison, not data-free"},
    [OPT_DATA] = {'d', "data", "PATH", EVAL | QUANTIZE | EXPLORE,
                  "labelled images: to judge on; explore: to learn from too"},
    [OPT_REPORT] = {'r', "report", "FILE", QUANTIZE | EXPLORE, "write a report, one HTML file"},
    [OPT_DIAGNOSE] = {0, "diagnose", "N", QUANTIZE,
                      "look at gradients, curvature, codes on N images"},
    [OPT_ACCEL] = {'a', "accel", "FILE", COST | EXPLORE,
                   "accelerator: a JSON file, or a preset's name"},
    [OPT_MAPPING] = {0, "mapping", "TEXT", COST, "cost \"LAYER: LOOPS\" beside what was found"},
    [OPT_CONFIG] = {0, "config", "N", COST, "accelerator number N of a description of several"},
    [OPT_ALL] = {0, "all", NULL, COST, "print every layer, not the most expensive alone"},
    [OPT_FPS] = {0, "fps", "X", EXPLORE, "limit: at least so many images a second"},
    [OPT_ENERGY] = {0, "energy-mj", "X", EXPLORE, "limit: at most so many mJ an image"},
    [OPT_AREA] = {0, "area-mm2", "X", EXPLORE, "limit: at most so large, at 45 nm"},
    [OPT_TEST_DATA] = {0, "test-data", "PATH", EXPLORE, "labelled images to judge the result on"},
    [OPT_WARMUP_STEPS] = {0, "warmup-steps", "N", EXPLORE, "warm-up of the weights: steps"},
    [OPT_TRAIN_STEPS] = {0, "train-steps", "N", EXPLORE,
                         "of the result; 0: it keeps the weights of exploring"},
    [OPT_RULE] = {0, "rule", "WORD", EXPLORE,
                  "constraint-gradient, none, penalty, absolute, frank-wolfe, network-first, "
                  "product, alternate"},
    [OPT_PENALTY] = {0, "penalty", "X", EXPLORE,
                     "weight of rules penalty and absolute, power of product"},
    [OPT_COST_WEIGHT] = {0, "cost-weight", "X", EXPLORE, "of costs in the loss, with any rule"},
    [OPT_COST_FUNCTION] = {0, "cost-function", "WORD", EXPLORE,
                           "mean of the limits' shares, reference or edap"},
    [OPT_EVALUATOR] = {0, "evaluator", "WORD", EXPLORE,
                       "costs while exploring: exact tables, or networks (DANCE's)"},
    [OPT_EVALUATOR_STEPS] = {0, "evaluator-steps", "N", EXPLORE,
                             "networks: training of costs, to 1 % at most"},
    [OPT_SUPERNET] = {0, "supernet", "FILE", EXPLORE, "begin with a supernet that was warmed up"},
    [OPT_SAVE_SUPERNET] = {0, "save-supernet", "FILE", EXPLORE,
                           "keep the supernet after the warm-up"},
    [OPT_TRAJECTORY] = {0, "trajectory", "PREFIX", EXPLORE,
                        "write the course, PREFIX.csv and PREFIX.svg"},
    [OPT_ARCH] = {0, "arch", "NAME", MODELS, "architecture, if the file does not tell"},
    [OPT_HEADS] = {0, "heads", "N", MODELS, "attention heads, likewise"},
    [OPT_IMAGE] = {0, "image", "N", MODELS, "side of the square input, likewise"},
    [OPT_STEM] = {0, "stem", "WORD", MODELS,
                  "of a ResNet: stride1, stride1+pool, stride2, stride2+pool"},
    [OPT_MEAN] = {0, "mean", "R,G,B", INFO | EVAL | JOBS, "that inputs are normalised by, in 0..1"},
    [OPT_STD] = {0, "std", "R,G,B", INFO | EVAL | JOBS, "likewise"},
    [OPT_RESIZE] = {0, "resize", "N", INFO | EVAL | QUANTIZE,
                    "pictures: shorter side first; 0: crop alone"},
    [OPT_CROP] = {0, "crop", "X", INFO | EVAL | QUANTIZE,
                  "or the crop's share of it, as timm's crop_pct"},
    [OPT_INTERPOLATION] = {0, "interpolation", "WORD", INFO | EVAL | QUANTIZE,
                           "of resizing: bilinear or bicubic"},
    [OPT_LABELS_FROM] = {0, "labels-from", "FILE", EVAL | QUANTIZE,
                         "which folder or file of --data is which class"},
    [OPT_THREADS] = {'t', "threads", "N", ALL, "1..256; results do not depend on it"},
    [OPT_RESUME] = {0, "resume", NULL, LONG, "go on where an interrupted run left off"},
    [OPT_RESUME_AT] = {0, "resume-at", "TOKEN", EVAL, "go on; an interrupted run prints the token"},
    [OPT_CHECKPOINT] = {0, "checkpoint", "SECONDS", LONG, "between checkpoints"},
    [OPT_FORCE] = {'f', "force", NULL, LONG, "replace what is there"},
    [OPT_JSON] = {'j', "json", NULL, ALL | VERSION, "results as one line of JSON"},
    [OPT_QUIET] = {'q', "quiet", NULL, ALL, "no plan and no progress on stderr"},
    [OPT_VERBOSE] = {'v', "verbose", NULL, INFO | QUANTIZE,
                     "a line for each layer: its size, float and as it is"},
    [OPT_HELP] = {'h', "help", NULL, ALL | VERSION, "this text"},
};

static const char *const mode_names[] = {"parity", "improved"};
static const char *const weight_grid_names[] = {"auto", "minmax", "minmax-asym", "lsq"};
static const char *const act_grid_names[] = {"auto", "lsq", "minmax"};
static const char *const rotate_names[] = {"auto", "off", "on"};
static const char *const act_scale_names[] = {"auto", "row", "tensor"};
/* by the sum of the parts */
static const char *const rounding_names[] = {
    "auto",      "search",           "ridge",           "search,ridge",
    "gptq",      "search,gptq",      "ridge,gptq",      "search,ridge,gptq",
    "bias",      "search,bias",      "ridge,bias",      "search,ridge,bias",
    "gptq,bias", "search,gptq,bias", "ridge,gptq,bias", "search,ridge,gptq,bias",
    "nearest"};
static const char *const kind_names[] = {"attention", "prior", "noise",  "pse",
                                         "bns",       "gdfq",  "qimera", "arc"};
static const char *const method_names[] = {"mimiq", "ait"};
static const char *const generator_names[] = {"gdfq", "qimera", "arc"};
static const char *const stem_names[] = {"stride1", "stride1+pool", "stride2", "stride2+pool"};
static const char *const interpolation_names[] = {"bilinear", "bicubic"};
static const char *const loss_names[] = {"ait", "kl-ce"};
static const char *const rule_names[] = {[DFQ_RULE_CONSTRAINT_GRADIENT] = "constraint-gradient",
                                         [DFQ_RULE_NONE] = "none",
                                         [DFQ_RULE_PENALTY] = "penalty",
                                         [DFQ_RULE_ABSOLUTE] = "absolute",
                                         [DFQ_RULE_FRANK_WOLFE] = "frank-wolfe",
                                         [DFQ_RULE_NETWORK_FIRST] = "network-first",
                                         [DFQ_RULE_EXACT] = "exact",
                                         [DFQ_RULE_PRODUCT] = "product",
                                         [DFQ_RULE_ALTERNATE] = "alternate"};

static const char *const cost_names[] = {"mean", "reference", "edap"};
static const char *const evaluator_names[] = {"tables", "networks"};

const char *option_mode_name(int32_t mode)
{
    return mode_names[mode == DFQ_MODE_IMPROVED];
}

const char *option_weight_grid_name(int32_t weights)
{
    return weight_grid_names[weights];
}

const char *option_rounding_name(int32_t parts)
{
    return rounding_names[parts];
}

const char *option_act_grid_name(int32_t acts)
{
    return act_grid_names[acts];
}

const char *option_rotate_name(int32_t rotate)
{
    return rotate_names[rotate];
}

const char *option_act_scale_name(int32_t act_scale)
{
    return act_scale_names[act_scale];
}

const char *option_kind_name(int32_t kind)
{
    return kind < 0 ? "auto" : kind_names[kind & 7];
}

const char *option_method_name(int32_t method)
{
    return method_names[method == METHOD_AIT];
}

const char *option_generator_name(int32_t generator)
{
    return generator_names[generator];
}

const char *option_stem_name(int32_t stem)
{
    return stem_names[stem];
}

const char *option_interpolation_name(int32_t interpolation)
{
    return interpolation_names[interpolation];
}

const char *option_loss_name(int32_t loss)
{
    return loss_names[loss];
}

const char *option_rule_name(int32_t rule)
{
    return rule_names[rule];
}

const char *option_cost_name(int32_t function)
{
    return cost_names[function];
}

const char *option_evaluator_name(int32_t evaluator)
{
    return evaluator_names[evaluator];
}
