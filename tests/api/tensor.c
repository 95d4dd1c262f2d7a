/* dfq/tensor.h; the details of layout and ownership are tested in the tensor suite. */
#include <dfq/dfq.h>
#include <string.h>

#include "api/cases.h"
#include "support/fail_alloc.h"

static dfq_context *make(void)
{
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    return ctx;
}

START_TEST(test_create_and_get)
{
    static const int64_t dims[] = {2, 3};
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    ck_assert_int_eq(dfq_tensor_create(ctx, DFQ_DTYPE_I64, 2, dims, &t), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_rank(t), 2);
    ck_assert_mem_eq(dfq_tensor_get_dims(t), dims, sizeof dims);
    ck_assert_int_eq(dfq_tensor_get_dtype(t), DFQ_DTYPE_I64);
    ck_assert_uint_eq(dfq_tensor_get_bytes(t), 48);
    ck_assert_int_eq(((int64_t *)dfq_tensor_get_data(t))[5], 0);
    dfq_context_release(ctx);
    ck_assert_ptr_eq(dfq_tensor_retain(t), t);
    dfq_tensor_release(t);
    dfq_tensor_release(t);
}
END_TEST

START_TEST(test_invalid)
{
    static const int64_t dims[] = {2, 3};
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    ck_assert_int_eq(dfq_tensor_create(NULL, 0, 2, dims, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_create(ctx, 0, 2, NULL, &t), DFQ_E_INVALID);
    ck_assert_str_eq(dfq_context_get_error(ctx), "dfq_tensor_create: argument dims is NULL");
    ck_assert_int_eq(dfq_tensor_create(ctx, 0, 2, dims, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_create(ctx, 7, 2, dims, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_create(ctx, 0, DFQ_RANK_MAX + 1, dims, &t), DFQ_E_SHAPE);
    ck_assert_int_eq(dfq_tensor_import_dlpack(ctx, NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_import_dlpack_unversioned(ctx, NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_export_dlpack(NULL, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_export_dlpack_unversioned(NULL, NULL), DFQ_E_INVALID);
    ck_assert_ptr_null(t);
    ck_assert_ptr_null(dfq_tensor_retain(NULL));
    ck_assert_ptr_null(dfq_tensor_get_data(NULL));
    ck_assert_ptr_null(dfq_tensor_get_dims(NULL));
    ck_assert_int_eq(dfq_tensor_get_rank(NULL), 0);
    ck_assert_int_eq(dfq_tensor_get_dtype(NULL), -1);
    ck_assert_uint_eq(dfq_tensor_get_bytes(NULL), 0);
    dfq_tensor_release(NULL);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(test_dlpack)
{
    static const int64_t dims[] = {4};
    dfq_context *ctx = make();
    struct DLManagedTensorVersioned *dl = NULL;
    struct DLManagedTensor *plain = NULL;
    dfq_tensor *t = NULL, *back = NULL;
    ck_assert_int_eq(dfq_tensor_create(ctx, DFQ_DTYPE_F32, 1, dims, &t), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_export_dlpack(t, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tensor_export_dlpack(t, &dl), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_import_dlpack(ctx, dl, &back), DFQ_OK);
    ck_assert_ptr_eq(dfq_tensor_get_data(back), dfq_tensor_get_data(t));
    dfq_tensor_release(back);
    ck_assert_int_eq(dfq_tensor_export_dlpack_unversioned(t, &plain), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_import_dlpack_unversioned(ctx, plain, &back), DFQ_OK);
    dfq_tensor_release(t);
    dfq_context_release(ctx);
    ck_assert_uint_eq(dfq_tensor_get_bytes(back), 16);
    dfq_tensor_release(back);
}
END_TEST

START_TEST(test_constants_are_functions_too)
{
    ck_assert_int_eq(dfq_rank_max(), DFQ_RANK_MAX);
    ck_assert_str_eq(dfq_dtype_name(DFQ_DTYPE_F16), "F16");
    ck_assert_str_eq(dfq_dtype_name(-1), "?");
    ck_assert_uint_eq(dfq_dtype_bytes(DFQ_DTYPE_BF16), 2);
    ck_assert_uint_eq(dfq_dtype_bytes(1000), 0);
}
END_TEST

static dfq_status create(dfq_context *ctx, void *arg)
{
    static const int64_t dims[] = {4, 4};
    dfq_tensor *t = NULL;
    dfq_status status = dfq_tensor_create(ctx, DFQ_DTYPE_F32, 2, dims, &t);
    (void)arg;
    dfq_tensor_release(t);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(create, NULL, 1);
}
END_TEST

TCase *dfqt_api_tensor_case(void)
{
    TCase *t = tcase_create("tensor");
    tcase_add_test(t, test_create_and_get);
    tcase_add_test(t, test_invalid);
    tcase_add_test(t, test_dlpack);
    tcase_add_test(t, test_constants_are_functions_too);
    tcase_add_test(t, test_out_of_memory);
    return t;
}
