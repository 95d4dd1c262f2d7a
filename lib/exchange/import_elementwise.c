/* Sums, products and the pieces that LayerNorm and activations are exported in. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_priv.h"
#include "graph/ops.h"

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-5 * fabs(b);
}

/* The view that an operand is, with what else reads it counted in. */
static im_view own(const im *m, int32_t slot)
{
    im_view v = m->values[m->in[slot]].v;
    v.shared |= m->values[m->in[slot]].uses > 1;
    return v;
}

static const im_value *operand(const im *m, int32_t slot)
{
    return &m->values[m->in[slot]];
}

static bool is_expr(const im *m, int32_t slot, im_expr expr)
{
    const im_value *v = operand(m, slot);
    return v->state == IM_DATA && v->expr == expr;
}

static void set_expr(im *m, im_expr expr, const im_view *v, double value)
{
    int32_t id = dfqi_im_output(m, 0);
    if (id < 0 || m->status != DFQ_OK) return;
    m->values[id].state = IM_DATA;
    m->values[id].expr = expr;
    m->values[id].v = *v;
    m->values[id].value = value;
}

/* Do two views show the same values, but for a factor? */
static bool same_view(const im_view *a, const im_view *b)
{
    if (a->base != b->base || a->rank != b->rank || a->n_atoms != b->n_atoms) return false;
    for (int32_t i = 0; i < a->n_atoms; i++)
        if (a->atoms[i].extent != b->atoms[i].extent || a->atoms[i].pick != b->atoms[i].pick)
            return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->axes[i].n != b->axes[i].n ||
            memcmp(a->axes[i].atoms, b->axes[i].atoms,
                   (size_t)a->axes[i].n * sizeof a->axes[i].atoms[0]) != 0)
            return false;
    return true;
}

/* -- addition ---------------------------------------------------------------------------------- */

/* The constant in the whole shape of a view, divided by its factor. */
static bool spread(im *m, const im_view *x, const im_tensor *c, im_tensor *out)
{
    int64_t dims[IM_RANK];
    dfqi_im_dims(x, dims);
    bool fits = c->rank <= x->rank;
    for (int32_t i = 0; fits && i < c->rank; i++)
        fits = c->dims[i] == 1 || c->dims[i] == dims[i + x->rank - c->rank];
    if (!fits || !dfqi_im_tensor_new(m, false, x->rank, dims, out)) return false;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t at = 0, step = 1, left = i;
        for (int32_t k = x->rank - 1; k >= 0; k--) {
            int32_t own = k - (x->rank - c->rank);
            if (own >= 0 && c->dims[own] > 1) at += left % dims[k] * step;
            if (own >= 0) step *= c->dims[own];
            left /= dims[k];
        }
        ((float *)(uintptr_t)out->f)[i] = (float)((double)c->f[at] / x->scale);
    }
    return true;
}

/* Positions: one number for each entry of rows [N,D]. */
static void add_rows(im *m, int32_t slot, const im_view *x, const im_tensor *c)
{
    im_draft_op *maker = dfqi_im_maker(m, x->base);
    const int32_t last = x->rank - 1;
    const int64_t d = dfqi_im_extent(x, last);
    im_tensor full;
    int64_t n = 1;
    for (int32_t i = 0; i < last; i++) n *= dfqi_im_extent(x, i);
    if (x->rank < 2 || c->is_int || !spread(m, x, c, &full)) {
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "adds a constant that is neither one number a channel of a layer nor one for each "
            "token and channel");
        return;
    }
    const im_axis order[2] = {dfqi_im_axes(x, 0, last), x->axes[last]};
    im_view y;
    dfqi_im_view_order(x, 2, order, &y);
    int32_t rows = dfqi_im_arrange(m, x, 2, order);
    maker = dfqi_im_maker(m, rows);
    if (maker && maker->op.kind == DFQI_STRUCTURE_TOKENS && !x->shared) {
        float *to = dfqi_im_param_data(m, maker->op.in[1]);
        for (int64_t i = 0; to && i < full.count; i++) to[i] += full.f[i];
        snprintf(m->draft.values[maker->op.in[1]].name, DFQI_LAYER_MAX, "%s",
                 dfqi_im_given(m, slot, "pos_embed"));
        y.base = rows;
    } else {
        dfqi_structure_op op = {.kind = DFQI_STRUCTURE_TOKENS, .n_in = 2, .in = {rows}, .n_out = 1};
        op.in[1] =
            dfqi_im_param(m, dfqi_im_given(m, slot, "pos_embed"), 3, (int64_t[]){1, n, d}, full.f);
        y.base = dfqi_im_op(m, &op, 2, (int64_t[]){n, d});
    }
    y.shared = false;
    dfqi_im_set_view(m, 0, &y);
}

