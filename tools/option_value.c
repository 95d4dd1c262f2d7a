/* Parses and checks option values, and stores them in struct options. */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <dfq/dfq.h>

#include "session.h"
#include "text.h"

int option_wrong(const struct options *o, const char *format, ...)
{
    char before[TEXT_SHORT];
    va_list args;
    snprintf(before, sizeof before, "dfq %s: ", verb_names[o->verb]);
    va_start(args, format);
    text_line(before, format, args);
    va_end(args);
    return CODE_USAGE;
}

static int take_word(const struct options *o, const char *name, const char *text,
                     const char *(*word)(int32_t), int n, int32_t *out)
{
    char all[128] = "";
    for (int i = 0; i < n; i++) {
        if (strcmp(text, word(i)) == 0) {
            *out = i;
            return 0;
        }
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", !i ? "" : i + 1 < n ? ", " : " or ", word(i));
    }
    return option_wrong(o, "--%s is \"%s\", must be %s", name, text, all);
}

static int take_whole(const struct options *o, const char *name, const char *text, int64_t least,
                      int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < least || v > most)
        return option_wrong(o, "--%s is %s, must be a whole number from %lld to %lld", name,
                            *text ? text : "empty", (long long)least, (long long)most);
    *out = v;
    return 0;
}

/* "224", or height and width: "224x160". */
static int take_size(const struct options *o, const char *name, const char *text, int64_t least,
                     int64_t most, int64_t out[2])
{
    char *end;
    long long v[2];
    errno = 0;
    v[0] = v[1] = strtoll(text, &end, 10);
    int good = end != text;
    if (good && *end == 'x') {
        const char *width = end + 1;
        v[1] = strtoll(width, &end, 10);
        good = end != width;
    }
    for (int i = 0; i < 2; i++) good = good && v[i] >= least && v[i] <= most;
    if (!good || *end || errno)
        return option_wrong(o,
                            "--%s is %s, must be a whole number from %lld to %lld, or two as "
                            "height x width: 224x160",
                            name, *text ? text : "empty", (long long)least, (long long)most);
    out[0] = v[0];
    out[1] = v[1];
    return 0;
}

static int take_seed(const struct options *o, const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno)
        return option_wrong(o,
                            "--seed is %s, must be a whole number from 0 to 18446744073709551615",
                            *text ? text : "empty");
    *out = v;
    return 0;
}

static int take_number(const struct options *o, const char *name, const char *text, double least,
                       double most, double *out)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= least && v <= most))
        return option_wrong(o, "--%s is %s, must be a number from %g to %g", name,
                            *text ? text : "empty", least, most);
    *out = v;
    return 0;
}

/* "w4a8". A width of many digits is out of range too, whatever it would overflow to. */
static int take_bits(struct options *o, const char *text)
{
    char *end;
    long v[2];
    const char *p = text;
    for (int i = 0; i < 2; i++) {
        if (*p != "wa"[i] || p[1] < '0' || p[1] > '9')
            return option_wrong(o,
                                "--bits is %s, must be like w4a4: bits of weights and activations",
                                *text ? text : "empty");
        v[i] = strtol(p + 1, &end, 10);
        p = end;
    }
    if (*p) return option_wrong(o, "--bits is %s, must be like w4a4, with nothing after it", text);
    for (int i = 0; i < 2; i++)
        if (v[i] < 2 || v[i] > 8)
            return option_wrong(
                o, "--bits is %s: %s have %ld bit%s, must have 2 to 8; for example w4a4", text,
                i ? "activations" : "weights", v[i], v[i] == 1 ? "" : "s");
    o->weight_bits = (int32_t)v[0];
    o->act_bits = (int32_t)v[1];
    return 0;
}

