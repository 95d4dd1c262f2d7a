/* Scales of rows by groups of channels: which sites have them, what they compute, the file, and
 * what is refused. Of the small network only the inputs of fc2, 48 channels, are several groups of
 * 16. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "io/safetensors.h"
#include "kernel/kernel.h"
#include "quant/cases.h"
#include "quant/quantizer.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES, HIDDEN = 48, GROUP = 16 };

static char path[] = "/tmp/dfq-groups-XXXXXX";

static void setup(void)
{
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    remove(path);
}

static dfqi_model *student(dfq_context *ctx, int32_t group)
{
    const dfqi_grids grids = {.act_scale = DFQI_ACT_SCALE_ROW, .act_group = group};
    const dfqi_widths widths = {4, 3, 0};
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher_with(ctx, HIDDEN, &t), DFQ_OK);
    ck_assert_msg(dfqt_quantize_with(t, DFQI_MODE_IMPROVED, widths, grids, &s) == DFQ_OK, "%s",
                  ctx->error);
    dfqi_model_release(t);
    return s;
}

static int64_t group_of(const dfqi_model *m, const char *name)
{
    const dfqi_site *s = dfqi_scheme_find(&m->scheme, name);
    ck_assert_msg(s != NULL, "no %s", name);
    return s->group;
}

START_TEST(test_sites)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = student(ctx, GROUP), *whole = student(ctx, 0);
    ck_assert_int_eq(group_of(m, "blocks.0.mlp.fc2.input"), GROUP);
    ck_assert_int_eq(group_of(m, "blocks.1.mlp.fc2.input"), GROUP);
    ck_assert_int_eq(group_of(m, "blocks.0.mlp.fc1.input"), 0); /* 24 channels */
    ck_assert_int_eq(group_of(m, "blocks.0.attn.qk.a"), 0);
    ck_assert_int_eq(group_of(whole, "blocks.0.mlp.fc2.input"), 0);
    ck_assert_uint_ne(dfqi_model_outline_hash(m), dfqi_model_outline_hash(whole));
    dfqi_model_release(m);
    dfqi_model_release(whole);
    dfqi_context_release(ctx);
}
END_TEST

/* The site's quantizer does to a group what the kernel does to a row. */
START_TEST(test_group_is_a_row)
{
    enum { ROWS = 7, N = ROWS * HIDDEN };
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m = student(ctx, GROUP);
    dfqi_quantizer *q;
    dfq_tensor *x, *y, *odd;
    float want[N];
    int32_t site;
    dfqi_rng r = dfqi_rng_make(3, 1);
    ck_assert_int_eq(dfqi_model_find_site(m, "blocks.0.mlp.fc2.input", &site), DFQ_OK);
    ck_assert_int_eq(dfqi_model_get_quantizer(m, site, &q), DFQ_OK);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 2, (int64_t[]){ROWS, HIDDEN}, &x), DFQ_OK);
    for (int i = 0; i < N; i++) /* each group has a range of its own */
        dfqi_tensor_f32(x)[i] = dfqi_rng_range(&r, -1, 2) * (float)(1 + i / GROUP % 3);
    ck_assert_int_eq(dfqi_quantizer_apply(q, x, &y), DFQ_OK);
    dfqi_kernels_get(ctx)->fq_row(N / GROUP, GROUP, 3, 0, dfqi_tensor_f32(x), want, NULL, NULL);
    ck_assert_mem_eq(dfqi_tensor_f32(y), want, sizeof want);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 2, (int64_t[]){2, 24}, &odd), DFQ_OK);
    dfqi_tensor_release(y);
    ck_assert_int_eq(dfqi_quantizer_apply(q, odd, &y), DFQ_E_SHAPE);
    ck_assert_msg(strstr(ctx->error, "groups of 16") != NULL, "%s", ctx->error);
    dfqi_tensor_release(odd);
    dfqi_tensor_release(x);
    dfqi_quantizer_release(q);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

