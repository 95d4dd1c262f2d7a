/* Models: lifetime, and the forward graph. */
#include "quant/evaluate.h"

#include <string.h>

dfq_status dfqi_model_new(dfqi_network *take_net, dfqi_scheme *take_scheme, dfqi_model **out)
{
    dfqi_model *m = dfqi_calloc(take_net->ctx, 1, sizeof *m);
    if (!m) return DFQ_E_NOMEM;
    m->ctx = dfqi_context_retain(take_net->ctx);
    m->refs = 1;
    m->net = *take_net;
    memset(take_net, 0, sizeof *take_net);
    if (take_scheme) {
        m->scheme = *take_scheme;
        m->quantized = 1;
        memset(take_scheme, 0, sizeof *take_scheme);
    }
    *out = m;
    return DFQ_OK;
}

dfqi_model *dfqi_model_retain(const dfqi_model *m)
{
    dfqi_model *own = (dfqi_model *)(uintptr_t)m; /* the count is not part of what const promises */
    own->refs++;
    return own;
}

void dfqi_model_release(dfqi_model *m)
{
    if (!m || --m->refs > 0) return;
    dfq_context *ctx = m->ctx;
    dfqi_network_fini(&m->net);
    dfqi_scheme_fini(&m->scheme);
    for (int64_t i = 0; i < m->n_leftover; i++) dfqi_free(ctx, m->leftover[i]);
    dfqi_free(ctx, m->leftover);
    dfqi_free(ctx, m->probes);
    dfqi_free(ctx, m->rows);
    dfqi_free(ctx, m);
    dfqi_context_release(ctx);
}

dfq_status dfqi_model_read_names(dfqi_model *m, const char *path)
{
    dfqi_class_names *names;
    DFQI_TRY(dfqi_arch_need_classes(m->ctx, &m->net.arch, path));
    DFQI_TRY(dfqi_class_names_read(m->ctx, path, m->net.arch.classes, &names));
    dfqi_class_names_release(m->net.names);
    m->net.names = names;
    return DFQ_OK;
}

dfq_status dfqi_model_ready(const dfqi_model *m)
{
    for (int32_t i = 0; m->quantized && i < m->scheme.n_sites; i++) {
        const dfqi_site *site = &m->scheme.sites[i];
        bool set = dfqi_site_is_weight(site) || dfqi_site_is_runtime(site) ||
                   *dfqi_tensor_f32(site->scale) > 0;
        if (!set && dfqi_arch_is_cnn(&m->net.arch))
            return dfqi_fail(m->ctx, DFQ_E_INVALID,
                             "%s: the range of %s is not known yet; quantize with images, or tune "
                             "with a generator first",
                             m->net.arch.name, site->name);
    }
    return DFQ_OK;
}

static dfq_status build(const dfqi_model *m, int64_t batch, int32_t flags, dfqi_graph **out,
                        dfqi_id *out_x, dfqi_taps *taps)
{
    dfq_context *ctx = m->ctx;
    const dfqi_arch *a = &m->net.arch;
    dfqi_graph *g = NULL;
    dfqi_quant_pass pass = {0};
    DFQI_TRY(dfqi_model_ready(m));
    dfqi_id *ids = dfqi_calloc(ctx, (size_t)m->net.n_params, sizeof *ids);
    dfq_status status = ids ? dfqi_graph_new(ctx, batch, &g) : DFQ_E_NOMEM;
    if (status != DFQ_OK) goto out;
    dfqi_id x = dfqi_arch_input(a, g);
    dfqi_network_params(&m->net, g, 1, ids);
    g->lean = (flags & DFQI_GRAPH_LEAN) != 0;
    if (flags & DFQI_GRAPH_WHOLE) g->rewrite = dfqi_rewrite_nothing;
    if (m->quantized) DFQI_GOTO(dfqi_quant_pass_begin(&pass, g, &m->scheme, 1), out);
    pass.exact = (flags & DFQI_GRAPH_EXACT) != 0;
    if (flags & DFQI_GRAPH_IMAGE_CODES) {
        const dfqi_preprocess p = dfqi_model_preprocess(m);
        pass.image = dfqi_image_grid_of(&p);
    }
    dfqi_network_forward(&m->net, g, ids, x, taps);
    if (m->quantized) dfqi_quant_pass_end(&pass, g);
    dfqi_graph_keep(g, taps->logits);
    for (int64_t i = 0; i < dfqi_arch_blocks(a); i++) {
        if (taps->raw) dfqi_graph_keep(g, taps->raw[i]);
        if (taps->attn) dfqi_graph_keep(g, taps->attn[i]);
        if (taps->head) dfqi_graph_keep(g, taps->head[i]);
    }
    for (int32_t i = 0; taps->norms && i < dfqi_arch_norms(a); i++)
        dfqi_graph_keep(g, taps->norms[i].x);
    status = dfqi_graph_status(g);
    *out_x = x;
out:
    dfqi_quant_pass_fini(&pass, ctx);
    dfqi_free(ctx, ids);
    if (status != DFQ_OK)
        dfqi_graph_free(g);
    else
        *out = g;
    return status;
}

dfq_status dfqi_model_graph(const dfqi_model *m, int64_t batch, dfqi_graph **out, dfqi_id *out_x,
                            dfqi_taps *taps)
{
    return build(m, batch, 0, out, out_x, taps);
}

dfq_status dfqi_model_graph_with(const dfqi_model *m, int64_t batch, int32_t flags,
                                 dfqi_graph **out, dfqi_id *out_x, dfqi_id *out_logits)
{
    dfqi_taps taps = {0};
    DFQI_TRY(build(m, batch, flags, out, out_x, &taps));
    *out_logits = taps.logits;
    return DFQ_OK;
}
