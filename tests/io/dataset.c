/* Data sets: the three forms, every refusal, parallel batches. */
#include "io/dataset.h"

#include <dfq/dataset.h>

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
    io_fails(dfqi_dataset_image(d, 2, &im), DFQ_E_INVALID, "together at most 2");
    io_fails(dfqi_dataset_image(d, -1, &im), DFQ_E_INVALID, "together at most 2");
    dfqi_dataset_release(d);
    dfqi_dataset_release(NULL);
    io_works(open_csv("file,label\na.png,2147483647\n", 0)); /* 0 classes: any label */
    ck_assert_int_eq(dfqi_dataset_label(d, 0), 2147483647);
    dfqi_dataset_release(d);
}
END_TEST

/* Columns as other lists call and order them; what they have besides is not read. */
START_TEST(test_csv_columns)
{
    static const char *const lists[] = {"filename,class\na.png,1\n",
                                        "class_id,split,image\r\n1,val,a.png\r\n",
                                        "path,name,label,note\na.png,a cat,1,\n"};
    put_picture("a.png", 4, 4, 10);
    for (int i = 0; i < 3; i++) {
        io_works(open_csv(lists[i], 3));
        ck_assert_int_eq(dfqi_dataset_count(d), 1);
        ck_assert_str_eq(dfqi_dataset_name(d, 0), "a.png");
        ck_assert_int_eq(dfqi_dataset_label(d, 0), 1);
        dfqi_dataset_release(d);
    }
}
END_TEST

static const struct csv_row {
    const char *text;
    dfq_status status;
    const char *part;
} csv_rows[] = {
    {"", DFQ_E_CORRUPT, "line 1: the line is \"\", must be \"file,label\""},
    {"\xEF\xBB\xBF", DFQ_E_CORRUPT, "line 1: the line is"},
    {"a.png,1\n", DFQ_E_CORRUPT, "line 1: the line is \"a.png,1\", must be \"file,label\""},
    {"ImageId,PredictionString\n", DFQ_E_CORRUPT, "one column label, class or class_id"},
    {"file,path,label\n", DFQ_E_CORRUPT, "line 1: the line is \"file,path,label\", must be"},
    {"label,file,x\n1,a.png\n", DFQ_E_CORRUPT, "as many columns as the first line has"},
    {"label,file,x\n1,a.png,,\n", DFQ_E_CORRUPT, "line 2: the line is"},
    {"file,label\n", DFQ_E_CORRUPT, "lists no pictures"},
    {"file,label\na.png\n", DFQ_E_CORRUPT, "must be a file name, one comma, a label"},
    {"file,label\na.png,1,2\n", DFQ_E_CORRUPT, "line 2: the line is \"a.png,1,2\""},
    {"file,label\n\"a.png\",1\n", DFQ_E_CORRUPT, "line 2"},
    {"file,label\n\n\na.png,\n", DFQ_E_CORRUPT, "line 4: the label is"},
    {"file,label\na.png,-1\n", DFQ_E_CORRUPT, "the label is \"-1\", must be"},
    {"file,label\na.png, 1\n", DFQ_E_CORRUPT, "is \" 1\""},
    {"file,label\na.png,1x\n", DFQ_E_CORRUPT, "is \"1x\""},
    {"file,label\na.png,1.0\n", DFQ_E_CORRUPT, "is \"1.0\""},
    {"file,label\na.png,2147483648\n", DFQ_E_CORRUPT, "at most 2147483647"},
    {"file,label\na.png,99999999999999999999999\n", DFQ_E_CORRUPT, "line 2"},
    {"file,label\na.png,9\nb.png,10\n", DFQ_E_SHAPE, "line 3: label is 10, must be 0 to 9"},
    {"file,label\n,1\n", DFQ_E_CORRUPT, "the file is \"\", must be inside the data set's folder"},
    {"file,label\n/etc/passwd,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\n../a.png,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\nsub/../../a.png,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\nsub/..,1\n", DFQ_E_CORRUPT, "inside the data set's folder"},
    {"file,label\nc.png,1\n", DFQ_E_IO, "line 2: there is no file \"c.png\""},
    {"file,label\nsub,1\n", DFQ_E_IO, "line 2: there is no file \"sub\""},
    {"file,label\na.png,1\nb.png,1\n\nb.png,2\na.png,1\n", DFQ_E_CORRUPT,
     "line 5: file \"b.png\" is listed twice, first on line 3"},
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
    io_fails(dfqi_dataset_open(io_ctx, io_path(NULL), 2, &d), DFQ_E_SHAPE,
             "must be 0 to 1, a class");
}
END_TEST

