/* Training and evaluation of supernets. Each step builds the graph of its path. */
#include "tune/super_train.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "quant/evaluate.h"

#define TRACK 0.1f /* BN momentum, ProxylessNAS's */

/* Streams of random numbers, one for each purpose and step. */
enum { STREAM_PATH = 1, STREAM_BATCH, STREAM_GATES, STREAMS };

struct dfqi_super_train {
    dfqi_supernet *net;
    dfqi_super_options o;
    int64_t done;
    dfqi_moments (*moments)[3]; /* [n_layers] */
    float *x, *targets;         /* [batch][3][S][S], [batch][classes] */
    float *part;                /* [3][largest tensor]: what of a tensor is on the path, moments */
    int64_t largest;
};

static dfqi_rng stream(uint64_t seed, int64_t step, int which)
{
    return dfqi_rng_make(seed, (uint64_t)step * STREAMS + (uint64_t)which);
}

void dfqi_super_defaults(dfqi_super_options *o)
{
    *o = (dfqi_super_options){.batch = 64,
                              .steps = 1000,
                              .learning_rate = 0.025f,
                              .momentum = 0.9f,
                              .weight_decay = 4e-5f,
                              .smoothing = 0.1f,
                              .crop = 4};
}

void dfqi_super_defaults_of(const dfqi_supernet_space *space, dfqi_super_options *o)
{
    dfqi_super_defaults(o);
    if (space->family != DFQI_SUPER_VIT) return;
    o->optimizer = DFQI_ADAMW;
    o->learning_rate = 1e-3f;
    o->weight_decay = 0.05f;
}

/* -- paths ------------------------------------------------------------------------------------- */

void dfqi_super_sample(const dfqi_supernet *net, const float *logits, uint64_t seed, int64_t step,
                       int32_t *path)
{
    dfqi_rng r = stream(seed, step, STREAM_PATH);
    for (int32_t c = 0; c < net->n_cells; c++) {
        float best = -INFINITY;
        for (int32_t k = 0; k < dfqi_supernet_choices(net, c); k++) {
            float u = dfqi_rng_uniform(&r) + 0x1p-25f; /* in (0, 1) */
            float v = -logf(-logf(u)) + (logits ? logits[c * (DFQI_SUPER_CHOICES + 1) + k] : 0.0f);
            if (k == 0 || v > best) {
                best = v;
                path[c] = k;
            }
        }
    }
}

/* -- the job ----------------------------------------------------------------------------------- */

void dfqi_super_train_release(dfqi_super_train *t)
{
    if (!t) return;
    dfq_context *ctx = t->net->ctx;
    for (int32_t i = 0; t->moments && i < t->net->n_layers; i++)
        for (int k = 0; k < 3; k++) dfqi_moments_fini(ctx, &t->moments[i][k]);
    dfqi_free(ctx, t->moments);
    dfqi_free(ctx, t->x);
    dfqi_free(ctx, t->targets);
    dfqi_free(ctx, t->part);
    dfqi_free(ctx, t);
}

static dfq_status check_options(dfq_context *ctx, const dfqi_super_options *o, int64_t image)
{
    if (o->batch < 2 || o->batch > 4096)
        return dfqi_fail(ctx, DFQ_E_INVALID, "batch is %lld, must be 2 to 4096",
                         (long long)o->batch);
    if (o->optimizer != DFQI_SGD && o->optimizer != DFQI_ADAMW)
        return dfqi_fail(ctx, DFQ_E_INVALID, "optimizer is %d, must be SGD or AdamW", o->optimizer);
    if (o->crop < 0 || o->crop >= image)
        return dfqi_fail(ctx, DFQ_E_INVALID, "crop is %lld, must be 0 to %lld", (long long)o->crop,
                         (long long)image - 1);
    return DFQ_OK;
}

