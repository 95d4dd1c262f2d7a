/* Sets of images: there and back, exactly and through PNG; sheets. */
#include <dfq/image_set.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "io/dataset.h"
#include "support/fail_alloc.h"
#include "synth/cases.h"
#include "synth/imageset.h"

enum { COUNT = 18 };

static char folder[64];
static dfq_context *ctx;
static dfqi_model *m;
static dfq_tensor *images, *labels;

static void setup(void)
{
    static const float mean[3] = {0.5f, 0.4f, 0.6f}, std[3] = {0.5f, 0.25f, 0.3f};
    int64_t dims[4] = {COUNT, 3, 16, 16};
    dfqi_rng r = dfqi_rng_make(1, 2);
    dfqt_folder(folder);
    ctx = dfqt_context(2);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 4, dims, &images), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_I32, 1, dims, &labels), DFQ_OK);
    for (int i = 0; i < COUNT * DFQT_PIXELS; i++) {
        int c = i / 256 % 3;
        dfqi_tensor_f32(images)[i] = (dfqi_rng_uniform(&r) - mean[c]) / std[c];
    }
    for (int i = 0; i < COUNT; i++) ((int32_t *)labels->data)[i] = (i * 5 + 1) % 6;
}

static void teardown(void)
{
    dfqi_tensor_release(images);
    dfqi_tensor_release(labels);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
    dfqt_remove(folder);
}

static const char *inside(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

START_TEST(test_there_and_back)
{
    dfq_tensor *x, *y;
    dfqi_dataset *d;
    dfqi_image im;
    ck_assert_msg(dfqi_imageset_save(m, images, labels, folder, 0) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_imageset_load(m, folder, &x, &y), DFQ_OK);
    ck_assert_mem_eq(x->data, images->data, COUNT * DFQT_PIXELS * sizeof(float));
    ck_assert_mem_eq(y->data, labels->data, COUNT * sizeof(int32_t));
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    /* without the exact file: the pictures, to half a step of 1/255 */
    ck_assert_int_eq(remove(inside("images.safetensors")), 0);
    ck_assert_msg(dfqi_imageset_load(m, folder, &x, &y) == DFQ_OK, "%s", ctx->error);
    ck_assert_mem_eq(y->data, labels->data, COUNT * sizeof(int32_t));
    for (int i = 0; i < COUNT * DFQT_PIXELS; i++)
        ck_assert_float_eq_tol(dfqi_tensor_f32(x)[i], dfqi_tensor_f32(images)[i],
                               0.51f / 255.0f / 0.25f);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    ck_assert_int_eq(dfqi_dataset_open(ctx, folder, 6, &d), DFQ_OK);
    ck_assert_int_eq(dfqi_dataset_count(d), COUNT);
    ck_assert_str_eq(dfqi_dataset_name(d, 7), "00007.png");
    dfqi_dataset_release(d);
    ck_assert_int_eq(dfqi_image_read(ctx, inside("contact.png"), &im), DFQ_OK);
    ck_assert_int_eq(im.width, 5 * 20 + 4); /* 18 tiles: 5 columns, 4 rows */
    ck_assert_int_eq(im.height, 4 * 20 + 4);
    dfqi_image_fini(&im);
}
END_TEST

static void listen(int32_t level, const char *text, void *user)
{
    if (level <= DFQ_LOG_WARNING) snprintf(user, 256, "%s", text);
}

START_TEST(test_another_networks)
{
    dfq_tensor *x, *y;
    char said[256] = "";
    ctx->log = listen;
    ctx->log_user = said;
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 0), DFQ_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dfqi_imageset_load(m, folder, &x, &y), DFQ_OK);
        ck_assert_int_eq(strstr(said, "made from network ") != NULL, i);
        dfqi_tensor_release(x);
        dfqi_tensor_release(y);
        snprintf(m->net.arch.name, sizeof m->net.arch.name, "another");
    }
    ck_assert_ptr_nonnull(strstr(said, ", not from another;"));
}
END_TEST

START_TEST(test_nothing_is_overwritten_unasked)
{
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 0), DFQ_E_EXISTS);
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 1), DFQ_OK);
}
END_TEST

START_TEST(test_bad_sets)
{
    dfq_tensor *x, *y, *few;
    int64_t n = 3;
    FILE *f;
    ck_assert_int_eq(dfqi_imageset_save(m, labels, labels, folder, 0), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_imageset_save(m, images, images, folder, 0), DFQ_E_SHAPE);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_I32, 1, &n, &few), DFQ_OK);
    ck_assert_int_eq(dfqi_imageset_save(m, images, few, folder, 0), DFQ_E_SHAPE);
    dfqi_tensor_release(few);
    ((int32_t *)labels->data)[4] = 6;
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 0), DFQ_E_INVALID);
    ((int32_t *)labels->data)[4] = 0;
    ck_assert_int_ne(dfqi_imageset_load(m, folder, &x, &y), DFQ_OK); /* empty */
    dfqi_tensor_f32(images)[77] = NAN;
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_imageset_load(m, folder, &x, &y), DFQ_E_NUMERIC);
    f = fopen(inside("images.safetensors"), "wb");
    ck_assert_ptr_nonnull(f);
    fclose(f);
    ck_assert_int_eq(dfqi_imageset_load(m, folder, &x, &y), DFQ_E_CORRUPT);
}
END_TEST

