/* Results of a search: choices, costs, probabilities, trajectory. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "explore/solver/knapsack_priv.h"
#include "explore/solver/solver_priv.h"
#include "tensor/tensor.h"

static void copy_costs(const dfqi_solver *s, const dfqi_candidate *f, double *out)
{
    for (int32_t j = 0; j < DFQ_METRICS_MAX; j++)
        out[j] = f->known && j < s->problem->given.n_metrics
                     ? dfqi_problem_told(s->problem, j, f->costs)
                     : NAN;
}

void dfqi_solver_result(const dfqi_solver *s, dfqi_solver_info *out)
{
    int32_t verdict = s->best.meets ? DFQ_VERDICT_CERTIFIED
                      : s->finished ? DFQ_VERDICT_INFEASIBLE
                                    : DFQ_VERDICT_NONE;
    out->result = (dfq_solver_result){.verdict = verdict,
                                      .proved = s->finished && s->proved,
                                      .raw_feasible = s->raw.known && s->raw.meets,
                                      .steps = s->done,
                                      .loss = s->best.known ? s->best.loss : NAN,
                                      .bound = s->finished ? s->bound : NAN,
                                      .raw_loss = s->raw.known ? s->raw.loss : NAN};
    copy_costs(s, &s->best, out->costs);
    copy_costs(s, &s->raw, out->raw_costs);
    memcpy(out->tightest, s->tightest, sizeof out->tightest);
    memcpy(out->least, s->least, sizeof out->least);
}

dfq_status dfqi_solver_metric(const dfqi_solver *s, int32_t metric, dfq_solver_metric *out)
{
    const dfqi_problem *p = s->problem;
    dfqi_solver_info info;
    DFQI_TRY(dfqi_check_index(s->ctx, "solver: metric", metric, p->given.n_metrics));
    dfqi_solver_result(s, &info);
    *out = (dfq_solver_metric){.limit = NAN,
                               .cost = info.costs[metric],
                               .raw_cost = info.raw_costs[metric],
                               .tightest = NAN,
                               .least = NAN};
    for (int32_t j = 0; j < p->n_limits; j++) {
        if (p->metric[j] != metric) continue;
        out->limit = dfqi_problem_told_limit(p, j);
        out->tightest = info.tightest[j];
        out->least = info.least[j];
    }
    return DFQ_OK;
}

/* [n_groups] of what was found. */
static dfq_status copy_groups(const dfqi_solver *s, const dfqi_candidate *f, const int32_t *from,
                              dfq_tensor **out)
{
    dfq_tensor *t;
    if (!f->known)
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "solver: there is no result after %lld of %lld steps; run the job further",
                         (long long)s->done, (long long)s->o.steps);
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_I32, 1, (int64_t[]){s->problem->space.n_groups}, &t));
    memcpy(t->data, from, (size_t)s->problem->space.n_groups * sizeof *from);
    *out = t;
    return DFQ_OK;
}

dfq_status dfqi_solver_choice(const dfqi_solver *s, bool raw, dfq_tensor **out)
{
    const dfqi_candidate *f = raw ? &s->raw : &s->best;
    return copy_groups(s, f, f->choice, out);
}

dfq_status dfqi_solver_chosen_by(const dfqi_solver *s, dfq_tensor **out)
{
    return copy_groups(s, &s->best, s->best.by, out);
}

dfq_status dfqi_solver_probabilities(const dfqi_solver *s, dfq_tensor **out)
{
    int32_t n = s->problem->space.total;
    dfq_tensor *t;
    DFQI_TRY(dfqi_solver_softmax((dfqi_solver *)(uintptr_t)s, false)); /* writes scratch only */
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_F32, 1, (int64_t[]){n}, &t));
    for (int32_t i = 0; i < n; i++) dfqi_tensor_f32(t)[i] = (float)s->p[i];
    *out = t;
    return DFQ_OK;
}

dfq_status dfqi_solver_trajectory(const dfqi_solver *s, dfq_tensor **out)
{
    int64_t width = dfqi_solver_width(s);
    dfq_tensor *t;
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_F32, 2, (int64_t[]){s->done, width}, &t));
    if (s->done > 0) memcpy(t->data, s->history, (size_t)(s->done * width) * sizeof *s->history);
    *out = t;
    return DFQ_OK;
}

dfq_status dfqi_solver_get_snapshots(const dfqi_solver *s, dfq_tensor **out)
{
    int64_t dims[2] = {dfqi_solver_count_snapshots(s, s->done), s->problem->space.n_groups};
    dfq_tensor *t;
    DFQI_TRY(dfqi_tensor_new(s->ctx, DFQI_I32, 2, dims, &t));
    if (dims[0] > 0)
        memcpy(t->data, s->snapshots, (size_t)(dims[0] * dims[1]) * sizeof *s->snapshots);
    *out = t;
    return DFQ_OK;
}

/* -- for a job around a search ----------------------------------------------------------------- */

const dfqi_domain *dfqi_solver_space(const dfqi_solver *s)
{
    return &s->problem->space;
}

int64_t dfqi_solver_done(const dfqi_solver *s)
{
    return s->done;
}

bool dfqi_solver_is_finished(const dfqi_solver *s)
{
    return s->finished;
}

double dfqi_solver_loss(const dfqi_solver *s)
{
    return s->loss;
}

const int32_t *dfqi_solver_best(const dfqi_solver *s)
{
    return s->best.known ? s->best.choice : NULL;
}

const double *dfqi_solver_best_costs(const dfqi_solver *s)
{
    return s->best.costs;
}

bool dfqi_solver_is_feasible(const dfqi_solver *s)
{
    return s->best.meets;
}

dfq_status dfqi_solver_mixture(dfqi_solver *s, const double **out)
{
    DFQI_TRY(dfqi_solver_softmax(s, false));
    *out = s->p;
    return DFQ_OK;
}

const double *dfqi_solver_best_mixture(dfqi_solver *s)
{
    dfqi_domain_one_hot(&s->problem->space, s->best.choice, s->problem->one_hot);
    return s->problem->one_hot;
}

dfq_status dfqi_solver_cost(const dfqi_solver *s, const int32_t *choice, double *costs)
{
    const dfqi_ratio *r = &s->problem->ratio;
    DFQI_TRY(dfqi_problem_exact(s->problem, choice, costs));
    if (r->metric >= 0) costs[r->metric] = dfqi_problem_told(s->problem, r->metric, costs);
    return DFQ_OK;
}

dfq_status dfqi_solver_is_hopeless(dfqi_solver *s, bool *out)
{
    dfqi_problem *p = s->problem;
    dfqi_optimum o;
    dfqi_candidate f;
    DFQI_TRY(dfqi_candidate_new(p, &f));
    dfq_status status = dfqi_problem_optimum(p, 0, f.choice, &o);
    if (status == DFQ_OK && o.found) status = dfqi_candidate_evaluate(p, &f);
    *out = status == DFQ_OK && o.proved && !(o.found && f.meets);
    dfqi_candidate_fini(p, &f);
    return status;
}
