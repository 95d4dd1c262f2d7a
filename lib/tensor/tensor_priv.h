/* Declarations shared by tensor.c and dlpack.c. */
#ifndef DFQI_TENSOR_PRIV_H
#define DFQI_TENSOR_PRIV_H

#include "tensor/tensor.h"

/* Checks dtype, rank and extents, and gives the bytes they need. For the limit an extent of 0
 * counts as 1, so that the strides of an empty tensor fit too. */
DFQI_CHECKED dfq_status dfqi_tensor_check_shape(dfq_context *ctx, dfqi_dtype dtype, int32_t rank,
                                                const int64_t *dims, size_t *out_bytes);

/* A tensor around `data`, which the caller then hands over by setting deleter and owner; with data
 * NULL it gets zeroed memory of its own. Same statuses as dfqi_tensor_new. */
DFQI_CHECKED dfq_status dfqi_tensor_wrap(dfq_context *ctx, dfqi_dtype dtype, int32_t rank,
                                         const int64_t *dims, void *data, dfq_tensor **out);

#endif
