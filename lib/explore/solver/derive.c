/* Repair of a choice by single swaps (docs/METHODS.md, Certification). The change of the loss by a
 * swap comes from the gradient at the one-hot point. That is exact if the loss is linear in each
 * group, otherwise an estimate. Costs are exact. */
#include "explore/solver/derive_priv.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { SWEEP_MAX = 65536 };

dfq_status dfqi_candidate_new(const dfqi_problem *p, dfqi_candidate *out)
{
    *out = (dfqi_candidate){.loss = NAN};
    for (int32_t j = 0; j < DFQ_METRICS_MAX; j++) out->costs[j] = NAN;
    out->choice = dfqi_calloc(p->ctx, 2 * (size_t)p->space.n_groups, sizeof *out->choice);
    if (!out->choice) return DFQ_E_NOMEM;
    out->by = out->choice + p->space.n_groups;
    return DFQ_OK;
}

void dfqi_candidate_fini(const dfqi_problem *p, dfqi_candidate *f)
{
    dfqi_free(p->ctx, f->choice);
    f->choice = f->by = NULL;
}

void dfqi_candidate_copy(const dfqi_problem *p, const dfqi_candidate *from, dfqi_candidate *to)
{
    int32_t *choice = to->choice, *by = to->by;
    memcpy(choice, from->choice, 2 * (size_t)p->space.n_groups * sizeof *choice);
    *to = *from;
    to->choice = choice;
    to->by = by;
}

void dfqi_candidate_stamp(const dfqi_problem *p, dfqi_candidate *f, int32_t by)
{
    for (int32_t g = 0; g < p->space.n_groups; g++) f->by[g] = by;
}

bool dfqi_candidate_same(const dfqi_problem *p, const dfqi_candidate *a, const dfqi_candidate *b)
{
    return memcmp(a->choice, b->choice, (size_t)p->space.n_groups * sizeof *a->choice) == 0;
}

static dfq_status cost_of(dfqi_problem *p, dfqi_candidate *f)
{
    DFQI_TRY(dfqi_problem_exact(p, f->choice, f->costs));
    f->meets = dfqi_problem_meets(p, f->costs);
    f->known = true;
    return DFQ_OK;
}

dfq_status dfqi_candidate_evaluate(dfqi_problem *p, dfqi_candidate *f)
{
    DFQI_TRY(cost_of(p, f));
    return dfqi_problem_judge(p, f->choice, &f->loss, NULL);
}

/* What a descent lowers. aim -1: the excess over all limits; otherwise the cost of that limit, once
 * the excess over the others is gone. */
static double violation(const dfqi_problem *p, const double *costs, int32_t aim)
{
    double excess = dfqi_problem_excess(p, costs, aim);
    return aim < 0 ? excess : 1e6 * excess + costs[p->metric[aim]] / p->limit[aim];
}

typedef struct swap {
    int32_t group, choice;
    double score;
    double costs[DFQ_METRICS_MAX];
} swap;

/* Finds the best swap that lowers the violation; group -1: none does. `gradient`: of the loss at
 * f's one-hot point; NULL: the loss is ignored. */
static dfq_status find_repair(dfqi_problem *p, dfqi_candidate *f, int32_t aim,
                              const double *gradient, swap *best)
{
    const dfqi_domain *s = &p->space;
    double now = violation(p, f->costs, aim), costs[DFQ_METRICS_MAX];
    *best = (swap){.group = -1, .score = INFINITY};
    for (int32_t g = 0; g < s->n_groups; g++) {
        int32_t kept = f->choice[g], at = s->first[g];
        for (int32_t k = 0; k < s->choices[g]; k++) {
            if (k == kept) continue;
            f->choice[g] = k;
            dfq_status status = dfqi_problem_exact(p, f->choice, costs);
            f->choice[g] = kept;
            if (status != DFQ_OK) return status;
            double gain = now - violation(p, costs, aim);
            if (!(gain > 0)) continue;
            double score = gradient ? (gradient[at + k] - gradient[at + kept]) / gain : -gain;
            if (!(score < best->score)) continue;
            *best = (swap){.group = g, .choice = k, .score = score};
            memcpy(best->costs, costs, sizeof best->costs);
        }
    }
    return DFQ_OK;
}

static void take(const dfqi_problem *p, const swap *s, dfqi_candidate *f)
{
    f->choice[s->group] = s->choice;
    memcpy(f->costs, s->costs, (size_t)p->given.n_metrics * sizeof *f->costs);
    f->meets = dfqi_problem_meets(p, f->costs);
    f->loss = NAN;
}

