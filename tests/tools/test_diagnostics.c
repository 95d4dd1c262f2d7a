/* Diagnostics in the report: what is drawn, what is left out, and numbers that are none. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "suite.h"

static char *drawn(void (*draw)(FILE *, const void *), const void *what)
{
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    draw(f, what);
    long size = ftell(f);
    char *text = calloc(1, (size_t)size + 1);
    ck_assert_ptr_nonnull(text);
    rewind(f);
    ck_assert_uint_eq(fread(text, 1, (size_t)size, f), (size_t)size);
    fclose(f);
    return text;
}

static void draw_map(FILE *f, const void *map)
{
    html_heat_map(f, map);
}

static void draw_all(FILE *f, const void *d)
{
    html_diagnostics(f, d);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *s = text; (s = strstr(s, part)) != NULL; s += strlen(part)) n++;
    return n;
}

/* Rows run from the lower edge up: value 3 of [0 1; 2 3] is the lightest, in the upper right. */
START_TEST(map_has_cells_scale_and_axes)
{
    static const float v[4] = {0, 1, 2, 3};
    static const struct report_surface map = {"a <map>", v, 2};
    char *text = drawn(draw_map, &map);
    ck_assert_int_eq(count(text, "<title>"), 4);
    ck_assert_ptr_nonnull(strstr(text, "a &lt;map&gt;"));
    ck_assert_ptr_nonnull(strstr(text, "<rect x=\"214\" y=\"8\" width=\"170\" height=\"170\" "
                                       "fill=\"#fde725\"><title>3</title>"));
    ck_assert_ptr_nonnull(strstr(text, "<rect x=\"44\" y=\"178\" width=\"170\" height=\"170\" "
                                       "fill=\"#440154\"><title>0</title>"));
    ck_assert_ptr_nonnull(strstr(text, ">loss</text>"));
    ck_assert_ptr_nonnull(strstr(text, ">0.75</text>"));
    ck_assert_ptr_nonnull(strstr(text, "along direction v"));
    ck_assert_ptr_nonnull(strstr(text, "class=\"here\" cx=\"214\" cy=\"178\""));
    free(text);
}
END_TEST

START_TEST(far_values_get_a_logarithmic_scale)
{
    static const float v[9] = {1, 100, 10, 1, 10, 100, 10, 1, 100};
    static const struct report_surface map = {"m", v, 3};
    char *text = drawn(draw_map, &map);
    ck_assert_ptr_nonnull(strstr(text, "loss, log scale"));
    ck_assert_ptr_nonnull(strstr(text, ">3.16</text>")); /* a quarter up */
    ck_assert_int_eq(count(text, "fill=\"#23908"), 3);   /* 10, in the middle of the colours */
    free(text);
}
END_TEST

