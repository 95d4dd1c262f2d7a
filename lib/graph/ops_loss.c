/* Losses on logits, one value per image, and `total`, the weighted sum of the losses' means. The
 * gradient of a loss is scaled by the incoming gradient of each image, so losses can be weighted,
 * summed and averaged in any way. */
#include "graph/ops_priv.h"

#include <math.h>

/* log-sum-exp of scale * z */
static double log_sum_exp(const float *z, int64_t n, double scale)
{
    double top = z[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        if (z[i] > top) top = z[i];
    for (int64_t i = 0; i < n; i++) sum += exp(scale * (z[i] - top));
    return scale * top + log(sum);
}

/* -- cross-entropy: logits, labels; gradient: logits, labels, dloss ---------------------------- */

static dfq_status ce_shape(dfqi_graph *g, dfqi_node *n)
{
    const dfqi_value *z = dfqi_in(g, n, 0), *labels = dfqi_in(g, n, 1);
    if (z->rank != 2) return dfqi_bad_shape(g, n, 0, "logits [B,C]");
    if (!labels->batched || dfqi_value_stride(labels) != 1)
        return dfqi_bad_shape(g, n, 1, "one label for each image");
    return dfqi_shape_per_image(g, n);
}

static void ce_run(const dfqi_run *r)
{
    int64_t c = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        const float *z = r->in[0].data + b * c;
        r->out[0].data[b] = (float)(log_sum_exp(z, c, 1.0) - z[dfqi_class_of(r->in[1].data[b], c)]);
    }
}

static void ce_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                    dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_CROSS_ENTROPY_DX, NULL, 3,
                           (dfqi_id[]){n->in[0], n->in[1], dout[0]});
}

static void ce_dx_run(const dfqi_run *r)
{
    int64_t c = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        const float *z = r->in[0].data + b * c;
        float *dz = r->out[0].data + b * c;
        double lse = log_sum_exp(z, c, 1.0), d = r->in[2].data[b];
        for (int64_t i = 0; i < c; i++) dz[i] = (float)(d * exp(z[i] - lse));
        dz[dfqi_class_of(r->in[1].data[b], c)] -= (float)d;
    }
}

/* -- the same with a probability for each class: logits, targets; gradient: logits, targets,
 * dloss */

static dfq_status soft_ce_shape(dfqi_graph *g, dfqi_node *n)
{
    if (dfqi_in(g, n, 0)->rank != 2) return dfqi_bad_shape(g, n, 0, "logits [B,C]");
    if (!dfqi_same_shape(dfqi_in(g, n, 0), dfqi_in(g, n, 1)))
        return dfqi_bad_shape(g, n, 1, "the shape of operand 0");
    return dfqi_shape_per_image(g, n);
}

static void soft_ce_run(const dfqi_run *r)
{
    int64_t c = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        const float *z = r->in[0].data + b * c, *y = r->in[1].data + b * c;
        double lse = log_sum_exp(z, c, 1.0), sum = 0;
        for (int64_t i = 0; i < c; i++) sum += y[i] * (lse - z[i]);
        r->out[0].data[b] = (float)sum;
    }
}

static void soft_ce_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout,
                         const uint8_t *want, dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_SOFT_CROSS_ENTROPY_DX, NULL, 3,
                           (dfqi_id[]){n->in[0], n->in[1], dout[0]});
}

/* softmax(z) sum(y) - y: targets need not sum to 1 */
static void soft_ce_dx_run(const dfqi_run *r)
{
    int64_t c = r->in[0].count / r->images;
    for (int64_t b = 0; b < r->images; b++) {
        const float *z = r->in[0].data + b * c, *y = r->in[1].data + b * c;
        float *dz = r->out[0].data + b * c;
        double lse = log_sum_exp(z, c, 1.0), d = r->in[2].data[b], sum = 0;
        for (int64_t i = 0; i < c; i++) sum += y[i];
        for (int64_t i = 0; i < c; i++) dz[i] = (float)(d * (sum * exp(z[i] - lse) - y[i]));
    }
}

/* -- KL: student, teacher; attr f[0] temperature; gradient: student, teacher, dloss ------------ */

static dfq_status kl_shape(dfqi_graph *g, dfqi_node *n)
{
    if (dfqi_in(g, n, 0)->rank != 2) return dfqi_bad_shape(g, n, 0, "logits [B,C]");
    if (!dfqi_same_shape(dfqi_in(g, n, 0), dfqi_in(g, n, 1)))
        return dfqi_bad_shape(g, n, 1, "the shape of operand 0");
    return dfqi_shape_per_image(g, n);
}

static void kl_run(const dfqi_run *r)
{
    int64_t c = r->in[0].count / r->images;
    double t = r->attr->f[0];
    for (int64_t b = 0; b < r->images; b++) {
        const float *s = r->in[0].data + b * c, *z = r->in[1].data + b * c;
        double lse_s = log_sum_exp(s, c, 1 / t), lse_z = log_sum_exp(z, c, 1 / t), sum = 0;
        for (int64_t i = 0; i < c; i++) {
            double log_p = z[i] / t - lse_z;
            sum += exp(log_p) * (log_p - (s[i] / t - lse_s));
        }
        r->out[0].data[b] = (float)(t * t * sum);
    }
}

static void kl_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                    dfqi_id *din)
{
    if (want[0])
        din[0] = dfqi_make(g, DFQI_OP_KL_DX, &n->attr, 3, (dfqi_id[]){n->in[0], n->in[1], dout[0]});
}

