/* Weights in groups: which have them, their grids and codes, the file, and what is refused. Of the
 * small network only fc2's weights, 48 columns, are several groups of 16. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "io/safetensors.h"
#include "kernel/kernel.h"
#include "kernel/weight_groups.h"
#include "quant/cases.h"
#include "quant/quantizer.h"
#include "quant/weight_groups.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES, HIDDEN = 48, GROUP = 16 };

static char path[] = "/tmp/dfq-weight-groups-XXXXXX";

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

static dfqi_model *student(dfq_context *ctx, dfqi_act_scale scale, int32_t group)
{
    const dfqi_grids grids = {.act_scale = scale, .weight_group = group};
    const dfqi_widths widths = {4, 8, 8};
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher_with(ctx, HIDDEN, &t), DFQ_OK);
    ck_assert_msg(dfqt_quantize_with(t, DFQI_MODE_IMPROVED, widths, grids, &s) == DFQ_OK, "%s",
                  ctx->error);
    dfqi_model_release(t);
    return s;
}

static const dfqi_site *site_of(const dfqi_model *m, const char *name)
{
    const dfqi_site *s = dfqi_scheme_find(&m->scheme, name);
    ck_assert_msg(s != NULL, "no %s", name);
    return s;
}

START_TEST(test_sites)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = student(ctx, DFQI_ACT_SCALE_ROW, GROUP);
    const dfqi_site *fc2 = site_of(m, "blocks.1.mlp.fc2.weight");
    ck_assert_int_eq(fc2->group, GROUP);
    ck_assert_int_eq(dfqi_tensor_count(fc2->groups), 24 * HIDDEN / GROUP);
    ck_assert_int_eq(site_of(m, "blocks.0.mlp.fc1.weight")->group, 0); /* 24 columns */
    ck_assert_ptr_null(site_of(m, "head.weight")->groups);             /* 8 bits */
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* A row whose groups have ranges of their own. */
static void make_row(uint64_t seed, float *w)
{
    dfqi_rng r = dfqi_rng_make(seed, 1);
    for (int i = 0; i < HIDDEN; i++)
        w[i] = dfqi_rng_range(&r, -1, 2) * (float)(1 + i / GROUP) * 0.1f;
}

