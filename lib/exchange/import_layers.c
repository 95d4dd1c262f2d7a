/* Nodes that have parameters, and products. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"

/* -- rows: one axis last in memory ------------------------------------------------------------- */

/* The last atoms in memory, if they are those of an axis in its order; -1: they are not. */
static int32_t tail(const im_view *v, const im_axis *axis)
{
    int32_t first = v->n_atoms - axis->n;
    for (int32_t k = 0; k < axis->n; k++)
        if (axis->atoms[k] != first + k) return -1;
    for (int32_t i = 0; i < v->n_atoms; i++)
        if (v->atoms[i].pick >= 0) return -1;
    return first;
}

int32_t dfqi_im_rows(im *m, const im_view *v, int32_t axis, im_view *out)
{
    return dfqi_im_rows_of(m, v, &v->axes[axis], dfqi_im_extent(v, axis), out);
}

int32_t dfqi_im_rows_of(im *m, const im_view *v, const im_axis *last, int64_t n, im_view *out)
{
    *out = *v;
    if (m->status != DFQ_OK) return -1;
    const im_draft_value *base = &m->draft.values[v->base];
    if (tail(v, last) >= 0 && base->rank > 0 && base->dims[base->rank - 1] == n) return v->base;
    im_axis groups[2] = {dfqi_im_others(v, last), *last};
    int32_t one = groups[0].n == 0;
    int32_t id = dfqi_im_arrange(m, v, 2 - one, groups + one);
    dfqi_im_view_order(v, 2, groups, out);
    out->base = id;
    return id;
}

/* -- linear layers ----------------------------------------------------------------------------- */

/* Entry k of the axis as ONNX counts it, for the k-th in memory. */
static int64_t logical_index(const im_view *v, const im_axis *axis, const im_axis *memory,
                             int64_t k)
{
    int64_t at[IM_ATOMS], index = 0;
    for (int32_t i = memory->n - 1; i >= 0; i--) {
        int64_t extent = v->atoms[memory->atoms[i]].extent;
        at[memory->atoms[i]] = k % extent;
        k /= extent;
    }
    for (int32_t i = 0; i < axis->n; i++)
        index = index * v->atoms[axis->atoms[i]].extent + at[axis->atoms[i]];
    return index;
}

/* The atoms of an axis as they lie in memory. */
static im_axis in_memory(const im_view *v, const im_axis *axis)
{
    im_axis sorted = {.n = 0};
    for (int32_t i = 0; i < v->n_atoms; i++)
        for (int32_t k = 0; k < axis->n; k++)
            if (axis->atoms[k] == i) sorted.atoms[sorted.n++] = i;
    return sorted;
}

/* The operand that is a layer's weight. */
static int32_t w_slot(const im *m)
{
    return m->values[m->in[0]].state == IM_CONST ? 0 : 1;
}

/* y = x W^T + b along axis `last`; w has K columns as ONNX has them, `step` and `next` are how
 * far its columns and rows are apart. The columns of the parameter are in the order of memory, so
 * that no data moves where a flattened image is read. */
static im_view linear(im *m, const im_view *x, int32_t last, const im_tensor *w, int64_t outs,
                      int64_t step, int64_t next, const im_tensor *b, double factor,
                      const char *layer)
{
    const int64_t k = dfqi_im_extent(x, last);
    im_view v = *x, y = *x;
    v.axes[last] = in_memory(x, &x->axes[last]);
    int32_t weight = dfqi_im_param(m, "weight", 2, (int64_t[]){outs, k}, NULL);
    int32_t bias = dfqi_im_param_fill(m, "bias", outs, 0);
    float *to = dfqi_im_param_data(m, weight), *to_bias = dfqi_im_param_data(m, bias);
    if (!to || !to_bias) return y;
    for (int64_t c = 0; c < k; c++) {
        int64_t from = logical_index(x, &x->axes[last], &v.axes[last], c);
        for (int64_t o = 0; o < outs; o++)
            to[o * k + c] = (float)((double)w->f[o * next + from * step] * x->scale * factor);
    }
    for (int64_t o = 0; b && o < outs; o++) to_bias[o] = b->f[b->count == 1 ? 0 : o];
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_LINEAR, .n_in = 3, .n_out = 1};
    op.in[0] = dfqi_im_rows(m, &v, last, &y);
    op.in[1] = weight;
    op.in[2] = bias;
    snprintf(op.name, sizeof op.name, "%s", layer);
    if (m->status != DFQ_OK) return y;
    const im_draft_value *rows = &m->draft.values[op.in[0]];
    int64_t dims[5];
    int32_t rank = rows->rank;
    memcpy(dims, rows->dims, sizeof dims);
    dims[rank - 1] = outs;
    dfqi_im_view_last(m, &y, last, outs);
    y.base = dfqi_im_op(m, &op, rank, dims);
    y.scale = 1;
    y.shared = false;
    return y;
}

