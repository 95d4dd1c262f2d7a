/* Ranges of the options of solver and explorer, as dfq/solver.h and dfq/explorer.h say them. */
#include "explore/cases.h"
#include "explore/coexplore/coexplore.h"
#include "support/ranges.h"

#define SOLVER(name, kind, least, most)   DFQT_RANGE(dfq_solver_options, name, kind, least, most)
#define EXPLORER(name, kind, least, most) DFQT_RANGE(dfq_explorer_options, name, kind, least, most)

static const double many = 10e6;

static dfq_status check_solver(dfq_context *ctx, const void *options)
{
    return dfqi_solver_check(ctx, options);
}

START_TEST(solver)
{
    static const dfqt_range rows[] = {
        SOLVER(rule, DFQT_I32, 0, DFQ_RULE_PROJECT),
        SOLVER(steps, DFQT_I64, 1, 10e6),
        SOLVER(optimizer, DFQT_I32, DFQ_OPTIMIZER_SGD, DFQ_OPTIMIZER_ADAMW),
        SOLVER(gumbel, DFQT_I32, 0, 1),
        SOLVER(joint, DFQT_I32, 0, 1),
        SOLVER(strict, DFQT_I32, 0, 1),
        SOLVER(learning_rate, DFQT_F64, 1e-12, 1e6),
        SOLVER(hw_learning_rate, DFQT_F64, 0, 1e6),
        SOLVER(temperature, DFQT_F64, 1e-3, 1e3),
        SOLVER(end_temperature, DFQT_F64, 1e-3, 1e3),
        SOLVER(delta, DFQT_F64, 1e-12, 1e3),
        SOLVER(growth, DFQT_F64, 0, 1),
        SOLVER(margin, DFQT_F64, 0, 0.9),
        SOLVER(cost_weight, DFQT_F64, 0, 1e9),
        SOLVER(penalty, DFQT_F64, 0, 1e9),
        SOLVER(cost_function, DFQT_I32, 0, DFQ_COST_EDAP),
        SOLVER(reserved, DFQT_I32, 0, 0)};
    dfq_context *ctx = dfqt_explore_context();
    dfq_solver_options o;
    dfqi_solver_defaults(&o);
    dfqt_ranges(ctx, rows, sizeof rows / sizeof *rows, &o, sizeof o, check_solver);
    o.snapshot_every = -1;
    ck_assert_int_eq(dfqi_solver_check(ctx, &o), DFQ_E_INVALID);
    dfq_context_release(ctx);
}
END_TEST

static dfq_status check_explorer(dfq_context *ctx, const void *options)
{
    dfq_solver_options s;
    dfqi_solver_defaults(&s);
    return dfqi_coexplore_check(ctx, options, &s);
}

START_TEST(explorer)
{
    const dfqt_range rows[] = {EXPLORER(fine_tune, DFQT_I32, 0, 1),
                               EXPLORER(warmup_steps, DFQT_I64, 0, many),
                               EXPLORER(weight_steps, DFQT_I64, 0, 1000),
                               EXPLORER(sampled_paths, DFQT_I64, 2, 64),
                               EXPLORER(solver_steps, DFQT_I64, 1, 1000),
                               EXPLORER(train_steps, DFQT_I64, 0, many),
                               EXPLORER(batch, DFQT_I64, 2, 4096),
                               EXPLORER(max_shift, DFQT_I64, 0, 1024),
                               EXPLORER(held_out, DFQT_F64, 0.01, 0.9),
                               EXPLORER(largest_share, DFQT_F64, 0, 1),
                               EXPLORER(learning_rate, DFQT_F64, 0, 1000),
                               EXPLORER(search_learning_rate, DFQT_F64, 0, 1000),
                               EXPLORER(train_learning_rate, DFQT_F64, 0, 1000),
                               EXPLORER(weight_decay, DFQT_F64, 0, 1),
                               EXPLORER(smoothing, DFQT_F64, 0, 0.9),
                               EXPLORER(estimate_decay, DFQT_F64, 0.5, 1),
                               EXPLORER(mean, DFQT_F32, -10, 10),
                               EXPLORER(std, DFQT_F32, nextafterf(1e-6f, 1), 10),
                               EXPLORER(evaluator, DFQT_I32, 0, DFQ_EVALUATOR_NETWORKS),
                               EXPLORER(gradient, DFQT_I32, 0, DFQ_GRADIENT_GATES),
                               EXPLORER(evaluator_steps, DFQT_I64, 1, many),
                               EXPLORER(hw_generator_steps, DFQT_I64, 1, many),
                               EXPLORER(hw_generator_learning_rate, DFQT_F64, 0, 1e6)};
    dfq_context *ctx = dfqt_explore_context();
    dfq_explorer_options o;
    dfqi_coexplore_defaults(&o);
    dfqt_ranges(ctx, rows, sizeof rows / sizeof *rows, &o, sizeof o, check_explorer);
    dfq_context_release(ctx);
}
END_TEST

TCase *dfqt_option_ranges_case(void)
{
    TCase *c = tcase_create("option ranges");
    tcase_add_test(c, solver);
    tcase_add_test(c, explorer);
    return c;
}
