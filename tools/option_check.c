/* What options need beside them, and what they exclude, verb by verb. */
#include <dfq/dfq.h>

#include "files.h"
#include "options.h"
#include "session.h"

/* What --evaluator does not go with. */
static int check_evaluator(const struct options *o)
{
    if (o->evaluator != DFQ_EVALUATOR_NETWORKS && option_given(o, OPT_EVALUATOR_STEPS))
        return option_wrong(
            o, "--evaluator-steps is for --evaluator networks; add that, or leave it out");
    if (o->evaluator == DFQ_EVALUATOR_NETWORKS &&
        (o->rule == DFQ_RULE_FRANK_WOLFE || o->rule == DFQ_RULE_NETWORK_FIRST ||
         o->rule == DFQ_RULE_PRODUCT || o->rule == DFQ_RULE_ALTERNATE ||
         o->rule == DFQ_RULE_PROJECT))
        return option_wrong(o,
                            "--evaluator networks and --rule %s exclude each other; leave one out",
                            option_rule_name(o->rule));
    return -1;
}

/* What `dfq bench` measures with a step of tuning alone. */
int option_check_bench(const struct options *o)
{
    static const enum option_id tuning[] = {OPT_BITS, OPT_MODE, OPT_ROUNDING};
    for (size_t i = 0; i < sizeof tuning / sizeof *tuning; i++)
        if (o->runtime && option_given(o, tuning[i]))
            return option_wrong(o,
                                "--%s is for the step of tuning, and --runtime measures the "
                                "network as it is; leave one out",
                                option_table[tuning[i]].name);
    return -1;
}

enum { DRAWN_MOST = 65536 }; /* dfq_quantize_options.drawn_images */

static const enum option_id bit_limits[] = {OPT_MEAN_BITS,    OPT_LIMIT_SIZE, OPT_LIMIT_LATENCY,
                                            OPT_LIMIT_ENERGY, OPT_LIMIT_AREA, OPT_LIMIT_POWER};
enum { BIT_LIMITS = sizeof bit_limits / sizeof *bit_limits, FREE_LIMITS = 2 };

int options_choose_bits(const struct options *o)
{
    for (size_t i = 0; i < BIT_LIMITS; i++)
        if (option_given(o, bit_limits[i])) return 1;
    return 0;
}

/* What a choice of bits does not go with, and what it needs. */
static int check_bits(const struct options *o)
{
    static const enum option_id bits[] = {OPT_BITS, OPT_FIRST_LAST_BITS, OPT_LAYER_BITS, OPT_SKIP,
                                          OPT_BITS_FILE};
    const char *limit = NULL, *cost = NULL;
    for (size_t i = 0; i < BIT_LIMITS; i++) {
        if (!option_given(o, bit_limits[i])) continue;
        limit = option_table[bit_limits[i]].name;
        if (i >= FREE_LIMITS) cost = limit;
    }
    for (size_t i = 0; limit && i < sizeof bits / sizeof *bits; i++)
        if (option_given(o, bits[i]))
            return option_wrong(o,
                                "--%s and --%s exclude each other: the bits of all layers are "
                                "chosen; leave one out",
                                option_table[bits[i]].name, limit);
    if (limit && o->mode == DFQ_MODE_PARITY)
        return option_wrong(o, "--%s is for --mode improved; parity is as published", limit);
    if (cost && !o->accel)
        return option_wrong(o, "--accel is missing for --%s; give a JSON file or a preset", cost);
    if (o->refine > 0 && !limit)
        return option_wrong(o, "--refine is for a choice of bits: add --mean-bits or a limit, or "
                               "leave it out");
    if (o->damages && !limit)
        return option_wrong(o, "--damages is for a choice of bits: add --mean-bits or a limit, or "
                               "leave it out");
    if (!cost && o->accel && o->verb == VERB_QUANTIZE)
        return option_wrong(o, "--accel is for --limit-latency-ms, --limit-energy-mj, "
                               "--limit-power-mw and --limit-area-mm2; add one, or leave it out");
    return -1;
}

