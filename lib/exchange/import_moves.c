/* Nodes that move or choose values: most of them change views alone. */
#include <stdio.h>
#include <string.h>

#include "exchange/import_nodes_priv.h"

/* The first operand in another shape. */
static void reshape_to(im *m, int32_t rank, const int64_t *dims)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    im_view y;
    if (x && dfqi_im_view_reshape_moved(m, x, rank, dims, &y)) dfqi_im_set_alias(m, 0, 0, &y);
}

static bool dims_of(im *m, int64_t dims[IM_RANK], int32_t *rank)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    if (!x) return false;
    dfqi_im_dims(x, dims);
    *rank = x->rank;
    return true;
}

void dfqi_im_reshape(im *m)
{
    int64_t dims[IM_RANK], out[IM_RANK];
    int32_t rank;
    const im_tensor *shape = dfqi_im_const(m, m->in[1]);
    if (!dims_of(m, dims, &rank)) return;
    if (!shape)
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "has a shape that depends on the image; export with fixed sizes");
    else if (dfqi_im_reshape_dims(m, rank, dims, shape, out))
        reshape_to(m, (int32_t)shape->count, out);
}

void dfqi_im_flatten(im *m)
{
    int64_t dims[IM_RANK], out[2] = {1, 1}, axis = dfqi_im_attr_int(m, "axis", 1);
    int32_t rank;
    if (!dims_of(m, dims, &rank)) return;
    axis = axis == rank ? axis : dfqi_im_axis_of(m, axis, rank);
    for (int32_t i = 0; i < rank; i++) out[i < axis ? 0 : 1] *= dims[i];
    if (m->status == DFQ_OK) reshape_to(m, 2, out);
}

void dfqi_im_squeeze(im *m)
{
    int64_t dims[IM_RANK], out[IM_RANK];
    int32_t rank;
    if (!dims_of(m, dims, &rank)) return;
    rank = dfqi_im_squeeze_dims(m, rank, dims, out);
    if (m->status == DFQ_OK) reshape_to(m, rank, out);
}

void dfqi_im_unsqueeze(im *m)
{
    int64_t dims[IM_RANK], out[IM_RANK];
    int32_t rank;
    if (!dims_of(m, dims, &rank)) return;
    rank = dfqi_im_unsqueeze_dims(m, rank, dims, out);
    if (m->status == DFQ_OK) reshape_to(m, rank, out);
}

void dfqi_im_transpose(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    int64_t perm[IM_RANK];
    if (!x || !dfqi_im_perm(m, x->rank, perm)) return;
    im_view y = *x;
    for (int32_t i = 0; i < x->rank; i++) y.axes[i] = x->axes[perm[i]];
    dfqi_im_set_alias(m, 0, 0, &y);
}

/* -- parts ------------------------------------------------------------------------------------- */

bool dfqi_im_cut_out(im *m, const im_view *x, int32_t axis, int64_t first, int64_t n, im_view *out)
{
    im_axis all = x->axes[axis];
    int64_t dims[IM_RANK], rest = 1;
    int32_t order[IM_RANK], k = 0;
    if (n < 1 || m->status != DFQ_OK) return false;
    dfqi_im_dims(x, dims);
    order[k++] = axis;
    for (int32_t i = 0; i < x->rank; i++) {
        if (i == axis) continue;
        rest *= dims[i];
        order[k++] = i;
        for (int32_t j = 0; j < x->axes[i].n; j++) all.atoms[all.n++] = x->axes[i].atoms[j];
    }
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_CHANNELS,
                            .n_in = 1,
                            .in = {dfqi_im_arrange(m, x, 1, &all)},
                            .n_out = 1,
                            .n_ints = 2,
                            .ints = {first * rest, n * rest}};
    double scale = x->scale;
    dims[axis] = n;
    *out = dfqi_im_view_new(m, dfqi_im_op(m, &op, 1, &op.ints[1]), x->rank, dims, k, order);
    out->scale = scale;
    return m->status == DFQ_OK;
}

