/* Qimera's generator network (docs/METHODS.md, Generators): noise is added to the embeddings of
 * classes, and mixtures of them are made.
 *
 * The published BatchNorm works on transposed arrays. For an image of one class it standardises the
 * values of that image alone; for mixtures it standardises a slot over the whole batch. One graph
 * has both, and the inputs `mix` and `own` select. */
#include "graph/ops.h"
#include "nn/generator_priv.h"

/* A constant vector. */
static dfqi_id constant(dfqi_graph *g, int64_t n, float value)
{
    dfq_tensor *t;
    if (dfqi_graph_status(g) != DFQ_OK) return DFQI_NONE;
    if (dfqi_tensor_new(g->ctx, DFQI_F32, 1, &n, &t) != DFQ_OK)
        return dfqi_graph_fail(g, DFQ_E_NOMEM, "out of memory: %lld numbers", (long long)n);
    for (int64_t i = 0; i < n; i++) dfqi_tensor_f32(t)[i] = value;
    dfqi_id id = dfqi_graph_param(g, "constant", t, 1);
    dfqi_tensor_release(t);
    return id;
}

/* x[B,K,D], each slot standardised over images and values. */
static dfqi_id slots_standardised(dfqi_maker *m, dfqi_id x)
{
    int64_t k = m->a->slots, d = m->a->latent;
    dfqi_graph *g = m->g;
    x = dfqi_channels_last(g, dfqi_reshape(g, x, 3, (int64_t[]){k, d, 1}));
    dfqi_id mean = dfqi_batch_stats(g, x), var = dfqi_graph_output(g, mean, 1);
    x = dfqi_batchnorm(g, x, mean, var, DFQI_NONE, DFQI_NONE, DFQI_GENERATOR_EPS);
    return dfqi_reshape(g, dfqi_channels_first(g, x), 2, (int64_t[]){k, d});
}

void dfqi_qimera_list(dfqi_weights *l)
{
    const dfqi_generator_arch *a = l->a;
    dfqi_list_embed(l, a->latent);
    if (a->reduced > 0) dfqi_list_linear(l, "reduce", a->reduced, a->latent);
    dfqi_list_stack(l, a->reduced > 0 ? a->reduced : a->latent);
}

dfqi_id dfqi_qimera_make(dfqi_maker *m)
{
    dfqi_graph *g = m->g;
    int64_t d = m->a->latent;
    dfqi_id x = dfqi_add(g, dfqi_embed(g, *m->next++, m->in->labels), m->in->noise[0]);
    dfqi_id own = dfqi_layernorm(g, x, constant(g, d, 1), constant(g, d, 0), DFQI_GENERATOR_EPS);
    dfqi_id mixture = dfqi_make_mixture(m, m->in->mix, slots_standardised(m, x));
    x = dfqi_add(g, mixture, dfqi_make_mixture(m, m->in->own, own));
    if (m->a->reduced > 0) x = dfqi_make_linear(m, "reduce", x);
    return dfqi_make_stack(m, x);
}
