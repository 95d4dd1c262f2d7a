/* Graph and training steps of the generator network. */
#include "synth/generator_trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "graph/ops.h"
#include "nn/cnn.h"
#include "synth/generator_trainer_priv.h"
#include "synth/norms.h"

enum { INIT = 1, SMALL_SIDE = 64, BATCH_SMALL = 200, BATCH_LARGE = 16 };
enum { WIDEST = 1 << 25 }; /* ResNet-18 is below it */

/* -- options ----------------------------------------------------------------------------------- */

void dfqi_generator_trainer_defaults(dfqi_generator_options *o)
{
    *o = (dfqi_generator_options){.kind = DFQI_GENERATOR_QIMERA,
                                  .batch = 200,
                                  .bns_weight = 1.0f,
                                  .learning_rate = 1e-3f,
                                  .beta1 = 0.5f,
                                  .beta2 = 0.999f,
                                  .eps = 1e-8f};
}

static bool is_small(dfqi_size image)
{
    return dfqi_longer(image) <= SMALL_SIDE;
}

int64_t dfqi_generator_trainer_batch(dfqi_size image)
{
    return !is_small(image) ? BATCH_LARGE : BATCH_SMALL;
}

float dfqi_generator_trainer_learning_rate(const dfqi_generator_options *o, int64_t step,
                                           int64_t steps)
{
    float learning_rate = o->learning_rate;
    for (int64_t i = 1; i < 4; i++)
        if (step >= i * steps / 4) learning_rate *= 0.1f;
    return learning_rate;
}

void dfqi_generator_trainer_text(const dfqi_generator_options *o, char *text, size_t size)
{
    dfqi_print(text, size,
               "kind %d, batch %" PRId64 ", seed %" PRIu64
               ", statistics %.9g, learning rate %.9g, Adam %.9g %.9g %.9g",
               (int)o->kind, o->batch, o->seed, (double)o->bns_weight, (double)o->learning_rate,
               (double)o->beta1, (double)o->beta2, (double)o->eps);
}

/* -- the network's generator ------------------------------------------------------------------- */

/* The networks for which AutoReCon found cells; another network gets those of the nearest one. */
static dfqi_arc_cells cells_for(const dfqi_arch *a)
{
    if (is_small(a->image)) return a->classes <= 10 ? DFQI_ARC_CIFAR10 : DFQI_ARC_CIFAR100;
    static const dfqi_arc_cells cells[] = {[DFQI_UNITS_PLAIN] = DFQI_ARC_RESNET18,
                                           [DFQI_UNITS_BOTTLENECK] = DFQI_ARC_RESNET50,
                                           [DFQI_UNITS_INVERTED] = DFQI_ARC_MOBILENET};
    return cells[dfqi_arch_units(a)];
}

/* 2 for CIFAR-10, 25 for CIFAR-100, 250 for ImageNet, but 100 with ResNet-50: AIT's runs at 4
 * bits. */
static int64_t slots_for(const dfqi_arch *a)
{
    int64_t slots = a->classes / (dfqi_arch_units(a) == DFQI_UNITS_BOTTLENECK ? 10 : 4);
    return slots < 2 ? 2 : slots > 1000 ? 1000 : slots;
}

/* Qimera's noise is as wide as the network's features. Without a reducing layer, as in the
 * published runs, MobileNetV2 and ResNet-50 need 516 and 825 million parameters. Wide networks get
 * the reducing layer that the paper describes. */
static void set_latent(const dfqi_arch *a, dfqi_generator_arch *g)
{
    dfqi_cnn_head head;
    dfqi_cnn_head_of(a, &head);
    if (head.in > 0) g->latent = head.in; /* else the structure ends in another layer */
    g->slots = slots_for(a);
    if (head.in * dfqi_area(a->image) > WIDEST) g->reduced = DFQI_GENERATOR_LATENT;
}

