/* Nodes on images: convolutions and pooling. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"

enum { KERNEL_MOST = 16, STEP_MOST = 64 };

/* A window that moves over an image: along y and x. */
typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], pad[4]; /* pad: top, left, bottom, right */
    int64_t out[2];
    bool up; /* the number of outputs is rounded up (ceil_mode) */
} window;

/* SAME: as many outputs as the image has steps; what is odd goes to the end, or to the
 * beginning. */
static void same_pads(window *w, int k, int64_t extent, bool upper)
{
    int64_t outs = (extent + w->stride[k] - 1) / w->stride[k];
    int64_t need = (outs - 1) * w->stride[k] + (w->kernel[k] - 1) * w->dilation[k] + 1 - extent;
    need = need > 0 ? need : 0;
    w->pad[k] = upper ? need / 2 : need - need / 2;
    w->pad[2 + k] = need - w->pad[k];
}

static bool in_range(const int64_t *v, int n, int64_t lo, int64_t hi)
{
    for (int i = 0; i < n; i++)
        if (v[i] < lo || v[i] > hi) return false;
    return true;
}

/* A list of an attribute: `n` numbers, or half as many of a window along x alone, whose others are
 * `other`; the same steps along y do nothing there. */
static bool read_list(im *m, const char *name, bool alone, int32_t n, bool same, int64_t *out)
{
    int64_t list[4];
    const int32_t have = dfqi_im_ints(m, name, -1, 4, list);
    if (have < 0) return true;
    if (have != (alone ? n / 2 : n)) return false;
    for (int32_t k = 0; k < n; k++)
        if (!alone)
            out[k] = list[k];
        else if (k % 2 == 1 || same)
            out[k] = list[k / 2];
    return true;
}

/* Reads the attributes of a window; `kernel` is that of a weight, or NULL. `alone`: the image is a
 * row. */
static bool read_window(im *m, const im_view *x, const int64_t *kernel, bool alone, window *w)
{
    *w = (window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    if (m->status != DFQ_OK) return false;
    bool good = x->rank == 4 && (kernel || dfqi_im_attr(m, "kernel_shape")) &&
                read_list(m, "kernel_shape", alone, 2, false, w->kernel) &&
                read_list(m, "strides", alone, 2, true, w->stride) &&
                read_list(m, "dilations", alone, 2, true, w->dilation) &&
                read_list(m, "pads", alone, 4, false, w->pad);
    if (kernel) memcpy(w->kernel, kernel, sizeof w->kernel);
    good = good && in_range(w->kernel, 2, 1, STEP_MOST) && in_range(w->stride, 2, 1, STEP_MOST) &&
           in_range(w->dilation, 2, 1, STEP_MOST) && in_range(w->pad, 4, 0, STEP_MOST);
    if (!good) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "must have a window of two axes on an image, with kernel, strides and dilations of "
            "1 to %d and pads of 0 to %d",
            STEP_MOST, STEP_MOST);
        return false;
    }
    for (int k = 0; k < 2; k++) {
        int64_t extent = dfqi_im_extent(x, 2 + k);
        if (dfqi_im_attr_is(m, "auto_pad", "SAME_UPPER", false)) same_pads(w, k, extent, true);
        if (dfqi_im_attr_is(m, "auto_pad", "SAME_LOWER", false)) same_pads(w, k, extent, false);
        if (dfqi_im_attr_is(m, "auto_pad", "VALID", false)) w->pad[k] = w->pad[2 + k] = 0;
        int64_t room = extent + w->pad[k] + w->pad[2 + k] - (w->kernel[k] - 1) * w->dilation[k] - 1;
        w->out[k] = room < 0 ? 0 : room / w->stride[k] + 1;
        w->up = dfqi_im_attr_int(m, "ceil_mode", 0) != 0;
        if (w->up && room % w->stride[k] != 0 &&
            w->out[k] * w->stride[k] < extent + w->pad[k]) /* no window outside of the image */
            w->out[k]++;
    }
    if (w->out[0] > 0 && w->out[1] > 0) return true;
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has a window that does not fit into the image");
    return false;
}

/* The same along both axes? Then `pad` is that of all sides, and `more` what is beyond it behind
 * the image. Padding of another form is left for zeros around the image: *border is true. */
