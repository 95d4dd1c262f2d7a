/* Folding of constants: shapes and places of elements. */
#include <string.h>

#include "exchange/import_priv.h"

/* Element `from` of t becomes element `to` of out. */
static void move(const im_tensor *t, int64_t from, const im_tensor *out, int64_t to)
{
    if (out->is_int)
        ((int64_t *)(uintptr_t)out->i)[to] = t->i[from];
    else
        ((float *)(uintptr_t)out->f)[to] = t->f[from];
}

static int64_t product(const int64_t *dims, int32_t first, int32_t last)
{
    int64_t n = 1;
    for (int32_t i = first; i < last; i++) n *= dims[i];
    return n;
}

/* The same elements in another shape. */
static void reshaped(im *m, const im_tensor *x, int32_t rank, const int64_t *dims, im_tensor *out)
{
    int64_t count = 1;
    bool fits = rank <= IM_RANK;
    for (int32_t i = 0; fits && i < rank; i++)
        fits = dims[i] >= 0 && dfqi_mul_i64(count, dims[i], &count);
    if (!fits || count != x->count) {
        dfqi_im_fail(m, DFQ_E_SHAPE, "has %lld elements, and a shape for another number",
                     (long long)x->count);
        return;
    }
    *out = *x;
    out->rank = rank;
    memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
}

static void fold_reshape(im *m, const im_tensor *const *in, im_tensor *out)
{
    int64_t dims[IM_RANK];
    if (dfqi_im_reshape_dims(m, in[0]->rank, in[0]->dims, in[1], dims))
        reshaped(m, in[0], (int32_t)in[1]->count, dims, out);
}

static void fold_flatten(im *m, const im_tensor *const *in, im_tensor *out)
{
    int64_t axis = dfqi_im_attr_int(m, "axis", 1);
    axis = axis == in[0]->rank ? axis : dfqi_im_axis_of(m, axis, in[0]->rank);
    if (m->status != DFQ_OK) return;
    const int64_t dims[2] = {product(in[0]->dims, 0, (int32_t)axis),
                             product(in[0]->dims, (int32_t)axis, in[0]->rank)};
    reshaped(m, in[0], 2, dims, out);
}

static void fold_squeeze(im *m, const im_tensor *const *in, im_tensor *out)
{
    int64_t dims[IM_RANK];
    int32_t rank = dfqi_im_squeeze_dims(m, in[0]->rank, in[0]->dims, dims);
    if (m->status == DFQ_OK) reshaped(m, in[0], rank, dims, out);
}

static void fold_unsqueeze(im *m, const im_tensor *const *in, im_tensor *out)
{
    int64_t dims[IM_RANK];
    int32_t rank = dfqi_im_unsqueeze_dims(m, in[0]->rank, in[0]->dims, dims);
    if (m->status == DFQ_OK) reshaped(m, in[0], rank, dims, out);
}

static void fold_identity(im *m, const im_tensor *const *in, im_tensor *out)
{
    reshaped(m, in[0], in[0]->rank, in[0]->dims, out);
}

static void fold_transpose(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    const int32_t rank = x->rank < IM_RANK ? x->rank : IM_RANK;
    int64_t perm[IM_RANK], dims[IM_RANK], steps[IM_RANK];
    if (!dfqi_im_perm(m, rank, perm)) return;
    for (int32_t i = 0; i < rank; i++) {
        dims[i] = x->dims[perm[i]];
        steps[i] = product(x->dims, (int32_t)perm[i] + 1, rank);
    }
    if (!dfqi_im_tensor_new(m, x->is_int, rank, dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t from = 0, left = i;
        for (int32_t k = rank - 1; k >= 0; k--) {
            /* perm is a permutation. NOLINTNEXTLINE(clang-analyzer-core.*) */
            from += left % dims[k] * steps[k];
            left /= dims[k];
        }
        move(x, from, out, i);
    }
}

static void fold_gather(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0], *at = in[1];
    int64_t dims[2 * IM_RANK];
    int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", 0), x->rank), rank = 0;
    if (!at->is_int) dfqi_im_fail(m, DFQ_E_CORRUPT, "has indices that are floats");
    if (m->status != DFQ_OK) return;
    for (int32_t i = 0; i < axis; i++) dims[rank++] = x->dims[i];
    for (int32_t i = 0; i < at->rank; i++) dims[rank++] = at->dims[i];
    for (int32_t i = axis + 1; i < x->rank; i++) dims[rank++] = x->dims[i];
    if (!dfqi_im_tensor_new(m, x->is_int, rank, dims, out)) return;
    int64_t inner = product(x->dims, axis + 1, x->rank), n = x->dims[axis];
    for (int64_t i = 0; i < out->count; i++) {
        int64_t k = at->i[i / inner % at->count], outer = i / inner / at->count;
        k += k < 0 ? n : 0;
        if (k < 0 || k >= n) {
            dfqi_im_fail(m, DFQ_E_CORRUPT, "has an index out of range, 0 to %lld",
                         (long long)n - 1);
            return;
        }
        move(x, (outer * n + k) * inner + i % inner, out, i);
    }
}

