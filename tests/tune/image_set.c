/* Images that stay on disk, as exact values or as pictures: the same bits as from memory, what a
 * changed file does, and memory. */
#define _XOPEN_SOURCE 700 /* mkdtemp, truncate */
#include <dfq/dfq.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/dataset.h"
#include "quant/evaluate.h"
#include "support/fail_alloc.h"
#include "synth/imageset.h"
#include "tune/cases.h"

/* Where a set comes from. */
enum { EXACT, PICTURES, DATASET, SPOOL, WAYS };

enum { N = 9, IMAGE = 3 * 16 * 16 };

static char folder[64];

static const char *file(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/images.safetensors", folder);
    return path;
}

static dfq_tensor *labels_of(const dfqt_pair *p)
{
    int64_t n = p->images->dims[0];
    dfq_tensor *labels;
    ck_assert_int_eq(dfqi_tensor_new(p->ctx, DFQI_I32, 1, &n, &labels), DFQ_OK);
    for (int64_t i = 0; i < n; i++) ((int32_t *)labels->data)[i] = (int32_t)(i % 6);
    return labels;
}

/* Only the file of exact values: pictures are not looked at where it is. */
static void write_set(const dfqt_pair *p)
{
    dfq_tensor *labels = labels_of(p);
    char images[] = "images", classes[] = "labels";
    dfqi_st_entry entries[2] = {{images, p->images}, {classes, labels}};
    ck_assert_int_eq(dfqi_st_write(p->ctx, file(), 2, entries, 0, NULL), DFQ_OK);
    dfqi_tensor_release(labels);
}

/* Only pictures; the pair gets the images that they hold. */
static void write_pictures(dfqt_pair *p)
{
    dfq_tensor *labels = labels_of(p);
    dfqi_preprocess how = dfqi_model_preprocess(p->teacher);
    dfqi_dataset *d;
    ck_assert_int_eq(dfqi_imageset_save(p->teacher, p->images, labels, folder, 1), DFQ_OK);
    ck_assert_int_eq(remove(file()), 0);
    ck_assert_int_eq(dfqi_dataset_open(p->ctx, folder, 6, &d), DFQ_OK);
    ck_assert_int_eq(dfqi_dataset_batch(d, 0, p->images->dims[0], &how, dfqi_tensor_f32(p->images)),
                     DFQ_OK);
    dfqi_dataset_release(d);
    dfqi_tensor_release(labels);
}

static void write_for(int way, dfqt_pair *p)
{
    if (way == EXACT)
        write_set(p);
    else
        write_pictures(p);
}

static dfq_status open_by(int way, const dfq_graph *g, int64_t most, dfq_image_set **out)
{
    dfq_dataset *d;
    if (way < DATASET) return dfq_image_set_open(g, folder, most, out);
    DFQI_TRY(dfq_dataset_open(g->ctx, folder, 0, &d));
    dfq_status status =
        dfq_image_set_create_from_dataset(g, d, most, way == SPOOL ? folder : NULL, out);
    dfq_dataset_release(d); /* the set keeps it */
    return status;
}

