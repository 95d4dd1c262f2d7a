/* Activations and other nodes with one operand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"
#include "graph/ops.h"

im_view dfqi_im_unary(im *m, dfqi_structure_kind kind, const im_view *x, float cap)
{
    im_view y = *x;
    dfqi_structure_op op = {.kind = kind, .n_in = 1, .in = {x->base}, .n_out = 1};
    if (m->status != DFQ_OK) return y;
    if (kind == DFQI_STRUCTURE_RELU || kind == DFQI_STRUCTURE_ACTIVATION) {
        if (!dfqi_im_own_name(m, op.name)) dfqi_im_scope(m->node, op.name);
        if (op.name[0] == '\0') snprintf(op.name, sizeof op.name, "act%d", m->draft.n_ops);
    }
    if (kind == DFQI_STRUCTURE_ACTIVATION) {
        op.n_ints = 1;
        op.ints[0] = (int64_t)cap;
    }
    if (kind == DFQI_STRUCTURE_RELU) {
        op.n_floats = isfinite(cap);
        op.value = op.n_floats ? cap : 0;
    }
    const im_draft_value base = m->draft.values[x->base];
    y.base = dfqi_im_op(m, &op, base.rank, base.dims);
    y.scale = 1;
    y.shared = false;
    return y;
}

im_view dfqi_im_unscaled(im *m, int32_t slot, double scale)
{
    const im_view *x = dfqi_im_view_of(m, slot);
    if (!x) return (im_view){.base = -1};
    im_view v = *x;
    v.shared |= m->values[m->in[slot]].uses > 1;
    return dfqi_im_settled(m, &v, scale);
}

im_view dfqi_im_settled(im *m, const im_view *x, double scale)
{
    im_view v = *x;
    double factor = v.scale / scale;
    if (m->status != DFQ_OK) return v;
    v.scale = 1;
    if (factor >= 1 && factor <= 1) return v;
    const im_draft_value *base = &m->draft.values[v.base];
    int64_t n = base->rank ? base->dims[base->rank - 1] : 1;
    float *times = dfqi_im_alloc(m, (size_t)n, sizeof *times);
    for (int64_t i = 0; times && i < n; i++) times[i] = (float)factor;
    if (!times || dfqi_im_absorb(m, &v, times, NULL)) return v;
    v.scale = factor;
    return dfqi_im_affine(m, &v, NULL, NULL, 1);
}

static void activation(im *m, dfqi_structure_kind kind, float cap)
{
    im_view x = dfqi_im_unscaled(m, 0, 1);
    im_view y = dfqi_im_unary(m, kind, &x, cap);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_gelu(im *m)
{
    if (dfqi_im_attr_is(m, "approximate", "tanh", false))
        activation(m, DFQI_STRUCTURE_ACTIVATION, DFQI_ACTIVATION_GELU_TANH);
    else
        activation(m, DFQI_STRUCTURE_GELU, 0);
}

void dfqi_im_tanh(im *m)
{
    activation(m, DFQI_STRUCTURE_TANH, 0);
}

void dfqi_im_relu(im *m)
{
    activation(m, DFQI_STRUCTURE_RELU, INFINITY);
}

void dfqi_im_sigmoid(im *m)
{
    activation(m, DFQI_STRUCTURE_ACTIVATION, DFQI_ACTIVATION_SIGMOID);
}

void dfqi_im_hard_swish(im *m)
{
    activation(m, DFQI_STRUCTURE_ACTIVATION, DFQI_ACTIVATION_HARD_SWISH);
}

void dfqi_im_hard_sigmoid(im *m)
{
    double alpha = dfqi_im_attr_float(m, "alpha", 0.2), beta = dfqi_im_attr_float(m, "beta", 0.5);
    if (fabs(alpha - 1.0 / 6) > 1e-5 || fabs(beta - 0.5) > 1e-5)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has alpha %g and beta %g, must have 1/6 and 1/2", alpha,
                     beta);
    activation(m, DFQI_STRUCTURE_ACTIVATION, DFQI_ACTIVATION_HARD_SIGMOID);
}

void dfqi_im_elu(im *m)
{
    double alpha = dfqi_im_attr_float(m, "alpha", 1);
    if (!dfqi_im_near(alpha, 1))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has alpha %g, must have 1", alpha);
    activation(m, DFQI_STRUCTURE_ACTIVATION, DFQI_ACTIVATION_ELU);
}

void dfqi_im_neg(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    im_view y = *x;
    y.scale = -y.scale;
    dfqi_im_set_alias(m, 0, 0, &y);
}

/* Parts of other functions: no quantizer follows them. */
static void function(im *m, int32_t kind)
{
    im_view x = dfqi_im_unscaled(m, 0, 1);
    im_view y = dfqi_im_function(m, &x, kind, 1);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_exp(im *m)
{
    function(m, DFQI_ACTIVATION_EXP);
}

void dfqi_im_softplus(im *m)
{
    function(m, DFQI_ACTIVATION_SOFTPLUS);
}

/* x > number: of the bound from which on softplus is x. */
void dfqi_im_greater(im *m)
{
    double number;
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    if (dfqi_im_scalar(dfqi_im_const(m, m->in[1]), &number))
        dfqi_im_set_expr(m, IM_ABOVE, x, number);
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must compare with a number");
}

/* Never, in a network that computes logits: exporters guard masked rows of softmax so. */
void dfqi_im_is_nan(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (x) dfqi_im_set_expr(m, IM_ABOVE, x, INFINITY);
}

/* x where it is large, else softplus(x), which is x there too. */
void dfqi_im_where(im *m)
{
    enum { LARGE = 17 }; /* log(1 + exp(-17)) is below half of the last bit of 17 */
    const im_value *above = dfqi_im_operand(m, 0);
    if (dfqi_im_is_expr(m, 0, IM_ABOVE) && isinf(above->value)) {
        const im_view *otherwise = dfqi_im_view_of(m, 2);
        if (otherwise) dfqi_im_set_alias(m, 0, 2, otherwise);
        return;
    }
    bool good = dfqi_im_is_expr(m, 0, IM_ABOVE) && above->value >= LARGE;
    const im_view *x = good ? dfqi_im_view_of(m, 1) : NULL, *y = x ? dfqi_im_view_of(m, 2) : NULL;
    const im_draft_op *maker = y ? dfqi_im_maker(m, y->base) : NULL;
    good = maker && maker->op.kind == DFQI_STRUCTURE_FUNCTION &&
           maker->op.ints[0] == DFQI_ACTIVATION_SOFTPLUS && dfqi_im_same_view(x, &above->v);
    if (good) {
        im_view inner = *y;
        inner.base = maker->op.in[0];
        good = dfqi_im_same_view(x, &inner) && dfqi_im_near(x->scale, 1);
    }
    if (good)
        dfqi_im_set_alias(m, 0, 2, y);
    else if (m->status == DFQ_OK)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "chooses by a computed condition");
}

