/* DLPack: in place or copied, who deletes and when, and what is refused. */
#include "tensor/dlpack.h"

#include <string.h>

#include "support/fail_alloc.h"
#include "tensor/cases.h"

/* A tensor of somebody else. */
typedef struct foreign {
    struct DLManagedTensorVersioned dl;
    float data[24];
    int64_t shape[3];
    int64_t strides[3];
    int deleted;
} foreign;

static void delete_foreign(struct DLManagedTensorVersioned *self)
{
    ((foreign *)self->manager_ctx)->deleted++;
}

/* [2,3,4] floats counting up, row-major without strides. */
static void fill(foreign *f)
{
    int i;
    memset(f, 0, sizeof *f);
    for (i = 0; i < 24; i++) f->data[i] = (float)i;
    f->shape[0] = 2;
    f->shape[1] = 3;
    f->shape[2] = 4;
    f->dl.major = 1;
    f->dl.minor = 1;
    f->dl.manager_ctx = f;
    f->dl.deleter = delete_foreign;
    f->dl.dl_tensor.data = f->data;
    f->dl.dl_tensor.device_type = DFQI_DL_CPU;
    f->dl.dl_tensor.ndim = 3;
    f->dl.dl_tensor.code = DFQI_DL_FLOAT;
    f->dl.dl_tensor.bits = 32;
    f->dl.dl_tensor.lanes = 1;
    f->dl.dl_tensor.shape = f->shape;
}

static dfq_context *make(void)
{
    dfq_context *ctx = NULL;
    ck_assert_int_eq(dfqi_context_create(NULL, &ctx), DFQ_OK);
    return ctx;
}

START_TEST(test_in_place)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    foreign f;
    fill(&f);
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), DFQ_OK);
    ck_assert_ptr_eq(t->data, f.data);
    ck_assert_int_eq(f.deleted, 0);
    ck_assert_int_eq(t->rank, 3);
    ck_assert_int_eq(t->dims[1], 3);
    dfqi_tensor_release(t);
    ck_assert_int_eq(f.deleted, 1);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_compact_strides_and_offset)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    foreign f;
    fill(&f);
    f.shape[0] = 1;
    f.strides[0] = 777; /* says nothing: the axis has one element */
    f.strides[1] = 4;
    f.strides[2] = 1;
    f.dl.dl_tensor.strides = f.strides;
    f.dl.dl_tensor.byte_offset = 12 * sizeof(float);
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), DFQ_OK);
    ck_assert_ptr_eq(t->data, f.data + 12);
    dfqi_tensor_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_strided_is_copied)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    foreign f;
    int i, j, k;
    fill(&f);
    /* Axes 0 and 2 swapped, axis 1 backwards: value = 12 k + 4 (2 - j) + i */
    f.shape[0] = 4;
    f.shape[2] = 2;
    f.strides[0] = 1;
    f.strides[1] = -4;
    f.strides[2] = 12;
    f.dl.dl_tensor.strides = f.strides;
    f.dl.dl_tensor.byte_offset = 8 * sizeof(float);
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), DFQ_OK);
    ck_assert_int_eq(f.deleted, 1);
    for (i = 0; i < 4; i++) {
        for (j = 0; j < 3; j++) {
            for (k = 0; k < 2; k++)
                ck_assert_float_eq(dfqi_tensor_f32(t)[(i * 3 + j) * 2 + k],
                                   (float)(12 * k + 4 * (2 - j) + i));
        }
    }
    dfqi_tensor_release(t);
    ck_assert_int_eq(f.deleted, 1);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_misaligned_is_copied)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    foreign f;
    float want[2] = {5.0f, 6.0f};
    fill(&f);
    memcpy((char *)f.data + 1, want, sizeof want);
    f.dl.dl_tensor.ndim = 1;
    f.dl.dl_tensor.byte_offset = 1;
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), DFQ_OK);
    ck_assert_int_eq(f.deleted, 1);
    ck_assert_mem_eq(t->data, want, sizeof want);
    dfqi_tensor_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_empty_and_scalar)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    foreign f;
    fill(&f);
    f.shape[1] = 0;
    f.dl.dl_tensor.data = NULL;
    f.dl.deleter = NULL; /* allowed: nothing to free */
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_count(t), 0);
    dfqi_tensor_release(t);
    fill(&f);
    f.dl.dl_tensor.ndim = 0;
    f.dl.dl_tensor.shape = NULL;
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_count(t), 1);
    dfqi_tensor_release(t);
    dfqi_context_release(ctx);
}
END_TEST

