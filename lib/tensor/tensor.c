/* Tensors: creation, reference counts, and conversion to float32. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/memory.h"
#include "tensor/tensor_priv.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"U8", 1}, {"I8", 1}, {"I32", 4}, {"I64", 8}};

enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

static bool dtype_ok(dfqi_dtype t)
{
    return (unsigned)t < N_DTYPES;
}

size_t dfqi_dtype_bytes(dfqi_dtype t)
{
    return dtype_ok(t) ? dtypes[t].bytes : 0;
}

const char *dfqi_dtype_name(dfqi_dtype t)
{
    return dtype_ok(t) ? dtypes[t].name : "?";
}

int64_t dfqi_tensor_count(const dfq_tensor *t)
{
    int64_t n = 1;
    int32_t i;
    for (i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}

float *dfqi_tensor_f32(const dfq_tensor *t)
{
    return t->data;
}

char *dfqi_shape_text(int32_t rank, const int64_t *dims, char *buf, size_t cap)
{
    size_t at;
    int32_t i;
    if (cap == 0) return buf;
    at = (size_t)snprintf(buf, cap, "[");
    for (i = 0; i < rank && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%" PRId64, i > 0 ? "," : "", dims[i]);
    if (at < cap) (void)snprintf(buf + at, cap - at, "]");
    return buf;
}

dfq_status dfqi_tensor_check_shape(dfq_context *ctx, dfqi_dtype dtype, int32_t rank,
                                   const int64_t *dims, size_t *out_bytes)
{
    char text[160];
    int64_t n = 1;
    bool empty = false;
    int32_t i;

    if (!dtype_ok(dtype))
        return dfqi_fail(ctx, DFQ_E_INVALID, "dtype is %d, must be 0 to %d", (int)dtype,
                         N_DTYPES - 1);
    if (rank < 0 || rank > DFQI_RANK_MAX)
        return dfqi_fail(ctx, DFQ_E_SHAPE, "rank is %d, must be 0 to %d", (int)rank, DFQI_RANK_MAX);
    for (i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return dfqi_fail(ctx, DFQ_E_SHAPE, "the shape is %s, must have extents of 0 or more",
                             dfqi_shape_text(rank, dims, text, sizeof text));
        if (dims[i] == 0) empty = true;
        if (!dfqi_mul_i64(n, dims[i] > 0 ? dims[i] : 1, &n)) break;
    }
    if (i < rank || !dfqi_mul_i64(n, (int64_t)dtypes[dtype].bytes, &n) ||
        (uint64_t)n > SIZE_MAX / 2)
        return dfqi_fail(ctx, DFQ_E_SHAPE,
                         "the shape %s of %s has more bytes than can be addressed",
                         dfqi_shape_text(rank, dims, text, sizeof text), dtypes[dtype].name);
    *out_bytes = empty ? 0 : (size_t)n;
    return DFQ_OK;
}

dfq_status dfqi_tensor_wrap(dfq_context *ctx, dfqi_dtype dtype, int32_t rank, const int64_t *dims,
                            void *data, dfq_tensor **out)
{
    dfq_tensor *t;
    size_t bytes;
    DFQI_TRY(dfqi_tensor_check_shape(ctx, dtype, rank, dims, &bytes));
    t = dfqi_calloc(ctx, 1, sizeof *t);
    if (t == NULL) return DFQ_E_NOMEM;
    t->refs = 1;
    t->dtype = dtype;
    t->rank = rank;
    if (rank > 0) memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    t->data = data;
    if (data == NULL) {
        t->data = dfqi_calloc(ctx, 1, bytes);
        if (t->data == NULL) {
            dfqi_free(ctx, t);
            return DFQ_E_NOMEM;
        }
    }
    t->ctx = dfqi_context_retain(ctx);
    *out = t;
    return DFQ_OK;
}

dfq_status dfqi_tensor_new(dfq_context *ctx, dfqi_dtype dtype, int32_t rank, const int64_t *dims,
                           dfq_tensor **out)
{
    return dfqi_tensor_wrap(ctx, dtype, rank, dims, NULL, out);
}

dfq_status dfqi_tensor_new_filled(dfq_context *ctx, int32_t rank, const int64_t *dims,
                                  void (*fill)(const void *owner, float *out),
                                  void (*deleter)(void *owner), void *take_owner, dfq_tensor **out)
{
    static float none;
    DFQI_TRY(dfqi_tensor_wrap(ctx, DFQI_F32, rank, dims, &none, out));
    (*out)->data = NULL;
    (*out)->fill = fill;
    (*out)->deleter = deleter;
    (*out)->owner = take_owner;
    return DFQ_OK;
}

void dfqi_tensor_read(const dfq_tensor *t, float *out)
{
    if (t->fill)
        t->fill(t->owner, out);
    else
        memcpy(out, t->data, (size_t)dfqi_tensor_count(t) * sizeof *out);
}

dfq_tensor *dfqi_tensor_retain(const dfq_tensor *t)
{
    /* The count is no part of the value that const protects. */
    dfq_tensor *shared = (dfq_tensor *)t;
    dfqi_ref_inc(&shared->refs);
    return shared;
}

void dfqi_tensor_release(dfq_tensor *t)
{
    dfq_context *ctx;
    if (t == NULL || dfqi_ref_dec(&t->refs) > 0) return;
    ctx = t->ctx;
    if (t->deleter != NULL)
        t->deleter(t->owner);
    else
        dfqi_free(ctx, t->data);
    dfqi_free(ctx, t);
    dfqi_context_release(ctx);
}

dfq_status dfqi_tensor_to_f32(const dfq_tensor *t, dfq_tensor **out)
{
    const uint16_t *in = t->data;
    dfq_tensor *wide;
    float *x;
    int64_t i, n = dfqi_tensor_count(t);

    if (t->dtype == DFQI_F32) {
        *out = dfqi_tensor_retain(t);
        return DFQ_OK;
    }
    if (t->dtype != DFQI_F16 && t->dtype != DFQI_BF16)
        return dfqi_fail(t->ctx, DFQ_E_UNSUPPORTED,
                         "the tensor is %s, must be F32, F16 or BF16 to become F32",
                         dfqi_dtype_name(t->dtype));
    DFQI_TRY(dfqi_tensor_new(t->ctx, DFQI_F32, t->rank, t->dims, &wide));
    x = wide->data;
    if (t->dtype == DFQI_F16) {
        for (i = 0; i < n; i++) x[i] = dfqi_half_to_float(in[i]);
    } else {
        for (i = 0; i < n; i++) x[i] = dfqi_bf16_to_float(in[i]);
    }
    *out = wide;
    return DFQ_OK;
}
