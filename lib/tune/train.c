/* Supervised training. One graph has the forward pass, the mean cross-entropy and its gradients. A
 * step runs it, then AdamW updates the parameters in place. */
#include "tune/train_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/progress.h"
#include "graph/ops.h"
#include "nn/family.h"

/* -- options ----------------------------------------------------------------------------------- */

void dfqi_train_defaults(dfqi_train_options *o)
{
    *o = (dfqi_train_options){.batch = 64,
                              .steps = 10000,
                              .warmup_steps = 500,
                              .learning_rate = 1e-3f,
                              .end_learning_rate = 1e-5f,
                              .beta1 = 0.9f,
                              .beta2 = 0.999f,
                              .eps = 1e-8f,
                              .weight_decay = 0.05f};
}

static dfq_status check_options(dfq_context *ctx, const dfqi_train_options *o)
{
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "batch", o->batch, 1, 4096));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "steps", o->steps, 1, 1000000000));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "warmup_steps", o->warmup_steps, 0, 1000000000));
    DFQI_TRY(dfqi_check_real(ctx, NULL, "learning_rate", (double)o->learning_rate, 0.0, 1000.0));
    DFQI_TRY(
        dfqi_check_real(ctx, NULL, "end_learning_rate", (double)o->end_learning_rate, 0.0, 1000.0));
    DFQI_TRY(dfqi_check_real(ctx, NULL, "beta1", (double)o->beta1, 0.0, (double)0.999999f));
    DFQI_TRY(dfqi_check_real(ctx, NULL, "beta2", (double)o->beta2, 0.0, (double)0.999999f));
    DFQI_TRY(dfqi_check_real(ctx, NULL, "eps", (double)o->eps, (double)1e-20f, 1.0));
    return dfqi_check_real(ctx, NULL, "weight_decay", (double)o->weight_decay, 0.0, 1.0);
}

/* -- a new model ------------------------------------------------------------------------------- */

static dfq_status check_name(dfq_context *ctx, const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    if (strncmp(name, "vit", 3) == 0 && strspn(name, allowed) == strlen(name)) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "name is \"%.60s\", must begin with \"vit\" and have letters, digits, '_', "
                     "'.' and '-' alone",
                     name);
}

static dfq_status check_arch(dfq_context *ctx, const dfqi_arch *a)
{
    const int64_t patch = a->of.vit.patch;
    char text[DFQI_SIZE_TEXT];
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "image", a->image.height, 1, 1024));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "image_width", a->image.width, 1, 1024));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "patch", patch, 1, dfqi_shorter(a->image)));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "width", a->of.vit.width, 1, 65536));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "depth", a->of.vit.depth, 1, 999));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "heads", a->of.vit.heads, 1,
                              a->of.vit.width < 4096 ? a->of.vit.width : 4096));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "hidden", a->of.vit.hidden, 1, 65536));
    DFQI_TRY(dfqi_check_whole(ctx, NULL, "classes", a->classes, 2, 65536));
    for (int k = 0; k < 3; k++) {
        DFQI_TRY(dfqi_check_real(ctx, NULL, "mean", (double)a->mean[k], -10.0, 10.0));
        DFQI_TRY(dfqi_check_real(ctx, NULL, "std", (double)a->std[k], (double)1e-6f, 10.0));
    }
    if (a->image.height % patch || a->image.width % patch)
        return dfqi_fail(ctx, DFQ_E_INVALID, "image is %s, must be a multiple of patch, %lld",
                         dfqi_size_text(a->image, text), (long long)patch);
    if (a->of.vit.width % a->of.vit.heads)
        return dfqi_fail(ctx, DFQ_E_INVALID, "width is %lld, must be a multiple of heads, %lld",
                         (long long)a->of.vit.width, (long long)a->of.vit.heads);
    return DFQ_OK;
}