static dfqi_generator_arch arch_of(const dfqi_arch *a, const dfqi_generator_options *o)
{
    dfqi_generator_arch g = {.kind = (dfqi_generator_kind)o->kind,
                             .image = a->image,
                             .classes = a->classes,
                             .latent = DFQI_GENERATOR_LATENT,
                             .conditional = !is_small(a->image)};
    if (o->kind == DFQI_GENERATOR_QIMERA) set_latent(a, &g);
    if (o->kind == DFQI_GENERATOR_ARC) {
        g.conditional = 1;
        g.cells = cells_for(a);
    }
    return g;
}

/* AIT's runs that begin with the classifier's rows as embeddings: CIFAR-100, ResNet-50. */
static void take_embedding(dfqi_generator_trainer *h)
{
    const dfqi_arch *a = &h->model->net.arch;
    char name[DFQI_NAME_MAX];
    dfqi_cnn_head head;
    if (h->o.kind != DFQI_GENERATOR_QIMERA) return;
    if (is_small(a->image) ? a->classes <= 10 : dfqi_arch_units(a) != DFQI_UNITS_BOTTLENECK) return;
    dfqi_cnn_head_of(a, &head);
    snprintf(name, sizeof name, "%s.weight", head.name);
    const dfq_tensor *from = dfqi_network_find(&h->model->net, name);
    dfq_tensor *to = dfqi_generator_find(&h->net, "embed.weight");
    if (!from || dfqi_tensor_count(from) != dfqi_tensor_count(to)) return;
    memcpy(to->data, from->data, (size_t)dfqi_tensor_count(to) * sizeof(float));
}

/* -- graph ------------------------------------------------------------------------------------- */

static void build_losses(dfqi_generator_trainer *h, const dfqi_taps *taps, int32_t norms)
{
    dfqi_graph *g = h->g;
    dfqi_id term[2] = {h->o.kind == DFQI_GENERATOR_QIMERA
                           ? dfqi_soft_cross_entropy(g, taps->logits, h->truth)
                           : dfqi_cross_entropy(g, taps->logits, h->truth),
                       dfqi_norm_distance(g, taps->norms, norms)};
    h->total = dfqi_total(g, 2, term, (float[]){1.0f, h->o.bns_weight / (float)norms});
    h->parts = dfqi_graph_output(g, h->total, 1);
    h->logits = taps->logits;
    dfqi_graph_keep(g, h->images);
    dfqi_graph_keep(g, h->logits);
    dfqi_graph_keep(g, h->total);
    dfqi_graph_keep(g, h->parts);
}

static dfq_status build(dfqi_generator_trainer *h, dfqi_id *teacher, dfqi_norm_tap *norms)
{
    const dfqi_network *net = &h->model->net;
    dfqi_taps taps = {.norms = norms};
    DFQI_TRY(dfqi_graph_new(h->ctx, h->o.batch, &h->g));
    dfqi_graph *g = h->g;
    dfqi_generator_inputs_add(&h->net, g, &h->in);
    h->truth = h->in.labels;
    if (h->o.kind == DFQI_GENERATOR_QIMERA)
        h->truth = dfqi_graph_input(g, "targets", 1, 1, &net->arch.classes);
    dfqi_generator_params(&h->net, g, h->params);
    h->images = dfqi_generator_forward(&h->net, g, h->params, &h->in);
    dfqi_network_params(net, g, 1, teacher);
    dfqi_network_forward(net, g, teacher, h->images, &taps);
    build_losses(h, &taps, dfqi_arch_norms(&net->arch));
    dfqi_id one = dfqi_fill(g, h->total, 1);
    DFQI_TRY(dfqi_graph_grad(g, 1, &h->total, &one, h->net.n_params, h->params, h->grads));
    for (int32_t i = 0; i < h->net.n_params; i++) dfqi_graph_keep(g, h->grads[i]);
    return dfqi_graph_status(g);
}

