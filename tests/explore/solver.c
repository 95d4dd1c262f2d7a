/* The search through its public interface: verdicts, limits, rules, callbacks, what goes wrong. */
#include <dfq/dfq.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "explore/cases.h"

enum { GROUPS = DFQT_CELLS + DFQT_HW_PARAMS };

static dfq_solver_options quick(int32_t rule)
{
    dfq_solver_options o;
    dfq_solver_options_init(&o, sizeof o);
    o.rule = rule;
    o.steps = 400;
    o.learning_rate = o.hw_learning_rate = 0.05;
    return o;
}

static dfq_solver_result result_of(const dfq_solver *s)
{
    dfq_solver_result r = {.struct_size = sizeof r};
    ck_assert_int_eq(dfq_solver_get_result(s, &r), DFQ_OK);
    return r;
}

static void choice_of(const dfq_solver *s, int32_t raw, int32_t *out)
{
    dfq_tensor *t;
    ck_assert_int_eq(dfq_solver_get_choice(s, raw, &t), DFQ_OK);
    memcpy(out, dfq_tensor_get_data(t), dfq_tensor_get_bytes(t));
    dfq_tensor_release(t);
}

/* What is called the likeliest is; and where those exceed a limit, a later step or a snapshot chose
 * something. */
static void check_chosen_by(const dfq_solver *s, const int32_t *choice, const dfq_solver_result *r)
{
    dfq_tensor *t;
    int32_t raw[GROUPS], others = 0;
    choice_of(s, 1, raw);
    ck_assert_int_eq(dfq_solver_get_chosen_by(s, &t), DFQ_OK);
    const int32_t *by = dfq_tensor_get_data(t);
    for (int g = 0; g < GROUPS; g++) {
        ck_assert(by[g] >= DFQ_CHOSEN_LIKELIEST && by[g] <= DFQ_CHOSEN_CHEAPEST);
        if (by[g] == DFQ_CHOSEN_LIKELIEST) ck_assert_int_eq(choice[g], raw[g]);
        others += by[g] != DFQ_CHOSEN_LIKELIEST;
    }
    if (r->verdict == DFQ_VERDICT_CERTIFIED && !r->raw_feasible) ck_assert_int_gt(others, 0);
    dfq_tensor_release(t);
}

/* Runs a search; what it says is held against the enumeration. Returns the loss over the
 * optimum's. */
static double run_and_check(dfqt_problem *t, const dfq_constraint *limits, int32_t n,
                            const dfq_solver_options *o)
{
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver *s;
    int32_t choice[GROUPS];
    double best = dfqt_problem_brute(t, limits, n, -1), costs[3], quality = 1;
    ck_assert_int_eq(dfq_solver_create(ctx, &t->problem, limits, n, o, &s), DFQ_OK);
    dfq_status status = dfq_solver_run(s);
    dfq_solver_result r = result_of(s);
    choice_of(s, 0, choice);
    check_chosen_by(s, choice, &r);
    dfqt_problem_costs(t, choice, costs);
    for (int32_t m = 0; m < 3; m++) ck_assert_double_eq(costs[m], dfqt_metric(s, m).cost);
    ck_assert_int_eq(status, isfinite(best) ? DFQ_OK : DFQ_E_INFEASIBLE);
    ck_assert_int_eq(r.verdict, isfinite(best) ? DFQ_VERDICT_CERTIFIED : DFQ_VERDICT_INFEASIBLE);
    for (int32_t j = 0; j < n; j++) {
        dfq_solver_metric m = dfqt_metric(s, limits[j].metric);
        ck_assert_double_eq(m.limit, limits[j].limit);
        if (isfinite(best)) {
            ck_assert_double_le(costs[limits[j].metric], limits[j].limit);
            ck_assert(isnan(m.tightest) && isnan(m.least));
        } else {
            double least = dfqt_problem_brute(t, limits, n, limits[j].metric);
            ck_assert_int_eq(r.proved, 1);
            if (isfinite(least))
                ck_assert_double_eq_tol(m.tightest, least, 1e-9);
            else
                ck_assert(isinf(m.tightest));
            least = dfqt_problem_brute(t, NULL, 0, limits[j].metric);
            ck_assert_double_eq_tol(m.least, least, 1e-9);
        }
    }
    if (isfinite(best)) {
        ck_assert_double_ge(r.loss, best - 1e-9);
        ck_assert_double_eq_tol(r.loss, dfqt_problem_loss(t, choice), 1e-12);
        quality = r.loss / best;
    } else {
        ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "infeasible: no choice meets"));
    }
    dfq_solver_release(s);
    dfq_context_release(ctx);
    return quality;
}

