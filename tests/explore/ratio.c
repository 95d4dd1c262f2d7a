/* A metric that is a quotient, under a hard limit: against all choices there are. */
#include "explore/solver/ratio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "explore/cases.h"
#include "explore/solver/solver_priv.h"

enum { OVER = 1, UNDER = 0, OTHER = 2, RATIO = 3, METRICS = 4, CELL_CHOICES = 15 };

typedef struct scene {
    dfqt_problem p;
    double cost[METRICS * CELL_CHOICES * DFQT_CONFIGS], base[METRICS * DFQT_CONFIGS];
    dfqi_ratio ratio;
    dfq_constraint limits[2]; /* of the quotient, as the solver takes it, and of another metric */
} scene;

static double quotient(const double *costs)
{
    return 1000 * costs[OVER] / costs[UNDER];
}

static void open_scene(uint64_t seed, double limit, double other, scene *c)
{
    static const char *const names[METRICS] = {"latency_ms", "energy_mj", "area_mm2", "power_mw"};
    dfqt_problem_make(seed, &c->p);
    memcpy(c->cost, c->p.cost, sizeof c->p.cost);
    memcpy(c->base, c->p.base, sizeof c->p.base);
    c->ratio = (dfqi_ratio){RATIO, OVER, UNDER, 1000, limit};
    const double k =
        dfqi_ratio_fill(&c->ratio, CELL_CHOICES, DFQT_CONFIGS, 5, 1e9, c->cost, c->base);
    c->limits[0] = (dfq_constraint){sizeof(dfq_constraint), RATIO, k};
    c->limits[1] = (dfq_constraint){sizeof(dfq_constraint), OTHER, other};
    c->p.problem.n_metrics = METRICS;
    c->p.problem.metrics = names;
    c->p.problem.cost_table = c->cost;
    c->p.problem.base_table = c->base;
}

typedef struct best {
    double loss, ratio, alone;
} best;

/* The least loss within both limits, the least quotient within the other one, and of all. */
static best enumerate(const scene *c)
{
    best b = {INFINITY, INFINITY, INFINITY};
    int32_t choice[DFQT_CELLS + DFQT_HW_PARAMS] = {0};
    for (int g = 0; g < DFQT_CELLS + DFQT_HW_PARAMS;) {
        double costs[METRICS];
        dfqt_problem_costs(&c->p, choice, costs);
        const double r = quotient(costs);
        const bool within = costs[OTHER] <= c->limits[1].limit;
        b.alone = fmin(b.alone, r);
        if (within) b.ratio = fmin(b.ratio, r);
        if (within && r <= c->ratio.limit) b.loss = fmin(b.loss, dfqt_problem_loss(&c->p, choice));
        for (g = 0; g < DFQT_CELLS + DFQT_HW_PARAMS; g++) {
            if (++choice[g] < c->p.choices[g]) break;
            choice[g] = 0;
        }
    }
    return b;
}

static dfqi_solver *solve(dfq_context *ctx, const scene *c, int32_t rule, dfq_status want)
{
    dfq_solver_options o;
    dfqi_solver *s;
    dfqi_solver_defaults(&o);
    o.rule = rule;
    o.steps = 300;
    ck_assert_int_eq(dfqi_solver_new(ctx, &c->p.problem, c->limits, 2, &o, &s), DFQ_OK);
    dfqi_solver_set_ratio(s, &c->ratio, 3);
    ck_assert_int_eq(dfqi_solver_run(s), want);
    return s;
}

static double share(const scene *c, double part)
{
    const best b = enumerate(c);
    return b.ratio * (1 + part);
}

/* The exact rule finds the optimum within the limit of the quotient; the searches end within it,
 * and tell the quotient. */