static dfq_status build_graph(dfqi_generator_trainer *h)
{
    const dfqi_network *net = &h->model->net;
    size_t norms = (size_t)dfqi_arch_norms(&net->arch);
    dfqi_id *teacher = dfqi_calloc(h->ctx, (size_t)net->n_params, sizeof *teacher);
    dfqi_norm_tap *taps = dfqi_calloc(h->ctx, norms, sizeof *taps);
    dfq_status status = teacher && taps ? build(h, teacher, taps) : DFQ_E_NOMEM;
    dfqi_free(h->ctx, teacher);
    dfqi_free(h->ctx, taps);
    return status;
}

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status check(const dfqi_model *m, const dfqi_generator_options *o)
{
    const dfqi_arch *a = &m->net.arch;
    if (m->quantized || dfqi_arch_norms(a) == 0)
        return dfqi_fail(m->ctx, DFQ_E_UNSUPPORTED,
                         "%s: a generator learns from the BatchNorms of a float convolutional "
                         "network; take kind attention for other networks",
                         a->name);
    if (o->batch < 2 || o->batch > 4096)
        return dfqi_fail(m->ctx, DFQ_E_INVALID, "generator: batch is %lld, must be 2 to 4096",
                         (long long)o->batch);
    if (o->kind > DFQI_GENERATOR_ARC)
        return dfqi_fail(m->ctx, DFQ_E_INVALID, "generator: kind is %d, must be 0 to %d",
                         (int)o->kind, (int)DFQI_GENERATOR_ARC);
    return DFQ_OK;
}

static dfq_status make_state(dfqi_generator_trainer *h)
{
    dfqi_generator_arch arch = arch_of(&h->model->net.arch, &h->o);
    DFQI_TRY(dfqi_generator_new(h->ctx, &arch, h->o.seed ^ (uint64_t)INIT << 60, &h->net));
    take_embedding(h);
    size_t n = (size_t)h->net.n_params;
    h->params = dfqi_calloc(h->ctx, n, sizeof *h->params);
    h->grads = dfqi_calloc(h->ctx, n, sizeof *h->grads);
    h->moments = dfqi_calloc(h->ctx, n, sizeof *h->moments);
    if (!h->params || !h->grads || !h->moments) return DFQ_E_NOMEM;
    for (size_t i = 0; i < n; i++)
        DFQI_TRY(dfqi_moments_new(h->ctx, DFQI_ADAMW, dfqi_tensor_count(h->net.params[i].tensor),
                                  &h->moments[i]));
    return dfqi_generator_trainer_draws_new(h);
}

dfq_status dfqi_generator_trainer_new(const dfqi_model *m, const dfqi_generator_options *o,
                                      dfqi_generator_trainer **out)
{
    DFQI_TRY(check(m, o));
    dfqi_generator_trainer *h = dfqi_calloc(m->ctx, 1, sizeof *h);
    if (!h) return DFQ_E_NOMEM;
    dfq_status status;
    h->ctx = m->ctx;
    h->model = dfqi_model_retain(m);
    h->o = *o;
    DFQI_GOTO(make_state(h), fail);
    DFQI_GOTO(build_graph(h), fail);
    *out = h;
    return DFQ_OK;
fail:
    dfqi_generator_trainer_release(h);
    return status;
}

void dfqi_generator_trainer_release(dfqi_generator_trainer *h)
{
    if (!h) return;
    dfqi_model *m = h->model;
    dfqi_exec_free(h->e);
    dfqi_graph_free(h->g);
    for (int32_t i = 0; h->moments && i < h->net.n_params; i++)
        dfqi_moments_fini(h->ctx, &h->moments[i]);
    dfqi_free(h->ctx, h->params);
    dfqi_free(h->ctx, h->grads);
    dfqi_free(h->ctx, h->moments);
    dfqi_generator_fini(&h->net);
    dfqi_free(h->ctx, h->draws.block);
    dfqi_free(h->ctx, h);
    dfqi_model_release(m);
}

/* -- steps ------------------------------------------------------------------------------------- */

