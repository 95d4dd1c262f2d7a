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

/* What getopt_long reads: the verb's options alone. Whether explore has a space or a model is known
 * behind them. */
static void make_getopt(enum verb verb, char *letters, struct option *rows)
{
    *letters++ = ':'; /* tells a missing value from an unknown option */
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *r = &option_table[i];
        uint32_t verbs = r->verbs >> verb | (verb == VERB_EXPLORE ? r->verbs >> VERB_JOINT : 0);
        if (!(verbs & 1)) continue;
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
        return option_wrong(o, "the search space or model is missing; for example dfq explore "
                               "cifar10-small, or dfq explore vit.safetensors");
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
    if (explore) {
        int code = option_tell_explore(o);
        if (code >= 0) return code;
    }
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
    if (o->verb == VERB_EXPLORE) return option_check_explore(o);
    if (o->verb == VERB_COST && !o->accel) return no_accelerator(o);
    if (o->verb == VERB_COST && option_given(o, OPT_ACT_SCALE) && !option_given(o, OPT_BITS))
        return option_wrong(o, "--act-scale is for --bits; add that, or leave it out");
    if (o->labels_from && !o->data)
        return option_wrong(o, "--labels-from is for --data; add that, or leave it out");
    if (option_given(o, OPT_RESIZE) && option_given(o, OPT_CROP))
        return option_wrong(o, "--resize and --crop exclude each other; leave one out");
    if (o->synth && o->real)
        return option_wrong(o, "--synth and --real exclude each other; leave one out");
    int code = o->verb == VERB_BENCH ? option_check_bench(o) : option_check_quantize(o);
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
    o->weight_group = DFQ_WEIGHT_GROUP_AUTO;
    o->lr = o->gamma = o->crossing_target = o->penalty = o->cost_weight = o->crop = (double)NAN;
    o->fps = o->energy = o->area = o->size = o->power = o->mean_bits = (double)NAN;
    o->limit_latency = o->limit_energy = o->limit_area = o->limit_size = (double)NAN;
    o->limit_power = (double)NAN;
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
