/* The help texts, made of the option table. */
#include <string.h>

#include <dfq/dfq.h>

#include "options.h"
#include "recipe.h"

static const char *const purpose[VERB_COUNT] = {
    [VERB_INFO] = "tell what a model file holds",
    [VERB_EVAL] = "measure the accuracy of a float or quantized model",
    [VERB_SYNTH] = "make images from a model alone",
    [VERB_QUANTIZE] = "quantize a model without data",
    [VERB_BENCH] = "measure speed: forward pass, synthesis, tuning",
    [VERB_COST] = "tell latency and energy on an accelerator",
    [VERB_EXPLORE] = "choose a network and its accelerator together",
    [VERB_VERSION] = "tell version and kernels"};

static const char *const usage[VERB_COUNT] = {
    [VERB_INFO] = "MODEL.safetensors",
    [VERB_EVAL] = "MODEL.safetensors --data PATH",
    [VERB_SYNTH] = "MODEL.safetensors -o DIR",
    [VERB_QUANTIZE] = "MODEL.safetensors --bits wXaY -o OUT.safetensors",
    [VERB_BENCH] = "MODEL.safetensors",
    [VERB_COST] = "MODEL.safetensors --accel FILE",
    [VERB_EXPLORE] = "SPACE --accel FILE --fps X --data PATH -o OUT",
    [VERB_VERSION] = ""};

static const char *const example[VERB_COUNT] = {
    [VERB_INFO] = "dfq info vit.safetensors",
    [VERB_EVAL] = "dfq eval vit-w4a4.safetensors --data val --json",
    [VERB_SYNTH] = "dfq synth vit.safetensors -n 64 -o images",
    [VERB_QUANTIZE] =
        "dfq quantize vit.safetensors --bits w4a4 -o vit4.safetensors --report vit.html",
    [VERB_BENCH] = "dfq bench vit.safetensors --batch 16 --threads 2",
    [VERB_COST] = "dfq cost vit-w4a4.safetensors --accel eyeriss-16x16",
    [VERB_EXPLORE] =
        "dfq explore cifar10-small -a hdx-space --fps 1800 -d train.bin -o net.safetensors",
    [VERB_VERSION] = "dfq version --json"};

static void exit_codes(FILE *f)
{
    fputs("Exit codes: 0 done; 1 failure (memory, divergence); 2 usage; 3 bad input file; 4 no "
          "solution;\n            5 output cannot be written; 130 interrupted, can be resumed.\n",
          f);
}

void help_program(FILE *f)
{
    fprintf(f, "dfq %s: data-free quantization of vision networks\n\nUsage: dfq VERB [options]\n\n",
            dfq_version_text());
    for (int i = 0; i < VERB_COUNT; i++)
        fprintf(f, "  %-9s %-50s %s\n", verb_names[i], usage[i], purpose[i]);
    fputs("\ndfq VERB --help tells the options. Results go to stdout, everything else to stderr.\n"
          "Interrupting (Ctrl-C) a long job leaves a checkpoint and tells how to go on.\n\n",
          f);
    exit_codes(f);
}