static void put_linear(im *m, const im_view *x, int32_t last, const im_tensor *w, int64_t outs,
                       int64_t step, int64_t next, const im_tensor *b, double factor)
{
    char layer[DFQI_LAYER_MAX];
    dfqi_im_layer_name(m, m->in[w_slot(m)], m->n_in > 2 ? m->in[2] : -1, layer);
    im_view y = linear(m, x, last, w, outs, step, next, b, factor, layer);
    dfqi_im_set_view(m, 0, &y);
}

im_view dfqi_im_linear_along(im *m, const im_view *x, int32_t axis, const float *w, int64_t outs,
                             const char *layer)
{
    const im_tensor weight = {.f = w};
    return linear(m, x, axis, &weight, outs, 1, dfqi_im_extent(x, axis), NULL, 1, layer);
}

void dfqi_im_gemm(im *m)
{
    const im_tensor *b = dfqi_im_const(m, m->in[1]),
                    *c = m->n_in > 2 ? dfqi_im_const(m, m->in[2]) : NULL;
    const im_view *x = dfqi_im_view_of(m, 0);
    bool trans = dfqi_im_attr_int(m, "transB", 0) != 0;
    double alpha = dfqi_im_attr_float(m, "alpha", 1), beta = dfqi_im_attr_float(m, "beta", 1);
    if (!x) return;
    int64_t k = dfqi_im_extent(x, x->rank - 1), outs = b ? b->dims[trans ? 0 : 1] : 0;
    bool fits = b && !b->is_int && b->rank == 2 && x->rank == 2 && b->dims[trans ? 1 : 0] == k &&
                !dfqi_im_attr_int(m, "transA", 0) && (m->n_in < 3 || m->in[2] < 0 || c) &&
                (!c || (!c->is_int && (c->count == 1 || c->count == outs))) &&
                !(beta < 1 || beta > 1);
    if (!fits)
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "is not a linear layer: it must have a constant weight that fits and a constant bias");
    else
        put_linear(m, x, 1, b, outs, trans ? 1 : outs, trans ? k : 1, c, alpha);
}

/* -- products of two computed values ----------------------------------------------------------- */

/* Are the innermost entries of b in memory those of the axis that is summed over? */
static bool sums_innermost(const im_view *b, const im_axis *summed)
{
    int32_t last = b->n_atoms - 1;
    while (last >= 0 && b->atoms[last].pick >= 0) last--;
    for (int32_t i = 0; i < summed->n; i++)
        if (summed->atoms[i] == last) return true;
    return false;
}

static void product_name(im *m, bool keys, char *out, size_t cap)
{
    char scope[DFQI_LAYER_MAX];
    if (dfqi_im_own_name(m, scope)) {
        snprintf(out, cap, "%s", scope);
        return;
    }
    dfqi_im_scope(m->node, scope);
    if (scope[0] == '\0') snprintf(scope, sizeof scope, "attention%d", m->attentions);
    m->attentions += !keys;
    snprintf(out, cap, "%.70s.%s", scope, keys ? "qk" : "av");
}