START_TEST(values_that_are_none_are_blank)
{
    static const float bad[4] = {NAN, INFINITY, 5, 5}, none[4] = {NAN, NAN, INFINITY, NAN};
    static const struct report_surface map = {"m", bad, 2}, blank = {"m", none, 2},
                                       dot = {"m", bad + 2, 1};
    char *text = drawn(draw_map, &map);
    ck_assert_int_eq(count(text, "class=\"rest\""), 2);
    ck_assert_ptr_null(strstr(text, "nan"));
    free(text);
    text = drawn(draw_map, &blank);
    ck_assert_str_eq(text, "");
    free(text);
    text = drawn(draw_map, &dot);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

/* Large maps stay small files. */
START_TEST(large_maps_have_no_titles)
{
    enum { SIDE = 101 };
    float *v = malloc(SIDE * SIDE * sizeof *v);
    ck_assert_ptr_nonnull(v);
    for (int i = 0; i < SIDE * SIDE; i++) v[i] = (float)i;
    const struct report_surface map = {"m", v, SIDE};
    char *text = drawn(draw_map, &map);
    ck_assert_int_eq(count(text, "<title>"), 0);
    ck_assert_int_eq(count(text, "<rect"), SIDE * SIDE + 64);
    free(text);
    free(v);
}
END_TEST

START_TEST(sections_tell_everything)
{
    static const struct report_loss losses[2] = {{"KL <1>", 0.5, 2, 1488.4, 170.2, 175.93, 1},
                                                 {"CE", 0.25, 3, NAN, NAN, 4.5, 0}};
    static const struct report_view views[2] = {{"8 images", 8, 7, 6, 5, 1, 0.25, losses, 2},
                                                {"9 images", 9, 9, 9, 9, 0, NAN, losses, 1}};
    static const struct report_weight weights[2] = {
        {"w&", 100, 0.5, 0.001, 0.02, 0.25, 64, {200, 300}},
        {"v", 10, NAN, 0.0005, 0, 0.5, 1, {-10, NAN}}};
    struct report_diagnostics d = {
        .views = views, .n_views = 2, .values = 1000, .weights = weights, .n_weights = 2};
    static const double x[2] = {0, 1}, y[2] = {0.1, 0.2};
    static const struct report_series s = {"a step", x, y, 2};
    static const struct report_chart codes = {"Share", "step", &s, 1, 1};
    d.codes = &codes;
    d.n_codes = 1;
    char *text = drawn(draw_all, &d);
    static const char *const parts[] = {"KL &lt;1&gt;",
                                        ">1488 \xc2\xb1 170</td>",
                                        ">1.488</td>",
                                        ">176</td>",
                                        ">4.5 (not converged)</td>",
                                        "<b>0.250</b>",
                                        "same class for <b>7</b> of 8",
                                        "the float network predicts the label of <b>6</b>",
                                        "labels are the predictions of the float network",
                                        "w&amp;",
                                        ">0.1\xe2\x80\x89%</b>",
                                        ">2\xe2\x80\x89%</td>",
                                        ">64</td>",
                                        (">\xe2\x88\x92"
                                         "1</td>"),
                                        "<h2>Changed codes</h2>"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "the page lacks: %s", parts[i]);
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "Loss surface")); /* there is none */
    free(text);
}
END_TEST

/* An estimate that may as well be 0 is called so, and no other one. */
START_TEST(estimates_within_their_error)
{
    static const struct {
        double trace, error;
        int within;
    } rows[] = {{-236, 350, 1}, {350, 350, 1}, {351, 350, 0},
                {-351, 350, 0}, {5, NAN, 0},   {NAN, NAN, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct report_loss loss = {"KL", 0.5, 2, rows[i].trace, rows[i].error, 4.5, 1};
        const struct report_view view = {"8 images", 8, 7, 6, 5, 1, 0.25, &loss, 1};
        struct report_diagnostics d = {.views = &view, .n_views = 1, .values = 1000};
        char *text = drawn(draw_all, &d);
        ck_assert_int_eq(count(text, " (within its standard error)</td>"), rows[i].within);
        free(text);
    }
}
END_TEST

START_TEST(nothing_is_said_of_nothing)
{
    struct report_diagnostics d;
    memset(&d, 0, sizeof d);
    char *text = drawn(draw_all, &d);
    ck_assert_str_eq(text, "");
    free(text);
}
END_TEST

/* Without inundation there is no column for kappa, and without steps there are no bars. */
START_TEST(columns_without_numbers_are_left_out)
{
    static const struct report_weight weight = {"w", 100, 0.5, NAN, 0, 0.25, NAN, {200, 300}};
    const struct report_diagnostics d = {.weights = &weight, .n_weights = 1};
    char *text = drawn(draw_all, &d);
    ck_assert_ptr_null(strstr(text, "Kappa"));
    ck_assert_ptr_null(strstr(text, "class=\"bars"));
    free(text);
}
END_TEST

Suite *diagnostics_suite(void)
{
    Suite *s = suite_create("diagnostics");
    TCase *c = tcase_create("page");
    tcase_add_test(c, map_has_cells_scale_and_axes);
    tcase_add_test(c, far_values_get_a_logarithmic_scale);
    tcase_add_test(c, values_that_are_none_are_blank);
    tcase_add_test(c, large_maps_have_no_titles);
    tcase_add_test(c, sections_tell_everything);
    tcase_add_test(c, estimates_within_their_error);
    tcase_add_test(c, nothing_is_said_of_nothing);
    tcase_add_test(c, columns_without_numbers_are_left_out);
    suite_add_tcase(s, c);
    return s;
}
