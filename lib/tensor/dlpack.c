/* DLPack import and export. The versioned and the unversioned managed struct wrap the same plain
 * tensor, so both share all code but the wrapping. */
#include "tensor/dlpack.h"

#include <string.h>

#include "base/memory.h"
#include "tensor/tensor_priv.h"

/* Indexed by dfqi_dtype. */
static const struct {
    uint8_t code;
    uint8_t bits;
} dl_types[] = {{DFQI_DL_FLOAT, 32}, {DFQI_DL_FLOAT, 16}, {DFQI_DL_BFLOAT, 16}, {DFQI_DL_UINT, 8},
                {DFQI_DL_INT, 8},    {DFQI_DL_INT, 32},   {DFQI_DL_INT, 64}};

enum { N_DL_TYPES = sizeof dl_types / sizeof dl_types[0] };

/* -- import ------------------------------------------------------------------------------------ */

static dfq_status check_import(dfq_context *ctx, const dfqi_dl_tensor *d, dfqi_dtype *out_dtype)
{
    int i;
    if (d->device_type != DFQI_DL_CPU)
        return dfqi_fail(
            ctx, DFQ_E_UNSUPPORTED,
            "the DLPack tensor is on device type %d, must be 1, the CPU; copy it there first",
            (int)d->device_type);
    if (d->ndim < 0 || d->ndim > DFQI_RANK_MAX)
        return dfqi_fail(ctx, DFQ_E_SHAPE, "the DLPack tensor has rank %d, must have 0 to %d",
                         (int)d->ndim, DFQI_RANK_MAX);
    if (d->ndim > 0 && d->shape == NULL)
        return dfqi_fail(ctx, DFQ_E_INVALID, "the DLPack tensor has rank %d and no shape",
                         (int)d->ndim);
    for (i = 0; i < N_DL_TYPES; i++) {
        if (d->lanes == 1 && d->code == dl_types[i].code && d->bits == dl_types[i].bits) {
            *out_dtype = (dfqi_dtype)i;
            return DFQ_OK;
        }
    }
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED,
                     "the DLPack tensor has type code %d, %d bits and %d lanes, must be float "
                     "16/32, bfloat 16, uint 8 or int 8/32/64 with one lane",
                     d->code, d->bits, d->lanes);
}

/* Row-major? Strides of axes with one element mean nothing, those of an empty tensor neither. */
static bool is_compact(const dfqi_dl_tensor *d)
{
    int64_t want = 1;
    int32_t i;
    if (d->strides == NULL) return true;
    for (i = 0; i < d->ndim; i++) {
        if (d->shape[i] == 0) return true;
    }
    for (i = d->ndim - 1; i >= 0; i--) {
        if (d->shape[i] != 1 && d->strides[i] != want) return false;
        want *= d->shape[i];
    }
    return true;
}

/* Gathers a strided tensor into t; strides may be negative or zero. */
static void copy_strided(const dfqi_dl_tensor *d, const char *src, dfq_tensor *t)
{
    const size_t bytes = dfqi_dtype_bytes(t->dtype);
    const int64_t n = dfqi_tensor_count(t);
    int64_t index[DFQI_RANK_MAX] = {0};
    int64_t offset = 0;
    char *dst = t->data;
    int64_t i;

    for (i = 0; i < n; i++) {
        int32_t axis = t->rank - 1;
        memcpy(dst, src + offset * (int64_t)bytes, bytes);
        dst += bytes;
        for (; axis >= 0; axis--) { /* the next index, the last axis fastest */
            offset += d->strides[axis];
            if (++index[axis] < t->dims[axis]) break;
            offset -= d->strides[axis] * t->dims[axis];
            index[axis] = 0;
        }
    }
}

/* `*out_borrowed` says whether the new tensor uses the memory of `d`. */
static dfq_status import_tensor(dfq_context *ctx, const dfqi_dl_tensor *d, bool *out_borrowed,
                                dfq_tensor **out)
{
    dfqi_dtype dtype;
    dfq_tensor *t;
    char *data;
    size_t bytes;
    bool compact, borrow;

    DFQI_TRY(check_import(ctx, d, &dtype));
    DFQI_TRY(dfqi_tensor_check_shape(ctx, dtype, d->ndim, d->shape, &bytes));
    data = d->data != NULL ? (char *)d->data + d->byte_offset : NULL;
    if (data == NULL && bytes > 0)
        return dfqi_fail(ctx, DFQ_E_INVALID, "the DLPack tensor has %zu bytes and no data", bytes);
    compact = is_compact(d);
    borrow = data != NULL && compact && (uintptr_t)data % dfqi_dtype_bytes(dtype) == 0;
    DFQI_TRY(dfqi_tensor_wrap(ctx, dtype, d->ndim, d->shape, borrow ? data : NULL, &t));
    if (!borrow && bytes > 0) {
        if (compact)
            memcpy(t->data, data, bytes);
        else
            copy_strided(d, data, t);
    }
    *out_borrowed = borrow;
    *out = t;
    return DFQ_OK;
}

static void delete_versioned(void *owner)
{
    struct DLManagedTensorVersioned *dl = owner;
    if (dl->deleter != NULL) dl->deleter(dl);
}

static void delete_unversioned(void *owner)
{
    struct DLManagedTensor *dl = owner;
    if (dl->deleter != NULL) dl->deleter(dl);
}

/* Nothing can fail from here on: the tensor takes over the managed struct, or the struct is
 * deleted. */
static void take_owner(dfq_tensor *t, bool borrowed, void (*deleter)(void *), void *owner)
{
    if (!borrowed) {
        deleter(owner);
        return;
    }
    t->deleter = deleter;
    t->owner = owner;
}

