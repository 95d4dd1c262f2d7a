/* Arithmetic that no layer takes into its parameters: numbers along some axes, values whose shapes
 * meet by copies, and parts of norms that something else reads. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_priv.h"
#include "graph/ops.h"

/* -- numbers along axes ------------------------------------------------------------------------ */

/* The axes of x along which a constant varies, in ONNX's order; false: it has others. */
static bool along(const im_view *x, const im_tensor *c, im_axis *out)
{
    out->n = 0;
    for (int32_t i = 0; i < c->rank; i++) {
        int32_t axis = x->rank - c->rank + i;
        if (c->dims[i] == 1) continue;
        if (axis < 0 || dfqi_im_extent(x, axis) != c->dims[i]) return false;
        for (int32_t k = 0; k < x->axes[axis].n; k++) out->atoms[out->n++] = x->axes[axis].atoms[k];
    }
    return true;
}

/* Entry i of what the factors or summands are: of a constant, or one number for all. */
static float entry(const im_tensor *c, int64_t i, double number)
{
    return (float)(c ? number * (double)c->f[c->count == 1 ? 0 : i] : number);
}

/* The op on rows of n entries that makes w x + b: `factor` times w (NULL: 1), and `sign` times b
 * (NULL: 0). */
static int32_t affine(im *m, int32_t rows, int64_t n, const im_tensor *w, double factor,
                      const im_tensor *b, double sign)
{
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_AFFINE, .n_in = 3, .in = {rows}, .n_out = 1};
    if (m->node)
        dfqi_im_layer_name(m, -1, -1, op.name);
    else
        snprintf(op.name, sizeof op.name, "logits");
    op.in[1] = dfqi_im_param(m, "weight", 1, &n, NULL);
    op.in[2] = dfqi_im_param(m, "bias", 1, &n, NULL);
    float *to = dfqi_im_param_data(m, op.in[1]), *more = dfqi_im_param_data(m, op.in[2]);
    if (!to || !more) return -1;
    for (int64_t i = 0; i < n; i++) {
        to[i] = entry(w, i, factor);
        more[i] = b ? entry(b, i, sign) : 0;
    }
    const im_draft_value base = m->draft.values[rows];
    return dfqi_im_op(m, &op, base.rank, base.dims);
}

/* The view itself, unless an entry is picked, or it is one number an image. */
static im_view unpicked(im *m, const im_view *x)
{
    const im_axis none = {.n = 0}, all = dfqi_im_others(x, &none);
    im_view y = *x;
    if (all.n == x->n_atoms || m->status != DFQ_OK) return y;
    dfqi_im_view_order(x, 1, &all, &y);
    y.base = dfqi_im_arrange(m, x, 1, &all);
    return y;
}

im_view dfqi_im_affine(im *m, const im_view *x, const im_tensor *w, const im_tensor *b, double sign)
{
    im_axis of_w = {.n = 0}, of_b = {.n = 0};
    im_view y = *x;
    bool fits = (!w || (!w->is_int && along(x, w, &of_w))) &&
                (!b || (!b->is_int && along(x, b, &of_b))) && (of_w.n == 0 || of_b.n == 0);
    if (!fits)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "has a constant whose shape does not fit the other operand");
    if (m->status != DFQ_OK) return y;
    const im_axis *last = of_w.n ? &of_w : &of_b;
    if (last->n == 0) {
        y = unpicked(m, x);
        if (m->status != DFQ_OK) return y;
        const im_draft_value *base = &m->draft.values[y.base];
        y.base =
            affine(m, y.base, base->rank ? base->dims[base->rank - 1] : 1, w, x->scale, b, sign);
    } else {
        int64_t n = 1;
        for (int32_t k = 0; k < last->n; k++) n *= x->atoms[last->atoms[k]].extent;
        int32_t rows = dfqi_im_rows_of(m, x, last, n, &y);
        y.base = m->status == DFQ_OK ? affine(m, rows, n, w, x->scale, b, sign) : -1;
    }
    y.scale = 1;
    y.shared = false;
    return y;
}

/* -- values of different shapes ---------------------------------------------------------------- */

