/* Stopping anywhere and going on in another process gives the same bits; foreign and broken
 * checkpoints are refused and change nothing. */
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/comma.h"
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

/* Runs `steps` steps of a new job and saves it. */
static void save_of(int cnn, const dfqi_synth_options *o, int64_t steps)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m;
    dfqi_synth *s;
    int32_t finished;
    ck_assert_int_eq(cnn ? dfqt_random_cnn(ctx, &m) : dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, o, &s), DFQ_OK);
    for (int64_t i = 0; i < steps; i++) ck_assert_int_eq(dfqi_synth_step(s, &finished), DFQ_OK);
    ck_assert_msg(dfqi_synth_save(s, path) == DFQ_OK, "%s", ctx->error);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}

static void save_after(const dfqi_synth_options *o, int64_t steps)
{
    save_of(0, o, steps);
}

START_TEST(test_resume_gives_the_same_bits)
{
    static const int64_t stops[] = {0, 1, 5, 6, 9, 12, 17, 18};
    static float want[DFQT_IMAGES * DFQT_PIXELS];
    int32_t want_y[DFQT_IMAGES];
    dfqi_synth_options o = dfqt_options();
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    dfq_tensor *x, *y, *losses, *want_losses;
    o.kind = _i % 2 ? DFQI_SYNTH_PSE : DFQI_SYNTH_ATTENTION;
    dfqt_make(&o, 2, want, want_y);
    save_after(&o, stops[_i]);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_msg(dfqi_synth_restore(s, path) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_synth_done(s), stops[_i]);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_images(s, &x, &y), DFQ_OK);
    ck_assert_mem_eq(x->data, want, sizeof want);
    ck_assert_mem_eq(y->data, want_y, sizeof want_y);
    ck_assert_int_eq(dfqi_synth_losses(s, &losses), DFQ_OK);
    dfqi_synth_release(s);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_losses(s, &want_losses), DFQ_OK);
    ck_assert_mem_eq(losses->data, want_losses->data, 18 * DFQI_SYNTH_LOSSES * sizeof(float));
    dfqi_tensor_release(losses);
    dfqi_tensor_release(want_losses);
    dfqi_tensor_release(x);
    dfqi_tensor_release(y);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Written with points, read where the host has commas. */
START_TEST(test_commas)
{
    dfqi_synth_options o = dfqt_options();
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    save_after(&o, 2);
    dfqt_use_commas();
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_msg(dfqi_synth_restore(s, path) == DFQ_OK, "%s", ctx->error);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_foreign_checkpoints)
{
    dfqi_synth_options o = dfqt_options(), other = o;
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    save_after(&o, 8);
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    other.seed++;
    ck_assert_int_eq(dfqi_synth_new(m, &other, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_restore(s, path), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "other options"));
    ck_assert_int_eq(dfqi_synth_restore(s, "no/such/file"), DFQ_E_IO);
    dfqi_synth_release(s);
    dfqi_tensor_f32(m->net.params[3].tensor)[0] += 0.5f;
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_restore(s, path), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "other weights"));
    ck_assert_int_eq(dfqi_synth_done(s), 0);
    ck_assert_int_eq(dfqi_synth_run(s), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_restore(s, path), DFQ_E_INVALID); /* complete */
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Rewrites the checkpoint with one tensor spoilt. */
static void spoil(dfq_context *ctx, const char *name, int64_t element, double value)
{
    dfqi_safetensors st;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    const dfq_tensor *t = dfqi_st_find(&st, name);
    ck_assert_msg(t != NULL, "%s", name);
    if (t->dtype == DFQI_F32) ((float *)t->data)[element] = (float)value;
    if (t->dtype == DFQI_I32) ((int32_t *)t->data)[element] = (int32_t)value;
    if (t->dtype == DFQI_I64) ((int64_t *)t->data)[element] = (int64_t)value;
    ck_assert_int_eq(dfqi_st_write(ctx, path, st.n_entries, st.entries, st.n_meta, st.meta),
                     DFQ_OK);
    dfqi_st_fini(&st);
}

