/* The table of options, and the names of enumerated values. */
#include <dfq/dfq.h>

#include "options.h"

const char *const verb_names[VERB_COUNT] = {"info",     "eval",    "run",    "synth",
                                            "quantize", "export",  "bench",  "cost",
                                            "explore",  "version", "explore"};

enum {
    INFO = 1 << VERB_INFO,
    EVAL = 1 << VERB_EVAL,
    RUN = 1 << VERB_RUN,
    SYNTH = 1 << VERB_SYNTH,
    QUANTIZE = 1 << VERB_QUANTIZE,
    EXPORT = 1 << VERB_EXPORT,
    BENCH = 1 << VERB_BENCH,
    COST = 1 << VERB_COST,
    EXPLORE = 1 << VERB_EXPLORE,
    VERSION = 1 << VERB_VERSION,
    JOINT = 1 << VERB_JOINT,
    BITS = QUANTIZE | JOINT, /* that may choose bits of layers */
    JOBS = SYNTH | QUANTIZE,
    PICTURES = INFO | EVAL | RUN | EXPORT, /* that look at pictures or how they are read */
    SIZED = INFO | EVAL | JOBS | EXPORT | BENCH | COST, /* that may say the side of the input */
    MODELS = SIZED | RUN,
    LONG = JOBS | EXPLORE | JOINT, /* to be stopped and resumed */
    WRITERS = LONG | EXPORT,       /* with something to write */
    ALL = MODELS | EXPLORE | JOINT
};

