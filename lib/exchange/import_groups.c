/* Norms of groups of channels, and copies along axes. */
#include <string.h>

#include "exchange/import_nodes_priv.h"

/* -- norms ------------------------------------------------------------------------------------- */

/* x[N,C,..] with all entries of each group of channels brought to mean 0 and variance 1. */
static im_view normalised(im *m, const im_view *x, int64_t groups, double eps)
{
    int64_t dims[IM_RANK], rest = 1;
    im_view cut, y;
    dfqi_im_dims(x, dims);
    for (int32_t i = 1; i < x->rank; i++) rest *= dims[i];
    if (!dfqi_im_view_reshape(m, x, 3, (int64_t[]){1, groups, rest / groups}, &cut)) return cut;
    /* as they lie in memory: the order inside of a group does not matter */
    const im_axis all = dfqi_im_others(&cut, &cut.axes[1]);
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_NORMALISE,
                            .n_in = 1,
                            .n_out = 1,
                            .n_floats = 1,
                            .value = (float)(eps / (x->scale * x->scale))};
    op.in[0] = dfqi_im_rows_of(m, &cut, &all, rest / groups, &y);
    if (m->status != DFQ_OK) return y;
    const im_draft_value rows = m->draft.values[op.in[0]];
    y.base = dfqi_im_op(m, &op, rows.rank, rows.dims);
    y.scale = x->scale < 0 ? -1 : 1;
    y.shared = false;
    if (!dfqi_im_view_reshape(m, &y, x->rank, dims, &cut)) return y;
    return cut;
}

/* The factors and summands of channels, along axis 1 of a value of `rank` axes. */
static bool of_channels(im *m, int32_t slot, int64_t n, int32_t rank, im_tensor *out)
{
    const im_tensor *c = dfqi_im_const(m, m->in[slot]);
    if (!c || c->is_int || c->count != n) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "must have constant operands with %lld entries, one a channel", (long long)n);
        return false;
    }
    *out = *c;
    out->rank = rank - 1;
    for (int32_t i = 0; i < out->rank; i++) out->dims[i] = i == 0 ? n : 1;
    return true;
}

static void norm(im *m, int64_t groups)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    im_tensor scale, bias;
    if (!x) return;
    const int64_t n = x->rank >= 2 ? dfqi_im_extent(x, 1) : 0;
    if (x->rank < 3 || groups < 1 || n % groups != 0 || dfqi_im_extent(x, 0) != 1)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must normalise %lld groups of channels of an image",
                     (long long)groups);
    if (m->status != DFQ_OK || !of_channels(m, 1, n, x->rank, &scale) ||
        !of_channels(m, 2, n, x->rank, &bias))
        return;
    im_view y = normalised(m, x, groups, dfqi_im_attr_float(m, "epsilon", 1e-5));
    bool plain = true;
    for (int64_t i = 0; i < n; i++)
        plain &= scale.f[i] >= 1 && scale.f[i] <= 1 && bias.f[i] >= 0 && bias.f[i] <= 0;
    if (!plain) y = dfqi_im_affine(m, &y, &scale, NULL, 1);
    if (!plain) y = dfqi_im_affine(m, &y, NULL, &bias, 1);
    dfqi_im_set_view(m, 0, &y);
}

/* Each channel is a group. */
void dfqi_im_instance_norm(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (x) norm(m, x->rank >= 2 ? dfqi_im_extent(x, 1) : 0);
}

void dfqi_im_group_norm(im *m)
{
    norm(m, dfqi_im_attr_int(m, "num_groups", 0));
}

/* -- copies ------------------------------------------------------------------------------------ */

void dfqi_im_expand_to(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    const im_tensor *shape = dfqi_im_const(m, m->in[1]);
    int64_t dims[IM_RANK];
    if (!x) return;
    if (!shape || !shape->is_int || shape->rank != 1 || shape->count > IM_RANK) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must have a constant shape of at most %d axes",
                     IM_RANK);
        return;
    }
    const int32_t n = (int32_t)shape->count, rank = n > x->rank ? n : x->rank;
    for (int32_t i = 0; i < rank; i++) {
        const int64_t own = i < rank - x->rank ? 1 : dfqi_im_extent(x, i - (rank - x->rank));
        const int64_t want = i < rank - n ? 1 : shape->i[i - (rank - n)];
        dims[i] = want == 1 ? own : want;
        if (want < 1 || want > DFQI_STRUCTURE_EXTENT)
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has an extent of %lld, must be 1 to 2^24",
                         (long long)want);
    }
    im_view y = dfqi_im_expand(m, x, rank, dims);
    dfqi_im_set_alias(m, 0, 0, &y);
}

/* Copies along axes of extent 1. */
void dfqi_im_tile(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    int64_t times[IM_RANK], dims[IM_RANK];
    int32_t n = dfqi_im_ints(m, NULL, 1, IM_RANK, times);
    if (!x || m->status != DFQ_OK) return;
    dfqi_im_dims(x, dims);
    for (int32_t i = 0; i < x->rank && m->status == DFQ_OK; i++) {
        if (n != x->rank || times[i] < 1 || times[i] > DFQI_STRUCTURE_EXTENT ||
            (times[i] > 1 && dims[i] > 1))
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must make copies along axes of extent 1");
        else
            dims[i] *= times[i];
    }
    if (m->status != DFQ_OK) return;
    im_view y = dfqi_im_expand(m, x, x->rank, dims);
    dfqi_im_set_alias(m, 0, 0, &y);
}

/* x with `n` entries of one value before or behind an axis. */
static im_view bordered(im *m, const im_view *x, int32_t axis, int64_t n, float value, bool before)
{
    const im_tensor none = {.count = 1, .f = (const float[]){0}}, by = {.count = 1, .f = &value};
    int64_t dims[IM_RANK];
    im_view one, plain = dfqi_im_settled(m, x, 1);
    if (m->status != DFQ_OK || n == 0) return plain;
    dfqi_im_dims(&plain, dims);
    if (!dfqi_im_view_part(m, &plain, axis, 0, 1, &one)) return plain;
    one = dfqi_im_affine(m, &one, &none, &by, 1);
    dims[axis] = 1;
    if (m->status != DFQ_OK || !dfqi_im_view_reshape(m, &one, plain.rank, dims, &one)) return plain;
    dims[axis] = n;
    one = dfqi_im_expand(m, &one, plain.rank, dims);
    if (m->status != DFQ_OK) return plain;
    return before ? dfqi_im_join(m, &one, &plain, axis) : dfqi_im_join(m, &plain, &one, axis);
}

void dfqi_im_pad_by(im *m, const im_view *x, const int64_t *pads, float value)
{
    im_view y = *x;
    y.shared = true;
    for (int32_t i = 0; i < x->rank && m->status == DFQ_OK; i++)
        for (int end = 0; end < 2 && m->status == DFQ_OK; end++)
            if (pads[end * x->rank + i] > 0)
                y = bordered(m, &y, i, pads[end * x->rank + i], value, end == 0);
    dfqi_im_set_view(m, 0, &y);
}
