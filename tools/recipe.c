/* Library options from command-line options, and the plan of a job: estimated time and memory. */
#include "model.h"
#include "recipe.h"

#include <math.h>

#include "diagnose.h"
#include "parts.h"
#include "text.h"

static int32_t recipe_id(const struct options *o)
{
    int parity = o->mode == DFQ_MODE_PARITY;
    if (o->method != METHOD_AIT && parity) return DFQ_RECIPE_MIMIQ_PARITY;
    if (o->method != METHOD_AIT)
        return o->act_scale == DFQ_ACT_SCALE_TENSOR ? DFQ_RECIPE_MIMIQ : DFQ_RECIPE_MIMIQ_ROWS;
    if (o->loss == LOSS_KL_CE) return parity ? DFQ_RECIPE_GDFQ_PARITY : DFQ_RECIPE_GDFQ;
    if (parity) return DFQ_RECIPE_AIT_PARITY;
    return recipe_with_generator(o) ? DFQ_RECIPE_AIT : DFQ_RECIPE_AIT_SET;
}

static dfq_tuner_options base_recipe(const struct options *o, const dfq_graph *net)
{
    dfq_tuner_options t;
    dfq_tuner_options_init(&t, sizeof t, recipe_id(o), net, o->steps > 0 ? o->steps : 0);
    return t;
}

/* A rounded CNN is not tuned on a set unless an option asks for it: no trial gained surely
 * (docs/METHODS.md, AIT). */
static int leaves_rounded(const struct options *o)
{
    return o->verb == VERB_QUANTIZE && recipe_id(o) == DFQ_RECIPE_AIT_SET &&
           !option_given(o, OPT_STEPS) && !option_given(o, OPT_LR) &&
           !option_given(o, OPT_CROSSING_TARGET);
}

struct options recipe_fill(const struct options *o, const dfq_graph *net,
                           const dfq_graph_info *info)
{
    struct options full = *o;
    dfq_synthesizer_options g;
    if (o->method < 0) full.method = model_has_heads(info) ? METHOD_MIMIQ : METHOD_AIT;
    dfq_tuner_options t = base_recipe(&full, net);
    dfq_synthesizer_options_init(&g, sizeof g, o->kind, o->mode, net);
    full.kind = g.kind;
    if (info->classes == 0) full.classes = 0; /* none */
    if (o->images < 0 && !o->synth) full.images = o->no_images ? DFQ_DRAWN_IMAGES : g.images;
    if (o->no_images) full.no_tune = 1;
    if (o->iters < 0) full.iters = g.iterations;
    if (o->batch < 0) /* one for the images and for tuning with AIT */
        full.batch = full.method == METHOD_AIT && o->verb != VERB_SYNTH ? t.batch : g.batch;
    if (o->steps < 0) full.steps = t.steps;
    if (isnan(o->lr)) full.lr = (double)t.learning_rate;
    if (isnan(o->gamma)) full.gamma = (double)t.head_weight;
    if (isnan(o->crossing_target)) full.crossing_target = (double)t.crossing_target;
    if (leaves_rounded(&full)) full.no_tune = 1;
    return full;
}

int recipe_with_generator(const struct options *full)
{
    int asked = option_given(full, OPT_GENERATOR) || option_given(full, OPT_LOSS);
    return full->method == METHOD_AIT && !full->synth && !full->real &&
           !option_given(full, OPT_KIND) && (full->mode == DFQ_MODE_PARITY || asked);
}

/* -- conflicting options ----------------------------------------------------------------------- */

enum { FOR_MIMIQ = 1, FOR_GENERATOR = 2, FOR_SET = 4 }; /* ait: beside a generator, or on a set */

static const struct {
    enum option_id id;
    int use;
} particular[] = {{OPT_GAMMA, FOR_MIMIQ},
                  {OPT_WEIGHT_GRID, FOR_MIMIQ},
                  {OPT_ACT_GRID, FOR_MIMIQ},
                  {OPT_ACT_SCALE, FOR_MIMIQ},
                  {OPT_ROUNDING, FOR_MIMIQ | FOR_SET},
                  {OPT_RECONSTRUCT, FOR_MIMIQ | FOR_SET},
                  {OPT_NO_IMAGES, FOR_MIMIQ},
                  {OPT_CROSSING_TARGET, FOR_GENERATOR | FOR_SET},
                  {OPT_ITERS, FOR_MIMIQ | FOR_SET},
                  {OPT_IMAGES, FOR_MIMIQ | FOR_SET},
                  {OPT_GENERATOR, FOR_GENERATOR},
                  {OPT_LOSS, FOR_GENERATOR}};

