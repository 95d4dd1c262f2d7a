/* The life of a search: steps, looks at what is likeliest, the end. */
#include "explore/solver.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"
#include "explore/solver_priv.h"

/* -- life -------------------------------------------------------------------------------------- */

static dfq_status allocate(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    size_t n = (size_t)p->space.total, vectors = 7 + (size_t)p->given.n_metrics;
    DFQI_TRY(dfqi_found_new(p, &s->best));
    DFQI_TRY(dfqi_found_new(p, &s->raw));
    s->memory = dfqi_calloc(s->ctx, n * vectors, sizeof *s->memory);
    if (!s->memory) return DFQ_E_NOMEM;
    double **at[7] = {&s->x, &s->v, &s->p, &s->noise, &s->g, &s->m, &s->scale};
    for (size_t i = 0; i < 7; i++) *at[i] = s->memory + i * n;
    s->gradients = s->memory + 7 * n;
    return DFQ_OK;
}

dfq_status dfqi_solver_new(dfq_context *ctx, const dfq_problem *problem,
                           const dfq_constraint *limits, int32_t n_limits,
                           const dfq_solver_options *o, dfqi_solver **out)
{
    dfq_status status;
    DFQI_TRY(dfqi_solver_check(ctx, o));
    if (o->rule == DFQ_RULE_EXACT && (!problem->loss_table || !problem->cost_table))
        return dfqi_fail(ctx, DFQ_E_INVALID,
                         "solver: the exact rule needs loss_table and cost_table");
    dfqi_solver *s = dfqi_calloc(ctx, 1, sizeof *s);
    if (!s) return DFQ_E_NOMEM;
    s->ctx = dfqi_context_retain(ctx);
    s->o = *o;
    if (o->rule == DFQ_RULE_EXACT) s->o.steps = 1;
    for (int32_t j = 0; j < DFQ_METRICS_MAX; j++) {
        s->delta[j] = o->delta;
        s->tightest[j] = NAN;
    }
    DFQI_GOTO(dfqi_problem_new(ctx, problem, limits, n_limits, &s->problem), fail);
    DFQI_GOTO(allocate(s), fail);
    *out = s;
    return DFQ_OK;
fail:
    dfqi_solver_release(s);
    return status;
}

void dfqi_solver_release(dfqi_solver *s)
{
    if (!s) return;
    dfq_context *ctx = s->ctx;
    if (s->problem) {
        dfqi_found_fini(s->problem, &s->best);
        dfqi_found_fini(s->problem, &s->raw);
    }
    dfqi_free(ctx, s->memory);
    dfqi_free(ctx, s->rows);
    dfqi_problem_free(s->problem);
    dfqi_free(ctx, s);
    dfqi_context_release(ctx);
}

/* -- steps ------------------------------------------------------------------------------------- */

double dfqi_solver_limit(const dfqi_solver *s, int32_t j)
{
    return s->problem->limit[j] * (1 - s->o.margin);
}

double dfqi_solver_temperature(const dfqi_solver *s)
{
    double end = s->o.end_temperature, begin = s->o.temperature, at = (double)s->done;
    if (s->o.steps < 2 || begin == end) return begin;
    return begin * pow(end / begin, fmin(at / (double)(s->o.steps - 1), 1));
}

void dfqi_solver_soften(dfqi_solver *s, bool noisy)
{
    const dfqi_domain *space = &s->problem->space;
    if (s->o.rule == DFQ_RULE_FRANK_WOLFE) {
        memcpy(s->p, s->x, (size_t)space->total * sizeof *s->p);
        return;
    }
    if (noisy) {
        dfqi_domain_gumbel(space, s->o.seed, (uint64_t)s->done, s->noise);
        /* the accelerator is the average of all as long as the network is searched alone */
        for (int32_t i = space->cells; i < space->total && s->o.rule == DFQ_RULE_NETWORK_FIRST; i++)
            s->noise[i] = 0;
    }
    dfqi_domain_soften(space, s->x, noisy ? s->noise : NULL, dfqi_solver_temperature(s), s->p);
}

