/* Safetensors: round trip, deterministic bytes, alignment, refusals of the writer. */
#include "io/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/cases.h"

enum { N = 9 };
static const char *const names[N] = {"w",    "b",   "half", "brain", "byte",
                                     "code", "int", "long", "none"};
static const dfqi_dtype dtypes[N] = {DFQI_F32, DFQI_F32, DFQI_F16, DFQI_BF16, DFQI_U8,
                                     DFQI_I8,  DFQI_I32, DFQI_I64, DFQI_F32};
static const int32_t ranks[N] = {2, 1, 3, 1, 1, 6, 0, 1, 2};
static const int64_t dims[N][6] = {{3, 5}, {3}, {1, 2, 3}, {4}, {7}, {1, 1, 3, 1, 1, 1},
                                   {0},    {2}, {0, 4}};

static dfq_status make(dfq_context *ctx, dfqi_st_entry e[N])
{
    memset(e, 0, N * sizeof *e);
    for (int i = 0; i < N; i++) {
        e[i].name = (char *)names[i];
        DFQI_TRY(dfqi_tensor_new(ctx, dtypes[i], ranks[i], dims[i], &e[i].tensor));
        size_t n = (size_t)dfqi_tensor_count(e[i].tensor) * dfqi_dtype_bytes(dtypes[i]);
        for (size_t k = 0; k < n; k++)
            ((unsigned char *)e[i].tensor->data)[k] = (unsigned char)(17 * i + 3 * (int)k + 1);
    }
    return DFQ_OK;
}

static void release(dfqi_st_entry e[N])
{
    for (int i = 0; i < N; i++) dfqi_tensor_release(e[i].tensor);
}

static const dfqi_st_meta metas[2] = {{(char *)"z", (char *)"last"},
                                      {(char *)"format", (char *)"dfq \"1\"\n"}};

START_TEST(test_round_trip)
{
    dfqi_st_entry e[N];
    dfqi_safetensors st;
    io_works(make(io_ctx, e));
    io_works(dfqi_st_write(io_ctx, io_path("m"), N, e, 2, metas));
    ck_assert_int_eq(io_entries(), 1);
    io_works(dfqi_st_read(io_ctx, io_path("m"), &st));
    ck_assert_int_eq(st.n_entries, N);
    ck_assert_str_eq(st.entries[0].name, "long"); /* the largest elements come first */
    for (int i = 0; i < N; i++) {
        const dfq_tensor *t = dfqi_st_find(&st, names[i]);
        ck_assert_ptr_nonnull(t);
        ck_assert_int_eq(t->dtype, dtypes[i]);
        ck_assert_int_eq(t->rank, ranks[i]);
        for (int32_t d = 0; d < t->rank; d++) ck_assert_int_eq(t->dims[d], dims[i][d]);
        size_t n = (size_t)dfqi_tensor_count(t) * dfqi_dtype_bytes(t->dtype);
        if (n > 0) ck_assert_mem_eq(t->data, e[i].tensor->data, n);
    }
    ck_assert_ptr_null(dfqi_st_find(&st, "x"));
    ck_assert_str_eq(dfqi_st_meta_find(&st, "format"), "dfq \"1\"\n");
    ck_assert_ptr_null(dfqi_st_meta_find(&st, "x"));
    dfqi_st_fini(&st);
    dfqi_st_fini(&st);
    release(e);
}
END_TEST

START_TEST(test_same_bytes)
{
    dfqi_st_entry e[N], turned[N];
    dfqi_st_meta m[2] = {metas[1], metas[0]};
    size_t n, n2;
    io_works(make(io_ctx, e));
    for (int i = 0; i < N; i++) turned[i] = e[N - 1 - i];
    io_works(dfqi_st_write(io_ctx, io_path("a"), N, e, 2, metas));
    io_works(dfqi_st_write(io_ctx, io_path("b"), N, turned, 2, m));
    unsigned char *a = io_get(io_path("a"), &n), *b = io_get(io_path("b"), &n2);
    ck_assert_uint_eq(n, n2);
    ck_assert_mem_eq(a, b, n);
    uint64_t header = 8 + a[0] + 256u * a[1];
    ck_assert_uint_eq(header % 64, 0);
    ck_assert_int_eq(memcmp(a + 8, "{\"__metadata__\":{\"format\":", 26), 0);
    free(a);
    free(b);
    release(e);
}
END_TEST