/* What must not be together on a line of "dfq quantize". */
int option_check_quantize(const struct options *o)
{
    static const enum option_id tuning[] = {OPT_STEPS, OPT_LR, OPT_GAMMA, OPT_LOSS,
                                            OPT_CROSSING_TARGET};
    static const enum option_id imaging[] = {OPT_SYNTH, OPT_REAL,    OPT_KIND,    OPT_ITERS,
                                             OPT_BATCH, OPT_CLASSES, OPT_DIAGNOSE};
    static const enum option_id making[] = {OPT_KIND, OPT_ITERS};
    for (size_t i = 0; i < sizeof making / sizeof *making; i++)
        if ((o->synth || o->real) && option_given(o, making[i]))
            return option_wrong(o,
                                "--%s is for images to be made, and --%s takes some; leave one out",
                                option_table[making[i]].name, o->synth ? "synth" : "real");
    for (size_t i = 0; i < sizeof imaging / sizeof *imaging; i++)
        if (o->no_images && option_given(o, imaging[i]))
            return option_wrong(o, "--%s is for images, and --no-images makes none; leave one out",
                                option_table[imaging[i]].name);
    for (size_t i = 0; i < sizeof tuning / sizeof *tuning; i++)
        if (o->no_images && option_given(o, tuning[i]))
            return option_wrong(o,
                                "--%s is for tuning, which needs images; leave it or --no-images "
                                "out",
                                option_table[tuning[i]].name);
    if (o->no_images && o->reconstruct > 0)
        return option_wrong(o, "--reconstruct needs images; leave it or --no-images out");
    if (o->mode == DFQ_MODE_PARITY && o->reconstruct > 0)
        return option_wrong(o, "--reconstruct is for --mode improved; parity is as published");
    if (o->no_images && o->images > DRAWN_MOST)
        return option_wrong(o, "--images is %lld, must be at most %d with --no-images",
                            (long long)o->images, (int)DRAWN_MOST);
    if (o->no_images && (o->mode == DFQ_MODE_PARITY || o->act_scale == DFQ_ACT_SCALE_TENSOR))
        return option_wrong(o, "--no-images is for scales of rows: leave --mode parity and "
                               "--act-scale tensor out, their scales are found on images");
    for (size_t i = 0; i < sizeof tuning / sizeof *tuning; i++)
        if (o->no_tune && option_given(o, tuning[i]))
            return option_wrong(o, "--%s and --no-tune exclude each other; leave one out",
                                option_table[tuning[i]].name);
    if (o->loss == LOSS_KL_CE && option_given(o, OPT_CROSSING_TARGET))
        return option_wrong(o,
                            "--loss kl-ce and --crossing-target exclude each other; leave one out");
    if (o->mode != DFQ_MODE_PARITY && (o->weight_grid != 0 || o->act_grid != 0))
        return option_wrong(
            o, "--weight-grid and --act-grid are for --mode parity; add that, or leave them out");
    if (o->mode == DFQ_MODE_PARITY && o->act_scale == DFQ_ACT_SCALE_ROW)
        return option_wrong(
            o, "--act-scale row is for mode improved; parity has the published scales of tensors");
    if (o->act_group > 0 && (o->mode == DFQ_MODE_PARITY || o->act_scale == DFQ_ACT_SCALE_TENSOR))
        return option_wrong(o, "--act-group is for scales of rows: leave it out, or --mode parity "
                               "and --act-scale tensor");
    if (o->mode == DFQ_MODE_PARITY && o->weight_group > 0)
        return option_wrong(o, "--weight-group is for --mode improved: leave it out");
    if (o->mode == DFQ_MODE_PARITY && option_given(o, OPT_ROUNDING))
        return option_wrong(o, "--rounding is for --mode improved; parity rounds to nearest");
    return check_bits(o);
}

