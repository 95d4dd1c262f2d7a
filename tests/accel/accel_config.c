/* Descriptions of accelerators: presets, lists of values, and what is refused in one clear line. */
#include <string.h>

#include "accel/cases.h"
#include "accel/accel_config.h"

#define REST                                                                                       \
    "\"pe_y\": 8, \"rf_words\": 16, \"dataflow\": \"os\", \"pe_type\": \"serial\", "               \
    "\"word_bits\": 8, \"psum_bits\": 24, \"glb_kb\": 32.5, \"clock_mhz\": 250, "                  \
    "\"dram_gb_per_s\": 4, \"glb_gb_per_s\": 16"

START_TEST(test_presets)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    dfqi_accel_config t;
    int32_t n = 0;
    for (const char *name; (name = dfqi_preset_name(n)) != NULL; n++) {
        ck_assert_msg(dfqi_accel_space_load(ctx, name, &s) == DFQ_OK, "%s", ctx->error);
        ck_assert_str_eq(s.name, name);
        ck_assert_int_eq(s.float_bits, 16);
    }
    ck_assert_int_eq(n, 4);
    ck_assert_ptr_null(dfqi_preset_name(-1));
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "hdx-space", &s), DFQ_OK);
    ck_assert_int_eq(dfqi_accel_space_count(&s), 4335);
    dfqi_accel_space_config(&s, 4334, &t);
    ck_assert_int_eq(t.pe_x, 24);
    ck_assert_int_eq(t.pe_y, 24);
    ck_assert_int_eq(t.rf_words, 64);
    ck_assert_int_eq(t.dataflow, DFQI_FLOW_RS);
    dfqi_accel_space_config(&s, 15, &t);
    ck_assert_int_eq(t.pe_x, 8);
    ck_assert_int_eq(t.pe_y, 9);
    ck_assert_int_eq(t.rf_words, 4);
    ck_assert_int_eq(t.dataflow, DFQI_FLOW_WS);
    /* by the formula of docs/METHODS.md, Prices */
    ck_assert_double_eq_tol(
        dfqi_accel_config_mm2(&t),
        (72 * (1239.5 + 4 * 16 * 5.98 + 4 * 70 * 2 / 32.0) + dfqi_sram_um2(108)) * 1.05e-6, 1e-4);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_values)
{
    static const char json[] = "{\"name\": \"mine\", \"pe_x\": [4, 6], " REST "}";
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    dfqi_accel_config t;
    ck_assert_msg(dfqi_accel_space_parse(ctx, "x", json, strlen(json), &s) == DFQ_OK, "%s",
                  ctx->error);
    ck_assert_str_eq(s.name, "mine");
    ck_assert_int_eq(dfqi_accel_space_count(&s), 2);
    dfqi_accel_space_config(&s, 1, &t);
    ck_assert_int_eq(t.pe_x, 6);
    ck_assert_int_eq(t.pe, DFQI_PE_SERIAL);
    ck_assert_int_eq(t.float_bits, 8); /* a word, if nothing is said */
    ck_assert_double_eq(t.glb_kb, 32.5);
    ck_assert_double_eq(t.price.mac_pj, 0);
    ck_assert_double_eq_tol(t.price.dram_pj, 64, 1e-9);
    ck_assert_double_eq_tol(t.price.rf_pj, dfqi_rf_pj(16, 8), 1e-12);
    ck_assert_double_eq_tol(t.price.rf_fill_pj, dfqi_rf_pj(16, 8), 1e-12);
    ck_assert_double_eq_tol(t.price.reg_pj, 0.009 * 8, 1e-12);
    ck_assert_double_eq_tol(t.price.noc_pj, 0.2006 / 2, 1e-12);
    ck_assert_double_eq_tol(t.price.glb_read_pj, 8 * dfqi_sram_read_pj(32.5), 1e-12);
    ck_assert_double_eq_tol(t.price.glb_write_pj, 8 * dfqi_sram_write_pj(32.5), 1e-12);
    ck_assert_double_eq_tol(t.price.glb_fill_pj, 8 * dfqi_sram_write_pj(32.5), 1e-12);
    ck_assert_double_eq(t.price.static_mw, 0);
    dfqi_context_release(ctx);
}
END_TEST

