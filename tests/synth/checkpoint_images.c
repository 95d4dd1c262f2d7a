/* The file of finished images beside a checkpoint: written once, checked, and replaced only when
 * the new checkpoint is complete. */
#define _XOPEN_SOURCE 700 /* truncate */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"
#include "io/folder.h"
#include "synth/cases.h"

static char folder[64], path[128];

static void setup(void)
{
    dfqt_folder(folder);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
}

static void teardown(void)
{
    dfqt_remove(folder);
}

enum { IMAGES_AT = 64, BATCH = 2, PER_BATCH = 6 }; /* of dfqt_options() */

static const char *images_file(char letter)
{
    static char name[160];
    snprintf(name, sizeof name, "%s.images-%c", path, letter);
    return name;
}

static float exchange(char letter, int64_t element, float value)
{
    FILE *f = fopen(images_file(letter), "r+b");
    float old;
    long at = IMAGES_AT + (long)element * (long)sizeof old;
    ck_assert_ptr_nonnull(f);
    ck_assert(fseek(f, at, SEEK_SET) == 0 && fread(&old, sizeof old, 1, f) == 1);
    ck_assert(fseek(f, at, SEEK_SET) == 0 && fwrite(&value, sizeof value, 1, f) == 1);
    ck_assert_int_eq(fclose(f), 0);
    return old;
}

typedef struct job {
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_synth *s;
} job;