/* A part of the steps only finds ranges. */
static int check_steps(struct session *s, const struct options *full, const dfq_graph *net)
{
    struct options enough = *full;
    while (base_recipe(&enough, net).warmup_steps < 1) enough.steps++;
    if (enough.steps == full->steps) return CODE_DONE;
    return session_error(
        s, CODE_USAGE,
        "--steps is %lld, must be %lld or more, so that some are left to find ranges",
        (long long)full->steps, (long long)enough.steps);
}

int recipe_check(struct session *s, const struct options *full, const dfq_graph *net,
                 const dfq_graph_info *info)
{
    int ait = full->method == METHOD_AIT, vit = model_has_heads(info);
    int use = !ait ? FOR_MIMIQ : recipe_with_generator(full) ? FOR_GENERATOR : FOR_SET;
    if (info->family == DFQ_FAMILY_STAGES)
        return session_error(s, CODE_INPUT,
                             "%s is a vision transformer of a search space, which no method "
                             "quantizes; only info, eval and cost read it",
                             s->o->input);
    if (ait && vit)
        return session_error(s, CODE_USAGE,
                             "--method ait needs BatchNorm, which a vision transformer does not "
                             "have; take --method mimiq");
    if (!ait && !vit)
        return session_error(s, CODE_USAGE,
                             "--method mimiq needs attention heads, which a convolutional network "
                             "does not have; take --method ait");
    for (size_t i = 0; i < sizeof particular / sizeof *particular; i++) {
        const char *name = option_table[particular[i].id].name;
        if ((particular[i].use & use) || !option_given(full, particular[i].id)) continue;
        if (use == FOR_MIMIQ || particular[i].use == FOR_MIMIQ)
            return session_error(s, CODE_USAGE, "--%s is not for --method %s; leave it out", name,
                                 option_method_name(full->method));
        return session_error(
            s, CODE_USAGE,
            use == FOR_GENERATOR
                ? "--%s is for a set of images, and here a generator makes new ones in each step; "
                  "leave it out, or give --kind, --synth or --real"
                : "--%s is for a generator, and here the images are those of --kind, --synth or "
                  "--real; leave it out",
            name);
    }
    return use == FOR_GENERATOR ? check_steps(s, full, net) : CODE_DONE;
}

int recipe_check_images(struct session *s, const struct options *full, const dfq_graph *net)
{
    if (full->no_tune || full->images > 1 || base_recipe(full, net).eval_every == 0)
        return CODE_DONE;
    return session_error(s, CODE_USAGE,
                         "there is 1 image, must be 2 or more, since tuning holds one out; give "
                         "more%s, or --no-tune",
                         full->synth || full->real ? "" : " with --images");
}

/* -- the library's options --------------------------------------------------------------------- */

dfq_synthesizer_options recipe_synthesizer(const struct options *full)
{
    dfq_synthesizer_options g;
    dfq_synthesizer_options_init(&g, sizeof g, full->kind, full->mode, NULL);
    g.images = full->images;
    if (full->classes == 0) g.class_weight = 0;
    g.iterations = full->iters;
    g.batch = full->batch;
    g.seed = full->seed;
    return g;
}

dfq_quantize_options recipe_quantize(const struct options *full)
{
    dfq_quantize_options q;
    dfq_quantize_options_init(&q, sizeof q);
    q.mode = full->mode;
    q.weight_bits = full->weight_bits;
    q.act_bits = full->act_bits;
    q.first_last_bits = (int32_t)full->first_last_bits;
    q.weight_grid = full->weight_grid;
    q.act_grid = full->act_grid;
    q.rotate = full->rotate;
    q.act_scale = full->act_scale;
    q.act_group = (int32_t)full->act_group;
    q.weight_group = (int32_t)full->weight_group;
    if (full->no_images)
        q.drawn_images = (int32_t)full->images;
    else if (full->method == METHOD_MIMIQ) /* images round worse alone than together with these */
        q.drawn_images = DFQ_DRAWN_IMAGES;
    q.seed = full->seed;
    q.rounding = full->rounding;
    q.layers = full->layers;
    q.n_layers = full->n_layers;
    return q;
}

/* What differs from AIT's recipe: the steps of its warm-up alone, or a set of images, for which no
 * ranges have to be found. */