static bool is_square(im *m, const window *w, int64_t *pad, int64_t *more, bool *border)
{
    *pad = w->pad[0];
    *more = w->pad[2] - w->pad[0];
    *border = w->pad[1] != *pad || w->pad[3] - w->pad[1] != *more || *more < 0;
    if (w->stride[0] == w->stride[1] && w->dilation[0] == w->dilation[1]) return true;
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                 "has strides %lld x %lld and dilations %lld x %lld, must have the same along both "
                 "axes",
                 (long long)w->stride[0], (long long)w->stride[1], (long long)w->dilation[0],
                 (long long)w->dilation[1]);
    return false;
}

/* [Y,X,C] in memory. */
static int32_t image_of(im *m, const im_view *x)
{
    const im_axis order[3] = {x->axes[2], x->axes[3], x->axes[1]};
    return dfqi_im_arrange(m, x, 3, order);
}

/* Zeros around an image [Y,X,C]; pad: top, left, bottom, right. */
static int32_t bordered(im *m, int32_t image, const int64_t pad[4])
{
    if (m->status != DFQ_OK) return -1;
    const im_draft_value v = m->draft.values[image];
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_PAD_IMAGE,
                            .n_in = 1,
                            .in = {image},
                            .n_out = 1,
                            .n_ints = 4,
                            .ints = {pad[0], pad[1], pad[2], pad[3]}};
    return dfqi_im_op(
        m, &op, 3,
        (int64_t[]){v.dims[0] + pad[0] + pad[2], v.dims[1] + pad[1] + pad[3], v.dims[2]});
}

/* [N,C,Y,X], or [N,C,X] if the operand is a row. */
static void set_image(im *m, int32_t base, int64_t channels, int64_t y, int64_t x, double scale)
{
    im_view v =
        dfqi_im_view_new(m, base, 4, (int64_t[]){1, channels, y, x}, 3, (int32_t[]){2, 3, 1});
    v.scale = scale;
    if (dfqi_im_operand(m, 0)->v.rank == 3) {
        v.rank = 3;
        v.axes[2] = v.axes[3];
    }
    dfqi_im_set_view(m, 0, &v);
}

/* A row [N,C,X] as an image [N,C,1,X]. */
static im_view as_image(const im_view *x)
{
    im_view y = *x;
    if (x->rank != 3) return y;
    y.rank = 4;
    y.axes[3] = x->axes[2];
    y.axes[2] = (im_axis){.n = 0};
    return y;
}

/* -- convolution ------------------------------------------------------------------------------- */

/* Parameters of the layer: its weight times `scale`, and its bias, if it has one. */
static void layer_params(im *m, const im_tensor *w, const im_tensor *b, double scale,
                         dfqi_structure_op *op)
{
    op->in[1] = dfqi_im_param(m, "weight", 4, w->dims, w->f);
    float *to = dfqi_im_param_data(m, op->in[1]);
    for (int64_t i = 0; to && (scale < 1 || scale > 1) && i < w->count; i++)
        to[i] = (float)((double)to[i] * scale);
    op->n_in = 2;
    if (b) op->in[op->n_in++] = dfqi_im_param(m, "bias", 1, w->dims, b->f);
}

/* Patches of the image and a linear layer: how transformers begin. */
static void patches(im *m, const im_view *x, const window *w, dfqi_structure_op *op)
{
    int64_t n = w->out[0] * w->out[1], outs = m->draft.values[op->in[1]].dims[0];
    int64_t values = dfqi_im_extent(x, 1) * w->kernel[0] * w->kernel[0];
    dfqi_structure_op cut = {.kind = DFQI_STRUCTURE_PATCHIFY,
                             .n_in = 1,
                             .in = {x->base},
                             .n_out = 1,
                             .n_ints = 1,
                             .ints = {w->kernel[0]}};
    op->kind = DFQI_STRUCTURE_LINEAR;
    op->in[0] = dfqi_im_op(m, &cut, 2, (int64_t[]){n, values});
    if (op->n_in == 2) op->in[op->n_in++] = dfqi_im_param_fill(m, "bias", outs, 0);
    set_image(m, dfqi_im_op(m, op, 2, (int64_t[]){n, outs}), outs, w->out[0], w->out[1], 1);
}

static bool is_patches(const im *m, const im_view *x, const window *w, int64_t groups)
{
    bool good = x->base == DFQI_STRUCTURE_IMAGE && (m->has_softmax || w->kernel[0] > KERNEL_MOST) &&
                groups == 1 && w->kernel[0] > 1 && w->kernel[0] == w->kernel[1];
    for (int k = 0; k < 2; k++)
        good &= w->stride[k] == w->kernel[k] && w->dilation[k] == 1 && w->pad[k] == 0 &&
                w->pad[2 + k] == 0 && dfqi_im_extent(x, 2 + k) % w->kernel[k] == 0;
    return good;
}

