/* The end of a search: the likeliest choices are repaired, improved by local search, and certified
 * with exact costs. If no choice meets the limits, the tightest possible limits are found. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/knapsack_priv.h"
#include "explore/solver/solver_priv.h"

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
    for (int32_t g = 0; g < p->space.n_groups; g++)
        if (f->choice[g] != s->likeliest[g]) f->by[g] = by;
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

/* The optimum. If there is none, or its search ran out of nodes, the result of repair. */
static dfq_status solve_exactly(dfqi_solver *s)
{
    dfqi_optimum o;
    DFQI_TRY(dfqi_problem_optimum(s->problem, -1, s->raw.choice, &o));
    DFQI_TRY(dfqi_candidate_evaluate(s->problem, &s->raw));
    s->proved = o.proved;
    dfqi_candidate_stamp(s->problem, &s->raw, o.found ? DFQ_CHOSEN_EXACT : DFQ_CHOSEN_REPAIR);
    if (!o.found) DFQI_TRY(dfqi_repair(s->problem, &s->raw));
    keep_better(s, &s->raw);
    return DFQ_OK;
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

/* With tables: the least cost of each limited metric within the other limits. The first of them
 * tells whether anything meets all limits; then it is taken. */
static dfq_status tightest_of_tables(dfqi_solver *s, dfqi_candidate *f)
{
    dfqi_problem *p = s->problem;
    s->proved = true;
    for (int32_t j = 0; j < p->n_limits; j++) {
        dfqi_optimum o;
        DFQI_TRY(dfqi_problem_optimum(p, j, f->choice, &o));
        s->tightest[j] = o.loss;
        s->proved = s->proved && o.proved;
        if (!o.found) continue;
        DFQI_TRY(dfqi_candidate_evaluate(p, f));
        s->tightest[j] = f->costs[p->metric[j]];
        if (!f->meets) continue;
        s->proved = false; /* of a best choice there is no proof */
        dfqi_candidate_stamp(p, f, DFQ_CHOSEN_EXACT);
        DFQI_TRY(search_locally(s, f));
        keep_better(s, f);
        return DFQ_OK;
    }
    return DFQ_OK;
}

/* With callbacks: what descents find. */
static dfq_status tightest_of_descents(dfqi_solver *s, const dfqi_candidate *nearest,
                                       dfqi_candidate *f)
{
    dfqi_problem *p = s->problem;
    for (int32_t j = 0; j < p->n_limits; j++) {
        dfqi_candidate_copy(p, nearest, f);
        DFQI_TRY(dfqi_descend(p, j, f));
        bool others = dfqi_problem_excess(p, f->costs, j) == 0;
        s->tightest[j] = others ? f->costs[p->metric[j]] : INFINITY;
    }
    return DFQ_OK;
}

/* The problem with one of its limits alone, which borrows all the rest. */
static dfqi_problem alone(const dfqi_problem *p, int32_t j)
{
    dfqi_problem one = *p;
    one.n_limits = 1;
    one.metric[0] = p->metric[j];
    one.limit[0] = p->limit[j];
    return one;
}

/* What the metric of each limit can reach, whatever the others. */
static dfq_status least_of_each(dfqi_solver *s, const dfqi_candidate *nearest, dfqi_candidate *f)
{
    dfqi_problem *p = s->problem;
    for (int32_t j = 0; j < p->n_limits; j++) {
        dfqi_problem one = alone(p, j);
        dfqi_optimum o;
        dfqi_candidate_copy(p, nearest, f);
        if (p->given.cost_table) {
            DFQI_TRY(dfqi_problem_optimum(&one, 0, f->choice, &o));
            DFQI_TRY(dfqi_problem_exact(p, f->choice, f->costs));
        } else {
            DFQI_TRY(dfqi_descend(&one, 0, f));
        }
        s->least[j] = f->costs[p->metric[j]];
    }
    return DFQ_OK;
}

static dfq_status explain_failure(dfqi_solver *s, const dfqi_candidate *nearest)
{
    dfqi_problem *p = s->problem;
    dfqi_candidate f;
    dfq_status status = dfqi_candidate_new(p, &f);
    if (status == DFQ_OK)
        status =
            p->given.cost_table ? tightest_of_tables(s, &f) : tightest_of_descents(s, nearest, &f);
    if (status == DFQ_OK && !s->best.meets) status = least_of_each(s, nearest, &f);
    dfqi_candidate_fini(p, &f);
    if (status != DFQ_OK) return status;
    if (s->best.meets)
        for (int32_t j = 0; j < p->n_limits; j++) s->tightest[j] = NAN;
    else
        dfqi_candidate_copy(p, nearest, &s->best);
    return DFQ_OK;
}

dfq_status dfqi_solver_finish(dfqi_solver *s)
{
    dfqi_candidate f;
    dfq_status status = dfqi_candidate_new(s->problem, &f);
    if (status != DFQ_OK) return status;
    if (s->o.rule == DFQ_RULE_EXACT) {
        DFQI_GOTO(solve_exactly(s), out);
        dfqi_candidate_copy(s->problem, &s->raw, &f);
    } else {
        DFQI_GOTO(likeliest(s), out);
        DFQI_GOTO(judge_best_again(s), out);
        DFQI_GOTO(improve(s, &f), out);
    }
    if (!s->best.meets) status = explain_failure(s, &f);
out:
    dfqi_candidate_fini(s->problem, &f);
    return status;
}