START_TEST(test_attention_sheet)
{
    dfqi_image im;
    int distinct = 0;
    ck_assert_int_eq(dfqi_attention_sheet(m, images, 3, inside("attention.png")), DFQ_OK);
    ck_assert_int_eq(dfqi_image_read(ctx, inside("attention.png"), &im), DFQ_OK);
    ck_assert_int_eq(im.width, 4 * 20 + 4); /* the image and three heads */
    ck_assert_int_eq(im.height, 2 * 20 + 4);
    /* each map uses its whole range: its darkest and its brightest colour are there */
    for (int tile = 1; tile < 8; tile++) {
        int left = 4 + tile % 4 * 20, top = 4 + tile / 4 * 20, dark = 0, bright = 0;
        for (int y = 0; y < 16; y++)
            for (int x = 0; x < 16; x++) {
                const uint8_t *p = im.rgb + ((top + y) * im.width + left + x) * 3;
                dark |= p[0] == 8 && p[1] == 8 && p[2] == 40;
                bright |= p[0] == 252 && p[1] == 255 && p[2] == 164;
            }
        distinct += dark && bright;
    }
    ck_assert_int_eq(distinct, 7);
    dfqi_image_fini(&im);
}
END_TEST

static int64_t bytes_in(const char *path)
{
    DIR *d = opendir(path);
    int64_t bytes = 0;
    ck_assert_ptr_nonnull(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char file[512];
        struct stat st;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (stat(file, &st) == 0 && S_ISREG(st.st_mode)) bytes += (int64_t)st.st_size;
    }
    closedir(d);
    return bytes;
}

/* What it takes to save noise, which no PNG makes smaller, is what the estimate says. */
START_TEST(test_cost)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o = {.struct_size = sizeof o, .threads = 1, .allocator = &a};
    dfq_job_cost cost = {.struct_size = sizeof cost};
    dfq_context *own;
    dfqi_model *net;
    dfqi_imageset *set;
    ck_assert_int_eq(dfqi_imageset_save(m, images, labels, folder, 0), DFQ_OK);
    ck_assert_int_eq(dfqi_context_create(&o, &own), DFQ_OK);
    ck_assert_int_eq(dfqt_random_model(own, &net), DFQ_OK);
    ck_assert_int_eq(dfq_image_set_save_estimate(net, 0, &cost), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_save_estimate(net, COUNT, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_save_estimate(net, COUNT, &cost), DFQ_OK);
    ck_assert(cost.units == COUNT && cost.done == 0 && isnan(cost.seconds_left));
    int64_t before = fa.peak_bytes = fa.live_bytes;
    ck_assert_int_eq(dfqi_imageset_open(net, folder, 0, &set), DFQ_OK);
    ck_assert_msg(dfqi_imageset_save_from(net, &set->images, &set->shape, set->labels,
                                          inside("again"), 0) == DFQ_OK,
                  "%s", own->error);
    int64_t memory = fa.peak_bytes - before, files = bytes_in(inside("again"));
    ck_assert_msg(memory <= cost.bytes && cost.bytes < memory + memory / 4, "%lld, estimated %lld",
                  (long long)memory, (long long)cost.bytes);
    ck_assert_msg(files <= cost.file_bytes && cost.file_bytes < files + files / 4,
                  "%lld, estimated %lld", (long long)files, (long long)cost.file_bytes);
    ck_assert_int_eq(files, bytes_in(folder));
    ck_assert_int_eq(dfq_image_set_save_estimate(net, INT64_MAX, &cost), DFQ_OK);
    ck_assert_int_eq(cost.file_bytes, INT64_MAX);
    dfqt_remove(inside("again"));
    dfqi_imageset_release(set);
    dfqi_model_release(net);
    dfqi_context_release(own);
}
END_TEST

TCase *dfqt_imageset_case(void)
{
    TCase *t = tcase_create("imageset");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_there_and_back);
    tcase_add_test(t, test_cost);
    tcase_add_test(t, test_nothing_is_overwritten_unasked);
    tcase_add_test(t, test_another_networks);
    tcase_add_test(t, test_bad_sets);
    tcase_add_test(t, test_attention_sheet);
    return t;
}
