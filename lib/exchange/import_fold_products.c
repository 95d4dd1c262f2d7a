/* Folding of constants: products, sums along axes, and what has several outputs. */
#include <string.h>

#include "exchange/import_priv.h"

static void copy(const im_tensor *t, int64_t from, const im_tensor *out, int64_t to, int64_t n)
{
    if (out->is_int)
        memcpy((int64_t *)(uintptr_t)out->i + to, t->i + from, (size_t)n * sizeof *t->i);
    else
        memcpy((float *)(uintptr_t)out->f + to, t->f + from, (size_t)n * sizeof *t->f);
}

static int64_t product(const int64_t *dims, int32_t first, int32_t last)
{
    int64_t n = 1;
    for (int32_t i = first; i < last; i++) n *= dims[i];
    return n;
}

/* a[..,M,K] b[K,N] or b[..,K,N] with the same axes in front. */
void dfqi_im_fold_matmul(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *a = in[0], *b = in[1];
    int64_t dims[IM_RANK];
    bool fits = !a->is_int && !b->is_int && a->rank >= 2 && b->rank >= 2;
    fits = fits && a->dims[a->rank - 1] == b->dims[b->rank - 2];
    fits = fits &&
           (b->rank == 2 || (b->rank == a->rank &&
                             memcmp(a->dims, b->dims, (size_t)(a->rank - 2) * sizeof *dims) == 0));
    if (!fits) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "multiplies constants whose shapes do not fit");
        return;
    }
    const int64_t rows = a->dims[a->rank - 2], k = a->dims[a->rank - 1], n = b->dims[b->rank - 1];
    memcpy(dims, a->dims, (size_t)a->rank * sizeof *dims);
    dims[a->rank - 1] = n;
    if (!dfqi_im_work(m, a->count, n) || !dfqi_im_tensor_new(m, false, a->rank, dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        const int64_t row = i / n, batch = b->rank == 2 ? 0 : row / rows;
        double sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum += (double)a->f[row * k + j] * (double)b->f[(batch * k + j) * n + i % n];
        ((float *)(uintptr_t)out->f)[i] = (float)sum;
    }
}

/* x w or x w^T, + b */
void dfqi_im_fold_gemm(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0], *w = in[1], *b = in[2];
    const bool trans = dfqi_im_attr_int(m, "transB", 0) != 0;
    const double alpha = dfqi_im_attr_float(m, "alpha", 1), beta = dfqi_im_attr_float(m, "beta", 1);
    bool fits = !x->is_int && !w->is_int && x->rank == 2 && w->rank == 2 &&
                !dfqi_im_attr_int(m, "transA", 0);
    const int64_t k = fits ? x->dims[1] : 0, n = fits ? w->dims[trans ? 0 : 1] : 0;
    fits = fits && w->dims[trans ? 1 : 0] == k && (!b || (!b->is_int && b->count == n));
    if (!fits) dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "multiplies constants whose shapes do not fit");
    if (m->status != DFQ_OK || !dfqi_im_work(m, x->count, n) ||
        !dfqi_im_tensor_new(m, false, 2, (int64_t[]){x->dims[0], n}, out))
        return;
    for (int64_t i = 0; n > 0 && i < out->count; i++) {
        double sum = 0;
        for (int64_t j = 0; j < k; j++)
            sum +=
                (double)x->f[i / n * k + j] * (double)w->f[trans ? i % n * k + j : j * n + i % n];
        ((float *)(uintptr_t)out->f)[i] =
            (float)(alpha * sum + (b ? beta * (double)b->f[i % n] : 0.0));
    }
}