static void remove_folder(void)
{
    struct dirent *e;
    DIR *d = opendir(folder);
    char path[400];
    ck_assert_ptr_nonnull(d);
    while ((e = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        (void)remove(path); /* . and .. stay */
    }
    closedir(d);
    ck_assert_int_eq(rmdir(folder), 0); /* a spool leaves nothing */
}

static void setup(void)
{
    strcpy(folder, "image_set_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    (void)remove("image_set.checkpoint");
    remove_folder();
}

static dfq_tuner_options options(void)
{
    dfq_tuner_options o;
    dfq_tuner_options_init(&o, sizeof o, DFQ_RECIPE_MIMIQ, NULL, 0);
    o.steps = 6;
    o.batch = 3;
    o.eval_every = 2;
    o.learning_rate = 1e-3f;
    return o;
}

static dfq_image_set *open_set(const dfqt_pair *p, int64_t most)
{
    dfq_image_set *set;
    ck_assert_msg(dfq_image_set_open(p->teacher, folder, most, &set) == DFQ_OK, "%s",
                  p->ctx->error);
    return set;
}

/* Calibrates from the set or from memory, and compares. Modes and grids sweep in ways of their
 * own. */
START_TEST(test_calibration_has_the_same_bits)
{
    const int way = _i % WAYS;
    static const dfq_quantize_options all[] = {
        {.mode = DFQ_MODE_IMPROVED, .act_scale = DFQ_ACT_SCALE_TENSOR},
        {.mode = DFQ_MODE_PARITY},
        {.mode = DFQ_MODE_PARITY, .act_grid = DFQ_ACT_GRID_MINMAX}};
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, N);
    dfq_quantize_options o;
    dfq_graph *a, *b;
    dfq_quantize_options_init(&o, sizeof o);
    o.mode = all[_i / WAYS].mode;
    o.act_scale = all[_i / WAYS].act_scale;
    o.act_grid = all[_i / WAYS].act_grid;
    write_for(way, &p);
    dfq_image_set *set = NULL;
    ck_assert_msg(open_by(way, p.teacher, 0, &set) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_int_eq(dfq_image_set_get_count(set), N);
    ck_assert_int_eq(dfq_graph_quantize(p.teacher, p.images, &o, &a), DFQ_OK);
    ck_assert_msg(dfq_graph_quantize_from(p.teacher, set, &o, &b) == DFQ_OK, "%s", p.ctx->error);
    ck_assert_uint_eq(dfqt_bits(a), dfqt_bits(b));
    dfq_graph_release(a);
    dfq_graph_release(b);
    dfq_image_set_release(set);
    dfqt_pair_end(&p);
}
END_TEST

/* From memory to the end; from memory to a checkpoint, and on from there with the set. */
START_TEST(test_tuning_has_the_same_bits)
{
    dfqt_pair p = dfqt_pair_new(2, DFQI_MODE_IMPROVED, N);
    dfqt_pair q = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N);
    dfq_tuner_options o = options();
    dfq_tuner *t, *u;
    int32_t finished;
    write_for(_i, &q);
    memcpy(p.images->data, q.images->data, N * IMAGE * sizeof(float));
    dfq_image_set *set = NULL;
    ck_assert_msg(open_by(_i, q.teacher, 0, &set) == DFQ_OK, "%s", q.ctx->error);
    ck_assert_int_eq(dfq_tuner_create(p.teacher, p.student, p.images, &o, &t), DFQ_OK);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dfq_tuner_step(t, &finished), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_save_checkpoint(t, "image_set.checkpoint"), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_run(t), DFQ_OK);
    ck_assert_int_eq(dfq_tuner_create_from(q.teacher, q.student, set, &o, &u), DFQ_OK);
    dfq_image_set_release(set); /* the job keeps it */
    ck_assert_msg(dfq_tuner_load_checkpoint(u, "image_set.checkpoint") == DFQ_OK, "%s",
                  q.ctx->error);
    ck_assert_int_eq(dfq_tuner_run(u), DFQ_OK);
    ck_assert_uint_eq(dfqt_bits(p.student), dfqt_bits(q.student));
    dfq_tuner_release(t);
    dfq_tuner_release(u);
    dfqt_pair_end(&p);
    dfqt_pair_end(&q);
}
END_TEST

START_TEST(test_parts)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N);
    dfq_tensor *x, *y;
    write_set(&p);
    dfq_image_set *set = open_set(&p, 7);
    ck_assert_int_eq(dfq_image_set_get_count(set), 7);
    ck_assert_int_eq(dfq_image_set_read(set, 2, 5, &x, &y), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(x)[0], 5);
    ck_assert_mem_eq(x->data, dfqi_tensor_f32(p.images) + 2 * IMAGE, 5 * IMAGE * sizeof(float));
    for (int i = 0; i < 5; i++) ck_assert_int_eq(((int32_t *)y->data)[i], (i + 2) % 6);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    x = NULL;
    ck_assert_int_eq(dfq_image_set_read(set, 3, 5, &x, &y), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_read(set, -1, 1, &x, &y), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_read(set, 0, 0, &x, &y), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_read(set, INT64_MAX, INT64_MAX, &x, &y), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_read(NULL, 0, 1, &x, &y), DFQ_E_INVALID);
    ck_assert_ptr_null(x);
    dfq_image_set_release(set);
    ck_assert_int_eq(dfq_image_set_open(p.teacher, folder, -1, &set), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_get_count(NULL), 0);
    dfq_image_set_release(NULL);
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_another_context)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N), q = dfqt_pair_new(1, 1, N);
    dfq_graph *low = NULL;
    dfq_tuner *t = NULL;
    write_set(&p);
    dfq_image_set *set = open_set(&p, 0);
    ck_assert_int_eq(dfq_graph_quantize_from(q.teacher, set, NULL, &low), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(q.ctx->error, "different contexts"));
    ck_assert_int_eq(dfq_tuner_create_from(q.teacher, q.student, set, NULL, &t), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_graph_quantize_from(q.teacher, NULL, NULL, &low), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_tuner_create_from(q.teacher, q.student, NULL, NULL, &t), DFQ_E_INVALID);
    ck_assert(!low && !t);
    dfq_image_set_release(set);
    dfq_dataset *d;
    write_pictures(&p);
    set = NULL;
    ck_assert_int_eq(dfq_dataset_open(p.ctx, folder, 0, &d), DFQ_OK);
    ck_assert_int_eq(dfq_image_set_create_from_dataset(q.teacher, d, 0, NULL, &set), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(q.ctx->error, "different contexts"));
    ck_assert_int_eq(dfq_image_set_create_from_dataset(p.teacher, d, -1, NULL, &set),
                     DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_create_from_dataset(p.teacher, NULL, 0, NULL, &set),
                     DFQ_E_INVALID);
    ck_assert_int_eq(dfq_image_set_create_from_dataset(p.teacher, d, 0, "no/such", &set), DFQ_E_IO);
    ck_assert_ptr_null(set);
    dfq_dataset_release(d);
    dfqt_pair_end(&p);
    dfqt_pair_end(&q);
}
END_TEST

