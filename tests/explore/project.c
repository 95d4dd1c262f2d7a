/* The projection of a mixture, and the rule made of it. */
#include "explore/solver/project_priv.h"

#include <dfq/dfq.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "explore/cases.h"
#include "explore/solver/solver_priv.h"
#include "support/toy_problem.h"

enum { CELLS = 6, WIDE = 4 * CELLS };

/* -- the projection ---------------------------------------------------------------------------- */

typedef struct cells {
    int32_t first[CELLS + 1];
    double z[WIDE], cost[2][WIDE];
    dfqi_projection q;
} cells;

/* Costs between 0 and 1; the limits are what some mixture costs, and every other time more. */
static void draw(uint64_t seed, cells *c)
{
    dfqi_rng r = dfqi_rng_make(seed, 1);
    c->q = (dfqi_projection){.n_groups = CELLS, .first = c->first, .z = c->z, .n_limits = 2};
    for (int32_t i = 0; i <= CELLS; i++) c->first[i] = 4 * i;
    for (int i = 0; i < WIDE; i++) c->z[i] = (double)dfqi_rng_range(&r, -3, 3);
    for (int j = 0; j < 2; j++) {
        c->q.cost[j] = c->cost[j];
        c->q.room[j] = seed % 2 ? 0.4 * j : 0;
        for (int i = 0; i < WIDE; i++) c->cost[j][i] = (double)dfqi_rng_range(&r, 0, 1);
    }
    for (int g = 0; g < CELLS; g++) {
        double share = (double)dfqi_rng_range(&r, 0, 1);
        for (int j = 0; j < 2; j++)
            c->q.room[j] +=
                share * c->cost[j][4 * g] + (1 - share) * c->cost[j][4 * g + 1 + seed % 3];
    }
}

/* By its definition: -sum_g log sum_k exp(z - lam.c) - lam.room. */
static double dual(const cells *c, double a, double b)
{
    double sum = -a * c->q.room[0] - b * c->q.room[1];
    for (int g = 0; g < CELLS; g++) {
        double all = 0;
        for (int i = 4 * g; i < 4 * g + 4; i++)
            all += exp(c->z[i] - a * c->cost[0][i] - b * c->cost[1][i]);
        sum -= log(all);
    }
    return sum;
}

static double excess(const cells *c, const double *p, int j)
{
    double sum = -c->q.room[j];
    for (int i = 0; i < WIDE; i++) sum += p[i] * c->cost[j][i];
    return sum;
}

/* No point of a grid around the solution, and none far away, has a larger dual; what it gives is a
 * mixture within the limits, and prices are 0 where there is room. */
START_TEST(solves_the_dual)
{
    int slack = 0, tight = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        cells c;
        double lam[2] = {0, (double)(seed % 3)}, p[WIDE];
        draw(seed, &c);
        dfqi_project(&c.q, lam, p);
        double best = dual(&c, lam[0], lam[1]);
        for (int i = -20; i <= 60; i++)
            for (int k = -20; k <= 60; k++) {
                double near[2] = {lam[0] + 0.003 * i, lam[1] + 0.003 * k};
                ck_assert_double_le(dual(&c, fmax(near[0], 0), fmax(near[1], 0)), best + 1e-9);
                ck_assert_double_le(dual(&c, fmax(i, 0), fmax(k, 0)), best + 1e-9);
            }
        for (int j = 0; j < 2; j++) {
            double d = excess(&c, p, j);
            ck_assert_double_le(d, 1e-9);
            if (d < -1e-9) ck_assert_double_eq(lam[j], 0);
            slack += lam[j] == 0;
            tight += lam[j] > 0;
        }
    }
    ck_assert_int_gt(slack, 10);
    ck_assert_int_gt(tight, 10);
}
END_TEST

/* A cell of two choices that differ by 1 in cost and do not in logit: at room r the dear one gets
 * p = r, so its price is log((1 - r) / r), up to rounding also where all but one choice are as good
 * as gone. Nothing within the limit: the price goes to its bound, and p to the cheaper choice. */
START_TEST(solved_by_hand)
{
    static const int32_t first[] = {0, 2};
    static const double z[] = {0, 0}, cost[] = {1, 0}, rooms[] = {0.4, 0.25, 1e-3, 1e-6};
    double p[2];
    dfqi_projection q = {.n_groups = 1, .first = first, .z = z, .n_limits = 1, .cost = {cost}};
    for (int i = 0; i < 4; i++) {
        double lam = i == 3 ? 900 : 0;
        q.room[0] = rooms[i];
        dfqi_project(&q, &lam, p);
        ck_assert_double_eq_tol(p[0], rooms[i], 1.1e-9);
        ck_assert_double_eq_tol(lam, log((1 - rooms[i]) / rooms[i]), 2e-3);
    }
    double lam = 0;
    q.room[0] = -0.1;
    dfqi_project(&q, &lam, p);
    ck_assert_double_eq(p[1], 1);
    ck_assert_double_gt(lam, 1e3);
    q.n_limits = 0;
    dfqi_project(&q, NULL, p);
    ck_assert_double_eq(p[0], 0.5);
}
END_TEST