void dfqi_im_leaky_relu(im *m)
{
    double alpha = dfqi_im_attr_float(m, "alpha", 0.01);
    im_view y = dfqi_im_unscaled(m, 0, 1);
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_LEAKY_RELU,
                            .n_in = 1,
                            .in = {y.base},
                            .n_out = 1,
                            .n_floats = 1,
                            .value = (float)alpha};
    if (!(alpha > 0 && alpha < 1e6))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has alpha %g, must be above 0", alpha);
    if (m->status != DFQ_OK) return;
    const im_draft_value base = m->draft.values[y.base];
    y.base = dfqi_im_op(m, &op, base.rank, base.dims);
    y.shared = false;
    dfqi_im_set_view(m, 0, &y);
}

/* min(max(x, lo), hi) = min(max(x - lo, 0), hi - lo) + lo */
static void bounded(im *m, const im_view *from, double lo, double hi)
{
    const float low = (float)lo;
    const im_tensor by = {.count = 1, .f = &low};
    im_view x = dfqi_im_affine(m, from, NULL, &by, -1);
    x = dfqi_im_unary(m, DFQI_STRUCTURE_RELU, &x, hi < 1e30 ? (float)(hi - lo) : INFINITY);
    x = dfqi_im_affine(m, &x, NULL, &by, 1);
    dfqi_im_set_view(m, 0, &x);
}

/* Of a computed value and a number. */
void dfqi_im_max(im *m)
{
    double lo;
    int32_t of = dfqi_im_const(m, m->in[0]) ? 1 : 0;
    const im_view *x = dfqi_im_view_of(m, of);
    if (!x) return;
    if (dfqi_im_scalar(dfqi_im_const(m, m->in[1 - of]), &lo) && isfinite(lo))
        bounded(m, x, lo, INFINITY);
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must be of a computed value and a number");
}

void dfqi_im_clip(im *m)
{
    double lo = dfqi_im_attr_float(m, "min", -INFINITY),
           hi = dfqi_im_attr_float(m, "max", INFINITY);
    if (m->n_in > 1 && m->in[1] >= 0 && !dfqi_im_scalar(dfqi_im_const(m, m->in[1]), &lo)) lo = NAN;
    if (m->n_in > 2 && m->in[2] >= 0 && !dfqi_im_scalar(dfqi_im_const(m, m->in[2]), &hi)) hi = NAN;
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    if (!(isfinite(lo) && hi > lo)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "has bounds %g and %g, must have constants, the second above", lo, hi);
        return;
    }
    if (lo < 0 || lo > 0)
        bounded(m, x, lo, hi);
    else
        activation(m, DFQI_STRUCTURE_RELU, hi < 1e30 ? (float)hi : INFINITY);
}

/* Identity, Dropout of an evaluated network, and casts between floats. */
void dfqi_im_identity(im *m)
{
    const im_value *x = &m->values[m->in[0]];
    int32_t id = dfqi_im_output(m, 0);
    if (id < 0) return;
    if (x->state == IM_CONST) { /* it keeps its own name, which is a parameter's */
        m->values[id].state = IM_CONST;
        m->values[id].proto = x->proto;
        m->values[id].c = x->c;
        m->values[id].given = m->values[id].name;
        return;
    }
    double training = 0;
    if (strcmp(m->node->op_type, "Dropout") == 0 && m->n_in > 2 && m->in[2] >= 0 &&
        (!dfqi_im_scalar(dfqi_im_const(m, m->in[2]), &training) || training > 0)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "drops values as in training; export in evaluation mode");
        return;
    }
    if (x->expr != IM_WHOLE) {
        m->values[id].state = IM_DATA;
        m->values[id].expr = x->expr;
        m->values[id].value = x->value;
        m->values[id].v = x->v;
        return;
    }
    dfqi_im_set_alias(m, 0, 0, &x->v);
}
