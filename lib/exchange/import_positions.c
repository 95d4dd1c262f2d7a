/* Positions: constants that are added to tokens, a number for each of their entries. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_priv.h"

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
void dfqi_im_add_rows(im *m, int32_t slot, const im_view *x, const im_tensor *c)
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

/* Does a constant vary along several axes of x, so that it may be positions of tokens? */
bool dfqi_im_are_positions(const im_view *x, const im_tensor *c)
{
    int32_t n = 0;
    bool fits = x->rank >= 2 && !c->is_int && c->rank <= x->rank;
    for (int32_t i = 0; fits && i < c->rank; i++) {
        n += c->dims[i] > 1;
        fits = c->dims[i] == 1 || c->dims[i] == dfqi_im_extent(x, i + x->rank - c->rank);
    }
    return fits && n > 1;
}
