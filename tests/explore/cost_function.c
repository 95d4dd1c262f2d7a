/* Cost functions: values by hand, gradients by finite differences, and which rules they reach. */
#include <math.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/solver/solver_priv.h"

static const double reference[DFQT_METRICS] = {16, 8, 4};

/* Two limits of three metrics, plain descent. */
static dfq_status create(dfq_context *ctx, dfqt_problem *t, int32_t function,
                         const dfq_solver_options *options, dfqi_solver **out)
{
    const dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 8},
                                      {sizeof(dfq_constraint), 2, 2}};
    dfq_solver_options o = *options;
    o.cost_function = function;
    o.optimizer = DFQ_OPTIMIZER_SGD;
    o.snapshot_every = 0;
    return dfqi_solver_new(ctx, &t->problem, limits, 2, &o, out);
}

static dfqi_solver *make(dfq_context *ctx, dfqt_problem *t, int32_t function,
                         const dfq_solver_options *options)
{
    dfqi_solver *s = NULL;
    t->problem.reference = reference;
    ck_assert_int_eq(create(ctx, t, function, options, &s), DFQ_OK);
    return s;
}

START_TEST(values_by_hand)
{
    static const double costs[DFQT_METRICS] = {4, 6, 3};
    static const double want[] = {(4.0 / 8 + 3.0 / 2) / 2, (4.0 / 16 + 6.0 / 8 + 3.0 / 4) / 3,
                                  (4.0 * 6 * 3) / (16 * 8 * 4)};
    dfqt_problem t;
    dfq_solver_options o;
    dfq_context *ctx = dfqt_explore_context();
    dfqi_solver_defaults(&o);
    ck_assert_int_eq(o.cost_function, DFQ_COST_MEAN);
    dfqt_problem_make(2, &t);
    for (int32_t f = DFQ_COST_MEAN; f <= DFQ_COST_EDAP; f++) {
        dfqi_solver *s = make(ctx, &t, f, &o);
        ck_assert_double_eq_tol(dfqi_cost_value(s, costs), want[f], 1e-15);
        dfqi_solver_release(s);
    }
    dfq_context_release(ctx);
}
END_TEST

/* Loss and weighted costs at logits x. */
static double objective(dfqi_solver *s, const double *x)
{
    double p[DFQT_TOTAL], costs[DFQT_METRICS], loss;
    dfqi_domain_softmax(&s->problem->space, x, NULL, 1, p);
    ck_assert_int_eq(dfqi_problem_loss(s->problem, p, 0, &loss, NULL), DFQ_OK);
    ck_assert_int_eq(dfqi_problem_costs(s->problem, p, costs, NULL), DFQ_OK);
    return loss + s->o.cost_weight * dfqi_cost_value(s, costs);
}

/* The second step, from a point that is no corner. */
START_TEST(steps_go_along_the_gradient)
{
    for (int32_t f = DFQ_COST_MEAN; f <= DFQ_COST_EDAP; f++) {
        dfqt_problem t;
        dfq_solver_options o;
        int32_t finished;
        double x[DFQT_TOTAL], moved = 0;
        dfq_context *ctx = dfqt_explore_context();
        dfqi_solver_defaults(&o);
        o.rule = DFQ_RULE_NONE;
        o.cost_weight = 1.5;
        o.learning_rate = o.hw_learning_rate = 0.5;
        o.margin = 0.1;
        dfqt_problem_make(4, &t);
        dfqi_solver *s = make(ctx, &t, f, &o);
        ck_assert_int_eq(dfqi_solver_step(s, &finished), DFQ_OK);
        memcpy(x, s->x, sizeof x);
        ck_assert_int_eq(dfqi_solver_step(s, &finished), DFQ_OK);
        for (int i = 0; i < DFQT_TOTAL; i++) {
            double at = x[i], slope = 0;
            for (int k = 1; k >= -1; k -= 2) {
                x[i] = at + k * 1e-4;
                slope += k * objective(s, x) / 2e-4;
            }
            x[i] = at;
            ck_assert_double_eq_tol((at - s->x[i]) / 0.5, slope, 1e-6);
            moved += fabs(slope);
        }
        ck_assert_double_gt(moved, 0.1);
        dfqi_solver_release(s);
        dfq_context_release(ctx);
    }
}
END_TEST

