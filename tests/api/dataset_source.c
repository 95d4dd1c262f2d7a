/* Data sets of images that the caller has: the same bits as from a file, what is refused, and who
 * may free the images when. */
#include <dfq/dfq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cases.h"
#include "support/fail_alloc.h"

#define OK(call) ck_assert_msg((call) == DFQ_OK, "%s", dfq_context_get_error(ctx))

enum { N = 150, SIDE = 32, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE, CLASSES = 3, SEEN = 24 };

/* How a data set gets its images. */
enum { COPIED, BORROWED, ASKED, WAYS };

static dfq_context *ctx;
static dfq_graph *net;
static dfq_dataset *filed; /* the same images in a file */
static char file[64];
static unsigned char planes[N][IMAGE], pixels[N][IMAGE];
static int32_t labels[N];

static dfq_status make_net(dfq_context *context, dfq_graph **out)
{
    dfq_vit_options o;
    dfq_vit_options_init(&o, sizeof o);
    o.image = SEEN; /* the middle of each image */
    o.patch = 8;
    o.width = 8;
    o.depth = 1;
    o.heads = 2;
    o.hidden = 8;
    o.classes = CLASSES;
    return dfq_graph_create(context, &o, out);
}

static void setup(void)
{
    strcpy(file, "/tmp/dfq-source-XXXXXX");
    int fd = mkstemp(file);
    FILE *f = fdopen(fd, "wb");
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < N; i++) {
        labels[i] = i * 7 % CLASSES;
        for (int k = 0; k < IMAGE; k++) {
            planes[i][k] = (unsigned char)((k * 7 + i * 31 + k / 97 * i) % 251);
            pixels[i][k % PLANE * 3 + k / PLANE] = planes[i][k];
        }
        ck_assert_int_eq(fputc(labels[i], f), labels[i]);
        ck_assert_uint_eq(fwrite(planes[i], 1, IMAGE, f), IMAGE);
    }
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(dfq_context_create(NULL, &ctx), DFQ_OK);
    OK(make_net(ctx, &net));
    OK(dfq_dataset_open(ctx, file, CLASSES, &filed));
}

static void teardown(void)
{
    dfq_dataset_release(filed);
    dfq_graph_release(net);
    dfq_context_release(ctx);
    remove(file);
}

/* -- the caller's side ------------------------------------------------------------------------- */

typedef struct host {
    int32_t layout;
    int64_t fails_at; /* image that cannot be read; -1: none */
    int64_t most;     /* images asked for at a time */
    int32_t calls, released;
} host;

static int32_t read_some(int64_t first, int64_t n, void *images, int32_t *classes, void *user)
{
    host *h = user;
    h->calls++;
    if (images != NULL && n > h->most) h->most = n;
    if (h->fails_at >= first && h->fails_at < first + n) return 17;
    if (images != NULL)
        memcpy(images, h->layout == DFQ_PIXELS_U8_NHWC ? pixels[first] : planes[first],
               (size_t)n * IMAGE);
    if (classes != NULL) memcpy(classes, labels + first, (size_t)n * sizeof *classes);
    return 0;
}

static void release(void *user)
{
    host *h = user;
    h->released++;
}

static dfq_dataset_source source_of(int way, host *h)
{
    dfq_dataset_source s = {.struct_size = sizeof s,
                            .pixels = h->layout,
                            .count = N,
                            .height = SIDE,
                            .width = SIDE,
                            .classes = CLASSES,
                            .user = h};
    if (way == ASKED) {
        s.read = read_some;
    } else {
        s.images = h->layout == DFQ_PIXELS_U8_NHWC ? pixels : planes;
        s.labels = labels;
        s.borrow = way == BORROWED;
    }
    if (way != COPIED) s.release = release;
    return s;
}

/* -- the same images --------------------------------------------------------------------------- */

static void same_batch(const dfq_dataset *a, const dfq_dataset *b, int64_t first, int64_t n)
{
    dfq_tensor *x, *y;
    OK(dfq_dataset_get_batch(a, net, first, n, &x));
    OK(dfq_dataset_get_batch(b, net, first, n, &y));
    ck_assert_uint_eq(dfq_tensor_get_bytes(x), (size_t)n * 3 * SEEN * SEEN * sizeof(float));
    ck_assert_mem_eq(dfq_tensor_get_data(x), dfq_tensor_get_data(y), dfq_tensor_get_bytes(x));
    dfq_tensor_release(x);
    dfq_tensor_release(y);
}

static void same_accuracy(const dfq_dataset *a, const dfq_dataset *b)
{
    dfq_accuracy x = {.struct_size = sizeof x}, y = {.struct_size = sizeof y};
    OK(dfq_graph_evaluate(net, a, 3, 0, &x));
    OK(dfq_graph_evaluate(net, b, 3, 0, &y));
    ck_assert_int_eq(x.n, N - 3);
    ck_assert_int_gt(x.correct, 0);
    ck_assert_int_eq(x.correct, y.correct);
}

