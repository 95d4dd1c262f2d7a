/* Images in all layouts, of other libraries, from files; and what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "io/image.h"
#include "runtime/cases.h"
#include "tensor/dlpack.h"

enum { IMAGES = 3 };

static dfq_context *ctx;
static dfq_graph *g;
static dfq_runtime *rt;
static int64_t side, classes;
static uint8_t last[IMAGES * 32 * 32 * 3], first[IMAGES * 3 * 32 * 32];
static float flast[IMAGES * 32 * 32 * 3], ffirst[IMAGES * 3 * 32 * 32];
static float want[IMAGES * 1000], logits[IMAGES * 1000];

/* Random bytes, and the same images in the other forms. */
static void fill(void)
{
    dfqi_rng r = dfqi_rng_make(9, 1);
    for (int64_t i = 0; i < IMAGES; i++)
        for (int64_t p = 0; p < side * side; p++)
            for (int c = 0; c < 3; c++) {
                int64_t l = (i * side * side + p) * 3 + c, f = (i * 3 + c) * side * side + p;
                last[l] = first[f] = (uint8_t)dfqi_rng_range(&r, 0.0f, 255.9f);
                flast[l] = ffirst[f] =
                    ((float)last[l] / 255.0f - g->net.arch.mean[c]) / g->net.arch.std[c];
            }
}

static void start(int family)
{
    ctx = dfqt_context(2);
    g = dfqt_family(ctx, family);
    side = g->net.arch.image.height;
    classes = g->net.arch.classes;
    rt = dfqt_runtime(g, IMAGES, 0, NULL);
    fill();
    dfq_tensor *x, *z;
    OK(ctx, dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){IMAGES, 3, side, side}, &x));
    memcpy(x->data, ffirst, (size_t)(IMAGES * 3 * side * side) * sizeof(float));
    z = dfqt_forward(g, x);
    memcpy(want, z->data, (size_t)(IMAGES * classes) * sizeof(float));
    dfqi_tensor_release(x);
    dfqi_tensor_release(z);
}

static void stop(void)
{
    dfq_runtime_release(rt);
    dfqi_model_release(g);
    dfqi_context_release(ctx);
}

static void check(const char *what)
{
    ck_assert_msg(memcmp(logits, want, (size_t)(IMAGES * classes) * sizeof(float)) == 0, "%s",
                  what);
    memset(logits, 0, sizeof logits);
}

/* A transformer and a CNN. */
START_TEST(test_layouts)
{
    const void *const data[4] = {last, first, ffirst, flast};
    start(_i);
    for (int32_t pixels = DFQ_PIXELS_U8_NHWC; pixels <= DFQ_PIXELS_F32_NHWC; pixels++) {
        dfq_runtime_input in;
        dfq_runtime_input_init(&in, sizeof in, rt);
        in.pixels = pixels;
        in.data = data[pixels];
        in.n = IMAGES;
        OK(ctx, dfq_runtime_run(rt, &in, logits, IMAGES * classes));
        check((const char *[]){"bytes last", "bytes first", "floats first", "floats last"}[pixels]);
    }
    stop();
}
END_TEST

/* A runtime that nobody gives logits has them. */
START_TEST(test_logits_are_an_output)
{
    dfq_runtime_output out = {.struct_size = sizeof out};
    dfq_runtime_input in;
    start(DFQI_FAMILY_VIT);
    dfq_runtime_input_init(&in, sizeof in, rt);
    in.data = last;
    in.n = 2;
    OK(ctx, dfq_runtime_get_output(rt, 0, &out));
    ck_assert(out.rank == 2 && out.dims[0] == 0 && out.dims[1] == classes);
    OK(ctx, dfq_runtime_run(rt, &in, NULL, 0));
    OK(ctx, dfq_runtime_get_output(rt, 0, &out));
    ck_assert_str_eq(out.name, "logits");
    ck_assert_int_eq(out.dims[0], 2);
    ck_assert(memcmp(out.data, want, (size_t)(2 * classes) * sizeof(float)) == 0);
    stop();
}
END_TEST

/* -- DLPack ------------------------------------------------------------------------------------ */

static struct DLManagedTensorVersioned dl;
static int64_t shape[4], strides[4];