/* The last warning, and how many there were. */
static char warned[1024];
static int warnings;

static void on_log(int32_t level, const char *line, void *user)
{
    (void)user;
    if (level != DFQ_LOG_WARNING) return;
    snprintf(warned, sizeof warned, "%s", line);
    warnings++;
}

static dfqi_class_names *called; /* of the classes; NULL: not known */

static dfq_status open_warned(const char *path, int32_t classes, const char *labels)
{
    warned[0] = '\0';
    warnings = 0;
    io_ctx->log = on_log;
    return dfqi_dataset_open_with(io_ctx, path, classes, labels, called, &d);
}

static void put_classes(const char *const *folders, int n)
{
    for (int i = 0; i < n; i++) {
        char name[64];
        io_works(dfqi_folder_make(io_ctx, io_path(folders[i])));
        snprintf(name, sizeof name, "%s/p.png", folders[i]);
        put_picture(name, 4, 4, i);
    }
}

static void labels_are(const int32_t *want, int n)
{
    ck_assert_int_eq(dfqi_dataset_count(d), n);
    for (int i = 0; i < n; i++) ck_assert_int_eq(dfqi_dataset_label(d, i), want[i]);
    dfqi_dataset_release(d);
}

START_TEST(test_few_folders)
{
    static const char *const names[] = {"n02", "n01"};
    put_classes(names, 2);
    io_works(open_warned(io_path(NULL), 5, NULL));
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(
        strstr(warned, ": there are 2 class folders, and the network has 5 classes"));
    ck_assert_int_eq(dfqi_dataset_get_counts(d).folders, 2);
    labels_are((int32_t[]){0, 1}, 2);
    for (int32_t classes = 0; classes <= 2; classes += 2) { /* nothing to say */
        io_works(open_warned(io_path(NULL), classes, NULL));
        ck_assert_int_eq(warnings, 0);
        labels_are((int32_t[]){0, 1}, 2);
    }
}
END_TEST

/* Not as text, which has 10 before 2; and where some are missing the numbers are the classes. */
START_TEST(test_numbered_folders)
{
    static const char *const names[] = {"0", "1", "10", "2"};
    put_classes(names, 4);
    io_works(open_warned(io_path(NULL), 4, NULL));
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(warned, "labels follow the numbers, not the alphabet"));
    ck_assert_str_eq(dfqi_dataset_name(d, 3), "10/p.png");
    labels_are((int32_t[]){0, 1, 2, 3}, 4);
    io_works(open_warned(io_path(NULL), 11, NULL));
    ck_assert_ptr_nonnull(strstr(warned, "the classes of their numbers"));
    labels_are((int32_t[]){0, 1, 2, 10}, 4);
    io_works(dfqi_folder_make(io_ctx, io_path("x"))); /* no number: as text */
    io_works(open_warned(io_path(NULL), 5, NULL));
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(
        strstr(warned, "1 of 5 class folders have no PNG, JPEG or WebP pictures"));
    ck_assert_str_eq(dfqi_dataset_name(d, 2), "10/p.png");
    labels_are((int32_t[]){0, 1, 2, 3}, 4);
}
END_TEST

