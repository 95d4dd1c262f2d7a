/* Batch normalisation of channels-last images, and the loss on its statistics (L_BNS).
 *
 * Batch statistics are computed for each image first and then combined in double, in the order of
 * images. The gradients of shared values are summed the same way. The data exchanged between
 * images has length C, so feature maps are always processed in slices. */
#include "graph/ops_priv.h"

#include <math.h>
#include <string.h>

static int64_t last_of(const dfqi_arg *a)
{
    return a->dims[a->rank - 1];
}

/* 1 / sqrt(var + eps); attr f[0] is eps in all ops that use it. */
static void rstd_of(const dfqi_run *r, int64_t c, const float *var, float *rstd)
{
    for (int64_t i = 0; i < c; i++) rstd[i] = 1.0f / sqrtf(var[i] + r->attr->f[0]);
}

/* 1 if each image has its own gamma or beta. */
static int per_image(const dfqi_arg *a, int64_t c)
{
    return a->data && a->count > c;
}

/* -- moments: x[B,..,C] -> mean and sum of squared distances from it of each image, [B,2,C] ---- */

static dfq_status moments_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    dfqi_out(g, n, 0, 1, 3, (int64_t[]){x->dims[0], 2, dfqi_value_last(x)});
    return DFQ_OK;
}

static void moments_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]), image = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        float *out = r->out[0].data + b * 2 * c;
        r->k->col_moments(image / c, c, r->in[0].data + b * image, out, out + c);
    }
}

/* -- statistics: operands x (for its gradient), moments; outputs mean[C], var[C] --------------- */

static dfq_status stats_shape(dfqi_graph *g, dfqi_node *n)
{
    int64_t c = dfqi_value_last(dfqi_in(g, n, 0));
    for (int32_t i = 0; i < 2; i++) dfqi_out(g, n, i, 0, 1, &c);
    return DFQ_OK;
}

static void stats_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]);
    int64_t image_rows = r->in[0].count / c / r->batch;
    double batch = (double)r->batch, rows = (double)image_rows;
    for (int64_t i = 0; i < c; i++) {
        const float *mean = r->in[1].data + i, *square = mean + c;
        double m = 0, between = 0, within = 0;
        for (int64_t b = 0; b < r->batch; b++) m += mean[b * 2 * c];
        m /= batch;
        for (int64_t b = 0; b < r->batch; b++) {
            double d = mean[b * 2 * c] - m;
            between += d * d;
            within += square[b * 2 * c];
        }
        r->out[0].data[i] = (float)m;
        if (r->out[1].data) r->out[1].data[i] = (float)((between + within / rows) / batch);
    }
}

static double stats_macs(const dfqi_graph *g, const dfqi_node *n)
{
    return (double)dfqi_value_count(dfqi_in(g, n, 1));
}

static void stats_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_BATCH_STATS_DX, NULL, 4,
                           (dfqi_id[]){n->in[0], n->out[0], dout[0], dout[1]});
}

/* operands x, mean, dmean, dvar, one of the latter may be absent; over N values a channel:
 * dx = (dmean + 2 (x - mean) dvar) / N */
static void stats_dx_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]), rows = r->in[0].count / c;
    int64_t values = rows / r->images * r->batch;
    float n = (float)values, *scale = r->scratch, *shift = scale + c;
    for (int64_t i = 0; i < c; i++) {
        shift[i] = r->in[2].data ? r->in[2].data[i] / n : 0.0f;
        scale[i] = r->in[3].data ? 2 * r->in[3].data[i] / n : 0.0f;
    }
    r->k->col_affine(rows, c, r->in[0].data, r->in[1].data, scale, shift, r->out[0].data);
}

/* Rows of C floats for every op below, three at most. */
static int64_t rows_scratch(const dfqi_graph *g, const dfqi_node *n, int64_t images)
{
    (void)images;
    return 3 * dfqi_value_last(dfqi_in(g, n, 0));
}

/* -- normalisation: operands x, mean, var, gamma, beta (the last two may be absent) ------------ */

static dfq_status batchnorm_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *x = dfqi_in(g, n, 0);
    int64_t c = dfqi_value_last(x);
    if (!x->batched || x->rank < 2) return dfqi_bad_shape(g, n, 0, "[B,..,C]");
    for (int32_t i = 1; i < n->n_in; i++) {
        if (n->in[i] < 0) continue;
        const dfqi_value *v = dfqi_in(g, n, i);
        bool own = i > 2 && v->batched && v->rank == 2 && v->dims[1] == c;
        if (!own && !dfqi_is_shared(v, c))
            return dfqi_bad_shape(g, n, i,
                                  i > 2 ? "[C] or [B,C], as operand 0 has channels"
                                        : "one entry for each channel of operand 0");
    }
    return dfqi_shape_same(g, n);
}

/* scale[C] = rstd * gamma of image b */
static void scale_of(const dfqi_arg *gamma, int64_t c, int64_t b, const float *rstd, float *scale)
{
    const float *own = gamma->data + (per_image(gamma, c) ? b * c : 0);
    for (int64_t i = 0; i < c; i++) scale[i] = rstd[i] * own[i];
}

