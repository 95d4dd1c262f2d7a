/* The functions of dfq/quantizer.h on dfq_quantizer, a fake-quantization module. */
#include <dfq/quantizer.h>

#include <math.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/check.h"
#include "quant/quantizer.h"

static const dfq_quantizer_options defaults = {.kind = DFQ_QUANTIZER_UNIFORM,
                                               .bits = 4,
                                               .is_signed = 1,
                                               .scale_grad_factor = 1,
                                               .zero_point_grad_factor = 1};

void dfq_quantizer_options_init(dfq_quantizer_options *options, size_t size)
{
    dfqi_options_init(options, size, &defaults, sizeof defaults);
}

static dfq_status check_factor(dfq_context *ctx, const char *what, float v)
{
    if (v >= 0 && isfinite(v)) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "dfq_quantizer_options: %s is %g, must be 0 (as LSQ scales it) or above", what,
                     (double)v);
}

/* Refuses options that the kind does not have. */
static dfq_status check_kind(dfq_context *ctx, const dfq_quantizer_options *o)
{
    bool log = o->kind == DFQ_QUANTIZER_LOG, uniform = o->kind == DFQ_QUANTIZER_UNIFORM;
    bool runtime = o->kind == DFQ_QUANTIZER_ROW || o->kind == DFQ_QUANTIZER_COLUMN;
    if (runtime && (o->granularity != DFQ_GRANULARITY_TENSOR || o->axis != 0))
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "dfq_quantizer_options: kinds row and column fix which values share a "
                         "grid; leave granularity and axis at 0");
    if (o->input_gradient != DFQ_INPUT_GRADIENT_AUTO &&
        runtime != (o->input_gradient == DFQ_INPUT_GRADIENT_RANGE))
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "dfq_quantizer_options: input gradient range is for kinds row and column, "
                         "which have no other; take auto");
    if (log && o->granularity != DFQ_GRANULARITY_TENSOR)
        return dfqi_fail(
            ctx, DFQ_E_UNSUPPORTED,
            "dfq_quantizer_options: a logarithmic grid has one scale; set granularity to tensor");
    if (log && o->input_gradient == DFQ_INPUT_GRADIENT_CLIPPED)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "dfq_quantizer_options: a logarithmic grid does not clip; set the input "
                         "gradient to identity");
    if (!log && !uniform && o->granularity == DFQ_GRANULARITY_HEAD_CHANNEL)
        return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                         "dfq_quantizer_options: granularity head-channel is for kind uniform; "
                         "weights have one scale for the tensor, or one for each index of an axis");
    return DFQ_OK;
}

static dfq_status check_options(dfq_context *ctx, const dfq_quantizer_options *o)
{
    DFQI_TRY(dfqi_check_whole(ctx, "dfq_quantizer_options", "kind", o->kind, DFQ_QUANTIZER_WEIGHT,
                              DFQ_QUANTIZER_COLUMN));
    DFQI_TRY(dfqi_check_whole(ctx, "dfq_quantizer_options", "bits", o->bits, 2, 8));
    DFQI_TRY(dfqi_check_whole(ctx, "dfq_quantizer_options", "is_signed", o->is_signed, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "dfq_quantizer_options", "granularity", o->granularity,
                              DFQ_GRANULARITY_TENSOR, DFQ_GRANULARITY_HEAD_CHANNEL));
    DFQI_TRY(dfqi_check_whole(ctx, "dfq_quantizer_options", "axis", o->axis, -DFQ_RANK_MAX,
                              DFQ_RANK_MAX - 1));
    DFQI_TRY(dfqi_check_whole(ctx, "dfq_quantizer_options", "input_gradient", o->input_gradient,
                              DFQ_INPUT_GRADIENT_AUTO, DFQ_INPUT_GRADIENT_RANGE));
    DFQI_TRY(check_factor(ctx, "scale_grad_factor", o->scale_grad_factor));
    DFQI_TRY(check_factor(ctx, "zero_point_grad_factor", o->zero_point_grad_factor));
    return check_kind(ctx, o);
}

dfq_status dfq_quantizer_create(dfq_context *context, const dfq_quantizer_options *options,
                                const dfq_tensor *scales, const dfq_tensor *zero_points,
                                dfq_quantizer **out_quantizer)
{
    dfq_quantizer_options o = defaults;
    dfq_quantizer *q;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, out_quantizer);
    DFQI_TRY(dfqi_options_read(context, "dfq_quantizer_options", options, &o, sizeof o));
    DFQI_TRY(check_options(context, &o));
    DFQI_TRY(dfqi_quantizer_new(context, &o, &q));
    dfq_status status = dfqi_quantizer_set_scales(q, scales, zero_points);
    if (status == DFQ_OK)
        *out_quantizer = q;
    else
        dfqi_quantizer_release(q);
    return status;
}

dfq_quantizer *dfq_quantizer_retain(const dfq_quantizer *quantizer)
{
    return quantizer != NULL ? dfqi_quantizer_retain(quantizer) : NULL;
}

void dfq_quantizer_release(dfq_quantizer *quantizer)
{
    dfqi_quantizer_release(quantizer);
}

dfq_status dfq_quantizer_calibrate(dfq_quantizer *quantizer, const dfq_tensor *x, int32_t method)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, x);
    if (method != DFQ_CALIBRATION_MINMAX && method != DFQ_CALIBRATION_SEARCH)
        return dfqi_fail(quantizer->ctx, DFQ_E_INVALID,
                         "method is %d, must be 0 (minmax) or 1 (search)", method);
    return dfqi_quantizer_calibrate(quantizer, x, method);
}