/* Another major version may change the layout of all fields after the version. */
static dfq_status check_version(dfq_context *ctx, const struct DLManagedTensorVersioned *dl)
{
    if (dl->major == DFQI_DL_MAJOR) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_UNSUPPORTED, "the DLPack tensor's version is %u.%u, must be %d.x",
                     (unsigned)dl->major, (unsigned)dl->minor, DFQI_DL_MAJOR);
}

dfq_status dfqi_tensor_import_dlpack(dfq_context *ctx, struct DLManagedTensorVersioned *dl,
                                     dfq_tensor **out)
{
    bool borrowed;
    DFQI_TRY(check_version(ctx, dl));
    DFQI_TRY(import_tensor(ctx, &dl->dl_tensor, &borrowed, out));
    take_owner(*out, borrowed, delete_versioned, dl);
    return DFQ_OK;
}

dfq_status dfqi_tensor_import_dlpack_unversioned(dfq_context *ctx, struct DLManagedTensor *dl,
                                                 dfq_tensor **out)
{
    bool borrowed;
    DFQI_TRY(import_tensor(ctx, &dl->dl_tensor, &borrowed, out));
    take_owner(*out, borrowed, delete_unversioned, dl);
    return DFQ_OK;
}

dfq_status dfqi_dlpack_view(dfq_context *ctx, const struct DLManagedTensorVersioned *dl,
                            dfqi_dl_view *out)
{
    const dfqi_dl_tensor *d = &dl->dl_tensor;
    dfqi_dl_view v = {.rank = d->ndim};
    int64_t next = 1;
    size_t bytes;
    DFQI_TRY(check_version(ctx, dl));
    DFQI_TRY(check_import(ctx, d, &v.dtype));
    DFQI_TRY(dfqi_tensor_check_shape(ctx, v.dtype, d->ndim, d->shape, &bytes));
    const uintptr_t at = (uintptr_t)d->data + d->byte_offset;
    if (d->data == NULL || at % dfqi_dtype_bytes(v.dtype) != 0)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "the DLPack tensor's data is at address %zu, must be a multiple of %zu; "
                         "copy it",
                         d->data == NULL ? (size_t)0 : (size_t)at, dfqi_dtype_bytes(v.dtype));
    v.data = (const char *)d->data + d->byte_offset;
    for (int32_t i = d->ndim - 1; i >= 0; i--) {
        v.dims[i] = d->shape[i];
        v.strides[i] = d->strides ? d->strides[i] : next;
        next *= d->shape[i];
    }
    *out = v;
    return DFQ_OK;
}

/* -- export ------------------------------------------------------------------------------------ */

/* An exported struct, in one block with the shape it points to. */
typedef struct dl_box {
    union {
        struct DLManagedTensor plain;
        struct DLManagedTensorVersioned versioned;
    } dl;
    dfq_tensor *tensor;
    int64_t shape[DFQI_RANK_MAX];
    int64_t strides[DFQI_RANK_MAX];
} dl_box;

static void delete_box(dl_box *box)
{
    /* Releasing the tensor may drop the last reference to the context that frees the box. */
    dfq_context *ctx = dfqi_context_retain(box->tensor->ctx);
    dfqi_tensor_release(box->tensor);
    dfqi_free(ctx, box);
    dfqi_context_release(ctx);
}

static void delete_exported(struct DLManagedTensorVersioned *self)
{
    if (self != NULL) delete_box(self->manager_ctx);
}

static void delete_exported_unversioned(struct DLManagedTensor *self)
{
    if (self != NULL) delete_box(self->manager_ctx);
}

static dl_box *new_box(const dfq_tensor *t)
{
    dl_box *box = dfqi_calloc(t->ctx, 1, sizeof *box);
    if (box != NULL) box->tensor = dfqi_tensor_retain(t);
    return box;
}

static void describe(dl_box *box, dfqi_dl_tensor *d)
{
    const dfq_tensor *t = box->tensor;
    int64_t stride = 1;
    int32_t i;
    for (i = t->rank - 1; i >= 0; i--) {
        box->shape[i] = t->dims[i];
        box->strides[i] = stride;
        if (t->dims[i] > 0) stride *= t->dims[i];
    }
    d->data = t->data;
    d->device_type = DFQI_DL_CPU;
    d->ndim = t->rank;
    d->code = dl_types[t->dtype].code;
    d->bits = dl_types[t->dtype].bits;
    d->lanes = 1;
    d->shape = box->shape;
    d->strides = box->strides;
}

dfq_status dfqi_tensor_export_dlpack(const dfq_tensor *t, struct DLManagedTensorVersioned **out)
{
    struct DLManagedTensorVersioned *dl;
    dl_box *box = new_box(t);
    if (box == NULL) return DFQ_E_NOMEM;
    dl = &box->dl.versioned;
    dl->major = DFQI_DL_MAJOR;
    dl->minor = DFQI_DL_MINOR;
    dl->manager_ctx = box;
    dl->deleter = delete_exported;
    dl->flags = DFQI_DL_READ_ONLY; /* shared tensors are immutable */
    describe(box, &dl->dl_tensor);
    *out = dl;
    return DFQ_OK;
}

dfq_status dfqi_tensor_export_dlpack_unversioned(const dfq_tensor *t, struct DLManagedTensor **out)
{
    struct DLManagedTensor *dl;
    dl_box *box = new_box(t);
    if (box == NULL) return DFQ_E_NOMEM;
    dl = &box->dl.plain;
    dl->manager_ctx = box;
    dl->deleter = delete_exported_unversioned;
    describe(box, &dl->dl_tensor);
    *out = dl;
    return DFQ_OK;
}
