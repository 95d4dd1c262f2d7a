/* Repair, local search, and the sweep over accelerators. */
#include "explore/solver/derive_priv.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "explore/cases.h"

enum { GROUPS = DFQT_CELLS + DFQT_HW_PARAMS };

typedef struct bench {
    dfq_context *ctx;
    dfqt_problem t;
    dfqi_problem *p;
    dfqi_candidate f;
} bench;

static void begin(bench *b, uint64_t seed, int n, double share)
{
    dfq_constraint limits[3];
    b->ctx = dfqt_explore_context();
    dfqt_problem_make(seed, &b->t);
    for (int j = 0; j < n; j++)
        limits[j] =
            (dfq_constraint){sizeof(dfq_constraint), j, dfqt_problem_quantile(&b->t, j, share)};
    ck_assert_int_eq(dfqi_problem_new(b->ctx, &b->t.problem, limits, n, &b->p), DFQ_OK);
    ck_assert_int_eq(dfqi_candidate_new(b->p, &b->f), DFQ_OK);
}

static void end(bench *b)
{
    dfqi_candidate_fini(b->p, &b->f);
    dfqi_problem_free(b->p);
    dfq_context_release(b->ctx);
}

/* The choices of least loss, which are too expensive. */
static void start_greedy(bench *b)
{
    double minus[DFQT_TOTAL];
    for (int i = 0; i < DFQT_TOTAL; i++) minus[i] = -b->t.loss[i];
    dfqi_domain_argmax(&b->p->space, minus, b->f.choice);
    ck_assert_int_eq(dfqi_candidate_evaluate(b->p, &b->f), DFQ_OK);
}

static void check_found(const bench *b)
{
    double costs[3];
    dfqt_problem_costs(&b->t, b->f.choice, costs);
    ck_assert_int_eq(memcmp(costs, b->f.costs, sizeof costs), 0);
    ck_assert(b->f.known && b->f.meets == dfqi_problem_meets(b->p, costs));
    ck_assert_double_eq_tol(b->f.loss, dfqt_problem_loss(&b->t, b->f.choice), 1e-12);
}

START_TEST(repair_then_improve)
{
    double left = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        bench b;
        int n = 1 + (int)(seed % 2);
        dfq_constraint limits[2];
        begin(&b, seed, n, 0.3);
        start_greedy(&b);
        for (int j = 0; j < n; j++)
            limits[j] = (dfq_constraint){sizeof(dfq_constraint), j, b.p->limit[j]};
        double best = dfqt_problem_brute(&b.t, limits, n, -1);
        ck_assert_int_eq(dfqi_repair(b.p, &b.f), DFQ_OK);
        check_found(&b);
        ck_assert(b.f.meets == (bool)isfinite(best));
        if (b.f.meets) {
            double before = b.f.loss;
            ck_assert_int_eq(dfqi_local_search(b.p, &b.f), DFQ_OK);
            check_found(&b);
            ck_assert(b.f.meets);
            ck_assert_double_le(b.f.loss, before);
            ck_assert_double_ge(b.f.loss, best - 1e-9);
            left += (b.f.loss - best) / -best / 30;
        }
        end(&b);
    }
    ck_assert_double_lt(left,
                        0.05); /* of the optimum, on average: there are accelerators between */
}
END_TEST

/* One cell, two swaps that meet the limit: the one that loses less per millisecond is taken. */
START_TEST(repair_takes_the_cheapest_rate)
{
    static const int32_t choices[] = {2, 2};
    static const double loss[] = {-4, -1, -4, -3}, cost[] = {6, 1, 6, 5};
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, 11};
    dfq_context *ctx = dfqt_explore_context();
    dfqi_problem *p;
    dfqi_candidate f;
    dfq_problem given = {.struct_size = sizeof given,
                         .n_groups = 2,
                         .n_metrics = 1,
                         .choices = choices,
                         .loss_table = loss,
                         .cost_table = cost};
    ck_assert_int_eq(dfqi_problem_new(ctx, &given, &limit, 1, &p), DFQ_OK);
    ck_assert_int_eq(dfqi_candidate_new(p, &f), DFQ_OK);
    ck_assert_int_eq(dfqi_candidate_evaluate(p, &f), DFQ_OK);
    ck_assert_int_eq(dfqi_repair(p, &f), DFQ_OK);
    ck_assert_int_eq(f.choice[0], 0);
    ck_assert_int_eq(f.choice[1], 1);
    ck_assert_double_eq(f.costs[0], 11);
    dfqi_candidate_fini(p, &f);
    dfqi_problem_free(p);
    dfq_context_release(ctx);
}
END_TEST

