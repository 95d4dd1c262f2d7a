/* Parses the command line by the option table. */
#include "options.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "layer_config.h"
#include "session.h"
#include "text.h"

/* -- the whole line ---------------------------------------------------------------------------- */

enum { LONG_FIRST = 256 };

/* What getopt_long reads: the verb's options alone. */
static void make_getopt(enum verb verb, char *letters, struct option *rows)
{
    *letters++ = ':'; /* tells a missing value from an unknown option */
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *r = &option_table[i];
        if (!(r->verbs >> verb & 1)) continue;
        struct option one = {r->name, r->value ? required_argument : no_argument, NULL,
                             LONG_FIRST + i};
        *rows++ = one;
        if (r->letter) *letters++ = r->letter;
        if (r->letter && r->value) *letters++ = ':';
    }
    *letters = '\0';
    memset(rows, 0, sizeof *rows);
}

static int find_option(int c)
{
    if (c >= LONG_FIRST) return c - LONG_FIRST;
    for (int i = 0; i < OPT_COUNT; i++)
        if (option_table[i].letter == c) return i;
    return OPT_COUNT;
}

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
static int check_bench(const struct options *o)
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

static const enum option_id bit_limits[] = {OPT_MEAN_BITS, OPT_LIMIT_SIZE, OPT_LIMIT_LATENCY,
                                            OPT_LIMIT_ENERGY, OPT_LIMIT_AREA};
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
    if (!cost && o->accel && o->verb == VERB_QUANTIZE)
        return option_wrong(o, "--accel is for --limit-latency-ms, --limit-energy-mj and "
                               "--limit-area-mm2; add one, or leave it out");
    return -1;
}

/* What must not be together on a line of "dfq quantize". */
static int check_quantize(const struct options *o)
{
    static const enum option_id tuning[] = {OPT_STEPS, OPT_LR, OPT_GAMMA, OPT_LOSS,
                                            OPT_CROSSING_TARGET};
    static const enum option_id imaging[] = {OPT_SYNTH, OPT_REAL,  OPT_KIND,
                                             OPT_ITERS, OPT_BATCH, OPT_DIAGNOSE};
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
    if (o->mode == DFQ_MODE_PARITY && option_given(o, OPT_ROUNDING))
        return option_wrong(o, "--rounding is for --mode improved; parity rounds to nearest");
    return check_bits(o);
}

/* What must be on a line of "dfq explore", and what must not be together. */
static int check_explore(const struct options *o)
{
    if (!o->accel)
        return option_wrong(
            o, "--accel is missing; give a JSON file or a preset, for example hdx-space");
    if (!(option_given(o, OPT_FPS) || option_given(o, OPT_ENERGY) || option_given(o, OPT_AREA)))
        return option_wrong(o,
                            "a limit is missing; give --fps, --energy-mj, --area-mm2, or several");
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

static int no_accelerator(const struct options *o)
{
    char all[128] = "";
    const char *name;
    for (int32_t i = 0; (name = dfq_accelerator_preset_name(i)) != NULL; i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", name);
    }
    return option_wrong(o, "--accel is missing; give a JSON file or a preset: %s", all);
}

/* `rest` and `n`: what is no option. */
static int check_line(struct options *o, char *const *rest, int n)
{
    const char *verb = verb_names[o->verb];
    if (o->verb == VERB_VERSION) {
        if (n > 0) return option_wrong(o, "the verb takes no file; leave %s out", rest[0]);
        return -1;
    }
    int explore = o->verb == VERB_EXPLORE;
    if (n < 1 && explore)
        return option_wrong(o,
                            "the search space is missing; for example dfq explore cifar10-small");
    if (n < 1)
        return option_wrong(o, "the model is missing; usage: dfq %s MODEL.safetensors [options]",
                            verb);
    for (int i = 1; i < n && o->verb == VERB_RUN; i++) options_add_picture(o, rest[i]);
    if (o->verb == VERB_RUN && n > 1) n = 1;
    if (n > 1)
        return option_wrong(o, "give one %s, not %s and %s", explore ? "search space" : "model",
                            rest[0], rest[1]);
    o->input = rest[0];
    if (!*o->input)
        return option_wrong(o, "the name of the %s is empty", explore ? "search space" : "model");
    if (o->verb == VERB_QUANTIZE && !option_given(o, OPT_BITS) && !o->bits_file &&
        !options_choose_bits(o))
        return option_wrong(o, "--bits is missing; for example --bits w4a4");
    if ((option_table[OPT_OUT].verbs >> o->verb & 1) && !o->out)
        return option_wrong(o, "-o OUT is missing; give the place of the result");
    if (o->out && !*o->out) return option_wrong(o, "-o is empty; give the place of the result");
    if (o->verb == VERB_RUN && o->n_pictures == 0)
        return option_wrong(o, "--image is missing; give a PNG, JPEG or WebP picture, or several");
    if (o->verb == VERB_EVAL && !o->data)
        return option_wrong(o, "--data is missing; give a folder with labels.csv, a folder of "
                               "class folders, or a CIFAR binary file");
    if (explore) return check_explore(o);
    if (o->verb == VERB_COST && !o->accel) return no_accelerator(o);
    if (o->verb == VERB_COST && option_given(o, OPT_ACT_SCALE) && !option_given(o, OPT_BITS))
        return option_wrong(o, "--act-scale is for --bits; add that, or leave it out");
    if (o->labels_from && !o->data)
        return option_wrong(o, "--labels-from is for --data; add that, or leave it out");
    if (option_given(o, OPT_RESIZE) && option_given(o, OPT_CROP))
        return option_wrong(o, "--resize and --crop exclude each other; leave one out");
    if (o->synth && o->real)
        return option_wrong(o, "--synth and --real exclude each other; leave one out");
    int code = o->verb == VERB_BENCH ? check_bench(o) : check_quantize(o);
    return code < 0 ? layer_config_read(o) : code;
}

static int find_verb(const char *text)
{
    int i = 0;
    while (i < VERB_COUNT && strcmp(text, verb_names[i]) != 0) i++;
    return i;
}

/* What stands before the options: the verb, or a wish that needs none. */
static int parse_verb(int argc, char **argv, struct options *o)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        fprintf(stderr, "dfq: the verb is missing; see dfq --help\n");
        return CODE_USAGE;
    }
    if (strcmp(word, "--version") == 0) {
        o->verb = VERB_VERSION;
        return -1;
    }
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0) {
        int verb = argc > 2 ? find_verb(argv[2]) : VERB_COUNT;
        if (verb < VERB_COUNT)
            help_verb(stdout, (enum verb)verb);
        else
            help_program(stdout);
        return CODE_DONE;
    }
    int verb = find_verb(word);
    if (verb == VERB_COUNT) {
        fputs("dfq: there is no verb ", stderr);
        text_put(stderr, word);
        fputs("; see dfq --help\n", stderr);
        return CODE_USAGE;
    }
    o->verb = (enum verb)verb;
    return -1;
}

