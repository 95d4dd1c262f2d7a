/* Emitters of convolutional networks. Images have their channels first, as ONNX's convolutions read
 * them. In a quantized network, a BatchNorm that alone reads a convolution is folded into it. In a
 * float one it stays: engines fold it themselves, and zero-shot methods need its statistics. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_priv.h"

/* operands of the op batchnorm */
enum { MEAN = 1, VAR, GAMMA, BETA };

/* -- convolution with its BatchNorm ------------------------------------------------------------ */

/* y = gain x + shift for each channel. */
static void gain_and_shift(const dfqi_onnx *e, const dfqi_node *norm, int64_t c, double *gain,
                           double *shift)
{
    const float *mean = dfqi_onnx_param(e, norm, MEAN), *var = dfqi_onnx_param(e, norm, VAR);
    const float *gamma = dfqi_onnx_param(e, norm, GAMMA), *beta = dfqi_onnx_param(e, norm, BETA);
    *gain = (gamma ? (double)gamma[c] : 1.0) / sqrt((double)(var[c] + norm->attr.f[0]));
    *shift = (beta ? (double)beta[c] : 0.0) - *gain * (double)mean[c];
}

/* The BatchNorm behind a convolution that is folded into it: nobody else reads the convolution, and
 * its values are constant. */
static const dfqi_node *norm_behind(const dfqi_onnx *e, const dfqi_node *n)
{
    const dfqi_node *norm = e->m->quantized ? dfqi_onnx_reader(e, n) : NULL;
    if (!norm || norm->op != DFQI_OP_BATCHNORM) return NULL;
    for (int32_t i = MEAN; i <= BETA; i++)
        if (norm->in[i] >= 0 && !dfqi_onnx_param(e, norm, i)) return NULL;
    return norm;
}

/* What the rows of a weight are multiplied by, and the bias: those of the BatchNorm behind it, else
 * 1 and the convolution's own. */
typedef struct factors {
    double *gain;
    float *bias;
    bool positive; /* all gains are */
} factors;

static factors factors_of(dfqi_onnx *e, const dfqi_node *n, const dfqi_node *norm)
{
    int64_t o = dfqi_onnx_shape(e, n, 1)->dims[0];
    const float *own = n->in[3] >= 0 ? dfqi_onnx_param(e, n, 3) : NULL;
    factors f = {dfqi_onnx_alloc(e, (size_t)o, sizeof *f.gain), dfqi_onnx_floats(e, o), true};
    for (int64_t r = 0; f.gain && f.bias && r < o; r++) {
        double shift = own ? (double)own[r] : 0.0, b = shift;
        f.gain[r] = 1.0;
        if (norm) gain_and_shift(e, norm, r, &f.gain[r], &shift);
        f.bias[r] = (float)(norm ? shift + f.gain[r] * b : shift);
        f.positive = f.positive && f.gain[r] > 0;
    }
    return f;
}

static dfqi_ref float_weight(dfqi_onnx *e, const dfqi_node *n, const factors *f)
{
    const dfqi_value *v = dfqi_onnx_shape(e, n, 1);
    const float *from = dfqi_onnx_weight_floats(e, n);
    int64_t count = dfqi_value_count(v), k = count / v->dims[0];
    float *to = dfqi_onnx_floats(e, count);
    if (!to || !from || !f->gain) return NULL;
    for (int64_t i = 0; i < count; i++) to[i] = (float)(f->gain[i / k] * (double)from[i]);
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.weight", n->name),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, v->rank, v->dims, to);
}

static dfqi_ref coded_weight(dfqi_onnx *e, const dfqi_onnx_weight *w, const factors *f)
{
    for (int64_t r = 0; f->gain && r < w->rows; r++)
        w->scales[r] = (float)((double)w->scales[r] * f->gain[r]);
    return dfqi_onnx_weight_values(e, w, 0);
}

/* Engines round a bias to a multiple of both scales' product, which is coarse if codes have fewer
 * than 8 bits: then it is added behind the convolution. */
