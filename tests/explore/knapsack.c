/* The exact methods against enumeration and against each other. */
#include "explore/solver/knapsack_priv.h"

#include <math.h>

#include "base/rng.h"
#include "explore/cases.h"

enum { GROUPS = 21, OPS = 6, TOTAL = GROUPS * OPS };

static void check_optimum(dfqt_problem *t, const dfq_constraint *limits, int32_t n, int32_t aim)
{
    dfq_context *ctx = dfqt_explore_context();
    dfqi_problem *p;
    dfqi_optimum o;
    int32_t choice[DFQT_CELLS + DFQT_HW_PARAMS];
    double expected = dfqt_problem_brute(t, limits, n, aim < 0 ? -1 : limits[aim].metric), costs[3];
    ck_assert_int_eq(dfqi_problem_new(ctx, &t->problem, limits, n, &p), DFQ_OK);
    ck_assert_int_eq(dfqi_problem_optimum(p, aim, choice, &o), DFQ_OK);
    ck_assert(o.proved);
    ck_assert(o.found == (bool)isfinite(expected));
    if (o.found) {
        ck_assert_double_eq_tol(o.loss, expected, 1e-9);
        dfqt_problem_costs(t, choice, costs);
        ck_assert_double_eq_tol(aim < 0 ? dfqt_problem_loss(t, choice) : costs[limits[aim].metric],
                                expected, 1e-9);
        for (int32_t j = 0; j < n; j++)
            if (j != aim) ck_assert_double_le(costs[limits[j].metric], limits[j].limit);
    }
    ck_assert(o.bound == o.loss);
    ck_assert_int_eq(dfqi_problem_optimum_below(p, aim, &(dfqi_cutoff){INFINITY, 3}, choice, &o),
                     DFQ_OK);
    ck_assert_double_le(o.bound, expected + 1e-9);
    if (!o.proved && o.found) ck_assert_double_le(o.bound, o.loss);
    dfqi_problem_free(p);
    dfq_context_release(ctx);
}

START_TEST(against_enumeration)
{
    static const double shares[] = {0, 0.001, 0.02, 0.1, 0.4, 1};
    int infeasible = 0;
    for (int n = 1; n <= 3; n++)
        for (uint64_t seed = 0; seed < 40; seed++) {
            dfqt_problem t;
            dfq_constraint limits[3];
            dfqt_problem_make(seed, &t);
            for (int j = 0; j < n; j++)
                limits[j] = (dfq_constraint){
                    sizeof(dfq_constraint), j,
                    dfqt_problem_quantile(&t, j, shares[(seed + 2 * (uint64_t)j) % 6])};
            infeasible += !isfinite(dfqt_problem_brute(&t, limits, n, -1));
            for (int aim = -1; aim < n; aim++) check_optimum(&t, limits, n, aim);
        }
    ck_assert_int_gt(infeasible, 3);
    ck_assert_int_lt(infeasible, 100);
}
END_TEST

/* Under the least cost nothing is found, at exactly that cost one choice is. */
START_TEST(at_the_edge)
{
    dfqt_problem t;
    dfqt_problem_make(77, &t);
    double least = dfqt_problem_quantile(&t, 0, 0);
    check_optimum(&t, &(dfq_constraint){sizeof(dfq_constraint), 0, least}, 1, -1);
    check_optimum(&t, &(dfq_constraint){sizeof(dfq_constraint), 0, least * (1 - 1e-9)}, 1, -1);
}
END_TEST

typedef struct large {
    int32_t first[GROUPS + 1];
    double loss[TOTAL], cost[2][TOTAL];
    int64_t budget;
    dfqi_knapsack k;
} large;

static void make_large(uint64_t seed, int n_costs, double share, large *l)
{
    dfqi_rng r = dfqi_rng_make(seed, 7);
    l->k = (dfqi_knapsack){.n_groups = GROUPS,
                           .first = l->first,
                           .loss = l->loss,
                           .n_costs = n_costs,
                           .budget = &l->budget};
    l->budget = DFQI_NODES;
    for (int g = 0; g <= GROUPS; g++) l->first[g] = g * OPS;
    for (int i = 0; i < TOTAL; i++) {
        l->loss[i] = -(double)dfqi_rng_uniform(&r);
        for (int c = 0; c < 2; c++)
            l->cost[c][i] = 0.2 - l->loss[i] * (double)dfqi_rng_range(&r, 0.5F, 1.5F);
    }
    for (int c = 0; c < n_costs; c++) {
        double lo = 0, hi = 0;
        for (int g = 0; g < GROUPS; g++) {
            double low = INFINITY, high = 0;
            for (int i = g * OPS; i < (g + 1) * OPS; i++) {
                low = fmin(low, l->cost[c][i]);
                high = fmax(high, l->cost[c][i]);
            }
            lo += low, hi += high;
        }
        l->k.cost[c] = l->cost[c];
        l->k.limit[c] = lo + share * (hi - lo);
    }
}

