/* The graph of the losses, and its passes over the images. */
#include "tune/loss_surface.h"

#include <string.h>

#include "base/memory.h"
#include "graph/ops.h"

/* -- graph ------------------------------------------------------------------------------------- */

/* One value for each image, [B]. */
static dfqi_id loss_of(dfqi_loss_surface *l, dfqi_slope slope, dfqi_id logits)
{
    switch (slope) {
    case DFQI_SLOPE_KL:
        return dfqi_kl(l->g, logits, l->target, l->temperature);
    case DFQI_SLOPE_PLAIN:
        return dfqi_kl(l->g, logits, l->target, 1.0f);
    default:
        return dfqi_cross_entropy(l->g, logits, l->label);
    }
}

static void build_losses(dfqi_loss_surface *l, uint32_t mask, dfqi_id logits)
{
    for (int s = 0; s < DFQI_SLOPES; s++) {
        if (!(mask >> s & 1)) continue;
        /* the mean over the batch becomes this batch's part of the mean over all images */
        float weight = (float)((double)l->batch / (double)l->n);
        if (s == DFQI_SLOPE_KL && l->divide) weight /= (float)l->classes;
        dfqi_id one = dfqi_mul(l->g, loss_of(l, (dfqi_slope)s, logits), l->share);
        l->slot[l->n_slots] = (dfqi_slope)s;
        l->loss[l->n_slots] = dfqi_total(l->g, 1, &one, &weight);
        dfqi_graph_keep(l->g, l->loss[l->n_slots++]);
    }
}

static dfq_status build_gradients(dfqi_loss_surface *l, const dfqi_id *weights)
{
    for (int32_t s = 0; s < l->n_slots; s++) {
        dfqi_id *grad = l->grad + s * l->n_weights, seed = dfqi_fill(l->g, l->loss[s], 1.0f);
        DFQI_TRY(dfqi_graph_grad(l->g, 1, &l->loss[s], &seed, l->n_weights, weights, grad));
        for (int32_t i = 0; i < l->n_weights; i++)
            if (grad[i] != DFQI_NONE) dfqi_graph_keep(l->g, grad[i]);
    }
    return DFQ_OK;
}

static dfq_status build(dfqi_loss_surface *l, uint32_t mask, dfqi_id *weights)
{
    dfqi_id logits = DFQI_NONE;
    DFQI_TRY(dfqi_graph_new(l->ctx, l->batch, &l->g));
    l->x = dfqi_graph_input(l->g, "image", 1, l->rank, l->dims);
    l->label = dfqi_graph_input(l->g, "label", 1, 0, NULL);
    l->target = dfqi_graph_input(l->g, "teacher", 1, 1, &l->classes);
    l->share = dfqi_graph_input(l->g, "share", 1, 0, NULL);
    DFQI_TRY(l->forward(l->user, l->g, l->x, weights, &logits));
    build_losses(l, mask, logits);
    DFQI_TRY(dfqi_graph_status(l->g));
    return l->grad ? build_gradients(l, weights) : DFQ_OK;
}

/* All but the executor. */
static dfq_status prepare(dfqi_loss_surface *l, uint32_t mask, int gradients)
{
    dfq_status status = DFQ_E_NOMEM;
    size_t n = (size_t)l->n_weights;
    dfqi_id *weights = dfqi_calloc(l->ctx, n, sizeof *weights);
    l->counts = dfqi_calloc(l->ctx, (size_t)l->batch, sizeof *l->counts);
    if (gradients) l->grad = dfqi_calloc(l->ctx, DFQI_SLOPES * n, sizeof *l->grad);
    if (weights && l->counts && (!gradients || l->grad)) status = build(l, mask, weights);
    dfqi_free(l->ctx, weights);
    return status;
}

dfq_status dfqi_loss_surface_open(dfqi_loss_surface *l, uint32_t mask, int gradients)
{
    dfqi_loss_surface_close(l);
    dfq_status status = prepare(l, mask, gradients);
    if (status == DFQ_OK) status = dfqi_exec_new(l->g, &l->e);
    if (status != DFQ_OK) dfqi_loss_surface_close(l);
    return status;
}

dfq_status dfqi_loss_surface_cost(const dfqi_loss_surface *l, uint32_t mask, int gradients,
                                  double *out_bytes, double *out_macs)
{
    dfqi_loss_surface own = *l;
    size_t bytes = 0;
    own.g = NULL;
    own.e = NULL;
    own.counts = NULL;
    own.grad = NULL;
    own.n_slots = 0;
    dfq_status status = prepare(&own, mask, gradients);
    if (status == DFQ_OK) status = dfqi_exec_estimate(own.g, &bytes);
    if (status == DFQ_OK) {
        *out_bytes = (double)bytes;
        *out_macs = dfqi_graph_macs(own.g);
    }
    dfqi_loss_surface_close(&own);
    return status;
}

void dfqi_loss_surface_close(dfqi_loss_surface *l)
{
    dfqi_exec_free(l->e);
    dfqi_graph_free(l->g);
    dfqi_free(l->ctx, l->counts);
    dfqi_free(l->ctx, l->grad);
    l->e = NULL;
    l->g = NULL;
    l->counts = NULL;
    l->grad = NULL;
    l->n_slots = 0;
}

/* -- runs -------------------------------------------------------------------------------------- */

int64_t dfqi_loss_surface_batches(const dfqi_loss_surface *l)
{
    return (l->n + l->batch - 1) / l->batch;
}

dfq_status dfqi_loss_surface_run(dfqi_loss_surface *l, int64_t i, double *loss, float sign,
                                 float *sums)
{
    const dfqi_kernels *k = dfqi_kernels_get(l->ctx);
    int64_t from = i * l->batch, pixels = 1;
    /* the last batch is moved back to be full: its first images were counted before */
    int64_t first = from + l->batch <= l->n ? from : l->n - l->batch;
    for (int32_t d = 0; d < l->rank; d++) pixels *= l->dims[d];
    for (int64_t b = 0; b < l->batch; b++) l->counts[b] = first + b >= from ? 1.0f : 0.0f;
    dfqi_exec_bind(l->e, l->x, l->images + first * pixels);
    dfqi_exec_bind(l->e, l->label, l->labels + first);
    dfqi_exec_bind(l->e, l->target, l->teacher + first * l->classes);
    dfqi_exec_bind(l->e, l->share, l->counts);
    DFQI_TRY(dfqi_exec_run(l->e));
    for (int32_t s = 0; s < l->n_slots; s++) {
        loss[s] += (double)*dfqi_exec_data(l->e, l->loss[s]);
        for (int32_t w = 0; l->grad && w < l->n_weights; w++) {
            dfqi_id grad = l->grad[s * l->n_weights + w];
            if (grad != DFQI_NONE)
                k->axpy((size_t)l->weights[w].count, sign, dfqi_exec_data(l->e, grad),
                        sums + s * l->floats + l->weights[w].at);
        }
    }
    return DFQ_OK;
}

void dfqi_loss_surface_move(const dfqi_loss_surface *l, const float *base, float a, const float *u,
                            float b, const float *v)
{
    const dfqi_kernels *k = dfqi_kernels_get(l->ctx);
    for (int32_t i = 0; i < l->n_weights; i++) {
        const dfqi_free_weight *w = &l->weights[i];
        float *to = dfqi_tensor_f32(w->tensor);
        memcpy(to, base + w->at, (size_t)w->count * sizeof *to);
        k->axpy((size_t)w->count, a, u + w->at, to);
        if (v) k->axpy((size_t)w->count, b, v + w->at, to);
    }
}