/* Shows when the set is opened; one that breaks later shows when it is read, but not with a
 * spool. */
START_TEST(test_broken_picture)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N);
    dfq_tensor *x = NULL, *y = NULL;
    dfq_image_set *set = NULL;
    char path[128];
    write_pictures(&p);
    ck_assert_int_eq(open_by(SPOOL, p.teacher, 0, &set), DFQ_OK);
    dfq_image_set *decoded = NULL;
    ck_assert_int_eq(open_by(DATASET, p.teacher, 0, &decoded), DFQ_OK);
    snprintf(path, sizeof path, "%s/00007.png", folder);
    ck_assert_int_eq(truncate(path, 40), 0);
    ck_assert_int_eq(dfq_image_set_read(set, 0, N, &x, &y), DFQ_OK);
    ck_assert_mem_eq(dfq_tensor_get_data(x), p.images->data, N * IMAGE * sizeof(float));
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    ck_assert_int_eq(dfq_image_set_read(decoded, 6, 2, &x, &y), DFQ_E_CORRUPT);
    ck_assert_ptr_nonnull(strstr(p.ctx->error, "00007.png"));
    dfq_image_set_release(set);
    dfq_image_set_release(decoded);
    for (int way = PICTURES; way < WAYS; way++) {
        set = NULL;
        ck_assert_int_eq(open_by(way, p.teacher, 0, &set), DFQ_E_CORRUPT);
        ck_assert_ptr_nonnull(strstr(p.ctx->error, "00007.png"));
        ck_assert_ptr_null(set);
        ck_assert_int_eq(open_by(way, p.teacher, 7, &set), DFQ_OK); /* it is the eighth */
        ck_assert_int_eq(dfq_image_set_get_count(set), 7);
        dfq_image_set_release(set);
    }
    dfqt_pair_end(&p);
}
END_TEST

/* -- a file that does not stay as it is -------------------------------------------------------- */

static void refused(const dfqt_pair *p, dfq_tuner *t, const char *word)
{
    int32_t finished;
    dfq_status status = dfq_tuner_step(t, &finished);
    ck_assert_msg(status == DFQ_E_IO && strstr(p->ctx->error, word), "%d: %s", (int)status,
                  p->ctx->error);
    ck_assert_ptr_nonnull(strstr(p->ctx->error, "images.safetensors"));
}

START_TEST(test_file_changes)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N);
    dfq_tuner_options o = options();
    struct stat st;
    dfq_tuner *t;
    write_set(&p);
    dfq_image_set *set = open_set(&p, 0);
    ck_assert_int_eq(dfq_tuner_create_from(p.teacher, p.student, set, &o, &t), DFQ_OK);
    ck_assert_int_eq(stat(file(), &st), 0);
    if (_i == 0) {
        FILE *f = fopen(file(), "r+b");
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(fseek(f, st.st_size - IMAGE, SEEK_SET), 0);
        ck_assert_int_eq(fputc(1, f), 1);
        ck_assert_int_eq(fclose(f), 0);
        /* as if some time had passed: clocks of file systems may tick slowly */
        struct timespec times[2] = {{st.st_mtim.tv_sec + 1, 0}, {st.st_mtim.tv_sec + 1, 0}};
        ck_assert_int_eq(utimensat(AT_FDCWD, file(), times, 0), 0);
        refused(&p, t, "changed");
    } else {
        ck_assert_int_eq(truncate(file(), st.st_size / 8), 0);
        refused(&p, t, "shorter");
    }
    dfq_image_set_release(set);
    dfq_tuner_release(t);
    ck_assert_int_eq(dfq_image_set_open(p.teacher, folder, 0, &set),
                     _i == 0 ? DFQ_OK : DFQ_E_CORRUPT);
    if (_i == 0) dfq_image_set_release(set);
    dfqt_pair_end(&p);
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------ */

