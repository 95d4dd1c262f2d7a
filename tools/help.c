/* Prints the help texts, which are generated from the option table. */
#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "options.h"

static const char *const purpose[VERB_COUNT] = {
    [VERB_INFO] = "print what a model file holds",
    [VERB_EVAL] = "measure the accuracy of a float or quantized model",
    [VERB_RUN] = "tell the classes of pictures",
    [VERB_SYNTH] = "make synthetic images from a model, without data",
    [VERB_QUANTIZE] = "quantize a model without data",
    [VERB_EXPORT] = "write a model as ONNX, for other engines",
    [VERB_BENCH] = "measure speed: forward pass, synthesis, tuning",
    [VERB_COST] = "compute latency, energy and area on an accelerator",
    [VERB_EXPLORE] = "choose a network, or the bits of one, and its accelerator together",
    [VERB_VERSION] = "print the version, the kernels and the number of threads"};

static const char *const usage[VERB_COUNT] = {
    [VERB_INFO] = "MODEL.safetensors",
    [VERB_EVAL] = "MODEL.safetensors --data PATH",
    [VERB_RUN] = "MODEL.safetensors --image FILE...",
    [VERB_SYNTH] = "MODEL.safetensors -o DIR",
    [VERB_QUANTIZE] = "MODEL.safetensors --bits wXaY -o OUT.safetensors",
    [VERB_EXPORT] = "MODEL.safetensors -o OUT.onnx",
    [VERB_BENCH] = "MODEL.safetensors",
    [VERB_COST] = "MODEL.safetensors --accel FILE",
    [VERB_EXPLORE] = "SPACE|MODEL -a FILE --fps X [-d PATH] -o OUT",
    [VERB_VERSION] = ""};

static const char *const example[VERB_COUNT] = {
    [VERB_INFO] = "dfq info vit.safetensors",
    [VERB_EVAL] = "dfq eval vit-w4a4.safetensors --data val --json",
    [VERB_RUN] = "dfq run vit-w4a4.safetensors --image cat.jpg dog.jpg --labels names.txt",
    [VERB_SYNTH] = "dfq synth vit.safetensors -n 64 -o images",
    [VERB_QUANTIZE] = "dfq quantize vit.safetensors -b w4a4 -o vit4.safetensors -r vit.html",
    [VERB_EXPORT] = "dfq export vit-w4a4.safetensors -o vit-w4a4.onnx",
    [VERB_BENCH] = "dfq bench vit.safetensors --batch 16 --threads 2",
    [VERB_COST] = "dfq cost vit-w4a4.safetensors --accel eyeriss-16x16",
    [VERB_EXPLORE] = "dfq explore cifar10-small -a hdx-space --fps 1800 -d c10.bin -o net.st",
    [VERB_VERSION] = "dfq version --json"};

enum { WIDTH = 80, OPTIONS = 29 /* where the text of an option begins */ };

/* Words of `text` from column `at` on, further lines from `indent` on. */
static void wrap(FILE *f, size_t at, size_t indent, const char *text)
{
    int first = 1; /* of its line */
    while (*text) {
        size_t n = strcspn(text, " ");
        if (!first && at + 1 + n > WIDTH) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
            first = 1;
        }
        fprintf(f, "%s%.*s", first ? "" : " ", (int)n, text);
        at += n + !first;
        first = 0;
        text += n + strspn(text + n, " ");
    }
    fputc('\n', f);
}

static void exit_codes(FILE *f)
{
    fputs("Exit codes: 0 done, 1 failure (memory, divergence), 2 usage, 3 bad input file,\n4 no "
          "solution, 5 output cannot be written, 130 interrupted (can be resumed)\n",
          f);
}

