/* The pass that puts fake-quantizers between the operands of products. */
#include <math.h>
#include <string.h>

#include "graph/ops.h"
#include "quant/scheme_priv.h"

static dfqi_id parameter(dfqi_graph *g, const dfqi_site *site, const char *what,
                         const dfq_tensor *t, int frozen)
{
    char name[128];
    if (!t) return DFQI_NONE;
    size_t n = strlen(site->name);
    memcpy(name, site->name, n);
    memcpy(name + n, what, strlen(what) + 1);
    return dfqi_graph_param(g, name, t, frozen);
}

/* LSQ's gradient scale 1 / sqrt(N Q): N values share the step, Q is the largest code. */
static float lsq_scale(double values, float hi)
{
    return (float)(1.0 / sqrt(values * hi));
}

static dfqi_id quantize_weight(dfqi_quant_pass *p, dfqi_graph *g, const dfqi_site *site, int32_t i,
                               dfqi_id w)
{
    if (site->follows && site->step && p->frozen) return w; /* from a file: what its codes mean */
    if (site->kind == DFQI_SITE_RANGED) return dfqi_fq_weight_range(g, w, site->bits);
    const dfqi_value *v = dfqi_graph_value(g, w);
    double count = (double)dfqi_value_count(v), cols = count / (double)v->dims[0];
    dfqi_id col = site->input >= 0 ? p->step[site->input] : DFQI_NONE;
    if (!site->follows) p->step[i] = parameter(g, site, ".step", site->step, p->frozen);
    if (p->scheme->grids.weights == DFQI_WEIGHTS_LSQ) /* published: as if the tensor had one step */
        return dfqi_fq_weight_lsq(g, w, p->step[i], site->bits, lsq_scale(count, site->hi));
    return dfqi_fq_weight(g, w, col, p->step[i], site->bits, lsq_scale(cols, site->hi));
}

/* From the smallest to the largest: AIT's quantizer of what leaves a ReLU, and MimiQ's of kind minmax
 * (docs/METHODS.md, Quantizers). */
static dfqi_id quantize_range(dfqi_quant_pass *p, dfqi_graph *g, const dfqi_site *site, int32_t i,
                              dfqi_id x)
{
    if (p->track) {
        dfqi_id state = dfqi_graph_param(g, NULL, site->range, 0);
        int published =
            p->scheme->mode == DFQI_MODE_PARITY && p->scheme->grids.acts == DFQI_ACTS_AUTO;
        p->step[i] = dfqi_track_range(g, x, state, site->bits, published);
        p->zero[i] = dfqi_graph_output(g, p->step[i], 1);
        p->range[i] = dfqi_graph_output(g, p->step[i], 2);
        dfqi_graph_keep(g, p->step[i]);
        dfqi_graph_keep(g, p->zero[i]);
        dfqi_graph_keep(g, p->range[i]);
    } else {
        p->step[i] = parameter(g, site, ".step", site->step, 1);
        p->zero[i] = parameter(g, site, ".zero", site->zero, 1);
    }
    return dfqi_fq_straight(g, x, p->step[i], p->zero[i], site->lo, site->hi);
}

static dfqi_id quantize_operand(dfqi_quant_pass *p, dfqi_graph *g, dfqi_op_kind op,
                                const char *name, int32_t slot, dfqi_id value)
{
    int32_t i = dfqi_site_index(p->scheme, op, name, slot);
    if (i < 0) return value;
    const dfqi_site *site = &p->scheme->sites[i];
    p->operand[i] = dfqi_site_is_weight(site) ? p->input : value;
    if (p->keep_operands && (p->keep_site < 0 || p->keep_site == i))
        dfqi_graph_keep(g, p->operand[i]);
    if (p->dry) return value;
    if (dfqi_site_is_weight(site)) return quantize_weight(p, g, site, i, value);
    if (site->range) return quantize_range(p, g, site, i, value);
    p->step[i] = parameter(g, site, ".step", site->step, p->frozen || site->kind == DFQI_SITE_LOG);
    if (site->kind == DFQI_SITE_LOG) return dfqi_fq_log(g, value, p->step[i], site->hi);
    p->zero[i] = parameter(g, site, ".zero", site->zero, p->frozen);
    double values = (double)dfqi_value_count(dfqi_graph_value(g, value)) /
                    (double)dfqi_tensor_count(site->step);
    float scale = lsq_scale(values, site->hi);
    float zero_scale = p->scheme->mode == DFQI_MODE_PARITY ? 1.0f : scale;
    return dfqi_fq(g, value, p->step[i], p->zero[i], site->lo, site->hi, scale, zero_scale);
}

static dfqi_id quantize(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                        dfqi_id value, void *user)
{
    dfqi_quant_pass *p = user;
    value = quantize_operand(p, g, op, name, slot, value);
    if (slot == 0) p->input = value;
    return value;
}

dfq_status dfqi_quant_pass_begin(dfqi_quant_pass *pass, dfqi_graph *g, const dfqi_scheme *s,
                                 int frozen)
{
    dfqi_quant_pass p = {.scheme = s, .frozen = frozen, .keep_site = -1};
    size_t n = (size_t)s->n_sites;
    p.step = dfqi_calloc(g->ctx, 4 * n, sizeof *p.step);
    if (!p.step) return DFQ_E_NOMEM;
    memset(p.step, 0xff, 4 * n * sizeof *p.step); /* DFQI_NONE */
    p.zero = p.step + n;
    p.range = p.zero + n;
    p.operand = p.range + n;
    *pass = p;
    g->rewrite = quantize;
    g->rewrite_user = pass;
    return DFQ_OK;
}

void dfqi_quant_pass_end(dfqi_quant_pass *pass, dfqi_graph *g)
{
    (void)pass;
    g->rewrite = NULL;
    g->rewrite_user = NULL;
}

void dfqi_quant_pass_fini(dfqi_quant_pass *pass, dfq_context *ctx)
{
    dfqi_free(ctx, pass->step);
    pass->step = pass->zero = pass->range = pass->operand = NULL;
}
