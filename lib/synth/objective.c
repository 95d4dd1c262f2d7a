/* The loss of image optimisation as a graph (docs/METHODS.md, Synthetic images):
 *
 *   L = attention_weight L_IH(x~) + class_weight CE(f(x~), y) + tv_weight TV(x)
 *
 * x are the images, x~ their augmented copies. The network f is frozen; the gradient is that of x.
 * Kind BNS has L_BNS in place of L_IH, and a tenth of the class weight. Kind PSE (PSAQ-ViT) has the
 * patch similarity entropy (pse.h) in its place, and |TV(x~) - v| in place of TV(x). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "graph/ops.h"
#include "synth/norms.h"
#include "synth/synth_priv.h"

/* With the whole weight images of kind BNS become so certain of their classes that they miss the
 * statistics. (ResNet-20, 256 images of one seed, 100 iterations: the distance of statistics falls
 * from 9.5 to 0.343 with the whole weight, to 0.108 with a tenth.) */
static const float bns_class_share = 0.1f;

/* The terms of the total, in the order of `parts`. */
typedef struct terms {
    int32_t n;
    dfqi_id id[DFQI_SYNTH_LOSSES];
    float weight[DFQI_SYNTH_LOSSES];
} terms;

static void add_term(dfqi_synth *s, terms *t, int loss, dfqi_id id, float weight)
{
    s->by_pixels.term[loss] = t->n;
    t->id[t->n] = id;
    t->weight[t->n++] = weight;
}

static dfq_status new_taps(const dfqi_synth *s, dfqi_taps *out)
{
    const dfqi_arch *a = &s->model->net.arch;
    size_t norms = (size_t)dfqi_arch_norms(a), depth = (size_t)dfqi_arch_blocks(a);
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
    p->x = dfqi_arch_input(a, g);
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
    dfqi_graph *g = s->by_pixels.main.g;
    const dfqi_id *raw = s->by_pixels.main.taps.raw;
    const dfqi_arch *a = &s->model->net.arch;
    dfqi_id sum = DFQI_NONE;
    for (int64_t i = 0; i < dfqi_arch_blocks(a); i++) {
        dfqi_attention t;
        dfqi_arch_attention(a, i, &t);
        dfqi_id one = dfqi_inter_head(g, raw[i], t.windows, t.drop, s->o.distance);
        sum = i ? dfqi_add(g, sum, one) : one;
    }
    return sum;
}

/* The graph that shows the head outputs, and the inputs for the gradient by them. */
static dfq_status build_entropy(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    const dfqi_arch *a = &s->model->net.arch;
    DFQI_TRY(build_pass(s, &own->view));
    own->seed = dfqi_calloc(s->ctx, (size_t)dfqi_arch_blocks(a), sizeof *own->seed);
    if (!own->seed) return DFQ_E_NOMEM;
    dfqi_attention t;
    dfqi_arch_attention(a, 0, &t);
    own->pse =
        (dfqi_pse_shape){.batch = s->o.batch, .heads = t.heads, .d = t.width, .tokens = t.tokens};
    for (int64_t i = 0; i < dfqi_arch_blocks(a); i++) {
        dfqi_graph_keep(own->view.g, own->view.taps.head[i]);
        own->seed[i] =
            dfqi_graph_input(own->main.g, "seed", 1, 3, (int64_t[]){t.heads, t.tokens, t.width});
    }
    return dfqi_graph_status(own->main.g);
}

/* d(total) by the images, plus <head, seed> where the entropy sends its gradient in. */
static dfq_status build_gradient(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    dfqi_graph *g = own->main.g;
    size_t depth = (size_t)dfqi_arch_blocks(&s->model->net.arch);
    int32_t n = 0;
    dfqi_id *value = dfqi_calloc(s->ctx, 2 * (depth + 1), sizeof *value);
    if (!value) return DFQ_E_NOMEM;
    dfqi_id *grad = value + depth + 1;
    if (own->total != DFQI_NONE) {
        value[n] = own->total;
        grad[n++] = dfqi_fill(g, own->total, 1.0f);
    }
    for (size_t i = 0; own->seed && i < depth; i++, n++) {
        value[n] = own->main.taps.head[i];
        grad[n] = own->seed[i];
    }
    dfq_status status = dfqi_graph_grad(g, n, value, grad, 1, &own->main.x, &own->dx);
    dfqi_free(s->ctx, value);
    return status;
}

