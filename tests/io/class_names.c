/* Names of classes: forms of files, what is refused, and words for classes. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cases.h"
#include "io/class_names.h"

static dfqi_class_names *n;
static char logged[512];

static void on_log(int32_t level, const char *line, void *user)
{
    (void)user;
    if (level == DFQ_LOG_WARNING) snprintf(logged, sizeof logged, "%s", line);
}

static dfq_status parse(const char *text, int64_t classes)
{
    dfqi_class_names_release(n);
    n = NULL;
    logged[0] = '\0';
    io_ctx->log = on_log;
    return dfqi_class_names_parse(io_ctx, "names", text, strlen(text), classes, &n);
}

static void done(void)
{
    dfqi_class_names_release(n);
    n = NULL;
}

static int64_t find(const char *word)
{
    int64_t two[2];
    return dfqi_class_names_find(n, word, two);
}

/* All forms of the same three names. */
START_TEST(test_forms)
{
    static const char *const forms[] = {
        "tench\ngoldfish\ngreat white shark\n",
        "\xEF\xBB\xBFtench\r\ngoldfish\r\ngreat white shark\r\n\r\n",
        "n01440764 tench\nn01443537\tgoldfish\nn01484850  great white shark",
        "[\"tench\", \"goldfish\", \"great white shark\"]",
        "{\"2\": \"great white shark\", \"0\": \"tench\", \"1\": \"goldfish\"}",
        "{\"tench\": 0, \"great white shark\": 2, \"goldfish\": 1}",
        "{\"0\": [\"n01440764\", \"tench\"], \"1\": [\"n01443537\", \"goldfish\"], \"2\": "
        "\"great white shark\"}",
        "[[\"n01440764\", \"tench\"], \"goldfish\", \"great white shark\"]",
        "{\"model_type\": \"vit\", \"id2label\": {\"0\": \"tench\", \"1\": \"goldfish\", \"2\": "
        "\"great white shark\"}}"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        io_works(parse(forms[i], 3));
        ck_assert_int_eq(dfqi_class_names_count(n), 3);
        ck_assert_str_eq(dfqi_class_names_get(n, 0), "tench");
        ck_assert_str_eq(dfqi_class_names_get(n, 2), "great white shark");
        ck_assert_int_eq(find("goldfish"), 1);
        ck_assert_int_eq(find("n01440764"), strstr(forms[i], "n01440764") ? 0 : -1);
        ck_assert_str_eq(logged, "");
    }
    done();
}
END_TEST

static const struct refused {
    const char *text, *part;
} refused[] = {
    {"a\nb\n", "names has 2 lines, must have 3, one for each class"},
    {"a\n\nc\n", "names: the name of class 1 is empty"},
    {"", "names has 0 lines, must have 3"},
    {"[\"a\", \"b\"]", "names has 2 names, must have 3"},
    {"[\"a\", \"b\", 3]", "an integer, must be a string"},
    {"[\"a\", \"b\", [\"x\"]]", "class 2 has 1 texts, must have a name, or a synset and a name"},
    {"[\"a\", \"b\"", "the JSON is not valid at line 1"},
    {"{\"0\": \"a\", \"1\": \"b\", \"3\": \"c\"}",
     "the class is \"3\", must be a whole number from 0"},
    {"{\"0\": \"a\", \"1\": \"b\", \"01\": \"c\"}", "the class is \"01\", must be"},
    {"{\"a\": 0, \"b\": 1, \"c\": 1}", "class 1 has two names"},
    {"{\"a\": 0, \"b\": 1, \"c\": 3}", "names: \"c\" is 3, must be 0 to 2"},
    {"{\"0\": \"a\", \"1\": \"b\", \"2\": null}", "must be"},
};

START_TEST(test_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        io_fails(parse(refused[i].text, 3), DFQ_E_CORRUPT, refused[i].part);
    io_fails(dfqi_class_names_parse(io_ctx, "names", "a\0b\n", 4, 1, &n), DFQ_E_CORRUPT,
             "byte 1 is 0");
    io_fails(dfqi_class_names_read(io_ctx, io_path("none"), 1, &n), DFQ_E_IO, "No such file");
}
END_TEST

START_TEST(test_words)
{
    int64_t two[2];
    io_works(parse("n01 crane\ncrane\ntench, Tinca tinca\nTinca tinca\nfish, tench of a pond, "
                   "pond\npond, lake\n",
                   0));
    ck_assert_int_eq(find("n01 crane"), 0); /* no synset: nine characters those have */
    ck_assert_int_eq(find("tench"), 2);
    ck_assert_int_eq(find("tench, Tinca tinca"), 2);
    ck_assert_int_eq(find("Tinca tinca"), 3); /* a whole name wins */
    ck_assert_int_eq(find("lake"), 5);
    ck_assert_int_eq(find("a"), -1);
    ck_assert_int_eq(find("zebra"), -1);
    ck_assert_int_eq(dfqi_class_names_find(n, "pond", two), -2);
    ck_assert_int_eq(two[0] * 10 + two[1], 45);
    io_works(parse("n02119789 kit fox\nn02100735 setter\n", 0)); /* the development kit's order */
    ck_assert_ptr_nonnull(strstr(logged, "n02100735 stands behind n02119789"));
    done();
}
END_TEST

START_TEST(test_json)
{
    char *one, *two;
    io_works(parse("n01440764 tench, \"Tinca\"\n\xC3\xA9mu\n", 2));
    io_works(dfqi_class_names_json(n, &one));
    ck_assert_str_eq(one, "{\"0\":[\"n01440764\",\"tench, \\\"Tinca\\\"\"],\"1\":\"\xC3\xA9mu\"}");
    io_works(parse(one, 2));
    io_works(dfqi_class_names_json(n, &two));
    ck_assert_str_eq(one, two);
    dfqi_free(io_ctx, one);
    dfqi_free(io_ctx, two);
    done();
}
END_TEST

static dfq_status scenario(dfq_context *ctx, void *arg)
{
    dfqi_class_names *own;
    char *text;
    DFQI_TRY(dfqi_class_names_parse(ctx, "names", arg, strlen(arg), 2, &own));
    dfq_status status = dfqi_class_names_json(own, &text);
    if (status == DFQ_OK) dfqi_free(ctx, text);
    dfqi_class_names_release(own);
    return status;
}

START_TEST(test_memory)
{
    char lines[] = "n01440764 tench, Tinca\ngoldfish\n";
    char json[] = "{\"0\": [\"n01440764\", \"tench, Tinca\"], \"1\": \"goldfish\"}";
    io_sweep(scenario, lines, 1);
    io_sweep(scenario, json, 1);
}
END_TEST

TCase *dfqt_class_names_case(void)
{
    TCase *tc = io_case("class names");
    tcase_add_test(tc, test_forms);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_words);
    tcase_add_test(tc, test_json);
    tcase_add_test(tc, test_memory);
    return tc;
}
