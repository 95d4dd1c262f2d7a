/* JSON: building, printing, strict parsing, typed getters and their texts. */
#include "io/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/cases.h"
#include "support/comma.h"

static dfqi_json *parse(const char *text)
{
    dfqi_json *doc = NULL;
    io_works(dfqi_json_parse(io_ctx, "r.json", text, strlen(text), &doc));
    return doc;
}

/* Prints the document, compares, releases it. */
static void check_dump(dfqi_json *doc, int32_t indent, bool sorted, const char *want)
{
    char *text;
    size_t size;
    io_works(dfqi_json_dump(doc, indent, sorted, &text, &size));
    ck_assert_str_eq(text, want);
    ck_assert_uint_eq(size, strlen(want));
    dfqi_free(io_ctx, text);
}

START_TEST(test_build)
{
    dfqi_json *doc;
    io_works(dfqi_json_new(io_ctx, "r.json", &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    dfqi_json_put_int(root, "z", INT64_MIN);
    dfqi_jnode list = dfqi_json_put_array(root, "list");
    dfqi_json_put_bool(list, NULL, true);
    dfqi_json_put_text(list, NULL, "a\"\n\xC3\xA4");
    dfqi_json_put_text(list, NULL, "\xFF\xC3");
    dfqi_json_put_text(list, NULL, NULL);
    dfqi_json_put_int(dfqi_json_put_object(root, "a"), "b", 1);
    dfqi_json_put_int(root, "z", 7); /* replaces */
    check_dump(doc, 0, false,
               "{\"z\":7,\"list\":[true,\"a\\\"\\n\xC3\xA4\",\"??\",null],\"a\":{\"b\":1}}");
    check_dump(doc, 2, true,
               "{\n  \"a\": {\n    \"b\": 1\n  },\n  \"list\": [\n    true,\n"
               "    \"a\\\"\\n\xC3\xA4\",\n    \"??\",\n    null\n  ],\n  \"z\": 7\n}");
    dfqi_json_release(doc);
    dfqi_json_release(NULL);
}
END_TEST

START_TEST(test_reals)
{
    static const struct {
        double v;
        const char *want;
    } rows[] = {{0.1f, "[0.1]"},
                {1, "[1.0]"},
                {-2.5, "[-2.5]"},
                {NAN, "[null]"},
                {INFINITY, "[null]"},
                {-INFINITY, "[null]"},
                {1e10, "[1e10]"},
                {16777217.0, "[16777217.0]"},
                {FLT_MIN, NULL},
                {FLT_MAX, NULL},
                {1.0f / 3.0f, "[0.33333334]"},
                {1e300, "[1e300]"},
                {5e-324, NULL},
                {DBL_MAX, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dfqi_json *doc;
        char *text;
        size_t size;
        io_works(dfqi_json_new(io_ctx, "r", &doc));
        dfqi_jnode list = dfqi_json_put_array(dfqi_json_root(doc), "v");
        dfqi_json_put_real(list, NULL, rows[i].v);
        io_works(dfqi_json_dump(doc, 0, false, &text, &size));
        if (rows[i].want) {
            text[size - 1] = '\0';
            ck_assert_str_eq(text + 5, rows[i].want);
        } else {
            double back;
            dfqi_json *again = parse(text);
            dfqi_jnode read;
            io_works(dfqi_json_get_array(dfqi_json_root(again), "v", &read));
            io_works(dfqi_json_get_real(dfqi_json_at(read, 0), NULL, -DBL_MAX, DBL_MAX, &back));
            ck_assert(fabs(back - rows[i].v) <= 6e-8 * rows[i].v);
            dfqi_json_release(again);
        }
        dfqi_free(io_ctx, text);
        dfqi_json_release(doc);
    }
}
END_TEST

START_TEST(test_floats_return)
{
    /* Every 65537th float pattern comes back bit for bit. */
    for (uint64_t bits = 1; bits < 0x7F800000u; bits += 65537 * 16) {
        uint32_t b = (uint32_t)bits;
        float f;
        double back;
        char *text;
        dfqi_json *doc, *again;
        memcpy(&f, &b, sizeof f);
        io_works(dfqi_json_new(io_ctx, "r", &doc));
        dfqi_json_put_real(dfqi_json_root(doc), "v", f);
        io_works(dfqi_json_dump(doc, 0, false, &text, NULL));
        again = parse(text);
        io_works(dfqi_json_get_real(dfqi_json_root(again), "v", 0, DBL_MAX, &back));
        ck_assert_float_eq((float)back, f);
        dfqi_json_release(again);
        dfqi_free(io_ctx, text);
        dfqi_json_release(doc);
    }
}
END_TEST

START_TEST(test_bad_key)
{
    dfqi_json *doc;
    char *text;
    io_works(dfqi_json_new(io_ctx, "r.json", &doc));
    dfqi_jnode bad = dfqi_json_put_object(dfqi_json_root(doc), "\xFF");
    dfqi_json_put_int(bad, "inner", 1); /* sticks, does not crash */
    io_fails(dfqi_json_dump(doc, 0, false, &text, NULL), DFQ_E_INVALID, "not UTF-8");
    dfqi_json_release(doc);
}
END_TEST

START_TEST(test_parse_errors)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[1]",
                                        "{} x",
                                        "{\"a\":1,\"a\":2}",
                                        "{a:1}",
                                        "{\"a\":01}",
                                        "{'a':1}",
                                        "{\"a\":1,}",
                                        "{\"a\":NaN}",
                                        "{\"a\":1e999}",
                                        "\xFF",
                                        "// c\n{}",
                                        "null",
                                        "{\"\\u0000\":1}",
                                        "{\"a\":\"\xC0\xAF\"}",
                                        "{\"a\":99999999999999999999}"};
    dfqi_json *doc = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        io_fails(dfqi_json_parse(io_ctx, "r.json", texts[i], strlen(texts[i]), &doc), DFQ_E_CORRUPT,
                 "r.json: ");
        ck_assert_ptr_null(doc);
    }
    io_fails(dfqi_json_parse(io_ctx, "r.json", "{}\0", 3, &doc), DFQ_E_CORRUPT, "r.json");
    io_put_text(io_path("x.json"), "{\"a\":\n 1 2}");
    io_fails(dfqi_json_read(io_ctx, io_path("x.json"), &doc), DFQ_E_CORRUPT, "line 2");
    io_fails(dfqi_json_read(io_ctx, io_path("y.json"), &doc), DFQ_E_IO, "y.json");
}
END_TEST

