/* Whole trainings: the order of images, stopping and going on, what they cost. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fail_alloc.h"
#include "train/cases.h"

enum { STEPS = 12, IMAGES = 2 * DFQT_BATCH };

static char folder[32], path[64];

static void setup(void)
{
    strcpy(folder, "/tmp/dfq_run_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/checkpoint", folder);
}

static void teardown(void)
{
    remove(path);
    rmdir(folder);
}

/* Asks a job to stop after `stop` steps. */
typedef struct watch {
    uint64_t stop, seen;
} watch;

static int32_t on_progress(const dfq_progress *p, void *user)
{
    watch *w = user;
    ck_assert_str_eq(p->stage, "train");
    ck_assert(isfinite(p->loss));
    w->seen++;
    return p->done == w->stop;
}

static dfq_context *watched(int32_t threads, watch *w)
{
    dfq_context_options o;
    dfq_context *ctx;
    dfq_context_options_init(&o, sizeof o);
    o.threads = threads;
    o.progress = on_progress;
    o.progress_user = w;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    return ctx;
}

static dfq_trainer_options options(void)
{
    dfq_trainer_options o = dfqt_trainer();
    o.steps = STEPS;
    o.batch = 7; /* epochs end within batches */
    o.seed = 3;
    return o;
}

/* Two of the easy task's batches in one tensor. */
static dfq_status make_data(dfq_context *ctx, dfq_tensor **out_x, dfq_tensor **out_y)
{
    const int64_t dims[4] = {IMAGES, 3, DFQT_SIDE, DFQT_SIDE};
    dfq_tensor *x, *y = NULL;
    DFQI_TRY(dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, &x));
    dfq_status status = dfq_tensor_create(ctx, DFQ_DTYPE_I32, 1, dims, &y);
    for (uint64_t k = 0; k < 2 && status == DFQ_OK; k++) {
        dfq_tensor *images, *labels;
        status = dfqt_batch(ctx, k, &images, &labels);
        if (status != DFQ_OK) break;
        memcpy((char *)dfq_tensor_get_data(x) + k * dfq_tensor_get_bytes(images),
               dfq_tensor_get_data(images), dfq_tensor_get_bytes(images));
        memcpy((char *)dfq_tensor_get_data(y) + k * dfq_tensor_get_bytes(labels),
               dfq_tensor_get_data(labels), dfq_tensor_get_bytes(labels));
        dfq_tensor_release(images);
        dfq_tensor_release(labels);
    }
    if (status != DFQ_OK) {
        dfq_tensor_release(x);
        dfq_tensor_release(y);
        return status;
    }
    *out_x = x;
    *out_y = y;
    return DFQ_OK;
}

typedef struct scene {
    watch w;
    dfq_context *ctx;
    dfq_graph *g;
    dfq_trainer *t;
    dfq_tensor *x, *y;
} scene;

static dfq_graph *quantize(dfq_graph *g, const dfq_tensor *x)
{
    dfq_quantize_options o;
    dfq_graph *low;
    dfq_quantize_options_init(&o, sizeof o);
    o.mode = DFQ_MODE_PARITY;
    ck_assert_int_eq(dfq_graph_quantize(g, x, &o, &low), DFQ_OK);
    dfq_graph_release(g);
    return low;
}

static void begin(scene *s, int32_t threads, uint64_t stop, int low)
{
    dfq_vit_options v = dfqt_vit();
    dfq_trainer_options o = options();
    *s = (scene){.w.stop = stop};
    s->ctx = low ? dfqt_context(threads) : watched(threads, &s->w);
    ck_assert_int_eq(dfq_graph_create(s->ctx, &v, &s->g), DFQ_OK);
    ck_assert_int_eq(make_data(s->ctx, &s->x, &s->y), DFQ_OK);
    if (low) s->g = quantize(s->g, s->x);
    ck_assert_int_eq(dfq_trainer_create(s->g, &o, &s->t), DFQ_OK);
}

static void end(scene *s)
{
    dfq_trainer_release(s->t);
    dfq_graph_release(s->g);
    dfq_tensor_release(s->x);
    dfq_tensor_release(s->y);
    dfq_context_release(s->ctx);
}