static void add_const(im *m, int32_t slot, int32_t of, double sign)
{
    const im_tensor *c = dfqi_im_const(m, m->in[slot]);
    double number;
    if (c && dfqi_im_scalar(c, &number) && is_expr(m, of, IM_ERF) && is_near(number * sign, 1)) {
        set_expr(m, IM_ERF_PLUS_1, &operand(m, of)->v, 1);
        return;
    }
    if (c && dfqi_im_scalar(c, &number) && is_expr(m, of, IM_VARIANCE)) {
        set_expr(m, IM_VARIANCE, &operand(m, of)->v, operand(m, of)->value + number * sign);
        return;
    }
    const im_view *x = dfqi_im_view_of(m, of);
    float *v = x && c ? dfqi_im_channels(m, x, c) : NULL;
    int64_t n = v ? m->draft.values[x->base].dims[m->draft.values[x->base].rank - 1] : 0;
    for (int64_t i = 0; i < n; i++) v[i] *= (float)sign;
    im_view alone = own(m, of);
    if (v && dfqi_im_absorb(m, &alone, NULL, v)) {
        dfqi_im_name_by_bias(m, m->in[slot], x->base);
        dfqi_im_set_alias(m, 0, of, x);
    } else if (x && m->status == DFQ_OK) {
        if (sign < 0)
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "subtracts a constant from no layer's output");
        if (m->status == DFQ_OK) add_rows(m, slot, x, c);
    }
}

/* Two computed values of one shape, brought into one order in memory; returns the view of the
 * result, without its base. */
static im_view align(im *m, const im_view *a, const im_view *b, int32_t out[2])
{
    im_view x = *a, y = *b;
    int64_t da[IM_RANK], db[IM_RANK];
    dfqi_im_dims(a, da);
    dfqi_im_dims(b, db);
    bool same = a->rank == b->rank && memcmp(da, db, (size_t)a->rank * sizeof *da) == 0;
    if (!same) dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "joins computed values of different shapes");
    if (m->status == DFQ_OK && dfqi_im_view_refine(m, a, b, &x) &&
        dfqi_im_view_refine(m, b, &x, &y)) {
        im_axis none = {.n = 0}, of_x = dfqi_im_others(&x, &none), of_y = {.n = 0};
        for (int32_t k = 0; k < of_x.n;
             k++) /* the same atoms of y, found by their places in axes */
            for (int32_t i = 0; i < x.rank; i++)
                for (int32_t j = 0; j < x.axes[i].n; j++)
                    if (x.axes[i].atoms[j] == of_x.atoms[k])
                        of_y.atoms[of_y.n++] = y.axes[i].atoms[j];
        bool plain = of_x.n == x.n_atoms;
        out[0] = plain ? x.base : dfqi_im_arrange(m, &x, 1, &of_x);
        out[1] = dfqi_im_arrange(m, &y, 1, &of_y);
        dfqi_im_view_order(&x, 1, &of_x, &x);
        if (m->status == DFQ_OK) {
            const im_draft_value base = m->draft.values[out[0]];
            out[1] = dfqi_im_reshaped(m, out[1], base.rank, base.dims);
        }
    }
    return x;
}

