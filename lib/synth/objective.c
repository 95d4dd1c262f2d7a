/* The loss of image optimisation as a graph (docs/METHODS.md, Synthetic images):
 *
 *   L = attention_weight L_IH(x~) + class_weight CE(f(x~), y) + tv_weight TV(x)
 *
 * x are the images, x~ their augmented copies. The network f is frozen; the gradient is that of x.
 * Kind BNS has L_BNS in place of L_IH. Kind PSE (PSAQ-ViT) has the patch similarity entropy (pse.h)
 * in its place, and |TV(x~) - v| in place of TV(x). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "graph/ops.h"
#include "synth/norms.h"
#include "synth/synth_priv.h"

/* The terms of the total, in the order of `parts`. */
typedef struct terms {
    int32_t n;
    dfqi_id id[DFQI_SYNTH_LOSSES];
    float weight[DFQI_SYNTH_LOSSES];
} terms;

static void add_term(dfqi_synth *s, terms *t, int loss, dfqi_id id, float weight)
{
    s->term[loss] = t->n;
    t->id[t->n] = id;
    t->weight[t->n++] = weight;
}

static dfq_status new_taps(const dfqi_synth *s, dfqi_taps *out)
{
    const dfqi_arch *a = &s->model->net.arch;
    size_t norms = (size_t)dfqi_arch_norms(a), depth = (size_t)a->of.vit.depth;
    if (norms > 0) {
        out->norms = dfqi_calloc(s->ctx, norms, sizeof *out->norms);
        return out->norms ? DFQ_OK : DFQ_E_NOMEM;
    }
    out->raw = dfqi_calloc(s->ctx, 2 * depth, sizeof *out->raw);
    if (!out->raw) return DFQ_E_NOMEM;
    out->head = out->raw + depth;
    return DFQ_OK;
}

/* Inputs, augmentation and the network. */
static dfq_status build_pass(const dfqi_synth *s, dfqi_pass *p)
{
    const dfqi_network *net = &s->model->net;
    const dfqi_arch *a = &net->arch;
    DFQI_TRY(dfqi_graph_new(s->ctx, s->o.batch, &p->g));
    DFQI_TRY(new_taps(s, &p->taps));
    dfqi_id *ids = dfqi_calloc(s->ctx, (size_t)net->n_params, sizeof *ids);
    if (!ids) return DFQ_E_NOMEM;
    dfqi_graph *g = p->g;
    p->x = dfqi_graph_input(g, "image", 1, 3, (int64_t[]){a->channels, a->image, a->image});
    p->roll = dfqi_graph_input(g, "roll", 0, 1, (int64_t[]){2});
    p->scale = dfqi_graph_input(g, "scale", 1, 1, &a->channels);
    p->shift = dfqi_graph_input(g, "shift", 1, 1, &a->channels);
    p->labels = dfqi_graph_input(g, "labels", 1, 0, NULL);
    p->seen = dfqi_channel_affine(g, dfqi_roll(g, p->x, p->roll), p->scale, p->shift);
    dfqi_network_params(net, g, 1, ids);
    dfqi_network_forward(net, g, ids, p->seen, &p->taps);
    dfqi_free(s->ctx, ids);
    return dfqi_graph_status(g);
}

/* Mean over blocks of the inter-head distance: the sum, to be weighted by 1 / depth. */
static dfqi_id inter_head_sum(const dfqi_synth *s)
{
    dfqi_graph *g = s->main.g;
    const dfqi_id *raw = s->main.taps.raw;
    dfqi_id sum = dfqi_inter_head(g, raw[0], 1, s->o.distance);
    for (int64_t i = 1; i < s->model->net.arch.of.vit.depth; i++)
        sum = dfqi_add(g, sum, dfqi_inter_head(g, raw[i], 1, s->o.distance));
    return sum;
}

/* The graph that shows the head outputs, and the inputs for the gradient by them. */
static dfq_status build_entropy(dfqi_synth *s)
{
    const dfqi_arch *a = &s->model->net.arch;
    DFQI_TRY(build_pass(s, &s->view));
    s->seed = dfqi_calloc(s->ctx, (size_t)a->of.vit.depth, sizeof *s->seed);
    if (!s->seed) return DFQ_E_NOMEM;
    s->pse = (dfqi_pse_shape){
        .batch = s->o.batch, .heads = a->of.vit.heads, .d = a->of.vit.width / a->of.vit.heads};
    s->pse.tokens = dfqi_graph_value(s->view.g, s->view.taps.head[0])->dims[2];
    for (int64_t i = 0; i < a->of.vit.depth; i++) {
        dfqi_graph_keep(s->view.g, s->view.taps.head[i]);
        s->seed[i] = dfqi_graph_input(s->main.g, "seed", 1, 3,
                                      (int64_t[]){a->of.vit.heads, s->pse.tokens, s->pse.d});
    }
    return dfqi_graph_status(s->main.g);
}