/* One wrong thing per row; the caller keeps the tensor. */
static dfq_status spoil(foreign *f, int row)
{
    dfqi_dl_tensor *d = &f->dl.dl_tensor;
    switch (row) {
    case 0:
        f->dl.major = 2;
        return DFQ_E_UNSUPPORTED;
    case 1:
        d->device_type = 2;
        return DFQ_E_UNSUPPORTED;
    case 2:
        d->ndim = 7;
        return DFQ_E_SHAPE;
    case 3:
        d->ndim = -1;
        return DFQ_E_SHAPE;
    case 4:
        d->bits = 64;
        return DFQ_E_UNSUPPORTED;
    case 5:
        d->lanes = 4;
        return DFQ_E_UNSUPPORTED;
    case 6:
        d->data = NULL;
        return DFQ_E_INVALID;
    case 7:
        d->shape = NULL;
        return DFQ_E_INVALID;
    case 8:
        f->shape[2] = -4;
        return DFQ_E_SHAPE;
    default:
        f->shape[0] = f->shape[1] = INT64_MAX;
        return DFQ_E_SHAPE;
    }
}

START_TEST(test_refused)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    foreign f;
    dfq_status want;
    fill(&f);
    f.strides[0] = 12;
    f.strides[1] = 4;
    f.strides[2] = 1;
    f.dl.dl_tensor.strides = f.strides;
    want = spoil(&f, _i);
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, &f.dl, &t), want);
    ck_assert_ptr_null(t);
    ck_assert_int_eq(f.deleted, 0);
    ck_assert_uint_gt(strlen(ctx->error), 0);
    dfqi_context_release(ctx);
}
END_TEST

/* Another major is judged by its first eight bytes alone. */
START_TEST(test_other_major_is_not_read)
{
    dfq_context *ctx = make();
    dfq_tensor *t = NULL;
    char *two = malloc(2 * sizeof(uint32_t)); /* too short for more: ASan watches */
    static const uint32_t version[2] = {2, 0};
    ck_assert_ptr_nonnull(two);
    memcpy(two, version, sizeof version);
    ck_assert_int_eq(
        dfqi_tensor_import_dlpack(ctx, (struct DLManagedTensorVersioned *)(void *)two, &t),
        DFQ_E_UNSUPPORTED);
    free(two);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_round_trip_of_every_dtype)
{
    static const int64_t dims[] = {2, 5};
    dfq_context *ctx = make();
    struct DLManagedTensorVersioned *dl = NULL;
    struct DLManagedTensor *plain = NULL;
    dfq_tensor *t = NULL, *back = NULL;
    ck_assert_int_eq(dfqi_tensor_new(ctx, (dfqi_dtype)_i, 2, dims, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_export_dlpack(t, &dl), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_export_dlpack_unversioned(t, &plain), DFQ_OK);
    dfqi_context_release(ctx);
    ctx = t->ctx;
    ck_assert_uint_eq(dl->major, 1);
    ck_assert_uint_eq(dl->flags, DFQI_DL_READ_ONLY);
    ck_assert_int_eq(dl->dl_tensor.strides[0], 5);
    ck_assert_int_eq(dl->dl_tensor.strides[1], 1);
    ck_assert_int_eq(dfqi_tensor_import_dlpack(ctx, dl, &back), DFQ_OK);
    ck_assert_ptr_eq(back->data, t->data);
    ck_assert_int_eq(back->dtype, _i);
    dfqi_tensor_release(back);
    ck_assert_int_eq(dfqi_tensor_import_dlpack_unversioned(ctx, plain, &back), DFQ_OK);
    ck_assert_int_eq(back->dtype, _i);
    ck_assert_ptr_eq(back->data, t->data);
    dfqi_tensor_release(t); /* the view of the view lives on */
    ck_assert_int_eq(back->dims[1], 5);
    dfqi_tensor_release(back);
}
END_TEST

static dfq_status there_and_back(dfq_context *ctx, void *arg)
{
    static const int64_t dims[] = {3, 3};
    struct DLManagedTensorVersioned *dl = NULL;
    dfq_tensor *t = NULL, *back = NULL;
    dfq_status status;
    (void)arg;
    DFQI_TRY(dfqi_tensor_new(ctx, DFQI_F32, 2, dims, &t));
    status = dfqi_tensor_export_dlpack(t, &dl);
    dfqi_tensor_release(t);
    if (status != DFQ_OK) return status;
    status = dfqi_tensor_import_dlpack(ctx, dl, &back);
    if (status != DFQ_OK)
        dl->deleter(dl);
    else
        dfqi_tensor_release(back);
    return status;
}

START_TEST(test_out_of_memory)
{
    fail_alloc_sweep(there_and_back, NULL, 1);
}
END_TEST

TCase *dfqt_dlpack_case(void)
{
    TCase *t = tcase_create("dlpack");
    tcase_add_test(t, test_in_place);
    tcase_add_test(t, test_compact_strides_and_offset);
    tcase_add_test(t, test_strided_is_copied);
    tcase_add_test(t, test_misaligned_is_copied);
    tcase_add_test(t, test_empty_and_scalar);
    tcase_add_loop_test(t, test_refused, 0, 10);
    tcase_add_test(t, test_other_major_is_not_read);
    tcase_add_loop_test(t, test_round_trip_of_every_dtype, 0, 7);
    tcase_add_test(t, test_out_of_memory);
    return t;
}
