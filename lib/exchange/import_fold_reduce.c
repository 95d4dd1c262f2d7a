/* Folding of constants: reductions, Softmax and convolutions of 1 x 1 taps. */
#include <math.h>
#include <string.h>

#include "exchange/import_priv.h"

typedef enum reduction { MEAN, SUM, LARGEST, SMALLEST, ROOT_OF_SQUARES } reduction;

/* Adds an entry to what was found before; `first`: nothing was. */
static double join(reduction kind, double sum, double x, bool first)
{
    switch (kind) {
    case LARGEST:
        return first || x > sum ? x : sum;
    case SMALLEST:
        return first || x < sum ? x : sum;
    case ROOT_OF_SQUARES:
        return sum + x * x;
    default:
        return sum + x;
    }
}

/* The axes that go, all if none is named; false after an error. */
static bool axes_of(im *m, const im_tensor *x, bool over[IM_RANK], int64_t *count)
{
    int64_t axes[IM_RANK];
    const int32_t n = dfqi_im_ints(m, "axes", 1, IM_RANK, axes);
    *count = 1;
    if (n < 1 && dfqi_im_attr_int(m, "noop_with_empty_axes", 0))
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "reduces no axes");
    for (int32_t i = 0; i < x->rank; i++) over[i] = n < 1;
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++) {
        const int32_t axis = dfqi_im_axis_of(m, axes[k], x->rank);
        if (m->status == DFQ_OK) over[axis] = true;
    }
    for (int32_t i = 0; i < x->rank; i++) *count *= over[i] ? x->dims[i] : 1;
    return m->status == DFQ_OK;
}

/* Where entry i of x goes in a result without these axes. */
static int64_t place(const im_tensor *x, const bool *over, int64_t i)
{
    int64_t at = 0, step = 1;
    for (int32_t k = x->rank - 1; k >= 0; k--) {
        if (!over[k]) {
            at += i % x->dims[k] * step;
            step *= x->dims[k];
        }
        i /= x->dims[k];
    }
    return at;
}

static void reduce(im *m, const im_tensor *x, reduction kind, im_tensor *out)
{
    bool over[IM_RANK], keep = dfqi_im_attr_int(m, "keepdims", 1) != 0;
    int64_t dims[IM_RANK] = {0}, count, n;
    int32_t rank = 0;
    if (!axes_of(m, x, over, &count)) return;
    if (x->is_int || count < 1) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "reduces whole numbers, or no entries");
        return;
    }
    for (int32_t i = 0; i < x->rank; i++)
        if (!over[i] || keep) dims[rank++] = over[i] ? 1 : x->dims[i];
    if (!dfqi_im_tensor_new(m, false, rank, dims, out)) return;
    n = out->count;
    double *sums = dfqi_im_alloc(m, (size_t)n, sizeof *sums);
    bool *seen = dfqi_im_alloc(m, (size_t)n, sizeof *seen);
    if (!sums || !seen || !dfqi_im_work(m, x->count, 1)) return;
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t at = place(x, over, i);
        sums[at] = join(kind, sums[at], (double)x->f[i], !seen[at]);
        seen[at] = true;
    }
    for (int64_t i = 0; i < n; i++)
        ((float *)(uintptr_t)out->f)[i] = (float)(kind == MEAN ? sums[i] / (double)count
                                                  : kind == ROOT_OF_SQUARES ? sqrt(sums[i])
                                                                            : sums[i]);
}

#define REDUCE(NAME, KIND)                                                                         \
    static void fold_##NAME(im *m, const im_tensor *const *in, im_tensor *out)                     \
    {                                                                                              \
        reduce(m, in[0], KIND, out);                                                               \
    }
REDUCE(mean, MEAN)
REDUCE(sum, SUM)
REDUCE(max, LARGEST)
REDUCE(min, SMALLEST)
REDUCE(l2, ROOT_OF_SQUARES)

static void fold_softmax(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    const int32_t axis = dfqi_im_axis_of(m, dfqi_im_attr_int(m, "axis", -1), x->rank);
    if (m->status == DFQ_OK && x->is_int) dfqi_im_fail(m, DFQ_E_CORRUPT, "has whole numbers");
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, false, x->rank, x->dims, out)) return;
    int64_t step = 1;
    const int64_t n = x->dims[axis];
    for (int32_t i = axis + 1; i < x->rank; i++) step *= x->dims[i];
    float *y = (float *)(uintptr_t)out->f;
    for (int64_t i = 0; i < x->count; i++) {
        const int64_t first = i - i / step % n * step;
        if (i != first) continue;
        double most = -INFINITY, sum = 0;
        for (int64_t k = 0; k < n; k++) most = fmax(most, (double)x->f[first + k * step]);
        for (int64_t k = 0; k < n; k++) sum += exp((double)x->f[first + k * step] - most);
        for (int64_t k = 0; k < n; k++)
            y[first + k * step] = (float)(exp((double)x->f[first + k * step] - most) / sum);
    }
}