static dfqi_id variation(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    const dfqi_recipe *r = dfqi_recipe_of(s->o.kind);
    dfqi_graph *g = own->main.g;
    if (r->tv_most == 0) return dfqi_tv(g, own->main.x, r->tv_diagonal, DFQI_NONE);
    own->tv_target = dfqi_graph_input(g, "tv_target", 0, 1, (int64_t[]){1});
    return dfqi_tv(g, own->main.seen, r->tv_diagonal, own->tv_target);
}

dfq_status dfqi_objective_build(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    const dfqi_synth_options *o = &s->o;
    terms t = {0};
    own->total = own->parts = own->dx = own->tv_target = DFQI_NONE;
    for (int i = 0; i < DFQI_SYNTH_LOSSES; i++) own->term[i] = -1;
    DFQI_TRY(build_pass(s, &own->main));
    dfqi_graph *g = own->main.g;
    bool norms = o->kind == DFQI_SYNTH_BNS;
    own->layers =
        norms ? dfqi_arch_norms(&s->model->net.arch) : dfqi_arch_blocks(&s->model->net.arch);
    if ((norms || o->kind == DFQI_SYNTH_ATTENTION) && o->attention_weight > 0)
        add_term(s, &t, DFQI_SYNTH_INTER_HEAD,
                 norms ? dfqi_norm_distance(g, own->main.taps.norms, (int32_t)own->layers)
                       : inter_head_sum(s),
                 o->attention_weight / (float)own->layers);
    if (o->kind == DFQI_SYNTH_PSE && o->attention_weight > 0) DFQI_TRY(build_entropy(s));
    if (o->class_weight > 0)
        add_term(s, &t, DFQI_SYNTH_CLASS,
                 dfqi_cross_entropy(g, own->main.taps.logits, own->main.labels),
                 norms ? bns_class_share * o->class_weight : o->class_weight);
    if (o->tv_weight > 0) add_term(s, &t, DFQI_SYNTH_TV, variation(s), o->tv_weight);
    if (t.n > 0) {
        own->total = dfqi_total(g, t.n, t.id, t.weight);
        own->parts = dfqi_graph_output(g, own->total, 1);
        dfqi_graph_keep(g, own->total);
        dfqi_graph_keep(g, own->parts);
    }
    DFQI_TRY(build_gradient(s));
    dfqi_graph_keep(g, own->dx);
    return dfqi_graph_status(g);
}

/* -- executors --------------------------------------------------------------------------------- */

static dfq_status start_pass(const dfqi_synth *s, dfqi_pass *p)
{
    const dfqi_pixel_maker *own = &s->by_pixels;
    DFQI_TRY(dfqi_exec_new(p->g, &p->e));
    dfqi_exec_bind(p->e, p->roll, own->roll);
    dfqi_exec_bind(p->e, p->scale, own->scale);
    dfqi_exec_bind(p->e, p->shift, own->shift);
    dfqi_exec_bind(p->e, p->labels, s->labels_f);
    return DFQ_OK;
}

/* Of one block. */
static int64_t seed_floats(const dfqi_synth *s)
{
    const dfqi_pse_shape *pse = &s->by_pixels.pse;
    return pse->batch * pse->heads * pse->tokens * pse->d;
}

int64_t dfqi_objective_seeds(const dfqi_synth *s)
{
    return s->by_pixels.seed ? seed_floats(s) * dfqi_arch_blocks(&s->model->net.arch) : 0;
}

dfq_status dfqi_objective_start(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    DFQI_TRY(start_pass(s, &own->main));
    if (own->view.g) DFQI_TRY(start_pass(s, &own->view));
    for (int64_t i = 0; own->seed && i < dfqi_arch_blocks(&s->model->net.arch); i++)
        dfqi_exec_bind(own->main.e, own->seed[i], own->seeds + i * seed_floats(s));
    return DFQ_OK;
}

void dfqi_objective_stop(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    dfqi_exec_free(own->main.e);
    dfqi_exec_free(own->view.e);
    own->main.e = own->view.e = NULL;
}