/* Certified in every feasible case, infeasible with the tightest limits in every other. */
START_TEST(one_to_three_limits)
{
    static const double shares[] = {0.25, 0.10, 0.05, 0.01};
    dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    double quality = 0;
    for (int n = 1; n <= 3; n++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            dfqt_problem t;
            dfq_constraint limits[3];
            dfqt_problem_make(seed, &t);
            for (int j = 0; j < n; j++) {
                limits[j] = (dfq_constraint){sizeof(dfq_constraint), j, 0};
                limits[j].limit = dfqt_problem_quantile(&t, j, shares[seed % 4]);
            }
            quality += run_and_check(&t, limits, n, &o) / 36;
        }
    ck_assert_double_gt(quality, 0.97);
}
END_TEST

/* Limits that are impossible each by itself: tightest knows nothing, and least tells how far off
 * they are. */
START_TEST(each_limit_is_impossible)
{
    dfqt_problem t;
    dfq_solver *s;
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 0}, {sizeof(dfq_constraint), 2, 0}};
    dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    dfq_context *ctx = dfqt_explore_context();
    char text[64];
    dfqt_problem_make(3, &t);
    for (int j = 0; j < 2; j++)
        limits[j].limit = 0.5 * dfqt_problem_brute(&t, NULL, 0, limits[j].metric);
    run_and_check(&t, limits, 2, &o);
    ck_assert_int_eq(dfq_solver_create(ctx, &t.problem, limits, 2, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_INFEASIBLE);
    for (int j = 0; j < 2; j++) {
        ck_assert(isinf(dfqt_metric(s, limits[j].metric).tightest));
        snprintf(text, sizeof text, "(no other value would do; least %g)", 2 * limits[j].limit);
        ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), text));
    }
    ck_assert(isnan(dfqt_metric(s, 1).least)); /* it has no limit */
    ck_assert(isnan(dfqt_metric(s, 1).limit) && dfqt_metric(s, 1).cost > 0);
    dfq_solver_release(s);
    dfq_context_release(ctx);
}
END_TEST