static dfqi_ref convolve(dfqi_onnx *e, dfqi_ref x, dfqi_ref w, dfqi_ref b, bool apart,
                         const dfqi_conv_shape *s, int64_t more, int64_t groups)
{
    dfqi_ref y = dfqi_onnx_node(e, "Conv", b && !apart ? 3 : 2, (dfqi_ref[]){x, w, b});
    dfqi_onnx_ints(e, "kernel_shape", 2, (int64_t[]){s->kernel_y, s->kernel_x});
    dfqi_onnx_ints(e, "strides", 2, (int64_t[]){s->stride, s->stride});
    dfqi_onnx_ints(e, "pads", 4, (int64_t[]){s->pad, s->pad, s->pad + more, s->pad + more});
    dfqi_onnx_ints(e, "dilations", 2, (int64_t[]){s->dilation, s->dilation});
    dfqi_onnx_int(e, "group", groups);
    return b && apart ? dfqi_onnx_binary(e, "Add", y, b) : y;
}

/* Integer convolutions of engines want one zero point for all filters, so weights on asymmetric
 * grids are written as floats; and scales above 0, so a BatchNorm that turns a sign stays behind.
 */
void dfqi_emit_conv(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_conv_shape s;
    int64_t groups;
    dfqi_onnx_weight w;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_CHANNELS_FIRST), b = NULL;
    bool coded = dfqi_onnx_weight_get(e, n, &w) && !w.zeros && !w.factors;
    const dfqi_node *norm = norm_behind(e, n);
    factors f = factors_of(e, n, norm);
    if (coded && !f.positive) {
        norm = NULL;
        f = factors_of(e, n, NULL);
    }
    const dfqi_node *maker = dfqi_onnx_maker(e, n, 0);
    if (e->integer && coded && maker && maker->op == DFQI_OP_CHANNELS_LAST)
        x = dfqi_onnx_image_codes(e, x);
    dfqi_conv_node(e->g, n, &s, &groups);
    dfqi_ref v = coded ? coded_weight(e, &w, &f) : float_weight(e, n, &f);
    bool apart = coded && (w.bits < 8 || e->m->scheme.act_bits < 8);
    if (norm || n->in[3] >= 0)
        b = dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.bias", n->name),
                             ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, apart ? 3 : 1,
                             (int64_t[]){s.o, 1, 1}, f.bias);
    dfqi_ref y = convolve(e, x, v, b, apart, &s, dfqi_conv_more(n), groups);
    dfqi_onnx_out(e, n, 0, y, DFQI_LAYOUT_CHANNELS_FIRST);
    if (norm) dfqi_onnx_out(e, norm, 0, y, DFQI_LAYOUT_CHANNELS_FIRST);
}

/* Gamma and beta that are absent are 1 and 0. */
static dfqi_ref norm_param(dfqi_onnx *e, const dfqi_node *n, int32_t slot, int64_t c)
{
    if (n->in[slot] >= 0) return dfqi_onnx_in(e, n, slot, DFQI_LAYOUT_SAME);
    float *v = dfqi_onnx_floats(e, c);
    for (int64_t i = 0; v && i < c; i++) v[i] = slot == GAMMA;
    return dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.norm.%d", e->label, (int)e->serial++),
                            ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &c, v);
}

/* Channels of an image, or of a vector for each image. */
static dfqi_ref whole_norm(dfqi_onnx *e, const dfqi_node *n, dfqi_ref x, int64_t c)
{
    x = dfqi_onnx_node(e, "BatchNormalization", 5,
                       (dfqi_ref[]){x, norm_param(e, n, GAMMA, c), norm_param(e, n, BETA, c),
                                    norm_param(e, n, MEAN, c), norm_param(e, n, VAR, c)});
    dfqi_onnx_float(e, "epsilon", n->attr.f[0]);
    return x;
}