static bool is_pointwise(const window *w)
{
    bool one = true;
    for (int k = 0; k < 2; k++)
        one &= w->kernel[k] == 1 && w->stride[k] == 1 && w->pad[k] == 0 && w->pad[2 + k] == 0;
    return one;
}

/* Parts of an image that take the place of the batch are no images here. */
static bool is_one_image(im *m, const im_view *x)
{
    if (m->status == DFQ_OK && dfqi_im_extent(x, 0) == 1) return true;
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                 "reads %lld windows or groups of each image as images of a batch",
                 (long long)dfqi_im_extent(x, 0));
    return false;
}

/* A weight [O,C,k] as [O,C,1,k]. */
static const im_tensor *filter_of_row(const im_tensor *w, im_tensor *out)
{
    *out = *w;
    out->rank = 4;
    out->dims[3] = w->dims[2];
    out->dims[2] = 1;
    return out;
}

void dfqi_im_conv(im *m)
{
    const im_view *own = dfqi_im_view_of(m, 0);
    const im_tensor *given = dfqi_im_const(m, m->in[1]), *w = given,
                    *b = m->n_in > 2 ? dfqi_im_const(m, m->in[2]) : NULL;
    int64_t groups = dfqi_im_attr_int(m, "group", 1);
    im_tensor wide;
    window g;
    if (!own) return;
    const bool alone = own->rank == 3 && given && given->rank == 3;
    const im_view image = as_image(own), *x = &image;
    if (alone) w = filter_of_row(given, &wide);
    bool good = w && !w->is_int && w->rank == 4 && w->count > 0 && x->rank == 4 &&
                (m->n_in < 3 || m->in[2] < 0 || b) &&
                (!b || (!b->is_int && b->count == w->dims[0]));
    good = good && groups > 0 && groups <= w->dims[0] && w->dims[1] <= dfqi_im_extent(x, 1) &&
           w->dims[1] * groups == dfqi_im_extent(x, 1);
    if (!good) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "is not a convolution of an image: it must have a constant weight [O,C/groups,kh,kw] "
            "that fits and a constant bias");
        return;
    }
    if (!read_window(m, x, w->dims + 2, alone, &g)) return;
    if (dfqi_im_extent(x, 0) > 1 && is_pointwise(&g) && groups == 1) {
        dfqi_im_pointwise(m, x, w, b);
        return;
    }
    if (!is_one_image(m, x)) return;
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_CONV, .n_out = 1};
    layer_params(m, w, b, x->scale, &op);
    dfqi_im_layer_name(m, m->in[1], m->n_in > 2 ? m->in[2] : -1, op.name);
    if (is_patches(m, x, &g, groups)) {
        patches(m, x, &g, &op);
        return;
    }
    int64_t pad, more;
    bool border;
    if (!is_square(m, &g, &pad, &more, &border)) return;
    if (g.kernel[0] > KERNEL_MOST || g.kernel[1] > KERNEL_MOST || w->dims[0] % groups != 0) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "has a kernel of %lld x %lld for %lld filters in %lld groups, must have at most "
            "%d x %d and as many filters in each group",
            (long long)g.kernel[0], (long long)g.kernel[1], (long long)w->dims[0],
            (long long)groups, KERNEL_MOST, KERNEL_MOST);
        return;
    }
    op.in[0] = image_of(m, x);
    if (border) op.in[0] = bordered(m, op.in[0], g.pad);
    op.n_ints = 5;
    memcpy(op.ints,
           (int64_t[]){g.stride[0], border ? 0 : pad, g.dilation[0], groups, border ? 0 : more},
           5 * sizeof *op.ints);
    set_image(m, dfqi_im_op(m, &op, 3, (int64_t[]){g.out[0], g.out[1], w->dims[0]}), w->dims[0],
              g.out[0], g.out[1], 1);
}

/* -- pooling ----------------------------------------------------------------------------------- */

