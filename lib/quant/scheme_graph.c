/* Graphs of a network with the quantizers of a scheme in them, or with none. */
#include "quant/scheme_priv.h"

/* Makes a graph with the parameters of `net` in it. */
static dfq_status begin(const dfqi_network *net, int64_t batch, dfqi_graph **g, dfqi_id **ids,
                        dfqi_id *x)
{
    const dfqi_arch *a = &net->arch;
    *ids = dfqi_calloc(net->ctx, (size_t)net->n_params, sizeof **ids);
    if (!*ids) return DFQ_E_NOMEM;
    DFQI_TRY(dfqi_graph_new(net->ctx, batch, g));
    *x = dfqi_arch_input(a, *g);
    dfqi_network_params(net, *g, 1, *ids);
    return dfqi_graph_status(*g);
}

/* Hands the graph over if it is without error. */
static dfq_status finish(dfq_status status, dfqi_graph *g, dfqi_id *ids, dfq_context *ctx,
                         dfqi_graph **out)
{
    dfqi_free(ctx, ids);
    if (status == DFQ_OK) status = dfqi_graph_status(g);
    if (status != DFQ_OK)
        dfqi_graph_free(g);
    else
        *out = g;
    return status;
}

dfq_status dfqi_float_graph(const dfqi_network *net, int64_t batch, dfqi_rewrite rewrite,
                            void *user, dfqi_graph **out, dfqi_id *out_x)
{
    dfqi_graph *g = NULL;
    dfqi_id *ids = NULL;
    dfqi_taps taps = {0};
    dfq_status status = begin(net, batch, &g, &ids, out_x);
    if (status == DFQ_OK) {
        g->rewrite = rewrite;
        g->rewrite_user = user;
        dfqi_network_forward(net, g, ids, *out_x, &taps);
        g->rewrite = NULL;
        dfqi_graph_keep(g, taps.logits);
    }
    return finish(status, g, ids, net->ctx, out);
}

dfq_status dfqi_pass_graph(const dfqi_scheme *s, const dfqi_network *net, int64_t batch, int dry,
                           int32_t keep_site, dfqi_quant_pass *pass, dfqi_graph **out,
                           dfqi_id *out_x)
{
    dfqi_graph *g = NULL;
    dfqi_id *ids = NULL;
    dfqi_taps taps = {0};
    dfq_status status = begin(net, batch, &g, &ids, out_x);
    if (status == DFQ_OK) status = dfqi_quant_pass_begin(pass, g, s, 1);
    if (status == DFQ_OK) {
        pass->dry = dry;
        pass->keep_operands = 1;
        pass->keep_site = keep_site;
        dfqi_network_forward(net, g, ids, *out_x, &taps);
        dfqi_quant_pass_end(pass, g);
        if (keep_site < 0) dfqi_graph_keep(g, taps.logits);
    }
    return finish(status, g, ids, net->ctx, out);
}

dfq_status dfqi_track_graph(const dfqi_scheme *s, const dfqi_network *net, int64_t batch,
                            dfqi_quant_pass *pass, dfqi_graph **out, dfqi_id *out_x)
{
    dfqi_graph *g = NULL;
    dfqi_id *ids = NULL;
    dfqi_taps taps = {0};
    dfq_status status = begin(net, batch, &g, &ids, out_x);
    if (status == DFQ_OK) status = dfqi_quant_pass_begin(pass, g, s, 1);
    if (status == DFQ_OK) {
        pass->track = 1;
        dfqi_network_forward(net, g, ids, *out_x, &taps);
        dfqi_quant_pass_end(pass, g);
    }
    return finish(status, g, ids, net->ctx, out);
}
