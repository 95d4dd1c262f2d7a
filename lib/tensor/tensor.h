/* Dense row-major tensors with reference-counted storage; the struct behind dfq_tensor. The creator
 * of a tensor may write it until it shares it; a shared tensor is immutable. */
#ifndef DFQI_TENSOR_H
#define DFQI_TENSOR_H

#include <dfq/tensor.h>
#include <stdint.h>

#include "base/context.h"

enum { DFQI_RANK_MAX = DFQ_RANK_MAX };

typedef enum dfqi_dtype {
    DFQI_F32 = DFQ_DTYPE_F32,
    DFQI_F16 = DFQ_DTYPE_F16,
    DFQI_BF16 = DFQ_DTYPE_BF16,
    DFQI_U8 = DFQ_DTYPE_U8,
    DFQI_I8 = DFQ_DTYPE_I8,
    DFQI_I32 = DFQ_DTYPE_I32,
    DFQI_I64 = DFQ_DTYPE_I64
} dfqi_dtype;

struct dfq_tensor {
    dfq_context *ctx; /* retained */
    int32_t refs;     /* atomic */
    dfqi_dtype dtype;
    int32_t rank;
    int64_t dims[DFQI_RANK_MAX];
    void *data;                   /* contiguous, DFQI_ALIGN aligned when owned */
    void (*deleter)(void *owner); /* for imported memory; NULL: data is ours */
    void *owner;
    /* of a tensor whose values are made when they are asked for: all of them; else NULL */
    void (*fill)(const void *owner, float *out);
};

size_t dfqi_dtype_bytes(dfqi_dtype t);
const char *dfqi_dtype_name(dfqi_dtype t); /* "F32", as safetensors writes it */
/* Elements; dims are checked when a tensor is made, so this cannot overflow. */
int64_t dfqi_tensor_count(const dfq_tensor *t);
float *dfqi_tensor_f32(const dfq_tensor *t); /* data of an F32 tensor */

/* A new tensor, zeroed. Fails with DFQ_E_SHAPE on a bad rank, a negative extent or an overflow. */
DFQI_CHECKED dfq_status dfqi_tensor_new(dfq_context *ctx, dfqi_dtype dtype, int32_t rank,
                                        const int64_t *dims, dfq_tensor **out);
/* An F32 tensor without data, whose values `fill` makes. Few functions know such tensors: the
 * loader of a runtime makes them, so that weights need not lie in memory as floats. On DFQ_OK it
 * takes over `owner`, which `deleter` frees. */
DFQI_CHECKED dfq_status dfqi_tensor_new_filled(dfq_context *ctx, int32_t rank, const int64_t *dims,
                                               void (*fill)(const void *owner, float *out),
                                               void (*deleter)(void *owner), void *take_owner,
                                               dfq_tensor **out);
/* The values of an F32 tensor, in memory or not. */
void dfqi_tensor_read(const dfq_tensor *t, float *out);
dfq_tensor *dfqi_tensor_retain(const dfq_tensor *t);
void dfqi_tensor_release(dfq_tensor *t); /* NULL ok */
/* F16, BF16 or F32 -> a new F32 tensor (or a retained one when it is F32 already). */
DFQI_CHECKED dfq_status dfqi_tensor_to_f32(const dfq_tensor *t, dfq_tensor **out);
/* "[2,3,224,224]" into buf; returns buf. */
char *dfqi_shape_text(int32_t rank, const int64_t *dims, char *buf, size_t cap);

float dfqi_half_to_float(uint16_t h);
uint16_t dfqi_float_to_half(float f); /* half to even */
float dfqi_bf16_to_float(uint16_t h);
uint16_t dfqi_float_to_bf16(float f); /* half to even */

#endif
