/* Defaults and ranges of a search's options. */
#include <math.h>

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

static dfq_status check_count(dfq_context *ctx, const char *name, int64_t v, int64_t lo, int64_t hi)
{
    if (v >= lo && v <= hi) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "solver: option %s is %lld, it must lie in %lld..%lld",
                     name, (long long)v, (long long)lo, (long long)hi);
}

static dfq_status check_number(dfq_context *ctx, const char *name, double v, double lo, double hi)
{
    if (v >= lo && v <= hi) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID, "solver: option %s is %g, it must lie in %g..%g", name, v,
                     lo, hi);
}

dfq_status dfqi_solver_check(dfq_context *ctx, const dfq_solver_options *o)
{
    DFQI_TRY(check_count(ctx, "rule", o->rule, DFQ_RULE_CONSTRAINT_GRADIENT, DFQ_RULE_ALTERNATE));
    DFQI_TRY(check_count(ctx, "steps", o->steps, 1, 10000000));
    DFQI_TRY(check_count(ctx, "snapshot_every", o->snapshot_every, 0, INT64_MAX));
    DFQI_TRY(check_count(ctx, "optimizer", o->optimizer, DFQ_OPTIMIZER_SGD, DFQ_OPTIMIZER_ADAMW));
    DFQI_TRY(check_count(ctx, "gumbel", o->gumbel, 0, 1));
    DFQI_TRY(check_count(ctx, "joint", o->joint, 0, 1));
    DFQI_TRY(check_count(ctx, "strict", o->strict, 0, 1));
    DFQI_TRY(check_number(ctx, "learning_rate", o->learning_rate, 1e-12, 1e6));
    DFQI_TRY(check_number(ctx, "hw_learning_rate", o->hw_learning_rate, 0, 1e6));
    DFQI_TRY(check_number(ctx, "temperature", o->temperature, 1e-3, 1e3));
    DFQI_TRY(check_number(ctx, "end_temperature", o->end_temperature, 1e-3, 1e3));
    DFQI_TRY(check_number(ctx, "delta", o->delta, 1e-12, 1e3));
    DFQI_TRY(check_number(ctx, "growth", o->growth, 0, 1));
    DFQI_TRY(check_number(ctx, "margin", o->margin, 0, 0.9));
    DFQI_TRY(check_number(ctx, "cost_weight", o->cost_weight, 0, 1e9));
    DFQI_TRY(check_number(ctx, "penalty", o->penalty, 0, 1e9));
    DFQI_TRY(check_count(ctx, "cost_function", o->cost_function, DFQ_COST_MEAN, DFQ_COST_EDAP));
    DFQI_TRY(check_count(ctx, "reserved", o->reserved, 0, 0));
    if (o->rule != DFQ_RULE_EXACT || o->cost_weight == 0.0) return DFQ_OK;
    return dfqi_fail(
        ctx, DFQ_E_INVALID,
        "solver: the exact rule knows no costs but the limits, cost_weight is %g; leave "
        "it 0",
        o->cost_weight);
}