/* Defaults come from the library, so that help cannot be wrong about them. */
static void put_default(FILE *f, enum verb verb, enum option_id id)
{
    dfq_generator_options g;
    dfq_tuner_options t, p, a, ap;
    dfq_live_options l;
    dfq_explorer_options e;
    dfq_explorer_options_init(&e, sizeof e);
    dfq_generator_options_init(&g, sizeof g);
    dfq_tuner_options_init(&t, sizeof t);
    dfq_tuner_options_init_parity(&p, sizeof p);
    dfq_tuner_options_init_ait(&a, sizeof a, 1, RECIPE_AIT_STEPS);
    dfq_tuner_options_init_ait_parity(&ap, sizeof ap, 1, RECIPE_AIT_STEPS);
    dfq_live_options_init(&l, sizeof l);
    switch (id) {
    case OPT_MODE:
        fputs(" (improved)", f);
        break;
    case OPT_KIND:
        fputs(" (attention; CNNs bns)", f);
        break;
    case OPT_IMAGES:
        if (verb == VERB_EVAL)
            fputs(" (all)", f);
        else
            fprintf(f, " (%lld)", (long long)g.images);
        break;
    case OPT_ITERS:
        fprintf(f, " (%lld, parity %d", (long long)g.iterations, RECIPE_MIMIQ_ITERS);
        if (verb == VERB_SYNTH) fprintf(f, "; of a generator %d", RECIPE_GENERATOR_ITERS);
        fputs(")", f);
        break;
    case OPT_WARM_STEPS:
        fprintf(f, " (%lld)", (long long)e.warm);
        break;
    case OPT_TRAIN_STEPS:
        fprintf(f, " (%lld)", (long long)e.train_steps);
        break;
    case OPT_COST_FUNCTION:
        fprintf(f, " (%s)", option_cost_name(DFQ_COST_MEAN));
        break;
    case OPT_EVALUATOR:
        fprintf(f, " (%s)", option_evaluator_name(e.evaluator));
        break;
    case OPT_EVALUATOR_STEPS:
        fprintf(f, " (%lld)", (long long)e.evaluator_steps);
        break;
    case OPT_STEPS:
        if (verb == VERB_EXPLORE) {
            fprintf(f, " (%d)", RECIPE_EXPLORE_STEPS);
            break;
        }
        fprintf(f, " (%lld; ait %lld)", (long long)t.steps, (long long)a.steps);
        break;
    case OPT_BATCH:
        if (verb == VERB_EXPLORE) {
            fprintf(f, " (%lld)", (long long)e.batch);
            break;
        }
        fprintf(f, " (%lld", (long long)g.batch);
        fprintf(f, verb == VERB_SYNTH ? "; of a generator %lld" : "; ait %lld", (long long)l.batch);
        fputs(")", f);
        break;
    case OPT_HOST:
        fprintf(f, " (%s)", option_host_name(l.kind));
        break;
    case OPT_LOSS:
        fprintf(f, " (%s)", option_loss_name(LOSS_AIT));
        break;
    case OPT_SEED:
        fputs(" (0)", f);
        break;
    case OPT_LR:
        fprintf(f, " (%g, parity %g; ait %g, parity %g)", (double)t.rate, (double)p.rate,
                (double)a.rate, (double)ap.rate);
        break;
    case OPT_GAMMA:
        fprintf(f, " (%g)", (double)t.head_weight);
        break;
    case OPT_CONFIG:
        fputs(" (the least energy x latency)", f);
        break;
    case OPT_THREADS:
        fputs(" (one per core)", f);
        break;
    case OPT_CHECKPOINT:
        fputs(" (120)", f);
        break;
    default:
        break;
    }
}

static void put_presets(FILE *f)
{
    const char *name;
    fputs("Presets:", f);
    for (int32_t i = 0; (name = dfq_accelerator_preset_name(i)) != NULL; i++)
        fprintf(f, "%s %s", i ? "," : "", name);
    fputc('\n', f);
}

void help_verb(FILE *f, enum verb verb)
{
    fprintf(f, "dfq %s: %s\n\nUsage: dfq %s %s [options]\n\n", verb_names[verb], purpose[verb],
            verb_names[verb], usage[verb]);
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *r = &option_table[i];
        char left[48], letter[8] = "    ";
        if (!(r->verbs >> verb & 1)) continue;
        if (r->letter) snprintf(letter, sizeof letter, "-%c, ", r->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, r->name, r->value ? " " : "",
                 r->value ? r->value : "");
        fprintf(f, "  %-26s %s", left, r->help);
        put_default(f, verb, (enum option_id)i);
        fputc('\n', f);
    }
    fprintf(f, "\nExample: %s\n", example[verb]);
    if (verb == VERB_EXPLORE)
        fputs("Spaces: cifar10-small, cifar10-full, cifar10-vit-small, imagenet-vit-tiny, or a "
              "description in a file\n",
              f);
    if (verb == VERB_COST || verb == VERB_EXPLORE) put_presets(f);
    if (option_table[OPT_RESUME].verbs >> verb & 1)
        fputs("Ctrl-C stops; the same command with --resume goes on, to the same bits.\n", f);
    exit_codes(f);
}
