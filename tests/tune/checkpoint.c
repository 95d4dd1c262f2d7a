/* Stopping anywhere and going on in another process gives the same bits; foreign and broken
 * checkpoints are refused and change nothing. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "io/safetensors.h"
#include "tune/cases.h"
#include "tune/tune_priv.h"

static const char path[] = "tune_test.safetensors";

static void teardown(void)
{
    (void)remove(path);
}

static dfqi_tune *new_job(const dfqt_pair *p, const dfqi_tune_options *o)
{
    dfqi_tune *t = NULL;
    ck_assert_msg(dfqi_tune_new(p->teacher, p->student, p->images, o, &t) == DFQ_OK, "%s",
                  p->ctx->error);
    return t;
}

/* Runs `steps` steps of a new job and saves it. */
static void save_after(const dfqi_tune_options *o, dfqi_mode mode, int64_t steps)
{
    dfqt_pair p = dfqt_pair_new(2, mode, 10);
    dfqi_tune *t = new_job(&p, o);
    int32_t finished;
    for (int64_t i = 0; i < steps; i++) ck_assert_int_eq(dfqi_tune_step(t, &finished), DFQ_OK);
    ck_assert_msg(dfqi_tune_save(t, path) == DFQ_OK, "%s", p.ctx->error);
    dfqi_tune_release(t);
    dfqt_pair_end(&p);
}

START_TEST(test_resume_gives_the_same_bits)
{
    static const int64_t stops[] = {0, 1, 4, 5, 6, 9, 11, 12};
    dfqi_mode mode = _i % 2 ? DFQI_MODE_IMPROVED : DFQI_MODE_PARITY;
    dfqi_tune_options o = dfqt_options(mode);
    dfq_tensor *curves[2], *evals[2];
    uint64_t best[2], last[2];
    if (_i >= 4) o.learning_rate = 0.03f; /* the best step is not the last one */
    if (_i % 3 == 0) o.crossing_target = 0.02f;
    save_after(&o, mode, stops[_i]);
    for (int k = 0; k < 2; k++) {
        dfqt_pair p = dfqt_pair_new(1 + k, mode, 10);
        dfqi_tune *t = new_job(&p, &o);
        if (k) ck_assert_msg(dfqi_tune_restore(t, path) == DFQ_OK, "%s", p.ctx->error);
        ck_assert_int_eq(dfqi_tune_done(t), k ? stops[_i] : 0);
        ck_assert_msg(dfqi_tune_run(t) == DFQ_OK, "%s", p.ctx->error);
        best[k] = dfqt_bits(p.student);
        ck_assert_int_eq(dfqi_tune_restore_parameters(t, 0), DFQ_OK);
        last[k] = dfqt_bits(p.student);
        ck_assert_int_eq(dfqi_tune_curves(t, &curves[k]), DFQ_OK);
        ck_assert_int_eq(dfqi_tune_evals(t, &evals[k]), DFQ_OK);
        dfqi_tune_release(t);
        dfqt_pair_end(&p);
    }
    ck_assert_uint_eq(best[0], best[1]);
    ck_assert_uint_eq(last[0], last[1]);
    ck_assert_mem_eq(curves[0]->data, curves[1]->data, 12 * DFQI_TUNE_LOSSES * sizeof(float));
    ck_assert_int_eq(evals[0]->dims[0], 4);
    ck_assert_mem_eq(evals[0]->data, evals[1]->data, 8 * sizeof(float));
    for (int k = 0; k < 2; k++) {
        dfqi_tensor_release(curves[k]);
        dfqi_tensor_release(evals[k]);
    }
}
END_TEST

static void refuse(const dfqt_pair *p, const dfqi_tune_options *o, dfq_status want,
                   const char *word)
{
    dfqi_tune *t = new_job(p, o);
    uint64_t bits = dfqt_bits(p->student);
    dfq_status status = dfqi_tune_restore(t, path);
    ck_assert_msg(status == want && strstr(p->ctx->error, word), "%d: %s", (int)status,
                  p->ctx->error);
    ck_assert_int_eq(dfqi_tune_done(t), 0);
    ck_assert_uint_eq(bits, dfqt_bits(p->student));
    dfqi_tune_release(t);
}

START_TEST(test_foreign_checkpoints)
{
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY), other = o;
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    refuse(&p, &o, DFQ_E_IO, path);
    save_after(&o, DFQI_MODE_PARITY, 6);
    other.head_weight = 9;
    refuse(&p, &other, DFQ_E_INVALID, "other options");
    other = o;
    other.crossing_target = 0.01f;
    refuse(&p, &other, DFQ_E_INVALID, "other options");
    dfqi_tensor_f32(p.images)[5] += 0.5f;
    refuse(&p, &o, DFQ_E_INVALID, "other images");
    dfqi_tensor_f32(p.teacher->net.params[3].tensor)[0] += 0.5f;
    refuse(&p, &o, DFQ_E_INVALID, "other teacher weights");
    dfqt_pair_end(&p);
    p = dfqt_pair_new(1, DFQI_MODE_IMPROVED, 10);
    refuse(&p, &o, DFQ_E_INVALID, "other quantizers");
    dfqt_pair_end(&p);
}
END_TEST

