/* Defaults and range checks of a co-exploration's options. */
#include <math.h>

#include "base/check.h"

#include "explore/coexplore/coexplore_priv.h"

void dfqi_coexplore_defaults(dfq_explorer_options *out)
{
    *out = (dfq_explorer_options){.warmup_steps = 6000,
                                  .weight_steps = 10,
                                  .sampled_paths = 8,
                                  .solver_steps = 8,
                                  .train_steps = 4000,
                                  .batch = 64,
                                  .max_shift = 4,
                                  .held_out = 0.2,
                                  .largest_share = 0.25,
                                  .weight_decay = -1,
                                  .smoothing = 0.1,
                                  .estimate_decay = 0.995,
                                  .mean = {0.485F, 0.456F, 0.406F},
                                  .std = {0.229F, 0.224F, 0.225F},
                                  .evaluator_steps = 12000,
                                  .hw_generator_steps = 1000,
                                  .hw_generator_learning_rate = 2e-3};
}

/* The product rule takes logarithms of costs, which untrained networks cannot check. */
static dfq_status check_rule(dfq_context *ctx, int32_t evaluator, int32_t rule)
{
    if (rule == DFQ_RULE_EXACT)
        return dfqi_fail(
            ctx, DFQ_E_INVALID,
            "explorer: rule exact needs losses that are known beforehand; take another rule");
    if (evaluator != DFQ_EVALUATOR_NETWORKS || rule <= DFQ_RULE_ABSOLUTE) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "explorer: rule %d needs exact costs; set evaluator to tables, or take "
                     "constraint-gradient, none, penalty or absolute",
                     (int)rule);
}

dfq_status dfqi_coexplore_check(dfq_context *ctx, const dfq_explorer_options *o,
                                const dfq_solver_options *solver)
{
    static const int64_t many = 10000000;
    DFQI_TRY(dfqi_solver_check(ctx, solver));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "fine_tune", o->fine_tune, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "warmup_steps", o->warmup_steps, 0, many));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "weight_steps", o->weight_steps, 0, 1000));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "sampled_paths", o->sampled_paths, 2,
                              DFQI_SAMPLED_PATHS_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "solver_steps", o->solver_steps, 1, 1000));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "train_steps", o->train_steps, 0, many));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "batch", o->batch, 2, 4096));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "max_shift", o->max_shift, 0, 1024));
    DFQI_TRY(dfqi_check_real(ctx, "explorer", "held_out", o->held_out, 0.01, 0.9));
    DFQI_TRY(dfqi_check_real(ctx, "explorer", "largest_share", o->largest_share, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, "explorer", "learning_rate", o->learning_rate, 0, 1000));
    DFQI_TRY(
        dfqi_check_real(ctx, "explorer", "search_learning_rate", o->search_learning_rate, 0, 1000));
    DFQI_TRY(
        dfqi_check_real(ctx, "explorer", "train_learning_rate", o->train_learning_rate, 0, 1000));
    if (o->weight_decay != -1.0)
        DFQI_TRY(dfqi_check_real(ctx, "explorer", "weight_decay", o->weight_decay, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, "explorer", "smoothing", o->smoothing, 0, 0.9));
    DFQI_TRY(dfqi_check_real(ctx, "explorer", "estimate_decay", o->estimate_decay, 0.5, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "evaluator", o->evaluator, DFQ_EVALUATOR_TABLES,
                              DFQ_EVALUATOR_NETWORKS));
    DFQI_TRY(check_rule(ctx, o->evaluator, solver->rule));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "gradient", o->gradient, DFQ_GRADIENT_PATHS,
                              DFQ_GRADIENT_GATES));
    DFQI_TRY(dfqi_check_whole(ctx, "explorer", "evaluator_steps", o->evaluator_steps, 1, many));
    DFQI_TRY(
        dfqi_check_whole(ctx, "explorer", "hw_generator_steps", o->hw_generator_steps, 1, many));
    DFQI_TRY(dfqi_check_real(ctx, "explorer", "hw_generator_learning_rate",
                             o->hw_generator_learning_rate, 0, 1e6));
    for (int c = 0; c < 3; c++) {
        DFQI_TRY(dfqi_check_real(ctx, "explorer", "mean", (double)o->mean[c], -10, 10));
        DFQI_TRY(dfqi_check_real(ctx, "explorer", "std", (double)o->std[c], 1e-6, 10));
    }
    return DFQ_OK;
}
