/* Scales of rows: which sites have them, their widths, the file, and the kinds as quantizers by
 * themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "graph/exec.h"
#include "graph/ops.h"
#include "io/safetensors.h"
#include "kernel/kernel.h"
#include "quant/cases.h"
#include "quant/file_priv.h"
#include "quant/quantizer.h"
#include "support/fail_alloc.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES };

static const dfqi_grids rows = {.act_scale = DFQI_ACT_SCALE_ROW};
static char path[] = "/tmp/dfq-rows-XXXXXX";

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

/* -- networks ---------------------------------------------------------------------------------- */

static dfqi_model *student(dfq_context *ctx, dfqi_widths widths)
{
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_msg(dfqt_quantize_with(t, DFQI_MODE_IMPROVED, widths, rows, &s) == DFQ_OK, "%s",
                  ctx->error);
    dfqi_model_release(t);
    return s;
}

static void check_site(const dfqi_model *m, const char *name, dfqi_site_kind kind, int bits,
                       float qmin, float qmax)
{
    const dfqi_site *s = dfqi_scheme_find(&m->scheme, name);
    ck_assert_msg(s != NULL, "no %s", name);
    ck_assert_msg(s->kind == kind && s->bits == bits && s->qmin == qmin && s->qmax == qmax &&
                      s->input == -1,
                  "%s: kind %d, %d bits, %g to %g", name, (int)s->kind, s->bits, (double)s->qmin,
                  (double)s->qmax);
    ck_assert(dfqi_site_is_weight(s) ? s->scale != NULL : !s->scale && !s->zero_point);
}

START_TEST(test_sites)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *m = student(ctx, (dfqi_widths){4, 4, 0});
    check_site(m, "blocks.0.attn.qkv.input", DFQI_SITE_ROW, 4, 0, 15);
    check_site(m, "blocks.0.attn.qkv.weight", DFQI_SITE_WEIGHT, 4, -8, 7);
    check_site(m, "blocks.0.attn.qk.a", DFQI_SITE_ROW, 4, 0, 15);
    check_site(m, "blocks.0.attn.qk.b", DFQI_SITE_ROW, 4, -7, 7);
    check_site(m, "blocks.0.attn.av.a", DFQI_SITE_ROW, 4, 0, 15);
    check_site(m, "blocks.0.attn.av.b", DFQI_SITE_COLUMN, 4, -7, 7);
    check_site(m, "blocks.1.mlp.fc2.input", DFQI_SITE_ROW, 4, 0, 15);
    check_site(m, "patch_embed.proj.weight", DFQI_SITE_WEIGHT, 8, -128, 127);
    check_site(m, "head.weight", DFQI_SITE_WEIGHT, 8, -128, 127);
    check_site(m, "head.input", DFQI_SITE_ROW, 8, 0, 255);
    ck_assert_ptr_null(dfqi_scheme_find(&m->scheme, "patch_embed.proj.input"));
    dfqi_model_release(m);
    m = student(ctx, (dfqi_widths){4, 4, 4}); /* every layer */
    check_site(m, "head.input", DFQI_SITE_ROW, 4, 0, 15);
    check_site(m, "head.weight", DFQI_SITE_WEIGHT, 4, -8, 7);
    dfqi_model_release(m);
    m = student(ctx, (dfqi_widths){3, 8, 4});
    check_site(m, "head.input", DFQI_SITE_ROW, 8, 0, 255);
    check_site(m, "patch_embed.proj.weight", DFQI_SITE_WEIGHT, 4, -8, 7);
    check_site(m, "blocks.0.attn.av.b", DFQI_SITE_COLUMN, 8, -127, 127);
    dfqi_model_release(m);
    dfqi_context_release(ctx);
}
END_TEST

/* The grid follows each row: rows of one input times powers of two keep their codes. A scale that
 * rows share would lose them. */