/* Two methods that share nothing but the bound agree on 6^21 choices. */
START_TEST(methods_agree)
{
    dfq_context *ctx = dfqt_explore_context();
    for (uint64_t seed = 0; seed < 12; seed++) {
        large l;
        int32_t choice[GROUPS];
        double lambda[DFQ_METRICS_MAX];
        dfqi_optimum states, branch;
        make_large(seed, 1, 0.1 + 0.05 * (double)seed, &l);
        double bound = dfqi_knapsack_bound(&l.k, lambda);
        ck_assert_int_eq(dfqi_knapsack_states(ctx, &l.k, lambda[0], 1e9, choice, &states), DFQ_OK);
        ck_assert_int_eq(dfqi_knapsack_branch(ctx, &l.k, lambda, 1e9, choice, &branch), DFQ_OK);
        ck_assert(states.found && states.proved && branch.found && branch.proved);
        ck_assert_double_eq_tol(states.loss, branch.loss, 1e-9);
        ck_assert_double_le(bound, states.loss + 1e-9);
        ck_assert_double_ge(bound, states.loss - 0.5);
        /* nothing is better than the best */
        ck_assert_int_eq(dfqi_knapsack_solve(ctx, &l.k, states.loss, choice, &branch), DFQ_OK);
        ck_assert(!branch.found && branch.proved);
    }
    dfq_context_release(ctx);
}
END_TEST

/* With two costs the optimum lies between the bound and what one cost alone allows. */
START_TEST(two_costs)
{
    dfq_context *ctx = dfqt_explore_context();
    for (uint64_t seed = 0; seed < 6; seed++) {
        large l;
        int32_t choice[GROUPS];
        double lambda[DFQ_METRICS_MAX], sum[2] = {0};
        dfqi_optimum one, two;
        make_large(seed, 2, 0.3, &l);
        double bound = dfqi_knapsack_bound(&l.k, lambda);
        ck_assert_int_eq(dfqi_knapsack_solve(ctx, &l.k, INFINITY, choice, &two), DFQ_OK);
        ck_assert(two.found && two.proved);
        for (int g = 0; g < GROUPS; g++)
            for (int c = 0; c < 2; c++) sum[c] += l.cost[c][g * OPS + choice[g]];
        ck_assert_double_le(sum[0], l.k.limit[0]);
        ck_assert_double_le(sum[1], l.k.limit[1]);
        ck_assert_double_ge(two.loss, bound - 1e-9);
        l.k.n_costs = 1;
        ck_assert_int_eq(dfqi_knapsack_solve(ctx, &l.k, INFINITY, choice, &one), DFQ_OK);
        ck_assert_double_le(one.loss, two.loss + 1e-9);
    }
    dfq_context_release(ctx);
}
END_TEST

/* A spent budget is admitted. What is then known lies between the first bound and the optimum, and
 * comes closer. */
START_TEST(budget)
{
    dfq_context *ctx = dfqt_explore_context();
    large l;
    int32_t choice[GROUPS];
    double lambda[DFQ_METRICS_MAX], before;
    dfqi_optimum best, o = {.proved = false};
    make_large(1, 2, 0.3, &l);
    ck_assert_int_eq(dfqi_knapsack_solve(ctx, &l.k, INFINITY, choice, &best), DFQ_OK);
    ck_assert(best.proved && best.bound == best.loss);
    before = dfqi_knapsack_bound(&l.k, lambda);
    const double first = before;
    for (int64_t nodes = 30; !o.proved; nodes *= 4) {
        l.budget = nodes;
        ck_assert_int_eq(dfqi_knapsack_solve(ctx, &l.k, INFINITY, choice, &o), DFQ_OK);
        ck_assert(nodes > 30 || !o.proved);
        ck_assert_double_le(o.bound, best.loss + 1e-9);
        ck_assert_double_ge(o.bound, before - 1e-9);
        before = o.bound;
    }
    ck_assert_double_gt(best.loss, first + 1e-6);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_knapsack_case(void)
{
    TCase *c = tcase_create("knapsack");
    tcase_add_test(c, against_enumeration);
    tcase_add_test(c, at_the_edge);
    tcase_add_test(c, methods_agree);
    tcase_add_test(c, two_costs);
    tcase_add_test(c, budget);
    return c;
}
