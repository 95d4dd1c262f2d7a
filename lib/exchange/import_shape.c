/* The rules of shapes that constants and computed values share. */
#include <string.h>

#include "exchange/import_priv.h"

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* Entries along an axis of `extent`, as ONNX counts them; ends far outside stand for all. */
static void slice_axis(int64_t start, int64_t end, int64_t step, int64_t extent, int32_t axis,
                       im_slices *out)
{
    start += start < 0 ? extent : 0;
    end += end < 0 ? extent : 0;
    start = step > 0 ? clamp(start, 0, extent) : clamp(start, 0, extent - 1);
    end = step > 0 ? clamp(end, 0, extent) : clamp(end, -1, extent - 1);
    int64_t n = step > 0 ? (end - start + step - 1) / step : (start - end - step - 1) / -step;
    out->first[axis] = start;
    out->step[axis] = step;
    out->n[axis] = n > 0 ? n : 0;
}

bool dfqi_im_read_slices(im *m, int32_t rank, const int64_t *dims, im_slices *out)
{
    enum { FAR = 1 << 30 };
    int64_t start[IM_RANK], end[IM_RANK], axes[IM_RANK], step[IM_RANK];
    int32_t n = dfqi_im_ints(m, NULL, 1, IM_RANK, start),
            n_end = dfqi_im_ints(m, NULL, 2, IM_RANK, end);
    int32_t n_axes = dfqi_im_ints(m, NULL, 3, IM_RANK, axes),
            n_step = dfqi_im_ints(m, NULL, 4, IM_RANK, step);
    if (m->status != DFQ_OK) return false;
    if (n < 0 || n_end != n || (n_axes >= 0 && n_axes != n) || (n_step >= 0 && n_step != n) ||
        n > rank) {
        dfqi_im_fail(m, DFQ_E_CORRUPT, "has starts, ends, axes and steps of different numbers");
        return false;
    }
    for (int32_t k = 0; k < rank; k++) {
        out->first[k] = 0;
        out->n[k] = dims[k];
        out->step[k] = 1;
    }
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++) {
        int32_t axis = dfqi_im_axis_of(m, n_axes >= 0 ? axes[k] : k, rank);
        int64_t by = n_step >= 0 ? clamp(step[k], -FAR, FAR) : 1;
        if (by == 0) dfqi_im_fail(m, DFQ_E_CORRUPT, "has a step of 0");
        if (m->status == DFQ_OK)
            slice_axis(clamp(start[k], -FAR, FAR), clamp(end[k], -FAR, FAR), by, dims[axis], axis,
                       out);
    }
    return m->status == DFQ_OK;
}

bool dfqi_im_reshape_dims(im *m, int32_t rank, const int64_t *dims, const im_tensor *shape,
                          int64_t out[IM_RANK])
{
    int64_t count = 1, given = 1;
    int32_t open = -1;
    bool zero = dfqi_im_attr_int(m, "allowzero", 0) != 0;
    bool good = shape && shape->is_int && shape->rank == 1 && shape->count <= IM_RANK;
    for (int32_t i = 0; i < rank; i++) good = good && dfqi_mul_i64(count, dims[i], &count);
    for (int32_t i = 0; good && i < shape->count; i++) {
        out[i] = shape->i[i];
        if (out[i] == 0 && !zero) {
            good = i < rank;
            if (good) out[i] = dims[i];
        }
        if (out[i] == -1) {
            good = open < 0;
            open = i;
            continue;
        }
        good = good && out[i] >= 0 && dfqi_mul_i64(given, out[i], &given);
    }
    if (good && open >= 0) {
        good = given > 0 && count % given == 0;
        if (good) out[open] = count / given;
    } else {
        good = good && given == count;
    }
    if (!good)
        dfqi_im_fail(
            m, DFQ_E_SHAPE,
            "has a shape that does not fit %lld elements of an image; export with a batch of 1, "
            "or of any size",
            (long long)count);
    return good;
}

int32_t dfqi_im_squeeze_dims(im *m, int32_t rank, const int64_t *dims, int64_t out[IM_RANK])
{
    int64_t axes[IM_RANK];
    bool drop[IM_RANK] = {false};
    int32_t n = dfqi_im_ints(m, "axes", 1, IM_RANK, axes), left = 0;
    for (int32_t i = 0; i < rank; i++) drop[i] = n < 0 && dims[i] == 1;
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++) {
        int32_t axis = dfqi_im_axis_of(m, axes[k], rank);
        if (m->status == DFQ_OK && dims[axis] != 1)
            dfqi_im_fail(m, DFQ_E_SHAPE, "drops an axis of extent %lld", (long long)dims[axis]);
        if (m->status == DFQ_OK) drop[axis] = true;
    }
    for (int32_t i = 0; i < rank; i++)
        if (!drop[i]) out[left++] = dims[i];
    return left;
}

int32_t dfqi_im_unsqueeze_dims(im *m, int32_t rank, const int64_t *dims, int64_t out[IM_RANK])
{
    int64_t axes[IM_RANK];
    bool is_new[IM_RANK] = {false};
    int32_t n = dfqi_im_ints(m, "axes", 1, IM_RANK, axes), from = 0;
    if (n < 0 || rank + n > IM_RANK) {
        dfqi_im_fail(m, DFQ_E_UNSUPPORTED, "makes more than %d axes, or none", IM_RANK);
        return 0;
    }
    for (int32_t k = 0; k < n && m->status == DFQ_OK; k++) {
        int32_t axis = dfqi_im_axis_of(m, axes[k], rank + n);
        if (m->status == DFQ_OK && is_new[axis])
            dfqi_im_fail(m, DFQ_E_CORRUPT, "names an axis twice");
        if (m->status == DFQ_OK) is_new[axis] = true;
    }
    for (int32_t i = 0; i < rank + n && m->status == DFQ_OK; i++)
        out[i] = is_new[i] ? 1 : dims[from++];
    return rank + n;
}

bool dfqi_im_perm(im *m, int32_t rank, int64_t out[IM_RANK])
{
    bool seen[IM_RANK] = {false};
    int32_t n = dfqi_im_ints(m, "perm", -1, IM_RANK, out);
    bool good = n < 0 || n == rank;
    for (int32_t i = 0; n < 0 && i < rank; i++) out[i] = rank - 1 - i;
    for (int32_t i = 0; good && i < rank; i++) {
        good = out[i] >= 0 && out[i] < rank && !seen[out[i]];
        if (good) seen[out[i]] = true;
    }
    if (!good)
        dfqi_im_fail(m, DFQ_E_CORRUPT, "has a perm that is not a permutation of %d axes", rank);
    return good && m->status == DFQ_OK;
}
