/* A third of the toy study (studies/toy.c): 2 problems at 3 limits. Bars of the project: two of
 * three are met by the likeliest choices, all are certified, quality 0.997 of the exact optimum. */
#include "support/toy_problem.h"

#include <dfq/dfq.h>
#include <math.h>

#include "explore/cases.h"

static dfq_solver_result search(const toy *t, double limit, int32_t rule, int32_t optimizer,
                                double *out_cost)
{
    dfq_context *ctx = dfqt_explore_context();
    const dfq_constraint latency = {sizeof(dfq_constraint), 0, limit};
    dfq_solver_result r = {.struct_size = sizeof r};
    dfq_solver_options o;
    dfq_problem p;
    dfq_solver *s;
    dfq_problem_init(&p, sizeof p);
    p.n_groups = TOY_CELLS;
    p.n_metrics = 1;
    p.choices = t->choices;
    p.loss_table = t->loss;
    p.cost_table = t->latency;
    dfq_solver_options_init(&o, sizeof o);
    o.rule = rule;
    o.optimizer = optimizer;
    ck_assert_int_eq(dfq_solver_create(ctx, &p, &latency, 1, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_result(s, &r), DFQ_OK);
    *out_cost = dfqt_metric(s, 0).cost;
    dfq_solver_release(s);
    dfq_context_release(ctx);
    return r;
}

START_TEST(small_study)
{
    static const double shares[] = {0.25, 0.10, 0.05};
    for (int32_t optimizer = DFQ_OPTIMIZER_SGD; optimizer <= DFQ_OPTIMIZER_ADAMW; optimizer++) {
        double quality = 0;
        for (int i = 0; i < 6; i++) {
            toy t;
            double cost;
            toy_make((uint64_t)i / 3, &t);
            double limit = toy_quantile(&t, (uint64_t)i / 3, shares[i % 3]);
            dfq_solver_result exact = search(&t, limit, DFQ_RULE_EXACT, optimizer, &cost);
            dfq_solver_result r = search(&t, limit, DFQ_RULE_CONSTRAINT_GRADIENT, optimizer, &cost);
            ck_assert_int_eq(exact.proved, 1);
            ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
            ck_assert_double_le(cost, limit);
            ck_assert_double_ge(r.loss, exact.loss - 1e-9);
            ck_assert_int_eq(r.raw_feasible, 1); /* before any repair */
            quality += r.loss / exact.loss / 6;
        }
        ck_assert_double_ge(quality, 0.997);
    }
}
END_TEST

TCase *dfqt_toy_case(void)
{
    TCase *c = tcase_create("toy");
    tcase_add_test(c, small_study);
    return c;
}