/* Entries first .. first + n - 1 of an axis become output `slot`. */
static bool part(im *m, int32_t slot, const im_view *x, int32_t axis, int64_t first, int64_t n)
{
    im_view y;
    if (dfqi_im_view_part(m, x, axis, first, n, &y) || dfqi_im_cut_out(m, x, axis, first, n, &y))
        dfqi_im_set_alias(m, slot, 0, &y);
    else
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "takes no entries of an axis");
    return m->status == DFQ_OK;
}

void dfqi_im_split(im *m)
{
    const im_view *x = dfqi_im_view_of(m, 0);
    int64_t sizes[IM_INPUTS], first = 0;
    if (!x) return;
    int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", 0), x->rank);
    int32_t n = dfqi_im_ints(m, "split", 1, IM_INPUTS, sizes), outs = (int32_t)m->node->n_output;
    if (m->status != DFQ_OK) return;
    int64_t extent = dfqi_im_extent(x, axis);
    if (outs < 1 || outs > IM_INPUTS || (n >= 0 && n != outs) || (n < 0 && extent % outs != 0)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "must split %lld entries into equal parts, or of given sizes",
                     (long long)extent);
        return;
    }
    for (int32_t i = 0; i < outs; i++) {
        int64_t size = n < 0 ? extent / outs : sizes[i];
        if (size < 0 || size > extent - first)
            dfqi_im_fail(m, DFQ_E_CORRUPT, "has parts that are larger than its operand");
        if (m->status != DFQ_OK || !part(m, i, x, axis, first, size)) return;
        first += size;
    }
}

/* -- joining ----------------------------------------------------------------------------------- */

/* Constant tokens [k,D] in front of rows [N,D]; their positions are found when positions are
 * added. */
static void put_tokens(im *m, const im_view *x, int64_t k, const char *name, const float *tokens)
{
    const int64_t n = dfqi_im_extent(x, 1) + k, d = dfqi_im_extent(x, 2);
    const im_axis order[2] = {x->axes[1], x->axes[2]};
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_TOKENS,
                            .n_in = 3,
                            .in = {dfqi_im_arrange(m, x, 2, order)},
                            .n_out = 1};
    op.in[1] = dfqi_im_param(m, "pos_embed", 3, (int64_t[]){1, n, d}, NULL);
    op.in[2] = dfqi_im_param(m, name, 3, (int64_t[]){1, k, d}, tokens);
    im_view y = dfqi_im_view_new(m, dfqi_im_op(m, &op, 2, (int64_t[]){n, d}), 3,
                                 (int64_t[]){1, n, d}, 2, (int32_t[]){1, 2});
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_put_tokens(im *m, const im_view *x, int64_t k)
{
    put_tokens(m, x, k, "cls_token", NULL);
}

/* All operands but the last are constant tokens. */
static void concat_tokens(im *m, const im_view *x)
{
    const int64_t d = dfqi_im_extent(x, 2);
    int64_t k = 0, at = 0;
    for (int32_t i = 0; i + 1 < m->n_in; i++) {
        const im_tensor *t = dfqi_im_const(m, m->in[i]);
        k += t ? t->dims[1] : 0;
    }
    float *tokens = dfqi_im_alloc(m, (size_t)(k * d), sizeof *tokens);
    for (int32_t i = 0; tokens && i + 1 < m->n_in; i++) {
        const im_tensor *t = dfqi_im_const(m, m->in[i]);
        memcpy(tokens + at, t->f, (size_t)t->count * sizeof *tokens);
        at += t->count;
    }
    if (tokens) put_tokens(m, x, k, dfqi_im_given(m, 0, "cls_token"), tokens);
}

static bool are_tokens(im *m, const im_view *x, int32_t axis)
{
    bool good = m->n_in > 1 && x->rank == 3 && axis == 1 && x->scale >= 1 && x->scale <= 1;
    for (int32_t k = 0; good && k + 1 < m->n_in; k++) {
        const im_tensor *t = dfqi_im_const(m, m->in[k]);
        good = t && !t->is_int && t->rank == 3 && t->dims[0] == 1 && t->dims[1] <= 64 &&
               t->dims[2] == dfqi_im_extent(x, 2);
    }
    return good;
}