/* One for every snapshot_every steps begun, and the choices are those of the probabilities then. */
START_TEST(snapshots_are_kept)
{
    dfqt_problem t;
    dfq_solver *s;
    dfq_tensor *snapshots, *p;
    int32_t finished, expected[3][GROUPS];
    dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    dfq_context *ctx = dfqt_explore_context();
    dfqt_problem_make(4, &t);
    const dfq_constraint limit = {sizeof(dfq_constraint), 0, dfqt_problem_quantile(&t, 0, 0.2)};
    o.steps = 61;
    o.snapshot_every = 30;
    ck_assert_int_eq(dfq_solver_create(ctx, &t.problem, &limit, 1, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_snapshots(s, &snapshots), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots)[0], 0);
    dfq_tensor_release(snapshots);
    for (int i = 0; i < 61; i++) {
        ck_assert_int_eq(dfq_solver_get_probabilities(s, &p), DFQ_OK);
        const float *v = dfq_tensor_get_data(p);
        for (int g = 0, at = 0; g < GROUPS && i % 30 == 0; at += t.choices[g++]) {
            expected[i / 30][g] = 0;
            for (int k = 1; k < t.choices[g]; k++)
                if (v[at + k] > v[at + expected[i / 30][g]]) expected[i / 30][g] = k;
        }
        dfq_tensor_release(p);
        ck_assert_int_eq(dfq_solver_step(s, &finished), DFQ_OK);
    }
    ck_assert_int_eq(dfq_solver_get_snapshots(s, &snapshots), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots)[0], 3);
    ck_assert_int_eq(dfq_tensor_get_dims(snapshots)[1], GROUPS);
    ck_assert_int_eq(memcmp(dfq_tensor_get_data(snapshots), expected, sizeof expected), 0);
    ck_assert_int_ne(memcmp(expected[0], expected[2], sizeof expected[0]), 0);
    dfq_tensor_release(snapshots);
    dfq_solver_release(s);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(variants)
{
    dfqt_problem t;
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 1, 0}, {sizeof(dfq_constraint), 0, 0}};
    dfqt_problem_make(5, &t);
    limits[0].limit = dfqt_problem_quantile(&t, 1, 0.3);
    limits[1].limit = dfqt_problem_quantile(&t, 0, 0.3);
    for (int i = 0; i < 32; i++) {
        dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
        o.optimizer = i & 1 ? DFQ_OPTIMIZER_SGD : DFQ_OPTIMIZER_ADAMW;
        o.joint = i >> 1 & 1;
        o.strict = !(i >> 2 & 1);
        o.gumbel = i >> 3 & 1;
        o.margin = i >> 4 & 1 ? 0.02 : 0;
        o.end_temperature = i >> 3 & 1 ? 0.3 : 1;
        ck_assert_double_gt(run_and_check(&t, limits, 2, &o), 0.9);
    }
}
END_TEST

START_TEST(rules)
{
    for (int32_t rule = DFQ_RULE_CONSTRAINT_GRADIENT; rule <= DFQ_RULE_PROJECT; rule++)
        for (uint64_t seed = 0; seed < 6; seed++) {
            dfqt_problem t;
            dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 0},
                                        {sizeof(dfq_constraint), 2, 0}};
            dfq_solver_options o = quick(rule);
            o.cost_weight = rule == DFQ_RULE_NONE || rule == DFQ_RULE_NETWORK_FIRST ? 4 : 0;
            dfqt_problem_make(seed, &t);
            for (int i = 0; i < DFQT_TOTAL && rule == DFQ_RULE_PRODUCT; i++) t.loss[i] += 2.1;
            for (int j = 0; j < 2; j++)
                limits[j].limit = dfqt_problem_quantile(&t, limits[j].metric, seed == 5 ? 0 : 0.2);
            double quality = run_and_check(&t, limits, 2, &o);
            if (rule == DFQ_RULE_EXACT) ck_assert_double_eq_tol(quality, 1, 1e-9);
        }
}
END_TEST

/* Frank-Wolfe's mixture never leaves the limits. */
START_TEST(frank_wolfe_stays_inside)
{
    dfqt_problem t;
    dfq_context *ctx = dfqt_explore_context();
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 0}, {sizeof(dfq_constraint), 1, 0}};
    dfq_solver_options o = quick(DFQ_RULE_FRANK_WOLFE);
    dfq_solver *s;
    dfq_tensor *rows;
    dfqt_problem_make(8, &t);
    for (int j = 0; j < 2; j++) limits[j].limit = dfqt_problem_quantile(&t, j, 0.3);
    ck_assert_int_eq(dfq_solver_create(ctx, &t.problem, limits, 2, &o, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_get_trajectory(s, &rows), DFQ_OK);
    const float *row = dfq_tensor_get_data(rows);
    ck_assert_int_eq(dfq_tensor_get_dims(rows)[0], 400);
    ck_assert_int_eq(dfq_tensor_get_dims(rows)[1], 6);
    for (int i = 0; i < 400; i++, row += 6) {
        ck_assert_double_le((double)row[1], limits[0].limit * (1 + 1e-6));
        ck_assert_double_le((double)row[2], limits[1].limit * (1 + 1e-6));
        ck_assert(isnan((double)row[5]));
    }
    ck_assert_double_lt((double)row[-6], (double)*(float *)dfq_tensor_get_data(rows));
    dfq_tensor_release(rows);
    dfq_solver_release(s);
    dfq_context_release(ctx);
}
END_TEST