static void works(const scene *s, dfq_status status)
{
    ck_assert_msg(status == DFQ_OK, "%s", dfq_context_get_error(s->ctx));
}

/* Stopped after any step, stored, and read into a fresh job: the same bits, on any number of
 * threads. */
START_TEST(test_resume)
{
    scene whole, part, rest;
    begin(&whole, 1, 0, 0);
    works(&whole, dfq_trainer_run(whole.t, whole.x, whole.y));
    ck_assert_uint_eq(whole.w.seen, STEPS);
    for (uint64_t stop = 1; stop < STEPS; stop += 4) {
        begin(&part, 2, stop, 0);
        ck_assert_int_eq(dfq_trainer_run(part.t, part.x, part.y), DFQ_E_CANCELLED);
        ck_assert_uint_eq(part.w.seen, stop);
        works(&part, dfq_trainer_save_checkpoint(part.t, path));
        begin(&rest, 1, 0, 0);
        works(&rest, dfq_trainer_load_checkpoint(rest.t, path));
        works(&rest, dfq_trainer_run(rest.t, rest.x, rest.y));
        ck_assert_uint_eq(rest.w.seen, STEPS - stop);
        ck_assert(dfqt_same(whole.g, rest.g));
        part.w.stop = 0;
        works(&part, dfq_trainer_run(part.t, part.x, part.y)); /* so has the one that went on */
        ck_assert(dfqt_same(whole.g, part.g));
        works(&part, dfq_trainer_run(part.t, part.x, part.y)); /* nothing is left */
        ck_assert(dfqt_same(whole.g, part.g));
        end(&part);
        end(&rest);
    }
    end(&whole);
}
END_TEST

START_TEST(test_resume_quantized)
{
    scene whole, part, rest;
    begin(&whole, 1, 0, 1);
    works(&whole, dfq_trainer_run(whole.t, whole.x, whole.y));
    begin(&part, 1, 0, 1);
    ck_assert_int_eq(dfq_trainer_save_checkpoint(part.t, path), DFQ_OK);
    begin(&rest, 1, 0, 1);
    works(&rest, dfq_trainer_run(rest.t, rest.x, rest.y));
    works(&rest, dfq_trainer_load_checkpoint(rest.t, path)); /* back to the beginning */
    ck_assert(dfqt_same(part.g, rest.g));
    works(&rest, dfq_trainer_run(rest.t, rest.x, rest.y));
    ck_assert(dfqt_same(whole.g, rest.g));
    end(&part);
    end(&rest);
    end(&whole);
}
END_TEST

/* An epoch takes every image once: a broken one is met in the first epoch, each at a step of its
 * own, and not in the order that they lie in. */
START_TEST(test_epochs)
{
    enum { N = 8 };
    dfq_trainer_options o = dfqt_trainer();
    uint32_t met = 0;
    int in_order = 0;
    o.batch = 1;
    o.steps = N;
    for (int i = 0; i < N; i++) {
        dfq_context *ctx = dfqt_context(1);
        dfq_vit_options v = dfqt_vit();
        dfq_job_cost c = {.struct_size = sizeof c};
        dfq_graph *g;
        dfq_trainer *t;
        dfq_tensor *x, *y;
        ck_assert_int_eq(dfq_graph_create(ctx, &v, &g), DFQ_OK);
        ck_assert_int_eq(
            dfq_tensor_create(ctx, DFQ_DTYPE_F32, 4, (int64_t[]){N, 3, DFQT_SIDE, DFQT_SIDE}, &x),
            DFQ_OK);
        ck_assert_int_eq(dfq_tensor_create(ctx, DFQ_DTYPE_I32, 1, (int64_t[]){N}, &y), DFQ_OK);
        ((float *)dfq_tensor_get_data(x))[i * DFQT_PIXELS] = NAN;
        ck_assert_int_eq(dfq_trainer_create(g, &o, &t), DFQ_OK);
        ck_assert_int_eq(dfq_trainer_run(t, x, y), DFQ_E_NUMERIC);
        ck_assert_int_eq(dfq_trainer_estimate(t, &c), DFQ_OK);
        met |= UINT32_C(1) << c.done;
        in_order += c.done == i;
        dfq_trainer_release(t);
        dfq_graph_release(g);
        dfq_tensor_release(x);
        dfq_tensor_release(y);
        dfq_context_release(ctx);
    }
    ck_assert_uint_eq(met, (1u << N) - 1);
    ck_assert_int_lt(in_order, N);
}
END_TEST

