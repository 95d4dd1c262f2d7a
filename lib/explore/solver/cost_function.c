/* The cost function, one number made of the costs t that cost_weight adds to the loss, after DANCE
 * and HDX (docs/METHODS.md, Costs):
 *
 *   mean        1/n sum_j t_j / T_j     over the n limits T
 *   reference   1/M sum_m t_m / r_m     over all M metrics, r: costs of a reference design
 *   EDAP        prod_m t_m / r_m        over all metrics: energy, delay and area */
#include <math.h>

#include "explore/solver/solver_priv.h"

/* Its gradient to metric m is weight / unit. */
typedef struct slope {
    double weight, unit;
} slope;

static slope slope_of_mean(const dfqi_solver *s, int32_t m)
{
    const dfqi_problem *p = s->problem;
    for (int32_t j = 0; j < p->n_limits; j++)
        if (p->metric[j] == m)
            return (slope){s->o.cost_weight / p->n_limits, dfqi_solver_limit(s, j)};
    return (slope){0, 1};
}

static slope slope_of(const dfqi_solver *s, int32_t m)
{
    const double *reference = s->problem->given.reference;
    int32_t n = s->problem->n_function;
    if (s->o.cost_function == DFQ_COST_MEAN) return slope_of_mean(s, m);
    if (m >= n) return (slope){0, 1};
    if (s->o.cost_function == DFQ_COST_REFERENCE)
        return (slope){s->o.cost_weight / n, reference[m]};
    slope out = {s->o.cost_weight, reference[m]};
    for (int32_t k = 0; k < n; k++)
        if (k != m) out.weight *= s->costs[k] / reference[k];
    return out;
}

void dfqi_cost_add_gradient(dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    int32_t total = p->space.total;
    for (int32_t m = 0; m < p->given.n_metrics && s->o.cost_weight > 0; m++) {
        const double *cost = s->gradients + (size_t)m * (size_t)total;
        slope d = slope_of(s, m);
        for (int32_t i = 0; i < total && d.weight != 0.0; i++)
            s->g[i] += d.weight * (cost[i] / d.unit);
    }
}

double dfqi_cost_value(const dfqi_solver *s, const double *costs)
{
    const dfqi_problem *p = s->problem;
    const double *reference = p->given.reference;
    int32_t n = p->n_function;
    double sum = 0, product = 1;
    if (s->o.cost_function == DFQ_COST_MEAN) {
        for (int32_t j = 0; j < p->n_limits; j++)
            sum += costs[p->metric[j]] / dfqi_solver_limit(s, j) / p->n_limits;
        return sum;
    }
    for (int32_t m = 0; m < n; m++) {
        sum += costs[m] / reference[m] / n;
        product *= costs[m] / reference[m];
    }
    return s->o.cost_function == DFQ_COST_EDAP ? product : sum;
}

dfq_status dfqi_cost_check(const dfqi_solver *s)
{
    const dfqi_problem *p = s->problem;
    const double *reference = p->given.reference;
    if (s->o.cost_function == DFQ_COST_MEAN) return DFQ_OK;
    if (!reference)
        return dfqi_fail(s->ctx, DFQ_E_INVALID,
                         "solver: cost_function %d needs the problem's reference; set it",
                         (int)s->o.cost_function);
    for (int32_t m = 0; m < p->given.n_metrics; m++)
        if (!(reference[m] > 0 && isfinite(reference[m])))
            return dfqi_fail(s->ctx, DFQ_E_INVALID,
                             "solver: the reference's cost is %g for %s, must be above 0",
                             reference[m], dfqi_problem_metric(p, m).text);
    return DFQ_OK;
}
