/* Rules that serve as baselines, looked at from inside. */
#include <math.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/solver/solver_priv.h"

static dfq_status create(dfq_context *ctx, dfqt_problem *t, const dfq_solver_options *o,
                         dfqi_solver **out)
{
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 0}, {sizeof(dfq_constraint), 1, 0}};
    for (int j = 0; j < 2; j++) limits[j].limit = dfqt_problem_quantile(t, j, 0.3);
    return dfqi_solver_new(ctx, &t->problem, limits, 2, o, out);
}

static dfqi_solver *make(dfq_context *ctx, dfqt_problem *t, const dfq_solver_options *o)
{
    dfqi_solver *s;
    ck_assert_int_eq(create(ctx, t, o, &s), DFQ_OK);
    return s;
}

/* loss prod_j (log t_j / log T_j)^w at logits x; *factor: the product. */
static double product(dfqi_solver *s, const double *x, double *factor)
{
    double p[DFQT_TOTAL], costs[DFQT_METRICS], loss;
    dfqi_domain_softmax(&s->problem->space, x, NULL, 1, p);
    ck_assert_int_eq(dfqi_problem_loss(s->problem, p, 0, &loss, NULL), DFQ_OK);
    ck_assert_int_eq(dfqi_problem_costs(s->problem, p, costs, NULL), DFQ_OK);
    *factor = 1;
    for (int j = 0; j < 2; j++)
        *factor *= pow(log(costs[s->problem->metric[j]]) / log(s->problem->limit[j]), s->o.penalty);
    return loss * *factor;
}

/* A step of plain descent goes along the gradient of the published formula, but for its factor. */
START_TEST(product_gradient)
{
    dfqt_problem t;
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o;
    int32_t finished;
    double x[DFQT_TOTAL] = {0}, factor, side;
    dfqi_solver_defaults(&o);
    o.rule = DFQ_RULE_PRODUCT;
    o.optimizer = DFQ_OPTIMIZER_SGD;
    o.learning_rate = o.hw_learning_rate = 0.5;
    o.penalty = 0.3;
    o.steps = 9;
    dfqt_problem_make(3, &t);
    dfqi_solver *refused = make(ctx, &t, &o);
    ck_assert_int_eq(dfqi_solver_step(refused, &finished), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "must be above 0"));
    dfqi_solver_release(refused);
    for (int i = 0; i < DFQT_TOTAL; i++) t.loss[i] += 2.1;
    dfqi_solver *s = make(ctx, &t, &o);
    ck_assert_int_eq(dfqi_solver_step(s, &finished), DFQ_OK);
    product(s, x, &factor);
    for (int i = 0; i < DFQT_TOTAL; i++) {
        double slope = 0;
        for (int k = 1; k >= -1; k -= 2) {
            x[i] = k * 1e-4;
            slope += k * product(s, x, &side) / 2e-4;
        }
        x[i] = 0;
        ck_assert_double_eq_tol(-s->x[i] / 0.5, slope / factor, 1e-6);
    }
    dfqi_solver_release(s);
    for (int i = 0; i < DFQT_METRICS * 15 * DFQT_CONFIGS; i++) t.cost[i] *= 1e-3;
    for (int i = 0; i < DFQT_METRICS * DFQT_CONFIGS; i++) t.base[i] *= 1e-3;
    ck_assert_int_eq(create(ctx, &t, &o, &s), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(ctx->error, "take another unit or rule"));
    dfq_context_release(ctx);
}
END_TEST

/* The steps of the accelerator alone find the one that halves the costs of the mixture that all
 * networks are at first. */
START_TEST(alternating_accelerator)
{
    for (int best = 0; best < DFQT_CONFIGS; best++) {
        static const double field[3] = {1, 1.5, 2};
        dfqt_problem t;
        dfq_context *ctx = dfqt_explore_context();
        dfq_solver_options o;
        dfqi_solver_defaults(&o);
        o.rule = DFQ_RULE_ALTERNATE;
        dfqt_problem_make((uint64_t)best, &t);
        for (int c = 0; c < DFQT_CONFIGS; c++) {
            double f = field[(c / 2 + 3 - best / 2) % 3] * field[2 * ((c + best) % 2)];
            for (int i = 0; i < DFQT_METRICS * 15; i++) t.cost[i * DFQT_CONFIGS + c] *= f;
            for (int i = 0; i < DFQT_METRICS; i++) t.base[i * DFQT_CONFIGS + c] *= f;
        }
        dfqi_solver *s = make(ctx, &t, &o);
        ck_assert_int_eq(dfqi_alternate_hw_params(s), DFQ_OK);
        ck_assert_int_eq(dfqi_solver_softmax(s, false), DFQ_OK);
        ck_assert_double_eq(s->p[15 + best / 2], 1);
        ck_assert_double_eq(s->p[18 + best % 2], 1);
        dfqi_solver_release(s);
        dfq_context_release(ctx);
    }
}
END_TEST

TCase *dfqt_baselines_case(void)
{
    TCase *c = tcase_create("baselines");
    tcase_add_test(c, product_gradient);
    tcase_add_test(c, alternating_accelerator);
    return c;
}