START_TEST(test_broken_checkpoints)
{
    static const struct {
        const char *name;
        int64_t element;
        double value;
        dfq_status status;
    } rows[] = {{"state", 0, 3, DFQ_E_CORRUPT},     {"state", 0, -1, DFQ_E_CORRUPT},
                {"state", 1, 6, DFQ_E_CORRUPT},     {"state", 1, 3, DFQ_E_CORRUPT},
                {"state", 2, 4, DFQ_E_CORRUPT},     {"state", 0, 2, DFQ_E_CORRUPT},
                {"x", 7, 0.0 / 0.0, DFQ_E_NUMERIC}, {"v", 0, 1e300 * 1e300, DFQ_E_NUMERIC},
                {"labels", 1, 6, DFQ_E_CORRUPT}};
    dfqi_synth_options o = dfqt_options();
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        save_after(&o, 8);
        spoil(ctx, rows[i].name, rows[i].element, rows[i].value);
        dfq_status status = dfqi_synth_restore(s, path);
        ck_assert_msg(status == rows[i].status, "row %d: %d, %s", (int)i, (int)status, ctx->error);
        ck_assert_int_eq(dfqi_synth_done(s), 0);
    }
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Writes the checkpoint again with another version. */
static void set_version(dfq_context *ctx, const char *version)
{
    dfqi_safetensors st;
    char digit[2] = {version[0], 0};
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    for (int64_t i = 0; i < st.n_meta; i++)
        if (strcmp(st.meta[i].key, "dfq.synth") == 0) memcpy(st.meta[i].value, digit, 2);
    ck_assert_int_eq(dfqi_st_write(ctx, path, st.n_entries, st.entries, st.n_meta, st.meta),
                     DFQ_OK);
    dfqi_st_fini(&st);
}

/* The error says what to do. */
START_TEST(test_other_versions)
{
    static const char *const versions[] = {"1", "2", "3", "4", "6"};
    dfqi_synth_options o = dfqt_options();
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    ck_assert_int_eq(dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        char said[96];
        save_after(&o, 8);
        set_version(ctx, versions[i]);
        ck_assert_int_eq(dfqi_synth_restore(s, path), DFQ_E_UNSUPPORTED);
        snprintf(said, sizeof said, "version is %s, must be 5; start the job anew", versions[i]);
        ck_assert_msg(strstr(ctx->error, said) != NULL, "%s", ctx->error);
        ck_assert_int_eq(dfqi_synth_done(s), 0);
    }
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Writes the checkpoint again, with a tensor cut to `count` elements, or without it if 0. */
static void cut(dfq_context *ctx, const char *name, int64_t count)
{
    dfqi_safetensors st;
    dfqi_st_entry left[64];
    dfq_tensor other;
    int64_t n = 0;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_int_lt(st.n_entries, 64);
    for (int64_t i = 0; i < st.n_entries; i++) {
        left[n] = st.entries[i];
        if (strcmp(left[n].name, name) == 0) {
            if (count == 0) continue;
            other = *left[n].tensor;
            other.rank = 1;
            other.dims[0] = count;
            left[n].tensor = &other;
        }
        n++;
    }
    ck_assert_int_eq(dfqi_st_write(ctx, path, n, left, st.n_meta, st.meta), DFQ_OK);
    dfqi_st_fini(&st);
}

/* Every tensor that the state asks for, missing or too short: of a transformer, and of a
 * convolutional network with a generator. */
START_TEST(test_missing_tensors)
{
    static const char *const names[2][6] = {{"state", "losses", "labels", "x", "m", "v"},
                                            {"state", "losses", "labels", "generator.fc.weight",
                                             "generator.m.fc.weight", "generator.v.fc.weight"}};
    dfqi_synth_options o = dfqt_options();
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m;
    dfqi_synth *s;
    if (_i) o.kind = DFQI_SYNTH_GDFQ;
    ck_assert_int_eq(_i ? dfqt_random_cnn(ctx, &m) : dfqt_random_model(ctx, &m), DFQ_OK);
    ck_assert_int_eq(dfqi_synth_new(m, &o, &s), DFQ_OK);
    for (int i = 0; i < 12; i++) {
        const char *name = names[_i][i / 2];
        save_of(_i, &o, _i ? 7 : 8);
        cut(ctx, name, i % 2);
        dfq_status status = dfqi_synth_restore(s, path);
        ck_assert_msg(status == DFQ_E_CORRUPT && strstr(ctx->error, name), "%s: %d, %s", name,
                      (int)status, ctx->error);
        ck_assert_int_eq(dfqi_synth_done(s), 0);
    }
    save_of(_i, &o, _i ? 7 : 8);
    ck_assert_msg(dfqi_synth_restore(s, path) == DFQ_OK, "%s", ctx->error);
    dfqi_synth_release(s);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_checkpoint_case(void)
{
    TCase *t = tcase_create("checkpoint");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_resume_gives_the_same_bits, 0, 8);
    tcase_add_test(t, test_commas);
    tcase_add_test(t, test_foreign_checkpoints);
    tcase_add_test(t, test_broken_checkpoints);
    tcase_add_test(t, test_other_versions);
    tcase_add_loop_test(t, test_missing_tensors, 0, 2);
    return t;
}