static void fold_concat(im *m, const im_tensor *const *in, im_tensor *out)
{
    int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", 0), in[0]->rank);
    int64_t dims[IM_RANK], total = 0;
    if (m->status != DFQ_OK) return;
    memcpy(dims, in[0]->dims, sizeof dims);
    for (int32_t k = 0; k < m->n_in; k++) {
        bool fits = in[k]->is_int == in[0]->is_int && in[k]->rank == in[0]->rank;
        for (int32_t i = 0; fits && i < in[0]->rank; i++)
            fits = i == axis || in[k]->dims[i] == dims[i];
        if (!fits) {
            dfqi_im_fail(m, DFQ_E_SHAPE, "has operands of different shapes");
            return;
        }
        total += in[k]->dims[axis];
    }
    dims[axis] = total;
    if (!dfqi_im_tensor_new(m, in[0]->is_int, in[0]->rank, dims, out)) return;
    int64_t inner = product(dims, axis + 1, out->rank), outer = product(dims, 0, axis), at = 0;
    for (int32_t k = 0; k < m->n_in; k++) {
        int64_t run = in[k]->dims[axis] * inner;
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < run; i++)
                move(in[k], o * run + i, out, o * total * inner + at + i);
        at += run;
    }
}

/* Start, end and step of each axis. */
static void fold_slice(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    im_slices s;
    if (!dfqi_im_read_slices(m, x->rank, x->dims, &s)) return;
    if (!dfqi_im_tensor_new(m, x->is_int, x->rank, s.n, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t from = 0, left = i, step = 1;
        for (int32_t k = x->rank - 1; k >= 0; k--) {
            from += (s.first[k] + left % s.n[k] * s.step[k]) * step;
            left /= s.n[k];
            step *= x->dims[k];
        }
        move(x, from, out, i);
    }
}

static void fold_fill(im *m, const im_tensor *const *in, im_tensor *out)
{
    const Onnx__AttributeProto *a = dfqi_im_attr(m, "value");
    im_tensor one = {.count = 0};
    if (!in[0]->is_int || in[0]->count > IM_RANK)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "must have a shape of at most %d extents", IM_RANK);
    if (m->status == DFQ_OK && a && a->t && !dfqi_im_from_proto(m, a->t, &one)) return;
    bool is_int = one.count == 1 && one.is_int;
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, is_int, (int32_t)in[0]->count, in[0]->i, out))
        return;
    for (int64_t i = 0; i < out->count && one.count == 1; i++) move(&one, 0, out, i);
}

static void fold_reduce_prod(im *m, const im_tensor *const *in, im_tensor *out)
{
    if (!in[0]->is_int || in[0]->rank > 1 || !dfqi_im_tensor_new(m, true, 0, NULL, out)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is not a product of one list of whole numbers");
        return;
    }
    uint64_t n = 1;
    for (int64_t i = 0; i < in[0]->count; i++) n *= (uint64_t)in[0]->i[i];
    *(int64_t *)(uintptr_t)out->i = (int64_t)n;
}

static const struct {
    const char *op;
    int32_t least, most; /* operands */
    im_fold fold;
} rows[] = {{"Reshape", 2, 2, fold_reshape},
            {"Flatten", 1, 1, fold_flatten},
            {"Squeeze", 1, 2, fold_squeeze},
            {"Unsqueeze", 1, 2, fold_unsqueeze},
            {"Identity", 1, 1, fold_identity},
            {"Transpose", 1, 1, fold_transpose},
            {"Gather", 2, 2, fold_gather},
            {"Concat", 1, IM_INPUTS, fold_concat},
            {"Slice", 1, 5, fold_slice},
            {"ConstantOfShape", 1, 1, fold_fill},
            {"ReduceProd", 1, 2, fold_reduce_prod},
            {"MatMul", 2, 2, dfqi_im_fold_matmul},
            {"Split", 1, 2, dfqi_im_fold_split},
            {"Tile", 2, 2, dfqi_im_fold_tile},
            {"ScatterND", 3, 3, dfqi_im_fold_scatter},
            {"CumSum", 2, 2, dfqi_im_fold_cumsum}};

im_fold dfqi_im_fold_index_of(const char *op, int32_t operands)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, op) == 0 && operands >= rows[i].least && operands <= rows[i].most)
            return rows[i].fold;
    return dfqi_im_fold_reduce_of(op, operands);
}
