/* Jobs on convolutional networks: images by BatchNorm statistics, samples of trained generators. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/fail_alloc.h"
#include "synth/cases.h"

enum { IMAGES = 7, BATCH = 4, FLOATS = IMAGES * DFQT_CNN_PIXELS };

static const dfqi_synth_kind kinds[] = {DFQI_SYNTH_AUTO, DFQI_SYNTH_PRIOR, DFQI_SYNTH_NOISE,
                                        DFQI_SYNTH_BNS,  DFQI_SYNTH_GDFQ,  DFQI_SYNTH_QIMERA,
                                        DFQI_SYNTH_ARC};
enum { KINDS = sizeof kinds / sizeof *kinds, FIRST_HOST = 4 };

static dfqi_synth_options options(dfqi_synth_kind kind)
{
    dfqi_synth_options o = dfqt_options();
    o.kind = kind;
    o.images = IMAGES;
    o.batch = BATCH;
    o.iterations = 5;
    return o;
}

typedef struct job {
    dfq_context *ctx;
    dfqi_model *m;
    dfqi_synth *s;
} job;

static job open_job(const dfqi_synth_options *o, int32_t threads)
{
    job j = {.ctx = dfqt_context(threads)};
    ck_assert_int_eq(dfqt_random_cnn(j.ctx, &j.m), DFQ_OK);
    ck_assert_msg(dfqi_synth_new(j.m, o, &j.s) == DFQ_OK, "%s", j.ctx->error);
    return j;
}

static void close_job(job *j)
{
    dfqi_synth_release(j->s);
    dfqi_model_release(j->m);
    dfq_context_release(j->ctx);
}

static void finish(job *j, float *images, int32_t *labels)
{
    dfq_tensor *x, *y;
    ck_assert_msg(dfqi_synth_run(j->s) == DFQ_OK, "%s", j->ctx->error);
    ck_assert_int_eq(dfqi_synth_done(j->s), dfqi_synth_units(j->s));
    ck_assert_int_eq(dfqi_synth_images(j->s, &x, &y), DFQ_OK);
    ck_assert_int_eq(x->dims[0], IMAGES);
    memcpy(images, x->data, FLOATS * sizeof *images);
    memcpy(labels, y->data, IMAGES * sizeof *labels);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    close_job(j);
}

START_TEST(test_threads_do_not_matter)
{
    static float one[FLOATS], two[FLOATS];
    int32_t one_y[IMAGES], two_y[IMAGES];
    dfqi_synth_options o = options(kinds[_i]);
    job j = open_job(&o, 1);
    finish(&j, one, one_y);
    j = open_job(&o, 2);
    finish(&j, two, two_y);
    ck_assert_mem_eq(one, two, sizeof one);
    ck_assert_mem_eq(one_y, two_y, sizeof one_y);
    for (int i = 0; i < FLOATS; i++) ck_assert(isfinite(one[i]));
    for (int i = 0; i < IMAGES; i++) ck_assert(one_y[i] >= 0 && one_y[i] < 4);
    o.seed++;
    j = open_job(&o, 2);
    finish(&j, two, two_y);
    ck_assert_mem_ne(one, two, sizeof one);
}
END_TEST

/* Of a CNN, the kind that nobody asked for is BNS. */
START_TEST(test_auto)
{
    static float one[FLOATS], two[FLOATS];
    int32_t y[IMAGES];
    dfqi_synth_options o = options(DFQI_SYNTH_AUTO);
    job j = open_job(&o, 1);
    finish(&j, one, y);
    o.kind = DFQI_SYNTH_BNS;
    j = open_job(&o, 1);
    finish(&j, two, y);
    ck_assert_mem_eq(one, two, sizeof one);
}
END_TEST

/* Stopped before, inside and behind the generator's training, and inside the second batch. */
START_TEST(test_resume_gives_the_same_bits)
{
    static const int stops[] = {0, 2, 5, 6};
    static float want[FLOATS], have[FLOATS];
    char folder[64], path[128];
    int32_t want_y[IMAGES], have_y[IMAGES], finished;
    dfqi_synth_options o = options(kinds[_i / 4]);
    job j = open_job(&o, 1);
    finish(&j, want, want_y);
    dfqt_folder(folder);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
    j = open_job(&o, 1);
    for (int i = 0; i < stops[_i % 4]; i++)
        ck_assert_int_eq(dfqi_synth_step(j.s, &finished), DFQ_OK);
    ck_assert_msg(dfqi_synth_save(j.s, path) == DFQ_OK, "%s", j.ctx->error);
    close_job(&j);
    j = open_job(&o, 1);
    ck_assert_msg(dfqi_synth_restore(j.s, path) == DFQ_OK, "%s", j.ctx->error);
    ck_assert_int_eq(dfqi_synth_done(j.s), stops[_i % 4]);
    finish(&j, have, have_y);
    ck_assert_mem_eq(want, have, sizeof want);
    ck_assert_mem_eq(want_y, have_y, sizeof want_y);
    dfqt_remove(folder);
}
END_TEST