dfq_status dfq_quantizer_set_scales(dfq_quantizer *quantizer, const dfq_tensor *scales,
                                    const dfq_tensor *zero_points)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    return dfqi_quantizer_set_scales(quantizer, scales, zero_points);
}

dfq_status dfq_quantizer_set_column_factors(dfq_quantizer *quantizer, const dfq_tensor *factors)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    return dfqi_quantizer_set_columns(quantizer, factors);
}

/* -- what it is -------------------------------------------------------------------------------- */

static void bounds(const dfq_tensor *t, float *lo, float *hi)
{
    const float *v = t != NULL ? dfqi_tensor_f32(t) : NULL;
    if (v == NULL) return;
    *lo = *hi = v[0];
    for (int64_t i = 1, n = dfqi_tensor_count(t); i < n; i++) {
        if (v[i] < *lo) *lo = v[i];
        if (v[i] > *hi) *hi = v[i];
    }
}

dfq_status dfqi_site_write(dfq_context *ctx, const dfqi_site *s, const char *name,
                           dfq_quantizer_info *out)
{
    dfq_quantizer_info info = {.kind = (int32_t)s->kind,
                               .bits = s->bits,
                               .scales =
                                   s->scale != NULL ? (int32_t)dfqi_tensor_count(s->scale) : 0,
                               .qmin = s->qmin,
                               .qmax = s->qmax,
                               .error = s->error,
                               .name = name,
                               .group = (int32_t)s->group};
    bounds(s->scale, &info.scale_min, &info.scale_max);
    bounds(s->zero_point, &info.zero_point_min, &info.zero_point_max);
    return dfqi_info_write(ctx, "dfq_quantizer_info", &info, sizeof info, out);
}

dfq_status dfq_quantizer_get_info(const dfq_quantizer *quantizer, dfq_quantizer_info *out_info)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, out_info);
    const dfq_quantizer *q = quantizer;
    dfqi_site site = {.kind = q->kind,
                      .bits = q->bits,
                      .qmin = q->qmin,
                      .qmax = q->qmax,
                      .scale = q->scales,
                      .zero_point = q->zero_points,
                      .error = q->error};
    return dfqi_site_write(q->ctx, &site, q->name, out_info);
}

dfq_status dfq_quantizer_get_scales(const dfq_quantizer *quantizer, dfq_tensor **out_scales)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, out_scales);
    if (quantizer->scales == NULL)
        return dfqi_fail(quantizer->ctx, DFQ_E_INVALID, "the quantizer has no scales%s",
                         dfqi_quantizer_is_runtime(quantizer) ? ": it finds them in each tensor"
                         : dfqi_quantizer_is_weight(quantizer)
                             ? " yet: it takes them from each tensor; calibrate it to fix them"
                             : " yet; calibrate it, or set them");
    *out_scales = dfqi_tensor_retain(quantizer->scales);
    return DFQ_OK;
}

dfq_status dfq_quantizer_get_zero_points(const dfq_quantizer *quantizer,
                                         dfq_tensor **out_zero_points)
{
    dfq_tensor *scales;
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, out_zero_points);
    DFQI_TRY(dfq_quantizer_get_scales(quantizer, &scales));
    dfq_status status = DFQ_OK;
    if (quantizer->zero_points != NULL)
        *out_zero_points = dfqi_tensor_retain(quantizer->zero_points);
    else
        status =
            dfqi_tensor_new(quantizer->ctx, DFQI_F32, scales->rank, scales->dims, out_zero_points);
    dfqi_tensor_release(scales);
    return status;
}

dfq_status dfq_quantizer_get_column_factors(const dfq_quantizer *quantizer,
                                            dfq_tensor **out_factors)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, out_factors);
    *out_factors =
        quantizer->column_factors != NULL ? dfqi_tensor_retain(quantizer->column_factors) : NULL;
    return DFQ_OK;
}

/* -- what it does ------------------------------------------------------------------------------ */

dfq_status dfq_quantizer_apply(const dfq_quantizer *quantizer, const dfq_tensor *x,
                               dfq_tensor **out_y)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, x);
    DFQI_NEED(quantizer->ctx, out_y);
    return dfqi_quantizer_apply(quantizer, x, out_y);
}

dfq_status dfq_quantizer_backward(const dfq_quantizer *quantizer, const dfq_tensor *x,
                                  const dfq_tensor *grad_y, dfq_tensor **out_grad_x,
                                  dfq_tensor **out_grad_scale, dfq_tensor **out_grad_zero_point)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, x);
    DFQI_NEED(quantizer->ctx, grad_y);
    return dfqi_quantizer_backward(quantizer, x, grad_y, out_grad_x, out_grad_scale,
                                   out_grad_zero_point);
}

dfq_status dfq_quantizer_get_codes(const dfq_quantizer *quantizer, const dfq_tensor *x,
                                   dfq_tensor **out_codes)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, x);
    DFQI_NEED(quantizer->ctx, out_codes);
    return dfqi_quantizer_codes(quantizer, x, out_codes);
}

dfq_status dfq_quantizer_dequantize(const dfq_quantizer *quantizer, const dfq_tensor *codes,
                                    dfq_tensor **out_x)
{
    if (quantizer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(quantizer->ctx, codes);
    DFQI_NEED(quantizer->ctx, out_x);
    return dfqi_quantizer_dequantize(quantizer, codes, out_x);
}