void dfqi_objective_fini(dfqi_synth *s)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    dfqi_objective_stop(s);
    dfqi_graph_free(own->main.g);
    dfqi_graph_free(own->view.g);
    dfqi_free(s->ctx, own->main.taps.raw);
    dfqi_free(s->ctx, own->view.taps.raw);
    dfqi_free(s->ctx, own->main.taps.norms);
    dfqi_free(s->ctx, own->seed);
}

dfq_status dfqi_objective_cost(const dfqi_synth *s, double *bytes, double *macs)
{
    const dfqi_graph *graphs[] = {s->by_pixels.main.g, s->by_pixels.view.g};
    *bytes = *macs = 0;
    for (int i = 0; i < 2 && graphs[i]; i++) {
        size_t run;
        DFQI_TRY(dfqi_exec_estimate(graphs[i], &run));
        *bytes += (double)run;
        *macs += dfqi_graph_macs(graphs[i]);
    }
    return DFQ_OK;
}

/* -- evaluation -------------------------------------------------------------------------------- */

static void mirror(const dfqi_synth *s, const float *from, float *to)
{
    int64_t width = s->model->net.arch.image.width, rows = s->o.batch * s->pixels / width;
    for (int64_t r = 0; r < rows; r++, from += width, to += width)
        for (int64_t i = 0; i < width; i++) to[i] = from[width - 1 - i];
}

/* mirror(roll(x)) is mirror(x) rolled the other way, and TV is invariant under mirroring. So the
 * graph gets mirrored images, and its gradient is mirrored back. */
static void set_inputs(dfqi_synth *s, const dfqi_draws *d)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    const float *x = s->x;
    own->roll[0] = d->roll[0];
    own->roll[1] = d->flip ? -d->roll[1] : d->roll[1];
    for (int64_t i = 0; i < 3 * s->o.batch; i++) {
        own->scale[i] = 1.0f / d->dev[i];
        own->shift[i] = (d->offset[i] - d->mean[i]) / d->dev[i];
    }
    if (d->flip) {
        mirror(s, s->x, own->mirror);
        x = own->mirror;
    }
    dfqi_exec_bind(own->main.e, own->main.x, x);
    if (own->view.e) dfqi_exec_bind(own->view.e, own->view.x, x);
    if (own->tv_target != DFQI_NONE) dfqi_exec_bind(own->main.e, own->tv_target, &d->tv_target);
}

/* The entropy of all blocks; its gradient goes to the seeds. */
static dfq_status run_entropy(dfqi_synth *s, double *out)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    *out = 0;
    DFQI_TRY(dfqi_exec_run(own->view.e));
    for (int64_t i = 0; i < dfqi_arch_blocks(&s->model->net.arch); i++)
        *out += dfqi_pse(s->ctx, &own->pse, dfqi_exec_data(own->view.e, own->view.taps.head[i]),
                         s->o.attention_weight, own->seeds + i * seed_floats(s), own->pse_scratch);
    return DFQ_OK;
}

dfq_status dfqi_objective_run(dfqi_synth *s, const dfqi_draws *d, float losses[DFQI_SYNTH_LOSSES],
                              const float **grad)
{
    dfqi_pixel_maker *own = &s->by_pixels;
    double entropy = 0;
    set_inputs(s, d);
    if (own->seed) DFQI_TRY(run_entropy(s, &entropy));
    DFQI_TRY(dfqi_exec_run(own->main.e));
    const float *parts = own->parts != DFQI_NONE ? dfqi_exec_data(own->main.e, own->parts) : NULL;
    for (int i = 0; i < DFQI_SYNTH_LOSSES; i++)
        losses[i] = parts && own->term[i] >= 0 ? parts[own->term[i]] : NAN;
    losses[DFQI_SYNTH_TOTAL] = parts ? *dfqi_exec_data(own->main.e, own->total) : 0.0f;
    losses[DFQI_SYNTH_INTER_HEAD] /= (float)own->layers;
    if (own->seed) {
        losses[DFQI_SYNTH_INTER_HEAD] = (float)entropy;
        losses[DFQI_SYNTH_TOTAL] += s->o.attention_weight * (float)entropy;
    }
    *grad = dfqi_exec_data(own->main.e, own->dx);
    if (d->flip) {
        mirror(s, *grad, own->mirror);
        *grad = own->mirror;
    }
    return DFQ_OK;
}
