/* The search: creation, steps, snapshots of the likeliest choices, release. */
#include "explore/solver/solver.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "explore/solver/solver_priv.h"

enum { VECTORS = 10 };

/* -- life -------------------------------------------------------------------------------------- */

/* Doubles of s->memory, once its length is known. */
static size_t count_memory(const dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    size_t vectors = VECTORS + (size_t)p->n_limits;
    return (size_t)s->length * vectors + (size_t)p->space.total * (size_t)p->given.n_metrics;
}

static dfq_status allocate(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    s->n = s->hw_params.n > 0 ? p->space.cells + s->hw_params.n : p->space.total;
    s->length = s->n > p->space.total ? s->n : p->space.total;
    size_t n = (size_t)s->length, vectors = VECTORS + (size_t)p->n_limits;
    DFQI_TRY(dfqi_candidate_new(p, &s->best));
    DFQI_TRY(dfqi_candidate_new(p, &s->raw));
    s->memory = dfqi_calloc(s->ctx, count_memory(s), sizeof *s->memory);
    s->likeliest = dfqi_calloc(s->ctx, (size_t)p->space.n_groups, sizeof *s->likeliest);
    if (!s->memory || !s->likeliest) return DFQ_E_NOMEM;
    double **at[VECTORS] = {&s->x, &s->v, &s->p,     &s->noise,    &s->z,
                            &s->g, &s->m, &s->scale, &s->chain[0], &s->chain[1]};
    for (size_t i = 0; i < VECTORS; i++) *at[i] = s->memory + i * n;
    s->rows = s->memory + VECTORS * n;
    s->gradients = s->memory + vectors * n;
    if (s->hw_params.n > 0)
        memcpy(s->x + p->space.cells, s->hw_params.start, (size_t)s->hw_params.n * sizeof *s->x);
    return DFQ_OK;
}

static dfq_status check_hw_params(dfq_context *ctx, const dfq_problem *problem,
                                  const dfq_solver_options *o, const dfqi_hw_params *hw_params)
{
    if (problem->n_hw_params < 1 || hw_params->n < 1)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "solver: the hardware generator has %lld parameters, the problem has %d",
                         (long long)hw_params->n, (int)problem->n_hw_params);
    if (o->rule < DFQ_RULE_FRANK_WOLFE || o->rule == DFQ_RULE_PRODUCT) return DFQ_OK;
    return dfqi_fail(ctx, DFQ_E_INVALID,
                     "solver: rule %d does not train a hardware generator; take another rule",
                     (int)o->rule);
}

/* With tables, costs that the rule cannot work with are an error at creation, not after hours of
 * training. */
static dfq_status check_rule(dfqi_solver *s)
{
    if (s->o.rule != DFQ_RULE_PRODUCT || !s->problem->given.cost_table) return DFQ_OK;
    DFQI_TRY(dfqi_solver_softmax(s, false));
    DFQI_TRY(dfqi_problem_costs(s->problem, s->p, s->costs, NULL));
    return dfqi_rule_check_costs(s);
}

dfq_status dfqi_solver_new(dfq_context *ctx, const dfq_problem *problem,
                           const dfq_constraint *limits, int32_t n_limits,
                           const dfq_solver_options *o, dfqi_solver **out)
{
    return dfqi_solver_new_with(ctx, problem, limits, n_limits, o, NULL, out);
}

dfq_status dfqi_solver_new_with(dfq_context *ctx, const dfq_problem *problem,
                                const dfq_constraint *limits, int32_t n_limits,
                                const dfq_solver_options *o, const dfqi_hw_params *hw_params,
                                dfqi_solver **out)
{
    dfq_status status;
    DFQI_TRY(dfqi_solver_check(ctx, o));
    if (hw_params) DFQI_TRY(check_hw_params(ctx, problem, o, hw_params));
    if (o->rule == DFQ_RULE_PROJECT && !problem->cost_table)
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "solver: rule project needs cost_table; set it, or take another rule");
    if (o->rule == DFQ_RULE_EXACT && (!problem->loss_table || !problem->cost_table))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "solver: rule exact needs loss_table and cost_table; set both");
    dfqi_solver *s = dfqi_calloc(ctx, 1, sizeof *s);
    if (!s) return DFQ_E_NOMEM;
    s->ctx = dfqi_context_retain(ctx);
    s->o = *o;
    s->bound = NAN;
    if (hw_params) s->hw_params = *hw_params;
    if (o->rule == DFQ_RULE_EXACT) s->o.steps = 1;
    for (int32_t j = 0; j < DFQ_METRICS_MAX; j++) {
        s->delta[j] = o->delta;
        s->tightest[j] = s->least[j] = NAN;
    }
    if (o->rule == DFQ_RULE_PROJECT) dfqi_project_reset(s);
    DFQI_GOTO(dfqi_problem_new(ctx, problem, limits, n_limits, &s->problem), fail);
    DFQI_GOTO(allocate(s), fail);
    DFQI_GOTO(check_rule(s), fail);
    DFQI_GOTO(dfqi_cost_check(s), fail);
    *out = s;
    return DFQ_OK;