START_TEST(test_the_same_as_from_a_file)
{
    const int way = _i % WAYS;
    host h = {.layout = _i / WAYS ? DFQ_PIXELS_U8_NCHW : DFQ_PIXELS_U8_NHWC, .fails_at = -1};
    dfq_dataset_source s = source_of(way, &h);
    dfq_dataset_info info = {.struct_size = sizeof info};
    dfq_dataset *d;
    OK(dfq_dataset_create(ctx, &s, &d));
    if (way == COPIED) {
        memset(pixels, 0, sizeof pixels);
        memset(planes, 0, sizeof planes);
    }
    memset(labels, way == ASKED ? 0 : -1, sizeof labels); /* were read */
    ck_assert_int_eq(dfq_dataset_get_count(d), N);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(dfq_dataset_get_label(d, i), dfq_dataset_get_label(filed, i));
    same_batch(d, filed, 0, N);
    same_batch(d, filed, N - 1, 1);
    same_batch(d, filed, 13, 100);
    same_accuracy(d, filed);
    OK(dfq_dataset_get_info(d, &info));
    ck_assert_int_eq(info.kind, way == ASKED ? DFQ_DATASET_CALLBACK : DFQ_DATASET_MEMORY);
    ck_assert(info.count == N && info.folders == 0 && info.cropped == 0 && info.turned == 0);
    ck_assert(h.most <= 64 && (h.calls > 0) == (way == ASKED));
    dfq_dataset_release(d);
    ck_assert_int_eq(h.released, way != COPIED);
}
END_TEST

/* Floats are the network's own input: what a batch of the file holds gives it back. */
START_TEST(test_floats)
{
    dfq_tensor *x;
    dfq_dataset *d;
    OK(dfq_dataset_get_batch(filed, net, 0, N, &x));
    dfq_dataset_source s = {.struct_size = sizeof s,
                            .pixels = DFQ_PIXELS_F32_NCHW,
                            .count = N,
                            .height = SEEN,
                            .width = SEEN,
                            .images = dfq_tensor_get_data(x),
                            .labels = labels,
                            .name = "my floats"};
    OK(dfq_dataset_create(ctx, &s, &d));
    dfq_tensor_release(x);
    same_batch(d, filed, 0, N);
    same_accuracy(d, filed);
    dfq_dataset_release(d);
    static float zeros[2 * 3 * 8 * 8];
    s.count = 2;
    s.height = s.width = 8;
    s.images = zeros;
    OK(dfq_dataset_create(ctx, &s, &d));
    x = NULL;
    ck_assert_int_eq(dfq_dataset_get_batch(d, net, 0, 1, &x), DFQ_E_SHAPE);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(ctx), "my floats: images of floats are 8 x 8"));
    ck_assert_ptr_null(x);
    dfq_dataset_release(d);
}
END_TEST

/* -- life -------------------------------------------------------------------------------------- */

/* A set of images keeps what it reads from. */
START_TEST(test_sets_of_images)
{
    host h = {.layout = DFQ_PIXELS_U8_NHWC, .fails_at = -1};
    dfq_dataset_source s = source_of(_i, &h);
    dfq_dataset *d;
    dfq_image_set *set;
    dfq_tensor *x, *y, *want;
    OK(dfq_dataset_create(ctx, &s, &d));
    OK(dfq_image_set_create_from_dataset(net, d, 70, NULL, &set));
    dfq_dataset_release(d);
    ck_assert_int_eq(h.released, 0);
    ck_assert_int_eq(dfq_image_set_get_count(set), 70);
    OK(dfq_image_set_read(set, 50, 20, &x, &y));
    OK(dfq_dataset_get_batch(filed, net, 50, 20, &want));
    ck_assert_mem_eq(dfq_tensor_get_data(x), dfq_tensor_get_data(want), dfq_tensor_get_bytes(x));
    ck_assert_mem_eq(dfq_tensor_get_data(y), labels + 50, 20 * sizeof *labels);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_tensor_release(want);
    dfq_image_set_release(set);
    ck_assert_int_eq(h.released, _i != COPIED);
}
END_TEST

START_TEST(test_read_fails)
{
    host h = {.layout = DFQ_PIXELS_U8_NHWC, .fails_at = 90};
    dfq_dataset_source s = source_of(ASKED, &h);
    dfq_accuracy a = {.struct_size = sizeof a};
    dfq_dataset *d = NULL;
    dfq_tensor *x = NULL;
    s.name = "my server";
    ck_assert_int_eq(dfq_dataset_create(ctx, &s, &d), DFQ_E_IO);
    ck_assert(d == NULL && h.released == 0);
    h.fails_at = -1;
    OK(dfq_dataset_create(ctx, &s, &d));
    h.fails_at = 90;
    OK(dfq_dataset_get_batch(d, net, 0, 60, &x));
    dfq_tensor_release(x);
    x = NULL;
    ck_assert_int_eq(dfq_dataset_get_batch(d, net, 60, 60, &x), DFQ_E_IO);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx),
                                 "cannot read my server: the source's function returned"));
    ck_assert_ptr_null(x);
    ck_assert_int_eq(dfq_graph_evaluate(net, d, 0, 0, &a), DFQ_E_IO);
    dfq_dataset_release(d);
    ck_assert_int_eq(h.released, 1);
    labels[4] = -1; /* as a read that leaves one out */
    h.fails_at = -1;
    ck_assert_int_eq(dfq_dataset_create(ctx, &s, &d), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "my server, image 4: label is -1"));
}
END_TEST