/* Every swap lowers the violation, so this ends. With aim -1 it ends where the limits are met. */
static dfq_status swaps(dfqi_problem *p, int32_t aim, double *gradient, dfqi_candidate *f)
{
    swap best = {.group = 0};
    while (best.group >= 0 && (aim >= 0 || !f->meets)) {
        double loss;
        if (gradient) DFQI_TRY(dfqi_problem_judge(p, f->choice, &loss, gradient));
        DFQI_TRY(find_repair(p, f, aim, gradient, &best));
        if (best.group >= 0) take(p, &best, f);
    }
    return DFQ_OK;
}

/* -- accelerators ------------------------------------------------------------------------------ */

/* Sum of t_j / T_j: which of two accelerators that change nothing else is the better one. */
static double load(const dfqi_problem *p, const double *costs)
{
    double sum = 0;
    for (int32_t j = 0; j < p->n_limits; j++) sum += costs[p->metric[j]] / p->limit[j];
    return sum;
}

/* Goes through all accelerators; `gradient` as in find_repair. */
static dfq_status sweep(dfqi_problem *p, int32_t aim, const double *gradient, dfqi_candidate *f)
{
    const dfqi_domain *s = &p->space;
    double rank[3] = {INFINITY, INFINITY, INFINITY}, costs[DFQ_METRICS_MAX];
    int32_t best = dfqi_domain_config(s, f->choice);
    if (s->configs > SWEEP_MAX || s->n_hw_params == 0) return DFQ_OK;
    for (int32_t c = 0; c < s->configs; c++) {
        double loss = 0;
        dfqi_domain_set_config(s, c, f->choice);
        dfq_status status = dfqi_problem_exact(p, f->choice, costs);
        if (status != DFQ_OK) {
            dfqi_domain_set_config(s, best, f->choice);
            return status;
        }
        for (int32_t g = s->n_groups - s->n_hw_params; gradient && g < s->n_groups; g++)
            loss += gradient[s->first[g] + f->choice[g]];
        double mine[3] = {violation(p, costs, aim), loss, load(p, costs)};
        int32_t d = 0;
        while (d < 2 && mine[d] == rank[d]) d++;
        if (!(mine[d] < rank[d])) continue;
        memcpy(rank, mine, sizeof rank);
        best = c;
    }
    dfqi_domain_set_config(s, best, f->choice);
    f->loss = NAN;
    return cost_of(p, f);
}

dfq_status dfqi_sweep_hw_params(dfqi_problem *p, int32_t aim, dfqi_candidate *f)
{
    double loss;
    double *gradient = dfqi_calloc(p->ctx, (size_t)p->space.total, sizeof *gradient);
    if (!gradient) return DFQ_E_NOMEM;
    dfq_status status = dfqi_problem_judge(p, f->choice, &loss, gradient);
    if (status == DFQ_OK) status = sweep(p, aim, gradient, f);
    if (status == DFQ_OK) status = dfqi_candidate_evaluate(p, f);
    dfqi_free(p->ctx, gradient);
    return status;
}

/* -- repair ------------------------------------------------------------------------------------ */

dfq_status dfqi_descend(dfqi_problem *p, int32_t aim, dfqi_candidate *f)
{
    double before;
    do {
        before = violation(p, f->costs, aim);
        DFQI_TRY(swaps(p, aim, NULL, f));
        if (aim < 0 && f->meets) break;
        DFQI_TRY(sweep(p, aim, NULL, f));
    } while (violation(p, f->costs, aim) < before);
    return DFQ_OK;
}

/* Descents that ignore the loss: towards all limits, then towards each limit in turn. */
static dfq_status search_harder(dfqi_problem *p, dfqi_candidate *f)
{
    dfqi_candidate trial;
    dfq_status status = dfqi_candidate_new(p, &trial);
    if (status != DFQ_OK) return status;
    for (int32_t aim = -1; aim < p->n_limits && !f->meets; aim++) {
        dfqi_candidate_copy(p, f, &trial);
        DFQI_GOTO(dfqi_descend(p, aim, &trial), out);
        if (dfqi_problem_excess(p, trial.costs, -1) < dfqi_problem_excess(p, f->costs, -1))
            dfqi_candidate_copy(p, &trial, f);
    }
out:
    dfqi_candidate_fini(p, &trial);
    return status;
}

dfq_status dfqi_repair(dfqi_problem *p, dfqi_candidate *f)
{
    dfq_status status;
    double *gradient = dfqi_calloc(p->ctx, (size_t)p->space.total, sizeof *gradient);
    if (!gradient) return DFQ_E_NOMEM;
    DFQI_GOTO(swaps(p, -1, gradient, f), out);
    if (!f->meets) DFQI_GOTO(sweep(p, -1, gradient, f), out);
    if (!f->meets) DFQI_GOTO(swaps(p, -1, gradient, f), out);
    if (!f->meets) DFQI_GOTO(search_harder(p, f), out);
    status = dfqi_candidate_evaluate(p, f);
out:
    dfqi_free(p->ctx, gradient);
    return status;
}
