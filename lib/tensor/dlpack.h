/* DLPack exchange of tensors. The structs mirror the ABI of DLPack 1.x, so neither the build nor
 * users of the library need a copy of dlpack.h; the two struct tags are those of the original. The
 * DLPack standard freezes these layouts. Extents and strides count elements; `strides` NULL means
 * row-major. */
#ifndef DFQI_TENSOR_DLPACK_H
#define DFQI_TENSOR_DLPACK_H

#include "tensor/tensor.h"

enum { DFQI_DL_MAJOR = 1, DFQI_DL_MINOR = 0 };
enum { DFQI_DL_CPU = 1 };
enum { DFQI_DL_INT = 0, DFQI_DL_UINT = 1, DFQI_DL_FLOAT = 2, DFQI_DL_BFLOAT = 4 };
enum { DFQI_DL_READ_ONLY = 1 };

typedef struct dfqi_dl_tensor {
    void *data;
    int32_t device_type;
    int32_t device_id;
    int32_t ndim;
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides;
    uint64_t byte_offset;
} dfqi_dl_tensor;

struct DLManagedTensor {
    dfqi_dl_tensor dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensor *self);
};

struct DLManagedTensorVersioned {
    uint32_t major, minor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensorVersioned *self);
    uint64_t flags;
    dfqi_dl_tensor dl_tensor;
};

/* On DFQ_OK the tensor owns `dl`: memory that is row-major and aligned to its element is used where
 * it lies until the last release, anything else is copied and `dl` deleted at once. On failure `dl`
 * is still the caller's. */
DFQI_CHECKED dfq_status dfqi_tensor_import_dlpack(dfq_context *ctx,
                                                  struct DLManagedTensorVersioned *dl,
                                                  dfq_tensor **out);
DFQI_CHECKED dfq_status dfqi_tensor_import_dlpack_unversioned(dfq_context *ctx,
                                                              struct DLManagedTensor *dl,
                                                              dfq_tensor **out);

/* A tensor of another library that is looked at and not taken over. Strides count elements. */
typedef struct dfqi_dl_view {
    dfqi_dtype dtype;
    int32_t rank;
    int64_t dims[DFQI_RANK_MAX], strides[DFQI_RANK_MAX];
    const void *data;
} dfqi_dl_view;
/* DFQ_E_INVALID also for memory that is not aligned to its element type. Allocates nothing. */
DFQI_CHECKED dfq_status dfqi_dlpack_view(dfq_context *ctx,
                                         const struct DLManagedTensorVersioned *dl,
                                         dfqi_dl_view *out);

/* A view that keeps `t` alive until its deleter runs, on whatever thread. */
DFQI_CHECKED dfq_status dfqi_tensor_export_dlpack(const dfq_tensor *t,
                                                  struct DLManagedTensorVersioned **out);
DFQI_CHECKED dfq_status dfqi_tensor_export_dlpack_unversioned(const dfq_tensor *t,
                                                              struct DLManagedTensor **out);

#endif
