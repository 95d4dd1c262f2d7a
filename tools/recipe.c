/* Options of the library, and what a job will take. */
#include "recipe.h"

#include <math.h>

#include "diagnose.h"
#include "text.h"

struct options recipe_fill(const struct options *o)
{
    struct options full = *o;
    dfq_generator_options g;
    dfq_tuner_options t;
    dfq_generator_options_init(&g, sizeof g);
    if (o->mode == DFQ_MODE_PARITY)
        dfq_tuner_options_init_parity(&t, sizeof t);
    else
        dfq_tuner_options_init(&t, sizeof t);
    if (o->images < 0 && !o->synth) full.images = g.images;
    if (o->iters < 0) full.iters = g.iterations;
    if (o->batch < 0) full.batch = g.batch;
    if (o->steps < 0) full.steps = t.steps;
    if (isnan(o->lr)) full.lr = (double)t.rate;
    if (isnan(o->gamma)) full.gamma = (double)t.head_weight;
    return full;
}

dfq_generator_options recipe_generator(const struct options *full)
{
    dfq_generator_options g;
    dfq_generator_options_init(&g, sizeof g);
    g.kind = full->kind;
    g.images = full->images;
    g.iterations = full->iters;
    g.batch = full->batch;
    g.seed = full->seed;
    if (full->mode == DFQ_MODE_PARITY) g.natural = 0; /* as published */
    return g;
}

dfq_quantize_options recipe_quantize(const struct options *full)
{
    dfq_quantize_options q;
    dfq_quantize_options_init(&q, sizeof q);
    q.mode = full->mode;
    q.weight_bits = full->weight_bits;
    q.act_bits = full->act_bits;
    return q;
}

dfq_tuner_options recipe_tuner(const struct options *full)
{
    dfq_tuner_options t;
    if (full->mode == DFQ_MODE_PARITY)
        dfq_tuner_options_init_parity(&t, sizeof t);
    else
        dfq_tuner_options_init(&t, sizeof t);
    t.steps = full->steps;
    t.batch = full->batch;
    t.seed = full->seed;
    t.rate = (float)full->lr;
    t.head_weight = (float)full->gamma;
    return t;
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

/* Calibration has no unit that could be timed, so these are factors measured on ViT-Tiny. An image
 * costs 60 forward passes: three sweeps, and one through half of either network for each layer
 * that is rounded. Rounding itself works column by column in double precision, 180 times slower
 * than the products of a forward pass. Parity mode runs 16 images once for each of 8 quantizers of
 * a block. */
static double calibration(const dfq_graph_info *i, int32_t mode, int64_t images, double forward)
{
    double w = (double)i->width, h = (double)i->hidden, depth = (double)i->depth;
    double rounding = depth * (7 * w * w * w + h * w * w + w * h * h + h * h * h);
    if (mode == DFQ_MODE_PARITY) return forward * 8 * depth * 16 * 1.3;
    return forward * (60 * (double)images + 180 * rounding / (double)i->macs);
}

struct probe {
    dfq_generator *generator;
    dfq_graph *student;
    dfq_tuner *tuner;
    dfq_tensor *noise, *one, *logits;
};

static void probe_close(struct probe *p)
{
    dfq_tuner_release(p->tuner);
    dfq_graph_release(p->student);
    dfq_tensor_release(p->logits);
    dfq_tensor_release(p->one);
    dfq_tensor_release(p->noise);
    dfq_generator_release(p->generator);
}

static dfq_status make_noise(const dfq_graph *net, int64_t n, dfq_generator **generator,
                             dfq_tensor **out)
{
    dfq_generator_options g;
    dfq_generator_options_init(&g, sizeof g);
    g.kind = DFQ_GENERATOR_NOISE;
    g.images = g.batch = n;
    dfq_status status = dfq_generator_create(net, &g, generator);
    if (status == DFQ_OK) status = dfq_generator_run(*generator);
    if (status == DFQ_OK) status = dfq_generator_get_images(*generator, out);
    return status;
}

static dfq_status time_forward(const dfq_graph *net, struct probe *p, int64_t n, double *seconds)
{
    dfq_status status = DFQ_OK;
    for (int i = 0; i < 2 && status == DFQ_OK; i++) { /* the first packs weights */
        double start = text_now();
        dfq_tensor_release(p->logits);
        p->logits = NULL;
        status = dfq_graph_forward(net, p->noise, &p->logits);
        *seconds = (text_now() - start) / (double)n;
    }
    return status;
}

/* The student has parity's quantizers set by one image: quick to make, and as slow to tune. */
static dfq_status time_step(const dfq_graph *net, const struct options *full, struct probe *p,
                            dfq_tuner_cost *cost)
{
    dfq_quantize_options q = recipe_quantize(full);
    dfq_tuner_options t = recipe_tuner(full);
    dfq_generator *generator = NULL;
    int32_t finished;
    dfq_status status = make_noise(net, 1, &generator, &p->one);
    dfq_generator_release(generator);
    q.mode = DFQ_MODE_PARITY;
    t.steps = 2;
    t.eval_every = 0;
    t.rate = 0;
    if (status == DFQ_OK) status = dfq_graph_quantize(net, p->one, &q, &p->student);
    if (status == DFQ_OK) status = dfq_tuner_create(net, p->student, p->noise, &t, &p->tuner);
    for (int i = 0; i < 2 && status == DFQ_OK && !session_interrupted(); i++)
        status = dfq_tuner_step(p->tuner, &finished);
    if (status == DFQ_OK) status = dfq_tuner_estimate(p->tuner, cost);
    return status;
}

int plan_measure(struct session *s, const dfq_graph *net, const dfq_graph_info *info,
                 const struct options *full, int64_t images, struct plan *plan)
{
    struct probe p = {NULL, NULL, NULL, NULL, NULL, NULL};
    dfq_tuner_cost cost = {.struct_size = sizeof cost, .seconds = 0};
    int64_t n = full->batch < images ? full->batch : images;
    double forward = 0, held = (double)images / 8;
    s->mute = 1;
    dfq_status status = make_noise(net, n, &p.generator, &p.noise);
    if (status == DFQ_OK) status = time_forward(net, &p, n, &forward);
    if (status == DFQ_OK && !full->no_tune) status = time_step(net, full, &p, &cost);
    s->mute = 0;
    probe_close(&p);
    if (session_interrupted()) return CODE_INTERRUPTED;
    if (status != DFQ_OK) return session_fail(s, status, PHASE_WORK);
    if (held < (double)n) held = (double)n;
    plan->seconds[PLAN_DIAGNOSE] = diagnose_seconds(full, forward);
    plan->seconds[PLAN_CALIBRATE] = calibration(info, full->mode, images, forward);
    if (!full->no_tune)
        plan->seconds[PLAN_TUNE] = cost.seconds * (double)full->steps +
                                   1.5 * forward * held * ((double)full->steps / 50 + 1);
    double pixels = 3 * (double)info->image * (double)info->image;
    double kept = 4 * ((double)images * pixels + 2 * (double)info->parameters);
    if (kept + (double)cost.bytes > plan->bytes) plan->bytes = kept + (double)cost.bytes;
    return CODE_DONE;
}
