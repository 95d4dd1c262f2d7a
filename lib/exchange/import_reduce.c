/* Powers, roots and reductions, and the pieces of norms that they are. */
#include <math.h>
#include <string.h>

#include "exchange/import_priv.h"

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