START_TEST(limit_of_a_quotient)
{
    static const int32_t rules[] = {DFQ_RULE_EXACT, DFQ_RULE_PROJECT, DFQ_RULE_CONSTRAINT_GRADIENT};
    dfq_context *ctx = dfqt_explore_context();
    int bound = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        scene c;
        open_scene(seed, 1e9, 0, &c);
        const double other = dfqt_problem_quantile(&c.p, OTHER, 0.5);
        open_scene(seed, 1e9, other, &c);
        const best loose = enumerate(&c);
        open_scene(seed, share(&c, 0.02 * (double)seed), other, &c);
        const best b = enumerate(&c);
        bound += b.loss > loose.loss;
        for (int i = 0; i < 3; i++) {
            dfqi_solver *s = solve(ctx, &c, rules[i], DFQ_OK);
            dfqi_solver_info r;
            dfq_solver_metric m;
            dfqi_solver_result(s, &r);
            ck_assert_int_eq(r.result.verdict, DFQ_VERDICT_CERTIFIED);
            if (rules[i] == DFQ_RULE_EXACT) ck_assert_double_eq_tol(r.result.loss, b.loss, 1e-9);
            ck_assert_double_ge(r.result.loss, b.loss - 1e-9);
            ck_assert_int_eq(dfqi_solver_metric(s, RATIO, &m), DFQ_OK);
            ck_assert_double_eq(m.limit, c.ratio.limit);
            ck_assert_double_eq_tol(m.cost, quotient(r.costs), 1e-9 * m.cost);
            ck_assert_double_le(m.cost, c.ratio.limit * (1 + 1e-12));
            dfqi_solver_release(s);
        }
    }
    ck_assert_int_ge(bound, 8);
    dfq_context_release(ctx);
}
END_TEST

/* Where nothing meets it: the least quotient within the other limit, and of all. */
START_TEST(quotient_that_would_do)
{
    dfq_context *ctx = dfqt_explore_context();
    int differ = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        scene c;
        char text[96];
        open_scene(seed, 1e9, 0, &c);
        open_scene(seed, 1e9, dfqt_problem_quantile(&c.p, OTHER, 0.1), &c);
        open_scene(seed, share(&c, -0.1), c.limits[1].limit, &c);
        const best b = enumerate(&c);
        dfqi_solver *s = solve(ctx, &c, DFQ_RULE_PROJECT, DFQ_E_INFEASIBLE);
        dfq_solver_metric m;
        ck_assert_int_eq(dfqi_solver_metric(s, RATIO, &m), DFQ_OK);
        ck_assert_double_eq_tol(m.tightest, b.ratio, 1e-9 * b.ratio);
        ck_assert_double_eq_tol(m.least, b.alone, 1e-9 * b.alone);
        snprintf(text, sizeof text, " <= %g (%g would do, 11.1 %% above; least %g)", c.ratio.limit,
                 b.ratio, b.alone);
        ck_assert_msg(strstr(ctx->error, text) != NULL, "%s, not %s", ctx->error, text);
        differ += b.alone < b.ratio;
        dfqi_solver_release(s);
    }
    ck_assert_int_ge(differ, 4);
    dfq_context_release(ctx);
}
END_TEST

/* Cost functions are of the first metrics: a limit of the quotient leaves them as they are. */
START_TEST(cost_functions_leave_it_out)
{
    static const double reference[METRICS] = {16, 8, 4, 2}, costs[METRICS] = {4, 6, 3, 9};
    static const double want[] = {(4.0 / 16 + 6.0 / 8 + 3.0 / 4) / 3, 4.0 * 6 * 3 / (16 * 8 * 4)};
    dfq_context *ctx = dfqt_explore_context();
    scene c;
    open_scene(1, 1e3, 1e3, &c);
    c.p.problem.reference = reference;
    for (int32_t f = DFQ_COST_REFERENCE; f <= DFQ_COST_EDAP; f++) {
        dfq_solver_options o;
        dfqi_solver *s;
        dfqi_solver_defaults(&o);
        o.cost_function = f;
        o.cost_weight = 1;
        ck_assert_int_eq(dfqi_solver_new(ctx, &c.p.problem, c.limits, 2, &o, &s), DFQ_OK);
        dfqi_solver_set_ratio(s, &c.ratio, 3);
        ck_assert_double_eq_tol(dfqi_cost_value(s, costs), want[f - DFQ_COST_REFERENCE], 1e-15);
        memset(s->g, 0, (size_t)s->length * sizeof *s->g);
        memset(s->gradients, 0, METRICS * (size_t)DFQT_TOTAL * sizeof *s->gradients);
        s->gradients[RATIO * DFQT_TOTAL] = 1; /* of the quotient's row alone */
        dfqi_cost_add_gradient(s);
        ck_assert_double_eq(s->g[0], 0);
        dfqi_solver_release(s);
    }
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_ratio_case(void)
{
    TCase *t = tcase_create("ratio");
    tcase_add_test(t, limit_of_a_quotient);
    tcase_add_test(t, quotient_that_would_do);
    tcase_add_test(t, cost_functions_leave_it_out);
    return t;
}