/* "0.5,0.5,0.5"; those of pixels of 0..255 are too large */
static int take_three(const struct options *o, const char *name, const char *text, double least,
                      float *out)
{
    const char *p = text;
    enum { MOST = 10 };
    double v[3];
    int n = 0;
    for (; n < 3; n++) {
        char *end;
        v[n] = strtod(p, &end);
        if (end == p || !(v[n] >= least && v[n] <= MOST) || *end != (n < 2 ? ',' : '\0')) break;
        p = end + 1;
    }
    if (n < 3)
        return option_wrong(o,
                            "--%s is %s, must be three numbers from %g to %d for pixels of 0..1, "
                            "separated by commas",
                            name, *text ? text : "empty", least, MOST);
    for (n = 0; n < 3; n++) out[n] = (float)v[n];
    return 0;
}

/* All rules but the exact one, which needs losses that are known beforehand. */
static const char *rule_word(int32_t i)
{
    return option_rule_name(i < DFQ_RULE_EXACT ? i : i + 1);
}

static int take_rule(struct options *o, const char *text)
{
    if (strcmp(text, option_rule_name(DFQ_RULE_EXACT)) == 0)
        return option_wrong(o, "--rule exact is for losses that are known beforehand, and here "
                               "they are learned; take constraint-gradient");
    int code =
        take_word(o, option_table[OPT_RULE].name, text, rule_word, DFQ_RULE_PROJECT, &o->rule);
    if (o->rule >= DFQ_RULE_EXACT) o->rule++;
    return code;
}

/* Options that only hold a text, and switches: where in `struct options` they go. */
static const struct field {
    enum option_id id;
    size_t at;
} texts[] = {{OPT_OUT, offsetof(struct options, out)},
             {OPT_SYNTH, offsetof(struct options, synth)},
             {OPT_REAL, offsetof(struct options, real)},
             {OPT_DATA, offsetof(struct options, data)},
             {OPT_LABELS, offsetof(struct options, labels)},
             {OPT_REPORT, offsetof(struct options, report)},
             {OPT_ACCEL, offsetof(struct options, accel)},
             {OPT_MAPPING, offsetof(struct options, mapping)},
             {OPT_ARCH, offsetof(struct options, arch)},
             {OPT_LAYER_BITS, offsetof(struct options, layer_bits)},
             {OPT_BITS_FILE, offsetof(struct options, bits_file)},
             {OPT_BITS_FILE_OUT, offsetof(struct options, bits_file_out)},
             {OPT_DAMAGES, offsetof(struct options, damages)},
             {OPT_SKIP, offsetof(struct options, skip)},
             {OPT_TEST_DATA, offsetof(struct options, test_data)},
             {OPT_SUPERNET, offsetof(struct options, supernet)},
             {OPT_SAVE_SUPERNET, offsetof(struct options, save_supernet)},
             {OPT_TRAJECTORY, offsetof(struct options, trajectory)},
             {OPT_LABELS_FROM, offsetof(struct options, labels_from)},
             {OPT_RESUME_AT, offsetof(struct options, resume_at)}},
  switches[] = {{OPT_INT4, offsetof(struct options, int4)},
                {OPT_INTEGER, offsetof(struct options, integer)},
                {OPT_NO_TUNE, offsetof(struct options, no_tune)},
                {OPT_NO_IMAGES, offsetof(struct options, no_images)},
                {OPT_RESUME, offsetof(struct options, resume)},
                {OPT_FORCE, offsetof(struct options, force)},
                {OPT_JSON, offsetof(struct options, json)},
                {OPT_QUIET, offsetof(struct options, quiet)},
                {OPT_ALL, offsetof(struct options, all)},
                {OPT_SIMULATE, offsetof(struct options, simulate)},
                {OPT_RUNTIME, offsetof(struct options, runtime)},
                {OPT_VERBOSE, offsetof(struct options, verbose)}};

const char *option_text(const struct options *o, enum option_id id)
{
    const char *text = id == OPT_COUNT ? o->input : NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].id == id) memcpy(&text, (const char *)o + texts[i].at, sizeof text);
    return text;
}