static double squared(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < HIDDEN; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

/* Groups beat one grid a row, the search beats whole ranges, and what the search reports is the
 * error that the grids have. */
START_TEST(test_search)
{
    static float w[HIDDEN], y[HIDDEN], whole[HIDDEN], row_grid[HIDDEN];
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = student(ctx, DFQI_ACT_SCALE_ROW, GROUP);
    const dfqi_site *site = site_of(m, "blocks.0.mlp.fc2.weight");
    const dfqi_group_row row = {w, NULL, NULL, HIDDEN, 1};
    double with = 0, without = 0, rows = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        make_row(seed, w);
        (void)dfqi_search_groups(site, 1, &row, false);
        dfqi_groups_apply(site, 1, &row, whole);
        const double error = dfqi_search_groups(site, 1, &row, true);
        dfqi_groups_apply(site, 1, &row, y);
        ck_assert_double_eq_tol(error, squared(w, y), 1e-5 * squared(w, y));
        for (int i = 0; i < HIDDEN / GROUP; i++)
            ck_assert(dfqi_group_fits(
                dfqi_group_grid_of(dfqi_tensor_f32(site->groups)[HIDDEN / GROUP + i]), 15));
        dfqi_kernels_get(ctx)->fq_weight(1, HIDDEN, 4, w, NULL, NULL, row_grid, NULL);
        with += error;
        without += squared(w, whole);
        rows += squared(w, row_grid);
    }
    ck_assert_double_lt(with, 0.9 * without);
    ck_assert_double_lt(without, 0.6 * rows);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* Rows of zeros, and of one value beside zeros. */
START_TEST(test_odd_rows)
{
    static float w[HIDDEN], y[HIDDEN];
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = student(ctx, DFQI_ACT_SCALE_ROW, GROUP);
    const dfqi_site *site = site_of(m, "blocks.0.mlp.fc2.weight");
    const dfqi_group_row row = {w, NULL, NULL, HIDDEN, 1};
    ck_assert_double_eq(dfqi_search_groups(site, 0, &row, true), 0);
    dfqi_groups_apply(site, 0, &row, y);
    ck_assert_mem_eq(w, y, sizeof w);
    w[20] = 3;
    (void)dfqi_search_groups(site, 0, &row, true);
    dfqi_groups_apply(site, 0, &row, y);
    ck_assert_float_eq_tol(y[20], 3, 0.1f);
    ck_assert_float_eq(y[0], 0);
    w[5] = INFINITY;
    ck_assert(!isfinite(dfqi_search_groups(site, 0, &row, true)));
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* The network computes with the values of dfqi_weight_row(), and so does the site's quantizer; its
 * codes are of four bits. */
START_TEST(test_quantizer)
{
    static float want[HIDDEN];
    const dfqi_act_scale scales[] = {DFQI_ACT_SCALE_ROW, DFQI_ACT_SCALE_TENSOR};
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *m = student(ctx, scales[_i], GROUP);
    const char *name = "blocks.0.mlp.fc2.weight";
    const dfqi_site *site = site_of(m, name);
    const dfq_tensor *w = dfqi_network_find(&m->net, name);
    const float *col = site->input < 0 ? NULL : dfqi_tensor_f32(m->scheme.sites[site->input].scale);
    dfqi_quantizer *q;
    dfq_tensor *y, *codes;
    int32_t i;
    float scale, zero_point;
    ck_assert_int_eq(site->input >= 0, _i);
    ck_assert_int_eq(dfqi_model_find_site(m, name, &i), DFQ_OK);
    ck_assert_msg(dfqi_model_get_quantizer(m, i, &q) == DFQ_OK, "%s", ctx->error);
    ck_assert_msg(dfqi_quantizer_apply(q, w, &y) == DFQ_OK, "%s", ctx->error);
    ck_assert_int_eq(dfqi_quantizer_codes(q, w, &codes), DFQ_OK);
    for (int64_t r = 0; r < w->dims[0]; r++) {
        const float *have = dfqi_tensor_f32(y) + r * HIDDEN;
        dfqi_weight_row(dfqi_kernels_get(ctx), site, r, HIDDEN, dfqi_tensor_f32(w) + r * HIDDEN,
                        col, want, &scale, &zero_point);
        ck_assert_mem_eq(have, want, sizeof want);
        for (int c = 0; c < HIDDEN; c++) { /* rounded weights are on their grids */
            ck_assert_float_eq_tol(want[c], dfqi_tensor_f32(w)[r * HIDDEN + c], 1e-6f);
            const int8_t code = ((const int8_t *)codes->data)[r * HIDDEN + c];
            ck_assert(code >= -8 && code <= 7);
        }
    }
    dfqi_tensor_release(codes);
    dfqi_tensor_release(y);
    dfqi_quantizer_release(q);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* -- files ------------------------------------------------------------------------------------- */

static void check_meta(dfq_context *ctx, const char *format, const char *group)
{
    dfqi_safetensors st;
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_str_eq(dfqi_st_meta_find(&st, "dfq.format"), format);
    const char *have = dfqi_st_meta_find(&st, "dfq.weight_group");
    ck_assert_str_eq(have ? have : "none", group);
    dfqi_st_fini(&st);
}

START_TEST(test_round_trip)
{
    const dfqi_act_scale scales[] = {DFQI_ACT_SCALE_ROW, DFQI_ACT_SCALE_TENSOR};
    static const char *const without[] = {"3", "2"};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *s = student(ctx, scales[_i], GROUP), *whole = student(ctx, scales[_i], 0), *r;
    static float want[LOGITS], have[LOGITS];
    dfqt_logits(s, want);
    dfqt_logits(whole, have);
    ck_assert_mem_ne(want, have, sizeof want);
    ck_assert_uint_ne(dfqi_model_outline_hash(s), dfqi_model_outline_hash(whole));
    ck_assert_int_eq(dfqi_model_save(whole, path, 0), DFQ_OK);
    check_meta(ctx, without[_i], "none");
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    check_meta(ctx, "5", "16");
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    dfqt_logits(r, have);
    ck_assert_mem_eq(want, have, sizeof want);
    if (_i == 0) /* static zero points get whole */
        ck_assert_uint_eq(dfqi_model_outline_hash(s), dfqi_model_outline_hash(r));
    dfqi_model_release(r);
    dfqi_model_release(s);
    dfqi_model_release(whole);
    dfqi_context_release(ctx);
}
END_TEST

/* The file again with another value of dfq.weight_group (NULL: the same), and another first byte
 * of the grids of one weight's groups, below 0: the same. */
static void spoil(dfq_context *ctx, char *value, int byte)
{
    dfqi_safetensors st;
    dfqi_st_meta meta[64];
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert(st.n_meta < 64);
    memcpy(meta, st.meta, (size_t)st.n_meta * sizeof *meta);
    for (int64_t i = 0; i < st.n_meta; i++)
        if (value && strcmp(meta[i].key, "dfq.weight_group") == 0) meta[i].value = value;
    for (int64_t i = 0; byte >= 0 && i < st.n_entries; i++)
        if (strcmp(st.entries[i].name, "blocks.0.mlp.fc2.weight.groups") == 0)
            *(uint8_t *)st.entries[i].tensor->data = (uint8_t)byte;
    ck_assert_int_eq(dfqi_st_write_to(ctx, &(dfqi_st_target){.path = path}, st.n_entries,
                                      st.entries, st.n_meta, meta),
                     DFQ_OK);
    dfqi_st_fini(&st);
}

START_TEST(test_broken_files)
{
    static char values[][12] = {"", "0", "-16", "016", "16x", "24", "32"};
    static const int bytes[] = {0x80, 0xff, 0x0f}; /* no multiplier; numbers beyond -128, 127 */
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *s = student(ctx, DFQI_ACT_SCALE_ROW, GROUP), *r;
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    spoil(ctx, _i < 7 ? values[_i] : NULL, _i < 7 ? -1 : bytes[_i - 7]);
    ck_assert_int_eq(dfqi_model_load(ctx, path, NULL, &r), DFQ_E_CORRUPT);
    ck_assert_msg(strstr(ctx->error, _i < 7 ? "weight_group" : "fc2.weight.groups holds") &&
                      strstr(ctx->error, path) && strstr(ctx->error, "quantize the float") &&
                      !strchr(ctx->error, '\n'),
                  "%s", ctx->error);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

/* Groups that kernels cannot take, modes without them, and groups of which no weight is made. */
START_TEST(test_refused)
{
    static const struct {
        int32_t group, bits;
        dfqi_mode mode;
        const char *want;
    } cases[] = {{-16, 4, DFQI_MODE_IMPROVED, "a multiple of 16"},
                 {24, 4, DFQI_MODE_IMPROVED, "a multiple of 16"},
                 {8192, 4, DFQI_MODE_IMPROVED, "a multiple of 16"},
                 {16, 4, DFQI_MODE_PARITY, "are for mode improved"},
                 {48, 4, DFQI_MODE_IMPROVED, "no linear layer"},
                 {16, 5, DFQI_MODE_IMPROVED, "no linear layer"}};
    const dfqi_grids grids = {.weight_group = cases[_i].group};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher_with(ctx, HIDDEN, &t), DFQ_OK);
    const dfqi_widths widths = {cases[_i].bits, 8, 0};
    ck_assert_int_ne(dfqt_quantize_with(t, cases[_i].mode, widths, grids, &s), DFQ_OK);
    ck_assert_msg(strstr(ctx->error, cases[_i].want) != NULL, "%s", ctx->error);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_weight_groups_case(void)
{
    TCase *c = tcase_create("weight_groups");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_sites);
    tcase_add_test(c, test_search);
    tcase_add_test(c, test_odd_rows);
    tcase_add_loop_test(c, test_quantizer, 0, 2);
    tcase_add_loop_test(c, test_round_trip, 0, 2);
    tcase_add_loop_test(c, test_broken_files, 0, 10);
    tcase_add_loop_test(c, test_refused, 0, 6);
    return c;
}
