/* The picture of a co-exploration: what it draws of what is there. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore_page.h"
#include "suite.h"

static const struct explore_pair cloud[] = {{1.5, {1, 2, 3}}, {1.2, {2, 1, 3}}, {1.6, {3, 3, 3}}};
static const struct explore_pair looks[] = {{1.3, {1.5, 1.5, 3}}, {1.1, {2.5, 0.9, 3}}};

static struct explore_page page(int32_t verdict)
{
    struct explore_page p = {.verdict = verdict,
                             .cloud = cloud,
                             .looks = looks,
                             .n_cloud = 3,
                             .n_looks = 2,
                             .likeliest = {1.15, {2.2, 0.8, 3}},
                             .found = {1.25, {1.2, 0.7, 3}}};
    for (int m = 0; m < DFQ_EXPLORE_METRICS; m++) p.limits[m] = p.tightest[m] = p.least[m] = NAN;
    p.limits[DFQ_EXPLORE_LATENCY] = 1.4;
    return p;
}

static char *draw(const struct explore_page *p)
{
    static char text[60000];
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(explore_pareto_write(f, p), 0);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    ck_assert_uint_lt(n, sizeof text - 1);
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert_ptr_null(strstr(text, "inf"));
    ck_assert_ptr_null(strstr(text, "\xe2\x88\x92weak")); /* a minus where a hyphen belongs */
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    while ((text = strstr(text, what)) != NULL) text += strlen(what), n++;
    return n;
}

START_TEST(certified_over_each_limited_metric)
{
    struct explore_page p = page(DFQ_VERDICT_CERTIFIED);
    char *text = draw(&p);
    ck_assert_int_eq(count(text, "<figure"), 1);
    ck_assert_ptr_nonnull(strstr(text, "Estimated loss over latency"));
    ck_assert_ptr_nonnull(strstr(text, "limit 1.4 ms"));
    ck_assert_ptr_nonnull(strstr(text, "<title>certified result: latency 1.2 ms, loss 1.25"));
    ck_assert_ptr_nonnull(strstr(text, "Latency, ms"));
    ck_assert_ptr_null(strstr(text, "possible"));
    ck_assert_ptr_null(strstr(text, "least"));
    p.limits[DFQ_EXPLORE_ENERGY] = 1;
    text = draw(&p);
    ck_assert_int_eq(count(text, "<figure"), 3);
    ck_assert_ptr_nonnull(strstr(text, "Estimated loss over energy"));
    ck_assert_ptr_nonnull(strstr(text, "Energy over latency"));
    ck_assert_int_eq(count(text, "limit 1 mJ"), 2);
}
END_TEST

/* Of the seven points of loss over latency five are not behind another one. */
START_TEST(the_front_holds_what_nothing_dominates)
{
    struct explore_page p = page(DFQ_VERDICT_CERTIFIED);
    char *text = draw(&p), *front = strstr(text, "<g fill=\"var(--c2)\">");
    ck_assert_ptr_nonnull(front);
    *strstr(front, "</g>") = 0;
    ck_assert_int_eq(count(front, "<circle"), 5);
}
END_TEST

START_TEST(infeasible_with_what_could_be_met)
{
    struct explore_page p = page(DFQ_VERDICT_INFEASIBLE);
    p.limits[DFQ_EXPLORE_LATENCY] = 0.1;
    p.tightest[DFQ_EXPLORE_LATENCY] = 0.9;
    p.least[DFQ_EXPLORE_LATENCY] = 0.8;
    char *text = draw(&p);
    ck_assert_ptr_nonnull(strstr(text, "nearest that was found"));
    ck_assert_ptr_nonnull(strstr(text, "possible 0.9 ms"));
    ck_assert_ptr_nonnull(strstr(text, "least 0.8 ms"));
    ck_assert_ptr_null(strstr(text, "certified"));
    p.tightest[DFQ_EXPLORE_LATENCY] = INFINITY;
    p.limits[DFQ_EXPLORE_AREA] = 0.5;
    text = draw(&p);
    ck_assert_ptr_null(strstr(text, "possible"));
    ck_assert_int_eq(count(text, "<figure"), 3);
}
END_TEST

/* Limits that were known to be impossible: there is no loss to draw. */
START_TEST(nothing_was_learned)
{
    struct explore_pair none[] = {{NAN, {1, 2, 3}}, {NAN, {2, 1, 3}}};
    struct explore_page p = page(DFQ_VERDICT_INFEASIBLE);
    p.cloud = p.looks = none;
    p.n_cloud = 2, p.n_looks = 1;
    p.likeliest.loss = p.found.loss = NAN;
    p.least[DFQ_EXPLORE_LATENCY] = 1;
    char *text = draw(&p);
    ck_assert_int_eq(count(text, "<figure"), 1);
    ck_assert_ptr_nonnull(strstr(text, "Energy over latency"));
    ck_assert_ptr_null(strstr(text, "Estimated"));
    p.n_cloud = 0;
    ck_assert_str_eq(draw(&p), "");
}
END_TEST

Suite *explore_suite(void)
{
    Suite *s = suite_create("explore");
    TCase *c = tcase_create("explore");
    tcase_add_test(c, certified_over_each_limited_metric);
    tcase_add_test(c, the_front_holds_what_nothing_dominates);
    tcase_add_test(c, infeasible_with_what_could_be_met);
    tcase_add_test(c, nothing_was_learned);
    suite_add_tcase(s, c);
    return s;
}
