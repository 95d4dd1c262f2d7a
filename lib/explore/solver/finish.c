/* The end of a search: the likeliest choices are repaired, improved by local search, and certified
 * with exact costs. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/finish_priv.h"

static void keep_better(dfqi_solver *s, const dfqi_candidate *f)
{
    if (f->meets && (!s->best.meets || f->loss < s->best.loss))
        dfqi_candidate_copy(s->problem, f, &s->best);
}

/* The loss of the best choice is evaluated again: an estimated loss has changed since. */
static dfq_status judge_best_again(dfqi_solver *s)
{
    bool learned = s->problem->given.loss != NULL && !s->problem->given.loss_table;
    return learned && s->best.meets ? dfqi_candidate_evaluate(s->problem, &s->best) : DFQ_OK;
}

static dfq_status likeliest(dfqi_solver *s)
{
    DFQI_TRY(dfqi_solver_softmax(s, false));
    dfqi_domain_argmax(&s->problem->space, s->p, s->raw.choice);
    dfqi_candidate_stamp(s->problem, &s->raw, DFQ_CHOSEN_LIKELIEST);
    if (s->o.rule == DFQ_RULE_NETWORK_FIRST && s->done == s->o.steps)
        return dfqi_sweep_hw_params(s->problem, -1, &s->raw);
    return dfqi_candidate_evaluate(s->problem, &s->raw);
}

dfq_status dfqi_solver_reserve_snapshots(dfqi_solver *s, int64_t n)
{
    if (n <= s->snapshots_room) return DFQ_OK;
    int64_t room = n > 2 * s->snapshots_room ? n + 16 : 2 * s->snapshots_room;
    size_t width = (size_t)s->problem->space.n_groups;
    int32_t *more = dfqi_realloc(s->ctx, s->snapshots, (size_t)room * width * sizeof *more);
    if (!more) return DFQ_E_NOMEM;
    s->snapshots = more;
    s->snapshots_room = room;
    return DFQ_OK;
}

dfq_status dfqi_solver_take_snapshot(dfqi_solver *s)
{
    int64_t at = s->done / s->o.snapshot_every;
    size_t width = (size_t)s->problem->space.n_groups;
    DFQI_TRY(dfqi_solver_reserve_snapshots(s, at + 1));
    DFQI_TRY(likeliest(s));
    memcpy(s->snapshots + (size_t)at * width, s->raw.choice, width * sizeof *s->snapshots);
    DFQI_TRY(judge_best_again(s));
    dfqi_candidate_stamp(s->problem, &s->raw, DFQ_CHOSEN_SNAPSHOT);
    keep_better(s, &s->raw);
    return DFQ_OK;
}

/* -- the end ----------------------------------------------------------------------------------- */

/* Takes a step from f and notes what it has changed. */
static dfq_status step(dfqi_solver *s, int32_t by,
                       dfq_status (*of)(dfqi_problem *p, dfqi_candidate *f), dfqi_candidate *f)
{
    dfqi_problem *p = s->problem;
    memcpy(s->likeliest, f->choice, (size_t)p->space.n_groups * sizeof *f->choice);
    DFQI_TRY(of(p, f));
    dfqi_stamp_changes(s, by, s->likeliest, f);
    return DFQ_OK;
}

static dfq_status repair(dfqi_solver *s, dfqi_candidate *f)
{
    return step(s, DFQ_CHOSEN_REPAIR, dfqi_repair, f);
}

static dfq_status search_locally(dfqi_solver *s, dfqi_candidate *f)
{
    return step(s, DFQ_CHOSEN_LOCAL_SEARCH, dfqi_local_search, f);
}

/* Repairs and improves both the likeliest choices and the best snapshot. If both end at the same
 * choices, chosen_by is that of the likeliest. */
static dfq_status improve(dfqi_solver *s, dfqi_candidate *f)
{
    const dfqi_problem *p = s->problem;
    dfqi_candidate_copy(p, &s->raw, f);
    DFQI_TRY(repair(s, f));
    if (f->meets) DFQI_TRY(search_locally(s, f));
    if (s->best.meets) DFQI_TRY(search_locally(s, &s->best));
    if (s->best.meets && dfqi_candidate_same(p, f, &s->best)) dfqi_candidate_copy(p, f, &s->best);
    keep_better(s, f);
    return DFQ_OK;
}

/* What a published rule makes of a loss that is a table stays its own: the exact method would put
 * the optimum in its place. */
static dfq_status refine(dfqi_solver *s, dfqi_candidate *f)
{
    bool published = s->o.rule != DFQ_RULE_PROJECT && s->problem->given.loss_table != NULL;
    if (!published && s->o.rule != DFQ_RULE_EXACT && s->problem->given.cost_table)
        DFQI_TRY(dfqi_derive_exactly(s, f));
    return dfqi_take_cheapest(s, f);
}

dfq_status dfqi_solver_finish(dfqi_solver *s)
{
    dfqi_candidate f;
    dfq_status status = dfqi_candidate_new(s->problem, &f);
    if (status != DFQ_OK) return status;
    if (s->o.rule == DFQ_RULE_EXACT) {
        DFQI_GOTO(dfqi_solve_exactly(s, &s->raw), out);
        keep_better(s, &s->raw);
        dfqi_candidate_copy(s->problem, &s->raw, &f);
    } else {
        DFQI_GOTO(likeliest(s), out);
        DFQI_GOTO(judge_best_again(s), out);
        DFQI_GOTO(improve(s, &f), out);
    }
    if (!s->best.meets) DFQI_GOTO(dfqi_explain_failure(s, &f), out);
    if (s->best.meets) status = refine(s, &f);
out:
    dfqi_candidate_fini(s->problem, &f);
    return status;
}