/* -- callbacks --------------------------------------------------------------------------------- */

/* The problem of tables by callbacks, with a loss that is not linear, and ways to go wrong. */
typedef struct outside {
    dfqt_problem t;
    dfq_context *ctx;
    int64_t losses, nan_at, cancel_at, fail_at;
    int nan_cost, nan_gradient;
} outside;

static dfq_status call_loss(const double *p, uint64_t step, double *loss, double *gradient,
                            void *user)
{
    outside *o = user;
    double sum = 0;
    (void)step;
    for (int i = 0; i < DFQT_TOTAL; i++) sum += p[i] * o->t.loss[i];
    *loss = exp(sum / 4);
    for (int i = 0; i < DFQT_TOTAL && gradient; i++) gradient[i] = *loss * o->t.loss[i] / 4;
    if (gradient && o->nan_gradient) gradient[7] = NAN;
    if (o->losses == o->nan_at) *loss = NAN;
    if (o->losses == o->cancel_at) dfq_context_cancel(o->ctx);
    return o->losses++ == o->fail_at ? DFQ_E_IO : DFQ_OK;
}

static dfq_status call_costs(const double *p, double *costs, double *gradients, void *user)
{
    outside *o = user;
    for (int j = 0; j < DFQT_METRICS; j++) {
        double t = 0;
        for (int i = 0; i < DFQT_TOTAL; i++) {
            double each = i < 15 ? o->t.cost[(j * 15 + i) * DFQT_CONFIGS] : 0.3 * (i % 3);
            t += p[i] * each;
            if (gradients) gradients[j * DFQT_TOTAL + i] = each;
        }
        costs[j] = o->nan_cost && p[0] > 0.5 ? NAN : t;
    }
    return DFQ_OK;
}

static dfq_status call_exact(const int32_t *choice, double *costs, void *user)
{
    double p[DFQT_TOTAL] = {0};
    for (int g = 0; g < DFQT_CELLS; g++) p[3 * g + choice[g]] = 1;
    p[15 + choice[5]] = p[18 + choice[6]] = 1;
    return call_costs(p, costs, NULL, user);
}

static void go_outside(uint64_t seed, outside *o)
{
    *o = (outside){.ctx = dfqt_explore_context(), .nan_at = -1, .cancel_at = -1, .fail_at = -1};
    dfqt_problem_make(seed, &o->t);
    o->t.problem.loss_table = o->t.problem.cost_table = o->t.problem.base_table = NULL;
    o->t.problem.loss = call_loss;
    o->t.problem.costs = call_costs;
    o->t.problem.exact = call_exact;
    o->t.problem.user = o;
}

static dfq_solver *solve_outside(outside *o, double limit)
{
    const dfq_constraint latency = {sizeof(dfq_constraint), 0, limit};
    dfq_solver_options options = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    dfq_solver *s;
    ck_assert_int_eq(dfq_solver_create(o->ctx, &o->t.problem, &latency, 1, &options, &s), DFQ_OK);
    return s;
}

START_TEST(callbacks)
{
    outside o;
    double least = 0, most = 0;
    go_outside(1, &o);
    for (int g = 0; g < DFQT_CELLS; g++) {
        double low = INFINITY, high = 0;
        for (int i = 3 * g; i < 3 * g + 3; i++) {
            low = fmin(low, o.t.cost[i * DFQT_CONFIGS]);
            high = fmax(high, o.t.cost[i * DFQT_CONFIGS]);
        }
        least += low, most += high;
    }
    dfq_solver *s = solve_outside(&o, least + 0.4 * (most - least));
    ck_assert_int_eq(dfq_solver_run(s), DFQ_OK);
    dfq_solver_result r = result_of(s);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    ck_assert_double_le(dfqt_metric(s, 0).cost, least + 0.4 * (most - least));
    ck_assert_int_eq(r.steps, 400);
    dfq_solver_release(s);
    s = solve_outside(&o, 0.9 * least);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_INFEASIBLE);
    r = result_of(s);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_INFEASIBLE);
    ck_assert_int_eq(r.proved, 0);
    ck_assert_double_eq_tol(dfqt_metric(s, 0).tightest, least, 1e-9);
    ck_assert_double_eq_tol(dfqt_metric(s, 0).least, least, 1e-9);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(o.ctx), "latency_ms"));
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_INFEASIBLE); /* it stays so */
    dfq_solver_release(s);
    dfq_context_release(o.ctx);
}
END_TEST