static void batchnorm_run(const dfqi_run *r)
{
    const dfqi_arg *x = &r->in[0], *gamma = &r->in[3], *beta = &r->in[4];
    int64_t c = last_of(x), images = per_image(gamma, c) || per_image(beta, c) ? r->images : 1;
    int64_t part = x->count / images;
    float *rstd = r->scratch, *scale = rstd + c, *zero = scale + c;
    rstd_of(r, c, r->in[2].data, rstd);
    memset(zero, 0, (size_t)c * sizeof *zero);
    for (int64_t b = 0; b < images; b++) {
        if (gamma->data) scale_of(gamma, c, b, rstd, scale);
        r->k->col_affine(part / c, c, x->data + b * part, r->in[1].data, gamma->data ? scale : rstd,
                         beta->data ? beta->data + (per_image(beta, c) ? b * c : 0) : zero,
                         r->out[0].data + b * part);
    }
}

/* The gradient of gamma or beta: one for each image, or the sum over images. */
static dfqi_id affine_grad(dfqi_graph *g, dfqi_id of, dfqi_id own)
{
    return of >= 0 && !g->values[of].batched ? dfqi_sum_batch(g, own, of, 0, 1.0f) : own;
}

static void batchnorm_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                           const uint8_t *want, dfqi_id *din)
{
    dfqi_id dy = dout[0], x = n->in[0], mean = n->in[1], var = n->in[2], gamma = n->in[3];
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_BATCHNORM_DX, &n->attr, 3, (dfqi_id[]){dy, var, gamma});
    if (!want[1] && !want[2] && !want[3] && !want[4]) return;
    dfqi_id dgamma =
        dfqi_make(g, DFQI_OP_BATCHNORM_SUMS, &n->attr, 4, (dfqi_id[]){dy, x, mean, var});
    dfqi_id dbeta = dfqi_graph_output(g, dgamma, 1);
    if (want[3]) din[3] = affine_grad(g, gamma, dgamma);
    if (want[4]) din[4] = affine_grad(g, n->in[4], dbeta);
    if (!want[1] && !want[2]) return;
    dfqi_id dmean =
        dfqi_make(g, DFQI_OP_BATCHNORM_DSTATS, &n->attr, 4, (dfqi_id[]){dgamma, dbeta, var, gamma});
    if (want[1]) din[1] = dmean;
    if (want[2]) din[2] = dfqi_graph_output(g, dmean, 1);
}

/* operands dy, var, gamma (may be absent): dx = dy rstd gamma */
static void batchnorm_dx_run(const dfqi_run *r)
{
    const dfqi_arg *dy = &r->in[0], *gamma = &r->in[2];
    int64_t c = last_of(dy), images = per_image(gamma, c) ? r->images : 1,
            part = dy->count / images;
    float *rstd = r->scratch, *scale = rstd + c;
    rstd_of(r, c, r->in[1].data, rstd);
    for (int64_t b = 0; b < images; b++) {
        if (gamma->data) scale_of(gamma, c, b, rstd, scale);
        r->k->col_scale(part / c, c, dy->data + b * part, gamma->data ? scale : rstd,
                        r->out[0].data + b * part);
    }
}

/* operands dy, x, mean, var; outputs, for each image, [B,C]: sum of dy (x - mean) rstd, of dy */
static dfq_status batchnorm_sums_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *dy = dfqi_in(g, n, 0);
    int64_t dims[2] = {dy->dims[0], dfqi_value_last(dy)};
    for (int32_t i = 0; i < 2; i++) dfqi_out(g, n, i, 1, 2, dims);
    return DFQ_OK;
}

static void batchnorm_sums_run(const dfqi_run *r)
{
    int64_t c = last_of(&r->in[0]), image = r->in[0].count / r->images;
    float *rstd = r->scratch, *spare = rstd + c;
    rstd_of(r, c, r->in[3].data, rstd);
    for (int64_t b = 0; b < r->images; b++) {
        float *dgamma = r->out[0].data + b * c;
        r->k->col_dots(image / c, c, r->in[1].data + b * image, r->in[2].data,
                       r->in[0].data + b * image, dgamma,
                       r->out[1].data ? r->out[1].data + b * c : spare);
        r->k->col_scale(1, c, dgamma, rstd, dgamma);
    }
}

/* operands dgamma, dbeta of each image, var, gamma (may be absent); outputs
 * dmean = - rstd sum_b gamma dbeta, dvar = - rstd^2 / 2 sum_b gamma dgamma */
static dfq_status dstats_shape(dfqi_graph *g, dfqi_node *n)
{
    int64_t c = dfqi_value_last(dfqi_in(g, n, 0));
    for (int32_t i = 0; i < 2; i++) dfqi_out(g, n, i, 0, 1, &c);
    return DFQ_OK;
}

