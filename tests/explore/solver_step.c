/* Single steps of the logits, as far as probabilities and recorded costs show them: how far a step
 * goes in each block, what it asks of the costs, and that no choice is lost for good. */
#include <dfq/dfq.h>
#include <math.h>
#include <string.h>

#include "explore/cases.h"

enum { GROUPS = DFQT_CELLS + DFQT_HW_PARAMS, CELLS = 3 * DFQT_CELLS };

static dfq_solver_options sgd(int32_t joint)
{
    dfq_solver_options o;
    dfq_solver_options_init(&o, sizeof o);
    o.optimizer = DFQ_OPTIMIZER_SGD;
    o.joint = joint;
    o.steps = 50;
    return o;
}

static dfq_solver *create(dfq_context *ctx, const dfqt_problem *t, double limit,
                          const dfq_solver_options *o)
{
    const dfq_constraint latency = {sizeof(dfq_constraint), 0, limit};
    dfq_solver *s;
    ck_assert_int_eq(dfq_solver_create(ctx, &t->problem, &latency, 1, o, &s), DFQ_OK);
    return s;
}

static void step(dfq_solver *s, int n)
{
    int32_t finished;
    for (int i = 0; i < n; i++) ck_assert_int_eq(dfq_solver_step(s, &finished), DFQ_OK);
}

/* Logits over the temperature, with a mean of 0 in each group. */
static void logits_of(const dfq_solver *s, const dfqt_problem *t, double *out)
{
    dfq_tensor *p;
    ck_assert_int_eq(dfq_solver_get_probabilities(s, &p), DFQ_OK);
    const float *v = dfq_tensor_get_data(p);
    for (int g = 0, at = 0; g < GROUPS; at += t->choices[g++]) {
        double mean = 0;
        for (int k = at; k < at + t->choices[g]; k++) mean += log((double)v[k]) / t->choices[g];
        for (int k = at; k < at + t->choices[g]; k++) out[k] = log((double)v[k]) - mean;
    }
    dfq_tensor_release(p);
}

static double root_mean_square(const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += v[i] * v[i] / n;
    return sqrt(sum);
}

/* Joint steps of SGD: the gradient of the network and that of the accelerator, which is a tenth of
 * it, are brought to a root mean square of 1 each. */
START_TEST(joint_steps_are_of_one_size)
{
    dfqt_problem t;
    double x[DFQT_TOTAL];
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o = sgd(1);
    o.learning_rate = 0.02;
    o.hw_learning_rate = 0.05;
    dfqt_problem_make(6, &t);
    dfq_solver *s = create(ctx, &t, 1e3, &o);
    step(s, 1);
    logits_of(s, &t, x);
    ck_assert_double_eq_tol(root_mean_square(x, CELLS), 0.02, 1e-5);
    ck_assert_double_eq_tol(root_mean_square(x + CELLS, DFQT_TOTAL - CELLS), 0.05, 1e-5);
    dfq_solver_release(s);
    dfq_context_release(ctx);
}
END_TEST

/* By which share of the limit a step lowers the latency, over learning rate and delta. */
static double fall(int32_t joint)
{
    dfqt_problem t;
    dfq_tensor *rows;
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o = sgd(joint);
    o.learning_rate = o.hw_learning_rate = 1e-3;
    o.delta = 0.1;
    dfqt_problem_make(6, &t);
    for (int i = CELLS; i < DFQT_TOTAL; i++) t.loss[i] *= 10; /* no step is clipped */
    double limit = dfqt_problem_quantile(&t, 0, 0);
    dfq_solver *s = create(ctx, &t, limit, &o);
    step(s, 2);
    ck_assert_int_eq(dfq_solver_get_trajectory(s, &rows), DFQ_OK);
    const float *row = dfq_tensor_get_data(rows);
    int64_t width = dfq_tensor_get_dims(rows)[1];
    double change = (double)row[1] - (double)row[width + 1];
    dfq_tensor_release(rows);
    dfq_solver_release(s);
    dfq_context_release(ctx);
    return change / limit / (o.learning_rate * o.delta);
}

/* The network and the accelerator together lower a violated cost by delta; without `joint` each of
 * the two does. */
START_TEST(joint_steps_share_the_constraint)
{
    ck_assert_double_eq_tol(fall(1), 1, 0.02);
    ck_assert_double_eq_tol(fall(0), 2, 0.04);
}
END_TEST

/* However long a choice has been the worst, its logit is at most 10 temperatures behind. */
START_TEST(no_choice_is_out_of_reach)
{
    for (int warm = 0; warm < 2; warm++) {
        dfqt_problem t;
        double x[DFQT_TOTAL], most = 0;
        dfq_context *ctx = dfqt_explore_context();
        dfq_solver_options o;
        dfq_solver_options_init(&o, sizeof o);
        o.learning_rate = o.hw_learning_rate = 20; /* too long steps by far */
        o.temperature = o.end_temperature = warm ? 2 : 0.5;
        o.steps = 10;
        dfqt_problem_make(6, &t);
        dfq_solver *s = create(ctx, &t, 1e3, &o);
        step(s, 9);
        logits_of(s, &t, x);
        for (int g = 0, at = 0; g < GROUPS; at += t.choices[g++])
            for (int k = at; k < at + t.choices[g]; k++)
                for (int other = at; other < k; other++) most = fmax(most, fabs(x[k] - x[other]));
        ck_assert_double_eq_tol(most, 10, 1e-3); /* reached, and not exceeded */
        dfq_solver_release(s);
        dfq_context_release(ctx);
    }
}
END_TEST

TCase *dfqt_solver_step_case(void)
{
    TCase *c = tcase_create("solver step");
    tcase_add_test(c, joint_steps_are_of_one_size);
    tcase_add_test(c, joint_steps_share_the_constraint);
    tcase_add_test(c, no_choice_is_out_of_reach);
    return c;
}