/* -- the rule ---------------------------------------------------------------------------------- */

static void fill(const toy_pair *t, dfq_problem *p)
{
    dfq_problem_init(p, sizeof *p);
    p->n_groups = TOY_CELLS + TOY_HW_PARAMS;
    p->n_hw_params = TOY_HW_PARAMS;
    p->n_metrics = TOY_METRICS;
    p->choices = t->choices;
    p->loss_table = t->loss;
    p->cost_table = t->cost;
    p->base_table = t->base;
}

static dfqi_solver *make(dfq_context *ctx, const dfq_problem *p, const dfq_constraint *limits,
                         int32_t rule, int64_t steps)
{
    dfq_solver_options o;
    dfqi_solver *s;
    dfqi_solver_defaults(&o);
    o.rule = rule;
    o.steps = steps;
    ck_assert_int_eq(dfqi_solver_new(ctx, p, limits, TOY_METRICS, &o, &s), DFQ_OK);
    return s;
}

/* Runs to the end; after the first step every mixture is within the limits, on one accelerator. */
static dfqi_solver_info search(dfq_context *ctx, const dfq_problem *p, const dfq_constraint *limits,
                               int64_t steps)
{
    dfqi_solver_info info;
    dfqi_solver *s = make(ctx, p, limits, DFQ_RULE_PROJECT, steps);
    int32_t finished = 0;
    while (!finished) {
        ck_assert_int_eq(dfqi_solver_step(s, &finished), DFQ_OK);
        if (s->done == 1) continue;
        for (int32_t j = 0; j < TOY_METRICS; j++)
            ck_assert_double_le(s->costs[j], limits[j].limit * (1 + 2e-9));
        for (int32_t i = TOY_TOTAL; i < TOY_TOTAL + TOY_WIDTHS; i++)
            ck_assert(s->p[i] == 0.0 || s->p[i] == 1.0);
    }
    dfqi_solver_result(s, &info);
    dfqi_solver_release(s);
    return info;
}

/* 18 problems of the study: latency to what 25, 10 and 5 % of random pairs meet. */
static void study_limits(const toy_pair *t, int i, dfq_constraint limits[TOY_METRICS])
{
    static const double shares[] = {0.25, 0.10, 0.05};
    for (int j = 0; j < TOY_METRICS; j++)
        limits[j] = (dfq_constraint){
            sizeof(dfq_constraint), j,
            toy_pair_quantile(t, (uint64_t)i / 3, j, j == 0 ? shares[i % 3] : 0.5)};
}

static double exact_loss(dfq_context *ctx, const dfq_problem *p, const dfq_constraint *limits)
{
    dfqi_solver_info info;
    dfqi_solver *s = make(ctx, p, limits, DFQ_RULE_EXACT, 1);
    ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
    dfqi_solver_result(s, &info);
    dfqi_solver_release(s);
    return info.result.loss;
}

START_TEST(meets_three_limits_with_an_accelerator)
{
    static toy_pair t;
    dfq_context *ctx = dfqt_explore_context();
    double raw = 0, quality = 0;
    for (int i = 0; i < 18; i++) {
        dfq_problem p;
        dfq_constraint limits[TOY_METRICS];
        if (i % 3 == 0) toy_pair_make((uint64_t)i / 3, &t);
        fill(&t, &p);
        study_limits(&t, i, limits);
        dfqi_solver_info info = search(ctx, &p, limits, 500);
        ck_assert_int_eq(info.result.raw_feasible, 1);
        ck_assert_int_eq(info.result.verdict, DFQ_VERDICT_CERTIFIED);
        double best = exact_loss(ctx, &p, limits);
        raw += info.result.raw_loss / best / 18;
        quality += info.result.loss / best / 18;
    }
    ck_assert_double_ge(raw, 0.99);         /* the bars of the project: 0.97 and 0.995 */
    ck_assert_double_ge(quality, 1 - 1e-9); /* the exact method has the last word */
    dfq_context_release(ctx);
}
END_TEST

/* The least latency that the limits of energy and area leave. */
static double least_latency(dfq_context *ctx, const dfq_problem *p, dfq_constraint *limits)
{
    dfqi_solver_info info;
    double keep = limits[0].limit;
    limits[0].limit = 1e-9;
    dfqi_solver *s = make(ctx, p, limits, DFQ_RULE_EXACT, 1);
    ck_assert_int_eq(dfqi_solver_run(s), DFQ_E_INFEASIBLE);
    dfqi_solver_result(s, &info);
    dfqi_solver_release(s);
    limits[0].limit = keep;
    return info.tightest[0];
}