dfq_status dfqi_generator_trainer_pass(dfqi_generator_trainer *h, dfqi_generator_batch *out)
{
    if (!h->e) {
        DFQI_TRY(dfqi_exec_new(h->g, &h->e));
        dfqi_generator_trainer_draws_bind(h);
    }
    DFQI_TRY(dfqi_exec_run(h->e));
    float total = dfqi_exec_data(h->e, h->total)[0];
    const float *parts = dfqi_exec_data(h->e, h->parts);
    float norms = (float)dfqi_arch_norms(&h->model->net.arch);
    if (!isfinite(total))
        return dfqi_fail(
            h->ctx, DFQ_E_NUMERIC,
            "generator: the loss of iteration %lld is not finite at a learning rate of %g; check "
            "the weights of %s",
            (long long)h->done, (double)h->o.learning_rate, h->model->net.arch.name);
    *out = (dfqi_generator_batch){.images = dfqi_exec_data(h->e, h->images),
                                  .logits = dfqi_exec_data(h->e, h->logits),
                                  .labels = h->draws.classes,
                                  .losses = {total, parts[0], parts[1] / norms}};
    if (h->o.kind == DFQI_GENERATOR_QIMERA) out->targets = h->draws.targets;
    return DFQ_OK;
}

void dfqi_generator_trainer_move(dfqi_generator_trainer *h, float learning_rate)
{
    dfqi_optim_options adam = {
        .kind = DFQI_ADAMW, .beta1 = h->o.beta1, .beta2 = h->o.beta2, .eps = h->o.eps};
    for (int32_t i = 0; learning_rate > 0 && i < h->net.n_params; i++)
        dfqi_optim_step(h->ctx, &adam, &h->moments[i], h->done + 1, learning_rate,
                        dfqi_exec_data(h->e, h->grads[i]),
                        dfqi_tensor_f32(h->net.params[i].tensor));
    h->done++;
}

dfq_status dfqi_generator_trainer_step(dfqi_generator_trainer *h, float learning_rate,
                                       dfqi_generator_batch *out)
{
    dfqi_generator_trainer_draw(h, 0, h->done);
    DFQI_TRY(dfqi_generator_trainer_pass(h, out));
    dfqi_generator_trainer_move(h, learning_rate);
    return DFQ_OK;
}

dfq_status dfqi_generator_trainer_sample(dfqi_generator_trainer *h, int64_t index,
                                         dfqi_generator_batch *out)
{
    dfqi_generator_trainer_draw(h, 1, index);
    return dfqi_generator_trainer_pass(h, out);
}

dfq_status dfqi_generator_trainer_cost(const dfqi_generator_trainer *h, double *bytes, double *macs)
{
    size_t run;
    int64_t moments = dfqi_moments_floats(DFQI_ADAMW) + 1;
    DFQI_TRY(dfqi_exec_estimate(h->g, &run));
    *bytes =
        (double)run + (double)(moments * dfqi_generator_values(&h->net)) * (double)sizeof(float);
    *macs = dfqi_graph_macs(h->g);
    return DFQ_OK;
}

int64_t dfqi_generator_trainer_done(const dfqi_generator_trainer *h)
{
    return h->done;
}

/* -- state ------------------------------------------------------------------------------------- */

int32_t dfqi_generator_trainer_arrays(const dfqi_generator_trainer *h)
{
    return 3 * h->net.n_params;
}

dfqi_generator_array dfqi_generator_trainer_array_at(const dfqi_generator_trainer *h, int32_t i)
{
    static const char *const kinds[3] = {"generator.", "generator.m.", "generator.v."};
    const dfqi_param *p = &h->net.params[i / 3];
    const dfqi_moments *s = &h->moments[i / 3];
    dfqi_generator_array a = {.count = dfqi_tensor_count(p->tensor)};
    snprintf(a.name, sizeof a.name, "%s%s", kinds[i % 3], p->name);
    a.data = i % 3 == 0 ? dfqi_tensor_f32(p->tensor) : i % 3 == 1 ? s->m : s->v;
    return a;
}

void dfqi_generator_trainer_resume(dfqi_generator_trainer *h, int64_t done)
{
    h->done = done;
}