static void pool(im *m, dfqi_structure_kind kind)
{
    const im_view *own = dfqi_im_view_of(m, 0);
    window g;
    int64_t pad, more;
    bool border;
    if (!own) return;
    const im_view image = as_image(own), *x = &image;
    if (!read_window(m, x, NULL, own->rank == 3, &g) || !is_one_image(m, x) ||
        !is_square(m, &g, &pad, &more, &border))
        return;
    int64_t ceil[2];
    for (int k = 0; k < 2; k++) /* what rounding up needs behind the padding */
        ceil[k] = (g.out[k] - 1) * g.stride[k] + g.kernel[k] - dfqi_im_extent(x, 2 + k) - pad;
    if (g.up) more = ceil[0] - pad > 0 ? ceil[0] - pad : 0;
    if (g.kernel[0] != g.kernel[1] || g.dilation[0] != 1 || border || pad > g.kernel[0] / 2 ||
        pad + more >= g.kernel[0] + (pad + more == 0) || !(x->scale > 0) ||
        (g.up && ceil[0] != ceil[1])) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "must have a square window without dilation, padded by at most half of it and "
                     "alike along both axes");
        return;
    }
    int64_t c = dfqi_im_extent(x, 1);
    bool avg = kind == DFQI_STRUCTURE_AVG_POOL;
    dfqi_structure_op op = {.kind = kind,
                            .n_in = 1,
                            .in = {image_of(m, x)},
                            .n_out = 1,
                            .n_ints = avg ? 5 : 4,
                            .ints = {g.kernel[0], g.stride[0], pad, more}};
    if (avg) op.ints[4] = dfqi_im_attr_int(m, "count_include_pad", 0) != 0;
    set_image(m, dfqi_im_op(m, &op, 3, (int64_t[]){g.out[0], g.out[1], c}), c, g.out[0], g.out[1],
              x->scale);
}

void dfqi_im_max_pool(im *m)
{
    pool(m, DFQI_STRUCTURE_MAX_POOL);
}

/* Means of windows of x alone that do not overlap: [..,X] as [..,X/k,k]. */
static bool is_split(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    window g;
    im_view y, z;
    if (!x || x->rank != 3) return false;
    const im_view image = as_image(x);
    bool over[IM_RANK] = {false, false, false, true};
    if (!read_window(m, &image, NULL, true, &g) || g.kernel[1] != g.stride[1] || g.pad[1] != 0 ||
        g.pad[3] != 0 || dfqi_im_extent(x, 2) % g.kernel[1] != 0)
        return false;
    const int64_t dims[4] = {dfqi_im_extent(x, 0), dfqi_im_extent(x, 1), g.out[1], g.kernel[1]};
    if (!dfqi_im_view_reshape(m, x, 4, dims, &y)) return false;
    z = dfqi_im_mean(m, &y, over, false);
    dfqi_im_set_view(m, 0, &z);
    return true;
}

void dfqi_im_avg_pool(im *m)
{
    if (is_split(m)) return;
    pool(m, DFQI_STRUCTURE_AVG_POOL);
}

/* Zeros around an image or tokens of zeros in front, before a layer that has none of its own; any
 * number along other axes. */
void dfqi_im_pad(im *m)
{
    int64_t pads[2 * IM_RANK];
    double fill = 0;
    const im_view *x = dfqi_im_view_of(m, 0);
    int32_t n = dfqi_im_ints(m, "pads", 1, 2 * IM_RANK, pads);
    if (!x || m->status != DFQ_OK) return;
    if (x->rank == 3 && n == 6 && pads[1] > 0 && pads[1] <= 64 && pads[0] == 0 && pads[2] == 0 &&
        pads[3] == 0 && pads[4] == 0 && pads[5] == 0) {
        dfqi_im_put_tokens(m, x, pads[1]);
        return;
    }
    bool good =
        n == 2 * x->rank && dfqi_im_attr_is(m, "mode", "constant", true) &&
        (m->n_in < 3 || m->in[2] < 0 || dfqi_im_scalar(dfqi_im_const(m, m->in[2]), &fill)) &&
        (m->n_in < 4 || m->in[3] < 0) && fabs(fill) < 1e6;
    bool around = x->rank == 4 && fill >= 0 && fill <= 0;
    for (int k = 0; good && k < n; k++) {
        good = pads[k] >= 0 && pads[k] <= (k % x->rank == 0 ? 0 : 65536);
        around &= k % 4 != 1 || pads[k] == 0;
    }
    if (!good) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "must put one number around an image or behind its entries, not reflect or cut");
        return;
    }
    if (!around) {
        dfqi_im_pad_by(m, x, pads, (float)fill);
        return;
    }
    const int64_t pad[4] = {pads[2], pads[3], pads[6], pads[7]};
    set_image(m, bordered(m, image_of(m, x), pad), dfqi_im_extent(x, 1),
              dfqi_im_extent(x, 2) + pad[0] + pad[2], dfqi_im_extent(x, 3) + pad[1] + pad[3],
              x->scale);
}
