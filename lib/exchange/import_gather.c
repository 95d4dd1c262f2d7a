/* Nodes that take entries of an axis: slices, and lists of indices. */
#include <string.h>

#include "exchange/import_family_priv.h"
#include "exchange/import_nodes_priv.h"

/* Entries first, first + step, ... of an axis that is a multiple of the step. */
static bool strided(im *m, const im_view *x, int32_t axis, int64_t first, int64_t step,
                    im_view *out)
{
    int64_t dims[IM_RANK + 1] = {0}, extent = dfqi_im_extent(x, axis);
    im_view y, z;
    if (x->rank == IM_RANK || step < 2 || extent % step != 0 || first >= step) return false;
    for (int32_t i = 0; i < x->rank; i++) dims[i <= axis ? i : i + 1] = dfqi_im_extent(x, i);
    dims[axis] = extent / step;
    dims[axis + 1] = step;
    if (!dfqi_im_view_reshape(m, x, x->rank + 1, dims, &y) ||
        !dfqi_im_view_part(m, &y, axis + 1, first, 1, &z))
        return false;
    for (int32_t i = axis + 1; i < x->rank; i++) dims[i] = dims[i + 1];
    return dfqi_im_view_reshape(m, &z, x->rank, dims, out);
}

enum { RUNS = 256 };

/* Entries that are no parts of an axis: the axis goes in front, and the draft has the list. */
static void listed(im *m, const im_view *x, int32_t axis, int64_t count, const int64_t *at,
                   im_view *out)
{
    int64_t dims[IM_RANK], rest = 1;
    int32_t order[IM_RANK], n = 1;
    im_axis groups[2] = {x->axes[axis], dfqi_im_axes(x, 0, axis)};
    const im_axis behind = dfqi_im_axes(x, axis + 1, x->rank);
    for (int32_t k = 0; k < behind.n; k++) groups[1].atoms[groups[1].n++] = behind.atoms[k];
    dfqi_im_dims(x, dims);
    order[0] = axis;
    for (int32_t i = 0; i < x->rank; i++) {
        if (i == axis) continue;
        order[n++] = i;
        rest *= dims[i];
    }
    dims[axis] = count;
    dfqi_structure_op op = {.kind = (dfqi_structure_kind)IM_ROWS, .n_in = 1, .n_out = 1};
    op.in[0] = dfqi_im_arrange(m, x, 2, groups);
    int32_t base = dfqi_im_op(m, &op, 2, (int64_t[]){count, rest});
    int64_t *list = dfqi_im_alloc(m, (size_t)count, sizeof *list);
    if (!list || base < 0) return;
    memcpy(list, at, (size_t)count * sizeof *list);
    dfqi_im_maker(m, base)->rows = list;
    *out = dfqi_im_view_new(m, base, x->rank, dims, n, order);
}

/* Entries at a list of indices: runs of neighbours, joined. */
static bool gathered(im *m, const im_view *x, int32_t axis, int64_t count, const int64_t *at,
                     im_view *out)
{
    const int64_t extent = dfqi_im_extent(x, axis);
    im_view run;
    int32_t runs = 0;
    bool inside = true;
    for (int64_t k = 0, n; k < count && inside; k += n, runs++) {
        for (n = 1; k + n < count && at[k + n] == at[k] + n;) n++;
        inside = at[k] >= -extent && n <= extent - (at[k] + (at[k] < 0 ? extent : 0));
    }
    if (!inside)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "has an index out of range, 0 to %lld",
                     (long long)extent - 1);
    /* this library's own files move tokens to windows so */
    const bool list = runs > RUNS || (runs > 1 && dfqi_im_is_ours(m));
    if (list) listed(m, x, axis, count, at, out);
    for (int64_t k = 0, n; k < count && !list && m->status == DFQ_OK; k += n) {
        const int64_t first = at[k] + (at[k] < 0 ? extent : 0);
        for (n = 1; k + n < count && at[k + n] == at[k] + n;) n++;
        if (!dfqi_im_view_part(m, x, axis, first, n, &run) &&
            !dfqi_im_cut_out(m, x, axis, first, n, &run))
            return false;
        *out = k == 0 ? run : dfqi_im_join(m, out, &run, axis);
    }
    out->scale = x->scale;
    out->shared = true;
    return m->status == DFQ_OK;
}