/* Two limits of callbacks that are impossible each by itself: no value is possible for either while
 * the other holds. */
START_TEST(callbacks_without_a_way)
{
    outside o;
    dfq_solver *s;
    dfq_solver_options options = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    dfq_constraint limits[2] = {{sizeof(dfq_constraint), 0, 0.1}, {sizeof(dfq_constraint), 2, 0.1}};
    go_outside(1, &o);
    ck_assert_int_eq(dfq_solver_create(o.ctx, &o.t.problem, limits, 2, &options, &s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_INFEASIBLE);
    for (int j = 0; j < 2; j++) {
        dfq_solver_metric m = dfqt_metric(s, limits[j].metric);
        ck_assert(isinf(m.tightest) && isfinite(m.least) && m.least > 0.1);
    }
    dfq_solver_release(s);
    dfq_context_release(o.ctx);
}
END_TEST

/* One clear line; what was found is kept, and the search is over. */
START_TEST(nan_keeps_what_was_found)
{
    outside o;
    int32_t choice[GROUPS], finished = 7;
    dfq_tensor *rows;
    go_outside(2, &o);
    o.nan_at = 150;
    dfq_solver *s = solve_outside(&o, 1e3);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(o.ctx), "loss is nan"));
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(o.ctx), "step 1"));
    dfq_solver_result r = result_of(s);
    ck_assert_int_eq(r.verdict, DFQ_VERDICT_CERTIFIED);
    ck_assert_int_gt(r.steps, 100);
    ck_assert(r.loss > 0 && dfqt_metric(s, 0).cost <= 1e3);
    choice_of(s, 0, choice);
    ck_assert_int_eq(dfq_solver_get_trajectory(s, &rows), DFQ_OK);
    ck_assert_int_eq(dfq_tensor_get_dims(rows)[0], r.steps);
    dfq_tensor_release(rows);
    ck_assert_int_eq(dfq_solver_step(s, &finished), DFQ_E_NUMERIC);
    ck_assert_int_eq(finished, 7);
    dfq_solver_release(s);
    o.nan_at = -1;
    o.nan_gradient = 1;
    s = solve_outside(&o, 1e3);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(
        strstr(dfq_context_get_error(o.ctx), "gradient of the loss is nan at group 2, choice 1"));
    dfq_solver_release(s);
    o.nan_gradient = 0;
    o.nan_cost = 1;
    s = solve_outside(&o, 1e3);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(o.ctx), "latency_ms is nan"));
    dfq_solver_release(s);
    dfq_context_release(o.ctx);
}
END_TEST

/* A callback's failure and a cancellation leave a search that goes on to the same end. */
START_TEST(interruptions)
{
    outside o;
    go_outside(3, &o);
    dfq_solver *whole = solve_outside(&o, 9);
    ck_assert_int_eq(dfq_solver_run(whole), DFQ_OK);
    o.losses = 0;
    o.fail_at = 77;
    o.cancel_at = 200;
    dfq_solver *s = solve_outside(&o, 9);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_IO);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(o.ctx), "loss() returned DFQ_E_IO"));
    ck_assert_int_eq(dfq_solver_run(s), DFQ_E_CANCELLED);
    ck_assert_int_lt(result_of(s).steps, 400);
    ck_assert_int_eq(dfq_solver_run(s), DFQ_OK);
    dfq_solver_result a = result_of(whole), b = result_of(s);
    ck_assert_int_eq(memcmp(&a, &b, sizeof a), 0);
    dfq_solver_release(whole);
    dfq_solver_release(s);
    dfq_context_release(o.ctx);
}
END_TEST

