/* The picture of a co-exploration: what it draws of what is there. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/explore_verdict.h"
#include "suite.h"

static const struct explore_pair cloud[] = {{1.5, {1, 2, 3}}, {1.2, {2, 1, 3}}, {1.6, {3, 3, 3}}};
static const struct explore_pair snapshots[] = {{1.3, {1.5, 1.5, 3}}, {1.1, {2.5, 0.9, 3}}};

static struct explore_page page(int32_t verdict)
{
    struct explore_page p = {.verdict = verdict,
                             .cloud = cloud,
                             .snapshots = snapshots,
                             .n_cloud = 3,
                             .n_snapshots = 2,
                             .likeliest = {1.15, {2.2, 0.8, 3}},
                             .result = {1.25, {1.2, 0.7, 3}}};
    for (int m = 0; m < EXPLORE_METRICS; m++) p.limits[m] = p.tightest[m] = p.least[m] = NAN;
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
    ck_assert_ptr_nonnull(strstr(text, "closest choices found"));
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
    p.cloud = p.snapshots = none;
    p.n_cloud = 2, p.n_snapshots = 1;
    p.likeliest.loss = p.result.loss = NAN;
    p.least[DFQ_EXPLORE_LATENCY] = 1;
    char *text = draw(&p);
    ck_assert_int_eq(count(text, "<figure"), 1);
    ck_assert_ptr_nonnull(strstr(text, "Energy over latency"));
    ck_assert_ptr_null(strstr(text, "Estimated"));
    p.n_cloud = 0;
    ck_assert_str_eq(draw(&p), "");
}
END_TEST

/* -- what stands beside the verdict ------------------------------------------------------------ */

/* 10,000 images of 10 classes: what was certified once, and the edge of the rule. */
START_TEST(chance_level)
{
    static const struct {
        uint64_t n, correct;
        double chance;
        int level;
    } cases[] = {{10000, 1180, 0.1, EXPLORE_AT_CHANCE},
                 {10000, 1450, 0.1, EXPLORE_AT_CHANCE},
                 {10000, 1451, 0.1, EXPLORE_ABOVE_CHANCE},
                 {10000, 700, 0.1, EXPLORE_AT_CHANCE},
                 {10000, 5250, 0.5, EXPLORE_AT_CHANCE},
                 {10000, 5251, 0.5, EXPLORE_ABOVE_CHANCE},
                 {10000, 9000, 0.9, EXPLORE_AT_CHANCE},
                 {10000, 9200, 0.9, EXPLORE_ABOVE_CHANCE},
                 {50000, 76, 0.001, EXPLORE_ABOVE_CHANCE},
                 {50000, 75, 0.001, EXPLORE_AT_CHANCE},
                 {100, 18, 0.1, EXPLORE_NOT_TOLD},
                 {100, 20, 0.1, EXPLORE_ABOVE_CHANCE},
                 {4, 4, 0.5, EXPLORE_NOT_TOLD},
                 {4, 4, 1, EXPLORE_AT_CHANCE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(explore_judge_chance(cases[i].n, cases[i].correct, cases[i].chance) ==
                          cases[i].level,
                      "case %d", (int)i);
}
END_TEST

static char *verdict(const struct explore_page *p)
{
    static char text[4000];
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    explore_write_verdict(f, p);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

START_TEST(an_untrained_network_is_said_to_be_one)
{
    static const struct explore_group groups[1] = {{.name = "cell 0"}};
    struct explore_page p = page(DFQ_VERDICT_CERTIFIED);
    p.groups = groups;
    p.n_groups = p.n_cells = p.raw_feasible = 1;
    p.accuracy_images = 10000;
    p.top1 = 0.118;
    p.chance = 0.1;
    p.chance_level = EXPLORE_AT_CHANCE;
    ck_assert_ptr_nonnull(strstr(verdict(&p), "do not cover accuracy: "
                                              "accuracy at chance level (11.8 %; one class for all "
                                              "images gets 10.0 %)."));
    p.chance_level = EXPLORE_NOT_TOLD;
    ck_assert_ptr_nonnull(
        strstr(verdict(&p), "accuracy not distinguishable from chance with these images"));
    p.chance_level = EXPLORE_ABOVE_CHANCE;
    ck_assert_ptr_null(strstr(verdict(&p), "chance"));
}
END_TEST

/* The likeliest choices are said to meet the limits only where no later step changed them. */
START_TEST(the_steps_that_chose)
{
    struct explore_group groups[5] = {{.by = DFQ_CHOSEN_LIKELIEST}};
    struct explore_page p = page(DFQ_VERDICT_CERTIFIED);
    p.groups = groups;
    p.n_groups = 5;
    p.n_cells = 3;
    p.raw_feasible = 1;
    ck_assert_ptr_nonnull(
        strstr(verdict(&p), "The likeliest choices met the limits without repair"));
    groups[1].by = groups[4].by = DFQ_CHOSEN_LOCAL_SEARCH;
    char *text = verdict(&p);
    ck_assert_ptr_null(strstr(text, "met the limits"));
    ck_assert_ptr_null(strstr(text, "exceeded"));
    ck_assert_ptr_nonnull(strstr(text, "search: 3 likeliest, 2 by local search, of 5 choices."));
    groups[0].by = DFQ_CHOSEN_REPAIR;
    p.raw_feasible = 0;
    text = verdict(&p);
    ck_assert_ptr_null(strstr(text, "met the limits"));
    ck_assert_ptr_nonnull(strstr(text, "search: 2 likeliest, 1 by repair, 2 by local search, of 5 "
                                       "choices; the likeliest choices exceeded a limit."));
    ck_assert_int_eq(explore_last_step(&p, 0, 1), DFQ_CHOSEN_REPAIR);
    ck_assert_int_eq(explore_last_step(&p, 2, 4), DFQ_CHOSEN_LIKELIEST);
    groups[2].by = DFQ_CHOSEN_SNAPSHOT;
    ck_assert_ptr_nonnull(strstr(verdict(&p), "1 likeliest, 1 snapshot, 1 by repair"));
    ck_assert_str_eq(explore_step_name(DFQ_CHOSEN_EXACT), "exact method");
    ck_assert_str_eq(explore_step_name(99), "another step");
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
    tcase_add_test(c, chance_level);
    tcase_add_test(c, an_untrained_network_is_said_to_be_one);
    tcase_add_test(c, the_steps_that_chose);
    suite_add_tcase(s, c);
    return s;
}