dfq_status dfqi_super_train_new(dfqi_supernet *net, const dfqi_super_options *o,
                                dfqi_super_train **out)
{
    dfq_context *ctx = net->ctx;
    size_t side = (size_t)net->space.image, batch = (size_t)o->batch;
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(check_options(ctx, o, net->space.image));
    dfqi_super_train *t = dfqi_calloc(ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->net = net;
    t->o = *o;
    t->moments = dfqi_calloc(ctx, (size_t)net->n_layers, sizeof *t->moments);
    t->x = dfqi_calloc(ctx, batch * 3 * side * side, sizeof *t->x);
    t->targets = dfqi_calloc(ctx, batch * (size_t)net->space.classes, sizeof *t->targets);
    if (!t->moments || !t->x || !t->targets) goto fail;
    for (int32_t i = 0; i < net->n_layers; i++)
        for (int32_t k = 0; k < dfqi_super_layer_trained(&net->layers[i]); k++) {
            if (!net->layers[i].t[k]) continue;
            int64_t n = dfqi_tensor_count(net->layers[i].t[k]);
            DFQI_GOTO(dfqi_moments_new(ctx, o->optimizer, n, &t->moments[i][k]), fail);
            if (n > t->largest) t->largest = n;
        }
    t->part = dfqi_calloc(ctx, 3 * (size_t)t->largest, sizeof *t->part);
    if (!t->part) {
        status = DFQ_E_NOMEM;
        goto fail;
    }
    *out = t;
    return DFQ_OK;
fail:
    dfqi_super_train_release(t);
    return status;
}

/* -- a batch ----------------------------------------------------------------------------------- */

/* out[3][S][S]: the image shifted by (dy, dx), zeros around it, mirrored if asked for. */
static void shift(const float *in, int64_t s, int64_t dy, int64_t dx, uint32_t mirror, float *out)
{
    for (int64_t c = 0; c < 3; c++)
        for (int64_t y = 0; y < s; y++)
            for (int64_t x = 0; x < s; x++, out++) {
                int64_t v = y + dy, u = (mirror ? s - 1 - x : x) + dx;
                *out = v >= 0 && v < s && u >= 0 && u < s ? in[(c * s + v) * s + u] : 0.0f;
            }
}

static dfq_status fill_batch(dfqi_super_train *t, const dfqi_super_data *data, dfqi_rng r)
{
    int64_t s = t->net->space.image, classes = t->net->space.classes, crop = t->o.crop;
    float rest = t->o.smoothing / (float)classes;
    for (int64_t b = 0; b < t->o.batch; b++) {
        int64_t i = dfqi_rng_below(&r, (uint32_t)data->n);
        int64_t dy = (int64_t)dfqi_rng_below(&r, (uint32_t)(2 * crop + 1)) - crop;
        int64_t dx = (int64_t)dfqi_rng_below(&r, (uint32_t)(2 * crop + 1)) - crop;
        float *target = t->targets + b * classes;
        if (data->labels[i] < 0 || data->labels[i] >= classes)
            return dfqi_fail(t->net->ctx, DFQ_E_INVALID, "label %lld is %d, must be 0 to %lld",
                             (long long)i, data->labels[i], (long long)classes - 1);
        shift(data->images + i * 3 * s * s, s, dy, dx, crop ? dfqi_rng_below(&r, 2) : 0,
              t->x + b * 3 * s * s);
        for (int64_t c = 0; c < classes; c++) target[c] = rest;
        target[data->labels[i]] += 1.0f - t->o.smoothing;
    }
    return DFQ_OK;
}

/* Leaves the pass for the caller to read, and to end. */
static dfq_status run_batch(dfqi_super_train *t, const dfqi_super_data *data, dfqi_rng r,
                            const int32_t *path, dfqi_super_mode mode, dfqi_super_pass *p,
                            float *out_loss)
{
    DFQI_TRY(fill_batch(t, data, r));
    DFQI_TRY(dfqi_super_pass_new(t->net, path, t->o.batch, mode, p));
    dfqi_exec_bind(p->e, p->x, t->x);
    dfqi_exec_bind(p->e, p->targets, t->targets);
    dfq_status status = dfqi_exec_run(p->e);
    float loss = status == DFQ_OK ? *dfqi_exec_data(p->e, p->loss) : 0.0f;
    if (!isfinite(loss))
        status = dfqi_fail(t->net->ctx, DFQ_E_NUMERIC,
                           "train: the loss of step %lld is %g; check the images and the weights, "
                           "or lower the learning rate",
                           (long long)t->done, (double)loss);
    if (status != DFQ_OK)
        dfqi_super_pass_fini(p);
    else
        *out_loss = loss;
    return status;
}

/* Updates the part of tensor k of layer i that the path uses; the rest and its moments stay. */
static void step_tensor(dfqi_super_train *t, const dfqi_super_pass *p, int32_t i, int32_t k,
                        float learning_rate)
{
    const dfqi_super_layer *l = &t->net->layers[i];
    dfqi_moments *all = &t->moments[i][k];
    dfqi_optim_options o = {.kind = t->o.optimizer,
                            .momentum = t->o.momentum,
                            .beta1 = 0.9f,
                            .beta2 = 0.999f,
                            .eps = 1e-8f,
                            .weight_decay = dfqi_super_layer_decays(l, k) ? t->o.weight_decay : 0};
    const float *g = dfqi_exec_data(p->e, p->taps[i].grad[k]);
    float *w = dfqi_tensor_f32(l->t[k]);
    int64_t n = dfqi_value_count(dfqi_graph_value(p->g, p->taps[i].t[k]));
    if (n == all->count) {
        dfqi_optim_step(t->net->ctx, &o, all, t->done, learning_rate, g, w);
        return;
    }
    dfqi_moments part = dfqi_moments_at(o.kind, n, t->part + n);
    dfqi_super_pass_copy(p, i, k, w, t->part, 0);
    dfqi_super_pass_copy(p, i, k, all->m, part.m, 0);
    if (part.v) dfqi_super_pass_copy(p, i, k, all->v, part.v, 0);
    dfqi_optim_step(t->net->ctx, &o, &part, t->done, learning_rate, g, t->part);
    dfqi_super_pass_copy(p, i, k, w, t->part, 1);
    dfqi_super_pass_copy(p, i, k, all->m, part.m, 1);
    if (part.v) dfqi_super_pass_copy(p, i, k, all->v, part.v, 1);
}

dfq_status dfqi_super_train_step(dfqi_super_train *t, const dfqi_super_data *data,
                                 const int32_t *path, float *out_loss)
{
    dfqi_super_pass p;
    float learning_rate =
        dfqi_cosine(t->done, t->o.steps, t->o.warmup_steps, t->o.learning_rate, 0.0f);
    DFQI_TRY(run_batch(t, data, stream(t->o.seed, t->done, STREAM_BATCH), path, DFQI_SUPER_TRAIN,
                       &p, out_loss));
    dfqi_super_pass_track(&p, TRACK);
    t->done++;
    for (int32_t i = 0; i < t->net->n_layers; i++)
        for (int k = 0; k < 3 && p.taps[i].grad[k] != DFQI_NONE; k++)
            step_tensor(t, &p, i, k, learning_rate);
    dfqi_super_pass_fini(&p);
    return DFQ_OK;
}

dfq_status dfqi_super_train_gates(dfqi_super_train *t, const dfqi_super_data *data, int64_t key,
                                  const int32_t *path, float *out_loss, double *out_gates)
{
    dfqi_super_pass p;
    DFQI_TRY(run_batch(t, data, stream(t->o.seed, key, STREAM_GATES), path, DFQI_SUPER_TRAIN, &p,
                       out_loss));
    dfqi_super_pass_gates(&p, out_gates);
    dfqi_super_pass_fini(&p);
    return DFQ_OK;
}

dfq_status dfqi_super_train_loss(dfqi_super_train *t, const dfqi_super_data *data, int64_t key,
                                 const int32_t *path, float *out_loss)
{
    dfqi_super_pass p;
    DFQI_TRY(run_batch(t, data, stream(t->o.seed, key, STREAM_GATES), path, DFQI_SUPER_LOSS, &p,
                       out_loss));
    dfqi_super_pass_fini(&p);
    return DFQ_OK;
}

int64_t dfqi_super_train_done(const dfqi_super_train *t)
{
    return t->done;
}

void dfqi_super_train_resume(dfqi_super_train *t, int64_t done)
{
    t->done = done;
}

int64_t dfqi_super_train_moments(const dfqi_super_train *t)
{
    return dfqi_moments_floats(t->o.optimizer);
}

float *dfqi_super_train_momentum(const dfqi_super_train *t, int32_t layer, int32_t k)
{
    return k < 3 ? t->moments[layer][k].m : NULL;
}

/* -- single paths ------------------------------------------------------------------------------ */

static dfq_status need_batch(dfq_context *ctx, const dfqi_super_data *data, int64_t batch)
{
    if (batch >= 1 && batch <= data->n) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "batch is %lld, must be 1 to %lld, the number of images",
                     (long long)batch, (long long)data->n);
}