/* -- what is refused --------------------------------------------------------------------------- */

static void refuse(dfq_context *ctx, const dfq_problem *p, const dfq_constraint *limits, int32_t n,
                   const dfq_solver_options *o, dfq_status status, const char *text)
{
    dfq_solver *s = NULL;
    ck_assert_int_eq(dfq_solver_create(ctx, p, limits, n, o, &s), status);
    ck_assert_ptr_null(s);
    ck_assert_msg(strstr(dfq_context_get_error(ctx), text) != NULL, "%s",
                  dfq_context_get_error(ctx));
}

START_TEST(bad_input)
{
    dfqt_problem t;
    dfq_context *ctx = dfqt_explore_context();
    dfq_constraint ok[2] = {{sizeof(dfq_constraint), 0, 1}, {sizeof(dfq_constraint), 0, 2}},
                   bad = ok[0];
    dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    dfq_problem p;
    dfqt_problem_make(1, &t);
    p = t.problem;
    refuse(ctx, &p, ok, 2, NULL, DFQ_E_INVALID, "latency_ms has two limits, 1 and 2");
    refuse(ctx, &p, ok, 0, NULL, DFQ_E_INVALID, "n_constraints is 0");
    bad.limit = NAN;
    refuse(ctx, &p, &bad, 1, NULL, DFQ_E_INVALID, "limit of latency_ms is nan");
    bad.limit = INFINITY;
    refuse(ctx, &p, &bad, 1, NULL, DFQ_E_INVALID, "limit of latency_ms is inf, must be above 0");
    bad.limit = 0;
    refuse(ctx, &p, &bad, 1, NULL, DFQ_E_INVALID, "above 0");
    bad = (dfq_constraint){sizeof(dfq_constraint), 3, 1};
    refuse(ctx, &p, &bad, 1, NULL, DFQ_E_INVALID, "metric of limit 0 is 3");
    p.n_metrics = 9;
    refuse(ctx, &p, ok, 1, NULL, DFQ_E_INVALID, "n_metrics is 9");
    p = t.problem;
    p.choices = NULL;
    refuse(ctx, &p, ok, 1, NULL, DFQ_E_INVALID, "choices");
    p = t.problem;
    p.loss_table = NULL;
    refuse(ctx, &p, ok, 1, NULL, DFQ_E_INVALID, "loss and loss_table are both NULL");
    o.rule = DFQ_RULE_EXACT;
    refuse(ctx, &p, ok, 1, &o, DFQ_E_INVALID, "rule exact");
    p = t.problem;
    p.cost_table = NULL;
    refuse(ctx, &p, ok, 1, NULL, DFQ_E_INVALID, "cost_table is NULL");
    p = t.problem;
    t.cost[12] = INFINITY;
    refuse(ctx, &p, ok, 1, NULL, DFQ_E_NUMERIC, "cost_table holds inf at element 12");
    t.cost[12] = 1;
    o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    o.steps = 0;
    refuse(ctx, &p, ok, 1, &o, DFQ_E_INVALID, "solver: steps is 0, must be 1 to ");
    o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    o.delta = NAN;
    refuse(ctx, &p, ok, 1, &o, DFQ_E_INVALID, "solver: delta is nan");
    o = quick(DFQ_RULE_PROJECT + 1);
    refuse(ctx, &p, ok, 1, &o, DFQ_E_INVALID, "solver: rule is 10");
    p.struct_size = 0;
    refuse(ctx, &p, ok, 1, NULL, DFQ_E_INVALID, "struct_size");
    refuse(ctx, NULL, ok, 1, NULL, DFQ_E_INVALID, "problem is NULL");
    bad = ok[0];
    bad.struct_size = 0;
    refuse(ctx, &t.problem, &bad, 1, NULL, DFQ_E_INVALID, "limit 0: struct_size is 0");
    ok[1].struct_size++;
    refuse(ctx, &t.problem, ok, 2, NULL, DFQ_E_INVALID, "limit 1: struct_size is 17");
    dfq_context_release(ctx);
}
END_TEST