static void vary_ait(const struct options *full, dfq_tuner_options *t)
{
    if (full->no_tune) t->steps = t->warmup_steps;
    t->crossing_target = full->no_tune ? 0 : (float)full->crossing_target;
    if (!recipe_with_generator(full)) t->warmup_steps = t->range_steps = 0;
}

dfq_tuner_options recipe_tuner(const struct options *full, const dfq_graph *net)
{
    dfq_tuner_options t = base_recipe(full, net);
    t.batch = full->batch;
    t.seed = full->seed;
    t.learning_rate = (float)full->lr;
    if (full->method == METHOD_AIT) {
        vary_ait(full, &t);
    } else {
        t.head_weight = (float)full->gamma;
    }
    return t;
}

dfq_reconstructor_options recipe_reconstructor(const struct options *full, const dfq_graph *net)
{
    dfq_reconstructor_options r;
    dfq_reconstructor_options_init(&r, sizeof r, net);
    r.steps = full->reconstruct;
    r.seed = full->seed;
    return r;
}

dfq_generator_options recipe_generator_options(const struct options *full, const dfq_graph *net)
{
    dfq_generator_options l;
    dfq_generator_options_init(&l, sizeof l, recipe_id(full), net);
    l.kind = full->generator;
    l.batch = full->batch;
    l.seed = full->seed;
    return l;
}

/* -- plan -------------------------------------------------------------------------------------- */

double plan_total(const struct plan *p)
{
    return p->seconds[PLAN_FLOAT] + plan_after(p, PLAN_FLOAT);
}

double plan_after(const struct plan *p, int stage)
{
    double sum = 0;
    for (int i = stage + 1; i < PLAN_COUNT; i++) sum += p->seconds[i];
    return sum;
}

struct probe {
    dfq_graph *student;
    dfq_tuner *tuner;
    dfq_tensor *noise, *one;
};

static void probe_close(struct probe *p)
{
    dfq_tuner_release(p->tuner);
    dfq_graph_release(p->student);
    dfq_tensor_release(p->one);
    dfq_tensor_release(p->noise);
}

dfq_status recipe_noise(dfq_context *ctx, const dfq_graph_info *info, int64_t n, dfq_tensor **out)
{
    int64_t dims[4] = {n, 3, info->image_height, info->image_width};
    uint32_t state = 1;
    dfq_status status = dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, out);
    if (status != DFQ_OK) return status;
    float *x = dfq_tensor_get_data(*out);
    for (int64_t i = 0; i < dims[0] * dims[1] * dims[2] * dims[3]; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return DFQ_OK;
}

dfq_status recipe_time_forward(const dfq_graph *net, const dfq_tensor *images, double *out_seconds)
{
    double n = (double)dfq_tensor_get_dims(images)[0];
    for (int i = 0; i < 2; i++) { /* the first touches new memory */
        dfq_tensor *logits;
        double start = text_now();
        dfq_status status = dfq_graph_forward(net, images, &logits);
        if (status != DFQ_OK) return status;
        dfq_tensor_release(logits);
        *out_seconds = (text_now() - start) / n;
    }
    return DFQ_OK;
}

/* The student has parity's quantizers set by one image: quick to make, and as slow to tune. */
static dfq_status make_student(dfq_context *ctx, const dfq_graph *net, const dfq_graph_info *info,
                               const struct options *full, struct probe *p)
{
    dfq_quantize_options q = recipe_quantize(full);
    dfq_status status = recipe_noise(ctx, info, 1, &p->one);
    q.mode = DFQ_MODE_PARITY;
    q.act_scale = DFQ_ACT_SCALE_TENSOR;
    q.act_group = q.weight_group = 0;
    return status == DFQ_OK ? dfq_graph_quantize(net, p->one, &q, &p->student) : status;
}

static dfq_status time_step(const dfq_graph *net, const struct options *full, struct probe *p,
                            dfq_tuner_cost *cost)
{
    dfq_tuner_options t = recipe_tuner(full, net);
    int32_t finished;
    t.steps = 2;
    t.eval_every = 0;
    if (t.crossing_target == 0) t.learning_rate = 0;
    dfq_status status = dfq_tuner_create(net, p->student, p->noise, &t, &p->tuner);
    for (int i = 0; i < 2 && status == DFQ_OK && !session_interrupted(); i++)
        status = dfq_tuner_step(p->tuner, &finished);
    if (status == DFQ_OK) status = dfq_tuner_estimate(p->tuner, cost);
    return status;
}

