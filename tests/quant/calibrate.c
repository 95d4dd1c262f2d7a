/* Sites, scales, and how near a student is to its teacher. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quant/cases.h"

enum { LOGITS = DFQT_IMAGES * DFQT_CLASSES };

static double distance(const float *a, const float *b)
{
    double d = 0, p = 0;
    for (int i = 0; i < LOGITS; i++) {
        d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        p += (double)a[i] * a[i];
    }
    return sqrt(d / p);
}

static double student_distance(dfqi_mode mode, int weight_bits, int act_bits)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *t, *s;
    float z[LOGITS], q[LOGITS];
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_msg(dfqt_quantize(t, mode, weight_bits, act_bits, &s) == DFQ_OK, "%s", ctx->error);
    dfqt_logits(t, z);
    dfqt_logits(s, q);
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
    return distance(z, q);
}

/* Every product's operands but the image have a quantizer, as in MimiQ. */
START_TEST(test_sites)
{
    static const char *const block[] = {"attn.qkv.input",  "attn.qkv.weight",  "attn.qk.a",
                                        "attn.qk.b",       "attn.av.a",        "attn.av.b",
                                        "attn.proj.input", "attn.proj.weight", "mlp.fc1.input",
                                        "mlp.fc1.weight",  "mlp.fc2.input",    "mlp.fc2.weight"};
    enum { BLOCK = sizeof block / sizeof *block };
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t;
    dfqi_scheme s;
    char name[96];
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqi_scheme_new(&t->net, (dfqi_mode)_i, (dfqi_widths){3, 5, 0}, &s), DFQ_OK);
    ck_assert_int_eq(s.n_sites, 1 + 2 * BLOCK + 2);
    ck_assert_str_eq(s.sites[0].name, "patch_embed.proj.weight");
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < BLOCK; i++) {
            snprintf(name, sizeof name, "blocks.%d.%s", b, block[i]);
            ck_assert_str_eq(s.sites[1 + b * BLOCK + i].name, name);
        }
    ck_assert_ptr_nonnull(dfqi_scheme_find(&s, "head.input"));
    ck_assert_int_eq(dfqi_scheme_find(&s, "head.weight")->bits, 3);
    ck_assert_int_eq(dfqi_scheme_find(&s, "head.input")->bits, 5);
    ck_assert_ptr_null(dfqi_scheme_find(&s, "patch_embed.proj.input"));
    dfqi_scheme_fini(&s);
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_bits_out_of_range)
{
    static const int bits[][2] = {{1, 4}, {9, 4}, {4, 1}, {4, 9}, {0, 0}, {-3, 4}};
    dfq_context *ctx = dfqt_context(1);
    dfqi_model *t;
    dfqi_scheme s;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        ck_assert_int_eq(dfqi_scheme_new(&t->net, DFQI_MODE_IMPROVED,
                                         (dfqi_widths){bits[i][0], bits[i][1], 0}, &s),
                         DFQ_E_INVALID);
        ck_assert_ptr_nonnull(strstr(ctx->error, "2 to 8"));
    }
    dfqi_model_release(t);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_scales_positive)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, (dfqi_mode)_i, 4, 4, &s), DFQ_OK);
    for (int32_t i = 0; i < s->scheme.n_sites; i++) {
        const dfqi_site *site = &s->scheme.sites[i];
        for (int64_t k = 0; site->scale && k < dfqi_tensor_count(site->scale); k++) {
            float scale = dfqi_tensor_f32(site->scale)[k];
            ck_assert_msg(isfinite(scale) && scale > 0, "%s: scale %g", site->name, (double)scale);
        }
    }
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

/* More bits come nearer to the teacher; 8 bits come near. */
START_TEST(test_bits_help)
{
    double w8 = student_distance(DFQI_MODE_IMPROVED, 8, 8);
    double w6 = student_distance(DFQI_MODE_IMPROVED, 6, 6);
    double w3 = student_distance(DFQI_MODE_IMPROVED, 3, 3);
    ck_assert_double_lt(w8, 0.05);
    ck_assert_double_lt(w8, w6);
    ck_assert_double_lt(w6, w3);
}
END_TEST

/* Searched scales beat the published initialisation before any tuning. */
START_TEST(test_improved_is_better)
{
    ck_assert_double_lt(student_distance(DFQI_MODE_IMPROVED, 4, 4),
                        student_distance(DFQI_MODE_PARITY, 4, 4));
}
END_TEST

START_TEST(test_threads)
{
    float z[2][LOGITS];
    for (int k = 0; k < 2; k++) {
        dfq_context *ctx = dfqt_context(1 + 2 * k);
        dfqi_model *t, *s;
        ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
        ck_assert_int_eq(dfqt_quantize(t, (dfqi_mode)_i, 4, 4, &s), DFQ_OK);
        dfqt_logits(s, z[k]);
        dfqi_model_release(t);
        dfqi_model_release(s);
        dfqi_context_release(ctx);
    }
    ck_assert_mem_eq(z[0], z[1], sizeof z[0]);
}
END_TEST

/* Rounded weights lie on their grids, so the quantizer in the graph leaves them as they are. */
START_TEST(test_weights_on_grid)
{
    dfq_context *ctx = dfqt_context(2);
    dfqi_model *t, *s;
    ck_assert_int_eq(dfqt_teacher(ctx, &t), DFQ_OK);
    ck_assert_int_eq(dfqt_quantize(t, DFQI_MODE_IMPROVED, 4, 4, &s), DFQ_OK);
    for (int32_t i = 0; i < s->scheme.n_sites; i++) {
        const dfqi_site *site = &s->scheme.sites[i];
        if (site->kind != DFQI_SITE_WEIGHT) continue;
        const dfq_tensor *w = dfqi_network_find(&s->net, site->name);
        int64_t cols = dfqi_tensor_count(w) / w->dims[0];
        const float *col =
            site->input >= 0 ? dfqi_tensor_f32(s->scheme.sites[site->input].scale) : NULL;
        for (int64_t k = 0; k < dfqi_tensor_count(w); k++) {
            float code = dfqi_tensor_f32(w)[k] * (col ? col[k % cols] : 1.0f) /
                         dfqi_tensor_f32(site->scale)[k / cols];
            ck_assert_float_eq_tol(code, rintf(code), 1e-4f);
            ck_assert(rintf(code) >= -8 && rintf(code) <= 7);
        }
    }
    dfqi_model_release(t);
    dfqi_model_release(s);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_calibrate_case(void)
{
    TCase *c = tcase_create("calibrate");
    tcase_add_loop_test(c, test_sites, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_bits_out_of_range);
    tcase_add_loop_test(c, test_scales_positive, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_bits_help);
    tcase_add_test(c, test_improved_is_better);
    tcase_add_loop_test(c, test_threads, DFQI_MODE_PARITY, DFQI_MODE_IMPROVED + 1);
    tcase_add_test(c, test_weights_on_grid);
    return c;
}
