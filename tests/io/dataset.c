/* Data sets: the three forms, every refusal, parallel batches. */
#include "io/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/cases.h"
#include "io/folder.h"

static dfqi_dataset *d;

/* A picture of one colour. */
static void put_picture(const char *name, int32_t width, int32_t height, int shade)
{
    dfqi_image im;
    io_works(dfqi_image_new(io_ctx, width, height, &im));
    memset(im.rgb, shade, (size_t)width * (size_t)height * 3);
    io_works(dfqi_image_write_png(io_ctx, io_path(name), &im, NULL));
    dfqi_image_fini(&im);
}

static dfq_status open_csv(const char *text, int32_t classes)
{
    io_put_text(io_path("labels.csv"), text);
    return dfqi_dataset_open(io_ctx, io_path(NULL), classes, &d);
}

START_TEST(test_csv)
{
    dfqi_image im;
    io_works(dfqi_folder_make(io_ctx, io_path("sub")));
    put_picture("a.png", 4, 4, 10);
    put_picture("sub/..b.png", 4, 4, 20);
    /* A byte order mark, CRLF, blank lines, no last line end. */
    io_works(open_csv("\xEF\xBB\xBF"
                      "file,label\r\n\r\nsub/..b.png,2\r\n\na.png,000",
                      3));
    ck_assert_int_eq(dfqi_dataset_count(d), 2);
    ck_assert_str_eq(dfqi_dataset_name(d, 0), "sub/..b.png");
    ck_assert_int_eq(dfqi_dataset_label(d, 0), 2);
    ck_assert_int_eq(dfqi_dataset_label(d, 1), 0);
    io_works(dfqi_dataset_image(d, 0, &im));
    ck_assert_int_eq(im.rgb[0], 20);
    dfqi_image_fini(&im);
    io_fails(dfqi_dataset_image(d, 2, &im), DFQ_E_INVALID, "there are 2");
    io_fails(dfqi_dataset_image(d, -1, &im), DFQ_E_INVALID, "there are 2");
    dfqi_dataset_release(d);
    dfqi_dataset_release(NULL);
    io_works(open_csv("file,label\na.png,2147483647\n", 0)); /* 0 classes: any label */
    ck_assert_int_eq(dfqi_dataset_label(d, 0), 2147483647);
    dfqi_dataset_release(d);
}
END_TEST

static const struct csv_row {
    const char *text;
    dfq_status status;
    const char *part;
} csv_rows[] = {
    {"", DFQ_E_CORRUPT, "line 1: must be \"file,label\", is \"\""},
    {"\xEF\xBB\xBF", DFQ_E_CORRUPT, "line 1: must be"},
    {"a.png,1\n", DFQ_E_CORRUPT, "line 1: must be \"file,label\", is \"a.png,1\""},
    {"file,label\n", DFQ_E_CORRUPT, "lists no pictures"},
    {"file,label\na.png\n", DFQ_E_CORRUPT, "line 2: must be a file name, one comma, a label"},
    {"file,label\na.png,1,2\n", DFQ_E_CORRUPT, "line 2: must be a file name, one comma"},
    {"file,label\n\"a.png\",1\n", DFQ_E_CORRUPT, "line 2"},
    {"file,label\n\n\na.png,\n", DFQ_E_CORRUPT, "line 4: the label must be a number"},
    {"file,label\na.png,-1\n", DFQ_E_CORRUPT, "must be a number from 0, is \"-1\""},
    {"file,label\na.png, 1\n", DFQ_E_CORRUPT, "is \" 1\""},
    {"file,label\na.png,1x\n", DFQ_E_CORRUPT, "is \"1x\""},
    {"file,label\na.png,1.0\n", DFQ_E_CORRUPT, "is \"1.0\""},
    {"file,label\na.png,2147483648\n", DFQ_E_CORRUPT, "too large"},
    {"file,label\na.png,99999999999999999999999\n", DFQ_E_CORRUPT, "line 2"},
    {"file,label\na.png,9\nb.png,10\n", DFQ_E_SHAPE,
     "line 3: label 10, the network knows the classes 0..9"},
    {"file,label\n,1\n", DFQ_E_CORRUPT, "inside the data set's folder, is \"\""},
    {"file,label\n/etc/passwd,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\n../a.png,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\nsub/../../a.png,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\nsub/..,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\nc.png,1\n", DFQ_E_IO, "line 2: there is no file \"c.png\""},
    {"file,label\nsub,1\n", DFQ_E_IO, "line 2: there is no file \"sub\""},
    {"file,label\na.png,1\nb.png,1\n\nb.png,2\na.png,1\n", DFQ_E_CORRUPT,
     "line 5: the file \"b.png\" is listed twice (line 3)"},
};

