/* Defaults and range checks of a search's options. */
#include <math.h>

#include "base/check.h"

#include "explore/solver/solver_priv.h"

void dfqi_solver_defaults(dfq_solver_options *out)
{
    *out = (dfq_solver_options){.rule = DFQ_RULE_CONSTRAINT_GRADIENT,
                                .steps = 2000,
                                .snapshot_every = 50,
                                .optimizer = DFQ_OPTIMIZER_ADAMW,
                                .strict = 1,
                                .learning_rate = 0.02,
                                .hw_learning_rate = 0.02,
                                .temperature = 1,
                                .end_temperature = 1,
                                .delta = 1e-3,
                                .growth = 0.01,
                                .penalty = 1};
}

dfq_status dfqi_solver_check(dfq_context *ctx, const dfq_solver_options *o)
{
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "rule", o->rule, DFQ_RULE_CONSTRAINT_GRADIENT,
                              DFQ_RULE_PROJECT));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "steps", o->steps, 1, 10000000));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "snapshot_every", o->snapshot_every, 0, INT64_MAX));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "optimizer", o->optimizer, DFQ_OPTIMIZER_SGD,
                              DFQ_OPTIMIZER_ADAMW));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "gumbel", o->gumbel, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "joint", o->joint, 0, 1));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "strict", o->strict, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "learning_rate", o->learning_rate, 1e-12, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "hw_learning_rate", o->hw_learning_rate, 0, 1e6));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "temperature", o->temperature, 1e-3, 1e3));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "end_temperature", o->end_temperature, 1e-3, 1e3));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "delta", o->delta, 1e-12, 1e3));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "growth", o->growth, 0, 1));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "margin", o->margin, 0, 0.9));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "cost_weight", o->cost_weight, 0, 1e9));
    DFQI_TRY(dfqi_check_real(ctx, "solver", "penalty", o->penalty, 0, 1e9));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "cost_function", o->cost_function, DFQ_COST_MEAN,
                              DFQ_COST_EDAP));
    DFQI_TRY(dfqi_check_whole(ctx, "solver", "reserved", o->reserved, 0, 0));
    if (o->rule != DFQ_RULE_EXACT || o->cost_weight == 0.0) return DFQ_OK;
    return dfqi_fail(
        ctx, DFQ_E_INVALID,
        "solver: cost_weight is %g, must be 0 with rule exact, which minimises the loss alone",
        o->cost_weight);
}