const struct option_row option_table[OPT_COUNT] = {
    [OPT_OUT] = {'o', "output", "OUT", WRITERS,
                 "place of the result; --force replaces what is there"},
    [OPT_BITS] = {'b', "bits", "wXaY", QUANTIZE | BENCH | COST,
                  "bits of weights and activations, 2..8"},
    [OPT_FIRST_LAST_BITS] = {0, "first-last-bits", "N", QUANTIZE,
                             "bits of first and last weight (8; CNNs: as --bits)"},
    [OPT_LAYER_BITS] = {0, "layer-bits", "NAME=wXaY", QUANTIZE,
                        "bits of one layer, or of several: with commas"},
    [OPT_BITS_FILE] = {0, "bits-file", "FILE", QUANTIZE, "bits of all layers, from a JSON file"},
    [OPT_BITS_FILE_OUT] = {0, "bits-file-out", "FILE", BITS,
                           "write the bits of all layers to a JSON file"},
    [OPT_MEAN_BITS] = {0, "mean-bits", "X", BITS,
                       "choose bits of layers: no more than --bits wXaX"},
    [OPT_LIMIT_LATENCY] = {0, "limit-latency-ms", "X", BITS,
                           "choose bits of layers: at most X ms on --accel"},
    [OPT_LIMIT_ENERGY] = {0, "limit-energy-mj", "X", BITS,
                          "choose bits of layers: at most X mJ on --accel"},
    [OPT_LIMIT_POWER] = {0, "limit-power-mw", "X", BITS,
                         "choose bits of layers: at most X mW on --accel"},
    [OPT_LIMIT_AREA] = {0, "limit-area-mm2", "X", BITS,
                        "choose bits and one of --accel: at most X mm2"},
    [OPT_LIMIT_SIZE] = {0, "limit-size-mb", "X", BITS,
                        "choose bits of layers: at most X MB of weights"},
    [OPT_DAMAGES] = {0, "damages", "FILE", BITS, "damages of bits: read, or measured and kept"},
    [OPT_REFINE] = {0, "refine", "N", BITS, "try N moves of chosen bits, by measurement"},
    [OPT_SKIP] = {0, "skip", "NAME", QUANTIZE, "layer that stays float, or several: with commas"},
    [OPT_MODE] = {0, "mode", "WORD", JOBS | BENCH, "improved, or parity: as published"},
    [OPT_WEIGHT_GRID] = {0, "weight-grid", "WORD", QUANTIZE,
                         "parity: auto, minmax, minmax-asym or lsq"},
    [OPT_ACT_GRID] = {0, "act-grid", "WORD", QUANTIZE, "parity: auto, lsq or minmax"},
    [OPT_ROTATE] = {0, "rotate", "WORD", QUANTIZE, "rotate the residual stream: auto, off or on"},
    [OPT_ACT_SCALE] = {0, "act-scale", "WORD", BITS | COST,
                       "scales of activations: auto, row or tensor"},
    [OPT_ACT_GROUP] = {0, "act-group", "N", QUANTIZE,
                       "channels that share a scale of a row; 0: all (auto)"},
    [OPT_WEIGHT_GROUP] = {0, "weight-group", "N", QUANTIZE,
                          "columns of a weight that share a grid; 0: all (16)"},
    [OPT_ROUNDING] = {0, "rounding", "WORDS", QUANTIZE | BENCH,
                      "auto, nearest, or parts of search,ridge,gptq,bias"},
    [OPT_METHOD] = {0, "method", "WORD", QUANTIZE, "mimiq or ait (transformers mimiq, CNNs ait)"},
    [OPT_GENERATOR] = {0, "generator", "WORD", QUANTIZE, "ait: network gdfq, qimera or arc"},
    [OPT_LOSS] = {0, "loss", "WORD", QUANTIZE, "ait: loss of tuning, ait or kl-ce"},
    [OPT_CLASSES] = {0, "classes", "none", JOBS, "images of no classes: by attention alone"},
    [OPT_KIND] = {0, "kind", "WORD", JOBS | JOINT,
                  "attention, prior, noise, leaves, pse; CNNs: bns, gdfq, qimera, arc"},
    [OPT_IMAGES] = {'n', "images", "N", JOBS | JOINT | EVAL, "number of images"},
    [OPT_ITERS] = {0, "iters", "N", JOBS | JOINT, "iterations of each batch"},
    [OPT_RECONSTRUCT] = {0, "reconstruct", "N", QUANTIZE, "steps of reconstruction of each unit"},
    [OPT_STEPS] = {0, "steps", "N", QUANTIZE | EXPLORE, "steps of tuning or exploring"},
    [OPT_BATCH] = {0, "batch", "N", LONG | BENCH, "images computed together"},
    [OPT_SEED] = {'s', "seed", "N", LONG, "seed of all random numbers"},
    [OPT_LR] = {0, "lr", "X", QUANTIZE, "tuning: learning rate"},
    [OPT_GAMMA] = {0, "gamma", "X", QUANTIZE, "tuning: weight of the output-token loss"},
    [OPT_CROSSING_TARGET] = {0, "crossing-target", "X", QUANTIZE,
                             "ait: share of codes to change; 0: KL alone"},
    [OPT_NO_IMAGES] = {0, "no-images", NULL, QUANTIZE,
                       "transformers: rounds on drawn shapes, untuned"},
    [OPT_NO_TUNE] = {0, "no-tune", NULL, QUANTIZE, "calibrate only"},
    [OPT_SYNTH] = {0, "synth", "DIR", BITS, "use images that 'dfq synth' made"},
    [OPT_REAL] = {0, "real", "DIR", QUANTIZE, "use real images: for comparison, not data-free"},
    [OPT_DATA] = {'d', "data", "PATH", EVAL | BITS | EXPLORE,
                  "labelled images to evaluate, or to explore, on"},
    [OPT_PICTURE] = {0, "image", "FILE", RUN, "a picture; further ones may follow"},
    [OPT_LABELS] = {0, "labels", "FILE", INFO | RUN | EVAL | QUANTIZE,
                    "names of the classes, one a line or JSON"},
    [OPT_SIMULATE] = {0, "simulate", NULL, EVAL, "simulate codes by floats, as tuning does"},
    [OPT_RUNTIME] = {0, "runtime", NULL, BENCH, "measure the network as it runs, and its parts"},
    [OPT_REPORT] = {'r', "report", "FILE", BITS | EXPLORE, "write a report in one HTML file"},
    [OPT_DIAGNOSE] = {0, "diagnose", "N", QUANTIZE,
                      "measure gradients, curvature, codes on N images"},
    [OPT_ACCEL] = {'a', "accel", "FILE", COST | EXPLORE | BITS,
                   "accelerator: a JSON file or the name of a preset"},
    [OPT_MAPPING] = {0, "mapping", "TEXT", COST, "cost this mapping, \"LAYER: LOOPS\", as well"},
    [OPT_CONFIG] = {0, "config", "N", COST, "accelerator number N of a description of several"},
    [OPT_ALL] = {0, "all", NULL, COST, "print every layer, not only the most expensive ones"},
    [OPT_FPS] = {0, "fps", "X", EXPLORE | JOINT, "limit: at least X images a second"},
    [OPT_ENERGY] = {0, "energy-mj", "X", EXPLORE | JOINT, "limit: at most X mJ an image"},
    [OPT_AREA] = {0, "area-mm2", "X", EXPLORE | JOINT, "limit: at most X mm2 at 45 nm"},
    [OPT_SIZE] = {0, "size-mb", "X", EXPLORE | JOINT, "limit: at most X MB of weights"},
    [OPT_POWER] = {0, "power-mw", "X", EXPLORE | JOINT, "limit: at most X mW, energy over latency"},
    [OPT_TEST_DATA] = {0, "test-data", "PATH", EXPLORE,
                       "labelled images to evaluate the result on"},
    [OPT_WARMUP_STEPS] = {0, "warmup-steps", "N", EXPLORE, "steps of the supernet's warm-up"},
    [OPT_TRAIN_STEPS] = {0, "train-steps", "N", EXPLORE,
                         "steps of training the result; 0: it keeps the supernet's weights"},
    [OPT_RULE] = {0, "rule", "WORD", EXPLORE,
                  "how limits are met: constraint-gradient, none, penalty, absolute, frank-wolfe, "
                  "network-first, product, alternate, project"},
    [OPT_PENALTY] = {0, "penalty", "X", EXPLORE,
                     "weight of rules penalty and absolute, power of rule product"},
    [OPT_COST_WEIGHT] = {0, "cost-weight", "X", EXPLORE,
                         "weight of the costs in the loss, with any rule"},
    [OPT_COST_FUNCTION] = {0, "cost-function", "WORD", EXPLORE,
                           "what --cost-weight weighs: mean, reference or edap"},
    [OPT_GRADIENT] = {0, "gradient", "WORD", EXPLORE,
                      "what tells the search how choices change the loss: paths or gates"},
    [OPT_EVALUATOR] = {0, "evaluator", "WORD", EXPLORE,
                       "costs while exploring: exact tables, or networks that learn them"},
    [OPT_EVALUATOR_STEPS] = {0, "evaluator-steps", "N", EXPLORE,
                             "networks: steps of their training"},
    [OPT_SUPERNET] = {0, "supernet", "FILE", EXPLORE,
                      "begin with a supernet that --save-supernet wrote"},
    [OPT_SAVE_SUPERNET] = {0, "save-supernet", "FILE", EXPLORE,
                           "write the supernet after the warm-up"},
    [OPT_TRAJECTORY] = {0, "trajectory", "PREFIX", EXPLORE,
                        "write the course of the search, PREFIX.csv and PREFIX.svg"},
    [OPT_OPSET] = {0, "opset", "N", EXPORT, "operator set of the ONNX file, 17..25"},
    [OPT_INT4] = {0, "int4", NULL, EXPORT, "4-bit types for codes of up to 4 bits (opset 21)"},
    [OPT_INTEGER] = {0, "integer", NULL, EXPORT | EVAL | RUN | BENCH,
                     "the first layer in integers as well; export: a CNN from end to end"},
    [OPT_ARCH] = {0, "arch", "NAME", MODELS | JOINT, "architecture, if the file does not tell it"},
    [OPT_HEADS] = {0, "heads", "N", MODELS | JOINT,
                   "attention heads, if the file does not tell them"},
    [OPT_IMAGE] = {0, "image", "SIZE", SIZED, "side of the input or HxW, if the file lacks it"},
    [OPT_IMAGE_SIZE] = {0, "image-size", "SIZE", SIZED,
                        "a ViT's new side or HxW: positions are interpolated"},
    [OPT_STEM] = {0, "stem", "WORD", MODELS,
                  "ResNet: stride1, stride1+pool, stride2 or stride2+pool"},
    [OPT_ACTIVATION] = {0, "activation", "WORD", MODELS,
                        "ViT: gelu, quick_gelu, gelu_tanh, relu or silu"},
    [OPT_POOLING] = {0, "pooling", "WORD", MODELS, "ViT: token or avg, what the head reads"},
    [OPT_MEAN] = {0, "mean", "R,G,B", PICTURES | JOBS | JOINT,
                  "mean that normalises pixels of 0..1"},
    [OPT_STD] = {0, "std", "R,G,B", PICTURES | JOBS | JOINT,
                 "standard deviation that normalises them"},
    [OPT_RESIZE] = {0, "resize", "SIZE", PICTURES | BITS,
                    "shorter side of pictures before the crop; 0: as is"},
    [OPT_CROP] = {0, "crop", "X", PICTURES | QUANTIZE,
                  "share that the crop takes, as timm's crop_pct"},
    [OPT_INTERPOLATION] = {0, "interpolation", "WORD", PICTURES | QUANTIZE,
                           "for resizing: bilinear or bicubic"},
    [OPT_LABELS_FROM] = {0, "labels-from", "FILE", EVAL | QUANTIZE,
                         "classes of the folders or files of --data"},
    [OPT_THREADS] = {'t', "threads", "N", ALL, "1..256; results stay the same"},
    [OPT_RESUME] = {0, "resume", NULL, LONG, "go on where an interrupted run stopped"},
    [OPT_RESUME_AT] = {0, "resume-at", "TOKEN", EVAL,
                       "go on where an interrupted run stopped, which printed TOKEN"},
    [OPT_CHECKPOINT] = {0, "checkpoint", "SECONDS", LONG, "seconds between checkpoints"},
    [OPT_FORCE] = {'f', "force", NULL, WRITERS, "replace what is there"},
    [OPT_JSON] = {'j', "json", NULL, ALL | VERSION, "print the results as one line of JSON"},
    [OPT_QUIET] = {'q', "quiet", NULL, ALL, "print no plan and no progress to stderr"},
    [OPT_VERBOSE] = {'v', "verbose", NULL, INFO | BITS,
                     "print a line for each layer: its bits and sizes"},
    [OPT_HELP] = {'h', "help", NULL, ALL | VERSION, "print this text"},
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
static const char *const kind_names[] = {"attention", "prior",  "noise", "pse",   "bns",
                                         "gdfq",      "qimera", "arc",   "leaves"};
static const char *const method_names[] = {"mimiq", "ait"};
static const char *const generator_names[] = {"gdfq", "qimera", "arc"};
static const char *const stem_names[] = {"stride1", "stride1+pool", "stride2", "stride2+pool"};
static const char *const activation_names[] = {"gelu", "quick_gelu", "gelu_tanh", "relu", "silu"};
static const char *const pooling_names[] = {"token", "avg"};
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
                                         [DFQ_RULE_ALTERNATE] = "alternate",
                                         [DFQ_RULE_PROJECT] = "project"};

static const char *const cost_names[] = {"mean", "reference", "edap"};
static const char *const evaluator_names[] = {"tables", "networks"};
static const char *const gradient_names[] = {"paths", "gates"};

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
    return kind < 0 ? "auto" : kind_names[kind];
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

const char *option_classes_name(int32_t classes)
{
    return classes == 0 ? "none" : "";
}

const char *option_activation_name(int32_t activation)
{
    return activation_names[activation];
}

const char *option_pooling_name(int32_t pooling)
{
    return pooling_names[pooling];
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

const char *option_gradient_name(int32_t gradient)
{
    return gradient_names[gradient];
}

const char *option_evaluator_name(int32_t evaluator)
{
    return evaluator_names[evaluator];
}