START_TEST(test_left_out)
{
    static const char *const names[] = {"a", "b"};
    put_classes(names, 2);
    io_put_text(io_path("b/2.BMP"), "");
    io_put_text(io_path("b/1.tiff"), "");
    io_put_text(io_path("a/notes.txt"), "");
    io_works(open_warned(io_path(NULL), 2, NULL));
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(
        strstr(warned, "2 pictures are left out, being neither PNG, JPEG nor WebP: b/1.tiff and"));
    ck_assert_int_eq(dfqi_dataset_get_counts(d).left_out, 2);
    labels_are((int32_t[]){0, 1}, 2);
}
END_TEST

/* By its place an empty folder decides the labels of those behind it. */
START_TEST(test_empty_and_nested)
{
    static const char *const names[] = {"a", "b", "c"};
    put_classes(names, 3);
    io_works(dfqi_folder_make(io_ctx, io_path("b/deep/er")));
    ck_assert_int_eq(rename(io_path("b/p.png"), io_path("b/deep/er/p.png")), 0);
    io_works(open_warned(io_path(NULL), 3, NULL));
    labels_are((int32_t[]){0, 2}, 2);
    ck_assert_int_eq(warnings, 2);
    ck_assert_ptr_nonnull(strstr(warned,
                                 "1 of 3 class folders have no PNG, JPEG or WebP pictures, for "
                                 "example b; they count as classes"));
    io_put_text(io_path("b/p.png"), "");
    io_put_text(io_path("b/deep/q.jpg"), "");
    io_works(open_warned(io_path(NULL), 3, NULL));
    labels_are((int32_t[]){0, 1, 2}, 3);
    ck_assert_int_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(warned, "2 pictures are left out, lying in folders within class "
                                         "folders: b/deep/q.jpg and others; move"));
}
END_TEST

START_TEST(test_labels_of_no_folders)
{
    char file[600];
    snprintf(file, sizeof file, "%s.txt", io_path(NULL));
    io_put_text(io_path("labels.csv"), "file,label\np.png,0\n");
    io_put_text(file, "folder,label\nn07,3\n");
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_IO,
             "leave that file out where labels.csv has");
    ck_assert_int_eq(unlink(file), 0);
}
END_TEST

START_TEST(test_labels_from)
{
    static const char *const names[] = {"n02", "n07"};
    char file[600];
    snprintf(file, sizeof file, "%s.txt", io_path(NULL));
    put_classes(names, 2);
    io_put_text(file, "folder,label\r\nn07,3\n\nn02,9\n");
    io_works(open_warned(io_path(NULL), 10, file));
    ck_assert_int_eq(warnings, 0);
    labels_are((int32_t[]){9, 3}, 2);
    io_fails(open_warned(io_path(NULL), 9, file), DFQ_E_SHAPE, "label is 9");
    io_put_text(file, "n01 tench, Tinca\nn02 goldfish\nn05\nn07\n");
    io_works(open_warned(io_path(NULL), 10, file));
    labels_are((int32_t[]){1, 3}, 2);
    io_put_text(file, "n01\nn02\n");
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_CORRUPT, "class of folder \"n07\"");
    io_put_text(file, "folder,label\nn07,x\n");
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_CORRUPT, "a whole number");
    io_put_text(file, "folder,label\nn07\n");
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_CORRUPT, "one comma");
    io_put_text(file, "");
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_CORRUPT, "n02");
    io_put_text(io_path("labels.csv"), "file,label\nn02/p.png,0\n"); /* the file given wins */
    io_put_text(file, "file,label\nn07/p.png,4\n");
    io_works(open_warned(io_path(NULL), 10, file));
    labels_are((int32_t[]){4}, 1);
    io_fails(open_warned(file, 10, file), DFQ_E_INVALID, "has labels of its own");
    io_put(file, "n01440764\n\x8E\x03", 12); /* bytes that are no text */
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_CORRUPT,
             "byte 11 is 0x03, which no text file has; give labels as text: the first line");
    io_put(file, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_CORRUPT,
             "it looks like a PNG picture; give labels");
    ck_assert_int_eq(unlink(file), 0);
    io_fails(open_warned(io_path(NULL), 10, file), DFQ_E_IO, "No such file");
}
END_TEST