void help_program(FILE *f)
{
    fprintf(f, "dfq %s: data-free quantization of vision networks\n\nUsage: dfq VERB [options]\n\n",
            dfq_version_text());
    for (int i = 0; i < VERB_JOINT; i++) fprintf(f, "  %-9s %s\n", verb_names[i], purpose[i]);
    fputc('\n', f);
    wrap(f, 0, 0,
         "'dfq VERB --help' lists the options of a verb. Results go to stdout, everything else to "
         "stderr. Ctrl-C stops a long job, leaves a checkpoint, and prints the command that goes "
         "on.");
    fputc('\n', f);
    exit_codes(f);
}

/* Defaults come from the library, so that help cannot be wrong about them. */
static void put_explore_default(FILE *f, enum option_id id)
{
    dfq_solver_options s;
    dfq_explorer_options e;
    dfq_explorer_options_init(&e, sizeof e);
    dfq_solver_options_init(&s, sizeof s);
    const struct {
        enum option_id id;
        int64_t value;
    } wholes[] = {{OPT_WARMUP_STEPS, e.warmup_steps},
                  {OPT_TRAIN_STEPS, e.train_steps},
                  {OPT_EVALUATOR_STEPS, e.evaluator_steps},
                  {OPT_STEPS, s.steps},
                  {OPT_BATCH, e.batch}};
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        if (wholes[i].id == id) fprintf(f, " (%lld)", (long long)wholes[i].value);
    if (id == OPT_COST_FUNCTION) fprintf(f, " (%s)", option_cost_name(DFQ_COST_MEAN));
    if (id == OPT_RULE)
        fprintf(f, " (%s; with --evaluator networks %s)", option_rule_name(DFQ_RULE_PROJECT),
                option_rule_name(DFQ_RULE_CONSTRAINT_GRADIENT));
    if (id == OPT_GRADIENT) fprintf(f, " (%s)", option_gradient_name(e.gradient));
    if (id == OPT_EVALUATOR) fprintf(f, " (%s)", option_evaluator_name(e.evaluator));
}

static void put_images_default(FILE *f, enum verb verb, enum option_id id)
{
    dfq_synthesizer_options g, gp, gg;
    dfq_generator_options l;
    dfq_synthesizer_options_init(&g, sizeof g, DFQ_SYNTHESIZER_ATTENTION, DFQ_MODE_IMPROVED, NULL);
    dfq_synthesizer_options_init(&gp, sizeof gp, DFQ_SYNTHESIZER_ATTENTION, DFQ_MODE_PARITY, NULL);
    dfq_synthesizer_options_init(&gg, sizeof gg, DFQ_SYNTHESIZER_GDFQ, DFQ_MODE_IMPROVED, NULL);
    dfq_generator_options_init(&l, sizeof l, DFQ_RECIPE_AIT, NULL);
    if (id == OPT_IMAGES && verb == VERB_EVAL) fputs(" (all)", f);
    if (id == OPT_IMAGES && verb != VERB_EVAL) fprintf(f, " (%lld)", (long long)g.images);
    if (id == OPT_ITERS) {
        fprintf(f, " (%lld, parity %lld", (long long)g.iterations, (long long)gp.iterations);
        if (verb == VERB_SYNTH) fprintf(f, "; of a generator %lld", (long long)gg.iterations);
        fputs(")", f);
    }
    if (id == OPT_BATCH) {
        fprintf(f, " (%lld", (long long)g.batch);
        fprintf(f, verb == VERB_SYNTH ? "; of a generator %lld)" : "; ait %lld)",
                (long long)l.batch);
    }
    if (id == OPT_GENERATOR) fprintf(f, " (%s)", option_generator_name(l.kind));
}

