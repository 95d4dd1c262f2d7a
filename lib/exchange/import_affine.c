/* Constants that go into the parameters of the layer whose output they change. */
#include "exchange/import_priv.h"

/* The constant as one number for each entry of the last extent of the view's base: in the arena, or
 * NULL if it is not of that form. */
float *dfqi_im_channels(im *m, const im_view *x, const im_tensor *c)
{
    const im_draft_value *base = &m->draft.values[x->base];
    int64_t n = base->rank ? base->dims[base->rank - 1] : 1, run = 1;
    int32_t first = x->n_atoms;
    if (c->is_int || c->rank > x->rank) return NULL;
    while (first > 0 && run < n && x->atoms[first - 1].pick < 0) run *= x->atoms[--first].extent;
    if (run != n) return NULL;
    int64_t step[IM_ATOMS] = {0}, stride = 1; /* of the constant, along each atom */
    for (int32_t i = c->rank - 1; i >= 0; i--) {
        const im_axis *axis = &x->axes[i + x->rank - c->rank];
        int64_t inner = stride;
        if (c->dims[i] == 1) continue;
        for (int32_t k = axis->n - 1; k >= 0; k--) {
            if (axis->atoms[k] < first) return NULL;
            step[axis->atoms[k]] = inner;
            inner *= x->atoms[axis->atoms[k]].extent;
        }
        if (inner != stride * c->dims[i]) return NULL;
        stride = inner;
    }
    float *out = dfqi_im_alloc(m, (size_t)n, sizeof *out);
    for (int64_t i = 0; out && i < n; i++) {
        int64_t at = 0, left = i;
        for (int32_t k = x->n_atoms - 1; k >= first; k--) {
            at += left % x->atoms[k].extent * step[k];
            left /= x->atoms[k].extent;
        }
        out[i] = c->f[at];
    }
    return out;
}

static bool has_affine(dfqi_structure_kind kind)
{
    return kind == DFQI_STRUCTURE_LINEAR || kind == DFQI_STRUCTURE_CONV ||
           kind == DFQI_STRUCTURE_LAYERNORM || kind == DFQI_STRUCTURE_BATCHNORM;
}

/* Multiplies rows of a layer's parameters, and adds to its bias. */
static bool change_layer(im *m, int32_t at, const float *times, const float *plus, double scale)
{
    dfqi_structure_op *op = &m->draft.ops[at].op;
    int64_t rows = m->draft.values[op->in[1]].dims[0];
    if (op->n_in == 2) {
        int32_t bias = dfqi_im_param_fill(m, "bias", rows, 0);
        op = &m->draft.ops[at].op;
        op->in[op->n_in++] = bias;
    }
    float *w = dfqi_im_param_data(m, op->in[1]), *b = dfqi_im_param_data(m, op->in[2]);
    if (!w || !b) return false;
    int64_t cols = dfqi_tensor_count(m->draft.values[op->in[1]].tensor) / rows;
    for (int64_t r = 0; r < rows; r++) {
        double t = times ? (double)times[r] : 1.0;
        for (int64_t c = 0; times && c < cols; c++)
            w[r * cols + c] = (float)((double)w[r * cols + c] * t);
        b[r] = (float)((double)b[r] * t + (plus ? (double)plus[r] / scale : 0.0));
    }
    return true;
}

/* The op that makes a value of n channels, which other ops do not read; -1: there is none. */
static int32_t only_maker(const im *m, int32_t value, int64_t n, int32_t readers)
{
    const im_draft_op *maker = dfqi_im_maker(m, value);
    while (maker && maker->op.kind == DFQI_STRUCTURE_RESHAPE)
        maker = dfqi_im_maker(m, maker->op.in[0]);
    if (!maker || dfqi_im_readers(m, maker->op.out) > readers) return -1;
    const im_draft_value *out = &m->draft.values[maker->op.out];
    return out->dims[out->rank - 1] == n ? (int32_t)(maker - m->draft.ops) : -1;
}

bool dfqi_im_absorb(im *m, const im_view *x, const float *times, const float *plus)
{
    const im_draft_value *base = &m->draft.values[x->base];
    const int64_t n = base->rank ? base->dims[base->rank - 1] : 1;
    int32_t at = x->shared ? -1 : only_maker(m, x->base, n, INT32_MAX), parts[2];
    if (at < 0) return false;
    const dfqi_structure_op *op = &m->draft.ops[at].op;
    if (has_affine(op->kind)) return change_layer(m, at, times, plus, x->scale);
    if (op->kind != DFQI_STRUCTURE_ADD || plus) return false;
    for (int k = 0; k < 2; k++) { /* a sum of layers: a factor goes into all of them */
        parts[k] = only_maker(m, op->in[k], n, 1);
        if (parts[k] < 0 || !has_affine(m->draft.ops[parts[k]].op.kind)) return false;
    }
    return change_layer(m, parts[0], times, NULL, 1) && change_layer(m, parts[1], times, NULL, 1);
}
