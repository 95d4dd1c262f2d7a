/* The functions of dfq/tensor.h. */
#include <dfq/tensor.h>

#include "api/api.h"
#include "tensor/dlpack.h"

int32_t dfq_rank_max(void)
{
    return DFQ_RANK_MAX;
}

const char *dfq_dtype_name(int32_t dtype)
{
    return dfqi_dtype_name((dfqi_dtype)dtype);
}

size_t dfq_dtype_bytes(int32_t dtype)
{
    return dfqi_dtype_bytes((dfqi_dtype)dtype);
}

dfq_status dfq_tensor_create(dfq_context *context, int32_t dtype, int32_t rank, const int64_t *dims,
                             dfq_tensor **out_tensor)
{
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, out_tensor);
    if (rank > 0) DFQI_NEED(context, dims);
    return dfqi_tensor_new(context, (dfqi_dtype)dtype, rank, dims, out_tensor);
}

dfq_tensor *dfq_tensor_retain(const dfq_tensor *tensor)
{
    return tensor != NULL ? dfqi_tensor_retain(tensor) : NULL;
}

void dfq_tensor_release(dfq_tensor *tensor)
{
    dfqi_tensor_release(tensor);
}

void *dfq_tensor_get_data(const dfq_tensor *tensor)
{
    return tensor != NULL ? tensor->data : NULL;
}

const int64_t *dfq_tensor_get_dims(const dfq_tensor *tensor)
{
    return tensor != NULL ? tensor->dims : NULL;
}

int32_t dfq_tensor_get_rank(const dfq_tensor *tensor)
{
    return tensor != NULL ? tensor->rank : 0;
}

int32_t dfq_tensor_get_dtype(const dfq_tensor *tensor)
{
    return tensor != NULL ? (int32_t)tensor->dtype : -1;
}

size_t dfq_tensor_get_bytes(const dfq_tensor *tensor)
{
    if (tensor == NULL) return 0;
    return (size_t)dfqi_tensor_count(tensor) * dfqi_dtype_bytes(tensor->dtype);
}

dfq_status dfq_tensor_import_dlpack(dfq_context *context, struct DLManagedTensorVersioned *dl,
                                    dfq_tensor **out_tensor)
{
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, dl);
    DFQI_NEED(context, out_tensor);
    return dfqi_tensor_import_dlpack(context, dl, out_tensor);
}

dfq_status dfq_tensor_import_dlpack_unversioned(dfq_context *context, struct DLManagedTensor *dl,
                                                dfq_tensor **out_tensor)
{
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, dl);
    DFQI_NEED(context, out_tensor);
    return dfqi_tensor_import_dlpack_unversioned(context, dl, out_tensor);
}

dfq_status dfq_tensor_export_dlpack(const dfq_tensor *tensor,
                                    struct DLManagedTensorVersioned **out_dl)
{
    if (tensor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tensor->ctx, out_dl);
    return dfqi_tensor_export_dlpack(tensor, out_dl);
}

dfq_status dfq_tensor_export_dlpack_unversioned(const dfq_tensor *tensor,
                                                struct DLManagedTensor **out_dl)
{
    if (tensor == NULL) return DFQ_E_INVALID;
    DFQI_NEED(tensor->ctx, out_dl);
    return dfqi_tensor_export_dlpack_unversioned(tensor, out_dl);
}