/* A checkpoint with one tensor spoilt, or renamed if value is 0. */
static void spoil(dfq_context *ctx, const char *path, const char *name, double value)
{
    dfqi_safetensors st;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    for (int64_t i = 0; i < st.n_entries; i++) {
        dfqi_st_entry *e = &st.entries[i];
        if (strcmp(e->name, name) != 0) continue;
        if (value == 0)
            e->name[0] = '_';
        else if (e->tensor->dtype == DFQI_I64)
            ((int64_t *)e->tensor->data)[3] = (int64_t)value;
        else
            ((float *)e->tensor->data)[1] = (float)value;
    }
    ck_assert_int_eq(dfqi_st_write(ctx, path, st.n_entries, st.entries, st.n_meta, st.meta),
                     DFQ_OK);
    dfqi_st_fini(&st);
}

START_TEST(test_broken_checkpoints)
{
    static const struct {
        const char *name;
        double value;
        dfq_status status;
    } rows[] = {{"state", -1, DFQ_E_CORRUPT},
                {"state", 6, DFQ_E_CORRUPT},
                {"state", 4, DFQ_E_CORRUPT}, /* images are there already */
                {"generator.v.fc.weight", 0, DFQ_E_CORRUPT},
                {"generator.conv1.weight", 1e300 * 1e300, DFQ_E_NUMERIC}};
    char folder[64], path[128];
    int32_t finished;
    dfqi_synth_options o = options(DFQI_SYNTH_GDFQ);
    job j = open_job(&o, 1);
    dfqt_folder(folder);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
    for (int i = 0; i < 6; i++) ck_assert_int_eq(dfqi_synth_step(j.s, &finished), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_save(j.s, path), DFQ_OK);
    close_job(&j);
    j = open_job(&o, 1);
    spoil(j.ctx, path, rows[_i].name, rows[_i].value);
    ck_assert_int_eq(dfqi_synth_restore(j.s, path), rows[_i].status);
    ck_assert_ptr_nonnull(strstr(j.ctx->error, rows[_i].name));
    ck_assert_int_eq(dfqi_synth_done(j.s), 0);
    close_job(&j);
    dfqt_remove(folder);
}
END_TEST

static double mean_of(const dfq_tensor *losses, int64_t from, int64_t to, int column)
{
    double sum = 0;
    for (int64_t i = from; i < to; i++)
        sum += (double)dfqi_tensor_f32(losses)[i * DFQI_SYNTH_LOSSES + column];
    return sum / (double)(to - from);
}