START_TEST(test_empty)
{
    dfqi_safetensors st;
    io_works(dfqi_st_write(io_ctx, io_path("e"), 0, NULL, 0, NULL));
    io_works(dfqi_st_read(io_ctx, io_path("e"), &st));
    ck_assert_int_eq(st.n_entries, 0);
    ck_assert_int_eq(st.n_meta, 0);
    dfqi_st_fini(&st);
    /* The shortest header there is, from memory and from a file. */
    io_works(dfqi_st_parse(io_ctx, "x", "\2\0\0\0\0\0\0\0{}", 10, &st));
    dfqi_st_fini(&st);
    io_put(io_path("s"), "\2\0\0\0\0\0\0\0{}", 10);
    io_works(dfqi_st_read(io_ctx, io_path("s"), &st));
    dfqi_st_fini(&st);
}
END_TEST

START_TEST(test_handwritten)
{
    static const char file[] = "\x3c\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[3],"
                               "\"data_offsets\":[0,3]}}       xyz";
    dfqi_safetensors st;
    io_put(io_path("t"), file, sizeof file - 1);
    io_works(dfqi_st_read(io_ctx, io_path("t"), &st));
    ck_assert_mem_eq(dfqi_st_find(&st, "a")->data, "xyz", 3);
    dfqi_st_fini(&st);
}
END_TEST

/* Types that the library has no tensors of are read as the next that holds their values; of 8-bit
 * floats PyTorch has these values. */
START_TEST(test_other_types)
{
    static const struct other {
        const char *type;
        unsigned char bytes[16];
        size_t size; /* of an element */
        dfqi_dtype dtype;
        double want[2];
    } others[] = {
        {"F64", {0, 0, 0, 0, 0, 0, 0xF8, 0xBF, 0, 0, 0, 0, 0, 0, 0, 0x40}, 8, DFQI_F32, {-1.5, 2}},
        {"F8_E4M3", {0x7E, 0xB9}, 1, DFQI_F32, {448, -1.125}},
        {"F8_E4M3", {0x01, 0x38}, 1, DFQI_F32, {0.001953125, 1}},
        {"F8_E5M2", {0x01, 0xB9}, 1, DFQI_F32, {1.52587890625e-05, -0.625}},
        {"BOOL", {1, 0}, 1, DFQI_U8, {1, 0}},
        {"I16", {0xFE, 0xFF, 0x01, 0x02}, 2, DFQI_I32, {-2, 513}},
        {"U16", {0xFE, 0xFF, 0x01, 0x02}, 2, DFQI_I32, {65534, 513}},
        {"U32", {0xFE, 0xFF, 0xFF, 0xFF, 7, 0, 0, 0}, 4, DFQI_I64, {4294967294.0, 7}},
        {"U64",
         {0, 0, 0, 0, 0, 0, 0, 0x80, 7, 0, 0, 0, 0, 0, 0, 0},
         8,
         DFQI_I64,
         {9223372036854775807.0, 7}}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const struct other *o = &others[i];
        unsigned char file[160] = {0};
        dfqi_safetensors st;
        int n = snprintf((char *)file + 8, sizeof file - 8,
                         "{\"w\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,%d]}}",
                         o->type, (int)(2 * o->size));
        file[0] = (unsigned char)n;
        memcpy(file + 8 + n, o->bytes, 2 * o->size);
        io_works(dfqi_st_parse(io_ctx, "m", file, 8 + (size_t)n + 2 * o->size, &st));
        const dfq_tensor *t = st.entries[0].tensor;
        ck_assert_int_eq(t->dtype, o->dtype);
        for (int k = 0; k < 2; k++) {
            double have = t->dtype == DFQI_F32   ? (double)((float *)t->data)[k]
                          : t->dtype == DFQI_I32 ? ((int32_t *)t->data)[k]
                          : t->dtype == DFQI_I64 ? (double)((int64_t *)t->data)[k]
                                                 : ((uint8_t *)t->data)[k];
            ck_assert_msg(have == o->want[k], "%s: %g, must be %g", o->type, have, o->want[k]);
        }
        dfqi_st_fini(&st);
    }
}
END_TEST

