/* Activations and other nodes with one operand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exchange/import_priv.h"
#include "graph/ops.h"

im_view dfqi_im_unary(im *m, dfqi_structure_kind kind, const im_view *x, float cap)
{
    im_view y = *x;
    dfqi_structure_op op = {.kind = kind, .n_in = 1, .in = {x->base}, .n_out = 1};
    if (m->status != DFQ_OK) return y;
    if (kind == DFQI_STRUCTURE_RELU || kind == DFQI_STRUCTURE_ACTIVATION) {
        dfqi_im_scope(m->node, op.name);
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

/* The view of an operand with its factor done: in the parameters of the layer that made it. */
im_view dfqi_im_unscaled(im *m, int32_t slot, double scale)
{
    const im_view *x = dfqi_im_view_of(m, slot);
    im_view v = {.base = -1};
    if (!x) return v;
    v = *x;
    double factor = v.scale / scale;
    v.scale = 1;
    if (factor >= 1 && factor <= 1) return v;
    const im_draft_value *base = &m->draft.values[v.base];
    int64_t n = base->rank ? base->dims[base->rank - 1] : 1;
    float *times = dfqi_im_alloc(m, (size_t)n, sizeof *times);
    for (int64_t i = 0; times && i < n; i++) times[i] = (float)factor;
    v.shared |= m->values[m->in[slot]].uses > 1;
    if (times && !dfqi_im_absorb(m, &v, times, NULL))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "reads a value that is multiplied by %g, which no layer makes", factor);
    return v;
}

static void activation(im *m, dfqi_structure_kind kind, float cap)
{
    im_view x = dfqi_im_unscaled(m, 0, 1);
    im_view y = dfqi_im_unary(m, kind, &x, cap);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_gelu(im *m)
{
    if (!dfqi_im_attr_is(m, "approximate", "none", true))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "is approximated by tanh, must be exact; export with "
                     "approximate=\"none\"");
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

/* min(max(x, 0), cap) */
void dfqi_im_clip(im *m)
{
    double lo = dfqi_im_attr_float(m, "min", -INFINITY),
           hi = dfqi_im_attr_float(m, "max", INFINITY);
    if (m->n_in > 1 && m->in[1] >= 0 && !dfqi_im_scalar(dfqi_im_const(m, m->in[1]), &lo)) lo = NAN;
    if (m->n_in > 2 && m->in[2] >= 0 && !dfqi_im_scalar(dfqi_im_const(m, m->in[2]), &hi)) hi = NAN;
    if (!(lo >= 0 && lo <= 0 && hi > 0 && hi < 1e30)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has bounds %g and %g, must have 0 and a constant above",
                     lo, hi);
        return;
    }
    activation(m, DFQI_STRUCTURE_RELU, (float)hi);
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