START_TEST(test_csv_errors)
{
    io_works(dfqi_folder_make(io_ctx, io_path("sub")));
    io_put_text(io_path("a.png"), "not decoded when opened");
    io_put_text(io_path("b.png"), "");
    io_fails(open_csv(csv_rows[_i].text, 10), csv_rows[_i].status, csv_rows[_i].part);
}
END_TEST

START_TEST(test_csv_zero_byte)
{
    io_put(io_path("labels.csv"), "file,label\na\0.png,1\n", 20);
    io_fails(dfqi_dataset_open(io_ctx, io_path(NULL), 0, &d), DFQ_E_CORRUPT, "zero byte");
}
END_TEST

START_TEST(test_folders)
{
    io_fails(dfqi_dataset_open(io_ctx, io_path("none"), 0, &d), DFQ_E_IO, "No such file");
    io_fails(dfqi_dataset_open(io_ctx, io_path(NULL), 0, &d), DFQ_E_IO, "neither labels.csv nor");
    io_works(dfqi_folder_make(io_ctx, io_path("cat")));
    io_works(dfqi_folder_make(io_ctx, io_path("bee")));
    io_works(dfqi_folder_make(io_ctx, io_path("empty")));
    io_fails(dfqi_dataset_open(io_ctx, io_path(NULL), 3, &d), DFQ_E_IO, "neither labels.csv nor");
    put_picture("cat/2.png", 4, 4, 30);
    put_picture("cat/1.png", 4, 4, 40);
    put_picture("bee/3.png", 4, 4, 50);
    io_put_text(io_path("bee/notes.txt"), "");
    char slash[600];
    snprintf(slash, sizeof slash, "%s/", io_path(NULL));
    io_works(dfqi_dataset_open(io_ctx, slash, 3, &d));
    ck_assert_int_eq(dfqi_dataset_count(d), 3);
    ck_assert_str_eq(dfqi_dataset_name(d, 0), "bee/3.png");
    ck_assert_str_eq(dfqi_dataset_name(d, 1), "cat/1.png");
    ck_assert_int_eq(dfqi_dataset_label(d, 0), 0);
    ck_assert_int_eq(dfqi_dataset_label(d, 2), 1);
    dfqi_dataset_release(d);
    io_fails(dfqi_dataset_open(io_ctx, io_path(NULL), 2, &d), DFQ_E_SHAPE, "classes 0..1");
}
END_TEST

static void put_cifar(const char *path, int n)
{
    unsigned char *bytes = malloc((size_t)n * 3073);
    for (int i = 0; i < n; i++) {
        unsigned char *r = bytes + (size_t)i * 3073;
        r[0] = (unsigned char)(i % 10);
        for (int k = 0; k < 3072; k++) r[1 + k] = (unsigned char)(i + k / 1024 * 50 + k % 32);
    }
    io_put(path, bytes, (size_t)n * 3073);
    free(bytes);
}

START_TEST(test_cifar)
{
    dfqi_image im;
    put_cifar(io_path("c.bin"), 12);
    io_works(dfqi_dataset_open(io_ctx, io_path("c.bin"), 10, &d));
    ck_assert_int_eq(dfqi_dataset_count(d), 12);
    ck_assert_int_eq(dfqi_dataset_label(d, 11), 1);
    ck_assert_str_eq(dfqi_dataset_name(d, 11), "image 11");
    io_works(dfqi_dataset_image(d, 11, &im));
    ck_assert_int_eq(im.width * im.height, 1024);
    for (int k = 0; k < 3072; k++)
        ck_assert_int_eq(im.rgb[k % 1024 * 3 + k / 1024], 11 + k / 1024 * 50 + k % 32);
    dfqi_image_fini(&im);
    ck_assert_int_eq(truncate(io_path("c.bin"), 3073 * 5), 0);
    io_fails(dfqi_dataset_image(d, 11, &im), DFQ_E_IO, "became shorter");
    dfqi_dataset_release(d);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 4, &d), DFQ_E_SHAPE, "image 4: label 4");
    ck_assert_int_eq(truncate(io_path("c.bin"), 3072), 0);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 10, &d), DFQ_E_CORRUPT, "no multiple of");
    ck_assert_int_eq(truncate(io_path("c.bin"), 0), 0);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 10, &d), DFQ_E_CORRUPT, "0 bytes");
    char bad[3073] = {10};
    io_put(io_path("c.bin"), bad, sizeof bad);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 0, &d), DFQ_E_CORRUPT, "must be 0..9");
    put_picture("p.png", 9, 9, 7);
    io_fails(dfqi_dataset_open(io_ctx, io_path("p.png"), 0, &d), DFQ_E_CORRUPT, "a PNG picture");
}
END_TEST

