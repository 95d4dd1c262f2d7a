/* The generator's graph and its steps. */
#include "synth/host.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "nn/gdfq.h"
#include "nn/optim.h"

enum { INIT = 1, NOISE, LABELS, PARAMS_MAX = 16, LATENT = 100, SMALL_SIDE = 64 };

struct dfqi_host {
    dfq_context *ctx; /* the model's, retained by it */
    dfqi_model *model;
    dfqi_host_options o;
    dfqi_gdfq net;
    dfqi_graph *g;
    dfqi_exec *e;
    dfqi_id z_id, labels_id, images, logits, total, parts;
    dfqi_id params[PARAMS_MAX], grads[PARAMS_MAX];
    dfqi_moments moments[PARAMS_MAX];
    float *z, *labels; /* one block */
    int64_t done;
};

void dfqi_host_defaults(dfqi_host_options *o)
{
    *o = (dfqi_host_options){.batch = 200,
                             .bns_weight = 0.1f,
                             .rate = 1e-3f,
                             .beta1 = 0.5f,
                             .beta2 = 0.999f,
                             .eps = 1e-8f};
}

void dfqi_host_text(const dfqi_host_options *o, char *text, size_t size)
{
    snprintf(text, size,
             "batch %" PRId64 ", seed %" PRIu64 ", statistics %.9g, rate %.9g, Adam %.9g %.9g %.9g",
             o->batch, o->seed, (double)o->bns_weight, (double)o->rate, (double)o->beta1,
             (double)o->beta2, (double)o->eps);
}

/* -- graph ------------------------------------------------------------------------------------- */

/* Mean over BatchNorms of the distance to the running statistics: the sum, to be weighted. */
static dfqi_id statistics_distance(dfqi_graph *g, const dfqi_norm_tap *taps, int32_t n)
{
    dfqi_id sum = DFQI_NONE;
    for (int32_t i = 0; i < n; i++) {
        dfqi_id mean = dfqi_batch_stats(g, taps[i].x), var = dfqi_graph_output(g, mean, 1);
        dfqi_id one = dfqi_bns(g, mean, var, taps[i].mean, taps[i].var);
        sum = i ? dfqi_add(g, sum, one) : one;
    }
    return sum;
}

static void build_losses(dfqi_host *h, const dfqi_taps *taps, int32_t norms)
{
    dfqi_graph *g = h->g;
    dfqi_id term[2] = {dfqi_cross_entropy(g, taps->logits, h->labels_id),
                       statistics_distance(g, taps->norms, norms)};
    h->total = dfqi_total(g, 2, term, (float[]){1.0f, h->o.bns_weight / (float)norms});
    h->parts = dfqi_graph_output(g, h->total, 1);
    h->logits = taps->logits;
    dfqi_graph_keep(g, h->images);
    dfqi_graph_keep(g, h->logits);
    dfqi_graph_keep(g, h->total);
    dfqi_graph_keep(g, h->parts);
}

static dfq_status build(dfqi_host *h, dfqi_id *teacher, dfqi_norm_tap *norms)
{
    const dfqi_network *net = &h->model->net;
    dfqi_taps taps = {.norms = norms};
    DFQI_TRY(dfqi_graph_new(h->ctx, h->o.batch, &h->g));
    dfqi_graph *g = h->g;
    h->z_id = dfqi_graph_input(g, "noise", 1, 1, &h->net.arch.latent);
    h->labels_id = dfqi_graph_input(g, "labels", 1, 0, NULL);
    dfqi_gdfq_params(&h->net, g, h->params);
    h->images = dfqi_gdfq_forward(&h->net, g, h->params, h->z_id, h->labels_id);
    dfqi_network_params(net, g, 1, teacher);
    dfqi_network_forward(net, g, teacher, h->images, &taps);
    build_losses(h, &taps, dfqi_arch_norms(&net->arch));
    dfqi_id one = dfqi_fill(g, h->total, 1);
    DFQI_TRY(dfqi_graph_grad(g, 1, &h->total, &one, h->net.n_params, h->params, h->grads));
    for (int32_t i = 0; i < h->net.n_params; i++) dfqi_graph_keep(g, h->grads[i]);
    return dfqi_graph_status(g);
}

static dfq_status build_graph(dfqi_host *h)
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

static dfq_status check(const dfqi_model *m, const dfqi_host_options *o)
{
    const dfqi_arch *a = &m->net.arch;
    if (m->quantized || dfqi_arch_norms(a) == 0)
        return dfqi_fail(m->ctx, DFQ_E_UNSUPPORTED,
                         "%s: a generator learns from the BatchNorms of a float convolutional "
                         "network; for others make images with kind attention",
                         a->name);
    if (o->batch < 2 || o->batch > 4096)
        return dfqi_fail(m->ctx, DFQ_E_INVALID, "generator: batch is %lld, must be 2 to 4096",
                         (long long)o->batch);
    return DFQ_OK;
}

