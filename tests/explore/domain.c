/* Spaces: softmax and its gradient, Gumbel noise, one-hot codes; the tabulated evaluator against
 * plain sums and finite differences. */
#include "explore/domain/domain.h"

#include <math.h>

#include "base/rng.h"
#include "explore/cases.h"
#include "explore/solver/problem_priv.h"

static const dfq_constraint any_limit = {sizeof(dfq_constraint), 0, 1};

START_TEST(softmax_and_its_gradient)
{
    const int32_t choices[] = {3, 1, 4};
    double x[8], p[8], q[8], w[8], g[8], tau = 0.7;
    dfq_context *ctx = dfqt_explore_context();
    dfqi_domain s;
    dfqi_rng r = dfqi_rng_make(1, 1);
    ck_assert_int_eq(dfqi_domain_new(ctx, 3, 1, choices, &s), DFQ_OK);
    ck_assert_int_eq(s.total, 8);
    ck_assert_int_eq(s.cells, 4);
    ck_assert_int_eq(s.configs, 4);
    for (int i = 0; i < 8; i++)
        x[i] = (double)dfqi_rng_normal(&r), g[i] = w[i] = (double)dfqi_rng_normal(&r);
    dfqi_domain_softmax(&s, x, NULL, tau, p);
    ck_assert_double_eq_tol(p[0] + p[1] + p[2], 1, 1e-12);
    ck_assert_double_eq(p[3], 1);
    ck_assert_double_eq_tol(p[4] / p[5], exp((x[4] - x[5]) / tau), 1e-12);
    dfqi_domain_chain(&s, p, tau, g);
    for (int i = 0; i < 8; i++) {
        double change = 0, keep = x[i];
        for (int side = 1; side >= -1; side -= 2) {
            x[i] = keep + side * 1e-5;
            dfqi_domain_softmax(&s, x, NULL, tau, q);
            for (int k = 0; k < 8; k++) change += side * w[k] * q[k] / 2e-5;
        }
        x[i] = keep;
        ck_assert_double_eq_tol(g[i], change, 1e-8);
    }
    x[0] = 1e4; /* does not overflow */
    dfqi_domain_softmax(&s, x, NULL, tau, p);
    ck_assert_double_eq(p[0], 1);
    dfqi_domain_fini(&s);
    dfq_context_release(ctx);
}
END_TEST