static void dstats_run(const dfqi_run *r)
{
    const dfqi_arg *gamma = &r->in[3];
    int64_t c = last_of(&r->in[0]), step = per_image(gamma, c) ? c : 0;
    for (int64_t i = 0; i < c; i++) {
        double variance = (double)r->in[2].data[i] + (double)r->attr->f[0], dg = 0, db = 0;
        for (int64_t b = 0; b < r->batch; b++) {
            double weight = gamma->data ? gamma->data[b * step + i] : 1.0;
            dg += weight * r->in[0].data[b * c + i];
            db += weight * r->in[1].data[b * c + i];
        }
        r->out[0].data[i] = (float)(-db / sqrt(variance));
        if (r->out[1].data) r->out[1].data[i] = (float)(-dg / (2 * variance));
    }
}

/* -- BNS: operands mean, var, want_mean, want_var; gradient: the same and dloss ---------------- */

static dfq_status bns_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *mean = dfqi_in(g, n, 0);
    if (mean->batched) return dfqi_bad_shape(g, n, 0, "unbatched [C]");
    for (int32_t i = 1; i < n->n_in; i++)
        if (!dfqi_is_shared(dfqi_in(g, n, i), dfqi_value_count(mean)))
            return dfqi_bad_shape(g, n, i, "as many entries as operand 0");
    dfqi_out(g, n, 0, 0, 1, (int64_t[]){1});
    return DFQ_OK;
}

static void bns_run(const dfqi_run *r)
{
    double sum = 0;
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < r->in[k].count; i++) {
            double d = (double)r->in[k].data[i] - (double)r->in[k + 2].data[i];
            sum += d * d;
        }
    r->out[0].data[0] = (float)(sum / (double)r->in[0].count);
}

static void bns_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                     dfqi_id *din)
{
    dfqi_id d = dfqi_make(g, DFQI_OP_BNS_DX, NULL, 5,
                          (dfqi_id[]){n->in[0], n->in[1], n->in[2], n->in[3], dout[0]});
    for (int32_t i = 0; i < 2; i++)
        if (want[i]) din[i] = dfqi_graph_output(g, d, i);
}

static dfq_status bns_dx_shape(dfqi_graph *g, dfqi_node *n)
{
    for (int32_t i = 0; i < 2; i++) dfqi_out_like(g, n, i, n->in[i]);
    return DFQ_OK;
}

static void bns_dx_run(const dfqi_run *r)
{
    float weight = 2 * r->in[4].data[0] / (float)r->in[0].count;
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; r->out[k].data && i < r->out[k].count; i++)
            r->out[k].data[i] = weight * (r->in[k].data[i] - r->in[k + 2].data[i]);
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_batch_stats(dfqi_graph *g, dfqi_id x)
{
    dfqi_id moments = dfqi_make(g, DFQI_OP_BATCH_MOMENTS, NULL, 1, &x);
    return dfqi_make(g, DFQI_OP_BATCH_STATS, NULL, 2, (dfqi_id[]){x, moments});
}

dfqi_id dfqi_batchnorm(dfqi_graph *g, dfqi_id x, dfqi_id mean, dfqi_id var, dfqi_id gamma,
                       dfqi_id beta, float eps)
{
    dfqi_attr a = {.f = {eps}};
    return dfqi_make(g, DFQI_OP_BATCHNORM, &a, 5, (dfqi_id[]){x, mean, var, gamma, beta});
}

dfqi_id dfqi_bns(dfqi_graph *g, dfqi_id mean, dfqi_id var, dfqi_id want_mean, dfqi_id want_var)
{
    return dfqi_make(g, DFQI_OP_BNS, NULL, 4, (dfqi_id[]){mean, var, want_mean, want_var});
}

const dfqi_op dfqi_ops_norm[] = {
    {"batch_moments", 1, 1, 1, 0, moments_shape, moments_run, NULL, dfqi_macs_input, NULL, NULL},
    {"batch_stats", 2, 2, 2, DFQI_OPF_WHOLE, stats_shape, stats_run, stats_grad, stats_macs, NULL,
     NULL},
    {"batch_stats_dx", 2, 4, 1, 0, dfqi_shape_same, stats_dx_run, NULL, NULL, rows_scratch, NULL},
    {"batchnorm", 3, 5, 1, 0, batchnorm_shape, batchnorm_run, batchnorm_grad, NULL, rows_scratch,
     NULL},
    {"batchnorm_dx", 2, 3, 1, 0, dfqi_shape_same, batchnorm_dx_run, NULL, NULL, rows_scratch, NULL},
    {"batchnorm_sums", 4, 4, 2, 0, batchnorm_sums_shape, batchnorm_sums_run, NULL, dfqi_macs_input,
     rows_scratch, NULL},
    {"batchnorm_dstats", 3, 4, 2, DFQI_OPF_WHOLE, dstats_shape, dstats_run, NULL, dfqi_macs_input,
     NULL, NULL},
    {"bns", 4, 4, 1, 0, bns_shape, bns_run, bns_grad, dfqi_macs_input, NULL, NULL},
    {"bns_dx", 5, 5, 2, 0, bns_dx_shape, bns_dx_run, NULL, NULL, NULL, NULL},
};
