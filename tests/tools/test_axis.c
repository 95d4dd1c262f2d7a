/* Axes of charts: which numbers stand at the ticks, and where values lie. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/axis.h"
#include "suite.h"

/* The ticks as text, after axis_round() or axis_pad(). */
static const char *ticks(double lo, double hi, int log, int whole, int round)
{
    static char text[400];
    double v[AXIS_TICKS];
    struct axis a = axis_make(0, 100, log);
    a.whole = whole;
    axis_widen(&a, lo);
    axis_widen(&a, hi);
    if (round)
        axis_round(&a, 5);
    else
        axis_pad(&a, 0.05);
    int n = axis_ticks(&a, 5, v), at = 0;
    ck_assert_int_gt(n, 0);
    for (int i = 0; i < n; i++) {
        ck_assert_double_ge(axis_at(&a, v[i]), -1e-6);
        ck_assert_double_le(axis_at(&a, v[i]), 100 + 1e-6);
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%.6g", i ? " " : "", v[i]);
    }
    return text;
}

START_TEST(round_numbers)
{
    static const struct {
        double lo, hi;
        int log, whole, round;
        const char *ticks;
    } cases[] = {
        {0, 100, 0, 0, 1, "0 20 40 60 80 100"},
        {-0.13, 0.31, 0, 0, 1, "-0.2 -0.1 0 0.1 0.2 0.3 0.4"},
        {-0.13, 0.31, 0, 0, 0, "-0.1 0 0.1 0.2 0.3"},
        {93.412, 93.438, 0, 0, 1, "93.41 93.42 93.43 93.44"},
        {0, 0, 0, 0, 1, "-1 -0.5 0 0.5 1"},
        {7, 7, 0, 0, 1, "6 6.5 7 7.5 8"},
        {0, 2, 0, 1, 1, "0 1 2"},
        {3, 3, 0, 1, 1, "2 3 4"},
        {1.2, 2.9, 1, 0, 0, "1.5 2 2.5 3"},
        {1, 100, 1, 0, 0, "1 2 5 10 20 50 100"},
        {1, 1e4, 1, 0, 1, "1 10 100 1000 10000"},
        {1e-12, 1e12, 1, 0, 1, "1e-15 1e-10 1e-05 1 100000 1e+10 1e+15"},
        {5, 5, 1, 0, 1, "4.5 5 5.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(
            strcmp(ticks(cases[i].lo, cases[i].hi, cases[i].log, cases[i].whole, cases[i].round),
                   cases[i].ticks) == 0,
            "case %d has %s", (int)i,
            ticks(cases[i].lo, cases[i].hi, cases[i].log, cases[i].whole, cases[i].round));
}
END_TEST

START_TEST(what_cannot_be_drawn_widens_nothing)
{
    struct axis plain = axis_make(10, 0, 0), log = axis_make(10, 0, 1);
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e301, -1e301};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(axis_takes(&plain, bad[i]), 0);
        axis_widen(&plain, bad[i]);
        axis_widen(&log, bad[i]);
    }
    axis_widen(&log, 0);
    axis_widen(&log, -1);
    ck_assert_int_ne(axis_empty(&plain), 0);
    ck_assert_int_ne(axis_empty(&log), 0);
    axis_pad(&plain, 0.05); /* a range all the same */
    ck_assert_double_eq(axis_at(&plain, -1), 10);
    ck_assert_double_eq(axis_at(&plain, 1), 0);
    axis_widen(&log, 1);
    axis_widen(&log, 100);
    ck_assert_double_eq_tol(axis_at(&log, 10), 5, 1e-9);
}
END_TEST

Suite *axis_suite(void)
{
    Suite *s = suite_create("axis");
    TCase *c = tcase_create("axis");
    tcase_add_test(c, round_numbers);
    tcase_add_test(c, what_cannot_be_drawn_widens_nothing);
    suite_add_tcase(s, c);
    return s;
}