static void name_classes(const char *text)
{
    dfqi_class_names_release(called);
    called = NULL;
    if (text) io_works(dfqi_class_names_parse(io_ctx, "names", text, strlen(text), 0, &called));
}

START_TEST(test_names_of_classes)
{
    static const char rows[] = "file,label\na.png,goldfish\nb.png,n01\nc.png,2\nd.png,Tinca\n";
    const char *csv = io_path("labels.csv"), *folder = io_path(NULL);
    const char *const pictures[] = {"a.png", "b.png", "c.png", "d.png"};
    for (int i = 0; i < 4; i++) put_picture(pictures[i], 4, 4, i);
    io_put_text(csv, rows);
    io_fails(open_warned(folder, 4, NULL), DFQ_E_CORRUPT,
             "line 2: the label is \"goldfish\", must be a whole number from 0 on, at most "
             "2147483647; where it is the name of a class, give their names by --labels FILE");
    name_classes("[[\"n00\", \"tench, Tinca\"], [\"n01\", \"goldfish\"], \"crane\", \"crane\"]");
    io_works(open_warned(folder, 4, NULL));
    labels_are((int32_t[]){1, 1, 2, 0}, 4);
    io_put_text(csv, "file,label\na.png,crane\n");
    io_fails(open_warned(folder, 4, NULL), DFQ_E_CORRUPT,
             "line 2: the label is \"crane\", which may be class 2 or class 3; give the number");
    io_put_text(csv, "file,label\na.png,Goldfish\n");
    io_fails(open_warned(folder, 4, NULL), DFQ_E_CORRUPT,
             "the label is \"Goldfish\", must be a whole number from 0 on, at most 2147483647, or "
             "the name of a class of the network");
    name_classes("0\n10\n2\n"); /* a number that is the name of another class */
    io_put_text(csv, "file,label\na.png,2\nb.png,0\n");
    io_works(open_warned(folder, 3, NULL));
    labels_are((int32_t[]){2, 0}, 2);
    io_put_text(csv, "file,label\na.png,10\n");
    io_fails(open_warned(folder, 20, NULL), DFQ_E_CORRUPT, "may be class 10 or class 1;");
    name_classes(NULL);
}
END_TEST

START_TEST(test_folders_of_classes)
{
    const char *file = io_path("l.txt"), *folder = io_path(NULL);
    put_classes((const char *[]){"cat", "dog"}, 2);
    name_classes("wolf\ndog\ncat, kitten\n");
    io_works(open_warned(folder, 3, NULL)); /* by name, not by the alphabet */
    ck_assert_int_eq(warnings, 0);
    labels_are((int32_t[]){2, 1}, 2);
    io_put_text(file, "folder,label\ncat,0\ndog,kitten\n");
    io_works(open_warned(folder, 3, file));
    labels_are((int32_t[]){0, 2}, 2);
    io_put_text(file, "folder,label\ncat,0\ndog,hound\n");
    io_fails(open_warned(folder, 3, file), DFQ_E_CORRUPT, "the label is \"hound\"");
    put_classes((const char *[]){"emu"}, 1); /* one folder is no class: the order counts */
    io_works(open_warned(folder, 3, NULL));
    labels_are((int32_t[]){0, 1, 2}, 3);
    name_classes(NULL);
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
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 4, &d), DFQ_E_SHAPE,
             "image 4: label is 4");
    ck_assert_int_eq(truncate(io_path("c.bin"), 3072), 0);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 10, &d), DFQ_E_CORRUPT,
             "not a multiple of");
    ck_assert_int_eq(truncate(io_path("c.bin"), 0), 0);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 10, &d), DFQ_E_CORRUPT, "0 bytes");
    char bad[3073] = {10};
    io_put(io_path("c.bin"), bad, sizeof bad);
    io_fails(dfqi_dataset_open(io_ctx, io_path("c.bin"), 0, &d), DFQ_E_CORRUPT, "must be 0 to 9");
    put_picture("p.png", 9, 9, 7);
    io_fails(dfqi_dataset_open(io_ctx, io_path("p.png"), 0, &d), DFQ_E_CORRUPT, "a PNG picture");
}
END_TEST