/* T (p_s - p_t) */
static void kl_dx_run(const dfqi_run *r)
{
    int64_t c = r->in[0].count / r->images;
    double t = r->attr->f[0];
    for (int64_t b = 0; b < r->images; b++) {
        const float *s = r->in[0].data + b * c, *z = r->in[1].data + b * c;
        float *ds = r->out[0].data + b * c;
        double lse_s = log_sum_exp(s, c, 1 / t), lse_z = log_sum_exp(z, c, 1 / t);
        double d = t * r->in[2].data[b];
        for (int64_t i = 0; i < c; i++)
            ds[i] = (float)(d * (exp(s[i] / t - lse_s) - exp(z[i] / t - lse_z)));
    }
}

/* -- total: terms; attr f = weights ------------------------------------------------------------ */

static dfq_status total_shape(dfqi_graph *g, dfqi_node *n)
{
    for (int32_t i = 0; i < n->n_in; i++)
        if (dfqi_value_stride(dfqi_in(g, n, i)) != 1) return dfqi_bad_shape(g, n, i, "[B] or [1]");
    dfqi_out(g, n, 0, 0, 1, (int64_t[]){1});
    dfqi_out(g, n, 1, 0, 1, (int64_t[]){n->n_in});
    return DFQ_OK;
}

static void total_run(const dfqi_run *r)
{
    double total = 0;
    for (int32_t i = 0; i < DFQI_IN_MAX && r->in[i].data; i++) {
        double sum = 0;
        for (int64_t b = 0; b < r->in[i].count; b++) sum += r->in[i].data[b];
        sum /= (double)r->in[i].count;
        total += r->attr->f[i] * sum;
        if (r->out[1].data) r->out[1].data[i] = (float)sum;
    }
    r->out[0].data[0] = (float)total;
}

/* The seed of the whole backward pass: each term's weight over its count. */
static void total_grad(dfqi_graph *g, const dfqi_node *n, const dfqi_id *dout, const uint8_t *want,
                       dfqi_id *din)
{
    (void)dout; /* total is where differentiation starts: its own gradient is 1 */
    for (int32_t i = 0; i < n->n_in; i++)
        if (want[i])
            din[i] =
                dfqi_fill(g, n->in[i], n->attr.f[i] / (float)dfqi_value_count(dfqi_in(g, n, i)));
}

/* -- fill: attr f[0] value --------------------------------------------------------------------- */

static void fill_run(const dfqi_run *r)
{
    for (int64_t i = 0; i < r->out[0].count; i++) r->out[0].data[i] = r->attr->f[0];
}

/* -- builders ---------------------------------------------------------------------------------- */

dfqi_id dfqi_cross_entropy(dfqi_graph *g, dfqi_id logits, dfqi_id labels)
{
    return dfqi_make(g, DFQI_OP_CROSS_ENTROPY, NULL, 2, (dfqi_id[]){logits, labels});
}

dfqi_id dfqi_soft_cross_entropy(dfqi_graph *g, dfqi_id logits, dfqi_id targets)
{
    return dfqi_make(g, DFQI_OP_SOFT_CROSS_ENTROPY, NULL, 2, (dfqi_id[]){logits, targets});
}

dfqi_id dfqi_kl(dfqi_graph *g, dfqi_id student, dfqi_id teacher, float temperature)
{
    dfqi_attr a = {.f = {temperature}};
    return dfqi_make(g, DFQI_OP_KL, &a, 2, (dfqi_id[]){student, teacher});
}

dfqi_id dfqi_total(dfqi_graph *g, int32_t n, const dfqi_id *term, const float *weight)
{
    dfqi_attr a = {.f = {0}};
    for (int32_t i = 0; i < n && i < DFQI_ATTR_MAX; i++) a.f[i] = weight[i];
    return dfqi_make(g, DFQI_OP_TOTAL, &a, n, term);
}

dfqi_id dfqi_fill(dfqi_graph *g, dfqi_id like, float value)
{
    dfqi_attr a = {.f = {value}};
    return dfqi_make(g, DFQI_OP_FILL, &a, 1, &like);
}

const dfqi_op dfqi_ops_loss[] = {
    {"cross_entropy", 2, 2, 1, 0, ce_shape, ce_run, ce_grad, NULL, NULL, NULL},
    {"cross_entropy_dx", 3, 3, 1, 0, dfqi_shape_same, ce_dx_run, NULL, NULL, NULL, NULL},
    {"soft_cross_entropy", 2, 2, 1, 0, soft_ce_shape, soft_ce_run, soft_ce_grad, NULL, NULL, NULL},
    {"soft_cross_entropy_dx", 3, 3, 1, 0, dfqi_shape_same, soft_ce_dx_run, NULL, NULL, NULL, NULL},
    {"kl", 2, 2, 1, 0, kl_shape, kl_run, kl_grad, NULL, NULL, NULL},
    {"kl_dx", 3, 3, 1, 0, dfqi_shape_same, kl_dx_run, NULL, NULL, NULL, NULL},
    {"total", 1, DFQI_ATTR_MAX, 2, DFQI_OPF_WHOLE, total_shape, total_run, total_grad, NULL, NULL,
     NULL},
    {"fill", 1, 1, 1, 0, dfqi_shape_same, fill_run, NULL, NULL, NULL, NULL},
};