/* One that was not folded. ONNX has none on the last axis of tokens. */
void dfqi_emit_batchnorm(dfqi_onnx *e, const dfqi_node *n)
{
    if (e->values[n->out[0]].ref) return;
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    int64_t c = dfqi_value_last(v);
    dfqi_layout layout = v->rank == 4 ? DFQI_LAYOUT_CHANNELS_FIRST : DFQI_LAYOUT_SAME;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, layout);
    if (v->rank != 3) {
        dfqi_onnx_out(e, n, 0, whole_norm(e, n, x, c), layout);
        return;
    }
    float *gain = dfqi_onnx_floats(e, c), *shift = dfqi_onnx_floats(e, c);
    for (int64_t i = 0; gain && shift && i < c; i++) {
        double g, s;
        gain_and_shift(e, n, i, &g, &s);
        gain[i] = (float)g;
        shift[i] = (float)s;
    }
    x = dfqi_onnx_binary(e, "Mul", x,
                         dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.gain", e->label),
                                          ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &c, gain));
    x = dfqi_onnx_binary(e, "Add", x,
                         dfqi_onnx_tensor(e, dfqi_onnx_text(e, "%s.shift", e->label),
                                          ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 1, &c, shift));
    dfqi_onnx_out(e, n, 0, x, layout);
}

/* -- layout ------------------------------------------------------------------------------------ */

/* The image of the caller has its channels first already. */
void dfqi_emit_channels(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_onnx_out(e, n, 0, dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_SAME), DFQI_LAYOUT_CHANNELS_FIRST);
}

/* attr i: stride, channels of zeros before and after */
void dfqi_emit_subsample_pad(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t *a = n->attr.i;
    const dfqi_value *v = dfqi_onnx_shape(e, n, 0);
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_CHANNELS_FIRST);
    x = dfqi_onnx_node(e, "Slice", 5,
                       (dfqi_ref[]){x, dfqi_onnx_list(e, 2, (int64_t[]){0, 0}),
                                    dfqi_onnx_list(e, 2, (int64_t[]){v->dims[1], v->dims[2]}),
                                    dfqi_onnx_list(e, 2, (int64_t[]){2, 3}),
                                    dfqi_onnx_list(e, 2, (int64_t[]){a[0], a[0]})});
    x = dfqi_onnx_binary(e, "Pad", x,
                         dfqi_onnx_list(e, 8, (int64_t[]){0, a[1], 0, 0, 0, a[2], 0, 0}));
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_CHANNELS_FIRST);
}

/* -- pooling ----------------------------------------------------------------------------------- */

/* attr i: size, stride, pad, more, count_pad */
void dfqi_emit_pool(dfqi_onnx *e, const dfqi_node *n)
{
    const int64_t *a = n->attr.i, end = a[2] + a[3];
    const bool mean = n->op == DFQI_OP_AVG_POOL;
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_CHANNELS_FIRST);
    x = dfqi_onnx_unary(e, mean ? "AveragePool" : "MaxPool", x);
    dfqi_onnx_ints(e, "kernel_shape", 2, (int64_t[]){a[0], a[0]});
    dfqi_onnx_ints(e, "strides", 2, (int64_t[]){a[1], a[1]});
    dfqi_onnx_ints(e, "pads", 4, (int64_t[]){a[2], a[2], end, end});
    if (mean) dfqi_onnx_int(e, "count_include_pad", a[4]);
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_CHANNELS_FIRST);
}

void dfqi_emit_mean_pool(dfqi_onnx *e, const dfqi_node *n)
{
    dfqi_ref x = dfqi_onnx_in(e, n, 0, DFQI_LAYOUT_CHANNELS_FIRST);
    x = dfqi_onnx_unary(e, "GlobalAveragePool", x);
    x = dfqi_onnx_unary(e, "Flatten", x);
    dfqi_onnx_int(e, "axis", 1);
    dfqi_onnx_out(e, n, 0, x, DFQI_LAYOUT_SAME);
}