/* Everything that a job does with a set, the networks aside. */
static dfq_status whole_job(dfqt_pair *p, int way)
{
    dfq_tuner_options o = options();
    dfq_quantize_options q;
    dfq_image_set *set = NULL;
    dfq_graph *low = NULL;
    dfq_tuner *t = NULL;
    dfq_tensor *x = NULL, *y = NULL;
    dfq_status status;
    o.steps = 1;
    dfq_quantize_options_init(&q, sizeof q);
    q.act_scale = DFQ_ACT_SCALE_TENSOR;
    q.rounding = DFQ_ROUNDING_SEARCH; /* the walk of the others keeps values up to a bound */
    DFQI_GOTO(open_by(way, p->teacher, 0, &set), out);
    DFQI_GOTO(dfq_image_set_read(set, 1, 2, &x, &y), out);
    DFQI_GOTO(dfq_graph_quantize_from(p->teacher, set, &q, &low), out);
    DFQI_GOTO(dfq_tuner_create_from(p->teacher, low, set, &o, &t), out);
    DFQI_GOTO(dfq_tuner_run(t), out);
    status = dfq_tuner_save_checkpoint(t, "image_set.checkpoint");
out:
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_tuner_release(t);
    dfq_graph_release(low);
    dfq_image_set_release(set);
    return status;
}

static dfq_status open_and_read(dfq_context *ctx, void *arg)
{
    dfq_image_set *set = NULL;
    dfq_tensor *x = NULL, *y = NULL;
    dfqt_pair p;
    DFQI_TRY(dfqt_pair_make(ctx, DFQI_MODE_PARITY, 1, &p));
    dfq_status status = open_by(*(const int *)arg, p.teacher, 0, &set);
    if (status == DFQ_OK) status = dfq_image_set_read(set, 1, 2, &x, &y);
    dfq_tensor_release(x);
    dfq_tensor_release(y);
    dfq_image_set_release(set);
    dfqt_pair_fini(&p);
    return status;
}

START_TEST(test_each_allocation_can_fail)
{
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, N);
    int way = _i;
    write_for(way, &p);
    dfqt_pair_end(&p);
    fail_alloc_sweep(open_and_read, &way, 1);
}
END_TEST

/* Most bytes that a job of n images has at a time. */
static int64_t peak_of(int64_t n, int way)
{
    dfqt_pair all = dfqt_pair_new(1, DFQI_MODE_IMPROVED, n), p;
    fail_alloc fa;
    dfq_allocator a = fail_alloc_init(&fa, -1);
    dfq_context_options o;
    dfq_context *ctx;
    write_for(way, &all);
    dfqt_pair_end(&all);
    dfq_context_options_init(&o, sizeof o);
    o.allocator = &a;
    o.threads = 1;
    ck_assert_int_eq(dfq_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqt_pair_make(ctx, DFQI_MODE_IMPROVED, 4, &p), DFQ_OK);
    ck_assert_msg(whole_job(&p, way) == DFQ_OK, "%s", ctx->error);
    dfqt_pair_fini(&p);
    dfq_context_release(ctx);
    return fa.peak_bytes;
}

START_TEST(test_memory_does_not_grow_with_images)
{
    int64_t few = peak_of(300, _i), many = peak_of(600, _i),
            more = 300 * IMAGE * (int64_t)sizeof(float);
    ck_assert_msg(many - few < more / 20, "%d bytes for 300 images, %d for 600", (int)few,
                  (int)many);
}
END_TEST

TCase *dfqt_image_set_case(void)
{
    TCase *t = tcase_create("image_set");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_calibration_has_the_same_bits, 0, 3 * WAYS);
    tcase_add_loop_test(t, test_tuning_has_the_same_bits, 0, WAYS);
    tcase_add_test(t, test_broken_picture);
    tcase_add_test(t, test_parts);
    tcase_add_test(t, test_another_context);
    tcase_add_loop_test(t, test_file_changes, 0, 2);
    tcase_add_loop_test(t, test_each_allocation_can_fail, 0, WAYS);
    tcase_add_loop_test(t, test_memory_does_not_grow_with_images, 0, WAYS);
    return t;
}
