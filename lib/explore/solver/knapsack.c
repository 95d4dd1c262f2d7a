/* Lagrangian bounds, and the selection of one of the two exact methods. */
#include "explore/solver/knapsack_priv.h"

#include <math.h>
#include <string.h>

enum { BISECTIONS = 48, ROUNDS = 6 };

/* Range of lambda times limit, in units of the spread of losses. Outside of it, rounding errors
 * exceed what the search could gain. */
static const double low_price = 1e-6, high_price = 1e9, rounding = 1e-12;

/* min over the groups of loss + lambda.(cost - limit); `slope` gets the sum of cost j of the
 * minimisers minus its limit, which is a supergradient. Ties go to the cheaper choice, so that the
 * slope is that on the side of larger lambda. */
static double dual(const dfqi_knapsack *k, const double *lambda, int32_t j, double *slope)
{
    double sum = 0, cost = k->base[j];
    for (int32_t i = 0; i < k->n_costs; i++) sum += lambda[i] * (k->base[i] - k->limit[i]);
    for (int32_t g = 0; g < k->n_groups; g++) {
        double best = INFINITY, used = 0;
        for (int32_t i = k->first[g]; i < k->first[g + 1]; i++) {
            double v = k->loss[i];
            for (int32_t c = 0; c < k->n_costs; c++) v += lambda[c] * k->cost[c][i];
            double price = j < k->n_costs ? k->cost[j][i] : 0;
            if (v < best || (v == best && price < used)) best = v, used = price;
        }
        sum += best;
        cost += used;
    }
    *slope = cost - k->limit[j];
    return sum;
}

/* The least sum of a cost over all choices. */
static double least(const dfqi_knapsack *k, int32_t j)
{
    double sum = k->base[j];
    for (int32_t g = 0; g < k->n_groups; g++) {
        double low = INFINITY;
        for (int32_t i = k->first[g]; i < k->first[g + 1]; i++) low = fmin(low, k->cost[j][i]);
        sum += low;
    }
    return sum;
}

/* An upper bound of the loss of all choices; `spread` is its distance from the least loss. */
static double worst(const dfqi_knapsack *k, double *spread)
{
    double high = 0, low = 0;
    for (int32_t g = 0; g < k->n_groups; g++) {
        double most = -INFINITY, few = INFINITY;
        for (int32_t i = k->first[g]; i < k->first[g + 1]; i++) {
            most = fmax(most, k->loss[i]);
            few = fmin(few, k->loss[i]);
        }
        high += most;
        low += few;
    }
    *spread = high - low + rounding * (fabs(high) + fabs(low)) + 1e-300;
    return high + *spread;
}

/* The largest dual along lambda[j]: where the slope changes its sign. */
static double climb(const dfqi_knapsack *k, double unit, double lambda[DFQ_METRICS_MAX], int32_t j)
{
    double lo = 0, hi = low_price * unit, slope, value, best, at = 0;
    lambda[j] = 0;
    best = dual(k, lambda, j, &slope);
    if (slope <= 0) return best;
    for (; hi < high_price * unit; lo = hi, hi *= 2) {
        lambda[j] = hi;
        value = dual(k, lambda, j, &slope);
        if (value > best) best = value, at = hi;
        if (slope <= 0) break;
    }
    for (int32_t i = 0; i < BISECTIONS; i++) {
        double mid = lambda[j] = 0.5 * (lo + hi);
        value = dual(k, lambda, j, &slope);
        if (value > best) best = value, at = mid;
        if (slope <= 0)
            hi = mid;
        else
            lo = mid;
    }
    lambda[j] = at;
    return best;
}

double dfqi_knapsack_bound(const dfqi_knapsack *k, double lambda[DFQ_METRICS_MAX])
{
    double spread, most = worst(k, &spread), best = -INFINITY, slope = 0, size = 0;
    memset(lambda, 0, DFQ_METRICS_MAX * sizeof *lambda);
    for (int32_t j = 0; j < k->n_costs; j++)
        if (least(k, j) > k->limit[j] + rounding * fabs(k->limit[j])) return INFINITY;
    if (k->n_costs == 0) best = dual(k, lambda, 0, &slope);
    for (int32_t round = 0; round < (k->n_costs > 1 ? ROUNDS : 1); round++)
        for (int32_t j = 0; j < k->n_costs; j++) {
            double unit = spread / (fabs(k->limit[j]) + 1e-300);
            best = fmax(best, climb(k, unit, lambda, j));
        }
    for (int32_t j = 0; j < k->n_costs; j++)
        size += lambda[j] * (fabs(k->limit[j]) + fabs(k->base[j]));
    best -= rounding * (size + fabs(best));
    return best > most ? INFINITY : best;
}

dfq_status dfqi_knapsack_solve(dfq_context *ctx, const dfqi_knapsack *k, double cutoff,
                               int32_t *choice, dfqi_optimum *out)
{
    double lambda[DFQ_METRICS_MAX], bound = dfqi_knapsack_bound(k, lambda), spread;
    *out = (dfqi_optimum){.proved = true, .loss = INFINITY, .bound = cutoff};
    if (bound >= cutoff) return DFQ_OK;
    cutoff = fmin(cutoff, worst(k, &spread));
    if (k->n_costs == 1) {
        DFQI_TRY(dfqi_knapsack_states(ctx, k, lambda[0], cutoff, choice, out));
        out->bound = out->found ? out->loss : cutoff;
        if (out->proved) return DFQ_OK;
    }
    return dfqi_knapsack_branch(ctx, k, lambda, cutoff, choice, out);
}
