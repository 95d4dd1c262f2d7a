/* Finished images in a file without a name: the same bits, files and checkpoints as from memory. */
#define _XOPEN_SOURCE 700
#include <dfq/dfq.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/memory.h"
#include "io/file.h"
#include "support/fail_alloc.h"
#include "synth/cases.h"

static char folder[64];

static void setup(void)
{
    dfqt_folder(folder);
}

static void teardown(void)
{
    dfqt_remove(folder);
}

static const char *inside(const char *name)
{
    static char path[2][160];
    static int at;
    at = !at;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

static int files(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    ck_assert_ptr_nonnull(d);
    while (readdir(d)) n++;
    closedir(d);
    return n - 2;
}

static void check_same_file(dfq_context *ctx, const char *a, const char *b)
{
    unsigned char *x, *y;
    size_t n, m;
    ck_assert_int_eq(dfqi_file_read(ctx, a, 1 << 24, &x, &n), DFQ_OK);
    ck_assert_int_eq(dfqi_file_read(ctx, b, 1 << 24, &y, &m), DFQ_OK);
    ck_assert(n == m && memcmp(x, y, n) == 0);
    dfqi_free(ctx, x);
    dfqi_free(ctx, y);
}

/* Two jobs of kind _i side by side, the second with a spool; each goes on from the other's
 * checkpoint. */
START_TEST(test_the_same_as_from_memory)
{
    static const dfqi_synth_kind kinds[] = {DFQI_SYNTH_ATTENTION, DFQI_SYNTH_NOISE, DFQI_SYNTH_GDFQ,
                                            DFQI_SYNTH_LEAVES};
    dfq_context *ctx = dfqt_context(2);
    dfqi_synth_options o = dfqt_options();
    dfqi_model *m;
    dfqi_synth *s[2], *next[2];
    int32_t finished;
    o.kind = kinds[_i];
    ck_assert_int_eq(_i == 2 ? dfqt_random_cnn(ctx, &m) : dfqt_random_model(ctx, &m), DFQ_OK);
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(dfqi_synth_new(m, &o, &s[k]), DFQ_OK);
        ck_assert_int_eq(dfqi_synth_new(m, &o, &next[k]), DFQ_OK);
    }
    ck_assert_int_eq(dfqi_synth_spool(s[1], folder), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_spool(next[0], folder), DFQ_OK);
    int64_t stop = dfqi_synth_units(s[0]) - (_i == 0 ? 7 : 1); /* a batch at least is finished */
    for (int k = 0; k < 2; k++) {
        while (dfqi_synth_done(s[k]) < stop)
            ck_assert_int_eq(dfqi_synth_step(s[k], &finished), DFQ_OK);
        ck_assert_int_gt(dfqi_synth_finished(s[k]), 0);
        ck_assert_int_eq(dfqi_synth_save(s[k], inside(k ? "b.st" : "a.st")), DFQ_OK);
        ck_assert_msg(dfqi_synth_restore(next[k], inside(k ? "b.st" : "a.st")) == DFQ_OK, "%s",
                      ctx->error);
    }
    check_same_file(ctx, inside("a.st"), inside("b.st"));
    for (int k = 0; k < 2; k++) {
        dfq_tensor *x[2], *y[2];
        ck_assert_int_eq(dfqi_synth_run(s[k]), DFQ_OK);
        ck_assert_int_eq(dfqi_synth_run(next[k]), DFQ_OK);
        ck_assert_int_eq(dfqi_synth_images(s[k], &x[0], &y[0]), DFQ_OK);
        ck_assert_int_eq(dfqi_synth_images(next[k], &x[1], &y[1]), DFQ_OK);
        ck_assert_int_eq(x[1]->dims[0], DFQT_IMAGES);
        ck_assert_mem_eq(x[0]->data, x[1]->data, (size_t)dfqi_tensor_count(x[0]) * sizeof(float));
        ck_assert_mem_eq(y[0]->data, y[1]->data, DFQT_IMAGES * sizeof(int32_t));
        for (int i = 0; i < 2; i++) {
            dfqi_tensor_release(x[i]);
            dfqi_tensor_release(y[i]);
        }
        dfqi_synth_release(s[k]);
        dfqi_synth_release(next[k]);
    }
    ck_assert_int_eq(files(), 4); /* the two checkpoints with their images */
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Through the public header: a set on disk, and a set that outlives the job. */
START_TEST(test_sets)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m;
    dfq_synthesizer *g[2];
    dfq_synthesizer_options o;
    dfq_image_set *set = NULL;
    dfq_tensor *x, *y, *want, *want_y;
    char sub[2][128];
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    dfq_synthesizer_options_init(&o, sizeof o, DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, NULL);
    o.images = DFQT_IMAGES;
    o.batch = 2;
    o.iterations = 2;
    for (int k = 0; k < 2; k++) {
        snprintf(sub[k], sizeof sub[k], "%s/%d", folder, k);
        ck_assert_int_eq(dfq_synthesizer_create(m, &o, &g[k]), DFQ_OK);
        if (k) ck_assert_int_eq(dfq_synthesizer_spool(g[k], folder), DFQ_OK);
        ck_assert_int_eq(dfq_synthesizer_get_set(g[k], &set), DFQ_E_INVALID);
        ck_assert_int_eq(dfq_synthesizer_run(g[k]), DFQ_OK);
        ck_assert_msg(dfq_synthesizer_save(g[k], sub[k], 0) == DFQ_OK, "%s", ctx->error);
    }
    static const char *const names[] = {"images.safetensors", "labels.csv", "contact.png",
                                        "00000.png", "00004.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char a[160], b[160];
        snprintf(a, sizeof a, "%s/%s", sub[0], names[i]);
        snprintf(b, sizeof b, "%s/%s", sub[1], names[i]);
        check_same_file(ctx, a, b);
    }
    ck_assert_int_eq(dfq_synthesizer_get_set(g[0], &set), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_get_set(g[1], &set), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_spool(g[1], folder), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_synthesizer_get_images(g[0], &want), DFQ_OK);
    ck_assert_int_eq(dfq_synthesizer_get_labels(g[0], &want_y), DFQ_OK);
    dfq_synthesizer_release(g[0]);
    dfq_synthesizer_release(g[1]);
    ck_assert_int_eq(dfq_image_set_get_count(set), DFQT_IMAGES);
    ck_assert_int_eq(dfq_image_set_read(set, 0, DFQT_IMAGES, &x, &y), DFQ_OK);
    ck_assert_mem_eq(x->data, want->data, DFQT_IMAGES * DFQT_PIXELS * sizeof(float));
    ck_assert_mem_eq(y->data, want_y->data, DFQT_IMAGES * sizeof(int32_t));
    dfq_image_set_release(set);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_tensor_release(want);
    dfqi_tensor_release(want_y);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
    dfqt_remove(sub[0]);
    dfqt_remove(sub[1]);
}
END_TEST

