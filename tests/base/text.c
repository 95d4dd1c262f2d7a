/* Numbers with decimal points under any locale, and texts that steer no terminal. */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/cases.h"
#include "base/memory.h"
#include "support/comma.h"

static void keep_line(int32_t level, const char *line, void *user)
{
    (void)level;
    snprintf(user, DFQI_ERROR_MAX, "%s", line);
}

START_TEST(test_points)
{
    char text[40], line[DFQI_ERROR_MAX] = "", *end;
    dfq_context_options o = {.log = keep_line, .log_user = line};
    dfq_context *ctx;
    dfqt_use_commas();
    snprintf(text, sizeof text, "%g", 0.5);
    ck_assert_str_eq(text, "0,5"); /* the host's */
    ck_assert_int_eq(dfqi_context_create(&o, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqi_print(text, sizeof text, "%.9g and %d", 0.25, 7), 10);
    ck_assert_str_eq(text, "0.25 and 7");
    ck_assert(dfqi_parse_real("0.75,1", &end) == 0.75);
    ck_assert_str_eq(end, ",1");
    char *made = dfqi_format(ctx, "%.1f", 1.5);
    ck_assert_str_eq(made, "1.5");
    ck_assert_int_eq(dfqi_fail(ctx, DFQ_E_INVALID, "%g is above %g", 1.5, 0.5), DFQ_E_INVALID);
    ck_assert_str_eq(ctx->error, "1.5 is above 0.5");
    dfqi_log(ctx, DFQ_LOG_INFO, "%g", 2.5);
    ck_assert_str_eq(line, "2.5");
    snprintf(text, sizeof text, "%g", 0.5);
    ck_assert_str_eq(text, "0,5"); /* still the host's */
    dfqi_free(ctx, made);
    dfqi_context_release(ctx);
}
END_TEST

static const struct {
    const char *have, *want;
} lines[] = {
    {"plain", "plain"},
    {"a\nb\tc\x1B[31m\x7F", "a?b?c?[31m?"},
    {"\x9B\x33\x31m", "?31m"},     /* the raw byte of CSI: no UTF-8 */
    {"\xC2\x9B\x33\x31m", "?31m"}, /* CSI in UTF-8 */
    {"\xC2\xA0\xC3\xA4 \xE2\x82\xAC", "\xC2\xA0\xC3\xA4 \xE2\x82\xAC"},
    {"exe.\xE2\x80\xAEgnp", "exe.?gnp"}, /* right to left */
    {"a\xE2\x80\xA8"
     "b\xE2\x81\xA6"
     "c",
     "a?b?c"},                                                /* a line separator, an isolate */
    {"\xE2\x80\x93\xE2\x80\xA6", "\xE2\x80\x93\xE2\x80\xA6"}, /* a dash, an ellipsis */
    {"\xF0\x9F\x98\x80\xF5\x80", "\xF0\x9F\x98\x80??"},
    {"\xE2\x82", "??"}, /* cut off */
    {"\xC0\x8A", "??"}, /* a newline, longer than needed */
};

START_TEST(test_printable)
{
    char text[64];
    dfq_context *ctx;
    snprintf(text, sizeof text, "%s", lines[_i].have);
    dfqi_printable(text);
    ck_assert_str_eq(text, lines[_i].want);
    ck_assert_int_eq(dfqi_context_create(NULL, &ctx), DFQ_OK);
    ck_assert_int_eq(dfqi_fail(ctx, DFQ_E_CORRUPT, "%s", lines[_i].have), DFQ_E_CORRUPT);
    ck_assert_str_eq(ctx->error, lines[_i].want);
    dfqi_context_release(ctx);
}
END_TEST

START_TEST(test_cause)
{
    char text[DFQI_CAUSE_MAX];
    ck_assert_str_eq(dfqi_cause(2, text), "No such file or directory");
    ck_assert_uint_gt(strlen(dfqi_cause(987654, text)), 0);
}
END_TEST

TCase *dfqt_text_case(void)
{
    TCase *tc = tcase_create("text");
    tcase_add_test(tc, test_points);
    tcase_add_loop_test(tc, test_printable, 0, sizeof lines / sizeof lines[0]);
    tcase_add_test(tc, test_cause);
    return tc;
}