/* With and without classes. */
START_TEST(test_statistics_are_met)
{
    dfq_tensor *t;
    dfqi_synth_options o = options(DFQI_SYNTH_BNS);
    o.images = o.batch = 16;
    o.iterations = 100;
    if (_i) o.class_weight = 0;
    job j = open_job(&o, 1);
    ck_assert_int_eq(dfqi_synth_run(j.s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(j.s, &t), DFQ_OK);
    ck_assert_double_lt(mean_of(t, 90, 100, DFQI_SYNTH_INTER_HEAD),
                        (_i ? 0.5 : 0.75) * mean_of(t, 0, 3, DFQI_SYNTH_INTER_HEAD));
    if (_i)
        ck_assert(isnan(mean_of(t, 0, 100, DFQI_SYNTH_CLASS)));
    else
        ck_assert_double_lt(mean_of(t, 90, 100, DFQI_SYNTH_CLASS),
                            0.98 * mean_of(t, 0, 3, DFQI_SYNTH_CLASS));
    dfqi_tensor_release(t);
    close_job(&j);
}
END_TEST

START_TEST(test_generators_learn)
{
    dfq_tensor *t, *before, *after;
    dfqi_synth_options o = options(kinds[_i]);
    dfqi_synth_cost c;
    o.iterations = 40;
    o.batch = 16;
    job j = open_job(&o, 1);
    ck_assert_int_eq(dfqi_synth_units(j.s), 41);
    ck_assert_int_eq(dfqi_synth_estimate(j.s, 0, &c), DFQ_OK);
    ck_assert(isnan(c.seconds) && c.bytes > 1e6 && c.macs > 1e7);
    ck_assert_int_eq(dfqi_synth_estimate(j.s, 1, &c), DFQ_OK);
    ck_assert_double_eq_tol(c.seconds_left, 41 * c.seconds, 1e-9);
    ck_assert_int_eq(dfqi_synth_done(j.s), 0);
    ck_assert_int_eq(dfqi_synth_run(j.s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(j.s, &t), DFQ_OK);
    ck_assert_int_eq(t->dims[0], 41);
    ck_assert_double_lt(mean_of(t, 30, 40, DFQI_SYNTH_TOTAL),
                        0.9 * mean_of(t, 0, 5, DFQI_SYNTH_TOTAL));
    ck_assert_double_lt(mean_of(t, 40, 41, DFQI_SYNTH_TOTAL), mean_of(t, 0, 5, DFQI_SYNTH_TOTAL));
    ck_assert(isnan(mean_of(t, 0, 41, DFQI_SYNTH_TV)));
    ck_assert_int_eq(dfqi_synth_similarity(j.s, 0, &before, &after), DFQ_E_UNSUPPORTED);
    dfqi_tensor_release(t);
    close_job(&j);
}
END_TEST

START_TEST(test_refused)
{
    static const struct {
        dfqi_synth_kind kind;
        int vit;
        const char *says;
    } rows[] = {{DFQI_SYNTH_ATTENTION, 0, "kind bns, gdfq, qimera, arc, prior, noise or leaves"},
                {DFQI_SYNTH_PSE, 0, "no attention heads"},
                {DFQI_SYNTH_BNS, 1, "kind attention, pse, prior, noise or leaves"},
                {DFQI_SYNTH_GDFQ, 1, "no BatchNorm"},
                {DFQI_SYNTH_ARC, 1, "no BatchNorm"}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s = NULL;
    dfqi_synth_options o = options(rows[_i].kind);
    ck_assert_int_eq(rows[_i].vit ? dfqt_random_model(ctx, &m) : dfqt_random_cnn(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, rows[_i].says) != NULL, "%s", ctx->error);
    ck_assert_ptr_null(s);
    dfqi_model_release(m);
    dfq_context_release(ctx);
}
END_TEST

/* A generator needs two images for its BatchNorms; weights that it does not look at may be 0. */
START_TEST(test_options_of_generators)
{
    dfqi_synth_options o = options(DFQI_SYNTH_GDFQ);
    o.attention_weight = o.class_weight = o.tv_weight = 0;
    job j = open_job(&o, 1);
    dfqi_synth *s = NULL;
    o.batch = 1;
    ck_assert_int_eq(dfqi_synth_new(j.m, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_null(s);
    o = options(DFQI_SYNTH_BNS);
    o.attention_weight = o.class_weight = o.tv_weight = 0;
    ck_assert_int_eq(dfqi_synth_new(j.m, &o, &s), DFQ_E_INVALID);
    o = options((dfqi_synth_kind)(DFQI_SYNTH_LEAVES + 1));
    ck_assert_int_eq(dfqi_synth_new(j.m, &o, &s), DFQ_E_INVALID);
    close_job(&j);
}
END_TEST

typedef struct plan {
    dfqi_synth_kind kind;
    const char *path;
} plan;

static dfq_status life(dfq_context *ctx, void *user)
{
    const plan *p = user;
    dfqi_synth_options o = options(p->kind);
    dfqi_model *m;
    dfqi_synth *s = NULL;
    int32_t finished;
    dfq_status status;
    o.images = o.batch = 2;
    o.iterations = 2;
    DFQI_TRY(dfqt_random_cnn(ctx, &m));
    DFQI_GOTO(dfqi_synth_new(m, &o, &s), out);
    DFQI_GOTO(dfqi_synth_step(s, &finished), out);
    DFQI_GOTO(dfqi_synth_save(s, p->path), out);
    dfqi_synth_release(s);
    s = NULL;
    DFQI_GOTO(dfqi_synth_new(m, &o, &s), out);
    DFQI_GOTO(dfqi_synth_restore(s, p->path), out);
    status = dfqi_synth_run(s);
out:
    dfqi_synth_release(s);
    dfqi_model_release(m);
    return status;
}

START_TEST(test_no_memory)
{
    char folder[64], path[128];
    plan p = {_i ? DFQI_SYNTH_GDFQ : DFQI_SYNTH_BNS, path};
    dfqt_folder(folder);
    snprintf(path, sizeof path, "%s/job.safetensors", folder);
    fail_alloc_sweep(life, &p, 1);
    dfqt_remove(folder);
}
END_TEST

TCase *dfqt_cnn_case(void)
{
    TCase *t = tcase_create("cnn");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_threads_do_not_matter, 0, KINDS);
    tcase_add_test(t, test_auto);
    tcase_add_loop_test(t, test_resume_gives_the_same_bits, 4 * FIRST_HOST, 4 * KINDS);
    tcase_add_loop_test(t, test_broken_checkpoints, 0, 5);
    tcase_add_loop_test(t, test_statistics_are_met, 0, 2);
    tcase_add_loop_test(t, test_generators_learn, FIRST_HOST, KINDS);
    tcase_add_loop_test(t, test_refused, 0, 5);
    tcase_add_test(t, test_options_of_generators);
    tcase_add_loop_test(t, test_no_memory, 0, 2);
    return t;
}