/* -- no room ----------------------------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
    struct rlimit r = {bytes, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* Before the work; or in the middle of it, and then the job goes on to the same bits. */
START_TEST(test_no_room)
{
    static float want[DFQT_IMAGES * DFQT_PIXELS];
    int32_t want_y[DFQT_IMAGES], finished = 0;
    dfqi_synth_options o = dfqt_options();
    dfq_context *ctx = dfqt_context(1);
    dfq_status status = DFQ_OK;
    dfq_tensor *x, *y;
    dfqi_model *m;
    dfqi_synth *s;
    dfqt_make(&o, 1, want, want_y);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(dfqi_synth_spool(s, inside("nowhere")), DFQ_E_IO);
    ck_assert_ptr_nonnull(strstr(ctx->error, "nowhere/.dfq-images-"));
    limit_files(1000);
    ck_assert_int_eq(dfqi_synth_spool(s, folder), DFQ_E_IO);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(dfqi_synth_spool(s, folder), DFQ_OK);
    limit_files(2 * DFQT_PIXELS * sizeof(float)); /* the first batch */
    while (status == DFQ_OK && !finished) status = dfqi_synth_step(s, &finished);
    ck_assert_int_eq(status, DFQ_E_IO);
    ck_assert_int_eq(dfqi_synth_finished(s), 2);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    ck_assert_mem_eq(x->data, want, sizeof want);
    ck_assert_int_eq(files(), 0);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------ */

/* A job from a checkpoint of its own to a set on disk. */
static dfq_status life(dfq_context *ctx, void *arg)
{
    int64_t n = *(int64_t *)arg;
    dfqi_synth_options o = dfqt_options();
    dfqi_images images;
    dfq_tensor shape, labels;
    dfqi_imageset *set = NULL;
    dfqi_synth *s = NULL, *next = NULL;
    dfqi_model *m;
    dfq_status status;
    o.kind = DFQI_SYNTH_NOISE;
    o.images = n;
    DFQI_TRY(dfqt_random_model(ctx, &m));
    DFQI_GOTO(dfqi_synth_new(m, &o, &s), out);
    DFQI_GOTO(dfqi_synth_spool(s, folder), out);
    int32_t finished = 0;
    while (dfqi_synth_finished(s) < n - 2) DFQI_GOTO(dfqi_synth_step(s, &finished), out);
    DFQI_GOTO(dfqi_synth_save(s, inside("a.st")), out);
    DFQI_GOTO(dfqi_synth_new(m, &o, &next), out);
    DFQI_GOTO(dfqi_synth_spool(next, folder), out);
    DFQI_GOTO(dfqi_synth_restore(next, inside("a.st")), out);
    DFQI_GOTO(dfqi_synth_run(next), out);
    DFQI_GOTO(dfqi_synth_finished_images(next, &images, &shape, &labels), out);
    DFQI_GOTO(dfqi_imageset_save_from(m, &images, &shape, &labels, folder, 1), out);
    status = dfqi_synth_set(next, &set);
out:
    dfqi_imageset_release(set);
    dfqi_synth_release(s);
    dfqi_synth_release(next);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_each_allocation_can_fail)
{
    int64_t n = 4;
    fail_alloc_sweep(life, &n, 1);
}
END_TEST

static int64_t peak_of(int64_t n)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o;
    dfq_context *ctx;
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_msg(life(ctx, &n) == DFQ_OK, "%s", ctx->error);
    dfq_context_release(ctx);
    return fa.peak_bytes;
}

START_TEST(test_memory_does_not_grow_with_images)
{
    /* 256 at least: of so many there is a picture */
    int64_t few = peak_of(260), many = peak_of(560);
    int64_t more = 300 * DFQT_PIXELS * (int64_t)sizeof(float);
    ck_assert_msg(many - few < more / 20, "%d bytes for 260 images, %d for 560", (int)few,
                  (int)many);
}
END_TEST

TCase *dfqt_spool_case(void)
{
    TCase *t = tcase_create("spool");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_the_same_as_from_memory, 0, 4);
    tcase_add_test(t, test_sets);
    tcase_add_test(t, test_no_room);
    tcase_add_test(t, test_each_allocation_can_fail);
    tcase_add_test(t, test_memory_does_not_grow_with_images);
    return t;
}