/* Labels: coarse i % 20, fine i % 100. */
static void put_cifar100(const char *path, int n)
{
    unsigned char *bytes = malloc((size_t)n * 3074);
    for (int i = 0; i < n; i++) {
        unsigned char *r = bytes + (size_t)i * 3074;
        r[0] = (unsigned char)(i % 20);
        r[1] = (unsigned char)(i % 100);
        for (int k = 0; k < 3072; k++) r[2 + k] = (unsigned char)(i + k / 1024 * 50 + k % 32);
    }
    io_put(path, bytes, (size_t)n * 3074);
    free(bytes);
}

START_TEST(test_cifar100)
{
    dfqi_image im;
    put_cifar100(io_path("c.bin"), 33);
    for (int32_t classes = 0; classes <= 100; classes += 20) {
        if (classes == 40 || classes == 60 || classes == 80) continue;
        io_works(open_warned(io_path("c.bin"), classes, NULL));
        ck_assert_int_eq(dfqi_dataset_get_counts(d).kind, DFQ_DATASET_CIFAR100);
        ck_assert_int_eq(dfqi_dataset_count(d), 33);
        ck_assert_int_eq(dfqi_dataset_label(d, 31), classes == 20 ? 11 : 31);
        io_works(dfqi_dataset_image(d, 31, &im));
        for (int k = 0; k < 3072; k++)
            ck_assert_int_eq(im.rgb[k % 1024 * 3 + k / 1024], 31 + k / 1024 * 50 + k % 32);
        dfqi_image_fini(&im);
        dfqi_dataset_release(d);
    }
    io_fails(open_warned(io_path("c.bin"), 10, NULL), DFQ_E_SHAPE, "image 10: label is 10");
    /* as long as 3074 images of CIFAR-10: the classes tell, or it is told */
    put_cifar100(io_path("c.bin"), 3073);
    io_works(open_warned(io_path("c.bin"), 100, NULL));
    ck_assert_int_eq(dfqi_dataset_count(d), 3073);
    ck_assert_int_eq(warnings, 0);
    dfqi_dataset_release(d);
    put_cifar(io_path("c.bin"), 3074);
    for (int32_t classes = 0; classes <= 10; classes += 10) {
        io_works(open_warned(io_path("c.bin"), classes, NULL));
        ck_assert_int_eq(dfqi_dataset_get_counts(d).kind, DFQ_DATASET_CIFAR10);
        ck_assert_int_eq(warnings, classes == 0);
        dfqi_dataset_release(d);
    }
}
END_TEST

static const dfqi_preprocess plain = {{4, 4}, {0, 0}, DFQI_BICUBIC, {0, 0, 0}, {1, 1, 1}};

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
    io_fails(dfqi_dataset_batch(d, 3, 18, &plain, out), DFQ_E_INVALID, "first is 3 and n is 18");
    io_fails(dfqi_dataset_batch(d, -1, 2, &plain, out), DFQ_E_INVALID, "together at most 20");
    io_fails(dfqi_dataset_batch(d, 0, INT64_MAX, &plain, out), DFQ_E_INVALID,
             "together at most 20");
    dfqi_preprocess p = plain;
    p.size = dfqi_square(0);
    io_fails(dfqi_dataset_batch(d, 0, 1, &p, out), DFQ_E_INVALID, "must be 1 or more");
    p.size = dfqi_square(4);
    p.resize = dfqi_square(8);
    io_works(dfqi_dataset_batch(d, 0, 18, &p, out));
    p.resize = dfqi_square(3);
    io_fails(dfqi_dataset_batch(d, 1, 9, &p, out), DFQ_E_SHAPE,
             "01.png: the picture is 3 x 3 pixels");
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