static dfq_status calibration_cost(const dfq_graph *net, const struct options *full,
                                   dfq_job_cost *cost)
{
    dfq_quantize_options q = recipe_quantize(full);
    if (full->no_images) q.drawn_images = 0; /* they are all that there are */
    return dfq_graph_quantize_estimate(net, full->images, &q, cost);
}

/* Steps of reconstruction by their operations; `forward`: seconds of a forward pass. */
static dfq_status reconstruct_cost(const dfq_graph *net, const dfq_graph_info *info,
                                   const struct options *full, double forward,
                                   const struct probe *p, dfq_job_cost *cost)
{
    dfq_reconstructor_options o = recipe_reconstructor(full, net);
    dfq_reconstructor *r;
    if (o.augment == DFQ_AUGMENT_NONE) { /* a few images stand for all of them */
        if (o.views > full->images) o.views = full->images;
        o.augment = DFQ_AUGMENT_MILD;
    }
    dfq_status status = dfq_reconstructor_create(net, p->student, p->noise, &o, &r);
    if (status != DFQ_OK) return status;
    status = dfq_reconstructor_estimate(r, cost);
    cost->seconds_left = (double)cost->macs * forward / (double)info->macs;
    dfq_reconstructor_release(r);
    return status;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

int recipe_fail(struct session *s, const struct options *full, dfq_status status)
{
    if (status != DFQ_E_INVALID || full->n_layers == 0) return session_fail(s, status, PHASE_WORK);
    const char *of = !full->skip         ? "--layer-bits"
                     : !full->layer_bits ? "--skip"
                                         : "--layer-bits or --skip";
    return session_error(s, CODE_USAGE, "%s: %s", of, dfq_context_get_error(s->ctx));
}

int plan_measure(struct session *s, const dfq_graph *net, const dfq_graph_info *info,
                 const struct options *full, int64_t held, struct plan *plan)
{
    struct probe p = {NULL, NULL, NULL, NULL};
    dfq_tuner_cost cost = {.struct_size = sizeof cost, .seconds = 0};
    dfq_job_cost calibration = {.struct_size = sizeof calibration};
    dfq_job_cost units = {.struct_size = sizeof units};
    int64_t images = full->images, n = full->batch < images ? full->batch : images;
    double forward = 0, judged = (double)images / 8;
    dfq_status status = recipe_noise(s->ctx, info, n, &p.noise);
    if (status == DFQ_OK) status = recipe_time_forward(net, p.noise, &forward);
    s->mute = 1; /* warnings of quantization come again, that of threads has come above */
    if (status == DFQ_OK && !recipe_with_generator(full))
        status = calibration_cost(net, full, &calibration);
    if (status == DFQ_OK) status = parts_estimate(net, info, full, &plan->seconds[PLAN_PARTS]);
    if (status == DFQ_OK && (!full->no_tune || full->reconstruct > 0))
        status = make_student(s->ctx, net, info, full, &p);
    if (status == DFQ_OK && full->reconstruct > 0)
        status = reconstruct_cost(net, info, full, forward, &p, &units);
    if (status == DFQ_OK && !full->no_tune) status = time_step(net, full, &p, &cost);
    s->mute = 0;
    probe_close(&p);
    if (session_interrupted()) return CODE_INTERRUPTED;
    if (status != DFQ_OK) return recipe_fail(s, full, status);
    judged = larger(judged, (double)n);
    plan->seconds[PLAN_CALIBRATE] = calibration.seconds_left;
    plan->seconds[PLAN_RECONSTRUCT] = units.seconds_left;
    plan->seconds[PLAN_DIAGNOSE] = diagnose_seconds(full, forward);
    if (!full->no_tune) plan->seconds[PLAN_TUNE] = cost.seconds * (double)full->steps;
    if (!full->no_tune && full->method == METHOD_MIMIQ) /* evaluations */
        plan->seconds[PLAN_TUNE] += 1.5 * forward * judged * ((double)full->steps / 50 + 1);
    double pixels = 3 * (double)info->image_height * (double)info->image_width;
    double kept = 4 * (double)held * pixels, networks = 8 * (double)info->parameters;
    plan->bytes = larger(kept + (double)calibration.bytes, kept + networks + (double)cost.bytes);
    plan->bytes = larger(plan->bytes, kept + networks + (double)units.bytes);
    return CODE_DONE;
}
