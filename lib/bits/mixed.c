/* Networks of several widths (mixed.h). */
#include "bits/mixed.h"

#include <math.h>
#include <string.h>

#include "quant/fold_batchnorm.h"
#include "quant/layers.h"

/* -- widths to networks and schemes ------------------------------------------------------------ */

/* The row of the table that a parameter or a site belongs to, or -1. */
static int32_t row_of(const dfqi_bits *table, const char *name)
{
    char layer[128];
    const char *dot = strrchr(name, '.');
    size_t n = dot ? (size_t)(dot - name) : strlen(name);
    if (n >= sizeof layer) return -1;
    memcpy(layer, name, n);
    layer[n] = '\0';
    return dfqi_bits_find(table, layer);
}

/* The base with the parameters of forms where weights are quantized; tensors stay borrowed. */
static dfq_status mix_network(const dfqi_mixed *m, const dfqi_pair *widths, dfqi_network *out)
{
    *out = *m->base;
    out->params = dfqi_calloc(m->ctx, (size_t)m->base->n_params, sizeof *out->params);
    if (!out->params) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < out->n_params; i++) {
        int32_t layer = dfqi_folded_into(m->base, i);
        int32_t row = row_of(m->table, m->base->params[layer].name),
                w = row < 0 ? 0 : widths[row].w;
        out->params[i] = w ? m->forms[w]->net.params[i] : m->base->params[i];
    }
    return DFQ_OK;
}

/* Sites of activations alone: weights lie on their grids already. */
static dfq_status mix_scheme(const dfqi_mixed *m, const dfqi_pair *widths, dfqi_scheme *out)
{
    const dfqi_scheme *any = &m->forms[DFQI_BITS_MAX]->scheme;
    *out = *any;
    out->n_sites = 0;
    out->sites = dfqi_calloc(m->ctx, (size_t)any->n_sites, sizeof *out->sites);
    if (!out->sites) return DFQ_E_NOMEM;
    for (int32_t i = 0; i < any->n_sites; i++) {
        int32_t row = row_of(m->table, any->sites[i].name), a = row < 0 ? 0 : widths[row].a;
        if (a == 0 || dfqi_site_is_weight(&any->sites[i])) continue;
        dfqi_site *site = &out->sites[out->n_sites++];
        *site = m->forms[a]->scheme.sites[i];
        if (!dfqi_site_is_runtime(site)) continue;
        site->bits = a; /* forms may have activations of other widths: such grids need no values */
        site->qmax = ldexpf(1.0f, site->qmin < 0 ? a - 1 : a) - 1.0f;
        if (site->qmin < 0) site->qmin = -site->qmax;
    }
    return DFQ_OK;
}

static dfq_status build(const dfqi_network *net, const dfqi_scheme *s, int64_t n,
                        dfqi_mixed_graph *out)
{
    dfqi_taps taps = {0};
    dfqi_quant_pass pass = {0};
    dfq_status status = DFQ_E_NOMEM;
    dfqi_id *ids = dfqi_calloc(net->ctx, (size_t)net->n_params, sizeof *ids);
    out->ctx = net->ctx;
    if (!ids) return DFQ_E_NOMEM;
    DFQI_GOTO(dfqi_graph_new(net->ctx, n, &out->g), out);
    out->image = dfqi_arch_input(&net->arch, out->g);
    dfqi_network_params(net, out->g, 1, ids);
    if (s->n_sites > 0) DFQI_GOTO(dfqi_quant_pass_begin(&pass, out->g, s, 1), out);
    if (s->n_sites == 0) out->g->rewrite = dfqi_rewrite_nothing; /* the same nodes */
    out->g->lean = 1;
    dfqi_network_forward(net, out->g, ids, out->image, &taps);
    dfqi_quant_pass_end(&pass, out->g);
    DFQI_GOTO(dfqi_graph_status(out->g), out);
    status = dfqi_cut_init(out->g, taps.logits, &out->cut);
out:
    dfqi_quant_pass_fini(&pass, net->ctx);
    dfqi_free(net->ctx, ids);
    return status;
}

dfq_status dfqi_mixed_build(const dfqi_mixed *m, const dfqi_pair *widths, dfqi_mixed_graph *out)
{
    dfqi_network net = {0};
    dfqi_scheme scheme = {0};
    *out = (dfqi_mixed_graph){.ctx = m->ctx};
    dfq_status status = mix_network(m, widths, &net);
    if (status == DFQ_OK) status = mix_scheme(m, widths, &scheme);
    if (status == DFQ_OK) status = build(&net, &scheme, m->n, out);
    dfqi_free(m->ctx, net.params);
    dfqi_free(m->ctx, scheme.sites);
    if (status != DFQ_OK) dfqi_mixed_graph_fini(out);
    return status;
}