/* The order of tensors in the header does not matter, only that of their offsets. */
START_TEST(test_order)
{
    static const char header[] =
        "{\"far\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
        "\"near\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
        "\"next\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}";
    static const float far[2] = {1.5f, -2.25f};
    enum { LENGTH = sizeof header - 1, SIZE = 8 + LENGTH + 12 };
    unsigned char bytes[SIZE + 1] = {LENGTH};
    dfqi_safetensors st[2];
    memcpy(bytes + 8, header, LENGTH);
    memcpy(bytes + 8 + LENGTH, "xyz!", 4);
    memcpy(bytes + 8 + LENGTH + 4, far, sizeof far);
    io_put(io_path("g"), bytes, SIZE);
    io_works(dfqi_st_read(io_ctx, io_path("g"), &st[0]));
    io_works(dfqi_st_parse(io_ctx, "g", bytes, SIZE, &st[1]));
    for (int i = 0; i < 2; i++) {
        ck_assert_mem_eq(dfqi_st_find(&st[i], "near")->data, "xyz", 3);
        ck_assert_mem_eq(dfqi_st_find(&st[i], "next")->data, "!", 1);
        ck_assert_mem_eq(dfqi_st_find(&st[i], "far")->data, far, sizeof far);
        dfqi_st_fini(&st[i]);
    }
    io_put(io_path("g"), bytes, SIZE + 1); /* a byte more, in a file as well */
    io_fails(dfqi_st_read(io_ctx, io_path("g"), &st[0]), DFQ_E_CORRUPT, "1 unused byte behind");
}
END_TEST

START_TEST(test_writer_refuses)
{
    dfqi_st_entry e[N];
    dfqi_st_meta twice[2] = {metas[0], metas[0]};
    struct stat st;
    io_works(make(io_ctx, e));
    e[1].name = e[0].name;
    io_fails(dfqi_st_write(io_ctx, io_path("m"), N, e, 0, NULL), DFQ_E_INVALID,
             "two tensors have the name \"w\"");
    e[1].name = (char *)"";
    io_fails(dfqi_st_write(io_ctx, io_path("m"), N, e, 0, NULL), DFQ_E_INVALID, "name of a tensor");
    e[1].name = (char *)"__metadata__";
    io_fails(dfqi_st_write(io_ctx, io_path("m"), N, e, 0, NULL), DFQ_E_INVALID, "name of a tensor");
    e[1].name = (char *)"\xFF";
    io_fails(dfqi_st_write(io_ctx, io_path("m"), N, e, 0, NULL), DFQ_E_INVALID, "UTF-8");
    e[1].name = (char *)"b";
    io_fails(dfqi_st_write(io_ctx, io_path("m"), N, e, 2, twice), DFQ_E_INVALID,
             "two metadata keys have the name \"z\"");
    if (stat("/dev/full", &st) == 0)
        io_fails(dfqi_st_write(io_ctx, "/dev/full", N, e, 0, NULL), DFQ_E_IO, "No space left");
    ck_assert_int_eq(io_entries(), 0);
    release(e);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_st_entry e[N];
    dfqi_safetensors st;
    dfq_status status;
    DFQI_GOTO(make(ctx, e), out);
    DFQI_GOTO(dfqi_st_write(ctx, arg, N, e, 2, metas), out);
    DFQI_GOTO(dfqi_st_read(ctx, arg, &st), out);
    dfqi_st_fini(&st);
out:
    release(e);
    return status;
}

START_TEST(test_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s", io_path("swept"));
    io_sweep(scenario, path, 1);
    ck_assert_int_eq(io_entries(), 1);
}
END_TEST

TCase *dfqt_safetensors_case(void)
{
    TCase *tc = io_case("safetensors");
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_same_bytes);
    tcase_add_test(tc, test_empty);
    tcase_add_test(tc, test_handwritten);
    tcase_add_test(tc, test_order);
    tcase_add_test(tc, test_other_types);
    tcase_add_test(tc, test_writer_refuses);
    tcase_add_test(tc, test_memory);
    return tc;
}