/* "ridge,gptq", in any order, "nearest" or "auto". */
static int take_rounding(struct options *o, const char *text)
{
    static const char *const words[] = {"search", "ridge", "gptq", "bias"};
    int32_t parts = 0;
    if (strcmp(text, "nearest") == 0 || strcmp(text, "auto") == 0) {
        o->rounding = *text == 'n' ? DFQ_ROUNDING_NEAREST : DFQ_ROUNDING_AUTO;
        return 0;
    }
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        int32_t i = 0;
        while (i < 4 && (strlen(words[i]) != n || strncmp(words[i], at, n) != 0)) i++;
        if (i == 4)
            return option_wrong(o,
                                "--rounding is \"%s\", must be auto, nearest, or some of search, "
                                "ridge, gptq and bias, separated by commas",
                                text);
        parts |= 1 << i;
        at += n;
        if (!*at) break;
    }
    o->rounding = parts;
    return 0;
}

/* Words, whole numbers and numbers: where they go, and what they may be. */
static const struct word_field {
    enum option_id id;
    size_t at;
    const char *(*word)(int32_t);
    int n;
} words[] = {
    {OPT_MODE, offsetof(struct options, mode), option_mode_name, 2},
    {OPT_WEIGHT_GRID, offsetof(struct options, weight_grid), option_weight_grid_name, 4},
    {OPT_ACT_GRID, offsetof(struct options, act_grid), option_act_grid_name, 3},
    {OPT_ROTATE, offsetof(struct options, rotate), option_rotate_name, 3},
    {OPT_ACT_SCALE, offsetof(struct options, act_scale), option_act_scale_name, 3},
    {OPT_METHOD, offsetof(struct options, method), option_method_name, 2},
    {OPT_GENERATOR, offsetof(struct options, generator), option_generator_name, 3},
    {OPT_LOSS, offsetof(struct options, loss), option_loss_name, 2},
    {OPT_KIND, offsetof(struct options, kind), option_kind_name, 9},
    {OPT_COST_FUNCTION, offsetof(struct options, cost_function), option_cost_name, 3},
    {OPT_EVALUATOR, offsetof(struct options, evaluator), option_evaluator_name, 2},
    {OPT_GRADIENT, offsetof(struct options, gradient), option_gradient_name, 2},
    {OPT_STEM, offsetof(struct options, stem), option_stem_name, 4},
    {OPT_CLASSES, offsetof(struct options, classes), option_classes_name, 1},
    {OPT_ACTIVATION, offsetof(struct options, activation), option_activation_name, 5},
    {OPT_POOLING, offsetof(struct options, pooling), option_pooling_name, 2},
    {OPT_INTERPOLATION, offsetof(struct options, interpolation), option_interpolation_name, 2}};

enum { MILLION = 1000 * 1000 };

static const struct whole_field {
    enum option_id id;
    size_t at;
    int64_t least, most;
} wholes[] = {{OPT_FIRST_LAST_BITS, offsetof(struct options, first_last_bits), 2, 8},
              {OPT_WARMUP_STEPS, offsetof(struct options, warmup_steps), 0, 10 * MILLION},
              {OPT_TRAIN_STEPS, offsetof(struct options, train_steps), 0, 10 * MILLION},
              {OPT_CONFIG, offsetof(struct options, config), 0, INT32_MAX},
              {OPT_EVALUATOR_STEPS, offsetof(struct options, evaluator_steps), 1, 10 * MILLION},
              {OPT_ACT_GROUP, offsetof(struct options, act_group), 0, 4096},
              {OPT_WEIGHT_GROUP, offsetof(struct options, weight_group), 0, 4096},
              {OPT_IMAGES, offsetof(struct options, images), 1, 10 * MILLION},
              {OPT_ITERS, offsetof(struct options, iters), 1, MILLION},
              {OPT_RECONSTRUCT, offsetof(struct options, reconstruct), 0, 10 * MILLION},
              {OPT_REFINE, offsetof(struct options, refine), 0, 100 * 1000},
              {OPT_STEPS, offsetof(struct options, steps), 1, 10 * MILLION},
              {OPT_DIAGNOSE, offsetof(struct options, diagnose), 1, 100 * 1000},
              {OPT_OPSET, offsetof(struct options, opset), 17, 25},
              {OPT_HEADS, offsetof(struct options, heads), 1, 4096}};