static job begin(uint64_t seed)
{
    job j = {.ctx = dfqt_context(1)};
    dfqi_synth_options o = dfqt_options();
    o.seed += seed;
    ck_assert_int_eq(dfqt_random_model(j.ctx, &j.m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(j.m, &o, &j.s), DFQ_OK);
    return j;
}

static void step(const job *j, int n)
{
    int32_t finished;
    while (n-- > 0) ck_assert_int_eq(dfqi_synth_step(j->s, &finished), DFQ_OK);
}

static void save(const job *j)
{
    ck_assert_msg(dfqi_synth_save(j->s, path) == DFQ_OK, "%s", j->ctx->error);
}

static dfq_status restore(const job *j)
{
    return dfqi_synth_restore(j->s, path);
}

static void end(const job *j)
{
    dfqi_synth_release(j->s);
    dfqi_model_release(j->m);
    dfqi_context_release(j->ctx);
}

/* Runs to the end and compares with the images of one run. */
static void same_as_whole(const job *j)
{
    static float want[DFQT_IMAGES * DFQT_PIXELS];
    int32_t want_y[DFQT_IMAGES];
    dfqi_synth_options o = dfqt_options();
    dfq_tensor *x, *y;
    dfqt_make(&o, 1, want, want_y);
    ck_assert_int_eq(dfqi_synth_run(j->s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_images(j->s, &x, &y), DFQ_OK);
    ck_assert_mem_eq(x->data, want, sizeof want);
    ck_assert_mem_eq(y->data, want_y, sizeof want_y);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
}

START_TEST(test_broken_images)
{
    static const struct {
        int64_t element;
        float value;
        dfq_status status;
    } rows[] = {{9, NAN, DFQ_E_NUMERIC},
                {DFQT_PIXELS + 3, INFINITY, DFQ_E_NUMERIC},
                {BATCH * DFQT_PIXELS - 1, 0.125f, DFQ_E_CORRUPT},
                {-2, 0.0f, DFQ_E_CORRUPT},  /* too short */
                {-3, 0.0f, DFQ_E_IO},       /* gone */
                {-1, 1.0f, DFQ_E_CORRUPT}}; /* what tells what the file is */
    job j = begin(0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        job k = begin(0);
        step(&k, 8);
        save(&k);
        end(&k);
        /* each job takes the name that the checkpoint before does not have */
        char letter = i % 2 ? 'b' : 'a';
        if (rows[i].element >= -1)
            exchange(letter, rows[i].element, rows[i].value);
        else if (rows[i].element == -2)
            ck_assert_int_eq(truncate(images_file(letter), IMAGES_AT + 5), 0);
        else
            ck_assert_int_eq(remove(images_file(letter)), 0);
        dfq_status status = restore(&j);
        ck_assert_msg(status == rows[i].status, "row %d: %d, %s", (int)i, (int)status,
                      j.ctx->error);
        ck_assert_ptr_nonnull(strstr(j.ctx->error, images_file(letter)));
        ck_assert_int_eq(dfqi_synth_done(j.s), 0);
    }
    end(&j);
}
END_TEST

/* What an earlier checkpoint wrote is not written again: a mark in it stays. By the job that wrote
 * it, and by one that goes on from there. */
START_TEST(test_images_are_written_once)
{
    job j = begin(0), k;
    step(&j, PER_BATCH);
    save(&j);
    if (_i == 1) {
        k = begin(0);
        ck_assert_int_eq(restore(&k), DFQ_OK);
        end(&j);
        j = k;
    }
    float old = exchange('a', 5, 0.125f);
    step(&j, PER_BATCH + 1);
    save(&j);
    ck_assert_float_eq(exchange('a', 5, old), 0.125f);
    end(&j);
    j = begin(0);
    ck_assert_msg(restore(&j) == DFQ_OK, "%s", j.ctx->error);
    ck_assert_int_eq(dfqi_synth_finished(j.s), 2 * BATCH);
    same_as_whole(&j);
    end(&j);
}
END_TEST

static void copy_file(const char *from, const char *to)
{
    dfq_context *ctx = dfqt_context(1);
    unsigned char *bytes;
    size_t n;
    ck_assert_int_eq(dfqi_file_read(ctx, from, 1 << 24, &bytes, &n), DFQ_OK);
    ck_assert_int_eq(dfqi_file_write(ctx, to, bytes, n), DFQ_OK);
    dfqi_free(ctx, bytes);
    dfqi_context_release(ctx);
}

/* The process ends between the images and the checkpoint: the one before holds, and the next goes
 * over what lies behind its images. */
START_TEST(test_interrupted_write)
{
    char kept[160];
    snprintf(kept, sizeof kept, "%s/kept", folder);
    job j = begin(0);
    step(&j, PER_BATCH + 2);
    save(&j);
    copy_file(path, kept);
    step(&j, PER_BATCH);
    save(&j);
    end(&j);
    ck_assert_int_eq(rename(kept, path), 0);
    exchange('a', BATCH * DFQT_PIXELS + 1, NAN); /* half of what was being written */
    j = begin(0);
    ck_assert_msg(restore(&j) == DFQ_OK, "%s", j.ctx->error);
    ck_assert_int_eq(dfqi_synth_done(j.s), PER_BATCH + 2);
    step(&j, PER_BATCH);
    save(&j);
    end(&j);
    j = begin(0);
    ck_assert_msg(restore(&j) == DFQ_OK, "%s", j.ctx->error);
    same_as_whole(&j);
    end(&j);
}
END_TEST

/* A disk that is full when another job writes to the same name: the old checkpoint holds. With
 * room, the new one takes its place and nothing of the old is left. */
START_TEST(test_another_job_takes_the_place)
{
    struct rlimit little = {IMAGES_AT + 100, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    job j = begin(0), other = begin(1);
    step(&j, PER_BATCH);
    step(&other, PER_BATCH);
    save(&j);
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
    ck_assert_int_eq(dfqi_synth_save(other.s, path), DFQ_E_IO);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
    end(&j);
    j = begin(0);
    ck_assert_msg(restore(&j) == DFQ_OK, "%s", j.ctx->error);
    same_as_whole(&j);
    save(&other);
    ck_assert(dfqi_path_exists(images_file('b')) && !dfqi_path_exists(images_file('a')));
    end(&j);
    j = begin(1);
    ck_assert_msg(restore(&j) == DFQ_OK, "%s", j.ctx->error);
    end(&j);
    j = begin(2);
    save(&j); /* nothing is finished */
    ck_assert(!dfqi_path_exists(images_file('b')) && !dfqi_path_exists(images_file('a')));
    end(&j);
    end(&other);
}
END_TEST

START_TEST(test_a_file_of_somebody_else)
{
    job j = begin(0);
    ck_assert_int_eq(dfqi_file_write(j.ctx, images_file('a'), "mine", 4), DFQ_OK);
    step(&j, PER_BATCH);
    ck_assert_int_eq(dfqi_synth_save(j.s, path), DFQ_E_EXISTS);
    ck_assert_ptr_nonnull(strstr(j.ctx->error, images_file('a')));
    ck_assert(!dfqi_path_exists(path) && dfqi_path_exists(images_file('a')));
    ck_assert_int_eq(remove(images_file('a')), 0);
    save(&j);
    end(&j);
}
END_TEST

TCase *dfqt_checkpoint_images_case(void)
{
    TCase *t = tcase_create("checkpoint_images");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_broken_images);
    tcase_add_loop_test(t, test_images_are_written_once, 0, 2);
    tcase_add_test(t, test_interrupted_write);
    tcase_add_test(t, test_another_job_takes_the_place);
    tcase_add_test(t, test_a_file_of_somebody_else);
    return t;
}
