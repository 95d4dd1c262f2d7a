/* dfq/explorer.h: what a co-exploration has found so far. */
#include <dfq/explorer.h>

#include <string.h>

#include "api/api.h"
#include "api/explorer_priv.h"
#include "api/handles.h"

static int32_t stage_of(const dfqi_coexplore_info *i)
{
    if (i->stage == DFQI_EXPLORE_STAGES) return DFQ_EXPLORE_DONE;
    return i->network < DFQI_EXPLORE_NETWORKS ? DFQ_EXPLORE_EVALUATOR + i->network : i->stage;
}

static dfq_status check_metrics(const dfq_explorer *e, const char *what, int32_t v, int32_t least,
                                int32_t most)
{
    if (v >= least && v <= most) return DFQ_OK;
    return dfqi_fail(e->ctx, DFQ_E_INVALID, "explorer: %s is %d, must be %d to %d", what, (int)v,
                     (int)least, (int)most);
}

dfq_status dfq_explorer_get_result(const dfq_explorer *explorer, dfq_explorer_result *out_result)
{
    dfqi_coexplore_info i;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_result);
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &i));
    dfq_explorer_result r = {.stage = stage_of(&i),
                             .verdict = i.verdict,
                             .proved = i.proved,
                             .raw_feasible = i.raw_feasible,
                             .accelerator = i.accelerator,
                             .loss = i.loss,
                             .macs = i.macs,
                             .hw_generator_accuracy = i.hw_generator_accuracy,
                             .hw_generator_regret = i.hw_generator_regret};
    return dfqi_info_write(explorer->ctx, "dfq_explorer_result", &r, sizeof r, out_result);
}

dfq_status dfq_explorer_get_stage(const dfq_explorer *explorer, int32_t stage,
                                  dfq_explorer_stage *out_stage)
{
    dfqi_coexplore_info i;
    dfq_explorer_stage r = {.reserved = 0};
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_stage);
    if (stage < DFQ_EXPLORE_WARMUP || stage > DFQ_EXPLORE_HW_GENERATOR)
        return dfqi_fail(explorer->ctx, DFQ_E_INVALID, "explorer: stage is %d, must be 0 to %d",
                         (int)stage, (int)DFQ_EXPLORE_HW_GENERATOR);
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &i));
    int32_t network = stage - DFQ_EXPLORE_EVALUATOR;
    r.done = network < 0 ? i.steps[stage] : i.evaluator_steps[network];
    r.total = network < 0 ? i.total[stage] : i.evaluator_total[network];
    return dfqi_info_write(explorer->ctx, "dfq_explorer_stage", &r, sizeof r, out_stage);
}

dfq_status dfq_explorer_get_metric(const dfq_explorer *explorer, int32_t metric,
                                   dfq_explorer_metric *out_metric)
{
    dfqi_coexplore_info i;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_metric);
    DFQI_TRY(check_metrics(explorer, "metric", metric, 0, explorer->tables.n_metrics - 1));
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &i));
    dfq_explorer_metric r = {.limit = i.limits[metric],
                             .cost = i.costs[metric],
                             .raw_cost = i.raw_costs[metric],
                             .tightest = i.tightest[metric],
                             .least = i.least[metric],
                             .reference = i.reference[metric],
                             .evaluator_mean = i.evaluator_mean[metric],
                             .evaluator_p99 = i.evaluator_p99[metric],
                             .evaluator_gap = i.evaluator_gap[metric]};
    return dfqi_info_write(explorer->ctx, "dfq_explorer_metric", &r, sizeof r, out_metric);
}

