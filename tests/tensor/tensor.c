/* Creation, limits, sharing, widening. */
#include "tensor/tensor.h"

#include <string.h>

#include "support/fail_alloc.h"
#include "tensor/cases.h"

static dfq_context *make(void)
{
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(NULL, &ctx), DFQ_OK);
    return ctx;
}

START_TEST(test_new)
{
    static const int64_t dims[] = {2, 3, 5};
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    char text[32];
    int i;
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 3, dims, &t), DFQ_OK);
    dfqi_context_release(ctx); /* the tensor keeps it */
    ck_assert_int_eq(dfqi_tensor_count(t), 30);
    ck_assert_uint_eq((uintptr_t)t->data % DFQI_ALIGN, 0);
    for (i = 0; i < 30; i++) ck_assert_float_eq(dfqi_tensor_f32(t)[i], 0.0f);
    ck_assert_str_eq(dfqi_shape_text(t->rank, t->dims, text, sizeof text), "[2,3,5]");
    ck_assert_ptr_eq(dfqi_tensor_retain(t), t);
    dfqi_tensor_release(t);
    ck_assert_int_eq(t->refs, 1);
    dfqi_tensor_release(t);
    dfqi_tensor_release(NULL);
}
END_TEST

START_TEST(test_scalar_and_empty)
{
    static const int64_t empty[] = {4, 0, 7};
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    char text[8];
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_I64, 0, NULL, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_count(t), 1);
    ck_assert_str_eq(dfqi_shape_text(0, NULL, text, sizeof text), "[]");
    dfqi_tensor_release(t);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_U8, 3, empty, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_count(t), 0);
    ck_assert_ptr_nonnull(t->data);
    ck_assert_str_eq(dfqi_shape_text(3, empty, text, 5), "[4,0");
    dfqi_tensor_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_limits)
{
    static const int64_t negative[] = {4, -1};
    static const int64_t huge[] = {INT64_C(1) << 40, INT64_C(1) << 40};
    static const int64_t hidden[] = {INT64_C(1) << 40, 0, INT64_C(1) << 40};
    static const int64_t bytes[] = {INT64_MAX / 4};
    static const int64_t seven[7] = {1, 1, 1, 1, 1, 1, 1};
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 2, negative, &t), DFQ_E_SHAPE);
    ck_assert_str_eq(ctx->error, "the shape is [4,-1], must have extents of 0 or more");
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 2, huge, &t), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 3, hidden, &t), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_I64, 1, bytes, &t), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 7, seven, &t), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, -1, seven, &t), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_tensor_new(ctx, (dfqi_dtype)7, 1, seven, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_tensor_new(ctx, (dfqi_dtype)-1, 1, seven, &t), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_widening)
{
    static const int64_t dims[] = {3};
    static const uint16_t half[] = {0x3C00, 0xC000, 0x0001}, bf16[] = {0x3F80, 0xC000, 0x4040};
    dfq_context *ctx = make();
    dfq_tensor *t = NULL, *wide = NULL;
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F16, 1, dims, &t), DFQ_OK);
    memcpy(t->data, half, sizeof half);
    ck_assert_int_eq(dfqi_tensor_to_f32(t, &wide), DFQ_OK);
    ck_assert_float_eq(dfqi_tensor_f32(wide)[0], 1.0f);
    ck_assert_float_eq(dfqi_tensor_f32(wide)[1], -2.0f);
    ck_assert_float_eq(dfqi_tensor_f32(wide)[2], 0x1p-24f);
    dfqi_tensor_release(t);
    ck_assert_int_eq(dfqi_tensor_to_f32(wide, &t), DFQ_OK);
    ck_assert_ptr_eq(t, wide);
    dfqi_tensor_release(t);
    dfqi_tensor_release(wide);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_BF16, 1, dims, &t), DFQ_OK);
    memcpy(t->data, bf16, sizeof bf16);
    ck_assert_int_eq(dfqi_tensor_to_f32(t, &wide), DFQ_OK);
    ck_assert_float_eq(dfqi_tensor_f32(wide)[2], 3.0f);
    dfqi_tensor_release(wide);
    t->dtype = DFQI_I32;
    wide = NULL;
    ck_assert_int_eq(dfqi_tensor_to_f32(t, &wide), DFQ_E_UNSUPPORTED);
    ck_assert_ptr_null(wide);
    dfqi_tensor_release(t);
    dfqi_context_release(ctx);
}
END_TEST

static dfq_status widen(dfq_context *ctx, void *arg)
{
    static const int64_t dims[] = {64, 64};
    dfq_tensor *t, *wide;
    dfq_status status;
    (void)arg;
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F16, 2, dims, &t));
    status = dfqi_tensor_to_f32(t, &wide);
    dfqi_tensor_release(t);
    if (status == DFQ_OK) dfqi_tensor_release(wide);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(widen, NULL, 1);
}
END_TEST

START_TEST(test_names)
{
    ck_assert_str_eq(dfqi_dtype_name(DFQI_BF16), "BF16");
    ck_assert_str_eq(dfqi_dtype_name((dfqi_dtype)99), "?");
    ck_assert_uint_eq(dfqi_dtype_bytes(DFQI_I64), 8);
    ck_assert_uint_eq(dfqi_dtype_bytes((dfqi_dtype)99), 0);
}
END_TEST

TCase *dfqt_tensor_case(void)
{
    TCase *t = tcase_create("tensor");
    tcase_add_test(t, test_new);
    tcase_add_test(t, test_scalar_and_empty);
    tcase_add_test(t, test_limits);
    tcase_add_test(t, test_widening);
    tcase_add_test(t, test_out_of_memory);
    tcase_add_test(t, test_names);
    return t;
}
