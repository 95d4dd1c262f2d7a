/* The quantization pass: it inserts fake quantizers at the operands of products. */
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

/* LSQ's gradient multiplier 1 / sqrt(N Q): N values share the scale, Q is the largest code. */
static float lsq_grad_mult(double values, float qmax)
{
    return (float)(1.0 / sqrt(values * qmax));
}

/* Are both operands of a product codes of grids of rows, whose sums are whole numbers? `slot` has
 * such a site. */
static bool sums_codes(const dfqi_quant_pass *p, dfqi_op_kind op, const char *name, int32_t slot)
{
    const int32_t other = p->exact ? dfqi_site_index(p->scheme, op, name, 1 - slot) : -1;
    if (other < 0) return false;
    const dfqi_site *site = &p->scheme->sites[other];
    return dfqi_site_is_runtime(site) ||
           (site->kind == DFQI_SITE_WEIGHT && site->input < 0 && !(site->follows && site->scale));
}

static dfqi_id quantize_weight(dfqi_quant_pass *p, dfqi_graph *g, const dfqi_site *site, int32_t i,
                               dfqi_id w, bool codes)
{
    if (site->follows && site->scale && p->frozen) return w; /* from a file: as decoded */
    if (site->kind == DFQI_SITE_WEIGHT_MINMAX) return dfqi_fq_weight_range(g, w, site->bits);
    const dfqi_value *v = dfqi_graph_value(g, w);
    double count = (double)dfqi_value_count(v), cols = count / (double)v->dims[0];
    dfqi_id col = site->input >= 0 ? p->scale[site->input] : DFQI_NONE;
    if (!site->follows) p->scale[i] = parameter(g, site, ".scale", site->scale, p->frozen);
    const dfqi_id groups = site->group ? dfqi_graph_param(g, NULL, site->groups, true) : DFQI_NONE;
    if (codes) return dfqi_fq_weight_codes(g, w, p->scale[i], groups, site->bits);
    if (p->scheme->grids.weight_grid ==
        DFQI_WEIGHT_GRID_LSQ) /* published: as if the tensor had one scale */
        return dfqi_fq_weight_lsq(g, w, p->scale[i], site->bits, lsq_grad_mult(count, site->qmax));
    return dfqi_fq_weight(g, w, col, p->scale[i], groups, site->bits,
                          lsq_grad_mult(cols, site->qmax));
}

/* Min-max quantizers: AIT's on ReLU outputs, and MimiQ's of kind minmax (docs/METHODS.md,
 * Quantizers). */
static dfqi_id quantize_range(dfqi_quant_pass *p, dfqi_graph *g, const dfqi_site *site, int32_t i,
                              dfqi_id x)
{
    if (p->track) {
        dfqi_id state = dfqi_graph_param(g, NULL, site->range, 0);
        int published =
            p->scheme->mode == DFQI_MODE_PARITY && p->scheme->grids.act_grid == DFQI_ACT_GRID_AUTO;
        p->scale[i] = dfqi_track_range(g, x, state, site->bits, published);
        p->zero_point[i] = dfqi_graph_output(g, p->scale[i], 1);
        p->range[i] = dfqi_graph_output(g, p->scale[i], 2);
        dfqi_graph_keep(g, p->scale[i]);
        dfqi_graph_keep(g, p->zero_point[i]);
        dfqi_graph_keep(g, p->range[i]);
    } else {
        p->scale[i] = parameter(g, site, ".scale", site->scale, 1);
        p->zero_point[i] = parameter(g, site, ".zero_point", site->zero_point, 1);
    }
    return dfqi_fq_straight(g, x, p->scale[i], p->zero_point[i], site->qmin, site->qmax);
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
    const bool codes = sums_codes(p, op, name, slot);
    if (dfqi_site_is_weight(site)) return quantize_weight(p, g, site, i, value, codes);
    if (dfqi_site_is_runtime(site) && codes)
        return dfqi_fq_row_codes(g, value, site->bits, site->qmin < 0,
                                 site->kind == DFQI_SITE_COLUMN, site->group);
    if (site->range) return quantize_range(p, g, site, i, value);
    if (site->group > 0) return dfqi_fq_row_groups(g, value, site->bits, site->group);
    if (site->kind == DFQI_SITE_ROW) return dfqi_fq_row(g, value, site->bits, site->qmin < 0);
    if (site->kind == DFQI_SITE_COLUMN) return dfqi_fq_column(g, value, site->bits, site->qmin < 0);
    p->scale[i] =
        parameter(g, site, ".scale", site->scale, p->frozen || site->kind == DFQI_SITE_LOG);
    if (site->kind == DFQI_SITE_LOG) return dfqi_fq_log(g, value, p->scale[i], site->qmax);
    p->zero_point[i] = parameter(g, site, ".zero_point", site->zero_point, p->frozen);
    double values = (double)dfqi_value_count(dfqi_graph_value(g, value)) /
                    (double)dfqi_tensor_count(site->scale);
    float mult = lsq_grad_mult(values, site->qmax);
    float zero_point_grad_mult = p->scheme->mode == DFQI_MODE_PARITY ? 1.0f : mult;
    return dfqi_fq(g, value, p->scale[i], p->zero_point[i], site->qmin, site->qmax, mult,
                   zero_point_grad_mult);
}

/* Of the means in front of a classifier, where the image is rounded as well. */
enum { MEAN_BITS = 8 };

static dfqi_id quantize(dfqi_graph *g, dfqi_op_kind op, const char *name, int32_t slot,
                        dfqi_id value, void *user)
{
    dfqi_quant_pass *p = user;
    dfqi_id exact = value;
    if (slot == 0 && p->image.qmax > 0 && dfqi_reads_image(g, value))
        return p->input = dfqi_image_grid_fq(g, value, &p->image);
    if (slot == 0 && p->image.qmax > 0 && dfqi_is_mean(g, value) &&
        dfqi_site_index(p->scheme, op, name, slot) < 0)
        return p->input = dfqi_fq_row(g, value, MEAN_BITS, 0);
    value = quantize_operand(p, g, op, name, slot, value);
    if (p->keys >= 0 && value != exact && dfqi_graph_value(g, value)->batched)
        value = dfqi_drop(g, exact, value, p->keys, p->dropped++);
    if (slot == 0) p->input = value;
    return value;
}

dfq_status dfqi_quant_pass_begin(dfqi_quant_pass *pass, dfqi_graph *g, const dfqi_scheme *s,
                                 int frozen)
{
    dfqi_quant_pass p = {.scheme = s, .frozen = frozen, .keep_site = -1, .keys = DFQI_NONE};
    size_t n = (size_t)s->n_sites;
    p.scale = dfqi_calloc(g->ctx, 4 * n, sizeof *p.scale);
    if (!p.scale) return DFQ_E_NOMEM;
    memset(p.scale, 0xff, 4 * n * sizeof *p.scale); /* DFQI_NONE */
    p.zero_point = p.scale + n;
    p.range = p.zero_point + n;
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
    dfqi_free(ctx, pass->scale);
    pass->scale = pass->zero_point = pass->range = pass->operand = NULL;
}