/* Pictures of which the middle alone is taken count once each, and only without resizing. */
START_TEST(test_cropped)
{
    float out[20 * 48];
    put_batch(); /* of 6 x 5 */
    dfqi_preprocess p = plain;
    p.resize = dfqi_square(4);
    io_works(dfqi_dataset_batch(d, 0, 20, &p, out));
    ck_assert_int_eq(dfqi_dataset_get_counts(d).cropped, 0);
    for (int k = 0; k < 2; k++) io_works(dfqi_dataset_batch(d, 3, 7, &plain, out));
    ck_assert_int_eq(dfqi_dataset_get_counts(d).cropped, 7);
    dfqi_dataset_release(d);
}
END_TEST

/* Pictures that EXIF turns are counted once each. */
START_TEST(test_turned)
{
    static const unsigned char exif[] =
        "\xFF\xE1\0\x22"
        "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0";
    enum { SEGMENT = sizeof exif, SIDE = 8 };
    float out[2 * 3 * SIDE * SIDE];
    dfqi_preprocess p = plain;
    size_t n;
    unsigned char *jpeg = io_get(io_golden("jpeg_420.jpg"), &n), *odd = malloc(n + SEGMENT);
    memcpy(odd, jpeg, 2);
    memcpy(odd + 2, exif, SEGMENT);
    memcpy(odd + 2 + SEGMENT, jpeg + 2, n - 2);
    io_put(io_path("turned.jpg"), odd, n + SEGMENT);
    io_put(io_path("upright.jpg"), jpeg, n);
    io_works(open_csv("file,label\nturned.jpg,0\nupright.jpg,0\n", 1));
    p.size = p.resize = dfqi_square(SIDE);
    for (int k = 0; k < 2; k++) io_works(dfqi_dataset_batch(d, 0, 2, &p, out));
    ck_assert_int_eq(dfqi_dataset_get_counts(d).turned, 1);
    ck_assert_mem_eq(out, out + 3 * SIDE * SIDE, sizeof out / 2);
    dfqi_dataset_release(d);
    free(odd);
    free(jpeg);
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

static dfq_status labelled(dfq_context *ctx, void *arg)
{
    char file[600];
    dfqi_dataset *set;
    snprintf(file, sizeof file, "%s.txt", (const char *)arg);
    DFQI_TRY(dfqi_dataset_open_with(ctx, arg, 3, file, NULL, &set));
    dfqi_dataset_release(set);
    return DFQ_OK;
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
    char labels[600];
    snprintf(labels, sizeof labels, "%s.txt", path);
    io_put_text(labels, "folder,label\nx,2\n");
    io_sweep(labelled, path, 1);
    ck_assert_int_eq(unlink(labels), 0);
}
END_TEST

TCase *dfqt_dataset_case(void)
{
    TCase *tc = io_case("dataset");
    tcase_add_test(tc, test_csv);
    tcase_add_test(tc, test_csv_columns);
    tcase_add_test(tc, test_names_of_classes);
    tcase_add_test(tc, test_folders_of_classes);
    tcase_add_loop_test(tc, test_csv_errors, 0, (int)(sizeof csv_rows / sizeof csv_rows[0]));
    tcase_add_test(tc, test_csv_zero_byte);
    tcase_add_test(tc, test_folders);
    tcase_add_test(tc, test_few_folders);
    tcase_add_test(tc, test_numbered_folders);
    tcase_add_test(tc, test_left_out);
    tcase_add_test(tc, test_empty_and_nested);
    tcase_add_test(tc, test_labels_of_no_folders);
    tcase_add_test(tc, test_labels_from);
    tcase_add_test(tc, test_cifar);
    tcase_add_test(tc, test_cifar100);
    tcase_add_test(tc, test_cropped);
    tcase_add_test(tc, test_turned);
    tcase_add_test(tc, test_batch);
    tcase_add_test(tc, test_first_failure);
    tcase_add_test(tc, test_memory);
    return tc;
}