void dfqi_mixed_graph_fini(dfqi_mixed_graph *g)
{
    dfqi_cut_fini(&g->cut);
    dfqi_graph_free(g->g);
    memset(g, 0, sizeof *g);
}

/* The node that made an operand before its quantizer; -1: none. */
static int32_t maker(const dfqi_graph *g, dfqi_id v)
{
    int32_t made = v < 0 || !g->values[v].batched ? -1 : g->values[v].node;
    if (made < 0) return -1;
    dfqi_op_kind op = g->nodes[made].op;
    bool quantizer = op == DFQI_OP_FQ || op == DFQI_OP_FQ_LOG || op == DFQI_OP_FQ_ROW;
    return quantizer ? maker(g, g->nodes[made].in[0]) : made;
}

/* Behind what makes its operands: quantizers and packing come in between. */
int32_t dfqi_mixed_first(const dfqi_mixed_graph *mixed, const char *layer)
{
    const dfqi_graph *g = mixed->g;
    for (int32_t i = 0; i < g->n_nodes; i++) {
        const dfqi_node *n = &g->nodes[i];
        int32_t last = -1;
        if (strcmp(n->name, layer) != 0) continue;
        for (int32_t k = 0; k < n->n_in; k++) {
            int32_t made = maker(g, n->in[k]);
            if (made > last) last = made;
        }
        return last + 1;
    }
    return g->n_nodes;
}

/* -- divergence -------------------------------------------------------------------------------- */

/* Logarithms of the probabilities of one image. */
static void log_softmax(const float *z, int64_t n, double *out)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, (double)z[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)z[i] - top);
    for (int64_t i = 0; i < n; i++) out[i] = (double)z[i] - top - log(sum);
}

static dfq_status run_logits(dfqi_mixed *m, const dfqi_pair *widths, const dfqi_cut_state *from)
{
    dfqi_mixed_graph g;
    dfqi_cut_state start = {0};
    DFQI_TRY(dfqi_mixed_build(m, widths, &g));
    dfq_status status = from ? DFQ_OK : dfqi_cut_start(g.g, &start);
    if (status == DFQ_OK)
        status =
            dfqi_cut_finish(&g.cut, g.image, m->images, from ? from : &start, &m->work, m->logits);
    dfqi_cut_state_fini(&start);
    dfqi_mixed_graph_fini(&g);
    return status;
}

dfq_status dfqi_mixed_kl(dfqi_mixed *m, const dfqi_pair *widths, const dfqi_cut_state *from,
                         double *out)
{
    double sum = 0;
    double *p = dfqi_calloc(m->ctx, (size_t)m->classes, sizeof *p);
    if (!p) return DFQ_E_NOMEM;
    dfq_status status = run_logits(m, widths, from);
    for (int64_t i = 0; status == DFQ_OK && i < m->n; i++) {
        const double *t = m->teacher + i * m->classes;
        log_softmax(m->logits + i * m->classes, m->classes, p);
        for (int64_t c = 0; c < m->classes; c++) sum += exp(t[c]) * (t[c] - p[c]);
    }
    dfqi_free(m->ctx, p);
    if (status != DFQ_OK) return status;
    if (!isfinite(sum))
        return dfqi_fail(m->ctx, DFQ_E_NUMERIC,
                         "%s: the logits of quantized layers are not finite; check the images",
                         m->base->arch.name);
    *out = fmax(sum / (double)m->n, 0);
    return DFQ_OK;
}

dfq_status dfqi_mixed_init(dfqi_mixed *m)
{
    size_t values;
    dfq_status status = DFQ_E_NOMEM;
    m->classes = m->base->arch.classes;
    if (!dfqi_mul_size((size_t)m->n, (size_t)m->classes, &values)) return DFQ_E_NOMEM;
    dfqi_pair *none = dfqi_calloc(m->ctx, (size_t)m->table->n, sizeof *none);
    m->teacher = dfqi_calloc(m->ctx, values, sizeof *m->teacher);
    m->logits = dfqi_calloc(m->ctx, values, sizeof *m->logits);
    if (none && m->teacher && m->logits) status = run_logits(m, none, NULL);
    dfqi_free(m->ctx, none);
    for (int64_t i = 0; status == DFQ_OK && i < m->n; i++)
        log_softmax(m->logits + i * m->classes, m->classes, m->teacher + i * m->classes);
    return status;
}

void dfqi_mixed_fini(dfqi_mixed *m)
{
    dfqi_free(m->ctx, m->teacher);
    dfqi_free(m->ctx, m->logits);
    dfqi_workspace_fini(m->ctx, &m->work);
    m->teacher = NULL;
    m->logits = NULL;
}