dfq_status dfqi_train_create_model(dfq_context *ctx, const dfqi_arch *arch, uint64_t seed,
                                   dfqi_model **out)
{
    dfqi_arch a = *arch;
    dfqi_network net;
    char size[DFQI_SIZE_TEXT];
    a.family = DFQI_FAMILY_VIT;
    a.channels = 3;
    a.eps = 1e-6f;
    a.resize = a.image; /* the whole picture, brought to size */
    a.filter = DFQI_BICUBIC;
    DFQI_TRY(check_arch(ctx, &a));
    if (a.name[0] == '\0')
        snprintf(a.name, sizeof a.name, "vit_w%d_d%d_patch%d_%s", (int)a.of.vit.width,
                 (int)a.of.vit.depth, (int)a.of.vit.patch, dfqi_size_text(a.image, size));
    DFQI_TRY(check_name(ctx, a.name));
    DFQI_TRY(dfqi_network_new(ctx, &a, &net));
    dfqi_network_init(&net, seed);
    dfq_status status = dfqi_model_new(&net, NULL, out);
    dfqi_network_fini(&net);
    return status;
}

/* -- the job ----------------------------------------------------------------------------------- */

void dfqi_train_release(dfqi_train *t)
{
    if (!t) return;
    dfqi_exec_free(t->e);
    dfqi_graph_free(t->g);
    for (int32_t i = 0; t->moments && i < t->model->net.n_params; i++)
        dfqi_moments_fini(t->ctx, &t->moments[i]);
    dfqi_free(t->ctx, t->moments);
    dfqi_free(t->ctx, t->grad);
    dfqi_free(t->ctx, t->labels_f);
    dfqi_model *model = t->model;
    dfqi_free(t->ctx, t);
    dfqi_model_release(model);
}

/* The forward pass; through the quantizers if there are any. */
static dfq_status build_forward(dfqi_train *t, dfqi_id *params)
{
    const dfqi_model *m = t->model;
    const dfqi_arch *a = &m->net.arch;
    dfqi_quant_pass pass = {0};
    dfqi_taps taps = {0};
    t->x = dfqi_arch_input(a, t->g);
    t->labels = dfqi_graph_input(t->g, "labels", 1, 0, NULL);
    dfqi_network_params(&m->net, t->g, 0, params);
    if (m->quantized) DFQI_TRY(dfqi_quant_pass_begin(&pass, t->g, &m->scheme, 1));
    dfqi_network_forward(&m->net, t->g, params, t->x, &taps);
    if (m->quantized) dfqi_quant_pass_end(&pass, t->g);
    dfqi_quant_pass_fini(&pass, t->ctx);
    t->logits = taps.logits;
    return dfqi_graph_status(t->g);
}

static dfq_status build_graph(dfqi_train *t)
{
    int32_t n = t->model->net.n_params;
    dfq_status status;
    dfqi_id *params = dfqi_calloc(t->ctx, (size_t)n, sizeof *params);
    if (!params) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_graph_new(t->ctx, t->o.batch, &t->g), out);
    DFQI_GOTO(build_forward(t, params), out);
    dfqi_id losses = dfqi_cross_entropy(t->g, t->logits, t->labels);
    t->loss = dfqi_total(t->g, 1, &losses, (float[]){1.0f});
    dfqi_id one = dfqi_fill(t->g, t->loss, 1.0f);
    DFQI_GOTO(dfqi_graph_grad(t->g, 1, &t->loss, &one, n, params, t->grad), out);
    dfqi_graph_keep(t->g, t->logits);
    dfqi_graph_keep(t->g, t->loss);
    for (int32_t i = 0; i < n; i++) dfqi_graph_keep(t->g, t->grad[i]);
    status = dfqi_graph_status(t->g);
out:
    dfqi_free(t->ctx, params);
    return status;
}

