/* The exact method at the end of a search: on the loss itself, on a learned loss, and to say what
 * comes nearest where nothing meets the limits. And the last step, which takes the cheapest of
 * accelerators that are equally good. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/finish_priv.h"
#include "explore/solver/knapsack_priv.h"

enum { ACCELERATORS_MAX = 65536 };

void dfqi_stamp_changes(dfqi_solver *s, int32_t by, const int32_t *before, dfqi_candidate *f)
{
    for (int32_t g = 0; g < s->problem->space.n_groups; g++)
        if (f->choice[g] != before[g]) f->by[g] = by;
}

/* -- the optimum ------------------------------------------------------------------------------- */

/* What repair and local search make of `raw` is the first to be beaten: branch and bound leaves out
 * what cannot be better, and where it runs out of nodes, that is the result. */
dfq_status dfqi_solve_exactly(dfqi_solver *s, dfqi_candidate *f)
{
    dfqi_optimum o;
    dfqi_problem *p = s->problem;
    DFQI_TRY(dfqi_candidate_evaluate(p, f));
    dfqi_candidate_stamp(p, f, DFQ_CHOSEN_REPAIR);
    DFQI_TRY(dfqi_repair(p, f));
    if (f->meets) DFQI_TRY(dfqi_local_search(p, f));
    dfqi_cutoff cutoff = {f->meets ? f->loss : INFINITY, DFQI_NODES};
    memcpy(s->likeliest, f->choice, (size_t)p->space.n_groups * sizeof *f->choice);
    DFQI_TRY(dfqi_problem_optimum_below(p, -1, &cutoff, s->likeliest, &o));
    memcpy(f->choice, s->likeliest, (size_t)p->space.n_groups * sizeof *f->choice);
    DFQI_TRY(dfqi_candidate_evaluate(p, f));
    s->proved = o.proved;
    s->bound = o.bound;
    if (o.found || (f->meets && o.proved)) dfqi_candidate_stamp(p, f, DFQ_CHOSEN_EXACT);
    return DFQ_OK;
}

/* The optimum of the loss's linear part at the best choices. Where the loss is a sum of what single
 * choices add, as a learned one is, that is its optimum. */
dfq_status dfqi_derive_exactly(dfqi_solver *s, dfqi_candidate *f)
{
    dfqi_problem *p = s->problem, linear = *p; /* borrows all that it points to */
    dfqi_cutoff cutoff = {0, DFQI_NODES};
    dfqi_optimum o;
    dfqi_candidate_copy(p, &s->best, f);
    DFQI_TRY(dfqi_problem_judge(p, f->choice, &f->loss, s->g));
    linear.given.loss_table = s->g;
    for (int32_t g = 0; g < p->space.n_groups; g++)
        cutoff.loss += s->g[p->space.first[g] + f->choice[g]];
    DFQI_TRY(dfqi_problem_optimum_below(&linear, -1, &cutoff, f->choice, &o));
    if (!o.found) return DFQ_OK;
    DFQI_TRY(dfqi_candidate_evaluate(p, f));
    dfqi_stamp_changes(s, DFQ_CHOSEN_EXACT, s->best.choice, f);
    if (f->meets && f->loss < s->best.loss) dfqi_candidate_copy(p, f, &s->best);
    return DFQ_OK;
}

/* -- accelerators that are equally good -------------------------------------------------------- */

/* The product of all costs, each in units of its limit if it has one. */
static double product(const dfqi_problem *p, const double *costs)
{
    double v = 1;
    for (int32_t m = 0; m < p->given.n_metrics; m++)
        if (m != p->ratio.metric) v *= fmax(costs[m], 0);
    for (int32_t j = 0; j < p->n_limits; j++)
        if (p->metric[j] != p->ratio.metric) v /= p->limit[j];
    return v;
}

/* What the accelerator's own choices add to the loss, to first order. */
static double own_loss(const dfqi_solver *s, const dfqi_candidate *f)
{
    const dfqi_domain *d = &s->problem->space;
    double sum = 0;
    for (int32_t g = d->n_groups - d->n_hw_params; g < d->n_groups; g++)
        sum += s->g[d->first[g] + f->choice[g]];
    return sum;
}

dfq_status dfqi_take_cheapest(dfqi_solver *s, dfqi_candidate *f)
{
    dfqi_problem *p = s->problem;
    const dfqi_domain *d = &p->space;
    int32_t at = dfqi_domain_config(d, s->best.choice), best = at;
    if (!p->given.cost_table || s->o.cost_weight > 0 || d->configs < 2 ||
        d->configs > ACCELERATORS_MAX)
        return DFQ_OK;
    dfqi_candidate_copy(p, &s->best, f);
    DFQI_TRY(dfqi_problem_judge(p, f->choice, &f->loss, s->g));
    double least = product(p, f->costs), loss = own_loss(s, f);
    for (int32_t a = 0; a < d->configs; a++) {
        dfqi_domain_set_config(d, a, f->choice);
        if (own_loss(s, f) > loss) continue;
        dfqi_additive_exact(&p->tables, f->choice, f->costs);
        double v = product(p, f->costs);
        if (dfqi_problem_meets(p, f->costs) && v < least) least = v, best = a;
    }
    if (best == at) return DFQ_OK;
    dfqi_domain_set_config(d, best, f->choice);
    DFQI_TRY(dfqi_candidate_evaluate(p, f));
    dfqi_stamp_changes(s, DFQ_CHOSEN_CHEAPEST, s->best.choice, f);
    if (f->meets && f->loss <= s->best.loss) dfqi_candidate_copy(p, f, &s->best);
    return DFQ_OK;
}