dfq_status dfq_explorer_get_accelerator(const dfq_explorer *explorer,
                                        dfq_accelerator_config *out_config)
{
    dfqi_coexplore_info r;
    dfqi_accel_config t;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_config);
    if (explorer->custom)
        return dfqi_fail(explorer->ctx, DFQ_E_INVALID,
                         "explorer: the costs are the caller's own, dfq_explorer_get_choice() has "
                         "the accelerator");
    DFQI_TRY(dfqi_coexplore_result(explorer->job, &r));
    if (r.accelerator < 0)
        return dfqi_fail(explorer->ctx, DFQ_E_INVALID, "explorer: no accelerator is known yet");
    dfqi_accel_space_config(&explorer->space.accel, r.accelerator, &t);
    return dfqi_config_write(explorer->ctx, &t, out_config);
}

dfq_status dfq_explorer_get_choice(const dfq_explorer *explorer, int32_t raw,
                                   dfq_tensor **out_choice)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_choice);
    return dfqi_solver_choice(dfqi_coexplore_solver(explorer->job), raw != 0, out_choice);
}

dfq_status dfq_explorer_get_chosen_by(const dfq_explorer *explorer, dfq_tensor **out_steps)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_steps);
    return dfqi_solver_chosen_by(dfqi_coexplore_solver(explorer->job), out_steps);
}

dfq_status dfq_explorer_cost(const dfq_explorer *explorer, const int32_t *choice, int32_t n_metrics,
                             double *out_costs)
{
    double costs[DFQ_METRICS_MAX];
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, choice);
    DFQI_NEED(explorer->ctx, out_costs);
    DFQI_TRY(check_metrics(explorer, "n_metrics", n_metrics, 1, explorer->tables.n_metrics));
    for (int32_t g = 0; g < dfqi_explorer_groups(explorer); g++)
        if (choice[g] < 0 || choice[g] >= explorer->costs.choices[g])
            return dfqi_fail(explorer->ctx, DFQ_E_INVALID,
                             "explorer: choice %d of %s, there are 0 to %d", (int)choice[g],
                             explorer->names[g], (int)explorer->costs.choices[g] - 1);
    DFQI_TRY(dfqi_coexplore_cost(explorer->job, choice, costs));
    memcpy(out_costs, costs, (size_t)n_metrics * sizeof *costs);
    return DFQ_OK;
}

dfq_status dfq_explorer_get_probabilities(const dfq_explorer *explorer,
                                          dfq_tensor **out_probabilities)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_probabilities);
    return dfqi_solver_probabilities(dfqi_coexplore_solver(explorer->job), out_probabilities);
}

dfq_status dfq_explorer_get_effects(const dfq_explorer *explorer, dfq_tensor **out_effects)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_effects);
    return dfqi_coexplore_effects(explorer->job, out_effects);
}

dfq_status dfq_explorer_get_trajectory(const dfq_explorer *explorer, dfq_tensor **out_trajectory)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_trajectory);
    return dfqi_solver_trajectory(dfqi_coexplore_solver(explorer->job), out_trajectory);
}

dfq_status dfq_explorer_get_snapshots(const dfq_explorer *explorer, dfq_tensor **out_snapshots)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_snapshots);
    return dfqi_solver_get_snapshots(dfqi_coexplore_solver(explorer->job), out_snapshots);
}

dfq_status dfq_explorer_get_losses(const dfq_explorer *explorer, int32_t stage,
                                   dfq_tensor **out_losses)
{
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, out_losses);
    return dfqi_coexplore_losses(explorer->job, stage, out_losses);
}

dfq_status dfq_explorer_evaluate(dfq_explorer *explorer, const dfq_dataset *images,
                                 dfq_accuracy *out_accuracy)
{
    dfqi_accuracy acc;
    if (explorer == NULL) return DFQ_E_INVALID;
    DFQI_NEED(explorer->ctx, images);
    DFQI_NEED(explorer->ctx, out_accuracy);
    DFQI_TRY(dfqi_coexplore_evaluate(explorer->job, images->d, &acc));
    dfq_accuracy a = {
        .n = acc.n, .correct = acc.correct, .correct5 = acc.correct5, .not_finite = acc.not_finite};
    return dfqi_info_write(explorer->ctx, "dfq_accuracy", &a, sizeof a, out_accuracy);
}
