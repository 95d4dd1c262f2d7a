/* Quotients of metrics (ratio.h), and the least of them by Dinkelbach's method: over / under is
 * least where over - P under, for the least P, is 0. */
#include "explore/solver/ratio.h"

#include <math.h>

#include "explore/solver/knapsack_priv.h"

static const double nowhere = 1e6; /* times K */

double dfqi_ratio_fill(const dfqi_ratio *r, size_t cells, size_t configs, double typical,
                       double never, double *cost, double *base)
{
    const double p = r->limit / r->scale, k = p * typical;
    const size_t n = cells * configs;
    const double *over = cost + (size_t)r->over * n, *under = cost + (size_t)r->under * n;
    const double *own_over = base + (size_t)r->over * configs;
    const double *own_under = base + (size_t)r->under * configs;
    double *to = cost + (size_t)r->metric * n, *own = base + (size_t)r->metric * configs;
    for (size_t i = 0; i < n; i++)
        to[i] = over[i] < never && under[i] < never ? over[i] - p * under[i] : nowhere * k;
    for (size_t i = 0; i < configs; i++)
        own[i] = own_over[i] < never && own_under[i] < never ? own_over[i] - p * own_under[i] + k
                                                             : nowhere * k;
    return k;
}

double dfqi_problem_told(const dfqi_problem *p, int32_t metric, const double *costs)
{
    const dfqi_ratio *r = &p->ratio;
    return metric == r->metric ? r->scale * costs[r->over] / costs[r->under] : costs[metric];
}

double dfqi_problem_told_limit(const dfqi_problem *p, int32_t j)
{
    return p->metric[j] == p->ratio.metric ? p->ratio.limit : p->limit[j];
}

void dfqi_ratio_column(const dfqi_problem *p, int32_t config, double *column, double *base)
{
    const dfqi_ratio *r = &p->ratio;
    const size_t configs = (size_t)p->space.configs, n = (size_t)p->space.cells * configs;
    const double *cost = p->given.cost_table + (size_t)config, *own = p->given.base_table;
    const double far = nowhere / 2 * p->ratio_limit;
    for (int32_t i = 0; i < p->space.cells; i++) {
        const size_t at = (size_t)i * configs;
        const double is = cost[(size_t)r->metric * n + at];
        column[i] = is < far ? cost[(size_t)r->over * n + at] -
                                   p->ratio_at * cost[(size_t)r->under * n + at]
                             : is;
    }
    const double is = own[(size_t)r->metric * configs + (size_t)config];
    *base = is < far ? own[(size_t)r->over * configs + (size_t)config] -
                           p->ratio_at * own[(size_t)r->under * configs + (size_t)config]
                     : is;
}

/* From the least `over`, each quotient found is the next P, until nothing is below it. */
dfq_status dfqi_ratio_least(dfqi_problem *p, int32_t aim, int32_t *choice, dfqi_optimum *out)
{
    enum { ROUNDS = 40 };
    const dfqi_ratio *r = &p->ratio;
    double costs[DFQ_METRICS_MAX];
    p->ratio_at = 0;
    DFQI_TRY(dfqi_problem_optimum(p, aim, choice, out));
    for (int round = 0; round < ROUNDS && out->found; round++) {
        dfqi_optimum next;
        dfqi_additive_exact(&p->tables, choice, costs);
        p->ratio_at = costs[r->over] / costs[r->under];
        const dfqi_cutoff better = {-1e-12 * costs[r->over], DFQI_NODES};
        DFQI_TRY(dfqi_problem_optimum_below(p, aim, &better, choice, &next));
        out->proved = next.proved;
        if (!next.found) break;
    }
    out->loss = out->found ? r->scale * p->ratio_at : INFINITY;
    return DFQ_OK;
}