/* Part 0 is *out, the others are outputs already. */
void dfqi_im_fold_split(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    int64_t sizes[IM_INPUTS], first = 0;
    const int32_t n = dfqi_im_ints(m, "split", 1, IM_INPUTS, sizes),
                  outs = (int32_t)m->node->n_output,
                  axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", 0), x->rank);
    if (m->status != DFQ_OK) return;
    const int64_t extent = x->dims[axis], inner = product(x->dims, axis + 1, x->rank),
                  outer = product(x->dims, 0, axis);
    if (outs < 1 || (n >= 0 && n != outs) || (n < 0 && extent % outs != 0))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED,
                     "must split %lld entries into equal parts, or of given sizes",
                     (long long)extent);
    for (int32_t k = 0; k < outs && m->status == DFQ_OK; k++) {
        im_tensor part;
        int64_t dims[IM_RANK];
        const int64_t size = n < 0 ? extent / outs : sizes[k];
        memcpy(dims, x->dims, sizeof dims);
        dims[axis] = size;
        if (size < 0 || size > extent - first)
            dfqi_im_fail(m, DFQ_E_CORRUPT, "has parts that are larger than its operand");
        if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, x->is_int, x->rank, dims, &part)) return;
        for (int64_t o = 0; o < outer; o++)
            copy(x, (o * extent + first) * inner, &part, o * size * inner, size * inner);
        first += size;
        if (k == 0)
            *out = part;
        else
            dfqi_im_set_const(m, k, &part);
    }
}

void dfqi_im_fold_tile(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0], *times = in[1];
    int64_t dims[IM_RANK] = {0};
    bool fits = times->is_int && times->rank == 1 && times->count == x->rank;
    for (int32_t i = 0; fits && i < x->rank; i++)
        fits = times->i[i] > 0 && x->dims[i] > 0 && dfqi_mul_i64(x->dims[i], times->i[i], &dims[i]);
    if (!fits) {
        dfqi_im_fail(m, DFQ_E_CORRUPT, "must have one number of copies for each axis");
        return;
    }
    if (!dfqi_im_tensor_new(m, x->is_int, x->rank, dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        int64_t from = 0, left = i, step = 1;
        for (int32_t k = x->rank - 1; k >= 0 && x->dims[k] > 0 && dims[k] > 0; k--) {
            from += left % dims[k] % x->dims[k] * step;
            left /= dims[k];
            step *= x->dims[k];
        }
        copy(x, from, out, i, 1);
    }
}

/* Entries of x, at indices [..,k] into its first k axes, are replaced. */
void dfqi_im_fold_scatter(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0], *at = in[1], *by = in[2];
    const int64_t k = at->rank > 0 ? at->dims[at->rank - 1] : 0;
    if (!at->is_int || x->is_int != by->is_int || k < 1 || k > x->rank ||
        !dfqi_im_attr_is(m, "reduction", "none", true)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must replace entries at whole numbers");
        return;
    }
    const int64_t run = product(x->dims, (int32_t)k, x->rank), n = at->count / k;
    if (by->count != n * run)
        dfqi_im_fail(m, DFQ_E_SHAPE, "has operands of shapes that do not fit");
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, x->is_int, x->rank, x->dims, out)) return;
    copy(x, 0, out, 0, x->count);
    for (int64_t i = 0; i < n; i++) {
        int64_t to = 0;
        for (int64_t j = 0; j < k; j++) {
            int64_t index = at->i[i * k + j];
            index += index < 0 ? x->dims[j] : 0;
            if (index < 0 || index >= x->dims[j]) {
                dfqi_im_fail(m, DFQ_E_CORRUPT, "has an index out of range, 0 to %lld",
                             (long long)x->dims[j] - 1);
                return;
            }
            to = to * x->dims[j] + index;
        }
        copy(by, i * run, out, to * run, run);
    }
}

void dfqi_im_fold_cumsum(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    double number;
    if (!dfqi_im_scalar(in[1], &number) || x->is_int || number < -IM_RANK || number > IM_RANK ||
        dfqi_im_attr_int(m, "exclusive", 0) || dfqi_im_attr_int(m, "reverse", 0)) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "must sum floats along a constant axis, forwards");
        return;
    }
    const int32_t axis = dfqi_im_axis_of(m, (int64_t)number, x->rank);
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, false, x->rank, x->dims, out)) return;
    const int64_t step = product(x->dims, axis + 1, x->rank), extent = x->dims[axis];
    float *to = (float *)(uintptr_t)out->f;
    for (int64_t i = 0; i < x->count; i++)
        to[i] = x->f[i] + (i / step % extent > 0 ? to[i - step] : 0.0f);
}