/* The better choice fits on the other accelerator alone, and neither its cost here nor a swap of
 * both by the sum of what each changes shows that. */
START_TEST(local_search_moves_to_another_accelerator)
{
    static const int32_t choices[] = {2, 2};
    static const double loss[] = {0, -1, 0, 0}, cost[] = {1, 0.9, 3, 1};
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, 2};
    dfq_context *ctx = dfqt_explore_context();
    dfqi_problem *p;
    dfqi_candidate f;
    dfq_problem given = {.struct_size = sizeof given,
                         .n_groups = 2,
                         .n_hw_params = 1,
                         .n_metrics = 1,
                         .choices = choices,
                         .loss_table = loss,
                         .cost_table = cost};
    ck_assert_int_eq(dfqi_problem_new(ctx, &given, &limit, 1, &p), DFQ_OK);
    ck_assert_int_eq(dfqi_candidate_new(p, &f), DFQ_OK);
    ck_assert_int_eq(dfqi_candidate_evaluate(p, &f), DFQ_OK);
    ck_assert_int_eq(dfqi_local_search(p, &f), DFQ_OK);
    ck_assert_int_eq(f.choice[0], 1);
    ck_assert_int_eq(f.choice[1], 1);
    ck_assert_double_eq(f.costs[0], 1);
    dfqi_candidate_fini(p, &f);
    dfqi_problem_free(p);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(sweep_is_exhaustive)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        bench b;
        begin(&b, seed, 2, 0.4);
        start_greedy(&b);
        for (int g = 0; g < DFQT_CELLS; g++) b.f.choice[g] = (int32_t)(seed + (uint64_t)g) % 3;
        ck_assert_int_eq(dfqi_sweep_hw_params(b.p, -1, &b.f), DFQ_OK);
        check_found(&b);
        for (int32_t c = 0; c < DFQT_CONFIGS; c++) {
            int32_t other[GROUPS];
            double costs[3];
            memcpy(other, b.f.choice, sizeof other);
            dfqi_domain_set_config(&b.p->space, c, other);
            dfqt_problem_costs(&b.t, other, costs);
            if (!dfqi_problem_meets(b.p, costs)) continue;
            ck_assert(b.f.meets);
            ck_assert_double_le(b.f.loss, dfqt_problem_loss(&b.t, other) + 1e-12);
        }
        end(&b);
    }
}
END_TEST

/* Single swaps and sweeps over accelerators come near the least cost of all, and often reach it. */
START_TEST(descent)
{
    int exact = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        bench b;
        begin(&b, seed, 1, 0.3);
        start_greedy(&b);
        ck_assert_int_eq(dfqi_descend(b.p, 0, &b.f), DFQ_OK);
        double least = dfqt_problem_quantile(&b.t, 0, 0);
        ck_assert_double_ge(b.f.costs[0], least - 1e-12);
        ck_assert_double_le(b.f.costs[0], 1.3 * least);
        exact += b.f.costs[0] <= least + 1e-12;
        end(&b);
    }
    ck_assert_int_ge(exact, 10);
}
END_TEST

/* Under three tight limits, where swaps that lower the sum of all excesses come to a halt in every
 * fifth problem, descents towards each limit in turn find most of what is left: 93 of 99 in all. */
START_TEST(repair_tries_each_limit)
{
    int feasible = 0, found = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        bench b;
        dfq_constraint limits[3];
        begin(&b, seed, 3, 0.12);
        start_greedy(&b);
        for (int j = 0; j < 3; j++)
            limits[j] = (dfq_constraint){sizeof(dfq_constraint), j, b.p->limit[j]};
        feasible += isfinite(dfqt_problem_brute(&b.t, limits, 3, -1)) != 0;
        ck_assert_int_eq(dfqi_repair(b.p, &b.f), DFQ_OK);
        found += b.f.meets;
        end(&b);
    }
    ck_assert_int_gt(feasible, 95);
    ck_assert_int_ge(found, feasible - 13);
}
END_TEST

TCase *dfqt_derive_case(void)
{
    TCase *c = tcase_create("derive");
    tcase_add_test(c, repair_then_improve);
    tcase_add_test(c, repair_takes_the_cheapest_rate);
    tcase_add_test(c, local_search_moves_to_another_accelerator);
    tcase_add_test(c, sweep_is_exhaustive);
    tcase_add_test(c, descent);
    tcase_add_test(c, repair_tries_each_limit);
    return c;
}
