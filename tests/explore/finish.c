/* What the end of a search adds to its rule: the exact method on a learned loss, what it may leave
 * out, the cheapest of equal accelerators, and the words where nothing meets the limits. */
#include <dfq/dfq.h>
#include <math.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/solver/knapsack_priv.h"
#include "explore/solver/solver_priv.h"

/* A table behind a callback, as a learned loss is. */
static dfq_status loss_of(const double *p, uint64_t step, double *loss, double *gradient,
                          void *user)
{
    const dfqt_problem *t = user;
    (void)step;
    *loss = 0;
    for (int i = 0; i < DFQT_TOTAL; i++) *loss += p[i] * t->loss[i];
    if (gradient) memcpy(gradient, t->loss, sizeof t->loss);
    return DFQ_OK;
}

static void limit_all(const dfqt_problem *t, double share, dfq_constraint limits[DFQT_METRICS])
{
    for (int j = 0; j < DFQT_METRICS; j++)
        limits[j] = (dfq_constraint){sizeof(dfq_constraint), j,
                                     dfqt_problem_quantile(t, j, j == 0 ? share : 0.5)};
}

/* Whatever the rule has found, here nothing: the result is the optimum of 1458. */
START_TEST(a_learned_loss_ends_at_its_optimum)
{
    dfq_context *ctx = dfqt_explore_context();
    int exact = 0;
    for (uint64_t seed = 0; seed < 24; seed++) {
        dfqt_problem t;
        dfqi_solver_info info;
        dfqi_solver *s;
        dfq_solver_options o;
        dfq_constraint limits[DFQT_METRICS];
        dfqt_problem_make(seed, &t);
        limit_all(&t, 0.05, limits);
        double best = dfqt_problem_brute(&t, limits, DFQT_METRICS, -1);
        if (isinf(best)) continue;
        t.problem.loss_table = NULL;
        t.problem.loss = loss_of;
        t.problem.user = &t;
        dfqi_solver_defaults(&o);
        o.rule = DFQ_RULE_NONE;
        o.steps = 1;
        ck_assert_int_eq(dfqi_solver_new(ctx, &t.problem, limits, DFQT_METRICS, &o, &s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
        dfqi_solver_result(s, &info);
        ck_assert_double_eq_tol(info.result.loss, best, 1e-9);
        for (int g = 0; g < DFQT_CELLS; g++) exact += s->best.by[g] == DFQ_CHOSEN_EXACT;
        dfqi_solver_release(s);
    }
    ck_assert_int_gt(exact, 0);
    dfq_context_release(ctx);
}
END_TEST

/* Choices that are known are not found again, and better ones are. */
START_TEST(cutoff_leaves_out_what_is_no_better)
{
    dfqt_problem t;
    dfqi_problem *p;
    dfqi_optimum o, again;
    int32_t choice[DFQT_CELLS + DFQT_HW_PARAMS];
    dfq_constraint limits[DFQT_METRICS];
    dfq_context *ctx = dfqt_explore_context();
    dfqt_problem_make(2, &t);
    limit_all(&t, 0.3, limits);
    ck_assert_int_eq(dfqi_problem_new(ctx, &t.problem, limits, DFQT_METRICS, &p), DFQ_OK);
    ck_assert_int_eq(dfqi_problem_optimum(p, -1, choice, &o), DFQ_OK);
    ck_assert(o.found && o.proved);
    dfqi_cutoff cutoff = {o.loss, DFQI_NODES};
    ck_assert_int_eq(dfqi_problem_optimum_below(p, -1, &cutoff, choice, &again), DFQ_OK);
    ck_assert(!again.found && again.proved);
    cutoff.loss += 1e-6;
    ck_assert_int_eq(dfqi_problem_optimum_below(p, -1, &cutoff, choice, &again), DFQ_OK);
    ck_assert(again.found && again.proved && again.loss == o.loss);
    cutoff.nodes = 0;
    ck_assert_int_eq(dfqi_problem_optimum_below(p, -1, &cutoff, choice, &again), DFQ_OK);
    ck_assert(!again.proved);
    dfqi_problem_free(p);
    dfq_context_release(ctx);
}
END_TEST

/* -- accelerators ------------------------------------------------------------------------------ */

enum { ACCELERATORS = 4 };

/* One cell, four accelerators; the first costs most, the last exceeds the limit of metric 0. Metric
 * 1 has none. */
static const double cell_cost[2][ACCELERATORS] = {{4, 3, 2, 9}, {4, 2, 5, 0.1}};

static int32_t accelerator(const double *loss, double cost_weight, int32_t *by)
{
    static const int32_t choices[] = {1, ACCELERATORS};
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, 5};
    dfq_context *ctx = dfqt_explore_context();
    dfq_problem p;
    dfqi_solver *s;
    dfq_solver_options o;
    dfq_problem_init(&p, sizeof p);
    p.n_groups = 2;
    p.n_hw_params = 1;
    p.n_metrics = 2;
    p.choices = choices;
    p.loss_table = loss;
    p.cost_table = &cell_cost[0][0];
    dfqi_solver_defaults(&o);
    o.steps = 1;
    o.rule = DFQ_RULE_NONE;
    o.cost_weight = cost_weight;
    o.snapshot_every = 0;
    ck_assert_int_eq(dfqi_solver_new(ctx, &p, &limit, 1, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfqi_solver_run(s), DFQ_OK);
    int32_t at = s->best.choice[1];
    *by = s->best.by[1];
    dfqi_solver_release(s);
    dfq_context_release(ctx);
    return at;
}

START_TEST(the_cheapest_of_equal_accelerators)
{
    double loss[1 + ACCELERATORS] = {0};
    int32_t by;
    ck_assert_int_eq(accelerator(loss, 0, &by), 1); /* 3 x 2 is less than 2 x 5 */
    ck_assert_int_eq(by, DFQ_CHOSEN_CHEAPEST);
    loss[1 + 1] = 1e-3; /* the loss decides before costs do */
    ck_assert_int_eq(accelerator(loss, 0, &by), 2);
    loss[1 + 0] = -1;
    ck_assert_int_eq(accelerator(loss, 0, &by), 0);
    ck_assert_int_ne(by, DFQ_CHOSEN_CHEAPEST);
    memset(loss, 0, sizeof loss); /* a weight of the costs says what is cheap */
    accelerator(loss, 1, &by);
    ck_assert_int_ne(by, DFQ_CHOSEN_CHEAPEST);
}
END_TEST

/* -- words ------------------------------------------------------------------------------------- */

/* Cells of cost 3 or 2 in one metric and 2 or 3 in the other: each sum is 4 at least, and both
 * together 10. */
START_TEST(infeasible_in_words)
{
    static const int32_t choices[] = {2, 2};
    static const double loss[4] = {0}, cost[2][4] = {{3, 2, 3, 2}, {2, 3, 2, 3}};
    static const char *const names[] = {"latency_ms", "energy_mj"};
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 4}, {sizeof(dfq_constraint), 1, 5}};
    dfq_context *ctx = dfqt_explore_context();
    dfq_problem p;
    dfq_problem_init(&p, sizeof p);
    p.n_groups = 2;
    p.n_metrics = 2;
    p.choices = choices;
    p.metrics = names;
    p.loss_table = loss;
    p.cost_table = &cost[0][0];
    for (int i = 0; i < 2; i++) {
        dfqi_solver *s;
        dfq_solver_options o;
        dfqi_solver_defaults(&o);
        o.steps = 10;
        if (i) limits[0].limit = 1, limits[1].limit = 2;
        ck_assert_int_eq(dfqi_solver_new(ctx, &p, limits, 2, &o, &s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_run(s), DFQ_E_INFEASIBLE);
        dfqi_solver_release(s);
        ck_assert_str_eq(ctx->error,
                         i ? "infeasible: no choice meets latency_ms <= 1 (no other value would "
                             "do; least 4), energy_mj <= 2 (no other value would do; least 4); "
                             "nearest: latency_ms 4, 300 % above; energy_mj 6, 200 % above"
                           : "infeasible: no choice meets latency_ms <= 4 (5 would do, 25 % above; "
                             "least 4), energy_mj <= 5 (6 would do, 20 % above; least 4); nearest: "
                             "energy_mj 6, 20 % above");
    }
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_finish_case(void)
{
    TCase *c = tcase_create("finish");
    tcase_add_test(c, a_learned_loss_ends_at_its_optimum);
    tcase_add_test(c, cutoff_leaves_out_what_is_no_better);
    tcase_add_test(c, the_cheapest_of_equal_accelerators);
    tcase_add_test(c, infeasible_in_words);
    return c;
}