static void set_defaults(struct options *o)
{
    dfq_quantize_options q;
    dfq_generator_options g;
    dfq_quantize_options_init(&q, sizeof q);
    dfq_generator_options_init(&g, sizeof g, DFQ_RECIPE_AIT, NULL);
    o->weight_bits = q.weight_bits;
    o->act_bits = q.act_bits;
    o->mode = q.mode;
    o->kind = DFQ_SYNTHESIZER_AUTO;
    o->generator = g.kind;
    o->images = o->iters = o->steps = o->batch = o->method = -1;
    o->warmup_steps = o->train_steps = o->evaluator_steps = o->config = -1;
    o->resize[0] = o->resize[1] = -1;
    o->stem = o->interpolation = o->activation = o->pooling = o->classes = -1;
    o->act_group = DFQ_ACT_GROUP_AUTO;
    o->lr = o->gamma = o->crossing_target = o->penalty = o->cost_weight = o->crop = (double)NAN;
    o->fps = o->energy = o->area = o->mean_bits = (double)NAN;
    o->limit_latency = o->limit_energy = o->limit_area = o->limit_size = (double)NAN;
    o->checkpoint = 120;
}

static int parse_options(int argc, char **argv, struct options *o)
{
    struct option rows[OPT_COUNT + 1];
    char letters[3 * OPT_COUNT];
    const char *verb = verb_names[o->verb];
    int c, code;
    make_getopt(o->verb, letters, rows);
    opterr = 0;
    optind = 2;
    while ((c = getopt_long(argc, argv, letters, rows, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (c == ':')
            return option_wrong(o, "the value of %s is missing; see dfq %s --help", word, verb);
        if (c == '?' && optopt && optopt < LONG_FIRST)
            return option_wrong(o, "option -%c is not known; see dfq %s --help", optopt, verb);
        if (c == '?')
            return option_wrong(o, "option %s is not known or not clear; see dfq %s --help", word,
                                verb);
        int id = find_option(c);
        if (id == OPT_HELP) {
            help_verb(stdout, o->verb);
            return CODE_DONE;
        }
        o->given[id] = 1;
        code = option_take(o, (enum option_id)id, optarg);
        if (code) return code;
    }
    if (!option_given(o, OPT_RULE) && o->evaluator == DFQ_EVALUATOR_TABLES)
        o->rule = DFQ_RULE_PROJECT; /* which needs tables */
    return check_line(o, argv + optind, argc - optind);
}

void options_add_picture(struct options *o, const char *text)
{
    o->pictures[o->n_pictures++] = text;
}

void options_free(struct options *o)
{
    layer_config_free(o);
    free((void *)o->pictures);
}

int options_parse(int argc, char **argv, struct options *o)
{
    memset(o, 0, sizeof *o);
    o->argc = argc;
    o->argv = argv;
    set_defaults(o);
    int code = parse_verb(argc, argv, o);
    if (code >= 0) return code;
    /* getopt_long sorts what it reads; messages and reports shall have the line as it was typed. */
    char **sorted = calloc((size_t)argc + 1, sizeof *sorted);
    o->pictures = calloc((size_t)argc + 1, sizeof *o->pictures);
    if (!sorted || !o->pictures) {
        free(sorted);
        return option_wrong(o, "out of memory");
    }
    memcpy(sorted, argv, (size_t)argc * sizeof *sorted);
    code = parse_options(argc, sorted, o);
    free(sorted);
    return code;
}