im_view dfqi_im_expand(im *m, const im_view *x, int32_t rank, const int64_t *dims)
{
    const im_axis none = {.n = 0}, all = dfqi_im_others(x, &none);
    const int32_t more = rank - x->rank;
    im_view y = {.rank = rank, .scale = x->scale, .shared = x->shared};
    int64_t times = 1, n = 1;
    for (int32_t i = 0; i < rank; i++) {
        const int64_t extent = i < more ? 1 : dfqi_im_extent(x, i - more);
        if (extent == dims[i] || m->status != DFQ_OK) continue;
        if (extent != 1 || y.n_atoms + all.n >= IM_ATOMS) {
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                         "has operands of shapes that do not fit (%lld and %lld)",
                         (long long)extent, (long long)dims[i]);
            return y;
        }
        y.axes[i] = (im_axis){.n = 1, .atoms = {y.n_atoms}};
        y.atoms[y.n_atoms++] = (im_atom){dims[i], -1};
        times *= dims[i];
    }
    im_view from = unpicked(m, x);
    if (m->status != DFQ_OK) return y;
    for (int32_t i = more; i < rank; i++)
        for (int32_t k = 0; k < from.axes[i - more].n; k++)
            y.axes[i].atoms[y.axes[i].n++] = from.axes[i - more].atoms[k] + y.n_atoms;
    const int32_t copies = y.n_atoms;
    for (int32_t k = 0; k < from.n_atoms; k++) {
        y.atoms[y.n_atoms++] = from.atoms[k];
        n *= from.atoms[k].extent;
    }
    y.base = from.base;
    if (copies == 0) return y;
    const dfqi_structure_op op = {.kind = DFQI_STRUCTURE_REPEAT,
                                  .n_in = 1,
                                  .in = {from.base},
                                  .n_out = 1,
                                  .n_ints = 1,
                                  .ints = {times}};
    y.base = dfqi_im_op(m, &op, 2, (int64_t[]){times, n});
    y.shared = false;
    return y;
}

void dfqi_im_broadcast(im *m, im_view *a, im_view *b)
{
    const int32_t rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dims[IM_RANK];
    for (int32_t i = 0; i < rank; i++) {
        const int32_t of_a = i - (rank - a->rank), of_b = i - (rank - b->rank);
        const int64_t d = of_a < 0 ? 1 : dfqi_im_extent(a, of_a),
                      e = of_b < 0 ? 1 : dfqi_im_extent(b, of_b);
        dims[i] = d == 1 ? e : d;
    }
    const im_view old = *b;
    *a = dfqi_im_expand(m, a, rank, dims);
    *b = dfqi_im_expand(m, &old, rank, dims);
}

/* -- functions --------------------------------------------------------------------------------- */

im_view dfqi_im_function(im *m, const im_view *x, int32_t kind, double scale)
{
    im_view y = unpicked(m, x);
    const dfqi_structure_op op = {.kind = DFQI_STRUCTURE_FUNCTION,
                                  .n_in = 1,
                                  .in = {y.base},
                                  .n_out = 1,
                                  .n_ints = 1,
                                  .ints = {kind}};
    if (m->status != DFQ_OK) return y;
    const im_draft_value base = m->draft.values[y.base];
    y.base = dfqi_im_op(m, &op, base.rank, base.dims);
    y.scale = scale;
    y.shared = false;
    return y;
}

im_view dfqi_im_root(im *m, const im_view *x)
{
    if (x->scale < 0)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is the root of what is multiplied below 0");
    return dfqi_im_function(m, x, DFQI_ACTIVATION_SQRT, sqrt(fabs(x->scale)));
}

im_view dfqi_im_inverse(im *m, const im_view *x)
{
    return dfqi_im_function(m, x, DFQI_ACTIVATION_RECIPROCAL, 1 / x->scale);
}

/* -- parts of norms ---------------------------------------------------------------------------- */

static im_view mean_of_rows(im *m, const im_view *x)
{
    bool over[IM_RANK] = {false};
    over[x->rank - 1] = true;
    return dfqi_im_mean(m, x, over, true);
}

/* x - mean(x) */
static im_view centred(im *m, const im_view *x)
{
    im_view mean = mean_of_rows(m, x), y = *x;
    mean.scale = -mean.scale;
    return dfqi_im_two(m, DFQI_STRUCTURE_ADD, &y, &mean);
}

/* What an expression of `v` is, by ops of its own. */
static im_view part_of_norm(im *m, const im_value *v)
{
    const im_tensor eps = {.count = 1, .f = (const float[]){(float)v->value}};
    if (v->expr == IM_MEAN) return mean_of_rows(m, &v->v);
    im_view y = centred(m, &v->v);
    if (v->expr == IM_CENTRED || m->status != DFQ_OK) return y;
    y = dfqi_im_two(m, DFQI_STRUCTURE_MUL, &y, &y);
    if (v->expr == IM_SQUARE || m->status != DFQ_OK) return y;
    y = mean_of_rows(m, &y);
    if (m->status == DFQ_OK && v->value > 0) y = dfqi_im_affine(m, &y, NULL, &eps, 1);
    return v->expr == IM_VARIANCE || m->status != DFQ_OK ? y : dfqi_im_root(m, &y);
}

bool dfqi_im_settle(im *m, im_value *v)
{
    if (v->expr != IM_MEAN && v->expr != IM_CENTRED && v->expr != IM_SQUARE &&
        v->expr != IM_VARIANCE && v->expr != IM_DEVIATION)
        return false;
    const im_view y = part_of_norm(m, v);
    v->v = y;
    v->v.shared = v->uses > 1;
    v->expr = IM_WHOLE;
    return m->status == DFQ_OK;
}