static void put_tuning_default(FILE *f, enum option_id id)
{
    dfq_tuner_options r, t, p, a, ap;
    dfq_tuner_options_init(&r, sizeof r, DFQ_RECIPE_MIMIQ_ROWS, NULL, 0);
    dfq_tuner_options_init(&t, sizeof t, DFQ_RECIPE_MIMIQ, NULL, 0);
    dfq_tuner_options_init(&p, sizeof p, DFQ_RECIPE_MIMIQ_PARITY, NULL, 0);
    dfq_tuner_options_init(&a, sizeof a, DFQ_RECIPE_AIT, NULL, 0);
    dfq_tuner_options_init(&ap, sizeof ap, DFQ_RECIPE_AIT_PARITY, NULL, 0);
    if (id == OPT_STEPS) fprintf(f, " (%lld; ait %lld)", (long long)t.steps, (long long)a.steps);
    if (id == OPT_LR)
        fprintf(f, " (%g, tensor scales %g, parity %g; ait %g, parity %g)", (double)r.learning_rate,
                (double)t.learning_rate, (double)p.learning_rate, (double)a.learning_rate,
                (double)ap.learning_rate);
    if (id == OPT_GAMMA) fprintf(f, " (%g)", (double)t.head_weight);
}

static void put_default(FILE *f, enum verb verb, enum option_id id)
{
    static const struct {
        enum option_id id;
        const char *text;
    } texts[] = {{OPT_MODE, " (improved)"},
                 {OPT_KIND, " (attention; CNNs bns)"},
                 {OPT_SEED, " (0)"},
                 {OPT_CONFIG, " (that of least energy x latency)"},
                 {OPT_THREADS, " (one per core)"},
                 {OPT_CHECKPOINT, " (120)"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].id == id) fputs(texts[i].text, f);
    if (id == OPT_LOSS) fprintf(f, " (%s)", option_loss_name(LOSS_AIT));
    if (verb == VERB_EXPLORE) {
        put_explore_default(f, id);
        return;
    }
    put_images_default(f, verb, id);
    put_tuning_default(f, id);
}

static void put_presets(FILE *f)
{
    const char *name;
    char all[512] = "Presets:";
    for (int32_t i = 0; (name = dfq_accelerator_preset_name(i)) != NULL; i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s %s", i ? "," : "", name);
    }
    wrap(f, 0, 9, all);
}

/* One option: what is typed, what it does, its default. */
static void put_option(FILE *f, enum verb verb, enum option_id id)
{
    const struct option_row *r = &option_table[id];
    char left[48], letter[8] = "    ", *text = NULL;
    size_t size = 0;
    if (r->letter) snprintf(letter, sizeof letter, "-%c, ", r->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, r->name, r->value ? " " : "",
             r->value ? r->value : "");
    fprintf(f, "  %-26s ", left);
    FILE *words = open_memstream(&text, &size);
    if (words) {
        fputs(r->help, words);
        put_default(words, verb, id);
    }
    if (words && fclose(words) == 0)
        wrap(f, OPTIONS, OPTIONS, text);
    else
        fprintf(f, "%s\n", r->help);
    free(text);
}

/* Of explore, for a space or for a model. */
static int has(enum verb verb, enum option_id id)
{
    uint32_t verbs = option_table[id].verbs;
    return (verbs >> verb & 1) || (verb == VERB_EXPLORE && (verbs >> VERB_JOINT & 1));
}

void help_verb(FILE *f, enum verb verb)
{
    fprintf(f, "dfq %s: %s\n\nUsage: dfq %s %s [options]\n\n", verb_names[verb], purpose[verb],
            verb_names[verb], usage[verb]);
    for (int i = 0; i < OPT_COUNT; i++)
        if (has(verb, (enum option_id)i)) put_option(f, verb, (enum option_id)i);
    fprintf(f, "\nExample: %s\n", example[verb]);
    if (verb == VERB_EXPLORE)
        wrap(f, 0, 8,
             "Spaces: cifar10-small, cifar10-full, cifar10-vit-small, imagenet-vit-tiny, or a JSON "
             "file");
    if (verb == VERB_COST || verb == VERB_EXPLORE) put_presets(f);
    if (option_table[OPT_RESUME].verbs >> verb & 1)
        fputs("Ctrl-C stops the job; the same command with --resume goes on, to the same bits.\n",
              f);
    exit_codes(f);
}
