/* Every allocation of a search can fail, and nothing leaks. */
#include <dfq/dfq.h>
#include <stdio.h>

#include "explore/cases.h"
#include "support/fail_alloc.h"

typedef struct scene {
    dfqt_problem t;
    dfq_constraint limit[2];
    int32_t rule;
    dfq_status expected;
} scene;

static dfq_status run(dfq_context *ctx, void *arg)
{
    scene *s = arg;
    dfq_solver_options o;
    dfq_solver *solver = NULL;
    dfq_tensor *t = NULL;
    dfq_solver_options_init(&o, sizeof o);
    o.steps = 3;
    o.snapshot_every = 2;
    o.rule = s->rule;
    dfq_status status = dfq_solver_create(ctx, &s->t.problem, s->limit, 2, &o, &solver);
    if (status == DFQ_OK) status = dfq_solver_run(solver);
    if (status == s->expected) status = DFQ_OK;
    if (status == DFQ_OK) status = dfq_solver_get_trajectory(solver, &t);
    dfq_tensor_release(t);
    t = NULL;
    if (status == DFQ_OK) status = dfq_solver_get_snapshots(solver, &t);
    dfq_tensor_release(t);
    dfq_solver_release(solver);
    return status;
}

START_TEST(allocations_fail)
{
    static const int32_t rules[] = {DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_RULE_FRANK_WOLFE,
                                    DFQ_RULE_NETWORK_FIRST,       DFQ_RULE_EXACT,
                                    DFQ_RULE_ALTERNATE,           DFQ_RULE_PROJECT};
    scene s;
    dfqt_problem_make(9, &s.t);
    for (int i = 0; i < 12; i++) {
        double share = i % 2 ? 0.3 : 0;
        for (int j = 0; j < 2; j++) {
            s.limit[j] = (dfq_constraint){sizeof(dfq_constraint), j, 0};
            s.limit[j].limit = dfqt_problem_quantile(&s.t, j, share) * (share > 0 ? 1 : 0.9);
        }
        s.rule = rules[i / 2];
        s.expected = share > 0 ? DFQ_OK : DFQ_E_INFEASIBLE;
        fail_alloc_sweep(run, &s, 1);
    }
}
END_TEST

/* Checkpoints as well. */
static dfq_status save_and_load(dfq_context *ctx, void *arg)
{
    scene *s = arg;
    dfq_solver *solver = NULL;
    int32_t finished;
    const char *path = "dfq-explore-failure.safetensors";
    dfq_status status = dfq_solver_create(ctx, &s->t.problem, s->limit, 2, NULL, &solver);
    if (status == DFQ_OK) status = dfq_solver_step(solver, &finished);
    if (status == DFQ_OK) status = dfq_solver_save_checkpoint(solver, path);
    if (status == DFQ_OK) status = dfq_solver_load_checkpoint(solver, path);
    dfq_solver_release(solver);
    remove(path);
    return status;
}

START_TEST(checkpoint_allocations_fail)
{
    scene s;
    dfqt_problem_make(9, &s.t);
    for (int j = 0; j < 2; j++) s.limit[j] = (dfq_constraint){sizeof(dfq_constraint), j, 10};
    fail_alloc_sweep(save_and_load, &s, 1);
}
END_TEST

TCase *dfqt_explore_failure_case(void)
{
    TCase *c = tcase_create("failure");
    tcase_add_test(c, allocations_fail);
    tcase_add_test(c, checkpoint_allocations_fail);
    return c;
}
