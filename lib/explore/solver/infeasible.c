/* Where no choice meets the limits: which limits could be met, and that in words. */
#include <math.h>

#include "base/text.h"
#include "explore/solver/finish_priv.h"
#include "explore/solver/knapsack_priv.h"

/* Of limit j the least value within the others, as told. */
static dfq_status least_of(dfqi_problem *p, int32_t j, int32_t *choice, dfqi_optimum *out)
{
    if (p->metric[j] == p->ratio.metric) return dfqi_ratio_least(p, j, choice, out);
    return dfqi_problem_optimum(p, j, choice, out);
}

/* With tables: the least cost of each limited metric within the other limits. The first of them
 * tells whether anything meets all limits; then it is taken. */
static dfq_status tightest_of_tables(dfqi_solver *s, dfqi_candidate *f)
{
    dfqi_problem *p = s->problem;
    s->proved = true;
    for (int32_t j = 0; j < p->n_limits; j++) {
        dfqi_optimum o;
        DFQI_TRY(least_of(p, j, f->choice, &o));
        s->tightest[j] = o.loss;
        s->proved = s->proved && o.proved;
        if (!o.found) continue;
        DFQI_TRY(dfqi_candidate_evaluate(p, f));
        s->tightest[j] = dfqi_problem_told(p, p->metric[j], f->costs);
        if (!f->meets) continue;
        s->proved = false; /* of a best choice there is no proof */
        dfqi_candidate_stamp(p, f, DFQ_CHOSEN_EXACT);
        DFQI_TRY(dfqi_local_search(p, f));
        dfqi_candidate_copy(p, f, &s->best);
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
            DFQI_TRY(least_of(&one, 0, f->choice, &o));
            DFQI_TRY(dfqi_problem_exact(p, f->choice, f->costs));
        } else {
            DFQI_TRY(dfqi_descend(&one, 0, f));
        }
        s->least[j] = dfqi_problem_told(p, p->metric[j], f->costs);
    }
    return DFQ_OK;
}

dfq_status dfqi_explain_failure(dfqi_solver *s, const dfqi_candidate *nearest)
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

/* -- words ------------------------------------------------------------------------------------- */

typedef struct line {
    char text[2048]; /* of eight limits, each below 124 bytes, and of as many below 80 */
    size_t at;
} line;

static size_t room(const line *l)
{
    return sizeof l->text - l->at;
}

/* "13.3 % above", or "403 times" where that says more. */
static void put_ratio(line *l, double ratio)
{
    char *end = l->text + l->at;
    l->at += (size_t)(ratio < 10 ? dfqi_print(end, room(l), "%.3g %% above", 100 * (ratio - 1))
                                 : dfqi_print(end, room(l), "%.3g times", ratio));
}

/* "latency_ms <= 3 (3.4 would do, 13.3 % above; least 2.1)" */
static void put_limit(const dfqi_solver *s, int32_t j, line *l)
{
    dfqi_metric_name name = dfqi_problem_metric(s->problem, s->problem->metric[j]);
    double limit = dfqi_problem_told_limit(s->problem, j), would = s->tightest[j];
    l->at += (size_t)dfqi_print(l->text + l->at, room(l), "%s%.40s <= %g (", j > 0 ? ", " : "",
                                name.text, limit);
    if (isfinite(would)) {
        l->at += (size_t)dfqi_print(l->text + l->at, room(l), "%g would do, ", would);
        put_ratio(l, would / limit);
    } else {
        l->at += (size_t)dfqi_print(l->text + l->at, room(l), "no other value would do");
    }
    l->at += (size_t)dfqi_print(l->text + l->at, room(l), "; least %g)", s->least[j]);
}

/* "latency_ms 3.2, 6.67 % above", of each limit that the nearest choices exceed. */
static void put_nearest(const dfqi_solver *s, line *l)
{
    const dfqi_problem *p = s->problem;
    const char *before = "; nearest: ";
    for (int32_t j = 0; j < p->n_limits; j++) {
        dfqi_metric_name name = dfqi_problem_metric(p, p->metric[j]);
        const double cost = dfqi_problem_told(p, p->metric[j], s->best.costs);
        const double limit = dfqi_problem_told_limit(p, j);
        if (!(s->best.costs[p->metric[j]] > p->limit[j])) continue;
        l->at +=
            (size_t)dfqi_print(l->text + l->at, room(l), "%s%.40s %g, ", before, name.text, cost);
        put_ratio(l, cost / limit);
        before = "; ";
    }
}

dfq_status dfqi_solver_infeasible(const dfqi_solver *s)
{
    line l = {.at = 0};
    for (int32_t j = 0; j < s->problem->n_limits; j++) put_limit(s, j, &l);
    put_nearest(s, &l);
    return dfqi_fail(s->ctx, DFQ_E_INFEASIBLE, "infeasible%s: no choice %s %s",
                     s->proved ? "" : " as far as was searched",
                     s->proved ? "meets" : "was found for", l.text);
}