dfq_status dfqi_host_new(const dfqi_model *m, const dfqi_host_options *o, dfqi_host **out)
{
    const dfqi_arch *a = &m->net.arch;
    DFQI_TRY(check(m, o));
    dfqi_host *h = dfqi_calloc(m->ctx, 1, sizeof *h);
    if (!h) return DFQ_E_NOMEM;
    dfq_status status;
    h->ctx = m->ctx;
    h->model = dfqi_model_retain(m);
    h->o = *o;
    dfqi_gdfq_arch arch = {.image = a->image,
                           .classes = a->classes,
                           .latent = LATENT,
                           .conditional = a->image > SMALL_SIDE};
    DFQI_GOTO(dfqi_gdfq_new(h->ctx, &arch, o->seed ^ (uint64_t)INIT << 60, &h->net), fail);
    for (int32_t i = 0; i < h->net.n_params; i++)
        DFQI_GOTO(dfqi_moments_new(h->ctx, DFQI_ADAMW, dfqi_tensor_count(h->net.params[i].tensor),
                                   &h->moments[i]),
                  fail);
    status = DFQ_E_NOMEM;
    h->z = dfqi_calloc(h->ctx, (size_t)(o->batch * (LATENT + 1)), sizeof *h->z);
    if (!h->z) goto fail;
    h->labels = h->z + o->batch * LATENT;
    DFQI_GOTO(build_graph(h), fail);
    DFQI_GOTO(dfqi_exec_new(h->g, &h->e), fail);
    dfqi_exec_bind(h->e, h->z_id, h->z);
    dfqi_exec_bind(h->e, h->labels_id, h->labels);
    *out = h;
    return DFQ_OK;
fail:
    dfqi_host_release(h);
    return status;
}

void dfqi_host_release(dfqi_host *h)
{
    if (!h) return;
    dfqi_model *m = h->model;
    dfqi_exec_free(h->e);
    dfqi_graph_free(h->g);
    for (int32_t i = 0; i < h->net.n_params; i++) dfqi_moments_fini(h->ctx, &h->moments[i]);
    dfqi_gdfq_fini(&h->net);
    dfqi_free(h->ctx, h->z);
    dfqi_free(h->ctx, h);
    dfqi_model_release(m);
}

/* -- steps ------------------------------------------------------------------------------------- */

static void draw(dfqi_host *h)
{
    uint32_t classes = (uint32_t)h->model->net.arch.classes;
    dfqi_rng noise = dfqi_rng_make(h->o.seed, (uint64_t)NOISE << 60 | (uint64_t)h->done);
    dfqi_rng labels = dfqi_rng_make(h->o.seed, (uint64_t)LABELS << 60 | (uint64_t)h->done);
    dfqi_rng_fill_normal(&noise, h->z, (size_t)(h->o.batch * LATENT));
    for (int64_t i = 0; i < h->o.batch; i++) h->labels[i] = (float)dfqi_rng_below(&labels, classes);
}

static void move(dfqi_host *h, float rate)
{
    dfqi_optim_options adam = {
        .kind = DFQI_ADAMW, .beta1 = h->o.beta1, .beta2 = h->o.beta2, .eps = h->o.eps};
    for (int32_t i = 0; rate > 0 && i < h->net.n_params; i++)
        dfqi_optim_step(h->ctx, &adam, &h->moments[i], h->done + 1, rate,
                        dfqi_exec_data(h->e, h->grads[i]),
                        dfqi_tensor_f32(h->net.params[i].tensor));
}

dfq_status dfqi_host_step(dfqi_host *h, float rate, dfqi_host_batch *out)
{
    draw(h);
    DFQI_TRY(dfqi_exec_run(h->e));
    float total = dfqi_exec_data(h->e, h->total)[0];
    const float *parts = dfqi_exec_data(h->e, h->parts);
    float norms = (float)dfqi_arch_norms(&h->model->net.arch);
    if (!isfinite(total))
        return dfqi_fail(h->ctx, DFQ_E_NUMERIC,
                         "generator: the loss of iteration %lld is not finite; lower the rate (%g) "
                         "or check the weights of %s",
                         (long long)h->done, (double)rate, h->model->net.arch.name);
    move(h, rate);
    h->done++;
    *out = (dfqi_host_batch){.images = dfqi_exec_data(h->e, h->images),
                             .logits = dfqi_exec_data(h->e, h->logits),
                             .labels = h->labels,
                             .losses = {total, parts[0], parts[1] / norms}};
    return DFQ_OK;
}

dfq_status dfqi_host_cost(const dfqi_host *h, double *bytes, double *macs)
{
    size_t run;
    int64_t moments = dfqi_moments_floats(DFQI_ADAMW) + 1;
    DFQI_TRY(dfqi_exec_estimate(h->g, &run));
    *bytes = (double)run + (double)(moments * dfqi_gdfq_values(&h->net)) * (double)sizeof(float);
    *macs = dfqi_graph_macs(h->g);
    return DFQ_OK;
}

int64_t dfqi_host_done(const dfqi_host *h)
{
    return h->done;
}

/* -- state ------------------------------------------------------------------------------------- */

int32_t dfqi_host_arrays(const dfqi_host *h)
{
    return 3 * h->net.n_params;
}

dfqi_host_array dfqi_host_array_at(const dfqi_host *h, int32_t i)
{
    static const char *const kinds[3] = {"host.", "host.m.", "host.v."};
    const dfqi_param *p = &h->net.params[i / 3];
    const dfqi_moments *s = &h->moments[i / 3];
    dfqi_host_array a = {.count = dfqi_tensor_count(p->tensor)};
    snprintf(a.name, sizeof a.name, "%s%s", kinds[i % 3], p->name);
    a.data = i % 3 == 0 ? dfqi_tensor_f32(p->tensor) : i % 3 == 1 ? s->m : s->v;
    return a;
}

void dfqi_host_resume(dfqi_host *h, int64_t done)
{
    h->done = done;
}