static const struct whole_field sizes[] = {
    {OPT_IMAGE, offsetof(struct options, image), 1, 16384},
    {OPT_IMAGE_SIZE, offsetof(struct options, image_size), 1, 4096},
    {OPT_RESIZE, offsetof(struct options, resize), 0, 16384}};

static const struct number_field {
    enum option_id id;
    size_t at;
    double least, most;
} numbers[] = {{OPT_FPS, offsetof(struct options, fps), 1e-6, 1e9},
               {OPT_ENERGY, offsetof(struct options, energy), 1e-6, 1e9},
               {OPT_AREA, offsetof(struct options, area), 1e-6, 1e9},
               {OPT_SIZE, offsetof(struct options, size), 1e-9, 1e9},
               {OPT_POWER, offsetof(struct options, power), 1e-9, 1e9},
               {OPT_PENALTY, offsetof(struct options, penalty), 0, 1e9},
               {OPT_COST_WEIGHT, offsetof(struct options, cost_weight), 0, 1e9},
               {OPT_LR, offsetof(struct options, lr), 0, 1000},
               {OPT_GAMMA, offsetof(struct options, gamma), 0, 1e6},
               {OPT_CROSSING_TARGET, offsetof(struct options, crossing_target), 0, 0.5},
               {OPT_CHECKPOINT, offsetof(struct options, checkpoint), 0.01, 1e6},
               {OPT_MEAN_BITS, offsetof(struct options, mean_bits), 2, 8},
               {OPT_LIMIT_LATENCY, offsetof(struct options, limit_latency), 1e-9, 1e9},
               {OPT_LIMIT_ENERGY, offsetof(struct options, limit_energy), 1e-9, 1e9},
               {OPT_LIMIT_POWER, offsetof(struct options, limit_power), 1e-9, 1e9},
               {OPT_LIMIT_AREA, offsetof(struct options, limit_area), 1e-9, 1e9},
               {OPT_LIMIT_SIZE, offsetof(struct options, limit_size), 1e-9, 1e9},
               {OPT_CROP, offsetof(struct options, crop), 0.01, 1}};

/* Options of the tables above; others are left alone. */
static int take_listed(struct options *o, enum option_id id, const char *text)
{
    const char *name = option_table[id].name;
    char *base = (char *)o;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].id == id) memcpy(base + texts[i].at, &text, sizeof text);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (switches[i].id == id) memcpy(base + switches[i].at, &(int){1}, sizeof(int));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].id == id)
            return take_word(o, name, text, words[i].word, words[i].n,
                             (int32_t *)(void *)(base + words[i].at));
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        if (wholes[i].id == id)
            return take_whole(o, name, text, wholes[i].least, wholes[i].most,
                              (int64_t *)(void *)(base + wholes[i].at));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].id == id)
            return take_size(o, name, text, sizes[i].least, sizes[i].most,
                             (int64_t *)(void *)(base + sizes[i].at));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].id == id)
            return take_number(o, name, text, numbers[i].least, numbers[i].most,
                               (double *)(void *)(base + numbers[i].at));
    return 0;
}

int option_take(struct options *o, enum option_id id, const char *text)
{
    const char *name = option_table[id].name;
    int64_t threads = 0;
    switch (id) {
    case OPT_BITS:
        return take_bits(o, text);
    case OPT_PICTURE:
        options_add_picture(o, text);
        return 0;
    case OPT_ROUNDING:
        return take_rounding(o, text);
    case OPT_RULE:
        return take_rule(o, text);
    case OPT_BATCH:
        return take_whole(o, name, text, o->verb == VERB_EXPLORE ? 2 : 1, 4096, &o->batch);
    case OPT_SEED:
        return take_seed(o, text, &o->seed);
    case OPT_MEAN:
        return take_three(o, name, text, -10, o->mean);
    case OPT_STD:
        return take_three(o, name, text, 1e-6, o->std);
    case OPT_THREADS:
        if (take_whole(o, name, text, 1, 256, &threads)) return CODE_USAGE;
        o->threads = (int32_t)threads;
        return 0;
    default:
        return take_listed(o, id, text);
    }
}
