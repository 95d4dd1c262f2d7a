/* A model's quantizers as handles of their own, and the codes of its weights. */
#include <math.h>
#include <string.h>

#include "base/nearest.h"
#include "io/json.h"
#include "kernel/kernel.h"
#include "quant/file_priv.h"
#include "quant/quantizer.h"
#include "quant/scheme_priv.h"

dfq_status dfqi_model_find_site(const dfqi_model *m, const char *name, int32_t *out)
{
    const dfqi_scheme *s = &m->scheme;
    char text[320], show[DFQI_SHOW_MAX];
    if (!m->quantized)
        return dfqi_fail(m->ctx, DFQ_E_INVALID,
                         "%s is not quantized and has no quantizers; quantize it first",
                         m->net.arch.name);
    dfqi_nearest near = dfqi_nearest_to(name);
    for (int32_t i = 0; i < s->n_sites; i++) {
        if (strcmp(s->sites[i].name, name) == 0) {
            *out = i;
            return DFQ_OK;
        }
        dfqi_nearest_add(&near, s->sites[i].name);
    }
    return dfqi_fail(m->ctx, DFQ_E_INVALID, "%s has no quantizer \"%s\"; similar names: %s",
                     m->net.arch.name, dfqi_show(name, show),
                     dfqi_nearest_text(&near, text, sizeof text));
}

/* The number of scales of activations: one for all values, one for each channel of a linear layer's
 * input, or for operands with heads one for each head or for each head and channel. */
static void set_granularity(const dfqi_site *site, dfq_quantizer_options *o)
{
    int64_t n = site->scale ? dfqi_tensor_count(site->scale) : 1;
    o->axis = dfqi_site_is_weight(site) ? 0 : site->heads ? 1 : -1;
    o->granularity = DFQ_GRANULARITY_AXIS;
    if (dfqi_site_is_weight(site)) return;
    if (dfqi_site_is_runtime(site)) o->axis = 0;
    if (n == 1) o->granularity = DFQ_GRANULARITY_TENSOR;
    if (site->heads && n > site->heads) o->granularity = DFQ_GRANULARITY_HEAD_CHANNEL;
}

/* The gradients of the graph's op (pass.c): straight-through for weights, unless they are LSQ's. */
static void set_gradient(const dfqi_model *m, const dfqi_site *site, dfq_quantizer_options *o)
{
    bool lsq = m->scheme.grids.weight_grid == DFQI_WEIGHT_GRID_LSQ;
    bool clips = dfqi_site_is_weight(site) ? lsq : site->kind == DFQI_SITE_UNIFORM && !site->range;
    o->input_gradient = clips                        ? DFQ_INPUT_GRADIENT_CLIPPED
                        : dfqi_site_is_runtime(site) ? DFQ_INPUT_GRADIENT_RANGE
                                                     : DFQ_INPUT_GRADIENT_IDENTITY;
    o->scale_grad_factor = 0;               /* LSQ's, over the values of a scale */
    if (lsq && dfqi_site_is_weight(site)) { /* published: as if the tensor had one scale */
        const dfq_tensor *w = dfqi_network_find(&m->net, site->name);
        if (w) o->scale_grad_factor = 1.0f / sqrtf((float)dfqi_tensor_count(w) * site->qmax);
    }
    o->zero_point_grad_factor = m->scheme.mode == DFQI_MODE_PARITY ? 1.0f : 0.0f;
}

/* A copy of t, with heads (0: none) as [H,d], because a tuner may still change the model's
 * tensor. */
static dfq_status copy_scales(const dfqi_model *m, const dfq_tensor *t, int64_t heads,
                              dfq_tensor **out)
{
    int64_t n = dfqi_tensor_count(t);
    const int64_t dims[2] = {heads ? heads : n, heads ? n / heads : 1};
    DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, heads ? 2 : 1, dims, out));
    memcpy((*out)->data, t->data, (size_t)n * sizeof(float));
    return DFQ_OK;
}

static dfq_status need_weight(const dfqi_model *m, const dfqi_site *site, const dfq_tensor **out)
{
    *out = dfqi_network_find(&m->net, site->name);
    if (dfqi_site_is_weight(site) && *out) return DFQ_OK;
    return dfqi_fail(m->ctx, DFQ_E_INVALID,
                     "%s does not quantize a weight; give a quantizer of a weight", site->name);
}

static const float *factors_of(const dfqi_model *m, const dfqi_site *site, int64_t cols)
{
    return site->input < 0 ? NULL : dfqi_column_factors(m->scheme.sites[site->input].scale, cols);
}

/* Those of the groups of a weight, row by row. */
static dfq_status group_scales(const dfqi_model *m, const dfqi_site *site, int64_t cols,
                               dfq_tensor **scales, dfq_tensor **zero)
{
    const int64_t n = dfqi_tensor_count(site->groups), each = cols / site->group;
    DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, 1, &n, scales));
    DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, 1, &n, zero));
    for (int64_t i = 0; i < n; i++) {
        float *scale = dfqi_tensor_f32(*scales) + i;
        *scale = dfqi_tensor_f32(site->scale)[i / each];
        dfqi_weight_grid_at(site, i / each, cols, i % each * site->group, scale,
                            dfqi_tensor_f32(*zero) + i);
    }
    return DFQ_OK;
}

