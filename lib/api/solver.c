/* The functions of dfq/solver.h. */
#include <dfq/solver.h>

#include "api/api.h"
#include "api/handles.h"
#include "base/memory.h"
#include "explore/solver/solver.h"

struct dfq_solver {
    dfq_context *ctx; /* kept alive by the search */
    dfqi_solver *s;
};

void dfq_problem_init(dfq_problem *problem, size_t size)
{
    const dfq_problem d = {.struct_size = 0};
    dfqi_options_init(problem, size, &d, sizeof d);
}

void dfq_solver_options_init(dfq_solver_options *options, size_t size)
{
    dfq_solver_options d;
    dfqi_solver_defaults(&d);
    dfqi_options_init(options, size, &d, sizeof d);
}

dfq_status dfqi_constraints_read(dfq_context *ctx, const dfq_constraint *given, int32_t n,
                                 dfq_constraint out[DFQ_METRICS_MAX])
{
    const unsigned char *at = (const unsigned char *)given;
    for (int32_t j = 0; n <= DFQ_METRICS_MAX && j < n; j++, at += given->struct_size) {
        const dfq_constraint *one = (const void *)at;
        if (one->struct_size < sizeof one->struct_size || one->struct_size != given->struct_size)
            return dfqi_fail(
                ctx, DFQ_E_INVALID,
                "limit %d: struct_size is %u; set it to sizeof(dfq_constraint) in every limit",
                (int)j, (unsigned)one->struct_size);
        out[j] = (dfq_constraint){.struct_size = 0};
        DFQI_TRY(dfqi_struct_read(ctx, "dfq_constraint", one, &out[j], sizeof out[j]));
    }
    return DFQ_OK;
}

dfq_status dfq_solver_create(dfq_context *context, const dfq_problem *problem,
                             const dfq_constraint *constraints, int32_t n_constraints,
                             const dfq_solver_options *options, dfq_solver **out_solver)
{
    dfq_problem p = {.struct_size = 0};
    dfq_constraint limits[DFQ_METRICS_MAX];
    dfq_solver_options o;
    dfqi_solver *s;
    if (context == NULL) return DFQ_E_INVALID;
    DFQI_NEED(context, problem);
    DFQI_NEED(context, constraints);
    DFQI_NEED(context, out_solver);
    dfqi_solver_defaults(&o);
    DFQI_TRY(dfqi_options_read(context, "dfq_problem", problem, &p, sizeof p));
    DFQI_TRY(dfqi_options_read(context, "dfq_solver_options", options, &o, sizeof o));
    DFQI_TRY(dfqi_constraints_read(context, constraints, n_constraints, limits));
    DFQI_TRY(dfqi_solver_new(context, &p, limits, n_constraints, &o, &s));
    dfq_solver *solver = dfqi_calloc(context, 1, sizeof *solver);
    if (solver == NULL) {
        dfqi_solver_release(s);
        return DFQ_E_NOMEM;
    }
    *solver = (dfq_solver){.ctx = context, .s = s};
    *out_solver = solver;
    return DFQ_OK;
}

void dfq_solver_release(dfq_solver *solver)
{
    if (solver == NULL) return;
    dfqi_solver *s = solver->s;
    dfqi_free(solver->ctx, solver);
    dfqi_solver_release(s); /* last: it keeps the context */
}

dfq_status dfq_solver_step(dfq_solver *solver, int32_t *out_finished)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_finished);
    return dfqi_solver_step(solver->s, out_finished);
}

dfq_status dfq_solver_run(dfq_solver *solver)
{
    if (solver == NULL) return DFQ_E_INVALID;
    return dfqi_solver_run(solver->s);
}

dfq_status dfq_solver_estimate(const dfq_solver *solver, dfq_job_cost *out_cost)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_cost);
    const dfqi_solver_job c = dfqi_solver_job_cost(solver->s);
    const dfq_job_cost cost = {.bytes = dfqi_count_i64(c.bytes),
                               .seconds_left = c.seconds_left,
                               .units = c.steps,
                               .done = dfqi_solver_done(solver->s)};
    return dfqi_info_write(solver->ctx, "dfq_job_cost", &cost, sizeof cost, out_cost);
}

dfq_status dfq_solver_get_result(const dfq_solver *solver, dfq_solver_result *out_result)
{
    dfqi_solver_info r;
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_result);
    dfqi_solver_result(solver->s, &r);
    return dfqi_info_write(solver->ctx, "dfq_solver_result", &r.result, sizeof r.result,
                           out_result);
}

dfq_status dfq_solver_get_metric(const dfq_solver *solver, int32_t metric,
                                 dfq_solver_metric *out_metric)
{
    dfq_solver_metric m;
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_metric);
    DFQI_TRY(dfqi_solver_metric(solver->s, metric, &m));
    return dfqi_info_write(solver->ctx, "dfq_solver_metric", &m, sizeof m, out_metric);
}

dfq_status dfq_solver_get_choice(const dfq_solver *solver, int32_t raw, dfq_tensor **out_choice)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_choice);
    return dfqi_solver_choice(solver->s, raw != 0, out_choice);
}

dfq_status dfq_solver_get_chosen_by(const dfq_solver *solver, dfq_tensor **out_steps)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_steps);
    return dfqi_solver_chosen_by(solver->s, out_steps);
}

dfq_status dfq_solver_get_probabilities(const dfq_solver *solver, dfq_tensor **out_probabilities)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_probabilities);
    return dfqi_solver_probabilities(solver->s, out_probabilities);
}

dfq_status dfq_solver_get_trajectory(const dfq_solver *solver, dfq_tensor **out_trajectory)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_trajectory);
    return dfqi_solver_trajectory(solver->s, out_trajectory);
}

dfq_status dfq_solver_get_snapshots(const dfq_solver *solver, dfq_tensor **out_snapshots)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, out_snapshots);
    return dfqi_solver_get_snapshots(solver->s, out_snapshots);
}

dfq_status dfq_solver_save_checkpoint(const dfq_solver *solver, const char *path)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, path);
    return dfqi_solver_save(solver->s, path);
}

dfq_status dfq_solver_load_checkpoint(dfq_solver *solver, const char *path)
{
    if (solver == NULL) return DFQ_E_INVALID;
    DFQI_NEED(solver->ctx, path);
    return dfqi_solver_restore(solver->s, path);
}