START_TEST(test_rows_apart)
{
    enum { ROWS = 12, COLS = 37, N = ROWS * COLS };
    dfq_context *ctx = dfqt_context(1);
    dfqi_graph *g;
    dfqi_exec *e;
    static float x[N];
    dfqi_rng r = dfqi_rng_make(5, 1);
    for (int i = 0; i < N; i++) x[i] = i < COLS ? dfqi_rng_range(&r, -1, 2) : 2 * x[i - COLS];
    ck_assert_int_eq(dfqi_graph_new(ctx, 1, &g), DFQ_OK);
    dfqi_id in = dfqi_graph_input(g, "x", 1, 2, (int64_t[]){ROWS, COLS});
    dfqi_id y = dfqi_fq_row(g, in, 4, 0);
    dfqi_graph_keep(g, y);
    ck_assert_int_eq(dfqi_exec_new(g, &e), DFQ_OK);
    dfqi_exec_bind(e, in, x);
    ck_assert_int_eq(dfqi_exec_run(e), DFQ_OK);
    const float *v = dfqi_exec_data(e, y);
    for (int i = COLS; i < N; i++) ck_assert_float_eq(v[i], 2 * v[i - COLS]);
    dfqi_exec_free(e);
    dfqi_graph_free(g);
    dfqi_context_release(ctx);
}
END_TEST

/* Images that are not there for it cannot change what a row's grid is; threads neither. */
START_TEST(test_round_trip)
{
    dfq_context *ctx = dfqt_context(1), *more = dfqt_context(3);
    dfqi_widths widths = {_i, 10 - _i, _i == 5 ? 3 : 0};
    dfqi_model *s = student(ctx, widths), *r, *wide = student(more, widths);
    float want[LOGITS], have[LOGITS];
    dfqi_safetensors st;
    dfqt_logits(s, want);
    dfqt_logits(wide, have);
    ck_assert_mem_eq(want, have, sizeof want);
    ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
    ck_assert_msg(dfqi_model_load(ctx, path, NULL, &r) == DFQ_OK, "%s", ctx->error);
    dfqt_logits(r, have);
    ck_assert_mem_eq(want, have, sizeof want);
    ck_assert_uint_eq(dfqi_model_outline_hash(s), dfqi_model_outline_hash(r));
    ck_assert_int_eq(r->scheme.first_last_bits, _i == 5 ? 3 : 8);
    ck_assert_int_eq(r->scheme.grids.act_scale, DFQI_ACT_SCALE_ROW);
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert_str_eq(dfqi_st_meta_find(&st, "dfq.format"), "3");
    for (int64_t i = 0; i < st.n_entries; i++)
        ck_assert_msg(!strstr(st.entries[i].name, ".input.") && !strstr(st.entries[i].name, ".qk."),
                      "%s", st.entries[i].name);
    dfqi_st_fini(&st);
    dfqi_model_release(s);
    dfqi_model_release(r);
    dfqi_model_release(wide);
    dfqi_context_release(more);
    dfqi_context_release(ctx);
}
END_TEST

/* Writes the file again with another value of `key`, or with a tensor more. */
static void spoil(dfq_context *ctx, const char *key, char *value, char *extra)
{
    dfqi_safetensors st;
    dfq_tensor *one;
    dfqi_st_entry entries[128];
    dfqi_st_meta meta[64];
    ck_assert_int_eq(dfqi_st_read(ctx, path, &st), DFQ_OK);
    ck_assert(st.n_entries < 127 && st.n_meta < 64);
    memcpy(entries, st.entries, (size_t)st.n_entries * sizeof *entries);
    memcpy(meta, st.meta, (size_t)st.n_meta * sizeof *meta);
    for (int64_t i = 0; i < st.n_meta; i++)
        if (key && strcmp(meta[i].key, key) == 0) meta[i].value = value;
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){1}, &one), DFQ_OK);
    *dfqi_tensor_f32(one) = 1;
    entries[st.n_entries] = (dfqi_st_entry){.name = extra, .tensor = one};
    ck_assert_int_eq(dfqi_st_write_to(ctx, &(dfqi_st_target){.path = path},
                                      st.n_entries + (extra != NULL), entries, st.n_meta, meta),
                     DFQ_OK);
    dfqi_tensor_release(one);
    dfqi_st_fini(&st);
}

