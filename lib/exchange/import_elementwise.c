/* Sums, products and the pieces that LayerNorm and activations are exported in. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"
#include "graph/ops.h"

bool dfqi_im_near(double a, double b)
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

const im_value *dfqi_im_operand(const im *m, int32_t slot)
{
    return &m->values[m->in[slot]];
}

bool dfqi_im_is_expr(const im *m, int32_t slot, im_expr expr)
{
    const im_value *v = dfqi_im_operand(m, slot);
    return v->state == IM_DATA && v->expr == expr;
}

void dfqi_im_set_expr(im *m, im_expr expr, const im_view *v, double value)
{
    int32_t id = dfqi_im_output(m, 0);
    if (id < 0 || m->status != DFQ_OK) return;
    m->values[id].state = IM_DATA;
    m->values[id].expr = expr;
    m->values[id].v = *v;
    m->values[id].value = value;
}

bool dfqi_im_same_view(const im_view *a, const im_view *b)
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

/* x with copies where the constant has an axis and x has none. */
static im_view reach(im *m, const im_view *x, const im_tensor *c)
{
    const int32_t rank = x->rank > c->rank ? x->rank : c->rank;
    int64_t dims[IM_RANK];
    for (int32_t i = 0; i < rank; i++) {
        const int32_t of_x = i - (rank - x->rank), of_c = i - (rank - c->rank);
        const int64_t d = of_x < 0 ? 1 : dfqi_im_extent(x, of_x), e = of_c < 0 ? 1 : c->dims[of_c];
        dims[i] = d == 1 ? e : d;
    }
    return dfqi_im_expand(m, x, rank, dims);
}