START_TEST(test_learns)
{
    scene s;
    dfq_job_cost c = {.struct_size = sizeof c};
    begin(&s, 2, 5, 0);
    works(&s, dfq_trainer_estimate(s.t, &c));
    ck_assert(isnan(c.seconds_left) && c.done == 0 && c.units == STEPS);
    int64_t macs = c.macs, bytes = c.bytes;
    ck_assert(macs > 0 && bytes > 2 * 4 * 1000);
    ck_assert_int_eq(dfq_trainer_run(s.t, s.x, s.y), DFQ_E_CANCELLED);
    works(&s, dfq_trainer_estimate(s.t, &c));
    ck_assert(c.seconds_left > 0 && c.done == 5 && c.bytes == bytes);
    ck_assert_int_eq(c.macs, macs / STEPS * (STEPS - 5));
    s.w.stop = 0;
    works(&s, dfq_trainer_run(s.t, s.x, s.y));
    works(&s, dfq_trainer_estimate(s.t, &c));
    ck_assert(c.seconds_left == 0 && c.macs == 0 && c.done == STEPS);
    end(&s);
}
END_TEST

/* -- refusals ---------------------------------------------------------------------------------- */

static void refuse(scene *s, dfq_status want, const char *part)
{
    dfq_job_cost before = {.struct_size = sizeof before}, after = before;
    uint64_t hash = dfqi_model_hash(s->g);
    works(s, dfq_trainer_estimate(s->t, &before));
    ck_assert_int_eq(dfq_trainer_load_checkpoint(s->t, path), want);
    ck_assert_msg(strstr(dfq_context_get_error(s->ctx), part) != NULL, "%s",
                  dfq_context_get_error(s->ctx));
    works(s, dfq_trainer_estimate(s->t, &after));
    ck_assert(dfqi_model_hash(s->g) == hash && before.done == after.done);
}

static void damage(long from_end, unsigned char value, int n)
{
    FILE *f = fopen(path, "rb+");
    ck_assert(f != NULL && fseek(f, -from_end, SEEK_END) == 0);
    for (int i = 0; i < n; i++) ck_assert_int_eq(fputc(value, f), value);
    fclose(f);
}