/* Up to the width of sums, beyond that of words. */
START_TEST(test_float_bits)
{
    static const char json[] = "{\"pe_x\": 4, \"float_bits\": 24, " REST "}";
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    dfqi_accel_config t;
    ck_assert_msg(dfqi_accel_space_parse(ctx, "x", json, strlen(json), &s) == DFQ_OK, "%s",
                  ctx->error);
    dfqi_accel_space_config(&s, 0, &t);
    ck_assert_int_eq(t.float_bits, 24);
    dfqi_context_release(ctx);
}
END_TEST

static const struct {
    const char *json, *text;
} wrong[] = {
    {"{" REST "}", "\"pe_x\" is missing"},
    {"{\"pe_x\": 0, " REST "}", "\"pe_x\" is 0, must be 1 to 1024"},
    {"{\"pe_x\": [8, 0], " REST "}", "\"pe_x\" is 0, must be 1 to 1024"},
    {"{\"pe_x\": [], " REST "}", "\"pe_x\" has 0 values"},
    {"{\"pe_x\": 8.5, " REST "}", "\"pe_x\" is a fraction, must be an integer"},
    {"{\"pe_x\": 8, \"colour\": 1, " REST "}", "key \"colour\" is not known"},
    {"{\"pe_x\": 8, \"clock\": 200, " REST "}", "\"clock\" has no unit; write \"clock_mhz\""},
    {"{\"pe_x\": 8, \"glb\": 1, " REST "}", "\"glb\" has no unit; write \"glb_kb\""},
    {"{\"pe_x\": 8, \"dram_gb\": 1, " REST "}", "\"dram_gb\" has no unit; write \"dram_gb_per_s\""},
    {"{\"pe_x\": 8, \"energy\": {\"mac\": 1}, " REST "}", "\"mac\" has no unit; write \"mac_pj\""},
    {"{\"pe_x\": 8, \"energy\": {\"mac_pj\": 1}, " REST "}", "\"rf_pj\" of \"energy\" is missing"},
    {"{\"pe_x\": 8, \"pe_x\": 8, " REST "}", "duplicate"},
    {"{\"pe_x\": 8, \"float_bits\": 1, " REST "}", "\"float_bits\" is 1, must be 2 to 24"},
    {"{\"pe_x\": 8, \"float_bits\": 25, " REST "}", "\"float_bits\" is 25, must be 2 to 24"},
    {"{\"pe_x\": 8, \"float\": 16, " REST "}", "\"float\" has no unit; write \"float_bits\""},
    {"{\"pe_x\": 8, \"pe_y\": 8, \"rf_words\": 16, \"dataflow\": \"nvdla\"}",
     "\"dataflow\" is \"nvdla\", must be ws, os or rs"},
    {"[1]", "object"},
    {"{\"pe_x\": 8", "accel.json"},
};

START_TEST(test_wrong)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    ck_assert_int_eq(
        dfqi_accel_space_parse(ctx, "accel.json", wrong[_i].json, strlen(wrong[_i].json), &s),
        DFQ_E_CORRUPT);
    ck_assert_msg(strstr(ctx->error, wrong[_i].text) != NULL, "%s", ctx->error);
    ck_assert_msg(strstr(ctx->error, "accel.json") == ctx->error, "%s", ctx->error);
    ck_assert_ptr_null(strchr(ctx->error, '\n'));
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_no_file)
{
    dfq_context *ctx = dfqt_context(1);
    dfqi_accel_space s;
    ck_assert_int_eq(dfqi_accel_space_load(ctx, "no-such-preset", &s), DFQ_E_IO);
    dfqi_context_release(ctx);
}
END_TEST

TCase *dfqt_accel_config_case(void)
{
    TCase *c = tcase_create("template");
    tcase_add_test(c, test_presets);
    tcase_add_test(c, test_values);
    tcase_add_test(c, test_float_bits);
    tcase_add_loop_test(c, test_wrong, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(c, test_no_file);
    return c;
}
