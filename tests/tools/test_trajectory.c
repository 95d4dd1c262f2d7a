/* A search's course: the CSV to the letter, the drawing's parts. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "report/trajectory.h"

static const char *const names[] = {"latency <ms>", "area, \"mm2\""};
static const int32_t metric[] = {1};
static const double limit[] = {2.5};

static struct trajectory sample(const float *rows, int64_t steps)
{
    return (struct trajectory){.title = "a & b",
                               .names = names,
                               .by_limit = "delta",
                               .rows = rows,
                               .steps = steps,
                               .n_metrics = 2,
                               .n_limits = 1,
                               .metric = metric,
                               .limit = limit};
}

static char *written(void (*write)(FILE *, const struct trajectory *), const struct trajectory *t)
{
    static char text[200000];
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    write(f, t);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    ck_assert_uint_lt(n, sizeof text - 1);
    text[n] = 0;
    ck_assert_int_eq(ferror(f), 0);
    fclose(f);
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) n++;
    return n;
}

START_TEST(csv)
{
    static const float rows[] = {1.5F, 3, 4, 0.001F, 1.25F, 2, 2.5F, NAN};
    struct trajectory t = sample(rows, 2);
    ck_assert_str_eq(
        written(trajectory_csv, &t),
        "step,loss,\"latency <ms>\",\"area, \"\"mm2\"\"\",\"limit of area, \"\"mm2\"\"\","
        "\"delta of area, \"\"mm2\"\"\"\n"
        "0,1.5,3,4,2.5,0.00100000005\n"
        "1,1.25,2,2.5,2.5,\n");
    t.by_limit = "price";
    ck_assert_ptr_nonnull(strstr(written(trajectory_csv, &t), "\"price of area, "));
    ck_assert_ptr_nonnull(strstr(written(trajectory_svg, &t), ">price</text>"));
}
END_TEST

START_TEST(drawing)
{
    float rows[5000 * 4];
    for (int i = 0; i < 5000; i++) {
        rows[4 * i] = 1 / (1 + (float)i);
        rows[4 * i + 1] = 3;
        rows[4 * i + 2] = 4 - (float)i / 5000;
        rows[4 * i + 3] = i < 2500 ? 1e-3F : NAN;
    }
    struct trajectory t = sample(rows, 5000);
    const char *svg = written(trajectory_svg, &t);
    ck_assert_int_eq(strncmp(svg, "<svg xmlns=", 11), 0);
    ck_assert_int_eq(count(svg, "</svg>"), 1);
    ck_assert_int_eq(count(svg, "a &amp; b"), 1);
    ck_assert_int_eq(count(svg, "latency &lt;ms&gt;"), 1);
    ck_assert_int_eq(count(svg, "class=\"c0\""), 4); /* loss, two costs, delta */
    ck_assert_int_eq(count(svg, "class=\"l\""), 1);  /* one limit */
    ck_assert_int_eq(count(svg, "<title>limit 2.5</title>"), 1);
    ck_assert_int_eq(count(svg, "nan"), 0);
    ck_assert_int_eq(count(svg, "inf"), 0);
    ck_assert_uint_lt(strlen(svg), 60000); /* long searches are thinned out */
}
END_TEST

START_TEST(nothing_to_draw)
{
    static const float rows[] = {NAN, NAN, INFINITY, NAN};
    struct trajectory t = sample(rows, 0);
    const char *svg = written(trajectory_svg, &t);
    ck_assert_int_eq(count(svg, "</svg>"), 1);
    t.steps = 1;
    svg = written(trajectory_svg, &t);
    ck_assert_int_eq(count(svg, "</svg>"), 1);
    ck_assert_int_eq(count(svg, "nan") + count(svg, "inf"), 0);
}
END_TEST

Suite *trajectory_suite(void)
{
    Suite *s = suite_create("trajectory");
    TCase *c = tcase_create("trajectory");
    tcase_add_test(c, csv);
    tcase_add_test(c, drawing);
    tcase_add_test(c, nothing_to_draw);
    suite_add_tcase(s, c);
    return s;
}