static void add_const(im *m, int32_t slot, int32_t of, double sign)
{
    const im_tensor *c = dfqi_im_const(m, m->in[slot]);
    double number;
    if (c && dfqi_im_scalar(c, &number) && dfqi_im_is_expr(m, of, IM_ERF) &&
        dfqi_im_near(number * sign, 1)) {
        dfqi_im_set_expr(m, IM_ERF_PLUS_1, &dfqi_im_operand(m, of)->v, 1);
        return;
    }
    if (c && dfqi_im_scalar(c, &number) && dfqi_im_is_expr(m, of, IM_VARIANCE)) {
        dfqi_im_set_expr(m, IM_VARIANCE, &dfqi_im_operand(m, of)->v,
                         dfqi_im_operand(m, of)->value + number * sign);
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
        if (!c) return;
        if (sign > 0 && dfqi_im_are_positions(x, c)) {
            dfqi_im_add_rows(m, slot, x, c);
            return;
        }
        alone = reach(m, &alone, c);
        im_view y = dfqi_im_affine(m, &alone, NULL, c, sign);
        dfqi_im_set_view(m, 0, &y);
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

im_view dfqi_im_two(im *m, dfqi_structure_kind kind, const im_view *a, const im_view *b)
{
    const bool product = kind == DFQI_STRUCTURE_MUL;
    im_view x = *a, y = *b;
    int32_t in[2] = {-1, -1};
    if (product) x.scale = y.scale = 1;
    x = dfqi_im_settled(m, &x, 1);
    y = dfqi_im_settled(m, &y, 1);
    if (m->status == DFQ_OK) dfqi_im_broadcast(m, &x, &y);
    if (m->status != DFQ_OK) return x;
    im_view z = align(m, &x, &y, in);
    if (m->status != DFQ_OK) return z;
    const im_draft_value base = m->draft.values[in[0]];
    dfqi_structure_op op = {.kind = kind, .n_in = 2, .in = {in[0], in[1]}, .n_out = 1};
    if (!product) dfqi_im_scope(m->node, op.name);
    z.base = dfqi_im_op(m, &op, base.rank, base.dims);
    z.scale = product ? a->scale * b->scale : 1;
    z.shared = false;
    return z;
}

/* The sum or difference of both operands. */
static void sum(im *m, double sign)
{
    if (!dfqi_im_view_of(m, 0) || !dfqi_im_view_of(m, 1)) return;
    im_view a = own(m, 0), b = own(m, 1);
    b.scale *= sign;
    im_view y = dfqi_im_two(m, DFQI_STRUCTURE_ADD, &a, &b);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_add(im *m)
{
    if (dfqi_im_const(m, m->in[0]))
        add_const(m, 0, 1, 1);
    else if (dfqi_im_const(m, m->in[1]))
        add_const(m, 1, 0, 1);
    else
        sum(m, 1);
}

/* c - x */
static void const_minus(im *m, const im_tensor *c)
{
    if (!dfqi_im_view_of(m, 1)) return;
    im_view x = own(m, 1);
    x.scale = -x.scale;
    im_view y = dfqi_im_affine(m, &x, NULL, c, 1);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_sub(im *m)
{
    const im_tensor *c = dfqi_im_const(m, m->in[0]);
    if (dfqi_im_const(m, m->in[1]))
        add_const(m, 1, 0, -1);
    else if (c)
        const_minus(m, c);
    else if (dfqi_im_is_expr(m, 1, IM_MEAN) &&
             dfqi_im_same_view(&dfqi_im_operand(m, 0)->v, &dfqi_im_operand(m, 1)->v))
        dfqi_im_set_expr(m, IM_CENTRED, &dfqi_im_operand(m, 0)->v, 0);
    else
        sum(m, -1);
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
    if ((!hard && maker->op.ints[0] != DFQI_ACTIVATION_SIGMOID) ||
        !dfqi_im_same_view(&x->v, &inner) || !dfqi_im_near(x->v.scale, 1) ||
        !dfqi_im_near(y->v.scale, 1))
        return false;
    im_view v = dfqi_im_unary(m, DFQI_STRUCTURE_ACTIVATION, &inner,
                              hard ? DFQI_ACTIVATION_HARD_SWISH : DFQI_ACTIVATION_SILU);
    dfqi_im_set_view(m, 0, &v);
    return true;
}

/* An image times one factor for each of its channels. */
static bool is_gate(im *m, const im_view *a, const im_view *b)
{
    int32_t axis = -1, wide = 0;
    if (a->rank != b->rank) return false;
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
    const im_value *x = dfqi_im_operand(m, a), *y = dfqi_im_operand(m, b);
    if (is_swish(m, x, y)) return true;
    if (x->expr == IM_WHOLE && y->expr == IM_ERF_PLUS_1 && dfqi_im_same_view(&x->v, &y->v) &&
        dfqi_im_near(y->v.scale, 1)) {
        im_view v = dfqi_im_unary(m, DFQI_STRUCTURE_GELU, &y->v, 0);
        v.scale = 2 * y->value * x->v.scale;
        if (dfqi_im_near(v.scale, 1)) v.scale = 1;
        dfqi_im_set_view(m, 0, &v);
        return true;
    }
    if (x->expr == IM_CENTRED && y->expr == IM_CENTRED && dfqi_im_same_view(&x->v, &y->v)) {
        dfqi_im_set_expr(m, IM_SQUARE, &x->v, 0);
        return true;
    }
    return false;
}

/* 1 / c */
static im_tensor inverted(im *m, const im_tensor *c)
{
    im_tensor out = *c;
    if (c->is_int || !dfqi_im_tensor_new(m, false, c->rank, c->dims, &out)) return out;
    for (int64_t i = 0; i < c->count; i++) ((float *)(uintptr_t)out.f)[i] = 1.0f / c->f[i];
    return out;
}

static void product(im *m, const im_view *a, const im_view *b)
{
    if (!a || !b || is_gate(m, a, b) || is_gate(m, b, a)) return;
    im_view y = dfqi_im_two(m, DFQI_STRUCTURE_MUL, a, b);
    dfqi_im_set_view(m, 0, &y);
}

static void mul_const(im *m, const im_tensor *c, int32_t of, bool inverse)
{
    const im_value *x = dfqi_im_operand(m, of);
    double number;
    if (dfqi_im_scalar(c, &number)) {
        number = inverse ? 1 / number : number;
        if (!isfinite(number) || !(number < 0 || number > 0)) {
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "multiplies by 0 or infinity");
        } else if (x->expr == IM_ERF_PLUS_1) {
            dfqi_im_set_expr(m, IM_ERF_PLUS_1, &x->v, x->value * number);
        } else if (dfqi_im_view_of(m, of)) {
            im_view v = x->v;
            v.scale *= number;
            if (dfqi_im_near(v.scale, 1)) v.scale = 1;
            dfqi_im_set_alias(m, 0, of, &v);
        }
        return;
    }
    const im_view *v = dfqi_im_view_of(m, of);
    float *times = v ? dfqi_im_channels(m, v, c) : NULL;
    int64_t n = times ? m->draft.values[v->base].dims[m->draft.values[v->base].rank - 1] : 0;
    for (int64_t i = 0; inverse && i < n; i++) times[i] = 1.0f / times[i];
    im_view alone = own(m, of);
    if (times && dfqi_im_absorb(m, &alone, times, NULL)) {
        dfqi_im_set_alias(m, 0, of, v);
    } else if (v) {
        const im_tensor factors = inverse ? inverted(m, c) : *c;
        alone = reach(m, &alone, &factors);
        im_view y = dfqi_im_affine(m, &alone, &factors, NULL, 1);
        dfqi_im_set_view(m, 0, &y);
    }
}

void dfqi_im_mul(im *m)
{
    const im_tensor *a = dfqi_im_const(m, m->in[0]), *b = dfqi_im_const(m, m->in[1]);
    if (m->status != DFQ_OK) return;
    if (a || b)
        mul_const(m, a ? a : b, a ? 1 : 0, false);
    else if (!is_product(m, 0, 1) && !is_product(m, 1, 0))
        product(m, dfqi_im_view_of(m, 0), dfqi_im_view_of(m, 1));
}

/* x / y; y gets an op of its own. */
static void quotient(im *m)
{
    const im_tensor *c = dfqi_im_const(m, m->in[0]);
    const im_view *y = dfqi_im_view_of(m, 1), *x = c ? NULL : dfqi_im_view_of(m, 0);
    if (m->status != DFQ_OK) return;
    im_view inverse = dfqi_im_inverse(m, y);
    if (m->status != DFQ_OK) return;
    if (x) {
        product(m, x, &inverse);
    } else if (c) {
        inverse = reach(m, &inverse, c);
        inverse = dfqi_im_affine(m, &inverse, c, NULL, 1);
        dfqi_im_set_view(m, 0, &inverse);
    }
}

void dfqi_im_div(im *m)
{
    const im_tensor *b = dfqi_im_const(m, m->in[1]);
    if (b)
        mul_const(m, b, 0, true);
    else if (m->status == DFQ_OK && dfqi_im_is_expr(m, 0, IM_CENTRED) &&
             dfqi_im_is_expr(m, 1, IM_DEVIATION) &&
             dfqi_im_same_view(&dfqi_im_operand(m, 0)->v, &dfqi_im_operand(m, 1)->v))
        dfqi_im_put_layernorm(m, &dfqi_im_operand(m, 0)->v, dfqi_im_operand(m, 1)->value);
    else
        quotient(m);
}