fail:
    dfqi_solver_release(s);
    return status;
}

void dfqi_solver_set_ratio(dfqi_solver *s, const dfqi_ratio *r, int32_t n_function)
{
    dfqi_problem *p = s->problem;
    p->ratio = *r;
    p->n_function = n_function;
    for (int32_t j = 0; j < p->n_limits; j++)
        if (p->metric[j] == r->metric) p->ratio_limit = p->limit[j];
}

void dfqi_solver_estimate(dfqi_solver *s, const dfqi_estimate *e)
{
    s->problem->estimate = *e;
}

void dfqi_solver_release(dfqi_solver *s)
{
    if (!s) return;
    dfq_context *ctx = s->ctx;
    if (s->problem) {
        dfqi_candidate_fini(s->problem, &s->best);
        dfqi_candidate_fini(s->problem, &s->raw);
    }
    dfqi_free(ctx, s->memory);
    dfqi_free(ctx, s->likeliest);
    dfqi_free(ctx, s->history);
    dfqi_free(ctx, s->snapshots);
    dfqi_problem_free(s->problem);
    dfqi_free(ctx, s);
    dfqi_context_release(ctx);
}

/* -- steps ------------------------------------------------------------------------------------- */

double dfqi_solver_limit(const dfqi_solver *s, int32_t j)
{
    const dfqi_problem *p = s->problem;
    return p->limit[j] * (1 - s->o.margin) * (1 - p->estimate.margin[p->metric[j]]);
}

double dfqi_solver_temperature(const dfqi_solver *s)
{
    double end = s->o.end_temperature, begin = s->o.temperature, at = (double)s->done;
    if (s->o.rule == DFQ_RULE_PROJECT) return 1;
    if (s->o.steps < 2 || begin == end) return begin;
    return begin * pow(end / begin, fmin(at / (double)(s->o.steps - 1), 1));
}

/* The logits of all groups. Those of the hardware parameters come from GEN if there is one. */
static dfq_status make_logits(dfqi_solver *s, const double *noise)
{
    const dfqi_domain *space = &s->problem->space;
    const dfqi_hw_params *f = &s->hw_params;
    size_t n = (size_t)(f->n > 0 ? space->cells : space->total);
    memcpy(s->z, s->x, n * sizeof *s->z);
    if (f->n == 0) return DFQ_OK;
    dfqi_domain_softmax(space, s->z, noise, dfqi_solver_temperature(s), s->p);
    return f->logits(f->user, s->p, s->x + space->cells, s->z + space->cells);
}

dfq_status dfqi_solver_softmax(dfqi_solver *s, bool noisy)
{
    const dfqi_domain *space = &s->problem->space;
    if (s->o.rule == DFQ_RULE_FRANK_WOLFE) {
        memcpy(s->p, s->x, (size_t)space->total * sizeof *s->p);
        return DFQ_OK;
    }
    if (noisy) {
        dfqi_domain_gumbel(space, s->o.seed, (uint64_t)s->done, s->noise);
        /* the accelerator is the average of all as long as the network is searched alone */
        for (int32_t i = space->cells; i < space->total && s->o.rule == DFQ_RULE_NETWORK_FIRST; i++)
            s->noise[i] = 0;
    }
    const double *noise = noisy ? s->noise : NULL;
    DFQI_TRY(make_logits(s, noise));
    dfqi_domain_softmax(space, s->z, noise, dfqi_solver_temperature(s), s->p);
    bool one = s->o.rule == DFQ_RULE_PROJECT && dfqi_project_has_accelerator(s);
    if (one || s->o.rule == DFQ_RULE_ALTERNATE) dfqi_domain_harden_hw_params(space, s->p);
    return DFQ_OK;
}

static dfq_status record(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    int64_t width = dfqi_solver_width(s);
    if (s->done == s->room) {
        int64_t room = s->room > 0 ? 2 * s->room : 256;
        float *more = dfqi_realloc(s->ctx, s->history, (size_t)(room * width) * sizeof *more);
        if (!more) return DFQ_E_NOMEM;
        s->history = more;
        s->room = room;
    }
    float *row = s->history + s->done * width;
    *row++ = (float)s->loss;
    for (int32_t j = 0; j < p->given.n_metrics; j++)
        *row++ = (float)dfqi_problem_told(p, j, s->costs);
    for (int32_t j = 0; j < p->n_limits; j++)
        *row++ = dfqi_rule_holds_limits(s) ? (float)s->delta[j] : NAN;
    return DFQ_OK;
}

/* s->costs of s->p, with their gradients where a step needs them. */
static dfq_status take_costs(dfqi_solver *s)
{
    bool one = s->o.rule == DFQ_RULE_PROJECT && s->o.cost_weight == 0.0;
    if (!one || !dfqi_project_has_accelerator(s))
        return dfqi_problem_costs(s->problem, s->p, s->costs, s->gradients);
    dfqi_project_costs(s);
    return DFQ_OK;
}