/* 100 levels and no more; brackets in a string are text. */
START_TEST(test_nesting)
{
    char text[300];
    dfqi_json *doc = NULL;
    for (int inner = 99; inner <= 100; inner++) {
        size_t n = (size_t)snprintf(text, sizeof text, "{\"a\":\"[[[{{{\\\"[\",\"b\":");
        memset(text + n, '[', (size_t)inner);
        memset(text + n + inner, ']', (size_t)inner);
        n += 2 * (size_t)inner;
        text[n++] = '}';
        dfq_status status = dfqi_json_parse(io_ctx, "r.json", text, n, &doc);
        if (inner == 99)
            ck_assert_int_eq(status, DFQ_OK);
        else
            io_fails(status, DFQ_E_CORRUPT, "r.json: the JSON is nested deeper than 100 levels");
        if (inner == 99) dfqi_json_release(doc);
    }
}
END_TEST

START_TEST(test_get)
{
    static const char *const known[] = {"i", "r", "t", "b", "o", "l", "n", NULL};
    static const char *const few[] = {"i", "r", NULL};
    dfqi_json *doc = parse("{\"i\":-3,\"r\":2.5,\"t\":\"x\",\"b\":false,\"o\":{\"k\":1},"
                           "\"l\":[4,5],\"n\":null}");
    dfqi_jnode root = dfqi_json_root(doc), o, l, value;
    int64_t i = 0;
    double r = 0;
    bool b = true;
    const char *t = NULL, *key;
    io_works(dfqi_json_get_int(root, "i", -3, -3, &i));
    ck_assert_int_eq(i, -3);
    io_works(dfqi_json_get_real(root, "r", 0, 3, &r));
    ck_assert_double_eq(r, 2.5);
    io_works(dfqi_json_get_real(root, "i", -5, 3, &r)); /* a whole number is a number */
    ck_assert_double_eq(r, -3);
    io_works(dfqi_json_get_text(root, "t", &t));
    ck_assert_str_eq(t, "x");
    io_works(dfqi_json_get_bool(root, "b", &b));
    ck_assert(!b);
    io_works(dfqi_json_get_object(root, "o", &o));
    ck_assert_int_eq(dfqi_json_count(o), 1);
    io_works(dfqi_json_get_array(root, "l", &l));
    ck_assert_int_eq(dfqi_json_count(l), 2);
    io_works(dfqi_json_get_int(dfqi_json_at(l, 1), NULL, 0, 9, &i));
    ck_assert_int_eq(i, 5);
    ck_assert(dfqi_json_has(root, "i") && !dfqi_json_has(root, "n") && !dfqi_json_has(root, "q"));
    ck_assert_int_eq(dfqi_json_count(root), 7);
    io_works(dfqi_json_only(root, known));
    io_fails(dfqi_json_only(root, few), DFQ_E_CORRUPT,
             "key \"t\" is not known; must be one of i, r");

    io_fails(dfqi_json_get_int(root, "q", 0, 9, &i), DFQ_E_CORRUPT,
             "r.json: \"q\" is missing, must be an integer");
    io_fails(dfqi_json_get_int(root, "r", 0, 9, &i), DFQ_E_CORRUPT, "is a fraction");
    io_fails(dfqi_json_get_int(root, "i", 2, 8, &i), DFQ_E_CORRUPT, "is -3, must be 2 to 8");
    io_fails(dfqi_json_get_real(root, "t", 0, 9, &r), DFQ_E_CORRUPT,
             "is a string, must be a number");
    io_fails(dfqi_json_get_real(root, "r", 3, 9, &r), DFQ_E_CORRUPT, "is 2.5, must be 3 to 9");
    io_fails(dfqi_json_get_text(root, "n", &t), DFQ_E_CORRUPT, "is null, must be a string");
    io_fails(dfqi_json_get_bool(root, "o", &b), DFQ_E_CORRUPT, "is an object");
    io_fails(dfqi_json_get_object(root, "l", &o), DFQ_E_CORRUPT, "is an array");
    io_fails(dfqi_json_get_array(root, "b", &l), DFQ_E_CORRUPT, "is a boolean");
    io_fails(dfqi_json_get_text(o, "k", &t), DFQ_E_CORRUPT, "\"k\" of \"o\" is an integer");
    ck_assert_int_eq(i, 5);

    static const char order[] = "irtboln";
    void *iter = NULL;
    int n = 0;
    while (dfqi_json_next(root, &iter, &key, &value)) ck_assert_int_eq(key[0], order[n++]);
    ck_assert_int_eq(n, 7);
    dfqi_json_release(doc);
}
END_TEST