/* d(total) by the images, plus <head, seed> where the entropy sends its gradient in. */
static dfq_status build_gradient(dfqi_synth *s)
{
    dfqi_graph *g = s->main.g;
    size_t depth = (size_t)s->model->net.arch.of.vit.depth;
    int32_t n = 0;
    dfqi_id *value = dfqi_calloc(s->ctx, 2 * (depth + 1), sizeof *value);
    if (!value) return DFQ_E_NOMEM;
    dfqi_id *grad = value + depth + 1;
    if (s->total != DFQI_NONE) {
        value[n] = s->total;
        grad[n++] = dfqi_fill(g, s->total, 1.0f);
    }
    for (size_t i = 0; s->seed && i < depth; i++, n++) {
        value[n] = s->main.taps.head[i];
        grad[n] = s->seed[i];
    }
    dfq_status status = dfqi_graph_grad(g, n, value, grad, 1, &s->main.x, &s->dx);
    dfqi_free(s->ctx, value);
    return status;
}

static dfqi_id variation(dfqi_synth *s)
{
    const dfqi_recipe *r = dfqi_recipe_of(s->o.kind);
    dfqi_graph *g = s->main.g;
    if (r->tv_most == 0) return dfqi_tv(g, s->main.x, r->tv_diagonal, DFQI_NONE);
    s->tv_target = dfqi_graph_input(g, "tv_target", 0, 1, (int64_t[]){1});
    return dfqi_tv(g, s->main.seen, r->tv_diagonal, s->tv_target);
}

dfq_status dfqi_objective_build(dfqi_synth *s)
{
    const dfqi_synth_options *o = &s->o;
    terms t = {0};
    s->total = s->parts = s->dx = s->tv_target = DFQI_NONE;
    for (int i = 0; i < DFQI_SYNTH_LOSSES; i++) s->term[i] = -1;
    if (o->kind == DFQI_SYNTH_NOISE || s->generator) return DFQ_OK;
    DFQI_TRY(build_pass(s, &s->main));
    dfqi_graph *g = s->main.g;
    bool norms = o->kind == DFQI_SYNTH_BNS;
    s->layers = norms ? dfqi_arch_norms(&s->model->net.arch) : s->model->net.arch.of.vit.depth;
    if ((norms || o->kind == DFQI_SYNTH_ATTENTION) && o->attention_weight > 0)
        add_term(s, &t, DFQI_SYNTH_INTER_HEAD,
                 norms ? dfqi_norm_distance(g, s->main.taps.norms, (int32_t)s->layers)
                       : inter_head_sum(s),
                 o->attention_weight / (float)s->layers);
    if (o->kind == DFQI_SYNTH_PSE && o->attention_weight > 0) DFQI_TRY(build_entropy(s));
    if (o->class_weight > 0)
        add_term(s, &t, DFQI_SYNTH_CLASS,
                 dfqi_cross_entropy(g, s->main.taps.logits, s->main.labels), o->class_weight);
    if (o->tv_weight > 0) add_term(s, &t, DFQI_SYNTH_TV, variation(s), o->tv_weight);
    if (t.n > 0) {
        s->total = dfqi_total(g, t.n, t.id, t.weight);
        s->parts = dfqi_graph_output(g, s->total, 1);
        dfqi_graph_keep(g, s->total);
        dfqi_graph_keep(g, s->parts);
    }
    DFQI_TRY(build_gradient(s));
    dfqi_graph_keep(g, s->dx);
    return dfqi_graph_status(g);
}

/* -- executors --------------------------------------------------------------------------------- */

static dfq_status start_pass(dfqi_synth *s, dfqi_pass *p)
{
    DFQI_TRY(dfqi_exec_new(p->g, &p->e));
    dfqi_exec_bind(p->e, p->roll, s->roll);
    dfqi_exec_bind(p->e, p->scale, s->scale);
    dfqi_exec_bind(p->e, p->shift, s->shift);
    dfqi_exec_bind(p->e, p->labels, s->labels_f);
    return DFQ_OK;
}

static int64_t seed_floats(const dfqi_synth *s)
{
    return s->pse.batch * s->pse.heads * s->pse.tokens * s->pse.d;
}

dfq_status dfqi_objective_start(dfqi_synth *s)
{
    if (s->main.g) DFQI_TRY(start_pass(s, &s->main));
    if (s->view.g) DFQI_TRY(start_pass(s, &s->view));
    for (int64_t i = 0; s->seed && i < s->model->net.arch.of.vit.depth; i++)
        dfqi_exec_bind(s->main.e, s->seed[i], s->seeds + i * seed_floats(s));
    return DFQ_OK;
}

