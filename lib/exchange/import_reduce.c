/* Powers, roots and reductions, and the pieces of norms that they are. */
#include <math.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"

/* x^2, x^3 and roots. */
void dfqi_im_pow(im *m)
{
    double power = 0;
    if (!dfqi_im_scalar(dfqi_im_const(m, m->in[1]), &power)) power = NAN;
    if (dfqi_im_near(power, 2) && dfqi_im_is_expr(m, 0, IM_CENTRED)) {
        dfqi_im_set_expr(m, IM_SQUARE, &dfqi_im_operand(m, 0)->v, 0);
        return;
    }
    if (dfqi_im_near(power, 0.5)) {
        dfqi_im_sqrt(m);
        return;
    }
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    if (!dfqi_im_near(power, 2) && !dfqi_im_near(power, 3)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has the exponent %g, must be 2, 3 or 0.5", power);
        return;
    }
    im_view y = dfqi_im_two(m, DFQI_STRUCTURE_MUL, x, x);
    if (dfqi_im_near(power, 3)) y = dfqi_im_two(m, DFQI_STRUCTURE_MUL, &y, x);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_sqrt(im *m)
{
    if (dfqi_im_is_expr(m, 0, IM_VARIANCE)) {
        const im_value *x = dfqi_im_operand(m, 0);
        dfqi_im_set_expr(m, IM_DEVIATION, &x->v, x->value);
        return;
    }
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    im_view y = dfqi_im_root(m, x);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_reciprocal(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    im_view y = dfqi_im_inverse(m, x);
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_erf(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    im_view v = *x;
    v.scale *= sqrt(2);
    dfqi_im_set_expr(m, IM_ERF, &v, 0);
}

/* -- reductions -------------------------------------------------------------------------------- */

/* The axes that a node reduces; returns how many entries come together, 0 after an error. */
static int64_t reduced(im *m, const im_view *x, bool over[IM_RANK])
{
    int64_t axes[IM_RANK], count = 1;
    int32_t n = dfqi_im_ints(m, "axes", 1, IM_RANK, axes);
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++) {
        int32_t axis = dfqi_im_axis_of(m, axes[k], x->rank);
        if (m->status == DFQ_OK) over[axis] = true;
    }
    if (n < 1) dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is over all axes, must be over named ones");
    for (int32_t i = 0; i < x->rank && m->status == DFQ_OK; i++)
        count *= over[i] ? dfqi_im_extent(x, i) : 1;
    return m->status == DFQ_OK ? count : 0;
}

void dfqi_im_reduce_mean(im *m)
{
    bool over[IM_RANK] = {false}, keep = dfqi_im_attr_int(m, "keepdims", 1) != 0;
    const im_view *x = &dfqi_im_operand(m, 0)->v;
    int32_t n = 0;
    if (reduced(m, x, over) == 0) return;
    for (int32_t i = 0; i < x->rank; i++) n += over[i];
    bool last = n == 1 && over[x->rank - 1] && keep;
    if (last && dfqi_im_is_expr(m, 0, IM_SQUARE)) {
        dfqi_im_set_expr(m, IM_VARIANCE, x, 0);
    } else if (dfqi_im_view_of(m, 0)) {
        if (last) {
            dfqi_im_set_expr(m, IM_MEAN, x, 0);
            return;
        }
        im_view y = dfqi_im_mean(m, x, over, keep);
        dfqi_im_set_view(m, 0, &y);
    }
}

/* The mean times the number of entries. */
static im_view sum_over(im *m, const im_view *x, const bool over[IM_RANK], int64_t count)
{
    im_view y = dfqi_im_mean(m, x, over, dfqi_im_attr_int(m, "keepdims", 1) != 0);
    y.scale *= (double)count;
    return y;
}

void dfqi_im_reduce_sum(im *m)
{
    bool over[IM_RANK] = {false};
    const im_view *x = dfqi_im_view_of(m, 0);
    int64_t count = x ? reduced(m, x, over) : 0;
    if (count == 0) return;
    im_view y = sum_over(m, x, over, count);
    dfqi_im_set_view(m, 0, &y);
}

/* The root of the sum of squares. */
void dfqi_im_reduce_l2(im *m)
{
    bool over[IM_RANK] = {false};
    const im_view *x = dfqi_im_view_of(m, 0);
    int64_t count = x ? reduced(m, x, over) : 0;
    if (count == 0) return;
    im_view y = dfqi_im_two(m, DFQI_STRUCTURE_MUL, x, x);
    y = sum_over(m, &y, over, count);
    y = dfqi_im_root(m, &y);
    dfqi_im_set_view(m, 0, &y);
}

/* max(a, b) = max(a - b, 0) + b */
static im_view larger(im *m, const im_view *a, const im_view *b)
{
    im_view less = *b;
    less.scale = -less.scale;
    im_view y = dfqi_im_two(m, DFQI_STRUCTURE_ADD, a, &less);
    y = dfqi_im_unary(m, DFQI_STRUCTURE_RELU, &y, INFINITY);
    return dfqi_im_two(m, DFQI_STRUCTURE_ADD, &y, b);
}

/* The largest of a few entries of one axis. */
void dfqi_im_reduce_max(im *m)
{
    enum { MOST = 16 };
    bool over[IM_RANK] = {false};
    const im_view *x = dfqi_im_view_of(m, 0);
    const int64_t count = x ? reduced(m, x, over) : 0;
    int64_t dims[IM_RANK];
    int32_t axis = -1, n = 0, rank = 0;
    for (int32_t i = 0; count > 0 && i < x->rank; i++) {
        n += over[i];
        axis = over[i] ? i : axis;
    }
    if (count > 0 && (n != 1 || count > MOST))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must be over one axis of at most %d entries", MOST);
    if (count == 0 || m->status != DFQ_OK) return;
    im_view y, part, z;
    for (int64_t k = 0; k < count && m->status == DFQ_OK; k++) {
        if (!dfqi_im_view_part(m, x, axis, k, 1, &part)) return;
        part.shared = true;
        y = k == 0 ? part : larger(m, &y, &part);
    }
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis || dfqi_im_attr_int(m, "keepdims", 1))
            dims[rank++] = i == axis ? 1 : dfqi_im_extent(x, i);
    if (m->status == DFQ_OK && dfqi_im_view_reshape(m, &y, rank, dims, &z))
        dfqi_im_set_view(m, 0, &z);
}

/* The mean over some axes: the others stay in the order of memory. */
im_view dfqi_im_mean(im *m, const im_view *x, const bool over[IM_RANK], bool keep)
{
    im_axis groups[3] = {{.n = 0}, {.n = 0}, {.n = 0}};
    for (int32_t i = 0; i < x->rank; i++)
        for (int32_t k = 0; over[i] && k < x->axes[i].n; k++)
            groups[0].atoms[groups[0].n++] = x->axes[i].atoms[k];
    groups[2] = dfqi_im_others(x, &groups[0]);
    im_view y;
    dfqi_im_view_order(x, 3, groups, &y);
    int64_t n = 1;
    for (int32_t i = groups[0].n; i < y.n_atoms; i++) n *= y.atoms[i].extent;
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_MEAN_POOL,
                            .n_in = 1,
                            .in = {dfqi_im_arrange(m, x, 3, groups)},
                            .n_out = 1};
    y.base = dfqi_im_op(m, &op, 1, &n);
    y.shared = false;
    dfqi_im_view_drop(&y, groups[0].n, over, keep);
    return y;
}

void dfqi_im_global_pool(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    bool over[IM_RANK] = {false};
    for (int32_t i = 2; i < x->rank; i++) over[i] = true;
    im_view y = dfqi_im_mean(m, x, over, true);
    dfqi_im_set_view(m, 0, &y);
}
