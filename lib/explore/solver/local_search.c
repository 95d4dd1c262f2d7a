/* Local search: lowers the loss of a choice while the limits hold. Candidates are single swaps,
 * exchanges (a swap that costs more with one in another group that costs less), and other
 * accelerators. They are ranked by the gradient at the one-hot point, exchanges also by the sum of
 * their cost changes. A candidate is evaluated exactly before it is accepted. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "explore/solver/derive_priv.h"

enum { EXCHANGE_MAX = 4096 }; /* of all choices: pairs are their square */

/* All single swaps from a choice. The entry of what is chosen is the choice itself. */
typedef struct table {
    int32_t *group;   /* [total] */
    double *gradient; /* [total] of the loss */
    double *costs;    /* [total][n_metrics] exact costs after the swap */
    bool *barred;     /* [total] swaps that were rejected after their exact evaluation */
} table;

typedef struct pair {
    int32_t a, b; /* entries; b -1: a single swap */
    double rise;
} pair;

static dfq_status look_up(dfqi_problem *p, dfqi_candidate *f, table *t)
{
    const dfqi_domain *s = &p->space;
    size_t width = (size_t)p->given.n_metrics;
    DFQI_TRY(dfqi_problem_judge(p, f->choice, &f->loss, t->gradient));
    for (int32_t g = 0; g < s->n_groups; g++) {
        int32_t kept = f->choice[g];
        for (int32_t k = 0; k < s->choices[g]; k++) {
            int32_t i = s->first[g] + k;
            t->group[i] = g;
            f->choice[g] = k;
            dfq_status status = dfqi_problem_exact(p, f->choice, t->costs + (size_t)i * width);
            f->choice[g] = kept;
            if (status != DFQ_OK) return status;
        }
    }
    return DFQ_OK;
}

static double rise_of(const dfqi_problem *p, const dfqi_candidate *f, const table *t, int32_t i)
{
    int32_t g = t->group[i];
    return t->gradient[i] - t->gradient[p->space.first[g] + f->choice[g]];
}

/* Whether the limits hold after swap a, and b if there is one, as far as costs add up. */
static bool fits(const dfqi_problem *p, const dfqi_candidate *f, const table *t, int32_t a,
                 int32_t b)
{
    int32_t width = p->given.n_metrics;
    for (int32_t j = 0; j < p->n_limits; j++) {
        int32_t m = p->metric[j];
        double cost = t->costs[(size_t)a * (size_t)width + (size_t)m];
        if (b >= 0) cost += t->costs[(size_t)b * (size_t)width + (size_t)m] - f->costs[m];
        if (!(cost <= p->limit[j])) return false;
    }
    return true;
}

/* The largest fall of the loss by one swap, or, if there is none, by two. */
static pair find_best(const dfqi_problem *p, const dfqi_candidate *f, const table *t)
{
    const dfqi_domain *s = &p->space;
    pair best = {-1, -1, 0};
    for (int32_t a = 0; a < s->total; a++) {
        double rise = rise_of(p, f, t, a);
        if (!t->barred[a] && rise < best.rise && fits(p, f, t, a, -1)) best = (pair){a, -1, rise};
    }
    if (best.a >= 0 || s->total > EXCHANGE_MAX) return best;
    for (int32_t a = 0; a < s->total; a++) {
        double gain = rise_of(p, f, t, a);
        if (t->barred[a] || !(gain < 0)) continue;
        for (int32_t b = 0; b < s->total; b++) {
            double rise = gain + rise_of(p, f, t, b);
            if (t->group[b] == t->group[a] || !(rise < best.rise) || !fits(p, f, t, a, b)) continue;
            best = (pair){a, b, rise};
        }
    }
    return best;
}

/* Evaluates the swaps exactly and applies them to f if the loss falls within the limits. */
static dfq_status attempt(dfqi_problem *p, const table *t, pair what, dfqi_candidate *f,
                          dfqi_candidate *trial, bool *taken)
{
    const dfqi_domain *s = &p->space;
    dfqi_candidate_copy(p, f, trial);
    trial->choice[t->group[what.a]] = what.a - s->first[t->group[what.a]];
    if (what.b >= 0) trial->choice[t->group[what.b]] = what.b - s->first[t->group[what.b]];
    DFQI_TRY(dfqi_candidate_evaluate(p, trial));
    *taken = trial->meets && trial->loss < f->loss;
    if (*taken) dfqi_candidate_copy(p, trial, f);
    return DFQ_OK;
}

/* Terminates: every accepted swap lowers the loss, and between two of them each swap is rejected
 * once at most. */
static dfq_status improve(dfqi_problem *p, table *t, dfqi_candidate *f, dfqi_candidate *trial)
{
    for (bool taken = true;;) {
        if (taken) {
            memset(t->barred, 0, (size_t)p->space.total * sizeof *t->barred);
            DFQI_TRY(look_up(p, f, t));
        }
        pair best = find_best(p, f, t);
        if (best.a < 0) return DFQ_OK;
        DFQI_TRY(attempt(p, t, best, f, trial, &taken));
        if (!taken) t->barred[best.a] = true;
    }
}

/* Searches on the accelerators that are best for the network in one limited metric each, and from
 * the best of these again. */
static dfq_status move_on(dfqi_problem *p, table *t, dfqi_candidate *f, dfqi_candidate *trial,
                          dfqi_candidate *other)
{
    double before;
    DFQI_TRY(improve(p, t, f, trial));
    if (!p->given.cost_table) return DFQ_OK; /* a caller's exact() may take long */
    do {
        before = f->loss;
        for (int32_t j = 0; j < p->n_limits; j++) {
            dfqi_candidate_copy(p, f, other);
            DFQI_TRY(dfqi_sweep_hw_params(p, j, other));
            if (!other->meets) continue;
            DFQI_TRY(improve(p, t, other, trial));
            if (other->loss < f->loss) dfqi_candidate_copy(p, other, f);
        }
    } while (f->loss < before);
    return DFQ_OK;
}

dfq_status dfqi_local_search(dfqi_problem *p, dfqi_candidate *f)
{
    size_t n = (size_t)p->space.total;
    table t;
    dfqi_candidate trial, other = {.choice = NULL};
    dfq_status status = dfqi_candidate_new(p, &trial);
    if (status == DFQ_OK) status = dfqi_candidate_new(p, &other);
    t.group = dfqi_calloc(p->ctx, n, sizeof *t.group);
    t.gradient = dfqi_calloc(p->ctx, n, sizeof *t.gradient);
    t.costs = dfqi_calloc(p->ctx, n * (size_t)p->given.n_metrics, sizeof *t.costs);
    t.barred = dfqi_calloc(p->ctx, n, sizeof *t.barred);
    if (!t.group || !t.gradient || !t.costs || !t.barred) status = DFQ_E_NOMEM;
    if (status == DFQ_OK) status = move_on(p, &t, f, &trial, &other);
    dfqi_free(p->ctx, t.barred);
    dfqi_free(p->ctx, t.costs);
    dfqi_free(p->ctx, t.gradient);
    dfqi_free(p->ctx, t.group);
    dfqi_candidate_fini(p, &trial);
    dfqi_candidate_fini(p, &other);
    return status;
}