START_TEST(test_refused)
{
    scene s, low;
    dfq_trainer_options o = options();
    dfq_job_cost none = {.struct_size = 0};
    dfq_tensor *bad;
    begin(&s, 1, 0, 0);
    refuse(&s, DFQ_E_IO, "No such file");
    works(&s, dfq_graph_save(s.g, path, 0));
    refuse(&s, DFQ_E_CORRUPT, "not a checkpoint of training");
    works(&s, dfq_trainer_save_checkpoint(s.t, path));
    damage(4, 0xff, 4);
    refuse(&s, DFQ_E_NUMERIC, "holds");
    works(&s, dfq_trainer_save_checkpoint(s.t, path));
    begin(&low, 1, 0, 1);
    refuse(&low, DFQ_E_INVALID, "shapes or quantizers");
    end(&low);
    dfq_trainer_release(s.t);
    o.seed++;
    works(&s, dfq_trainer_create(s.g, &o, &s.t));
    refuse(&s, DFQ_E_INVALID, "seed 4");
    ck_assert_int_eq(truncate(path, 4000), 0);
    refuse(&s, DFQ_E_CORRUPT, "checkpoint");
    ck_assert_int_eq(dfq_trainer_run(NULL, s.x, s.y), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_run(s.t, NULL, s.y), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_run(s.t, s.x, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_run(s.t, s.x, s.x), DFQ_E_SHAPE);
    ck_assert_int_eq(dfq_trainer_run(s.t, s.y, s.y), DFQ_E_SHAPE);
    ck_assert_int_eq(dfq_tensor_create(s.ctx, DFQ_DTYPE_I32, 1, (int64_t[]){IMAGES}, &bad), DFQ_OK);
    ((int32_t *)dfq_tensor_get_data(bad))[IMAGES - 1] = DFQT_CLASSES;
    ck_assert_int_eq(dfq_trainer_run(s.t, s.x, bad), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(s.ctx), "label 19 is 3"));
    dfq_tensor_release(bad);
    ck_assert_int_eq(dfq_trainer_estimate(NULL, &none), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_estimate(s.t, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_estimate(s.t, &none), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_save_checkpoint(NULL, path), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_save_checkpoint(s.t, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_load_checkpoint(NULL, path), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_trainer_load_checkpoint(s.t, NULL), DFQ_E_INVALID);
    end(&s);
}
END_TEST

/* Memory is that of the peak, beside network and images. */
START_TEST(test_estimate_of_memory)
{
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_vit_options v = dfqt_vit();
    dfq_trainer_options o = options();
    dfq_context_options co;
    dfq_job_cost c = {.struct_size = sizeof c};
    dfq_context *ctx;
    dfq_graph *g;
    dfq_trainer *t;
    dfq_tensor *x, *y;
    dfq_context_options_init(&co, sizeof co);
    co.allocator = &a;
    co.threads = 1;
    v.width = 64; /* so that moments are a good part of it, and the lists of a graph a small one */
    v.hidden = 256;
    o.batch = 1;
    ck_assert_int_eq(dfq_context_create(&co, &ctx), DFQ_OK);
    ck_assert_int_eq(dfq_graph_create(ctx, &v, &g), DFQ_OK);
    ck_assert_int_eq(make_data(ctx, &x, &y), DFQ_OK);
    int64_t before = fa.live_bytes;
    ck_assert_int_eq(dfq_trainer_create(g, &o, &t), DFQ_OK);
    ck_assert_int_eq(dfq_trainer_estimate(t, &c), DFQ_OK);
    fa.peak_bytes = fa.live_bytes;
    ck_assert_int_eq(dfq_trainer_run(t, x, y), DFQ_OK);
    double taken = (double)(fa.peak_bytes - before);
    ck_assert_msg((double)c.bytes > 0.8 * taken && (double)c.bytes < 1.2 * taken,
                  "%g bytes said, %g taken", (double)c.bytes, taken);
    dfq_trainer_release(t);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_graph_release(g);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status life(dfq_context *ctx, void *arg)
{
    dfq_vit_options v = dfqt_vit();
    dfq_trainer_options o = options();
    dfq_job_cost c = {.struct_size = sizeof c};
    dfq_graph *g = NULL;
    dfq_trainer *t = NULL;
    dfq_tensor *x = NULL, *y = NULL;
    dfq_status status;
    v.depth = 1;
    o.steps = 1;
    DFQI_GOTO(dfq_graph_create(ctx, &v, &g), out);
    DFQI_GOTO(dfq_trainer_create(g, &o, &t), out);
    DFQI_GOTO(make_data(ctx, &x, &y), out);
    DFQI_GOTO(dfq_trainer_run(t, x, y), out);
    DFQI_GOTO(dfq_trainer_estimate(t, &c), out);
    DFQI_GOTO(dfq_trainer_save_checkpoint(t, arg), out);
    status = dfq_trainer_load_checkpoint(t, arg);
out:
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_trainer_release(t);
    dfq_graph_release(g);
    return status;
}

START_TEST(test_memory)
{
    fail_alloc_sweep(life, path, 1);
}
END_TEST

TCase *dfqt_train_run_case(void)
{
    TCase *c = tcase_create("run");
    tcase_add_test(c, test_estimate_of_memory);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_resume);
    tcase_add_test(c, test_resume_quantized);
    tcase_add_test(c, test_epochs);
    tcase_add_test(c, test_learns);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_memory);
    return c;
}