static dfq_status record(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    int64_t width = dfqi_solver_width(s);
    if (s->done == s->room) {
        int64_t room = s->room > 0 ? 2 * s->room : 256;
        float *more = dfqi_realloc(s->ctx, s->rows, (size_t)(room * width) * sizeof *more);
        if (!more) return DFQ_E_NOMEM;
        s->rows = more;
        s->room = room;
    }
    float *row = s->rows + s->done * width;
    *row++ = (float)s->loss;
    for (int32_t j = 0; j < p->given.n_metrics; j++) *row++ = (float)s->costs[j];
    for (int32_t j = 0; j < p->n_limits; j++)
        *row++ = dfqi_rule_pulls(s) ? (float)s->delta[j] : NAN;
    return DFQ_OK;
}

static dfq_status iterate(dfqi_solver *s)
{
    if (s->done == 0 && s->o.rule == DFQ_RULE_FRANK_WOLFE) DFQI_TRY(dfqi_frank_wolfe_start(s));
    if (s->o.check_every > 0 && s->done % s->o.check_every == 0) DFQI_TRY(dfqi_solver_look(s));
    dfqi_solver_soften(s, s->o.gumbel != 0);
    DFQI_TRY(dfqi_problem_loss(s->problem, s->p, (uint64_t)s->done, &s->loss, s->g));
    DFQI_TRY(dfqi_problem_costs(s->problem, s->p, s->costs, s->gradients));
    DFQI_TRY(record(s));
    if (s->o.rule == DFQ_RULE_FRANK_WOLFE)
        dfqi_frank_wolfe_move(s);
    else if (s->o.rule != DFQ_RULE_EXACT)
        dfqi_solver_move(s);
    s->done++;
    return DFQ_OK;
}

/* Says where a search failed; numbers that are none end it. */
static dfq_status explain(dfqi_solver *s, dfq_status status)
{
    char text[DFQI_ERROR_MAX];
    if (status == DFQ_OK || status == DFQ_E_NOMEM) return status;
    memcpy(text, s->ctx->error, sizeof text);
    s->failed = status == DFQ_E_NUMERIC;
    return dfqi_fail(s->ctx, status, "solver: step %lld of %lld: %.900s", (long long)s->done,
                     (long long)s->o.steps, text);
}

dfq_status dfqi_solver_step(dfqi_solver *s, int32_t *out_finished)
{
    if (s->failed)
        return dfqi_fail(s->ctx, DFQ_E_NUMERIC,
                         "solver: the search stopped at step %lld, where the problem gave a number "
                         "that is not finite",
                         (long long)s->done);
    if (s->done < s->o.steps) DFQI_TRY(explain(s, iterate(s)));
    if (s->done == s->o.steps && !s->finished) {
        DFQI_TRY(explain(s, dfqi_solver_finish(s)));
        s->finished = true;
    }
    *out_finished = s->finished;
    return DFQ_OK;
}

/* One line with every limit that is not met and the tightest that could be. */
static dfq_status infeasible(const dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    char text[640];
    size_t at = 0;
    for (int32_t j = 0; j < p->n_limits; j++) {
        int n = snprintf(text + at, sizeof text - at, "%s%.40s <= %g", j > 0 ? ", " : "",
                         dfqi_problem_metric(p, p->metric[j]).text, p->limit[j]);
        at += (size_t)n;
        if (isfinite(s->tightest[j]))
            n = snprintf(text + at, sizeof text - at, " (tightest %g)", s->tightest[j]);
        else
            n = snprintf(text + at, sizeof text - at, " (not even without it)");
        at += (size_t)n;
    }
    return dfqi_fail(s->ctx, DFQ_E_INFEASIBLE, "infeasible%s: no choice %s %s",
                     s->proved ? "" : " as far as was searched",
                     s->proved ? "meets" : "was found for", text);
}

dfq_status dfqi_solver_run(dfqi_solver *s)
{
    int32_t finished = s->finished;
    dfqi_stage stage = dfqi_stage_begin(s->ctx, "explore", (uint64_t)s->done, (uint64_t)s->o.steps);
    while (!finished) {
        DFQI_TRY(dfqi_solver_step(s, &finished));
        dfq_status status = dfqi_stage_report(&stage, (uint64_t)s->done, s->loss);
        if (status != DFQ_OK && !finished) return status;
    }
    return s->best.meets ? DFQ_OK : infeasible(s);
}