/* Nearly all weight on the costs of accelerators that trade metrics: each function has a best of
 * its own. One cell of one choice, five accelerators. */
START_TEST(each_rule_goes_by_it)
{
    static const int32_t choices[] = {1, 5}, best[] = {0, 1, 2};
    static const double loss[6] = {0}, unit[3] = {1, 1, 1};
    static const double cost[3][5] = {
        {0.1, 0.9, 0.01, 4, 5}, {90, 9, 20, 40, 50}, {0.1, 1, 0.3, 4, 5}};
    static const int32_t rules[] = {DFQ_RULE_NONE, DFQ_RULE_FRANK_WOLFE, DFQ_RULE_ALTERNATE};
    const dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 100},
                                      {sizeof(dfq_constraint), 2, 100}};
    dfq_problem p;
    dfq_context *ctx = dfqt_explore_context();
    dfq_problem_init(&p, sizeof p);
    p.n_groups = 2;
    p.n_hw_params = 1;
    p.n_metrics = 3;
    p.choices = choices;
    p.loss_table = loss;
    p.cost_table = &cost[0][0];
    p.reference = unit;
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
        for (int32_t f = DFQ_COST_MEAN; f <= DFQ_COST_EDAP; f++) {
            dfq_solver_options o;
            dfqi_solver *s;
            int32_t finished = 0;
            if (rules[r] == DFQ_RULE_FRANK_WOLFE && f == DFQ_COST_EDAP)
                continue; /* from its first point, accelerator 0, no product falls */
            dfqi_solver_defaults(&o);
            o.rule = rules[r];
            o.cost_weight = 10;
            o.cost_function = f;
            o.snapshot_every = 0;
            o.steps = 400;
            ck_assert_int_eq(dfqi_solver_new(ctx, &p, limits, 2, &o, &s), DFQ_OK);
            while (!finished) ck_assert_int_eq(dfqi_solver_step(s, &finished), DFQ_OK);
            ck_assert_msg(s->raw.choice[1] == best[f], "rule %d, function %d: accelerator %d",
                          (int)rules[r], (int)f, (int)s->raw.choice[1]);
            dfqi_solver_release(s);
        }
    dfq_context_release(ctx);
}
END_TEST

START_TEST(what_is_refused)
{
    static const double nothing[DFQT_METRICS] = {16, 0, 4};
    dfqt_problem t;
    dfq_solver_options o;
    dfqi_solver *s;
    dfq_context *ctx = dfqt_explore_context();
    dfqi_solver_defaults(&o);
    dfqt_problem_make(2, &t);
    ck_assert_int_eq(create(ctx, &t, DFQ_COST_EDAP, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "cost_function 2 needs the problem's reference"));
    t.problem.reference = nothing;
    ck_assert_int_eq(create(ctx, &t, DFQ_COST_REFERENCE, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "the reference's cost is 0 for energy_mj"));
    ck_assert_int_eq(create(ctx, &t, 3, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "solver: cost_function is 3, must be 0 to "));
    o.rule = DFQ_RULE_EXACT;
    o.cost_weight = 0.5;
    ck_assert_int_eq(create(ctx, &t, DFQ_COST_MEAN, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "cost_weight is 0.5, must be 0"));
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_cost_function_case(void)
{
    TCase *c = tcase_create("cost function");
    tcase_add_test(c, values_by_hand);
    tcase_add_test(c, steps_go_along_the_gradient);
    tcase_add_test(c, each_rule_goes_by_it);
    tcase_add_test(c, what_is_refused);
    return c;
}