START_TEST(test_broken_files)
{
    static char column[] = "column", nine[] = "9", scale[] = "head.input.scale";
    static const struct {
        const char *key;
        char *value, *extra;
        const char *want;
        dfq_status status;
    } cases[] = {
        {"dfq.act_scale", column, NULL, "dfq.act_scale is \"column\", must be row", DFQ_E_CORRUPT},
        {"dfq.format", nine, NULL, "must be 2, 3, 4 or 5", DFQ_E_UNSUPPORTED},
        {"dfq.act_bits", nine, NULL, "dfq.act_bits is \"9\", must be 2 to 8", DFQ_E_CORRUPT},
        {"dfq.first_last_bits", nine, NULL, "dfq.first_last_bits is \"9\"", DFQ_E_CORRUPT},
        {"dfq.mode", column, NULL, "dfq.mode is \"column\"", DFQ_E_CORRUPT},
        {NULL, nine, scale, "head.input.scale must be missing", DFQ_E_CORRUPT}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *s = student(ctx, (dfqi_widths){4, 4, 0}), *r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(dfqi_model_save(s, path, 0), DFQ_OK);
        spoil(ctx, cases[i].key, cases[i].value, cases[i].extra);
        ck_assert_int_eq(dfqi_model_load(ctx, path, NULL, &r), cases[i].status);
        ck_assert_msg(strstr(ctx->error, cases[i].want) && !strchr(ctx->error, '\n'), "%s",
                      ctx->error);
    }
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_refused)
{
    dfq_context *ctx = dfqt_context(1);
    dfq_graph *cnn = dfqt_family(ctx, DFQI_FAMILY_RESNET);
    dfqi_scheme s;
    dfqi_model *t;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(
        dfqi_scheme_new_with(&t->net, DFQI_MODE_PARITY, (dfqi_widths){4, 4, 0}, rows, &s),
        DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, "not for mode parity") != NULL, "%s", ctx->error);
    ck_assert_int_eq(
        dfqi_scheme_new_with(&cnn->net, DFQI_MODE_IMPROVED, (dfqi_widths){4, 4, 0}, rows, &s),
        DFQ_E_UNSUPPORTED);
    ck_assert_msg(strstr(ctx->error, "set it to auto or tensor") != NULL, "%s", ctx->error);
    dfqi_model_release(t);
    dfqi_model_release(cnn);
    dfqi_context_release(ctx);
}
END_TEST

/* -- quantizers of their own ------------------------------------------------------------------- */

enum { B = 2, H = 3, N = 40, D = 130, COUNT = B * H * N * D };

static dfqi_quantizer *quantizer(dfq_context *ctx, int32_t kind, int32_t bits, int32_t is_signed)
{
    dfq_quantizer_options o;
    dfqi_quantizer *q;
    dfq_quantizer_options_init(&o, sizeof o);
    o.kind = kind;
    o.bits = bits;
    o.is_signed = is_signed;
    ck_assert_int_eq(dfqi_quantizer_new(ctx, &o, &q), DFQ_OK);
    return q;
}

static dfq_tensor *numbers(dfq_context *ctx, uint64_t seed)
{
    dfq_tensor *t;
    dfqi_rng r = dfqi_rng_make(seed, 1);
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 4, (int64_t[]){B, H, N, D}, &t), DFQ_OK);
    for (int i = 0; i < COUNT; i++) dfqi_tensor_f32(t)[i] = dfqi_rng_range(&r, -1, 2);
    return t;
}