/* An array of limits of a newer caller, whose fields behind those known are 0 or not; and metrics
 * that there are not. */
START_TEST(limits_of_another_age)
{
    dfqt_problem t;
    dfq_solver *s;
    struct {
        dfq_constraint c;
        double later;
    } limits[2] = {{{sizeof *limits, 2, 9}, 0}, {{sizeof *limits, 0, 7}, 0}};
    dfq_solver_metric m = {.struct_size = offsetof(dfq_solver_metric, tightest), .tightest = 5};
    dfq_context *ctx = dfqt_explore_context();
    dfqt_problem_make(1, &t);
    ck_assert_int_eq(dfq_solver_create(ctx, &t.problem, &limits[0].c, 2, NULL, &s), DFQ_OK);
    ck_assert_double_eq(dfqt_metric(s, 0).limit, 7);
    ck_assert_double_eq(dfqt_metric(s, 2).limit, 9);
    ck_assert(isnan(dfqt_metric(s, 1).limit));
    ck_assert_int_eq(dfq_solver_get_metric(s, 0, &m), DFQ_OK);
    ck_assert_double_eq(m.limit, 7);
    ck_assert_double_eq(m.tightest, 5); /* behind what the caller has room for */
    ck_assert_int_eq(dfq_solver_get_metric(s, 3, &m), DFQ_E_INVALID);
    ck_assert_ptr_nonnull(strstr(dfq_context_get_error(ctx), "metric is 3, must be 0 to 2"));
    ck_assert_int_eq(dfq_solver_get_metric(s, -1, &m), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_solver_get_metric(NULL, 0, &m), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_solver_get_metric(s, 0, NULL), DFQ_E_INVALID);
    m.struct_size = 0;
    ck_assert_int_eq(dfq_solver_get_metric(s, 0, &m), DFQ_E_INVALID);
    dfq_solver_release(s);
    limits[1].later = 1;
    refuse(ctx, &t.problem, &limits[0].c, 2, NULL, DFQ_E_UNSUPPORTED, "dfq_constraint: byte");
    dfq_context_release(ctx);
}
END_TEST

/* What is left shrinks by a step with each step; beyond the 30 that were asked for nothing is. */
static void check_cost(const dfq_solver *s, int32_t finished, int32_t steps, int64_t bytes)
{
    dfq_job_cost c = {.struct_size = sizeof c};
    ck_assert_int_eq(dfq_solver_estimate(s, &c), DFQ_OK);
    ck_assert(c.done == steps && c.units == (steps < 30 ? 30 : steps) && c.macs == 0);
    ck_assert(c.bytes >= bytes);
    if (steps == 0)
        ck_assert(isnan(c.seconds_left));
    else
        ck_assert(finished || steps >= 30 ? c.seconds_left == 0 : c.seconds_left > 0);
}

static dfq_job_cost cost_of(dfq_context *ctx, const dfq_problem *p, const dfq_constraint *limit,
                            dfq_solver_options o, int run)
{
    dfq_job_cost c = {.struct_size = sizeof c};
    dfq_solver *s;
    ck_assert_int_eq(dfq_solver_create(ctx, p, limit, 1, &o, &s), DFQ_OK);
    if (run) ck_assert_int_eq(dfq_solver_run(s), DFQ_OK);
    ck_assert_int_eq(dfq_solver_estimate(s, &c), DFQ_OK);
    dfq_solver_release(s);
    return c;
}