/* Entries that are apart, one by one. */
static bool stepped(im *m, const im_view *x, int32_t axis, const im_slices *s, im_view *out)
{
    int64_t at[RUNS];
    if (s->n[axis] < 1 || s->n[axis] > RUNS || m->status != DFQ_OK) return false;
    for (int64_t k = 0; k < s->n[axis]; k++) at[k] = s->first[axis] + k * s->step[axis];
    return gathered(m, x, axis, s->n[axis], at, out);
}

void dfqi_im_slice(im *m)
{
    int64_t dims[IM_RANK];
    im_slices s;
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return;
    const int32_t rank = x->rank;
    dfqi_im_dims(x, dims);
    if (!dfqi_im_read_slices(m, rank, dims, &s)) return;
    im_view y = *x;
    for (int32_t i = 0; i < rank; i++) {
        im_view whole = y;
        if (s.n[i] == dims[i] && s.step[i] == 1) continue;
        if (s.step[i] == 1 && (dfqi_im_view_part(m, &whole, i, s.first[i], s.n[i], &y) ||
                               dfqi_im_cut_out(m, &whole, i, s.first[i], s.n[i], &y)))
            continue;
        if (strided(m, &whole, i, s.first[i], s.step[i], &y) || stepped(m, &whole, i, &s, &y))
            continue;
        if (m->status != DFQ_OK) return;
        dfqi_im_fail(
            m, DFQ_E_UNSUPPORTED,
            "takes %lld of %lld entries from %lld on, in steps of %lld; must take some, at "
            "most 256 if they are apart",
            (long long)s.n[i], (long long)dims[i], (long long)s.first[i], (long long)s.step[i]);
        return;
    }
    dfqi_im_set_alias(m, 0, 0, &y);
}

/* Entries of an axis at constant indices, which may have several axes themselves. */
static void gather_list(im *m, const im_view *x, int32_t axis, const im_tensor *at)
{
    int64_t dims[IM_RANK];
    int32_t rank = 0;
    im_view y, z;
    if (x->rank + at->rank - 1 > IM_RANK) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "makes more than %d axes", IM_RANK);
        return;
    }
    if (!gathered(m, x, axis, at->count, at->i, &y)) return;
    for (int32_t i = 0; i < axis; i++) dims[rank++] = dfqi_im_extent(x, i);
    for (int32_t i = 0; i < at->rank; i++) dims[rank++] = at->dims[i];
    for (int32_t i = axis + 1; i < x->rank; i++) dims[rank++] = dfqi_im_extent(x, i);
    if (dfqi_im_view_reshape(m, &y, rank, dims, &z)) dfqi_im_set_view(m, 0, &z);
}

/* The same of the first axis, with the indices [n,1] that newer exporters write. */
void dfqi_im_gather_nd(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    const im_tensor *at = dfqi_im_const(m, m->in[1]);
    if (!x) return;
    if (!at || !at->is_int || at->rank != 2 || at->dims[1] != 1 || at->count < 1 ||
        dfqi_im_attr_int(m, "batch_dims", 0)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must take entries at a list of constant indices");
        return;
    }
    im_tensor list = *at;
    list.rank = 1;
    gather_list(m, x, 0, &list);
}

/* One entry of an axis, or several, by constant indices. */
void dfqi_im_gather(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    const im_tensor *at = dfqi_im_const(m, m->in[1]);
    int64_t dims[IM_RANK];
    im_view y;
    if (!x) return;
    int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", 0), x->rank), n = 0;
    if (m->status != DFQ_OK) return;
    if (!at || !at->is_int || at->count < 1) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must take entries at constant indices");
        return;
    }
    if (at->count > 1 || at->rank > 1) {
        gather_list(m, x, axis, at);
        return;
    }
    int64_t extent = dfqi_im_extent(x, axis), i = at->i[0] < 0 ? at->i[0] + extent : at->i[0];
    if (i < 0 || i >= extent || !dfqi_im_view_part(m, x, axis, i, 1, &y)) {
        dfqi_im_fail(m, DFQ_E_CORRUPT, "has an index out of range, 0 to %lld",
                     (long long)extent - 1);
        return;
    }
    dfqi_im_dims(&y, dims);
    for (int32_t k = 0; k < y.rank; k++)
        if (k != axis || at->rank == 1) dims[n++] = dims[k];
    im_view z;
    if (dfqi_im_view_reshape(m, &y, n, dims, &z)) dfqi_im_set_alias(m, 0, 0, &z);
}