dfq_status dfqi_train_new(dfqi_model *m, const dfqi_train_options *o, dfqi_train **out)
{
    dfq_context *ctx = m->ctx;
    size_t n = (size_t)m->net.n_params;
    dfq_status status = DFQ_E_NOMEM;
    DFQI_TRY(check_options(ctx, o));
    dfqi_train *t = dfqi_calloc(ctx, 1, sizeof *t);
    if (!t) return DFQ_E_NOMEM;
    t->ctx = ctx;
    t->o = *o;
    t->model = dfqi_model_retain(m);
    t->grad = dfqi_calloc(ctx, n, sizeof *t->grad);
    t->moments = dfqi_calloc(ctx, n, sizeof *t->moments);
    t->labels_f = dfqi_calloc(ctx, (size_t)o->batch, sizeof *t->labels_f);
    if (!t->grad || !t->moments || !t->labels_f) goto fail;
    for (size_t i = 0; i < n; i++)
        DFQI_GOTO(dfqi_moments_new(ctx, DFQI_ADAMW, dfqi_tensor_count(m->net.params[i].tensor),
                                   &t->moments[i]),
                  fail);
    DFQI_GOTO(build_graph(t), fail);
    DFQI_GOTO(dfqi_exec_new(t->g, &t->e), fail);
    dfqi_exec_bind(t->e, t->labels, t->labels_f);
    *out = t;
    return DFQ_OK;
fail:
    dfqi_train_release(t);
    return status;
}

/* -- a step ------------------------------------------------------------------------------------ */

static dfq_status read_labels(dfqi_train *t, const int32_t *labels)
{
    int64_t classes = t->model->net.arch.classes;
    for (int64_t i = 0; i < t->o.batch; i++) {
        if (labels[i] < 0 || labels[i] >= classes)
            return dfqi_fail(t->ctx, DFQ_E_INVALID, "label %lld is %d, must be 0 to %lld",
                             (long long)i, labels[i], (long long)classes - 1);
        t->labels_f[i] = (float)labels[i];
    }
    return DFQ_OK;
}

static int32_t count_correct(const dfqi_train *t, const int32_t *labels)
{
    int64_t classes = t->model->net.arch.classes;
    const float *z = dfqi_exec_data(t->e, t->logits);
    int32_t correct = 0;
    for (int64_t i = 0; i < t->o.batch; i++, z += classes) {
        int64_t best = 0;
        for (int64_t c = 1; c < classes; c++)
            if (z[c] > z[best]) best = c;
        correct += best == labels[i];
    }
    return correct;
}

/* Weight decay is for matrices: not for biases, norms (vectors), class token and positions. */
static int decays(const dfq_tensor *t)
{
    return t->rank == 2 || t->rank == 4;
}

static void update(dfqi_train *t)
{
    const dfqi_train_options *o = &t->o;
    dfqi_optim_options plain = {
        .kind = DFQI_ADAMW, .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps};
    dfqi_optim_options decay = plain;
    int64_t at = t->done < o->steps ? t->done : o->steps;
    float learning_rate =
        dfqi_cosine(at, o->steps, o->warmup_steps, o->learning_rate, o->end_learning_rate);
    decay.weight_decay = o->weight_decay;
    t->done++;
    for (int32_t i = 0; i < t->model->net.n_params; i++) {
        dfq_tensor *p = t->model->net.params[i].tensor;
        if (t->model->net.params[i].fixed) continue; /* no gradient */
        dfqi_optim_step(t->ctx, decays(p) ? &decay : &plain, &t->moments[i], t->done, learning_rate,
                        dfqi_exec_data(t->e, t->grad[i]), dfqi_tensor_f32(p));
    }
}

dfq_status dfqi_train_step(dfqi_train *t, const float *images, const int32_t *labels,
                           float *out_loss, int32_t *out_correct)
{
    double start = dfqi_now();
    DFQI_TRY(read_labels(t, labels));
    dfqi_exec_bind(t->e, t->x, images);
    DFQI_TRY(dfqi_exec_run(t->e));
    float loss = *dfqi_exec_data(t->e, t->loss);
    if (!isfinite(loss))
        return dfqi_fail(t->ctx, DFQ_E_NUMERIC,
                         "train: the loss of step %lld is %g; check the images and the weights, or "
                         "lower the learning rate",
                         (long long)t->done, (double)loss);
    int32_t correct = count_correct(t, labels);
    update(t);
    t->seconds += dfqi_now() - start;
    t->timed++;
    *out_loss = loss;
    *out_correct = correct;
    return DFQ_OK;
}