static void dl_make(void *data, int bytes, const int64_t dims[4], const int64_t steps[4])
{
    memset(&dl, 0, sizeof dl);
    memcpy(shape, dims, sizeof shape);
    dl.major = 1;
    dl.dl_tensor = (dfqi_dl_tensor){.data = data,
                                    .device_type = DFQI_DL_CPU,
                                    .ndim = 4,
                                    .code = bytes ? DFQI_DL_UINT : DFQI_DL_FLOAT,
                                    .bits = bytes ? 8 : 32,
                                    .lanes = 1,
                                    .shape = shape,
                                    .strides = steps ? strides : NULL};
    if (steps) memcpy(strides, steps, sizeof strides);
}

START_TEST(test_dlpack)
{
    start(_i);
    const int64_t nchw[4] = {IMAGES, 3, side, side}, nhwc[4] = {IMAGES, side, side, 3};
    const int64_t turned[4] = {side * side * 3, 1, side * 3, 3};
    dl_make(ffirst, 0, nchw, NULL);
    OK(ctx, dfq_runtime_run_dlpack(rt, &dl, 0, logits, IMAGES * classes));
    check("floats");
    dl_make(last, 1, nhwc, NULL);
    OK(ctx, dfq_runtime_run_dlpack(rt, &dl, 1, logits, IMAGES * classes));
    check("bytes, channels last");
    dl_make(last, 1, nchw, turned); /* a view with channels first of images with channels last */
    OK(ctx, dfq_runtime_run_dlpack(rt, &dl, 0, logits, IMAGES * classes));
    check("bytes, turned around");
    stop();
}
END_TEST

static void refused(dfq_status have, dfq_status status, const char *words)
{
    ck_assert_int_eq(have, status);
    ck_assert_msg(strstr(ctx->error, words) != NULL, "%s", ctx->error);
    for (int64_t i = 0; i < IMAGES * classes; i++) ck_assert(logits[i] == 0.0f);
}

START_TEST(test_dlpack_refused)
{
    start(DFQI_FAMILY_VIT);
    const int64_t room = IMAGES * classes, good[4] = {IMAGES, 3, side, side};
    const int64_t small[4] = {IMAGES, 3, side, side - 1};
    dl_make(ffirst, 0, small, NULL);
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_SHAPE, "pixels, must have");
    dl_make(ffirst, 0, good, NULL);
    refused(dfq_runtime_run_dlpack(rt, &dl, 1, logits, room), DFQ_E_SHAPE, "channels");
    dl.dl_tensor.ndim = 3;
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_SHAPE, "rank 3, must have 4");
    dl_make((char *)ffirst + 1, 0, good, NULL);
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_INVALID, "multiple of 4");
    dl_make(NULL, 0, good, NULL);
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_INVALID, "address 0");
    dl_make(ffirst, 0, good, NULL);
    dl.dl_tensor.bits = 16;
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_UNSUPPORTED, "F16");
    dl.dl_tensor.device_type = 2;
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_UNSUPPORTED, "device");
    dl.major = 2;
    refused(dfq_runtime_run_dlpack(rt, &dl, 0, logits, room), DFQ_E_UNSUPPORTED, "2.0");
    refused(dfq_runtime_run_dlpack(rt, NULL, 0, logits, room), DFQ_E_INVALID, "NULL");
    stop();
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------- */

START_TEST(test_run_refused)
{
    dfq_runtime_input in;
    start(DFQI_FAMILY_RESNET);
    const int64_t room = IMAGES * classes;
    dfq_runtime_input_init(&in, sizeof in, rt);
    in.data = last;
    for (int k = 0; k < 3; k++) {
        in.n = (int64_t[]){0, -1, IMAGES + 1}[k];
        refused(dfq_runtime_run(rt, &in, logits, room), DFQ_E_SHAPE, "must be 1 to 3");
    }
    in.n = INT64_MAX;
    refused(dfq_runtime_run(rt, &in, logits, room), DFQ_E_SHAPE, "must be 1 to 3");
    in.n = IMAGES;
    refused(dfq_runtime_run(rt, &in, logits, room - 1), DFQ_E_SHAPE, "must have 9 for 3");
    for (int k = 0; k < 3; k++) {
        dfq_runtime_input bad = in;
        *(int64_t *[]){&bad.height, &bad.width, &bad.channels}[k] += 1;
        refused(dfq_runtime_run(rt, &bad, logits, room), DFQ_E_SHAPE, "resize");
    }
    in.pixels = 4;
    refused(dfq_runtime_run(rt, &in, logits, room), DFQ_E_INVALID, "pixels is 4");
    in.pixels = 0;
    in.data = NULL;
    refused(dfq_runtime_run(rt, &in, logits, room), DFQ_E_INVALID, "data is NULL");
    in.struct_size = 0;
    refused(dfq_runtime_run(rt, &in, logits, room), DFQ_E_INVALID, "init");
    refused(dfq_runtime_run(rt, NULL, logits, room), DFQ_E_INVALID, "NULL");
    ck_assert_int_eq(dfq_runtime_run(NULL, &in, logits, room), DFQ_E_INVALID);
    stop();
}
END_TEST