/* A step leaves a row of loss, costs and deltas; the exact rule is finished after one step. */
START_TEST(estimates)
{
    dfqt_problem t;
    dfq_context *ctx = dfqt_explore_context();
    dfq_constraint limit = {sizeof(dfq_constraint), 0, 0};
    dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT), more = o;
    dfqt_problem_make(1, &t);
    limit.limit = dfqt_problem_quantile(&t, 0, 0.5);
    o.steps = 30;
    more.steps = 3000;
    dfq_job_cost a = cost_of(ctx, &t.problem, &limit, o, 0);
    dfq_job_cost b = cost_of(ctx, &t.problem, &limit, more, 0);
    ck_assert_int_eq(b.bytes - a.bytes, 2970 * (1 + DFQT_METRICS + 1) * (int64_t)sizeof(float));
    more.rule = DFQ_RULE_EXACT;
    more.cost_weight = 0;
    ck_assert_double_eq(cost_of(ctx, &t.problem, &limit, more, 1).seconds_left, 0);
    dfq_context_release(ctx);
}
END_TEST

START_TEST(step_by_step)
{
    dfqt_problem t;
    dfq_job_cost cost = {.struct_size = 0};
    dfq_context *ctx = dfqt_explore_context();
    dfq_constraint limit = {sizeof(dfq_constraint), 0, 0};
    dfq_solver_options o = quick(DFQ_RULE_CONSTRAINT_GRADIENT);
    dfq_solver *s;
    dfq_tensor *x = NULL;
    int32_t finished = 0, steps = 0;
    dfqt_problem_make(1, &t);
    limit.limit = dfqt_problem_quantile(&t, 0, 0.2);
    o.steps = 30;
    o.snapshot_every = 0;
    ck_assert_int_eq(dfq_solver_create(ctx, &t.problem, &limit, 1, &o, &s), DFQ_OK);
    dfq_context_release(ctx); /* the search keeps it */
    ck_assert_int_eq(dfq_solver_get_choice(s, 0, &x), DFQ_E_INVALID);
    ck_assert_int_eq(result_of(s).verdict, DFQ_VERDICT_NONE);
    ck_assert(isnan(dfqt_metric(s, 0).cost));
    ck_assert_int_eq(dfq_solver_estimate(s, &cost), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_solver_estimate(s, NULL), DFQ_E_INVALID);
    ck_assert_int_eq(dfq_solver_estimate(NULL, &cost), DFQ_E_INVALID);
    for (; !finished; steps++) {
        check_cost(s, finished, steps, 30 * 4 + 10 * 8);
        ck_assert_int_eq(dfq_solver_step(s, &finished), DFQ_OK);
    }
    check_cost(s, finished, steps, 30 * 4 + 10 * 8);
    ck_assert_int_ge(steps, 30); /* and a tenth while the likeliest choices exceed the limit */
    ck_assert_int_le(steps, 33);
    ck_assert(steps == 33 || result_of(s).raw_feasible);
    ck_assert_int_eq(result_of(s).steps, steps);
    ck_assert_int_eq(dfq_solver_step(s, &finished), DFQ_OK);
    ck_assert_int_eq(finished, 1);
    ck_assert_int_eq(dfq_solver_get_probabilities(s, &x), DFQ_OK);
    const float *p = dfq_tensor_get_data(x);
    ck_assert_double_eq_tol((double)(p[0] + p[1] + p[2]), 1, 1e-6);
    dfq_tensor_release(x);
    dfq_solver_release(s);
    dfq_solver_release(NULL);
}
END_TEST

TCase *dfqt_solver_case(void)
{
    TCase *c = tcase_create("solver");
    tcase_add_test(c, one_to_three_limits);
    tcase_add_test(c, each_limit_is_impossible);
    tcase_add_test(c, snapshots_are_kept);
    tcase_add_test(c, variants);
    tcase_add_test(c, rules);
    tcase_add_test(c, frank_wolfe_stays_inside);
    tcase_add_test(c, callbacks);
    tcase_add_test(c, callbacks_without_a_way);
    tcase_add_test(c, nan_keeps_what_was_found);
    tcase_add_test(c, interruptions);
    tcase_add_test(c, bad_input);
    tcase_add_test(c, limits_of_another_age);
    tcase_add_test(c, step_by_step);
    tcase_add_test(c, estimates);
    return c;
}