/* The values of one grid, step by step: a row, or a column of a head. */
static int64_t start_of(int column, int i)
{
    return column ? (int64_t)(i / D) * N * D + i % D : (int64_t)i * D;
}

/* Each grid by itself through the kernels; codes give the values back. */
static void check_module(dfq_context *ctx, int32_t kind, int32_t bits, int32_t is_signed)
{
    int column = kind == DFQ_QUANTIZER_COLUMN, n = column ? N : D, step = column ? D : 1;
    dfqi_quantizer *q = quantizer(ctx, kind, bits, is_signed);
    dfq_tensor *x = numbers(ctx, 1), *dy = numbers(ctx, 2), *y, *dx, *codes;
    const dfqi_kernels *k = dfqi_kernels_get(ctx);
    ck_assert_int_eq(dfqi_quantizer_apply(q, x, &y), DFQ_OK);
    ck_assert_int_eq(dfqi_quantizer_backward(q, x, dy, &dx, NULL, NULL), DFQ_OK);
    ck_assert_int_eq(dfqi_quantizer_codes(q, x, &codes), DFQ_OK);
    ck_assert_int_eq(codes->dtype, is_signed ? DFQI_I8 : DFQI_U8);
    for (int i = 0; i < COUNT / n; i++) {
        float line[D], slope[D], want[D], scale, zero_point;
        int64_t at = start_of(column, i);
        for (int c = 0; c < n; c++) line[c] = dfqi_tensor_f32(x)[at + c * step];
        for (int c = 0; c < n; c++) slope[c] = dfqi_tensor_f32(dy)[at + c * step];
        k->fq_row(1, n, bits, is_signed, line, want, &scale, &zero_point);
        k->fq_row_bwd(1, n, bits, is_signed, line, slope, slope);
        for (int c = 0; c < n; c++) {
            int64_t o = at + c * step;
            float code = is_signed ? (float)((const int8_t *)codes->data)[o]
                                   : (float)((const uint8_t *)codes->data)[o];
            ck_assert_float_eq(dfqi_tensor_f32(y)[o], want[c]);
            ck_assert_float_eq((code - zero_point) * scale, want[c]);
            ck_assert_float_eq(dfqi_tensor_f32(dx)[o], slope[c]);
        }
    }
    dfqi_tensor_f32(x)[COUNT - 1] = INFINITY;
    ck_assert_int_eq(dfqi_quantizer_codes(q, x, &codes), DFQ_E_NUMERIC);
    ck_assert_msg(strstr(ctx->error, "infinity") != NULL, "%s", ctx->error);
    dfq_tensor *const all[] = {x, dy, y, dx, codes};
    for (int i = 0; i < 5; i++) dfqi_tensor_release(all[i]);
    dfqi_quantizer_release(q);
}

START_TEST(test_modules)
{
    for (int threads = 1; threads <= 3; threads += 2) {
        dfq_context *ctx = dfqt_context(threads);
        for (int i = 0; i < 4; i++)
            check_module(ctx, i % 2 ? DFQ_QUANTIZER_COLUMN : DFQ_QUANTIZER_ROW, _i, i / 2);
        dfqi_context_release(ctx);
    }
}
END_TEST