START_TEST(test_create_refused)
{
    dfq_runtime *out = NULL;
    const char *const probes[2] = {"blocks.0", "blocks.9"};
    dfq_runtime_options o;
    start(DFQI_FAMILY_VIT);
    dfq_runtime_options_init(&o, sizeof o);
    o.batch = -1;
    refused(dfq_runtime_create(g, &o, &out), DFQ_E_INVALID, "batch is -1, must be 1 to 65536");
    o.batch = 65537;
    refused(dfq_runtime_create(g, &o, &out), DFQ_E_INVALID, "batch is 65537");
    o.batch = 1;
    o.n_probes = 2;
    refused(dfq_runtime_create(g, &o, &out), DFQ_E_INVALID, "probes is NULL");
    o.probes = probes;
    refused(dfq_runtime_create(g, &o, &out), DFQ_E_INVALID, "no probe \"blocks.9\"");
    o.n_probes = -1;
    refused(dfq_runtime_create(g, &o, &out), DFQ_E_INVALID, "n_probes is -1");
    refused(dfq_runtime_create(g, NULL, NULL), DFQ_E_INVALID, "NULL");
    ck_assert_int_eq(dfq_runtime_create(NULL, NULL, &out), DFQ_E_INVALID);
    refused(dfq_runtime_load(ctx, "/nowhere/net", NULL, NULL, &out), DFQ_E_IO, "/nowhere/net");
    refused(dfq_runtime_clone(NULL, ctx, &out), DFQ_E_INVALID, "NULL");
    ck_assert_int_eq(dfq_runtime_clone(rt, NULL, &out), DFQ_E_INVALID);
    ck_assert_ptr_null(out);
    stop();
}
END_TEST

/* -- files ------------------------------------------------------------------------------------- */

START_TEST(test_picture)
{
    char folder[] = "/tmp/dfq_runtime_XXXXXX", name[64];
    dfqi_image im, fitted;
    start(DFQI_FAMILY_VIT);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/a.png", folder);
    OK(ctx, dfqi_image_new(ctx, 23, 17, &im));
    for (int i = 0; i < 23 * 17 * 3; i++) im.rgb[i] = (uint8_t)(i * 7);
    OK(ctx, dfqi_image_write_png(ctx, name, &im, NULL));
    const dfqi_arch *a = &g->net.arch;
    OK(ctx, dfqi_image_fit(&im, a->resize, a->image, a->filter, &fitted));
    static uint8_t rgb[32 * 32 * 3];
    const size_t room = (size_t)(side * side * 3);
    OK(ctx, dfq_runtime_read_picture(rt, name, rgb, room));
    ck_assert(memcmp(rgb, fitted.rgb, room) == 0);
    refused(dfq_runtime_read_picture(rt, name, rgb, room - 1), DFQ_E_SHAPE, "room");
    ck_assert_int_eq(truncate(name, 40), 0);
    refused(dfq_runtime_read_picture(rt, name, rgb, room), DFQ_E_CORRUPT, name);
    refused(dfq_runtime_read_picture(rt, folder, rgb, room), DFQ_E_IO, folder);
    refused(dfq_runtime_read_picture(rt, NULL, rgb, room), DFQ_E_INVALID, "NULL");
    refused(dfq_runtime_read_picture(rt, name, NULL, room), DFQ_E_INVALID, "NULL");
    dfqi_image_fini(&im);
    dfqi_image_fini(&fitted);
    unlink(name);
    rmdir(folder);
    stop();
}
END_TEST

TCase *dfqt_input_case(void)
{
    TCase *c = tcase_create("input");
    tcase_add_loop_test(c, test_layouts, DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET + 1);
    tcase_add_test(c, test_logits_are_an_output);
    tcase_add_loop_test(c, test_dlpack, DFQI_FAMILY_VIT, DFQI_FAMILY_RESNET + 1);
    tcase_add_test(c, test_dlpack_refused);
    tcase_add_test(c, test_run_refused);
    tcase_add_test(c, test_create_refused);
    tcase_add_test(c, test_picture);
    return c;
}