int32_t dfqi_im_product(im *m, const im_view *a, const im_axis of_a[3], const im_view *b,
                        const im_axis of_b[3], const int64_t dims[3])
{
    const bool keys = sums_innermost(b, &of_b[2]);
    const im_axis order[3] = {of_b[0], of_b[keys ? 1 : 2], of_b[keys ? 2 : 1]};
    dfqi_structure_op op = {.kind = keys ? DFQI_STRUCTURE_MATMUL_NT : DFQI_STRUCTURE_MATMUL_NN,
                            .n_in = 2,
                            .in = {dfqi_im_arrange(m, a, 3, of_a), dfqi_im_arrange(m, b, 3, order)},
                            .n_out = 1};
    product_name(m, keys, op.name, sizeof op.name);
    return dfqi_im_op(m, &op, 3, dims);
}

/* The axes of the result: heads and rows of a, columns of b. */
static im_view product_view(const im_view *a, const im_view *b, int32_t base)
{
    im_view y = {.base = base, .rank = a->rank, .scale = a->scale * b->scale};
    for (int32_t i = 0; i < a->rank; i++) {
        const im_view *from = i < a->rank - 1 ? a : b;
        const int64_t extent = dfqi_im_extent(from, i);
        if (extent == 1) continue;
        y.axes[i] = (im_axis){.n = 1, .atoms = {y.n_atoms}};
        y.atoms[y.n_atoms++] = (im_atom){extent, -1};
    }
    return y;
}

static void product(im *m)
{
    const im_view *a = dfqi_im_view_of(m, 0), *b = dfqi_im_view_of(m, 1);
    bool fits = a && b && a->rank == b->rank && a->rank >= 3 &&
                dfqi_im_extent(a, a->rank - 1) == dfqi_im_extent(b, a->rank - 2);
    for (int32_t i = 0; fits && i < a->rank - 2; i++)
        fits = dfqi_im_extent(a, i) == dfqi_im_extent(b, i);
    if (!fits) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "multiplies computed values whose shapes are not those of attention heads");
        return;
    }
    const int32_t r = a->rank;
    const im_axis of_a[3] = {dfqi_im_axes(a, 0, r - 2), a->axes[r - 2], a->axes[r - 1]},
                  of_b[3] = {dfqi_im_axes(b, 0, r - 2), b->axes[r - 1], b->axes[r - 2]};
    int64_t dims[3] = {1, dfqi_im_extent(a, r - 2), dfqi_im_extent(b, r - 1)};
    for (int32_t i = 0; i < r - 2; i++) dims[0] *= dfqi_im_extent(a, i);
    im_view y = product_view(a, b, dfqi_im_product(m, a, of_a, b, of_b, dims));
    dfqi_im_set_view(m, 0, &y);
}

/* x W, or W x along the axis before the last. */
void dfqi_im_matmul(im *m)
{
    const im_tensor *left = dfqi_im_const(m, m->in[0]),
                    *w = left ? left : dfqi_im_const(m, m->in[1]);
    const im_view *x = w ? dfqi_im_view_of(m, left ? 1 : 0) : NULL;
    if (m->status != DFQ_OK) return;
    if (!w) {
        product(m);
        return;
    }
    const int32_t axis = x->rank - (left ? 2 : 1);
    if (w->is_int || w->rank != 2 || axis < 0 || dfqi_im_extent(x, axis) != w->dims[left ? 1 : 0])
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must have a weight of two axes that fits its operand");
    else if (left)
        put_linear(m, x, axis, w, w->dims[0], 1, w->dims[1], NULL, 1);
    else
        put_linear(m, x, axis, w, w->dims[1], w->dims[1], 1, NULL, 1);
}

void dfqi_im_pointwise(im *m, const im_view *x, const im_tensor *w, const im_tensor *b)
{
    put_linear(m, x, 1, w, w->dims[0], 1, w->dims[1], b, 1);
}

/* -- norms and softmax ------------------------------------------------------------------------- */