/* The grids that the weight has now. */
static dfq_status weight_scales(const dfqi_model *m, const dfqi_site *site, dfq_tensor **scales,
                                dfq_tensor **zero)
{
    const dfq_tensor *w;
    DFQI_TRY(need_weight(m, site, &w));
    int64_t rows = w->dims[0], cols = dfqi_tensor_count(w) / rows;
    const float *col = factors_of(m, site, cols);
    if (site->groups) return group_scales(m, site, cols, scales, zero);
    DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, 1, &rows, scales));
    if (site->kind == DFQI_SITE_WEIGHT_MINMAX)
        DFQI_TRY(dfqi_tensor_new(m->ctx, DFQI_F32, 1, &rows, zero));
    float *y = dfqi_calloc(m->ctx, (size_t)cols, sizeof *y);
    if (!y) return DFQ_E_NOMEM;
    for (int64_t r = 0; r < rows; r++) {
        float z;
        dfqi_weight_row(dfqi_kernels_get(m->ctx), site, r, cols, dfqi_tensor_f32(w) + r * cols, col,
                        y, dfqi_tensor_f32(*scales) + r, &z);
        if (*zero) dfqi_tensor_f32(*zero)[r] = z;
    }
    dfqi_free(m->ctx, y);
    return DFQ_OK;
}

static dfq_status give_scales(const dfqi_model *m, const dfqi_site *site, dfqi_quantizer *q)
{
    dfq_tensor *scales = NULL, *zero = NULL, *factors = NULL;
    int64_t heads = q->granularity == DFQ_GRANULARITY_HEAD_CHANNEL ? site->heads : 0;
    dfq_status status;
    if (dfqi_site_is_runtime(site)) return DFQ_OK;
    if (dfqi_site_is_weight(site)) {
        DFQI_GOTO(weight_scales(m, site, &scales, &zero), out);
        const dfq_tensor *w = dfqi_network_find(&m->net, site->name);
        if (factors_of(m, site, dfqi_tensor_count(w) / w->dims[0])) {
            const dfq_tensor *input = m->scheme.sites[site->input].scale;
            DFQI_GOTO(copy_scales(m, input, 0, &factors), out);
            DFQI_GOTO(dfqi_quantizer_set_columns(q, factors), out);
        }
    } else {
        DFQI_GOTO(copy_scales(m, site->scale, heads, &scales), out);
        if (site->zero_point) DFQI_GOTO(copy_scales(m, site->zero_point, heads, &zero), out);
    }
    status = dfqi_quantizer_set_scales(q, scales, zero);
out:
    dfqi_tensor_release(scales);
    dfqi_tensor_release(zero);
    dfqi_tensor_release(factors);
    return status;
}

dfq_status dfqi_model_get_quantizer(const dfqi_model *m, int32_t i, dfqi_quantizer **out)
{
    const dfqi_site *site = &m->scheme.sites[i];
    dfq_quantizer_options o = {
        .kind = (int32_t)site->kind, .bits = site->bits, .is_signed = site->qmin < 0};
    dfqi_quantizer *q;
    DFQI_TRY(dfqi_model_ready(m));
    set_granularity(site, &o);
    set_gradient(m, site, &o);
    DFQI_TRY(dfqi_quantizer_new(m->ctx, &o, &q));
    memcpy(q->name, site->name, sizeof q->name);
    q->qmin = site->qmin;
    q->qmax = site->qmax;
    q->group = site->group;
    dfq_status status = give_scales(m, site, q);
    q->error = site->error;
    if (status == DFQ_OK)
        *out = q;
    else
        dfqi_quantizer_release(q);
    return status;
}

dfq_status dfqi_model_get_codes(const dfqi_model *m, int32_t site, dfq_tensor **out_codes,
                                dfq_tensor **out_values)
{
    const dfq_tensor *w;
    dfqi_quantizer *q;
    dfq_tensor *codes = NULL, *values = NULL;
    dfq_status status;
    DFQI_TRY(need_weight(m, &m->scheme.sites[site], &w));
    DFQI_TRY(dfqi_model_get_quantizer(m, site, &q));
    if (out_codes) DFQI_GOTO(dfqi_quantizer_codes(q, w, &codes), out);
    if (out_values) DFQI_GOTO(dfqi_quantizer_apply(q, w, &values), out);
    if (out_codes) *out_codes = codes;
    if (out_values) *out_values = values;
    codes = values = NULL;
    status = DFQ_OK;
out:
    dfqi_tensor_release(codes);
    dfqi_tensor_release(values);
    dfqi_quantizer_release(q);
    return status;
}