typedef struct row {
    dfq_status status;
    const char *word;
    void (*change)(dfq_dataset_source *s);
} row;

static void no_size(dfq_dataset_source *s)
{
    s->struct_size = 0;
}
static void layout_3(dfq_dataset_source *s)
{
    s->pixels = 3;
}
static void layout_minus(dfq_dataset_source *s)
{
    s->pixels = -1;
}
static void none(dfq_dataset_source *s)
{
    s->count = 0;
}
static void too_many(dfq_dataset_source *s)
{
    s->count = INT64_MAX;
}
static void flat(dfq_dataset_source *s)
{
    s->height = 0;
}
static void too_wide(dfq_dataset_source *s)
{
    s->width = 16385;
}
static void too_large(dfq_dataset_source *s)
{
    s->height = s->width = 16384;
}
static void no_images(dfq_dataset_source *s)
{
    s->images = NULL;
}
static void both(dfq_dataset_source *s)
{
    s->read = read_some;
}
static void no_labels(dfq_dataset_source *s)
{
    s->labels = NULL;
}
static void lost_release(dfq_dataset_source *s)
{
    s->borrow = 0;
    s->release = release;
}
static void no_loan(dfq_dataset_source *s)
{
    s->images = NULL;
    s->read = read_some;
    s->borrow = 1;
}
static void few_classes(dfq_dataset_source *s)
{
    s->classes = 2;
}

START_TEST(test_refused)
{
    static const row rows[] = {{DFQ_E_INVALID, "struct_size", no_size},
                               {DFQ_E_INVALID, "pixels is 3", layout_3},
                               {DFQ_E_INVALID, "pixels is -1", layout_minus},
                               {DFQ_E_INVALID, "0 images", none},
                               {DFQ_E_INVALID, "too large to be addressed", too_many},
                               {DFQ_E_INVALID, "0 x 32", flat},
                               {DFQ_E_INVALID, "32 x 16385", too_wide},
                               {DFQ_E_INVALID, "16384 x 16384", too_large},
                               {DFQ_E_INVALID, "images and read are both NULL", no_images},
                               {DFQ_E_INVALID, "images and read are both set", both},
                               {DFQ_E_INVALID, "labels is NULL", no_labels},
                               {DFQ_E_INVALID, "release is set", lost_release},
                               {DFQ_E_INVALID, "borrow is set", no_loan},
                               {DFQ_E_SHAPE, "memory, image 2: label is 2", few_classes}};
    host h = {.layout = DFQ_PIXELS_U8_NHWC, .fails_at = -1};
    dfq_dataset *d = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dfq_dataset_source s = source_of(BORROWED, &h);
        rows[i].change(&s);
        dfq_status status = dfq_dataset_create(ctx, &s, &d);
        ck_assert_msg(status == rows[i].status && strstr(dfq_context_get_error(ctx), rows[i].word),
                      "%s: %d, %s", rows[i].word, (int)status, dfq_context_get_error(ctx));
    }
    ck_assert(d == NULL && h.released == 0);
    ck_assert_int_eq(dfq_dataset_create(ctx, NULL, &d), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_dataset_create(NULL, NULL, &d), DFQ_E_INVALID);
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------ */

static dfq_status life(dfq_context *context, void *arg)
{
    const int way = *(const int *)arg;
    host h = {.layout = DFQ_PIXELS_U8_NCHW, .fails_at = -1};
    dfq_dataset_source s = source_of(way, &h);
    dfq_dataset *d = NULL;
    dfq_graph *g = NULL;
    dfq_tensor *x = NULL;
    dfq_status status = make_net(context, &g);
    s.count = 70;
    if (status == DFQ_OK) status = dfq_dataset_create(context, &s, &d);
    int created = d != NULL;
    if (status == DFQ_OK) status = dfq_dataset_get_batch(d, g, 0, 70, &x);
    dfq_tensor_release(x);
    dfq_dataset_release(d);
    dfq_graph_release(g);
    ck_assert_int_eq(h.released, created && way != COPIED);
    return status;
}

START_TEST(test_each_allocation_can_fail)
{
    int way = _i;
    fail_alloc_sweep(life, &way, 1);
}
END_TEST

TCase *dfqt_api_dataset_source_case(void)
{
    TCase *c = tcase_create("dataset_source");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, test_the_same_as_from_a_file, 0, 2 * WAYS);
    tcase_add_test(c, test_floats);
    tcase_add_loop_test(c, test_sets_of_images, 0, WAYS);
    tcase_add_test(c, test_read_fails);
    tcase_add_test(c, test_refused);
    tcase_add_loop_test(c, test_each_allocation_can_fail, 0, WAYS);
    return c;
}