/* The op on rows of the last axis; returns the view of its output. */
static im_view on_rows(im *m, const im_view *x, int32_t axis, dfqi_structure_op *op)
{
    im_view y;
    op->in[0] = dfqi_im_rows(m, x, axis, &y);
    op->n_out = 1;
    if (m->status != DFQ_OK) return y;
    const im_draft_value rows = m->draft.values[op->in[0]];
    y.base = dfqi_im_op(m, op, rows.rank, rows.dims);
    y.scale = 1;
    y.shared = false;
    return y;
}

/* A vector of floats with n entries as a parameter; a missing one is filled. */
static int32_t vector(im *m, int32_t slot, int64_t n, float otherwise)
{
    int32_t v = slot < m->n_in ? m->in[slot] : -1;
    const im_tensor *t = dfqi_im_const(m, v);
    if (v < 0) return dfqi_im_param_fill(m, "", n, otherwise);
    if (t && !t->is_int && t->count == n) return dfqi_im_param(m, "", 1, &n, t->f);
    dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                 "must have constant operands with %lld entries, one a channel", (long long)n);
    return -1;
}

void dfqi_im_layernorm(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    int64_t axis = dfqi_im_attr_int(m, "axis", -1), n = dfqi_im_extent(x, x->rank - 1);
    if (axis != -1 && axis != x->rank - 1) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "normalises over axis %lld and those behind it, must do so "
                     "over the last axis alone",
                     (long long)axis);
        return;
    }
    double eps = dfqi_im_attr_float(m, "epsilon", 1e-5) / (x->scale * x->scale);
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_LAYERNORM,
                            .n_in = 3,
                            .in = {0, vector(m, 1, n, 1), vector(m, 2, n, 0)},
                            .n_floats = 1,
                            .value = (float)eps};
    dfqi_im_layer_name(m, m->in[1], m->n_in > 2 ? m->in[2] : -1, op.name);
    if (x->scale < 0)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "reads a value that is multiplied below 0");
    im_view y = on_rows(m, x, x->rank - 1, &op);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_put_layernorm(im *m, const im_view *x, double eps)
{
    int64_t n = dfqi_im_extent(x, x->rank - 1);
    dfqi_structure_op op = {
        .kind = DFQI_STRUCTURE_LAYERNORM,
        .n_in = 3,
        .in = {0, dfqi_im_param_fill(m, "", n, 1), dfqi_im_param_fill(m, "", n, 0)},
        .n_floats = 1,
        .value = (float)(eps / (x->scale * x->scale))};
    dfqi_im_layer_name(m, -1, -1, op.name);
    im_view y = on_rows(m, x, x->rank - 1, &op);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_batchnorm(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    if (x->rank < 2 || dfqi_im_attr_int(m, "training_mode", 0) || x->scale < 1 || x->scale > 1) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must normalise channels of images, in evaluation mode");
        return;
    }
    int64_t n = dfqi_im_extent(x, 1);
    dfqi_structure_op op = {
        .kind = DFQI_STRUCTURE_BATCHNORM,
        .n_in = 5,
        .in = {0, vector(m, 1, n, 1), vector(m, 2, n, 0), vector(m, 3, n, 0), vector(m, 4, n, 1)},
        .n_floats = 1,
        .value = (float)dfqi_im_attr_float(m, "epsilon", 1e-5)};
    dfqi_im_layer_name(m, m->in[1], m->n_in > 2 ? m->in[2] : -1, op.name);
    im_view y = on_rows(m, x, 1, &op);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_softmax(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", -1), x->rank);
    if (m->status != DFQ_OK) return;
    dfqi_structure_op op = {
        .kind = DFQI_STRUCTURE_SOFTMAX, .n_in = 1, .n_floats = 1, .value = (float)x->scale};
    char scope[DFQI_LAYER_MAX];
    dfqi_im_scope(m->node, scope);
    if (scope[0]) snprintf(op.name, sizeof op.name, "%.70s.map", scope);
    im_view y = on_rows(m, x, axis, &op);
    dfqi_im_set_view(m, 0, &y);
}