/* What must be on a line of "dfq explore", and what must not be together. */
int option_check_explore(const struct options *o)
{
    if (!o->accel)
        return option_wrong(
            o, "--accel is missing; give a JSON file or a preset, for example hdx-space");
    if (!(option_given(o, OPT_FPS) || option_given(o, OPT_ENERGY) || option_given(o, OPT_AREA) ||
          option_given(o, OPT_SIZE) || option_given(o, OPT_POWER)))
        return option_wrong(o, "a limit is missing; give --fps, --energy-mj, --area-mm2, "
                               "--size-mb, --power-mw, or several");
    if (!o->data)
        return option_wrong(o, "--data is missing, the images to train on; give a folder with "
                               "labels.csv, a folder of class folders, or a CIFAR binary file");
    if (o->supernet && (option_given(o, OPT_WARMUP_STEPS) || o->save_supernet))
        return option_wrong(o, "--supernet and --%s exclude each other; leave one out",
                            o->save_supernet ? "save-supernet" : "warmup-steps");
    if (o->save_supernet && o->warmup_steps == 0)
        return option_wrong(
            o, "--warmup-steps 0 and --save-supernet exclude each other; leave one out");
    if (option_given(o, OPT_PENALTY) && o->rule != DFQ_RULE_PENALTY &&
        o->rule != DFQ_RULE_ABSOLUTE && o->rule != DFQ_RULE_PRODUCT)
        return option_wrong(o, "--penalty is not for --rule %s; leave it out",
                            option_rule_name(o->rule));
    if (option_given(o, OPT_COST_FUNCTION) && !(o->cost_weight > 0) &&
        o->rule != DFQ_RULE_ALTERNATE)
        return option_wrong(
            o, "--cost-function is for --cost-weight above 0; add that, or leave it out");
    if (o->trajectory && !*o->trajectory)
        return option_wrong(o, "--trajectory is empty; give the beginning of the file names");
    return check_evaluator(o);
}

/* explore with a model: its limits under the names that spaces have are those of quantize. */
static int check_joint(struct options *o)
{
    const struct {
        enum option_id own, other;
        const double *from;
        double *to;
    } limits[] = {{OPT_FPS, OPT_LIMIT_LATENCY, &o->fps, &o->limit_latency},
                  {OPT_ENERGY, OPT_LIMIT_ENERGY, &o->energy, &o->limit_energy},
                  {OPT_AREA, OPT_LIMIT_AREA, &o->area, &o->limit_area},
                  {OPT_SIZE, OPT_LIMIT_SIZE, &o->size, &o->limit_size},
                  {OPT_POWER, OPT_LIMIT_POWER, &o->power, &o->limit_power}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (!option_given(o, limits[i].own)) continue;
        if (option_given(o, limits[i].other))
            return option_wrong(o, "--%s and --%s are the same limit; leave one out",
                                option_table[limits[i].own].name,
                                option_table[limits[i].other].name);
        *limits[i].to = i == 0 ? 1000 / *limits[i].from : *limits[i].from;
        o->given[limits[i].other] = 1;
    }
    if (!o->accel)
        return option_wrong(
            o, "--accel is missing; give a JSON file or a preset, for example hdx-space");
    if (!options_choose_bits(o))
        return option_wrong(o, "a limit is missing; give --fps, --energy-mj, --area-mm2, "
                               "--size-mb, --power-mw, --mean-bits, or several");
    o->no_tune = 1;
    return -1;
}

/* explore takes a search space or a model, and each has options of its own. */
int option_tell_explore(struct options *o)
{
    if (file_is_model(o->input)) o->verb = VERB_JOINT;
    for (int i = 0; i < OPT_COUNT; i++)
        if (option_given(o, (enum option_id)i) && !(option_table[i].verbs >> o->verb & 1))
            return option_wrong(o, "--%s is for a %s, and %s is a %s; leave it out",
                                option_table[i].name,
                                o->verb == VERB_JOINT ? "search space" : "model", o->input,
                                o->verb == VERB_JOINT ? "model" : "search space");
    return o->verb == VERB_JOINT ? check_joint(o) : -1;
}