void dfqi_objective_stop(dfqi_synth *s)
{
    dfqi_exec_free(s->main.e);
    dfqi_exec_free(s->view.e);
    s->main.e = s->view.e = NULL;
}

void dfqi_objective_fini(dfqi_synth *s)
{
    dfqi_objective_stop(s);
    dfqi_graph_free(s->main.g);
    dfqi_graph_free(s->view.g);
    dfqi_free(s->ctx, s->main.taps.raw);
    dfqi_free(s->ctx, s->view.taps.raw);
    dfqi_free(s->ctx, s->main.taps.norms);
    dfqi_free(s->ctx, s->seed);
}

dfq_status dfqi_objective_bytes(const dfqi_synth *s, double *out)
{
    size_t bytes = 0;
    *out = 0;
    if (s->main.g) DFQI_TRY(dfqi_exec_estimate(s->main.g, &bytes));
    *out += (double)bytes;
    bytes = 0;
    if (s->view.g) DFQI_TRY(dfqi_exec_estimate(s->view.g, &bytes));
    *out += (double)bytes;
    return DFQ_OK;
}

/* -- evaluation -------------------------------------------------------------------------------- */

static void mirror(const dfqi_synth *s, const float *from, float *to)
{
    int64_t width = s->model->net.arch.image, rows = s->o.batch * s->pixels / width;
    for (int64_t r = 0; r < rows; r++, from += width, to += width)
        for (int64_t i = 0; i < width; i++) to[i] = from[width - 1 - i];
}

/* mirror(roll(x)) is mirror(x) rolled the other way, and TV is invariant under mirroring. So the
 * graph gets mirrored images, and its gradient is mirrored back. */
static void set_inputs(dfqi_synth *s, const dfqi_draws *d)
{
    const float *x = s->x;
    s->roll[0] = d->roll[0];
    s->roll[1] = d->flip ? -d->roll[1] : d->roll[1];
    for (int64_t i = 0; i < 3 * s->o.batch; i++) {
        s->scale[i] = 1.0f / d->dev[i];
        s->shift[i] = (d->offset[i] - d->mean[i]) / d->dev[i];
    }
    if (d->flip) {
        mirror(s, s->x, s->mirror);
        x = s->mirror;
    }
    dfqi_exec_bind(s->main.e, s->main.x, x);
    if (s->view.e) dfqi_exec_bind(s->view.e, s->view.x, x);
    if (s->tv_target != DFQI_NONE) dfqi_exec_bind(s->main.e, s->tv_target, &d->tv_target);
}

/* The entropy of all blocks; its gradient goes to the seeds. */
static dfq_status run_entropy(dfqi_synth *s, double *out)
{
    *out = 0;
    DFQI_TRY(dfqi_exec_run(s->view.e));
    for (int64_t i = 0; i < s->model->net.arch.of.vit.depth; i++)
        *out += dfqi_pse(s->ctx, &s->pse, dfqi_exec_data(s->view.e, s->view.taps.head[i]),
                         s->o.attention_weight, s->seeds + i * seed_floats(s), s->pse_scratch);
    return DFQ_OK;
}

dfq_status dfqi_objective_run(dfqi_synth *s, const dfqi_draws *d, float losses[DFQI_SYNTH_LOSSES],
                              const float **grad)
{
    double entropy = 0;
    set_inputs(s, d);
    if (s->seed) DFQI_TRY(run_entropy(s, &entropy));
    DFQI_TRY(dfqi_exec_run(s->main.e));
    const float *parts = s->parts != DFQI_NONE ? dfqi_exec_data(s->main.e, s->parts) : NULL;
    for (int i = 0; i < DFQI_SYNTH_LOSSES; i++)
        losses[i] = parts && s->term[i] >= 0 ? parts[s->term[i]] : NAN;
    losses[DFQI_SYNTH_TOTAL] = parts ? *dfqi_exec_data(s->main.e, s->total) : 0.0f;
    losses[DFQI_SYNTH_INTER_HEAD] /= (float)s->layers;
    if (s->seed) {
        losses[DFQI_SYNTH_INTER_HEAD] = (float)entropy;
        losses[DFQI_SYNTH_TOTAL] += s->o.attention_weight * (float)entropy;
    }
    *grad = dfqi_exec_data(s->main.e, s->dx);
    if (d->flip) {
        mirror(s, *grad, s->mirror);
        *grad = s->mirror;
    }
    return DFQ_OK;
}