/* The maximum of logits plus Gumbel noise is distributed as the softmax. */
START_TEST(gumbel_draws_the_softmax)
{
    const int32_t choices[] = {3};
    const double x[3] = {0, log(2), log(5)};
    double noise[3], p[3], count[3] = {0};
    dfq_context *ctx = dfqt_explore_context();
    dfqi_domain s;
    ck_assert_int_eq(dfqi_domain_new(ctx, 1, 0, choices, &s), DFQ_OK);
    for (uint64_t step = 0; step < 20000; step++) {
        int32_t at;
        dfqi_domain_gumbel(&s, 9, step, noise);
        dfqi_domain_softmax(&s, x, noise, 0.5, p);
        dfqi_domain_argmax(&s, p, &at);
        count[at] += 1.0 / 20000;
    }
    ck_assert_double_eq_tol(count[0], 1.0 / 8, 0.01);
    ck_assert_double_eq_tol(count[1], 2.0 / 8, 0.01);
    ck_assert_double_eq_tol(count[2], 5.0 / 8, 0.01);
    dfqi_domain_fini(&s);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(accelerators_are_numbered)
{
    const int32_t choices[] = {4, 3, 2, 5};
    int32_t choice[4] = {3, 0, 0, 0};
    dfq_context *ctx = dfqt_explore_context();
    dfqi_domain s;
    ck_assert_int_eq(dfqi_domain_new(ctx, 4, 3, choices, &s), DFQ_OK);
    ck_assert_int_eq(s.configs, 30);
    for (int32_t c = 0; c < 30; c++) {
        dfqi_domain_set_config(&s, c, choice);
        ck_assert_int_eq(dfqi_domain_config(&s, choice), c);
        ck_assert_int_eq(choice[3], c % 5);
        ck_assert_int_eq(choice[1], c / 10);
        ck_assert_int_eq(choice[0], 3);
    }
    dfqi_domain_fini(&s);
    ck_assert_int_eq(dfqi_domain_new(ctx, 0, 0, choices, &s), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_domain_new(ctx, 2, 3, choices, &s), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_domain_new(ctx, 2, 0, (int32_t[]){2, 0}, &s), DFQ_E_INVALID);
    ck_assert_int_eq(dfqi_domain_new(ctx, 3, 3, (int32_t[]){9999, 9999, 9999}, &s), DFQ_E_INVALID);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(tables_are_exact)
{
    dfqt_problem t;
    dfqi_problem *p;
    dfq_context *ctx = dfqt_explore_context();
    dfqi_rng r = dfqi_rng_make(3, 3);
    double x[DFQT_TOTAL], costs[3], expected[3];
    dfqt_problem_make(3, &t);
    ck_assert_int_eq(dfqi_problem_new(ctx, &t.problem, &any_limit, 1, &p), DFQ_OK);
    for (int n = 0; n < 50; n++) {
        int32_t choice[DFQT_CELLS + DFQT_HW_PARAMS];
        for (int g = 0; g < p->space.n_groups; g++)
            choice[g] = (int32_t)dfqi_rng_below(&r, (uint32_t)t.choices[g]);
        dfqt_problem_costs(&t, choice, expected);
        ck_assert_int_eq(dfqi_problem_exact(p, choice, costs), DFQ_OK);
        for (int j = 0; j < 3; j++) ck_assert_double_eq(costs[j], expected[j]);
        dfqi_domain_one_hot(&p->space, choice, x);
        ck_assert_int_eq(dfqi_problem_costs(p, x, costs, NULL), DFQ_OK);
        for (int j = 0; j < 3; j++) ck_assert_double_eq_tol(costs[j], expected[j], 1e-12);
    }
    dfqi_problem_free(p);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(table_gradients)
{
    dfqt_problem t;
    dfqi_problem *p;
    dfq_context *ctx = dfqt_explore_context();
    dfqi_rng r = dfqi_rng_make(4, 3);
    double x[DFQT_TOTAL], costs[2][3], g[3 * DFQT_TOTAL], loss, slope[DFQT_TOTAL];
    dfqt_problem_make(4, &t);
    ck_assert_int_eq(dfqi_problem_new(ctx, &t.problem, &any_limit, 1, &p), DFQ_OK);
    for (int i = 0; i < DFQT_TOTAL; i++) x[i] = (double)dfqi_rng_uniform(&r);
    x[2] = 0;
    ck_assert_int_eq(dfqi_problem_costs(p, x, costs[0], g), DFQ_OK);
    ck_assert_int_eq(dfqi_problem_loss(p, x, 0, &loss, slope), DFQ_OK);
    for (int i = 0; i < DFQT_TOTAL; i++) {
        double keep = x[i];
        x[i] = keep + 0.5; /* linear in each entry, so a large step is exact */
        ck_assert_int_eq(dfqi_problem_costs(p, x, costs[1], NULL), DFQ_OK);
        for (int j = 0; j < 3; j++)
            ck_assert_double_eq_tol(g[j * DFQT_TOTAL + i], 2 * (costs[1][j] - costs[0][j]), 1e-9);
        ck_assert_double_eq(slope[i], t.loss[i]);
        x[i] = keep;
    }
    dfqi_problem_free(p);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_domain_case(void)
{
    TCase *c = tcase_create("domain");
    tcase_add_test(c, softmax_and_its_gradient);
    tcase_add_test(c, gumbel_draws_the_softmax);
    tcase_add_test(c, accelerators_are_numbered);
    tcase_add_test(c, tables_are_exact);
    tcase_add_test(c, table_gradients);
    return c;
}