static void two(im *m, dfqi_structure_kind kind)
{
    const im_view *a = dfqi_im_view_of(m, 0), *b = dfqi_im_view_of(m, 1);
    int32_t in[2] = {-1, -1};
    if (!a || !b) return;
    im_view one_a = dfqi_im_unscaled(m, 0, kind == DFQI_STRUCTURE_MUL ? a->scale : 1);
    im_view one_b = dfqi_im_unscaled(m, 1, kind == DFQI_STRUCTURE_MUL ? b->scale : 1);
    im_view y = align(m, &one_a, &one_b, in);
    if (m->status != DFQ_OK) return;
    const im_draft_value base = m->draft.values[in[0]];
    dfqi_structure_op op = {.kind = kind, .n_in = 2, .in = {in[0], in[1]}, .n_out = 1};
    if (kind == DFQI_STRUCTURE_ADD) dfqi_im_scope(m->node, op.name);
    y.base = dfqi_im_op(m, &op, base.rank, base.dims);
    y.scale = kind == DFQI_STRUCTURE_MUL ? a->scale * b->scale : 1;
    y.shared = false;
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_add(im *m)
{
    if (dfqi_im_const(m, m->in[0]))
        add_const(m, 0, 1, 1);
    else if (dfqi_im_const(m, m->in[1]))
        add_const(m, 1, 0, 1);
    else
        two(m, DFQI_STRUCTURE_ADD);
}

void dfqi_im_sub(im *m)
{
    if (dfqi_im_const(m, m->in[1])) {
        add_const(m, 1, 0, -1);
    } else if (is_expr(m, 1, IM_MEAN) && same_view(&operand(m, 0)->v, &operand(m, 1)->v)) {
        set_expr(m, IM_CENTRED, &operand(m, 0)->v, 0);
    } else {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "subtracts computed values, known only as a part of LayerNorm");
    }
}

/* -- multiplication ---------------------------------------------------------------------------- */

/* x sigmoid(x) and x hard_sigmoid(x): the op that made the second factor read the first. */
static bool is_swish(im *m, const im_value *x, const im_value *y)
{
    const im_draft_op *maker = dfqi_im_maker(m, y->v.base);
    if (x->expr != IM_WHOLE || y->expr != IM_WHOLE || !maker ||
        maker->op.kind != DFQI_STRUCTURE_ACTIVATION)
        return false;
    im_view inner = y->v;
    inner.base = maker->op.in[0];
    bool hard = maker->op.ints[0] == DFQI_ACTIVATION_HARD_SIGMOID;
    if ((!hard && maker->op.ints[0] != DFQI_ACTIVATION_SIGMOID) || !same_view(&x->v, &inner) ||
        !is_near(x->v.scale, 1) || !is_near(y->v.scale, 1))
        return false;
    im_view v = dfqi_im_unary(m, DFQI_STRUCTURE_ACTIVATION, &inner,
                              hard ? DFQI_ACTIVATION_HARD_SWISH : DFQI_ACTIVATION_SILU);
    dfqi_im_set_view(m, 0, &v);
    return true;
}

/* An image times one factor for each of its channels. */
static bool is_gate(im *m, const im_value *x, const im_value *y)
{
    const im_view *a = &x->v, *b = &y->v;
    int32_t axis = -1, wide = 0;
    if (x->expr != IM_WHOLE || y->expr != IM_WHOLE || a->rank != b->rank) return false;
    for (int32_t i = 0; i < a->rank; i++) {
        bool same = dfqi_im_extent(a, i) == dfqi_im_extent(b, i);
        wide += !same;
        if (dfqi_im_extent(b, i) == 1) continue;
        if (axis >= 0 || !same) return false;
        axis = i;
    }
    if (axis < 0 || wide == 0) return false;
    im_view rows;
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_GATE, .n_in = 2, .n_out = 1};
    op.in[0] = dfqi_im_rows(m, a, axis, &rows);
    op.in[1] = dfqi_im_arrange(m, b, 1, &b->axes[axis]);
    if (m->status != DFQ_OK) return true;
    const im_draft_value base = m->draft.values[op.in[0]];
    rows.base = dfqi_im_op(m, &op, base.rank, base.dims);
    rows.scale = a->scale * b->scale;
    rows.shared = false;
    dfqi_im_set_view(m, 0, &rows);
    return true;
}

static bool is_product(im *m, int32_t a, int32_t b)
{
    const im_value *x = operand(m, a), *y = operand(m, b);
    if (is_swish(m, x, y) || is_gate(m, x, y)) return true;
    if (x->expr == IM_WHOLE && y->expr == IM_ERF_PLUS_1 && same_view(&x->v, &y->v) &&
        is_near(y->v.scale, 1)) {
        im_view v = dfqi_im_unary(m, DFQI_STRUCTURE_GELU, &y->v, 0);
        v.scale = 2 * y->value * x->v.scale;
        if (is_near(v.scale, 1)) v.scale = 1;
        dfqi_im_set_view(m, 0, &v);
        return true;
    }
    if (x->expr == IM_CENTRED && y->expr == IM_CENTRED && same_view(&x->v, &y->v)) {
        set_expr(m, IM_SQUARE, &x->v, 0);
        return true;
    }
    return false;
}