static dfq_status move(dfqi_solver *s)
{
    if (s->o.rule == DFQ_RULE_PROJECT) return dfqi_project_move(s);
    if (s->o.rule == DFQ_RULE_FRANK_WOLFE) dfqi_frank_wolfe_move(s);
    if (s->o.rule == DFQ_RULE_FRANK_WOLFE || s->o.rule == DFQ_RULE_EXACT) return DFQ_OK;
    return dfqi_solver_move(s);
}

static dfq_status iterate(dfqi_solver *s)
{
    if (s->done == 0 && s->o.rule == DFQ_RULE_FRANK_WOLFE) DFQI_TRY(dfqi_frank_wolfe_start(s));
    if (s->o.snapshot_every > 0 && s->done % s->o.snapshot_every == 0)
        DFQI_TRY(dfqi_solver_take_snapshot(s));
    if (s->o.rule == DFQ_RULE_ALTERNATE) DFQI_TRY(dfqi_alternate_hw_params(s));
    DFQI_TRY(dfqi_solver_softmax(s, s->o.gumbel != 0 && s->o.rule != DFQ_RULE_PROJECT));
    DFQI_TRY(dfqi_problem_loss(s->problem, s->p, (uint64_t)s->done, &s->loss, s->g));
    DFQI_TRY(take_costs(s));
    DFQI_TRY(dfqi_rule_check(s));
    DFQI_TRY(record(s));
    dfqi_cost_add_gradient(s);
    DFQI_TRY(move(s));
    s->done++;
    return DFQ_OK;
}

/* Adds the step to an error text. NaN and infinity end the search. */
static dfq_status explain(dfqi_solver *s, dfq_status status)
{
    char text[DFQI_ERROR_MAX];
    if (status == DFQ_OK || status == DFQ_E_NOMEM) return status;
    memcpy(text, s->ctx->error, sizeof text);
    s->failed = status == DFQ_E_NUMERIC;
    return dfqi_fail(s->ctx, status, "solver: step %lld of %lld: %.900s", (long long)s->done,
                     (long long)s->o.steps, text);
}

/* Rules that hold limits take further steps while the likeliest choices violate one: near the end,
 * two choices that tie at a limit alternate. */
static dfq_status is_over(dfqi_solver *s, bool *out)
{
    double costs[DFQ_METRICS_MAX];
    *out = s->done >= s->o.steps;
    if (!*out || s->done >= dfqi_solver_last(s->o.steps) || !dfqi_rule_holds_limits(s))
        return DFQ_OK;
    DFQI_TRY(dfqi_solver_likeliest(s));
    DFQI_TRY(dfqi_problem_exact(s->problem, s->likeliest, costs));
    *out = dfqi_problem_meets(s->problem, costs);
    return DFQ_OK;
}

dfq_status dfqi_solver_step(dfqi_solver *s, int32_t *out_finished)
{
    bool over;
    if (s->failed)
        return dfqi_fail(s->ctx, DFQ_E_NUMERIC,
                         "solver: the job has ended: the problem gave a number that is not finite "
                         "at step %lld; start anew",
                         (long long)s->done);
    if (!s->finished) {
        double start = dfqi_now();
        DFQI_TRY(explain(s, is_over(s, &over))); /* put back where it was to end */
        if (!over) DFQI_TRY(explain(s, iterate(s)));
        s->seconds += dfqi_now() - start;
        s->timed += !over;
        DFQI_TRY(explain(s, is_over(s, &over)));
        if (over) DFQI_TRY(explain(s, dfqi_solver_finish(s)));
        s->finished = over;
    }
    *out_finished = s->finished;
    return DFQ_OK;
}

dfqi_solver_job dfqi_solver_job_cost(const dfqi_solver *s)
{
    dfqi_solver_job c = {.steps = s->done < s->o.steps ? s->o.steps : s->done};
    int64_t left = s->finished ? 0 : c.steps - s->done;
    c.bytes = (double)count_memory(s) * (double)sizeof *s->memory +
              (double)(c.steps * dfqi_solver_width(s)) * (double)sizeof *s->history;
    c.seconds_left = dfqi_seconds_left(s->seconds, s->timed, left);
    return c;
}

dfq_status dfqi_solver_run(dfqi_solver *s)
{
    int32_t finished = s->finished;
    dfqi_stage stage = dfqi_stage_begin(s->ctx, "explore", (uint64_t)s->done, (uint64_t)s->o.steps);
    while (!finished) {
        DFQI_TRY(dfqi_solver_step(s, &finished));
        int64_t done = s->done < s->o.steps ? s->done : s->o.steps;
        dfq_status status = dfqi_stage_report(&stage, (uint64_t)done, s->loss);
        if (status != DFQ_OK && !finished) return status;
    }
    return s->best.meets ? DFQ_OK : dfqi_solver_infeasible(s);
}