/* x[N,C,Y,X] w[O,C,1,1] + b[O] */
static void fold_conv(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0], *w = in[1], *b = in[2];
    bool fits = !x->is_int && !w->is_int && x->rank == 4 && w->rank == 4 && w->dims[2] == 1 &&
                w->dims[3] == 1 && w->dims[1] == x->dims[1] &&
                dfqi_im_attr_int(m, "group", 1) == 1 &&
                (!b || (!b->is_int && b->count == w->dims[0]));
    int64_t list[4], pads = 0, n = dfqi_im_ints(m, "strides", -1, 2, list);
    fits = fits && (n < 0 || (n == 2 && list[0] == 1 && list[1] == 1));
    n = dfqi_im_ints(m, "pads", -1, 4, list);
    for (int64_t k = 0; k < n; k++) pads += list[k] != 0;
    if (!fits || pads > 0) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "is of constants, which must be one of 1 x 1 taps");
        return;
    }
    const int64_t c = x->dims[1], o = w->dims[0], area = x->dims[2] * x->dims[3];
    const int64_t dims[4] = {x->dims[0], o, x->dims[2], x->dims[3]};
    if (!dfqi_im_work(m, x->count, o) || !dfqi_im_tensor_new(m, false, 4, dims, out)) return;
    for (int64_t i = 0; i < out->count; i++) {
        const int64_t at = i % area, row = i / area % o, image = i / area / o;
        double sum = b ? (double)b->f[row] : 0;
        for (int64_t k = 0; k < c; k++)
            sum += (double)w->f[row * c + k] * (double)x->f[(image * c + k) * area + at];
        ((float *)(uintptr_t)out->f)[i] = (float)sum;
    }
}

/* (x - mean) / sqrt(variance + eps) * scale + bias, of channels along axis 1. In training, mean and
 * variance are those of x: so are weights standardised. */
static void fold_batchnorm(im *m, const im_tensor *const *in, im_tensor *out)
{
    const im_tensor *x = in[0];
    const int64_t c = x->rank >= 2 ? x->dims[1] : 0, n = c > 0 ? x->count / c / x->dims[0] : 0;
    const double eps = dfqi_im_attr_float(m, "epsilon", 1e-5);
    const bool own = dfqi_im_attr_int(m, "training_mode", 0) != 0;
    bool fits = c > 0 && !x->is_int && x->count > 0;
    for (int k = 1; k < 5; k++) fits = fits && !in[k]->is_int && in[k]->count == c;
    if (!fits) dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "has constants that do not fit");
    if (m->status != DFQ_OK || !dfqi_im_tensor_new(m, false, x->rank, x->dims, out)) return;
    for (int64_t k = 0; k < c; k++) {
        double sum = 0, squares = 0, mean = (double)in[3]->f[k], var = (double)in[4]->f[k];
        const double count = (double)(n * x->dims[0]);
        for (int64_t i = 0; own && i < n * x->dims[0]; i++)
            sum += (double)x->f[(i / n * c + k) * n + i % n];
        mean = own ? sum / count : mean;
        for (int64_t i = 0; own && i < n * x->dims[0]; i++) {
            const double d = (double)x->f[(i / n * c + k) * n + i % n] - mean;
            squares += d * d;
        }
        const double gain = (double)in[1]->f[k] / sqrt((own ? squares / count : var) + eps);
        for (int64_t i = 0; i < n * x->dims[0]; i++) {
            const int64_t at = (i / n * c + k) * n + i % n;
            ((float *)(uintptr_t)out->f)[at] =
                (float)(((double)x->f[at] - mean) * gain + (double)in[2]->f[k]);
        }
    }
}

im_fold dfqi_im_fold_reduce_of(const char *op, int32_t operands)
{
    static const struct {
        const char *op;
        int32_t least, most; /* operands */
        im_fold fold;
    } rows[] = {{"ReduceMean", 1, 2, fold_mean},  {"ReduceSum", 1, 2, fold_sum},
                {"ReduceMax", 1, 2, fold_max},    {"ReduceMin", 1, 2, fold_min},
                {"ReduceL2", 1, 2, fold_l2},      {"Softmax", 1, 1, fold_softmax},
                {"Conv", 2, 3, fold_conv},        {"BatchNormalization", 5, 5, fold_batchnorm},
                {"Gemm", 2, 3, dfqi_im_fold_gemm}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, op) == 0 && operands >= rows[i].least && operands <= rows[i].most)
            return rows[i].fold;
    return NULL;
}