static void mul_const(im *m, const im_tensor *c, int32_t of, bool inverse)
{
    const im_value *x = operand(m, of);
    double number;
    if (dfqi_im_scalar(c, &number)) {
        number = inverse ? 1 / number : number;
        if (!isfinite(number) || !(number < 0 || number > 0)) {
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "multiplies by 0 or infinity");
        } else if (x->expr == IM_ERF_PLUS_1) {
            set_expr(m, IM_ERF_PLUS_1, &x->v, x->value * number);
        } else if (dfqi_im_view_of(m, of)) {
            im_view v = x->v;
            v.scale *= number;
            if (is_near(v.scale, 1)) v.scale = 1;
            dfqi_im_set_alias(m, 0, of, &v);
        }
        return;
    }
    const im_view *v = dfqi_im_view_of(m, of);
    float *times = v ? dfqi_im_channels(m, v, c) : NULL;
    int64_t n = times ? m->draft.values[v->base].dims[m->draft.values[v->base].rank - 1] : 0;
    for (int64_t i = 0; inverse && i < n; i++) times[i] = 1.0f / times[i];
    im_view alone = own(m, of);
    if (times && dfqi_im_absorb(m, &alone, times, NULL))
        dfqi_im_set_alias(m, 0, of, v);
    else
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "multiplies by a constant that is not one number a channel of a layer's output");
}

void dfqi_im_mul(im *m)
{
    const im_tensor *a = dfqi_im_const(m, m->in[0]), *b = dfqi_im_const(m, m->in[1]);
    if (m->status != DFQ_OK) return;
    if (a || b)
        mul_const(m, a ? a : b, a ? 1 : 0, false);
    else if (!is_product(m, 0, 1) && !is_product(m, 1, 0))
        two(m, DFQI_STRUCTURE_MUL);
}

void dfqi_im_div(im *m)
{
    const im_tensor *b = dfqi_im_const(m, m->in[1]);
    if (b)
        mul_const(m, b, 0, true);
    else if (m->status == DFQ_OK && is_expr(m, 0, IM_CENTRED) && is_expr(m, 1, IM_DEVIATION) &&
             same_view(&operand(m, 0)->v, &operand(m, 1)->v))
        dfqi_im_put_layernorm(m, &operand(m, 0)->v, operand(m, 1)->value);
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "divides by a computed value, which is known only as a part of LayerNorm");
}

void dfqi_im_pow(im *m)
{
    double power;
    if (dfqi_im_scalar(dfqi_im_const(m, m->in[1]), &power) && is_near(power, 2) &&
        is_expr(m, 0, IM_CENTRED))
        set_expr(m, IM_SQUARE, &operand(m, 0)->v, 0);
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is known only as the square in a LayerNorm");
}

void dfqi_im_sqrt(im *m)
{
    if (is_expr(m, 0, IM_VARIANCE))
        set_expr(m, IM_DEVIATION, &operand(m, 0)->v, operand(m, 0)->value);
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is known only as the root in a LayerNorm");
}

void dfqi_im_erf(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    im_view v = *x;
    v.scale *= sqrt(2);
    set_expr(m, IM_ERF, &v, 0);
}

void dfqi_im_reduce_mean(im *m)
{
    int64_t axes[IM_RANK];
    bool over[IM_RANK] = {false}, keep = dfqi_im_attr_int(m, "keepdims", 1) != 0;
    const im_view *x = &operand(m, 0)->v;
    int32_t n = dfqi_im_ints(m, "axes", 1, IM_RANK, axes);
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++)
        over[dfqi_im_axis_of(m, axes[k], x->rank)] = true;
    if (m->status != DFQ_OK) return;
    bool last = n == 1 && over[x->rank - 1] && keep;
    if (is_expr(m, 0, IM_SQUARE) && last) {
        set_expr(m, IM_VARIANCE, x, 0);
    } else if (last) {
        if (dfqi_im_view_of(m, 0)) set_expr(m, IM_MEAN, x, 0);
    } else if (dfqi_im_view_of(m, 0)) {
        if (n < 1)
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is over all axes, must be over named ones");
        else
            dfqi_im_put_mean(m, x, over, keep);
    }
}