START_TEST(meets_what_is_barely_feasible)
{
    static toy_pair t;
    dfq_context *ctx = dfqt_explore_context();
    for (int i = 0; i < 18; i++) {
        dfq_problem p;
        dfq_constraint limits[TOY_METRICS];
        if (i % 3 == 0) toy_pair_make((uint64_t)i / 3, &t);
        fill(&t, &p);
        study_limits(&t, i, limits);
        double slack[] = {1e-12, 0.01, 0.03};
        limits[0].limit = least_latency(ctx, &p, limits) * (1 + slack[i % 3]);
        dfqi_solver_info info = search(ctx, &p, limits, 200);
        ck_assert_int_eq(info.result.raw_feasible, 1);
    }
    dfq_context_release(ctx);
}
END_TEST

/* Two accelerators that each exceed one of two limits, whatever the network, while their average
 * meets both: HDX's mixture rests there. On the third one a single cell may take what lowers the
 * loss. */
START_TEST(no_mixture_of_accelerators)
{
    enum { N = 8 };
    static const int32_t choices[N + 1] = {2, 2, 2, 2, 2, 2, 2, 2, 3};
    static const double share[2][2][3] = {{{1.6, 0.2, 1.3}, {1.6, 0.2, 0.95}},
                                          {{0.2, 1.6, 1.3}, {0.2, 1.6, 0.95}}};
    double loss[2 * N + 3] = {0}, cost[2][2 * N][3];
    dfq_context *ctx = dfqt_explore_context();
    dfq_problem p;
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 1}, {sizeof(dfq_constraint), 1, 1}};
    for (int i = 0; i < 2 * N; i++) {
        loss[i] = i % 2 ? 0 : -1 - 0.1 * i;
        for (int m = 0; m < 2; m++)
            for (int a = 0; a < 3; a++) cost[m][i][a] = share[m][i % 2][a] / N;
    }
    dfq_problem_init(&p, sizeof p);
    p.n_groups = N + 1;
    p.n_hw_params = 1;
    p.n_metrics = 2;
    p.choices = choices;
    p.loss_table = loss;
    p.cost_table = &cost[0][0][0];
    for (int i = 0; i < 2; i++) {
        dfq_solver_options o;
        dfqi_solver *s;
        dfqi_solver_info info;
        dfqi_solver_defaults(&o);
        o.rule = i ? DFQ_RULE_PROJECT : DFQ_RULE_CONSTRAINT_GRADIENT;
        ck_assert_int_eq(dfqi_solver_new(ctx, &p, limits, 2, &o, &s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
        dfqi_solver_result(s, &info);
        ck_assert_int_eq(info.result.raw_feasible, i);
        ck_assert_int_eq(info.result.verdict, DFQ_VERDICT_CERTIFIED);
        if (i) ck_assert_double_eq_tol(info.result.raw_loss, -2.4, 1e-9); /* the best cell */
        dfqi_solver_release(s);
    }
    dfq_context_release(ctx);
}
END_TEST

START_TEST(infeasible_as_the_others_say)
{
    dfq_context *ctx = dfqt_explore_context();
    for (uint64_t seed = 0; seed < 4; seed++) {
        dfqt_problem t;
        dfqi_solver_info info[2];
        dfq_constraint limits[DFQT_METRICS];
        dfqt_problem_make(seed, &t);
        for (int j = 0; j < DFQT_METRICS; j++)
            limits[j] = (dfq_constraint){sizeof(dfq_constraint), j,
                                         dfqt_problem_quantile(&t, j, j == 0 ? 0 : 0.3) * 0.9};
        for (int i = 0; i < 2; i++) {
            dfqi_solver *s = make(ctx, &t.problem, limits,
                                  i ? DFQ_RULE_PROJECT : DFQ_RULE_CONSTRAINT_GRADIENT, 100);
            ck_assert_int_eq(dfqi_solver_run(s), DFQ_E_INFEASIBLE);
            dfqi_solver_result(s, &info[i]);
            dfqi_solver_release(s);
        }
        ck_assert_int_eq(info[1].result.proved, 1);
        for (int j = 0; j < DFQT_METRICS; j++) {
            ck_assert_double_eq(info[0].tightest[j], info[1].tightest[j]);
            ck_assert_double_eq(info[0].least[j], info[1].least[j]);
        }
    }
    dfq_context_release(ctx);
}
END_TEST

START_TEST(needs_tables)
{
    dfqt_problem t;
    dfqi_solver *s;
    dfq_solver_options o;
    dfq_constraint limit = {sizeof(dfq_constraint), 0, 5};
    dfq_context *ctx = dfqt_explore_context();
    dfqt_problem_make(1, &t);
    t.problem.cost_table = NULL;
    dfqi_solver_defaults(&o);
    o.rule = DFQ_RULE_PROJECT;
    ck_assert_int_eq(dfqi_solver_new(ctx, &t.problem, &limit, 1, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "rule project needs cost_table"));
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_project_case(void)
{
    TCase *c = tcase_create("project");
    tcase_add_test(c, solves_the_dual);
    tcase_add_test(c, solved_by_hand);
    tcase_add_test(c, meets_three_limits_with_an_accelerator);
    tcase_add_test(c, meets_what_is_barely_feasible);
    tcase_add_test(c, no_mixture_of_accelerators);
    tcase_add_test(c, infeasible_as_the_others_say);
    tcase_add_test(c, needs_tables);
    return c;
}