static void check_meta(dfq_context *ctx, const char *format, const char *group)
{
    dfqi_safetensors st;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_str_eq(dfqi_st_meta_find(&st, "dfq.format"), format);
    const char *have = dfqi_st_meta_find(&st, "dfq.act_group");
    ck_assert_str_eq(have ? have : "none", group);
    dfqi_st_fini(&st);
}

/* Older libraries know no groups: such a file has a format of its own, and no other has. */
START_TEST(test_round_trip)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *s = student(ctx, GROUP), *whole = student(ctx, 0), *r;
    static float want[LOGITS], have[LOGITS];
    dfqt_logits(s, want);
    dfqt_logits(whole, have);
    ck_assert_mem_ne(want, have, sizeof want);
    ck_assert_int_eq(dfqi_model_save(whole, path, 0), DFQ_OK);
    check_meta(ctx, "3", "none");
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    check_meta(ctx, "4", "16");
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    dfqt_logits(r, have);
    ck_assert_mem_eq(want, have, sizeof want);
    ck_assert_uint_eq(dfqi_model_outline_hash(s), dfqi_model_outline_hash(r));
    ck_assert_int_eq(r->scheme.grids.act_group, GROUP);
    dfqi_model_release(r);
    dfqi_model_release(s);
    dfqi_model_release(whole);
    dfqi_context_release(ctx);
}
END_TEST

/* The file again with another value of dfq.act_group. */
static void spoil(dfq_context *ctx, char *value)
{
    dfqi_safetensors st;
    dfqi_st_meta meta[64];
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert(st.n_meta < 64);
    memcpy(meta, st.meta, (size_t)st.n_meta * sizeof *meta);
    for (int64_t i = 0; i < st.n_meta; i++)
        if (strcmp(meta[i].key, "dfq.act_group") == 0) meta[i].value = value;
    ck_assert_int_eq(dfqi_st_write_to(ctx, &(dfqi_st_target){.path = path}, st.n_entries,
                                      st.entries, st.n_meta, meta),
                     DFQ_OK);
    dfqi_st_fini(&st);
}

START_TEST(test_broken_files)
{
    static char values[][12] = {"", "0", "-16", "016", "16x", "99999999999", "24", "32"};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *s = student(ctx, GROUP), *r;
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    spoil(ctx, values[_i]);
    dfq_status status = dfqi_model_load(ctx, path, NULL, &r);
    ck_assert_msg(status == DFQ_E_CORRUPT || status == DFQ_E_INVALID, "%d", (int)status);
    ck_assert_msg(strstr(ctx->error, "act_group") && !strchr(ctx->error, '\n'), "%s", ctx->error);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

/* Groups that kernels cannot take or that no row is made of, and scales of tensors. */
START_TEST(test_refused)
{
    static const int32_t groups[] = {-16, 8, 24, 8192, 32, 48, 16};
    const int tensor = _i == 6;
    const dfqi_grids grids = {.act_scale = tensor ? DFQI_ACT_SCALE_TENSOR : DFQI_ACT_SCALE_ROW,
                              .act_group = groups[_i]};
    dfq_context *ctx = dfqt_context(1);
    dfqi_scheme s;
    dfqi_model *t;
    ck_assert_int_eq(dfqt_teacher_with(ctx, HIDDEN, &t), DFQ_OK);
    ck_assert_int_eq(
        dfqi_scheme_new_with(&t->net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, grids, &s),
        DFQ_E_INVALID);
    ck_assert_msg(strstr(ctx->error, tensor   ? "with scales of tensors"
                                     : _i < 4 ? "a multiple of 16"
                                              : "no linear layer"),
                  "%s", ctx->error);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_row_groups_case(void)
{
    TCase *c = tcase_create("row_groups");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_sites);
    tcase_add_test(c, test_group_is_a_row);
    tcase_add_test(c, test_round_trip);
    tcase_add_loop_test(c, test_broken_files, 0, 8);
    tcase_add_loop_test(c, test_refused, 0, 7);
    return c;
}