#define FIELD(name)                                                                                \
    {                                                                                              \
        offsetof(dfqi_tune_options, name), sizeof(((dfqi_tune_options *)0)->name), #name           \
    }

/* Options that differ anywhere differ as text, so that no checkpoint is taken for another job's. */
START_TEST(test_every_option_is_told)
{
    static const struct {
        size_t at, size;
        const char *name;
    } fields[] = {FIELD(steps),
                  FIELD(batch),
                  FIELD(seed),
                  FIELD(optimizer),
                  FIELD(schedule),
                  FIELD(warmup),
                  FIELD(warmup_steps),
                  FIELD(learning_rate),
                  FIELD(end_learning_rate),
                  FIELD(milestone_factor),
                  FIELD(milestones[0]),
                  FIELD(milestones[1]),
                  FIELD(milestones[2]),
                  FIELD(momentum),
                  FIELD(beta1),
                  FIELD(beta2),
                  FIELD(eps),
                  FIELD(weight_decay),
                  FIELD(clip_norm),
                  FIELD(weight_lr_mult),
                  FIELD(scale_lr_mult),
                  FIELD(zero_point_lr_mult),
                  FIELD(crossing_target),
                  FIELD(kappa_capped_steps),
                  FIELD(range_steps),
                  FIELD(temperature),
                  FIELD(kl_weight),
                  FIELD(head_weight),
                  FIELD(label_weight),
                  FIELD(augment),
                  FIELD(eval_every)};
    char text[DFQI_TUNE_TEXT], other[DFQI_TUNE_TEXT];
    dfqi_tune_options o = dfqt_options(DFQI_MODE_IMPROVED);
    size_t told = 0;
    o.clip_norm = o.crossing_target = o.label_weight = 0.25f;
    o.range_steps = o.kappa_capped_steps = 1;
    dfqi_tune_text(&o, text);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        dfqi_tune_options changed = o;
        ((unsigned char *)&changed)[fields[i].at] ^= 1; /* as little as there is */
        dfqi_tune_text(&changed, other);
        ck_assert_msg(strcmp(text, other) != 0, "%s is not in: %s", fields[i].name, text);
        told += fields[i].size;
    }
    ck_assert_uint_le(sizeof o - told, 12); /* padding; more is a field that is missing here */
}
END_TEST

/* Rewrites the checkpoint with one number spoilt, or the metadata. */
static void spoil(dfq_context *ctx, const char *name, int64_t element, double value)
{
    dfqi_safetensors st;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    const dfq_tensor *t = dfqi_st_find(&st, name);
    for (int64_t i = 0; i < st.n_meta; i++)
        if (strcmp(st.meta[i].key, name) == 0) st.meta[i].value[0] = (char)value;
    if (t && t->dtype == DFQI_F32) ((float *)t->data)[element] = (float)value;
    if (t && t->dtype == DFQI_I64) ((int64_t *)t->data)[element] = (int64_t)value;
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
    } rows[] = {{"state", 0, 13, DFQ_E_CORRUPT},
                {"state", 0, -1, DFQ_E_CORRUPT},
                {"state", 0, 5, DFQ_E_CORRUPT}, /* losses has another number of rows */
                {"state", 1, 9, DFQ_E_CORRUPT},
                {"state", 2, 7, DFQ_E_CORRUPT},
                {"state", 3, -1, DFQ_E_CORRUPT},
                {"best_kl", 0, -1, DFQ_E_CORRUPT}, /* the bits of a NaN */
                {"now.cls_token", 2, 0.0 / 0.0, DFQ_E_NUMERIC},
                {"m.norm.bias", 0, 1e300 * 1e300, DFQ_E_NUMERIC},
                {"best.head.input.scale", 0, 0, DFQ_E_CORRUPT},
                {"now.head.input.scale", 0, -1, DFQ_E_CORRUPT},
                {"dfq.tune", 0, '9', DFQ_E_UNSUPPORTED}};
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        save_after(&o, DFQI_MODE_PARITY, 6);
        spoil(p.ctx, rows[i].name, rows[i].element, rows[i].value);
        refuse(&p, &o, rows[i].status, path);
    }
    dfqt_pair_end(&p);
}
END_TEST

START_TEST(test_not_a_checkpoint)
{
    dfqi_tune_options o = dfqt_options(DFQI_MODE_PARITY);
    dfqt_pair p = dfqt_pair_new(1, DFQI_MODE_PARITY, 10);
    ck_assert_int_eq(dfqi_st_write(p.ctx, path, 0, NULL, 0, NULL), DFQ_OK);
    refuse(&p, &o, DFQ_E_CORRUPT, "not a checkpoint");
    dfqt_pair_end(&p);
}
END_TEST

TCase *dfqt_checkpoint_case(void)
{
    TCase *t = tcase_create("checkpoint");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, test_resume_gives_the_same_bits, 0, 8);
    tcase_add_test(t, test_foreign_checkpoints);
    tcase_add_test(t, test_every_option_is_told);
    tcase_add_test(t, test_broken_checkpoints);
    tcase_add_test(t, test_not_a_checkpoint);
    return t;
}