static const dfqi_preprocess plain = {4, 0, DFQI_BICUBIC, {0, 0, 0}, {1, 1, 1}};

/* Twenty pictures of shades 0, 10, 20, ... */
static void put_batch(void)
{
    char text[2000] = "file,label\n", name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%02d.png", i);
        put_picture(name, 6, 5, 10 * i);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s,0\n", name);
    }
    io_works(open_csv(text, 1));
}

START_TEST(test_batch)
{
    float out[18 * 48];
    put_batch();
    io_works(dfqi_dataset_batch(d, 2, 18, &plain, out));
    for (int i = 0; i < 18 * 48; i++)
        ck_assert_float_eq(out[i], (float)(10 * (i / 48 + 2)) / 255.0f);
    io_works(dfqi_dataset_batch(d, 20, 0, &plain, out));
    io_fails(dfqi_dataset_batch(d, 3, 18, &plain, out), DFQ_E_INVALID, "3..20 asked for");
    io_fails(dfqi_dataset_batch(d, -1, 2, &plain, out), DFQ_E_INVALID, "there are 20");
    io_fails(dfqi_dataset_batch(d, 0, INT64_MAX, &plain, out), DFQ_E_INVALID, "there are 20");
    dfqi_preprocess p = plain;
    p.size = 0;
    io_fails(dfqi_dataset_batch(d, 0, 1, &p, out), DFQ_E_INVALID, "positive");
    p.size = 4;
    p.resize = 8;
    io_works(dfqi_dataset_batch(d, 0, 18, &p, out));
    p.resize = 3;
    io_fails(dfqi_dataset_batch(d, 1, 9, &p, out), DFQ_E_SHAPE, "01.png: picture of 3 x 3 pixels");
    dfqi_dataset_release(d);
}
END_TEST

START_TEST(test_first_failure)
{
    float out[20 * 48];
    put_batch();
    io_put_text(io_path("17.png"), "x");
    io_put_text(io_path("11.png"), "");
    ck_assert_int_eq(unlink(io_path("14.png")), 0);
    for (int i = 0; i < 20; i++) {
        io_fails(dfqi_dataset_batch(d, 0, 20, &plain, out), DFQ_E_CORRUPT,
                 "11.png: the file is empty");
        io_fails(dfqi_dataset_batch(d, 12, 8, &plain, out), DFQ_E_IO, "14.png: No such file");
    }
    io_works(dfqi_dataset_batch(d, 0, 11, &plain, out));
    dfqi_dataset_release(d);
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_dataset *set;
    float out[3 * 48];
    DFQI_TRY(dfqi_dataset_open(ctx, arg, 0, &set));
    dfq_status status = dfqi_dataset_batch(set, 0, 3, &plain, out);
    dfqi_dataset_release(set);
    return status;
}

START_TEST(test_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s", io_path("c.bin"));
    put_cifar(path, 3);
    io_sweep(scenario, path, 1);
    io_sweep(scenario, path, 2);
    snprintf(path, sizeof path, "%s", io_path(NULL));
    put_batch();
    dfqi_dataset_release(d);
    io_sweep(scenario, path, 1);
    ck_assert_int_eq(unlink(io_path("labels.csv")), 0);
    io_works(dfqi_folder_make(io_ctx, io_path("x")));
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "x/%d.png", i);
        put_picture(name, 4, 4, i);
    }
    io_sweep(scenario, path, 1);
}
END_TEST

TCase *dfqt_dataset_case(void)
{
    TCase *tc = io_case("dataset");
    tcase_add_test(tc, test_csv);
    tcase_add_loop_test(tc, test_csv_errors, 0, (int)(sizeof csv_rows / sizeof csv_rows[0]));
    tcase_add_test(tc, test_csv_zero_byte);
    tcase_add_test(tc, test_folders);
    tcase_add_test(tc, test_cifar);
    tcase_add_test(tc, test_batch);
    tcase_add_test(tc, test_first_failure);
    tcase_add_test(tc, test_memory);
    return tc;
}
