/* Block-coordinate Frank-Wolfe (HardCoRe-NAS, Nayman et al., ICML 2021, arXiv 2102.11646;
 * docs/METHODS.md, Baselines). A block is the cells, or one hardware parameter: costs are linear in
 * its probabilities while the others are fixed. A step moves one block towards the point with the
 * least linearised loss within the limits, so the mixture meets the limits at every step. Finding
 * that point is a relaxed knapsack problem. With one limit it is a mixture of two networks; with
 * several it comes from the Lagrangian, and the step is cut at the first limit. */
#include <math.h>
#include <string.h>

#include "explore/solver/knapsack_priv.h"
#include "explore/solver/solver_priv.h"

static const double tolerance = 1e-9; /* of a limit, for the rounding of points on its edge */

dfq_status dfqi_frank_wolfe_start(dfqi_solver *s)
{
    dfqi_problem *p = s->problem;
    dfqi_candidate f;
    double limit[DFQ_METRICS_MAX];
    dfq_status status = dfqi_candidate_new(p, &f);
    if (status != DFQ_OK) return status;
    memcpy(limit, p->limit, sizeof limit);
    for (int32_t j = 0; j < p->n_limits; j++) p->limit[j] = dfqi_solver_limit(s, j);
    dfqi_domain_argmax(&p->space, s->x, f.choice);
    status = dfqi_candidate_evaluate(p, &f);
    if (status == DFQ_OK) status = dfqi_descend(p, -1, &f);
    if (status == DFQ_OK) dfqi_domain_one_hot(&p->space, f.choice, s->x);
    memcpy(p->limit, limit, sizeof limit);
    dfqi_candidate_fini(p, &f);
    return status;
}

/* The linearised problem of a block at the current point, as a knapsack. */
static dfqi_knapsack linearise(const dfqi_solver *s, const int32_t *first, int32_t n_groups)
{
    const dfqi_problem *p = s->problem;
    dfqi_knapsack k = {.n_groups = n_groups, .first = first, .loss = s->g, .n_costs = p->n_limits};
    for (int32_t j = 0; j < p->n_limits; j++) {
        const double *cost = s->gradients + (size_t)p->metric[j] * (size_t)p->space.total;
        k.cost[j] = cost;
        k.base[j] = s->costs[p->metric[j]];
        k.limit[j] = dfqi_solver_limit(s, j) * (1 + tolerance);
        for (int32_t i = first[0]; i < first[n_groups]; i++) k.base[j] -= s->x[i] * cost[i];
    }
    return k;
}

/* The best vertex at prices `factor` lambda, as a one-hot vector. */
static void vertex(const dfqi_knapsack *k, const double *lambda, double factor, double *out)
{
    for (int32_t g = 0; g < k->n_groups; g++) {
        double best = INFINITY;
        int32_t at = k->first[g];
        for (int32_t i = k->first[g]; i < k->first[g + 1]; i++) {
            double v = k->loss[i];
            for (int32_t j = 0; j < k->n_costs; j++) v += factor * lambda[j] * k->cost[j][i];
            if (v < best) best = v, at = i;
            out[i] = 0;
        }
        out[at] = 1;
    }
}

/* The largest step from `from` towards `to`, 0..1, that keeps all limits that `from` meets. */
static double reach(const dfqi_knapsack *k, const double *from, const double *to)
{
    double share = 1;
    for (int32_t j = 0; j < k->n_costs; j++) {
        double room = k->limit[j] - k->base[j], rise = 0;
        for (int32_t i = k->first[0]; i < k->first[k->n_groups]; i++) {
            room -= from[i] * k->cost[j][i];
            rise += (to[i] - from[i]) * k->cost[j][i];
        }
        if (rise > 0) share = fmin(share, fmax(room, 0) / rise);
    }
    return share;
}

static void go(const dfqi_knapsack *k, double share, const double *to, double *x)
{
    for (int32_t i = k->first[0]; i < k->first[k->n_groups]; i++) x[i] += share * (to[i] - x[i]);
}

void dfqi_frank_wolfe_move(dfqi_solver *s)
{
    const dfqi_domain *space = &s->problem->space;
    int32_t cells = space->n_groups - space->n_hw_params, blocks = (cells > 0) + space->n_hw_params;
    int32_t at = (int32_t)(s->done % blocks) + (cells > 0 ? 0 : 1);
    int32_t group = at == 0 ? 0 : cells + at - 1;
    dfqi_knapsack k = linearise(s, space->first + group, at == 0 ? cells : 1);
    double lambda[DFQ_METRICS_MAX], *cheap = s->m, *dear = s->scale;
    double pace = 2.0 * blocks / ((double)s->done + 2.0 * blocks);
    if (dfqi_knapsack_bound(&k, lambda) == INFINITY) return;
    /* The vertices at prices just below and above the one at which the limit is met: the best
     * point is a mixture of both. */
    vertex(&k, lambda, 1 + 1e-7, cheap);
    vertex(&k, lambda, 1 - 1e-7, dear);
    go(&k, reach(&k, cheap, dear), dear, cheap);
    go(&k, fmin(pace, reach(&k, s->x, cheap)), cheap, s->x);
}