/* Fractions are read and written with points where the host has commas. */
START_TEST(test_commas)
{
    static const char text[] = "{\"x\": 0.25, \"y\": 1e-3}";
    dfqi_json *doc;
    double x = 0;
    char *out;
    dfqt_use_commas();
    io_works(dfqi_json_parse(io_ctx, "a.json", text, strlen(text), &doc));
    dfqi_jnode root = dfqi_json_root(doc);
    io_works(dfqi_json_get_real(root, "x", 0, 1, &x));
    ck_assert(x == 0.25);
    dfqi_json_put_real(root, "z", 0.1);
    io_works(dfqi_json_dump(doc, 0, true, &out, NULL));
    ck_assert_str_eq(out, "{\"x\":0.25,\"y\":0.001,\"z\":0.1}");
    dfqi_free(io_ctx, out);
    io_fails(dfqi_json_get_real(root, "x", 0.5, 1.5, &x), DFQ_E_CORRUPT,
             "0.25, must be 0.5 to 1.5");
    dfqi_json_release(doc);
}
END_TEST

START_TEST(test_show)
{
    char buf[DFQI_SHOW_MAX], text[400];
    ck_assert_str_eq(dfqi_show("a\nb\x7F", buf), "a?b?");
    memset(text, 'x', sizeof text);
    text[399] = '\0';
    ck_assert_uint_eq(strlen(dfqi_show(text, buf)), DFQI_SHOW_MAX - 1);
    for (int shift = 0; shift < 4; shift++) { /* never half a character */
        for (int i = 0; i + 3 < 400; i++) text[i] = "\xE2\x82\xAC"[(i + shift) % 3];
        text[390] = '\0';
        dfqi_show(text, buf);
        size_t n = strlen(buf);
        ck_assert_str_eq(buf + n - 3, "...");
        if (shift == 0) ck_assert_uint_eq((n - 3) % 3, 0);
    }
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_json *doc = NULL;
    char *text = NULL;
    dfq_status status;
    (void)arg;
    DFQI_TRY(dfqi_json_new(ctx, "r", &doc));
    dfqi_json_put_text(dfqi_json_root(doc), "k", "\xFF");
    DFQI_GOTO(dfqi_json_dump(doc, 0, false, &text, NULL), out);
    dfqi_json_release(doc);
    doc = NULL;
    status = dfqi_json_parse(ctx, "r", text, strlen(text), &doc);
out:
    dfqi_free(ctx, text);
    dfqi_json_release(doc);
    return status;
}

START_TEST(test_memory)
{
    io_sweep(scenario, NULL, 1);
}
END_TEST

TCase *dfqt_json_case(void)
{
    TCase *tc = io_case("json");
    tcase_add_test(tc, test_build);
    tcase_add_test(tc, test_reals);
    tcase_add_test(tc, test_floats_return);
    tcase_add_test(tc, test_bad_key);
    tcase_add_test(tc, test_parse_errors);
    tcase_add_test(tc, test_nesting);
    tcase_add_test(tc, test_get);
    tcase_add_test(tc, test_commas);
    tcase_add_test(tc, test_show);
    tcase_add_test(tc, test_memory);
    return tc;
}