dfq_status dfqi_super_recalibrate(dfqi_supernet *net, const int32_t *path,
                                  const dfqi_super_data *data, int64_t batch, int64_t batches)
{
    int64_t pixels = 3 * net->space.image * net->space.image;
    dfqi_super_pass p;
    dfq_status status = DFQ_OK;
    DFQI_TRY(need_batch(net->ctx, data, batch));
    if (net->space.family == DFQI_SUPER_VIT) return DFQ_OK; /* LayerNorms keep no statistics */
    float *targets = dfqi_calloc(net->ctx, (size_t)(batch * net->space.classes), sizeof *targets);
    if (!targets) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_super_pass_new(net, path, batch, DFQI_SUPER_LOSS, &p), out);
    dfqi_exec_bind(p.e, p.targets, targets);
    for (int64_t k = 0; k < batches && (k + 1) * batch <= data->n && status == DFQ_OK; k++) {
        dfqi_exec_bind(p.e, p.x, data->images + k * batch * pixels);
        status = dfqi_exec_run(p.e);
        if (status == DFQ_OK) dfqi_super_pass_track(&p, 1.0f / (float)(k + 1));
    }
    dfqi_super_pass_fini(&p);
out:
    dfqi_free(net->ctx, targets);
    return status;
}

dfq_status dfqi_super_evaluate(const dfqi_supernet *net, const int32_t *path,
                               const dfqi_super_data *data, int64_t batch, int64_t *out_correct,
                               int64_t *out_not_finite)
{
    int64_t classes = net->space.classes, pixels = 3 * net->space.image * net->space.image;
    int64_t correct = 0, not_finite = 0;
    dfqi_super_pass p;
    dfq_status status = DFQ_OK;
    DFQI_TRY(need_batch(net->ctx, data, batch));
    DFQI_TRY(dfqi_super_pass_new(net, path, batch, DFQI_SUPER_EVAL, &p));
    for (int64_t done = 0; done < data->n && status == DFQ_OK; done += batch) {
        int64_t first =
            done + batch <= data->n ? done : data->n - batch; /* the last one overlaps */
        dfqi_exec_bind(p.e, p.x, data->images + first * pixels);
        status = dfqi_exec_run(p.e);
        for (int64_t i = done; status == DFQ_OK && i < first + batch; i++) {
            const float *z = dfqi_exec_data(p.e, p.logits) + (i - first) * classes;
            int32_t best = dfqi_best_class(z, classes);
            correct += best == data->labels[i];
            not_finite += best < 0;
        }
    }
    dfqi_super_pass_fini(&p);
    if (status != DFQ_OK) return status;
    *out_correct = correct;
    *out_not_finite = not_finite;
    return DFQ_OK;
}
