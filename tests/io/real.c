/* Real weights and pictures, where the assets folder is present. */
#include <math.h>
#include <string.h>

#include "io/cases.h"
#include "io/dataset.h"
#include "io/safetensors.h"
#include "support/each.h"
#include "support/suite.h"

/* Reads a model and counts its values; writes it again and compares. */
static void check_model(const char *name, int64_t want)
{
    char path[512];
    dfqi_safetensors st, again;
    int64_t values = 0;
    io_asset(name, path, sizeof path);
    io_works(dfqi_st_read(io_ctx, path, &st));
    for (int64_t i = 0; i < st.n_entries; i++) values += dfqi_tensor_count(st.entries[i].tensor);
    ck_assert_int_eq(values, want);
    io_works(dfqi_st_write(io_ctx, io_path("copy"), st.n_entries, st.entries, st.n_meta, st.meta));
    io_works(dfqi_st_read(io_ctx, io_path("copy"), &again));
    ck_assert_int_eq(again.n_entries, st.n_entries);
    for (int64_t i = 0; i < st.n_entries; i++) {
        const dfq_tensor *a = st.entries[i].tensor, *b = dfqi_st_find(&again, st.entries[i].name);
        ck_assert_ptr_nonnull(b);
        ck_assert_int_eq(a->dtype, b->dtype);
        ck_assert_mem_eq(a->data, b->data,
                         (size_t)dfqi_tensor_count(a) * dfqi_dtype_bytes(a->dtype));
    }
    dfqi_st_fini(&again);
    dfqi_st_fini(&st);
}

START_TEST(test_models)
{
    check_model("models/vit_tiny_patch16_224.safetensors", 5717416);
    check_model("models/resnet20_cifar10.safetensors", 271098);
}
END_TEST

START_TEST(test_pictures)
{
    static float out[5 * 3 * 224 * 224];
    const dfqi_preprocess p = {
        {224, 224}, {0, 0}, DFQI_BICUBIC, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}};
    char path[512];
    dfqi_dataset *d;
    io_asset("data/imagenet_val_650/labels.csv", path, sizeof path);
    *strrchr(path, '/') = '\0';
    io_works(dfqi_dataset_open(io_ctx, path, 1000, &d));
    ck_assert_int_eq(dfqi_dataset_count(d), 650);
    ck_assert_int_eq(dfqi_dataset_label(d, 0), 133);
    io_works(dfqi_dataset_batch(d, 0, 5, &p, out));
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
        dfqt_each(fabsf(out[i]) <= 1.0f, "value %zu", i);
    dfqi_dataset_release(d);
}
END_TEST

START_TEST(test_cifar)
{
    char path[512];
    dfqi_dataset *d;
    io_asset("data/cifar10/test_1000.bin", path, sizeof path);
    io_works(dfqi_dataset_open(io_ctx, path, 10, &d));
    ck_assert_int_eq(dfqi_dataset_count(d), 1000);
    dfqi_dataset_release(d);
}
END_TEST

TCase *dfqt_real_case(void)
{
    TCase *tc = io_case("real");
    tcase_add_test(tc, test_models);
    tcase_add_test(tc, test_pictures);
    tcase_add_test(tc, test_cifar);
    return tc;
}