/* What kinds without scales of their own cannot do. */
START_TEST(test_module_refuses)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_quantizer *q = quantizer(ctx, _i, 4, 0);
    dfq_tensor *x = numbers(ctx, 1), *one, *out;
    ck_assert_int_eq(dfqi_tensor_new(ctx, DFQI_F32, 1, (int64_t[]){1}, &one), DFQ_OK);
    *dfqi_tensor_f32(one) = 1;
    ck_assert_int_eq(dfqi_quantizer_set_scales(q, one, NULL), DFQ_E_UNSUPPORTED);
    ck_assert_int_eq(dfqi_quantizer_set_columns(q, one), DFQ_E_UNSUPPORTED);
    ck_assert_int_eq(dfqi_quantizer_calibrate(q, x, DFQ_CALIBRATION_MINMAX), DFQ_E_UNSUPPORTED);
    ck_assert_int_eq(dfqi_quantizer_backward(q, x, x, NULL, &out, NULL), DFQ_E_UNSUPPORTED);
    ck_assert_int_eq(dfqi_quantizer_codes(q, x, &out), DFQ_OK);
    dfq_tensor *values;
    ck_assert_int_eq(dfqi_quantizer_dequantize(q, out, &values), DFQ_E_UNSUPPORTED);
    ck_assert_int_eq(dfqi_quantizer_apply(q, out, &values), DFQ_E_SHAPE);
    if (_i == DFQ_QUANTIZER_COLUMN)
        ck_assert_int_eq(dfqi_quantizer_apply(q, one, &values), DFQ_E_SHAPE);
    dfqi_tensor_release(out);
    dfqi_tensor_release(one);
    dfqi_tensor_release(x);
    dfqi_quantizer_release(q);
    dfqi_context_release(ctx);
}
END_TEST

/* -- without memory ---------------------------------------------------------------------------- */

static dfq_status scenario(dfq_context *ctx, void *user)
{
    const int *kind = user;
    dfq_quantizer_options o;
    dfqi_quantizer *q = NULL;
    dfq_tensor *x = NULL, *y[3] = {NULL, NULL, NULL};
    dfq_status status;
    dfq_quantizer_options_init(&o, sizeof o);
    o.kind = *kind;
    DFQI_GOTO(dfqi_quantizer_new(ctx, &o, &q), out);
    DFQI_GOTO(dfqi_tensor_new(ctx, DFQI_F32, 3, (int64_t[]){2, 5, 7}, &x), out);
    DFQI_GOTO(dfqi_quantizer_apply(q, x, &y[0]), out);
    DFQI_GOTO(dfqi_quantizer_backward(q, x, x, &y[1], NULL, NULL), out);
    status = dfqi_quantizer_codes(q, x, &y[2]);
out:
    for (int i = 0; i < 3; i++) dfqi_tensor_release(y[i]);
    dfqi_tensor_release(x);
    if (q) dfqi_quantizer_release(q);
    return status;
}

START_TEST(test_out_of_memory)
{
    int kind = _i;
    fail_alloc_sweep(scenario, &kind, 1);
}
END_TEST

static dfq_status network_scenario(dfq_context *ctx, void *user)
{
    dfqi_model *t = NULL, *s = NULL;
    dfq_status status;
    (void)user;
    DFQI_GOTO(dfqt_teacher(ctx, &t), out);
    DFQI_GOTO(dfqt_quantize_with(t, DFQI_MODE_IMPROVED, (dfqi_widths){8, 4, 0}, rows, &s), out);
    status = dfqi_model_save(s, path, 0);
out:
    dfqi_model_release(t);
    dfqi_model_release(s);
    return status;
}

START_TEST(test_network_out_of_memory)
{
    fail_alloc_sweep(network_scenario, NULL, 1);
}
END_TEST

TCase *dfqt_row_case(void)
{
    TCase *c = tcase_create("row");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_sites);
    tcase_add_test(c, test_rows_apart);
    tcase_add_loop_test(c, test_round_trip, 2, 9);
    tcase_add_test(c, test_broken_files);
    tcase_add_test(c, test_refused);
    tcase_add_loop_test(c, test_modules, 2, 9);
    tcase_add_loop_test(c, test_module_refuses, DFQ_QUANTIZER_ROW, DFQ_QUANTIZER_COLUMN + 1);
    tcase_add_loop_test(c, test_out_of_memory, DFQ_QUANTIZER_ROW, DFQ_QUANTIZER_COLUMN + 1);
    tcase_add_test(c, test_network_out_of_memory);
    return c;
}