im_view dfqi_im_join(im *m, const im_view *a, const im_view *b, int32_t axis)
{
    const im_axis *joined = &a->axes[axis];
    const bool last = joined->n > 0 && joined->atoms[joined->n - 1] == a->n_atoms - 1;
    int64_t dims[IM_RANK], db[IM_RANK], rest = 1;
    int32_t order[IM_RANK], k = 0;
    im_axis of_a[2] = {{.n = 0}, *joined}, of_b[2] = {{.n = 0}, b->axes[axis]};
    dfqi_im_dims(a, dims);
    dfqi_im_dims(b, db);
    if (!last) {
        order[k++] = axis;
        of_a[0] = of_a[1];
        of_b[0] = of_b[1];
    }
    for (int32_t i = 0; i < a->rank; i++) {
        if (i == axis) continue;
        if (dims[i] != db[i])
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "joins values of different shapes");
        rest *= dims[i];
        order[k++] = i;
        for (int32_t j = 0; j < a->axes[i].n; j++) of_a[0].atoms[of_a[0].n++] = a->axes[i].atoms[j];
        for (int32_t j = 0; j < b->axes[i].n; j++) of_b[0].atoms[of_b[0].n++] = b->axes[i].atoms[j];
    }
    if (last) order[k++] = axis;
    dfqi_structure_op op = {.kind = DFQI_STRUCTURE_CONCAT,
                            .n_in = 2,
                            .in = {dfqi_im_arrange(m, a, last ? 2 : 1, of_a),
                                   dfqi_im_arrange(m, b, last ? 2 : 1, of_b)},
                            .n_out = 1};
    dims[axis] += db[axis];
    const int64_t flat[2] = {last ? rest : rest * dims[axis], dims[axis]};
    return dfqi_im_view_new(m, dfqi_im_op(m, &op, last ? 2 : 1, flat), a->rank, dims, k, order);
}

void dfqi_im_concat(im *m)
{
    const im_view *x = dfqi_im_view_of(m, m->n_in - 1);
    if (!x) return;
    int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", 0), x->rank);
    if (m->status != DFQ_OK) return;
    if (are_tokens(m, x, axis)) {
        concat_tokens(m, x);
        return;
    }
    im_view y = dfqi_im_unscaled(m, 0, 1);
    for (int32_t k = 1; k < m->n_in && m->status == DFQ_OK; k++) {
        im_view b = dfqi_im_unscaled(m, k, 1);
        if (m->status == DFQ_OK && b.rank != y.rank)
            dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "joins values of different shapes");
        if (m->status == DFQ_OK) y = dfqi_im_join(m, &y, &b, axis);
    }
    dfqi_im_set_view(m, 0, &y);
}

void dfqi_im_shape(im *m)
{
    const im_value *x = &m->values[m->in[0]];
    int64_t dims[IM_RANK], first = dfqi_im_attr_int(m, "start", 0);
    if (x->state == IM_DATA)
        dfqi_im_dims(&x->v, dims);
    else
        memcpy(dims, dfqi_im_const(m, m->in[0])->dims, sizeof dims);
    int32_t rank = x->state == IM_DATA ? x->v.rank : x->c.rank;
    int64_t last = dfqi_im_attr_int(m, "end", rank);
    first += first < 0 ? rank : 0;
    last += last < 0 ? rank : 0;
    first = first < 0 ? 0 : first > rank ? rank : first;
    last = last < first ? first : last > rank ? rank : last;
    im_tensor t;
    if (!dfqi_im_tensor_new(m, true, 1, (int64_t[]){last - first}, &t)) return;
    memcpy((void *)(uintptr_t)t.i, dims + first, (size_t)(last - first) * sizeof *dims);
    dfqi_im_set_const(m, 0, &t);
}
